//! Reloads under load. `wrk` calls every end of a connection a read error: how many requests were really lost is in a packet
//! capture, also under TLS, whose records tell data by their type and size.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    thread,
};

use finwatch_engine::model::{DrainKind, Verdict};

use super::stage::Stage;
use crate::harness::{
    Snmp, StopAtEnd,
    capture::{Capture, Captured},
    finish,
    http::Plain,
    kernel,
    lab::{PLAIN, TLS},
    wait_until,
};

#[test]
fn nginx_reload_loses_what_the_capture_shows() {
    reload_under_wrk(PLAIN, None);
}

#[test]
fn nginx_reload_with_tls_1_2_loses_what_the_capture_shows() {
    reload_under_wrk(TLS, Some("TLSv1.2"));
}

#[test]
fn nginx_reload_with_tls_1_3_loses_what_the_capture_shows() {
    reload_under_wrk(TLS, Some("TLSv1.3"));
}

/// Reloads nginx under the load of `wrk`, which speaks that version of TLS.
fn reload_under_wrk(port: u16, tls: Option<&str>) {
    Stage::set("nginx", &[], |stage| {
        stage.attend(port);
        let capture = Capture::start(port);
        let wrk = wrk(stage.server.folder(), port, tls);
        wait_until("wrk asks and is answered", || {
            Snmp::read().get("InSegs") > SEGMENTS_OF_SOME_LOAD
        });
        stage.server.signal(libc::SIGHUP);
        let said = String::from_utf8(finish(wrk).stdout).unwrap();
        let connections = capture.end();
        // Those that the server ended are the old workers': the others are ended by wrk, with its own end.
        let by_server = |connection: &&Captured| connection.by_server;
        let ended: Vec<_> = connections.iter().filter(by_server).collect();
        let lost = ended.iter().filter(|c| c.asked > c.answered).count() as u64;
        let by_reset = ended.iter().filter(|c| c.by_reset).count() as u64;
        // A TLS client answers the server's alert with its own and a FIN, which may cross the server's RST.
        let crossed = connections.iter().filter(|c| c.crossed).count() as u64;
        let drain = stage.drain(DrainKind::Reload);
        eprintln!(
            "{} ended by the server, {crossed} crossed, {lost} requests lost: {said}",
            ended.len()
        );
        let counts = &drain.counts;
        let or_crossed = |told: u64, seen: u64| (seen..=seen + crossed).contains(&told);
        assert!(or_crossed(counts.no_fin, by_reset), "{by_reset} {drain:#?}");
        assert_eq!(
            counts.local_first,
            ended.len() as u64 - by_reset,
            "{drain:#?}"
        );
        if kernel::traces_every_reset() {
            assert!(or_crossed(counts.cut.total(), lost), "{lost} {drain:#?}");
        }
        let fail = drain.verdict == Verdict::Fail;
        // Whether those that crossed lost something, only the server's kernel knows.
        assert!(fail || lost == 0, "{lost} {drain:#?}");
        assert!(!fail || lost + crossed > 0, "{drain:#?}");
        // It counts the ends; how many of them, it need not agree with anybody.
        assert!(said.contains("Socket errors: connect 0, read "), "{said}");
    });
}

/// In the namespace: some hundred requests on each of wrk's connections. It makes more than that in the first of its seconds.
const SEGMENTS_OF_SOME_LOAD: u64 = 5_000;

/// Starts it, for three seconds.
fn wrk(folder: &Path, port: u16, tls: Option<&str>) -> Child {
    let scheme = if tls.is_some() { "https" } else { "http" };
    let mut command = Command::new("wrk");
    command
        .args(["-t1", "-c20", "-d3"])
        .arg(format!("{scheme}://127.0.0.1:{port}/"))
        .stdout(Stdio::piped());
    if let Some(version) = tls {
        // wrk has no option for it; OpenSSL has a file.
        let config = folder.join("openssl.cnf");
        let limits = format!("MinProtocol = {version}\nMaxProtocol = {version}\n");
        let text = format!(
            "openssl_conf = all\n[all]\nssl_conf = ssl\n[ssl]\nsystem_default = ours\n[ours]\n{limits}"
        );
        fs::write(&config, text).unwrap();
        command.env("OPENSSL_CONF", config);
    }
    command
        .spawn()
        .expect("wrk starts; Debian's package is wrk")
}

/// What clients saw who ask again and again while gunicorn reloads, and heed what it answers: who is told that the connection closes hangs
/// up and connects anew.
struct Asked {
    lost: u64,
    /// Connections that ended, by the server's word or without one.
    ended: u64,
}

fn reload_gunicorn(stage: &mut Stage) -> Asked {
    const CLIENTS: usize = 12;
    let stop = AtomicBool::new(false);
    let [answers, lost, ended] = [const { AtomicU64::new(0) }; 3];
    thread::scope(|scope| {
        let _stop = StopAtEnd(&stop);
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                while !stop.load(Relaxed) {
                    let mut client = Plain::connect().unwrap();
                    let mut open = true;
                    // Who stops hangs up on a server that goes on.
                    while open && !stop.load(Relaxed) {
                        // What cannot be written was not asked: an RST has come.
                        let asked = client.ask("/").is_ok();
                        let answered = asked && client.answered();
                        answers.fetch_add(u64::from(answered), Relaxed);
                        lost.fetch_add(u64::from(asked && !answered), Relaxed);
                        open = answered && !client.is_last;
                    }
                    ended.fetch_add(u64::from(!open), Relaxed);
                }
            });
        }
        wait_until("the load has begun", || answers.load(Relaxed) > 500);
        stage.old = stage.server.processes();
        stage.server.signal(libc::SIGHUP);
        let master = stage.server.pid();
        let workers = stage.old.iter().copied().filter(|pid| *pid != master);
        stage.server.wait_gone(&workers.collect());
        let before = answers.load(Relaxed);
        wait_until("the load goes on", || answers.load(Relaxed) > before + 500);
    });
    let [lost, ended] = [lost, ended].map(AtomicU64::into_inner);
    eprintln!(
        "{} answers, {lost} lost, {ended} ended",
        answers.into_inner()
    );
    Asked { lost, ended }
}

#[test]
fn gunicorn_reload_loses_nothing() {
    // Without keep-alive: whoever is accepted is answered.
    Stage::set("gunicorn", &["sync"], |stage| {
        let asked = reload_gunicorn(stage);
        let drain = stage.drain(DrainKind::Reload);
        assert_eq!(asked.lost, 0, "by the clients' count");
        assert_eq!(drain.counts.cut.total(), 0, "{drain:#?}");
        assert_eq!(drain.still_open, 0, "{drain:#?}");
        assert!(drain.counts.closes() <= asked.ended, "{drain:#?}");
        assert_ne!(drain.verdict, Verdict::Fail, "{drain:#?}");
    });
}

/// With keep-alive, an old worker that has answered what is in flight ends with the connections on which the next request has come.
#[test]
fn gunicorn_reload_with_keep_alive_loses_what_its_clients_lost() {
    Stage::set("gunicorn", &[], |stage| {
        let asked = reload_gunicorn(stage);
        let drain = stage.drain(DrainKind::Reload);
        assert_eq!(drain.counts.cut.total(), asked.lost, "{drain:#?}");
        assert_eq!(drain.counts.closes(), asked.ended, "{drain:#?}");
        assert_eq!(drain.still_open, 0, "{drain:#?}");
        let fail = drain.verdict == Verdict::Fail;
        assert_eq!(fail, asked.lost > 0, "{drain:#?}");
    });
}
