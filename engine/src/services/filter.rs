//! Which services get series of their own: the lists of the configuration. What is not admitted is counted in
//! `other`, never dropped.

use std::fmt;

use super::SeriesLabels;

/// A name, or the beginning of one and `*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(String);

impl Pattern {
    /// Reads `name` or `prefix*`; `None` when `*` stands anywhere but last, or nothing is there.
    pub fn parse(text: &str) -> Option<Self> {
        let head = text.strip_suffix('*').unwrap_or(text);
        (!text.is_empty() && !head.contains('*')).then(|| Self(text.to_owned()))
    }

    fn matches(&self, name: &str) -> bool {
        match self.0.strip_suffix('*') {
            Some(prefix) => name.starts_with(prefix),
            None => name == self.0,
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The lists. An empty list of what to allow allows everything; denying wins.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Ports to show.
    pub allow_ports: Vec<u16>,
    /// Ports not to show.
    pub deny_ports: Vec<u16>,
    /// Names of workloads to show.
    pub allow_workloads: Vec<Pattern>,
    /// Names of workloads not to show.
    pub deny_workloads: Vec<Pattern>,
}

impl Filter {
    /// Whether the service gets series of its own.
    pub fn admits(&self, labels: &SeriesLabels) -> bool {
        let name = labels.workload.name.as_str();
        let named = |patterns: &[Pattern]| patterns.iter().any(|pattern| pattern.matches(name));
        let Self {
            allow_ports,
            deny_ports,
            allow_workloads,
            deny_workloads,
        } = self;
        (allow_ports.is_empty() || allow_ports.contains(&labels.port))
            && !deny_ports.contains(&labels.port)
            && (allow_workloads.is_empty() || named(allow_workloads))
            && !named(deny_workloads)
    }
}

#[cfg(test)]
mod tests {
    use finwatch_common::Role;

    use super::*;
    use crate::model::{Workload, WorkloadKind};

    fn labels(name: &str, port: u16) -> SeriesLabels {
        SeriesLabels {
            workload: Workload::on_host(WorkloadKind::Unit, name),
            port,
            role: Role::Server,
        }
    }

    #[test]
    fn empty_lists_admit_everything() {
        assert!(Filter::default().admits(&labels("nginx.service", 80)));
    }

    #[test]
    fn denying_wins() {
        let filter = Filter {
            allow_ports: vec![80, 443],
            deny_workloads: vec![Pattern::parse("cron*").expect("a pattern")],
            ..Filter::default()
        };
        assert!(filter.admits(&labels("nginx.service", 80)));
        assert!(!filter.admits(&labels("nginx.service", 22)));
        assert!(!filter.admits(&labels("cron.service", 80)));
    }

    #[test]
    fn a_pattern_is_a_name_or_a_beginning() {
        assert!(Pattern::parse("").is_none());
        assert!(Pattern::parse("a*b").is_none());
        let exact = Pattern::parse("web").expect("a pattern");
        assert!(exact.matches("web") && !exact.matches("web-1"));
        assert!(Pattern::parse("*").expect("a pattern").matches("anything"));
    }
}
