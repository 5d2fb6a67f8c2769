//! Listening sockets that come and go, told to all whom that concerns: the instances, the starts and gaps, and the drains of
//! their ports.

use std::collections::HashSet;

use finwatch_common::{ListenerRecord, Phase, Process, ServiceKey};

use super::{
    lasting::Lasting,
    membership::instances::{Instances, Went},
    progress::{
        seen::ListenersClosed,
        surveys::{Survey, is_listener},
    },
    starts::Starts,
};
use crate::known::Known;

/// Who is told.
pub(super) struct Listeners<'a> {
    pub(super) instances: &'a mut Instances,
    pub(super) starts: &'a mut Starts,
    pub(super) lasting: &'a mut Lasting,
}

// === impl Listeners ===

impl Listeners<'_> {
    /// A socket listens, or listens no more.
    pub(super) fn record(&mut self, record: &ListenerRecord, now_ns: u64, known: &Known<'_>) {
        let at_ns = record.header.at_ns;
        if record.up != 0 {
            return self.came(record, now_ns, known);
        }
        let Some(went) = self.instances.unlisten(record.cookie, at_ns) else {
            return;
        };
        self.starts.went(record.cookie, &went, at_ns, known);
        if went.last_of_instance {
            self.last_went(record, &went);
        }
    }

    /// Sockets were found to listen, and others were not.
    pub(super) fn survey(&mut self, survey: &Survey<'_>, now_ns: u64, known: &Known<'_>) {
        let Survey {
            netns, began_ns, ..
        } = *survey;
        let listeners = || survey.rows.iter().filter(|row| is_listener(row));
        for row in listeners() {
            let key = row.service.in_phase(Phase::Steady);
            if self.starts.waits_for(row.cookie, &key, began_ns, known) {
                continue;
            }
            let came = self
                .instances
                .listen(row.cookie, row.owner, key, 0, began_ns);
            if came.is_some() {
                self.starts.found(row.cookie, &key, known);
                let owner = self.instances.resolve(row.owner);
                self.listens_again(owner, &key, began_ns, now_ns);
            }
        }
        let found: HashSet<u64> = listeners().map(|row| row.cookie).collect();
        let lost = self
            .instances
            .surveyed(netns, began_ns, |cookie| found.contains(&cookie));
        for cookie in lost {
            self.starts.lost(cookie);
        }
    }

    fn came(&mut self, record: &ListenerRecord, now_ns: u64, known: &Known<'_>) {
        let key = record.service.in_phase(Phase::Steady);
        let at_ns = record.header.at_ns;
        let owner = self.instances.resolve(Process {
            start_ns: record.start_ns,
            tgid: record.owner_tgid,
            pad: 0,
        });
        let came = self
            .instances
            .listen(record.cookie, owner, key, record.netns_inum, at_ns);
        let Some(came) = came else {
            return;
        };
        for draining in self.lasting.iter_mut() {
            if draining.ports.contains_key(&key) && at_ns > draining.members.t0_ns() {
                draining.progress.listener_came();
            }
        }
        self.starts.came(came, owner, &key, at_ns, now_ns, known);
        self.listens_again(owner, &key, at_ns, now_ns);
    }

    /// An instance listens on a port no more.
    fn last_went(&mut self, record: &ListenerRecord, went: &Went) {
        let key = record.service.in_phase(Phase::Steady);
        let at_ns = record.header.at_ns;
        let closed = ListenersClosed {
            at_ns,
            by_exit: record.by_exit != 0,
            taken_over: !went.last_of_port,
        };
        for draining in self.lasting.iter_mut() {
            let others = draining
                .members
                .instances()
                .any(|instance| self.instances.listening(instance, &key) > 0);
            if others || !draining.members.is_told_of(&went.owner, at_ns) {
                continue;
            }
            draining.reported.outdated();
            if let Some(port) = draining.ports.get_mut(&key) {
                port.listeners_closed(closed, record.backlog);
            }
        }
    }

    /// An instance listens: one that had closed its listener on that port in a drain opened it anew.
    fn listens_again(&mut self, owner: Process, key: &ServiceKey, at_ns: u64, now_ns: u64) {
        for draining in self.lasting.iter_mut() {
            if draining.members.is_told_of(&owner, at_ns)
                && let Some(port) = draining.ports.get_mut(key)
            {
                port.listens_again(now_ns);
                draining.reported.outdated();
            }
        }
    }
}
