//! What services counted while something lasted that is to be accounted for: every connection of a server that ended, whether
//! a drain took it or not, by the service itself and not by its labels. Rollouts set the drains' own sums beside it.

use std::collections::HashMap;

use finwatch_common::{Phase, ResetRecord, ServiceKey, UnreadRecord};

use super::{
    membership::{lingering::Lingerer, merge::ClosedConnection},
    report::tally::{Setting, Tally},
};
use crate::{
    bounded::{Bounded, Queue},
    known::Known,
    model::{Counts, EndedConnection},
};

/// Most services that are accounted for.
const SERVICES_MAX: usize = 1_024;
/// Most connections remembered that no drain took and whose story may go on.
const LINGERING_MAX: usize = 32_768;
/// Most of what came late that waits to be told.
const LATE_MAX: usize = 4_096;

/// In place of a drain's id.
const OUTSIDE: u64 = u64::MAX;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Accounts {
    /// Since when; none: nothing lasts.
    since_ns: Option<u64>,
    by_service: HashMap<ServiceKey, Account>,
    /// Connections that no drain took, by cookie.
    lingering: Bounded<u64, Lingerer, LINGERING_MAX>,
    late: Queue<Late, LATE_MAX>,
    left_out: u64,
}

/// One service's.
#[derive(Debug, Default)]
struct Account {
    /// Everything that ended.
    whole: Tally,
    /// What no drain took.
    outside: Tally,
    first_ns: u64,
    last_ns: u64,
    is_told: bool,
}

/// What one service came to, since the accounts were opened.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sum {
    /// Which.
    pub(crate) key: ServiceKey,
    /// When the first of it ended, on the kernel's clock.
    pub(crate) first_ns: u64,
    /// When the last of it ended.
    pub(crate) last_ns: u64,
    /// Everything that ended.
    pub(crate) counts: Counts,
    /// Connections whose request was lost and that no drain took, the first few.
    pub(crate) examples: Vec<EndedConnection>,
}

/// What came after its connection had ended, and no drain took.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Late {
    /// On which service.
    pub(crate) key: ServiceKey,
    /// When the connection had ended, on the kernel's clock.
    pub(crate) ended_at_ns: u64,
    /// What it adds.
    pub(crate) counts: Counts,
}

// === impl Accounts ===

impl Accounts {
    /// Opens them, if they are not: what ended before is in none.
    pub(super) fn open(&mut self, since_ns: u64) {
        self.since_ns.get_or_insert(since_ns);
    }

    /// Nothing lasts.
    pub(super) fn close(&mut self) {
        *self = Self {
            left_out: self.bitten(),
            ..Self::default()
        };
    }

    /// Whether anything is accounted for.
    pub(super) const fn are_open(&self) -> bool {
        self.since_ns.is_some()
    }

    /// Takes a connection that ended; `taken`: by a drain.
    pub(super) fn ended(&mut self, closed: &ClosedConnection, taken: bool, known: &Known<'_>) {
        let record = &closed.record;
        let ended_ns = record.header.at_ns;
        let setting = Setting {
            since_ns: self.since_ns.unwrap_or(u64::MAX),
            killed: false,
            moved: false,
            replaced: false,
        };
        self.add(&record.service, ended_ns, taken, |tally| {
            tally.close(closed, setting, false, known);
        });
        if !taken && self.are_open() && closed.lingers() {
            let lingerer = Lingerer::of(closed, OUTSIDE);
            self.lingering.insert(record.cookie, lingerer);
        }
    }

    /// Takes an RST that came after its connection was told, or that belongs to none.
    /// `taken`: by a drain, which knows the connection as `theirs` if it does.
    pub(super) fn late(
        &mut self,
        reset: &ResetRecord,
        taken: bool,
        theirs: Option<&Lingerer>,
        known: &Known<'_>,
    ) {
        let outside = self.lingering.remove(&reset.cookie);
        let lingerer = theirs.or(outside.as_ref());
        self.add(&reset.service, reset.header.at_ns, taken, |tally| {
            tally.late(reset, lingerer, known);
        });
        if let Some(outside) = outside {
            self.tell_late(&outside, known, |tally| {
                tally.late(reset, Some(&outside), known);
            });
        }
    }

    /// Takes what a program never read of a connection that was told before; `taken`: by a drain, as which it knows it.
    pub(super) fn never_read(
        &mut self,
        unread: &UnreadRecord,
        taken: Option<&Lingerer>,
        known: &Known<'_>,
    ) {
        let outside = self.lingering.remove(&unread.cookie);
        let Some(lingerer) = taken.or(outside.as_ref()) else {
            return;
        };
        self.add(
            &unread.service,
            unread.header.at_ns,
            taken.is_some(),
            |tally| {
                tally.never_read(unread, lingerer, known);
            },
        );
        if let Some(outside) = outside {
            self.tell_late(&outside, known, |tally| {
                tally.never_read(unread, &outside, known);
            });
        }
    }

    /// Forgets services that nobody waits for and of which nothing ended since then.
    pub(super) fn retain(&mut self, since_ns: u64, wanted: impl Fn(&ServiceKey) -> bool) {
        self.by_service
            .retain(|key, account| account.last_ns >= since_ns || wanted(key));
    }

    /// Whether anything is kept of a service.
    pub(super) fn has(&self, key: &ServiceKey) -> bool {
        self.by_service.contains_key(key)
    }

    /// What came late since this was last asked.
    pub(super) fn take_late(&mut self) -> Vec<Late> {
        self.late.take_all(|_| true)
    }

    /// Services that are `ready` and of which something changed since this was last asked.
    pub(super) fn changed(
        &mut self,
        ready: impl Fn(&ServiceKey) -> bool,
        known: &Known<'_>,
    ) -> Vec<Sum> {
        let changed = self
            .by_service
            .iter_mut()
            .filter(|(key, account)| !account.is_told && ready(key));
        let mut sums: Vec<Sum> = changed
            .map(|(key, account)| {
                account.is_told = true;
                Sum {
                    key: *key,
                    first_ns: account.first_ns,
                    last_ns: account.last_ns,
                    counts: account.whole.counts(known),
                    examples: account.outside.examples.clone(),
                }
            })
            .collect();
        sums.sort_unstable_by_key(|sum| sum.key);
        sums
    }

    /// How often there was no room for a service or a connection.
    pub(super) fn bitten(&self) -> u64 {
        self.left_out + self.lingering.bitten() + self.late.bitten()
    }

    /// Adds to a service's sums what happened then, unless that was before they were opened.
    fn add(&mut self, key: &ServiceKey, at_ns: u64, taken: bool, add: impl Fn(&mut Tally)) {
        if self.since_ns.is_none_or(|since_ns| at_ns < since_ns) {
            return;
        }
        let key = key.in_phase(Phase::Steady);
        if !self.by_service.contains_key(&key) && self.by_service.len() >= SERVICES_MAX {
            self.left_out += 1;
            return;
        }
        let account = self.by_service.entry(key).or_insert_with(|| Account {
            first_ns: at_ns,
            ..Account::default()
        });
        account.is_told = false;
        account.last_ns = account.last_ns.max(at_ns);
        add(&mut account.whole);
        if !taken {
            add(&mut account.outside);
        }
    }

    fn tell_late(&mut self, lingerer: &Lingerer, known: &Known<'_>, add: impl Fn(&mut Tally)) {
        let mut tally = Tally::default();
        add(&mut tally);
        self.late.push(Late {
            key: lingerer.key,
            ended_at_ns: lingerer.ended_at_ns,
            counts: tally.counts(known),
        });
    }
}
