//! Requests that a server loses with nobody stopping it: a worker that ends among its siblings, and an idle timeout that is shorter than
//! its clients'. What they lost is by their own count.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use finwatch_engine::model::{Drain, Incident, IncidentCause, Verdict};

use super::let_families_be_found;
use crate::harness::{
    Manners, Netns, Order, Patient, Servant, daemon::Daemon, kernel, shared, wait_until,
};

const REQUEST: &[u8] = b"GET /checkout HTTP/1.1\r\nHost: shop\r\n\r\n";
/// Clients of the worker that ends.
const CLIENTS: usize = 6;
/// Of these, those whose request it has read.
const READ: usize = 2;
/// Of these, those who have not asked since their last answer.
const AT_REST: usize = 1;
/// The server's idle timeout.
const TIMEOUT: Duration = Duration::from_millis(1500);

/// A client that has asked: whether an answer comes before the end.
fn is_answered(client: &TcpStream) -> bool {
    let mut answer = [0; 200];
    matches!(Patient::new(client).read(&mut answer), Ok(1..))
}

/// Waits for the incident of a workload that `is_it`.
fn incident(daemon: &Daemon, workload: &str, is_it: impl Fn(&Incident) -> bool) -> Incident {
    let mut found = None;
    wait_until("the incident is told", || {
        let incidents: Vec<Incident> = daemon.list("incidents");
        let mut of_it = incidents
            .into_iter()
            .filter(|one| one.service.workload == workload);
        found = of_it.next().filter(|one| is_it(one));
        assert!(of_it.next().is_none(), "one incident");
        found.is_some()
    });
    found.expect("it was found")
}

/// A server of this name.
fn start(name: &str) -> Servant {
    // Who is run anew is known to programs that are there.
    shared();
    Servant::start(Manners {
        name,
        ..Manners::default()
    })
}

/// A client that had its answer.
fn serve(servant: &Servant, hand: usize) -> (TcpStream, u8) {
    let (mut client, index) = servant.connect_hand(hand);
    client.write_all(REQUEST).unwrap();
    servant.tell_hand(hand, Order::Read, index);
    servant.tell_hand(hand, Order::Answer, index);
    assert!(is_answered(&client));
    (client, index)
}

#[test]
fn a_worker_that_ends_among_its_siblings() {
    const NAME: &str = "recycler";
    let daemon = Daemon::start();
    Netns::run(|_| {
        let servant = start(NAME);
        let worker = u32::try_from(servant.tell(Order::Fork, 1)).unwrap();
        servant.tell(Order::Fork, 2);
        let_families_be_found();
        let mut clients: Vec<_> = (0..CLIENTS).map(|_| serve(&servant, 1)).collect();
        let (sibling, index) = serve(&servant, 2);
        for (client, _) in clients.iter_mut().skip(AT_REST) {
            client.write_all(REQUEST).unwrap();
        }
        for (_, index) in clients.iter().skip(AT_REST).take(READ) {
            servant.tell_hand(1, Order::Read, *index);
        }
        servant.tell_last(1, Order::Exit, 0);
        let asked = clients.iter().skip(AT_REST);
        let lost = asked.filter(|(client, _)| !is_answered(client)).count();
        assert_eq!(lost, CLIENTS - AT_REST, "by the clients' count");
        // The others go on.
        (&sibling).write_all(REQUEST).unwrap();
        servant.tell_hand(2, Order::Read, index);
        servant.tell_hand(2, Order::Answer, index);
        assert!(is_answered(&sibling));

        let lost = lost as u64;
        let told = incident(&daemon, NAME, |one| one.cut.total() == lost);
        let cut = (told.cut.unanswered, told.cut.unread, told.cut.late);
        assert_eq!(cut, (READ as u64, lost - READ as u64, 0), "{told:#?}");
        assert_eq!(told.cause, IncidentCause::WorkerRecycled, "{told:#?}");
        assert_eq!(told.by_ended_processes, lost, "{told:#?}");
        let [ended] = &told.ended_processes[..] else {
            panic!("one process ended: {told:#?}");
        };
        assert_eq!((ended.pid, ended.exit.code), (worker, Some(0)), "{told:#?}");
        assert_eq!(told.verdict, Verdict::Fail);
        assert!(told.listened);
        let drains: Vec<Drain> = daemon.list("drains");
        let mut of_it = drains.iter().filter(|one| one.service.workload == NAME);
        assert!(of_it.next().is_none(), "nothing is told twice: {drains:#?}");
        let since = told.started_at.to_string();
        let gate = daemon.ask(&["verdict", "--workload", NAME, "--since", &since]);
        assert_eq!(gate.status.code(), Some(1), "{gate:?}");

        // A stop with nobody connected tells nothing, and hides nothing.
        servant.tell_hand(2, Order::Close, index);
        drop((sibling, clients));
        servant.tell_last(2, Order::Exit, 0);
        servant.signal(libc::SIGTERM);
        let rollout = daemon.rollout(|_| true);
        assert_eq!(rollout.verdict, Verdict::Inconclusive, "{rollout:#?}");
        assert_eq!(rollout.lost().total(), 0, "{rollout:#?}");
        for (arguments, code) in [
            (&["--rollout", &rollout.id][..], 3),
            (&["--workload", NAME, "--since", &since], 1),
        ] {
            let gate = daemon.ask(&[&["verdict", "-o", "json"], arguments].concat());
            assert_eq!(gate.status.code(), Some(code), "{gate:?}");
        }
    });
}

#[test]
fn an_idle_timeout_that_is_shorter_than_the_clients() {
    const NAME: &str = "short-timeout";
    let daemon = Daemon::start();
    Netns::run(|_| {
        let servant = start(NAME);
        let_families_be_found();
        let mut clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                let (client, index) = serve(&servant, 0);
                (client, index, Instant::now())
            })
            .collect();
        thread::sleep(TIMEOUT);
        let mut idle = Vec::new();
        for (client, index, since) in &mut clients {
            idle.push(since.elapsed().as_secs_f64());
            servant.tell(Order::Close, *index);
            // It had this in its hands when the FIN came.
            client.write_all(REQUEST).unwrap();
        }
        let asked = clients.iter();
        let lost = asked.filter(|(client, ..)| !is_answered(client)).count();
        assert_eq!(lost, CLIENTS, "by the clients' count");
        if !kernel::traces_every_reset() {
            return;
        }
        let told = incident(&daemon, NAME, |one| one.cut.late == lost as u64);
        assert_eq!(told.cut.total(), lost as u64, "{told:#?}");
        assert_eq!(told.cause, IncidentCause::IdleTimeoutRace, "{told:#?}");
        let times = told.idle.expect("each connection knows it");
        assert_eq!(times.known, lost as u64, "{told:#?}");
        // Told in tenths, rounded down, by a clock of ticks.
        let longest = idle.iter().copied().fold(0.0, f64::max);
        let shortest = idle.iter().copied().fold(f64::MAX, f64::min);
        assert!(times.min_secs >= shortest - 0.15, "{times:?} {idle:?}");
        assert!(times.max_secs <= longest + 0.15, "{times:?} {idle:?}");
        let findings: Vec<_> = told.findings.iter().map(|one| &*one.diagnosis).collect();
        assert_eq!(findings, ["idle-timeout-race", "requests-cut"]);
        let scraped = daemon.metrics();
        let of_it =
            |line: &&str| line.contains(NAME) && line.contains("cause=\"idle-timeout-race\"");
        let mut incidents = scraped
            .lines()
            .filter(|line| line.starts_with("finwatch_incidents_total"));
        assert!(
            incidents.any(|line| of_it(&line)),
            "born when it begins: {scraped}"
        );
    });
}
