//! What turns say, in functions of their own: the verifier goes through a global function once, whoever calls it, where what is
//! inlined is gone through with every path that leads there.

use finwatch_common::Evidence;
use finwatch_probe::{
    frames,
    manner::Manner,
    turns::{Turn, Turns},
};

/// Bits of [`finwatch_turn`]'s answer: `since_read`, then `asked` (saturating), then the evidence.
const ASKED_SHIFT: u32 = 32;
const ASKED_MAX: u32 = (1 << 30) - 1;
const EVIDENCE_SHIFT: u32 = 62;
/// No [`Evidence`].
const NONE: u64 = 3;

/// The turn to judge, and whether the server owes its answer. `rest`: what was asked last is the rest of what was answered, if it was an
/// upload.
#[inline(always)]
pub(super) fn judged(
    turns: &Turns,
    write_seq: u32,
    unread: u32,
    rest: bool,
) -> (Turn, Option<Evidence>) {
    // SAFETY: the pointer is a reference.
    let told = unsafe { finwatch_turn(turns, write_seq, unread, rest.into()) };
    let turn = Turn {
        since_read: told as u32,
        asked: (told >> ASKED_SHIFT) as u32 & ASKED_MAX,
    };
    (turn, Evidence::from_u8((told >> EVIDENCE_SHIFT) as u8))
}

/// What the conversation says of the peer's last bytes; `at_stop`: while a server ends what is open.
#[inline(always)]
pub(super) fn manner(turns: &Turns, at_stop: bool) -> Manner {
    // SAFETY: the pointer is a reference.
    Manner::from_bits(unsafe { finwatch_manner(turns, at_stop.into()) } as u8)
}

/// Whether so many bytes in so many segments are the goodbye of a peer with such a manner.
#[inline(always)]
pub(super) fn is_goodbye(manner: Manner, bytes: u32, segments: u32) -> bool {
    finwatch_is_goodbye(manner.bits().into(), bytes, segments) != 0
}

/// # Safety
///
/// `turns` is null, or points to turns.
#[unsafe(no_mangle)]
#[inline(never)]
unsafe extern "C" fn finwatch_turn(
    turns: *const Turns,
    write_seq: u32,
    unread: u32,
    rest: u32,
) -> u64 {
    // SAFETY: by the caller.
    let Some(turns) = (unsafe { turns.as_ref() }) else {
        return NONE << EVIDENCE_SHIFT;
    };
    let mut turn = turns.last_by(
        write_seq,
        unread,
        // SAFETY: the pointer is a reference.
        || unsafe { finwatch_alert_behind_pings(turns, write_seq, unread) },
        // SAFETY: as above.
        || unsafe { finwatch_alert_behind_settings(turns, write_seq, unread) },
    );
    if rest != 0 {
        turn = turns.with_rest(turn);
    }
    let evidence = match turns.owed(turn) {
        Some(evidence) => evidence as u64,
        None => NONE,
    };
    let asked = if turn.asked > ASKED_MAX {
        ASKED_MAX
    } else {
        turn.asked
    };
    u64::from(turn.since_read) | u64::from(asked) << ASKED_SHIFT | evidence << EVIDENCE_SHIFT
}

/// # Safety
///
/// `turns` is null, or points to turns.
#[unsafe(no_mangle)]
#[inline(never)]
unsafe extern "C" fn finwatch_alert_behind_pings(
    turns: *const Turns,
    write_seq: u32,
    unread: u32,
) -> u32 {
    // SAFETY: by the caller.
    match unsafe { turns.as_ref() } {
        Some(turns) => turns.alert_behind_pings(write_seq, unread),
        None => frames::NONE,
    }
}

/// # Safety
///
/// `turns` is null, or points to turns.
#[unsafe(no_mangle)]
#[inline(never)]
unsafe extern "C" fn finwatch_alert_behind_settings(
    turns: *const Turns,
    write_seq: u32,
    unread: u32,
) -> u32 {
    // SAFETY: by the caller.
    match unsafe { turns.as_ref() } {
        Some(turns) => turns.alert_behind_settings(write_seq, unread),
        None => frames::NONE,
    }
}

/// # Safety
///
/// `turns` is null, or points to turns.
#[unsafe(no_mangle)]
#[inline(never)]
unsafe extern "C" fn finwatch_manner(turns: *const Turns, at_stop: u32) -> u32 {
    // SAFETY: by the caller.
    let Some(turns) = (unsafe { turns.as_ref() }) else {
        return 0;
    };
    let manner = if at_stop == 0 {
        turns.manner()
    } else {
        turns.manner_at_stop()
    };
    manner.bits().into()
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn finwatch_is_goodbye(manner: u32, bytes: u32, segments: u32) -> u32 {
    Manner::from_bits(manner as u8)
        .is_goodbye_in(bytes, segments)
        .into()
}
