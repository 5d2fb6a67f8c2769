//! What `/proc` tells of the processes behind a service: their command lines, while they are there. It reads a little of
//! few of them, and does not know what it means.

use std::{
    collections::{BTreeSet, HashMap},
    fs::{self, File},
    io::Read as _,
    time::{Duration, Instant},
};

use finwatch_common::Process;

use super::program;
use crate::netns::owners;

/// Most bytes of a command line that are read: class paths are long, and what runs stands behind them.
const MAX_BYTES: u64 = 128 << 10;
/// How long one look at every process is good for.
const FRESH: Duration = Duration::from_secs(1);
/// Most steps from a process to the one that it works for: its parent, or that one's where a server forks them.
const MASTERS_MAX: usize = 3;
/// Longest time that such a look may take.
const LOOK_BUDGET: Duration = Duration::from_millis(20);

/// The processes of the host, by the kernel's names of them.
#[derive(Debug, Default)]
pub(super) struct Running {
    by_comm: HashMap<String, Vec<u32>>,
    looked_at: Option<Instant>,
}

/// The name of the program that a process runs; none when it is not there any more, or when it runs what another one handed to it
/// that is gone.
pub(super) fn name_of(process: Process) -> Option<String> {
    let comm = comm(process.tgid)?;
    let name = name_of_pid(process.tgid, &comm)?;
    // Last, as its number may be another's by now.
    owners::is_still(process.tgid, process.start_ns).then_some(name)
}

/// Who works for another program by code that it brought along is called as that one.
fn name_of_pid(pid: u32, comm: &str) -> Option<String> {
    let mut line = command_line(pid)?;
    let (mut pid, mut comm) = (pid, comm.to_owned());
    for _ in 0..MASTERS_MAX {
        if !program::works_for_parent(&words(&line)) {
            return Some(program::name(&comm, &words(&line)));
        }
        pid = owners::parent_of(pid)?;
        comm = self::comm(pid)?;
        let master = command_line(pid)?;
        // Another took the worker on when its master had ended.
        if !program::share_runtime(&words(&line), &words(&master)) {
            return None;
        }
        line = master;
    }
    None
}

// === impl Running ===

impl Running {
    /// The one name that all processes of a kernel's name have; none where there is none, or more than one.
    pub(super) fn name_of_all(&mut self, comm: &str) -> Option<String> {
        if self.looked_at.is_none_or(|at| at.elapsed() >= FRESH) {
            self.look();
        }
        let names: BTreeSet<String> = self
            .by_comm
            .get(comm)?
            .iter()
            .filter_map(|pid| name_of_pid(*pid, comm))
            .collect();
        let mut names = names.into_iter();
        names.next().filter(|_| names.next().is_none())
    }

    /// On a host of so many processes that they cannot be looked through, none is known: some would look like all.
    fn look(&mut self) {
        let began = Instant::now();
        self.by_comm.clear();
        for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let name = entry.file_name();
            let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            if let Some(comm) = comm(pid).filter(|comm| program::may_be_better(comm)) {
                self.by_comm.entry(comm).or_default().push(pid);
            }
            if began.elapsed() >= LOOK_BUDGET {
                self.by_comm.clear();
                break;
            }
        }
        self.looked_at = Some(Instant::now());
    }
}

fn words(line: &str) -> Vec<&str> {
    line.trim_end_matches('\0').split('\0').collect()
}

fn comm(pid: u32) -> Option<String> {
    let bytes = fs::read(format!("/proc/{pid}/comm")).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    Some(text.strip_suffix('\n').unwrap_or(&text).to_owned())
}

/// The words of a command line, each with a NUL behind it; empty of a kernel thread.
fn command_line(pid: u32) -> Option<String> {
    let file = File::open(format!("/proc/{pid}/cmdline")).ok()?;
    let mut bytes = Vec::new();
    file.take(MAX_BYTES).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command};

    use super::{
        super::scripts::{Script, process},
        *,
    };

    /// Ends with the test.
    struct Ended(Child);

    impl Drop for Ended {
        fn drop(&mut self) {
            self.0.kill().unwrap();
            self.0.wait().unwrap();
        }
    }

    #[test]
    fn a_process_is_named_while_it_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let script = Script::run(dir.path(), "shop.sh");
        let Process { start_ns, tgid, .. } = script.process();
        let process = |start_ns| Process {
            start_ns,
            tgid,
            pad: 0,
        };
        // The kernel programs know it to the nanosecond, `/proc` to 10 ms.
        assert_eq!(name_of(process(start_ns + 7)).as_deref(), Some("shop.sh"));
        assert_eq!(name_of(process(start_ns + 10_000_000)), None, "another");
        drop(script);
        assert_eq!(name_of(process(start_ns)), None, "gone");
    }

    #[test]
    fn processes_of_one_name_are_told_where_they_are_one_program() {
        let mut running = Running {
            looked_at: Some(Instant::now()),
            ..Running::default()
        };
        let dir = tempfile::tempdir().unwrap();
        let scripts = ["one.sh", "one.sh", "two.sh"].map(|name| Script::run(dir.path(), name));
        let pids = scripts.each_ref().map(Script::pid);
        let mut name_of_first = |count: usize| {
            running
                .by_comm
                .insert("sh".to_owned(), pids[..count].to_vec());
            running.name_of_all("sh")
        };
        let told = [name_of_first(0), name_of_first(2), name_of_first(3)];
        assert_eq!(told, [None, Some("one.sh".to_owned()), None]);
    }

    /// As uvicorn and hypercorn start their workers.
    #[test]
    fn a_worker_of_multiprocessing_is_called_as_the_script_that_started_it() {
        let dir = tempfile::tempdir().unwrap();
        let script = dir.path().join("shop.py");
        let told = dir.path().join("pid");
        let code = "\
import multiprocessing, os, sys, time
def work(told):
    with open(told + '.new', 'w') as f: f.write(str(os.getpid()))
    os.rename(told + '.new', told)
    time.sleep(600)
if __name__ == '__main__':
    multiprocessing.set_start_method('spawn')
    worker = multiprocessing.Process(target=work, args=(sys.argv[1],), daemon=True)
    worker.start(); worker.join()
";
        fs::write(&script, code).unwrap();
        let python = Command::new("python3").arg(&script).arg(&told).spawn();
        let master = Ended(python.unwrap());
        let worker: u32 = loop {
            match fs::read_to_string(&told) {
                Ok(pid) => break pid.parse().unwrap(),
                Err(_) => std::thread::sleep(Duration::from_millis(5)),
            }
        };
        let worker = process(worker);
        let named = name_of(worker);
        drop(master);
        let orphan = name_of(worker);
        // It ends by itself only when it is told.
        let pid = rustix::process::Pid::from_raw(worker.tgid.cast_signed()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        assert_eq!(named.as_deref(), Some("shop.py"));
        assert_eq!(orphan, None, "nobody knows any more whom it works for");
    }
}
