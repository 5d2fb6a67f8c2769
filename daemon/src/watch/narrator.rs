//! From records to events: joins closes with their RSTs, finds whose they are, and notices gaps. It reads no
//! clock and prints nothing.

use std::collections::VecDeque;

use finwatch_common::{ListenerRecord, Outcome, ResetRecord, ServiceKey};
use jiff::Timestamp;

use super::event::{Close, Event, Gap, GapKind, Listener, Reset, Subject};
use crate::{
    attribution::Workload,
    probe::{Losses, Record},
    tracker::{ClosedConnection, HELD_MAX, HOLD_NS, Merger},
};

/// Turns records into events. What it needs to know of the world comes with each call.
#[derive(Debug, Default)]
pub(super) struct Narrator {
    merger: Merger,
    /// What is no close waits as long as closes do, so that the story keeps its order. At most
    /// [`HELD_MAX`], as many as closes; when more come, the oldest are told early.
    others: VecDeque<(u64, Event)>,
    losses: Losses,
    tally: Tally,
}

/// What the narrator asks the world.
pub(super) trait World {
    /// Whose the key is.
    fn workload(&mut self, key: &ServiceKey) -> Workload;
    /// The time of day of a kernel stamp.
    fn time_of(&self, kernel_ns: u64) -> Timestamp;
    /// The name of a reset reason.
    fn reset_reason(&self, reason: u8) -> String;
}

/// What was told since the start, filtered or not.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tally {
    /// Connections that ended.
    pub(super) closes: u64,
    /// Of these, by FINs.
    pub(super) clean: u64,
    /// Connections that were cut.
    pub(super) cut: u64,
    /// Records that were lost or rejected.
    pub(super) lost: u64,
}

impl Narrator {
    /// Takes a record in.
    pub(super) fn take(
        &mut self,
        record: Record,
        world: &mut impl World,
        tell: &mut impl FnMut(Event),
    ) {
        match record {
            Record::Close(record) => {
                let tally = &mut self.tally;
                self.merger
                    .close(record, |early| tell_close(early, tally, world, tell));
            }
            Record::Reset(record) => {
                if !self.merger.reset(&record) {
                    let reset = lone_reset(record, world, &mut self.tally);
                    self.hold(record.header.at_ns, reset, tell);
                }
            }
            Record::Listener(record) => {
                self.hold(record.header.at_ns, listener(record, world), tell);
            }
            Record::Signal(_) | Record::Exit(_) => {}
        }
    }

    /// Tells, in their order, the closes whose RSTs must have come by now and what happened between.
    pub(super) fn due(
        &mut self,
        now_ns: u64,
        world: &mut impl World,
        tell: &mut impl FnMut(Event),
    ) {
        let Self {
            merger,
            others,
            tally,
            ..
        } = self;
        merger.due(now_ns, |closed| {
            tell_until(others, closed.record.header.at_ns, tell);
            tell_close(closed, tally, world, tell);
        });
        tell_until(others, now_ns.saturating_sub(HOLD_NS), tell);
    }

    /// Tells everything that is still held.
    pub(super) fn finish(&mut self, world: &mut impl World, tell: &mut impl FnMut(Event)) {
        let Self {
            merger,
            others,
            tally,
            ..
        } = self;
        merger.flush(|closed| {
            tell_until(others, closed.record.header.at_ns, tell);
            tell_close(closed, tally, world, tell);
        });
        tell_until(others, u64::MAX, tell);
    }

    /// Tells what was lost since the last call.
    pub(super) fn losses(&mut self, losses: Losses, time: Timestamp, tell: &mut impl FnMut(Event)) {
        for ((kind, now), (_, before)) in by_kind(&losses).into_iter().zip(by_kind(&self.losses)) {
            let count = now.saturating_sub(before);
            if count > 0 {
                self.tally.lost += count;
                tell(Event::Lost(Gap { time, kind, count }));
            }
        }
        self.losses = losses;
    }

    /// What was told.
    pub(super) fn tally(&self) -> Tally {
        self.tally
    }

    fn hold(&mut self, at_ns: u64, event: Option<Event>, tell: &mut impl FnMut(Event)) {
        let Some(event) = event else {
            return;
        };
        if self.others.len() >= HELD_MAX
            && let Some((_, oldest)) = self.others.pop_front()
        {
            tell(oldest);
        }
        self.others.push_back((at_ns, event));
    }
}

fn tell_until(others: &mut VecDeque<(u64, Event)>, until_ns: u64, tell: &mut impl FnMut(Event)) {
    while let Some((_, event)) = others.pop_front_if(|(at_ns, _)| *at_ns <= until_ns) {
        tell(event);
    }
}

fn lone_reset(record: ResetRecord, world: &mut impl World, tally: &mut Tally) -> Option<Event> {
    let mut subject = subject(&record.service, record.header.at_ns, world)?;
    if subject.port == 0 {
        // Nobody is known to have owned the port; which one it was is known all the same.
        subject.port = record.local_port;
    }
    let reset = Reset {
        subject,
        reason: world.reset_reason(record.reason),
        record,
    };
    if reset.cuts() {
        tally.cut += 1;
    }
    Some(Event::Reset(Box::new(reset)))
}

fn listener(record: ListenerRecord, world: &mut impl World) -> Option<Event> {
    let subject = subject(&record.service, record.header.at_ns, world)?;
    Some(Event::Listener(Box::new(Listener { subject, record })))
}

fn tell_close(
    connection: ClosedConnection,
    tally: &mut Tally,
    world: &mut impl World,
    tell: &mut impl FnMut(Event),
) {
    let record = &connection.record;
    let Some(subject) = subject(&record.service, record.header.at_ns, world) else {
        return;
    };
    tally.closes += 1;
    if connection.outcome == Outcome::Fin {
        tally.clean += 1;
    }
    if connection.cut.is_some() {
        tally.cut += 1;
    }
    let close = Close {
        subject,
        reset_reason: connection
            .reset_reason
            .map(|reason| world.reset_reason(reason)),
        connection,
    };
    tell(Event::Close(Box::new(close)));
}

/// `None` when the key is out of range, which decoding has refused before.
fn subject(key: &ServiceKey, at_ns: u64, world: &mut impl World) -> Option<Subject> {
    let workload = world.workload(key);
    Subject::new(key, world.time_of(at_ns), workload)
}

fn by_kind(losses: &Losses) -> [(GapKind, u64); 5] {
    // `rows_full` is about counters, and signals and exits are a drain's, which this stream does not show; subflows of MPTCP are left out on
    // purpose.
    let Losses {
        ring_full: [closes, resets, listeners, _, _],
        processes_full: _,
        rows_full: _,
        mptcp_subflows: _,
        made_good: _,
        malformed,
        storage_failed,
    } = *losses;
    [
        (GapKind::Closes, closes),
        (GapKind::Resets, resets),
        (GapKind::Listeners, listeners),
        (GapKind::Malformed, malformed),
        (GapKind::Unrecorded, storage_failed),
    ]
}

#[cfg(test)]
mod tests {
    use finwatch_common::{Cut, close_flags, reset_flags};

    use super::*;
    use crate::{
        attribution::WorkloadKind,
        tracker::HOLD_NS,
        watch::samples::{close, listener, reset},
    };

    struct Still;

    impl World for Still {
        fn workload(&mut self, key: &ServiceKey) -> Workload {
            Workload::on_host(WorkloadKind::Process, key.comm())
        }

        fn time_of(&self, kernel_ns: u64) -> Timestamp {
            Timestamp::from_nanosecond(kernel_ns.into()).unwrap()
        }

        fn reset_reason(&self, reason: u8) -> String {
            format!("reason_{reason}")
        }
    }

    fn take(narrator: &mut Narrator, record: Record) -> Vec<Event> {
        let mut told = Vec::new();
        narrator.take(record, &mut Still, &mut |event| told.push(event));
        told
    }

    fn finish(narrator: &mut Narrator) -> Vec<Event> {
        let mut told = Vec::new();
        narrator.finish(&mut Still, &mut |event| told.push(event));
        told
    }

    #[test]
    fn an_rst_completes_the_close_before_it() {
        let mut narrator = Narrator::default();
        let mut record = close().connection.record;
        record.flags |= close_flags::AMBIGUOUS;
        assert!(take(&mut narrator, Record::Close(record)).is_empty());
        let mut rst = reset(true).record;
        rst.flags |= reset_flags::SETTLES;
        assert!(take(&mut narrator, Record::Reset(rst)).is_empty());

        let mut told = Vec::new();
        let due_at = record.header.at_ns + HOLD_NS;
        narrator.due(due_at - 1, &mut Still, &mut |event| told.push(event));
        assert!(told.is_empty());
        narrator.due(due_at, &mut Still, &mut |event| told.push(event));
        let [Event::Close(close)] = &told[..] else {
            panic!("{told:?}");
        };
        assert_eq!(close.connection.outcome, Outcome::ResetSent);
        assert_eq!(close.connection.cut, Some(Cut::Late));
        assert_eq!(close.reset_reason.as_deref(), Some("reason_9"));
        assert_eq!(close.subject.workload.name, "nginx");
        assert_eq!(
            narrator.tally(),
            Tally {
                closes: 1,
                clean: 0,
                cut: 1,
                lost: 0
            }
        );
    }

    #[test]
    fn an_rst_long_after_the_close_is_told_alone() {
        let mut narrator = Narrator::default();
        take(&mut narrator, Record::Close(close().connection.record));
        assert_eq!(finish(&mut narrator).len(), 1);
        assert!(take(&mut narrator, Record::Reset(reset(true).record)).is_empty());
        let told = finish(&mut narrator);
        assert!(matches!(&told[..], [Event::Reset(reset)] if reset.cuts()));
        let tally = narrator.tally();
        assert_eq!((tally.closes, tally.clean, tally.cut), (1, 1, 1));
    }

    #[test]
    fn the_story_keeps_its_order() {
        let mut narrator = Narrator::default();
        for at_ns in [10, 30, 50] {
            let mut record = close().connection.record;
            record.cookie = at_ns;
            record.header.at_ns = at_ns;
            take(&mut narrator, Record::Close(record));
            let mut record = listener().record;
            record.header.at_ns = at_ns + 10;
            take(&mut narrator, Record::Listener(record));
        }
        let mut told = Vec::new();
        narrator.due(HOLD_NS + 40, &mut Still, &mut |event| told.push(event));
        told.extend(finish(&mut narrator));
        let order: Vec<_> = told
            .iter()
            .map(|event| match event {
                Event::Close(close) => ("close", close.connection.record.header.at_ns),
                Event::Listener(listener) => ("listener", listener.record.header.at_ns),
                _ => panic!("{event:?}"),
            })
            .collect();
        let want = [
            ("close", 10),
            ("listener", 20),
            ("close", 30),
            ("listener", 40),
            ("close", 50),
            ("listener", 60),
        ];
        assert_eq!(order, want);
    }

    #[test]
    fn a_refused_syn_has_its_port_even_when_nobody_owned_it() {
        let mut narrator = Narrator::default();
        let mut record = reset(false).record;
        record.service.port = 0;
        record.local_port = 18_099;
        take(&mut narrator, Record::Reset(record));
        let told = finish(&mut narrator);
        assert!(matches!(&told[..], [Event::Reset(reset)] if reset.subject.port == 18_099));
    }

    #[test]
    fn a_loss_is_told_once() {
        let mut narrator = Narrator::default();
        let losses = Losses {
            ring_full: [3, 0, 1, 0, 0],
            malformed: 2,
            ..Losses::default()
        };
        let mut told = Vec::new();
        let time = Still.time_of(7);
        narrator.losses(losses, time, &mut |event| told.push(event));
        narrator.losses(losses, time, &mut |event| told.push(event));
        let gaps: Vec<_> = told
            .iter()
            .map(|event| match event {
                Event::Lost(gap) => (gap.kind, gap.count),
                _ => panic!("{event:?}"),
            })
            .collect();
        let want = [
            (GapKind::Closes, 3),
            (GapKind::Listeners, 1),
            (GapKind::Malformed, 2),
        ];
        assert_eq!(gaps, want);
        assert_eq!(narrator.tally().lost, 6);
    }
}
