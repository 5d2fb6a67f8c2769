//! The steps of the measured lives, and what is known to happen in each.

use super::event::{Event, Side};

/// One step of a crowd of connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    Listen,
    Refused,
    Open,
    FirstTurn,
    SecondTurn,
    LateTurn,
    LongQuestion,
    LongAnswer,
    ServerClosesFirst,
    ClientFollows,
    ClientClosesFirst,
    ServerFollows,
    ClientHalfCloses,
    ServerAnswersAndCloses,
    ClientLetsGo,
    ClientResets,
    ServerAfterReset,
}

use Event::{Destroy, Read, ResetReceived, ResetSent};
use Side::{Client, Server};

const ESTABLISHED: u8 = 1;
const SYN_SENT: u8 = 2;
const SYN_RECV: u8 = 3;
const FIN_WAIT1: u8 = 4;
const FIN_WAIT2: u8 = 5;
const CLOSE: u8 = 7;
const CLOSE_WAIT: u8 = 8;
const LAST_ACK: u8 = 9;
const LISTEN: u8 = 10;

// === impl Step ===

impl Step {
    pub(super) fn what(self) -> &'static str {
        match self {
            Self::Listen => "a listener comes and goes",
            Self::Refused => "a connect is refused",
            Self::Open => "open",
            Self::FirstTurn => "first turn",
            Self::SecondTurn => "second turn",
            Self::LateTurn => "turns 91 to 100",
            Self::LongQuestion => "more of a question",
            Self::LongAnswer => "more of an answer",
            Self::ServerClosesFirst => "the server closes first",
            Self::ClientFollows => ".. and the client",
            Self::ClientClosesFirst => "the client closes first",
            Self::ServerFollows => ".. and the server",
            Self::ClientHalfCloses => "the client shuts down its half",
            Self::ServerAnswersAndCloses => ".. the server answered and closes",
            Self::ClientLetsGo => ".. and the client",
            Self::ClientResets => "the client closes with its answer unread",
            Self::ServerAfterReset => ".. and the server",
        }
    }

    /// Whose socket has the event, where its remote port does not tell: a socket that was refused has none any more when it
    /// is destroyed.
    pub(super) fn side_of(self, event: Event) -> Option<Side> {
        (self == Self::Refused && event != ResetSent).then_some(Client)
    }

    /// What happens to every connection of this step. A step may run more: an acknowledgement is sent at once or with
    /// what follows, and a transition comes with it.
    pub(super) fn always(self) -> &'static [(Event, Side)] {
        const fn state(old: u8, new: u8) -> Event {
            Event::State { old, new }
        }
        match self {
            Self::Listen => {
                const {
                    &[
                        (state(CLOSE, LISTEN), Server),
                        (state(LISTEN, CLOSE), Server),
                        (Destroy, Server),
                    ]
                }
            }
            Self::Refused => {
                const {
                    &[
                        (state(CLOSE, SYN_SENT), Client),
                        (ResetReceived, Client),
                        (state(SYN_SENT, CLOSE), Client),
                        (Destroy, Client),
                    ]
                }
            }
            Self::Open => {
                const {
                    &[
                        (state(CLOSE, SYN_SENT), Client),
                        (state(SYN_SENT, ESTABLISHED), Client),
                        (state(LISTEN, SYN_RECV), Server),
                        (state(SYN_RECV, ESTABLISHED), Server),
                    ]
                }
            }
            Self::FirstTurn | Self::SecondTurn | Self::LateTurn => {
                &[(Read, Server), (Read, Client)]
            }
            Self::LongQuestion => &[(Read, Server)],
            Self::LongAnswer => &[(Read, Client)],
            Self::ServerClosesFirst => {
                const {
                    &[
                        (state(ESTABLISHED, FIN_WAIT1), Server),
                        (state(ESTABLISHED, CLOSE_WAIT), Client),
                    ]
                }
            }
            Self::ClientFollows => {
                const {
                    &[
                        (state(CLOSE_WAIT, LAST_ACK), Client),
                        (state(FIN_WAIT2, CLOSE), Server),
                        (Destroy, Server),
                        (state(LAST_ACK, CLOSE), Client),
                        (Destroy, Client),
                    ]
                }
            }
            Self::ClientClosesFirst | Self::ClientHalfCloses => {
                const {
                    &[
                        (state(ESTABLISHED, FIN_WAIT1), Client),
                        (state(ESTABLISHED, CLOSE_WAIT), Server),
                    ]
                }
            }
            Self::ServerFollows => {
                const {
                    &[
                        (state(CLOSE_WAIT, LAST_ACK), Server),
                        (state(FIN_WAIT2, CLOSE), Client),
                        (Destroy, Client),
                        (state(LAST_ACK, CLOSE), Server),
                        (Destroy, Server),
                    ]
                }
            }
            Self::ServerAnswersAndCloses => {
                const {
                    &[
                        (state(CLOSE_WAIT, LAST_ACK), Server),
                        (state(FIN_WAIT2, CLOSE), Client),
                        (state(LAST_ACK, CLOSE), Server),
                        (Destroy, Server),
                    ]
                }
            }
            Self::ClientLetsGo => &[(Destroy, Client)],
            Self::ClientResets => {
                const {
                    &[
                        (state(ESTABLISHED, CLOSE), Client),
                        (ResetSent, Client),
                        (Destroy, Client),
                        (ResetReceived, Server),
                        (state(ESTABLISHED, CLOSE), Server),
                    ]
                }
            }
            Self::ServerAfterReset => &[(Destroy, Server)],
        }
    }
}
