//! The network namespaces of this host, and who holds which socket: what `/proc` tells about the time
//! before the programs were attached. It knows nothing of TCP's states.

mod enter;
pub mod owners;
mod sockstat;

use std::{
    collections::HashSet,
    fmt,
    fs::{self, File},
    io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::fs::MetadataExt as _,
    },
    path::{Path, PathBuf},
};

use self::enter::Visit;
use crate::mounts;

/// Most namespaces that one scan opens: each costs a descriptor while it is held.
const MAX_NAMESPACES: usize = 4096;
/// Most refusals that are kept word for word; the rest is only counted.
const MAX_REFUSALS: usize = 64;

/// A network namespace. It exists at least as long as this value: drop it soon.
#[derive(Debug)]
pub struct Namespace {
    /// Inode number, as in `/proc/<pid>/ns/net`; the kernel reuses it.
    pub inum: u32,
    /// The kernel's cookie, never reused while the host is up.
    pub cookie: u64,
    /// The open namespace.
    pub file: OwnedFd,
    /// A process that lives in it; 0 when only a mount keeps it.
    pub pid: u32,
}

/// A namespace that may not be entered: what happens there before the attachment stays unknown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Where it was found: `process 4711 (nginx)` or a path.
    pub found_at: String,
    /// What the kernel answered.
    pub reason: String,
}

/// What one scan found.
#[derive(Debug, Default)]
pub struct Namespaces {
    /// Every namespace that can be entered, the own one first.
    pub found: Vec<Namespace>,
    /// Those that cannot, at most 64 of them.
    pub refused: Vec<Refusal>,
    /// Number of those that cannot, or that went past the limit of 4096.
    pub refused_count: usize,
}

/// Something that leads to a namespace.
struct Candidate {
    pid: u32,
    path: PathBuf,
}

impl Namespaces {
    /// Looks at every process and every bind mount. Blocking: some microseconds a process.
    /// Namespaces that only a thread, or only a dying socket, still uses are not seen.
    ///
    /// # Errors
    /// When `/proc` cannot be read at all.
    pub fn scan() -> io::Result<Self> {
        let mut scan = Scan::default();
        scan.processes()?;
        scan.mounts();
        let Scan {
            files,
            mut refusals,
            ..
        } = scan;

        let mut found = Vec::with_capacity(files.len());
        let (candidates, files): (Vec<_>, Vec<_>) = files.into_iter().unzip();
        for (candidate, visit) in candidates.into_iter().zip(enter::visit(files)) {
            match visit {
                Ok(Visit { inum, cookie, file }) => found.push(Namespace {
                    inum,
                    cookie,
                    file,
                    pid: candidate.pid,
                }),
                Err(error) => refusals.push((candidate, error)),
            }
        }
        Ok(Self {
            found,
            refused_count: refusals.len() + scan.past_limit,
            refused: refusals
                .into_iter()
                .take(MAX_REFUSALS)
                .map(|(candidate, error)| Refusal {
                    found_at: candidate.to_string(),
                    reason: error.to_string(),
                })
                .collect(),
        })
    }
}

impl Namespace {
    /// Number of mini-sockets (TIME_WAIT, both substates), from the namespace's `sockstat`.
    ///
    /// # Errors
    /// When the file cannot be read, or the namespace cannot be entered to do so.
    pub fn sockstat_time_wait(&self) -> io::Result<u64> {
        let text = match self.read_by_process() {
            Some(text) => text,
            None => enter::read(self.file.as_fd(), "/proc/thread-self/net/sockstat")?,
        };
        sockstat::time_wait(&text)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no field tw in sockstat"))
    }

    /// The namespace, to be lent to calls that take one.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Without entering, which needs no capability; `None` when the process is gone or has moved.
    fn read_by_process(&self) -> Option<String> {
        if self.pid == 0 {
            return None;
        }
        let text = fs::read_to_string(format!("/proc/{}/net/sockstat", self.pid)).ok()?;
        // Asked after the reading: the number may belong to another process by now.
        let inum = fs::metadata(format!("/proc/{}/ns/net", self.pid))
            .ok()?
            .ino();
        (inum == u64::from(self.inum)).then_some(text)
    }
}

impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.pid == 0 {
            return write!(f, "{}", self.path.display());
        }
        let comm = fs::read_to_string(format!("/proc/{}/comm", self.pid)).unwrap_or_default();
        write!(f, "process {} ({})", self.pid, comm.trim_end())
    }
}

/// One pass over `/proc`.
#[derive(Default)]
struct Scan {
    seen: HashSet<u64>,
    /// inode of `/proc/<pid>/net/sockstat` of namespaces already seen: it tells namespaces apart where
    /// the link itself may not be read.
    seen_by_file: HashSet<u64>,
    files: Vec<(Candidate, OwnedFd)>,
    refusals: Vec<(Candidate, io::Error)>,
    past_limit: usize,
}

impl Scan {
    fn processes(&mut self) -> io::Result<()> {
        let own = std::process::id();
        let mut unreadable = Vec::new();
        self.process(own, &mut unreadable);
        for entry in fs::read_dir("/proc")? {
            let Ok(entry) = entry else { continue };
            let pid = entry
                .file_name()
                .to_str()
                .and_then(|name| name.parse().ok());
            if let Some(pid) = pid
                && pid != own
            {
                self.process(pid, &mut unreadable);
            }
        }
        // Last, as by now every namespace that can be read is known by its files as well.
        for (pid, error) in unreadable {
            self.unreadable(pid, error);
        }
        Ok(())
    }

    fn process(&mut self, pid: u32, unreadable: &mut Vec<(u32, io::Error)>) {
        let path = PathBuf::from(format!("/proc/{pid}/ns/net"));
        match fs::metadata(&path) {
            Ok(link) if self.seen.insert(link.ino()) => {
                if let Ok(ino) = file_ino(pid) {
                    self.seen_by_file.insert(ino);
                }
                self.open(Candidate { pid, path });
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => unreadable.push((pid, error)),
        }
    }

    /// Its link may not be read, which asks for the rights of a debugger. Files of `/proc/<pid>/net` may,
    /// and each namespace has inodes of its own.
    fn unreadable(&mut self, pid: u32, error: io::Error) {
        if let Ok(ino) = file_ino(pid)
            && self.seen_by_file.insert(ino)
        {
            let path = PathBuf::from(format!("/proc/{pid}/ns/net"));
            self.refusals.push((Candidate { pid, path }, error));
        }
    }

    /// Bind mounts, such as those of `ip netns` and of container engines.
    fn mounts(&mut self) {
        // In a container that shares the host's processes, the host's own mounts are seen through process
        // 1; where that may not be read, the own ones must do.
        for (pid, root) in [("self", "/"), ("1", "/proc/1/root")] {
            for mount in mounts::of(pid).unwrap_or_default() {
                // The number is in the text: what is known need not be looked at, which may be denied.
                let Some(inum) = namespace_number(&mount.root).filter(|_| mount.fs_type == "nsfs")
                else {
                    continue;
                };
                if self.seen.insert(inum) {
                    let point = mount.point.strip_prefix("/").unwrap_or(&mount.point);
                    let path = Path::new(root).join(point);
                    self.open(Candidate { pid: 0, path });
                }
            }
        }
    }

    fn open(&mut self, candidate: Candidate) {
        if self.files.len() >= MAX_NAMESPACES {
            self.past_limit += 1;
            return;
        }
        match File::open(&candidate.path) {
            Ok(file) => self.files.push((candidate, file.into())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => self.refusals.push((candidate, error)),
        }
    }
}

/// `net:[4026532200]`
fn namespace_number(root: &str) -> Option<u64> {
    root.strip_prefix("net:[")?.strip_suffix(']')?.parse().ok()
}

fn file_ino(pid: u32) -> io::Result<u64> {
    Ok(fs::metadata(format!("/proc/{pid}/net/sockstat"))?.ino())
}

#[cfg(test)]
mod tests;
