//! Network namespaces: of a process, of a bind mount, and gone.

use std::{fs, os::unix::fs::MetadataExt as _, process::Command};

use finwatch::netns::{Namespaces, owners};

use crate::harness::{
    Netns,
    child::Child,
    sock::{listen, pair},
};

fn own_inum() -> u64 {
    fs::metadata("/proc/self/ns/net").unwrap().ino()
}

#[test]
fn the_namespace_of_a_process() {
    let before = own_inum();
    Netns::run(|ns| {
        let _lives_there = Child::holding(&[]);
        let listener = listen();
        let (client, server) = pair(&listener);
        let namespaces = Namespaces::scan().unwrap();
        let found = namespaces
            .found
            .iter()
            .find(|found| found.cookie == ns.cookie())
            .expect("the namespace of the child");
        assert_ne!(found.pid, 0);
        assert_eq!(found.sockstat_time_wait().unwrap(), 0);
        // The client closes first, so the mini-socket is its own.
        drop(client);
        drop(server);
        assert_eq!(found.sockstat_time_wait().unwrap(), 1);
    });
    assert_eq!(
        own_inum(),
        before,
        "no thread of this process was left elsewhere"
    );
}

#[test]
fn the_namespace_of_a_mount() {
    let name = format!("finwatch-{}", std::process::id());
    let ip = |arguments: &[&str]| {
        let status = Command::new("ip").args(arguments).status().unwrap();
        assert!(status.success(), "ip {arguments:?}: {status}");
    };
    ip(&["netns", "add", &name]);
    let inum = fs::metadata(format!("/run/netns/{name}")).unwrap().ino();
    let namespaces = Namespaces::scan();
    // While the scan's result is held, the mount is not kept busy.
    ip(&["netns", "del", &name]);
    let namespaces = namespaces.unwrap();
    let found = namespaces
        .found
        .iter()
        .find(|found| u64::from(found.inum) == inum)
        .expect("the namespace of the mount");
    assert_eq!(found.pid, 0);
    assert_ne!(found.cookie, 0);
    assert_eq!(found.sockstat_time_wait().unwrap(), 0);
}

#[test]
fn who_holds_a_socket() {
    let listener = listen();
    let inode = fs::metadata(format!(
        "/proc/self/fd/{}",
        std::os::fd::AsRawFd::as_raw_fd(&listener)
    ))
    .unwrap()
    .ino();
    // A younger holder does not take it away from the older one.
    let _child = Child::holding(&[std::os::fd::AsRawFd::as_raw_fd(&listener)]);
    let owners = owners::scan().unwrap();
    let owner = owners.sockets.iter().find(|(held, _)| *held == inode);
    let (_, seed) = owner.expect("the listener of this process");
    assert_eq!(seed.tgid, std::process::id());
}
