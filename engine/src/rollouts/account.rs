//! What a rollout's services counted from its begin to its end, in every phase, whether a drain took it or not. Services come
//! and go with their instances, so each has its own share; its drains are a part of the sum.

use std::collections::BTreeMap;

use finwatch_common::ServiceKey;
use jiff::Timestamp;

use crate::{
    diagnoses::growth::ordinary_secs,
    model::{Baseline, Counts, Drain, EndedConnection, Service},
};

/// Most services that one rollout is told of.
const SERVICES_MAX: usize = 256;
/// Most connections shown as examples.
const EXAMPLES_MAX: usize = 5;

/// What a service came to, since it is accounted for.
#[derive(Debug, Clone, PartialEq)]
pub struct Account {
    /// Whose it is.
    pub service: Service,
    /// Cookie of its network namespace.
    pub netns: u64,
    /// When the first of it ended.
    pub first_at: Timestamp,
    /// When the last of it ended.
    pub last_at: Timestamp,
    /// Everything that ended, but for SYNs that were refused.
    pub counts: Counts,
    /// Connections whose request was lost and that no drain took, the first few.
    pub examples: Vec<EndedConnection>,
    /// The service's ordinary time before that.
    pub ordinary: Baseline,
    /// It is a stream or one-way protocol: what was not answered is not judged.
    pub turns_not_judged: bool,
}

/// SYNs that a service's port had refused at a reading, since the service is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedReading {
    /// Whose port.
    pub service: Service,
    /// Cookie of its network namespace.
    pub netns: u64,
    /// When it was read.
    pub at: Timestamp,
    /// How many by then.
    pub count: u64,
    /// How many before it last grew, and since when there are more.
    pub before: u64,
    /// See `before`.
    pub grew_at: Timestamp,
}

/// Shares of one rollout.
#[derive(Debug, Clone, Default)]
pub(super) struct Shares {
    by_service: BTreeMap<ServiceKey, Share>,
    refused: BTreeMap<ServiceKey, RefusedShare>,
    /// Of connections that ended in it, told after its end.
    late: Counts,
    /// When the last of it ended.
    last_at: Option<Timestamp>,
    /// Ordinary time, by what services are called: one that was restarted is another service by the same name.
    ordinary: BTreeMap<Service, Baseline>,
}

/// One service's.
#[derive(Debug, Clone)]
struct Share {
    service: Service,
    /// What it had come to before.
    base: Counts,
    now: Counts,
    /// What it had come to when the rollout was told as ended, before it went on.
    held: Counts,
    examples: Vec<EndedConnection>,
    turns_not_judged: bool,
}

#[derive(Debug, Clone, Copy)]
struct RefusedShare {
    base: u64,
    now: u64,
    /// The base was read before the rollout: the next reading is the better one.
    is_old: bool,
}

// === impl Shares ===

impl Shares {
    /// Takes what a service has come to. What it had before the rollout is its base: none where all of it came since.
    pub(super) fn take(
        &mut self,
        key: &ServiceKey,
        account: &Account,
        base: impl FnOnce() -> Counts,
    ) {
        if !self.by_service.contains_key(key) && self.by_service.len() >= SERVICES_MAX {
            return;
        }
        let share = self.by_service.entry(*key).or_insert_with(|| Share {
            base: base(),
            service: account.service.clone(),
            turns_not_judged: account.turns_not_judged,
            now: Counts::default(),
            held: Counts::default(),
            examples: Vec::new(),
        });
        share.now.clone_from(&account.counts);
        share.examples.clone_from(&account.examples);
        share.turns_not_judged = account.turns_not_judged;
        self.last_at = self.last_at.max(Some(account.last_at));
        let known = self.ordinary.entry(account.service.clone()).or_default();
        if ordinary_secs(&account.ordinary) > ordinary_secs(known) {
            known.clone_from(&account.ordinary);
        }
    }

    /// It goes on after it was told as ended: what came in between is none of its own.
    pub(super) fn go_on(&mut self, accounts: &BTreeMap<ServiceKey, Account>) {
        for (key, share) in &mut self.by_service {
            share.held.add(&share.now.less(&share.base));
            let now = accounts.get(key).map(|account| account.counts.clone());
            share.base = now.unwrap_or_default();
            share.now.clone_from(&share.base);
        }
    }

    /// Takes a reading of refused SYNs. Returns whether that changed anything. `base` is what was refused before the rollout;
    /// `is_old`: by a reading that was made before it.
    pub(super) fn refused(
        &mut self,
        key: &ServiceKey,
        count: u64,
        base: u64,
        is_old: bool,
    ) -> bool {
        let Some(share) = self.refused.get_mut(key) else {
            if self.refused.len() < SERVICES_MAX {
                let now = count;
                self.refused
                    .insert(*key, RefusedShare { base, now, is_old });
            }
            return count > base;
        };
        if share.is_old && !is_old {
            (share.base, share.is_old) = (count, false);
        }
        let grew = count > share.now;
        share.now = share.now.max(count);
        grew
    }

    /// Takes what came late to a connection that had ended in it, after its own end.
    pub(super) fn late(&mut self, counts: &Counts) {
        self.late.add(counts);
    }

    /// What came late to a connection that had ended before is none of its own.
    pub(super) fn leave_out(&mut self, key: &ServiceKey, counts: &Counts) {
        if let Some(share) = self.by_service.get_mut(key) {
            share.base.add(counts);
        }
    }

    /// Whether a service counted anything.
    pub(super) fn has(&self, key: &ServiceKey) -> bool {
        self.by_service.contains_key(key)
    }

    /// Takes another's: what both have is counted from the earlier base.
    pub(super) fn adopt(&mut self, other: Self) {
        for (key, share) in other.by_service {
            self.by_service.insert(key, share);
        }
        for (key, share) in other.refused {
            self.refused.insert(key, share);
        }
        self.late.add(&other.late);
        self.ordinary.extend(other.ordinary);
    }

    /// What was counted, of all services.
    pub(super) fn counts(&self) -> Counts {
        let mut sum = self.late.clone();
        for share in self.by_service.values() {
            sum.add(&share.counts());
        }
        sum.refused = self
            .refused
            .values()
            .map(|share| share.now.saturating_sub(share.base))
            .sum();
        sum
    }

    /// Of the requests that had no answer and that none of `drains` counted, those of services where nobody waits for one.
    pub(super) fn unjudged(&self, drains: &[Drain]) -> u64 {
        let mut unanswered = BTreeMap::<&Service, u64>::new();
        for share in self.by_service.values().filter(|one| one.turns_not_judged) {
            *unanswered.entry(&share.service).or_default() += share.counts().cut.unanswered;
        }
        for drain in drains {
            if let Some(of_service) = unanswered.get_mut(&drain.service) {
                *of_service = of_service.saturating_sub(drain.counts.cut.unanswered);
            }
        }
        unanswered.values().sum()
    }

    /// The ordinary time of all services that counted anything: their counts, and their seconds together.
    pub(super) fn ordinary(&self) -> Baseline {
        let mut sum = Baseline::default();
        for one in self.ordinary.values() {
            sum.counts.add(&one.counts);
            sum.window_secs += ordinary_secs(one);
        }
        sum
    }

    /// When the last of it ended.
    pub(super) const fn last_at(&self) -> Option<Timestamp> {
        self.last_at
    }

    /// Services that counted anything.
    pub(super) fn services(&self) -> u64 {
        self.ordinary.len() as u64
    }

    /// Connections whose request was lost and that no drain took, the first few.
    pub(super) fn examples(&self, since: Timestamp) -> Vec<EndedConnection> {
        let all = self.by_service.values().flat_map(Share::lost);
        let mut examples: Vec<_> = all.filter(|one| one.ended_at >= since).cloned().collect();
        examples.sort_by_key(|one| one.ended_at);
        examples.truncate(EXAMPLES_MAX);
        examples
    }
}

// === impl Share ===

impl Share {
    fn counts(&self) -> Counts {
        let mut counts = self.now.less(&self.base);
        counts.add(&self.held);
        counts
    }

    /// Its examples, but for those that nobody had to answer.
    fn lost(&self) -> impl Iterator<Item = &EndedConnection> {
        let is_lost = |one: &&EndedConnection| !self.turns_not_judged || one.cut != "unanswered";
        self.examples.iter().filter(is_lost)
    }
}
