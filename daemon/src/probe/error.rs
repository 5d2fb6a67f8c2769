//! Why the programs could not be loaded: each names the missing thing and its remedy.

use std::io;

use aya::{EbpfError, maps::MapError, programs::ProgramError};

use super::btf::BtfError;

/// Why the programs could not be loaded.
#[derive(Debug, thiserror::Error)]
#[expect(
    private_interfaces,
    reason = "callers show the error and its sources; none takes them apart"
)]
pub enum ProbeError {
    /// There is no usable BTF.
    #[error(
        "the kernel shows no type information (BTF): finwatch needs Linux 5.15 or later built with \
         CONFIG_DEBUG_INFO_BTF, and /sys/kernel/btf/vmlinux readable"
    )]
    Btf(#[source] BtfError),
    /// A structure member is not where every kernel of the floor has it.
    #[error(
        "the running kernel has no {path}: finwatch needs Linux 5.15 or later; please report `uname -r`"
    )]
    Field {
        /// Path in BTF.
        path: &'static str,
    },
    /// A structure member has an unknown size.
    #[error(
        "the running kernel's {path} has {got} bytes, expected {want}: please report `uname -r`"
    )]
    FieldSize {
        /// Path in BTF.
        path: &'static str,
        /// Expected size in bytes.
        want: u32,
        /// Size in bytes.
        got: u32,
    },
    /// A tracepoint is missing.
    #[error("the running kernel has no tracepoint {name}: finwatch needs Linux 5.15 or later")]
    Tracepoint {
        /// Name of the tracepoint.
        name: &'static str,
    },
    /// The process lacks capabilities.
    #[error(
        "not allowed to {what}: the process lacks {missing}; run as root, or grant the capabilities \
         (systemd: AmbientCapabilities=, Kubernetes: securityContext.capabilities.add)"
    )]
    Capability {
        /// What was tried.
        what: &'static str,
        /// Names of the capabilities.
        missing: String,
    },
    /// bpf() is refused although the capabilities are there.
    #[error(
        "not allowed to {what} although the capabilities are there: a seccomp filter, lockdown \
         (/sys/kernel/security/lockdown) or a security module refuses bpf(); allow bpf() in the seccomp \
         profile, or boot without lockdown=confidentiality"
    )]
    Refused {
        /// What was tried.
        what: &'static str,
        /// What the kernel answered.
        #[source]
        source: io::Error,
    },
    /// The object could not be loaded.
    #[error("cannot create the maps of the kernel programs")]
    Object(#[source] EbpfError),
    /// A program was refused.
    #[error("cannot {what} the kernel program {name}")]
    Program {
        /// What was tried.
        what: &'static str,
        /// Name of the program.
        name: &'static str,
        /// What the kernel answered.
        #[source]
        source: ProgramError,
    },
    /// The object lacks something that this version of finwatch expects in it.
    #[error(
        "the embedded kernel object lacks {name}: finwatch was built with an object of another version"
    )]
    Missing {
        /// Name of the program or map.
        name: &'static str,
    },
    /// A map could not be used.
    #[error("cannot use the map {name}")]
    Map {
        /// Name of the map.
        name: &'static str,
        /// What the kernel answered.
        #[source]
        source: MapError,
    },
    /// The counter maps could not be set up.
    #[error("cannot set up the counters")]
    Counters(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The kernel's figures about a program or map could not be had.
    #[error("cannot read /proc/self/fdinfo of {name}")]
    Figures {
        /// Name of the program or map.
        name: &'static str,
        /// What the kernel answered.
        #[source]
        source: io::Error,
    },
}

/// Tells a missing capability from a filter that refuses bpf().
pub(super) fn refused(what: &'static str, source: io::Error) -> Option<ProbeError> {
    // The verifier refuses a program with EACCES: that is another matter.
    if source.raw_os_error() != Some(libc::EPERM) {
        return None;
    }
    let missing = missing_capabilities();
    Some(if missing.is_empty() {
        ProbeError::Refused { what, source }
    } else {
        ProbeError::Capability {
            what,
            missing: missing.join(" and "),
        }
    })
}

fn missing_capabilities() -> Vec<&'static str> {
    use caps::{CapSet, Capability};

    let has = |capability| caps::has_cap(None, CapSet::Effective, capability).unwrap_or(false);
    if has(Capability::CAP_SYS_ADMIN) {
        return Vec::new();
    }
    [
        (Capability::CAP_BPF, "CAP_BPF"),
        (Capability::CAP_PERFMON, "CAP_PERFMON"),
    ]
    .into_iter()
    .filter(|(capability, _)| !has(*capability))
    .map(|(_, name)| name)
    .collect()
}
