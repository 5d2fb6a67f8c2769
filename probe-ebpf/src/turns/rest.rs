//! Uploads that are answered before all of them is there (a 413, a 401, a redirect): what follows the answer is the rest of the question
//! that it answers, and no other one. Only an upload is so long that it is answered while it comes.

use super::{Turn, Turns};
use crate::{frames::is_alert, tcp::seq_after};

/// An answer is no shorter. HTTP's `100 Continue` is, and so are HTTP/2's SETTINGS, PINGs and WINDOW_UPDATEs.
const ANSWER_BYTES_MIN: u32 = 64;
/// An upload is no shorter; the head of a request is, as a rule.
const UPLOAD_BYTES_MIN: u32 = 4096;

/// Whether so many bytes are the body of an upload of which the head alone had been read, `asked` bytes, when `answered` bytes were
/// written.
#[inline(always)]
pub const fn is_body(asked: u32, answered: u32, bytes: u32) -> bool {
    asked < UPLOAD_BYTES_MIN && answered >= ANSWER_BYTES_MIN && is_upload(bytes)
}

/// Whether so many bytes are some of an upload.
#[inline(always)]
pub const fn is_upload(bytes: u32) -> bool {
    bytes >= UPLOAD_BYTES_MIN
}

impl Turns {
    /// The turn to judge, where what was asked last was sent before the answer to what was asked before was seen: the rest of an upload,
    /// which has that answer. A server that speaks TLS says goodbye behind it.
    #[inline(always)]
    pub const fn with_rest(&self, turn: Turn) -> Turn {
        let answered = seq_after(self.written, self.prev_written);
        let is_upload = is_upload(turn.asked) || is_upload(self.prev_asked);
        let silent = turn.since_read == 0 || (self.may_be_tls() && is_alert(turn.since_read));
        if self.count < 2 || !silent || answered < ANSWER_BYTES_MIN || !is_upload {
            return turn;
        }
        Turn {
            since_read: answered,
            asked: self.prev_asked.saturating_add(turn.asked),
        }
    }
}

#[cfg(test)]
mod tests {
    use finwatch_common::Evidence;

    use super::{super::tests::Talk, is_body};

    fn owed(talk: &Talk) -> Option<Evidence> {
        let last = talk.turns.last(talk.written, 0);
        talk.turns.owed(talk.turns.with_rest(last))
    }

    #[test]
    fn the_rest_of_an_upload_has_the_answer_that_came_before_it() {
        let part = Talk::new().reads(65_536).writes(340).reads(234_464);
        assert_eq!(owed(&part), None);
        assert_eq!(part.owed(), Some(Evidence::Silent), "when it came later");
        let head = Talk::new().reads(120).writes(340).reads(300_000);
        assert_eq!(owed(&head), None, "of the head alone");
        let end = Talk::new().reads(65_536).writes(340).reads(700);
        assert_eq!(owed(&end), None, "however little is left");
    }

    #[test]
    fn what_is_no_upload_or_had_no_answer_is_owed() {
        for talk in [
            Talk::new().reads(300_000),
            Talk::new().reads(120).writes(340).reads(120),
            // 100 Continue, and the WINDOW_UPDATEs of HTTP/2.
            Talk::new().reads(120).writes(25).reads(300_000),
            Talk::new().reads(65_536).writes(26).reads(65_536),
        ] {
            assert_eq!(owed(&talk), Some(Evidence::Silent), "{talk:?}");
        }
    }

    #[test]
    fn a_body_is_long_and_comes_behind_a_head() {
        assert!(is_body(120, 340, 4096));
        assert!(!is_body(120, 340, 700), "another request");
        assert!(!is_body(9000, 340, 9000), "another upload");
        assert!(!is_body(120, 25, 4096), "asked to go on");
    }

    #[test]
    fn a_goodbye_of_tls_behind_the_rest_is_no_answer_and_none_is_owed() {
        let part = Talk::new().reads(517).writes(1500).reads(65_536);
        for goodbye in [0, 23, 24, 31] {
            let rest = part.writes(340).reads(9000).writes(goodbye);
            assert_eq!(owed(&rest), None, "{goodbye}");
            let last = rest.turns.last(rest.written, 0);
            let both = rest.turns.with_rest(last);
            assert_eq!((both.since_read, both.asked), (340, 65_536 + 9000));
        }
        let answered = part.writes(340).reads(9000).writes(300);
        let last = answered.turns.last(answered.written, 0);
        assert_eq!(answered.turns.with_rest(last), last, "it had its own");
    }

    #[test]
    fn words_of_welcome_are_no_answer() {
        let greeted = Talk::new().writes(100).reads(300_000);
        assert_eq!(owed(&greeted), Some(Evidence::Silent));
    }
}
