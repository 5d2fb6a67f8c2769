//! Diagnoses of what costs something and loses nothing, and of what only looks bad.

use super::{Diagnosis, OfServers, advice::at};
use crate::{model::Severity, servers::Topic};

/// See the table.
pub const CLEAN_DRAIN: Diagnosis = Diagnosis {
    name: "clean-drain",
    severity: Severity::Pass,
    summary: "Nobody lost anything: what was open was answered before it was closed.",
    signature: "After T0 no request was unanswered, unread or late, no data of a client was reset, no connection was dropped from the accept queue, nobody was refused, no more clients than ordinarily left before their answer, and no SIGKILL had to end it.",
    evidence: "Counts what was open at T0 and how it ended. Resets that threw nothing away, or only goodbyes, do not stand against it.",
    remedy: "",
    servers: OfServers::Nothing,
    places: &[],
    limits: "It says nothing about clients that came after the drain was over (see listener-gap), nor, on ports marked as streams, about turns. A node sees its own side only: what a load balancer in front of it did to its clients is not seen here.",
};

/// See the table.
pub const TLS_GOODBYE_RESETS: Diagnosis = Diagnosis {
    name: "tls-goodbye-resets",
    severity: Severity::Info,
    summary: "Resets were sent whose lost bytes were only TLS goodbyes: they look bad and harm nobody.",
    signature: "After T0 RSTs were sent that threw away only a TLS alert (close_notify) or a control frame of the peer, on connections on which no request was lost.",
    evidence: "Counts such RSTs, by the kernel's reason. A TLS client answers the server's close_notify with its own, which meets a socket that is closed already; the kernel resets it, and no TIME_WAIT is left. Graphs of resets jump, and nobody lost anything.",
    remedy: "None needed; to be tidy, wait for the peer's close_notify before close().",
    servers: OfServers::Nothing,
    places: &[
        at(
            "any TLS server",
            "After its own close_notify, read until the peer's close_notify or its FIN, with a short limit, then close. With OpenSSL call SSL_shutdown() a second time.",
        ),
        at(
            "dashboards",
            "Plot finwatch_tcp_resets_sent_total without lost=\"goodbye\".",
        ),
    ],
    limits: "Told by size: the alert of TLS 1.2 with CBC suites is as long as a small request and is counted as data.",
};

/// See the table.
pub const EARLY_ANSWER_RESET: Diagnosis = Diagnosis {
    name: "early-answer-reset",
    severity: Severity::Warn,
    summary: "Requests were answered before all of them was read, and the connection was reset with the rest: clients may lose the answer.",
    signature: "After T0 this side had read a part of a request, had written since, and closed with the rest unread, or while the rest was on its way: the kernel answers that with an RST. The rest is told from another request by what had come when the program last read, by the clock (it came before the answer went out), and by what the peer had acknowledged when it sent it. Or data came behind the answer to a request that had come in several parts, within 20 ms of which this side closed: its rest or another request, which nothing tells.",
    evidence: "Counts such connections, beside the ordinary rate: a service that refuses uploads from their head (413, 401, a redirect) has a steady trickle of them, which is told as worth knowing only. It is counted as a cut request (requests-cut) only where some of the answer had not left when the RST did, or was being sent again. A client that reads what has arrived before it minds the RST has its answer; one that is still writing may see only an error.",
    remedy: "Linger: after the answer shut down the sending side, and read and throw away what still comes, up to a limit, before close().",
    servers: OfServers::On(Topic::Linger),
    places: &[
        at(
            "any program",
            "`shutdown(SHUT_WR)`, then read and discard for a moment or some hundred kilobytes, then `close()` (RFC 9112 section 9.6).",
        ),
        at(
            "clients",
            "Send `Expect: 100-continue` with large uploads, and read the answer before the body is sent.",
        ),
    ],
    limits: "A rest that comes only after the answer was seen, as of an upload that is sent slowly, looks like another request. Where the question had come in several parts and this side closed in the instant of its answer, it is counted as either of them, never as cut, and always warns; where it had come in one part (the head alone), it counts as unread or late.",
};

/// See the table.
pub const SERVER_HANGS_UP_FIRST: Diagnosis = Diagnosis {
    name: "server-hangs-up-first",
    severity: Severity::Info,
    summary: "While it drained, this side closed connections first, more often than it ordinarily does.",
    signature: "The share of closes whose first FIN came from this side, after T0, beside the same share in the service's ordinary time.",
    evidence: "Gives both shares with their counts. Who closes first keeps the TIME_WAIT, and risks that a request of the client crosses the FIN (keepalive-race).",
    remedy: "Clients should be told to leave first: `Connection: close` on answers, GOAWAY on HTTP/2, the load balancer before the signal.",
    servers: OfServers::Nothing,
    places: &[
        at(
            "HTTP/1.1",
            "Almost every server closes idle connections itself at a stop: nginx QUIT and reload, haproxy's soft stop, Apache graceful, Node's close(), Tomcat, Jetty, uvicorn. It is only harmless when clients have left before.",
        ),
        at(
            "HTTP/2, gRPC",
            "A GOAWAY lets the client close first: gRPC-Go's GracefulStop leaves every TIME_WAIT on the client.",
        ),
    ],
    limits: "Where HTTP says `Connection: close` both sides close at the same time, and who is first is a race.",
};

/// See the table.
pub const TIME_WAIT_BURST: Diagnosis = Diagnosis {
    name: "time-wait-burst",
    severity: Severity::Warn,
    summary: "The drain left more TIME_WAIT sockets on this host than ordinary traffic does in that time.",
    signature: "TIME_WAIT and FIN_WAIT2 mini-sockets created on this side after T0, compared with the service's ordinary rate by a one-sided exact test of two Poisson rates; told from a p-value of 0.01 and five sockets on. It warns from `drains.time_wait_warn` sockets above the ordinary on, by default a tenth of the host's source ports (net.ipv4.ip_local_port_range) or of net.ipv4.tcp_max_tw_buckets, whichever is fewer; below it informs: a growth that is certain and small costs nobody anything.",
    evidence: "Gives both counts with their windows, the ratio of the rates and the p-value. Creations are counted, not survivors: SYNs of clients that come back remove TIME_WAITs again.",
    remedy: "Have clients close first (see server-hangs-up-first). SO_REUSEADDR only hides it.",
    servers: OfServers::Nothing,
    places: &[
        at(
            "load balancers, proxies",
            "They reach a server from few addresses: thousands of TIME_WAITs on the server's port keep as many of their source ports busy for a minute. Let the balancer close its idle connections when the server leaves.",
        ),
        at(
            "HTTP/1.1",
            "Answer `Connection: close` for some time before the stop, so that many clients close by themselves.",
        ),
        at(
            "not a remedy",
            "SO_REUSEADDR lets the next server bind; it changes nothing for clients. tcp_tw_reuse works on the side that connects. Do not shorten TIME_WAIT with SO_LINGER 0: that resets connections under their last data.",
        ),
    ],
    limits: "Needs 30 s of ordinary time before T0, in which somebody listened; with less nothing is judged, and the counts are only shown.",
};

/// See the table.
pub const ACCEPTS_AFTER_SIGNAL: Diagnosis = Diagnosis {
    name: "accepts-after-signal",
    severity: Severity::Warn,
    summary: "Clients still connected to the instance after it was told to stop: traffic is still routed to it.",
    signature: "Connections established after a stop signal on the old instance's listening sockets.",
    evidence: "Counts them, with their rate and the last one's time after T0. None of them need be lost; each of them runs the risk.",
    remedy: "Take the instance out of the load balancer before the signal: a preStop sleep, or deregistration and its delay.",
    servers: OfServers::Nothing,
    places: &[
        at(
            "Kubernetes",
            "Endpoints and the signal change at the same time, and the proxies of every node follow later: `lifecycle.preStop.sleep.seconds: 10` (before 1.30: `exec: sleep 10`), with a `terminationGracePeriodSeconds` that has room for it.",
        ),
        at(
            "cloud load balancers",
            "Deregister the target and wait for the deregistration delay before the stop.",
        ),
        at(
            "DNS",
            "Stop only after the record's time to live; resolvers and JVMs may keep it for longer.",
        ),
        at(
            "programs",
            "On the signal fail the readiness check first, and go on serving for longer than the check needs to be noticed.",
        ),
    ],
    limits: "A program that reloads itself on its stop signal accepts on purpose (see signal-means-reload).",
};

/// See the table.
pub const FAST_STOP_SIGNAL: Diagnosis = Diagnosis {
    name: "fast-stop-signal",
    severity: Severity::Warn,
    summary: "The server was sent a signal that ends it at once: it has another one that lets it finish, or no handler for this one.",
    signature: "Everything was closed within two seconds of T0 although requests were in flight, and the signal is known as this server's fast one, or it has no handler for it and died of it.",
    evidence: "Names the signal, the sender and the server's graceful signal, if it has one, and tells what was in flight.",
    remedy: "Send the server's graceful signal: STOPSIGNAL in the image, KillSignal= in the unit.",
    servers: OfServers::Signals,
    places: &[
        at(
            "containers",
            "`STOPSIGNAL SIGQUIT` in the image, `--stop-signal` of the engine, `stop_signal` of compose. Kubernetes takes the image's.",
        ),
        at("systemd", "`KillSignal=SIGQUIT`, with `KillMode=mixed`."),
    ],
    limits: "Servers are known by the name of their program. One whose signals were set otherwise by its own configuration is judged by the usual meaning.",
};

/// See the table.
pub const EXITED_TOO_EARLY: Diagnosis = Diagnosis {
    name: "exited-too-early",
    severity: Severity::Warn,
    summary: "The process was gone before the load balancer could know: clients still came.",
    signature: "The last old process ended, nobody took the port over or held its listening socket, and clients were still coming: SYNs refused after its end, or, when it ended less than five seconds after T0 with connections open at T0, connections after T0 or requests after its FIN.",
    evidence: "Gives the time from T0 to the exit, and what came afterwards.",
    remedy: "Let the load balancer leave first: a preStop sleep, or a delay in the program between the signal and the end.",
    servers: OfServers::Nothing,
    places: &[
        at(
            "Kubernetes",
            "`lifecycle.preStop.sleep.seconds: 10`: most proxies follow an endpoint change within some seconds.",
        ),
        at(
            "Spring Boot, Go, Node",
            "On the signal fail readiness, sleep for some seconds, then shut down.",
        ),
        at(
            "systemd",
            "`ExecStop=` with the deregistration and a sleep, before the signal.",
        ),
        at(
            "single hosts",
            "Hand the socket over (socket activation, reload, SO_REUSEPORT) in place of stop and start.",
        ),
    ],
    limits: "finwatch does not know what stands in front of the service, nor how long that needs: five seconds are assumed.",
};

/// See the table.
pub const HELD_BY_IDLE_CONNECTIONS: Diagnosis = Diagnosis {
    name: "held-by-idle-connections",
    severity: Severity::Warn,
    summary: "The drain waited for connections on which nothing happened any more.",
    signature: "After a stop signal connections stayed open without a byte until SIGKILL came, or have done so for more than 30 s.",
    evidence: "Counts them, and tells for how long they held the drain, and whether a SIGKILL ended it.",
    remedy: "Close idle connections when draining begins, once clients have been told to leave.",
    servers: OfServers::On(Topic::HeldByIdle),
    places: &[
        at(
            "Go",
            "net/http closes idle connections; hijacked ones (WebSocket) are yours: `srv.RegisterOnShutdown`.",
        ),
        at(
            "WebSocket, long polls",
            "Send a close frame at the signal; clients should reconnect.",
        ),
        at(
            "database pools",
            "A pool's `maxLifetime` or `idleTimeout` shorter than the server's grace period.",
        ),
    ],
    limits: "A stream that is silent for minutes looks idle.",
};

/// See the table.
pub const REQUESTS_KEEP_COMING: Diagnosis = Diagnosis {
    name: "requests-keep-coming",
    severity: Severity::Warn,
    summary: "Clients went on asking on their old connections: nobody told them to leave.",
    signature: "Connections that were open at T0 carried new requests until a SIGKILL ended it, or for five seconds and more.",
    evidence: "Counts the connections that asked after T0, and tells when the last request was read.",
    remedy: "Answer `Connection: close` (HTTP/2: GOAWAY) once the stop has begun.",
    servers: OfServers::On(Topic::TellToLeave),
    places: &[
        at(
            "Go net/http",
            "`srv.Shutdown` answers `Connection: close`; while you sleep before it, `srv.SetKeepAlivesEnabled(false)`.",
        ),
        at(
            "Spring Boot",
            "Graceful shutdown of Undertow and Netty answers 503 or waits; put the load balancer's departure before it.",
        ),
        at(
            "gRPC",
            "`GracefulStop()` sends GOAWAY; `MAX_CONNECTION_AGE` moves clients all the time.",
        ),
        at(
            "load balancers",
            "Have them close their pooled connections when the target leaves.",
        ),
    ],
    limits: "A request that was on its way at T0 is also read afterwards; only drains of five seconds and more are judged. Connections that were moved to another listener (net.ipv4.tcp_migrate_req) are left out where the process that ended them, or a request after the end of the old ones, tells of it.",
};

/// See the table.
pub const OLD_WORKERS_PILE_UP: Diagnosis = Diagnosis {
    name: "old-workers-pile-up",
    severity: Severity::Warn,
    summary: "Old workers of a reload keep connections and do not end.",
    signature: "More than 60 s after a reload signal old workers still had connections.",
    evidence: "Tells for how long, how many old processes are left, and how many connections they hold. Every further reload adds a generation, with its memory.",
    remedy: "Bound how long old workers may stay: worker_shutdown_timeout, hard-stop-after, GracefulShutdownTimeout.",
    servers: OfServers::On(Topic::OldWorkers),
    places: &[at(
        "ingress controllers",
        "Batch reloads; ingress-nginx has `worker-shutdown-timeout`. WebSockets are what usually holds them.",
    )],
    limits: "Long downloads and WebSockets are held on purpose; the finding says what it costs, not that it is wrong.",
};
