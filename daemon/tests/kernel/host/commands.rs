//! `finwatch watch` and `finwatch doctor`, as a user types them.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    net::{SocketAddr, TcpListener},
    process::{Child, ChildStderr, ChildStdout, Command, Output, Stdio},
    time::Duration,
};

use serde_json::Value;

use crate::harness::{
    Manners, Netns, Patient, Servant, finish,
    kernel::traces_every_reset,
    output_of,
    servant::signal_process,
    shared,
    sock::{connect_nonblocking, deliver, listen, pair, read, read_eof, wait_all_closed},
    wait_until,
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_finwatch");
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: example.test\r\n\r\n";

/// A command that is killed at the end, whatever happens.
struct Running(Option<Child>);

impl Running {
    fn start(arguments: &[&str]) -> Self {
        let child = Command::new(PROGRAM)
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        Self(Some(
            child.unwrap_or_else(|e| panic!("start {PROGRAM}: {e}")),
        ))
    }

    fn is_running(&mut self) -> bool {
        self.0.as_mut().unwrap().try_wait().unwrap().is_none()
    }

    /// Waits for the end: its exit code, what it wrote, what it said on standard error.
    #[track_caller]
    fn finish(mut self) -> (Option<i32>, String, String) {
        let Output {
            status,
            stdout,
            stderr,
        } = finish(self.0.take().unwrap());
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (status.code(), text(stdout), text(stderr))
    }

    /// Waits until it says that it watches.
    #[track_caller]
    fn begins(&mut self) -> BufReader<Patient<ChildStderr>> {
        self.says("watching since ")
    }

    /// Waits until it says a line that begins so.
    #[track_caller]
    fn says(&mut self, beginning: &str) -> BufReader<Patient<ChildStderr>> {
        let stderr = self.0.as_mut().unwrap().stderr.take();
        let mut said = BufReader::new(Patient::new(stderr.unwrap()));
        let mut line = String::new();
        while !line.starts_with(beginning) {
            line.clear();
            assert_ne!(said.read_line(&mut line).unwrap(), 0, "it ended");
        }
        said
    }

    fn signal(&self, signal: i32) {
        signal_process(self.0.as_ref().unwrap().id(), signal);
    }

    /// What it writes, as it comes.
    fn stdout(&mut self) -> BufReader<Patient<ChildStdout>> {
        let stdout = self.0.as_mut().unwrap().stdout.take();
        BufReader::new(Patient::new(stdout.unwrap()))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _already_gone = child.kill();
            let _reaped = child.wait();
        }
    }
}

/// One connection whose request is read and not answered, then closed by the server.
fn unanswered(listener: &TcpListener) {
    let (client, server) = pair(listener);
    deliver(&client, &server, REQUEST);
    read(&server, REQUEST.len());
    drop(server);
    read_eof(&client);
}

#[test]
fn watch_tells_each_close_as_json() {
    Netns::run(|_| {
        let listener = listen();
        let port = listener.local_addr().unwrap().port().to_string();
        let mut watch = Running::start(&[
            "watch", "-o", "json", "--port", &port, "--role", "server", "--cut", "--count", "3",
        ]);
        // When the programs are attached is not said, so connections are made until it has seen enough.
        wait_until("it has seen enough", || {
            unanswered(&listener);
            wait_all_closed();
            !watch.is_running()
        });
        let (code, out, err) = watch.finish();
        assert_eq!(code, Some(0), "{err}");
        // It sees the whole host: what others do there may overrun it, and then it says so in between.
        let closes: Vec<Value> = out
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap())
            .filter(|line| line["event"] != "lost")
            .collect();
        assert_eq!(closes.len(), 3, "{out}");
        for line in closes {
            assert_eq!(line["event"], "close");
            assert_eq!(line["port"].to_string(), port);
            assert_eq!(line["role"], "server");
            assert_eq!(line["peer_address"], "127.0.0.1");
            assert_eq!(line["origin"], "local");
            assert_eq!(line["outcome"], "fin");
            assert!(line["time_wait"].is_string(), "{line}");
            assert_eq!(line["time_wait_side"], "here");
            assert_eq!(line["cut"], "unanswered");
            assert_eq!(line["evidence"], "silent");
            assert_eq!(line["bytes_received"], REQUEST.len());
            assert_eq!(line["bytes_sent"], 0);
            assert_eq!(line["owner_pid"], std::process::id());
        }
        assert!(err.contains(" connections ended in "), "{err}");
    });
}

#[test]
fn watch_tells_signals_and_exits_of_a_service_older_than_itself() {
    shared();
    Netns::run(|_| {
        let mut servant = Servant::start(Manners {
            handled: &[libc::SIGHUP],
            ..Manners::default()
        });
        let port = servant.address.port().to_string();
        let mut watch = Running::start(&["watch", "-o", "json", "--port", &port]);
        let out = watch.stdout();
        // When the programs are attached is not said, so it is told to reload until that is seen.
        wait_until("it tells of a reload", || {
            servant.signal(libc::SIGHUP);
            out.get_ref().comes_within(Duration::from_millis(100))
        });
        let mut lines = out
            .lines()
            .map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap())
            .filter(|line| line["event"] != "lost");
        let reload = lines.next().unwrap();
        servant.signal(libc::SIGKILL);
        servant.wait_status();
        let mut lines = lines.skip_while(|line| line["signal"] == "SIGHUP");
        let kill = lines.next().unwrap();
        for (line, signal, phase) in [
            (&reload, "SIGHUP", "reloading"),
            (&kill, "SIGKILL", "draining"),
        ] {
            assert_eq!(line["event"], "signal", "{line}");
            assert_eq!(line["signal"], signal, "{line}");
            assert_eq!(line["phase"], phase, "{line}");
            assert_eq!(line["program"], "servant", "{line}");
            assert_eq!(line["sender_pid"], std::process::id(), "{line}");
        }
        let exit = lines.next().unwrap();
        assert_eq!(exit["event"], "exit", "{exit}");
        assert_eq!(exit["signal"], "SIGKILL", "{exit}");
        for line in [reload, kill, exit] {
            assert_eq!(line["pid"], servant.pid(), "{line}");
            assert_eq!(line["kinship"], "owner", "{line}");
            assert_eq!(line["services"][0]["port"].to_string(), port, "{line}");
        }
    });
}

/// What it says is true: the first connection after it is seen.
#[test]
fn watch_says_when_it_begins_and_tells_of_who_is_refused() {
    let addresses = ["127.0.0.1:0", "[::1]:0"].map(|text| text.parse::<SocketAddr>().unwrap());
    Netns::run(|_| {
        let listeners = addresses.map(|address| TcpListener::bind(address).unwrap());
        let at = listeners
            .each_ref()
            .map(|listener| listener.local_addr().unwrap());
        let ports = at.map(|at| at.port().to_string()).join(",");
        let mut watch =
            Running::start(&["watch", "-o", "json", "--role", "server", "--port", &ports]);
        let said = watch.begins();
        unanswered(&listeners[0]);
        drop(listeners);
        let peers: Vec<SocketAddr> = at
            .iter()
            .map(|to| connect_nonblocking(*to).local_addr().unwrap())
            .collect();
        let out = watch.stdout();
        let mut lines = out
            .lines()
            .map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap())
            .filter(|line| line["event"] != "lost");
        assert_eq!(lines.next().unwrap()["event"], "close");
        if !traces_every_reset() {
            return;
        }
        for (to, peer) in at.iter().zip(peers) {
            let line = lines.next().unwrap();
            assert_eq!(line["event"], "reset", "{line}");
            assert_eq!(line["refused"], true, "{line}");
            assert_eq!(line["port"], to.port(), "{line}");
            assert_eq!(line["local_address"], to.ip().to_string(), "{line}");
            assert_eq!(line["peer"], peer.to_string(), "{line}");
        }
        drop(said);
    });
}

/// While the programs are loaded, and in the instant in which they are.
#[test]
fn watch_that_is_ended_at_once_warns_of_nothing() {
    Netns::run(|_| {
        for moment in ["starting: ", "watching since "] {
            let mut watch = Running::start(&["watch", "--port", "1"]);
            let mut said = watch.says(moment);
            watch.signal(libc::SIGINT);
            let mut err = String::new();
            said.read_to_string(&mut err).unwrap();
            let (code, _, _) = watch.finish();
            assert_eq!(code, Some(0), "{err}");
            let more: Vec<&str> = err
                .lines()
                .filter(|line| !line.starts_with("watching since "))
                .collect();
            assert_eq!(more.len(), 1, "{err}");
            assert!(more[0].contains(" ended in "), "{err}");
        }
    });
}

#[test]
fn watch_ends_quietly_when_nobody_reads_on() {
    Netns::run(|_| {
        let listener = listen();
        let port = listener.local_addr().unwrap().port().to_string();
        let mut watch = Running::start(&["watch", "--port", &port]);
        let mut header = String::new();
        let mut reader = watch.stdout();
        reader.read_line(&mut header).unwrap();
        assert!(header.starts_with("TIME "), "{header}");
        assert!(!header.contains('\x1b'), "colours only on a terminal");
        drop(reader);
        wait_until("it ends", || {
            unanswered(&listener);
            wait_all_closed();
            !watch.is_running()
        });
        let (code, _, err) = watch.finish();
        assert_eq!(code, Some(0));
        let said: Vec<_> = err.lines().map(|line| line.split(' ').next()).collect();
        assert_eq!(said, [Some("starting:"), Some("watching")], "{err}");
    });
}

#[test]
fn doctor_finds_nothing_that_forbids_the_start() {
    let (code, out, err) = Running::start(&["doctor", "-o", "json"]).finish();
    assert_eq!(code, Some(0), "{out}{err}");
    let report: Value = serde_json::from_str(&out).unwrap();
    let checks = report["checks"].as_array().unwrap();
    for name in ["btf", "tracepoints", "cap-bpf", "bpf-syscall"] {
        let check = checks.iter().find(|check| check["name"] == name);
        assert_eq!(check.expect(name)["status"], "ok", "{name}");
    }
}

#[test]
fn doctor_without_rights_says_what_is_missing_and_fails() {
    // Nobody's rights, and a program that everybody may run.
    let copy = std::env::temp_dir().join(format!("finwatch-{}", std::process::id()));
    std::fs::copy(PROGRAM, &copy).unwrap();
    let mut command = Command::new(&copy);
    std::os::unix::process::CommandExt::gid(&mut command, 65534);
    std::os::unix::process::CommandExt::uid(&mut command, 65534);
    let output = output_of(command.args(["doctor", "-o", "json"]));
    std::fs::remove_file(&copy).unwrap();
    assert_eq!(output.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["status"], "fail");
    let checks = report["checks"].as_array().unwrap();
    let failed: Vec<_> = checks
        .iter()
        .filter(|check| check["status"] == "fail")
        .map(|check| check["name"].as_str().unwrap())
        .collect();
    assert_eq!(failed, ["cap-bpf", "cap-perfmon", "bpf-syscall"]);
}
