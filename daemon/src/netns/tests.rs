//! Scans of this host, and of namespaces made for the test.

use std::process::{Child, Command, Stdio};

use super::*;

fn own_inum() -> u64 {
    fs::metadata("/proc/self/ns/net").unwrap().ino()
}

#[test]
fn the_own_namespace_is_found_without_any_right() {
    let namespaces = Namespaces::scan().unwrap();
    let own = namespaces.found.first().unwrap();
    assert_eq!(u64::from(own.inum), own_inum());
    assert_eq!(own.pid, std::process::id());
    assert_ne!(own.cookie, 0);
    own.sockstat_time_wait().unwrap();
    assert!(namespaces.refused_count >= namespaces.refused.len());
}

#[test]
fn no_namespace_comes_twice() {
    let namespaces = Namespaces::scan().unwrap();
    let inums: HashSet<u32> = namespaces.found.iter().map(|found| found.inum).collect();
    assert_eq!(inums.len(), namespaces.found.len());
}

/// A process in a network namespace of its own, killed at the end.
struct Sleeper(Child);

impl Sleeper {
    fn start() -> Self {
        let mut child = Command::new("unshare")
            .args(["--net", "sh", "-c", "echo ready; exec sleep 60"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut ready = [0; 6];
        io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut ready).unwrap();
        Self(child)
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _already_gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

#[test]
#[ignore = "kernel tier: makes a network namespace, so it needs root"]
fn a_namespace_of_another_process_and_one_of_a_mount() {
    let sleeper = Sleeper::start();
    let pid = sleeper.0.id();
    let before = own_inum();
    let of_pid = |namespaces: &Namespaces| {
        namespaces
            .found
            .iter()
            .find(|found| found.pid == pid)
            .map(|found| {
                (
                    found.inum,
                    found.cookie,
                    found.sockstat_time_wait().unwrap(),
                )
            })
    };
    let (inum, cookie, time_wait) = of_pid(&Namespaces::scan().unwrap()).unwrap();
    let (_, again, _) = of_pid(&Namespaces::scan().unwrap()).unwrap();
    assert_eq!(cookie, again, "a cookie does not change");
    assert_eq!(time_wait, 0);
    assert_ne!(u64::from(inum), before);

    let point = tempfile::NamedTempFile::new().unwrap();
    let mount = Command::new("mount")
        .args(["--bind", &format!("/proc/{pid}/ns/net")])
        .arg(point.path())
        .status()
        .unwrap();
    assert!(mount.success());
    drop(sleeper);
    let namespaces = Namespaces::scan().unwrap();
    let mounted = namespaces.found.iter().find(|found| found.inum == inum);
    let seen = mounted.map(|found| (found.pid, found.cookie, found.sockstat_time_wait().ok()));
    let unmount = Command::new("umount").arg(point.path()).status().unwrap();
    assert!(unmount.success());
    assert_eq!(seen, Some((0, cookie, Some(0))));
    assert_eq!(own_inum(), before, "this process never moved");
}
