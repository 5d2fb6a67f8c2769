//! Runs the iterators: one look at the sockets of a network namespace.

use std::{io::Read as _, os::fd::BorrowedFd, thread};

use anyhow::{Context as _, anyhow};
use aya::{Ebpf, programs::Iter};
use finwatch_common::{SurveyRow, Wire as _};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::object::{MINI_SOCKETS, SOCKETS, program};

/// Runs the iterators. It holds the programs: when it is dropped, everything is detached.
pub struct Survey {
    ebpf: Ebpf,
}

// === impl Survey ===

impl Survey {
    pub(super) const fn new(ebpf: Ebpf) -> Self {
        Self { ebpf }
    }

    /// Sockets of note in the network namespace `netns` (an open `/proc/<pid>/ns/net`): listeners, and
    /// connections that owe or await an answer. Seeds sockets that no program has seen. Blocking, for as long as the kernel
    /// walks its table of sockets.
    ///
    /// # Errors
    /// When the namespace cannot be entered or the iterator fails.
    pub fn sockets(&mut self, netns: BorrowedFd<'_>) -> anyhow::Result<Vec<SurveyRow>> {
        run(&mut self.ebpf, SOCKETS, netns)
    }

    /// Mini-sockets of the network namespace, one row each. Blocking; milliseconds, whatever their number.
    ///
    /// # Errors
    /// As [`Survey::sockets`].
    pub fn mini_sockets(&mut self, netns: BorrowedFd<'_>) -> anyhow::Result<Vec<SurveyRow>> {
        run(&mut self.ebpf, MINI_SOCKETS, netns)
    }
}

/// Runs an iterator in a network namespace. It walks the namespace of the thread that opens it, so that
/// thread is one of its own: none of the daemon's is ever left in a foreign one.
pub(super) fn run(
    ebpf: &mut Ebpf,
    name: &'static str,
    netns: BorrowedFd<'_>,
) -> anyhow::Result<Vec<SurveyRow>> {
    let program: &mut Iter = program(ebpf, name)?;
    thread::scope(|scope| {
        thread::Builder::new()
            .name("survey".to_owned())
            .spawn_scoped(scope, || {
                enter(netns)?;
                read(program)
            })
            .context("cannot start a thread for the survey")?
            .join()
            .map_err(|_| anyhow!("the thread of the survey panicked"))?
    })
}

/// To enter needs CAP_SYS_ADMIN even where one already is, so the own namespace is not entered.
fn enter(netns: BorrowedFd<'_>) -> anyhow::Result<()> {
    let here = rustix::fs::stat("/proc/thread-self/ns/net")
        .context("cannot look at /proc/thread-self/ns/net")?;
    let there = rustix::fs::fstat(netns).context("cannot look at the network namespace")?;
    if (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino) {
        return Ok(());
    }
    move_into_link_name_space(netns, Some(LinkNameSpaceType::Network))
        .context("cannot enter the network namespace (it takes CAP_SYS_ADMIN)")
}

fn read(program: &mut Iter) -> anyhow::Result<Vec<SurveyRow>> {
    let link = program.attach().context("cannot attach the iterator")?;
    let mut file = program
        .take_link(link)
        .context("cannot take the iterator's link")?
        .into_file()
        .context("cannot open the iterator")?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)
        .context("cannot read the iterator")?;
    bytes
        .chunks(size_of::<SurveyRow>())
        .map(|row| SurveyRow::from_bytes(row).context("the iterator wrote a malformed row"))
        .collect()
}
