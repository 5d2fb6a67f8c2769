//! The chronicle: where records, looks and deploy events become drains, rollouts and verdicts, and are kept. It holds
//! the pure parts (tracker, correlator) and tells them what they ask; it knows neither HTTP nor tasks nor the probe.

mod conclude;
mod names;
mod recent;
mod rounds;
mod services;
mod told;

use std::{
    collections::{HashSet, VecDeque},
    ops::ControlFlow,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use finwatch_common::{Kinship, Process, ProcessEntry, SurveyRow, survey_kind};
use jiff::Timestamp;
use tokio::sync::Notify;

use self::{
    names::{Names, wall},
    recent::RecentCloses,
    rounds::Rounds,
};
use crate::{
    accounts::{Accounts, Kernel},
    clock,
    config::Config,
    store::History,
};
use finwatch_engine::{
    drains::{
        ClosedConnection, Drains, Input as DrainInput, Options as DrainOptions, Want,
        late_in_steady_time,
    },
    input::Record,
    model::{DeployEvent, Drain},
    rollouts::{Correlator, CorrelatorOptions, LateClose},
    services::Windows,
};

/// Rollouts of an earlier run that are shown on /metrics again.
const SHOWN_AGAIN: usize = 20;
/// Most instances whose families wait to be looked at.
const FAMILIES_MAX: usize = 1_024;
/// When the family of a new listener is looked at: at once, and when a launcher has left.
const FAMILY_LOOKS_NS: [u64; 2] = [0, 2_000_000_000];

/// What a look at one network namespace found.
#[derive(Debug, Default)]
pub struct Look {
    /// When it began, on the kernel's clock.
    pub began_ns: u64,
    /// Sockets of note.
    pub rows: Vec<SurveyRow>,
    /// Mini-sockets.
    pub minis: Vec<SurveyRow>,
}

/// What the chronicle asks of the kernel while something drains: the probe, or a recording of one.
pub trait Scene: Send + Sync {
    /// Looks at a network namespace, by cookie. Blocking.
    ///
    /// # Errors
    /// When it is gone or cannot be entered.
    fn look(&self, netns: u64) -> anyhow::Result<Look>;

    /// Every process of every instance. Blocking.
    fn processes(&self) -> Vec<(u32, ProcessEntry)>;

    /// The instance is steady, or gone.
    fn end_phase(&self, instance: Process);

    /// Looks for processes that belong to instances, and lets the programs know. Blocking.
    fn find_families(&self, instances: &[Process]);

    /// Records lost so far, of any kind.
    fn records_lost(&self) -> u64;
}

/// See the module.
#[derive(Debug)]
pub struct Chronicle<K> {
    accounts: Arc<Accounts<K>>,
    history: History,
    desk: Mutex<Desk>,
    attention: Notify,
    busy: AtomicBool,
}

#[derive(Debug)]
struct Desk {
    drains: Drains,
    correlator: Correlator,
    windows: Windows,
    recent: RecentCloses,
    rounds: Rounds,
    /// Rollouts that were counted as ended; one that is added to later is not counted again.
    counted: VecDeque<String>,
    /// Drains that run, as they stood at the last tick.
    running: Vec<Drain>,
    /// Ids of the running drains that were counted as begun.
    begun: HashSet<String>,
    families: VecDeque<(u64, Process)>,
}

// === impl Chronicle ===

impl<K: Kernel> Chronicle<K> {
    /// Opens the history and closes what a restart interrupted. Blocking.
    pub fn open(accounts: Arc<Accounts<K>>, config: &Config) -> Self {
        let now = now();
        let (history, interrupted) = History::open(&config.history, now);
        {
            let mut book = accounts.story();
            interrupted
                .drains
                .iter()
                .for_each(|drain| book.drain_ended(drain));
            interrupted
                .rollouts
                .iter()
                .for_each(|rollout| book.rollout_ended(rollout));
            let mut last = Vec::new();
            history.rollouts(&mut |rollout| {
                last.push(rollout);
                if last.len() < SHOWN_AGAIN {
                    ControlFlow::Continue(())
                } else {
                    ControlFlow::Break(())
                }
            });
            last.iter().for_each(|rollout| book.rollout_seen(rollout));
        }
        let nanos =
            |duration: std::time::Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let desk = Desk {
            drains: Drains::new(DrainOptions {
                settle_limit_ns: nanos(config.drains.settle_limit),
                stream_ports: config.drains.stream_ports.clone(),
            }),
            correlator: Correlator::new(CorrelatorOptions {
                window: config.rollouts.window,
                quiet: config.rollouts.quiet,
                ..CorrelatorOptions::default()
            }),
            windows: Windows::new(nanos(config.drains.baseline_window)),
            recent: RecentCloses::default(),
            rounds: Rounds::default(),
            counted: VecDeque::new(),
            running: Vec::new(),
            begun: HashSet::new(),
            families: VecDeque::new(),
        };
        Self {
            accounts,
            history,
            desk: Mutex::new(desk),
            attention: Notify::new(),
            busy: AtomicBool::new(false),
        }
    }

    /// Takes records, in their order.
    pub fn take(&self, records: &[Record]) {
        let now_ns = clock::monotonic_ns();
        let mut desk = self.desk();
        let Desk {
            drains,
            windows,
            families,
            recent,
            correlator,
            ..
        } = &mut *desk;
        let mut names = Names {
            accounts: &self.accounts,
            windows,
        };
        let mut urgent = false;
        for record in records.iter().filter(|record| !is_own_stop(record)) {
            if let Some((service, at_ns)) = late_in_steady_time(record) {
                correlator.late_close(&LateClose {
                    service: self.accounts.service(&service),
                    at: wall(at_ns),
                    idle_secs: None,
                });
            }
            match record {
                Record::Listener(listener) if listener.up == 1 => {
                    urgent = true;
                    due(
                        families,
                        Process {
                            start_ns: listener.start_ns,
                            tgid: listener.owner_tgid,
                            pad: 0,
                        },
                        now_ns,
                    );
                }
                Record::Exit(exit) => {
                    urgent = true;
                    // What it listened on may have been handed to others, who are known by nothing else.
                    let owner = exit.kinship == Kinship::Owner as u8;
                    if owner || drains.owner_gone(exit.instance) {
                        due(families, exit.instance, now_ns);
                    }
                }
                Record::Signal(_) => urgent = true,
                Record::Close(close) => recent.push(ClosedConnection::from(*close)),
                Record::Reset(reset) => recent.reset(reset),
                Record::Unread(unread) => recent.unread(unread),
                Record::Listener(_) => {}
            }
            drains.take(now_ns, DrainInput::Record(record), &mut names);
        }
        drop(desk);
        if urgent {
            self.busy.store(true, Ordering::Relaxed);
            self.attention.notify_one();
        }
    }

    /// Takes a survey of a network namespace that was made at leisure.
    pub fn surveyed(&self, netns: u64, began_ns: u64, rows: &[SurveyRow]) {
        let now_ns = clock::monotonic_ns();
        let mut desk = self.desk();
        let Desk {
            drains,
            windows,
            families,
            ..
        } = &mut *desk;
        for row in rows.iter().filter(|row| row.kind == survey_kind::LISTENER) {
            if !drains.knows(row.owner) {
                due(families, row.owner, now_ns);
            }
        }
        let mut names = Names {
            accounts: &self.accounts,
            windows,
        };
        let look = DrainInput::Look {
            netns,
            began_ns,
            rows,
            minis: None,
        };
        drains.take(now_ns, look, &mut names);
    }

    /// Takes a deploy event.
    pub fn event(&self, event: DeployEvent) {
        self.desk().correlator.event(event);
        self.attention.notify_one();
    }

    /// Notes what the services count, for the baselines. Blocking.
    pub fn sample(&self) {
        let view = self.accounts.view();
        let now_ns = clock::monotonic_ns();
        let mut desk = self.desk();
        let Desk {
            windows,
            rounds,
            correlator,
            ..
        } = &mut *desk;
        windows.look(now_ns, &view.series);
        rounds.tell(&view, now_ns, wall(now_ns), windows, correlator);
    }

    /// Whether something drains, so that records should be brought without delay.
    pub fn is_busy(&self) -> bool {
        self.busy.load(Ordering::Relaxed)
    }

    /// Resolves when something has happened that should be looked at while it lasts.
    pub async fn attention(&self) {
        self.attention.notified().await;
    }

    /// Does what is due: looks, judges, keeps. Blocking. Returns whether anything drains.
    pub fn work(&self, scene: &impl Scene) -> bool {
        self.find_families(scene);
        let wants = {
            let mut desk = self.desk();
            let lost = DrainInput::Lost {
                total: scene.records_lost(),
            };
            self.with_drains(&mut desk, |drains, names, now_ns| {
                drains.take(now_ns, lost, names);
                drains.tick(now_ns, names);
            });
            desk.drains.wants()
        };
        // The desk is free while the kernel is looked at: records go on coming.
        for want in wants {
            self.fulfil(want, scene);
        }
        self.conclude()
    }

    /// Writes down what is due. Blocking, for as long as the disk takes: nothing else may wait for it.
    pub fn write_down(&self) {
        self.history.tick(now());
    }

    /// Writes everything down, at the end: what began in the last moment too. Blocking.
    pub fn close(&self) {
        self.conclude();
        self.history.flush(now());
    }

    fn fulfil(&self, want: Want, scene: &impl Scene) {
        match want {
            Want::Look { netns } => {
                let looked = scene.look(netns);
                if let Err(error) = &looked {
                    tracing::debug!(
                        netns,
                        error = format!("{error:#}"),
                        "cannot look at a drain's sockets"
                    );
                }
                let mut desk = self.desk();
                self.with_drains(&mut desk, |drains, names, now_ns| {
                    let input = match &looked {
                        Ok(look) => DrainInput::Look {
                            netns,
                            began_ns: look.began_ns,
                            rows: &look.rows,
                            minis: Some(&look.minis),
                        },
                        Err(_) => DrainInput::LookFailed { netns },
                    };
                    drains.take(now_ns, input, names);
                });
            }
            Want::Processes => {
                let processes = scene.processes();
                let mut desk = self.desk();
                self.with_drains(&mut desk, |drains, names, now_ns| {
                    drains.take(now_ns, DrainInput::Processes(&processes), names);
                });
            }
            Want::EndPhase { instance } => scene.end_phase(instance),
        }
    }

    fn find_families(&self, scene: &impl Scene) {
        let now_ns = clock::monotonic_ns();
        let mut instances = Vec::new();
        {
            let mut desk = self.desk();
            desk.families.retain(|(due_ns, instance)| {
                let due = *due_ns <= now_ns;
                if due && !instances.contains(instance) {
                    instances.push(*instance);
                }
                !due
            });
        }
        if !instances.is_empty() {
            scene.find_families(&instances);
        }
    }

    fn with_drains(&self, desk: &mut Desk, act: impl FnOnce(&mut Drains, &mut Names<'_, K>, u64)) {
        let mut names = Names {
            accounts: &self.accounts,
            windows: &desk.windows,
        };
        act(&mut desk.drains, &mut names, clock::monotonic_ns());
    }

    /// A panic under the lock leaves facts that are still facts.
    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A signal for this very process. Its drain could not be told: finwatch is gone before it ends, and each start would
/// find a rollout of finwatch that nobody asked for, and no verdict in it.
fn is_own_stop(record: &Record) -> bool {
    matches!(record, Record::Signal(signal) if signal.instance.tgid == std::process::id())
}

fn due(families: &mut VecDeque<(u64, Process)>, instance: Process, now_ns: u64) {
    if instance.tgid != 0 && families.len() < FAMILIES_MAX {
        families.extend(FAMILY_LOOKS_NS.map(|later_ns| (now_ns + later_ns, instance)));
    }
}

fn now() -> Timestamp {
    wall(clock::monotonic_ns())
}
