//! Which ends of connections are told. Of most, nothing is to be told but that they were as they should be, and the rows count
//! that; a record of each would cost more than all the rest. So these are told while somebody asks for them, or while anything
//! drains or reloads, and else one in so many, and the first of every service and CPU. What is of note always is.

use aya_ebpf::{btf_maps::Array, macros::btf_map};
use finwatch_common::{CLEAN_CLOSES_SAMPLE, Cell, Outcome, Phase, WAITED_MS};
use finwatch_probe::classify::origin;

use super::{
    conn::{Conn, NONE, flag, pending},
    counters::Row,
    phases,
    tell::Told,
};

/// User space writes it: 0 all, else only what is of note.
#[btf_map]
static FEW_CLOSES: Array<u32, 1> = Array::new();

/// Whether a connection's end is told.
#[inline(always)]
pub(super) fn is(conn: &Conn, row: Row, told: &Told) -> bool {
    let few = FEW_CLOSES.get(0).is_some_and(|few| *few != 0);
    !few || phases::any() || is_of_note(conn, told) || is_of_sample(row, told)
}

#[inline(always)]
fn is_of_note(conn: &Conn, told: &Told) -> bool {
    const FLAGS: u32 = flag::NEVER_ACCEPTED
        | flag::UNREAD_LATER
        | flag::ABANDONED
        | flag::EARLY
        | flag::SMALL_LEFT
        | flag::ANSWERED_BY_EXIT
        | flag::REST_OR_REQUEST;
    told.outcome != Outcome::Fin as u8
        || told.unread > 0
        || told.unacked > 0
        || conn.cut != NONE
        || conn.evidence != NONE
        || conn.pending != pending::NOTHING
        || conn.phase != Phase::Steady as u8
        || conn.waited_ms >= WAITED_MS
        || conn.has(FLAGS)
        || (conn.is_server() && conn.has(flag::BY_EXIT))
}

/// By those of its kind that were counted in this row on this CPU, itself the last.
#[inline(always)]
fn is_of_sample(row: Row, told: &Told) -> bool {
    let alike = row.get(Cell::closes(origin(told.old), Outcome::Fin));
    alike % CLEAN_CLOSES_SAMPLE == 1
}
