//! What a summary is of: a rollout, or one drain alone. It decides nothing.

use jiff::Timestamp;

use crate::{
    model::{
        Counts, Cuts, Drain, EndedConnection, EndedProcess, Finding, Incident, IncidentCause,
        Rollout, Source, Verdict,
    },
    render::{
        columns::shortened,
        lists::workload,
        units::{plain, service},
    },
    servers::{self, Server},
};

/// Columns of a name, and of a revision beside it.
const NAME_MAX: usize = 36;
const REVISION_MAX: usize = 16;

/// See the module.
pub(super) struct Subject<'a> {
    /// Whose it is, short enough for a headline.
    pub(super) name: String,
    pub(super) verdict: Verdict,
    pub(super) is_over: bool,
    /// It is a drain, which its name says.
    pub(super) is_one_drain: bool,
    pub(super) interrupted: bool,
    /// Who announced it, if anybody did.
    pub(super) announced: Option<Source>,
    pub(super) started_at: Timestamp,
    pub(super) last_seen_at: Option<Timestamp>,
    /// Of all of it.
    pub(super) counts: &'a Counts,
    /// Requests that were lost and that no drain counted.
    pub(super) outside: Cuts,
    /// Connections of these.
    pub(super) outside_examples: &'a [EndedConnection],
    /// SYNs refused.
    pub(super) refused: u64,
    pub(super) drains: &'a [Drain],
    /// Of the rollout as a whole; each drain has its own.
    pub(super) findings: &'a [Finding],
    /// Why, where that is known better than by any finding.
    pub(super) why: Option<String>,
    /// The server that it is of, where no drain says.
    server: Option<&'static Server>,
    /// What shows it.
    pub(super) command: String,
}

// === impl Subject ===

impl<'a> Subject<'a> {
    pub(super) fn of_rollout(rollout: &'a Rollout) -> Self {
        let mut name = shortened(&workload(rollout), NAME_MAX);
        if let Some(revision) = &rollout.revision {
            name.push(' ');
            name.push_str(&shortened(&plain(revision), REVISION_MAX));
        }
        let in_gaps: u64 = rollout.gaps.iter().map(|gap| gap.refused).sum();
        Self {
            name,
            verdict: rollout.verdict,
            is_over: rollout.is_over(),
            is_one_drain: false,
            interrupted: rollout.interrupted,
            announced: Some(rollout.source).filter(|source| source.is_announced()),
            started_at: rollout.started_at,
            last_seen_at: rollout.last_seen_at(),
            counts: &rollout.counts,
            outside: rollout.lost_outside(),
            outside_examples: &rollout.outside_examples,
            refused: rollout.counts.refused.max(in_gaps),
            drains: &rollout.drains,
            findings: &rollout.findings,
            why: None,
            server: None,
            command: format!("finwatch rollouts show {}", plain(&rollout.id)),
        }
    }

    pub(super) fn of_drain(drain: &'a Drain) -> Self {
        let kind = drain.kind.as_str();
        let name = shortened(&service(&drain.service), NAME_MAX);
        Self {
            name: format!("{kind} of {}", plain(&name)),
            verdict: drain.verdict,
            is_over: drain.ended_at.is_some(),
            is_one_drain: true,
            interrupted: drain.interrupted,
            announced: None,
            started_at: drain.started_at,
            last_seen_at: drain.last_seen_at(),
            counts: &drain.counts,
            outside: Cuts::default(),
            outside_examples: &[],
            refused: drain.counts.refused,
            drains: std::slice::from_ref(drain),
            findings: &[],
            why: None,
            server: None,
            command: format!("finwatch drains show {}", plain(&drain.id)),
        }
    }

    /// `counts`: what it lost, as [`lost_in`] has it.
    pub(super) fn of_incident(incident: &'a Incident, counts: &'a Counts) -> Self {
        Self {
            name: plain(&shortened(&service(&incident.service), NAME_MAX)),
            verdict: incident.verdict,
            is_over: incident.is_over(),
            is_one_drain: false,
            interrupted: false,
            announced: None,
            started_at: incident.started_at,
            last_seen_at: incident.ended_at,
            counts,
            outside: incident.cut,
            outside_examples: &incident.examples,
            refused: incident.refused,
            drains: &[],
            findings: &incident.findings,
            why: crashed(incident),
            server: servers::of(&incident.program, &incident.service),
            command: format!("finwatch incidents show {}", plain(&incident.id)),
        }
    }

    /// Requests that were cut by these causes with no drain to count them.
    pub(super) fn cut_outside(&self, causes: &[&str]) -> u64 {
        let of = |(cause, number)| if causes.contains(&cause) { number } else { 0 };
        [
            ("unanswered", self.outside.unanswered),
            ("unread", self.outside.unread),
            ("late", self.outside.late),
        ]
        .map(of)
        .iter()
        .sum()
    }

    /// The server that it is, as the first of its programs that is known tells.
    pub(super) fn server(&self) -> Option<&'static Server> {
        let of_drains = self.drains.iter().find_map(server_of);
        of_drains.or(self.server)
    }
}

/// How the worker ended that took clients' requests with it.
fn crashed(incident: &Incident) -> Option<String> {
    let EndedProcess { exit, .. } = incident.ended_processes.first()?;
    let how = match (&exit.signal, exit.code) {
        (Some(signal), _) => format!("was ended by {}", plain(signal)),
        (None, Some(code)) => format!("exited with code {code}"),
        (None, None) => "ended".to_owned(),
    };
    let is_crash = incident.cause == IncidentCause::WorkerCrashed;
    is_crash.then(|| format!("one of its workers {how}"))
}

/// What an incident lost.
pub(super) fn lost_in(incident: &Incident) -> Counts {
    Counts {
        cut: incident.cut,
        refused: incident.refused,
        ..Counts::default()
    }
}

/// The server that was drained.
pub(super) fn server_of(drain: &Drain) -> Option<&'static Server> {
    servers::of(&drain.instance.program, &drain.service)
}
