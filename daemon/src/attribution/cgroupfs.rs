//! cgroup ids and paths, from the cgroup2 file system: which id belongs to which directory. It does not
//! know what a path means.
//!
//! An id is the inode number of the directory. A directory is learned as soon as it is made (inotify
//! on each directory that is known), so that the name is there even when the cgroup is gone before
//! its first record is read; what was missed is asked for by file handle, which needs
//! CAP_DAC_READ_SEARCH, and else found by another walk of the tree.

use std::{
    collections::HashMap,
    ffi::{CStr, OsStr},
    io,
    mem::MaybeUninit,
    os::{
        fd::{AsFd, AsRawFd, FromRawFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rustix::{
    fs::{self, AtFlags, FileType, Mode, OFlags, RawDir, inotify},
    io::Errno,
};

use crate::mounts;

/// Most directories that are watched: about 1 KiB of kernel memory each.
const MAX_WATCHES: usize = 8192;
/// Most directories that may wait to be read; what comes on top is found by the next walk.
const MAX_PENDING: usize = 65_536;
/// Least time between two walks of the whole tree.
const WALK_INTERVAL: Duration = Duration::from_secs(5);
/// `FILEID_KERNFS` of the kernel's `enum fid_type`: the handle is the 64-bit id.
const FILEID_KERNFS: i32 = 0xfe;

/// The cgroup2 tree of this host.
#[derive(Debug)]
pub(super) struct CgroupFs {
    root: PathBuf,
    root_dir: OwnedFd,
    root_id: u64,
    /// Turned off for good when the kernel or a missing capability refuses it.
    handles: bool,
    watcher: Option<OwnedFd>,
    /// Path of each watched directory, by watch descriptor.
    watched: HashMap<i32, PathBuf>,
    /// Directories whose children are still to be read.
    pending: Vec<PathBuf>,
    /// Not every directory is watched, so that only a walk finds what is new.
    blind: bool,
    walked_at: Option<Instant>,
}

/// What a look-up found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Resolved {
    /// The path, relative to the root.
    Path(String),
    /// The cgroup does not exist.
    Gone,
    /// It cannot be said without a walk of the tree.
    Unsure,
}

impl CgroupFs {
    /// Opens the tree at `root`, or where cgroup2 is mounted.
    ///
    /// # Errors
    /// When there is no cgroup2, or its root cannot be opened.
    pub(super) fn open(root: Option<&Path>) -> io::Result<Self> {
        let root = match root {
            Some(root) => root.to_owned(),
            None => find_root()?,
        };
        let root_dir = fs::open(&root, dir_flags(), Mode::empty())?;
        let root_id = fs::fstat(&root_dir)?.st_ino;
        let watcher =
            inotify::init(inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC).ok();
        Ok(Self {
            root,
            root_dir,
            root_id,
            handles: true,
            blind: watcher.is_none(),
            watcher,
            watched: HashMap::new(),
            pending: vec![PathBuf::new()],
            walked_at: Some(Instant::now()),
        })
    }

    /// Id of the root directory.
    pub(super) fn root_id(&self) -> u64 {
        self.root_id
    }

    /// Number of watched directories.
    pub(super) fn watches(&self) -> usize {
        self.watched.len()
    }

    /// Takes in what changed since the last call, for at most `budget`; tells `found` the id and the
    /// path of each directory that it comes across.
    pub(super) fn refresh(&mut self, budget: Duration, found: &mut dyn FnMut(u64, &str)) {
        let deadline = Instant::now() + budget;
        self.read_events(found);
        self.read_pending(deadline, found);
    }

    /// Walks the whole tree again if a walk could find more than [`CgroupFs::refresh`], and the last walk
    /// is long enough ago. Says whether it came to the end of the tree.
    pub(super) fn walk(&mut self, budget: Duration, found: &mut dyn FnMut(u64, &str)) -> bool {
        let due = self
            .walked_at
            .is_none_or(|at| at.elapsed() >= WALK_INTERVAL);
        if self.pending.is_empty() {
            if !self.blind {
                return true;
            }
            if !due {
                return false;
            }
            self.walked_at = Some(Instant::now());
            self.pending.push(PathBuf::new());
        }
        self.refresh(budget, found);
        self.pending.is_empty()
    }

    /// Asks the kernel for the path of `id`.
    pub(super) fn by_handle(&mut self, id: u64) -> Resolved {
        if !self.handles {
            return Resolved::Unsure;
        }
        match open_by_id(&self.root_dir, id).and_then(|dir| self.path_of(&dir)) {
            Ok(path) => Resolved::Path(path),
            Err(Errno::STALE | Errno::NOENT) => Resolved::Gone,
            Err(_) => {
                self.handles = false;
                Resolved::Unsure
            }
        }
    }

    fn path_of(&self, dir: &OwnedFd) -> Result<String, Errno> {
        let link = format!("/proc/self/fd/{}", dir.as_raw_fd());
        let target = fs::readlink(link, Vec::new())?;
        let target = Path::new(OsStr::from_bytes(target.as_bytes()));
        // A directory outside the mounted part has a path of its own, which is as good.
        let path = target.strip_prefix(&self.root).unwrap_or(target);
        Ok(path.to_string_lossy().into_owned())
    }

    // --- learning of directories ---

    fn read_events(&mut self, found: &mut dyn FnMut(u64, &str)) {
        let Some(watcher) = &self.watcher else {
            return;
        };
        let mut buffer = [MaybeUninit::uninit(); 8192];
        let mut reader = inotify::Reader::new(watcher.as_fd(), &mut buffer);
        while let Ok(event) = reader.next() {
            let kind = event.events();
            if kind.contains(inotify::ReadFlags::QUEUE_OVERFLOW) {
                // Something was made that was not told: read everything again.
                self.pending.push(PathBuf::new());
            } else if kind.contains(inotify::ReadFlags::IGNORED) {
                self.watched.remove(&event.wd());
            } else if let Some(name) = event.file_name()
                && kind.contains(inotify::ReadFlags::ISDIR)
                && let Some(parent) = self.watched.get(&event.wd())
            {
                let path = parent.join(OsStr::from_bytes(name.to_bytes()));
                if let Ok(stat) = fs::statat(&self.root_dir, &path, AtFlags::SYMLINK_NOFOLLOW) {
                    found(stat.st_ino, &path.to_string_lossy());
                    self.pending.push(path);
                }
            }
        }
    }

    fn read_pending(&mut self, deadline: Instant, found: &mut dyn FnMut(u64, &str)) {
        while let Some(path) = self.pending.pop() {
            // Watched first and read second: a child made in between is seen by both, never by neither.
            self.watch(&path);
            // A directory that is gone by now has nothing left to tell.
            let _gone = self.read_children(&path, found);
            if Instant::now() >= deadline {
                return;
            }
        }
    }

    fn watch(&mut self, path: &Path) {
        let Some(watcher) = &self.watcher else {
            return;
        };
        if self.watched.len() >= MAX_WATCHES {
            self.blind = true;
            return;
        }
        let flags = inotify::WatchFlags::CREATE
            | inotify::WatchFlags::ONLYDIR
            | inotify::WatchFlags::EXCL_UNLINK;
        match inotify::add_watch(watcher, self.root.join(path), flags) {
            Ok(wd) => {
                self.watched.insert(wd, path.to_owned());
            }
            Err(Errno::NOENT | Errno::NOTDIR) => {}
            Err(_) => self.blind = true,
        }
    }

    fn read_children(
        &mut self,
        path: &Path,
        found: &mut dyn FnMut(u64, &str),
    ) -> Result<(), Errno> {
        let here = if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            path
        };
        let dir = fs::openat(&self.root_dir, here, dir_flags(), Mode::empty())?;
        let mut buffer = [MaybeUninit::uninit(); 8192];
        let mut entries = RawDir::new(dir, &mut buffer);
        while let Some(entry) = entries.next() {
            let entry = entry?;
            if entry.file_type() != FileType::Directory || is_dots(entry.file_name()) {
                continue;
            }
            let child = path.join(OsStr::from_bytes(entry.file_name().to_bytes()));
            found(entry.ino(), &child.to_string_lossy());
            if self.pending.len() < MAX_PENDING {
                self.pending.push(child);
            } else {
                self.blind = true;
            }
        }
        Ok(())
    }
}

/// Where cgroup2 is mounted: the whole tree rather than a part, the shortest path first.
///
/// # Errors
/// When mountinfo cannot be read, or names no cgroup2.
pub(crate) fn find_root() -> io::Result<PathBuf> {
    mounts::of("self")?
        .into_iter()
        .filter(|mount| mount.fs_type == "cgroup2")
        .min_by_key(|mount| (mount.root != "/", mount.point.as_os_str().len()))
        .map(|mount| mount.point)
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no cgroup2 file system is mounted"))
}

fn dir_flags() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC
}

fn is_dots(name: &CStr) -> bool {
    matches!(name.to_bytes(), b"." | b"..")
}

/// `struct file_handle` with the eight bytes of a kernfs id.
#[repr(C)]
struct KernfsHandle {
    bytes: u32,
    kind: i32,
    id: [u8; 8],
}

fn open_by_id(mount: &OwnedFd, id: u64) -> Result<OwnedFd, Errno> {
    let mut handle = KernfsHandle {
        bytes: 8,
        kind: FILEID_KERNFS,
        id: id.to_ne_bytes(),
    };
    // SAFETY: the handle is laid out as `struct file_handle` and lives through the call, which reads as
    // many bytes behind the header as `bytes` says.
    let fd = unsafe {
        libc::open_by_handle_at(
            mount.as_raw_fd(),
            (&raw mut handle).cast(),
            libc::O_PATH | libc::O_CLOEXEC,
        )
    };
    if fd < 0 {
        return Err(Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::IO));
    }
    // SAFETY: the call has just returned this descriptor, and nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
