//! Every diagnosis, declared once: what it is called, how grave it is, what shows it, what to do about it, and what it
//! cannot see. `finwatch explain`, `docs/diagnoses.md` and the judge read it here. It judges nothing itself, and what is to be
//! done with one server stands in the table of servers.

mod advice;
mod cost;
mod lost;
mod places;
mod state;
mod wider;

use std::{borrow::Cow, fmt};

pub use self::{
    advice::Advice,
    cost::*,
    lost::*,
    places::{PLACES, Part, Place},
    state::*,
    wider::*,
};
use crate::{
    model::{Finding, Severity},
    servers::{SERVERS, Server, Topic},
};

/// One diagnosis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Diagnosis {
    /// Stable, kebab-case.
    pub name: &'static str,
    /// How grave it is, unless the evidence says that it is less so.
    pub severity: Severity,
    /// One sentence.
    pub summary: &'static str,
    /// What shows it, in kernel facts.
    pub signature: &'static str,
    /// How to read the evidence.
    pub evidence: &'static str,
    /// The remedy in short, as it stands beside a finding; empty when there is nothing to mend.
    pub remedy: &'static str,
    /// What the table of servers has to say to it.
    pub servers: OfServers,
    /// The remedy in full where no single server is meant: for what, and what to do there.
    pub places: &'static [Advice],
    /// What it does not see, or sees wrongly.
    pub limits: &'static str,
}

/// Which part of the table of servers belongs to a diagnosis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OfServers {
    /// None.
    Nothing,
    /// What they advise on a topic.
    On(Topic),
    /// Which of their signals to send in place of which.
    Signals,
}

/// Every diagnosis, in the order of the reference: by what is lost, then by what it costs.
pub const DIAGNOSES: &[Diagnosis] = &[
    CLEAN_DRAIN,
    REQUESTS_CUT,
    RESPONSE_TRUNCATED,
    KEEPALIVE_RACE,
    IDLE_TIMEOUT_RACE,
    DROPPED_BY_SERVER,
    TLS_GOODBYE_RESETS,
    EARLY_ANSWER_RESET,
    SERVER_HANGS_UP_FIRST,
    TIME_WAIT_BURST,
    ACCEPTS_AFTER_SIGNAL,
    DIED_SERVING,
    WORKER_RECYCLED,
    CLIENTS_GAVE_UP,
    CLIENTS_WAITED,
    LISTENER_CLOSED_EARLY,
    LISTENER_GAP,
    TRAFFIC_BEFORE_READY,
    ACCEPT_QUEUE_DROPPED,
    NOT_ACCEPTING,
    DRAIN_TIMED_OUT,
    SIGNAL_IGNORED,
    SIGNAL_MEANS_RELOAD,
    WORKERS_LEFT_BEHIND,
    SESSIONS_LIVE_ON,
    FAST_STOP_SIGNAL,
    EXITED_TOO_EARLY,
    HELD_BY_IDLE_CONNECTIONS,
    REQUESTS_KEEP_COMING,
    OLD_WORKERS_PILE_UP,
    UPSTREAM_CLOSED_EARLY,
    CLOSE_WAIT_LEAK,
    KILLED_WITHOUT_STOP,
    TOO_LITTLE_SEEN,
];

/// The diagnosis of this name.
pub fn find(name: &str) -> Option<&'static Diagnosis> {
    DIAGNOSES.iter().find(|diagnosis| diagnosis.name == name)
}

// === impl Diagnosis ===

impl Diagnosis {
    /// A finding of it.
    pub fn found(&self, evidence: Vec<String>) -> Finding {
        Finding {
            diagnosis: self.name.to_owned(),
            severity: self.severity,
            evidence,
            remedy: self.remedy.to_owned(),
        }
    }

    /// The remedy for one server, where the table of servers has one that is to the point: what lets it finish goes before
    /// the signals alone.
    pub fn remedy_for(&self, server: &Server) -> Option<Cow<'static, str>> {
        match self.servers {
            OfServers::Nothing => None,
            OfServers::On(topic) => server.advice(topic).map(Cow::Borrowed),
            OfServers::Signals => {
                let finish = server.advice(Topic::Finish).map(Cow::Borrowed);
                finish.or_else(|| server.signals_to_swap().map(Cow::Owned))
            }
        }
    }

    /// The remedy in full: the servers' part, then the other places. Places with the same text are told together.
    pub fn advice(&self) -> Vec<Advice> {
        let of_servers = SERVERS.iter().filter_map(|server| {
            let text = match self.servers {
                OfServers::Nothing => None,
                OfServers::On(topic) => server.advice(topic).map(Cow::Borrowed),
                OfServers::Signals => server.signals_to_swap().map(Cow::Owned),
            };
            text.map(|text| Advice {
                place: Cow::Borrowed(server.title),
                text,
            })
        });
        let mut told: Vec<Advice> = Vec::new();
        for Advice { place, text } in of_servers.chain(self.places.iter().cloned()) {
            match told.iter_mut().find(|known| known.text == text) {
                Some(known) => known.place = Cow::Owned(format!("{}, {place}", known.place)),
                None => told.push(Advice { place, text }),
            }
        }
        told
    }
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_unique_and_kebab_case() {
        let names: HashSet<_> = DIAGNOSES.iter().map(|diagnosis| diagnosis.name).collect();
        assert_eq!(names.len(), DIAGNOSES.len());
        for name in names {
            assert!(
                name.chars().all(|c| c.is_ascii_lowercase() || c == '-'),
                "{name}"
            );
        }
    }

    #[test]
    fn every_diagnosis_is_told_in_sentences() {
        for diagnosis in DIAGNOSES {
            let Diagnosis {
                name,
                severity,
                summary,
                signature,
                evidence,
                remedy,
                servers: _,
                places: _,
                limits,
            } = diagnosis;
            let advice = diagnosis.advice();
            for text in [summary, signature, evidence, limits] {
                assert!(
                    text.ends_with('.') && !text.contains("  "),
                    "{name}: {text}"
                );
            }
            for Advice { place, text } in &advice {
                assert!(
                    !place.is_empty() && text.ends_with('.') && !text.contains("  "),
                    "{name}: {text}"
                );
            }
            assert!(
                remedy.is_empty() || remedy.ends_with('.'),
                "{name}: {remedy}"
            );
            if matches!(severity, Severity::Warn | Severity::Fail) {
                assert!(
                    !remedy.is_empty() && !advice.is_empty(),
                    "{name} has no remedy"
                );
            }
        }
    }

    #[test]
    fn servers_stand_first_and_places_with_one_text_together() {
        let places = |diagnosis: &Diagnosis| {
            let advice = diagnosis.advice();
            advice
                .into_iter()
                .map(|advice| advice.place)
                .collect::<Vec<_>>()
        };
        let queue = places(&ACCEPT_QUEUE_DROPPED);
        assert_eq!(queue[0], "gunicorn, hypercorn, Tomcat");
        assert_eq!(queue.last().map(AsRef::as_ref), Some("systemd"));
        let swap = FAST_STOP_SIGNAL.advice();
        assert_eq!(swap[0].place, "nginx, unicorn, php-fpm");
        assert_eq!(swap[0].text, "SIGQUIT in place of SIGTERM or SIGINT.");
        assert!(places(&CLEAN_DRAIN).is_empty());
    }

    #[test]
    fn no_advice_on_a_server_stands_beside_the_table_of_servers() {
        for diagnosis in DIAGNOSES {
            for Advice { place, .. } in diagnosis.places {
                let server = SERVERS.iter().find(|server| place.contains(server.title));
                // A place may speak of a server among others; one of its own belongs into its row.
                assert!(
                    server.is_none_or(|server| place != server.title),
                    "{diagnosis}: {place}"
                );
            }
        }
    }

    #[test]
    fn every_topic_of_the_servers_belongs_to_a_diagnosis() {
        for server in SERVERS {
            for (topic, _) in server.advice {
                assert!(
                    DIAGNOSES
                        .iter()
                        .any(|diagnosis| diagnosis.servers == OfServers::On(*topic)),
                    "{}: {topic:?}",
                    server.title
                );
            }
        }
    }

    #[test]
    fn a_name_finds_its_diagnosis() {
        assert_eq!(find("requests-cut"), Some(&REQUESTS_CUT));
        assert_eq!(find("requests-cut "), None);
    }
}
