//! From records to events: joins closes with their RSTs, finds whose they are, and notices gaps. It reads no
//! clock and prints nothing.

use finwatch_common::{ListenerRecord, Outcome, ResetRecord, ServiceKey};
use jiff::Timestamp;

use super::event::{Close, Event, Gap, GapKind, Listener, Reset, Subject};
use crate::{
    attribution::Workload,
    probe::{Losses, Record},
    tracker::{ClosedConnection, Merger},
};

/// Turns records into events. What it needs to know of the world comes with each call.
#[derive(Debug, Default)]
pub(super) struct Narrator {
    merger: Merger,
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
    /// Takes a record in. What belongs to nothing that is held is told at once.
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
                    self.tell_reset(record, world, tell);
                }
            }
            Record::Listener(record) => tell_listener(record, world, tell),
        }
    }

    /// Tells the closes whose RSTs must have come by now.
    pub(super) fn due(
        &mut self,
        now_ns: u64,
        world: &mut impl World,
        tell: &mut impl FnMut(Event),
    ) {
        let tally = &mut self.tally;
        self.merger
            .due(now_ns, |closed| tell_close(closed, tally, world, tell));
    }

    /// Tells everything that is still held.
    pub(super) fn finish(&mut self, world: &mut impl World, tell: &mut impl FnMut(Event)) {
        let tally = &mut self.tally;
        self.merger
            .flush(|closed| tell_close(closed, tally, world, tell));
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

    fn tell_reset(
        &mut self,
        record: ResetRecord,
        world: &mut impl World,
        tell: &mut impl FnMut(Event),
    ) {
        let Some(subject) = subject(&record.service, record.header.at_ns, world) else {
            return;
        };
        let reset = Reset {
            subject,
            reason: world.reset_reason(record.reason),
            record,
        };
        if reset.cuts() {
            self.tally.cut += 1;
        }
        tell(Event::Reset(Box::new(reset)));
    }
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

fn tell_listener(record: ListenerRecord, world: &mut impl World, tell: &mut impl FnMut(Event)) {
    if let Some(subject) = subject(&record.service, record.header.at_ns, world) {
        tell(Event::Listener(Box::new(Listener { subject, record })));
    }
}

/// `None` when the key is out of range, which decoding has refused before.
fn subject(key: &ServiceKey, at_ns: u64, world: &mut impl World) -> Option<Subject> {
    let workload = world.workload(key);
    Subject::new(key, world.time_of(at_ns), workload)
}

fn by_kind(losses: &Losses) -> [(GapKind, u64); 5] {
    // `rows_full` is about counters, which this stream does not show.
    let Losses {
        ring_full: [closes, resets, listeners],
        rows_full: _,
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
        let told = take(&mut narrator, Record::Reset(reset(true).record));
        assert!(matches!(&told[..], [Event::Reset(reset)] if reset.cuts()));
        let tally = narrator.tally();
        assert_eq!((tally.closes, tally.clean, tally.cut), (1, 1, 1));
    }

    #[test]
    fn listeners_are_told_at_once() {
        let mut narrator = Narrator::default();
        let told = take(&mut narrator, Record::Listener(listener().record));
        assert!(matches!(&told[..], [Event::Listener(_)]));
    }

    #[test]
    fn a_loss_is_told_once() {
        let mut narrator = Narrator::default();
        let losses = Losses {
            ring_full: [3, 0, 1],
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
