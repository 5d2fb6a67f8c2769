//! One rollout while it may still take something in: what belongs to it, and when it is over.

use std::cmp::Reverse;

use finwatch_common::{Role, ServiceKey};
use jiff::{SignedDuration, Timestamp};

use super::{
    CorrelatorOptions,
    account::{Account, RefusedReading, Shares},
    look::Looks,
};
use crate::{
    model::WorkloadKind,
    model::{
        Counts, DeployEvent, DeployStage, Drain, DrainKind, Gap, Growth, Rollout, RolloutState,
        Service, Source, Start, Verdict, WorkloadRef,
    },
    timing,
};

/// Most drains of one rollout.
const DRAINS_MAX: usize = 256;
/// Most events, and most links, of one rollout.
const EVENTS_MAX: usize = 32;
/// Most starts, and most gaps, of one rollout.
const STARTS_MAX: usize = 256;

/// No network namespace is known: as a drain of an older version tells it.
const ANYWHERE: u64 = 0;
/// No process is known.
const ANYBODY: u32 = 0;

/// See the module.
#[derive(Debug, Clone)]
pub(super) struct Live {
    /// What is told of it, without sums and judgement.
    pub(super) rollout: Rollout,
    pub(super) looks: Looks,
    pub(super) shares: Shares,
    /// It was told as it stands.
    pub(super) is_told: bool,
    /// Drains that found no place.
    pub(super) left_out: u64,
    /// It has the id of an unannounced rollout that it took in.
    pub(super) inherited: bool,
    /// It was told as ended: when it began is a part of what it is known by, and stays.
    is_known: bool,
    /// Its end was announced.
    finished: bool,
    /// When another change of its workload began.
    superseded_at: Option<Timestamp>,
    last_sign: Timestamp,
}

/// The running rollout that is meant most: one of a port before one of a workload, one that was announced before one
/// that was not, and of those the one that began last.
pub(super) fn best(live: &[Live], takes: impl Fn(&Live) -> bool) -> Option<usize> {
    (0..live.len())
        .filter(|at| takes(&live[*at]))
        .max_by_key(|at| {
            let rollout = &live[*at].rollout;
            (
                rollout.source.is_announced(),
                rollout.workload.port.is_some(),
                rollout.started_at,
                Reverse(*at),
            )
        })
}

pub(super) fn is_same_gap(one: &Gap, other: &Gap) -> bool {
    one.service == other.service && one.from == other.from
}

// === impl Live ===

impl Live {
    /// The rollout of an event.
    pub(super) fn announced(id: String, event: DeployEvent) -> Self {
        let started_at = event.effective_time();
        let mut live = Self::new(id, event.source, event.workload.clone(), started_at);
        live.last_sign = event.receive_time;
        live.announce(event);
        live
    }

    /// The rollout of a drain that nobody announced.
    pub(super) fn unannounced(id: String, drain: Drain) -> Self {
        let Service {
            workload_namespace,
            workload_kind,
            workload,
            port: _,
        } = drain.service.clone();
        let workload = WorkloadRef {
            namespace: Some(workload_namespace),
            kind: Some(workload_kind),
            name: workload,
            port: None,
        };
        let mut live = Self::new(id, Source::Signal, workload, drain.started_at);
        live.update(drain);
        live
    }

    fn new(id: String, source: Source, workload: WorkloadRef, started_at: Timestamp) -> Self {
        Self {
            rollout: Rollout {
                id,
                source,
                workload,
                revision: None,
                links: Vec::new(),
                events: Vec::new(),
                started_at,
                ended_at: None,
                state: RolloutState::Running,
                drains: Vec::new(),
                starts: Vec::new(),
                gaps: Vec::new(),
                counts: Counts::default(),
                outside: Counts::default(),
                outside_unjudged: 0,
                outside_examples: Vec::new(),
                growth: Growth::default(),
                verdict: Verdict::Inconclusive,
                interrupted: false,
                findings: Vec::new(),
            },
            looks: Looks::default(),
            shares: Shares::default(),
            is_told: false,
            left_out: 0,
            inherited: false,
            is_known: false,
            finished: false,
            superseded_at: None,
            last_sign: started_at,
        }
    }

    /// Takes an event of its change.
    pub(super) fn announce(&mut self, event: DeployEvent) {
        self.is_told = false;
        let rollout = &mut self.rollout;
        rollout.revision = rollout.revision.take().or_else(|| event.revision.clone());
        for link in &event.links {
            if rollout.links.len() < EVENTS_MAX && !rollout.links.contains(link) {
                rollout.links.push(link.clone());
            }
        }
        self.finished |= event.ends();
        self.last_sign = self.last_sign.max(event.receive_time);
        if rollout.events.len() < EVENTS_MAX {
            rollout.events.push(event);
        }
    }

    /// Another change began then, which ends it.
    pub(super) fn supersede(&mut self, at: Timestamp) {
        self.superseded_at.get_or_insert(at);
    }

    /// When another change ended it.
    pub(super) const fn superseded_at(&self) -> Option<Timestamp> {
        self.superseded_at
    }

    /// Whether its end is known.
    pub(super) const fn is_finished(&self) -> bool {
        self.finished || self.superseded_at.is_some()
    }

    /// When last something belonged to it.
    pub(super) const fn last_sign(&self) -> Timestamp {
        self.last_sign
    }

    /// Whether it has this drain.
    pub(super) fn has(&self, drain: &str) -> bool {
        self.rollout.drains.iter().any(|known| known.id == drain)
    }

    /// Takes a drain, new or changed. Returns whether that changed what can be told of an ended rollout.
    pub(super) fn update(&mut self, drain: Drain) -> bool {
        self.is_told = false;
        let sign = drain.ended_at.unwrap_or(drain.started_at);
        self.last_sign = self.last_sign.max(sign);
        let full = self.rollout.drains.len() >= DRAINS_MAX;
        match self
            .rollout
            .drains
            .iter_mut()
            .find(|known| known.id == drain.id)
        {
            Some(known) => {
                // What is over does not begin again, whatever comes out of order.
                if known.ended_at.is_some() && drain.ended_at.is_none() {
                    return false;
                }
                let news = known.ended_at.is_some() != drain.ended_at.is_some();
                *known = drain;
                news
            }
            None if !full => {
                if !self.is_known {
                    self.rollout.started_at = self.rollout.started_at.min(drain.started_at);
                }
                self.rollout.drains.push(drain);
                true
            }
            None => {
                self.left_out += 1;
                false
            }
        }
    }

    /// Takes a listener that came. Returns whether it is new.
    pub(super) fn started(&mut self, start: Start) -> bool {
        self.is_told = false;
        if self.rollout.starts.contains(&start) || self.rollout.starts.len() >= STARTS_MAX {
            return false;
        }
        self.last_sign = self.last_sign.max(start.at);
        self.rollout.starts.push(start);
        true
    }

    /// Takes a time nobody listened. Returns whether it is news.
    pub(super) fn listened_by_nobody(&mut self, gap: Gap) -> bool {
        self.is_told = false;
        self.last_sign = self.last_sign.max(gap.until.unwrap_or(gap.from));
        let full = self.rollout.gaps.len() >= STARTS_MAX;
        let known = self
            .rollout
            .gaps
            .iter_mut()
            .find(|known| is_same_gap(known, &gap));
        match known {
            Some(known) if *known == gap => false,
            Some(known) => {
                *known = gap;
                true
            }
            None if !full => {
                self.rollout.gaps.push(gap);
                true
            }
            None => false,
        }
    }

    /// Whether it is about this service's workload, whatever the port.
    pub(super) fn concerns(&self, service: &Service) -> bool {
        let any_port = WorkloadRef {
            port: None,
            ..self.rollout.workload.clone()
        };
        any_port.means(service)
    }

    /// Whether it counts what this service lost then.
    pub(super) fn tells_of(&self, service: &Service, netns: u64, at: Timestamp) -> bool {
        self.rollout.started_at <= at && self.means(service, netns, ANYBODY)
    }

    /// Whether somebody changed its workload: with nobody's announcement there is more to it than workers that crashed.
    pub(super) fn is_change(&self) -> bool {
        let rollout = &self.rollout;
        rollout.source.is_announced() || !rollout.drains.iter().all(Drain::is_lone_crash)
    }

    /// Whether what this service looks like is looked at: of a client, whatever it asks.
    pub(super) fn watches(&self, service: &Service, role: Role) -> bool {
        self.concerns(service)
            && (role == Role::Client || self.is_beside_it(service, ANYWHERE, ANYBODY))
    }

    /// Whether what it means grows with what it takes.
    pub(super) fn is_by_ports(&self) -> bool {
        let kind = self.rollout.workload.kind.as_deref();
        !self.rollout.source.is_announced() && kind == Some(WorkloadKind::Process.as_str())
    }

    /// Takes what one of its services has come to.
    pub(super) fn counted(&mut self, key: &ServiceKey, account: &Account) {
        if !self.means(&account.service, account.netns, ANYBODY) {
            return;
        }
        self.is_told = false;
        // What came before it is none of its own.
        let since = self.rollout.started_at;
        self.shares
            .take(key, account, || match account.first_at < since {
                true => account.counts.clone(),
                false => Counts::default(),
            });
    }

    /// Takes a reading of the SYNs that one of its services refused.
    pub(super) fn refused(&mut self, key: &ServiceKey, reading: &RefusedReading) {
        if !self.means(&reading.service, reading.netns, ANYBODY) {
            return;
        }
        let since = self.rollout.started_at;
        let base = match reading.grew_at > since {
            true => reading.before,
            false => reading.count,
        };
        // An announcement does nothing by itself: what the first reading after it tells was before.
        let is_old = self.rollout.source.is_announced() && reading.at < since;
        if self.shares.refused(key, reading.count, base, is_old) {
            self.is_told = false;
        }
    }

    /// Whether a drain that nobody has belongs to it while it runs.
    pub(super) fn takes_drain(&self, drain: &Drain, window: SignedDuration) -> bool {
        let since_last = drain.started_at.duration_since(self.last_sign);
        let in_time = if self.rollout.source.is_announced() {
            since_last <= window
        } else {
            since_last <= timing::ONE_ROLLOUT
        };
        // A drain may be told later than what it belongs to, and may have begun a little before.
        let before = self.rollout.started_at.duration_since(drain.started_at);
        let instance = &drain.instance;
        in_time
            && before <= timing::ONE_ROLLOUT
            && self.means(&drain.service, instance.netns_cookie, instance.pid)
    }

    /// Whether it goes on with this drain after it was told as ended: its end was never announced.
    pub(super) fn reopens_for(&self, drain: &Drain, window: SignedDuration) -> bool {
        self.rollout.source.is_announced() && !self.is_finished() && self.takes_drain(drain, window)
    }

    /// Whether a listener that came belongs to it while it runs. With no announced beginning it may have come before: a
    /// successor overlaps with the one it follows.
    pub(super) fn takes_start(&self, start: &Start, window: SignedDuration) -> bool {
        let reach = match self.rollout.events.first().map(|event| event.stage) {
            None => timing::ONE_ROLLOUT,
            Some(DeployStage::Started) => SignedDuration::ZERO,
            Some(DeployStage::Finished | DeployStage::Failed) => window,
        };
        self.rollout.started_at.duration_since(start.at) <= reach
            && start.at.duration_since(self.last_sign) <= window
            && self.means(&start.service, start.netns_cookie, start.pid)
    }

    /// Whether it ended without the listener that this one is.
    pub(super) fn misses_start(&self, start: &Start, window: SignedDuration) -> bool {
        self.takes_start(start, window)
            && self.rollout.drains.iter().any(|drain| {
                drain.service == start.service && !self.is_served_again(&drain.service)
            })
    }

    /// Whether a time nobody listened belongs to it.
    pub(super) fn takes_gap(&self, gap: &Gap, window: SignedDuration) -> bool {
        let known = self
            .rollout
            .gaps
            .iter()
            .any(|known| is_same_gap(known, gap));
        let before = self.rollout.started_at.duration_since(gap.from);
        let after = gap.from.duration_since(self.last_sign);
        known
            || (before <= timing::ONE_ROLLOUT
                && after <= window
                && self.means(&gap.service, gap.netns_cookie, ANYBODY))
    }

    /// Whether nothing more is to be waited for.
    pub(super) fn is_over(&self, now: Timestamp, options: &CorrelatorOptions) -> bool {
        let drains = &self.rollout.drains;
        let idle = now.duration_since(self.last_sign);
        let drained = drains.iter().all(|drain| drain.ended_at.is_some());
        if idle >= options.window() {
            return true;
        }
        let settled = if !self.rollout.source.is_announced() || self.is_finished() {
            true
        } else {
            let served = |drain: &Drain| self.is_served_again(&drain.service);
            !drains.is_empty() && drains.iter().all(served)
        };
        drained && settled && idle >= options.quiet()
    }

    /// Whether it had begun by then, and was not over.
    pub(super) fn lasted_at(&self, at: Timestamp) -> bool {
        self.rollout.started_at <= at && self.rollout.ended_at.is_none_or(|end| at <= end)
    }

    /// Whether something of it still goes on although it was told as ended.
    pub(super) fn lingers(&self) -> bool {
        self.rollout
            .drains
            .iter()
            .any(|drain| drain.ended_at.is_none())
    }

    /// It is over, with its last sign of life.
    pub(super) fn end(&mut self) {
        self.is_known = true;
        self.rollout.state = RolloutState::Ended;
        self.rollout.ended_at = Some(self.last_sign.max(self.rollout.started_at));
    }

    /// Takes the place of an unannounced rollout that it took in whole.
    pub(super) fn inherit(&mut self, donor: &Self) {
        self.is_told = false;
        self.inherited = true;
        self.rollout.id.clone_from(&donor.rollout.id);
        if donor.is_known {
            self.is_known = true;
            self.rollout.started_at = donor.rollout.started_at;
        }
    }

    /// It goes on.
    pub(super) fn reopen(&mut self) {
        self.is_told = false;
        self.rollout.state = RolloutState::Running;
        self.rollout.ended_at = None;
    }

    /// Whether it is the coming of an instance that was drained here, not of its successor.
    pub(super) fn is_old(&self, start: &Start) -> bool {
        self.rollout.drains.iter().any(|drain| {
            drain.service == start.service
                && drain.instance.pid == start.pid
                && start.at <= drain.started_at
        })
    }

    /// Whether a service in this network namespace, which this process has, is meant.
    fn means(&self, service: &Service, netns: u64, pid: u32) -> bool {
        self.rollout.workload.means(service) && self.is_beside_it(service, netns, pid)
    }

    /// Whether a service of this name is the same program. A process is known by its program's name only, and of one program
    /// there may be many side by side, each with a configuration of its own: with no event that names them all, another is
    /// who runs in another network namespace, or has no port in common with it and is none of its processes.
    fn is_beside_it(&self, service: &Service, netns: u64, pid: u32) -> bool {
        if !self.is_by_ports() || service.workload_kind != WorkloadKind::Process.as_str() {
            return true;
        }
        let Rollout { drains, starts, .. } = &self.rollout;
        let its = drains.iter().map(|drain| drain.instance.netns_cookie);
        let elsewhere = netns != ANYWHERE && its.clone().all(|its| its != netns && its != ANYWHERE);
        let has = |port: u16, its: u32| port == service.port || (its == pid && pid != ANYBODY);
        !elsewhere
            && (drains
                .iter()
                .any(|drain| has(drain.service.port, drain.instance.pid))
                || starts
                    .iter()
                    .any(|start| has(start.service.port, start.pid)))
    }

    /// Whether somebody listens on the port after the drains of this service.
    fn is_served_again(&self, service: &Service) -> bool {
        let mut drains = self
            .rollout
            .drains
            .iter()
            .filter(|drain| drain.service == *service);
        let stays = |drain: &Drain| {
            drain.kind == DrainKind::Reload
                || drain.listening.taken_over
                || drain.listening.closed_at.is_none()
        };
        let came = |start: &Start| start.service == *service && !self.is_old(start);
        drains.all(stays) || self.rollout.starts.iter().any(came)
    }
}
