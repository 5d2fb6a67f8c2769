//! A recording in the kernel's place: readings, and the probe's figures about itself.

use std::{
    os::fd::BorrowedFd,
    sync::mpsc::{self, Receiver, SyncSender},
};

use finwatch::{
    lifecycle::{RowSource, SurveySource},
    metrics::ProbeFigures,
    probe::ProgramStats,
};
use finwatch_common::{
    CELLS, Cell, CounterRow, Lost, Phase, ResetKey, Role, ServiceKey, SurveyRow,
};
use finwatch_engine::{Reasons, input::Reading};

/// What the maps hold.
#[derive(Debug, Default)]
pub(crate) struct Recording {
    pub(crate) live: Reading,
    /// Whether reading fails.
    pub(crate) broken: bool,
}

impl RowSource for Recording {
    fn live(&self) -> anyhow::Result<Reading> {
        anyhow::ensure!(!self.broken, "the recording is broken");
        Ok(self.live.clone())
    }

    fn some(&self, services: &[ServiceKey]) -> anyhow::Result<Reading> {
        let mut some = self.live()?;
        some.rows
            .retain(|(key, _)| services.contains(&key.in_phase(Phase::Steady)));
        some.resets.clear();
        Ok(some)
    }

    fn rotate(&mut self) -> anyhow::Result<Reading> {
        Ok(std::mem::take(&mut self.live))
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
}

/// Namespaces without sockets.
#[derive(Default)]
pub(crate) struct Sockets {
    walk: Option<Walk>,
}

/// A walk that goes on until it is let go.
struct Walk {
    begun: SyncSender<()>,
    end: Receiver<()>,
}

impl Sockets {
    /// Whose walk through the first namespace says that it has begun, and ends when it is told to, or nobody is there any
    /// more who could.
    pub(crate) fn slow() -> (Self, Receiver<()>, SyncSender<()>) {
        let (begun, has_begun) = mpsc::sync_channel(1);
        let (let_go, end) = mpsc::sync_channel(1);
        let walk = Some(Walk { begun, end });
        (Self { walk }, has_begun, let_go)
    }
}

impl SurveySource for Sockets {
    fn sockets(&mut self, _netns: BorrowedFd<'_>) -> anyhow::Result<Vec<SurveyRow>> {
        if let Some(Walk { begun, end }) = self.walk.take() {
            begun.send(())?;
            let _over = end.recv();
        }
        Ok(Vec::new())
    }

    fn mini_sockets(&mut self, _netns: BorrowedFd<'_>) -> anyhow::Result<Vec<SurveyRow>> {
        Ok(Vec::new())
    }
}

/// The names of reset reasons in recordings.
pub(crate) fn reasons() -> Reasons {
    Reasons::new([(8, "tcp_abort_on_data".to_owned())])
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
