//! Whose services are. A service whose owner is being looked up is pending: counted, and not shown. Who looks it up
//! answers when he can; after a stated time it is shown by what the kernel itself knows, the program's name, and a
//! better name that comes later takes effect from then on. It looks nothing up itself.

use std::collections::HashMap;

use finwatch_common::{Phase, Role, ServiceKey};

use super::{KEYS_MAX, SeriesLabels};
use crate::{
    model::{Named, Pod, Service, Workload, WorkloadKind},
    timing::NAME_PENDING_NS,
};

/// Most names: those of the ledger, and of what drains know beside it.
const NAMES_MAX: usize = 2 * KEYS_MAX;

/// See the module.
#[derive(Debug, Default)]
pub struct Names {
    known: HashMap<ServiceKey, Name>,
    /// First seen, and nobody was asked yet.
    unasked: Vec<ServiceKey>,
    pending: usize,
    left_out: u64,
}

#[derive(Debug)]
enum Name {
    /// Asked for, since then.
    Pending { since_ns: u64 },
    /// The best that is known.
    Known(Named),
}

// === impl Names ===

impl Names {
    /// A service was seen: asks for its name, if that is the first time.
    pub(crate) fn meet(&mut self, key: &ServiceKey, now_ns: u64) {
        let key = key.in_phase(Phase::Steady);
        if self.known.contains_key(&key) || is_other(&key) {
            return;
        }
        if self.known.len() >= NAMES_MAX {
            self.left_out += 1;
            return;
        }
        self.known.insert(key, Name::Pending { since_ns: now_ns });
        self.unasked.push(key);
        self.pending += 1;
    }

    /// Somebody new listens: it may be another program that the kernel calls the same. Until that is known the name stays.
    pub(crate) fn ask_again(&mut self, key: &ServiceKey) {
        let key = key.in_phase(Phase::Steady);
        if matches!(self.known.get(&key), Some(Name::Known(_))) && !self.unasked.contains(&key) {
            self.unasked.push(key);
        }
    }

    /// Takes a name; returns whether it says anything new.
    pub(crate) fn take(&mut self, key: &ServiceKey, named: impl Into<Named>) -> bool {
        let named = named.into();
        let key = key.in_phase(Phase::Steady);
        match self.known.get_mut(&key) {
            Some(Name::Known(known)) if *known == named => false,
            Some(name) => {
                self.pending -= usize::from(matches!(name, Name::Pending { .. }));
                *name = Name::Known(named);
                true
            }
            // Nobody knows the service any more.
            None => false,
        }
    }

    /// Services whose names were asked for in vain for too long: from now on they are called as their programs are.
    pub(crate) fn give_up(&mut self, now_ns: u64) -> Vec<ServiceKey> {
        if self.pending == 0 {
            return Vec::new();
        }
        let mut late: Vec<ServiceKey> = self
            .known
            .iter()
            .filter(|(_, name)| {
                matches!(name, Name::Pending { since_ns }
                    if now_ns.saturating_sub(*since_ns) >= NAME_PENDING_NS)
            })
            .map(|(key, _)| *key)
            .collect();
        late.sort_unstable();
        for key in &late {
            self.take(key, by_program(key));
        }
        late
    }

    /// Whether a name was asked for since then that has not come.
    pub(crate) fn asked_since(&self, asked_ns: u64) -> bool {
        self.pending > 0
            && self
                .known
                .values()
                .any(|name| matches!(name, Name::Pending { since_ns } if *since_ns >= asked_ns))
    }

    /// How often a service came of which there was no room to learn the name.
    pub(crate) const fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Services that are known, named or not.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &ServiceKey> {
        self.known.keys()
    }

    /// Services whose names were not asked for yet.
    pub(crate) fn take_unasked(&mut self) -> Vec<ServiceKey> {
        std::mem::take(&mut self.unasked)
    }

    /// The best name; none while it is pending.
    pub(crate) fn get(&self, key: &ServiceKey) -> Option<&Workload> {
        match self.known.get(&key.in_phase(Phase::Steady)) {
            Some(Name::Known(named)) => Some(&named.workload),
            Some(Name::Pending { .. }) | None => None,
        }
    }

    /// The pod that it runs in, as far as that is known.
    pub(crate) fn pod(&self, key: &ServiceKey) -> Pod {
        match self.known.get(&key.in_phase(Phase::Steady)) {
            Some(Name::Known(named)) => named.pod.clone(),
            Some(Name::Pending { .. }) | None => Pod::default(),
        }
    }

    /// Whether the name is being looked up.
    pub(crate) fn is_pending(&self, key: &ServiceKey) -> bool {
        matches!(
            self.known.get(&key.in_phase(Phase::Steady)),
            Some(Name::Pending { .. })
        )
    }

    /// The labels by the best name that is known.
    pub(crate) fn labels(&self, key: &ServiceKey) -> SeriesLabels {
        SeriesLabels {
            workload: self.get(key).cloned().unwrap_or_else(|| by_program(key)),
            port: key.port,
            role: key.role().unwrap_or(Role::Server),
        }
    }

    /// The service by the best name that is known.
    pub(crate) fn service(&self, key: &ServiceKey) -> Service {
        let SeriesLabels { workload, port, .. } = self.labels(key);
        Service::new(workload, port)
    }

    /// A service is nobody's here.
    pub(crate) fn forget(&mut self, key: &ServiceKey) {
        let key = key.in_phase(Phase::Steady);
        let name = self.known.remove(&key);
        self.pending -= usize::from(matches!(name, Some(Name::Pending { .. })));
        self.unasked.retain(|unasked| *unasked != key);
    }

    /// Forgets services that nobody knows any more.
    pub(crate) fn retain(&mut self, known: impl Fn(&ServiceKey) -> bool) {
        self.known.retain(|key, _| known(key));
        self.unasked.retain(|key| self.known.contains_key(key));
        let pending = self
            .known
            .values()
            .filter(|name| matches!(name, Name::Pending { .. }));
        self.pending = pending.count();
    }

    /// Services whose names are being looked up.
    pub fn pending(&self) -> usize {
        self.pending
    }
}

/// The row that takes what the kernel's table has no room for.
fn is_other(key: &ServiceKey) -> bool {
    let role = key.role().unwrap_or(Role::Server);
    *key == ServiceKey::other(role, Phase::Steady)
}

/// What the kernel itself knows of a service.
fn by_program(key: &ServiceKey) -> Workload {
    match key.comm() {
        "" => Workload::other(),
        program => Workload::on_host(WorkloadKind::Process, program),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(cgroup: u64) -> ServiceKey {
        let mut key = ServiceKey::other(Role::Server, Phase::Steady);
        key.cgroup = cgroup;
        key.port = 80;
        key.comm[..3].copy_from_slice(b"web");
        key
    }

    #[test]
    fn a_name_is_asked_for_once_and_pending_until_it_comes() {
        let mut names = Names::default();
        names.meet(&key(1).in_phase(Phase::Draining), 0);
        names.meet(&key(1), 5);
        assert_eq!(names.take_unasked(), [key(1)]);
        assert_eq!(names.take_unasked(), []);
        assert!(names.is_pending(&key(1)));
        assert_eq!(names.get(&key(1)), None);
        let unit = Workload::on_host(WorkloadKind::Unit, "web.service");
        assert!(names.take(&key(1), unit.clone()));
        assert!(!names.take(&key(1), unit.clone()), "no news");
        assert_eq!(names.get(&key(1)), Some(&unit));
        assert_eq!(names.pending(), 0);
    }

    #[test]
    fn whose_listener_is_another_is_asked_for_again_and_keeps_its_name_until_then() {
        let mut names = Names::default();
        names.ask_again(&key(1));
        assert_eq!(names.take_unasked(), [], "nobody knows it");
        names.meet(&key(1), 1);
        names.ask_again(&key(1));
        assert_eq!(names.take_unasked(), [key(1)], "once");
        let program = |name| Workload::on_host(WorkloadKind::Process, name);
        names.take(&key(1), program("shop.jar"));
        names.ask_again(&key(1).in_phase(Phase::Draining));
        names.ask_again(&key(1));
        assert_eq!(names.take_unasked(), [key(1)], "once");
        assert_eq!(names.get(&key(1)), Some(&program("shop.jar")));
        assert!(names.take(&key(1), program("cart.jar")));
    }

    #[test]
    fn what_nobody_can_name_goes_by_its_program_until_somebody_can() {
        let mut names = Names::default();
        names.meet(&key(1), 1);
        assert_eq!(names.give_up(NAME_PENDING_NS), []);
        assert_eq!(names.give_up(1 + NAME_PENDING_NS), [key(1)]);
        assert_eq!(names.service(&key(1)).to_string(), "process/web:80");
        assert!(names.take(
            &key(1),
            Workload::on_host(WorkloadKind::Unit, "web.service")
        ));
        assert_eq!(names.service(&key(1)).to_string(), "unit/web.service:80");
    }
}
