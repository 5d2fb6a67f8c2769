//! The daemon as a user starts it, with a state directory and ports of its own, and the commands that ask it. It
//! lives in the namespace of the test program, so none of its connections is in a test's accounts; it sees
//! every namespace, and what a test asks for is that of its own.

use std::{
    fs,
    net::TcpListener,
    os::{fd::AsRawFd as _, unix::fs::MetadataExt as _},
    process::{Child, Command, Output, Stdio},
    thread,
};

use finwatch_engine::model::{Drain, Rollout};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tempfile::TempDir;

use super::{output_of, wait_for_end, wait_until};

/// The program under test.
const PROGRAM: &str = env!("CARGO_BIN_EXE_finwatch");

/// A running daemon; it is killed when dropped.
pub(crate) struct Daemon {
    process: Option<Child>,
    home: TempDir,
    port: u16,
    deploys_port: u16,
    settle_limit: &'static str,
}

impl Daemon {
    /// Starts it and waits until it is ready.
    pub(crate) fn start() -> Self {
        // Nobody asks late here, unless a test does; then it has done so before this is over.
        Self::start_that_waits("2s")
    }

    /// One whose drains wait for so long for what may come late.
    pub(crate) fn start_that_waits(settle_limit: &'static str) -> Self {
        let [port, deploys_port] = at_home(free_ports);
        let mut daemon = Self {
            process: None,
            home: tempfile::Builder::new()
                .prefix("finwatch-daemon-")
                .tempdir()
                .unwrap(),
            port,
            deploys_port,
            settle_limit,
        };
        daemon.start_again();
        daemon
    }

    /// Starts it once more with the same state, after it ended.
    pub(crate) fn start_again(&mut self) {
        assert!(self.process.is_none(), "it runs already");
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.home.path().join("log"))
            .unwrap();
        let mut command = Command::new(PROGRAM);
        command
            .args(["daemon", "--listen"])
            .arg(format!("127.0.0.1:{}", self.port))
            .arg("--deploys-listen")
            .arg(format!("127.0.0.1:{}", self.deploys_port))
            .arg("--state-directory")
            .arg(self.home.path().join("state"))
            .args([
                "--drain-settle-limit",
                self.settle_limit,
                "--rollout-quiet",
                "1s",
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        self.process = Some(at_home(|| command.spawn()).unwrap());
        wait_until("the daemon is ready", || {
            let process = self.process.as_mut().unwrap();
            let ended = process.try_wait().unwrap();
            assert!(ended.is_none(), "the daemon ended: {}", self.log());
            self.get("/ready").is_ok()
        });
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        let mut process = self.process.take().unwrap();
        process.kill().unwrap();
        process.wait().unwrap();
    }

    /// SIGTERM.
    pub(crate) fn stop(&mut self) {
        let mut process = self.process.take().unwrap();
        super::lab::kill(process.id(), libc::SIGTERM).unwrap();
        let status = wait_for_end(&mut process, "the daemon");
        assert!(status.success(), "{}", self.log());
    }

    /// The running process.
    pub(crate) fn pid(&self) -> u32 {
        self.process.as_ref().unwrap().id()
    }

    /// Where it serves its API.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// What it logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.home.path().join("log")).unwrap()
    }

    /// What a path of its HTTP server says.
    ///
    /// # Errors
    /// When it does not answer, or with no success, or not to the end.
    pub(crate) fn get(&self, path: &str) -> Result<String, ureq::Error> {
        let url = format!("http://127.0.0.1:{}{path}", self.port);
        at_home(|| ureq::get(&url).call()?.body_mut().read_to_string())
    }

    /// What a scrape shows.
    #[track_caller]
    pub(crate) fn metrics(&self) -> String {
        self.get("/metrics").unwrap_or_else(|error| {
            panic!(
                "a scrape failed: {error}; the daemon logged: {}",
                self.log()
            )
        })
    }

    /// Runs a command that asks this daemon.
    pub(crate) fn ask(&self, arguments: &[&str]) -> Output {
        self.run(arguments, self.port)
    }

    /// Runs `finwatch deploy`.
    pub(crate) fn announce(&self, arguments: &[&str]) -> Output {
        self.run(&[&["deploy"], arguments].concat(), self.deploys_port)
    }

    /// What `finwatch drains` and its like list.
    #[track_caller]
    pub(crate) fn list<T: DeserializeOwned>(&self, what: &str) -> Vec<T> {
        let output = self.ask(&[what, "-o", "json"]);
        let mut page: Value = serde_json::from_slice(&stdout_of(output)).unwrap();
        serde_json::from_value(page[what].take()).unwrap()
    }

    /// Waits until a rollout with drains of the calling thread's namespace is over, and returns it as
    /// `finwatch rollouts show` prints it.
    #[track_caller]
    pub(crate) fn rollout(&self, like: impl Fn(&Rollout) -> bool) -> Rollout {
        let netns = netns_inode();
        let mut found = None;
        let mut last = Vec::new();
        let appeared = super::wait::within(super::wait::PATIENCE, &mut || {
            last = self.list::<Rollout>("rollouts");
            found = last
                .iter()
                .find(|rollout| {
                    let here = |drain: &Drain| drain.instance.netns == netns;
                    rollout.drains.iter().any(here) && rollout.ended_at.is_some() && like(rollout)
                })
                .map(|rollout| rollout.id.clone());
            found.is_some()
        });
        assert!(
            appeared,
            "no rollout of this namespace ended; there are: {last:#?}\n{}",
            self.log()
        );
        let output = self.ask(&["rollouts", "show", &found.unwrap(), "-o", "json"]);
        serde_json::from_slice(&stdout_of(output)).unwrap()
    }

    fn run(&self, arguments: &[&str], port: u16) -> Output {
        let mut command = Command::new(PROGRAM);
        command
            .args(arguments)
            .arg("--url")
            .arg(format!("http://127.0.0.1:{port}"));
        at_home(|| output_of(&mut command))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if self.process.is_some() {
            self.kill();
        }
    }
}

/// The inode of the calling thread's network namespace, as finwatch shows it.
pub(crate) fn netns_inode() -> u32 {
    let inode = fs::metadata("/proc/thread-self/ns/net").unwrap().ino();
    u32::try_from(inode).unwrap()
}

/// Runs `body` in the network namespace of the test program, where the daemon is.
pub(crate) fn at_home<R: Send>(body: impl FnOnce() -> R + Send) -> R {
    thread::scope(|scope| {
        let thread = scope.spawn(|| {
            // That of the thread group's leader, which never leaves it.
            let home = fs::File::open("/proc/self/ns/net").unwrap();
            // SAFETY: no memory is involved; only this thread changes its namespace.
            let result = unsafe { libc::setns(home.as_raw_fd(), libc::CLONE_NEWNET) };
            assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
            body()
        });
        match thread.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

#[track_caller]
fn stdout_of(output: Output) -> Vec<u8> {
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {complaint}", output.status);
    output.stdout
}

/// Ports that nobody has right now; both are held until both are known.
fn free_ports() -> [u16; 2] {
    let any = || TcpListener::bind("127.0.0.1:0").unwrap();
    [any(), any()].map(|held| held.local_addr().unwrap().port())
}
