//! Constants of the kernel's TCP that no header of ours can give: they are part of its user-visible
//! interface and do not change.

pub use finwatch_common::tcp as state;

/// Protocol number of TCP (RFC 9293).
pub const IPPROTO_TCP: u16 = 6;

/// Errno values that the kernel leaves in `sk->sk_err`.
pub mod errno {
    /// EPIPE: reset in CLOSE_WAIT.
    pub const EPIPE: i32 = 32;
    /// ECONNABORTED: aborted by the administrator (`tcp_abort`).
    pub const ECONNABORTED: i32 = 103;
    /// ECONNRESET.
    pub const ECONNRESET: i32 = 104;
    /// ETIMEDOUT.
    pub const ETIMEDOUT: i32 = 110;
}

/// `sk_shutdown`: no more is received.
pub const RCV_SHUTDOWN: u8 = 1;
/// `enum sock_flags`: the socket is orphaned.
pub const SOCK_DEAD: u64 = 1 << 0;
/// `enum sock_flags`: the peer's FIN was processed (`tcp_fin`).
pub const SOCK_DONE: u64 = 1 << 1;

/// TCP header flags (RFC 9293 section 3.1).
pub const TH_FIN: u8 = 0x01;
/// SYN.
pub const TH_SYN: u8 = 0x02;
/// ACK.
pub const TH_ACK: u8 = 0x10;

/// Distance from sequence number `from` to `to`, 0 when `to` lies before (RFC 9293 section 3.4).
#[inline(always)]
pub const fn seq_after(to: u32, from: u32) -> u32 {
    let distance = to.wrapping_sub(from);
    if distance > i32::MAX as u32 {
        0
    } else {
        distance
    }
}

/// Received bytes that the program has not read. `done`: the peer's FIN was processed; it takes a
/// sequence number that carries no data.
#[inline(always)]
pub const fn unread(rcv_nxt: u32, copied_seq: u32, done: bool) -> u32 {
    let bytes = seq_after(rcv_nxt, copied_seq);
    if done && bytes > 0 { bytes - 1 } else { bytes }
}

/// Written bytes that the peer has not acknowledged; our own FIN, once queued, is none.
#[inline(always)]
pub const fn unacked(write_seq: u32, snd_una: u32, old_state: u8) -> u32 {
    let bytes = seq_after(write_seq, snd_una);
    let fin = matches!(
        old_state,
        state::FIN_WAIT1 | state::CLOSING | state::LAST_ACK
    );
    if fin && bytes > 0 { bytes - 1 } else { bytes }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_wrap() {
        assert_eq!(seq_after(5, u32::MAX - 4), 10);
        assert_eq!(seq_after(u32::MAX, 0), 0, "behind counts as nothing");
        assert_eq!(seq_after(7, 7), 0);
    }

    #[test]
    fn the_peers_fin_is_not_unread_data() {
        assert_eq!(unread(101, 100, true), 0);
        assert_eq!(unread(100, 100, true), 0, "the program read up to the end");
        assert_eq!(unread(120, 100, true), 19);
        assert_eq!(unread(120, 100, false), 20);
    }

    #[test]
    fn our_fin_is_not_unacknowledged_data() {
        assert_eq!(unacked(11, 10, state::FIN_WAIT1), 0);
        assert_eq!(unacked(31, 10, state::LAST_ACK), 20);
        assert_eq!(unacked(10, 10, state::FIN_WAIT2), 0);
        assert_eq!(unacked(15, 10, state::ESTABLISHED), 5);
    }
}
