//! The parameters of the read API, each declared once: its name, what it means, what it may be. A question with
//! a parameter that is not known, or a value that makes no sense, is refused and never half answered.

use std::str::FromStr as _;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::problem::Problem;
use finwatch_engine::model::{DrainKind, IncidentCause, Source, Verdict};

/// One parameter.
#[derive(Debug)]
pub(super) struct Parameter {
    pub(super) name: &'static str,
    pub(super) shape: Shape,
    pub(super) help: &'static str,
}

/// What a value looks like.
#[derive(Debug)]
pub(super) enum Shape {
    Text,
    Port,
    Time,
    Limit,
    OneOf(fn() -> Vec<&'static str>),
}

/// Most answers of a list, when nothing is said and at all.
pub(super) const LIMIT_DEFAULT: usize = 100;
pub(super) const LIMIT_MAX: usize = 1_000;

pub(super) const WORKLOAD: Parameter = Parameter {
    name: "workload",
    shape: Shape::Text,
    help: "Only this workload; `nginx` also means the unit `nginx.service`",
};
pub(super) const NAMESPACE: Parameter = Parameter {
    name: "namespace",
    shape: Shape::Text,
    help: "Only workloads of this Kubernetes namespace; empty: only those that are in none",
};
pub(super) const PORT: Parameter = Parameter {
    name: "port",
    shape: Shape::Port,
    help: "Only this port",
};
pub(super) const ROLE: Parameter = Parameter {
    name: "role",
    shape: Shape::OneOf(|| vec!["server", "client"]),
    help: "Only ports that are this host's, or only those of peers",
};
pub(super) const PHASE: Parameter = Parameter {
    name: "phase",
    shape: Shape::OneOf(|| vec!["steady", "draining", "reloading"]),
    help: "Only what ended while the service was doing this",
};
pub(super) const VERDICT: Parameter = Parameter {
    name: "verdict",
    shape: Shape::OneOf(|| Verdict::ALL.map(Verdict::as_str).to_vec()),
    help: "Only with this verdict",
};
pub(super) const KIND: Parameter = Parameter {
    name: "kind",
    shape: Shape::OneOf(|| DrainKind::ALL.map(DrainKind::as_str).to_vec()),
    help: "Only drains that began so",
};
pub(super) const SOURCE: Parameter = Parameter {
    name: "source",
    shape: Shape::OneOf(|| Source::ALL.map(Source::as_str).to_vec()),
    help: "Only rollouts that were announced so",
};
pub(super) const CAUSE: Parameter = Parameter {
    name: "cause",
    shape: Shape::OneOf(|| IncidentCause::ALL.map(IncidentCause::as_str).to_vec()),
    help: "Only what came of that",
};
pub(super) const STATE: Parameter = Parameter {
    name: "state",
    shape: Shape::OneOf(|| vec!["running", "ended"]),
    help: "Only what is not over yet, or only what is",
};
pub(super) const CUT: Parameter = Parameter {
    name: "cut",
    shape: Shape::OneOf(|| vec!["any", "none", "unanswered", "unread", "late"]),
    help: "Only connections on which a request was lost, by this cause or by any; none: only the others",
};
pub(super) const ORIGIN: Parameter = Parameter {
    name: "origin",
    shape: Shape::OneOf(|| vec!["local", "remote", "both", "none"]),
    help: "Only connections whose first FIN came from there",
};
pub(super) const OUTCOME: Parameter = Parameter {
    name: "outcome",
    shape: Shape::OneOf(|| vec!["fin", "reset_sent", "reset_received", "timeout", "unknown"]),
    help: "Only connections that ended so",
};
pub(super) const SINCE: Parameter = Parameter {
    name: "since",
    shape: Shape::Time,
    help: "Only what began (of closes: ended) then or later: a time as in 2026-11-22T16:52:01Z, or so long ago, as in 15m",
};
pub(super) const ID: Parameter = Parameter {
    name: "id",
    shape: Shape::Text,
    help: "Only ids that begin so",
};
pub(super) const LIMIT: Parameter = Parameter {
    name: "limit",
    shape: Shape::Limit,
    help: "Most answers; `more` says whether there would be others",
};

/// What was asked, understood.
#[derive(Debug, Clone, Default)]
pub(super) struct Asked {
    pub(super) workload: Option<String>,
    pub(super) namespace: Option<String>,
    pub(super) port: Option<u16>,
    pub(super) since: Option<Timestamp>,
    pub(super) limit: Option<usize>,
    pub(super) id: Option<String>,
    /// Of the parameters that are one word of a list: name and word.
    words: Vec<(&'static str, String)>,
}

// === impl Parameter ===

impl Parameter {
    /// As OpenAPI describes it.
    pub(super) fn document(&self) -> Value {
        let schema = match self.shape {
            Shape::Text => json!({"type": "string"}),
            Shape::Port => json!({"type": "integer", "minimum": 1, "maximum": 65_535}),
            Shape::Time => json!({"type": "string"}),
            Shape::Limit => {
                json!({"type": "integer", "minimum": 1, "maximum": LIMIT_MAX, "default": LIMIT_DEFAULT})
            }
            Shape::OneOf(words) => json!({"type": "string", "enum": words()}),
        };
        json!({
            "name": self.name,
            "in": "query",
            "description": self.help,
            "required": false,
            "schema": schema,
        })
    }

    fn take(&'static self, value: &str, now: Timestamp, asked: &mut Asked) -> Result<(), Problem> {
        let bad = |expected: &str| Problem::bad_value(self.name, value, expected, &[]);
        let place = match self.shape {
            Shape::Text if self.name == ID.name => &mut asked.id,
            Shape::Text if self.name == NAMESPACE.name => &mut asked.namespace,
            Shape::Text => &mut asked.workload,
            Shape::Port => {
                let port = value.parse().ok().filter(|port| *port > 0);
                asked.port = Some(port.ok_or_else(|| bad("a port from 1 to 65535"))?);
                return Ok(());
            }
            Shape::Time => {
                let expected = "a time as in 2026-11-22T16:52:01Z, or so long ago, as in 15m";
                asked.since = Some(time(value, now).ok_or_else(|| bad(expected))?);
                return Ok(());
            }
            Shape::Limit => {
                let limit = value.parse().ok().filter(|n| (1..=LIMIT_MAX).contains(n));
                let expected = || bad(&format!("a number from 1 to {LIMIT_MAX}"));
                asked.limit = Some(limit.ok_or_else(expected)?);
                return Ok(());
            }
            Shape::OneOf(words) => {
                let words = words();
                if !words.contains(&value) {
                    let expected = format!("one of {}", words.join(", "));
                    return Err(Problem::bad_value(self.name, value, &expected, &words));
                }
                asked.words.push((self.name, value.to_owned()));
                return Ok(());
            }
        };
        *place = Some(value.to_owned());
        Ok(())
    }
}

// === impl Asked ===

impl Asked {
    /// Understands the parameters of a question, of those that are `known` there.
    pub(super) fn new(
        known: &'static [&'static Parameter],
        given: &[(String, String)],
        now: Timestamp,
    ) -> Result<Self, Problem> {
        let mut asked = Self::default();
        for (at, (name, value)) in given.iter().enumerate() {
            let Some(parameter) = known.iter().find(|parameter| parameter.name == name) else {
                let names = known.iter().map(|parameter| parameter.name.to_owned());
                return Err(Problem::unknown_parameter(name, names.collect()));
            };
            if given[..at].iter().any(|(earlier, _)| earlier == name) {
                return Err(Problem::repeated_parameter(name));
            }
            parameter.take(value, now, &mut asked)?;
        }
        Ok(asked)
    }

    /// Whether a word was asked for, or nothing was said.
    pub(super) fn wants(&self, parameter: &Parameter, word: &str) -> bool {
        self.word(parameter).is_none_or(|wanted| wanted == word)
    }

    /// The word that was asked for.
    pub(super) fn word(&self, parameter: &Parameter) -> Option<&str> {
        let (_, word) = self
            .words
            .iter()
            .find(|(name, _)| *name == parameter.name)?;
        Some(word)
    }

    /// Most answers.
    pub(super) fn limit(&self) -> usize {
        self.limit.unwrap_or(LIMIT_DEFAULT)
    }
}

/// A time, or a while before `now`.
fn time(text: &str, now: Timestamp) -> Option<Timestamp> {
    if let Ok(time) = text.parse() {
        return Some(time);
    }
    let ago = SignedDuration::from_str(text).ok()?;
    if ago.is_negative() {
        return None;
    }
    now.checked_sub(ago).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-11-22T18:00:00Z";
    const KNOWN: &[&Parameter] = &[&WORKLOAD, &NAMESPACE, &PORT, &KIND, &SINCE, &LIMIT];

    fn asked(given: &[(&str, &str)]) -> Result<Asked, Problem> {
        let given: Vec<_> = given
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        Asked::new(KNOWN, &given, NOW.parse().expect("a time"))
    }

    #[test]
    fn what_is_asked_is_understood() {
        let asked = asked(&[
            ("workload", "nginx"),
            ("namespace", ""),
            ("port", "443"),
            ("kind", "reload"),
            ("since", "1h 30m"),
            ("limit", "7"),
        ])
        .expect("it is right");
        assert_eq!(asked.workload.as_deref(), Some("nginx"));
        assert_eq!(asked.namespace.as_deref(), Some(""));
        assert_eq!((asked.port, asked.limit()), (Some(443), 7));
        assert_eq!(asked.since, "2026-11-22T16:30:00Z".parse().ok());
        assert!(asked.wants(&KIND, "reload") && !asked.wants(&KIND, "stop"));
        assert!(asked.wants(&VERDICT, "fail"), "nothing was said of it");
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
        for (name, value, title) in [
            ("prot", "1", "there is no parameter `prot` here"),
            ("role", "server", "there is no parameter `role` here"),
            (
                "port",
                "0",
                "`port` is `0`, expected a port from 1 to 65535",
            ),
            (
                "port",
                "65536",
                "`port` is `65536`, expected a port from 1 to 65535",
            ),
            (
                "limit",
                "0",
                "`limit` is `0`, expected a number from 1 to 1000",
            ),
            (
                "limit",
                "1001",
                "`limit` is `1001`, expected a number from 1 to 1000",
            ),
            (
                "kind",
                "halt",
                "`kind` is `halt`, expected one of stop, reload, kill, crash",
            ),
            (
                "since",
                "-5m",
                "`since` is `-5m`, expected a time as in 2026-11-22T16:52:01Z, or so long ago, as in 15m",
            ),
        ] {
            let problem = asked(&[(name, value)]).expect_err(name);
            assert_eq!((problem.status, problem.title.as_str()), (400, title));
            assert_eq!(problem.parameter.as_deref(), Some(name));
        }
        let problem = asked(&[("port", "1"), ("port", "2")]).expect_err("twice");
        assert_eq!(
            problem.title,
            "the parameter `port` is given more than once"
        );
    }
}
