//! Every recording of `recordings/`, held against the clients' own count in its head and against the story beside it. The
//! stories are written anew with `FINWATCH_WRITE_EXPECTED=1`.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use finwatch_engine::model::Verdict;

use super::{
    recording::{Input, Recording, What},
    teller::{Story, Teller, retell},
};

/// Between two rounds of work while something drains, as the daemon's.
const ROUND_NS: u64 = 100_000_000;
/// A drain without news is over by then: a signal that changes nothing for ten minutes is ignored, and late requests
/// are waited for after that.
const ROUNDS_MAX: u64 = 7_000;

/// What is in the folder: a run that is lost from it must not go unnoticed.
const RUNS: [&str; 12] = [
    "apache-graceful",
    "go-close-http2",
    "go-close-tls",
    "gunicorn-term",
    "haproxy-soft-stop",
    "nginx-missed",
    "nginx-quit-idle",
    "nginx-reload",
    "nginx-term",
    "node-idle-timeout",
    "node-kill",
    "tomcat-graceful",
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/replay/recordings")
}

fn text(run: &str) -> String {
    let path = folder().join(format!("{run}.txt"));
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("read {}: {e}", path.display()))
}

fn recording(run: &str) -> Recording {
    Recording::read(&text(run)).unwrap_or_else(|wrong| panic!("{run}: {wrong}"))
}

#[test]
fn every_recording_is_told_of_here() {
    let mut found: Vec<String> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter_map(|name| name.strip_suffix(".txt").map(str::to_owned))
        .collect();
    found.sort();
    assert_eq!(found, RUNS);
}

#[test]
fn recordings_are_written_as_they_are_read() {
    for run in RUNS {
        let written = recording(run).to_string();
        if env::var_os("FINWATCH_WRITE_EXPECTED").is_some() {
            fs::write(folder().join(format!("{run}.txt")), &written).unwrap();
        }
        assert!(written == text(run), "{run}");
    }
}

#[test]
fn damage_is_told_with_its_line_and_a_remedy() {
    let whole = text("node-kill");
    let at = whole.lines().position(|line| line.contains(" record "));
    let at = at.unwrap();
    let damaged = |damage: &dyn Fn(&str) -> String| {
        let lines = whole.lines().enumerate().map(|(line, text)| {
            if line == at {
                damage(text)
            } else {
                text.to_owned()
            }
        });
        let text: Vec<String> = lines.collect();
        Recording::read(&text.join("\n"))
    };
    assert!(damaged(&str::to_owned).is_ok());
    let shorter = |line: &str| line[..line.len() - 4].to_owned();
    let other_kind = |line: &str| line.replacen("record ", "record ff", 1);
    let more = |line: &str| format!("{line} 00");
    for damage in [&shorter as &dyn Fn(&str) -> String, &other_kind, &more] {
        let wrong = damaged(damage).unwrap_err();
        assert!(wrong.starts_with(&format!("line {}: ", at + 1)), "{wrong}");
        assert!(wrong.contains("FINWATCH_WRITE_RECORDINGS=1"), "{wrong}");
    }
}

#[test]
fn as_many_connections_are_cut_as_the_clients_lost_requests() {
    for run in RUNS {
        let recording = recording(run);
        let head = &recording.head;
        assert_eq!(head.asked - head.answered, head.lost, "{run}");
        let story = retell(&recording);
        assert_eq!(story.cut(), head.lost, "{run}: {}", story.json());
        let is_fail = |verdict: Verdict| verdict == Verdict::Fail;
        let by_rollout = story.rollouts.iter().any(|one| is_fail(one.verdict));
        let by_incident = story.incidents.iter().any(|one| is_fail(one.verdict));
        // What is lost with nobody stopping anything is told once, and not by the stop that comes later.
        let told = match run {
            "node-idle-timeout" => (false, true),
            _ => (head.lost > 0, false),
        };
        assert_eq!((by_rollout, by_incident), told, "{run}: {}", story.json());
    }
}

#[test]
fn the_same_story_is_told_byte_for_byte() {
    for run in RUNS {
        let recording = recording(run);
        let told = retell(&recording).json();
        assert!(
            told == retell(&recording).json(),
            "{run}: told twice, it differs"
        );
        let path = folder().join(format!("{run}.json"));
        if env::var_os("FINWATCH_WRITE_EXPECTED").is_some() {
            fs::write(&path, &told).unwrap();
        }
        let expected = fs::read_to_string(&path).unwrap();
        let differs = told.lines().zip(expected.lines()).find(|(a, b)| a != b);
        assert!(
            told == expected,
            "{run}: told, expected: {differs:?}; when this is as it should be, write it anew with \
             FINWATCH_WRITE_EXPECTED=1 cargo test -p finwatch --test replay_story"
        );
    }
}

/// A record that the ring had no room for is counted in the kernel. It takes certainty away and gives none.
#[test]
fn no_lost_record_turns_a_failure_into_a_pass_or_a_pass_into_a_failure() {
    let mut wrong_ones = Vec::new();
    for run in RUNS {
        let recording = recording(run);
        let whole = retell(&recording);
        let is_record = |at: &usize| matches!(recording.inputs[*at].what, What::Record(_));
        let records: Vec<usize> = (0..recording.inputs.len()).filter(is_record).collect();
        assert!(records.len() > 5, "{run}");
        for at in records {
            let left_out = &recording.inputs[at];
            let (told, ends) = retell_to_its_end(&without(&recording, at));
            let differs = differs(&whole, &told);
            let never_ends = (!ends).then_some("it does not end");
            for wrong in differs.into_iter().chain(never_ends) {
                wrong_ones.push(format!(
                    "{run}: without {left_out}: {wrong}: {}",
                    told.json()
                ));
            }
        }
    }
    assert!(wrong_ones.is_empty(), "{}", wrong_ones.join("\n"));
}

/// What is wrong with what is told with a record less, beside what is told with all.
fn differs(whole: &Story, told: &Story) -> Option<&'static str> {
    let all = |story: &Story| -> Vec<Verdict> {
        let drains = story.drains.iter().map(|drain| drain.verdict);
        let rollouts = story.rollouts.iter().map(|rollout| rollout.verdict);
        drains.chain(rollouts).collect()
    };
    let (before, after) = (all(whole), all(told));
    let failed = before.contains(&Verdict::Fail);
    if failed && after.contains(&Verdict::Pass) {
        return Some("the failure passes");
    }
    (!failed && after.contains(&Verdict::Fail)).then_some("it fails for nothing")
}

/// The recording as it would be if the ring had had no room for the record at `at`.
fn without(recording: &Recording, at: usize) -> Recording {
    let mut less = recording.clone();
    let total = |input: &Input| match input.what {
        What::Lost { total } => Some(total),
        _ => None,
    };
    let before = less.inputs[..at].iter().rev().find_map(total).unwrap_or(0);
    less.inputs[at].what = What::Lost { total: before + 1 };
    for input in &mut less.inputs[at + 1..] {
        if let What::Lost { total } = &mut input.what {
            *total += 1;
        }
    }
    less
}

/// Tells a recording in which something is missing. What still drains at its end asks on, and finds everything as it was
/// left then. Also returns whether that came to an end.
fn retell_to_its_end(recording: &Recording) -> (Story, bool) {
    let mut teller = Teller::new(recording.head.clone());
    for input in &recording.inputs {
        let _answered_in_the_recording = teller.take(input);
    }
    let [.., look, processes] = &recording.inputs[..] else {
        panic!("a recording ends with a last look");
    };
    let mut at_ns = processes.at_ns;
    for _ in 0..ROUNDS_MAX {
        if !teller.is_busy() {
            return (teller.end(), true);
        }
        at_ns += ROUND_NS;
        for what in [
            What::Tick,
            later(&look.what, at_ns),
            processes.what.clone(),
            What::Conclude,
        ] {
            let _answered_in_any_case = teller.take(&Input { at_ns, what });
        }
    }
    (teller.end(), false)
}

fn later(look: &What, at_ns: u64) -> What {
    match look.clone() {
        What::Look {
            netns, rows, minis, ..
        } => What::Look {
            netns,
            began_ns: at_ns,
            rows,
            minis,
        },
        other => panic!("a recording ends with a look, not with {other:?}"),
    }
}
