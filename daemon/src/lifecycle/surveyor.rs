//! Surveys the sockets of every network namespace at an interval, and stretches the interval where surveying would
//! cost more than its share of a core.

use std::{collections::HashSet, sync::Arc, time::Duration};

use super::{SharedProbe, tasks::Stop};
use crate::{
    accounts::{Accounts, Kernel},
    chronicle::Chronicle,
    clock,
    netns::{Namespace, Namespaces},
};

/// Surveying may take one part in this many of one core.
const COST_DIVISOR: u32 = 100;

/// Everything that one survey needs. It remembers what it has complained of.
pub(crate) struct Surveyor<K> {
    probe: SharedProbe,
    accounts: Arc<Accounts<K>>,
    chronicle: Arc<Chronicle<K>>,
    complained: HashSet<String>,
}

/// Surveys until the stop. The first survey is done before.
pub(crate) async fn survey<K: Kernel>(
    mut surveyor: Surveyor<K>,
    interval: Duration,
    mut stop: Stop,
) -> anyhow::Result<()> {
    let mut pause = interval;
    loop {
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.said() => return Ok(()),
        }
        let (back, cost) = tokio::task::spawn_blocking(move || {
            let cost = surveyor.once();
            (surveyor, cost)
        })
        .await?;
        surveyor = back;
        pause = interval.max(cost * COST_DIVISOR);
    }
}

// === impl Surveyor ===

impl<K: Kernel> Surveyor<K> {
    pub(crate) fn new(
        probe: SharedProbe,
        accounts: Arc<Accounts<K>>,
        chronicle: Arc<Chronicle<K>>,
    ) -> Self {
        Self {
            probe,
            accounts,
            chronicle,
            complained: HashSet::new(),
        }
    }

    /// One survey of everything. Blocking; returns the CPU time it took, as far as it is this thread's, and at
    /// least what a wait for the kernel's walk took.
    pub(crate) fn once(&mut self) -> Duration {
        let before = clock::monotonic_ns();
        let namespaces = match Namespaces::scan() {
            Ok(namespaces) => namespaces,
            Err(error) => {
                self.complain(format!("cannot look for network namespaces: {error}"));
                return Duration::ZERO;
            }
        };
        for refusal in &namespaces.refused {
            self.complain(format!(
                "cannot enter the network namespace of {}: {}; its gauges of backlog, open questions and \
                 mini-sockets are missing",
                refusal.found_at, refusal.reason
            ));
        }
        let mut seen = Vec::with_capacity(namespaces.found.len());
        for namespace in &namespaces.found {
            seen.push(namespace.cookie);
            if let Err(error) = self.one(namespace) {
                self.complain(format!("cannot survey a network namespace: {error:#}"));
            }
        }
        self.accounts
            .namespaces(&seen, namespaces.refused_count as u64);
        Duration::from_nanos(clock::monotonic_ns() - before)
    }

    fn one(&self, namespace: &Namespace) -> anyhow::Result<()> {
        let began_ns = clock::monotonic_ns();
        let rows = self.probe.blocking_read().survey(namespace.as_fd())?;
        self.chronicle.surveyed(namespace.cookie, began_ns, &rows);
        let mini_sockets = namespace.sockstat_time_wait().ok();
        if self
            .accounts
            .surveyed(namespace.cookie, &rows, mini_sockets)
        {
            let rows = self
                .probe
                .blocking_read()
                .survey_time_wait(namespace.as_fd())?;
            self.accounts.mini_sockets_surveyed(namespace.cookie, &rows);
        }
        Ok(())
    }

    /// Says it once: a namespace that cannot be entered now cannot be entered 15 s later.
    fn complain(&mut self, what: String) {
        const MEMORY: usize = 256;
        if self.complained.len() < MEMORY && self.complained.insert(what.clone()) {
            tracing::warn!("{what}");
        }
    }
}
