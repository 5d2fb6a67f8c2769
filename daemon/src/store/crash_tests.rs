//! What a killed process had kept is there, and a disk that fails in the middle of a write costs nothing that was
//! written. The process that is killed, or that may write only so much, is this test program once more.

use std::{
    env,
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use super::{
    tests::{at, drain, drains, files, ids, keep, options, running},
    *,
};

const DIRECTORY: &str = "HISTORY_TEST_DIRECTORY";

fn child(test: &str, directory: &Path) -> Child {
    Command::new(env::current_exe().expect("this program"))
        .args(["--exact", "--ignored", "--nocapture", "--quiet"])
        .arg(format!("store::crash_tests::{test}"))
        .env(DIRECTORY, directory)
        .stdout(Stdio::piped())
        .spawn()
        .expect("a process")
}

fn directory_of_child() -> PathBuf {
    env::var_os(DIRECTORY).expect("the directory").into()
}

fn say(words: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "\n{words}").expect("somebody listens");
    out.flush().expect("somebody listens");
}

/// With room for all that a child may keep before it is killed.
fn roomy(directory: &Path) -> config::History {
    config::History {
        limit: 100_000,
        ..options(directory)
    }
}

#[test]
fn what_was_kept_survives_sigkill_at_any_moment() {
    let directory = tempfile::tempdir().expect("a directory");
    for round in 0..12 {
        let mut child = child("keeps_drains_until_it_is_killed", directory.path());
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let mut line = || lines.next().map(|line| line.expect("a line"));
        while line().expect("it begins") != "begun" {}
        // From the middle of the first write to the middle of some later one.
        std::thread::sleep(Duration::from_micros(1 + round * round * 700));
        child.kill().expect("SIGKILL");
        child.wait().expect("its end");
        let mut kept: Vec<String> = Vec::new();
        while let Some(line) = line() {
            kept.extend(line.strip_prefix("kept ").map(str::to_owned));
        }

        let (history, interrupted) = History::open(&roomy(directory.path()), at(50));
        assert_eq!(
            files(directory.path()),
            ["history.redb"],
            "nothing is damaged"
        );
        let shown = ids(&history);
        for id in &kept {
            assert!(shown.contains(id), "{id} is lost");
        }
        let closed: Vec<_> = interrupted.drains.iter().map(|drain| &drain.id).collect();
        assert!(closed.is_empty() || closed == ["under way"], "{closed:?}");
        if !kept.is_empty() {
            assert_eq!(closed, ["under way"], "it was kept before the others");
            assert!(drains(&history).iter().any(|drain| drain.interrupted));
        }
    }
}

#[test]
#[ignore = "the process that another test kills"]
fn keeps_drains_until_it_is_killed() {
    let (history, _) = History::open(&roomy(&directory_of_child()), at(10));
    say("begun");
    let process = std::process::id();
    for number in 0.. {
        keep(&history, running("under way", 1), at(10 + number));
        let id = format!("{process}-{number}");
        keep(&history, drain(&id, 12), at(12));
        say(&format!("kept {id}"));
    }
}

#[test]
fn a_disk_that_is_full_in_the_middle_of_a_write_stops_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut child = child("keeps_more_than_it_may_write", directory.path());
    let output = BufReader::new(child.stdout.take().expect("its output"));
    let said: Vec<String> = output.lines().map_while(Result::ok).collect();
    assert!(child.wait().expect("its end").success(), "{said:#?}");
    assert!(said.iter().any(|line| line == "went through"), "{said:#?}");

    // What had been written before is whole, and there is room now.
    let (history, _) = History::open(&options(directory.path()), at(900));
    assert_eq!(files(directory.path()), ["history.redb"]);
    assert!(ids(&history).contains(&"000".to_owned()));
    keep(&history, drain("later", 901), at(901));
    assert_eq!(history.figures().unwritten, 0);
}

#[test]
#[ignore = "the process whose files another test limits"]
fn keeps_more_than_it_may_write() {
    let options = config::History {
        limit: 100_000,
        ..options(&directory_of_child())
    };
    let (history, _) = History::open(&options, at(0));
    let file = directory_of_child().join("history.redb");
    let size = file.metadata().expect("the file").len();
    // The kernel refuses every byte past this, as a full disk would.
    let limit = libc::rlimit {
        rlim_cur: size + 64 * 1024,
        rlim_max: libc::RLIM_INFINITY,
    };
    // SAFETY: SIG_IGN is a valid disposition, and `limit` lives through the call.
    let limited = unsafe {
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
        libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit)
    };
    assert_eq!(limited, 0);
    let mut number = 0;
    while history.figures().failures == 0 {
        keep(&history, drain(&format!("{number:03}"), number), at(number));
        number += 1;
        assert!(number < 20_000, "the limit never bit");
    }
    for _ in 0..50 {
        keep(&history, drain(&format!("{number:03}"), number), at(number));
        number += 1;
    }
    assert!(history.figures().unwritten >= 50, "{:?}", history.figures());
    assert!(ids(&history).len() >= 50, "what waits is shown");
    // SAFETY: as above.
    let lifted = unsafe {
        let limit = libc::rlimit {
            rlim_cur: libc::RLIM_INFINITY,
            ..limit
        };
        libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit)
    };
    assert_eq!(lifted, 0);
    history.tick(at(number + 60));
    assert_eq!(history.figures().unwritten, 0, "{:?}", history.figures());
    assert_eq!(i64::try_from(ids(&history).len()), Ok(number));
    say("went through");
}
