//! Whose drain a connection that ended belongs to, and an RST. It holds closes until their RSTs have come, and knows what ended
//! a moment ago.

use finwatch_common::{
    CloseRecord, Lost, Outcome, Phase, Process, ResetRecord, Role, ServiceKey, UnreadRecord,
    close_flags, reset_flags,
};

use super::{
    instances::Instances,
    lingering::{Early, Lingerer, Recent},
    members::{Over, Takes},
    merge::{ClosedConnection, Merger},
    own_calls::OwnCalls,
};
use crate::{
    drains::{accounts::Accounts, draining::Draining, lasting::Lasting, losses::Losses},
    known::Known,
};

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    merger: Merger,
    early: Early,
    own_calls: OwnCalls,
    recent: Recent,
    accounts: Accounts,
    losses: Losses,
    /// Closes told before the RST that they wait for.
    told_early: u64,
}

// === impl Connections ===

impl Connections {
    /// A client's end was closed: the server's own may be the other one.
    pub(crate) fn own_call(&mut self, record: &CloseRecord, instances: &Instances) {
        let caller = instances.resolve(Process {
            start_ns: record.owner_start_ns,
            tgid: record.owner_tgid,
            pad: 0,
        });
        let instance = instances.of_process(caller.tgid).unwrap_or(caller);
        self.own_calls.note(record, instance);
    }

    /// A server's connection ended: it is held until its RSTs have come.
    pub(in crate::drains) fn close(
        &mut self,
        record: &CloseRecord,
        lasting: &mut Lasting,
        instances: &Instances,
        known: &Known<'_>,
    ) {
        self.recent.insert(record.cookie);
        let key = record.service.in_phase(Phase::Steady);
        for draining in lasting.iter_mut() {
            let around = draining.around();
            if let Some(port) = draining.ports.get_mut(&key) {
                port.seen.ended(record.cookie);
                port.waiting.ended(record, around);
                draining.reported.outdated();
            }
        }
        let mut early = Vec::new();
        self.merger.close(*record, |closed| early.push(closed));
        for closed in early {
            self.told_early += u64::from(still_waits(&closed));
            self.assign(closed, lasting, instances, known);
        }
    }

    /// This host sent an RST.
    pub(in crate::drains) fn reset(
        &mut self,
        reset: &ResetRecord,
        lasting: &mut Lasting,
        known: &Known<'_>,
    ) {
        if reset.service.role() != Some(Role::Server) {
            return;
        }
        if !self.are_wanted(lasting) {
            // Nothing but what is lost is of interest to anybody.
            if !self.merger.reset(reset) {
                self.losses.late(reset, known);
            }
            return;
        }
        if reset.cookie == 0 {
            return self.accounts.late(reset, false, None, known);
        }
        if self.merger.reset(reset) {
            return;
        }
        let key = reset.service.in_phase(Phase::Steady);
        let late = reset_flags::MINI_SOCKET | reset_flags::CUT_LATE;
        let lingerer = lasting.lingering_mut().take(reset.cookie);
        let (id, key) = match &lingerer {
            Some(lingerer) => (Some(lingerer.drain), lingerer.key),
            // The kernel remembers in which phase the connection ended: one that was over before T0 is no part of a drain.
            None if reset.flags & late != 0 && reset.service.phase != Phase::Steady as u8 => {
                (lasting.only_of(&key), key)
            }
            None if reset.flags & late != 0 => (None, key),
            None => return self.early.keep(*reset),
        };
        self.accounts
            .late(reset, id.is_some(), lingerer.as_ref(), known);
        let Some(draining) = id.and_then(|id| lasting.get_mut(id)) else {
            return self.losses.late(reset, known);
        };
        let target = draining.cause.target();
        draining.reported.outdated();
        if let Some(port) = draining.ports.get_mut(&key) {
            let of_target = lingerer.is_some_and(|lingerer| lingerer.closer_tgid == target);
            let counted = &mut port.counted;
            counted.late(reset, lingerer.as_ref(), of_target, known);
        }
    }

    /// A program let go of a connection, and had not read all of it.
    pub(in crate::drains) fn unread(
        &mut self,
        unread: &UnreadRecord,
        lasting: &mut Lasting,
        known: &Known<'_>,
    ) {
        if unread.service.role() != Some(Role::Server) || self.merger.unread(unread) {
            return;
        }
        let lingerer = lasting.lingering_mut().take(unread.cookie);
        self.accounts.never_read(unread, lingerer.as_ref(), known);
        // A connection that is not remembered was told before the drains that last now, or is none of theirs.
        let Some(lingerer) = lingerer else {
            return self.losses.never_read(unread, known);
        };
        let Some(draining) = lasting.get_mut(lingerer.drain) else {
            return;
        };
        let of_target = lingerer.closer_tgid == draining.cause.target();
        draining.reported.outdated();
        if let Some(port) = draining.ports.get_mut(&lingerer.key) {
            let counted = &mut port.counted;
            counted.never_read(unread, &lingerer, of_target, known);
        }
    }

    /// Tells the closes whose hold is over.
    pub(in crate::drains) fn tick(
        &mut self,
        now_ns: u64,
        lasting: &mut Lasting,
        instances: &Instances,
        known: &Known<'_>,
    ) {
        let mut due = Vec::new();
        self.merger.due(now_ns, |closed| due.push(closed));
        for closed in due {
            self.assign(closed, lasting, instances, known);
        }
    }

    /// What services counted, whether a drain took it or not.
    pub(in crate::drains) fn accounts(&self) -> &Accounts {
        &self.accounts
    }

    /// The same, to be opened, told and closed.
    pub(in crate::drains) fn accounts_mut(&mut self) -> &mut Accounts {
        &mut self.accounts
    }

    /// Requests that were lost in ordinary time.
    pub(in crate::drains) fn losses(&self) -> &Losses {
        &self.losses
    }

    /// The same, to be told.
    pub(in crate::drains) fn losses_mut(&mut self) -> &mut Losses {
        &mut self.losses
    }

    /// Connections that ended a moment ago.
    pub(crate) fn recent(&self) -> &Recent {
        &self.recent
    }

    /// No drain lasts: nobody will ask what ended a moment ago.
    pub(crate) fn forget_recent(&mut self) {
        self.recent.clear();
    }

    /// Closes that were told before the RST that they wait for: that came too late to be of use.
    pub(crate) fn told_early(&self) -> u64 {
        self.told_early
    }

    /// Whether somebody is to be told of connections that ended.
    pub(in crate::drains) fn are_wanted(&self, lasting: &Lasting) -> bool {
        !lasting.is_empty() || self.accounts.are_open()
    }

    /// Gives a connection that ended to its drain, if it is of one, and to the accounts.
    fn assign(
        &mut self,
        mut closed: ClosedConnection,
        lasting: &mut Lasting,
        instances: &Instances,
        known: &Known<'_>,
    ) {
        if let Some(reset) = self.early.take(closed.record.cookie)
            && closed.reset_reason.is_none()
        {
            closed.reset_reason = Some(reset.reason);
            closed.lost = closed
                .lost
                .max(Lost::from_u8(reset.lost).unwrap_or(Lost::Nothing));
        }
        let taken = self.give(&closed, lasting, instances, known);
        self.losses.closed(&closed, taken, known);
        self.accounts.ended(&closed, taken.is_some(), known);
    }

    /// Gives a connection that ended to its drain, and says which that is; none where no drain counts it.
    fn give(
        &self,
        closed: &ClosedConnection,
        lasting: &mut Lasting,
        instances: &Instances,
        known: &Known<'_>,
    ) -> Option<u64> {
        let record = closed.record;
        let key = record.service.in_phase(Phase::Steady);
        let owner = owner_of(&record, &key, lasting, instances)?;
        let (id, takes) = drain_of(&record, &owner, lasting)?;
        let (draining, room) = lasting.with_room(id)?;
        if !draining.may_have_port(&key) {
            return None;
        }
        draining.reported.outdated();
        let since_ns = draining.members.since_ns(&owner).unwrap_or(0);
        let moved = was_moved(&record, draining, instances);
        let setting = draining.setting(record.header.at_ns, since_ns, moved);
        let of_target = record.closer_tgid == draining.cause.target();
        draining.progress.closed(&record, &owner, since_ns);
        let port = draining.port(key, &owner, instances, known);
        if self.own_calls.has(&record, &owner) {
            port.close_own_call(&record);
            return None;
        }
        if takes == Takes::ByNew {
            port.close_by_new(&record, since_ns);
            return None;
        }
        port.close(closed, owner, setting, of_target, room, known);
        if closed.lingers() {
            let lingerer = Lingerer::of(closed, id);
            lasting.lingering_mut().insert(record.cookie, lingerer);
        }
        Some(id)
    }
}

/// Whose listener accepted it: as the record says, else the only one that could.
fn owner_of(
    record: &CloseRecord,
    key: &ServiceKey,
    lasting: &Lasting,
    instances: &Instances,
) -> Option<Process> {
    let named = Process {
        start_ns: record.owner_start_ns,
        tgid: record.owner_tgid,
        pad: 0,
    };
    instances.owner(named, key).or_else(|| {
        let id = lasting.only_of(key)?;
        lasting.get(id).map(|draining| draining.members.first())
    })
}

/// The drain that takes it: a dead worker's before its instance's, an older one before a younger.
fn drain_of(record: &CloseRecord, owner: &Process, lasting: &Lasting) -> Option<(u64, Takes)> {
    let find = |wanted: Takes, one: bool| {
        lasting
            .iter()
            .map(|(id, draining)| (id, &draining.members))
            .filter(|(_, members)| members.is_of_one() == one)
            .find(|(_, members)| members.takes(record, owner) == wanted)
            .map(|(id, _)| (id, wanted))
    };
    find(Takes::Own, true)
        .or_else(|| find(Takes::Own, false))
        .or_else(|| find(Takes::ByNew, false))
}

/// Whether others served it in the end: a process that came after T0 or that listens for itself ended it (`tcp_migrate_req` moves what
/// waits in the queue of a listener that closes), or it was read when the old ones were gone.
fn was_moved(record: &CloseRecord, draining: &Draining, instances: &Instances) -> bool {
    let (closer, members) = (record.closer_tgid, &draining.members);
    let by_others = instances
        .of_process(closer)
        .is_some_and(|instance| !members.has(&instance));
    let by_new = members.new_ones().contains(&closer);
    let read_later = members
        .gone()
        .is_some_and(|gone| gone.over == Over::Ended && record.last_read_ns > gone.since_ns);
    by_others || by_new || read_later
}

/// Told too early: an RST that says how it ended may still come.
fn still_waits(closed: &ClosedConnection) -> bool {
    let open = close_flags::AMBIGUOUS | close_flags::NO_MINI_SOCKET;
    closed.reset_reason.is_none()
        && (closed.record.flags & open != 0 || closed.outcome == Outcome::ResetSent)
}
