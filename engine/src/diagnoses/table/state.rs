//! Diagnoses of how the processes took their end.

use super::{Diagnosis, OfServers, advice::at};
use crate::{
    model::Severity,
    servers::{LATE_LISTENER, Topic},
};

/// See the table.
pub const NOT_ACCEPTING: Diagnosis = Diagnosis {
    name: "not-accepting",
    severity: Severity::Warn,
    summary: "After the signal the server kept its listener open and accepted nobody: clients hang.",
    signature: "The listening socket stayed open after T0, connections went on being established by the kernel, and none of them was accepted: they waited in the backlog or were dropped with it.",
    evidence: "Counts the connections established after T0, and those that waited or were dropped; tells how long the listener stayed.",
    remedy: "Either close the listener at once, so that clients go elsewhere, or keep accepting until the load balancer has left.",
    servers: OfServers::On(Topic::Queue),
    places: &[
        at("Tomcat", LATE_LISTENER),
        at(
            "any program",
            "Close the listening socket in the signal's handler, in every process that holds it, not at the end of the shutdown.",
        ),
        at(
            "forking servers",
            "A parent that keeps the socket open keeps the kernel accepting for it.",
        ),
    ],
    limits: "The backlog is looked at now and then, not at every instant: a short one may be missed when nothing was dropped.",
};

/// See the table.
pub const CLIENTS_WAITED: Diagnosis = Diagnosis {
    name: "clients-waited",
    severity: Severity::Warn,
    summary: "Around the stop, the reload or the hand-over clients hung: they had connected and asked, and nobody took them up for a second or more.",
    signature: "Connections whose first bytes lay unread for a second or more after T0, mostly in an accept queue, whoever read them in the end: the old server, its new workers, or a successor that holds the listening socket. In ordinary time the kernel counts the same when it is read; where that was usual, and is no more frequent by the exact test, this informs.",
    evidence: "Counts them, tells for how long the one waited at least that waited longest, how many of them had no answer in the end and how many wait still, and sets the number beside the ordinary time's. A drain of which it warns is not clean.",
    remedy: "Let the successor accept before the old server stops accepting; or close the listener at once, so that clients go elsewhere.",
    servers: OfServers::On(Topic::TakeUp),
    places: &[
        at(
            "sockets that are handed over",
            "Whoever holds an inherited listening socket keeps the kernel taking connections for it: stop the old process when the new one accepts, not when it was started.",
        ),
        at(
            "reloads that run the program anew",
            "Nobody accepts from the end of the old workers, or from the signal, to the start of the new: bound that wait, or reload a second instance behind the same balancer first.",
        ),
        at(
            "systemd socket activation",
            "Clients wait while the service restarts, for as long as it needs to start: make the start short, or run two instances.",
        ),
    ],
    limits: "Accept queues are looked at while the drain lasts, four times a second where somebody waits: a wait is told as at least so long. A client that says nothing before the server speaks (SMTP, MySQL) is not known to wait. When the old process is gone, and another holds its listening socket, it is looked for ten seconds whether anybody comes and is served; who comes later is not seen. It does not tell a queue from a program that accepts and does not read.",
};

/// See the table.
pub const DRAIN_TIMED_OUT: Diagnosis = Diagnosis {
    name: "drain-timed-out",
    severity: Severity::Fail,
    summary: "The grace period ran out: SIGKILL came while connections were open.",
    signature: "A SIGKILL after the stop signal, with connections still open, which the kernel then closed.",
    evidence: "Tells when SIGKILL came and who sent it, how many connections were open, and how many of them had carried no request since T0. It fails where a client lost something in that drain (a request, an answer, a refused connection); else it warns. Where it fails and was one worker among its siblings, an incident of the cause worker-crashed names the drain, as nobody stopped or changed anything; a deploy that it happens in tells of it alone.",
    remedy: "A longer grace period, or shorter requests; and close idle connections when draining begins.",
    servers: OfServers::On(Topic::GracePeriod),
    places: &[
        at(
            "Kubernetes",
            "`terminationGracePeriodSeconds` (30 by default) includes the preStop hook: preStop sleep + longest request + some seconds.",
        ),
        at(
            "systemd",
            "`TimeoutStopSec=` (90 s by default); `KillMode=mixed` kills children only at the end.",
        ),
        at(
            "container engines",
            "`docker stop -t`, compose's `stop_grace_period`: 10 s by default.",
        ),
        at(
            "programs",
            "Bound your own shutdown below the grace period, and log what was left: an orderly end beats a kill.",
        ),
    ],
    limits: "The OOM killer's SIGKILL after a stop signal looks the same; its sender is the kernel.",
};

/// See the table.
pub const SIGNAL_IGNORED: Diagnosis = Diagnosis {
    name: "signal-ignored",
    severity: Severity::Fail,
    summary: "Nobody took the stop signal: nothing happened until SIGKILL.",
    signature: "The signal's target had it ignored (or was process 1 of its container without a handler, or a shell in front of the server), no connection was closed, no listener changed, and SIGKILL ended it.",
    evidence: "Names the target and what it does with the signal, and the time until SIGKILL. It fails where a client lost something in that drain (a request, an answer, a refused connection); else it warns.",
    remedy: "Let the signal reach the server: `exec` it from the shell script, or run an init that forwards signals; handle the signal when the program is process 1.",
    servers: OfServers::Nothing,
    places: &[
        at(
            "containers",
            "`ENTRYPOINT [\"server\"]` in the exec form; in a script `exec server \"$@\"` as the last line; `tini` or `--init`, `shareProcessNamespace: true`.",
        ),
        at(
            "process 1",
            "The kernel drops signals without a handler for process 1 of a namespace: install a handler, also for Node, Python and shells.",
        ),
        at(
            "npm, yarn",
            "They start a shell in between: run `node server.js` itself.",
        ),
        at(
            "programs",
            "`nohup` and careless libraries set SIG_IGN, which children inherit: restore SIG_DFL before exec.",
        ),
    ],
    limits: "What a blocked signal's reader (sigwait, signalfd) does with it cannot be seen: it is not judged. A handler that does nothing counts as taken.",
};

/// See the table.
pub const SIGNAL_MEANS_RELOAD: Diagnosis = Diagnosis {
    name: "signal-means-reload",
    severity: Severity::Warn,
    summary: "A stop signal made the service start anew in place of stopping.",
    signature: "After a stop signal old workers ended, new ones came, the listener stayed and the service went on accepting.",
    evidence: "Counts the processes that ended and those that came, and the connections accepted after the signal.",
    remedy: "Make the signal stop it (uWSGI: die-on-term), or send the one that does (STOPSIGNAL, KillSignal=).",
    servers: OfServers::On(Topic::StopReloads),
    places: &[at(
        "supervisors",
        "A supervisor that starts the program again does the same from outside: stop the supervisor, or tell it.",
    )],
    limits: "A worker that is replaced by chance while the service stops looks like it, until the listener closes.",
};

/// See the table.
pub const WORKERS_LEFT_BEHIND: Diagnosis = Diagnosis {
    name: "workers-left-behind",
    severity: Severity::Warn,
    summary: "The stop signal ended a supervisor alone: the processes that it started go on serving.",
    signature: "The process that got the stop signal ended, no other process of the service did or was signalled, and the listener stayed with them for some seconds: three when the signal itself killed the supervisor or when they accepted and answered new connections, else forty.",
    evidence: "Who was told to stop, how many processes live on, and the connections established after the signal.",
    remedy: "Have the signal reach the processes that serve: `exec` the server from its script, signal the whole unit, container or process group, or use a supervisor that passes signals on.",
    servers: OfServers::On(Topic::LeftBehind),
    places: &[
        at(
            "systemd",
            "`KillMode=control-group` (the default) or `mixed`, not `process`.",
        ),
        at(
            "containers",
            "`exec server \"$@\"` as the last line of the script; `tini -g` signals the whole group.",
        ),
    ],
    limits: "Workers that were told over a pipe, and go on accepting while they finish, look like it; their end is another drain.",
};

/// See the table.
pub const SESSIONS_LIVE_ON: Diagnosis = Diagnosis {
    name: "sessions-live-on",
    severity: Severity::Info,
    summary: "Connections outlive the server that accepted them: processes that it started hold them.",
    signature: "The last process that belonged to the listener ended, nobody listens, and connections of before T0 were open when the drain was over.",
    evidence: "How many are open, and how many of them carried nothing since T0. Processes that hold no listening socket (sshd's sessions, jobs of a mail server) are none of the drain's: it does not wait for them.",
    remedy: "None needed where sessions are meant to go on; else stop the whole unit or process group.",
    servers: OfServers::Nothing,
    places: &[at(
        "systemd",
        "`KillMode=process` (as units of sshd have it) lets them go on, `control-group` (the default) stops them with the server.",
    )],
    limits: "What becomes of them later is ordinary time: what they lose then is an incident.",
};

/// See the table.
pub const KILLED_WITHOUT_STOP: Diagnosis = Diagnosis {
    name: "killed-without-stop",
    severity: Severity::Fail,
    summary: "The process ended without being told to stop, with connections open: not a shutdown, a crash.",
    signature: "An exit by a fatal signal, by SIGKILL or with a code other than 0, with no stop signal before it, and connections open, or SYNs refused afterwards.",
    evidence: "Tells how it ended, who sent the signal (`kernel` for a fault or the OOM killer), and how many connections were open. It fails where a client lost something in that drain (a request, an answer, a refused connection); else it warns.",
    remedy: "Find out why it died: the kernel's log for the OOM killer, a core dump for a fault, the program's log for its own exit.",
    servers: OfServers::Nothing,
    places: &[
        at(
            "SIGKILL by the kernel",
            "`journalctl -k | grep -i oom`, `kubectl describe pod` (OOMKilled): a higher memory limit, or less memory.",
        ),
        at(
            "SIGKILL by somebody",
            "`kill -9`, a liveness probe that gave up, an engine's forced removal: send a stop signal first.",
        ),
        at(
            "SIGSEGV, SIGABRT",
            "`coredumpctl`; a fault in native code or an assertion.",
        ),
        at(
            "exit with a code",
            "An error that nobody caught, or a panic: the program's log has it.",
        ),
        at(
            "workers",
            "A supervisor restarts a worker within milliseconds, and logs look fine: its clients were cut all the same.",
        ),
    ],
    limits: "A signal that was sent before finwatch started is not known: the end then looks like a crash.",
};

/// See the table.
pub const TOO_LITTLE_SEEN: Diagnosis = Diagnosis {
    name: "too-little-seen",
    severity: Severity::Info,
    summary: "There is no verdict, as too little was seen to give one.",
    signature: "No connection was open at T0, none was opened or closed afterwards, and nobody was refused; or records were lost, which may have told of a failure; or finwatch itself was not there for all of it; or under 18 bytes of a client were left without an answer, and neither the connection nor others of the service tell whether that was a request or a goodbye.",
    evidence: "Says which of these it was. A loss of records never hides a failure that was seen, and counters on /metrics are exact all the same.",
    remedy: "",
    servers: OfServers::Nothing,
    places: &[
        at(
            "no traffic",
            "Judge a service while it is used; a pipeline can put load on it during the rollout.",
        ),
        at(
            "lost records",
            "Look at finwatch_records_lost_total, and raise probe.ring_bytes.",
        ),
        at(
            "a restart of finwatch",
            "Deploy finwatch itself apart from the services it judges.",
        ),
    ],
    limits: "A single client can be too little to meet a race such as keepalive-race.",
};
