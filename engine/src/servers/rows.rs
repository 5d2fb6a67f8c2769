//! The rows of the table of servers, in the order in which they are told: proxies and web servers, runtimes and application
//! servers, databases and caches, others.

use finwatch_common::{
    Intent::{self, Nothing, Reload, Stop, Unclear},
    signal::{HUP, INT, QUIT, TERM, USR1, USR2, WINCH},
};

use super::{
    Habit::{AnswersNothing, LingeringClose, SettingsFirst, WakesItself, WritesFreely},
    Meaning, Server,
    Topic::{
        Drop, Finish, GracePeriod, HeldByIdle, IdleTimeout, LeftBehind, LetGo, Linger, OldWorkers,
        Overlap, Queue, Recycle, StopReloads, TakeUp, TellToLeave, Upstream,
    },
};

/// A row with nothing in it, for those that have little to say.
const BLANK: Server = Server {
    title: "",
    programs: &[],
    called: None,
    meanings: &[],
    graceful: None,
    fast: &[],
    habits: &[],
    advice: &[],
};

/// Shorthand of the table.
const fn on(signal: u8, intent: Intent, does: &'static str) -> Meaning {
    Meaning {
        signal,
        intent,
        does,
    }
}

const REOPENS_LOGS: &str = "opens its log files anew";
const SECOND_MAIN_PROCESS: &str = "starts a second main process beside itself";

const RELOAD_IN_PLACE: &str = "Reload or restart it hot in place of stop and start: the listening socket stays open throughout.";
/// Also Tomcat's, which no program name tells.
pub(crate) const LATE_LISTENER: &str = "It stops accepting at the signal and closes the listener up to seconds later: what arrives between hangs, and is reset. Put a preStop sleep before SIGTERM, so that nobody arrives any more.";

/// Every server that is known.
pub const SERVERS: &[Server] = &[
    Server {
        title: "nginx",
        // Controllers and exporters have names that begin likewise. The others are forks of it, with its signals.
        programs: &[
            "nginx",
            "nginx-debug",
            "nginx:*",
            "openresty*",
            "angie*",
            "freenginx*",
            "tengine*",
        ],
        meanings: &[
            on(
                HUP,
                Reload,
                "starts new workers and lets the old ones finish",
            ),
            on(USR1, Nothing, REOPENS_LOGS),
            on(USR2, Nothing, SECOND_MAIN_PROCESS),
            on(
                WINCH,
                Reload,
                "lets its workers finish and starts no others",
            ),
        ],
        graceful: Some(QUIT),
        fast: &[TERM, INT],
        habits: &[SettingsFirst],
        advice: &[
            (
                Finish,
                "Stop it with SIGQUIT, not SIGTERM: `KillSignal=SIGQUIT` in a unit, `STOPSIGNAL SIGQUIT` in an image. Leave `worker_shutdown_timeout` unset, or longer than the longest request; reload with SIGHUP.",
            ),
            (
                LetGo,
                "It closes idle connections at once on SIGQUIT and on a reload: have the load balancer leave first, or retry (`proxy_next_upstream error`); or let it answer with `keepalive_timeout 0` (by a reload) for as long as clients keep connections, then send SIGQUIT.",
            ),
            (
                Linger,
                "`lingering_close on` (or `always` where clients send bodies that are not read) with `lingering_timeout`; leave `reset_timedout_connection` off.",
            ),
            (
                IdleTimeout,
                "`keepalive_timeout 75s` is longer than the 60 s of an AWS ALB and shorter than the 600 s of Google's load balancers: set 620s there.",
            ),
            (Overlap, RELOAD_IN_PLACE),
            (
                HeldByIdle,
                "`worker_shutdown_timeout` bounds tunnels and WebSockets that old workers hold.",
            ),
            (
                OldWorkers,
                "`worker_shutdown_timeout 60s;` (longer than the longest request).",
            ),
            (
                Upstream,
                "`proxy_next_upstream error timeout` (non-idempotent requests only with `non_idempotent`), more than one upstream server.",
            ),
        ],
        ..BLANK
    },
    Server {
        title: "Apache httpd",
        programs: &[
            "apache2",
            "httpd",
            "httpd-prefork",
            "httpd-worker",
            "httpd-event",
            "httpd.worker",
            "httpd.event",
        ],
        meanings: &[
            on(HUP, Reload, "restarts at once, and cuts what is in flight"),
            on(USR1, Reload, "restarts gracefully"),
            on(WINCH, Stop, "stops gracefully"),
        ],
        graceful: Some(WINCH),
        fast: &[TERM, HUP],
        habits: &[LingeringClose],
        advice: &[
            (
                Finish,
                "Stop it with SIGWINCH (`apachectl graceful-stop`): `STOPSIGNAL SIGWINCH`, `KillSignal=SIGWINCH`; `GracefulShutdownTimeout` longer than the longest request. Reload with SIGUSR1, not SIGHUP.",
            ),
            (
                LetGo,
                "It closes idle connections at once when it stops gracefully: have the load balancer leave first.",
            ),
            (Overlap, RELOAD_IN_PLACE),
            (OldWorkers, "`GracefulShutdownTimeout`, and fewer reloads."),
        ],
        ..BLANK
    },
    Server {
        title: "haproxy",
        programs: &["haproxy"],
        meanings: &[
            on(
                HUP,
                Reload,
                "reloads where it has a master, and else prints the state of its servers",
            ),
            on(QUIT, Nothing, "prints its memory pools"),
            on(USR1, Stop, "stops softly"),
            on(
                USR2,
                Reload,
                "starts a new worker and lets the old one finish",
            ),
        ],
        graceful: Some(USR1),
        fast: &[TERM, INT],
        advice: &[
            (
                Finish,
                "Stop it with SIGUSR1, SIGTERM stops it at once; reload with SIGUSR2 (master-worker). `hard-stop-after` longer than the longest request.",
            ),
            (
                LetGo,
                "Its soft stop closes idle connections: set `option httpclose` or a short `timeout http-keep-alive` before it, or have clients retry.",
            ),
            (Overlap, RELOAD_IN_PLACE),
            (
                HeldByIdle,
                "`hard-stop-after`, and `timeout client` for idle ones.",
            ),
            (OldWorkers, "`hard-stop-after 60s`."),
            (
                Drop,
                "`on-marked-down shutdown-sessions` closes the sessions of a server as soon as its checks fail, answered or not: leave it out, or have more checks fail first (`fall`).",
            ),
        ],
        ..BLANK
    },
    Server {
        title: "Envoy",
        programs: &["envoy"],
        meanings: &[on(HUP, Nothing, "goes on"), on(USR1, Nothing, REOPENS_LOGS)],
        fast: &[TERM, INT],
        advice: &[
            (
                Finish,
                "Drain it first (POST `/healthcheck/fail`, then `/drain_listeners?graceful` on its admin port), or restart it hot.",
            ),
            (
                LetGo,
                "POST `/healthcheck/fail` makes it answer `Connection: close`.",
            ),
            (Overlap, RELOAD_IN_PLACE),
            (
                Upstream,
                "`retry_on: reset-before-request,connect-failure`, outlier detection; Istio likewise.",
            ),
        ],
        ..BLANK
    },
    Server {
        title: "Traefik",
        programs: &["traefik"],
        meanings: &[on(USR1, Nothing, REOPENS_LOGS)],
        graceful: Some(TERM),
        advice: &[
            (
                Finish,
                "Set `transport.lifeCycle.graceTimeOut` longer than the longest request.",
            ),
            (
                LetGo,
                "Set `transport.lifeCycle.requestAcceptGraceTimeout` to what the load balancer needs.",
            ),
        ],
        ..BLANK
    },
    Server {
        title: "Caddy",
        programs: &["caddy"],
        meanings: &[
            on(HUP, Nothing, "goes on"),
            on(
                USR1,
                Unclear,
                "reads its configuration anew, or goes on where it is older",
            ),
            on(USR2, Nothing, "goes on"),
        ],
        graceful: Some(TERM),
        fast: &[QUIT],
        advice: &[
            (
                Finish,
                "Stop it with SIGTERM, not SIGQUIT; leave `grace_period` unset or longer than the longest request.",
            ),
            (
                LetGo,
                "Set `shutdown_delay`, so that health checks fail before connections are closed.",
            ),
        ],
        ..BLANK
    },
    Server {
        title: "lighttpd",
        programs: &["lighttpd"],
        meanings: &[
            on(HUP, Nothing, REOPENS_LOGS),
            on(USR1, Reload, "restarts gracefully"),
        ],
        graceful: Some(INT),
        fast: &[TERM],
        habits: &[LingeringClose],
        advice: &[(
            Finish,
            "Stop it with SIGINT (`KillSignal=SIGINT`, `STOPSIGNAL SIGINT`), reload with SIGUSR1.",
        )],
        ..BLANK
    },
    Server {
        title: "Varnish",
        // Its serving process is named by its main thread.
        programs: &["varnishd", "cache-main"],
        called: Some("varnishd"),
        advice: &[(
            Finish,
            "Have the load balancer leave first. A new configuration needs no restart: `varnishreload`, or `vcl.load` and `vcl.use`.",
        )],
        ..BLANK
    },
    Server {
        title: "Squid",
        programs: &["squid"],
        meanings: &[
            on(
                HUP,
                Reload,
                "reads its configuration anew: it closes its listening sockets and opens them again",
            ),
            on(USR1, Nothing, "rotates its log files"),
            on(USR2, Nothing, "switches full debugging on or off"),
        ],
        graceful: Some(TERM),
        fast: &[INT],
        advice: &[(
            Finish,
            "Stop it with SIGTERM, not SIGINT, and set `shutdown_lifetime` longer than the longest request.",
        )],
        ..BLANK
    },
    Server {
        title: "gunicorn",
        // With setproctitle `gunicorn: maste` and `gunicorn: worke`.
        programs: &["gunicorn*"],
        meanings: &[
            on(
                HUP,
                Reload,
                "starts new workers and lets the old ones finish",
            ),
            on(USR1, Nothing, REOPENS_LOGS),
            on(USR2, Nothing, SECOND_MAIN_PROCESS),
            on(
                WINCH,
                Unclear,
                "lets its workers finish where it is a daemon, and else goes on",
            ),
        ],
        graceful: Some(TERM),
        fast: &[INT, QUIT],
        advice: &[
            (
                Finish,
                "SIGTERM is its graceful signal, SIGINT and SIGQUIT are not. Set `--graceful-timeout` longer than the longest request, and the supervisor's patience longer than that. It needs to be process 1 of its container, or to be reached by the signal (`exec gunicorn ...`).",
            ),
            (
                LetGo,
                "Its workers stop accepting at the signal and close what is idle: a preStop sleep before SIGTERM, or `--keep-alive` shorter than the client's patience, lets clients leave first.",
            ),
            (
                IdleTimeout,
                "`--keep-alive` is 2 s by default: 65 or more behind a balancer.",
            ),
            (Queue, LATE_LISTENER),
            (
                GracePeriod,
                "Its arbiter kills workers after `--graceful-timeout` (30 s).",
            ),
            (
                Recycle,
                "`max_requests` ends a worker with its kept-alive connections, and what came on them meanwhile is reset: do without it, or set `max_requests_jitter` and keep no connections alive towards clients that do not retry.",
            ),
        ],
        ..BLANK
    },
    Server {
        title: "uWSGI",
        programs: &["uwsgi*"],
        meanings: &[
            on(HUP, Reload, "reloads gracefully"),
            // Which of the two cannot be seen from here.
            on(
                TERM,
                Stop,
                "stops with `die-on-term`, and else reloads at once",
            ),
            on(USR1, Nothing, "prints statistics"),
            on(USR2, Nothing, "prints what its workers do"),
        ],
        fast: &[TERM, INT, QUIT],
        advice: &[
            (
                Finish,
                "Its SIGTERM means a brutal reload and with `die-on-term` a brutal stop. For a graceful stop set `hook-master-start = unix_signal:15 gracefully_kill_them_all` and `worker-reload-mercy` longer than the longest request.",
            ),
            (
                StopReloads,
                "`die-on-term = true`; its SIGTERM reloads by default. For a graceful stop: `hook-master-start = unix_signal:15 gracefully_kill_them_all`.",
            ),
            (
                Recycle,
                "`max-requests`, `max-worker-lifetime` and `reload-on-rss` end workers: set `worker-reload-mercy` longer than the longest request, and `max-requests-delta` to spread them.",
            ),
        ],
        ..BLANK
    },
    Server {
        title: "uvicorn",
        programs: &["uvicorn*"],
        meanings: &[on(
            HUP,
            Reload,
            "replaces its workers, from the version on that handles it",
        )],
        graceful: Some(TERM),
        advice: &[
            (
                Finish,
                "Leave `--timeout-graceful-shutdown` unset or longer than the longest request.",
            ),
            (
                LetGo,
                "It closes idle connections at the signal: put a preStop sleep before it.",
            ),
            (IdleTimeout, "`--timeout-keep-alive` is 5 s by default."),
            (
                LeftBehind,
                "A version whose supervisor does not handle SIGHUP dies of it and leaves its workers: stop it by SIGTERM, or upgrade.",
            ),
            (
                Recycle,
                "`--limit-max-requests` ends it with its kept-alive connections: do without it, or spread it by `--limit-max-requests-jitter` where the version has that.",
            ),
        ],
        ..BLANK
    },
    Server {
        title: "hypercorn",
        programs: &["hypercorn*"],
        graceful: Some(TERM),
        advice: &[
            (
                Finish,
                "Set `--graceful-timeout` longer than the longest request.",
            ),
            (
                LetGo,
                "It stops accepting at the signal and keeps its listener for a while: put a preStop sleep before it.",
            ),
            (Queue, LATE_LISTENER),
        ],
        ..BLANK
    },
    Server {
        title: "Daphne",
        programs: &["daphne*"],
        fast: &[TERM, INT],
        advice: &[(
            Finish,
            "It cuts what is in flight on every stop: have the load balancer leave first (preStop sleep longer than the longest request), or use uvicorn.",
        )],
        ..BLANK
    },
    Server {
        title: "waitress",
        programs: &["waitress*"],
        graceful: Some(INT),
        fast: &[TERM],
        advice: &[(
            Finish,
            "It has no handler for SIGTERM and dies of it; SIGINT lets it answer what its threads have in hand, for 5 s: `KillSignal=SIGINT`, `STOPSIGNAL SIGINT`.",
        )],
        ..BLANK
    },
    Server {
        title: "Flask's development server",
        programs: &["flask"],
        fast: &[TERM, INT],
        advice: &[(
            Finish,
            "It is made for development, and cuts what is in flight on every stop: run the application under gunicorn or uWSGI.",
        )],
        ..BLANK
    },
    Server {
        title: "Twisted",
        programs: &["twist*"],
        fast: &[TERM, INT],
        advice: &[(
            Finish,
            "Its reactor stops at once and cuts what is in flight: have the load balancer leave first, or let a `before`, `shutdown` trigger of the reactor return a Deferred that fires when all is answered.",
        )],
        ..BLANK
    },
    Server {
        title: "Puma",
        // Ruby writes titles over its arguments: what is left is the name of its script.
        programs: &["puma*"],
        meanings: &[
            // Which of the two shows in what follows.
            on(
                HUP,
                Unclear,
                "opens its log files anew with `stdout_redirect`, and else stops",
            ),
            on(USR1, Reload, "replaces its workers one after the other"),
            on(USR2, Reload, "restarts"),
        ],
        graceful: Some(TERM),
        advice: &[
            (
                Finish,
                "Set `force_shutdown_after` and `worker_shutdown_timeout` longer than the longest request. SIGHUP stops it where `stdout_redirect` is not set.",
            ),
            (
                Queue,
                "Set `drain_on_shutdown`: it serves what waits to be accepted before it closes the listener.",
            ),
            (
                TakeUp,
                "SIGUSR2 ends the old server before the new one has loaded the application, and clients wait that long: in cluster mode restart it by SIGUSR1, which replaces one worker after the other (without `preload_app!`).",
            ),
        ],
        ..BLANK
    },
    Server {
        title: "unicorn",
        programs: &["unicorn*"],
        meanings: &[
            on(
                HUP,
                Reload,
                "starts new workers and lets the old ones finish",
            ),
            on(USR1, Nothing, REOPENS_LOGS),
            on(USR2, Nothing, SECOND_MAIN_PROCESS),
            on(
                WINCH,
                Unclear,
                "lets its workers finish where it is a daemon, and else goes on",
            ),
        ],
        graceful: Some(QUIT),
        fast: &[TERM, INT],
        advice: &[
            (
                Finish,
                "Stop it with SIGQUIT, not SIGTERM (`KillSignal=SIGQUIT`, `STOPSIGNAL SIGQUIT`).",
            ),
            (
                Queue,
                "It has a queue of clients wherever requests are longer than they are apart, and drops it when it stops: start the next one by SIGUSR2, which holds the same socket, before the SIGQUIT.",
            ),
            (
                TakeUp,
                "After SIGUSR2 send the old master SIGQUIT only when the new one's workers accept: from its last worker's `before_fork` or `after_fork`, with `preload_app true`, not from the script that deploys.",
            ),
        ],
        ..BLANK
    },
    Server {
        title: "php-fpm",
        programs: &["php-fpm*"],
        meanings: &[
            on(USR1, Nothing, REOPENS_LOGS),
            on(USR2, Reload, "lets its workers finish and runs itself anew"),
        ],
        graceful: Some(QUIT),
        fast: &[TERM, INT],
        advice: &[
            (
                Finish,
                "Set `process_control_timeout` longer than the longest request: at its default, 0, a reload and SIGQUIT cut what is in flight as SIGTERM does. Stop it with SIGQUIT, not SIGTERM.",
            ),
            (
                Queue,
                "From the signal on it accepts nobody, and holds its listener for up to `process_control_timeout` while requests finish: who comes meanwhile hangs, and is reset. Have the balancer leave first, or keep that timeout short.",
            ),
            (
                TakeUp,
                "A reload starts new workers only when the old ones have ended: until then, for up to `process_control_timeout`, every new client waits. Keep that near the longest request that matters, or reload one of two pools or instances after the other.",
            ),
        ],
        ..BLANK
    },
    Server {
        title: "Node",
        // Newer ones name their main thread, and so the process. Beside these there are programs like node_exporter.
        programs: &[
            "node",
            "nodejs",
            "node-MainThread",
            "MainThread",
            "node-1*",
            "node-2*",
            "node1*",
            "node2*",
        ],
        called: Some("node"),
        meanings: &[on(USR1, Nothing, "starts the debugger")],
        habits: &[SettingsFirst],
        advice: &[
            (
                Finish,
                "On SIGTERM call `server.close()`, then `server.closeIdleConnections()`, and end the process in the callback; do not call `process.exit()` before it. Without a handler SIGTERM kills the process at once.",
            ),
            (
                LetGo,
                "Set `Connection: close` on every answer once the stop has begun; call `server.closeIdleConnections()` some seconds later, not at once.",
            ),
            (
                Linger,
                "`socket.end()` in place of `socket.destroy()` and of `resetAndDestroy()`.",
            ),
            (
                IdleTimeout,
                "`server.keepAliveTimeout` is 5 s by default: 65000 behind an ALB, and `headersTimeout` above it.",
            ),
            (
                HeldByIdle,
                "`server.close()` of Node 18 and older waits for idle connections: call `server.closeIdleConnections()`.",
            ),
            (
                TellToLeave,
                "Set the `Connection: close` header on every answer after the signal.",
            ),
        ],
        ..BLANK
    },
    Server {
        title: "PM2",
        // The title of its daemon, which listens for the workers of a cluster.
        programs: &["PM2 v*"],
        called: Some("pm2"),
        meanings: &[on(USR2, Nothing, REOPENS_LOGS)],
        advice: &[
            (
                Finish,
                "Reload with `pm2 reload`, not `pm2 restart`; workers end on SIGINT: close the server there, and set `kill_timeout` (1600 ms by default) longer than the longest request.",
            ),
            (
                Recycle,
                "`pm2 reload`, `max_memory_restart` and `cron_restart` end workers by SIGINT, and without a handler they drop what they have in hand: on SIGINT call `server.close()` and `server.closeIdleConnections()`, answer with `Connection: close` from then on, and set `kill_timeout` longer than the longest request.",
            ),
            (
                Overlap,
                "Set `wait_ready` and call `process.send('ready')` once the worker listens.",
            ),
        ],
        ..BLANK
    },
    Server {
        title: "Java",
        programs: &["java"],
        meanings: &[
            on(HUP, Stop, "runs its shutdown hooks and ends"),
            on(QUIT, Nothing, "prints the stacks of its threads"),
            on(USR1, Nothing, "keeps it to the JVM"),
            on(USR2, Nothing, "keeps it to the JVM"),
        ],
        graceful: Some(TERM),
        habits: &[WakesItself],
        // The name of the program does not tell which server it embeds: what is said is right for each.
        advice: &[
            (
                Finish,
                "With Spring Boot (on Tomcat, Jetty, Undertow and Netty alike) set `server.shutdown=graceful` (the default from 3.4) and `spring.lifecycle.timeout-per-shutdown-phase` longer than the longest request: at that limit the rest is cut, with a clean FIN. Elsewhere stop accepting in a shutdown hook and wait for what is in flight.",
            ),
            (
                LetGo,
                "Whichever server it embeds, it lets go of kept-alive connections when it stops (Tomcat closes one that asks during the drain, Undertow answers it with 503): have the load balancer leave first, by a preStop sleep before SIGTERM; prefer HTTP/2, whose GOAWAY settles it.",
            ),
            (
                IdleTimeout,
                "With Spring Boot `server.tomcat.keep-alive-timeout`, `server.jetty.connection-idle-timeout`, `server.undertow.no-request-timeout`, `server.netty.idle-timeout`: longer than the clients' own.",
            ),
        ],
        ..BLANK
    },
    Server {
        title: ".NET",
        programs: &["dotnet"],
        graceful: Some(TERM),
        advice: &[(
            Finish,
            "Set `HostOptions.ShutdownTimeout` longer than the longest request.",
        )],
        ..BLANK
    },
    Server {
        title: "Erlang/Elixir",
        programs: &["beam.smp"],
        meanings: &[on(USR1, Stop, "ends at once and writes a crash dump")],
        graceful: Some(TERM),
        fast: &[QUIT, USR1],
        advice: &[(
            Finish,
            "Add a drainer to the supervision tree (`Plug.Cowboy.Drainer`; Phoenix has one) with a shutdown longer than the longest request.",
        )],
        ..BLANK
    },
    Server {
        title: "PostgreSQL",
        programs: &["postgres", "postmaster"],
        meanings: &[
            on(HUP, Nothing, "reads its settings anew in place"),
            on(USR1, Nothing, "takes it for a word among its processes"),
            on(USR2, Nothing, "takes it for a word among its processes"),
        ],
        graceful: Some(TERM),
        fast: &[INT, QUIT],
        advice: &[(
            Finish,
            "SIGTERM waits for clients to leave (`pg_ctl stop -m smart`), SIGINT ends their sessions, SIGQUIT does not even clean up.",
        )],
        ..BLANK
    },
    Server {
        title: "PgBouncer",
        programs: &["pgbouncer"],
        meanings: &[
            on(HUP, Nothing, "reads its settings anew in place"),
            on(USR1, Nothing, "pauses"),
            on(USR2, Nothing, "resumes"),
        ],
        graceful: Some(INT),
        fast: &[QUIT],
        advice: &[
            (
                TakeUp,
                "While it waits for its servers' transactions it serves nobody who comes: have clients led elsewhere before the signal, or run two of them on one port (`so_reuseport`).",
            ),
            (
                Finish,
                "SIGINT waits for the transactions that run; SIGTERM waits for clients to leave from 1.23 on, and ends at once before that, as SIGQUIT always does. Run two of them on one port (`so_reuseport`), and stop one after the other.",
            ),
        ],
        ..BLANK
    },
    Server {
        title: "MySQL, MariaDB",
        programs: &["mysqld", "mariadbd"],
        meanings: &[
            on(HUP, Nothing, "flushes its logs and reads its grants anew"),
            on(USR1, Nothing, "flushes its logs"),
        ],
        graceful: Some(TERM),
        ..BLANK
    },
    Server {
        title: "Redis, Valkey",
        programs: &["redis-server", "valkey-server"],
        graceful: Some(TERM),
        ..BLANK
    },
    Server {
        title: "memcached",
        programs: &["memcached"],
        meanings: &[
            on(
                HUP,
                Nothing,
                "reads its passwords and certificates anew in place",
            ),
            on(USR1, Stop, "stops and keeps its memory for the next start"),
        ],
        ..BLANK
    },
    Server {
        title: "dnsmasq",
        programs: &["dnsmasq"],
        meanings: &[
            on(HUP, Nothing, "reads its hosts files anew"),
            on(USR1, Nothing, "writes statistics to its log"),
            on(USR2, Nothing, REOPENS_LOGS),
        ],
        ..BLANK
    },
    Server {
        title: "OpenSSH",
        programs: &["sshd", "sshd-session", "sshd-auth"],
        meanings: &[on(HUP, Reload, "runs itself anew; sessions go on")],
        habits: &[WritesFreely],
        advice: &[(
            Finish,
            "Its sessions are processes of their own: stop the main process alone (`KillMode=process` in a unit), and they go on until their users leave.",
        )],
        ..BLANK
    },
    Server {
        title: "rsyslog",
        programs: &["rsyslogd"],
        meanings: &[
            on(HUP, Nothing, REOPENS_LOGS),
            on(USR1, Nothing, "switches debugging on or off"),
        ],
        habits: &[AnswersNothing],
        advice: &[(
            Finish,
            "Plain syslog over TCP acknowledges nothing, so a sender learns of its loss too late, if ever: use RELP (`imrelp`, `omrelp`) where no message may be lost.",
        )],
        ..BLANK
    },
];
