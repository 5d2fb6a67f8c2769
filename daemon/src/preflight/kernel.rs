//! The running kernel: its version, its type information, its switches.

use std::{collections::HashSet, fs, io};

use super::{About, Check, Group, btf};

/// Oldest kernel that has what the programs use.
const FLOOR: (u32, u32) = (5, 15);
const BTF_PATH: &str = "/sys/kernel/btf/vmlinux";
/// In BTF, a tracepoint that programs can attach to is a typedef with this prefix.
const TRACEPOINTS: [&str; 9] = [
    "btf_trace_inet_sock_set_state",
    "btf_trace_tcp_send_reset",
    "btf_trace_tcp_receive_reset",
    "btf_trace_tcp_destroy_sock",
    "btf_trace_tcp_rcv_space_adjust",
    "btf_trace_signal_generate",
    "btf_trace_sched_process_fork",
    "btf_trace_sched_process_exec",
    "btf_trace_sched_process_exit",
];
const RESET_REASONS: &str = "sk_rst_reason";
/// Room that a socket needs for its record, and that other users of the same allowance need as well.
const OPTMEM_FLOOR: u64 = 4096;

const fn about(name: &'static str, needed_for: &'static str) -> About {
    About {
        group: Group::Kernel,
        name,
        needed_for,
    }
}

pub(super) fn checks() -> Vec<Check> {
    let mut checks = vec![version(&release())];
    checks.extend(btf_checks(fs::read(BTF_PATH)));
    checks.push(lockdown(fs::read_to_string(
        "/sys/kernel/security/lockdown",
    )));
    checks.push(jit(sysctl("net/core/bpf_jit_enable")));
    checks.push(optmem(sysctl("net/core/optmem_max")));
    checks.push(stats(sysctl("kernel/bpf_stats_enabled")));
    checks
}

/// The kernel's release, such as `6.1.0-28-amd64`.
fn release() -> String {
    rustix::system::uname()
        .release()
        .to_string_lossy()
        .into_owned()
}

fn sysctl(path: &str) -> io::Result<u64> {
    let text = fs::read_to_string(format!("/proc/sys/{path}"))?;
    text.trim()
        .parse()
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

fn version(release: &str) -> Check {
    let about = about(
        "kernel-version",
        "per-socket records that an accepted connection inherits",
    );
    let (major, minor) = FLOOR;
    match parse_version(release) {
        Some(version) if version >= FLOOR => {
            about.ok(format!("{release}, at least {major}.{minor} is needed"))
        }
        Some(_) => about.fail(
            format!("{release} is older than {major}.{minor}"),
            format!("boot a kernel of {major}.{minor} or later"),
        ),
        None => about.warn(
            format!("{release:?} is no version that finwatch can read"),
            format!("make sure that the kernel is not older than {major}.{minor}"),
        ),
    }
}

fn parse_version(release: &str) -> Option<(u32, u32)> {
    let (major, rest) = release.split_once('.')?;
    let end = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    Some((major.parse().ok()?, rest[..end].parse().ok()?))
}

fn btf_checks(btf: io::Result<Vec<u8>>) -> Vec<Check> {
    let present = about(
        "btf",
        "where the fields of the kernel's structures are, on this very kernel",
    );
    let bytes = match btf {
        Ok(bytes) => bytes,
        Err(error) => {
            let remedy = match error.kind() {
                io::ErrorKind::NotFound => {
                    "boot a kernel built with CONFIG_DEBUG_INFO_BTF=y (those of the distributions are); in \
                     a container, mount the host's /sys"
                }
                _ => "make /sys/kernel/btf/vmlinux readable to finwatch",
            };
            return vec![present.fail(format!("cannot read {BTF_PATH}: {error}"), remedy)];
        }
    };
    let mut wanted = TRACEPOINTS.to_vec();
    wanted.push(RESET_REASONS);
    let Some(names) = btf::names_in(&bytes, &wanted) else {
        return vec![present.fail(
            format!("{BTF_PATH} holds no type information"),
            "report the kernel and its version to finwatch",
        )];
    };
    vec![
        present.ok(format!("{BTF_PATH}, {} KiB", bytes.len() / 1024)),
        tracepoints(&names),
        reset_reasons(&names),
    ]
}

fn tracepoints(names: &HashSet<&str>) -> Check {
    let about = about(
        "tracepoints",
        "the events themselves: state changes, resets, reads",
    );
    let missing: Vec<_> = TRACEPOINTS
        .iter()
        .filter(|name| !names.contains(*name))
        .map(|name| name.trim_start_matches("btf_trace_"))
        .collect();
    if missing.is_empty() {
        about.ok(format!("all {} are there", TRACEPOINTS.len()))
    } else {
        about.fail(
            format!("the kernel has no {}", missing.join(", ")),
            "boot a kernel built with CONFIG_TRACEPOINTS=y and CONFIG_INET=y",
        )
    }
}

fn reset_reasons(names: &HashSet<&str>) -> Check {
    let about = about(
        "reset-reasons",
        "the reason of each RST; refused SYNs, and RSTs that a mini-socket sends",
    );
    if names.contains(RESET_REASONS) {
        about.ok("the kernel tells the reason of an RST")
    } else {
        about.warn(
            "the kernel is older than 6.10 in this: reasons are inferred, refused SYNs and RSTs from \
             TIME_WAIT mini-sockets are not counted",
            "boot a kernel of 6.10 or later",
        )
    }
}

/// `[none] integrity confidentiality`: the brackets mark what is on.
fn lockdown(text: io::Result<String>) -> Check {
    let about = about("lockdown", "reading the fields of sockets in kernel memory");
    let text = match text {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return about.ok("not in this kernel, or securityfs is not mounted here");
        }
        Err(error) => {
            return about.warn(
                format!("cannot read /sys/kernel/security/lockdown: {error}"),
                "make sure that lockdown is not in mode confidentiality",
            );
        }
    };
    let mode = text
        .split_once('[')
        .and_then(|(_, rest)| rest.split_once(']'))
        .map_or("unknown", |(mode, _)| mode);
    if mode == "confidentiality" {
        about.fail(
            "mode confidentiality forbids it",
            "boot with lockdown=integrity or lockdown=none",
        )
    } else {
        about.ok(format!("mode {mode}"))
    }
}

fn jit(value: io::Result<u64>) -> Check {
    let about = about("bpf-jit", "the programs' speed");
    match value {
        Ok(0) => about.warn(
            "the programs would be interpreted: several times slower",
            "sysctl -w net.core.bpf_jit_enable=1",
        ),
        Ok(_) => about.ok("on"),
        // The switch is shown in the host's network namespace only.
        Err(_) => about.ok("cannot be told from this network namespace"),
    }
}

fn optmem(value: io::Result<u64>) -> Check {
    let about = about(
        "optmem-max",
        "room for a record in each socket; without it the connection is not accounted for",
    );
    match value {
        Ok(bytes) if bytes < OPTMEM_FLOOR => about.warn(
            format!("net.core.optmem_max is {bytes} bytes"),
            "sysctl -w net.core.optmem_max=20480",
        ),
        Ok(bytes) => about.ok(format!("net.core.optmem_max is {bytes} bytes")),
        Err(_) => about.ok("cannot be told from this network namespace"),
    }
}

fn stats(value: io::Result<u64>) -> Check {
    let about = about(
        "bpf-stats",
        "run counts and run times of the programs; costs about 70 ns a run",
    );
    match value {
        Ok(0) => about.ok("off, as usual: finwatch_probe_runs_total stays at zero"),
        Ok(_) => about.ok("on (kernel.bpf_stats_enabled)"),
        Err(error) => about.ok(format!("cannot be told: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preflight::Status;

    fn not_found<T>() -> io::Result<T> {
        Err(io::ErrorKind::NotFound.into())
    }

    #[test]
    fn versions() {
        for (release, status) in [
            ("6.18.44-fc-v669", Status::Ok),
            ("5.15.0", Status::Ok),
            ("5.14.21-150500", Status::Fail),
            ("4.18.0-553.el8", Status::Fail),
            ("6.1-rc3", Status::Ok),
            ("7", Status::Warn),
            ("", Status::Warn),
        ] {
            assert_eq!(version(release).status, status, "{release}");
        }
    }

    #[test]
    fn lockdown_modes() {
        let with = |text: &str| lockdown(Ok(text.to_owned())).status;
        assert_eq!(with("[none] integrity confidentiality\n"), Status::Ok);
        assert_eq!(with("none [integrity] confidentiality\n"), Status::Ok);
        assert_eq!(with("none integrity [confidentiality]\n"), Status::Fail);
        assert_eq!(lockdown(not_found()).status, Status::Ok);
        let denied = Err(io::ErrorKind::PermissionDenied.into());
        assert_eq!(lockdown(denied).status, Status::Warn);
    }

    #[test]
    fn a_missing_tracepoint_is_named() {
        let mut names: HashSet<&str> = TRACEPOINTS.into();
        assert_eq!(tracepoints(&names).status, Status::Ok);
        names.remove("btf_trace_tcp_send_reset");
        let check = tracepoints(&names);
        assert_eq!(check.status, Status::Fail);
        assert_eq!(check.finding, "the kernel has no tcp_send_reset");
        assert_eq!(reset_reasons(&names).status, Status::Warn);
        names.insert(RESET_REASONS);
        assert_eq!(reset_reasons(&names).status, Status::Ok);
    }

    #[test]
    fn without_btf_nothing_else_is_claimed() {
        let checks = btf_checks(not_found());
        assert_eq!(checks.len(), 1);
        assert_eq!(checks[0].status, Status::Fail);
        assert_eq!(btf_checks(Ok(vec![0; 64])).len(), 1);
    }

    #[test]
    fn switches() {
        assert_eq!(jit(Ok(0)).status, Status::Warn);
        assert_eq!(jit(Ok(1)).status, Status::Ok);
        assert_eq!(optmem(Ok(1024)).status, Status::Warn);
        assert_eq!(optmem(Ok(131_072)).status, Status::Ok);
    }
}
