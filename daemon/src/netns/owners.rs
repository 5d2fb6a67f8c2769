//! Which process holds which socket, from `/proc/<pid>/fd`: for sockets that are older than the
//! programs. It does not know which of the sockets are TCP.

use std::{
    collections::HashMap, ffi::CStr, fs, io, mem::MaybeUninit, ops::ControlFlow, os::fd::OwnedFd,
};

use finwatch_common::OwnerSeed;
use rustix::fs::{Mode, OFlags, RawDir, open, openat, readlinkat_raw};

/// Most sockets that one scan remembers, at about 60 bytes each.
const MAX_SOCKETS: usize = 1 << 18;
/// `USER_HZ`: the unit of start times in `/proc`, fixed by the kernel's interface.
const NANOS_PER_TICK: u64 = 10_000_000;

/// Who held which socket at one instant.
#[derive(Debug, Default)]
pub struct Owners {
    /// Inode number of a socket, and its owner.
    pub sockets: Vec<(u64, OwnerSeed)>,
    /// Processes whose descriptors may not be read: their sockets' owners stay unknown.
    pub refused: usize,
    /// Sockets past the limit of 262,144.
    pub past_limit: usize,
}

/// A process as `/proc/<pid>/stat` shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessStat {
    /// Its number (thread-group id).
    pub pid: u32,
    /// Its parent's.
    pub parent: u32,
    /// Start time, nanoseconds since boot, cut to 10 ms.
    pub start_ns: u64,
    /// Where its first stack begins. `execve()` draws it by lot and `fork()` keeps it; 0 unknown.
    pub start_stack: u64,
}

/// Every process. Blocking: some microseconds each.
///
/// # Errors
/// When `/proc` cannot be read at all.
pub fn processes() -> io::Result<Vec<ProcessStat>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // It may have ended since.
        if let Some((stat, _)) = fs::read(format!("/proc/{pid}/stat"))
            .ok()
            .and_then(|stat| parse_stat(pid, &stat))
        {
            found.push(stat);
        }
    }
    Ok(found)
}

/// Inodes of the sockets that a process holds. Blocking: about a microsecond a descriptor.
///
/// # Errors
/// When its descriptors may not be read, or it is gone.
pub fn sockets(pid: u32) -> io::Result<Vec<u64>> {
    let proc = open("/proc", dir_flags(), Mode::empty())?;
    let mut inodes = Vec::new();
    sockets_of(&proc, pid, |inode| {
        inodes.push(inode);
        ControlFlow::Continue(())
    })?;
    Ok(inodes)
}

/// Whether a process holds one of some sockets, by their inodes. It looks no further than to the first that it finds: listeners are
/// mostly among the first of what may be very many. Blocking: about a microsecond a descriptor.
///
/// # Errors
/// As [`sockets`].
pub fn holds_any(pid: u32, wanted: impl Fn(u64) -> bool) -> io::Result<bool> {
    let proc = open("/proc", dir_flags(), Mode::empty())?;
    let mut is_found = false;
    sockets_of(&proc, pid, |inode| {
        is_found = wanted(inode);
        if is_found {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    })?;
    Ok(is_found)
}

/// Looks at every descriptor of every process. Blocking: about a microsecond a descriptor.
///
/// A socket with several holders goes to the oldest of them, the parent of a prefork server. Start
/// times have the resolution of `/proc`, 10 ms.
///
/// # Errors
/// When `/proc` cannot be read at all.
pub fn scan() -> io::Result<Owners> {
    let mut owners = HashMap::new();
    let mut refused = 0;
    let mut past_limit = 0;
    let proc = open("/proc", dir_flags(), Mode::empty())?;
    let list = open("/proc", dir_flags(), Mode::empty())?;
    let mut list_buffer = [MaybeUninit::uninit(); 16_384];
    let mut entries = RawDir::new(list, &mut list_buffer);
    let mut inodes = Vec::new();
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let Some(pid) = number(entry.file_name()) else {
            continue;
        };
        inodes.clear();
        let all = |inode| {
            inodes.push(inode);
            ControlFlow::Continue(())
        };
        match sockets_of(&proc, pid, all) {
            Ok(()) => {}
            // It ended while it was looked at.
            Err(rustix::io::Errno::NOENT | rustix::io::Errno::SRCH) => continue,
            Err(_) => {
                refused += 1;
                continue;
            }
        }
        let Some(seed) = (!inodes.is_empty()).then(|| seed(pid)).flatten() else {
            continue;
        };
        for inode in &inodes {
            if owners.len() >= MAX_SOCKETS && !owners.contains_key(inode) {
                past_limit += 1;
                continue;
            }
            owners
                .entry(*inode)
                .and_modify(|known| {
                    if rank(&seed) < rank(known) {
                        *known = seed;
                    }
                })
                .or_insert(seed);
        }
    }
    Ok(Owners {
        sockets: owners.into_iter().collect(),
        refused,
        past_limit,
    })
}

/// Less is preferred.
fn rank(seed: &OwnerSeed) -> (bool, u64, u32) {
    // systemd keeps a copy of each socket that it activates a service with, and is the oldest of all; yet
    // who serves is the other holder.
    let is_systemd = seed.comm.starts_with(b"systemd\0");
    (is_systemd, seed.start_ns, seed.tgid)
}

fn sockets_of(
    proc: &OwnedFd,
    pid: u32,
    mut each: impl FnMut(u64) -> ControlFlow<()>,
) -> Result<(), rustix::io::Errno> {
    let dir = openat(proc, format!("{pid}/fd"), dir_flags(), Mode::empty())?;
    let mut buffer = [MaybeUninit::uninit(); 4096];
    let mut target = [MaybeUninit::uninit(); 64];
    // A second descriptor, as the reader keeps the first for itself.
    let links = rustix::io::dup(&dir)?;
    let mut entries = RawDir::new(dir, &mut buffer);
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name();
        if number(name).is_none() {
            continue;
        }
        // A descriptor that was closed in the meantime has nothing to tell.
        if let Ok((link, _)) = readlinkat_raw(&links, name, &mut target)
            && let Some(inode) = socket_inode(link)
            && each(inode).is_break()
        {
            break;
        }
    }
    Ok(())
}

/// `socket:[4711]`
fn socket_inode(link: &[u8]) -> Option<u64> {
    let number = link.strip_prefix(b"socket:[")?.strip_suffix(b"]")?;
    std::str::from_utf8(number).ok()?.parse().ok()
}

/// Whether the process that was born then has not ended, and is not about to.
pub fn lives(pid: u32, start_ns: u64) -> bool {
    stat_of(pid).is_some_and(|(stat, _)| stat.start_ns == start_ns)
}

/// The same where the start is known to the nanosecond, as the kernel programs know it.
pub fn is_still(pid: u32, start_ns: u64) -> bool {
    lives(pid, start_ns - start_ns % NANOS_PER_TICK)
}

/// The process that started one, or took it on; none when either is gone.
pub fn parent_of(pid: u32) -> Option<u32> {
    let (stat, _) = stat_of(pid)?;
    Some(stat.parent).filter(|parent| *parent > 0)
}

fn stat_of(pid: u32) -> Option<(ProcessStat, [u8; 16])> {
    parse_stat(pid, &fs::read(format!("/proc/{pid}/stat")).ok()?)
}

fn seed(pid: u32) -> Option<OwnerSeed> {
    let (stat, comm) = stat_of(pid)?;
    Some(OwnerSeed {
        start_ns: stat.start_ns,
        comm,
        tgid: pid,
        pad: 0,
    })
}

/// Getting shut down (`include/linux/sched.h`): set before `sched_process_exit` tells of it.
const PF_EXITING: u32 = 0x4;

/// `4711 (name) S 1 ...`: the name may hold anything, also spaces and parentheses; the state is the 3rd field, the parent
/// the 4th, the flags the 9th, the number of threads the 20th, the start time the 22nd, the beginning of the stack the
/// 28th (proc_pid_stat(5)). None too of a process that has ended or is about to.
fn parse_stat(pid: u32, stat: &[u8]) -> Option<(ProcessStat, [u8; 16])> {
    let open = stat.iter().position(|byte| *byte == b'(')?;
    let close = stat.iter().rposition(|byte| *byte == b')')?;
    let name = stat.get(open + 1..close)?;
    let rest = std::str::from_utf8(stat.get(close + 1..)?).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    let flags: u32 = fields.nth(4)?.parse().ok()?;
    let threads: u64 = fields.nth(10)?.parse().ok()?;
    // It has ended, or is about to and its end was told. One whose first thread alone has ended has others.
    let ends = matches!(state, "Z" | "X") || flags & PF_EXITING != 0;
    if ends && threads <= 1 {
        return None;
    }
    let ticks: u64 = fields.nth(1)?.parse().ok()?;
    let start_stack = fields.nth(5).and_then(|field| field.parse().ok());
    let mut comm = [0; 16];
    let len = name.len().min(15);
    comm[..len].copy_from_slice(&name[..len]);
    let stat = ProcessStat {
        pid,
        parent,
        start_ns: ticks.saturating_mul(NANOS_PER_TICK),
        start_stack: start_stack.unwrap_or(0),
    };
    Some((stat, comm))
}

fn number(name: &CStr) -> Option<u32> {
    name.to_str().ok()?.parse().ok()
}

fn dir_flags() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, os::fd::AsRawFd as _};

    use super::*;

    fn seed_of(comm: &str, start_ns: u64, tgid: u32) -> OwnerSeed {
        let mut seed = OwnerSeed {
            start_ns,
            comm: [0; 16],
            tgid,
            pad: 0,
        };
        seed.comm[..comm.len()].copy_from_slice(comm.as_bytes());
        seed
    }

    #[test]
    fn a_name_may_hold_parentheses_and_spaces() {
        let stat = b"42 (a) b (c) S 1 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 12345 99 7 50 60 70 80 90 0\n";
        let parsed = ProcessStat {
            pid: 42,
            parent: 1,
            start_ns: 123_450_000_000,
            start_stack: 80,
        };
        let comm = seed_of("a) b (c", 0, 0).comm;
        assert_eq!(parse_stat(42, stat), Some((parsed, comm)));
        assert_eq!(parse_stat(42, b"42 (a S 1"), None);
        let ended =
            b"42 (a) Z 1 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 12345 99 7 50 60 70 80 90 0\n";
        assert_eq!(parse_stat(42, ended), None, "nobody took note of its end");
        let exiting =
            b"42 (a) R 1 42 42 0 -1 4194564 1 2 3 4 5 6 7 8 20 0 1 0 12345 99 7 50 60 70 80 90 0\n";
        assert_eq!(parse_stat(42, exiting), None, "it was told as ended");
        let others_run =
            b"42 (a) Z 1 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 3 0 12345 99 7 50 60 70 80 90 0\n";
        assert!(
            parse_stat(42, others_run).is_some(),
            "its first thread alone has ended"
        );
        assert_eq!(parse_stat(42, b"42 (a) S 1"), None);
        assert_eq!(parse_stat(42, b""), None);
    }

    #[test]
    fn only_sockets_have_an_inode() {
        assert_eq!(socket_inode(b"socket:[4711]"), Some(4711));
        assert_eq!(socket_inode(b"pipe:[4711]"), None);
        assert_eq!(socket_inode(b"socket:[]"), None);
        assert_eq!(socket_inode(b"/tmp/socket:[1]"), None);
    }

    #[test]
    fn the_oldest_holder_owns_it_but_systemd_yields() {
        let parent = seed_of("nginx", 10, 300);
        let worker = seed_of("nginx", 20, 200);
        let systemd = seed_of("systemd", 1, 1);
        assert!(rank(&parent) < rank(&worker));
        assert!(rank(&worker) < rank(&systemd));
    }

    #[test]
    fn the_first_that_is_wanted_ends_the_search() {
        let _sockets = [
            TcpListener::bind("127.0.0.1:0"),
            TcpListener::bind("127.0.0.1:0"),
        ];
        let looked = std::cell::Cell::new(0);
        let search = |any: bool| {
            looked.set(0);
            holds_any(std::process::id(), |_| {
                looked.set(looked.get() + 1);
                any
            })
            .unwrap()
        };
        assert!(search(true));
        assert_eq!(looked.get(), 1);
        assert!(!search(false));
        assert!(looked.get() >= 2);
    }

    #[test]
    fn an_own_listener_is_found() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let link = fs::read_link(format!("/proc/self/fd/{}", listener.as_raw_fd())).unwrap();
        let inode = socket_inode(link.as_os_str().as_encoded_bytes()).unwrap();
        let owners = scan().unwrap();
        let (_, seed) = owners
            .sockets
            .iter()
            .find(|(candidate, _)| *candidate == inode)
            .unwrap();
        assert_eq!(seed.tgid, std::process::id());
        assert!(seed.start_ns > 0);
        let comm = fs::read_to_string("/proc/self/comm").unwrap();
        assert!(seed.comm.starts_with(comm.trim_end().as_bytes()));
    }
}
