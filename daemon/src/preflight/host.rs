//! What is around the process: cgroups, namespaces, the port.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    os::unix::fs::MetadataExt as _,
    path::Path,
    time::Duration,
};

use rustix::{
    io::Errno,
    net::{AddressFamily, SocketFlags, SocketType, bind, socket_with, sockopt},
};

use super::{About, Check, Group, PreflightOptions};
use crate::{attribution::cgroupfs, netns::Namespaces};

/// Inode number of the first process namespace (`PROC_PID_INIT_INO`), a constant of the kernel.
const FIRST_PID_NS: u64 = 0xefff_fffc;
/// Id of the root of the cgroup2 tree.
const ROOT_CGROUP: u64 = 1;

/// Longest time for an answer of who holds a port.
const PATIENCE: Duration = Duration::from_secs(2);
/// Most that is read of it.
const ANSWER_BYTES: u64 = 4_096;
/// What the index of finwatch's server is called.
const INDEX_TITLE: &str = "<title>finwatch</title>";

const fn about(name: &'static str, needed_for: &'static str) -> About {
    About {
        group: Group::Host,
        name,
        needed_for,
    }
}

pub(super) fn checks(options: &PreflightOptions) -> Vec<Check> {
    let mut checks = vec![
        cgroup2(options.cgroup_root.as_deref()),
        pid_namespace(fs::metadata("/proc/self/ns/pid").map(|link| link.ino())),
        network_namespaces(Namespaces::scan()),
    ];
    let addresses = options.listen.iter();
    checks.extend(addresses.map(|listen| port(*listen, try_bind(*listen))));
    checks
}

fn cgroup2(root: Option<&Path>) -> Check {
    let about = about(
        "cgroup2",
        "names of units and containers; without it everything is shown by the name of its process",
    );
    let remedy = "mount cgroup2 (/sys/fs/cgroup or /sys/fs/cgroup/unified); in a container, mount the \
                  host's as a volume";
    let root = match root
        .map(Path::to_owned)
        .map_or_else(cgroupfs::find_root, Ok)
    {
        Ok(root) => root,
        Err(error) => return about.warn(error.to_string(), remedy),
    };
    match fs::metadata(&root) {
        Ok(dir) if dir.ino() == ROOT_CGROUP => about.ok(format!("mounted at {}", root.display())),
        Ok(_) => about.warn(
            format!(
                "{} is a part of the tree: cgroups outside of it have no name here",
                root.display()
            ),
            "share the host's cgroup namespace (--cgroupns=host), or mount the host's /sys/fs/cgroup",
        ),
        Err(error) => about.warn(format!("cannot open {}: {error}", root.display()), remedy),
    }
}

fn pid_namespace(ino: io::Result<u64>) -> Check {
    let about = about(
        "pid-namespace",
        "finding the processes, and the namespaces, that the kernel's events speak of",
    );
    match ino {
        Ok(FIRST_PID_NS) => about.ok("the host's"),
        Ok(_) => about.warn(
            "not the host's: sockets from before the start have no owner, other namespaces are not seen",
            "set hostPID: true, or --pid=host",
        ),
        Err(error) => about.warn(
            format!("cannot be told: {error}"),
            "mount /proc in the container",
        ),
    }
}

fn network_namespaces(scan: io::Result<Namespaces>) -> Check {
    let about = about(
        "network-namespaces",
        "taking in the sockets that were there before",
    );
    let namespaces = match scan {
        Ok(namespaces) => namespaces,
        Err(error) => return about.warn(format!("cannot look for them: {error}"), "mount /proc"),
    };
    let found = namespaces.found.len();
    let Some(first) = namespaces.refused.first() else {
        return about.ok(format!("{found} found, all may be entered"));
    };
    about.warn(
        format!(
            "{found} may be entered, {} may not: {}: {}",
            namespaces.refused_count, first.found_at, first.reason
        ),
        "give CAP_SYS_ADMIN and CAP_SYS_PTRACE; without them only new connections are seen there",
    )
}

fn port(listen: SocketAddr, bound: io::Result<()>) -> Check {
    let about = about("listen-address", "/metrics");
    match bound {
        Ok(()) => about.ok(format!("{listen} is free")),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_finwatch(listen) => {
            about.ok(format!("{listen} is a running finwatch's"))
        }
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => about.warn(
            format!("{listen} is in use, and not by finwatch"),
            "stop the other program, or set `listen` to another address",
        ),
        Err(error) => about.warn(
            format!("cannot bind {listen}: {error}"),
            "set `listen` to another address",
        ),
    }
}

/// Whether it is finwatch that answers there.
fn is_finwatch(listen: SocketAddr) -> bool {
    let mut here = listen;
    if listen.ip().is_unspecified() {
        here.set_ip(match listen {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    let ask = || {
        let mut stream = TcpStream::connect_timeout(&here, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
        let mut answer = String::new();
        stream.take(ANSWER_BYTES).read_to_string(&mut answer)?;
        Ok::<_, io::Error>(answer)
    };
    ask().is_ok_and(|answer| answer.contains(INDEX_TITLE))
}

/// Binds without listening: nobody outside notices. As the daemon does, it takes IPv4 where the host has no
/// IPv6.
fn try_bind(listen: SocketAddr) -> io::Result<()> {
    match bind_to(listen) {
        Err(Errno::AFNOSUPPORT) if listen.ip() == Ipv6Addr::UNSPECIFIED => {
            Ok(bind_to((Ipv4Addr::UNSPECIFIED, listen.port()).into())?)
        }
        result => Ok(result?),
    }
}

fn bind_to(listen: SocketAddr) -> Result<(), Errno> {
    let family = match listen {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    // As a listener does: connections in TIME_WAIT are no obstacle.
    sockopt::set_socket_reuseaddr(&socket, true)?;
    bind(&socket, &listen)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::{netns::Refusal, preflight::Status};

    #[test]
    fn a_port_in_use_is_a_warning() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let stranger = std::thread::spawn(move || drop(listener.accept().unwrap()));
        let check = port(address, try_bind(address));
        assert_eq!(check.status, Status::Warn);
        assert!(check.finding.contains("in use"), "{}", check.finding);
        stranger.join().unwrap();
        assert_eq!(port(address, try_bind(address)).status, Status::Ok);
    }

    #[test]
    fn a_namespace_that_may_not_be_entered_is_named() {
        let refused = Refusal {
            found_at: "process 4711 (nginx)".to_owned(),
            reason: "Permission denied".to_owned(),
        };
        let scan = Namespaces {
            refused: vec![refused],
            refused_count: 3,
            ..Namespaces::default()
        };
        let check = network_namespaces(Ok(scan));
        assert_eq!(check.status, Status::Warn);
        assert!(check.finding.contains("3 may not: process 4711 (nginx)"));
    }

    #[test]
    fn pid_namespaces() {
        assert_eq!(pid_namespace(Ok(FIRST_PID_NS)).status, Status::Ok);
        assert_eq!(pid_namespace(Ok(4_026_532_500)).status, Status::Warn);
    }

    #[test]
    fn a_directory_that_is_no_cgroup_root_is_a_part() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(cgroup2(Some(dir.path())).status, Status::Warn);
        assert_eq!(
            cgroup2(Some(Path::new("/nonexistent"))).status,
            Status::Warn
        );
    }
}
