//! Files, directories and disks that cannot be used: the daemon has a history all the same, and nothing that was
//! written is lost or thrown away unsaid.

use std::{fs, path::Path};

use super::{
    disk::FILE,
    tests::{at, drain, drains, files, ids, keep, options, running},
    *,
};

#[test]
fn the_history_of_a_newer_finwatch_is_set_aside_whole() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join(FILE);
    drop(History::open(&options(directory.path()), at(0)));
    {
        let database = redb::Database::create(&file).expect("a database");
        let transaction = database.begin_write().expect("a transaction");
        transaction
            .open_table(redb::TableDefinition::<&str, u64>::new("meta"))
            .expect("a table")
            .insert("format", 2)
            .expect("written");
        transaction.commit().expect("committed");
    }
    let (history, _) = History::open(&options(directory.path()), at(0));
    keep(&history, drain("a", 1), at(1));
    drop(history);
    assert_eq!(
        files(directory.path()),
        [FILE, "history.redb.newer-20270115T080000Z"]
    );
    let (history, _) = History::open(&options(directory.path()), at(2));
    assert_eq!(ids(&history), ["a"]);
}

#[test]
fn a_database_of_somebody_else_is_set_aside() {
    let directory = tempfile::tempdir().expect("a directory");
    {
        let database = redb::Database::create(directory.path().join(FILE)).expect("a database");
        let transaction = database.begin_write().expect("a transaction");
        transaction
            .open_table(redb::TableDefinition::<u64, u64>::new("meta"))
            .expect("a table");
        transaction.commit().expect("committed");
    }
    let (history, _) = History::open(&options(directory.path()), at(0));
    assert!(history.figures().on_disk);
    assert_eq!(files(directory.path()).len(), 2);
}

#[test]
fn three_files_are_kept_aside() {
    let directory = tempfile::tempdir().expect("a directory");
    let mine = directory.path().join("history.redb.mine");
    fs::write(&mine, "not finwatch's").expect("a file");
    for start in 0..5 {
        fs::write(directory.path().join(FILE), "this is no database").expect("a file");
        drop(History::open(&options(directory.path()), at(start / 2)));
    }
    assert_eq!(
        files(directory.path()),
        [
            FILE,
            "history.redb.corrupt-20270115T080001Z",
            "history.redb.corrupt-20270115T080001Z-1",
            "history.redb.corrupt-20270115T080002Z",
            "history.redb.mine",
        ]
    );
}

/// Whatever is wrong with the file, the daemon has a history, and nothing false is in it.
#[test]
fn damage_anywhere_is_found_and_set_aside() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join(FILE);
    let (history, _) = History::open(&options(directory.path()), at(0));
    for start in 0..40 {
        keep(&history, drain(&format!("{start:02}"), start), at(start));
        keep(&history, running(&format!("r{start:02}"), start), at(start));
    }
    let whole = drains(&history);
    drop(history);
    let good = fs::read(&file).expect("the file");
    assert!(good.len() > 100_000);

    let mut damaged: Vec<(String, Vec<u8>)> = Vec::new();
    let header = (0..320).step_by(7);
    let pages = (320..good.len()).step_by(good.len() / 60 + 13);
    for offset in header.chain(pages) {
        let mut bytes = good.clone();
        bytes[offset] ^= 0x55;
        damaged.push((format!("byte {offset}"), bytes));
    }
    for length in [
        0,
        1,
        63,
        320,
        4_095,
        4_096,
        9_000,
        good.len() / 2,
        good.len() - 1,
    ] {
        damaged.push((format!("cut to {length}"), good[..length].to_vec()));
    }
    for page in [0, 1, 2, 5, 10, 20] {
        let mut bytes = good.clone();
        bytes[page * 4_096..(page + 1) * 4_096].fill(0);
        damaged.push((format!("page {page} of zeros"), bytes));
    }
    let mut found = 0;
    for (what, bytes) in damaged {
        fs::write(&file, &bytes).expect("written");
        let (history, _) = History::open(&options(directory.path()), at(50));
        assert!(history.figures().on_disk, "{what}");
        let aside = files(directory.path())
            .into_iter()
            .find(|name| name != FILE);
        let kept = drains(&history);
        match aside {
            Some(aside) => {
                found += 1;
                assert!(aside.contains(".corrupt-"), "{what}: {aside}");
                let aside = directory.path().join(aside);
                assert_eq!(fs::read(&aside).expect("the file").len(), bytes.len());
                assert!(kept.is_empty(), "{what}");
                fs::remove_file(aside).expect("removed");
            }
            // Bytes that no page uses, or an empty file.
            None => assert!(
                kept.is_empty() && bytes.is_empty()
                    || whole.iter().all(|drain| kept.contains(drain)),
                "{what}"
            ),
        }
        keep(&history, drain("new", 51), at(51));
        assert_eq!(ids(&history)[0], "new", "{what}");
    }
    assert!(found > 20, "only {found} damages were found");
}

#[test]
fn without_a_directory_that_can_be_made_the_history_is_in_memory() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("file");
    fs::write(&file, "").expect("a file");
    for impossible in [Path::new("/proc/finwatch"), &file, &file.join("below")] {
        let (history, _) = History::open(&options(impossible), at(0));
        keep(&history, drain("a", 1), at(1));
        assert_eq!(ids(&history), ["a"]);
        let figures = history.figures();
        assert!(!figures.on_disk && figures.failures > 0, "{figures:?}");
    }
}

#[test]
fn a_directory_that_comes_later_gets_what_waited() {
    let directory = tempfile::tempdir().expect("a directory");
    let state = directory.path().join("state");
    fs::write(&state, "in the way").expect("a file");
    let (history, _) = History::open(&options(&state), at(0));
    keep(&history, drain("a", 1), at(1));
    keep(&history, running("b", 2), at(2));
    fs::remove_file(&state).expect("removed");
    history.tick(at(5));
    assert!(!history.figures().on_disk, "it is not tried at each write");
    history.tick(at(20));
    assert_eq!(
        (history.figures().on_disk, history.figures().unwritten),
        (true, 0)
    );
    drop(history);
    let (history, interrupted) = History::open(&options(&state), at(30));
    assert_eq!(
        (interrupted.drains[0].id.as_str(), ids(&history).len()),
        ("b", 2)
    );
}

#[test]
fn a_file_that_another_process_has_is_left_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    let (first, _) = History::open(&options(directory.path()), at(0));
    let (second, _) = History::open(&options(directory.path()), at(0));
    keep(&second, drain("second", 1), at(1));
    keep(&first, drain("first", 1), at(1));
    assert_eq!(
        (ids(&first), ids(&second)),
        (vec!["first".to_owned()], vec!["second".to_owned()])
    );
    assert_eq!(files(directory.path()), [FILE]);
    drop(first);
    second.tick(at(60));
    assert_eq!(ids(&second), ["second", "first"]);
}

#[test]
fn without_room_nothing_is_written_and_what_was_stays_readable() {
    let directory = tempfile::tempdir().expect("a directory");
    let (history, _) = History::open(&options(directory.path()), at(0));
    keep(&history, drain("a", 1), at(1));
    let room = |min| {
        let mut inner = history.lock();
        let disk = inner.disk.take().and_then(Arc::into_inner);
        inner.disk = disk.map(|disk| Arc::new(disk.with_room_min(min)));
    };
    room(u64::MAX);
    for start in 2..200 {
        keep(&history, drain(&format!("{start}"), start), at(start));
    }
    assert_eq!(ids(&history).len(), 101);
    assert_eq!(ids(&history)[100], "a");
    let figures = history.figures();
    assert_eq!((figures.unwritten, figures.dropped), (100, 98));
    room(0);
    history.tick(at(300));
    assert_eq!(history.figures().unwritten, 0);
    drop(history);
    let (history, _) = History::open(&options(directory.path()), at(301));
    assert_eq!(ids(&history).len(), 100);
}
