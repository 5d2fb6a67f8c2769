//! Requests in flight at the signal: graceful servers answer them and then close, the others close without a word, by FIN. No
//! RST tells the one from the other.

use finwatch_engine::model::{DrainKind, Finding, Verdict};

use super::{BUSY, IDLE, IN_FLIGHT, stage::Stage, told::What};
use crate::harness::{
    crowd::{Crowd, Transport},
    lab::{GO_HTTP2, TLS},
    wait_until,
};

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Stop,
    Reload,
}
use Change::{Reload, Stop};

/// Idle and busy clients; the busy ones are answered.
pub(super) fn answered(server: &str, arguments: &[&str], signal: libc::c_int, change: Change) {
    Stage::set(server, arguments, |stage| {
        if server == "gunicorn" {
            // It forks one after the other, with pauses: one that comes behind the signal is no old process.
            wait_until("it and its two workers are there", || {
                stage.server.processes().len() == 3
            });
        }
        let mut crowd = stage.gather(Transport::Plain, IDLE, BUSY);
        stage.server.signal(signal);
        std::thread::sleep(IN_FLIGHT);
        stage.gate.release();
        crowd.busy_are_answered();
        let tally = crowd.leave();
        assert_eq!((tally.lost(), tally.resets), (0, 0), "{tally:?}");
        let told = match change {
            Stop => stage.stopped(signal, IDLE + BUSY, BUSY, tally),
            Reload => stage.reloaded(signal, IDLE + BUSY, BUSY, tally),
        };
        told.assert_clean();
        assert_eq!(
            told.drain.counts.local_first,
            (IDLE + BUSY) as u64,
            "{told:#?}"
        );
        assert!(told.finds("clean-drain"), "{told:#?}");
    });
}

/// Idle and busy clients; none of the busy ones is answered, and every connection ends by FIN.
fn unanswered(
    server: &str,
    arguments: &[&str],
    (signal, change): (libc::c_int, Change),
    transport: Transport,
) {
    Stage::set(server, arguments, |stage| {
        // The idle ones' goodbyes are another story.
        let idle = if transport == Transport::Plain {
            IDLE
        } else {
            0
        };
        let crowd = stage.gather(transport, idle, BUSY);
        stage.server.signal(signal);
        none_answered(stage, crowd, (signal, change), idle, transport);
    });
}

fn none_answered(
    stage: &mut Stage,
    crowd: Crowd,
    (signal, change): (libc::c_int, Change),
    idle: usize,
    transport: Transport,
) {
    let tally = crowd.leave();
    assert_eq!((tally.lost(), tally.resets), (BUSY as u64, 0), "{tally:?}");
    let told = match change {
        Stop => stage.stopped(signal, idle + BUSY, BUSY, tally),
        Reload => stage.reloaded(signal, idle + BUSY, BUSY, tally),
    };
    told.assert_cut(BUSY, 0, 0);
    if transport == Transport::Plain {
        assert_eq!(told.drain.counts.resets(), 0, "{told:#?}");
        assert_eq!(told.drain.counts.fin, (idle + BUSY) as u64, "{told:#?}");
    }
    assert!(told.finds("requests-cut"), "{told:#?}");
    assert_eq!(told.drain.examples.len(), 5, "{told:#?}");
}

#[test]
fn nginx_quit() {
    answered("nginx", &[], libc::SIGQUIT, Stop);
}

#[test]
fn nginx_reload() {
    answered("nginx", &[], libc::SIGHUP, Reload);
}

#[test]
fn gunicorn_term() {
    answered("gunicorn", &[], libc::SIGTERM, Stop);
}

#[test]
fn gunicorn_hup() {
    answered("gunicorn", &[], libc::SIGHUP, Reload);
}

#[test]
fn node_close() {
    answered("node", &["graceful"], libc::SIGTERM, Stop);
}

#[test]
fn haproxy_soft_stop() {
    answered("haproxy", &[], libc::SIGUSR1, Stop);
}

#[test]
fn apache_graceful() {
    answered("apache", &[], libc::SIGUSR1, Reload);
}

#[test]
fn nginx_term() {
    unanswered("nginx", &[], (libc::SIGTERM, Stop), Transport::Plain);
}

#[test]
fn nginx_term_with_tls() {
    unanswered(
        "nginx",
        &[],
        (libc::SIGTERM, Stop),
        Transport::Tls("-tls1_3"),
    );
}

#[test]
fn nginx_worker_shutdown_timeout() {
    let arguments = ["worker_shutdown_timeout 500ms;"];
    unanswered("nginx", &arguments, (libc::SIGQUIT, Stop), Transport::Plain);
    unanswered(
        "nginx",
        &arguments,
        (libc::SIGHUP, Reload),
        Transport::Tls("-tls1_2"),
    );
}

#[test]
fn daphne_term() {
    unanswered("daphne", &[], (libc::SIGTERM, Stop), Transport::Plain);
}

#[test]
fn uwsgi_term() {
    Stage::set("uwsgi", &["--die-on-term"], |stage| {
        let crowd = stage.gather_for_once(Transport::Plain, BUSY);
        stage.server.signal(libc::SIGTERM);
        let how = (libc::SIGTERM, Stop);
        none_answered(stage, crowd, how, 0, Transport::Plain);
    });
}

#[test]
fn node_without_a_handler() {
    unanswered(
        "node",
        &["careless"],
        (libc::SIGTERM, Stop),
        Transport::Plain,
    );
}

#[test]
fn python_without_a_handler() {
    unanswered(
        "python",
        &["careless"],
        (libc::SIGTERM, Stop),
        Transport::Plain,
    );
}

#[test]
fn go_close() {
    unanswered("go", &["close"], (libc::SIGTERM, Stop), Transport::Plain);
}

#[test]
fn go_exit_with_tls() {
    unanswered(
        "go",
        &["exit"],
        (libc::SIGTERM, Stop),
        Transport::Tls("-tls1_3"),
    );
}

/// One request on each HTTP/2 connection was answered, and one is in flight.
fn unanswered_with_http2(server: &str, arguments: &[&str], port: u16) {
    Stage::set(server, arguments, |stage| {
        let transport = Transport::Http2(port);
        let crowd = stage.gather_for_once(transport, BUSY);
        stage.server.signal(libc::SIGTERM);
        let how = (libc::SIGTERM, Stop);
        none_answered(stage, crowd, how, 0, transport);
    });
}

#[test]
fn nginx_term_with_http2() {
    unanswered_with_http2("nginx", &[], TLS);
}

#[test]
fn go_close_with_http2() {
    unanswered_with_http2("go", &["close"], GO_HTTP2);
}

/// A GOAWAY is written before the connection is closed at the limit: the turn does not tell that the request was lost, and so it is
/// told as likely.
#[test]
fn nginx_worker_shutdown_timeout_with_http2() {
    let arguments = ["worker_shutdown_timeout 500ms;"];
    Stage::set("nginx", &arguments, |stage| {
        let crowd = stage.gather_for_once(Transport::Http2(TLS), BUSY);
        stage.server.signal(libc::SIGQUIT);
        assert_eq!(crowd.leave().lost(), BUSY as u64);
        stage.server.wait();
        let drain = stage.drain(DrainKind::Stop);
        assert_eq!(drain.awaiting_at_start, Some(BUSY as u64), "{drain:#?}");
        let told = drain.counts.cut.total() + drain.likely_cut;
        assert_eq!(told, BUSY as u64, "{drain:#?}");
        let named = |finding: &Finding| finding.diagnosis == "requests-cut";
        assert!(drain.findings.iter().any(named), "{drain:#?}");
        assert_ne!(drain.verdict, Verdict::Pass, "{drain:#?}");
    });
}

/// uWSGI takes TERM for a reload: nothing in flight is answered, and new workers serve on.
#[test]
fn uwsgi_term_that_means_reload() {
    Stage::set("uwsgi", &[], |stage| {
        let crowd = stage.gather_for_once(Transport::Plain, BUSY);
        stage.server.signal(libc::SIGTERM);
        let tally = crowd.leave();
        assert_eq!((tally.lost(), tally.resets), (BUSY as u64, 0), "{tally:?}");
        let master = stage.server.pid();
        let workers = stage.old.iter().copied().filter(|pid| *pid != master);
        stage.server.wait_gone(&workers.collect());
        let what = What {
            kind: DrainKind::Stop,
            signal: libc::SIGTERM,
            target: master,
            open: BUSY,
            awaiting: BUSY,
            opened_after: 0,
            exit: None,
        };
        let told = stage.told(what, tally);
        told.assert_cut(BUSY, 0, 0);
        assert!(told.finds("signal-means-reload"), "{told:#?}");
        assert!(told.finds("requests-cut"), "{told:#?}");
    });
}
