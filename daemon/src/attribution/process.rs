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
/// Longest time that such a look may take.
const LOOK_BUDGET: Duration = Duration::from_millis(20);

/// The processes of the host, by the kernel's names of them.
#[derive(Debug, Default)]
pub(super) struct Running {
    by_comm: HashMap<String, Vec<u32>>,
    looked_at: Option<Instant>,
}

/// The name of the program that a process runs; none when it is not there any more.
pub(super) fn name_of(process: Process) -> Option<String> {
    let comm = comm(process.tgid)?;
    let line = command_line(process.tgid)?;
    // Last, as its number may be another's by now.
    owners::is_still(process.tgid, process.start_ns).then(|| read(&comm, &line))
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
            .filter_map(|pid| Some(read(comm, &command_line(*pid)?)))
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

fn read(comm: &str, line: &str) -> String {
    let words: Vec<&str> = line.trim_end_matches('\0').split('\0').collect();
    program::name(comm, &words)
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

    use super::*;

    fn runs(script: &str) -> Child {
        let child = Command::new("sh").arg(script).spawn().unwrap();
        // It is a copy of this very program until it runs `sh`.
        while comm(child.id()).as_deref() != Some("sh") {
            std::thread::sleep(Duration::from_millis(1));
        }
        child
    }

    fn start_of(pid: u32) -> u64 {
        let all = owners::processes().unwrap();
        all.iter().find(|stat| stat.pid == pid).unwrap().start_ns
    }

    #[test]
    fn a_process_is_named_while_it_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let script = dir.path().join("shop.sh");
        fs::write(&script, "while :; do sleep 0.1; done\n").unwrap();
        let mut child = runs(script.to_str().unwrap());
        let process = |start_ns| Process {
            start_ns,
            tgid: child.id(),
            pad: 0,
        };
        let start_ns = start_of(child.id());
        // The kernel programs know it to the nanosecond, `/proc` to 10 ms.
        assert_eq!(name_of(process(start_ns + 7)).as_deref(), Some("shop.sh"));
        assert_eq!(name_of(process(start_ns + 10_000_000)), None, "another");
        let gone = process(start_ns);
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(name_of(gone), None);
    }

    #[test]
    fn processes_of_one_name_are_told_where_they_are_one_program() {
        let mut running = Running {
            looked_at: Some(Instant::now()),
            ..Running::default()
        };
        let dir = tempfile::tempdir().unwrap();
        let mut children: Vec<Child> = ["one.sh", "one.sh", "two.sh"]
            .iter()
            .map(|name| {
                let script = dir.path().join(name);
                fs::write(&script, "while :; do sleep 0.1; done\n").unwrap();
                runs(script.to_str().unwrap())
            })
            .collect();
        let pids: Vec<u32> = children.iter().map(Child::id).collect();
        let mut name_of_first = |count: usize| {
            running
                .by_comm
                .insert("sh".to_owned(), pids[..count].to_vec());
            running.name_of_all("sh")
        };
        let told = [name_of_first(0), name_of_first(2), name_of_first(3)];
        for child in &mut children {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        assert_eq!(told, [None, Some("one.sh".to_owned()), None]);
    }
}
