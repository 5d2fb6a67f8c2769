//! Diagnoses of connections on which clients lost something.

use super::{Advice, Diagnosis, OfServers, advice::at};
use crate::{
    model::Severity,
    servers::{LATE_LISTENER, Topic},
};

/// How to have in-flight work finished, beside what the table of servers says.
pub(super) const FINISH_REQUESTS: &[Advice] = &[
    at(
        "Go net/http",
        "Use `srv.Shutdown(ctx)`, never `srv.Close()` nor `os.Exit`/`log.Fatal`, and wait until Shutdown has returned before main returns: ListenAndServe returns at once. Give ctx a deadline longer than the longest request.",
    ),
    at(
        "gRPC",
        "`GracefulStop()` in place of `Stop()`, with `Stop()` only behind a timer.",
    ),
    at(
        "Kubernetes",
        "`terminationGracePeriodSeconds` longer than the preStop sleep plus the longest request; a preStop sleep (`lifecycle.preStop.sleep.seconds: 10`), so that traffic has left before the signal comes.",
    ),
    at(
        "systemd",
        "`KillSignal=` the graceful signal, `KillMode=mixed` for servers whose main process takes care of its workers, `TimeoutStopSec=` longer than the longest request.",
    ),
];

/// See the table.
pub const REQUESTS_CUT: Diagnosis = Diagnosis {
    name: "requests-cut",
    severity: Severity::Fail,
    summary: "Requests of clients were lost: this side ended the connection and never answered them.",
    signature: "After T0, on connections that clients opened: this side closed first (FIN, RST or death) after it had read a request of at least 18 bytes and written nothing, or only a TLS alert (unanswered); it closed with request data that it never read (unread); or request data came after its FIN, and was answered by an RST or thrown away (late). Each connection counts once, by the first cause. A client's TLS close_notify and control frames are no requests. Fewer bytes count where such had been answered on the same connection, and where they are answered on the connections of the service's ordinary time, unless the client hung up behind them without waiting.",
    evidence: "The three causes are counted in the kernel for every connection. Beside them stands how many connections owed an answer at T0: all of these cut means that the stop waits for nobody; only some means that a timeout was too short. The examples are at most five connections. `likely` are connections that owed an answer at T0 and got only the server's goodbye: HTTP/2's GOAWAY, or a WebSocket's close frame; alone they make it a warning.",
    remedy: "Finish what is in flight before closing: use the server's graceful signal, and give it longer than the longest request takes.",
    servers: OfServers::On(Topic::Finish),
    places: FINISH_REQUESTS,
    limits: "Not judged on a port that is marked as a stream or one-way (drains.stream_ports), nor on a service whose connections never answer, nor where the protocol of the program has no answers (rsyslog, sshd): there only what nobody read is lost. The kernel's counters cannot know that, and count `unanswered` there too. An HTTP/2 request that is cut after a GOAWAY is told only as likely, as is a WebSocket's message before a close frame, which must come in clear and without a reason in words (2 or 4 bytes); an answer that is cut in its middle is seen only by died-serving and response-truncated. Under 18 bytes may be a request, a control frame or a goodbye in words (memcached's `quit`): where ordinary connections do not tell (fewer than five, or both ways), there is no pass (too-little-seen). Pipelined requests count as one. An upload that was refused from its head and read to its end on a connection that is kept (an HTTP/2 413) looks like a request without an answer, unless another one follows.",
};

/// See the table.
pub const RESPONSE_TRUNCATED: Diagnosis = Diagnosis {
    name: "response-truncated",
    severity: Severity::Fail,
    summary: "Data that this side had sent was never delivered, as this side reset the connection under it.",
    signature: "After T0 connections ended by an RST of this side, or by its death, with sent data that the peer had not acknowledged. Such an RST makes both kernels throw away what is still on its way.",
    evidence: "Counts the connections and, over all ends, the bytes that were never acknowledged. Ends by the peer's RST or by silence of the peer are not counted: these are the peer's doing.",
    remedy: "Let the last bytes arrive before the connection is reset: shut down the sending side, read until the peer's FIN, then close; no SO_LINGER of 0.",
    servers: OfServers::On(Topic::Linger),
    places: &[
        at(
            "any program",
            "`shutdown(SHUT_WR)`, read until the peer's end (with a limit), then `close()`. Never set SO_LINGER with a time of 0 on a connection that has sent something.",
        ),
        at(
            "Go",
            "Do not call `SetLinger(0)`; read the request's body to its end, or answer `Connection: close` and let net/http linger.",
        ),
        at(
            "Kubernetes",
            "A longer `terminationGracePeriodSeconds`: a SIGKILL in the middle of a download truncates it.",
        ),
    ],
    limits: "A response that was still in the program, not yet handed to the kernel, is not seen here; see died-serving. An acknowledgement that was itself lost makes a delivered response look undelivered.",
};

/// See the table.
pub const KEEPALIVE_RACE: Diagnosis = Diagnosis {
    name: "keepalive-race",
    severity: Severity::Fail,
    summary: "Clients sent their next request on a kept-alive connection that this side had just closed.",
    signature: "After T0 this side sent its FIN first, and data of the peer that is no TLS goodbye came after it and was answered by an RST, from the connection or from its mini-socket.",
    evidence: "Each connection is one request that had to be sent again or failed. Clients cannot avoid it: the request and the FIN crossed. Whether it happens is a race, so that a quiet test shows nothing.",
    remedy: "Tell clients to leave before closing: answer `Connection: close` (HTTP/2: GOAWAY), close an idle connection only some seconds later, or after the load balancer has left.",
    servers: OfServers::On(Topic::LetGo),
    places: &[
        at(
            "Kubernetes",
            "A preStop sleep (`lifecycle.preStop.sleep.seconds: 10`): the endpoints change first, clients move, and what is closed afterwards is idle for good.",
        ),
        at(
            "Go net/http",
            "`srv.SetKeepAlivesEnabled(false)`, wait for a few seconds under load, then `srv.Shutdown(ctx)`. It closes idle connections at once.",
        ),
        at(
            "clients and proxies",
            "Retry idempotent requests once on a new connection; keep idle connections for less time than the server does.",
        ),
        at(
            "gRPC, HTTP/2",
            "GOAWAY solves it; use `GracefulStop()` and `MAX_CONNECTION_AGE`, so that clients move all the time.",
        ),
    ],
    limits: "Before kernel 6.10 the RST of a mini-socket cannot be seen, and a request that came after the connection had become one is missed. Fewer than 18 bytes count only where they are known to be a request (requests-cut). What comes behind the answer to a request in several parts, that this side closed upon at once, may be its rest: see early-answer-reset.",
};

/// See the table.
pub const DIED_SERVING: Diagnosis = Diagnosis {
    name: "died-serving",
    severity: Severity::Fail,
    summary: "The process ended with requests in its hands: the kernel closed their connections, not the program.",
    signature: "After T0, or with none, connections ended as the process died, with a request unanswered or unread; with sent data that was never acknowledged; or by SIGKILL or a crash, with an answer that had been under way for a second and more and was still being sent within the last one: then it was cut in its middle, which no other fact of TCP shows.",
    evidence: "Tells how many connections ended by death, on how many of them a request was lost, and on how many data had been sent within the second before. The last look like that whenever a server ends after its last answer: alone they are told as info, and stand against nothing.",
    remedy: "Finish or close every connection before the process exits, and give it the time for that.",
    servers: OfServers::On(Topic::Finish),
    places: FINISH_REQUESTS,
    limits: "An answer that was cut in its middle by a process that ended of its own accord, or within a second of its question, looks like a complete one. One that took seconds and was complete in the second before SIGKILL looks like one that was cut. Not judged on ports marked as streams.",
};

/// See the table.
pub const WORKER_RECYCLED: Diagnosis = Diagnosis {
    name: "worker-recycled",
    severity: Severity::Fail,
    summary: "With nobody stopping anything a process of the server ended while others went on, or took its place, and requests on its connections were lost.",
    signature: "A process of the instance exited by itself, with no signal before it, while others listened on the port or soon did; and requests were lost on connections that it closed, that the kernel closed for it, or, where nobody knows who closed them, within five seconds of its end. A drain of one process that lost nothing is told as info.",
    evidence: "Names the processes that ended, with their exit codes, and counts the requests that were lost by it. `max_requests` and the like end a worker in the middle of its clients; so do leaks' watchdogs and uncaught errors.",
    remedy: "Let a worker that is to be replaced stop accepting, answer what it has, say `Connection: close`, and only then end; spread the ends over time, or do without them.",
    servers: OfServers::On(Topic::Recycle),
    places: &[
        at(
            "Node cluster, pm2",
            "`worker.disconnect()` and wait for its connections to end in place of `process.exit()`; pm2 `max_memory_restart` sends SIGINT: handle it.",
        ),
        at(
            "Ruby worker killers",
            "Kill with the graceful signal between two requests, and with a random share of the limit.",
        ),
        at(
            "any program",
            "An exit code other than 0 is a crash: look at its log. With 0 it meant to end: close connections after their answer, not at the exit.",
        ),
    ],
    limits: "A process that hands its connections on before it ends loses nothing and is not told. What a signal ended is told as killed-without-stop, or as a drain; that of a worker which crashed or was killed stands among the incidents too, with the cause worker-crashed.",
};

/// See the table.
pub const LISTENER_CLOSED_EARLY: Diagnosis = Diagnosis {
    name: "listener-closed-early",
    severity: Severity::Fail,
    summary: "The server stopped listening while clients were still being sent to it.",
    signature: "After T0 the last listening socket closed while the process still ran, nobody else listened on the port, and SYNs were refused with an RST.",
    evidence: "Tells when the listener closed, when the process ended, and how many SYNs were refused in between. Each is a connection that a client could not make.",
    remedy: "Keep accepting until the load balancer has left; only then send the signal, or close the listener.",
    servers: OfServers::On(Topic::Overlap),
    places: &[
        at(
            "Kubernetes",
            "A preStop sleep (`lifecycle.preStop.sleep.seconds: 10`): the signal comes when the endpoints have gone.",
        ),
        at(
            "load balancers",
            "Deregister first and wait for the deregistration delay, then stop. Health checks must fail before the listener closes.",
        ),
        at(
            "systemd",
            "Socket activation (`.socket` unit): systemd holds the listening socket across restarts, and SYNs wait in its queue.",
        ),
        at(
            "Go, Node, Java",
            "On the signal fail the readiness probe, wait for some seconds, then shut down.",
        ),
    ],
    limits: "A firewall that drops or rejects SYNs hides them from the kernel's TCP. Before kernel 6.10 refused SYNs cannot be seen.",
};

/// See the table.
pub const ACCEPT_QUEUE_DROPPED: Diagnosis = Diagnosis {
    name: "accept-queue-dropped",
    severity: Severity::Fail,
    summary: "Clients were connected, never accepted, and reset when the listener closed.",
    signature: "Connections that the kernel had established waited in the accept queue when the listening socket closed, and were reset.",
    evidence: "Counts the connections. Their clients had a complete handshake and most of them had sent a request.",
    remedy: "Accept what waits before closing the listener, or let another listener take it over (net.ipv4.tcp_migrate_req with SO_REUSEPORT).",
    servers: OfServers::On(Topic::Queue),
    places: &[
        at("Tomcat", LATE_LISTENER),
        at(
            "any program",
            "On the signal go on accepting for some seconds, or accept until EAGAIN, then close the listener.",
        ),
        at(
            "Linux 5.14 and later",
            "`sysctl net.ipv4.tcp_migrate_req=1`: with SO_REUSEPORT the waiting connections go to another listener of the port.",
        ),
        at(
            "systemd",
            "Socket activation: the listening socket outlives the service, and so does its queue.",
        ),
    ],
    limits: "A handshake that was not complete when the listener closed is refused later and counted as such. With tcp_migrate_req nothing is dropped, and nothing is told.",
};
