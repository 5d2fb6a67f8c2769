//! From records to events: joins closes with their RSTs, finds whose they are, and notices gaps. It reads no
//! clock and prints nothing.

use finwatch_common::{
    ExitRecord, ListenerRecord, Outcome, Process, ProcessEntry, ResetRecord, Role, ServiceKey,
    SignalRecord, UnreadRecord,
};
use jiff::Timestamp;

use super::{
    event::{Event, Exit, Gap, GapKind, Listener, Reset, Signal, Subject, Unread},
    instances::Instances,
};
use crate::probe::Losses;
use finwatch_engine::{
    Clocks, Reasons,
    bounded::Queue,
    drains::{ClosedConnection, HELD_MAX, Merger},
    input::Record,
    model::{Named, Service},
    tell_close, timing,
};

/// Turns records into events. What it needs to know of the world comes with each call.
#[derive(Debug, Default)]
pub(super) struct Stream {
    merger: Merger,
    /// What is no close waits as long as closes do, so that the story keeps its order. At most
    /// [`HELD_MAX`], as many as closes; when more come, the oldest are told early.
    others: Queue<(u64, Event), HELD_MAX>,
    instances: Instances,
    losses: Losses,
    tally: Tally,
}

/// What the stream asks the world.
pub(super) trait World {
    /// Whose the key is.
    fn named(&mut self, key: &ServiceKey) -> Named;
    /// Somebody listens from now on: whose the key is may be another.
    fn listens(&mut self, key: &ServiceKey);
    /// How the clocks stand.
    fn clocks(&self) -> Clocks;
    /// The names of reset reasons.
    fn reasons(&self) -> &Reasons;
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
    /// SYNs that were refused.
    pub(super) refused: u64,
    /// Records that were lost or rejected.
    pub(super) lost: u64,
}

impl Stream {
    /// Takes a record in.
    pub(super) fn take(
        &mut self,
        record: Record,
        world: &mut impl World,
        tell: &mut impl FnMut(Event),
    ) {
        match record {
            Record::Close(record) => {
                let owner = process(record.owner_tgid, record.owner_start_ns);
                if record.service.role() == Some(Role::Server) {
                    self.instances.learn(owner, &record.service);
                }
                let tally = &mut self.tally;
                self.merger
                    .close(record, |early| close(&early, tally, world, tell));
            }
            Record::Reset(record) => {
                if !self.merger.reset(&record) {
                    let reset = lone_reset(&record, world, &mut self.tally);
                    self.hold(record.header.at_ns, reset, tell);
                }
            }
            Record::Unread(record) => {
                if !self.merger.unread(&record) {
                    let unread = lone_unread(&record, world, &mut self.tally);
                    self.hold(record.header.at_ns, unread, tell);
                }
            }
            Record::Listener(record) => {
                let owner = process(record.owner_tgid, record.start_ns);
                self.instances.learn(owner, &record.service);
                if record.up != 0 {
                    world.listens(&record.service);
                }
                self.hold(record.header.at_ns, listener(&record, world), tell);
            }
            Record::Signal(record) => {
                let at_ns = record.header.at_ns;
                self.instances
                    .signal(&record, world.clocks().boot_ns(at_ns));
                let signal = signal(&record, &self.instances, world);
                self.hold(at_ns, Some(signal), tell);
            }
            Record::Exit(record) => {
                let exit = exit(&record, &self.instances, world);
                self.hold(record.header.at_ns, Some(exit), tell);
            }
        }
    }

    /// An instance has a service: it listened before the stream began.
    pub(super) fn learn(&mut self, instance: Process, service: &ServiceKey) {
        self.instances.learn(instance, service);
    }

    /// Whether the kernel's table of processes is of use.
    pub(super) fn wants_processes(&self) -> bool {
        self.instances.want_processes()
    }

    /// Looks at the kernel's table of processes, and says which instances are steady again, or gone.
    pub(super) fn processes(&mut self, now_ns: u64, table: &[(u32, ProcessEntry)]) -> Vec<Process> {
        self.instances.look(now_ns, table)
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
            close(&closed, tally, world, tell);
        });
        tell_until(others, now_ns.saturating_sub(timing::HOLD_NS), tell);
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
            close(&closed, tally, world, tell);
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
        if let Some((_, oldest)) = self.others.push((at_ns, event)) {
            tell(oldest);
        }
    }
}

fn tell_until(
    others: &mut Queue<(u64, Event), HELD_MAX>,
    until_ns: u64,
    tell: &mut impl FnMut(Event),
) {
    while let Some((_, event)) = others.pop_if(|(at_ns, _)| *at_ns <= until_ns) {
        tell(event);
    }
}

fn lone_reset(record: &ResetRecord, world: &mut impl World, tally: &mut Tally) -> Option<Event> {
    let mut subject = subject(&record.service, record.header.at_ns, world)?;
    if subject.service.port == 0 {
        // Nobody is known to have owned the port; which one it was is known all the same.
        subject.service.port = record.local_port;
    }
    let reset = Reset::new(subject, record, world.reasons().name(record.reason));
    tally.cut += u64::from(reset.cut.is_some());
    tally.refused += u64::from(reset.refused);
    Some(Event::Reset(Box::new(reset)))
}

fn lone_unread(record: &UnreadRecord, world: &mut impl World, tally: &mut Tally) -> Option<Event> {
    let subject = subject(&record.service, record.header.at_ns, world)?;
    let unread = Unread::new(subject, record);
    if unread.cut.is_some() {
        tally.cut += 1;
    }
    Some(Event::Unread(Box::new(unread)))
}

fn listener(record: &ListenerRecord, world: &mut impl World) -> Option<Event> {
    let subject = subject(&record.service, record.header.at_ns, world)?;
    Some(Event::Listener(Box::new(Listener::new(subject, record))))
}

fn signal(record: &SignalRecord, instances: &Instances, world: &mut impl World) -> Event {
    let services = services(record.instance, instances, world);
    let time = world.clocks().wall(record.header.at_ns);
    Event::Signal(Box::new(Signal::new(time, services, record)))
}

fn exit(record: &ExitRecord, instances: &Instances, world: &mut impl World) -> Event {
    let services = services(record.instance, instances, world);
    let time = world.clocks().wall(record.header.at_ns);
    Event::Exit(Box::new(Exit::new(time, services, record)))
}

fn services(instance: Process, instances: &Instances, world: &mut impl World) -> Vec<Service> {
    instances
        .services(instance)
        .map(|key| Service::new(world.named(key).workload, key.port))
        .collect()
}

const fn process(tgid: u32, start_ns: u64) -> Process {
    Process {
        start_ns,
        tgid,
        pad: 0,
    }
}

fn close(
    closed: &ClosedConnection,
    tally: &mut Tally,
    world: &mut impl World,
    tell: &mut impl FnMut(Event),
) {
    tally.closes += 1;
    if closed.outcome == Outcome::Fin {
        tally.clean += 1;
    }
    if closed.cut.is_some() {
        tally.cut += 1;
    }
    let key = &closed.record.service;
    let Named { workload, pod } = world.named(key);
    let whose = (Service::new(workload, key.port), pod);
    let close = tell_close(closed, whose, world.clocks(), world.reasons());
    tell(Event::Close(Box::new(close)));
}

/// `None` when the key is out of range, which decoding has refused before.
fn subject(key: &ServiceKey, at_ns: u64, world: &mut impl World) -> Option<Subject> {
    let Named { workload, pod } = world.named(key);
    Some(Subject {
        time: world.clocks().wall(at_ns),
        service: Service::new(workload, key.port),
        pod,
        role: key.role()?,
        phase: key.phase()?,
    })
}

fn by_kind(losses: &Losses) -> [(GapKind, u64); 8] {
    // `rows_full` is about counters, and a process that is not known makes no record; subflows of MPTCP are left out
    // on purpose.
    let Losses {
        ring_full: [closes, resets, listeners, signals, exits, unread],
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
        (GapKind::Signals, signals),
        (GapKind::Exits, exits),
        (GapKind::Unread, unread),
        (GapKind::Malformed, malformed),
        (GapKind::Unrecorded, storage_failed),
    ]
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
