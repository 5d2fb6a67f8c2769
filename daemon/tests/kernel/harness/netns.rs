//! A network namespace of a test's own. The test runs on a thread that lives in it; it dies with the
//! thread, its children and its sockets.

use std::{
    ffi::CString,
    fs, io, mem,
    os::fd::{AsRawFd, OwnedFd},
    panic,
    process::Command,
    thread,
};

use rustix::net::{AddressFamily, SocketType, socket};

use super::wait::with_an_end;

/// The namespace of the calling thread.
pub(crate) struct Netns {
    cookie: u64,
}

impl Netns {
    /// Runs `body` on a thread in a new namespace whose loopback device is up.
    pub(crate) fn run<R: Send>(body: impl FnOnce(&Self) -> R + Send) -> R {
        thread::scope(|scope| {
            let thread = scope.spawn(|| with_an_end(|| body(&Self::enter_new())));
            match thread.join() {
                Ok(result) => result,
                Err(panic) => panic::resume_unwind(panic),
            }
        })
    }

    /// What the kernel calls it (`net->net_cookie`); never used again while the host is up.
    pub(crate) fn cookie(&self) -> u64 {
        self.cookie
    }

    /// Sets a sysctl of this namespace, such as `ipv4/tcp_fin_timeout`.
    pub(crate) fn sysctl(&self, name: &str, value: impl ToString) {
        let path = format!("/proc/sys/net/{name}");
        fs::write(&path, value.to_string()).unwrap_or_else(|e| panic!("write {path}: {e}"));
    }

    fn enter_new() -> Self {
        // SAFETY: no memory is involved; only the calling thread changes its namespace.
        let result = unsafe { libc::unshare(libc::CLONE_NEWNET) };
        assert!(
            result == 0,
            "create a network namespace: {}; the kernel tier needs root",
            io::Error::last_os_error()
        );
        let any = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        interface_up(&any, "lo");
        acknowledge_at_once();
        Self {
            cookie: netns_cookie(&any),
        }
    }
}

/// Brings a network device up; `any` is any socket of the namespace.
pub(crate) fn interface_up(any: &OwnedFd, name: &str) {
    // SAFETY: `ifreq` is plain data for which zeros are a value.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from.cast_signed();
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: the request is the `ifreq` that SIOCSIFFLAGS reads.
    let result = unsafe { libc::ioctl(any.as_raw_fd(), libc::SIOCSIFFLAGS as _, &request) };
    assert!(
        result == 0,
        "bring {name} up: {}",
        io::Error::last_os_error()
    );
}

/// Has every segment acknowledged at once, over IPv4. A delayed ACK is sent by a timer, and what it does to the peer's socket
/// happens on top of whatever task the timer interrupts. Hardened guest kernels hide tasks of their own from all
/// tracepoints' programs: then one would miss a close about once in a thousand (see `super::hidden`).
fn acknowledge_at_once() {
    for range in ["127.0.0.0/8", "127.0.0.1"] {
        let route = ["local", range, "dev", "lo", "table", "local"];
        let as_it_was = ["proto", "kernel", "scope", "host", "src", "127.0.0.1"];
        let status = Command::new("ip")
            .args(["route", "change"])
            .args(route)
            .args(as_it_was)
            .args(["quickack", "1"])
            .status()
            .expect("iproute2 is installed");
        assert!(status.success(), "change the route of {range}: {status}");
    }
}

/// Lets every CPU take segments of the loopback device (receive packet steering), whoever sent them.
pub(crate) fn spread_loopback() {
    let cpus = thread::available_parallelism().unwrap().get();
    let mask = format!("{:x}", (1u64 << cpus.min(63)) - 1);
    // What sysfs shows of network devices is the namespace of the thread that mounted it.
    let at = std::env::temp_dir().join(format!("finwatch-sysfs-{}", std::process::id()));
    fs::create_dir_all(&at).unwrap();
    let path = CString::new(at.to_str().unwrap()).unwrap();
    // SAFETY: every string ends with NUL; only this thread's view of the mounts changes.
    unsafe {
        assert_eq!(libc::unshare(libc::CLONE_NEWNS), 0, "unshare the mounts");
        let (none, root) = (std::ptr::null(), c"/".as_ptr());
        let private = libc::MS_REC | libc::MS_PRIVATE;
        assert_eq!(libc::mount(none, root, none, private, none.cast()), 0);
        let sysfs = c"sysfs".as_ptr();
        let result = libc::mount(sysfs, path.as_ptr(), sysfs, 0, none.cast());
        assert_eq!(result, 0, "mount sysfs: {}", io::Error::last_os_error());
    }
    fs::write(at.join("class/net/lo/queues/rx-0/rps_cpus"), mask).unwrap();
    // SAFETY: as above.
    unsafe { libc::umount2(path.as_ptr(), libc::MNT_DETACH) };
    fs::remove_dir(&at).unwrap();
}

fn netns_cookie(any: &OwnedFd) -> u64 {
    const SO_NETNS_COOKIE: libc::c_int = 71;
    let mut cookie = 0u64;
    let mut size = size_of::<u64>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `size` bytes to `cookie`.
    let result = unsafe {
        libc::getsockopt(
            any.as_raw_fd(),
            libc::SOL_SOCKET,
            SO_NETNS_COOKIE,
            (&raw mut cookie).cast(),
            &raw mut size,
        )
    };
    assert!(
        result == 0,
        "read the namespace's cookie: {}",
        io::Error::last_os_error()
    );
    cookie
}
