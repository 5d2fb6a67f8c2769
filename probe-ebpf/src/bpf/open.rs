//! Who is open, and who is in CLOSE_WAIT: each coming and going is counted once, whichever transition shows it.

use finwatch_common::{Cell, Phase};

use super::{
    conn::{Conn, flag},
    counters::Row,
};

/// It is open from now on.
#[inline(always)]
pub(super) fn opened(conn: &mut Conn, row: Row) {
    conn.set(flag::OPEN | flag::OPENED);
    row.inc_at::<{ Cell::OPENED.index() }>();
}

/// It is open no longer, if it was.
#[inline(always)]
pub(super) fn left(conn: &mut Conn, row: Row) {
    if conn.has(flag::OPEN) {
        conn.clear(flag::OPEN);
        if conn.phase == Phase::Steady as u8 {
            conn.set(flag::LEFT_STEADY);
        }
        row.inc_at::<{ Cell::LEFT.index() }>();
    }
}

/// It is in CLOSE_WAIT no longer, if it was.
#[inline(always)]
pub(super) fn left_close_wait(conn: &mut Conn, row: Row) {
    if conn.has(flag::CLOSE_WAIT) {
        conn.clear(flag::CLOSE_WAIT);
        row.inc_at::<{ Cell::CLOSE_WAIT_OUT.index() }>();
    }
}
