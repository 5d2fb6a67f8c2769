//! What the daemon told of a drain, and all that must be true of it whichever server it was.

use finwatch_engine::model::{Drain, DrainKind, Severity, Verdict};

use crate::harness::{Snmp, crowd::Tally, kernel};

/// What the test did.
#[derive(Debug, Clone, Copy)]
pub(super) struct What {
    pub(super) kind: DrainKind,
    /// What was sent to the server.
    pub(super) signal: libc::c_int,
    /// To which process.
    pub(super) target: u32,
    /// Connections that were open then.
    pub(super) open: usize,
    /// Of these, with a request in flight.
    pub(super) awaiting: usize,
    /// Connections that were established afterwards.
    pub(super) opened_after: usize,
    /// How the main process ended: its exit code, or the signal that killed it. None when it did not.
    pub(super) exit: Option<(Option<u8>, Option<i32>)>,
}

/// A drain beside what its clients saw.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) drain: Drain,
    pub(super) tally: Tally,
}

impl Told {
    /// Holds the drain against what the test did, what the clients saw and what the kernel counted. The clients have left, and
    /// nothing else happened in this namespace. `resets`: clients to which an RST passed from the server's port.
    #[track_caller]
    pub(super) fn check(&self, what: &What, resets: u64) {
        let Self { drain, tally } = self;
        let counts = &drain.counts;
        let snmp = Snmp::read();
        let mut wrong = Vec::new();
        let mut equal = |what: &str, told: u64, true_one: u64| {
            if told != true_one {
                wrong.push(format!("{what}: finwatch {told}, in truth {true_one}"));
            }
        };
        equal("open at T0", drain.open_at_start, what.open as u64);
        let awaiting = drain.awaiting_at_start.unwrap_or(u64::MAX);
        equal("owed an answer at T0", awaiting, what.awaiting as u64);
        equal(
            "opened after T0",
            drain.opened_after_start,
            what.opened_after as u64,
        );
        equal("still open", drain.still_open, 0);
        equal("cut", counts.cut.total(), tally.lost());
        equal("closes", counts.closes(), tally.connections);
        if tally.with_tls {
            self.check_goodbyes(&snmp, &mut wrong);
        } else {
            self.check_ends(&snmp, resets, &mut wrong);
        }
        let mut equal = |what: &str, told: u64, true_one: u64| {
            if told != true_one {
                wrong.push(format!("{what}: finwatch {told}, in truth {true_one}"));
            }
        };
        equal("records lost", drain.records_lost, 0);
        // A stop that is taken for a reload leaves the main process.
        let stays = u64::from(what.kind == DrainKind::Stop && what.exit.is_none());
        let old = drain.processes - stays;
        equal("old processes that ended", drain.processes_ended, old);
        if let Some(said) = &drain.signal {
            let me = std::process::id();
            equal(
                "signal",
                said.number.into(),
                what.signal.unsigned_abs().into(),
            );
            equal("target", said.target_pid.into(), what.target.into());
            equal("sender", said.sender.pid.into(), me.into());
        } else {
            wrong.push("no signal".to_owned());
        }
        if let Some(exit) = what.exit {
            let told = drain.exit.as_ref();
            let code = told.and_then(|exit| exit.code);
            let signal = told.and_then(|exit| exit.signal.clone());
            let true_one = (exit.0, exit.1.map(signal_name));
            if (code, signal.clone()) != true_one {
                wrong.push(format!(
                    "exit: finwatch {:?}, in truth {true_one:?}",
                    (code, signal)
                ));
            }
        }
        let name = signal_name(what.signal);
        if drain.signal.as_ref().is_some_and(|said| said.name != name) {
            wrong.push(format!("the signal's name is not {name}"));
        }
        if drain.interrupted || drain.turns_not_judged {
            wrong.push("it could not be judged".to_owned());
        }
        let fail = drain.verdict == Verdict::Fail;
        if fail != (tally.lost() > 0) {
            wrong.push(format!("{:?} with {} lost", drain.verdict, tally.lost()));
        }
        assert!(wrong.is_empty(), "{}\n{self:#?}", wrong.join("\n"));
    }

    /// No client hangs up before the server, and none sends an RST.
    fn check_ends(&self, snmp: &Snmp, resets: u64, wrong: &mut Vec<String>) {
        let counts = &self.drain.counts;
        let mut equal = |what: &str, told: u64, true_one: u64| {
            if told != true_one {
                wrong.push(format!("{what}: finwatch {told}, in truth {true_one}"));
            }
        };
        let by_peer = counts.remote_first + counts.both_first;
        equal("closes that the peer began", by_peer, 0);
        // A server that wakes itself up by a connection to its own listener (Tomcat) is no client.
        let own = snmp.get("ActiveOpens") - self.tally.connections - self.tally.beside;
        equal("the server's own calls", self.drain.own_calls, own);
        if kernel::traces_every_reset() {
            equal("RSTs", counts.resets(), resets);
        }
        // One that the server ended first left a mini-socket too, until its other end's RST.
        let minis = counts.time_wait + counts.fin_wait2;
        let all = snmp.get("TW") + snmp.get("TWKilled");
        if minis > all || all > minis + own + self.tally.beside {
            wrong.push(format!(
                "mini-sockets: finwatch {minis}, in truth {all}, {own} own calls"
            ));
        }
    }

    /// A TLS client's FIN may come before the server's, and then the mini-socket is the client's; its FIN may find no socket at all, and
    /// then it draws an RST of no connection beside the one that its goodbye drew.
    fn check_goodbyes(&self, snmp: &Snmp, wrong: &mut Vec<String>) {
        let counts = &self.drain.counts;
        let minis = counts.time_wait + counts.fin_wait2;
        if minis > snmp.get("TW") + snmp.get("TWKilled") {
            wrong.push(format!("{minis} mini-sockets are more than there were"));
        }
        if counts.resets() > snmp.get("OutRsts") {
            wrong.push(format!("{} RSTs are more than there were", counts.resets()));
        }
        if counts.resets_without_goodbyes() > 0 {
            wrong.push(format!(
                "an RST threw something else than a goodbye away: {:?}",
                counts.resets_sent
            ));
        }
    }

    /// The drain has a finding of this name.
    pub(super) fn finds(&self, diagnosis: &str) -> bool {
        let findings = &self.drain.findings;
        findings
            .iter()
            .any(|finding| finding.diagnosis == diagnosis)
    }

    /// Nobody lost anything, and it says so.
    #[track_caller]
    pub(super) fn assert_clean(&self) {
        assert_eq!(self.tally.lost(), 0, "{self:#?}");
        let failed =
            |finding: &&finwatch_engine::model::Finding| finding.severity == Severity::Fail;
        let failed: Vec<_> = self.drain.findings.iter().filter(failed).collect();
        assert!(failed.is_empty(), "{failed:#?}");
        assert!(
            matches!(self.drain.verdict, Verdict::Pass | Verdict::Warn),
            "{self:#?}"
        );
    }

    /// These requests were lost, and it says how.
    #[track_caller]
    pub(super) fn assert_cut(&self, unanswered: usize, unread: usize, late: usize) {
        let cut = self.drain.counts.cut;
        assert_eq!(
            (cut.unanswered, cut.unread, cut.late),
            (unanswered as u64, unread as u64, late as u64),
            "unanswered, unread, late: {self:#?}"
        );
        assert_eq!(self.drain.verdict, Verdict::Fail, "{self:#?}");
    }
}

fn signal_name(number: i32) -> String {
    match number {
        libc::SIGHUP => "SIGHUP",
        libc::SIGINT => "SIGINT",
        libc::SIGQUIT => "SIGQUIT",
        libc::SIGKILL => "SIGKILL",
        libc::SIGUSR1 => "SIGUSR1",
        libc::SIGSEGV => "SIGSEGV",
        libc::SIGUSR2 => "SIGUSR2",
        libc::SIGTERM => "SIGTERM",
        libc::SIGWINCH => "SIGWINCH",
        other => panic!("a name for signal {other}"),
    }
    .to_owned()
}
