//! TCP states by the kernel's numbers (`include/net/tcp_states.h`): part of its user-visible interface, they do not
//! change. What they mean for a connection's end is the kernel programs' business.

/// ESTABLISHED.
pub const ESTABLISHED: u8 = 1;
/// SYN_SENT.
pub const SYN_SENT: u8 = 2;
/// SYN_RECV.
pub const SYN_RECV: u8 = 3;
/// FIN_WAIT1.
pub const FIN_WAIT1: u8 = 4;
/// FIN_WAIT2.
pub const FIN_WAIT2: u8 = 5;
/// TIME_WAIT: a mini-socket, in either substate.
pub const TIME_WAIT: u8 = 6;
/// CLOSE.
pub const CLOSE: u8 = 7;
/// CLOSE_WAIT.
pub const CLOSE_WAIT: u8 = 8;
/// LAST_ACK.
pub const LAST_ACK: u8 = 9;
/// LISTEN.
pub const LISTEN: u8 = 10;
/// CLOSING.
pub const CLOSING: u8 = 11;
/// NEW_SYN_RECV: a request socket.
pub const NEW_SYN_RECV: u8 = 12;
