//! A stopwatch around all that is attached to the tracepoints of a socket's life: one program runs before the observer's
//! and one behind them, and what lies between is kept by transition and side. It is attached in two steps, as programs of
//! a tracepoint run in the order of their attachment. The kernel's statistics stay off.
//!
//! Beside the programs' own run time this shows what it costs the kernel to call them. What two neighbours without
//! anything between them measure is to be taken off.

use std::collections::BTreeMap;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use anyhow::{Context as _, Result};

use super::asm::{Code, Helper, R0, R1, R2, R3, R6, R7, R8, R9, R10};
use super::event::{Event, Side};
use crate::bench::bpf::{self, RawProgram};
use crate::bench::sys;

/// What was measured of one event on one side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Timed {
    pub(super) count: u64,
    pub(super) nanos: u64,
}

/// What happened, and to whom.
pub(super) type Times = BTreeMap<(Event, Side), Timed>;

/// The programs before the observer's are attached.
pub(super) struct Stopwatch {
    board: Board,
    #[expect(dead_code, reason = "the programs are attached while these are open")]
    before: Vec<RawProgram>,
}

/// Those behind it as well: it measures.
pub(super) struct Running<'a> {
    board: &'a Board,
    #[expect(dead_code, reason = "the programs are attached while these are open")]
    behind: Vec<RawProgram>,
}

/// The map's only value, in this process's memory. First what is under way, then a count and a time for each slot.
struct Board {
    map: OwnedFd,
    words: NonNull<AtomicU64>,
}

/// The socket of the event that is under way, or [`NOBODY`].
const SOCKET: usize = 0;
/// Its slot.
const SLOT: usize = 1;
/// When it began.
const BEGAN: usize = 2;
/// Where the slots begin; a cache line is left to the above.
const SLOTS: usize = 8;
/// Two words for each slot.
const WORDS: usize = SLOTS + 2 * Event::SLOTS;
const BYTES: usize = WORDS * 8;
/// No socket, and not the null that some resets have in its place.
const NOBODY: i32 = 1;
/// What takes longer was interrupted by something else.
const INTERRUPTED_NS: i32 = 20_000;

// SAFETY: all that is behind the pointer are atomics, which any thread may use.
unsafe impl Send for Board {}
// SAFETY: as above.
unsafe impl Sync for Board {}

// === impl Timed ===

impl Timed {
    pub(super) fn add(&mut self, other: Self) {
        let Self { count, nanos } = other;
        self.count += count;
        self.nanos += nanos;
    }
}

// === impl Stopwatch ===

impl Stopwatch {
    /// Attaches the programs that are to run before an observer's, for the sockets of this process with this port.
    pub(super) fn attach(port: u16) -> Result<Self> {
        let board = Board::create()?;
        let before = Event::TRACEPOINTS
            .iter()
            .map(|tracepoint| RawProgram::attach(&begin(&board, tracepoint, port), tracepoint))
            .collect::<Result<_>>()?;
        Ok(Self { board, before })
    }

    /// Attaches those that are to run behind it.
    pub(super) fn start(&self) -> Result<Running<'_>> {
        let Self { board, .. } = self;
        let code = end(board);
        let behind = Event::TRACEPOINTS
            .iter()
            .map(|tracepoint| RawProgram::attach(&code, tracepoint))
            .collect::<Result<_>>()?;
        Ok(Running { board, behind })
    }
}

// === impl Running ===

impl Running<'_> {
    /// Runs `body`, and returns what happened meanwhile.
    pub(super) fn during<R>(&self, body: impl FnOnce() -> Result<R>) -> Result<(R, Times)> {
        self.board.clear();
        let result = body()?;
        Ok((result, self.board.read()))
    }
}

// === impl Board ===

impl Board {
    fn create() -> Result<Self> {
        let map = bpf::mappable_value(BYTES)?;
        let words = sys::map_shared(&map, BYTES).context("map the stopwatch's board")?;
        let board = Self {
            map,
            words: words.cast(),
        };
        board.clear();
        Ok(board)
    }

    fn words(&self) -> &[AtomicU64] {
        // SAFETY: the mapping is of `BYTES` zeroed bytes at the beginning of a page, lives as long as `self`, and is
        // changed by nobody but through atomics and the kernel's programs, whose stores are of whole words.
        unsafe { std::slice::from_raw_parts(self.words.as_ptr(), WORDS) }
    }

    fn clear(&self) {
        for word in self.words() {
            word.store(0, Relaxed);
        }
        self.words()[SOCKET].store(u64::from(NOBODY.unsigned_abs()), Relaxed);
    }

    fn read(&self) -> Times {
        let slots = self.words()[SLOTS..].chunks_exact(2).enumerate();
        slots
            .filter_map(|(slot, words)| {
                let [count, nanos] = [&words[0], &words[1]].map(|word| word.load(Relaxed));
                (count > 0).then(|| Some((Event::of_slot(slot)?, Timed { count, nanos })))?
            })
            .collect()
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        sys::unmap(self.words.cast(), BYTES);
    }
}

/// Notes the socket and its slot, and the time as the very last.
fn begin(board: &Board, tracepoint: &str, port: u16) -> Vec<u64> {
    const REMOTE_PORT: i32 = 12; // `skc_dport`, behind two addresses and a hash since Linux 3.8
    let own = std::process::id().cast_signed();
    let mut code = Code::default();
    code.copy(R6, R1);
    code.call(Helper::GetCurrentPidTgid);
    code.shift_right(R0, 32);
    code.end_unless(R0, own);
    code.load(R7, R6, 0);
    code.copy(R1, R10);
    code.add(R1, -8);
    code.set(R2, 2);
    code.copy(R3, R7);
    code.add(R3, REMOTE_PORT);
    code.call(Helper::ProbeReadKernel);
    code.load_u16(R8, R10, -8);
    code.set_if(R9, R8, i32::from(port.to_be()));
    if tracepoint == Event::STATE {
        for (argument, bits) in [(8, Event::OLD_SHIFT), (16, Event::NEW_SHIFT)] {
            code.load(R1, R6, argument);
            code.and(R1, Event::STATES - 1);
            code.shift_left(R1, bits);
            code.or_reg(R9, R1);
        }
    } else {
        code.add(R9, Event::first_slot(tracepoint));
    }
    code.map_value(R6, board.map.as_raw_fd());
    code.store(R6, byte_of(SOCKET), R7);
    code.store(R6, byte_of(SLOT), R9);
    code.call(Helper::KtimeGetNs);
    code.store(R6, byte_of(BEGAN), R0);
    code.finish()
}

/// Reads the clock as the very first, and adds the time to the slot; unless another event came between.
fn end(board: &Board) -> Vec<u64> {
    let mut code = Code::default();
    code.copy(R6, R1);
    code.call(Helper::KtimeGetNs);
    code.copy(R7, R0);
    code.map_value(R8, board.map.as_raw_fd());
    code.load(R1, R6, 0);
    code.load(R2, R8, byte_of(SOCKET));
    code.end_unless_reg(R1, R2);
    code.set(R1, NOBODY);
    code.store(R8, byte_of(SOCKET), R1);
    code.load(R1, R8, byte_of(BEGAN));
    code.sub_reg(R7, R1);
    code.end_if_above(R7, INTERRUPTED_NS);
    code.load(R3, R8, byte_of(SLOT));
    code.and(R3, Event::SLOTS as i32 - 1);
    code.shift_left(R3, 4);
    code.add_reg(R8, R3);
    for (word, by) in [(SLOTS, None), (SLOTS + 1, Some(R7))] {
        code.load(R1, R8, byte_of(word));
        match by {
            None => code.add(R1, 1),
            Some(nanos) => code.add_reg(R1, nanos),
        }
        code.store(R8, byte_of(word), R1);
    }
    code.finish()
}

/// Of a word near the board's beginning.
const fn byte_of(word: usize) -> i16 {
    (word * 8) as i16
}
