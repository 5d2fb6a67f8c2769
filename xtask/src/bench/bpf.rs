//! The kernel's own statistics of BPF programs, and programs of the benchmark's own. It knows programs by the process
//! that holds them, so other programs on the machine do not matter.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};

use anyhow::{Context as _, Result, bail};

use super::sys::field;

/// What a program did: the number of its runs, and the time they took together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Runs {
    pub(super) count: u64,
    pub(super) nanos: u64,
}

/// While it lives the kernel keeps statistics of every program. It is off again with the last one who asked,
/// so that nothing is to be restored even if this process is killed.
pub(super) struct Statistics(
    #[expect(dead_code, reason = "held for what closing it does")] OwnedFd,
);

/// A program of this benchmark's own at a tracepoint, attached while it lives. Programs of one tracepoint run in the
/// order in which they were attached.
pub(super) struct RawProgram {
    program: OwnedFd,
    #[expect(dead_code, reason = "the program is attached while the link is open")]
    link: OwnedFd,
}

/// A program of two instructions: `r0 = 0; exit`. Its average run is what the statistics themselves add to every
/// run: two readings of the clock and a call that returns at once.
pub(super) const EMPTY: [u64; 2] = [0xb7, 0x95];

/// The programs that a process holds open, by their identifiers in the kernel.
pub(super) fn programs_of(pid: u32) -> Result<BTreeMap<u64, Runs>> {
    let mut programs = BTreeMap::new();
    for text in files_of(pid)? {
        // Links name their program as well; only the program itself has run times.
        if let (Some(id), Some(runs)) = (field(&text, "prog_id:"), runs(&text)) {
            programs.insert(id, runs);
        }
    }
    Ok(programs)
}

/// Whether a process holds a program's attachment.
pub(super) fn is_attached(pid: u32) -> Result<bool> {
    Ok(files_of(pid)?.any(|text| text.contains("link_type:")))
}

/// All programs of a process together.
pub(super) fn total_of(pid: u32) -> Result<Runs> {
    let programs = programs_of(pid)?;
    if programs.is_empty() {
        bail!("find BPF programs in /proc/{pid}/fdinfo: there are none");
    }
    Ok(programs.values().fold(Runs::default(), |sum, runs| Runs {
        count: sum.count + runs.count,
        nanos: sum.nanos + runs.nanos,
    }))
}

// === impl Runs ===

impl Runs {
    pub(super) fn since(self, before: Self) -> Self {
        Self {
            count: self.count.saturating_sub(before.count),
            nanos: self.nanos.saturating_sub(before.nanos),
        }
    }

    /// Mean time of a run; none without runs.
    pub(super) fn mean_ns(self) -> Option<f64> {
        (self.count > 0).then(|| self.nanos as f64 / self.count as f64)
    }
}

// === impl Statistics ===

impl Statistics {
    pub(super) fn enable() -> Result<Self> {
        #[repr(C)]
        struct EnableStats {
            kind: u32,
        }
        const BPF_ENABLE_STATS: i32 = 32;
        const BPF_STATS_RUN_TIME: u32 = 0;
        let attr = EnableStats {
            kind: BPF_STATS_RUN_TIME,
        };
        let fd = open(BPF_ENABLE_STATS, &attr).context("turn the kernel's BPF statistics on")?;
        Ok(Self(fd))
    }
}

// === impl RawProgram ===

impl RawProgram {
    pub(super) fn attach(instructions: &[u64], tracepoint: &str) -> Result<Self> {
        #[repr(C)]
        struct Load {
            prog_type: u32,
            insn_cnt: u32,
            insns: u64,
            license: u64,
        }
        #[repr(C)]
        struct Attach {
            name: u64,
            prog_fd: u32,
            padding: u32,
        }
        const BPF_PROG_LOAD: i32 = 5;
        const BPF_RAW_TRACEPOINT_OPEN: i32 = 17;
        const BPF_PROG_TYPE_RAW_TRACEPOINT: u32 = 17;
        let load = Load {
            prog_type: BPF_PROG_TYPE_RAW_TRACEPOINT,
            insn_cnt: u32::try_from(instructions.len()).context("count the instructions")?,
            insns: instructions.as_ptr().addr() as u64,
            license: c"GPL".as_ptr().addr() as u64,
        };
        let program = open(BPF_PROG_LOAD, &load)
            .with_context(|| format!("load the benchmark's program for {tracepoint}"))?;
        let name = std::ffi::CString::new(tracepoint).context("write the tracepoint's name")?;
        let attach = Attach {
            name: name.as_ptr().addr() as u64,
            prog_fd: program.as_raw_fd().unsigned_abs(),
            padding: 0,
        };
        let link = open(BPF_RAW_TRACEPOINT_OPEN, &attach)
            .with_context(|| format!("attach the benchmark's program to {tracepoint}"))?;
        Ok(Self { program, link })
    }

    pub(super) fn runs(&self) -> Result<Runs> {
        let path = format!("/proc/self/fdinfo/{}", self.program.as_raw_fd());
        let text = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
        runs(&text).with_context(|| format!("find the run time in {path}"))
    }
}

/// An array map with one value of so many bytes, which user space may map.
pub(super) fn mappable_value(bytes: usize) -> Result<OwnedFd> {
    #[repr(C)]
    struct Create {
        map_type: u32,
        key_size: u32,
        value_size: u32,
        max_entries: u32,
        map_flags: u32,
    }
    const BPF_MAP_CREATE: i32 = 0;
    const BPF_MAP_TYPE_ARRAY: u32 = 2;
    const BPF_F_MMAPABLE: u32 = 1 << 10;
    let create = Create {
        map_type: BPF_MAP_TYPE_ARRAY,
        key_size: 4,
        value_size: u32::try_from(bytes).context("say how large the value is")?,
        max_entries: 1,
        map_flags: BPF_F_MMAPABLE,
    };
    open(BPF_MAP_CREATE, &create).context("create the benchmark's map")
}

/// What the kernel says of each file that a process holds open.
pub(super) fn files_of(pid: u32) -> Result<impl Iterator<Item = String>> {
    let path = format!("/proc/{pid}/fdinfo");
    let entries = fs::read_dir(&path).with_context(|| format!("list {path}"))?;
    // A file that was closed meanwhile is of no interest.
    Ok(entries.filter_map(|entry| fs::read_to_string(entry.ok()?.path()).ok()))
}

fn runs(fdinfo: &str) -> Option<Runs> {
    Some(Runs {
        count: field(fdinfo, "run_cnt:")?,
        nanos: field(fdinfo, "run_time_ns:")?,
    })
}

/// A bpf() command that returns a file.
pub(super) fn open<T>(command: i32, attr: &T) -> io::Result<OwnedFd> {
    let fd = RawFd::try_from(ask(command, attr)?).map_err(io::Error::other)?;
    // SAFETY: the kernel has just opened it for this call, nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Any bpf() command.
pub(super) fn ask<T>(command: i32, attr: &T) -> io::Result<i64> {
    // SAFETY: `attr` is the beginning of a `bpf_attr` as the command wants it, of the size given; what it points
    // to outlives the call. The kernel takes what is missing as zeros.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            std::ptr::from_ref(attr),
            size_of::<T>(),
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_programs_figures_and_no_links() {
        let program = "pos:\t0\nprog_type:\t26\nprog_id:\t7\nrun_time_ns:\t900\nrun_cnt:\t10\n";
        assert_eq!(
            runs(program),
            Some(Runs {
                count: 10,
                nanos: 900
            })
        );
        assert_eq!(runs("link_type:\traw_tracepoint\nprog_id:\t7\n"), None);
    }

    #[test]
    fn a_program_that_never_ran_has_no_mean() {
        assert_eq!(Runs::default().mean_ns(), None);
        let before = Runs {
            count: 10,
            nanos: 900,
        };
        let after = Runs {
            count: 30,
            nanos: 2_900,
        };
        assert_eq!(after.since(before).mean_ns(), Some(100.0));
    }
}
