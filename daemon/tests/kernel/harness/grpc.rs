//! Clients of the lab's gRPC server, which count for themselves: the program beside the server in the lab.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, ChildStdout, Command, Stdio},
};

use serde::Deserialize;

use super::{Patient, gate::Gate, lab::build_folder, wait_for_end};

/// Clients whose first call was answered, each on a connection of its own.
pub(crate) struct Clients {
    program: Child,
    said: BufReader<Patient<ChildStdout>>,
}

/// What they saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(crate) struct Seen {
    pub(crate) connections: u64,
    /// Calls made.
    pub(crate) asked: u64,
    /// Calls answered.
    pub(crate) answered: u64,
    /// Connections whose end the server began.
    pub(crate) closed_by_peer: u64,
    /// Connections whose end the client began.
    pub(crate) closed_by_us: u64,
    /// Connections that were reset.
    pub(crate) closed_by_reset: u64,
}

impl Clients {
    /// Everybody connects by `transport` (`plain`, `tls1.2` or `tls1.3`) and is answered; the busy ones' next calls are then held at the gate.
    #[track_caller]
    pub(crate) fn gather(transport: &str, idle: usize, busy: usize, gate: &mut Gate) -> Self {
        let program = build_folder().join("grpc/grpc-client");
        let mut program = Command::new(&program)
            .args([idle, busy].map(|count| count.to_string()))
            .arg(transport)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("start {}: {e}", program.display()));
        let said = BufReader::new(Patient::new(program.stdout.take().unwrap()));
        let mut clients = Self { program, said };
        assert_eq!(clients.line(), "ready\n");
        gate.hold(busy);
        clients
    }

    /// Waits until every connection has ended.
    #[track_caller]
    pub(crate) fn leave(mut self) -> Seen {
        let seen = serde_json::from_str(&self.line()).unwrap();
        assert!(wait_for_end(&mut self.program, "the client").success());
        seen
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.said.read_line(&mut line).unwrap();
        line
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        let _already_gone = self.program.kill();
        let _reaped = self.program.wait();
    }
}
