//! What is said on a connection before it is idle.

/// A question of a client.
pub(super) const QUESTION_BYTES: usize = 120;
/// The server's answer.
pub(super) const ANSWER_BYTES: usize = 600;
