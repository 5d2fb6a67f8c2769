//! The story in figures, as `/metrics` shows it: how drains, rollouts and incidents ended, how long they took, what was found.
//! It is told of each end once and adds up; it reads no clock and knows no encoder.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{
    Drain, DrainKind, Finding, Incident, IncidentCause, Rollout, Service, Source, Verdict,
};

/// Most services with figures of their own. Past it, the one whose last drain is longest ago is added to `other`.
pub const SERVICES_MAX: usize = 256;
/// Most rollouts that are shown one by one.
pub const RECENT_MAX: usize = 20;
/// Upper bounds of the histogram of durations, seconds; one bucket without a bound follows.
pub const DURATION_BOUNDS_SECS: [f64; 13] = [
    0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0,
];
/// A sender may write what it likes as a revision; so much of it is shown.
const REVISION_CHARS: usize = 100;

/// How requests are lost in an incident.
const LOST: [&str; 4] = ["unanswered", "unread", "late", "refused"];

/// Durations by bucket.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Durations {
    /// Number in each bucket, not cumulative; the last has no upper bound.
    pub buckets: [u64; DURATION_BOUNDS_SECS.len() + 1],
    /// Sum, seconds.
    pub sum_secs: f64,
}

/// One service's figures.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceFigures {
    /// Drains that ended.
    pub drains: BTreeMap<(DrainKind, Verdict), u64>,
    /// From the signal to the last close, of kinds that occurred.
    pub durations: BTreeMap<DrainKind, Durations>,
    /// Connections accepted after the stop signal.
    pub opened_after_signal: u64,
    /// Findings by diagnosis, of those that occurred.
    pub diagnoses: BTreeMap<String, u64>,
    /// Incidents that were over, by what they came of; none where it had none.
    pub incidents: BTreeMap<IncidentCause, u64>,
    /// Requests that were lost in these, by how: as the causes of cut connections, and `refused`.
    pub incident_lost: BTreeMap<&'static str, u64>,
    /// When its last drain or incident began: who is folded first.
    last_at: Timestamp,
}

/// A rollout of late.
#[derive(Debug, Clone, PartialEq)]
pub struct RecentRollout {
    /// Its id.
    pub id: String,
    /// Who announced it.
    pub source: Source,
    /// What it changes; port 0 when it is not one port alone.
    pub service: Service,
    /// To which revision; empty when nobody said.
    pub revision: String,
    /// `inconclusive` while it runs.
    pub verdict: Verdict,
    /// When it began.
    pub started_at: Timestamp,
    /// Rate of mini-sockets created over the baseline's, when there is one.
    pub time_wait_growth: Option<f64>,
    /// Rate of RSTs sent over the baseline's, without goodbyes.
    pub reset_growth: Option<f64>,
}

/// Everything, ready to be encoded.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StoryFigures {
    /// By service; at most [`SERVICES_MAX`] and `other`.
    pub services: BTreeMap<Service, ServiceFigures>,
    /// Services whose figures were added to `other`.
    pub folded: u64,
    /// Rollouts that ended.
    pub rollouts: BTreeMap<(Source, Verdict), u64>,
    /// The last ones, at most [`RECENT_MAX`], by their beginning.
    pub recent: Vec<RecentRollout>,
}

// === impl StoryFigures ===

impl StoryFigures {
    /// A drain begins, or turns out to be of another kind: its service's counters of that kind are born, so that the end of the
    /// first such drain is seen as a rise.
    pub fn drain_began(&mut self, drain: &Drain) {
        self.service(&drain.service, drain.started_at)
            .drains_born(drain.kind);
    }

    /// Whether the counters are there that the end of a drain is counted in.
    pub fn awaits(&self, drain: &Drain) -> bool {
        let figures = self.services.get(&drain.service);
        figures.is_some_and(|figures| figures.drains.contains_key(&(drain.kind, drain.verdict)))
    }

    /// A drain is over and judged.
    pub fn drain_ended(&mut self, drain: &Drain) {
        let figures = self.service(&drain.service, drain.started_at);
        figures.drains_born(drain.kind);
        *figures
            .drains
            .entry((drain.kind, drain.verdict))
            .or_default() += 1;
        figures.opened_after_signal += drain.opened_after_start;
        figures.found(&drain.findings);
        if let Some(secs) = duration_secs(drain) {
            figures.durations.entry(drain.kind).or_default().take(secs);
        }
    }

    /// A rollout began, went on, or was read from the history: it is shown, and not counted.
    pub fn rollout_seen(&mut self, rollout: &Rollout) {
        let recent = &mut self.recent;
        recent.retain(|known| known.id != rollout.id);
        let shown = RecentRollout::of(rollout);
        let at = recent.partition_point(|known| known.started_at <= shown.started_at);
        recent.insert(at, shown);
        let surplus = recent.len().saturating_sub(RECENT_MAX);
        recent.drain(..surplus);
    }

    /// A rollout is over and judged.
    pub fn rollout_ended(&mut self, rollout: &Rollout) {
        self.rollout_seen(rollout);
        *self
            .rollouts
            .entry((rollout.source, rollout.verdict))
            .or_default() += 1;
        if !rollout.findings.is_empty() {
            let service = whose(rollout);
            self.service(&service, rollout.started_at)
                .found(&rollout.findings);
        }
    }

    /// An incident lasts: its service's counters are born, so that the end of its first one is seen as a rise.
    pub fn incident_began(&mut self, incident: &Incident) {
        self.service(&incident.service, incident.started_at)
            .incidents_born();
    }

    /// An incident is over.
    pub fn incident_ended(&mut self, incident: &Incident) {
        let figures = self.service(&incident.service, incident.started_at);
        figures.incidents_born();
        *figures.incidents.entry(incident.cause).or_default() += 1;
        let cut = incident.cut;
        let lost = [cut.unanswered, cut.unread, cut.late, incident.refused];
        for (how, count) in LOST.into_iter().zip(lost) {
            *figures.incident_lost.entry(how).or_default() += count;
        }
        // What a drain tells was counted with it.
        if incident.drain.is_none() {
            figures.found(&incident.findings);
        }
    }

    fn service(&mut self, service: &Service, at: Timestamp) -> &mut ServiceFigures {
        if !self.services.contains_key(service) {
            self.make_room();
        }
        let figures = self
            .services
            .entry(service.clone())
            .or_insert_with(|| ServiceFigures::born(at));
        figures.last_at = figures.last_at.max(at);
        figures
    }

    fn make_room(&mut self) {
        let Self {
            services, folded, ..
        } = self;
        let other = Service::other();
        let own = services.iter().filter(|(service, _)| **service != other);
        if own.clone().count() < SERVICES_MAX {
            return;
        }
        let oldest = own.min_by_key(|(_, figures)| figures.last_at);
        if let Some(oldest) = oldest.map(|(service, _)| service.clone())
            && let Some(figures) = services.remove(&oldest)
        {
            *folded += 1;
            services
                .entry(other)
                .or_insert_with(|| ServiceFigures::born(figures.last_at))
                .add(&figures);
        }
    }
}

// === impl ServiceFigures ===

impl ServiceFigures {
    fn born(at: Timestamp) -> Self {
        Self {
            drains: BTreeMap::new(),
            durations: BTreeMap::new(),
            opened_after_signal: 0,
            diagnoses: BTreeMap::new(),
            incidents: BTreeMap::new(),
            incident_lost: BTreeMap::new(),
            last_at: at,
        }
    }

    /// Every verdict of a kind is there, at zero.
    fn drains_born(&mut self, kind: DrainKind) {
        for verdict in Verdict::ALL {
            self.drains.entry((kind, verdict)).or_default();
        }
    }

    /// Every cause, and every way to lose a request, is there, at zero.
    fn incidents_born(&mut self) {
        for cause in IncidentCause::ALL {
            self.incidents.entry(cause).or_default();
        }
        for lost in LOST {
            self.incident_lost.entry(lost).or_default();
        }
    }

    fn found(&mut self, findings: &[Finding]) {
        for finding in findings {
            *self.diagnoses.entry(finding.diagnosis.clone()).or_default() += 1;
        }
    }

    fn add(&mut self, more: &Self) {
        let Self {
            drains,
            durations,
            opened_after_signal,
            diagnoses,
            incidents,
            incident_lost,
            last_at,
        } = more;
        for (pair, count) in drains {
            *self.drains.entry(*pair).or_default() += count;
        }
        for (kind, durations) in durations {
            self.durations.entry(*kind).or_default().add(durations);
        }
        self.opened_after_signal += opened_after_signal;
        for (diagnosis, count) in diagnoses {
            *self.diagnoses.entry(diagnosis.clone()).or_default() += count;
        }
        for (cause, count) in incidents {
            *self.incidents.entry(*cause).or_default() += count;
        }
        for (lost, count) in incident_lost {
            *self.incident_lost.entry(lost).or_default() += count;
        }
        self.last_at = self.last_at.max(*last_at);
    }
}

// === impl Durations ===

impl Durations {
    fn take(&mut self, secs: f64) {
        let bucket = DURATION_BOUNDS_SECS.partition_point(|bound| *bound < secs);
        self.buckets[bucket] += 1;
        self.sum_secs += secs;
    }

    fn add(&mut self, more: &Self) {
        let Self { buckets, sum_secs } = more;
        for (mine, theirs) in self.buckets.iter_mut().zip(buckets) {
            *mine += theirs;
        }
        self.sum_secs += sum_secs;
    }
}

// === impl RecentRollout ===

impl RecentRollout {
    fn of(rollout: &Rollout) -> Self {
        let revision = rollout.revision.as_deref().unwrap_or_default();
        Self {
            id: rollout.id.clone(),
            source: rollout.source,
            service: whose(rollout),
            revision: revision
                .chars()
                .map(|c| if c.is_control() { '?' } else { c })
                .take(REVISION_CHARS)
                .collect(),
            verdict: rollout.verdict,
            started_at: rollout.started_at,
            time_wait_growth: rollout.growth.time_wait.ratio,
            reset_growth: rollout.growth.resets.ratio,
        }
    }
}

/// From the signal to the last close; where nothing was open, to the end of the last process.
fn duration_secs(drain: &Drain) -> Option<f64> {
    let exit = drain.exit.as_ref().map(|exit| exit.at);
    let until = drain.last_close_at.or(exit)?;
    Some(
        until
            .duration_since(drain.started_at)
            .as_secs_f64()
            .max(0.0),
    )
}

/// The service that a rollout is of: the one that was seen, else what the announcement says.
fn whose(rollout: &Rollout) -> Service {
    let Rollout {
        workload,
        drains,
        starts,
        gaps,
        ..
    } = rollout;
    let mut seen = drains
        .iter()
        .map(|drain| &drain.service)
        .chain(starts.iter().map(|start| &start.service))
        .chain(gaps.iter().map(|gap| &gap.service));
    let Some(first) = seen.next() else {
        return Service {
            workload_namespace: workload.namespace.clone().unwrap_or_default(),
            workload_kind: workload.kind.clone().unwrap_or_default(),
            workload: workload.name.clone(),
            port: workload.port.unwrap_or(0),
        };
    };
    let port = if seen.all(|other| other.port == first.port) {
        first.port
    } else {
        0
    };
    Service {
        port,
        ..first.clone()
    }
}

#[cfg(test)]
#[path = "figures_tests.rs"]
mod tests;
