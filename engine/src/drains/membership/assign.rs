//! Whose drain a connection belongs to, and an RST.

use finwatch_common::{
    CloseRecord, Lost, Outcome, Phase, Process, ResetRecord, Role, ServiceKey, TimeWait,
    UnreadRecord, close_flags, reset_flags,
};

use crate::drains::{
    ClosedConnection, Drains,
    draining::{Draining, Scope, Takes},
    membership::lingering::Lingerer,
    port::Port,
    report::tally::Setting,
};
use crate::known::Known;
use crate::timing;

// === impl Drains ===

impl Drains {
    pub(crate) fn on_close(&mut self, record: &CloseRecord, known: &Known<'_>) {
        // In steady time nobody asks; a busy server's closes cost nothing here.
        if self.drainings.is_empty() && !self.expects_deaths() {
            return;
        }
        if record.service.role() != Some(Role::Server) {
            return self.note_own_call(record);
        }
        if record.flags & close_flags::BY_EXIT != 0 && record.closer_tgid != 0 {
            self.begin_death(record.closer_tgid, record.header.at_ns, known);
        }
        self.recent.insert(record.cookie);
        let key = record.service.in_phase(Phase::Steady);
        for draining in self.drainings.values_mut() {
            if let Some(port) = draining.ports.get_mut(&key) {
                port.ended(record.cookie);
                draining.touch();
            }
        }
        let mut early = Vec::new();
        self.merger.close(*record, |closed| early.push(closed));
        for closed in early {
            self.told_early += u64::from(still_waits(&closed));
            self.tell_close(closed, known);
        }
    }

    pub(crate) fn on_reset(&mut self, reset: &ResetRecord, known: &Known<'_>) {
        if self.drainings.is_empty() || reset.service.role() != Some(Role::Server) {
            return;
        }
        if reset.cookie == 0 || self.merger.reset(reset) {
            return;
        }
        let key = reset.service.in_phase(Phase::Steady);
        let late = reset_flags::MINI_SOCKET | reset_flags::CUT_LATE;
        let lingerer = self.lingering.take(reset.cookie);
        let (id, key) = match &lingerer {
            Some(lingerer) => (Some(lingerer.draining), lingerer.key),
            // The kernel remembers in which phase the connection ended: one that was over before T0 is no part of a drain.
            None if reset.flags & late != 0 && reset.service.phase != Phase::Steady as u8 => {
                (self.only_drain_of(&key), key)
            }
            None if reset.flags & late != 0 => (None, key),
            None => {
                self.early.keep(*reset);
                (None, key)
            }
        };
        let Some(draining) = id.and_then(|id| self.drainings.get_mut(&id)) else {
            return;
        };
        let target = draining.target.tgid;
        draining.touch();
        let Some(port) = draining.ports.get_mut(&key) else {
            return;
        };
        port.whole.late(reset, lingerer.as_ref(), known);
        if lingerer.is_some_and(|lingerer| lingerer.closer_tgid == target) {
            port.of_target.late(reset, lingerer.as_ref(), known);
        }
    }

    pub(crate) fn on_unread(&mut self, unread: &UnreadRecord, known: &Known<'_>) {
        if self.drainings.is_empty()
            || unread.service.role() != Some(Role::Server)
            || self.merger.unread(unread)
        {
            return;
        }
        // A connection that is not remembered was told before the drains that last now.
        let Some(lingerer) = self.lingering.take(unread.cookie) else {
            return;
        };
        let Some(draining) = self.drainings.get_mut(&lingerer.draining) else {
            return;
        };
        let target = draining.target.tgid;
        draining.touch();
        let Some(port) = draining.ports.get_mut(&lingerer.key) else {
            return;
        };
        port.whole.never_read(unread, &lingerer, known);
        if lingerer.closer_tgid == target {
            port.of_target.never_read(unread, &lingerer, known);
        }
    }

    fn note_own_call(&mut self, record: &CloseRecord) {
        let caller = self.instances.resolve(Process {
            start_ns: record.owner_start_ns,
            tgid: record.owner_tgid,
            pad: 0,
        });
        let family = self.instances.of_process(caller.tgid);
        self.own_calls.note(record, family.unwrap_or(caller));
    }

    /// Tells the closes whose hold is over.
    pub(crate) fn tell_due(&mut self, now_ns: u64, known: &Known<'_>) {
        let mut due = Vec::new();
        self.merger.due(now_ns, |closed| due.push(closed));
        for closed in due {
            self.tell_close(closed, known);
        }
    }

    fn tell_close(&mut self, mut closed: ClosedConnection, known: &Known<'_>) {
        if let Some(reset) = self.early.take(closed.record.cookie)
            && closed.reset_reason.is_none()
        {
            closed.reset_reason = Some(reset.reason);
            closed.lost = closed
                .lost
                .max(Lost::from_u8(reset.lost).unwrap_or(Lost::Nothing));
        }
        let record = closed.record;
        let key = record.service.in_phase(Phase::Steady);
        let Some(owner) = self.owner_of(&record, &key) else {
            return;
        };
        let Some((id, takes)) = self.drain_of(&record, &owner) else {
            return;
        };
        let Some(draining) = self.drainings.get_mut(&id) else {
            return;
        };
        if !draining.may_have_port(&key) {
            return;
        }
        draining.touch();
        let since_ns = draining.since.get(&owner).map_or(0, |s| s.mono_ns);
        let killed = draining.was_killed(record.header.at_ns);
        draining.owner_serves |= record.closer_tgid == owner.tgid
            && record.opened_at_ns >= since_ns.saturating_add(timing::RELOAD_NS);
        if record.closer_tgid != 0
            && record.bytes_sent > 0
            && record.flags & close_flags::NEVER_ACCEPTED == 0
        {
            draining.served_ns = draining.served_ns.max(record.opened_at_ns);
        }
        let of_target = record.closer_tgid == draining.target.tgid;
        let (t0_ns, phased) = (draining.t0_ns(), draining.is_phased());
        let instances = &self.instances;
        let port = draining
            .ports
            .entry(key)
            .or_insert_with(|| Port::new(&key, &owner, t0_ns, phased, instances, known));
        if self.own_calls.has(&record, &owner) {
            return port.close_own_call(&record);
        }
        if takes == Takes::ByNew {
            return port.close_by_new(&record, since_ns);
        }
        let setting = Setting { since_ns, killed };
        port.close(&closed, owner, setting, of_target, &mut self.room, known);
        let answers_late = closed.time_wait == TimeWait::FinWait2 && closed.reset_reason.is_none();
        // Bytes that are known to be unread were told when it was let go of.
        let held = record.flags & close_flags::HELD != 0 && record.unread == 0;
        if answers_late || held {
            let lingerer = Lingerer {
                draining: id,
                key,
                opened_at_ns: record.opened_at_ns,
                ended_at_ns: record.header.at_ns,
                closer_tgid: record.closer_tgid,
                origin: closed.origin,
                outcome: closed.outcome,
            };
            self.lingering
                .insert(record.cookie, record.header.at_ns, lingerer);
        }
    }

    /// Whose listener accepted it: as the record says, else the only one that could.
    fn owner_of(&self, record: &CloseRecord, key: &ServiceKey) -> Option<Process> {
        let named = Process {
            start_ns: record.owner_start_ns,
            tgid: record.owner_tgid,
            pad: 0,
        };
        self.instances.owner(named, key).or_else(|| {
            let id = self.only_drain_of(key)?;
            self.drainings.get(&id).map(|e| e.instance)
        })
    }

    /// The drain that takes it: a dead worker's before its instance's, an older one before a younger.
    fn drain_of(&self, record: &CloseRecord, owner: &Process) -> Option<(u64, Takes)> {
        let of_one = |e: &Draining| matches!(e.scope, Scope::Process(_));
        let find = |wanted: Takes, one: bool| {
            self.drainings
                .iter()
                .filter(|(_, e)| of_one(e) == one)
                .find(|(_, e)| e.takes(record, owner) == wanted)
                .map(|(id, _)| (*id, wanted))
        };
        find(Takes::Own, true)
            .or_else(|| find(Takes::Own, false))
            .or_else(|| find(Takes::ByNew, false))
    }

    fn only_drain_of(&self, key: &ServiceKey) -> Option<u64> {
        let mut drains = self
            .drainings
            .iter()
            .filter(|(_, e)| e.ports.contains_key(key));
        match (drains.next(), drains.next()) {
            (Some((id, _)), None) => Some(*id),
            _ => None,
        }
    }
}

// === impl Draining ===

impl Draining {
    /// Whether a process is none of the instances' families, as far as tables tell.
    pub(crate) fn is_stranger(&self, tgid: u32) -> bool {
        let owns = self.since.keys().any(|owner| owner.tgid == tgid);
        !(owns || self.new.contains(&tgid) || self.excluded.contains(&tgid))
    }
}

/// Told too early: an RST that says how it ended may still come.
fn still_waits(closed: &ClosedConnection) -> bool {
    let open = close_flags::AMBIGUOUS | close_flags::NO_MINI_SOCKET;
    closed.reset_reason.is_none()
        && (closed.record.flags & open != 0 || closed.outcome == Outcome::ResetSent)
}
