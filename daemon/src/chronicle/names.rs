//! What the pure parts ask of the world: whose a service is, what a reason is called, what time it was.

use finwatch_common::{Phase, ServiceKey};
use jiff::Timestamp;

use crate::{
    accounts::{Accounts, Kernel},
    clock,
};
use finwatch_engine::{drains::World, model as story, services::Windows};

/// See the module.
pub(super) struct Names<'a, K> {
    pub(super) accounts: &'a Accounts<K>,
    pub(super) windows: &'a Windows,
}

impl<K: Kernel> World for Names<'_, K> {
    fn service(&mut self, key: &ServiceKey) -> story::Service {
        self.accounts.service(key)
    }

    fn reason(&self, reason: u8) -> String {
        self.accounts.reset_reason(reason)
    }

    fn wall(&self, kernel_ns: u64) -> Timestamp {
        wall(kernel_ns)
    }

    fn boot_ns(&self, kernel_ns: u64) -> u64 {
        clock::boot_ns_of(kernel_ns)
    }

    fn baseline(&mut self, key: &ServiceKey, t0_ns: u64) -> story::Baseline {
        self.windows.baseline(&self.accounts.labels(key), t0_ns)
    }

    fn refused(&mut self, key: &ServiceKey) -> u64 {
        self.accounts.refused(key).iter().sum()
    }

    fn refused_ending(&mut self, key: &ServiceKey) -> u64 {
        let refused = self.accounts.refused(key);
        [Phase::Draining, Phase::Reloading]
            .into_iter()
            .map(|phase| refused[phase as usize])
            .sum()
    }
}

/// Wall time of a kernel stamp.
pub(super) fn wall(kernel_ns: u64) -> Timestamp {
    // A wall clock outside of the years 1 to 9999 has no better reading than the epoch.
    Timestamp::try_from(clock::wall_of(kernel_ns)).unwrap_or(Timestamp::UNIX_EPOCH)
}
