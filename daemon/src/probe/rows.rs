//! Reads the counter rows, and takes back those that nobody needs. There is one reader: who says what has been taken of the rows
//! is who reads them.

use std::{
    collections::{HashMap, HashSet},
    thread,
    time::Duration,
};

use anyhow::Context as _;
use aya::{
    Ebpf,
    maps::{self, MapData, MapError, PerCpuHashMap, PerCpuValues, Queue},
};
use finwatch_common::{
    CELLS, Cell, CounterRow, Lost, OTHER_ROWS, PHASES, Phase, ResetKey, ResetRow, Role, RowHead,
    RowId, ServiceKey, first_row_id, next_row_id, other_row, row_index,
};
use finwatch_engine::input::Reading;

use super::{ProbeError, batch::Batch, object::map, row_table::RowTable};
use crate::clock;

/// Keys of the wire contract, for the library.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub(super) struct Plain<T: Copy + 'static>(pub(super) T);

// SAFETY: the types of the contract are plain old data without padding (see `finwatch_common::Wire`).
unsafe impl<T: finwatch_common::Wire> aya::Pod for Plain<T> {}

/// How long an RST may take to follow the transition it settles. Both happen in one softirq.
const SETTLE: Duration = Duration::from_millis(1);

/// Cells that a cell of [`AMBIGUOUS`] is settled by; read again after [`SETTLE`].
const AMBIGUOUS: [(Cell, Cell); 3] = [
    (Cell::AMBIGUOUS_FW1, Cell::AMBIGUOUS_FW1_SENT),
    (Cell::AMBIGUOUS_FW2, Cell::AMBIGUOUS_FW2_SENT),
    (Cell::NO_MINI_SOCKET, Cell::NO_MINI_SOCKET_SENT),
];

/// The counter rows, as the programs write them.
pub struct Rows {
    table: RowTable,
    index: maps::HashMap<MapData, Plain<ServiceKey>, RowId>,
    free: Queue<MapData, RowId>,
    resets: PerCpuHashMap<MapData, Plain<ResetRow>, u64>,
    all_resets: Batch,
    /// What rotations took of each row: its cells only grow.
    taken: Vec<Option<Box<CounterRow>>>,
    resets_taken: HashMap<ResetRow, u64>,
    /// Rows that are held, and that nobody finds any more: their services have others.
    unfound: HashSet<usize>,
}

/// Rows by index, with their heads.
type Heads = Vec<(usize, RowHead)>;

// === impl Rows ===

impl Rows {
    /// Takes the maps over, makes the rows that a full table falls back to, and gives the others to the programs. `rows` as the
    /// maps have them, on each of so many CPUs.
    pub(super) fn new(ebpf: &mut Ebpf, rows: u32, cpus: usize) -> Result<Self, ProbeError> {
        let mut all = Self {
            table: RowTable::new(ebpf, rows as usize, cpus)?,
            index: map(ebpf, "INDEX")?,
            free: map(ebpf, "FREE")?,
            all_resets: Batch::new(ebpf, "RESETS")?,
            resets: map(ebpf, "RESETS")?,
            taken: (0..rows).map(|_| None).collect(),
            resets_taken: HashMap::new(),
            unfound: HashSet::new(),
        };
        all.make_other_rows()
            .and_then(|()| (OTHER_ROWS..rows).try_for_each(|row| all.give(first_row_id(row))))
            .map_err(|error| ProbeError::Counters(error.into()))?;
        Ok(all)
    }

    /// Sums the CPUs of every row. Ambiguous cells are settled so that the peer is never charged with
    /// more resets than it sent: a reset that ends FIN_WAIT is told to be the peer's by the absence of one of ours, and the
    /// cell that counts ours is read a moment later than the other. Blocking.
    ///
    /// # Errors
    /// When a map cannot be read.
    pub fn live(&self) -> anyhow::Result<Reading> {
        let read_ns = clock::monotonic_ns();
        let mut rows = Vec::new();
        let mut unsettled = Vec::new();
        for (row, head) in self.table.used() {
            let sum = self.untaken(row);
            if is_unsettled(&sum) {
                unsettled.push((rows.len(), row));
            }
            rows.push((head.service, sum));
        }
        if !unsettled.is_empty() {
            thread::sleep(SETTLE);
            for (at, row) in unsettled {
                let later = self.untaken(row);
                for (_, sent) in AMBIGUOUS {
                    rows[at].1[sent.index()] = later[sent.index()];
                }
            }
        }
        let mut resets = Vec::new();
        for (key, count) in self.resets_now()? {
            let taken = self.resets_taken.get(&key).copied().unwrap_or(0);
            resets.extend(self.reset_key(key).map(|key| (key, count - taken)));
        }
        Ok(reading(read_ns, rows, resets))
    }

    /// Sums the CPUs of the rows of some services, in every phase, ambiguous cells as they are; services without a row are
    /// left out.
    pub fn some(&self, services: &[ServiceKey]) -> Reading {
        let read_ns = clock::monotonic_ns();
        let wanted = |key: &ServiceKey| {
            let steady = |key: &ServiceKey| key.in_phase(Phase::Steady);
            services.iter().any(|known| steady(known) == steady(key))
        };
        let rows = self.table.used().filter(|(_, head)| wanted(&head.service));
        let rows = rows.map(|(row, head)| (head.service, self.untaken(row)));
        reading(read_ns, rows.collect(), Vec::new())
    }

    /// Takes what the rows hold: it is not in later readings any more. Rows that nobody holds, and in which nothing was counted
    /// since they were last taken (or which are few by now), are given to other services. Exact: nothing is lost or counted twice. Blocking, some
    /// milliseconds.
    ///
    /// # Errors
    /// When a map cannot be read or written.
    pub fn rotate(&mut self) -> anyhow::Result<Reading> {
        let read_ns = clock::monotonic_ns();
        let used: Heads = self.table.used().collect();
        let scarce = 2 * used.len() > self.table.rows();
        let mut idle = Vec::new();
        let mut rows = Vec::new();
        for (row, head) in used {
            let sum = self.table.sum(row);
            if !self.table.is(row, &head) {
                // A program gave it back, as another was quicker to make one for the service.
                continue;
            }
            let sum = self.take(row, sum);
            let is_idle = scarce || sum == [0; CELLS];
            if is_idle && self.table.held(row) == 0 && row >= OTHER_ROWS as usize {
                idle.push((row, head));
            }
            rows.push((head.service, sum));
        }
        let mut resets = Vec::new();
        for (key, count) in self.resets_now()? {
            let taken = self.resets_taken.insert(key, count).unwrap_or(0);
            resets.extend(self.reset_key(key).map(|key| (key, count - taken)));
        }
        self.take_back(idle, &mut rows, &mut resets)?;
        Ok(reading(read_ns, rows, resets))
    }

    /// Whose rows are, and how many sockets may still count in each.
    pub fn holders(&self) -> Vec<(ServiceKey, u64)> {
        let used = self.table.used();
        used.map(|(row, head)| (head.service, self.table.held(row)))
            .collect()
    }

    /// Rows in use: services, resets.
    pub(super) fn fill(&self) -> (u64, u64) {
        let resets = self.resets_now().map_or(0, |resets| resets.len());
        (self.table.used().count() as u64, resets as u64)
    }

    /// Makes these rows other services' own: first nobody finds them by name any more, then nobody who kept their ids takes them for
    /// his, and each time the programs that run are waited for. Who came in between keeps his. What was counted meanwhile is added.
    fn take_back(
        &mut self,
        idle: Heads,
        rows: &mut Vec<(ServiceKey, CounterRow)>,
        resets: &mut Vec<(ResetKey, u64)>,
    ) -> anyhow::Result<()> {
        if idle.is_empty() {
            return Ok(());
        }
        let mut lost: Heads = Vec::new();
        for (row, head) in idle {
            let found = self.index.get(&Plain(head.service), 0);
            if found.is_ok_and(|found| found == head.id) {
                gone(self.index.remove(&Plain(head.service)))?;
                lost.push((row, head));
            } else if self.unfound.contains(&row) {
                lost.push((row, head));
            }
            // Else a program gives it back this instant, as another was quicker to make a row for the service.
        }
        wait_for_programs();
        let (idle, taken) = self.unheld(lost);
        for (row, head) in taken {
            self.find_again(row, &head)?;
        }
        for (row, head) in &idle {
            self.table.write_head(*row, &RowHead { id: 0, ..*head });
        }
        wait_for_programs();
        let (idle, taken) = self.unheld(idle);
        for (row, head) in taken {
            self.table.write_head(row, &head);
            self.find_again(row, &head)?;
        }
        let mut last: HashMap<u32, Vec<(ResetRow, u64)>> = HashMap::new();
        for (key, count) in self.resets_now()? {
            last.entry(key.row).or_default().push((key, count));
        }
        for (row, head) in idle {
            let sum = self.table.sum(row);
            rows.push((head.service, self.take(row, sum)));
            for (key, count) in last.remove(&row_index(head.id)).unwrap_or_default() {
                let taken = self.resets_taken.remove(&key).unwrap_or(0);
                resets.push((key_of(key, head.service), count - taken));
                gone(self.resets.remove(&Plain(key)))?;
            }
            self.table.clear(row);
            self.taken[row] = None;
            self.unfound.remove(&row);
            self.give(next_row_id(head.id))?;
        }
        Ok(())
    }

    /// Those that nobody holds, and the others.
    fn unheld(&self, rows: Heads) -> (Heads, Heads) {
        rows.into_iter()
            .partition(|(row, _)| self.table.held(*row) == 0)
    }

    /// Somebody came to hold it: others may find it again, if the service has no other row by now.
    fn find_again(&mut self, row: usize, head: &RowHead) -> anyhow::Result<()> {
        const NOEXIST: u64 = 1;
        self.unfound.remove(&row);
        match self.index.insert(Plain(head.service), head.id, NOEXIST) {
            Err(MapError::SyscallError(error))
                if error.io_error.kind() == std::io::ErrorKind::AlreadyExists =>
            {
                self.unfound.insert(row);
                Ok(())
            }
            put => put.context("cannot keep a counter row"),
        }
    }

    fn give(&mut self, id: RowId) -> anyhow::Result<()> {
        self.free
            .push(id, 0)
            .context("cannot give a counter row to the programs")
    }

    fn make_other_rows(&mut self) -> anyhow::Result<()> {
        for role in [Role::Server, Role::Client] {
            for phase in 0..PHASES {
                let phase = u8::try_from(phase).ok().and_then(Phase::from_u8);
                let Some(phase) = phase else { continue };
                let service = ServiceKey::other(role, phase);
                let id = other_row(role as u8, phase as u8);
                let head = RowHead {
                    service,
                    netns_inum: 0,
                    id,
                };
                self.table.write_head(row_index(id) as usize, &head);
                self.index
                    .insert(Plain(service), id, 0)
                    .context("cannot make the row of all other services")?;
                for lost in [Lost::Nothing, Lost::Goodbye, Lost::Data] {
                    let key = ResetRow {
                        row: row_index(id),
                        reason: 0,
                        lost: lost as u8,
                        pad: 0,
                    };
                    let cpus = aya::util::nr_cpus().map_err(|(path, error)| {
                        anyhow::Error::new(error).context(format!("cannot read {path}"))
                    })?;
                    let zeros = PerCpuValues::try_from(vec![0u64; cpus])?;
                    self.resets
                        .insert(Plain(key), zeros, 0)
                        .context("cannot make the row of all other resets")?;
                }
            }
        }
        Ok(())
    }

    /// What it holds that no rotation took.
    fn untaken(&self, row: usize) -> CounterRow {
        let sum = self.table.sum(row);
        match &self.taken[row] {
            Some(taken) => less(&sum, taken),
            None => sum,
        }
    }

    fn take(&mut self, row: usize, sum: CounterRow) -> CounterRow {
        let taken = self.taken[row].get_or_insert_with(|| Box::new([0; CELLS]));
        let new = less(&sum, taken);
        **taken = sum;
        new
    }

    fn resets_now(&self) -> anyhow::Result<Vec<(ResetRow, u64)>> {
        self.all_resets
            .sums()
            .context("cannot read the rows of resets")
    }

    fn reset_key(&self, key: ResetRow) -> Option<ResetKey> {
        Some(key_of(key, self.table.head(key.row as usize)?.service))
    }
}

const fn key_of(key: ResetRow, service: ServiceKey) -> ResetKey {
    ResetKey {
        service,
        reason: key.reason,
        lost: key.lost,
        pad: [0; 6],
    }
}

fn less(sum: &CounterRow, taken: &CounterRow) -> CounterRow {
    std::array::from_fn(|at| sum[at].saturating_sub(taken[at]))
}

/// Rows in which nothing was counted are left out; a service may have two, of which one is on its way out.
fn reading(
    read_ns: u64,
    rows: Vec<(ServiceKey, CounterRow)>,
    resets: Vec<(ResetKey, u64)>,
) -> Reading {
    let mut all = Reading {
        read_ns,
        ..Reading::default()
    };
    let mut at: HashMap<ServiceKey, usize> = HashMap::new();
    for (key, row) in rows {
        if row == [0; CELLS] {
            continue;
        }
        let at = *at.entry(key).or_insert(all.rows.len());
        if at == all.rows.len() {
            all.rows.push((key, row));
        } else {
            let sums = all.rows[at].1.iter_mut().zip(row);
            sums.for_each(|(sum, cell)| *sum += cell);
        }
    }
    let mut sums: HashMap<ResetKey, u64> = HashMap::new();
    for (key, count) in resets {
        if count != 0 {
            *sums.entry(key).or_default() += count;
        }
    }
    all.resets = sums.into_iter().collect();
    all
}

fn is_unsettled(row: &CounterRow) -> bool {
    AMBIGUOUS
        .iter()
        .any(|(cell, sent)| row[cell.index()] > row[sent.index()])
}

fn gone(removed: Result<(), MapError>) -> anyhow::Result<()> {
    match removed {
        Ok(()) | Err(MapError::KeyNotFound) => Ok(()),
        Err(error) => Err(error).context("cannot free a counter row"),
    }
}

/// Waits for every program that runs now: they run in RCU read-side sections.
fn wait_for_programs() {
    const MEMBARRIER_CMD_GLOBAL: libc::c_int = 1;
    // SAFETY: the call takes numbers only. Where it is refused (nohz_full), the sleep below is longer
    // than any program runs.
    let refused = unsafe { libc::syscall(libc::SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) } != 0;
    let grace = if refused { 50 } else { 1 };
    thread::sleep(Duration::from_millis(grace));
}
