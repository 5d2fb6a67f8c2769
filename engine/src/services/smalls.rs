//! What became of small questions in each service's ordinary time, since finwatch knows the service: readings of the rows tell. A
//! window of minutes holds too few connections of a service whose clients keep theirs.

use std::collections::HashMap;

use finwatch_common::{Cell, CounterRow, Phase, ServiceKey};

use super::KEYS_MAX;
use crate::{input::Reading, model::SmallQuestions};

/// See the module. Of services that had to do with any.
#[derive(Debug, Default)]
pub struct Smalls {
    services: HashMap<ServiceKey, Counted>,
    left_out: u64,
}

#[derive(Debug, Default)]
struct Counted {
    /// From rows that were emptied.
    held: SmallQuestions,
    /// From rows as they are.
    live: SmallQuestions,
}

// === impl Smalls ===

impl Smalls {
    /// Takes a reading of all live rows.
    pub(crate) fn live(&mut self, live: &Reading) {
        for counted in self.services.values_mut() {
            counted.live = SmallQuestions::default();
        }
        self.some(live);
    }

    /// Takes the live rows of some services.
    pub(crate) fn some(&mut self, live: &Reading) {
        for (key, small) in sums(live) {
            if let Some(counted) = self.counted(key) {
                counted.live = small;
            }
        }
    }

    /// Takes what the rows held when they were emptied.
    pub(crate) fn rotated(&mut self, rotated: &Reading) {
        for counted in self.services.values_mut() {
            counted.live = SmallQuestions::default();
        }
        for (key, small) in sums(rotated) {
            if let Some(counted) = self.counted(key) {
                counted.held.add(small);
            }
        }
    }

    /// What readings have told.
    pub(crate) fn get(&self, key: &ServiceKey) -> SmallQuestions {
        let counted = self.services.get(&key.in_phase(Phase::Steady));
        counted.map_or_else(SmallQuestions::default, |counted| {
            let mut sum = counted.held;
            sum.add(counted.live);
            sum
        })
    }

    /// Forgets services that nobody knows any more.
    pub(crate) fn retain(&mut self, known: impl Fn(&ServiceKey) -> bool) {
        self.services.retain(|key, _| known(key));
    }

    /// How often what a reading told of a service was not kept: there are more than [`KEYS_MAX`].
    pub(crate) const fn left_out(&self) -> u64 {
        self.left_out
    }

    fn counted(&mut self, key: ServiceKey) -> Option<&mut Counted> {
        let is_new = !self.services.contains_key(&key);
        if is_new && self.services.len() >= KEYS_MAX {
            self.left_out += 1;
            return None;
        }
        Some(self.services.entry(key).or_default())
    }
}

/// What a reading holds of each service that had to do with any, in its ordinary time.
fn sums(reading: &Reading) -> HashMap<ServiceKey, SmallQuestions> {
    let mut sums: HashMap<ServiceKey, SmallQuestions> = HashMap::new();
    for (key, row) in &reading.rows {
        let small = of(row);
        if key.phase() == Some(Phase::Steady) && small != SmallQuestions::default() {
            sums.entry(*key).or_default().add(small);
        }
    }
    sums
}

const fn of(row: &CounterRow) -> SmallQuestions {
    SmallQuestions {
        answered: row[Cell::SMALL_ANSWERED.index()],
        left: row[Cell::SMALL_LEFT.index()],
        late: row[Cell::SMALL_LATE.index()],
    }
}

#[cfg(test)]
mod tests {
    use finwatch_common::{CELLS, Role};

    use super::*;

    fn key() -> ServiceKey {
        let mut key = ServiceKey::other(Role::Server, Phase::Steady);
        key.port = 11_211;
        key
    }

    fn reading(phase: Phase, answered: u64, left: u64) -> Reading {
        let mut row = [0; CELLS];
        row[Cell::SMALL_ANSWERED.index()] = answered;
        row[Cell::SMALL_LEFT.index()] = left;
        Reading {
            read_ns: 1,
            rows: vec![(key().in_phase(phase), row)],
            resets: Vec::new(),
        }
    }

    #[test]
    fn what_was_emptied_stays_counted() {
        let mut smalls = Smalls::default();
        let of = |smalls: &Smalls| {
            let small = smalls.get(&key().in_phase(Phase::Draining));
            (small.answered, small.left)
        };
        smalls.live(&reading(Phase::Steady, 3, 1));
        smalls.some(&reading(Phase::Steady, 4, 1));
        assert_eq!(of(&smalls), (4, 1));
        smalls.rotated(&reading(Phase::Steady, 5, 1));
        assert_eq!(of(&smalls), (5, 1));
        smalls.live(&reading(Phase::Steady, 2, 0));
        assert_eq!(of(&smalls), (7, 1));
        smalls.retain(|_| false);
        assert_eq!(of(&smalls), (0, 0));
    }

    #[test]
    fn what_is_not_kept_is_told() {
        let mut smalls = Smalls::default();
        let mut first = reading(Phase::Steady, 1, 0);
        let (key, row) = first.rows[0];
        first.rows = (1..=KEYS_MAX as u64 + 2)
            .map(|cgroup| (ServiceKey { cgroup, ..key }, row))
            .collect();
        smalls.some(&first);
        assert_eq!((smalls.services.len(), smalls.left_out()), (KEYS_MAX, 2));
    }

    #[test]
    fn a_drain_is_no_ordinary_time() {
        let mut smalls = Smalls::default();
        smalls.live(&reading(Phase::Draining, 3, 1));
        assert_eq!(smalls.get(&key()), SmallQuestions::default());
    }
}
