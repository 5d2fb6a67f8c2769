//! What kind of conversation a service holds: whether a question of its client waits for an answer. Only then is a request
//! without one lost.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Counts;

/// Fewer connections show no shape.
const CONNECTIONS_MIN: u64 = 5;

/// The kinds.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum ShapeKind {
    /// The client asks, and waits for the answer (HTTP, SQL, Redis). So it is where nothing is known.
    #[default]
    RequestAnswer,
    /// The client tells, and nobody answers (syslog, metrics, events).
    OneWayIn,
    /// The server tells, and nobody asks (feeds).
    OneWayOut,
    /// Both tell what they like when they like (SSH, chat, MQTT): what was said last has ordinarily no answer.
    Stream,
}

/// How it is known.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// It is not: too few connections ended.
    #[default]
    Unknown,
    /// By the drain's own connections, as there were no ordinary ones.
    Guessed,
    /// By connections that ended in the service's ordinary time.
    Learned,
    /// By its program, whose protocol has no other.
    Program,
    /// The configuration says so.
    Configured,
}

/// See the module.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Shape {
    /// Which kind.
    pub kind: ShapeKind,
    /// How that is known.
    pub basis: Basis,
    /// Connections that showed it.
    pub connections: u64,
}

// === impl ShapeKind ===

impl ShapeKind {
    /// As it is shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RequestAnswer => "request/answer",
            Self::OneWayIn => "one-way in",
            Self::OneWayOut => "one-way out",
            Self::Stream => "stream",
        }
    }
}

impl fmt::Display for ShapeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

// === impl Shape ===

impl Shape {
    /// What the configuration says: nothing but that turns are not to be judged.
    pub const CONFIGURED: Self = Self {
        kind: ShapeKind::Stream,
        basis: Basis::Configured,
        connections: 0,
    };

    /// What a program's protocol says.
    pub const fn of_program(kind: ShapeKind) -> Self {
        Self {
            kind,
            basis: Basis::Program,
            connections: 0,
        }
    }

    /// Whether these connections show that the program speaks otherwise here: most of them had an answer where it gives none.
    pub fn is_refuted_by(&self, counts: &Counts) -> bool {
        let connections = counts.closes().saturating_sub(counts.no_payload);
        self.kind == ShapeKind::OneWayIn && counts.never_answered.saturating_mul(2) < connections
    }

    /// What a service's ordinary connections show; unknown where too few had anything to say.
    ///
    /// Who waits for an answer does not leave without it: where hardly a peer left so, an answer that is missing is a loss,
    /// and shows nothing of the kind.
    pub fn learned(ordinary: &Counts) -> Self {
        let connections = ordinary.closes().saturating_sub(ordinary.no_payload);
        if connections < CONNECTIONS_MIN {
            return Self::default();
        }
        let most = |of: u64| of.saturating_mul(10) >= connections.saturating_mul(9);
        let waits = ordinary.abandoned.saturating_mul(4) < connections;
        let left_open = ordinary.abandoned + ordinary.unanswered.silent + ordinary.unanswered.alert;
        let kind = if most(ordinary.never_asked) {
            ShapeKind::OneWayOut
        } else if waits {
            ShapeKind::RequestAnswer
        } else if most(ordinary.never_answered) {
            ShapeKind::OneWayIn
        } else if most(left_open) {
            ShapeKind::Stream
        } else {
            ShapeKind::RequestAnswer
        };
        Self {
            kind,
            basis: Basis::Learned,
            connections,
        }
    }

    /// What the connections of a drain show, where nothing was learned: `told` of them brought one message after another, and never
    /// had an answer.
    pub fn guessed(counts: &Counts, told: u64) -> Self {
        let connections = counts.closes().saturating_sub(counts.no_payload);
        let kind = if told > 0 && told == connections {
            ShapeKind::OneWayIn
        } else if connections > 0 && counts.never_asked == connections {
            ShapeKind::OneWayOut
        } else {
            return Self::default();
        };
        Self {
            kind,
            basis: Basis::Guessed,
            connections,
        }
    }

    /// Whether a request without an answer is lost.
    pub fn waits_for_answers(&self) -> bool {
        self.kind == ShapeKind::RequestAnswer
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Unanswered;

    fn closes(count: u64) -> Counts {
        Counts {
            remote_first: count,
            ..Counts::default()
        }
    }

    #[test]
    fn a_shape_is_learned_of_those_that_had_something_to_say() {
        let kind = |counts: Counts| {
            let shape = Shape::learned(&counts);
            (shape.kind, shape.basis, shape.connections)
        };
        let few = closes(4);
        assert_eq!(kind(few).1, Basis::Unknown);
        let probed = Counts {
            no_payload: 90,
            never_answered: 10,
            abandoned: 10,
            ..closes(100)
        };
        assert_eq!(kind(probed), (ShapeKind::OneWayIn, Basis::Learned, 10));
        let feed = Counts {
            never_asked: 19,
            ..closes(20)
        };
        assert_eq!(kind(feed).0, ShapeKind::OneWayOut);
        let goodbye = Unanswered {
            silent: 12,
            ..Unanswered::default()
        };
        let shell = Counts {
            unanswered: goodbye,
            abandoned: 8,
            ..closes(20)
        };
        assert_eq!(kind(shell).0, ShapeKind::Stream);
        let slow = Counts {
            abandoned: 8,
            ..closes(20)
        };
        assert_eq!(kind(slow).0, ShapeKind::RequestAnswer, "clients gave up");
        let web = Counts {
            never_answered: 8,
            ..closes(20)
        };
        assert_eq!(kind(web), (ShapeKind::RequestAnswer, Basis::Learned, 20));
    }

    #[test]
    fn losses_are_no_shape() {
        let lost = Counts {
            unanswered: Unanswered {
                silent: 20,
                ..Unanswered::default()
            },
            ..closes(20)
        };
        let first_question = Counts {
            never_answered: 20,
            ..lost.clone()
        };
        for counts in [lost, first_question] {
            let shape = Shape::learned(&counts);
            assert_eq!(shape.kind, ShapeKind::RequestAnswer, "{counts:?}");
        }
    }

    #[test]
    fn a_program_that_answers_here_is_no_one_way_receiver() {
        let one_way = Shape::of_program(ShapeKind::OneWayIn);
        let with_answers = Counts {
            never_answered: 1,
            ..closes(3)
        };
        assert!(one_way.is_refuted_by(&with_answers));
        assert!(!one_way.is_refuted_by(&closes(0)));
        assert!(!Shape::of_program(ShapeKind::Stream).is_refuted_by(&with_answers));
    }

    #[test]
    fn a_shape_is_guessed_only_where_all_agree() {
        let senders = Counts {
            never_answered: 5,
            ..closes(5)
        };
        assert_eq!(Shape::guessed(&senders, 5).kind, ShapeKind::OneWayIn);
        assert_eq!(
            Shape::guessed(&senders, 4),
            Shape::default(),
            "one may have asked"
        );
        assert_eq!(Shape::guessed(&closes(0), 0), Shape::default());
    }

    #[test]
    fn each_bound_is_where_it_is_said_to_be() {
        assert_eq!(Shape::learned(&closes(5)).basis, Basis::Learned);
        let left = |abandoned: u64| {
            let counts = Counts {
                never_answered: 20,
                abandoned,
                ..closes(20)
            };
            Shape::learned(&counts).kind
        };
        assert_eq!(left(4), ShapeKind::RequestAnswer, "hardly a peer left");
        assert_eq!(left(5), ShapeKind::OneWayIn);
        let mostly_probes = Counts {
            never_answered: 2,
            no_payload: 6,
            ..closes(8)
        };
        let one_way = Shape::of_program(ShapeKind::OneWayIn);
        assert!(!one_way.is_refuted_by(&mostly_probes), "who said nothing");
    }
}
