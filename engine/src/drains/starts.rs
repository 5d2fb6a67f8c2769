//! Listeners that come, and times in which nobody listened between two of them: the one model of such gaps. Each is told when
//! its owner's name is known, and a gap when a reading has told how many SYNs it refused.
//!
//! A gap is of a place: of a service by its labels, whose next listener may be another process in another network
//! namespace, or, where a service goes by its program's name only, of a port in one network namespace.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use finwatch_common::{Process, ServiceKey};

use super::membership::instances::{Came, LISTENERS_MAX, Went};
use crate::{
    bounded::{Bounded, Queue},
    known::Known,
    model::{Gap, Start, WorkloadKind},
    services::SeriesLabels,
    timing,
};

/// Most listeners that wait for their names: those of a whole host, when finwatch starts.
const UNNAMED_MAX: usize = LISTENERS_MAX;
/// Most starts kept until they are asked for; the oldest give way.
const STARTS_MAX: usize = 1_024;
/// Most gaps kept until they are asked for; the oldest give way.
const GAPS_MAX: usize = 1_024;
/// Most places remembered at which nobody listens.
const DOWN_MAX: usize = 4_096;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Starts {
    /// Those whose service has no name yet.
    unnamed: Queue<Started, UNNAMED_MAX>,
    started: Queue<Start, STARTS_MAX>,
    /// Sockets that listen, by place.
    up: BTreeMap<Place, BTreeSet<u64>>,
    place_of: HashMap<u64, Place>,
    down: Bounded<Place, Down, DOWN_MAX>,
    ended: Queue<Ended, GAPS_MAX>,
    gaps: Queue<EndedGap, GAPS_MAX>,
    /// When a survey first found a socket that listens at such a place, by cookie.
    found: Bounded<u64, u64, DOWN_MAX>,
}

/// A time in which nobody listened, which is over.
#[derive(Debug, Clone)]
pub(crate) struct EndedGap {
    /// The service that had listened before it.
    pub(crate) key: ServiceKey,
    /// When its last listener closed, on the kernel's clock.
    pub(crate) from_ns: u64,
    /// When the next one came.
    pub(crate) until_ns: u64,
    /// The same as it is told.
    pub(crate) gap: Gap,
}

/// Where one listener can follow another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Place {
    Service(SeriesLabels),
    Port { netns: u64, port: u16 },
}

/// A listener that came.
#[derive(Debug)]
struct Started {
    cookie: u64,
    key: ServiceKey,
    at_ns: u64,
    now_ns: u64,
    pid: u32,
    netns_inum: u32,
    first_of_instance: bool,
    /// Nobody knows since when: it ends no gap.
    found: bool,
}

/// Nobody listens at a place.
#[derive(Debug)]
struct Down {
    since_ns: u64,
    key: ServiceKey,
    netns_inum: u32,
    refused: u64,
}

/// Somebody listens again; what was refused is counted as the last owner's.
#[derive(Debug)]
struct Ended {
    down: Down,
    until_ns: u64,
    /// Only a reading that was made since then tells it.
    needed_ns: u64,
    asked_ns: Option<u64>,
}

// === impl Starts ===

impl Starts {
    /// A socket listens.
    pub(super) fn came(
        &mut self,
        came: Came,
        owner: Process,
        key: &ServiceKey,
        at_ns: u64,
        now_ns: u64,
        known: &Known<'_>,
    ) {
        self.unnamed.push(Started {
            cookie: came.cookie,
            key: *key,
            at_ns,
            now_ns,
            pid: owner.tgid,
            netns_inum: came.netns_inum,
            first_of_instance: came.first_of_instance,
            found: false,
        });
        self.name(known);
    }

    /// Whether a socket that a survey found ends a time in which nobody listened, and its own record may yet tell when.
    pub(super) fn waits_for(
        &mut self,
        cookie: u64,
        key: &ServiceKey,
        began_ns: u64,
        known: &Known<'_>,
    ) -> bool {
        // Which place it is, its name will tell.
        let unknown = known.names.is_pending(key) && !self.down.is_empty();
        if !unknown && !self.down.contains(&Place::of(key, known)) {
            return false;
        }
        let first_ns = self.found.get(&cookie).copied().unwrap_or_else(|| {
            self.found.insert(cookie, began_ns);
            began_ns
        });
        began_ns < first_ns.saturating_add(timing::TOLD_NS)
    }

    /// A socket was found to listen: nobody knows since when.
    pub(super) fn found(&mut self, cookie: u64, key: &ServiceKey, known: &Known<'_>) {
        self.unnamed.push(Started {
            cookie,
            key: *key,
            at_ns: 0,
            now_ns: 0,
            pid: 0,
            netns_inum: 0,
            first_of_instance: false,
            found: true,
        });
        self.name(known);
    }

    /// A socket listens no more.
    pub(super) fn went(&mut self, cookie: u64, went: &Went, at_ns: u64, known: &Known<'_>) {
        let Some(place) = self.forget(cookie) else {
            return;
        };
        let refused = known.refused_by(&went.key, at_ns);
        let down = Down {
            since_ns: at_ns,
            key: went.key,
            netns_inum: went.netns_inum,
            refused: refused.map_or(0, |refused| refused.all()),
        };
        self.down.insert(place, down);
    }

    /// A socket listens no more, and nobody knows since when.
    pub(super) fn lost(&mut self, cookie: u64) {
        self.forget(cookie);
    }

    /// Services whose rows are to be read now.
    pub(super) fn asks(&mut self, now_ns: u64) -> Vec<ServiceKey> {
        let due = |ended: &&mut Ended| {
            ended
                .asked_ns
                .is_none_or(|asked_ns| now_ns >= asked_ns.saturating_add(timing::ANSWER_NS))
        };
        let due = self.ended.iter_mut().filter(due);
        due.map(|ended| {
            ended.asked_ns = Some(now_ns);
            ended.down.key
        })
        .collect()
    }

    /// Rows were read: gaps whose refused SYNs they tell are told.
    pub(super) fn counted(&mut self, known: &Known<'_>) {
        self.finish(known, |ended| ended.is_counted(known));
    }

    /// They cannot be read.
    pub(super) fn cannot_be_counted(&mut self, known: &Known<'_>) {
        self.finish(known, |_| true);
    }

    /// Time passes: names may have come, and what nobody answers is told as it is known.
    pub(super) fn tick(&mut self, now_ns: u64, known: &Known<'_>) {
        self.name(known);
        self.finish(known, |ended| {
            ended.is_counted(known) || now_ns >= ended.needed_ns.saturating_add(timing::ANSWER_NS)
        });
    }

    /// Starts since the last call.
    pub(super) fn take_started(&mut self) -> Vec<Start> {
        self.started.take_all(|_| true)
    }

    /// Gaps that ended since the last call.
    pub(super) fn take_gaps(&mut self) -> Vec<EndedGap> {
        self.gaps.take_all(|_| true)
    }

    /// How often a bound kept something out.
    pub(super) fn bitten(&self) -> u64 {
        self.unnamed.bitten()
            + self.started.bitten()
            + self.down.bitten()
            + self.ended.bitten()
            + self.gaps.bitten()
    }

    /// Takes in what came and has a name.
    fn name(&mut self, known: &Known<'_>) {
        let named = self
            .unnamed
            .take_all(|started| !known.names.is_pending(&started.key));
        for started in named {
            self.take_in(&started, known);
        }
    }

    fn take_in(&mut self, started: &Started, known: &Known<'_>) {
        if started.first_of_instance {
            self.started.push(Start {
                service: known.service(&started.key),
                pod: known.pod(&started.key),
                at: known.wall(started.at_ns),
                pid: started.pid,
                netns: started.netns_inum,
                netns_cookie: started.key.netns,
            });
        }
        let place = Place::of(&started.key, known);
        self.up
            .entry(place.clone())
            .or_default()
            .insert(started.cookie);
        let down = self.down.remove(&place);
        self.place_of.insert(started.cookie, place);
        let Some(down) = down else {
            return;
        };
        // Sockets found at other places wait anew: that costs a second and no truth.
        self.found.clear();
        // Two processors may tell of a handover in the other order.
        if started.at_ns > down.since_ns && !started.found {
            self.ended.push(Ended {
                down,
                until_ns: started.at_ns,
                needed_ns: started.now_ns,
                asked_ns: None,
            });
        }
    }

    /// Takes a socket out; the place, if it was the last one there.
    fn forget(&mut self, cookie: u64) -> Option<Place> {
        self.unnamed.retain(|started| started.cookie != cookie);
        let place = self.place_of.remove(&cookie)?;
        let up = self.up.get_mut(&place)?;
        up.remove(&cookie);
        if !up.is_empty() {
            return None;
        }
        self.up.remove(&place);
        Some(place)
    }

    fn finish(&mut self, known: &Known<'_>, is_told: impl Fn(&Ended) -> bool) {
        for Ended { down, until_ns, .. } in self.ended.take_all(|ended| is_told(ended)) {
            let refused = known.refused(&down.key);
            let gap = Gap {
                service: known.service(&down.key),
                from: known.wall(down.since_ns),
                until: Some(known.wall(until_ns)),
                refused: refused.map_or(0, |now| now.all().saturating_sub(down.refused)),
                netns: down.netns_inum,
                netns_cookie: down.key.netns,
            };
            self.gaps.push(EndedGap {
                key: down.key,
                from_ns: down.since_ns,
                until_ns,
                gap,
            });
        }
    }
}

// === impl Place ===

impl Place {
    fn of(key: &ServiceKey, known: &Known<'_>) -> Self {
        let labels = known.names.labels(key);
        match labels.workload.kind {
            WorkloadKind::Process | WorkloadKind::Other => Self::Port {
                netns: key.netns,
                port: key.port,
            },
            _ => Self::Service(labels),
        }
    }
}

// === impl Ended ===

impl Ended {
    fn is_counted(&self, known: &Known<'_>) -> bool {
        known
            .refused(&self.down.key)
            .is_some_and(|refused| refused.read_ns >= self.needed_ns)
    }
}
