//! A server that is stopped and started again, with a time between in which nobody listens; and the counters of a stop, which
//! must say the same as its story.

use std::{
    io::ErrorKind,
    net::TcpStream,
    time::{Duration, Instant},
};

use finwatch_engine::model::{Drain, Source, Verdict};

use super::{BUSY, IDLE, stage::Stage};
use crate::harness::{crowd::Transport, daemon::netns_inode, lab::PLAIN};

#[test]
fn clients_refused_between_two_owners_are_a_gap() {
    const REFUSED: u64 = 5;
    const SERVER: (&str, &[&str], &[u16]) = ("python", &["careless"], &[PLAIN]);
    Stage::set_as_a_unit(SERVER.0, SERVER.1, |stage, workload| {
        let crowd = stage.gather(Transport::Plain, IDLE, 0);
        stage.announce("start", workload);
        let old = stage.server.pid();
        stage.server.signal(libc::SIGTERM);
        assert_eq!(crowd.leave().lost(), 0);
        stage.server.wait();
        for _ in 0..REFUSED {
            let refused = TcpStream::connect(("127.0.0.1", PLAIN)).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        }
        let (name, arguments, ports) = SERVER;
        stage.server.start_again(name, arguments, ports);
        stage.announce("finish", workload);
        let rollout = stage.daemon.rollout(|r| r.source == Source::Cli);
        let [gap] = &rollout.gaps[..] else {
            panic!("one gap: {rollout:#?}");
        };
        assert_eq!(gap.refused, REFUSED, "{rollout:#?}");
        assert!(gap.until.is_some_and(|until| until > gap.from), "{gap:#?}");
        let [start] = &rollout.starts[..] else {
            panic!("one start: {rollout:#?}");
        };
        assert_eq!(start.pid, stage.server.pid(), "{rollout:#?}");
        let netns = netns_inode();
        let drained: Vec<u32> = rollout
            .drains
            .iter()
            .filter(|drain| drain.instance.netns == netns)
            .map(|drain| drain.instance.pid)
            .collect();
        assert_eq!(drained, [old], "{rollout:#?}");
        let named = |name: &str| rollout.findings.iter().any(|f| f.diagnosis == name);
        assert!(named("listener-gap"), "{rollout:#?}");
        assert_eq!(rollout.verdict, Verdict::Fail, "{rollout:#?}");
    });
}

/// The first are refused long before anybody has read that it was told to stop.
#[test]
fn every_client_is_counted_that_was_refused_from_the_first_instant_on() {
    const HAMMERED: Duration = Duration::from_millis(300);
    const STOPS: usize = 2;
    Stage::set("python", &["careless"], |stage| {
        for _ in 0..STOPS {
            let pid = stage.server.pid();
            stage.server.signal(libc::SIGTERM);
            let begin = Instant::now();
            let mut refused = 0;
            while begin.elapsed() < HAMMERED {
                match TcpStream::connect(("127.0.0.1", PLAIN)) {
                    Ok(stream) => drop(stream),
                    Err(e) if e.kind() == ErrorKind::ConnectionRefused => refused += 1,
                    Err(e) => assert_eq!(e.kind(), ErrorKind::ConnectionReset),
                }
            }
            assert!(refused > 0, "nobody was refused");
            stage.server.wait();
            let ours = |drain: &Drain| drain.instance.pid == pid;
            let rollout = stage.daemon.rollout(|r| r.drains.iter().any(ours));
            let [drain] = rollout
                .drains
                .iter()
                .filter(|d| ours(d))
                .collect::<Vec<_>>()[..]
            else {
                panic!("one drain: {rollout:#?}");
            };
            assert_eq!(drain.counts.refused, refused, "{drain:#?}");
            stage.server.start_again("python", &["careless"], &[PLAIN]);
        }
    });
}

#[test]
fn the_counters_of_a_stop_say_what_its_story_says() {
    Stage::set("gunicorn", &[], |stage| {
        let crowd = stage.gather(Transport::Plain, IDLE, BUSY);
        stage.server.kill_all();
        let tally = crowd.leave();
        let lost = tally.lost();
        assert_eq!(lost, BUSY as u64);
        let told = stage.killed(IDLE + BUSY, BUSY, tally);
        let drain = &told.drain;
        let port = PLAIN.to_string();
        let metrics = stage.daemon.metrics();
        let sum = |name: &str| -> u64 {
            let labels = [
                format!("workload=\"{}\"", drain.service.workload),
                format!("port=\"{port}\""),
                "role=\"server\"".to_owned(),
                "phase=\"draining\"".to_owned(),
            ];
            let ours = |line: &&str| {
                line.starts_with(&format!("{name}{{")) && labels.iter().all(|l| line.contains(l))
            };
            let value = |line: &str| -> u64 { line.rsplit(' ').next().unwrap().parse().unwrap() };
            metrics.lines().filter(ours).map(value).sum()
        };
        let counts = &drain.counts;
        assert_eq!(sum("finwatch_tcp_closes_total"), counts.closes());
        assert_eq!(sum("finwatch_tcp_closes_total"), (IDLE + BUSY) as u64);
        assert_eq!(sum("finwatch_tcp_cut_connections_total"), lost);
        assert_eq!(sum("finwatch_tcp_exit_closes_total"), counts.by_exit);
        assert_eq!(sum("finwatch_tcp_resets_sent_total"), counts.resets());
        let minis = counts.time_wait + counts.fin_wait2;
        assert_eq!(sum("finwatch_tcp_time_wait_created_total"), minis);
        assert_eq!(sum("finwatch_tcp_opened_total"), 0);
    });
}
