//! SYNs refused on each service's port, by the service itself and not by its labels: a unit that is restarted is another
//! service under the same labels, and what its predecessors refused is none of its own. It is what readings of the rows
//! told last; how old that is, is said with it.

use std::collections::HashMap;

use finwatch_common::{Cell, PHASES, Phase, ServiceKey};

use super::KEYS_MAX;
use crate::input::Reading;

/// What a reading told of one service.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Refused {
    /// When the rows were read, on the kernel's clock.
    pub(crate) read_ns: u64,
    /// Refused while the port's last owner was in this [`Phase`].
    pub(crate) by_phase: [u64; PHASES],
}

/// See the module.
#[derive(Debug, Default)]
pub struct Refusals {
    /// Of services that refused anything.
    counted: HashMap<ServiceKey, Counted>,
    /// When some services alone were read, by service.
    read_ns: HashMap<ServiceKey, u64>,
    /// When all of them were.
    all_read_ns: Option<u64>,
}

#[derive(Debug, Default)]
struct Counted {
    /// From rows that were emptied.
    held: [u64; PHASES],
    /// From rows as they are.
    live: [u64; PHASES],
    /// What it came to before the last reading that told of more, and when that was made.
    before: [u64; PHASES],
    grew_ns: u64,
}

// === impl Refused ===

impl Refused {
    /// In every phase.
    pub(crate) fn all(&self) -> u64 {
        self.by_phase.iter().sum()
    }
}

// === impl Refusals ===

impl Refusals {
    /// Takes a reading of all live rows.
    pub(crate) fn live(&mut self, live: &Reading) {
        let sums = sums(live);
        for (key, counted) in &mut self.counted {
            let now = sums.get(key).copied().unwrap_or_default();
            counted.set(counted.held, now, live.read_ns);
        }
        self.add_new(&sums, live.read_ns, |counted, now| counted.live = now);
        self.read_ns.clear();
        self.all_read_ns = Some(live.read_ns);
    }

    /// Takes what the rows held when they were emptied.
    pub(crate) fn rotated(&mut self, rotated: &Reading) {
        let sums = sums(rotated);
        for (key, counted) in &mut self.counted {
            let now = sums.get(key).copied().unwrap_or_default();
            let held = plus(counted.held, now);
            counted.set(held, [0; PHASES], rotated.read_ns);
        }
        self.add_new(&sums, rotated.read_ns, |counted, now| counted.held = now);
        self.read_ns.clear();
        self.all_read_ns = Some(rotated.read_ns);
    }

    /// Takes the live rows of some services.
    pub(crate) fn some(&mut self, services: &[ServiceKey], live: &Reading) {
        let sums = sums(live);
        for key in services {
            let key = key.in_phase(Phase::Steady);
            if let Some(counted) = self.counted.get_mut(&key) {
                let now = sums.get(&key).copied().unwrap_or_default();
                counted.set(counted.held, now, live.read_ns);
            }
            if self.read_ns.len() < KEYS_MAX {
                self.read_ns.insert(key, live.read_ns);
            }
        }
        self.add_new(&sums, live.read_ns, |counted, now| counted.live = now);
    }

    /// What the last reading told.
    pub(crate) fn get(&self, key: &ServiceKey) -> Option<Refused> {
        let key = key.in_phase(Phase::Steady);
        let read_ns = self.read_ns.get(&key).copied().max(self.all_read_ns)?;
        let counted = self.counted.get(&key);
        Some(Refused {
            read_ns,
            by_phase: counted.map_or([0; PHASES], Counted::sum),
        })
    }

    /// What had been refused by a time in the past, as far as readings can tell it: what was told later is left out.
    pub(crate) fn by(&self, key: &ServiceKey, at_ns: u64) -> Option<Refused> {
        let mut refused = self.get(key)?;
        let counted = self.counted.get(&key.in_phase(Phase::Steady));
        if let Some(counted) = counted.filter(|counted| counted.grew_ns > at_ns) {
            refused.by_phase = counted.before;
        }
        Some(refused)
    }

    /// Services that refused anything.
    pub(crate) fn services(&self) -> impl Iterator<Item = &ServiceKey> {
        self.counted.keys()
    }

    /// What a service had refused before it last grew, and when a reading told that, on the kernel's clock.
    pub(crate) fn last_growth(&self, key: &ServiceKey) -> (u64, u64) {
        let counted = self.counted.get(&key.in_phase(Phase::Steady));
        counted.map_or((0, 0), |counted| {
            (counted.before.iter().sum(), counted.grew_ns)
        })
    }

    /// Forgets services that nobody knows any more.
    pub(crate) fn retain(&mut self, known: impl Fn(&ServiceKey) -> bool) {
        self.counted.retain(|key, _| known(key));
    }

    fn add_new(
        &mut self,
        sums: &HashMap<ServiceKey, [u64; PHASES]>,
        read_ns: u64,
        put: impl Fn(&mut Counted, [u64; PHASES]),
    ) {
        for (key, now) in sums {
            if self.counted.len() >= KEYS_MAX || self.counted.contains_key(key) {
                continue;
            }
            let mut counted = Counted {
                grew_ns: read_ns,
                ..Counted::default()
            };
            put(&mut counted, *now);
            self.counted.insert(*key, counted);
        }
    }
}

// === impl Counted ===

impl Counted {
    fn sum(&self) -> [u64; PHASES] {
        plus(self.held, self.live)
    }

    fn set(&mut self, held: [u64; PHASES], live: [u64; PHASES], read_ns: u64) {
        let before = self.sum();
        (self.held, self.live) = (held, live);
        if self.sum() != before {
            self.before = before;
            self.grew_ns = read_ns;
        }
    }
}

fn plus(a: [u64; PHASES], b: [u64; PHASES]) -> [u64; PHASES] {
    std::array::from_fn(|at| a[at] + b[at])
}

/// What a reading holds of each service that refused anything.
fn sums(reading: &Reading) -> HashMap<ServiceKey, [u64; PHASES]> {
    let mut sums: HashMap<ServiceKey, [u64; PHASES]> = HashMap::new();
    for (key, row) in &reading.rows {
        let count = row[Cell::REFUSED.index()];
        if let (Some(phase), true) = (key.phase(), count > 0) {
            sums.entry(key.in_phase(Phase::Steady)).or_default()[phase as usize] += count;
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use finwatch_common::{CELLS, Role};

    use super::*;

    fn key(cgroup: u64) -> ServiceKey {
        let mut key = ServiceKey::other(Role::Server, Phase::Steady);
        key.cgroup = cgroup;
        key.port = 80;
        key
    }

    fn reading(read_ns: u64, refused: &[(u64, Phase, u64)]) -> Reading {
        let rows = refused.iter().map(|(cgroup, phase, count)| {
            let mut row = [0; CELLS];
            row[Cell::REFUSED.index()] = *count;
            (key(*cgroup).in_phase(*phase), row)
        });
        Reading {
            read_ns,
            rows: rows.collect(),
            resets: Vec::new(),
        }
    }

    #[test]
    fn each_service_has_its_own_though_they_share_a_port() {
        let mut refusals = Refusals::default();
        assert_eq!(refusals.get(&key(1)), None, "nobody has looked");
        refusals.live(&reading(10, &[(1, Phase::Draining, 5)]));
        refusals.live(&reading(
            20,
            &[(1, Phase::Draining, 5), (2, Phase::Draining, 4)],
        ));
        let of = |cgroup| refusals.get(&key(cgroup)).map(|refused| refused.all());
        assert_eq!((of(1), of(2), of(3)), (Some(5), Some(4), Some(0)));
    }

    #[test]
    fn what_was_emptied_stays_counted() {
        let mut refusals = Refusals::default();
        refusals.live(&reading(10, &[(1, Phase::Steady, 5)]));
        refusals.rotated(&reading(20, &[(1, Phase::Steady, 6)]));
        assert_eq!(refusals.get(&key(1)).unwrap().all(), 6);
        refusals.some(&[key(1)], &reading(30, &[(1, Phase::Reloading, 2)]));
        let refused = refusals.get(&key(1)).unwrap();
        assert_eq!(
            (refused.all(), refused.by_phase, refused.read_ns),
            (8, [6, 0, 2], 30)
        );
        assert_eq!(refusals.get(&key(2)).unwrap().read_ns, 20);
        refusals.live(&reading(40, &[]));
        assert_eq!(
            refusals.get(&key(1)).unwrap().all(),
            6,
            "the rows are the truth"
        );
    }
}
