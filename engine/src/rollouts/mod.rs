//! Rollouts: deploy events, drains, listeners that came and gaps between them, put together by workload and time.
//!
//! It reads no clock: [`Correlator::tick`] says how late it is, and nothing ends but there. Every list has a bound;
//! what a bound left out is counted. A rollout that was told as ended comes again under its id when something that
//! belongs to it is heard of later.

mod account;
mod adopt;
mod grow;
mod live;
mod look;
mod outside;
mod own;
mod pair;
mod rounds;
mod tell;

use std::{collections::BTreeMap, time::Duration};

use finwatch_common::{Role, ServiceKey};
use jiff::{SignedDuration, Timestamp};

pub(crate) use self::rounds::Rounds;
pub use self::{
    account::{Account, RefusedReading},
    look::{LateClose, Look},
};
use self::{live::Live, pair::Heard};
use crate::bounded::{Bounded, Queue};
use crate::diagnoses::JudgeOptions;
use crate::ids::Ids;
use crate::model::{Counts, DeployEvent, Drain, Gap, Rollout, Service, Start};

/// Most rollouts that run at once; more drains go to none.
const LIVE_MAX: usize = 128;
/// Most ended rollouts that late news may still reach.
const RECENT_MAX: usize = 64;
/// Most ended rollouts that wait to be taken; the oldest give way.
const ENDED_MAX: usize = 1_024;
/// Most starts, and most gaps, that belong to no rollout yet.
const LOOSE_MAX: usize = 256;
/// Most drains of forgotten rollouts that are remembered by name.
const FORGOTTEN_MAX: usize = 1_024;

/// How rollouts are told.
#[derive(Debug, Clone, PartialEq)]
pub struct CorrelatorOptions {
    /// How long after its last sign of life a rollout takes in what happens to its workload.
    pub window: Duration,
    /// How long nothing must happen before a rollout whose drains have ended is over.
    pub quiet: Duration,
    /// How strictly growth is judged.
    pub judge: JudgeOptions,
}

/// See the module.
#[derive(Debug)]
pub struct Correlator {
    options: CorrelatorOptions,
    live: Vec<Live>,
    /// Ended, the oldest first.
    recent: Queue<Live, RECENT_MAX>,
    /// By id.
    ended: Bounded<String, Rollout, ENDED_MAX>,
    /// Drains of rollouts that no news reach any more.
    forgotten: Bounded<String, (), FORGOTTEN_MAX>,
    replaced: Vec<String>,
    loose_starts: Queue<Start, LOOSE_MAX>,
    loose_gaps: Queue<Gap, LOOSE_MAX>,
    /// What services have come to, while it is accounted for.
    accounts: BTreeMap<ServiceKey, Account>,
    heard: Heard,
    ids: Ids,
    left_out: u64,
}

// === impl CorrelatorOptions ===

impl Default for CorrelatorOptions {
    fn default() -> Self {
        Self {
            window: Duration::from_secs(600),
            quiet: Duration::from_secs(5),
            judge: JudgeOptions::default(),
        }
    }
}

impl CorrelatorOptions {
    fn window(&self) -> SignedDuration {
        SignedDuration::try_from(self.window).unwrap_or(SignedDuration::MAX)
    }

    fn quiet(&self) -> SignedDuration {
        SignedDuration::try_from(self.quiet).unwrap_or(SignedDuration::MAX)
    }
}

// === impl Correlator ===

impl Correlator {
    /// One that has heard nothing.
    pub fn new(options: CorrelatorOptions) -> Self {
        Self {
            options,
            live: Vec::new(),
            recent: Queue::default(),
            ended: Bounded::default(),
            forgotten: Bounded::default(),
            replaced: Vec::new(),
            loose_starts: Queue::default(),
            loose_gaps: Queue::default(),
            accounts: BTreeMap::new(),
            heard: Heard::default(),
            ids: Ids::default(),
            left_out: 0,
        }
    }

    /// Takes a deploy event. The same one twice is taken once.
    pub fn event(&mut self, event: DeployEvent) {
        if !self.heard.is_new(&event) {
            return;
        }
        if let Some(id) = self.change_of(&event) {
            self.hear_more(&id, event);
            return;
        }
        for live in &mut self.live {
            live.give_way_to(&event);
        }
        if self.is_full() {
            return;
        }
        let id = self.ids.fresh(&event.workload.name, event.effective_time());
        let mut live = Live::announced(id, event);
        self.open_shares(&mut live);
        self.live.push(live);
        self.adopt_into(self.live.len() - 1);
    }

    /// Takes a drain: new, changed or ended, told apart by its id and its end.
    pub fn drain(&mut self, drain: Drain) {
        if let Some(live) = self.live.iter_mut().find(|live| live.has(&drain.id)) {
            live.update(drain);
            return;
        }
        if let Some(live) = self.recent.iter_mut().find(|live| live.has(&drain.id)) {
            if live.update(drain) {
                let told = tell::ended(live, &self.options);
                self.push_ended(told);
            }
            return;
        }
        if !self.forgotten.contains(&drain.id) {
            self.assign(drain);
        }
    }

    /// Takes a listener that came.
    pub fn start(&mut self, start: Start) {
        let window = self.options.window();
        if let Some(at) = live::best(&self.live, |live| live.takes_start(&start, window)) {
            self.live[at].started(start);
            self.mean_more(at);
            return;
        }
        let found = self
            .recent
            .iter_mut()
            .rev()
            .find(|live| live.misses_start(&start, window));
        if let Some(live) = found {
            if live.started(start) {
                let told = tell::ended(live, &self.options);
                self.push_ended(told);
            }
            return;
        }
        self.loose_starts.push(start);
    }

    /// Takes a time nobody listened: new, or told again with its end.
    pub fn gap(&mut self, gap: Gap) {
        let window = self.options.window();
        if let Some(at) = live::best(&self.live, |live| live.takes_gap(&gap, window)) {
            self.live[at].listened_by_nobody(gap);
            return;
        }
        let found = self
            .recent
            .iter_mut()
            .rev()
            .find(|live| live.takes_gap(&gap, window));
        if let Some(live) = found {
            if live.listened_by_nobody(gap) {
                let told = tell::ended(live, &self.options);
                self.push_ended(told);
            }
            return;
        }
        self.loose_gaps
            .retain(|loose| !live::is_same_gap(loose, &gap));
        self.loose_gaps.push(gap);
    }

    /// Whether looks at this service are wanted: a rollout of its workload runs.
    pub fn wants(&self, service: &Service) -> bool {
        self.live.iter().any(|live| live.concerns(service))
    }

    /// Whether a rollout that runs tells what this service in that network namespace lost then.
    pub fn tells_of(&self, service: &Service, netns: u64, at: Timestamp) -> bool {
        let mut live = self.live.iter();
        live.any(|live| live.tells_of(service, netns, at))
    }

    /// Whether a drain belongs to a change of its workload: its rollout was announced, or has drains that no crash explains.
    pub fn is_of_change(&self, drain: &str) -> bool {
        let mut rollouts = self.live.iter().chain(self.recent.iter());
        rollouts
            .find(|live| live.has(drain))
            .is_some_and(Live::is_change)
    }

    /// Takes what a service counted since the look before.
    pub fn look(&mut self, look: &Look) {
        for live in &mut self.live {
            if live.watches(&look.service, look.role) {
                live.is_told = false;
                live.looks.take(look);
            }
        }
    }

    /// Takes a request that met a connection which this side had just closed in its ordinary time.
    pub fn late_close(&mut self, late: &LateClose) {
        for live in &mut self.live {
            if live.watches(&late.service, Role::Server) {
                live.is_told = false;
                live.looks.late(late);
            }
        }
    }

    /// Whether any rollout runs.
    pub fn is_busy(&self) -> bool {
        !self.live.is_empty()
    }

    /// Takes what a service has come to since it is accounted for.
    pub fn account(&mut self, key: ServiceKey, account: Account) {
        for live in &mut self.live {
            live.counted(&key, &account);
        }
        self.accounts.insert(key, account);
    }

    /// Takes a reading of the SYNs that a service refused.
    pub fn refused(&mut self, key: &ServiceKey, reading: &RefusedReading) {
        for live in &mut self.live {
            live.refused(key, reading);
        }
    }

    /// Takes what came late to a connection that no drain took, and that had ended then: a rollout that is over may be told
    /// with it again.
    pub fn late(&mut self, key: &ServiceKey, ended_at: Timestamp, counts: &Counts) {
        let over = |live: &Live| live.shares.has(key) && live.lasted_at(ended_at);
        let Some(live) = self.recent.iter_mut().rev().find(|live| over(live)) else {
            return;
        };
        live.shares.late(counts);
        let told = tell::ended(live, &self.options);
        self.push_ended(told);
        for live in self
            .live
            .iter_mut()
            .filter(|live| !live.lasted_at(ended_at))
        {
            live.shares.leave_out(key, counts);
        }
    }

    /// Whether a rollout that runs counts this service.
    pub fn counts(&self, key: &ServiceKey) -> bool {
        self.live.iter().any(|live| live.shares.has(key))
    }

    /// Forgets what services have come to that are not accounted for any more.
    pub fn trim_accounts(&mut self, kept: impl Fn(&ServiceKey) -> bool) {
        self.accounts.retain(|key, _| kept(key));
    }

    /// Says how late it is, and ends what is over.
    pub fn tick(&mut self, now: Timestamp) {
        let options = &self.options;
        let (over, live) = std::mem::take(&mut self.live)
            .into_iter()
            .partition(|live| live.is_over(now, options));
        self.live = live;
        let over: Vec<Live> = over;
        for live in over {
            self.retire(live);
        }
        let window = self.options.window();
        let is_young = |at: Timestamp| now.duration_since(at) <= window;
        let gone = self
            .recent
            .take_all(|live| !live.lingers() && !is_young(live.last_sign()));
        for live in gone {
            self.forget(live);
        }
        self.loose_starts.retain(|start| is_young(start.at));
        self.loose_gaps
            .retain(|gap| is_young(gap.until.unwrap_or(gap.from)));
    }

    /// Rollouts that run and of which something changed since this was last asked, in the order of their beginning.
    pub fn changed(&mut self) -> Vec<Rollout> {
        let changed = self.live.iter_mut().filter(|live| !live.is_told);
        changed
            .map(|live| {
                live.is_told = true;
                tell::running(live, &self.options)
            })
            .collect()
    }

    /// Rollouts that run, changed or not.
    #[cfg(test)]
    pub(crate) fn running(&self) -> Vec<Rollout> {
        let all = self.live.iter();
        all.map(|live| tell::running(live, &self.options)).collect()
    }

    /// Ids of the rollouts that run.
    pub fn running_ids(&self) -> impl Iterator<Item = &str> {
        self.live.iter().map(|live| live.rollout.id.as_str())
    }

    /// Rollouts that ended, or were added to after their end, since this was last asked.
    pub fn ended(&mut self) -> Vec<Rollout> {
        let ended = std::iter::from_fn(|| self.ended.pop_oldest());
        ended.map(|(_, rollout)| rollout).collect()
    }

    /// Ids that were told as running or ended and are no more, since this was last asked: an event that came later
    /// took their drains into its own rollout.
    pub fn replaced(&mut self) -> Vec<String> {
        std::mem::take(&mut self.replaced)
    }

    /// Events, drains, starts and gaps that no rollout took, and ended rollouts that nobody took, as a bound was
    /// reached.
    pub fn left_out(&self) -> u64 {
        self.left_out
            + self.live.iter().map(|live| live.left_out).sum::<u64>()
            + self.loose_starts.bitten()
            + self.loose_gaps.bitten()
            + self.ended.bitten()
    }

    /// Takes a further event of a rollout that runs or ended.
    fn hear_more(&mut self, id: &str, event: DeployEvent) {
        let is_it = |live: &Live| live.rollout.id == id;
        if let Some(at) = self.live.iter().position(is_it) {
            self.live[at].announce(event);
            self.adopt_into(at);
        } else if let Some(mut live) = self.recent.take(is_it) {
            live.announce(event);
            live.shares.go_on(&self.accounts);
            self.live.push(live);
            let at = self.live.len() - 1;
            if !self.adopt_into(at) {
                // Nothing more happened: it stays ended, and is told again with the event in it.
                let live = self.live.remove(at);
                self.retire(live);
            }
        }
    }

    /// Finds the rollout of a new drain, or opens one.
    fn assign(&mut self, drain: Drain) {
        let window = self.options.window();
        if let Some(at) = live::best(&self.live, |live| live.takes_drain(&drain, window)) {
            self.live[at].update(drain);
            self.mean_more(at);
            return;
        }
        let reopens = |live: &Live| live.reopens_for(&drain, window);
        if let Some(mut live) = self.recent.take_newest(reopens) {
            live.reopen();
            live.shares.go_on(&self.accounts);
            live.update(drain);
            self.live.push(live);
            return;
        }
        if self.is_full() {
            return;
        }
        let id = self.ids.fresh(&drain.service.workload, drain.started_at);
        let mut live = Live::unannounced(id, drain);
        self.open_shares(&mut live);
        self.take_loose(&mut live);
        self.live.push(live);
    }

    /// What a rollout took may have a port, or a process, by which more is its own than was.
    fn mean_more(&mut self, at: usize) {
        if !self.live[at].is_by_ports() {
            return;
        }
        let mut live = self.live.remove(at);
        self.open_shares(&mut live);
        self.take_loose(&mut live);
        self.live.insert(at, live);
    }

    /// Gives a rollout the starts and gaps that nobody has.
    fn take_loose(&mut self, live: &mut Live) {
        let window = self.options.window();
        self.loose_starts.retain(|start| {
            let takes = live.takes_start(start, window);
            if takes {
                live.started(start.clone());
            }
            !takes
        });
        self.loose_gaps.retain(|gap| {
            let takes = live.takes_gap(gap, window);
            if takes {
                live.listened_by_nobody(gap.clone());
            }
            !takes
        });
    }

    /// Ends a rollout, and keeps it for late news.
    fn retire(&mut self, mut live: Live) {
        live.end();
        self.left_out += std::mem::take(&mut live.left_out);
        let told = tell::ended(&live, &self.options);
        self.push_ended(told);
        if let Some(oldest) = self.recent.push(live) {
            self.forget(oldest);
        }
    }

    /// Gives a new rollout its share of what services have come to.
    fn open_shares(&self, live: &mut Live) {
        for (key, account) in &self.accounts {
            live.counted(key, account);
        }
    }

    fn forget(&mut self, live: Live) {
        for drain in live.rollout.drains {
            self.forgotten.insert(drain.id, ());
        }
    }

    fn push_ended(&mut self, rollout: Rollout) {
        self.ended.insert(rollout.id.clone(), rollout);
    }

    fn is_full(&mut self) -> bool {
        let full = self.live.len() >= LIVE_MAX;
        self.left_out += u64::from(full);
        full
    }
}

#[cfg(test)]
mod scenarios;

#[cfg(test)]
mod story_tests;

#[cfg(test)]
#[path = "tests.rs"]
mod tests;

#[cfg(test)]
#[path = "beside_tests.rs"]
mod beside_tests;

#[cfg(test)]
#[path = "pair_tests.rs"]
mod pair_tests;

#[cfg(test)]
#[path = "verdict_tests.rs"]
mod verdict_tests;

#[cfg(test)]
#[path = "property_tests.rs"]
mod property_tests;
