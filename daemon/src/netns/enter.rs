//! Work inside other network namespaces. It is done on a thread made for it, which enters and never
//! comes back: no thread of the daemon is ever left in the wrong namespace.

use std::{
    fs::{self, File},
    io,
    os::{
        fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd},
        unix::fs::MetadataExt as _,
    },
    thread,
};

use rustix::{
    net::{AddressFamily, SocketFlags, SocketType, socket_with},
    thread::{LinkNameSpaceType, move_into_link_name_space},
};

/// What was learned of a namespace by being inside.
pub(super) struct Visit {
    /// Inode number.
    pub(super) inum: u32,
    /// The kernel's cookie.
    pub(super) cookie: u64,
    /// The namespace, opened from inside.
    pub(super) file: OwnedFd,
}

/// Visits each namespace, in the same order.
pub(super) fn visit(namespaces: Vec<OwnedFd>) -> Vec<io::Result<Visit>> {
    let count = namespaces.len();
    on_a_thread(move || namespaces.into_iter().map(visit_one).collect()).unwrap_or_else(|error| {
        (0..count)
            .map(|_| Err(io::Error::new(error.kind(), error.to_string())))
            .collect()
    })
}

/// Reads a file as it looks inside the namespace.
pub(super) fn read(namespace: BorrowedFd<'_>, path: &str) -> io::Result<String> {
    on_a_thread(move || {
        enter(namespace)?;
        fs::read_to_string(path)
    })?
}

fn on_a_thread<T: Send>(work: impl FnOnce() -> T + Send) -> io::Result<T> {
    thread::scope(|scope| {
        thread::Builder::new()
            .name("netns".to_owned())
            .spawn_scoped(scope, work)?
            .join()
            .map_err(|_| io::Error::other("the thread for namespaces panicked"))
    })
}

fn enter(namespace: BorrowedFd<'_>) -> io::Result<()> {
    move_into_link_name_space(namespace, Some(LinkNameSpaceType::Network))?;
    Ok(())
}

/// What was opened at a bind mount keeps that mount busy for whoever wants to unmount it, so the
/// namespace is opened anew from inside and the first descriptor is closed at once.
fn visit_one(namespace: OwnedFd) -> io::Result<Visit> {
    enter_unless_there(namespace.as_fd())?;
    drop(namespace);
    let file = File::open("/proc/thread-self/ns/net")?;
    let inum = u32::try_from(file.metadata()?.ino())
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "not a namespace"))?;
    Ok(Visit {
        inum,
        cookie: cookie_here()?,
        file: file.into(),
    })
}

/// `SO_NETNS_COOKIE` (5.14) of a socket made here. A Unix socket will do, and loads no module.
fn cookie_here() -> io::Result<u64> {
    const SO_NETNS_COOKIE: libc::c_int = 71;

    let socket = socket_with(
        AddressFamily::UNIX,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        None,
    )?;
    let mut cookie = 0u64;
    let mut len = size_of::<u64>() as libc::socklen_t;
    // SAFETY: both pointers are to locals that live through the call, and `len` is the size of `cookie`.
    let status = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            SO_NETNS_COOKIE,
            (&raw mut cookie).cast(),
            &raw mut len,
        )
    };
    if status != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(cookie)
}

/// Entering needs CAP_SYS_ADMIN even where one already is, so the own namespace is not entered.
fn enter_unless_there(namespace: BorrowedFd<'_>) -> io::Result<()> {
    let here = rustix::fs::stat("/proc/thread-self/ns/net")?;
    let there = rustix::fs::fstat(namespace)?;
    if (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino) {
        return Ok(());
    }
    enter(namespace)
}
