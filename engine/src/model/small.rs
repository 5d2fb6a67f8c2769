//! Questions under 18 bytes: a control frame may be as short, and so may a goodbye in words. Whether a service's clients ask such
//! questions is told by what became of them in its ordinary time.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Fewer connections that had to do with them show nothing.
const CONNECTIONS_MIN: u64 = 5;
/// What happens to one in so many may be chance, or a loss.
const FEW: u64 = 10;

/// What became of them, in connections that ended. Sizes that a protocol's control frames have are left out where such a protocol may be
/// spoken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SmallQuestions {
    /// One was answered.
    pub answered: u64,
    /// This side ended the connection and had not answered, or not read, what came last, and the client saw that end before it left. Not
    /// counted as cut: the connection did not tell whether it was a question.
    pub left: u64,
    /// The same of what came after our FIN and was reset.
    pub late: u64,
}

/// What so few bytes are to a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// Questions that get answers: one without is lost.
    Questions,
    /// Goodbyes, which nobody answers.
    Goodbyes,
    /// Not known: too few were seen, or both.
    Unknown,
}

// === impl SmallQuestions ===

impl SmallQuestions {
    /// Adds what was counted elsewhere.
    pub const fn add(&mut self, other: Self) {
        let Self {
            answered,
            left,
            late,
        } = other;
        self.answered += answered;
        self.left += left;
        self.late += late;
    }

    /// The larger of each number.
    #[must_use]
    pub fn at_least(self, other: Self) -> Self {
        Self {
            answered: self.answered.max(other.answered),
            left: self.left.max(other.left),
            late: self.late.max(other.late),
        }
    }

    /// Those of which nothing tells whether they were lost.
    pub const fn open(&self) -> u64 {
        self.left + self.late
    }

    /// What they are, by ordinary connections; `here` are those of the stretch that is judged, of which only what was answered tells
    /// anything.
    pub const fn meaning(ordinary: &Self, here: &Self) -> Meaning {
        let answered = ordinary.answered + here.answered;
        let open = ordinary.open();
        if answered + open < CONNECTIONS_MIN {
            Meaning::Unknown
        } else if open.saturating_mul(FEW) <= answered {
            Meaning::Questions
        } else if answered.saturating_mul(FEW) <= open {
            Meaning::Goodbyes
        } else {
            Meaning::Unknown
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ended(answered: u64, left: u64, late: u64) -> SmallQuestions {
        SmallQuestions {
            answered,
            left,
            late,
        }
    }

    #[test]
    fn ordinary_connections_tell_what_they_are() {
        let meaning = |ordinary| SmallQuestions::meaning(&ordinary, &ended(0, 3, 2));
        assert_eq!(meaning(ended(4, 0, 0)), Meaning::Unknown, "too few");
        assert_eq!(meaning(ended(5, 0, 0)), Meaning::Questions);
        assert_eq!(meaning(ended(20, 1, 1)), Meaning::Questions, "chance");
        assert_eq!(meaning(ended(20, 3, 0)), Meaning::Unknown, "both");
        assert_eq!(meaning(ended(1, 5, 5)), Meaning::Goodbyes);
    }

    #[test]
    fn what_is_judged_tells_only_by_answers() {
        let nothing = ended(0, 0, 0);
        let meaning = |here| SmallQuestions::meaning(&nothing, &here);
        assert_eq!(meaning(ended(0, 50, 50)), Meaning::Unknown);
        assert_eq!(meaning(ended(5, 50, 50)), Meaning::Questions);
    }
}
