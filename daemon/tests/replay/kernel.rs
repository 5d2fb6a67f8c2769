//! A recording in the kernel's place: readings, and the probe's figures about itself.

use std::sync::{Mutex, PoisonError};

use finwatch::{accounts::Kernel, accounts::ProbeFigures, probe::Losses, probe::ProgramStats};
use finwatch_common::{CELLS, Cell, CounterRow, Lost, Phase, ResetKey, Role, ServiceKey};
use finwatch_engine::input::Reading;

/// What the maps hold.
#[derive(Debug, Default)]
pub(crate) struct Recording {
    pub(crate) live: Reading,
    /// Whether reading fails.
    pub(crate) broken: bool,
}

/// Plays a recording.
#[derive(Debug)]
pub(crate) struct Replay(Mutex<Recording>);

impl Replay {
    pub(crate) fn new(recording: Recording) -> Self {
        Self(Mutex::new(recording))
    }
}

impl Kernel for Replay {
    fn live(&self) -> anyhow::Result<Reading> {
        let recording = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        anyhow::ensure!(!recording.broken, "the recording is broken");
        Ok(recording.live.clone())
    }

    fn row(&self, key: &ServiceKey) -> anyhow::Result<CounterRow> {
        let live = self.live()?;
        let row = live.rows.iter().find(|(of, _)| of == key);
        Ok(row.map_or([0; CELLS], |(_, row)| *row))
    }

    fn rotate(&self) -> anyhow::Result<Reading> {
        let mut recording = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(std::mem::take(&mut recording.live))
    }

    fn losses(&self) -> Losses {
        Losses::default()
    }

    fn figures(&self) -> ProbeFigures {
        ProbeFigures {
            programs: vec![ProgramStats {
                name: "tcp_send_reset",
                attached: true,
                runs: 12,
                run_time_ns: 3_000,
                recursion_misses: 0,
            }],
            ..ProbeFigures::default()
        }
    }

    fn reset_reason(&self, reason: u8) -> String {
        match reason {
            8 => "tcp_abort_on_data".to_owned(),
            other => format!("reason_{other}"),
        }
    }
}

pub(crate) fn service(program: &str, port: u16, role: Role) -> ServiceKey {
    let mut key = ServiceKey::other(role, Phase::Steady);
    key.cgroup = 4_711;
    key.netns = 1;
    key.port = port;
    key.comm[..program.len()].copy_from_slice(program.as_bytes());
    key
}

pub(crate) fn row(key: ServiceKey, cells: &[(Cell, u64)]) -> (ServiceKey, CounterRow) {
    let mut row = [0; CELLS];
    for (cell, count) in cells {
        row[cell.index()] = *count;
    }
    (key, row)
}

pub(crate) fn reset(service: ServiceKey, reason: u8, lost: Lost, count: u64) -> (ResetKey, u64) {
    let key = ResetKey {
        service,
        reason,
        lost: lost as u8,
        pad: [0; 6],
    };
    (key, count)
}
