//! How a connection ended, told at its transition to CLOSE by ordered rules: the first that fits.

use finwatch_common::{Origin, Outcome, TimeWait};

use crate::tcp::{RCV_SHUTDOWN, errno, state};

/// What is known at the transition to CLOSE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// State that is left.
    pub old_state: u8,
    /// Process context holds the socket (`sk_lock.owned`).
    pub owned: bool,
    /// Established, never accepted: no file, not orphaned, dropped with its listener.
    pub never_accepted: bool,
    /// `sk_err`.
    pub err: i32,
    /// `sk_shutdown`.
    pub shutdown: u8,
    /// `tcp_reset()` ran: an RST came, or data after our close().
    pub reset_seen: bool,
    /// This host sent an RST before it left the state (keepalive, abort, memory).
    pub reset_before: bool,
    /// Retransmissions or probes are unanswered.
    pub retrying: bool,
    /// Sent data is unacknowledged.
    pub unacked: bool,
    /// The mini-socket that stands in the hash table now.
    pub time_wait: TimeWait,
}

/// What the end is, or what will tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is told.
    Known(Outcome),
    /// An RST of this host follows at once; if the socket is destroyed without one, it is `Unknown`
    /// (or, from FIN_WAIT2, a mini-socket that could not be had).
    ResetFollows,
    /// The peer's RST ended it, unless an RST of this host follows (then data after close() did).
    ReceivedUnlessResetFollows,
    /// A mini-socket could not be had, unless an RST of this host follows (then data with the ACK of
    /// our FIN did).
    NoMiniSocketUnlessResetFollows,
}

impl Verdict {
    /// As a number.
    #[inline(always)]
    pub const fn code(self) -> u32 {
        match self {
            Self::Known(outcome) => outcome as u32,
            Self::ResetFollows => RESET_FOLLOWS,
            Self::ReceivedUnlessResetFollows => RECEIVED,
            Self::NoMiniSocketUnlessResetFollows => NO_MINI_SOCKET,
        }
    }

    /// From [`Verdict::code`].
    #[inline(always)]
    pub const fn from_code(code: u32) -> Self {
        match code {
            RESET_FOLLOWS => Self::ResetFollows,
            RECEIVED => Self::ReceivedUnlessResetFollows,
            NO_MINI_SOCKET => Self::NoMiniSocketUnlessResetFollows,
            outcome => match Outcome::from_u8(outcome as u8) {
                Some(outcome) => Self::Known(outcome),
                None => Self::Known(Outcome::Unknown),
            },
        }
    }
}

const RESET_FOLLOWS: u32 = 16;
const RECEIVED: u32 = 17;
const NO_MINI_SOCKET: u32 = 18;

/// Who sent the first FIN, by the state that is left.
#[inline(always)]
pub const fn origin(old_state: u8) -> Origin {
    match old_state {
        state::FIN_WAIT1 | state::FIN_WAIT2 => Origin::Local,
        state::CLOSE_WAIT | state::LAST_ACK => Origin::Remote,
        state::CLOSING => Origin::Both,
        _ => Origin::None,
    }
}

/// How it ended.
#[inline(always)]
pub const fn classify(end: End) -> Verdict {
    if end.reset_seen {
        let closed_by_us = matches!(end.old_state, state::FIN_WAIT1 | state::FIN_WAIT2);
        if closed_by_us && end.shutdown & RCV_SHUTDOWN != 0 {
            return Verdict::ReceivedUnlessResetFollows;
        }
        return Verdict::Known(Outcome::ResetReceived);
    }
    if end.reset_before {
        return Verdict::Known(if end.err == errno::ETIMEDOUT {
            Outcome::Timeout
        } else {
            Outcome::ResetSent
        });
    }
    if !matches!(end.time_wait, TimeWait::None) {
        return Verdict::Known(Outcome::Fin);
    }
    if end.err == errno::ETIMEDOUT || (end.err != 0 && end.retrying) {
        return Verdict::Known(Outcome::Timeout);
    }
    if end.never_accepted {
        return Verdict::ResetFollows;
    }
    match end.old_state {
        state::FIN_WAIT2 if end.owned => Verdict::ResetFollows,
        state::FIN_WAIT2 => Verdict::NoMiniSocketUnlessResetFollows,
        // A simultaneous close without a mini-socket: the table was full.
        state::CLOSING => Verdict::Known(Outcome::Fin),
        state::LAST_ACK if !end.unacked => Verdict::Known(Outcome::Fin),
        state::LAST_ACK if end.retrying => Verdict::Known(Outcome::Timeout),
        _ if end.owned => Verdict::ResetFollows,
        state::FIN_WAIT1 if end.retrying => Verdict::Known(Outcome::Timeout),
        _ => Verdict::Known(Outcome::Unknown),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const END: End = End {
        old_state: state::ESTABLISHED,
        owned: false,
        never_accepted: false,
        err: 0,
        shutdown: 0,
        reset_seen: false,
        reset_before: false,
        retrying: false,
        unacked: false,
        time_wait: TimeWait::None,
    };

    #[test]
    fn codes_lead_back() {
        let known = Outcome::ALL.map(Verdict::Known);
        let pending = [
            Verdict::ResetFollows,
            Verdict::ReceivedUnlessResetFollows,
            Verdict::NoMiniSocketUnlessResetFollows,
        ];
        for verdict in known.into_iter().chain(pending) {
            assert_eq!(Verdict::from_code(verdict.code()), verdict);
        }
    }

    #[test]
    fn origins() {
        assert_eq!(origin(state::FIN_WAIT1), Origin::Local);
        assert_eq!(origin(state::FIN_WAIT2), Origin::Local);
        assert_eq!(origin(state::LAST_ACK), Origin::Remote);
        assert_eq!(origin(state::CLOSE_WAIT), Origin::Remote);
        assert_eq!(origin(state::CLOSING), Origin::Both);
        assert_eq!(origin(state::ESTABLISHED), Origin::None);
        assert_eq!(origin(state::SYN_RECV), Origin::None);
    }

    #[test]
    fn active_close_leaves_a_mini_socket() {
        for time_wait in [TimeWait::TimeWait, TimeWait::FinWait2] {
            let end = End {
                old_state: state::FIN_WAIT2,
                time_wait,
                ..END
            };
            assert_eq!(classify(end), Verdict::Known(Outcome::Fin));
            let backlog = End { owned: true, ..end };
            assert_eq!(classify(backlog), Verdict::Known(Outcome::Fin));
        }
    }

    #[test]
    fn a_missing_mini_socket_is_told_by_what_follows() {
        let end = End {
            old_state: state::FIN_WAIT2,
            ..END
        };
        assert_eq!(classify(end), Verdict::NoMiniSocketUnlessResetFollows);
        assert_eq!(classify(End { owned: true, ..end }), Verdict::ResetFollows);
    }

    #[test]
    fn a_reset_in_fin_wait_is_ambiguous_only_after_close() {
        let end = End {
            old_state: state::FIN_WAIT2,
            reset_seen: true,
            err: 104,
            ..END
        };
        assert_eq!(
            classify(end),
            Verdict::Known(Outcome::ResetReceived),
            "half-closed"
        );
        let closed = End { shutdown: 3, ..end };
        assert_eq!(classify(closed), Verdict::ReceivedUnlessResetFollows);
        let established = End {
            old_state: state::ESTABLISHED,
            ..closed
        };
        assert_eq!(
            classify(established),
            Verdict::Known(Outcome::ResetReceived)
        );
    }

    #[test]
    fn aborts_wait_for_their_reset() {
        for old_state in [
            state::ESTABLISHED,
            state::CLOSE_WAIT,
            state::FIN_WAIT1,
            state::SYN_RECV,
        ] {
            let end = End {
                old_state,
                owned: true,
                ..END
            };
            assert_eq!(classify(end), Verdict::ResetFollows);
        }
        let queued = End {
            never_accepted: true,
            ..END
        };
        assert_eq!(classify(queued), Verdict::ResetFollows);
    }

    #[test]
    fn a_reset_before_the_end_is_ours() {
        let abort = End {
            reset_before: true,
            err: 103,
            owned: true,
            ..END
        };
        assert_eq!(classify(abort), Verdict::Known(Outcome::ResetSent));
        let keepalive = End {
            reset_before: true,
            err: 110,
            ..END
        };
        assert_eq!(classify(keepalive), Verdict::Known(Outcome::Timeout));
    }

    #[test]
    fn timeouts() {
        let rto = End {
            err: 110,
            retrying: true,
            ..END
        };
        assert_eq!(classify(rto), Verdict::Known(Outcome::Timeout));
        let unreachable = End {
            err: 113,
            retrying: true,
            ..END
        };
        assert_eq!(classify(unreachable), Verdict::Known(Outcome::Timeout));
        let orphan = End {
            old_state: state::FIN_WAIT1,
            retrying: true,
            unacked: true,
            ..END
        };
        assert_eq!(classify(orphan), Verdict::Known(Outcome::Timeout));
    }

    #[test]
    fn passive_close() {
        let end = End {
            old_state: state::LAST_ACK,
            ..END
        };
        assert_eq!(classify(end), Verdict::Known(Outcome::Fin));
        assert_eq!(
            classify(End { owned: true, ..end }),
            Verdict::Known(Outcome::Fin)
        );
    }

    #[test]
    fn a_dying_namespace_is_unknown() {
        assert_eq!(classify(END), Verdict::Known(Outcome::Unknown));
    }
}
