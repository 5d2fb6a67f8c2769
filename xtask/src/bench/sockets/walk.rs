//! Surveys as the daemon makes them: its own iterators, which the kernel lends to anybody privileged, run from here and timed.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::bench::bpf;
use crate::bench::object::{self, Kind};
use crate::bench::sys::field;

/// What their names begin with.
const NAME: &str = "finwatch_survey";
/// Bytes that are read at a time.
const READ_BYTES: usize = 32 << 10;

/// The daemon's two iterators.
pub(super) struct Iterators {
    sockets: OwnedFd,
    mini_sockets: OwnedFd,
}

/// A survey: the time of both walks.
#[derive(Clone, Copy)]
pub(super) struct Survey {
    pub(super) sockets: Duration,
    pub(super) mini_sockets: Duration,
}

// === impl Iterators ===

impl Iterators {
    pub(super) fn of(pid: u32) -> Result<Self> {
        let mut found = BTreeMap::new();
        for file in bpf::files_of(pid)? {
            // Links name their program too, but not how long it is.
            let (id, length) = (field(&file, "prog_id:"), field(&file, "verified_insns:"));
            if let (Some(id), Some(length)) = (id, length)
                && let Some(program) = open_iterator(id)?
            {
                found.insert(length, program);
            }
        }
        // In the length that the kernel keeps, their names are the same. That over mini-sockets is by far the shorter one.
        let mut found = found.into_values();
        let (Some(mini_sockets), Some(sockets), None) = (found.next(), found.next(), found.next())
        else {
            bail!("find the two iterators among the daemon's programs");
        };
        Ok(Self {
            sockets,
            mini_sockets,
        })
    }

    /// Surveys the network namespace of the calling thread.
    pub(super) fn survey(&self) -> Result<Survey> {
        Ok(Survey {
            sockets: walk(&self.sockets)?,
            mini_sockets: walk(&self.mini_sockets)?,
        })
    }
}

// === impl Survey ===

impl Survey {
    pub(super) fn total(self) -> Duration {
        self.sockets + self.mini_sockets
    }
}

/// Opens one of the programs that have a name as the daemon's iterators.
fn open_iterator(id: u64) -> Result<Option<OwnedFd>> {
    let (program, name) = object::open(Kind::Program, id)?;
    Ok(name.starts_with(NAME).then_some(program))
}

/// Attaches an iterator, and reads all that it writes.
fn walk(program: &OwnedFd) -> Result<Duration> {
    #[repr(C)]
    struct CreateLink {
        prog_fd: u32,
        target_fd: u32,
        attach_type: u32,
        flags: u32,
    }
    #[repr(C)]
    struct CreateIterator {
        link_fd: u32,
        flags: u32,
    }
    const BPF_LINK_CREATE: i32 = 28;
    const BPF_ITER_CREATE: i32 = 33;
    const BPF_TRACE_ITER: u32 = 28;
    let start = Instant::now();
    let create_link = CreateLink {
        prog_fd: program.as_raw_fd().unsigned_abs(),
        target_fd: 0,
        attach_type: BPF_TRACE_ITER,
        flags: 0,
    };
    let link = bpf::open(BPF_LINK_CREATE, &create_link).context("attach the iterator")?;
    let create = CreateIterator {
        link_fd: link.as_raw_fd().unsigned_abs(),
        flags: 0,
    };
    let mut file = File::from(bpf::open(BPF_ITER_CREATE, &create).context("open the iterator")?);
    let mut rows = vec![0; READ_BYTES];
    loop {
        match file.read(&mut rows) {
            Ok(0) => return Ok(start.elapsed()),
            Ok(_) => {}
            // The kernel says so when it passed a million sockets and nothing was written: it goes on from there.
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error).context("read the iterator"),
        }
    }
}
