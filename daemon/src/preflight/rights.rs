//! What this process may do: capabilities, user namespace, seccomp, and whether `bpf()` agrees.

use std::{fs, io};

use caps::{CapSet, Capability};

use super::{About, Check, Group, Status};

/// Inode number of the first user namespace (`PROC_USER_INIT_INO`), a constant of the kernel.
const FIRST_USER_NS: u64 = 0xefff_fffd;

/// Capabilities without which no program is loaded, and why.
const HARD: [(&str, Capability, &str); 2] = [
    (
        "cap-bpf",
        Capability::CAP_BPF,
        "loading the programs and their maps",
    ),
    (
        "cap-perfmon",
        Capability::CAP_PERFMON,
        "attaching the programs to tracepoints",
    ),
];

/// Capabilities whose lack costs something, and what.
const SOFT: [(&str, Capability, &str); 3] = [
    (
        "cap-sys-admin",
        Capability::CAP_SYS_ADMIN,
        "entering other network namespaces, to take in the sockets that were there before",
    ),
    (
        "cap-sys-ptrace",
        Capability::CAP_SYS_PTRACE,
        "seeing whose the sockets are that were there before",
    ),
    (
        "cap-dac-read-search",
        Capability::CAP_DAC_READ_SEARCH,
        "asking for a cgroup's name by its number; without it the tree is walked",
    ),
];

const fn about(name: &'static str, needed_for: &'static str) -> About {
    About {
        group: Group::Rights,
        name,
        needed_for,
    }
}

pub(super) fn checks() -> Vec<Check> {
    let rights = Rights::read();
    let mut checks = vec![rights.user_namespace()];
    for (name, capability, needed_for) in HARD {
        checks.push(rights.capability(about(name, needed_for), capability, Status::Fail));
    }
    checks.push(rights.seccomp());
    checks.push(rights.bpf(sys::bpf_unknown_command(), sys::bpf_load_raw_tracepoint));
    for (name, capability, needed_for) in SOFT {
        checks.push(rights.capability(about(name, needed_for), capability, Status::Warn));
    }
    checks
}

pub(super) fn capabilities() -> Vec<String> {
    let all = HARD.iter().chain(&SOFT);
    all.map(|(_, capability, _)| capability.to_string())
        .collect()
}

/// What the kernel says about this process.
#[derive(Debug, Default)]
struct Rights {
    uid: u32,
    effective: caps::CapsHashSet,
    permitted: caps::CapsHashSet,
    bounding: caps::CapsHashSet,
    /// `Seccomp` of `/proc/self/status`: 0 off, 1 strict, 2 filter.
    seccomp: u8,
    first_user_ns: bool,
}

impl Rights {
    fn read() -> Self {
        use std::os::unix::fs::MetadataExt as _;

        let set = |set| caps::read(None, set).unwrap_or_default();
        let user_ns = fs::metadata("/proc/self/ns/user").map(|link| link.ino());
        Self {
            uid: rustix::process::geteuid().as_raw(),
            effective: set(CapSet::Effective),
            permitted: set(CapSet::Permitted),
            bounding: set(CapSet::Bounding),
            seccomp: fs::read_to_string("/proc/self/status")
                .ok()
                .and_then(|status| seccomp_mode(&status))
                .unwrap_or(0),
            first_user_ns: user_ns.is_ok_and(|ino| ino == FIRST_USER_NS),
        }
    }

    fn user_namespace(&self) -> Check {
        let about = about("user-namespace", "capabilities that count for bpf()");
        if self.first_user_ns {
            about.ok(format!("the host's; running as uid {}", self.uid))
        } else {
            about.fail(
                "another than the host's (a rootless container?): its capabilities do not count",
                "run finwatch outside of user namespaces",
            )
        }
    }

    /// CAP_SYS_ADMIN contains CAP_BPF and CAP_PERFMON.
    fn has(&self, capability: Capability) -> bool {
        let contained = HARD.iter().any(|(_, hard, _)| *hard == capability);
        self.effective.contains(&capability)
            || (contained && self.effective.contains(&Capability::CAP_SYS_ADMIN))
    }

    fn capability(&self, about: About, capability: Capability, missing: Status) -> Check {
        if self.has(capability) {
            return about.ok("effective");
        }
        let (finding, remedy) = if self.permitted.contains(&capability) {
            (
                "permitted, but not effective",
                format!("raise {capability} before finwatch is started"),
            )
        } else if !self.bounding.contains(&capability) {
            (
                "missing, and not even in the bounding set: the container engine or the service manager took \
                 it away",
                format!(
                    "add {} to securityContext.capabilities.add or --cap-add, or {capability} to \
                     CapabilityBoundingSet= and AmbientCapabilities=",
                    short(capability)
                ),
            )
        } else {
            (
                "missing",
                format!(
                    "run as root, or give {capability} (systemd: AmbientCapabilities=, containers: --cap-add {})",
                    short(capability)
                ),
            )
        };
        about.check(missing, finding, remedy)
    }

    fn seccomp(&self) -> Check {
        let about = about("seccomp", "system calls that no filter refuses");
        match self.seccomp {
            0 => about.ok("no filter"),
            1 => about.fail("strict mode", "run finwatch without seccomp's strict mode"),
            // Whether it lets bpf() pass is what the next check finds out.
            _ => about.ok("a filter is installed"),
        }
    }

    /// `unknown` is the answer to a command that does not exist: who may use bpf() gets EINVAL.
    fn bpf(&self, unknown: io::Error, load: impl FnOnce() -> io::Result<()>) -> Check {
        let about = about("bpf-syscall", "loading the programs");
        let allowed = HARD.iter().all(|(_, capability, _)| self.has(*capability));
        let blocked = match unknown.raw_os_error() {
            Some(libc::EINVAL) => None,
            _ => Some(unknown),
        };
        if let Some(error) = blocked {
            return self.refused(about, &error, allowed);
        }
        match load() {
            Ok(()) => about.ok("a program was loaded, and freed"),
            Err(error) => self.refused(about, &error, allowed),
        }
    }

    fn refused(&self, about: About, error: &io::Error, allowed: bool) -> Check {
        match error.raw_os_error() {
            Some(libc::ENOSYS) => about.fail(
                "the system call does not exist here",
                "boot a kernel built with CONFIG_BPF_SYSCALL=y; in a sandbox such as gVisor finwatch \
                 cannot run",
            ),
            Some(libc::EPERM | libc::EACCES) if !allowed || !self.first_user_ns => about.fail(
                if self.seccomp == 0 {
                    "refused, as a capability is missing"
                } else {
                    "refused, as a capability is missing; whether the seccomp filter would let it pass is \
                     seen when it is there"
                },
                "see the capabilities and the user namespace above",
            ),
            Some(libc::EPERM | libc::EACCES) if self.seccomp != 0 => about.fail(
                "the capabilities are there: the seccomp filter refuses it",
                "allow bpf() in the seccomp profile (RuntimeDefault does so when CAP_BPF is given; \
                 systemd: SystemCallFilter=bpf)",
            ),
            Some(libc::EPERM | libc::EACCES) => about.fail(
                "the capabilities are there and no seccomp filter is: a security module refuses it",
                "look for denials of SELinux, AppArmor or BPF LSM in the kernel's log",
            ),
            _ => about.fail(
                format!("it fails: {error}"),
                "report the kernel and this line to finwatch",
            ),
        }
    }
}

/// `CAP_BPF` as container engines write it: `BPF`.
fn short(capability: Capability) -> String {
    let name = capability.to_string();
    name.trim_start_matches("CAP_").to_owned()
}

fn seccomp_mode(status: &str) -> Option<u8> {
    let value = status
        .lines()
        .find_map(|line| line.strip_prefix("Seccomp:"))?;
    value.trim().parse().ok()
}

/// The two calls of `bpf()` that tell who refuses it.
mod sys {
    use std::{
        io,
        os::fd::{FromRawFd as _, OwnedFd},
    };

    /// `struct bpf_insn` of `r0 = 0` and `exit`.
    const PROGRAM: [u64; 2] = [0x0000_0000_0000_00b7, 0x0000_0000_0000_0095];
    const BPF_PROG_LOAD: libc::c_long = 5;
    const BPF_PROG_TYPE_RAW_TRACEPOINT: u32 = 17;

    /// The beginning of `union bpf_attr` for BPF_PROG_LOAD.
    #[repr(C)]
    #[derive(Default)]
    struct LoadAttr {
        prog_type: u32,
        insn_cnt: u32,
        insns: u64,
        license: u64,
        log_level: u32,
        log_size: u32,
        log_buf: u64,
        kern_version: u32,
        prog_flags: u32,
    }

    /// What the kernel, or who stands before it, says to a command that does not exist.
    pub(super) fn bpf_unknown_command() -> io::Error {
        let attr = LoadAttr::default();
        match bpf(libc::c_long::from(i32::MAX), &attr) {
            Ok(_) => io::Error::other("an unknown command was accepted"),
            Err(error) => error,
        }
    }

    /// Loads a program that does nothing, of a type that needs both capabilities, and frees it.
    pub(super) fn bpf_load_raw_tracepoint() -> io::Result<()> {
        let attr = LoadAttr {
            prog_type: BPF_PROG_TYPE_RAW_TRACEPOINT,
            insn_cnt: PROGRAM.len() as u32,
            insns: PROGRAM.as_ptr().addr() as u64,
            license: c"Dual MIT/GPL".as_ptr().addr() as u64,
            ..LoadAttr::default()
        };
        let fd = bpf(BPF_PROG_LOAD, &attr)?;
        // SAFETY: the call has just returned this descriptor, and nobody else owns it.
        drop(unsafe { OwnedFd::from_raw_fd(fd) });
        Ok(())
    }

    fn bpf(command: libc::c_long, attr: &LoadAttr) -> io::Result<i32> {
        // SAFETY: `attr` lives through the call, which reads as many bytes of it as the size says; the
        // addresses inside it, where there are any, point to constants.
        let result = unsafe {
            libc::syscall(
                libc::SYS_bpf,
                command,
                std::ptr::from_ref(attr),
                size_of::<LoadAttr>(),
            )
        };
        match i32::try_from(result) {
            Ok(fd) if fd >= 0 => Ok(fd),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(effective: &[Capability], seccomp: u8) -> Rights {
        let all = caps::all();
        Rights {
            effective: effective.iter().copied().collect(),
            bounding: all,
            seccomp,
            first_user_ns: true,
            ..Rights::default()
        }
    }

    fn bpf(rights: &Rights, unknown: i32, load: Result<(), i32>) -> Check {
        let load = || load.map_err(io::Error::from_raw_os_error);
        rights.bpf(io::Error::from_raw_os_error(unknown), load)
    }

    const BOTH: [Capability; 2] = [Capability::CAP_BPF, Capability::CAP_PERFMON];

    #[test]
    fn who_refuses_bpf_is_told_apart() {
        let eperm = Err(libc::EPERM);
        for (rights, unknown, load, want) in [
            (
                with(&BOTH, 2),
                libc::EPERM,
                Ok(()),
                "seccomp filter refuses",
            ),
            (
                with(&BOTH, 2),
                libc::EINVAL,
                eperm,
                "seccomp filter refuses",
            ),
            (with(&BOTH, 0), libc::EINVAL, eperm, "security module"),
            (with(&[], 0), libc::EPERM, Ok(()), "capability is missing"),
            (
                with(&[], 2),
                libc::EPERM,
                Ok(()),
                "is seen when it is there",
            ),
            (
                with(&BOTH[..1], 0),
                libc::EINVAL,
                eperm,
                "capability is missing",
            ),
            (with(&BOTH, 0), libc::ENOSYS, Ok(()), "does not exist"),
            (with(&BOTH, 0), libc::EINVAL, Err(libc::ENOMEM), "it fails"),
        ] {
            let check = bpf(&rights, unknown, load);
            assert_eq!(check.status, Status::Fail);
            assert!(check.finding.contains(want), "{} / {want}", check.finding);
        }
        let rights = with(&[Capability::CAP_SYS_ADMIN], 2);
        assert_eq!(bpf(&rights, libc::EINVAL, Ok(())).status, Status::Ok);
    }

    #[test]
    fn a_capability_is_effective_or_the_finding_says_where_it_stops() {
        let about = about("cap-bpf", "x");
        let check = |rights: &Rights| {
            let check = rights.capability(about, Capability::CAP_BPF, Status::Fail);
            (check.status, check.finding)
        };
        assert_eq!(check(&with(&BOTH, 0)).0, Status::Ok);
        let mut rights = with(&[], 0);
        assert_eq!(check(&rights), (Status::Fail, "missing".to_owned()));
        rights.bounding.remove(&Capability::CAP_BPF);
        assert!(check(&rights).1.contains("bounding"));
        rights.permitted.insert(Capability::CAP_BPF);
        assert!(check(&rights).1.contains("not effective"));
    }

    #[test]
    fn only_the_first_user_namespace_counts() {
        let mut rights = with(&BOTH, 0);
        assert_eq!(rights.user_namespace().status, Status::Ok);
        rights.first_user_ns = false;
        assert_eq!(rights.user_namespace().status, Status::Fail);
        let check = bpf(&rights, libc::EPERM, Ok(()));
        assert!(check.finding.contains("capability is missing"));
    }

    #[test]
    fn the_seccomp_line() {
        assert_eq!(
            seccomp_mode("Name:\tx\nSeccomp:\t2\nSeccomp_filters:\t1\n"),
            Some(2)
        );
        assert_eq!(seccomp_mode("Name:\tx\n"), None);
    }
}
