//! The gate of a pipeline: finds the rollout that is meant, waits until it is over, and turns its verdict into one
//! of a few results. It does not print, and does not read clocks.

use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::{
    client::{AskError, Client, Query, path_of},
    table::is_over,
    words::{self, Words},
};
use crate::story::{Rollout, Verdict};

/// Which rollout is meant.
#[derive(Debug, Clone)]
pub(crate) enum Wanted {
    /// This one; the beginning of its id is enough when there is one only.
    Rollout(String),
    /// The newest that fits.
    Newest {
        /// Filters of the list.
        query: Query,
        /// Only those that began then or later.
        since: Option<Timestamp>,
        /// What is looked for, in words.
        called: String,
    },
}

/// Waits, and says what for. Beside the gate, so that tests have a clock of their own.
pub(crate) trait WatchesTime {
    /// Since the first question.
    fn passed(&self) -> Duration;
    /// Waits for the next question, and may tell what is waited for.
    fn wait(&mut self, waiting_for: &str);
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Passed {
    /// `inconclusive` when nothing was found or it is not over.
    pub(crate) verdict: Verdict,
    /// Why, in a sentence.
    pub(crate) reason: String,
    /// The rollout, as the daemon wrote it and as it was understood.
    pub(crate) rollout: Option<(Value, Box<Rollout>)>,
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
    pub(crate) words: &'a Words,
}

#[derive(Deserialize)]
struct Page {
    rollouts: Vec<Value>,
}

// === impl Gate ===

impl Gate<'_> {
    /// Asks until the rollout is over or the time is up.
    ///
    /// # Errors
    /// When the daemon cannot be asked: at first at once, later when it does not come back in time.
    pub(crate) fn pass(&self, time: &mut impl WatchesTime) -> Result<Passed, AskError> {
        let mut known: Option<String> = None;
        let mut seen = None;
        let mut first = true;
        loop {
            let found = match self.find(known.as_deref()) {
                Err(error @ AskError::Unreachable { .. }) if !first => Err(error),
                found => Ok(found?),
            };
            first = false;
            if let Ok(found) = found {
                known = found.as_ref().map(|(_, rollout)| rollout.id.clone());
                seen = found;
                if let Some((value, rollout)) = seen.take_if(|(_, rollout)| is_over(rollout)) {
                    return Ok(self.judged(value, rollout));
                }
                if time.passed() >= self.patience {
                    return Ok(self.out_of_time(seen));
                }
            } else if time.passed() >= self.patience {
                found?;
            }
            time.wait(&match &seen {
                Some((_, rollout)) => format!("rollout {} to end", words::plain(&rollout.id)),
                None => self.called(),
            });
        }
    }

    /// Once found, it is followed by its id, until it is there no more.
    fn find(&self, known: Option<&str>) -> Result<Option<(Value, Box<Rollout>)>, AskError> {
        if let Some(id) = known {
            match self.by_id(id) {
                Err(AskError::NoSuch { .. }) => {}
                found => return found.map(Some),
            }
        }
        let query = match &self.wanted {
            Wanted::Rollout(id) => return self.by_beginning(id),
            Wanted::Newest { query, since, .. } => {
                let mut query = query.clone();
                query.extend(since.map(|since| ("since", since.to_string())));
                query
            }
        };
        self.list(query, 1).map(|found| found.into_iter().next())
    }

    fn by_id(&self, id: &str) -> Result<(Value, Box<Rollout>), AskError> {
        let path = path_of("/v1/rollouts", id);
        let value = self.client.ask(&path, &Query::new())?;
        self.understood(value)
    }

    fn by_beginning(&self, id: &str) -> Result<Option<(Value, Box<Rollout>)>, AskError> {
        match find_rollout(self.client, id) {
            // It may still come.
            Err(AskError::NoSuch { .. }) => Ok(None),
            found => self.understood(found?).map(Some),
        }
    }

    fn list(&self, mut query: Query, limit: usize) -> Result<Vec<(Value, Box<Rollout>)>, AskError> {
        query.push(("limit", limit.to_string()));
        let page: Page = self.client.ask("/v1/rollouts", &query)?;
        let values = page.rollouts.into_iter();
        values.map(|value| self.understood(value)).collect()
    }

    fn understood(&self, value: Value) -> Result<(Value, Box<Rollout>), AskError> {
        let rollout = self.client.understand("/v1/rollouts", &value.to_string())?;
        Ok((value, Box::new(rollout)))
    }

    fn judged(&self, value: Value, rollout: Box<Rollout>) -> Passed {
        let cut = rollout.counts.cut;
        let cut = match cut.total() {
            // What was cut with no stop under way, its findings tell.
            0 if rollout.drains.is_empty() => "no stop and no reload was seen".to_owned(),
            0 => "no connection was cut".to_owned(),
            _ => format!("connections cut: {}", words::cuts(cut)),
        };
        let reason = match (rollout.verdict, rollout.interrupted) {
            (Verdict::Inconclusive, true) => {
                format!("finwatch was restarted meanwhile and cannot tell; seen until then: {cut}")
            }
            (Verdict::Inconclusive, false) => format!("too little was seen to tell; {cut}"),
            _ => cut,
        };
        Passed {
            verdict: rollout.verdict,
            reason,
            rollout: Some((value, rollout)),
        }
    }

    fn out_of_time(&self, seen: Option<(Value, Box<Rollout>)>) -> Passed {
        let reason = match (&seen, self.patience.is_zero()) {
            (Some((_, rollout)), false) => {
                format!(
                    "rollout {} is still running after {}",
                    words::plain(&rollout.id),
                    self.waited()
                )
            }
            (Some((_, rollout)), true) => {
                format!(
                    "rollout {} is still running; --wait waits for its end",
                    words::plain(&rollout.id)
                )
            }
            (None, false) => format!("waited {} for {}", self.waited(), self.called()),
            (None, true) => format!("there is no {}", self.called()),
        };
        Passed {
            verdict: Verdict::Inconclusive,
            reason,
            rollout: seen,
        }
    }

    fn waited(&self) -> String {
        words::secs(self.patience.as_secs_f64())
    }

    fn called(&self) -> String {
        match &self.wanted {
            Wanted::Rollout(id) => format!("rollout {id}"),
            Wanted::Newest {
                since: Some(since),
                called,
                ..
            } => format!("{called} that began after {}", self.words.time(*since)),
            Wanted::Newest { called, .. } => called.clone(),
        }
    }
}

/// The one rollout whose id is or begins so; `latest` is the newest.
///
/// # Errors
/// When there is none, or more than one.
pub(crate) fn find_rollout(client: &Client, id: &str) -> Result<Value, AskError> {
    find_one(client, "/v1/rollouts", "rollouts", "rollout", id)
}

/// The one drain whose id is or begins so; `latest` is the newest.
///
/// # Errors
/// When there is none, or more than one.
pub(crate) fn find_drain(client: &Client, id: &str) -> Result<Value, AskError> {
    find_one(client, "/v1/drains", "drains", "drain", id)
}

fn find_one(
    client: &Client,
    path: &str,
    list: &str,
    what: &str,
    id: &str,
) -> Result<Value, AskError> {
    let page = |query: Query| -> Result<Vec<Value>, AskError> {
        let page: Value = client.ask(path, &query)?;
        Ok(page[list].as_array().cloned().unwrap_or_default())
    };
    if id == "latest" {
        let newest = page(vec![("limit", "1".to_owned())])?.into_iter().next();
        return newest.ok_or_else(|| AskError::NoSuch {
            title: format!("there is no {what} yet"),
            allowed: Vec::new(),
        });
    }
    let missing = match client.ask(&path_of(path, id), &Query::new()) {
        Err(missing @ AskError::NoSuch { .. }) => missing,
        found => return found,
    };
    let begun = page(vec![("id", id.to_owned()), ("limit", "4".to_owned())])?;
    match begun.as_slice() {
        [] => Err(missing),
        [one] => Ok(one.clone()),
        several => {
            let ids = several.iter().filter_map(|value| value["id"].as_str());
            Err(AskError::Several {
                what: what.to_owned(),
                id: id.to_owned(),
                ids: ids.map(str::to_owned).collect(),
            })
        }
    }
}
