//! What one service lost within a while, and which of its processes ended meanwhile. It decides when that is an incident, and
//! not what it came of.

use std::collections::BTreeSet;

use finwatch_common::{Cut, ExitRecord, Kinship, ServiceKey};

use crate::{
    bounded::Queue,
    drains::{Loss, kind_of_exit},
    model::{Cuts, DrainKind, EndedConnection},
    timing,
};

/// So many lost requests are an incident.
const ENOUGH: u64 = 3;
/// Most lost requests of which it is remembered how they came; others are counted.
const MARKS_MAX: usize = 1_024;
/// Most connections shown as examples.
const EXAMPLES_MAX: usize = 5;
/// Most processes shown that ended.
const SHOWN_MAX: usize = 5;

/// What was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// A request.
    Cut(Cut),
    /// So many SYNs were refused.
    Refused(u64),
}

/// One loss.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Mark {
    pub(super) key: ServiceKey,
    pub(super) at_ns: u64,
    pub(super) what: What,
    /// The process that closed the connection; 0 unknown.
    closer: u32,
    /// The process that closed it ended.
    pub(super) by_death: bool,
    /// Nobody knows who closed it, and a process of the service ended about then.
    pub(super) near_death: bool,
    /// See [`Loss::idle_ds`].
    pub(super) idle_ds: u16,
    /// The connection, of the first few.
    pub(super) example: Option<Box<EndedConnection>>,
}

/// A process that ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ended {
    /// What its instance serves.
    services: Vec<ServiceKey>,
    pub(super) pid: u32,
    pub(super) comm: [u8; 16],
    /// It had opened the listening socket: the instance ended with it, unless others hold that.
    pub(super) is_owner: bool,
    /// As `waitpid` gives it.
    pub(super) status: u32,
    pub(super) at_ns: u64,
}

/// What was known of its place when something was lost last.
#[derive(Debug, Clone, Copy)]
pub(super) struct Around {
    /// Somebody listened.
    pub(super) listened: bool,
    /// Inode number of the network namespace; 0 unknown.
    pub(super) netns_inum: u32,
}

/// See the module.
#[derive(Debug, Clone)]
pub(super) struct Burst {
    /// Once it is an incident.
    id: Option<String>,
    /// Its service, as the last that was lost knows it.
    key: ServiceKey,
    pub(super) cut: Cuts,
    pub(super) refused: u64,
    /// The first ones.
    marks: Vec<Mark>,
    last_ns: u64,
    pub(super) deaths: Vec<Ended>,
    pub(super) around: Around,
    is_changed: bool,
}

// === impl Mark ===

impl Mark {
    /// Something was lost of which nothing more is known.
    pub(super) const fn new(key: ServiceKey, at_ns: u64, what: What) -> Self {
        Self {
            key,
            at_ns,
            what,
            closer: 0,
            by_death: false,
            near_death: false,
            idle_ds: 0,
            example: None,
        }
    }

    /// A request was lost.
    pub(super) fn of_loss(loss: Loss) -> Self {
        Self {
            closer: loss.closer,
            by_death: loss.by_exit,
            idle_ds: loss.idle_ds,
            example: Some(Box::new(loss.example)),
            ..Self::new(loss.key, loss.at_ns, What::Cut(loss.cut))
        }
    }

    /// A process that lives on closed the connection, with the request unanswered.
    pub(super) const fn is_dropped(&self) -> bool {
        let is_in_hand = matches!(self.what, What::Cut(Cut::Unanswered | Cut::Unread));
        is_in_hand && self.closer != 0 && !self.by_death
    }

    /// How many requests or clients it was.
    const fn weight(&self) -> u64 {
        match self.what {
            What::Cut(_) => 1,
            What::Refused(number) => number,
        }
    }

    /// Takes the end of a process that may have caused it; false: it had nothing to do with it.
    fn died(&mut self, ended: &Ended) -> bool {
        let is_near = self.at_ns.abs_diff(ended.at_ns) <= timing::DEATH_NS;
        if !is_near || !matches!(self.what, What::Cut(_)) || !ended.services.contains(&self.key) {
            return false;
        }
        let closed_it = self.closer == ended.pid;
        self.by_death |= closed_it;
        self.near_death |= self.closer == 0;
        closed_it || self.closer == 0
    }
}

// === impl Ended ===

impl Ended {
    pub(super) fn of(exit: &ExitRecord, services: Vec<ServiceKey>) -> Self {
        Self {
            services,
            pid: exit.process.tgid,
            comm: exit.comm,
            is_owner: exit.kinship == Kinship::Owner as u8,
            status: exit.status,
            at_ns: exit.header.at_ns,
        }
    }

    fn is_crash(&self) -> bool {
        matches!(
            kind_of_exit(self.status),
            DrainKind::Crash | DrainKind::Kill
        )
    }
}

// === impl Burst ===

impl Burst {
    /// Nothing yet.
    pub(super) const fn new(key: &ServiceKey) -> Self {
        Self {
            id: None,
            key: *key,
            cut: Cuts {
                unanswered: 0,
                unread: 0,
                late: 0,
            },
            refused: 0,
            marks: Vec::new(),
            last_ns: 0,
            deaths: Vec::new(),
            around: Around {
                listened: false,
                netns_inum: 0,
            },
            is_changed: false,
        }
    }

    /// Something was lost; `ended`: processes that ended by then.
    pub(super) fn lose<const MAX: usize>(
        &mut self,
        mut mark: Mark,
        ended: &Queue<Ended, MAX>,
        around: Around,
    ) {
        for ended in ended.iter() {
            if mark.died(ended) {
                self.show(ended);
            }
        }
        self.count(&mark, |sum, number| *sum += number);
        self.key = mark.key;
        self.last_ns = self.last_ns.max(mark.at_ns);
        // What was known of the namespace stays so when all that listened in it is gone.
        let netns_inum = match around.netns_inum {
            0 => self.around.netns_inum,
            known => known,
        };
        self.around = Around {
            netns_inum,
            ..around
        };
        self.is_changed = true;
        if self.marks.len() >= MARKS_MAX {
            return;
        }
        if self.examples().count() >= EXAMPLES_MAX {
            mark.example = None;
        }
        let at = self
            .marks
            .partition_point(|other| other.at_ns <= mark.at_ns);
        self.marks.insert(at, mark);
    }

    /// A process ended.
    pub(super) fn ended(&mut self, ended: &Ended) {
        let mut is_meant = false;
        for mark in &mut self.marks {
            is_meant |= mark.died(ended);
        }
        if is_meant {
            self.show(ended);
            self.is_changed = true;
        }
    }

    /// What was lost before is no part of what it may become.
    pub(super) fn forget_before(&mut self, since_ns: u64) {
        let after = self.marks.partition_point(|mark| mark.at_ns < since_ns);
        for mark in self.marks.drain(..after).collect::<Vec<_>>() {
            self.count(&mark, |sum, number| *sum = sum.saturating_sub(number));
        }
    }

    /// Whether it deserves to be told.
    pub(super) fn is_enough(&self) -> bool {
        let is_death = |mark: &Mark| mark.by_death;
        self.cut.total() + self.refused >= ENOUGH || self.marks.iter().any(is_death)
    }

    /// From now on it is an incident.
    pub(super) fn begin(&mut self, id: String) {
        self.id = Some(id);
        self.is_changed = true;
    }

    pub(super) const fn is_incident(&self) -> bool {
        self.id.is_some()
    }

    /// Whether anything changed since this was last asked.
    pub(super) const fn take_change(&mut self) -> bool {
        std::mem::replace(&mut self.is_changed, false)
    }

    /// Its name, once it is an incident.
    pub(super) fn id(&self) -> &str {
        self.id.as_deref().unwrap_or_default()
    }

    pub(super) const fn key(&self) -> &ServiceKey {
        &self.key
    }

    /// When the first was lost.
    pub(super) fn began_ns(&self) -> u64 {
        self.marks.first().map_or(self.last_ns, |mark| mark.at_ns)
    }

    /// When the last was lost.
    pub(super) const fn last_ns(&self) -> u64 {
        self.last_ns
    }

    /// The first losses, in their order.
    pub(super) fn marks(&self) -> impl Iterator<Item = &Mark> {
        self.marks.iter()
    }

    /// How many processes ended that had a connection of it in hand.
    pub(super) fn dead_closers(&self) -> usize {
        let of_death = self.marks.iter().filter(|mark| mark.by_death);
        let closers: BTreeSet<u32> = of_death.map(|mark| mark.closer).collect();
        closers.len()
    }

    /// Connections of the first few.
    pub(super) fn examples(&self) -> impl Iterator<Item = &EndedConnection> {
        self.marks.iter().filter_map(|mark| mark.example.as_deref())
    }

    /// A process ended with what it served that had opened the listening socket itself.
    pub(super) fn is_ended_whole(&self) -> bool {
        self.deaths.iter().any(|ended| ended.is_owner)
    }

    /// Every process of which it is known crashed or was killed.
    pub(super) fn is_by_crash(&self) -> bool {
        !self.deaths.is_empty() && self.deaths.iter().all(Ended::is_crash)
    }

    fn show(&mut self, ended: &Ended) {
        if self.deaths.len() < SHOWN_MAX && !self.deaths.contains(ended) {
            self.deaths.push(ended.clone());
        }
    }

    fn count(&mut self, mark: &Mark, change: impl Fn(&mut u64, u64)) {
        let sum = match mark.what {
            What::Cut(Cut::Unanswered) => &mut self.cut.unanswered,
            What::Cut(Cut::Unread) => &mut self.cut.unread,
            What::Cut(Cut::Late) => &mut self.cut.late,
            What::Refused(_) => &mut self.refused,
        };
        change(sum, mark.weight());
    }
}

#[cfg(test)]
mod tests {
    use finwatch_common::{Phase, Role};

    use super::*;

    #[test]
    fn only_a_process_that_lives_on_drops_what_is_in_hand() {
        let of = |cut| {
            let key = ServiceKey::other(Role::Server, Phase::Steady);
            Mark::new(key, 1, What::Cut(cut))
        };
        let closed = |cut| Mark {
            closer: 7,
            ..of(cut)
        };
        assert!(closed(Cut::Unanswered).is_dropped());
        assert!(closed(Cut::Unread).is_dropped());
        assert!(!closed(Cut::Late).is_dropped(), "the client came late");
        assert!(!of(Cut::Unanswered).is_dropped(), "nobody closed it");
        let died = Mark {
            by_death: true,
            ..closed(Cut::Unread)
        };
        assert!(!died.is_dropped());
    }

    /// A drain that turns out to be none gives back what is older.
    #[test]
    fn the_last_is_the_last_by_time() {
        let key = ServiceKey::other(Role::Server, Phase::Steady);
        let mut burst = Burst::new(&key);
        let around = burst.around;
        for at_ns in [5, 3] {
            let mark = Mark::new(key, at_ns, What::Cut(Cut::Late));
            burst.lose(mark, &Queue::<Ended, 1>::default(), around);
        }
        assert_eq!((burst.began_ns(), burst.last_ns()), (3, 5));
    }
}
