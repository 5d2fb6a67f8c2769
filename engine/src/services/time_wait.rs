//! How many mini-sockets of each service are alive. The kernel counts their creation, not their end: a
//! mini-socket lives 60 s unless an RST or its reuse ends it sooner. So the creations of the last 60 s are taken,
//! held against the namespace's own number (`sockstat`), and put right by a survey when the two drift apart.

use std::collections::{BTreeMap, HashMap, VecDeque};

use finwatch_common::{Cell, Phase, Role, ServiceKey, SurveyRow, survey_kind};

use super::KEYS_MAX;
use crate::{input::Reading, timing};

/// Drift below this many mini-sockets, or below a twentieth, is left to the proportional correction.
const DRIFT_MIN: u64 = 16;
/// Most creation marks of one service; what comes on top joins the last one.
const MARKS_MAX: usize = 64;

/// Live mini-sockets by substate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MiniSockets {
    /// The peer's FIN was seen.
    pub time_wait: u64,
    /// The peer's FIN is still to come.
    pub fin_wait2: u64,
}

/// The estimate of every service.
#[derive(Debug, Default)]
pub struct TimeWaits {
    netns: BTreeMap<u64, Netns>,
    services: usize,
}

#[derive(Debug, Default)]
struct Netns {
    /// The kernel's number when it was last read, and what was created since.
    actual: Option<u64>,
    created_since: u64,
    surveyed_ns: Option<u64>,
    services: BTreeMap<ServiceKey, Service>,
}

#[derive(Debug, Default)]
struct Service {
    /// What the last reading told that had been counted since the rows were last taken.
    counted: u64,
    created: VecDeque<(u64, u64)>,
    base: u64,
    base_ns: u64,
    fin_wait2_per_mille: u64,
    seen_ns: u64,
}

// === impl TimeWaits ===

impl TimeWaits {
    /// Takes a reading of the live rows.
    pub fn observe(&mut self, live: &Reading, now_ns: u64) {
        for (key, counted) in creations(live) {
            let full = self.services >= KEYS_MAX;
            let netns = self.netns.entry(key.netns).or_default();
            if !netns.services.contains_key(&key) {
                if full {
                    continue;
                }
                self.services += 1;
            }
            let service = netns.services.entry(key).or_default();
            service.seen_ns = now_ns;
            let created = counted.saturating_sub(service.counted);
            service.counted = counted;
            netns.created_since += created;
            service.mark(created, now_ns);
        }
    }

    /// Takes what the rows held when they were emptied: from now on they count from zero.
    pub fn rotated(&mut self, rotated: &Reading, now_ns: u64) {
        self.observe(rotated, now_ns);
        self.services = 0;
        for netns in self.netns.values_mut() {
            netns.services.retain(|_, service| {
                service.counted = 0;
                service.alive(now_ns) > 0
                    || now_ns.saturating_sub(service.seen_ns) < timing::MINI_SOCKETS_FORGET_NS
            });
            self.services += netns.services.len();
        }
        self.netns
            .retain(|_, netns| !netns.services.is_empty() || netns.actual.is_some());
    }

    /// Takes the kernel's own number of a namespace's mini-sockets.
    pub fn actual(&mut self, netns: u64, count: u64) {
        let netns = self.netns.entry(netns).or_default();
        netns.actual = Some(count);
        netns.created_since = 0;
    }

    /// Forgets every namespace but these.
    pub fn retain(&mut self, alive: impl Fn(u64) -> bool) {
        self.netns.retain(|netns, _| alive(*netns));
    }

    /// Whether a survey of the namespace's mini-sockets is worth its cost now.
    pub fn wants_survey(&self, netns: u64, now_ns: u64) -> bool {
        let Some(netns) = self.netns.get(&netns) else {
            return false;
        };
        let Some(actual) = netns.actual.filter(|actual| *actual > 0) else {
            return false;
        };
        let Some(surveyed_ns) = netns.surveyed_ns else {
            return true;
        };
        let age_ns = now_ns.saturating_sub(surveyed_ns);
        let estimated: u64 = netns.services.values().map(|s| s.alive(now_ns)).sum();
        let drift = estimated.abs_diff(actual);
        let drifted = drift > DRIFT_MIN && drift > actual / 20;
        age_ns >= timing::MINI_SOCKETS_REFRESH_NS
            || (drifted && age_ns >= timing::MINI_SOCKETS_DRIFTED_NS)
    }

    /// Takes a survey of a namespace's mini-sockets.
    pub fn surveyed(&mut self, netns: u64, rows: &[SurveyRow], now_ns: u64) {
        let netns = self.netns.entry(netns).or_default();
        netns.surveyed_ns = Some(now_ns);
        let owners = netns.owners(now_ns);
        let mut seen: HashMap<ServiceKey, MiniSockets> = HashMap::new();
        for row in rows {
            let owner = [(Role::Server, row.a), (Role::Client, row.b)]
                .iter()
                .find_map(|(role, port)| owners.get(&(*role, u16::try_from(*port).ok()?)));
            let Some(owner) = owner else {
                continue;
            };
            let count = seen.entry(*owner).or_default();
            match row.kind {
                survey_kind::TIME_WAIT => count.time_wait += 1,
                survey_kind::FIN_WAIT2 => count.fin_wait2 += 1,
                _ => {}
            }
        }
        for (key, service) in &mut netns.services {
            let MiniSockets {
                time_wait,
                fin_wait2,
            } = seen.get(key).copied().unwrap_or_default();
            let found = time_wait + fin_wait2;
            service.settle(found, now_ns);
            service.fin_wait2_per_mille = (fin_wait2 * 1_000).checked_div(found).unwrap_or(0);
        }
    }

    /// The estimate of every service that has any.
    pub fn iter(&self, now_ns: u64) -> impl Iterator<Item = (ServiceKey, MiniSockets)> {
        self.netns.values().flat_map(move |netns| {
            let estimated: u64 = netns.services.values().map(|s| s.alive(now_ns)).sum();
            // Mini-sockets that ended early are taken from all services alike.
            let most = netns
                .actual
                .map_or(estimated, |actual| actual + netns.created_since);
            netns.services.iter().filter_map(move |(key, service)| {
                let alive = service.alive(now_ns);
                let shown = if estimated > most {
                    (alive * most + estimated / 2) / estimated
                } else {
                    alive
                };
                let fin_wait2 = shown * service.fin_wait2_per_mille / 1_000;
                (shown > 0).then_some((
                    *key,
                    MiniSockets {
                        time_wait: shown - fin_wait2,
                        fin_wait2,
                    },
                ))
            })
        })
    }
}

// === impl Netns ===

impl Netns {
    /// Which service a port belongs to: the one with most mini-sockets, where several share it.
    fn owners(&self, now_ns: u64) -> HashMap<(Role, u16), ServiceKey> {
        let mut owners: HashMap<(Role, u16), (u64, ServiceKey)> = HashMap::new();
        for (key, service) in &self.services {
            let Some(role) = key.role() else {
                continue;
            };
            let alive = service.alive(now_ns);
            let owner = owners.entry((role, key.port)).or_insert((alive, *key));
            if alive > owner.0 {
                *owner = (alive, *key);
            }
        }
        owners
            .into_iter()
            .map(|(port, (_, key))| (port, key))
            .collect()
    }
}

// === impl Service ===

impl Service {
    fn mark(&mut self, created: u64, now_ns: u64) {
        while let Some((at_ns, _)) = self.created.front()
            && at_ns + timing::MINI_SOCKET_NS <= now_ns
        {
            self.created.pop_front();
        }
        if created == 0 {
            return;
        }
        if self.created.len() >= MARKS_MAX
            && let Some((_, last)) = self.created.back_mut()
        {
            *last += created;
        } else {
            self.created.push_back((now_ns, created));
        }
    }

    /// Makes the estimate what a survey found. Those whose creation was seen keep their age.
    fn settle(&mut self, found: u64, now_ns: u64) {
        self.mark(0, now_ns);
        let created: u64 = self.created.iter().map(|(_, count)| count).sum();
        self.base = found.saturating_sub(created);
        self.base_ns = now_ns;
        let (mut before, mut after) = (0, 0);
        for (_, count) in &mut self.created {
            // Rounded on the running sum, so that the parts add up to what was found.
            before += *count;
            let upto = before * found.min(created) / created.max(1);
            *count = upto - after;
            after = upto;
        }
    }

    /// Created in the last 60 s, and what is left of those that the last survey found: of an unknown age, so
    /// they are taken to end evenly.
    fn alive(&self, now_ns: u64) -> u64 {
        let created: u64 = self
            .created
            .iter()
            .filter(|(at_ns, _)| at_ns + timing::MINI_SOCKET_NS > now_ns)
            .map(|(_, count)| count)
            .sum();
        let left_ms =
            timing::MINI_SOCKET_NS.saturating_sub(now_ns.saturating_sub(self.base_ns)) / 1_000_000;
        created + self.base * left_ms / (timing::MINI_SOCKET_NS / 1_000_000)
    }
}

// === impl MiniSockets ===

impl MiniSockets {
    /// Adds another service of the same series.
    pub fn add(&mut self, other: Self) {
        let Self {
            time_wait,
            fin_wait2,
        } = other;
        self.time_wait += time_wait;
        self.fin_wait2 += fin_wait2;
    }
}

/// Mini-sockets created by service, over its phases.
fn creations(reading: &Reading) -> BTreeMap<ServiceKey, u64> {
    let mut created = BTreeMap::new();
    for (key, row) in &reading.rows {
        *created.entry(key.in_phase(Phase::Steady)).or_default() +=
            row[Cell::TIME_WAIT.index()] + row[Cell::FIN_WAIT2.index()];
    }
    created
}

#[cfg(test)]
#[path = "time_wait_tests.rs"]
mod tests;
