//! A daemon, a server and a gate in a namespace of their own.

use std::{
    collections::BTreeSet,
    path::Path,
    process::{Child, Command},
};

use finwatch_engine::model::{Drain, DrainKind, ServiceState};

use super::told::{Told, What};
use crate::{
    harness::{
        Netns,
        crowd::{Crowd, Tally, Transport},
        daemon::{Daemon, netns_inode},
        gate::Gate,
        lab::{PLAIN, Server, TLS, ended},
        resets::Resets,
        wait_until,
    },
    host::workloads::Cgroup,
};

/// See the module.
pub(super) struct Stage {
    pub(super) daemon: Daemon,
    pub(super) server: Server,
    pub(super) gate: Gate,
    /// The server's processes when everything was ready.
    pub(super) old: BTreeSet<u32>,
    port: u16,
    resets: Resets,
}

impl Stage {
    /// Starts the daemon, then the server in a new namespace, and runs `body` there.
    pub(super) fn set<R: Send>(
        server: &str,
        arguments: &[&str],
        body: impl FnOnce(&mut Self) -> R + Send,
    ) -> R {
        Self::set_alone(server, arguments, |stage| {
            let _neighbour = Neighbour::start();
            body(stage)
        })
    }

    /// The same, and the server is a unit of its own, which nobody else on this host has: what is announced of it is of no other. `body`
    /// gets its name, by which the daemon knows it already.
    pub(super) fn set_as_a_unit<R: Send>(
        server: &str,
        arguments: &[&str],
        body: impl FnOnce(&mut Self, &str) -> R + Send,
    ) -> R {
        let unit = format!("finwatch-stage-{}.service", std::process::id());
        let cgroup = Cgroup::make(&unit);
        let daemon = Daemon::start();
        Self::set_in(daemon, Some(cgroup.path()), server, arguments, |stage| {
            let _neighbour = Neighbour::start();
            wait_until("the service is known", || {
                let services: Vec<ServiceState> = stage.daemon.list("services");
                services
                    .iter()
                    .any(|state| state.service.workload == unit && state.listeners > 0)
            });
            body(stage, &unit)
        })
    }

    /// The same, and no process but the server's lives in the namespace: with the last of them, nobody finds it any more.
    pub(super) fn set_alone<R: Send>(
        server: &str,
        arguments: &[&str],
        body: impl FnOnce(&mut Self) -> R + Send,
    ) -> R {
        Self::set_in(Daemon::start(), None, server, arguments, body)
    }

    /// The same as [`Stage::set`], and drains wait for as long as they do by default for whom nobody takes up.
    pub(super) fn set_patiently<R: Send>(
        server: &str,
        arguments: &[&str],
        body: impl FnOnce(&mut Self) -> R + Send,
    ) -> R {
        let daemon = Daemon::start_that_waits("60s");
        Self::set_in(daemon, None, server, arguments, |stage| {
            let _neighbour = Neighbour::start();
            body(stage)
        })
    }

    fn set_in<R: Send>(
        daemon: Daemon,
        cgroup: Option<&Path>,
        server: &str,
        arguments: &[&str],
        body: impl FnOnce(&mut Self) -> R + Send,
    ) -> R {
        Netns::run(|_| {
            let resets = Resets::watch();
            let server = Server::start_in(cgroup, server, arguments, &[PLAIN]);
            let gate = Gate::open(server.folder());
            let old = server.processes();
            let mut stage = Self {
                daemon,
                server,
                gate,
                old,
                port: PLAIN,
                resets,
            };
            body(&mut stage)
        })
    }

    /// Clients; from here on the story is that of the port which they use.
    #[track_caller]
    pub(super) fn gather(&mut self, transport: Transport, idle: usize, busy: usize) -> Crowd {
        self.port = port_of(transport);
        let crowd = Crowd::gather(transport, idle, busy, &mut self.gate);
        // A server may have forked for the load.
        self.old = self.server.processes();
        crowd
    }

    /// From here on the story is that of `port`, whose clients the test brings itself.
    pub(super) fn attend(&mut self, port: u16) {
        self.port = port;
    }

    /// Clients of a server without keep-alive.
    #[track_caller]
    pub(super) fn gather_for_once(&mut self, transport: Transport, busy: usize) -> Crowd {
        self.port = port_of(transport);
        let crowd = Crowd::ask_once(transport, busy, &mut self.gate);
        assert!(crowd.is_held(), "{}", self.server.log());
        self.old = self.server.processes();
        crowd
    }

    /// What is told of a stop of the whole server, which must have been told to end.
    #[track_caller]
    pub(super) fn stopped(
        &mut self,
        signal: libc::c_int,
        open: usize,
        awaiting: usize,
        tally: Tally,
    ) -> Told {
        let status = self.server.wait();
        self.told(
            What {
                kind: DrainKind::Stop,
                signal,
                target: self.server.pid(),
                open,
                awaiting,
                opened_after: 0,
                exit: Some(ended(status)),
            },
            tally,
        )
    }

    /// What is told of a reload: the old workers' end.
    #[track_caller]
    pub(super) fn reloaded(
        &mut self,
        signal: libc::c_int,
        open: usize,
        awaiting: usize,
        tally: Tally,
    ) -> Told {
        let master = self.server.pid();
        let workers = self.old.iter().copied().filter(|pid| *pid != master);
        self.server.wait_gone(&workers.collect());
        self.told(
            What {
                kind: DrainKind::Reload,
                signal,
                target: master,
                open,
                awaiting,
                opened_after: 0,
                exit: None,
            },
            tally,
        )
    }

    /// What is told when every process was killed.
    #[track_caller]
    pub(super) fn killed(&mut self, open: usize, awaiting: usize, tally: Tally) -> Told {
        let status = self.server.wait();
        self.told(
            What {
                kind: DrainKind::Kill,
                signal: libc::SIGKILL,
                target: self.server.pid(),
                open,
                awaiting,
                opened_after: 0,
                exit: Some(ended(status)),
            },
            tally,
        )
    }

    /// Says that a change of all of the workload's ports begins (`start`) or has ended (`finish`).
    #[track_caller]
    pub(super) fn announce(&self, what: &str, workload: &str) {
        let arguments = [what, "--workload", workload, "--revision", "r2"];
        let output = self.daemon.announce(&arguments);
        assert!(output.status.success(), "{output:?}");
    }

    /// Waits for the drain of that, and holds all of it that follows from `what` and `tally`.
    #[track_caller]
    pub(super) fn told(&mut self, what: What, tally: Tally) -> Told {
        let drain = self.drain(what.kind);
        let told = Told { drain, tally };
        told.check(&what, self.resets.clients_of(self.port));
        told
    }

    /// Waits for a rollout of this port with a drain of this kind, which must be the only one.
    #[track_caller]
    pub(super) fn drain(&mut self, kind: DrainKind) -> Drain {
        let (port, netns) = (self.port, netns_inode());
        let is_it = |drain: &Drain| {
            drain.instance.netns == netns
                && drain.service.port == port
                && drain.kind == kind
                && drain.ended_at.is_some()
        };
        let rollout = self
            .daemon
            .rollout(|rollout| rollout.drains.iter().any(is_it));
        let drains: Vec<_> = rollout.drains.iter().filter(|drain| is_it(drain)).collect();
        let [drain] = drains[..] else {
            panic!("one drain of port {port}: {rollout:#?}");
        };
        drain.clone()
    }
}

fn port_of(transport: Transport) -> u16 {
    match transport {
        Transport::Plain => PLAIN,
        Transport::Tls(_) => TLS,
        Transport::Http2(port) => port,
    }
}

/// A process that does nothing but live in the namespace, as others do on a host or in a pod.
struct Neighbour(Child);

impl Neighbour {
    fn start() -> Self {
        let child = Command::new("sleep").arg("600").spawn();
        Self(child.expect("sleep starts; Debian's package is coreutils"))
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        let _already_gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}
