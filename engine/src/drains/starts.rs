//! Listeners that come, and times in which nobody listened on a port between two of them.

use std::collections::BTreeMap;

use finwatch_common::{Process, ServiceKey};

use super::{
    World,
    instances::{Came, TOLD_NS, Went},
};
use crate::model::{Gap, Start};

/// Most starts kept until they are asked for; the oldest give way.
pub(super) const STARTS_MAX: usize = 1_024;
/// Most gaps kept until they are asked for; the oldest give way.
pub(super) const GAPS_MAX: usize = 1_024;
/// Most ports remembered on which nobody listens.
pub(super) const DOWN_MAX: usize = 4_096;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Starts {
    started: Vec<Start>,
    gaps: Vec<Gap>,
    down: BTreeMap<(u64, u16), Down>,
    /// When a look first found a socket that listens on such a port, by cookie.
    found: BTreeMap<u64, u64>,
    /// SYNs refused on a port by the time somebody listened on it. While somebody does none is refused, so it does not matter how late
    /// that is read; when the listener's end is told, those of the gap may be among them already.
    refused: BTreeMap<(u64, u16), u64>,
    bitten: u64,
}

/// Nobody listens on a port.
#[derive(Debug)]
struct Down {
    since_ns: u64,
    key: ServiceKey,
    service: crate::model::Service,
    netns_inum: u32,
    refused: u64,
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
        world: &mut dyn World,
    ) {
        if came.first_of_instance {
            self.bitten += make_room(&mut self.started, STARTS_MAX);
            self.started.push(Start {
                service: world.service(key),
                at: world.wall(at_ns),
                pid: owner.tgid,
                netns: came.netns_inum,
            });
        }
        let refused = world.refused(key);
        self.fill(key, at_ns, refused, world);
        let port = (key.netns, key.port);
        if self.refused.len() < DOWN_MAX || self.refused.contains_key(&port) {
            self.refused.insert(port, refused);
        }
    }

    /// Whether a socket that a look found ends a time in which nobody listened, and its own record may yet tell when.
    pub(super) fn waits_for(&mut self, cookie: u64, key: &ServiceKey, began_ns: u64) -> bool {
        if !self.down.contains_key(&(key.netns, key.port)) {
            return false;
        }
        if self.found.len() >= DOWN_MAX {
            self.found.clear();
        }
        let first_ns = *self.found.entry(cookie).or_insert(began_ns);
        began_ns < first_ns.saturating_add(TOLD_NS)
    }

    /// A socket was found to listen: nobody knows since when.
    pub(super) fn found(&mut self, key: &ServiceKey) {
        self.down.remove(&(key.netns, key.port));
    }

    /// A socket listens no more.
    pub(super) fn went(&mut self, went: &Went, at_ns: u64, world: &mut dyn World) {
        if !went.last_of_port {
            return;
        }
        if self.down.len() >= DOWN_MAX {
            self.bitten += 1;
            let oldest = self.down.iter().min_by_key(|(_, down)| down.since_ns);
            if let Some(oldest) = oldest.map(|(port, _)| *port) {
                self.down.remove(&oldest);
            }
        }
        let down = Down {
            since_ns: at_ns,
            key: went.key,
            service: world.service(&went.key),
            netns_inum: went.netns_inum,
            refused: match self.refused.remove(&(went.key.netns, went.key.port)) {
                Some(before) => before,
                None => world.refused(&went.key),
            },
        };
        self.down.insert((went.key.netns, went.key.port), down);
    }

    /// Starts since the last call.
    pub(super) fn take_started(&mut self) -> Vec<Start> {
        std::mem::take(&mut self.started)
    }

    /// Gaps that ended since the last call.
    pub(super) fn take_gaps(&mut self) -> Vec<Gap> {
        std::mem::take(&mut self.gaps)
    }

    /// How often a bound kept something out.
    pub(super) fn bitten(&self) -> u64 {
        self.bitten
    }

    fn fill(&mut self, key: &ServiceKey, at_ns: u64, refused: u64, world: &mut dyn World) {
        let Some(down) = self.down.remove(&(key.netns, key.port)) else {
            return;
        };
        // Sockets found on other ports wait anew: that costs a second and no truth.
        self.found.clear();
        // Two processors may tell of a handover in the other order.
        if at_ns <= down.since_ns {
            return;
        }
        self.bitten += make_room(&mut self.gaps, GAPS_MAX);
        // Those of the gap count as its last owner's.
        let now = if down.key == *key {
            refused
        } else {
            world.refused(&down.key)
        };
        self.gaps.push(Gap {
            refused: now.saturating_sub(down.refused),
            service: down.service,
            from: world.wall(down.since_ns),
            until: Some(world.wall(at_ns)),
            netns: down.netns_inum,
        });
    }
}

fn make_room<T>(list: &mut Vec<T>, max: usize) -> u64 {
    let over = (list.len() + 1).saturating_sub(max);
    list.drain(..over);
    over as u64
}
