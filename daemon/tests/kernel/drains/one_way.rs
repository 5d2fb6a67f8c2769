//! Servers whose clients wait for no answer: syslog's senders and SSH's users. What they lost is by what was stored, and by what came
//! back to them.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    process::{Child, Command, Stdio},
};

use finwatch_engine::model::{Drain, DrainKind, ServiceState, ShapeKind, Verdict};

use super::{let_families_be_found, stage::Stage};
use crate::harness::{Patient, lab::PLAIN, wait_until};

/// Senders of syslog.
const SENDERS: usize = 10;
/// Of these, those who send another message when the server has closed.
const LATE: usize = 4;
/// Users of SSH.
const USERS: usize = 3;

/// What is told of the service of this port and role.
fn shape(stage: &Stage, workload: &str) -> ShapeKind {
    let services: Vec<ServiceState> = stage.daemon.list("services");
    let is_it =
        |state: &&ServiceState| state.service.workload == workload && state.service.port == PLAIN;
    let service = services.iter().find(is_it).expect("the service is shown");
    service.shape.kind
}

fn finds(drain: &Drain, name: &str) -> bool {
    drain.findings.iter().any(|f| f.diagnosis == name)
}

/// A message each, and the server's end; `late`: so many send another one then. What the senders lost by what was stored, and what is told.
fn syslog(late: usize) -> (u64, Drain) {
    Stage::set("rsyslog", &[], |stage| {
        let stored = stage.server.folder().join("messages");
        let stored = || {
            fs::read_to_string(&stored)
                .unwrap_or_default()
                .lines()
                .count()
        };
        let mut sent = 0;
        let mut send = |sender: &mut TcpStream| {
            sender.write_all(b"<13>Nov 30 07:00:00 host app: an event that is told once\n")?;
            sent += 1;
            Ok::<(), std::io::Error>(())
        };
        let connect = |_| TcpStream::connect(("127.0.0.1", PLAIN)).unwrap();
        let mut senders: Vec<TcpStream> = (0..SENDERS).map(connect).collect();
        for sender in &mut senders {
            send(sender).unwrap();
        }
        wait_until("all is stored", || stored() == SENDERS);
        stage.server.signal(libc::SIGTERM);
        stage.server.wait();
        for sender in senders.iter_mut().take(late) {
            assert_eq!(Patient::new(&*sender).read(&mut [0]).unwrap(), 0, "a FIN");
            send(sender).unwrap();
        }
        let drain = stage.drain(DrainKind::Stop);
        ((sent - stored()) as u64, drain)
    })
}

#[test]
fn syslog_that_was_read_is_not_lost() {
    let (lost, drain) = syslog(0);
    assert_eq!(lost, 0, "by what was stored");
    assert_eq!(drain.counts.closes(), SENDERS as u64, "{drain:#?}");
    assert_eq!(drain.lost().total(), lost, "{drain:#?}");
    assert_eq!(drain.shape.kind, ShapeKind::OneWayIn, "{drain:#?}");
    assert_eq!(drain.verdict, Verdict::Pass, "{drain:#?}");
    assert!(finds(&drain, "clean-drain"), "{drain:#?}");
}

#[test]
fn syslog_that_came_too_late_is_lost() {
    let (lost, drain) = syslog(LATE);
    assert_eq!(lost, LATE as u64, "by what was stored");
    assert_eq!(drain.lost().late, lost, "{drain:#?}");
    assert_eq!(drain.lost().total(), lost, "{drain:#?}");
    assert_eq!(drain.verdict, Verdict::Fail, "{drain:#?}");
    let finding = &drain.findings[0];
    assert_eq!(finding.diagnosis, "requests-cut", "{drain:#?}");
    assert!(finding.remedy.starts_with("rsyslog: "), "{finding:?}");
    assert!(!finds(&drain, "died-serving"), "{drain:#?}");
}

/// Somebody who runs `cat` on the server.
struct User(Child);

impl User {
    fn log_in(stage: &Stage) -> Self {
        let key = stage.server.folder().join("id");
        let mut command = Command::new("ssh");
        command.args(["-q", "-F", "none", "-i"]).arg(key);
        for option in ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null"] {
            command.args(["-o", option]);
        }
        command.args(["-p", &PLAIN.to_string(), "root@127.0.0.1", "cat"]);
        let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        Self(spawned.expect("ssh starts; Debian's package is openssh-client"))
    }

    /// What is said comes back.
    #[track_caller]
    fn says(&mut self, word: &str) {
        let stdin = self.0.stdin.as_mut().unwrap();
        writeln!(stdin, "{word}").unwrap();
        let mut heard = vec![0; word.len() + 1];
        let mut stdout = Patient::new(self.0.stdout.as_mut().unwrap());
        stdout.read_exact(&mut heard).unwrap();
        assert_eq!(heard, format!("{word}\n").as_bytes());
    }

    /// Leaves, and had everything.
    #[track_caller]
    fn leaves(&mut self) {
        drop(self.0.stdin.take());
        assert!(self.0.wait().unwrap().success(), "the session was whole");
    }
}

impl Drop for User {
    fn drop(&mut self) {
        let _already_gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

#[test]
fn sessions_of_ssh_outlive_the_server() {
    Stage::set("sshd", &[], |stage| {
        let mut users: Vec<User> = (0..USERS).map(|_| User::log_in(stage)).collect();
        for user in &mut users {
            user.says("before");
        }
        let_families_be_found();
        stage.server.signal(libc::SIGTERM);
        stage.server.wait_for_main();
        for user in &mut users {
            user.says("after");
        }
        let drain = stage.drain(DrainKind::Stop);
        assert_eq!(drain.open_at_start, USERS as u64, "{drain:#?}");
        assert_eq!(drain.still_open, USERS as u64, "{drain:#?}");
        assert_eq!(drain.lost().total(), 0, "{drain:#?}");
        assert_eq!(drain.verdict, Verdict::Pass, "{drain:#?}");
        assert!(finds(&drain, "sessions-live-on"), "{drain:#?}");
        assert_eq!(shape(stage, "sshd"), ShapeKind::Stream);
        for user in &mut users {
            user.leaves();
        }
    });
}
