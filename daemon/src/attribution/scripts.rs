//! Scripts that tests run, each until it is dropped.

use std::{
    fs,
    path::Path,
    process::{Child, Command},
    time::Duration,
};

use finwatch_common::Process;

use crate::netns::owners;

/// A shell that runs a script.
pub(super) struct Script(Child);

// === impl Script ===

impl Script {
    /// Begins one of this name in a folder.
    pub(super) fn run(folder: &Path, name: &str) -> Self {
        let script = folder.join(name);
        fs::write(&script, "while :; do sleep 0.1; done\n").unwrap();
        let script = Self(Command::new("sh").arg(script).spawn().unwrap());
        // Until it runs `sh` it is a copy of this very program, and then for a moment one without a command line.
        let line = format!("/proc/{}/cmdline", script.pid());
        while !fs::read_to_string(&line).unwrap().starts_with("sh\0") {
            std::thread::sleep(Duration::from_millis(1));
        }
        script
    }

    pub(super) fn pid(&self) -> u32 {
        self.0.id()
    }

    /// As the kernel programs would tell it.
    pub(super) fn process(&self) -> Process {
        process(self.pid())
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// Any process that runs.
pub(super) fn process(pid: u32) -> Process {
    let all = owners::processes().unwrap();
    let stat = all.iter().find(|stat| stat.pid == pid).unwrap();
    Process {
        start_ns: stat.start_ns,
        tgid: pid,
        pad: 0,
    }
}
