//! Scans of this host. Namespaces made for a test are the kernel tier's affair.

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

#[test]
fn the_number_in_a_mount() {
    assert_eq!(namespace_number("net:[4026532200]"), Some(4_026_532_200));
    assert_eq!(namespace_number("mnt:[4026532200]"), None);
    assert_eq!(namespace_number("/"), None);
}
