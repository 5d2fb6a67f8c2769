//! Reset reasons for kernels that give none (before 6.10): told by where the RST comes from.

use finwatch_common::inferred_reason;
use finwatch_probe::tcp::{SOCK_DEAD, errno, state};

use super::{
    conn::{Conn, flag, pending},
    kernel::{Raw, offset},
};

/// Why `sk` sends an RST.
#[inline(always)]
pub(super) fn reason(conn: &Conn, sk: Raw, tcp_state: u8, answers_segment: bool) -> u8 {
    if answers_segment {
        return match tcp_state {
            state::CLOSE => inferred_reason::ABORT_ON_DATA,
            state::LISTEN => inferred_reason::INVALID_SEGMENT,
            _ => inferred_reason::INVALID_SEGMENT,
        };
    }
    if tcp_state == state::CLOSE {
        return if conn.pending != pending::RESET_FOLLOWS {
            inferred_reason::UNKNOWN
        } else if conn.unread > 0 && !conn.has(flag::NEVER_ACCEPTED) {
            inferred_reason::ABORT_ON_CLOSE
        } else if conn.old_state == state::FIN_WAIT2 && sk.get::<i32>(offset!(linger2)) < 0 {
            inferred_reason::ABORT_ON_LINGER
        } else {
            inferred_reason::TCP_STATE
        };
    }
    let owned = sk.get::<u32>(offset!(owned)) != 0;
    if owned || sk.get::<i32>(offset!(err)) == errno::ECONNABORTED {
        inferred_reason::TCP_STATE
    } else if sk.get::<u64>(offset!(sk_flags)) & SOCK_DEAD != 0 {
        inferred_reason::ABORT_ON_MEMORY
    } else {
        inferred_reason::KEEPALIVE_TIMEOUT
    }
}
