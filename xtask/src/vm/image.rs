//! The initial RAM disk of a virtual machine: the test program, what it calls, the kernel's network modules,
//! and a first process that mounts, runs the tests, and reports their exit status.

use std::env;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::kernels::{self, Kernel};
use super::programs::TestPrograms;
use crate::kernel_tests::ONE_AT_A_TIME;
use crate::paths::Paths;
use crate::shell::{self, read, which};

/// Packs the image for one kernel and returns its path.
pub(crate) fn pack(
    paths: &Paths,
    kernel: &Kernel,
    programs: &TestPrograms,
    harness: &[String],
) -> Result<PathBuf> {
    let root = paths.vm().join(format!("image-{}", kernel.release));
    if root.exists() {
        fs::remove_dir_all(&root).with_context(|| format!("remove {}", root.display()))?;
    }
    for dir in [
        "bin",
        "sbin",
        "etc",
        "lib",
        "proc",
        "sys",
        "dev",
        "tmp",
        "run",
        "var/log/nginx",
        "var/lib/nginx",
    ] {
        let dir = root.join(dir);
        fs::create_dir_all(&dir).with_context(|| format!("create {}", dir.display()))?;
    }
    add_user_space(paths, &root)?;
    add_modules(paths, kernel, &root)?;
    install(&programs.test, &root.join("kernel-tests"))?;
    for other in &programs.others {
        add_program(&root, other)?;
    }
    write(&root.join("init"), &init(harness), 0o755)?;
    archive(
        paths,
        &root,
        &paths.vm().join(format!("image-{}.cpio", kernel.release)),
    )
}

/// Where the first process writes the tests' exit status; the console is left to the tests and the kernel.
pub(super) const STATUS_PORT: &str = "/dev/ttyS1";

/// Tests that change settings of a whole host are ignored anywhere else; here the host is theirs.
/// The servers that other tests start are not in the image.
const HERE_ONLY: &str =
    "--include-ignored --skip scenarios::servers --skip deployed:: --skip drains::";

/// How many connections the churn test opens and closes; emulation takes minutes over what takes seconds here.
const CHURN: &str = "FINWATCH_CHURN";
const EMULATED_CHURN: &str = "16000";

/// Servers and tools that tests start, taken from this machine with the libraries they need; the shell too,
/// because busybox's runs its own `ip` whatever `PATH` says.
const BORROWED: &[&str] = &["sh", "ip", "ss", "nginx", "wrk", "openssl"];

/// Files that those programs read at the path they have here.
const BORROWED_FILES: &[&str] = &["/usr/lib/ssl/openssl.cnf"];

/// Network modules of the kernel package, and their neighbours that these depend on; the running kernel asks
/// `modprobe` for what it needs.
const MODULES: &[&str] = &[
    "kernel/net",
    "kernel/lib",
    "kernel/crypto",
    "kernel/drivers/net/veth",
    "kernel/drivers/net/tun",
    "kernel/drivers/net/dummy",
    "kernel/drivers/net/ifb",
];

fn add_user_space(paths: &Paths, root: &Path) -> Result<()> {
    let busybox = kernels::busybox(paths);
    install(&busybox, &root.join("bin/busybox"))?;
    for applet in read(Command::new(&busybox).arg("--list"))?
        .lines()
        .filter(|applet| *applet != "busybox")
    {
        let link = root.join("bin").join(applet);
        symlink("/bin/busybox", &link).with_context(|| format!("link {}", link.display()))?;
    }
    // The kernel calls this path when it wants a module.
    symlink("/bin/busybox", root.join("sbin/modprobe")).context("link modprobe")?;
    for name in BORROWED {
        let program = which(name)
            .with_context(|| format!("find the program {name}; run `cargo xtask setup`"))?;
        let link = root.join("bin").join(name);
        if fs::symlink_metadata(&link).is_ok() {
            fs::remove_file(&link).with_context(|| format!("remove {}", link.display()))?;
        }
        add_program(root, &program)?;
        if !link.exists() {
            symlink(&program, &link).with_context(|| format!("link {}", link.display()))?;
        }
    }
    for file in BORROWED_FILES {
        install(Path::new(file), &inside(root, Path::new(file)))?;
    }
    write(
        &root.join("etc/passwd"),
        "root:x:0:0:root:/:/bin/sh\nwww-data:x:33:33::/:/bin/false\nnobody:x:65534:65534::/:/bin/false\n",
        0o644,
    )?;
    write(
        &root.join("etc/group"),
        "root:x:0:\nwww-data:x:33:\nnogroup:x:65534:\n",
        0o644,
    )?;
    write(
        &root.join("etc/hosts"),
        "127.0.0.1 localhost\n::1 localhost\n",
        0o644,
    )
}

/// A program at the path it has here, with the libraries it loads at theirs.
fn add_program(root: &Path, program: &Path) -> Result<()> {
    install(program, &inside(root, program))?;
    // Fails for a static program, which needs none.
    let libraries = read(Command::new("ldd").arg(program)).unwrap_or_default();
    for library in libraries.lines().filter_map(library) {
        install(library, &inside(root, library))?;
    }
    Ok(())
}

fn inside(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

/// The path in a line of ldd: `libz.so.1 => /lib/libz.so.1 (0x7f..)` or `/lib64/ld-linux.so.2 (0x7f..)`.
fn library(line: &str) -> Option<&Path> {
    let line = line.split_once("=> ").map_or(line, |(_, path)| path).trim();
    let (path, _) = line.split_once(" (")?;
    path.starts_with('/').then(|| Path::new(path))
}

fn add_modules(paths: &Paths, kernel: &Kernel, root: &Path) -> Result<()> {
    let from = kernel.root.join("lib/modules").join(&kernel.release);
    let to = root.join("lib/modules").join(&kernel.release);
    copy_modules(paths, &from, &from, &to)?;
    for list in [
        "modules.order",
        "modules.builtin",
        "modules.builtin.modinfo",
    ] {
        if from.join(list).exists() {
            install(&from.join(list), &to.join(list))?;
        }
    }
    shell::run(
        Command::new(kernels::busybox(paths))
            .args(["depmod", "-b"])
            .arg(root)
            .arg(&kernel.release),
    )
}

fn copy_modules(paths: &Paths, base: &Path, dir: &Path, to: &Path) -> Result<()> {
    for entry in dir
        .read_dir()
        .with_context(|| format!("list {}", dir.display()))?
    {
        let path = entry
            .with_context(|| format!("list {}", dir.display()))?
            .path();
        let relative = path.strip_prefix(base).unwrap_or(&path);
        if path.is_dir() {
            copy_modules(paths, base, &path, to)?;
        } else if MODULES
            .iter()
            .any(|wanted| relative.to_string_lossy().starts_with(wanted))
        {
            let place = to.join(relative);
            if place.extension().is_some_and(|extension| extension == "xz") {
                // An initial RAM disk is unpacked once; busybox's modprobe wants plain files.
                let plain = place.with_extension("");
                let mut unxz = Command::new(kernels::busybox(paths));
                let content = unxz
                    .args(["xzcat"])
                    .arg(&path)
                    .output()
                    .context("run busybox xzcat")?;
                if !content.status.success() {
                    bail!(
                        "unpack {}: {}",
                        path.display(),
                        String::from_utf8_lossy(&content.stderr)
                    );
                }
                make_parent(&plain)?;
                fs::write(&plain, content.stdout)
                    .with_context(|| format!("write {}", plain.display()))?;
            } else {
                install(&path, &place)?;
            }
        }
    }
    Ok(())
}

/// The first process: mounts what the tests need, runs them, reports, and switches the machine off.
fn init(harness: &[String]) -> String {
    let arguments: Vec<String> = harness
        .iter()
        .map(|argument| format!("'{}'", argument.replace('\'', r"'\''")))
        .collect();
    format!(
        r#"#!/bin/busybox sh
export PATH=/bin:/sbin:/usr/bin:/usr/sbin
export HOME=/tmp RUST_BACKTRACE=1 {CHURN}={churn}
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/shm /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t devpts devpts /dev/pts
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t bpf bpf /sys/fs/bpf
ln -sf /proc/self/fd /dev/fd
hostname finwatch-vm
ip link set lo up
modprobe tun
ulimit -n 1048576
exec </dev/null >/dev/console 2>&1
echo "Linux $(uname -r), $(nproc) CPUs, $(wc -c </sys/kernel/btf/vmlinux) bytes of BTF"
/kernel-tests {ONE_AT_A_TIME} {HERE_ONLY} {arguments}
echo "status $?" >{STATUS_PORT}
sync
poweroff -f
"#,
        arguments = arguments.join(" "),
        churn = env::var(CHURN).unwrap_or_else(|_| EMULATED_CHURN.to_owned()),
    )
}

fn archive(paths: &Paths, root: &Path, to: &Path) -> Result<PathBuf> {
    let script = r#"cd "$1" && "$2" find . | "$2" cpio -o -H newc >"$3" 2>/dev/null"#;
    let mut command = Command::new("sh");
    command
        .args(["-c", script, "pack"])
        .arg(root)
        .arg(kernels::busybox(paths))
        .arg(to);
    let status = command.status().context("run busybox cpio")?;
    if !status.success() {
        bail!("pack {} into {}: {status}", root.display(), to.display());
    }
    Ok(to.to_path_buf())
}

fn install(from: &Path, to: &Path) -> Result<()> {
    make_parent(to)?;
    fs::copy(from, to).with_context(|| format!("copy {} to {}", from.display(), to.display()))?;
    Ok(())
}

fn write(to: &Path, text: &str, mode: u32) -> Result<()> {
    fs::write(to, text).with_context(|| format!("write {}", to.display()))?;
    fs::set_permissions(to, fs::Permissions::from_mode(mode))
        .with_context(|| format!("set the mode of {}", to.display()))
}

fn make_parent(path: &Path) -> Result<()> {
    let parent = path
        .parent()
        .with_context(|| format!("find the folder of {}", path.display()))?;
    fs::create_dir_all(parent).with_context(|| format!("create {}", parent.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_libraries_of_a_program() {
        assert_eq!(
            library("\tlibz.so.1 => /lib/x/libz.so.1 (0x00007f)"),
            Some(Path::new("/lib/x/libz.so.1"))
        );
        assert_eq!(
            library("\t/lib64/ld-linux-x86-64.so.2 (0x00007f)"),
            Some(Path::new("/lib64/ld-linux-x86-64.so.2"))
        );
        assert_eq!(library("\tlinux-vdso.so.1 (0x00007f)"), None);
        assert_eq!(library("\tnot a dynamic executable"), None);
    }

    #[test]
    fn quotes_the_arguments_of_the_tests() {
        assert!(init(&["it's".to_owned()]).contains(r" 'it'\''s'"));
    }
}
