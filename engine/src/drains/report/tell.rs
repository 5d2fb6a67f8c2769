//! A drain of an instance, told as the model has it: one a port.

use finwatch_common::{ExitRecord, Process, ServiceKey, SignalRecord, comm_str};

use jiff::Timestamp;

use super::names;
use crate::{
    drains::{
        draining::Draining,
        membership::members::{Over, Scope},
        port::Port,
    },
    known::Known,
    model::{
        Basis, Counts, Drain, DrainKind, Exit, Instance, Listening, Sender, Shape, SignalSeen,
        Signs, Verdict,
    },
};

/// What a drain needs beside itself to be told.
pub(super) struct Telling {
    /// Now, or when it was over, on the clock of the records.
    pub(super) now_ns: u64,
    /// Records lost while it lasted.
    pub(super) records_lost: u64,
    /// It is over.
    pub(super) ended: bool,
}

/// One drain for each port of which there is anything to tell, and whose name is known or not to be had.
pub(super) fn tell(draining: &Draining, telling: &Telling, known: &Known<'_>) -> Vec<Drain> {
    let told = |(key, port): &(&ServiceKey, &Port)| {
        port.is_told() && (telling.ended || !known.names.is_pending(key))
    };
    let told = draining.ports.iter().filter(told);
    told.map(|(key, port)| drain(draining, key, port, telling, known))
        .collect()
}

fn drain(
    draining: &Draining,
    key: &ServiceKey,
    port: &Port,
    telling: &Telling,
    known: &Known<'_>,
) -> Drain {
    let t0_ns = draining.members.t0_ns();
    let over = draining.members.over();
    let nothing = draining.cause.kind() == DrainKind::Reload && over == Some(Over::Nothing);
    let worker = match draining.members.scope() {
        Scope::Process(tgid) => Some(tgid),
        Scope::Instance | Scope::OldWorkers => None,
    };
    let since = draining.members.since_mono();
    // What is open when the processes are gone and the port is listened on is held by others.
    let successors = over == Some(Over::Ended) && port.seen.is_listening();
    let still = match successors {
        true => StillOpen::default(),
        false => StillOpen::of(port, t0_ns, over),
    };
    let last_opened_ns = port.counted.whole.last_opened_ns.max(still.last_younger_ns);
    let opened_after_start = port.counted.whole.opened_after + still.younger;
    let at_death = matches!(draining.cause.kind(), DrainKind::Kill | DrainKind::Crash);
    let all_over = at_death && telling.ended && over == Some(Over::Ended);
    let started_at = known.wall(t0_ns);
    let (processes, processes_ended) = if nothing {
        (0, 0)
    } else {
        draining.members.count_old()
    };
    let counts = Counts {
        opened: opened_after_start,
        refused: port.counted.refused().so_far(),
        ..port.counted.whole.counts(known)
    };
    let shape = shape(key, port, &counts, known);
    Drain {
        id: id(started_at, draining, key),
        service: known.service(key),
        instance: instance(&draining.members.first(), key, port, telling.now_ns, known),
        worker_pid: worker,
        kind: draining.cause.kind(),
        started_at,
        signal: draining.cause.signal().map(|s| signal(s, known)),
        further_signals: draining
            .cause
            .further()
            .iter()
            .map(|s| signal(s, known))
            .collect(),
        exit: draining
            .members
            .last_exit()
            .filter(|_| over.is_some())
            .map(|exit| self::exit(&exit, known)),
        processes,
        processes_ended,
        new_processes: draining.members.new_ones().len() as u64,
        first_new_process_at: draining.members.first_new_boot_ns().map(|boot_ns| {
            let after_ns = boot_ns.saturating_sub(known.boot_ns(t0_ns));
            known.wall(t0_ns.saturating_add(after_ns))
        }),
        lived_on: over == Some(Over::LivedOn),
        last_close_at: port
            .counted
            .whole
            .last_close_ns
            .map(|at_ns| known.wall(at_ns)),
        ended_at: telling.ended.then(|| known.wall(telling.now_ns)),
        open_at_start: match worker {
            Some(_) => port.counted.whole.older,
            None => port.seen.open_at_start(),
        },
        awaiting_at_start: port
            .seen
            .owed_at_start(&since, all_over)
            .filter(|_| worker.is_none()),
        asked_after_start: port.counted.whole.asked_after + still.asked,
        opened_after_start,
        last_opened_at: last_opened_ns.map(|at_ns| known.wall(at_ns)),
        served_by_new: port.counted.by_new,
        own_calls: port.counted.own_calls,
        likely_cut: port.counted.whole.likely_cut,
        idle_at_exit: port.counted.whole.idle_at_exit,
        still_open: still.all,
        still_open_idle: still.idle,
        counts,
        listening: listening(
            port,
            successors && draining.cause.kind() == DrainKind::Stop,
            known,
        ),
        waited: port.waiting.told(),
        examples: port.counted.whole.examples.clone(),
        signs: signs(draining, port, telling.now_ns, known),
        baseline: port.counted.baseline.clone(),
        small_before: {
            // Whoever ran before under the same name is in the baseline.
            let baseline = &port.counted.baseline.counts;
            known.small(key).at_least(baseline.small)
        },
        records_lost: telling.records_lost,
        interrupted: false,
        turns_not_judged: !shape.waits_for_answers(),
        shape,
        verdict: Verdict::default(),
        findings: Vec::new(),
    }
}

/// Unique on this node: when it began, whose it is, which port.
fn id(started_at: Timestamp, draining: &Draining, key: &ServiceKey) -> String {
    let (began, name) = (started_at.as_millisecond(), draining.members.name());
    format!("{began:x}-{name}-{}", key.port)
}

/// As configured, else as its ordinary connections show, else as those of the drain do.
fn shape(key: &ServiceKey, port: &Port, counts: &Counts, known: &Known<'_>) -> Shape {
    let ordinary = known.shape(key.port, key.comm(), &port.counted.baseline.counts);
    match ordinary.basis {
        Basis::Program if !ordinary.is_refuted_by(counts) => ordinary,
        Basis::Unknown | Basis::Program => Shape::guessed(counts, port.counted.whole.senders),
        Basis::Guessed | Basis::Learned | Basis::Configured => ordinary,
    }
}

/// What the drain's processes still hold open, by the last survey.
#[derive(Default)]
struct StillOpen {
    all: u64,
    idle: u64,
    /// Asked something after the start.
    asked: u64,
    /// Opened after the start, and when the last of them was.
    younger: u64,
    last_younger_ns: Option<u64>,
}

impl StillOpen {
    fn of(port: &Port, t0_ns: u64, over: Option<Over>) -> Self {
        let (younger, last_younger_ns) = port.seen.still_open_younger(t0_ns);
        Self {
            all: port.seen.still_open(),
            idle: port.seen.still_open_idle(),
            // What is open when the processes are gone is in others' hands, and these are asked.
            asked: match over {
                Some(Over::Ended) => 0,
                _ => port.seen.still_open_asked(),
            },
            younger,
            last_younger_ns,
        }
    }
}

fn instance(
    process: &Process,
    key: &ServiceKey,
    port: &Port,
    now_ns: u64,
    known: &Known<'_>,
) -> Instance {
    // The start is told on another clock: how long it is ago holds on both.
    let age_ns = known.boot_ns(now_ns).saturating_sub(process.start_ns);
    Instance {
        pid: process.tgid,
        started_at: (process.start_ns != 0).then(|| known.wall(now_ns.saturating_sub(age_ns))),
        program: key.comm().to_owned(),
        netns: port.counted.netns_inum,
        netns_cookie: key.netns,
        pod: known.pod(key),
    }
}

fn signal(record: &SignalRecord, known: &Known<'_>) -> SignalSeen {
    let program = match record.sender_tgid {
        0 => "kernel",
        _ => comm_str(&record.sender_comm),
    };
    SignalSeen {
        at: known.wall(record.header.at_ns),
        number: record.signal,
        name: names::signal(record.signal),
        target_pid: record.target.tgid,
        target_program: comm_str(&record.target_comm).to_owned(),
        target_kinship: names::kinship(record.kinship).to_owned(),
        sender: Sender {
            pid: record.sender_tgid,
            program: program.to_owned(),
        },
        disposition: names::disposition(record.disposition).to_owned(),
    }
}

fn exit(record: &ExitRecord, known: &Known<'_>) -> Exit {
    let killed_by = (record.status & 0x7f) as u8;
    Exit {
        at: known.wall(record.header.at_ns),
        code: (killed_by == 0).then_some((record.status >> 8) as u8),
        signal: (killed_by != 0).then(|| names::signal(killed_by)),
    }
}

fn signs(draining: &Draining, port: &Port, now_ns: u64, known: &Known<'_>) -> Signs {
    let whole = &port.counted.whole;
    let killed = draining.cause.was_killed();
    let end_ns = match draining.members.living().next() {
        None if draining.members.last_end_ns() > 0 => draining.members.last_end_ns(),
        _ => now_ns,
    };
    Signs {
        first_close_at: whole.first_close_ns.map(|at_ns| known.wall(at_ns)),
        last_asked_at: whole.last_asked_ns.map(|at_ns| known.wall(at_ns)),
        refused_while_running: port.refused_while_running(end_ns),
        by_exit_cut: whole.by_exit_cut,
        by_exit_truncated: whole.by_exit_truncated,
        by_exit_answering: whole.by_exit_answering,
        truncated: whole.truncated,
        // What SIGKILL finds open is what the death ends.
        open_at_kill: killed.then_some(whole.by_kill),
        open_at_kill_idle: killed.then_some(whole.idle_at_exit),
    }
}

fn listening(port: &Port, inherited: bool, known: &Known<'_>) -> Listening {
    Listening {
        closed_at: port.seen.closed().map(|closed| known.wall(closed.at_ns)),
        closed_by_exit: port.seen.closed().is_some_and(|closed| closed.by_exit),
        taken_over: port.seen.closed().is_some_and(|closed| closed.taken_over),
        backlog: port.seen.backlog(),
        backlog_at_start: port.seen.backlog_at_start(),
        held_by_others: inherited && port.seen.closed().is_none(),
    }
}
