//! The daemon with exactly the manifests' rights: the capabilities that are written there and no more, a read-only
//! root, the manifest's user. It must see the connections of another network namespace, those from before its start
//! and another user's too, and live.

use std::{
    collections::BTreeSet,
    fs,
    io::{ErrorKind, Write as _},
    net::{TcpListener, TcpStream},
    os::{
        fd::AsRawFd as _,
        unix::{fs::PermissionsExt as _, net::UnixDatagram},
    },
    path::PathBuf,
};

use caps::Capability;
use tempfile::TempDir;

use super::daemon::{Daemon, sample};
use crate::{
    harness::{
        Netns, PATIENCE,
        child::Child,
        sock::{accept, connect_again, deliver, listen, new_stream, pair, read, read_eof},
        within_settle,
    },
    manifest::{self, Manifest},
};

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: example.test\r\n\r\n";
/// The user of the unit's stand-in.
const NOBODYS: &str = "61184";

#[test]
fn as_the_daemonset_runs_it() {
    let manifest = manifest::daemonset();
    Netns::run(|_| {
        let elsewhere = Elsewhere::make();
        let daemon = start(include_str!("container.sh"), &manifest, &[]);
        has_no_more_than(&daemon, &manifest, "0");
        elsewhere.show_to(&daemon);
        assert_eq!(daemon.stop(), Some(0), "it lived, and ended well");
    });
}

#[test]
fn as_systemd_runs_it() {
    let manifest = manifest::service();
    Netns::run(|_| {
        let folder = TempDir::new().unwrap();
        let socket = folder.path().join("notify");
        let manager = UnixDatagram::bind(&socket).unwrap();
        for (path, mode) in [(folder.path(), 0o755), (&socket, 0o777)] {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        }
        manager.set_read_timeout(Some(PATIENCE)).unwrap();
        let elsewhere = Elsewhere::make();
        let environment = [("NOTIFY_SOCKET", socket.to_str().unwrap())];
        let _place = Place::make(&manifest.state);
        let daemon = start(include_str!("unit.sh"), &manifest, &environment);
        assert_eq!(heard(&manager), "READY=1", "Type=notify");
        has_no_more_than(&daemon, &manifest, NOBODYS);
        elsewhere.show_to(&daemon);
        assert_eq!(daemon.stop(), Some(0), "it lived, and ended well");
        assert_eq!(heard(&manager), "STOPPING=1");
    });
}

/// A folder to mount something on; removed at the end when it was not there before.
struct Place(Option<PathBuf>);

impl Place {
    fn make(path: &str) -> Self {
        let made = fs::create_dir(path).is_ok();
        Self(made.then(|| path.into()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            fs::remove_dir(path).ok();
        }
    }
}

fn start(script: &str, manifest: &Manifest, environment: &[(&str, &str)]) -> Daemon {
    let Manifest {
        capabilities,
        arguments,
        state,
    } = manifest;
    let capabilities: Vec<String> = capabilities
        .iter()
        .map(|name| format!("+{}", name.trim_start_matches("CAP_").to_lowercase()))
        .collect();
    let mut arguments = arguments.clone();
    arguments.extend(["--survey-interval".to_owned(), "1s".to_owned()]);
    Daemon::start_within(
        script,
        state,
        &capabilities.join(","),
        &arguments,
        environment,
    )
}

#[track_caller]
fn has_no_more_than(daemon: &Daemon, manifest: &Manifest, user: &str) {
    let given = manifest.capabilities.iter().fold(0u64, |mask, name| {
        let capability: Capability = name.parse().unwrap();
        mask | capability.bitmask()
    });
    let held = |set| u64::from_str_radix(&daemon.status(set), 16).unwrap();
    assert_eq!(held("CapBnd"), given, "the bounding set");
    assert_eq!(held("CapPrm") & !given, 0, "permitted beyond what is given");
    assert_ne!(
        held("CapPrm"),
        given,
        "what is not needed any more is dropped"
    );
    assert_eq!(
        (held("CapInh"), held("CapAmb")),
        (0, 0),
        "nothing to pass on"
    );
    assert_eq!(daemon.status("NoNewPrivs"), "1");
    assert!(daemon.status("Uid").split('\t').all(|id| id == user));

    let root = format!("/proc/{}/root", daemon.pid());
    for folder in ["", "/usr"] {
        let refused = fs::File::create(format!("{root}{folder}/probe")).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ReadOnlyFilesystem, "{folder}/");
    }
    let history = format!("{root}{}/history.redb", manifest.state);
    assert!(fs::exists(&history).unwrap(), "the history is kept");
    let mounts = fs::read_to_string(format!("/proc/{}/mountinfo", daemon.pid())).unwrap();
    let kernels = ["/proc", "/dev", "/sys"].map(|point| (point, format!("{point}/")));
    for line in mounts.lines() {
        let (mount, file_system) = line.split_once(" - ").unwrap();
        let mount: Vec<&str> = mount.split(' ').collect();
        let (point, options) = (mount[4], mount[5]);
        let of_the_kernel = kernels
            .iter()
            .any(|(whole, below)| point == *whole || point.starts_with(below));
        let read_only = [options, file_system.rsplit(' ').next().unwrap()]
            .iter()
            .any(|options| options.split(',').any(|option| option == "ro"));
        assert!(
            read_only || of_the_kernel || point == manifest.state,
            "may be written to: {line}"
        );
    }
}

/// A metric, its labels and its value.
type Expected<'a> = (&'a str, Vec<(&'a str, &'a str)>, f64);

/// What systemd would hear next.
fn heard(manager: &UnixDatagram) -> String {
    let mut message = [0; 512];
    let length = manager.recv(&mut message).unwrap();
    String::from_utf8_lossy(&message[..length])
        .trim()
        .to_owned()
}

/// Sockets in a network namespace of their own.
struct Elsewhere {
    listener: TcpListener,
    old: (TcpStream, TcpStream),
    fresh: [TcpStream; 3],
    others_port: u16,
    _other: Child,
}

impl Elsewhere {
    /// A listener with a connection, three sockets that may still connect, and a listener that is another user's.
    fn make() -> Self {
        Netns::run(|_| {
            let listener = listen();
            let others = listen();
            let address = listener.local_addr().unwrap();
            let others_port = others.local_addr().unwrap().port();
            Self {
                old: pair(&listener),
                fresh: [(); 3].map(|()| new_stream(&address, 0, 0)),
                others_port,
                _other: Child::fork(&[others.as_raw_fd()], || {
                    // SAFETY: system calls without memory, in a child that is ours.
                    unsafe {
                        if libc::setgid(1000) != 0 || libc::setuid(1000) != 0 {
                            return 1;
                        }
                        loop {
                            libc::pause();
                        }
                    }
                }),
                listener,
            }
        })
    }

    /// One connection is answered, one is cut, one is left without an answer; the old one is ended.
    #[track_caller]
    fn show_to(self, daemon: &Daemon) {
        let Self {
            listener,
            old,
            fresh: [answered, cut, waiting],
            others_port,
            _other,
        } = self;
        let address = listener.local_addr().unwrap();
        let ask = |client: &TcpStream| {
            connect_again(client, address).unwrap();
            let server = accept(&listener);
            deliver(client, &server, REQUEST);
            read(&server, REQUEST.len());
            server
        };
        let mut server = ask(&answered);
        server
            .write_all(b"HTTP/1.1 204 No Content\r\n\r\n")
            .unwrap();
        read(&answered, 27);
        drop(answered);
        read_eof(&server);
        drop(server);
        drop(ask(&cut));
        read_eof(&cut);
        drop(cut);
        let _server = ask(&waiting);
        drop(old);

        let port = address.port().to_string();
        let others = others_port.to_string();
        let steady = ("phase", "steady");
        let server = [("port", port.as_str()), ("role", "server")];
        let expected: [Expected<'_>; 9] = [
            ("finwatch_tcp_seeded_total", vec![], 1.0),
            ("finwatch_tcp_opened_total", vec![steady], 3.0),
            (
                "finwatch_tcp_cut_connections_total",
                vec![steady, ("cause", "unanswered")],
                1.0,
            ),
            (
                "finwatch_tcp_cut_connections_total",
                vec![steady, ("cause", "unread")],
                0.0,
            ),
            (
                "finwatch_tcp_closes_total",
                vec![steady, ("origin", "remote"), ("outcome", "fin")],
                2.0,
            ),
            ("finwatch_tcp_open_connections", vec![], 1.0),
            ("finwatch_tcp_awaiting_connections", vec![], 1.0),
            ("finwatch_listener_up", vec![], 1.0),
            ("finwatch_listener_backlog", vec![], 0.0),
        ];
        let mut text = String::new();
        let mut wrong = Vec::new();
        let mut all_is_seen = || {
            text = daemon.metrics();
            wrong.clear();
            for (metric, labels, value) in &expected {
                let labels: Vec<_> = server.iter().chain(labels).copied().collect();
                let found = sample(&text, metric, &labels);
                if found != Some(*value) {
                    wrong.push(format!("{metric}{labels:?}: {found:?}, not {value}"));
                }
            }
            wrong.is_empty()
        };
        let seen = within_settle(&mut all_is_seen);
        assert!(seen, "{wrong:#?}\n{}", daemon.log());
        let others = [("port", others.as_str()), ("role", "server")];
        let listens = |more: &[(&str, &str)]| {
            let labels: Vec<_> = others.iter().chain(more).copied().collect();
            sample(&text, "finwatch_listener_up", &labels)
        };
        assert_eq!(listens(&[]), Some(1.0));
        assert_eq!(listens(&[("workload", "unknown")]), None, "whose it is");
        let refused = [("state", "refused")];
        let (mut told, mut in_truth) = (None, 0.0);
        // Others may make and remove namespaces on this host meanwhile.
        let equal = within_settle(&mut || {
            in_truth = out_of_reach(daemon) as f64;
            told = sample(&daemon.metrics(), "finwatch_network_namespaces", &refused);
            told == Some(in_truth)
        });
        assert!(
            equal,
            "namespaces refused: {told:?}, and {in_truth} are out of its reach\n{}",
            daemon.log()
        );
    }
}

/// Network namespaces that the daemon knows of and must not enter, whatever its rights: nothing but a mount keeps them, which is not
/// in its own mount namespace, and the process through which it would get at it is one that nobody may look at.
fn out_of_reach(daemon: &Daemon) -> usize {
    if fs::metadata("/proc/1/root/").is_ok() {
        return 0;
    }
    let live: BTreeSet<String> = fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| fs::read_link(entry.ok()?.path().join("ns/net")).ok())
        .filter_map(|link| link.into_os_string().into_string().ok())
        .collect();
    let mounted = |pid: &str| -> BTreeSet<String> {
        let mounts = fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap_or_default();
        let roots = mounts.lines().filter_map(|line| line.split(' ').nth(3));
        let namespaces = roots.filter(|root| root.starts_with("net:["));
        namespaces.map(str::to_owned).collect()
    };
    let seen = &live | &mounted(&daemon.pid().to_string());
    mounted("1").difference(&seen).count()
}
