//! Idle keep-alive connections when the server is told to stop or to reload: the server hangs up first on all of them,
//! keeps a mini-socket of each, resets none, and nobody loses anything.

use std::thread;

use super::{ANSWERED_LONG_AGO, IDLE, stage::Stage, told::Told};
use crate::harness::crowd::{Crowd, Tally, Transport};

pub(super) fn stop(server: &str, arguments: &[&str], signal: libc::c_int) {
    Stage::set(server, arguments, |stage| {
        let crowd = stage.gather(Transport::Plain, IDLE, 0);
        thread::sleep(ANSWERED_LONG_AGO);
        stage.server.signal(signal);
        let tally = seen_by(crowd);
        tidy(&stage.stopped(signal, IDLE, 0, tally));
    });
}

fn reload(server: &str, arguments: &[&str], signal: libc::c_int) {
    Stage::set(server, arguments, |stage| {
        let crowd = stage.gather(Transport::Plain, IDLE, 0);
        stage.server.signal(signal);
        let tally = seen_by(crowd);
        tidy(&stage.reloaded(signal, IDLE, 0, tally));
    });
}

fn seen_by(crowd: Crowd) -> Tally {
    let tally = crowd.leave();
    let all = IDLE as u64;
    let expected = Tally {
        connections: all,
        asked: all,
        answered: all,
        fins: all,
        ..Tally::default()
    };
    assert_eq!(tally, expected, "by the clients' count");
    tally
}

#[track_caller]
fn tidy(told: &Told) {
    told.assert_clean();
    let counts = &told.drain.counts;
    let all = IDLE as u64;
    assert_eq!(counts.local_first, all, "{told:#?}");
    assert_eq!(counts.fin, all, "{told:#?}");
    assert_eq!(counts.time_wait + counts.fin_wait2, all, "{told:#?}");
    assert_eq!(counts.resets(), 0, "{told:#?}");
    assert_eq!(counts.cut.total(), 0, "{told:#?}");
    assert!(told.finds("clean-drain"), "{told:#?}");
}

#[test]
fn nginx_quit() {
    stop("nginx", &[], libc::SIGQUIT);
}

#[test]
fn nginx_term() {
    stop("nginx", &[], libc::SIGTERM);
}

#[test]
fn nginx_reload() {
    reload("nginx", &[], libc::SIGHUP);
}

#[test]
fn haproxy_soft_stop() {
    stop("haproxy", &[], libc::SIGUSR1);
}

#[test]
fn apache_graceful_stop() {
    stop("apache", &[], libc::SIGWINCH);
}

#[test]
fn apache_graceful() {
    reload("apache", &[], libc::SIGUSR1);
}

#[test]
fn node_close() {
    stop("node", &["graceful"], libc::SIGTERM);
}

#[test]
fn uvicorn_term() {
    stop("uvicorn", &[], libc::SIGTERM);
}

#[test]
fn gunicorn_term() {
    stop("gunicorn", &[], libc::SIGTERM);
}

#[test]
fn go_shutdown() {
    stop("go", &["shutdown"], libc::SIGTERM);
}

/// Clients with TLS answer the server's goodbye with their own, into a socket that is closed: RSTs that harm nobody.
fn tls_goodbyes(server: &str, signal: libc::c_int, version: &'static str) {
    Stage::set(server, &[], |stage| {
        let crowd = stage.gather(Transport::Tls(version), IDLE, 0);
        stage.server.signal(signal);
        let tally = crowd.leave();
        assert_eq!(tally.lost(), 0, "by the clients' count");
        let told = stage.stopped(signal, IDLE, 0, tally);
        told.assert_clean();
        let counts = &told.drain.counts;
        assert_eq!(counts.cut.total(), 0, "{told:#?}");
        let all = IDLE as u64;
        assert_eq!(counts.fin + counts.reset_sent, all, "{told:#?}");
        // How many goodbyes come too late is a race between the two programs.
        assert!(counts.resets() > 0, "{told:#?}");
        assert!(told.finds("tls-goodbye-resets"), "{told:#?}");
    });
}

#[test]
fn nginx_quit_with_tls_1_2() {
    tls_goodbyes("nginx", libc::SIGQUIT, "-tls1_2");
}

#[test]
fn nginx_quit_with_tls_1_3() {
    tls_goodbyes("nginx", libc::SIGQUIT, "-tls1_3");
}

#[test]
fn go_shutdown_with_tls() {
    tls_goodbyes("go", libc::SIGTERM, "-tls1_3");
}
