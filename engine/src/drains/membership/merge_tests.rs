//! What a close becomes with, and without, the RSTs that follow it.

use finwatch_common::{KIND_CLOSE, KIND_RESET, Phase, RecordHeader, Role, ServiceKey};

use super::*;
use crate::timing;

const T0: u64 = 5_000_000_000;

fn close(cookie: u64, flags: u16) -> CloseRecord {
    CloseRecord {
        header: RecordHeader {
            kind: KIND_CLOSE,
            size: size_of::<CloseRecord>() as u32,
            at_ns: T0,
        },
        cookie,
        service: ServiceKey::other(Role::Server, Phase::Steady),
        opened_at_ns: 0,
        owner_start_ns: 0,
        last_read_ns: 0,
        bytes_sent: 0,
        bytes_received: 0,
        local_addr: [0; 16],
        remote_addr: [0; 16],
        local_port: 80,
        remote_port: 40_000,
        owner_tgid: 0,
        closer_tgid: 0,
        turns: 0,
        since_read: 0,
        asked: 0,
        unread: 0,
        unacked: 0,
        srtt_us: 0,
        retransmits: 0,
        flags,
        sk_err: 0,
        old_state: 4,
        origin: Origin::Local as u8,
        outcome: Outcome::Fin as u8,
        time_wait: TimeWait::None as u8,
        cut: 0xff,
        evidence: 0xff,
        reason: 0,
        lost: 0,
        idle_ds: 0,
        waited_cs: 0,
    }
}

fn reset(cookie: u64, flags: u16) -> ResetRecord {
    ResetRecord {
        header: RecordHeader {
            kind: KIND_RESET,
            size: size_of::<ResetRecord>() as u32,
            at_ns: T0 + 1,
        },
        cookie,
        service: ServiceKey::other(Role::Server, Phase::Steady),
        local_addr: [0; 16],
        remote_addr: [0; 16],
        local_port: 80,
        remote_port: 40_000,
        lost_bytes: 42,
        flags,
        state: 7,
        reason: 8,
        lost: Lost::Data as u8,
        pad: 0,
        idle_ds: 0,
    }
}

fn told(merger: &mut Merger, now_ns: u64) -> Vec<ClosedConnection> {
    let mut out = Vec::new();
    merger.due(now_ns, |closed| out.push(closed));
    out
}

#[test]
fn a_close_waits_for_its_hold() {
    let mut merger = Merger::new();
    merger.close(close(1, 0), |_| panic!("told early"));
    assert!(told(&mut merger, T0 + timing::HOLD_NS - 1).is_empty());
    assert_eq!(told(&mut merger, T0 + timing::HOLD_NS).len(), 1);
    assert!(told(&mut merger, u64::MAX).is_empty());
}

#[test]
fn an_ambiguous_close_is_the_peers_reset_unless_ours_settles_it() {
    let mut merger = Merger::new();
    merger.close(close(1, close_flags::AMBIGUOUS), |_| ());
    merger.close(close(2, close_flags::AMBIGUOUS), |_| ());
    assert!(merger.reset(&reset(2, reset_flags::SETTLES | reset_flags::CUT_LATE)));
    let out = told(&mut merger, u64::MAX);
    assert_eq!(
        (out[0].outcome, out[0].cut, out[0].reset_reason),
        (Outcome::ResetReceived, None, None)
    );
    assert_eq!(
        (out[1].outcome, out[1].cut, out[1].reset_reason),
        (Outcome::ResetSent, Some(Cut::Late), Some(8))
    );
    assert_eq!((out[1].lost, out[1].lost_bytes), (Lost::Data, 42));
}

#[test]
fn a_missing_mini_socket_is_an_overflow_unless_an_rst_explains_it() {
    let mut merger = Merger::new();
    merger.close(close(1, close_flags::NO_MINI_SOCKET), |_| ());
    merger.close(close(2, close_flags::NO_MINI_SOCKET), |_| ());
    assert!(merger.reset(&reset(2, 0)));
    let out = told(&mut merger, u64::MAX);
    assert!(out[0].time_wait_overflowed);
    assert_eq!(out[0].outcome, Outcome::Fin);
    assert!(!out[1].time_wait_overflowed);
    assert_eq!(out[1].outcome, Outcome::ResetSent);
}

#[test]
fn a_cut_keeps_its_first_cause() {
    let mut merger = Merger::new();
    let mut record = close(1, close_flags::AMBIGUOUS);
    record.cut = Cut::Unanswered as u8;
    merger.close(record, |_| ());
    merger.reset(&reset(1, reset_flags::SETTLES | reset_flags::CUT_LATE));
    assert_eq!(told(&mut merger, u64::MAX)[0].cut, Some(Cut::Unanswered));
}

#[test]
fn an_rst_of_nobody_matches_nothing() {
    let mut merger = Merger::new();
    merger.close(close(1, 0), |_| ());
    assert!(!merger.reset(&reset(0, 0)));
    told(&mut merger, u64::MAX);
    assert!(!merger.reset(&reset(1, 0)), "its close was told already");
}

#[test]
fn a_cookie_that_comes_twice_keeps_both_closes_apart() {
    let mut merger = Merger::new();
    merger.close(close(1, close_flags::AMBIGUOUS), |_| ());
    let mut later = close(1, close_flags::AMBIGUOUS);
    later.header.at_ns += timing::HOLD_NS;
    merger.close(later, |_| ());
    assert_eq!(told(&mut merger, T0 + timing::HOLD_NS).len(), 1);
    assert!(merger.reset(&reset(1, reset_flags::SETTLES)));
    assert_eq!(told(&mut merger, u64::MAX)[0].outcome, Outcome::ResetSent);
}

#[test]
fn too_many_closes_are_told_early_and_counted() {
    let mut merger = Merger::new();
    let mut early = 0;
    for cookie in 0..HELD_MAX as u64 + 3 {
        merger.close(close(cookie, 0), |_| early += 1);
    }
    assert_eq!((early, merger.told_early()), (3, 3));
    let mut rest = 0;
    merger.flush(|_| rest += 1);
    assert_eq!(rest, HELD_MAX);
}
