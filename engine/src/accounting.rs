//! From the drains to the rollouts: what servers count while anything lasts is told to the rollouts that it concerns, by the
//! name that their services have, and with their ordinary time beside it.

use finwatch_common::{Role, ServiceKey};

use crate::{
    drains::{Drains, Sum},
    known::Known,
    rollouts::{Account, Correlator, RefusedReading},
    timing,
    want::Want,
};

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Accounting {
    /// When something last lasted, on the kernel's clock.
    busy_ns: u64,
}

// === impl Accounting ===

impl Accounting {
    /// Tells the rollouts what their services have come to.
    pub(crate) fn tell(drains: &mut Drains, rollouts: &mut Correlator, known: &Known<'_>) {
        let is_named = |key: &ServiceKey| !known.names.is_pending(key);
        for sum in drains.accounts(is_named, known) {
            let (key, account) = account(sum, known);
            rollouts.account(key, account);
        }
        for late in drains.late_outside() {
            let ended_at = known.wall(late.ended_at_ns);
            rollouts.late(&late.key, ended_at, &late.counts);
        }
        Self::counted(rollouts, known);
    }

    /// Tells the rollouts what their services had refused by the last reading.
    pub(crate) fn counted(rollouts: &mut Correlator, known: &Known<'_>) {
        if rollouts.is_busy() {
            for key in known.refusals.services() {
                tell_refused(key, rollouts, known);
            }
        }
    }

    /// A change was announced: what its services had refused by now is to be read.
    pub(crate) fn announced(rollouts: &mut Correlator, known: &Known<'_>, wants: &mut Vec<Want>) {
        let servers = known.names.keys();
        for key in servers.filter(|key| key.role() == Some(Role::Server)) {
            if !rollouts.wants(&known.service(key)) {
                continue;
            }
            tell_refused(key, rollouts, known);
            wants.push(Want::Counters { service: *key });
        }
    }

    /// Time passes: what nobody waits for is not kept.
    pub(crate) fn tick(&mut self, now_ns: u64, drains: &mut Drains, rollouts: &mut Correlator) {
        if drains.is_busy() || rollouts.is_busy() {
            self.busy_ns = now_ns;
            drains.open_accounts(now_ns);
        } else if now_ns.saturating_sub(self.busy_ns) > timing::MINI_SOCKET_GONE_NS {
            drains.close_accounts();
        }
        drains.trim_accounts(now_ns, |key| rollouts.counts(key));
        rollouts.trim_accounts(|key| drains.accounts_for(key));
    }
}

fn account(sum: Sum, known: &Known<'_>) -> (ServiceKey, Account) {
    let Sum {
        key,
        first_ns,
        last_ns,
        counts,
        examples,
    } = sum;
    let ordinary = known.baseline(&key, first_ns);
    let account = Account {
        service: known.service(&key),
        netns: key.netns,
        first_at: known.wall(first_ns),
        last_at: known.wall(last_ns),
        counts,
        examples,
        turns_not_judged: !known
            .shape(key.port, key.comm(), &ordinary.counts)
            .waits_for_answers(),
        ordinary,
    };
    (key, account)
}

fn tell_refused(key: &ServiceKey, rollouts: &mut Correlator, known: &Known<'_>) {
    let service = known.service(key);
    let Some(refused) = known.refused(key).filter(|_| rollouts.wants(&service)) else {
        return;
    };
    let (before, grew_ns) = known.refusals.last_growth(key);
    let reading = RefusedReading {
        service,
        netns: key.netns,
        at: known.wall(refused.read_ns),
        count: refused.all(),
        before,
        grew_at: known.wall(grew_ns),
    };
    rollouts.refused(key, &reading);
}
