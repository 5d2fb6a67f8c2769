//! PHP-FPM, spoken to as a web server does: while its workers finish, nobody accepts.

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use finwatch_engine::model::{DrainKind, Verdict};

use super::{
    let_families_be_found,
    stage::Stage,
    waiting::{check, come_by},
};
use crate::harness::{fastcgi::FastCgi, lab::PLAIN};

/// It heeds the signal meanwhile, of which nothing is to be seen.
const HEEDS: Duration = Duration::from_millis(500);
/// Clients that come when nobody accepts any more.
const QUEUED: u64 = 3;

/// A client whose request waits at the gate.
fn hold(stage: &mut Stage) -> FastCgi {
    stage.attend(PLAIN);
    let mut busy = FastCgi::connect().unwrap();
    busy.ask(stage.server.folder(), "/slow").unwrap();
    stage.gate.hold(1);
    let_families_be_found();
    busy
}

/// How long a client waits for its answer from its question on.
fn wait_of(folder: &Path, asks_after: Duration) -> Duration {
    let mut client = FastCgi::connect().unwrap();
    thread::sleep(asks_after);
    let asked = Instant::now();
    client.ask(folder, "/").unwrap();
    assert!(client.is_answered(), "the server answers");
    asked.elapsed()
}

#[test]
fn a_reload_while_a_request_is_in_flight() {
    Stage::set("php-fpm", &[], |stage| {
        let busy = hold(stage);
        stage.server.signal(libc::SIGUSR2);
        thread::sleep(HEEDS);
        let folder = stage.server.folder().to_owned();
        let wait = |asks_after| wait_of(&folder, asks_after);
        let waits = come_by(wait, 4, Duration::from_secs(4), || {
            thread::sleep(Duration::from_millis(2_500));
            stage.gate.release();
            assert!(busy.is_answered());
        });
        let drain = stage.drain(DrainKind::Reload);
        check(&drain, &waits);
    });
}

#[test]
fn who_comes_after_it_was_told_to_quit() {
    Stage::set("php-fpm", &[], |stage| {
        let busy = hold(stage);
        stage.server.signal(libc::SIGQUIT);
        thread::sleep(HEEDS);
        let mut queued: Vec<_> = (0..QUEUED).map(|_| FastCgi::connect().unwrap()).collect();
        for client in &mut queued {
            client.ask(stage.server.folder(), "/").unwrap();
        }
        stage.gate.release();
        assert!(busy.is_answered());
        let lost = queued.iter().filter(|client| !client.is_answered()).count() as u64;
        assert_eq!(lost, QUEUED, "by the clients' count");
        stage.server.wait();
        let drain = stage.drain(DrainKind::Stop);
        let cut = drain.counts.cut;
        assert_eq!((cut.unanswered, cut.unread, cut.late), (0, QUEUED, 0));
        assert_eq!(drain.counts.accept_queue_dropped, QUEUED, "{drain:#?}");
        assert_eq!(drain.verdict, Verdict::Fail);
        let find = |name: &str| drain.findings.iter().find(|f| f.diagnosis == name);
        let remedy = &find("not-accepting").expect("nobody accepts").remedy;
        assert!(
            remedy.starts_with("php-fpm: From the signal on it accepts nobody"),
            "{remedy}"
        );
        assert!(find("accept-queue-dropped").is_some(), "{drain:#?}");
    });
}
