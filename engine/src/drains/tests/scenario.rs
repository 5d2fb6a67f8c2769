//! A small language for tests: what servers and clients do, one line each, played through the drains by a model of
//! the kernel (`kernel.rs`). It knows no verdicts.
//!
//! A line is a time in milliseconds and a verb; `#` begins a comment:
//!
//! ```text
//! 0     listen 100 nginx :80          a process listens (and comes, if it is not there)
//! 0     listen 101 :80                one that is there listens too
//! 0     fork 100 101 102              100 forks 101 and 102; they hold its sockets
//! 5     exec 102                      102 runs another program: it leaves the family, and holds what it held
//! 5     heir 102 100                  102, which holds a socket of the instance of 100, is found to belong there
//! 0     controller 1 tini 100         1 controls the instance of 100; `holds` behind it: it holds the sockets too
//! 10    open c1..c5 :80 by 101        connections, accepted by 101; without `by` they wait in the queue
//! 20    accept c1 102                 takes one from the queue
//! 20    ask c1 [bytes]                a request is read: the first that was sent, if one was
//! 20    send c1 [bytes]               a request comes, unread
//! 20    answer c1 [bytes]             bytes are written
//! 30    close c1 [half]               the server closes; `half`: a mini-socket in FIN_WAIT2 is left
//! 30    closing c1                    the server closes, the peer takes its time; `end c1` ends it
//! 30    leave c1                      the client closes, then the server; `break c1`: the client resets
//! 30    late c1 [bytes]               the client sends into the mini-socket, and gets an RST; `settle c1`: its FIN comes
//! 30    shut c1                       the server half-closes and holds it, the client leaves; `let-go c1`: the server closes
//! 40    signal QUIT 100 [from 7] [as steady|as unclear] [ignored|default|blocked]
//! 50    exit 101 0 [half]             or `exit 101 KILL`: the process ends, then its connections; `half` as with `close`
//! 50    unlisten 100 :80              closes the listening socket
//! 50    backlog :80 5                 so many wait to be accepted
//! 50    refuse :80 3                  SYNs are refused
//! 50    lose 2                        the next two records are lost
//! 50    surveys fail                  or `surveys work`, or `surveys take 500` milliseconds
//! 9000  end                           time goes on until here
//! ```
//!
//! TERM, INT and QUIT ask to stop, HUP, USR1, USR2 and WINCH to reload, unless they go to a worker whose parent is of
//! the family.

use std::collections::BTreeMap;

use finwatch_common::{ExitRecord, ServiceKey, SignalRecord};

use super::{Drains, Input, kernel::Kernel};
use crate::want::Want;
use crate::{
    input::Record,
    model::{Drain, Gap, Start},
};

/// A millisecond in nanoseconds.
pub(crate) const MS: u64 = 1_000_000;
/// When a scenario begins, on the clock of the records.
pub(crate) const BEGIN_NS: u64 = 3_600_000 * MS;

/// Between two ticks.
const TICK_NS: u64 = 20 * MS;

/// What came of a scenario.
#[derive(Debug, Default)]
pub(crate) struct Played {
    /// Drains that ended, in their order.
    pub(crate) ended: Vec<Drain>,
    /// Drains that last at its end.
    pub(crate) running: Vec<Drain>,
    /// Listeners that came.
    pub(crate) starts: Vec<Start>,
    /// Times nobody listened.
    pub(crate) gaps: Vec<Gap>,
    /// Instances whose phase was ended, by process id, with the time in milliseconds.
    pub(crate) phases_ended: Vec<(u64, u32)>,
    /// Everything that the drains were told, to be told again.
    pub(crate) inputs: Vec<(u64, Told)>,
}

/// An input that owns what it tells.
#[derive(Debug, Clone)]
pub(crate) enum Told {
    /// A record.
    Record(Record),
    /// A table of processes.
    Processes(Vec<(u32, finwatch_common::ProcessEntry)>),
    /// A survey: namespace, time, sockets, mini-sockets.
    Survey(
        u64,
        u64,
        Vec<finwatch_common::SurveyRow>,
        Vec<finwatch_common::SurveyRow>,
    ),
    /// A survey that failed.
    SurveyFailed(u64),
    /// The rows of services were read: which, when, and SYNs refused.
    Counted(Vec<ServiceKey>, u64, u64),
    /// Records lost so far.
    Lost(u64),
    /// Time passes.
    Tick,
}

/// Plays a scenario with settings of its own.
pub(crate) fn play(script: &str) -> Played {
    let mut player = Player {
        drains: Drains::new(60_000 * MS),
        kernel: Kernel::new(BEGIN_NS),
        played: Played::default(),
        answers: BTreeMap::new(),
        now_ns: BEGIN_NS,
        heard_ns: 0,
    };
    player.tell(Told::Tick);
    for line in script.lines() {
        let line = line.split('#').next().unwrap_or("").trim();
        if line.is_empty() {
            continue;
        }
        let (at, verb) = line.split_once(' ').expect("a time and a verb");
        let at_ms: u64 = at.parse().unwrap_or_else(|_| panic!("no time: {line}"));
        player.until(BEGIN_NS + at_ms * MS);
        player.kernel.does(player.now_ns, verb.trim());
        player.tell_all();
    }
    let running = player.drains.changed(player.now_ns, &player.kernel.known());
    player.played.running = running.into_iter().flat_map(|(_, drains)| drains).collect();
    player.played
}

/// Tells a drain in one line: what is zero is left out.
pub(crate) fn line(drain: &Drain) -> String {
    let counts = &drain.counts;
    let begun = drain.signal.as_ref().map_or("exit", |s| s.name.as_str());
    let at_ms = drain.started_at.as_millisecond();
    let mut told = format!(
        "{} {begun} {}:{} at {at_ms}",
        drain.kind.as_str(),
        drain.instance.program,
        drain.service.port
    );
    let exit = drain.exit.as_ref().map(|exit| match &exit.signal {
        Some(signal) => format!(" {signal}"),
        None => format!(" code {}", exit.code.unwrap_or_default()),
    });
    if let Some(pid) = drain.worker_pid {
        told += &format!(" worker {pid}");
    }
    told += &format!(
        ", gone {}/{}{}",
        drain.processes_ended,
        drain.processes,
        exit.unwrap_or_default()
    );
    let owed = drain.awaiting_at_start.unwrap_or(0);
    let flags = [
        ("owed unknown", drain.awaiting_at_start.is_none()),
        ("lived on", drain.lived_on),
        ("closed", drain.listening.closed_at.is_some()),
        ("taken over", drain.listening.taken_over),
        ("not judged", drain.turns_not_judged),
    ];
    let numbers = [
        ("new", drain.new_processes),
        ("further", drain.further_signals.len() as u64),
        ("open", drain.open_at_start),
        ("owed", owed),
        ("opened", drain.opened_after_start),
        ("by new", drain.served_by_new),
        ("own calls", drain.own_calls),
        ("asked", drain.asked_after_start),
        ("still", drain.still_open),
        ("idle", drain.still_open_idle),
        ("unanswered", counts.cut.unanswered),
        ("unread", counts.cut.unread),
        ("late", counts.cut.late),
        ("likely", drain.likely_cut),
        ("local", counts.local_first),
        ("remote", counts.remote_first),
        ("no fin", counts.no_fin),
        ("fin", counts.fin),
        ("sent", counts.reset_sent),
        ("received", counts.reset_received),
        ("tw", counts.time_wait),
        ("fw2", counts.fin_wait2),
        ("resets", counts.resets()),
        ("by exit", counts.by_exit),
        ("idle at exit", drain.idle_at_exit),
        ("cut by exit", drain.signs.by_exit_cut),
        ("open at kill", drain.signs.open_at_kill.unwrap_or(0)),
        ("abandoned", counts.abandoned),
        ("refused", counts.refused),
        ("while running", drain.signs.refused_while_running),
        ("queue dropped", counts.accept_queue_dropped),
        ("lost", drain.records_lost),
    ];
    for (name, value) in numbers.iter().filter(|(_, value)| *value > 0) {
        told += &format!(", {name} {value}");
    }
    for (name, _) in flags.iter().filter(|(_, is)| *is) {
        told += &format!(", {name}");
    }
    told
}

/// Tells drains one line each.
pub(crate) fn lines(drains: &[Drain]) -> Vec<String> {
    drains.iter().map(line).collect()
}

/// Tells the drains what was told before, and returns those that ended.
pub(crate) fn replay(inputs: &[(u64, Told)], drains: &mut Drains) -> Vec<Drain> {
    let mut known = Kernel::new(BEGIN_NS);
    let mut ended = Vec::new();
    for (now_ns, told) in inputs {
        give(drains, *now_ns, told, &mut known);
        ended.extend(drains.ended());
    }
    ended
}

struct Player {
    drains: Drains,
    kernel: Kernel,
    played: Played,
    /// What is to be answered, and when.
    answers: BTreeMap<(u64, Want), ()>,
    now_ns: u64,
    /// When the last signal or end of a process was, of those that were told.
    heard_ns: u64,
}

// === impl Player ===

impl Player {
    fn until(&mut self, until_ns: u64) {
        loop {
            let tick_ns = (self.now_ns / TICK_NS + 1) * TICK_NS;
            let answer = self.answers.keys().next().copied();
            let next_ns = answer.map_or(tick_ns, |(at_ns, _)| at_ns.min(tick_ns));
            if next_ns > until_ns {
                self.now_ns = until_ns;
                return;
            }
            self.now_ns = next_ns;
            match answer {
                Some((at_ns, want)) if at_ns == next_ns => {
                    self.answers.remove(&(at_ns, want));
                    let told = self.kernel.answer(self.now_ns, want);
                    self.tell(told);
                }
                _ => {
                    self.tell(Told::Lost(self.kernel.lost));
                    self.tell(Told::Tick);
                }
            }
        }
    }

    fn tell_all(&mut self) {
        for record in std::mem::take(&mut self.kernel.records) {
            self.tell(Told::Record(record));
        }
    }

    fn tell(&mut self, told: Told) {
        give(&mut self.drains, self.now_ns, &told, &mut self.kernel);
        if let Told::Record(Record::Signal(SignalRecord { header, .. }))
        | Told::Record(Record::Exit(ExitRecord { header, .. })) = &told
        {
            self.heard_ns = header.at_ns;
        }
        self.played.inputs.push((self.now_ns, told));
        for want in self.drains.wants() {
            match want {
                Want::EndPhase { instance, heard_ns } => {
                    assert_eq!(heard_ns, self.heard_ns, "what else is asked for may stay");
                    self.kernel.phases.remove(&instance);
                    let at_ms = (self.now_ns - BEGIN_NS) / MS;
                    self.played.phases_ended.push((at_ms, instance.tgid));
                }
                Want::Survey { .. } => {
                    let at_ns = self.now_ns + self.kernel.survey_takes_ns;
                    self.answers.insert((at_ns, want), ());
                }
                // Nobody of the drains wants the others.
                _ => {
                    self.answers.insert((self.now_ns + MS, want), ());
                }
            }
        }
        self.played.ended.extend(self.drains.ended());
        self.played.starts.extend(self.drains.started());
        let gaps = self.drains.gaps().into_iter().map(|ended| ended.gap);
        self.played.gaps.extend(gaps);
    }
}

fn give(drains: &mut Drains, now_ns: u64, told: &Told, kernel: &mut Kernel) {
    if let Told::Record(Record::Listener(listener)) = told {
        kernel.meet(&listener.service);
    }
    if let Told::Counted(services, read_ns, refused) = told {
        kernel.read(services, *read_ns, *refused);
    }
    let known = kernel.known();
    let input = match told {
        Told::Record(record) => Input::Record(record),
        Told::Processes(table) => Input::Processes(table),
        Told::Survey(netns, began_ns, rows, minis) => Input::Survey {
            netns: *netns,
            began_ns: *began_ns,
            rows,
            minis: Some(minis),
        },
        Told::SurveyFailed(netns) => Input::SurveyFailed { netns: *netns },
        Told::Counted(services, ..) => Input::Counted {
            services: Some(services),
        },
        Told::Lost(total) => Input::Lost { total: *total },
        Told::Tick => return drains.tick(now_ns, &known),
    };
    drains.take(now_ns, input, &known);
}
