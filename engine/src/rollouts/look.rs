//! What a rollout is told of its workload's services beside drains: small looks at their counters and gauges, from the
//! engine's rounds. Without them those of its diagnoses keep silent that need them.

use std::collections::BTreeMap;

use finwatch_common::Role;
use jiff::Timestamp;

use crate::model::{Baseline, Service};

/// Most services that one rollout is told of.
const SERVICES_MAX: usize = 64;
/// Most idle times that one rollout remembers.
const LATE_MAX: usize = 64;

/// What one service counted since the look before, in every phase, and what it holds now.
#[derive(Debug, Clone, PartialEq)]
pub struct Look {
    /// Which; of a client the port is the remote one.
    pub service: Service,
    /// Which side it is.
    pub role: Role,
    /// When.
    pub at: Timestamp,
    /// How long since the look before, seconds.
    pub secs: f64,
    /// Server: peers that left while their request had no answer.
    pub abandoned: u64,
    /// Client: closes that the peer began while our request had no answer (silent and alert).
    pub unanswered: u64,
    /// Sockets in CLOSE_WAIT now.
    pub close_wait: u64,
    /// The service's ordinary time before the rollout began.
    pub ordinary: Baseline,
}

/// In phase `steady`: a request that came after this side's FIN and was reset.
#[derive(Debug, Clone, PartialEq)]
pub struct LateClose {
    /// Whose connection it was.
    pub service: Service,
    /// When it ended.
    pub at: Timestamp,
    /// How long it had been idle when this side closed it, seconds, if that is known.
    pub idle_secs: Option<f64>,
}

/// The looks at one rollout's services.
#[derive(Debug, Clone, Default)]
pub(super) struct Looks {
    pub(super) services: BTreeMap<(Service, Role), Watched>,
    pub(super) late: Vec<LateClose>,
    /// How many there were, remembered or not.
    pub(super) late_count: u64,
}

/// Sums over the looks at one service.
#[derive(Debug, Clone)]
pub(super) struct Watched {
    pub(super) secs: f64,
    pub(super) abandoned: u64,
    pub(super) unanswered: u64,
    pub(super) ordinary: Baseline,
    pub(super) close_wait_at_first: u64,
    pub(super) close_wait: u64,
    /// When there were last fewer of them than at the look before.
    pub(super) fewer_at: Timestamp,
    pub(super) at: Timestamp,
}

// === impl Looks ===

impl Looks {
    pub(super) fn take(&mut self, look: &Look) {
        let key = (look.service.clone(), look.role);
        if !self.services.contains_key(&key) && self.services.len() >= SERVICES_MAX {
            return;
        }
        let watched = self.services.entry(key).or_insert_with(|| Watched {
            secs: 0.0,
            abandoned: 0,
            unanswered: 0,
            ordinary: look.ordinary.clone(),
            close_wait_at_first: look.close_wait,
            close_wait: look.close_wait,
            fewer_at: look.at,
            at: look.at,
        });
        watched.secs += look.secs;
        watched.abandoned += look.abandoned;
        watched.unanswered += look.unanswered;
        if look.close_wait < watched.close_wait {
            watched.fewer_at = look.at;
        }
        watched.close_wait = look.close_wait;
        watched.at = look.at;
    }

    pub(super) fn late(&mut self, late: &LateClose) {
        self.late_count += 1;
        if self.late.len() < LATE_MAX {
            self.late.push(late.clone());
        }
    }
}
