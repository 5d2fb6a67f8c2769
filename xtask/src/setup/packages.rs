//! The Debian packages that are wanted as programs on `PATH`, and what each is for.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::Scope;
use super::apt::Apt;
use crate::shell::{self, say, which};

struct Want {
    program: &'static str,
    package: &'static str,
    scope: Scope,
    why: &'static str,
}

const WANTED: &[Want] = &[
    Want {
        program: "cc",
        package: "gcc",
        scope: Scope::Build,
        why: "rustc links with the system's C compiler",
    },
    Want {
        program: "ip",
        package: "iproute2",
        scope: Scope::Test,
        why: "network namespaces of the kernel tier",
    },
    Want {
        program: "ss",
        package: "iproute2",
        scope: Scope::Test,
        why: "a second opinion on sockets",
    },
    Want {
        program: "nginx",
        package: "nginx-light",
        scope: Scope::Test,
        why: "a real server to stop and reload",
    },
    Want {
        program: "wrk",
        package: "wrk",
        scope: Scope::Test,
        why: "load on the real server",
    },
    Want {
        program: "prometheus",
        package: "prometheus",
        scope: Scope::Test,
        why: "scrapes finwatch and runs every query of the dashboard and the rules; promtool comes with it",
    },
    Want {
        program: "setpriv",
        package: "util-linux",
        scope: Scope::Test,
        why: "runs the daemon with exactly the manifests' capabilities",
    },
    Want {
        program: "tcpdump",
        package: "tcpdump",
        scope: Scope::Test,
        why: "what really passed on the wire",
    },
    Want {
        program: "openssl",
        package: "openssl",
        scope: Scope::Test,
        why: "certificates and TLS peers",
    },
    Want {
        program: "curl",
        package: "curl",
        scope: Scope::Test,
        why: "the recipes of the guides",
    },
    Want {
        program: "gunicorn",
        package: "gunicorn",
        scope: Scope::Test,
        why: "a real server to stop and reload",
    },
    Want {
        program: "haproxy",
        package: "haproxy",
        scope: Scope::Test,
        why: "a real server to stop",
    },
    Want {
        program: "rsyslogd",
        package: "rsyslog",
        scope: Scope::Test,
        why: "a real server that answers nothing, to stop",
    },
    Want {
        program: "sshd",
        package: "openssh-server",
        scope: Scope::Test,
        why: "a real server whose sessions outlive it",
    },
    Want {
        program: "ssh",
        package: "openssh-client",
        scope: Scope::Test,
        why: "users of such sessions",
    },
    Want {
        program: "varnishd",
        package: "varnish",
        scope: Scope::Test,
        why: "a real proxy to stop",
    },
    Want {
        program: "caddy",
        package: "caddy",
        scope: Scope::Test,
        why: "a real proxy that is reloaded without a signal",
    },
    Want {
        program: "apache2",
        package: "apache2-bin",
        scope: Scope::Test,
        why: "a real server to stop and reload",
    },
    Want {
        program: "uwsgi_python3",
        package: "uwsgi-plugin-python3",
        scope: Scope::Test,
        why: "a real server to stop",
    },
    Want {
        program: "uvicorn",
        package: "uvicorn",
        scope: Scope::Test,
        why: "a real server to stop",
    },
    Want {
        program: "hypercorn",
        package: "python3-hypercorn",
        scope: Scope::Test,
        why: "a real server to stop",
    },
    Want {
        program: "daphne",
        package: "daphne",
        scope: Scope::Test,
        why: "a real server to stop",
    },
    Want {
        program: "unicorn",
        package: "unicorn",
        scope: Scope::Test,
        why: "a real server to stop, and to replace while it runs",
    },
    Want {
        program: "puma",
        package: "puma",
        scope: Scope::Test,
        why: "a real server to stop and restart",
    },
    Want {
        program: "php-fpm8.2",
        package: "php8.2-fpm",
        scope: Scope::Test,
        why: "a real server to stop and reload",
    },
    Want {
        program: "pgbouncer",
        package: "pgbouncer",
        scope: Scope::Test,
        why: "a real server to stop, of another protocol than HTTP",
    },
    Want {
        program: "node",
        package: "nodejs",
        scope: Scope::Test,
        why: "a real server to stop and kill",
    },
    Want {
        program: "go",
        package: "golang-go",
        scope: Scope::Test,
        why: "a server of Go's own to stop, and gRPC's",
    },
    Want {
        program: "javac",
        package: "default-jdk-headless",
        scope: Scope::Test,
        why: "Spring Boot, a real server to stop",
    },
    Want {
        program: "mvn",
        package: "maven",
        scope: Scope::Test,
        why: "the libraries of Spring Boot",
    },
    Want {
        program: "qemu-system-x86_64",
        package: "qemu-system-x86",
        scope: Scope::Vm,
        why: "virtual machines of other kernels",
    },
    Want {
        program: "bpftrace",
        package: "bpftrace",
        scope: Scope::Bench,
        why: "what finwatch is compared with in the benchmark",
    },
    Want {
        program: "tcplife",
        package: "libbpf-tools",
        scope: Scope::Bench,
        why: "likewise",
    },
    Want {
        program: "tcpstates",
        package: "libbpf-tools",
        scope: Scope::Bench,
        why: "likewise",
    },
    Want {
        program: "containerd",
        package: "containerd",
        scope: Scope::E2e,
        why: "runs the pods of a cluster; ctr and runc come with it",
    },
    Want {
        program: "/usr/lib/cni/ptp",
        package: "containernetworking-plugins",
        scope: Scope::E2e,
        why: "gives pods their network",
    },
    Want {
        program: "nft",
        package: "nftables",
        scope: Scope::E2e,
        why: "kube-proxy's rules",
    },
    Want {
        program: "iptables",
        package: "iptables",
        scope: Scope::E2e,
        why: "rules of the kubelet and of the pods' network",
    },
    Want {
        program: "conntrack",
        package: "conntrack",
        scope: Scope::E2e,
        why: "kube-proxy forgets connections by it",
    },
];

/// Installs the packages of the missing programs, all in one go.
pub(super) fn ensure(apt: &mut Apt, scope: Scope) -> Result<()> {
    install(apt, WANTED.iter().filter(|want| want.scope <= scope))
}

/// What a cluster wants, and nothing of the scopes before its own that it does not use.
pub(super) fn ensure_for_e2e(apt: &mut Apt) -> Result<()> {
    let used = |want: &&Want| want.scope == Scope::E2e || ["ip", "openssl"].contains(&want.program);
    install(apt, WANTED.iter().filter(used))
}

/// What the benchmark wants, and nothing of the scopes before its own that it does not use.
pub(super) fn ensure_for_bench(apt: &mut Apt) -> Result<()> {
    let used =
        |want: &&Want| want.scope == Scope::Bench || ["nginx", "wrk"].contains(&want.program);
    install(apt, WANTED.iter().filter(used))
}

fn install<'a>(apt: &mut Apt, wanted: impl Iterator<Item = &'a Want>) -> Result<()> {
    let missing: Vec<&Want> = wanted
        .filter(|want| which(want.program).is_none())
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let mut packages: Vec<&str> = missing.iter().map(|want| want.package).collect();
    if packages.contains(&"gcc") {
        // Recommended by gcc, not required by it; nothing links without the C library's start files.
        packages.push("libc6-dev");
    }
    packages.dedup();
    let why = missing
        .iter()
        .map(|want| format!("{} ({})", want.program, want.why))
        .collect::<Vec<_>>()
        .join(", ");
    apt.install(&packages, &why)?;
    for (package, service) in ENABLED_BY_THEIR_PACKAGES {
        if packages.contains(package) {
            keep_off_at_boot(service)?;
        }
    }
    Ok(())
}

/// Packages that enable a service for the next boot; the tests start servers of their own.
const ENABLED_BY_THEIR_PACKAGES: &[(&str, &str)] = &[
    ("nginx-light", "nginx.service"),
    ("haproxy", "haproxy.service"),
    ("prometheus", "prometheus.service"),
    ("rsyslog", "rsyslog.service"),
    ("openssh-server", "ssh.service"),
    ("varnish", "varnish.service"),
    ("caddy", "caddy.service"),
    ("unicorn", "unicorn.service"),
    ("php8.2-fpm", "php8.2-fpm.service"),
    ("pgbouncer", "pgbouncer.service"),
    ("containerd", "containerd.service"),
];

fn keep_off_at_boot(service: &str) -> Result<()> {
    if !Path::new("/run/systemd/system").exists() {
        return Ok(());
    }
    say(format!(
        "disabling {service}, which its package enabled: the tests start their own"
    ));
    shell::run(Command::new("systemctl").args(["disable", service]))
}
