//! The lab's servers in the calling thread's network namespace, each started by the script that a user would start
//! it with. It knows processes and signals, and nothing of any one server.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs, io,
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
};

use tempfile::TempDir;

use super::{PATIENCE, sockets, state, wait_until, within};

/// The port that every server of the lab has without TLS.
pub(crate) const PLAIN: u16 = 8080;
/// The port of HTTP/1.1 with TLS, where a server has it.
pub(crate) const TLS: u16 = 8443;
/// The port of HTTP/2 with TLS of Go's server; nginx has both on one.
pub(crate) const GO_HTTP2: u16 = 8444;

/// A running server. Every process of the namespace that is not the test's own is killed when it is dropped.
pub(crate) struct Server {
    main: Child,
    folder: TempDir,
    cgroup: Option<PathBuf>,
}

impl Server {
    /// Runs `lab/NAME/start ARGUMENTS` and waits until it listens on `ports`.
    pub(crate) fn start(name: &str, arguments: &[&str], ports: &[u16]) -> Self {
        Self::start_in(None, name, arguments, ports)
    }

    /// The same, as processes of a cgroup.
    pub(crate) fn start_in(
        cgroup: Option<&Path>,
        name: &str,
        arguments: &[&str],
        ports: &[u16],
    ) -> Self {
        let cgroup = cgroup.map(Path::to_owned);
        let folder = tempfile::Builder::new()
            .prefix("finwatch-lab-")
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .tempdir()
            .unwrap();
        let main = spawn(cgroup.as_deref(), name, arguments, folder.path());
        let mut server = Self {
            main,
            folder,
            cgroup,
        };
        server.wait_for(ports);
        server
    }

    /// Starts it once more, after it has ended, where its files are.
    pub(crate) fn start_again(&mut self, name: &str, arguments: &[&str], ports: &[u16]) {
        assert!(self.main.try_wait().unwrap().is_some(), "{name} runs still");
        self.main = spawn(self.cgroup.as_deref(), name, arguments, self.folder());
        self.wait_for(ports);
    }

    /// Where the server keeps its files.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The process that was started.
    pub(crate) fn pid(&self) -> u32 {
        self.main.id()
    }

    /// Every process of it, itself too.
    pub(crate) fn processes(&self) -> BTreeSet<u32> {
        processes_here()
    }

    /// Sends the main process a signal.
    pub(crate) fn signal(&self, signal: libc::c_int) {
        kill(self.pid(), signal).unwrap();
    }

    /// Sends SIGKILL to every process of it, to the main one first.
    pub(crate) fn kill_all(&self) {
        let others = self.processes();
        kill(self.pid(), libc::SIGKILL).unwrap();
        for pid in others.into_iter().filter(|pid| *pid != self.pid()) {
            // A worker may end by itself when the main process is gone.
            let _already_gone = kill(pid, libc::SIGKILL);
        }
    }

    /// Waits for the end of the main process and then of all others.
    #[track_caller]
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let status = self.wait_for_main();
        wait_until("its processes end", || processes_here().is_empty());
        status
    }

    /// Waits until the process that was started has ended; others may live on.
    #[track_caller]
    pub(crate) fn wait_for_main(&mut self) -> ExitStatus {
        let mut status = None;
        wait_until("the server ends", || {
            status = self.main.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }

    /// Waits until none of `old` is there any more.
    #[track_caller]
    pub(crate) fn wait_gone(&self, old: &BTreeSet<u32>) {
        wait_until("the old processes end", || {
            self.processes().is_disjoint(old)
        });
    }

    #[track_caller]
    fn wait_for(&mut self, ports: &[u16]) {
        for &port in ports {
            wait_until("the server listens", || {
                let ended = self.main.try_wait().unwrap();
                assert!(ended.is_none(), "{ended:?}: {}", self.log());
                listens(port)
            });
        }
    }

    /// What it said.
    pub(crate) fn log(&self) -> String {
        ["output", "log", "error.log"]
            .iter()
            .filter_map(|name| fs::read_to_string(self.folder().join(name)).ok())
            .collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A master may fork another worker while its workers are killed.
        let gone = within(PATIENCE, &mut || {
            let _already_gone = kill(self.pid(), libc::SIGKILL);
            for pid in processes_here() {
                let _already_gone = kill(pid, libc::SIGKILL);
            }
            !self.main.try_wait().is_ok_and(|ended| ended.is_none()) && processes_here().is_empty()
        });
        if !gone {
            eprintln!(
                "processes of the server outlive the test: {:?}",
                processes_here()
            );
        }
    }
}

/// How a process ended, as finwatch tells it: the exit code, or the signal.
pub(crate) fn ended(status: ExitStatus) -> (Option<u8>, Option<i32>) {
    let code = status.code().map(|code| u8::try_from(code).unwrap());
    (code, status.signal())
}

fn spawn(cgroup: Option<&Path>, name: &str, arguments: &[&str], folder: &Path) -> Child {
    let output = fs::File::create(folder.join("output")).unwrap();
    let script = lab().join(name).join("start");
    let mut command = match cgroup {
        None => Command::new(&script),
        Some(cgroup) => in_cgroup(cgroup, &script),
    };
    command
        .args(arguments)
        .env("FINWATCH_LAB_FOLDER", folder)
        .env("FINWATCH_LAB_BUILD", build_folder())
        .stdin(Stdio::null())
        .stdout(output.try_clone().unwrap())
        .stderr(output)
        .spawn()
        .unwrap_or_else(|e| panic!("start {}: {e}", script.display()))
}

/// Runs the program as a process of the cgroup.
pub(super) fn in_cgroup(cgroup: &Path, program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("sh");
    command
        .args(["-c", "echo $$ > \"$0/cgroup.procs\" && exec \"$@\""])
        .arg(cgroup)
        .arg(program);
    command
}

fn lab() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../lab")
}

/// Where servers that must be compiled are kept between the tests.
pub(crate) fn build_folder() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("lab");
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn listens(port: u16) -> bool {
    sockets()
        .iter()
        .any(|entry| entry.local_port == port && entry.state == state::LISTEN)
}

pub(crate) fn kill(pid: u32, signal: libc::c_int) -> io::Result<()> {
    // SAFETY: no memory is involved.
    match unsafe { libc::kill(pid.cast_signed(), signal) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The processes of the calling thread's namespace, without the test itself and what it started beside the server
/// (clients with TLS or gRPC, and what keeps the namespace): those run the programs named here.
fn processes_here() -> BTreeSet<u32> {
    let here = fs::read_link("/proc/thread-self/ns/net").unwrap();
    let of_process = |pid: &u32| {
        let folder = PathBuf::from(format!("/proc/{pid}"));
        let comm = fs::read_to_string(folder.join("comm")).unwrap_or_default();
        *pid != std::process::id()
            && !matches!(
                comm.trim_end(),
                "openssl" | "curl" | "grpc-client" | "sleep"
            )
            && fs::read_link(folder.join("ns/net")).is_ok_and(|there| there == here)
    };
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(of_process)
        .collect()
}
