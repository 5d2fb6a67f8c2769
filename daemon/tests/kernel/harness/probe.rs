//! The probe, loaded once for all tests of the process. A probe that does not load fails every test.

use std::sync::LazyLock;

use finwatch::probe::{
    LossCounters, Phases, Probe, ProbeOptions, Processes, ProgramStats, Ring, Rows, Stats, Survey,
};
use std::sync::Mutex;

/// The loaded programs, and a reader of their counters.
pub(crate) struct Shared {
    probe: Mutex<Handles>,
    counters: Rows,
}

/// The probe without its counters.
pub(crate) struct Handles {
    pub(crate) ring: Ring,
    pub(crate) survey: Survey,
    pub(crate) processes: Processes,
    pub(crate) phases: Phases,
    pub(crate) losses: LossCounters,
    stats: Stats,
}

/// What the tests load the programs with.
pub(crate) const OPTIONS: ProbeOptions = ProbeOptions {
    ring_bytes: 1 << 22,
    // Each test has a namespace of its own, and so rows of its own, which nobody takes back.
    max_rows: Some(1 << 14),
    tell_refused: false,
    log: false,
};

impl Shared {
    /// The counters.
    pub(crate) fn counters(&self) -> &Rows {
        &self.counters
    }

    /// Runs `body` with the probe itself.
    pub(crate) fn with<R>(&self, body: impl FnOnce(&mut Handles) -> R) -> R {
        // A test that failed with the lock held has broken nothing of the probe.
        let mut probe = self.probe.lock().unwrap_or_else(|e| e.into_inner());
        body(&mut probe)
    }

    /// Every program's figures.
    pub(crate) fn program_stats(&self) -> Vec<ProgramStats> {
        self.with(|probe| probe.stats.programs())
    }
}

/// The probe of this process.
///
/// # Panics
/// In every test, when the programs did not load.
pub(crate) fn shared() -> &'static Shared {
    static SHARED: LazyLock<Result<Shared, String>> = LazyLock::new(|| {
        let Probe {
            rows,
            ring,
            survey,
            processes,
            phases,
            stats,
            losses,
            reasons: _,
            closes: _,
            ports: _,
            listeners: _,
            unseeded: _,
        } = Probe::load(&OPTIONS).map_err(|e| chain(&e))?;
        let handles = Handles {
            ring,
            survey,
            processes,
            phases,
            losses,
            stats,
        };
        Ok(Shared {
            probe: Mutex::new(handles),
            counters: rows,
        })
    });
    match &*SHARED {
        Ok(shared) => shared,
        Err(error) => panic!("the programs did not load, so nothing can be tested: {error}"),
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
