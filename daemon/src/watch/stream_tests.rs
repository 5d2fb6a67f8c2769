//! Records as they come, events as they are told.

use std::sync::LazyLock;

use finwatch_common::{close_flags, reset_flags};

use super::*;
use crate::watch::samples::{
    close_record, exit_record, listener_record, refused_record, reset_record, signal_record,
    unread_record,
};
use finwatch_engine::{
    model::{Workload, WorkloadKind},
    timing::HOLD_NS,
};

struct Still;

impl World for Still {
    fn named(&mut self, key: &ServiceKey) -> Named {
        Workload::on_host(WorkloadKind::Process, key.comm()).into()
    }

    fn listens(&mut self, _: &ServiceKey) {}

    fn clocks(&self) -> Clocks {
        Clocks::default()
    }

    fn reasons(&self) -> &Reasons {
        static NONE: LazyLock<Reasons> = LazyLock::new(Reasons::default);
        &NONE
    }
}

fn take(stream: &mut Stream, record: Record) -> Vec<Event> {
    let mut told = Vec::new();
    stream.take(record, &mut Still, &mut |event| told.push(event));
    told
}

fn finish(stream: &mut Stream) -> Vec<Event> {
    let mut told = Vec::new();
    stream.finish(&mut Still, &mut |event| told.push(event));
    told
}

#[test]
fn an_rst_completes_the_close_before_it() {
    let mut stream = Stream::default();
    let mut record = close_record();
    record.flags |= close_flags::AMBIGUOUS;
    assert!(take(&mut stream, Record::Close(record)).is_empty());
    let mut rst = reset_record(true);
    rst.flags |= reset_flags::SETTLES;
    assert!(take(&mut stream, Record::Reset(rst)).is_empty());

    let mut told = Vec::new();
    let due_at = record.header.at_ns + HOLD_NS;
    stream.due(due_at - 1, &mut Still, &mut |event| told.push(event));
    assert!(told.is_empty());
    stream.due(due_at, &mut Still, &mut |event| told.push(event));
    let [Event::Close(close)] = &told[..] else {
        panic!("{told:?}");
    };
    assert_eq!(close.outcome, "reset_sent");
    assert_eq!(close.cut.as_deref(), Some("late"));
    assert_eq!(close.reset_reason.as_deref(), Some("reason_9"));
    assert_eq!(close.service.workload, "nginx");
    assert_eq!(
        stream.tally(),
        Tally {
            closes: 1,
            clean: 0,
            cut: 1,
            refused: 0,
            lost: 0
        }
    );
}

#[test]
fn an_rst_long_after_the_close_is_told_alone() {
    let mut stream = Stream::default();
    take(&mut stream, Record::Close(close_record()));
    assert_eq!(finish(&mut stream).len(), 1);
    assert!(take(&mut stream, Record::Reset(reset_record(true))).is_empty());
    let told = finish(&mut stream);
    assert!(matches!(&told[..], [Event::Reset(reset)] if reset.cut == Some("late")));
    let tally = stream.tally();
    assert_eq!((tally.closes, tally.clean, tally.cut), (1, 1, 1));
}

#[test]
fn what_was_never_read_joins_its_close_or_is_told_alone() {
    let mut stream = Stream::default();
    let mut record = close_record();
    record.cookie = unread_record().cookie;
    take(&mut stream, Record::Close(record));
    take(&mut stream, Record::Unread(unread_record()));
    let told = finish(&mut stream);
    assert!(matches!(&told[..], [Event::Close(close)] if close.cut.as_deref() == Some("unread")));
    take(&mut stream, Record::Unread(unread_record()));
    let told = finish(&mut stream);
    assert!(matches!(&told[..], [Event::Unread(_)]));
    assert_eq!(stream.tally().cut, 2);
}

#[test]
fn the_story_keeps_its_order() {
    let mut stream = Stream::default();
    for at_ns in [10, 30, 50] {
        let mut record = close_record();
        record.cookie = at_ns;
        record.header.at_ns = at_ns;
        take(&mut stream, Record::Close(record));
        let mut record = listener_record();
        record.header.at_ns = at_ns + 10;
        take(&mut stream, Record::Listener(record));
    }
    let mut told = Vec::new();
    stream.due(HOLD_NS + 40, &mut Still, &mut |event| told.push(event));
    told.extend(finish(&mut stream));
    let order: Vec<_> = told
        .iter()
        .map(|event| match event {
            Event::Close(close) => ("close", close.ended_at),
            Event::Listener(listener) => ("listener", listener.subject.time),
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
    assert_eq!(
        order,
        want.map(|(what, at_ns)| (what, Clocks::default().wall(at_ns)))
    );
}

#[test]
fn an_rst_has_its_port_even_when_nobody_owned_it() {
    let mut stream = Stream::default();
    let mut record = reset_record(false);
    record.service.port = 0;
    record.local_port = 18_099;
    take(&mut stream, Record::Reset(record));
    let told = finish(&mut stream);
    assert!(matches!(&told[..], [Event::Reset(reset)] if reset.subject.service.port == 18_099));
}

#[test]
fn a_refused_syn_is_told_with_its_peer_and_counted() {
    let mut stream = Stream::default();
    take(&mut stream, Record::Reset(refused_record()));
    let told = finish(&mut stream);
    let [Event::Reset(reset)] = &told[..] else {
        panic!("{told:?}");
    };
    assert!(reset.refused && reset.cookie.is_none());
    assert_eq!(reset.ends.peer.as_deref(), Some("10.0.0.5:51234"));
    assert_eq!(stream.tally().refused, 1);
}

#[test]
fn a_loss_is_told_once() {
    let mut stream = Stream::default();
    let losses = Losses {
        ring_full: [3, 0, 1, 4, 0, 0],
        malformed: 2,
        ..Losses::default()
    };
    let mut told = Vec::new();
    let time = Clocks::default().wall(7);
    stream.losses(losses, time, &mut |event| told.push(event));
    stream.losses(losses, time, &mut |event| told.push(event));
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
        (GapKind::Signals, 4),
        (GapKind::Malformed, 2),
    ];
    assert_eq!(gaps, want);
    assert_eq!(stream.tally().lost, 10);
}

#[test]
fn signals_and_exits_name_the_services_of_their_instance() {
    let mut stream = Stream::default();
    let record = signal_record();
    // A listener of before the stream, one of it, and a connection that the instance accepted.
    let mut service = close_record().service;
    service.port = 80;
    stream.learn(record.instance, &service);
    let mut up = listener_record();
    (up.owner_tgid, up.start_ns) = (record.instance.tgid, record.instance.start_ns);
    take(&mut stream, Record::Listener(up));
    let mut ended = close_record();
    (ended.owner_tgid, ended.owner_start_ns) = (record.instance.tgid, record.instance.start_ns);
    take(&mut stream, Record::Close(ended));
    finish(&mut stream);

    assert!(!stream.wants_processes());
    assert!(take(&mut stream, Record::Signal(record)).is_empty());
    assert!(take(&mut stream, Record::Exit(exit_record())).is_empty());
    assert!(stream.wants_processes());
    let told = finish(&mut stream);
    let [Event::Signal(signal), Event::Exit(exit)] = &told[..] else {
        panic!("{told:?}");
    };
    for services in [&signal.services, &exit.services] {
        let ports: Vec<u16> = services.iter().map(|service| service.port).collect();
        assert_eq!(ports, [80, 443]);
    }
    assert!(stream.processes(record.header.at_ns, &[]).is_empty());
    let later_ns = record.header.at_ns + 60_000_000_000;
    assert_eq!(stream.processes(later_ns, &[]), [record.instance]);
}
