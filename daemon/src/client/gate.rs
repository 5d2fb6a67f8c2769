//! The gate of a pipeline: finds the rollout that is meant and those that overlap it, and waits until all are over. It does not
//! print, and does not read clocks.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::Value;

use super::{
    api::{AskError, Client, Query, path_of},
    find::find_rollout,
};
use finwatch_engine::{
    model::{Incident, Rollout, Verdict, WorkloadRef},
    render::units::{self, Times},
};

/// What begins so soon after another's end was done with it: one hand that restarts a service in two places, one after the
/// other. Shorter than the daemon waits before it calls a rollout over, or an earlier gate's rollout would be judged again.
const TOGETHER: SignedDuration = SignedDuration::from_secs(2);
/// So long before the chosen rollout one may have begun that overlaps it.
pub(super) const BEFORE: SignedDuration = SignedDuration::from_hours(24);
/// Most rollouts that are asked for at once, the daemon's own bound.
pub(super) const LIMIT: usize = 1_000;

/// Which rollout is meant.
#[derive(Debug, Clone)]
pub(crate) enum Wanted {
    /// This one; the beginning of its id is enough when there is one only.
    Rollout(String),
    /// One that fits, and every other that fits and overlaps it.
    Fitting {
        /// The name of its workload, as it was typed.
        workload: Option<String>,
        /// Filters of the list, the workload among them.
        query: Query,
        /// Which of those that fit.
        since: Since,
        /// What is looked for, in words.
        called: String,
    },
}

/// Which of those that fit is meant.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Since {
    /// The newest.
    Ever,
    /// The newest of those that began then or later.
    Lately(Timestamp),
    /// The deploy that began then: of those that began then or later the first that was announced, or where none was, the
    /// newest.
    Deploy(Timestamp),
}

/// Waits, and says what for. Beside the gate, so that tests have a clock of their own.
pub(crate) trait WatchesTime {
    /// Since the first question.
    fn passed(&self) -> Duration;
    /// Waits for the next question, and may tell what is waited for.
    fn wait(&mut self, waiting_for: &str);
    /// Tells what must not wait for the end.
    fn mention(&mut self, what: &str);
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Passed {
    /// The worst of rollouts and incidents; where no rollout was found, no better than what is known of the time without one.
    pub(crate) verdict: Verdict,
    /// Why, in a sentence.
    pub(crate) reason: String,
    /// What was judged, the worst first.
    pub(crate) judged: Vec<Judged>,
    /// What fits too and was not judged, the newest first: told where the choice is not plain from the question.
    pub(crate) others: Vec<Rollout>,
    /// Incidents that count too, the worst first: what the workload lost since the time that was asked for, and no rollout that is
    /// judged tells.
    pub(crate) incidents: Vec<FoundIncident>,
    /// Incidents that do not count, the worst first: in the time of what was judged, they are none of its own.
    pub(crate) beside: Vec<FoundIncident>,
    /// That no rollout was found, in words.
    pub(crate) nothing: Option<String>,
}

/// One rollout and what it comes to.
#[derive(Debug)]
pub(crate) struct Judged {
    /// `inconclusive` when it is not over.
    pub(crate) verdict: Verdict,
    /// Why, in a sentence.
    pub(crate) reason: String,
    /// As the daemon wrote it.
    pub(crate) value: Value,
    /// As it was understood.
    pub(crate) rollout: Box<Rollout>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Gate<'a> {
    /// Who is asked.
    pub(crate) client: &'a Client,
    /// For what.
    pub(crate) wanted: Wanted,
    /// How long to wait.
    pub(crate) patience: Duration,
    /// For the reasons.
    pub(crate) times: &'a Times,
}

/// A rollout as the daemon wrote it and as it was understood.
pub(super) type Found = (Value, Box<Rollout>);

/// The same of an incident.
pub(crate) type FoundIncident = (Value, Incident);

#[derive(Deserialize)]
struct Page {
    rollouts: Vec<Value>,
}

// === impl Gate ===

impl Gate<'_> {
    /// Asks until all is over that is meant, or the time is up.
    ///
    /// # Errors
    /// When the daemon cannot be asked: at first at once, later when it does not come back in time.
    pub(crate) fn pass(&self, time: &mut impl WatchesTime) -> Result<Passed, AskError> {
        let mut known: Option<String> = None;
        let mut seen = Vec::new();
        let mut first = true;
        loop {
            let is_first = std::mem::take(&mut first);
            let found = match self.find(known.as_deref()) {
                Err(error @ AskError::Unreachable { .. }) if !is_first => Err(error),
                found => Ok(found?),
            };
            let out_of_time = time.passed() >= self.patience;
            match found {
                Ok(found) => {
                    known = found.first().map(|(_, rollout)| rollout.id.clone());
                    let over = !found.is_empty() && running(&found).next().is_none();
                    if over || out_of_time {
                        return self.judge(found);
                    }
                    if is_first && found.is_empty() {
                        self.doubt_the_name(time)?;
                    }
                    seen = found;
                }
                Err(error) if out_of_time => return Err(error),
                Err(_) => {}
            }
            time.wait(&self.waited_for(&seen));
        }
    }

    /// The chosen rollout and those that overlap it. Once found, it is followed by its id, until it is there no more.
    fn find(&self, known: Option<&str>) -> Result<Vec<Found>, AskError> {
        let Wanted::Fitting { query, since, .. } = &self.wanted else {
            return self.followed(known).map(Vec::from_iter);
        };
        if let Since::Deploy(since) = since {
            // Asked for anew each time: what is followed may turn out to have begun before.
            let found = self.list(query, Some(*since), LIMIT)?;
            return Ok(with_overlapping(found, |found| of_deploy(found, known)));
        }
        let Some((value, chosen)) = self.followed(known)? else {
            return Ok(Vec::new());
        };
        let began = &chosen.started_at;
        let since = since.bound().or_else(|| began.checked_sub(BEFORE).ok());
        let mut found = self.list(query, since, LIMIT)?;
        found.retain(|(_, other)| other.id != chosen.id);
        found.insert(0, (value, chosen));
        Ok(with_overlapping(found, |_| Some(0)))
    }

    /// The one that is known, or else the one to begin with.
    fn followed(&self, known: Option<&str>) -> Result<Option<Found>, AskError> {
        match (known.map(|id| self.by_id(id)), &self.wanted) {
            (Some(found), _) if !matches!(found, Err(AskError::NoSuch { .. })) => found.map(Some),
            (_, Wanted::Rollout(id)) => self.by_beginning(id),
            (_, Wanted::Fitting { query, since, .. }) => self
                .list(query, since.bound(), 1)
                .map(|found| found.into_iter().next()),
        }
    }

    fn by_id(&self, id: &str) -> Result<Found, AskError> {
        let path = path_of("/v1/rollouts", id);
        let value = self.client.ask(&path, &Query::new())?;
        self.understood(value)
    }

    fn by_beginning(&self, id: &str) -> Result<Option<Found>, AskError> {
        match find_rollout(self.client, id) {
            // It may still come.
            Err(AskError::NoSuch { .. }) => Ok(None),
            found => self.understood(found?).map(Some),
        }
    }

    pub(super) fn list(
        &self,
        query: &Query,
        since: Option<Timestamp>,
        limit: usize,
    ) -> Result<Vec<Found>, AskError> {
        let mut query = query.clone();
        query.extend(since.map(|since| ("since", since.to_string())));
        query.push(("limit", limit.to_string()));
        let page: Page = self.client.ask("/v1/rollouts", &query)?;
        let values = page.rollouts.into_iter();
        values.map(|value| self.understood(value)).collect()
    }

    fn understood(&self, value: Value) -> Result<Found, AskError> {
        let rollout = self.client.understand("/v1/rollouts", &value.to_string())?;
        Ok((value, Box::new(rollout)))
    }

    fn waited_for(&self, seen: &[Found]) -> String {
        let mut lasting = running(seen);
        match (lasting.next(), lasting.count()) {
            (None, _) => self.called(),
            (Some(one), 0) => format!("rollout {} to end", units::plain(&one.id)),
            (Some(_), more) => format!("{} rollouts to end", more + 1),
        }
    }

    pub(super) fn waited(&self) -> String {
        units::span_of_secs(self.patience.as_secs_f64())
    }

    pub(super) fn called(&self) -> String {
        match &self.wanted {
            Wanted::Rollout(id) => format!("rollout {id}"),
            Wanted::Fitting { since, called, .. } => match since.bound() {
                Some(since) => format!("{called} that began after {}", self.times.full(since)),
                None => called.clone(),
            },
        }
    }
}

// === impl Since ===

impl Since {
    /// What began before is not meant.
    pub(super) const fn bound(self) -> Option<Timestamp> {
        match self {
            Self::Ever => None,
            Self::Lately(at) | Self::Deploy(at) => Some(at),
        }
    }
}

/// The place of the deploy's rollout among those that began since.
fn of_deploy(found: &[Found], known: Option<&str>) -> Option<usize> {
    let announced = (0..found.len()).filter(|at| found[*at].1.source.is_announced());
    let first = announced.min_by_key(|at| (found[*at].1.started_at, &found[*at].1.id));
    let followed = || {
        found
            .iter()
            .position(|(_, one)| Some(one.id.as_str()) == known)
    };
    first
        .or_else(followed)
        .or_else(|| (!found.is_empty()).then_some(0))
}

/// The chosen one and, behind it, those that overlap it.
fn with_overlapping(
    mut found: Vec<Found>,
    choose: impl Fn(&[Found]) -> Option<usize>,
) -> Vec<Found> {
    let Some(at) = choose(&found) else {
        return Vec::new();
    };
    let chosen = found.remove(at);
    found.retain(|(_, other)| overlap(other, &chosen.1) && !is_apart(other, &chosen.1));
    found.insert(0, chosen);
    found
}

/// Whether one that overlaps the chosen rollout has nothing to do with its deploy: it is another deploy of the same workload,
/// or happened to another workload with nobody announcing it.
fn is_apart(other: &Rollout, chosen: &Rollout) -> bool {
    let of_any_port = |rollout: &Rollout| WorkloadRef {
        port: None,
        ..rollout.workload.clone()
    };
    if !chosen.source.is_announced() {
        return false;
    }
    if other.source.is_announced() {
        return other.workload.is_same(&chosen.workload);
    }
    !of_any_port(other).is_same(&of_any_port(chosen))
}

fn running(found: &[Found]) -> impl Iterator<Item = &Rollout> {
    let rollouts = found.iter().map(|(_, rollout)| rollout.as_ref());
    rollouts.filter(|rollout| !rollout.is_over())
}

/// Whether there was a time when both lasted, but for a moment between them.
fn overlap(one: &Rollout, other: &Rollout) -> bool {
    let begins_in = |later: &Rollout, earlier: &Rollout| {
        let ended_at = earlier.ended_at.filter(|_| earlier.is_over());
        ended_at.is_none_or(|ended_at| later.started_at.duration_since(ended_at) <= TOGETHER)
    };
    begins_in(one, other) && begins_in(other, one)
}
