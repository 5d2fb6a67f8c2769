//! Events that the kernel kept from every program. Hardened guest kernels hide tasks of their own from BPF, and with them what a
//! softirq does on top of such a task: a timer's end of a connection is hidden about once in a thousand. The counters of perf's
//! tracepoints count what they hide, so it can be told, and a test in whose time it happened has not failed.

use std::{
    ffi::CStr,
    fs, io,
    os::fd::{FromRawFd as _, OwnedFd},
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    path::Path,
    sync::LazyLock,
    thread,
};

use super::shared;

/// The tracepoints that are told of one end, and the first program on each.
const EVENTS: [(&str, &str); 4] = [
    ("sock/inet_sock_set_state", "finwatch_state"),
    ("tcp/tcp_send_reset", "finwatch_reset"),
    ("tcp/tcp_receive_reset", "finwatch_reset_received"),
    ("tcp/tcp_destroy_sock", "finwatch_destroy"),
];

/// Tries of a test in whose time the kernel hid something.
const TRIES: usize = 4;

/// Runs a test again when it failed and the kernel hid an event from the programs meanwhile.
pub(super) fn unless_hidden(mut test: impl FnMut()) {
    let Some(counters) = &*COUNTERS else {
        return test();
    };
    for tries_left in (0..TRIES).rev() {
        let before = counters.hidden_at_most();
        let Err(failure) = catch_unwind(AssertUnwindSafe(&mut test)) else {
            return;
        };
        let hidden = counters.hidden_at_least() - before;
        if hidden <= 0 || tries_left == 0 {
            resume_unwind(failure);
        }
        eprintln!("the kernel hid {hidden} events from the programs meanwhile: once more");
    }
}

/// Since the first test. `None` where the kernel has no counters of tracepoints: then nothing is excused.
static COUNTERS: LazyLock<Option<Counters>> = LazyLock::new(|| match Counters::open() {
    Ok(counters) => Some(counters),
    Err(error) => {
        eprintln!("what the kernel hides from programs is not known: {error}");
        None
    }
});

struct Counters {
    /// By event, of each CPU.
    hits: Vec<OwnedFd>,
    _runs_are_counted: OwnedFd,
}

impl Counters {
    fn open() -> io::Result<Self> {
        let runs = count_runs()?;
        let ids = ids()?;
        let cpus = thread::available_parallelism()?.get();
        let hits = ids
            .iter()
            .flat_map(|id| (0..cpus).map(|cpu| count(*id, cpu)));
        Ok(Self {
            hits: hits.collect::<io::Result<_>>()?,
            _runs_are_counted: runs,
        })
    }

    /// Read while other events happen, so the order of the two readings says on which side the sum errs.
    fn hidden_at_most(&self) -> i64 {
        let runs = runs();
        self.hits() - runs
    }

    fn hidden_at_least(&self) -> i64 {
        let hits = self.hits();
        hits - runs()
    }

    fn hits(&self) -> i64 {
        let read = |counter: &OwnedFd| {
            let mut count = [0; 8];
            rustix::io::read(counter, &mut count).expect("read a counter of perf's");
            i64::from_ne_bytes(count)
        };
        self.hits.iter().map(read).sum()
    }
}

/// Runs, and those that the recursion guard skipped.
fn runs() -> i64 {
    let first = |name: &str| EVENTS.iter().any(|(_, program)| *program == name);
    let programs = shared().program_stats().into_iter();
    let runs = programs.filter(|program| first(program.name));
    let sum: u64 = runs
        .map(|program| program.runs + program.recursion_misses)
        .sum();
    sum.cast_signed()
}

/// Has the kernel count the programs' runs while the descriptor is open (`BPF_ENABLE_STATS`).
fn count_runs() -> io::Result<OwnedFd> {
    const ENABLE_STATS: libc::c_int = 32;
    const RUN_TIME: u32 = 0;
    let attr = RUN_TIME;
    // SAFETY: the kernel reads as many bytes as it is told.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            ENABLE_STATS,
            &raw const attr,
            size_of_val(&attr),
        )
    };
    owned(fd)
}

/// Numbers of the tracepoints, from a tracefs that only one thread sees.
fn ids() -> io::Result<Vec<u64>> {
    const FOLDER: &CStr = c"/sys/kernel/tracing";
    let read = || -> io::Result<Vec<u64>> {
        let folder = Path::new("/sys/kernel/tracing/events");
        if !folder.exists() {
            let (nothing, private) = (std::ptr::null(), libc::MS_REC | libc::MS_PRIVATE);
            let tracefs = c"tracefs".as_ptr();
            // SAFETY: the strings are constants; only this thread's view of the mounts changes.
            let results = unsafe {
                [
                    libc::unshare(libc::CLONE_NEWNS),
                    libc::mount(nothing, c"/".as_ptr(), nothing, private, nothing.cast()),
                    libc::mount(tracefs, FOLDER.as_ptr(), tracefs, 0, nothing.cast()),
                ]
            };
            if results != [0; 3] {
                return Err(io::Error::last_os_error());
            }
        }
        let id = |(event, _): &(&str, &str)| {
            let text = fs::read_to_string(folder.join(event).join("id"))?;
            text.trim().parse().map_err(io::Error::other)
        };
        EVENTS.iter().map(id).collect()
    };
    thread::scope(|scope| scope.spawn(read).join().expect("the numbers are read"))
}

/// A counter of one tracepoint on one CPU, whatever runs there (`perf_event_open(2)`).
fn count(tracepoint: u64, cpu: usize) -> io::Result<OwnedFd> {
    const PERF_TYPE_TRACEPOINT: u32 = 2;
    const CLOEXEC: libc::c_ulong = 8;
    /// `struct perf_event_attr` in its first version: type, size, config, and zeros.
    #[repr(C)]
    struct Attr {
        kind: u32,
        size: u32,
        config: u64,
        zeros: [u64; 6],
    }
    let attr = Attr {
        kind: PERF_TYPE_TRACEPOINT,
        size: size_of::<Attr>() as u32,
        config: tracepoint,
        zeros: [0; 6],
    };
    // SAFETY: the kernel reads as many bytes as the attributes say they have.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_perf_event_open,
            &raw const attr,
            -1,
            cpu,
            -1,
            CLOEXEC,
        )
    };
    owned(fd)
}

/// What a system call gave.
fn owned(fd: libc::c_long) -> io::Result<OwnedFd> {
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call made this descriptor, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

#[test]
fn a_failure_that_nothing_was_hidden_from_stands() {
    assert!(COUNTERS.is_some(), "perf counts tracepoints");
    let mut tries = 0;
    let failure = catch_unwind(AssertUnwindSafe(|| {
        unless_hidden(|| {
            tries += 1;
            panic!("as it must");
        });
    }));
    failure.expect_err("the failure is told");
    assert_eq!(tries, 1, "nothing happened that could be hidden");
}
