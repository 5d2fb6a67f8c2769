//! The few system calls that the standard library does not wrap: namespaces, clocks, limits and signals. It
//! knows nothing of what is measured.

use std::fs;
use std::io;
use std::mem;
use std::net::{TcpListener, UdpSocket};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::ptr::NonNull;
use std::time::Duration;

use anyhow::{Context as _, Result};

/// Runs `body` on a thread in a network namespace of its own whose loopback device is up. Threads that `body`
/// starts live there too; the namespace dies with the last of them and its sockets.
pub(super) fn in_new_netns<R: Send>(body: impl FnOnce() -> Result<R> + Send) -> Result<R> {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            enter_new_netns().context("create a network namespace: the benchmark needs root")?;
            loopback_up().context("bring the namespace's loopback device up")?;
            body()
        });
        match thread.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// CPU time that this process has used, all threads together.
pub(super) fn own_cpu() -> Result<Duration> {
    read_clock(libc::CLOCK_PROCESS_CPUTIME_ID).context("read this process's CPU time")
}

/// CPU time of this process's children that have ended, and of theirs.
pub(super) fn children_cpu() -> Result<Duration> {
    // SAFETY: `rusage` is plain data for which zeros are a value.
    let mut usage: libc::rusage = unsafe { mem::zeroed() };
    // SAFETY: `usage` is a valid place for it.
    check(unsafe { libc::getrusage(libc::RUSAGE_CHILDREN, &raw mut usage) })
        .context("read the CPU time of this process's children")?;
    let time = |value: libc::timeval| {
        let micros = u64::try_from(value.tv_usec).unwrap_or_default();
        Duration::from_secs(value.tv_sec.unsigned_abs()) + Duration::from_micros(micros)
    };
    Ok(time(usage.ru_utime) + time(usage.ru_stime))
}

/// CPU time that another process has used, all threads together.
pub(super) fn cpu_of(pid: u32) -> Result<Duration> {
    let mut clock = 0;
    // SAFETY: `clock` is a valid place for the clock's number.
    let error = unsafe { libc::clock_getcpuclockid(pid.cast_signed(), &raw mut clock) };
    if error != 0 {
        return Err(io::Error::from_raw_os_error(error))
            .with_context(|| format!("find the CPU clock of process {pid}"));
    }
    read_clock(clock).with_context(|| format!("read the CPU time of process {pid}"))
}

/// Resident memory of a process, in KiB.
pub(super) fn rss_kib(pid: u32) -> Result<u64> {
    status(pid, "VmRSS:")
}

/// The most resident memory that a process ever had, in KiB.
pub(super) fn peak_kib(pid: u32) -> Result<u64> {
    status(pid, "VmHWM:")
}

/// From now on [`peak_kib`] tells the most since then.
pub(super) fn forget_peak(pid: u32) -> Result<()> {
    let path = format!("/proc/{pid}/clear_refs");
    fs::write(&path, "5").with_context(|| format!("write {path}"))
}

/// What of a process's resident memory are BPF maps: the kernel's memory, mapped twice where it is a ring buffer.
pub(super) fn bpf_maps_kib(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/smaps");
    let smaps = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    let mut is_map = false;
    let mut kib = 0;
    for line in smaps.lines() {
        // A mapping begins with its addresses, and its figures follow.
        if line
            .split_whitespace()
            .next()
            .is_some_and(|word| word.contains('-'))
        {
            is_map = line.ends_with("anon_inode:bpf-map");
        } else if is_map && let Some(rss) = field(line, "Rss:") {
            kib += rss;
        }
    }
    Ok(kib)
}

/// The number after a name in one of /proc's `name: number` files.
pub(super) fn field(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}

/// Keeps the calling thread, and those it starts, on one core.
pub(super) fn stay_on_core(core: usize) -> Result<()> {
    // SAFETY: `cpu_set_t` is plain data for which zeros are a value.
    let mut cores: libc::cpu_set_t = unsafe { mem::zeroed() };
    // SAFETY: the set is initialised; a core past its end is ignored.
    unsafe { libc::CPU_SET(core, &mut cores) };
    // SAFETY: the set is only read, and of the size given; 0 is the calling thread.
    check(unsafe { libc::sched_setaffinity(0, size_of_val(&cores), &raw const cores) })
        .with_context(|| format!("stay on core {core}"))
}

/// Lets this process open as many files as it may at most, and says how many.
pub(super) fn raise_open_files() -> Result<u64> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` is a valid place for the limits.
    check(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) })
        .context("read the limit of open files")?;
    limit_open_files(limit.rlim_max)?;
    Ok(limit.rlim_max)
}

/// Lets this process open so many files; more than it may at most only with CAP_SYS_RESOURCE.
pub(super) fn limit_open_files(files: u64) -> Result<()> {
    let limit = libc::rlimit {
        rlim_cur: files,
        rlim_max: files,
    };
    // SAFETY: `limit` is initialised and only read.
    check(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) })
        .with_context(|| format!("set the limit of open files to {files}"))
}

/// Puts this process, and all that it starts, before the ordinary ones: what else the machine does then disturbs
/// less, and disturbs every observer alike.
pub(super) fn prefer_this_process() -> Result<()> {
    const NICE: i32 = -10;
    // SAFETY: no memory is involved; 0 is the calling process.
    check(unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICE) })
        .with_context(|| format!("set this process's nice value to {NICE}"))
}

/// Sends a signal to a child of this process that has not been waited for, so that the number is still its own.
pub(super) fn signal(pid: u32, signal: i32) -> Result<()> {
    // SAFETY: no memory is involved.
    check(unsafe { libc::kill(pid.cast_signed(), signal) })
        .with_context(|| format!("send signal {signal} to process {pid}"))
}

/// Wakes every thread that waits in accept() on the listener; each gets an `InvalidInput` error.
pub(super) fn stop_accepting(listener: &TcpListener) -> Result<()> {
    // SAFETY: no memory is involved; the listener is open.
    check(unsafe { libc::shutdown(listener.as_raw_fd(), libc::SHUT_RD) })
        .context("stop the listener")
}

/// Maps the beginning of a file, to be read and written together with whoever else has it; [`unmap`] ends it.
pub(super) fn map_shared(file: &OwnedFd, bytes: usize) -> io::Result<NonNull<u8>> {
    // SAFETY: the kernel chooses a free place for it, so no memory in use is touched.
    let at = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            bytes,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED,
            file.as_raw_fd(),
            0,
        )
    };
    if at == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    NonNull::new(at.cast()).ok_or_else(|| io::Error::other("the kernel maps nothing at 0"))
}

/// Ends a mapping of [`map_shared`] that nobody uses any more.
pub(super) fn unmap(at: NonNull<u8>, bytes: usize) {
    // SAFETY: the caller has the mapping from `map_shared`, of this size, and lets go of it.
    let _ended = unsafe { libc::munmap(at.as_ptr().cast(), bytes) };
}

fn status(pid: u32, name: &str) -> Result<u64> {
    let path = format!("/proc/{pid}/status");
    let status = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    field(&status, name).with_context(|| format!("find {name} in {path}"))
}

fn check(result: i32) -> io::Result<()> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

fn enter_new_netns() -> io::Result<()> {
    // SAFETY: no memory is involved; only the calling thread changes its namespace.
    check(unsafe { libc::unshare(libc::CLONE_NEWNET) })
}

fn loopback_up() -> io::Result<()> {
    let any = UdpSocket::bind("0.0.0.0:0")?;
    // SAFETY: `ifreq` is plain data for which zeros are a value.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = from.cast_signed();
    }
    request.ifr_ifru.ifru_flags = libc::IFF_UP as libc::c_short;
    // SAFETY: the request is an initialised `ifreq`, as SIOCSIFFLAGS wants it.
    check(unsafe { libc::ioctl(any.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) })
}

fn read_clock(clock: libc::clockid_t) -> io::Result<Duration> {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is a valid place for the time.
    check(unsafe { libc::clock_gettime(clock, &raw mut time) })?;
    Ok(Duration::new(
        time.tv_sec.unsigned_abs(),
        u32::try_from(time.tv_nsec).unwrap_or_default(),
    ))
}
