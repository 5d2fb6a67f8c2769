//! A workload's name that nobody has: who there is, and who was meant. It does not know where the names come from.

use std::fmt;

use serde::Serialize;

/// Most names that are told.
const TOLD_MAX: usize = 8;
/// What is less alike was not meant: 1 is the same, 0 has nothing in common.
const LIKE_MIN: f64 = 0.6;
/// A part of a name that is shorter says little.
const PART_MIN: usize = 3;

/// Nobody is called so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unknown {
    /// That in a sentence, with what follows.
    warning: String,
    /// The name that was meant most likely.
    #[serde(skip_serializing_if = "Option::is_none")]
    nearest: Option<String>,
    /// Names that are known, the likest first; 8 at most.
    known: Vec<String>,
}

// === impl Unknown ===

impl Unknown {
    /// What there is to say of a name; nothing when it is known.
    pub(crate) fn check(typed: &str, names: impl IntoIterator<Item = String>) -> Option<Self> {
        let mut known: Vec<String> = names.into_iter().collect();
        if known.iter().any(|name| is_called(name, typed)) {
            return None;
        }
        known.sort();
        known.dedup();
        // Stable: what is equally unlike stays in the order of the alphabet.
        known.sort_by(|a, b| likeness(typed, b).total_cmp(&likeness(typed, a)));
        let is_meant = |name: &&String| likeness(typed, name) >= LIKE_MIN;
        let nearest = known.first().filter(is_meant).cloned();
        let more = known.len().saturating_sub(TOLD_MAX);
        known.truncate(TOLD_MAX);
        Some(Self {
            warning: sentence(typed, nearest.as_deref(), &known, more),
            nearest,
            known,
        })
    }

    /// Whether no name is known at all.
    pub(crate) const fn knows_nobody(&self) -> bool {
        self.known.is_empty()
    }
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.warning)
    }
}

fn sentence(typed: &str, nearest: Option<&str>, known: &[String], more: usize) -> String {
    let known = known.join(", ");
    let begin = format!("finwatch knows no workload `{typed}`");
    let end = match more {
        0 => String::new(),
        more => format!(" and {more} more, which `finwatch services` lists"),
    };
    match nearest {
        Some(nearest) => format!("{begin}; did you mean `{nearest}`? It knows {known}{end}"),
        None if known.is_empty() => format!("{begin}, nor any other yet"),
        None => format!("{begin}; it knows {known}{end}"),
    }
}

/// Whether a workload is meant by a name: `nginx` also means the unit `nginx.service`.
fn is_called(name: &str, typed: &str) -> bool {
    name == typed || name.strip_suffix(".service") == Some(typed)
}

/// How like two names are, from 0 to 1. One that has the other in it is like it, however long the rest is: a deployment's
/// name in a pod's.
fn likeness(typed: &str, name: &str) -> f64 {
    let bare = |name: &str| {
        let bare = name.strip_suffix(".service").unwrap_or(name);
        bare.to_lowercase()
    };
    let (typed, name) = (bare(typed), bare(name));
    let (short, long) = if typed.len() < name.len() {
        (&typed, &name)
    } else {
        (&name, &typed)
    };
    let has_it = short.len() >= PART_MIN && long.contains(short.as_str());
    let alike = strsim::normalized_damerau_levenshtein(&typed, &name);
    if has_it {
        LIKE_MIN + (1.0 - LIKE_MIN) * alike
    } else {
        alike
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(typed: &str, names: &[&str]) -> Option<String> {
        let names = names.iter().map(|&name| name.to_owned());
        Unknown::check(typed, names).map(|unknown| unknown.to_string())
    }

    #[test]
    fn a_slip_is_answered_with_what_was_meant() {
        assert_eq!(
            said("ngnix", &["web", "nginx.service", "checkout", "web"]).as_deref(),
            Some(
                "finwatch knows no workload `ngnix`; did you mean `nginx.service`? It knows nginx.service, checkout, web"
            )
        );
        let meant = |typed, names: &[&str]| {
            let names = names.iter().map(|&name| name.to_owned());
            Unknown::check(typed, names).and_then(|unknown| unknown.nearest)
        };
        assert_eq!(
            meant("Checkout", &["checkout"]).as_deref(),
            Some("checkout")
        );
        assert_eq!(
            meant("checkout-7f8c9d", &["check", "checkout"]).as_deref(),
            Some("checkout")
        );
        assert_eq!(meant("payments", &["nginx", "db"]), None);
        assert_eq!(meant("d", &["db-of-all"]), None, "too short a part");
    }

    #[test]
    fn what_is_known_needs_no_word() {
        assert_eq!(said("nginx", &["nginx.service"]), None);
        assert_eq!(said("nginx.service", &["nginx.service"]), None);
    }

    #[test]
    fn as_many_are_told_as_one_reads() {
        let names: Vec<_> = (0..20).map(|n| format!("job-{n:02}")).collect();
        let said = Unknown::check("payments", names).map(|unknown| unknown.to_string());
        let said = said.expect("it is not known");
        assert!(said.starts_with("finwatch knows no workload `payments`; it knows job-"));
        assert!(
            said.ends_with(" and 12 more, which `finwatch services` lists"),
            "{said}"
        );
        assert_eq!(said.matches("job-").count(), 8);
        let alone = Unknown::check("payments", []).map(|unknown| unknown.to_string());
        assert_eq!(
            alone.as_deref(),
            Some("finwatch knows no workload `payments`, nor any other yet")
        );
    }
}
