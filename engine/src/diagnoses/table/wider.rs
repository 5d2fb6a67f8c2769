//! Diagnoses that one drain alone does not show: of rollouts, and of what a service asks of others.

use super::{Diagnosis, OfServers, advice::at};
use crate::{model::Severity, servers::Topic};

/// See the table.
pub const IDLE_TIMEOUT_RACE: Diagnosis = Diagnosis {
    name: "idle-timeout-race",
    severity: Severity::Warn,
    summary: "With nobody stopping anything, requests meet connections that this side just closed as idle.",
    signature: "Three or more connections in ordinary time on which this side sent its FIN first and a request came after it, where the time that they had been idle is the same for three in four of them. The kernel tells that time of each connection: from the last data, either way, to this side's FIN.",
    evidence: "Counts them, and gives the time that they had been idle: it is this side's idle timeout. What clients lost by it stands in an incident, or in the rollout that it is told of.",
    remedy: "Make this server's idle timeout longer than that of the load balancer or client in front of it.",
    servers: OfServers::On(Topic::IdleTimeout),
    places: &[at(
        "Go",
        "`IdleTimeout` of http.Server, or `ReadTimeout` when it is not set.",
    )],
    limits: "The time is known to a tick of the kernel's clock (4 ms as a rule), is told to a tenth of a second, and is not known of a connection that this side closed right behind an answer: `keepalive_requests` and similar limits close at a count in place of a time, and are told as keepalive-race. Before kernel 6.10 the RST of a mini-socket cannot be seen, nor what it lost.",
};

/// See the table.
pub const DROPPED_BY_SERVER: Diagnosis = Diagnosis {
    name: "dropped-by-server",
    severity: Severity::Warn,
    summary: "With nobody stopping anything, the server closed connections itself with requests of clients in hand.",
    signature: "Of an incident: requests that were unanswered or unread when a process of the service closed their connections, which did not end about then.",
    evidence: "How many, and within how long: what is closed in one moment has one reason (a health check that failed, a limit, a new configuration that came by an API), what is scattered has many. The examples name the process.",
    remedy: "Its own log of that moment says why.",
    servers: OfServers::On(Topic::Drop),
    places: &[at(
        "proxies",
        "When an upstream hangs up, many close the client's connection too: look for an incident, a drain or refusals of the upstream in the same second.",
    )],
    limits: "Why a server closes connections is its own affair: no signal and no system call tells. An answer that was refused on purpose, with no word to the client, looks the same.",
};

/// See the table.
pub const CLIENTS_GAVE_UP: Diagnosis = Diagnosis {
    name: "clients-gave-up",
    severity: Severity::Warn,
    summary: "More clients than ordinarily left before their request was answered.",
    signature: "Closes that the peer began while its request had no answer, during the rollout, compared with the service's ordinary rate by the exact test; told from a p-value of 0.01 and three connections on. Of one drain three are told, too, where nobody is known ever to have done so.",
    evidence: "Gives both counts with their windows and the p-value. The new revision may be slow or stuck, or the old one too busy with its end. A drain of which it is told is not clean.",
    remedy: "Look at the new revision's response times; warm it up before it takes traffic.",
    servers: OfServers::On(Topic::TakeUp),
    places: &[
        at(
            "Kubernetes",
            "A readiness probe that tells when it is warm; `minReadySeconds`, `maxUnavailable: 0`.",
        ),
        at(
            "JVM",
            "Warm up before readiness; the first requests compile.",
        ),
        at(
            "clients",
            "Their timeout may be shorter than an ordinary slow request: compare with the latency of ordinary time.",
        ),
    ],
    limits: "Cancelled requests of impatient users look the same; the ordinary rate takes them out on the average only. A rollout is judged beside 30 s of ordinary time or not at all.",
};

/// See the table.
pub const LISTENER_GAP: Diagnosis = Diagnosis {
    name: "listener-gap",
    severity: Severity::Fail,
    summary: "Between the old and the new server nobody listened: clients were refused.",
    signature: "The port's last listener closed and another one opened later; SYNs in between were refused with an RST. A gap in which nobody was refused is told as a warning. So is told who was refused when a server ended by itself and was started anew.",
    evidence: "Gives the gap's length and the SYNs refused in it.",
    remedy: "Let old and new overlap: hand the socket over, use SO_REUSEPORT, or reload in place of a restart.",
    servers: OfServers::On(Topic::Overlap),
    places: &[
        at(
            "systemd",
            "Socket activation: a `.socket` unit holds the listening socket, and SYNs wait while the service restarts. `ExecReload=` in place of restart where the server can.",
        ),
        at(
            "programs",
            "SO_REUSEPORT: start the new one, then stop the old one.",
        ),
        at(
            "Kubernetes",
            "More than one replica, `maxUnavailable: 0`, a preStop sleep: another pod serves meanwhile. The gap of a pod that nobody is sent to refuses nobody.",
        ),
    ],
    limits: "Clients that retry make several refused SYNs of one client. Before kernel 6.10 refused SYNs cannot be seen: every gap is a warning there. With hostPort or host networking every restart has a gap; behind a Service a pod's own gap need not matter.",
};

/// See the table.
pub const TRAFFIC_BEFORE_READY: Diagnosis = Diagnosis {
    name: "traffic-before-ready",
    severity: Severity::Fail,
    summary: "Clients were sent to the new server before it listened.",
    signature: "SYNs were refused on a port whose new owner began to listen later, and no old owner had just left it.",
    evidence: "Counts the SYNs, and tells how long before the listener's start the first of them came.",
    remedy: "A readiness probe, so that traffic comes when the server listens.",
    servers: OfServers::Nothing,
    places: &[
        at(
            "Kubernetes",
            "A `readinessProbe` on the port; without one a pod counts as ready when its process runs. `startupProbe` for slow starters.",
        ),
        at(
            "load balancers",
            "Register the target after its health check passed, not when it starts.",
        ),
        at(
            "systemd",
            "`Type=notify`, with units that depend on it ordered after it.",
        ),
        at("compose", "`depends_on` with `condition: service_healthy`."),
    ],
    limits: "SYNs to a port that nobody has listened on since finwatch started belong to no service and are not seen here. Before kernel 6.10 refused SYNs cannot be seen.",
};

/// See the table.
pub const UPSTREAM_CLOSED_EARLY: Diagnosis = Diagnosis {
    name: "upstream-closed-early",
    severity: Severity::Fail,
    summary: "An upstream ended the connection while our request was unanswered.",
    signature: "Connections that this workload opened, which the peer closed first (FIN or RST) after a request was sent and before anything came back, during the rollout and more often than ordinarily.",
    evidence: "Counts them by the upstream's port, beside the ordinary time's count.",
    remedy: "Look at the upstream's drain; retry idempotent requests on a new connection.",
    servers: OfServers::On(Topic::Upstream),
    places: &[
        at(
            "HTTP clients",
            "Go retries idempotent requests on a reused connection by itself; in Java and Node ask the library for it.",
        ),
        at(
            "the upstream",
            "See requests-cut and keepalive-race there: finwatch on its node tells which.",
        ),
    ],
    limits: "Needs counters of outgoing connections (role client). What the upstream did is seen from this side only: it may also have timed the request out.",
};

/// See the table.
pub const CLOSE_WAIT_LEAK: Diagnosis = Diagnosis {
    name: "close-wait-leak",
    severity: Severity::Warn,
    summary: "Connections that peers have closed stay open here: the program never closes them.",
    signature: "Sockets in CLOSE_WAIT did not get fewer for a minute, and were more by five and more after the rollout than at its start.",
    evidence: "Gives the numbers at the start and at the end, and the time between.",
    remedy: "The program must close a connection when it reads its end.",
    servers: OfServers::Nothing,
    places: &[
        at(
            "programs",
            "Close on every path, also on errors: Go `defer resp.Body.Close()`, Java try-with-resources, Python `with`.",
        ),
        at(
            "pools",
            "An idle pool does not read, and does not see the peer's FIN: evict idle connections, or validate them before use.",
        ),
        at(
            "threads",
            "A handler that is stuck cannot close: look at thread dumps.",
        ),
    ],
    limits: "A program that half-closes on purpose looks the same. Needs a minute of readings within the rollout.",
};
