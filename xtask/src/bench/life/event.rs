//! What happens to a socket in its life, as far as programs may be attached to it, and where the stopwatch keeps it.

use std::fmt;

/// An event of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Event {
    State { old: u8, new: u8 },
    Read,
    ResetSent,
    ResetReceived,
    Destroy,
}

/// Whose socket it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Side {
    Server,
    Client,
}

/// The kernel's names of states, by their numbers.
const NAMES: [&str; 16] = [
    "0",
    "ESTABLISHED",
    "SYN_SENT",
    "SYN_RECV",
    "FIN_WAIT1",
    "FIN_WAIT2",
    "TIME_WAIT",
    "CLOSE",
    "CLOSE_WAIT",
    "LAST_ACK",
    "LISTEN",
    "CLOSING",
    "NEW_SYN_RECV",
    "13",
    "14",
    "15",
];

// === impl Event ===

impl Event {
    pub(super) const STATE: &str = "inet_sock_set_state";
    /// The tracepoints of a socket's life; all but the first in the order of their slots.
    pub(super) const TRACEPOINTS: [&str; 5] = [
        Self::STATE,
        "tcp_rcv_space_adjust",
        "tcp_send_reset",
        "tcp_receive_reset",
        "tcp_destroy_sock",
    ];
    /// A power of two.
    pub(super) const SLOTS: usize = 1024;
    /// The number of states that a slot's number has room for.
    pub(super) const STATES: i32 = 16;
    /// A transition's slot: the old state, the new one, and the side as the lowest bit.
    pub(super) const OLD_SHIFT: i32 = 5;
    pub(super) const NEW_SHIFT: i32 = 1;
    const OTHERS: usize = 512;

    /// The server's slot of a tracepoint other than [`Event::STATE`]; the client's is the next.
    pub(super) fn first_slot(tracepoint: &str) -> i32 {
        let others = || Self::TRACEPOINTS.iter().skip(1);
        let nth = others().position(|other| *other == tracepoint);
        (Self::OTHERS + 2 * nth.unwrap_or_else(|| others().count())) as i32
    }

    pub(super) fn of_slot(slot: usize) -> Option<(Self, Side)> {
        let side = if slot.is_multiple_of(2) {
            Side::Server
        } else {
            Side::Client
        };
        let state = |shift| ((slot >> shift) % Self::STATES as usize) as u8;
        let event = match slot.checked_sub(Self::OTHERS).map(|other| other / 2) {
            None => Self::State {
                old: state(Self::OLD_SHIFT),
                new: state(Self::NEW_SHIFT),
            },
            Some(0) => Self::Read,
            Some(1) => Self::ResetSent,
            Some(2) => Self::ResetReceived,
            Some(3) => Self::Destroy,
            Some(_) => return None,
        };
        Some((event, side))
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |state: u8| NAMES[usize::from(state) % NAMES.len()];
        match *self {
            Self::State { old, new } => write!(f, "{} -> {}", name(old), name(new)),
            Self::Read => f.write_str("read"),
            Self::ResetSent => f.write_str("RST sent"),
            Self::ResetReceived => f.write_str("RST received"),
            Self::Destroy => f.write_str("destroy"),
        }
    }
}

// === impl Side ===

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Server => "server",
            Self::Client => "client",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transitions_slot_tells_it() {
        // As the stopwatch's program computes it: ESTABLISHED to CLOSE_WAIT, a client.
        let slot = 1 << Event::OLD_SHIFT | 8 << Event::NEW_SHIFT | 1;
        let event = Event::State { old: 1, new: 8 };
        assert_eq!(Event::of_slot(slot), Some((event, Side::Client)));
        assert_eq!(event.to_string(), "ESTABLISHED -> CLOSE_WAIT");
    }

    #[test]
    fn each_other_tracepoint_has_slots_of_its_own() {
        let of = |tracepoint| Event::of_slot(Event::first_slot(tracepoint).unsigned_abs() as usize);
        assert_eq!(
            of("tcp_rcv_space_adjust"),
            Some((Event::Read, Side::Server))
        );
        assert_eq!(of("tcp_send_reset"), Some((Event::ResetSent, Side::Server)));
        assert_eq!(
            of("tcp_receive_reset"),
            Some((Event::ResetReceived, Side::Server))
        );
        assert_eq!(of("tcp_destroy_sock"), Some((Event::Destroy, Side::Server)));
        assert_eq!(of("another"), None);
    }
}
