//! Runs the iterators: one look at the sockets of a network namespace.

use std::{
    io::{ErrorKind, Read},
    os::fd::BorrowedFd,
    thread,
};

use anyhow::{Context as _, anyhow, bail, ensure};
use aya::{Ebpf, programs::Iter};
use finwatch_common::{SurveyRow, Wire as _};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::object::{MINI_SOCKETS, SOCKETS, program};

/// Most sockets of note that a survey tells of, of 88 MiB: an engine remembers fewer connections.
const ROWS_MAX: usize = 1 << 20;

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
    /// When the namespace cannot be entered, the iterator fails, or there are more than a million sockets of note.
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
    let file = program
        .take_link(link)
        .context("cannot take the iterator's link")?
        .into_file()
        .context("cannot open the iterator")?;
    rows(file)
}

/// Takes the rows as they come: of very many, their bytes are never there beside them.
fn rows(mut iterator: impl Read) -> anyhow::Result<Vec<SurveyRow>> {
    const ROW: usize = size_of::<SurveyRow>();
    // The kernel hands out no more at a time.
    let mut bytes = vec![0; 32 << 10];
    let mut rows = Vec::new();
    // What the last row lacked.
    let mut left = 0;
    loop {
        let more = match iterator.read(&mut bytes[left..]) {
            Ok(0) if left == 0 => return Ok(rows),
            Ok(0) => bail!("the iterator ended within a row"),
            Ok(more) => more,
            // The kernel interrupts itself when nothing was written of a million sockets, and goes on from there.
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) =>
            {
                continue;
            }
            Err(error) => return Err(error).context("cannot read the iterator"),
        };
        let filled = left + more;
        let whole = filled - filled % ROW;
        ensure!(
            rows.len() + whole / ROW <= ROWS_MAX,
            "there are more than {ROWS_MAX} sockets of note"
        );
        for row in bytes[..whole].chunks(ROW) {
            rows.push(SurveyRow::from_bytes(row).context("the iterator wrote a malformed row")?);
        }
        bytes.copy_within(whole..filled, 0);
        left = filled - whole;
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use finwatch_common::{Phase, Process, Role, ServiceKey, survey_kind};

    use super::*;

    /// Answers to one read after the other.
    struct Answers(Vec<io::Result<Vec<u8>>>);

    impl Read for Answers {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.0.is_empty() {
                return Ok(0);
            }
            let answer = self.0.remove(0)?;
            buffer[..answer.len()].copy_from_slice(&answer);
            Ok(answer.len())
        }
    }

    fn row(cookie: u64) -> SurveyRow {
        SurveyRow {
            service: ServiceKey::other(Role::Server, Phase::Steady),
            owner: Process::default(),
            cookie,
            opened_at_ns: 0,
            a: 0,
            b: 0,
            kind: survey_kind::OPEN,
            quiet: 0,
            queued: 0,
            pad: 0,
            waits_ms: 0,
        }
    }

    #[test]
    fn rows_come_in_any_pieces() {
        let bytes = [row(1).as_bytes(), row(2).as_bytes()].concat();
        let (first, second) = bytes.split_at(100);
        let pieces = Answers(vec![Ok(first.to_vec()), Ok(second.to_vec())]);
        assert_eq!(rows(pieces).unwrap(), [row(1), row(2)]);
        let cut_off = Answers(vec![Ok(first.to_vec())]);
        assert!(rows(cut_off).is_err());
    }

    #[test]
    fn too_many_rows_are_an_error() {
        let bytes = row(1).as_bytes().repeat(ROWS_MAX);
        assert_eq!(rows(bytes.as_slice()).unwrap().len(), ROWS_MAX);
        let one_more = row(2);
        assert!(rows(bytes.chain(one_more.as_bytes())).is_err());
    }

    #[test]
    fn a_walk_that_wrote_nothing_for_long_goes_on() {
        let pause = || Err(io::Error::from(ErrorKind::WouldBlock));
        let walk = Answers(vec![pause(), Ok(row(1).as_bytes().to_vec()), pause()]);
        assert_eq!(rows(walk).unwrap(), [row(1)]);
        let failed = Answers(vec![Err(io::Error::from(ErrorKind::PermissionDenied))]);
        assert!(rows(failed).is_err());
    }
}
