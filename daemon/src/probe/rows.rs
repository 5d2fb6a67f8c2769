//! Reads the counter maps: two generations of rows, of which the programs write one. There is one reader: who empties them
//! is who reads them.

use std::{collections::HashMap, thread, time::Duration};

use anyhow::Context as _;
use aya::maps::{Array, MapData, MapError, PerCpuHashMap, PerCpuValues};
use finwatch_common::{CELLS, Cell, CounterRow, Lost, PHASES, Phase, ResetKey, Role, ServiceKey};
use finwatch_engine::input::Reading;

use crate::clock;

/// Keys of the wire contract, for the library.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub(super) struct Plain<T: Copy + 'static>(pub(super) T);

// SAFETY: the types of the contract are plain old data without padding (see `finwatch_common::Wire`).
unsafe impl<T: finwatch_common::Wire> aya::Pod for Plain<T> {}

type RowMap = PerCpuHashMap<MapData, Plain<ServiceKey>, CounterRow>;
type ResetMap = PerCpuHashMap<MapData, Plain<ResetKey>, u64>;

/// How long an RST may take to follow the transition it settles. Both happen in one softirq.
const SETTLE: Duration = Duration::from_millis(1);

/// Cells that a cell of [`AMBIGUOUS`] is settled by; read again after [`SETTLE`].
const AMBIGUOUS: [(Cell, Cell); 3] = [
    (Cell::AMBIGUOUS_FW1, Cell::AMBIGUOUS_FW1_SENT),
    (Cell::AMBIGUOUS_FW2, Cell::AMBIGUOUS_FW2_SENT),
    (Cell::NO_MINI_SOCKET, Cell::NO_MINI_SOCKET_SENT),
];

/// A [`Reading`] while it is summed up. The rows are large: they stay where the reading has them, and only their places
/// are looked up.
#[derive(Default)]
struct Sums {
    rows: Vec<(ServiceKey, CounterRow)>,
    at: HashMap<ServiceKey, usize>,
    resets: HashMap<ResetKey, u64>,
}

impl Sums {
    fn into_reading(self, read_ns: u64) -> Reading {
        Reading {
            read_ns,
            rows: self.rows,
            resets: self.resets.into_iter().collect(),
        }
    }
}

/// The maps of one generation.
struct Generation {
    rows: RowMap,
    resets: ResetMap,
}

/// The counter maps.
pub struct Rows {
    generations: [Generation; 2],
    written: Array<MapData, u32>,
    cpus: usize,
}

// === impl Rows ===

impl Rows {
    /// Takes the maps over and makes the rows that a full map falls back to.
    pub(super) fn new(
        even: (RowMap, ResetMap),
        odd: (RowMap, ResetMap),
        written: Array<MapData, u32>,
    ) -> anyhow::Result<Self> {
        let cpus = aya::util::nr_cpus().map_err(|(path, error)| {
            anyhow::Error::new(error).context(format!("cannot read {path}"))
        })?;
        let generation = |(rows, resets)| {
            let mut generation = Generation { rows, resets };
            generation.make_other_rows(cpus)?;
            Ok::<_, anyhow::Error>(generation)
        };
        Ok(Self {
            generations: [generation(even)?, generation(odd)?],
            written,
            cpus,
        })
    }

    /// Sums the CPUs of every row of both generations. Ambiguous cells are settled so that the peer is never charged with
    /// more resets than it sent: a reset that ends FIN_WAIT is told to be the peer's by the absence of one of ours, and the
    /// cell that counts ours is read a moment later than the other. Blocking.
    ///
    /// # Errors
    /// When a map cannot be read.
    pub fn live(&self) -> anyhow::Result<Reading> {
        let read_ns = clock::monotonic_ns();
        let mut sums = Sums::default();
        for generation in &self.generations {
            generation.read_into(&mut sums)?;
        }
        if sums.rows.iter().any(|(_, row)| is_unsettled(row)) {
            thread::sleep(SETTLE);
            for (key, row) in sums.rows.iter_mut().filter(|(_, row)| is_unsettled(row)) {
                self.settle(*key, row)?;
            }
        }
        Ok(sums.into_reading(read_ns))
    }

    /// Sums the CPUs of the rows of some services, in every phase, ambiguous cells as they are; services without a row are
    /// left out. Blocking: some microseconds a service.
    ///
    /// # Errors
    /// When a map cannot be read.
    pub fn some(&self, services: &[ServiceKey]) -> anyhow::Result<Reading> {
        let read_ns = clock::monotonic_ns();
        let mut rows = Vec::new();
        for service in services {
            for phase in [Phase::Steady, Phase::Draining, Phase::Reloading] {
                let key = service.in_phase(phase);
                if let Some(row) = self.row(&key)? {
                    rows.push((key, row));
                }
            }
        }
        Ok(Reading {
            read_ns,
            rows,
            resets: Vec::new(),
        })
    }

    /// Lets the programs count in the other generation of the maps, waits until none still writes to this one, empties it
    /// and returns what it held: exact, nothing is lost or counted twice. Blocking, some milliseconds.
    ///
    /// # Errors
    /// When a map cannot be read or emptied.
    pub fn rotate(&mut self) -> anyhow::Result<Reading> {
        let read_ns = clock::monotonic_ns();
        let old = self
            .written
            .get(&0, 0)
            .context("cannot read the generation")?;
        let new = old.wrapping_add(1);
        self.written
            .set(0, new, 0)
            .context("cannot write the generation")?;
        wait_for_programs();
        let mut sums = Sums::default();
        let generation = &mut self.generations[(old & 1) as usize];
        generation.read_into(&mut sums)?;
        let mut reading = sums.into_reading(read_ns);
        generation.empty(&reading, self.cpus)?;
        reading
            .rows
            .retain(|(_, row)| row.iter().any(|cell| *cell != 0));
        reading.resets.retain(|(_, count)| *count != 0);
        Ok(reading)
    }

    /// Rows in use, of both generations: services, resets.
    pub(super) fn fill(&self) -> (u64, u64) {
        let mut fill = (0, 0);
        for generation in &self.generations {
            fill.0 += generation.rows.keys().count() as u64;
            fill.1 += generation.resets.keys().count() as u64;
        }
        fill
    }

    fn row(&self, key: &ServiceKey) -> anyhow::Result<Option<CounterRow>> {
        let mut sum: Option<CounterRow> = None;
        for generation in &self.generations {
            if let Some(values) = get(&generation.rows, &Plain(*key))? {
                add(sum.get_or_insert([0; CELLS]), &values);
            }
        }
        Ok(sum)
    }

    fn settle(&self, key: ServiceKey, row: &mut CounterRow) -> anyhow::Result<()> {
        let later = self.row(&key)?.unwrap_or([0; CELLS]);
        for (_, sent) in AMBIGUOUS {
            row[sent.index()] = later[sent.index()];
        }
        Ok(())
    }
}

impl Generation {
    fn read_into(&self, sums: &mut Sums) -> anyhow::Result<()> {
        for key in self.rows.keys() {
            let key = key.context("cannot walk the counter rows")?;
            if let Some(values) = get(&self.rows, &key)? {
                let at = *sums.at.entry(key.0).or_insert(sums.rows.len());
                if at == sums.rows.len() {
                    sums.rows.push((key.0, [0; CELLS]));
                }
                add(&mut sums.rows[at].1, &values);
            }
        }
        for key in self.resets.keys() {
            let key = key.context("cannot walk the rows of resets")?;
            if let Some(values) = get(&self.resets, &key)? {
                *sums.resets.entry(key.0).or_default() += values.iter().sum::<u64>();
            }
        }
        Ok(())
    }

    /// Nobody writes here any more: what was read is all there was.
    fn empty(&mut self, read: &Reading, cpus: usize) -> anyhow::Result<()> {
        for (key, _) in &read.rows {
            gone(self.rows.remove(&Plain(*key)))?;
        }
        for (key, _) in &read.resets {
            gone(self.resets.remove(&Plain(*key)))?;
        }
        self.make_other_rows(cpus)
    }

    fn make_other_rows(&mut self, cpus: usize) -> anyhow::Result<()> {
        for role in [Role::Server, Role::Client] {
            for phase in 0..PHASES {
                let phase = u8::try_from(phase).ok().and_then(Phase::from_u8);
                let Some(phase) = phase else { continue };
                let service = ServiceKey::other(role, phase);
                let zeros = PerCpuValues::try_from(vec![[0u64; CELLS]; cpus])?;
                self.rows
                    .insert(Plain(service), zeros, 0)
                    .context("cannot make the row of all other services")?;
                for lost in [Lost::Nothing, Lost::Goodbye, Lost::Data] {
                    let key = ResetKey {
                        service,
                        reason: 0,
                        lost: lost as u8,
                        pad: [0; 6],
                    };
                    self.resets
                        .insert(Plain(key), PerCpuValues::try_from(vec![0u64; cpus])?, 0)
                        .context("cannot make the row of all other resets")?;
                }
            }
        }
        Ok(())
    }
}

fn is_unsettled(row: &CounterRow) -> bool {
    AMBIGUOUS
        .iter()
        .any(|(cell, sent)| row[cell.index()] > row[sent.index()])
}

fn add(row: &mut CounterRow, values: &PerCpuValues<CounterRow>) {
    for cpu in values.iter() {
        for (sum, cell) in row.iter_mut().zip(cpu) {
            *sum += cell;
        }
    }
}

/// A row that went away between the walk and the look is none.
fn get<K: aya::Pod, V: aya::Pod>(
    map: &PerCpuHashMap<MapData, K, V>,
    key: &K,
) -> anyhow::Result<Option<PerCpuValues<V>>> {
    match map.get(key, 0) {
        Ok(values) => Ok(Some(values)),
        Err(MapError::KeyNotFound) => Ok(None),
        Err(error) => Err(error).context("cannot read a counter row"),
    }
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
