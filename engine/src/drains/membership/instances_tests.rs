//! Listeners, as records and surveys tell of them in any order.

use finwatch_common::Role;

use super::*;

#[test]
fn the_record_names_the_namespace_of_a_listener_that_a_look_found() {
    let owner = Process {
        start_ns: 5,
        tgid: 100,
        pad: 0,
    };
    let key = ServiceKey::other(Role::Server, Phase::Steady);
    let mut instances = Instances::default();
    assert!(instances.listen(7, owner, key, 0, 10).is_some());
    assert_eq!(instances.netns_inum(&owner), 0);
    assert!(instances.listen(7, owner, key, 4_026_531_840, 9).is_none());
    assert_eq!(instances.netns_inum(&owner), 4_026_531_840);
}

#[test]
fn a_look_that_is_older_than_its_end_brings_no_listener_back() {
    let owner = Process {
        start_ns: 5,
        tgid: 100,
        pad: 0,
    };
    let key = ServiceKey::other(Role::Server, Phase::Steady);
    let mut instances = Instances::default();
    instances.listen(7, owner, key, 1, 10);
    assert!(
        instances
            .unlisten(7, 50)
            .is_some_and(|went| went.last_of_instance)
    );
    assert!(instances.listen(7, owner, key, 0, 49).is_none());
    assert_eq!(instances.listening(&owner, &key), 0);
    assert!(
        instances.listen(7, owner, key, 1, 60).is_some(),
        "it listens again"
    );
}

#[test]
fn the_record_of_an_end_may_be_read_behind_a_look_that_shows_it() {
    let owner = Process {
        start_ns: 5,
        tgid: 100,
        pad: 0,
    };
    let key = ServiceKey::other(Role::Server, Phase::Steady);
    let mut instances = Instances::default();
    instances.listen(7, owner, key, 1, 10);
    let nothing = |_: u64| false;
    let first_ns = 10 * timing::TOLD_NS;
    assert!(instances.surveyed(key.netns, first_ns, nothing).is_empty());
    assert_eq!(instances.listening(&owner, &key), 1);
    let second_ns = first_ns + 2 * timing::TOLD_NS;
    assert_eq!(
        instances.surveyed(key.netns, second_ns, nothing).len(),
        1,
        "it was lost"
    );
}
