//! The books: the ledger and the gauges' models, kept together with the readings of the kernel's maps under one
//! lock, so that what is shown, rotated and retired is always of one instant. It knows neither HTTP nor tasks.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use finwatch_common::{
    Cell, CounterRow, ListenerRecord, PHASES, Role, ServiceKey, SurveyRow, survey_kind,
};

use crate::{
    attribution::{Attribution, AttributionStats},
    clock,
    deploy::{Outcome, Tallies},
    probe::{Losses, MapStats, ProgramStats},
};
use finwatch_engine::{
    input::Reading,
    model::{Service, Source, StoryBook, StoryFigures},
    services::{Gauges, Ledger, Limits, SeriesLabels, Surveys, TimeWaits, View},
};

/// What the books ask of the kernel: the probe, or a recording of one.
pub trait Kernel: Send + Sync + 'static {
    /// Every live row. Blocking.
    ///
    /// # Errors
    /// When a map cannot be read.
    fn live(&self) -> anyhow::Result<Reading>;

    /// What the live row of one service in its phase holds, ambiguous cells as they are; zeros where there is none.
    /// Blocking.
    ///
    /// # Errors
    /// When a map cannot be read.
    fn row(&self, key: &ServiceKey) -> anyhow::Result<CounterRow>;

    /// Empties the rows and returns what they held. Blocking.
    ///
    /// # Errors
    /// When a map cannot be read or emptied.
    fn rotate(&self) -> anyhow::Result<Reading>;

    /// What was lost so far. Blocking.
    fn losses(&self) -> Losses;

    /// The probe's figures about itself. Blocking.
    fn figures(&self) -> ProbeFigures;

    /// Name in snake_case of a reset reason.
    fn reset_reason(&self, reason: u8) -> String;
}

/// The probe about itself.
#[derive(Debug, Default, Clone)]
pub struct ProbeFigures {
    /// Every program's figures.
    pub programs: Vec<ProgramStats>,
    /// Every table's fill.
    pub maps: Vec<MapStats>,
    /// What was lost.
    pub losses: Losses,
}

/// Records taken from the ring buffer, by kind.
#[derive(Debug, Default)]
pub struct RecordTallies {
    /// Ends of connections.
    pub closes: AtomicU64,
    /// RSTs sent.
    pub resets: AtomicU64,
    /// Listeners that came or went.
    pub listeners: AtomicU64,
    /// Signals to processes of services.
    pub signals: AtomicU64,
    /// Ends of such processes.
    pub exits: AtomicU64,
    /// What programs never read of connections that had ended.
    pub unread: AtomicU64,
}

/// Everything that one scrape shows.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// Services; empty when the maps could not be read.
    pub view: View,
    /// Names of the reset reasons that occur.
    pub reset_reasons: BTreeMap<u8, String>,
    /// The probe about itself.
    pub probe: ProbeFigures,
    /// Attribution about itself.
    pub attribution: AttributionStats,
    /// Records taken: closes, resets, listeners, signals, exits, unread.
    pub records: [u64; 6],
    /// Readings of the maps that failed.
    pub failed_readings: u64,
    /// Network namespaces seen by the last survey, and those that could not be entered.
    pub namespaces: Namespaces,
    /// Drains and rollouts.
    pub story: StoryFigures,
    /// Deploy events that were sent, by source and result; zeroes included.
    pub deploy_events: Vec<(Source, Outcome, u64)>,
}

/// What the last look at the network namespaces found.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Namespaces {
    /// Those surveyed.
    pub surveyed: u64,
    /// Those that could not be entered.
    pub refused: u64,
}

/// The books of one daemon.
#[derive(Debug)]
pub struct Accounts<K> {
    kernel: K,
    books: Mutex<Books>,
    /// Apart from the books: the story is told while the kernel's maps are read.
    story: Mutex<StoryBook>,
    deploys: OnceLock<Arc<Tallies>>,
    failed_readings: AtomicU64,
    /// Records taken from the ring buffer.
    pub records: RecordTallies,
}

#[derive(Debug)]
struct Books {
    ledger: Ledger,
    attribution: Attribution,
    surveys: Surveys,
    time_waits: TimeWaits,
    namespaces: Namespaces,
    listener_records_lost: u64,
}

// === impl Accounts ===

impl<K: Kernel> Accounts<K> {
    /// Empty books.
    pub fn new(kernel: K, limits: Limits, attribution: Attribution) -> Self {
        Self {
            kernel,
            books: Mutex::new(Books {
                ledger: Ledger::new(limits),
                attribution,
                surveys: Surveys::default(),
                time_waits: TimeWaits::default(),
                namespaces: Namespaces::default(),
                listener_records_lost: 0,
            }),
            story: Mutex::new(StoryBook::default()),
            deploys: OnceLock::new(),
            failed_readings: AtomicU64::new(0),
            records: RecordTallies::default(),
        }
    }

    /// Everything that is shown now. A failed reading is logged and counted, and leaves the services out: a
    /// gap in a graph tells the truth, a repeated value would not. Blocking.
    pub fn snapshot(&self) -> Snapshot {
        let (view, attribution, namespaces) = {
            let mut books = self.lock();
            let view = match self.kernel.live() {
                Ok(live) => books.view(&live),
                Err(error) => {
                    self.reading_failed(&error);
                    View::default()
                }
            };
            (view, books.attribution.stats(), books.namespaces)
        };
        let reasons = view.series.iter().flat_map(|series| series.resets.keys());
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Snapshot {
            reset_reasons: reasons
                .map(|reset| reset.reason)
                .collect::<std::collections::BTreeSet<_>>()
                .into_iter()
                .map(|reason| (reason, self.kernel.reset_reason(reason)))
                .collect(),
            view,
            probe: self.kernel.figures(),
            attribution,
            records: [
                load(&self.records.closes),
                load(&self.records.resets),
                load(&self.records.listeners),
                load(&self.records.signals),
                load(&self.records.exits),
                load(&self.records.unread),
            ],
            failed_readings: load(&self.failed_readings),
            namespaces,
            story: self.story().figures().clone(),
            deploy_events: match self.deploys.get() {
                Some(tallies) => tallies.each().collect(),
                None => Tallies::default().each().collect(),
            },
        }
    }

    /// Where the story is told to: how drains and rollouts ended.
    pub fn story(&self) -> MutexGuard<'_, StoryBook> {
        self.story.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says where deploy events are counted; before, every such counter is zero. Only the first call counts.
    pub fn deploys_are_counted_in(&self, tallies: Arc<Tallies>) {
        let _set_already = self.deploys.set(tallies);
    }

    /// The series that a service belongs to by its owner.
    pub fn labels(&self, key: &ServiceKey) -> SeriesLabels {
        SeriesLabels {
            workload: self.lock().attribution.workload(key),
            port: key.port,
            role: key.role().unwrap_or(Role::Server),
        }
    }

    /// Whose a service is, as the story tells it.
    pub fn service(&self, key: &ServiceKey) -> Service {
        let SeriesLabels { workload, port, .. } = self.labels(key);
        Service {
            workload_namespace: workload.namespace,
            workload_kind: workload.kind.as_str().to_owned(),
            workload: workload.name,
            port,
        }
    }

    /// SYNs refused so far on a service's port, by [`finwatch_common::Phase`]. Blocking; 0 when the maps cannot be read.
    pub fn refused(&self, key: &ServiceKey) -> [u64; PHASES] {
        let labels = self.labels(key);
        let books = self.lock();
        let row = |key: &ServiceKey| self.kernel.row(key);
        books
            .ledger
            .counted(key, &labels, Cell::REFUSED, row)
            .unwrap_or_else(|error| {
                self.reading_failed(&error);
                [0; PHASES]
            })
    }

    /// Name in snake_case of a reset reason.
    pub fn reset_reason(&self, reason: u8) -> String {
        self.kernel.reset_reason(reason)
    }

    /// Every service now; empty when the maps cannot be read. Blocking.
    pub fn view(&self) -> View {
        let mut books = self.lock();
        match self.kernel.live() {
            Ok(live) => books.view(&live),
            Err(error) => {
                self.reading_failed(&error);
                View::default()
            }
        }
    }

    /// Takes in new cgroups, while their names can still be told. Blocking.
    pub fn refresh(&self) {
        self.lock().attribution.refresh();
    }

    /// Takes over what the kernel's rows hold and retires what is long gone. Blocking.
    ///
    /// # Errors
    /// When the rows could not be taken over: their counts may be lost, and going on would show wrong numbers.
    pub fn rotate(&self) -> anyhow::Result<()> {
        let mut books = self.lock();
        let rotated = self.kernel.rotate()?;
        books.rotated(&rotated);
        Ok(())
    }

    /// Takes listeners' coming and going, in their order. Blocking.
    pub fn listeners(&self, records: &[ListenerRecord]) {
        let lost = self.kernel.losses().ring_full[2];
        let mut books = self.lock();
        let Books {
            ledger,
            attribution,
            listener_records_lost,
            ..
        } = &mut *books;
        if lost != *listener_records_lost {
            *listener_records_lost = lost;
            ledger.forget_listeners();
        }
        for record in records {
            ledger.listener(record, |key| attribution.workload(key));
        }
    }

    /// Takes the survey of one network namespace, and the kernel's number of its mini-sockets. Returns whether
    /// these want a survey of their own.
    pub fn surveyed(&self, netns: u64, rows: &[SurveyRow], mini_sockets: Option<u64>) -> bool {
        let now_ns = clock::monotonic_ns();
        let mut books = self.lock();
        let Books {
            ledger,
            attribution,
            surveys,
            time_waits,
            ..
        } = &mut *books;
        for row in rows.iter().filter(|row| row.kind == survey_kind::LISTENER) {
            ledger.listener_seen(&row.service, row.cookie, now_ns, |key| {
                attribution.workload(key)
            });
        }
        surveys.replace(netns, rows);
        if let Some(count) = mini_sockets {
            time_waits.actual(netns, count);
        }
        time_waits.wants_survey(netns, now_ns)
    }

    /// Takes a survey of one network namespace's mini-sockets.
    pub fn mini_sockets_surveyed(&self, netns: u64, rows: &[SurveyRow]) {
        let now_ns = clock::monotonic_ns();
        self.lock().time_waits.surveyed(netns, rows, now_ns);
    }

    /// Takes which network namespaces (by cookie) are there, and how many could not be entered.
    pub fn namespaces(&self, alive: &[u64], refused: u64) {
        let mut books = self.lock();
        books.surveys.retain(|netns| alive.contains(&netns));
        books.time_waits.retain(|netns| alive.contains(&netns));
        books.namespaces = Namespaces {
            surveyed: alive.len() as u64,
            refused,
        };
    }

    fn reading_failed(&self, error: &anyhow::Error) {
        self.failed_readings.fetch_add(1, Ordering::Relaxed);
        tracing::error!(error = format!("{error:#}"), "cannot read the counters");
    }

    /// A panic under the lock leaves sums that are still sums: no step in there can be half done in a way
    /// that a later one would make worse.
    fn lock(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Books ===

impl Books {
    fn view(&mut self, live: &Reading) -> View {
        let now_ns = clock::monotonic_ns();
        let Self {
            ledger,
            attribution,
            surveys,
            time_waits,
            ..
        } = self;
        time_waits.observe(live, now_ns);
        let surveyed = surveys.iter().map(|(key, surveyed)| {
            let gauges = Gauges {
                surveyed,
                ..Gauges::default()
            };
            (key, gauges)
        });
        let mini_sockets = time_waits.iter(now_ns).map(|(key, mini_sockets)| {
            let gauges = Gauges {
                mini_sockets,
                ..Gauges::default()
            };
            (key, gauges)
        });
        ledger.view(live, surveyed.chain(mini_sockets), now_ns, |key| {
            attribution.workload(key)
        })
    }

    fn rotated(&mut self, rotated: &Reading) {
        let now_ns = clock::monotonic_ns();
        let attribution = &mut self.attribution;
        self.ledger
            .absorb(rotated, now_ns, |key| attribution.workload(key));
        self.ledger.retire(now_ns);
        self.time_waits.rotated(rotated, now_ns);
    }
}

#[cfg(test)]
#[path = "accounts_tests.rs"]
mod tests;
