//! What is known of a socket in one bit each ([`super::conn::Conn`]).

/// Was there before the programs.
pub(super) const PREEXISTING: u32 = 1 << 0;
/// Counted as open, and not yet as left.
pub(super) const OPEN: u32 = 1 << 1;
/// The first closing transition was judged.
pub(super) const JUDGED: u32 = 1 << 2;
/// Our FIN is out.
pub(super) const LOCAL_FIN: u32 = 1 << 3;
/// `tcp_reset()` ran.
pub(super) const RESET_SEEN: u32 = 1 << 4;
/// We sent an RST before the transition to CLOSE.
pub(super) const RESET_BEFORE: u32 = 1 << 5;
/// The process was dying when it closed.
pub(super) const BY_EXIT: u32 = 1 << 6;
/// Never accepted.
pub(super) const NEVER_ACCEPTED: u32 = 1 << 7;
/// What is unread is told when the socket is destroyed: until then it can be read.
pub(super) const UNREAD_LATER: u32 = 1 << 8;
/// The role was told by the port alone.
pub(super) const ROLE_BY_PORT: u32 = 1 << 9;
/// The peer left while its request had no answer.
pub(super) const ABANDONED: u32 = 1 << 10;
/// Reached CLOSE.
pub(super) const CLOSED: u32 = 1 << 11;
/// Counted as opened, or seeded.
pub(super) const OPENED: u32 = 1 << 12;
/// Counted into CLOSE_WAIT, and not yet out of it.
pub(super) const CLOSE_WAIT: u32 = 1 << 13;
/// The turns are kept from the first byte on.
pub(super) const TURNS: u32 = 1 << 14;
/// Data was sent within the second before the process died.
pub(super) const SENDING: u32 = 1 << 15;
/// Left ESTABLISHED and CLOSE_WAIT while its instance neither drained nor reloaded.
pub(super) const LEFT_STEADY: u32 = 1 << 16;
/// Nothing had gone to and fro for a while, and nothing was owed, when our FIN went out.
pub(super) const AT_REST: u32 = 1 << 17;
/// More had come than the program took when it last read.
pub(super) const MORE_TO_READ: u32 = 1 << 18;
/// Answered before all of its question was read, and reset with the rest.
pub(super) const EARLY: u32 = 1 << 19;
/// The peer sent one message after another, and never had an answer.
pub(super) const MESSAGES: u32 = 1 << 20;
/// A question that is small was answered.
pub(super) const SMALL_ANSWERED: u32 = 1 << 21;
/// What came last was as small, was left without an answer, and may have been a question.
pub(super) const SMALL_LEFT: u32 = 1 << 22;
/// This side closed in the instant of its answer to a question that had come in several parts: what comes behind it may be the rest.
pub(super) const REST_MAY_COME: u32 = 1 << 23;
/// That was lost, or another request.
pub(super) const REST_OR_REQUEST: u32 = 1 << 24;
/// What is asked now began before its peer had seen the last answer.
pub(super) const FOLLOWS: u32 = 1 << 25;
/// The peer had left, and the process was dying when it followed.
pub(super) const ANSWERED_BY_EXIT: u32 = 1 << 27;
/// Counted among those that hold its row. A child that still has its listener's copy is none.
pub(super) const HOLDS: u32 = 1 << 26;
