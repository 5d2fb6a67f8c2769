//! Servers that are known by the name of their program: what their signals mean and how they are stopped well. It
//! knows the usual meaning, not what one installation made of it.

/// One server.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Server {
    /// Beginnings of its processes' names, as the kernel keeps them (15 bytes).
    programs: &'static [&'static str],
    /// As people call it.
    pub(super) title: &'static str,
    /// The signal that lets it finish; empty when it has none.
    pub(super) graceful: &'static str,
    /// The signals that end it at once.
    pub(super) fast: &'static [&'static str],
    /// How it is stopped well.
    pub(super) stop: &'static str,
    /// How its kept-alive connections are let go well; empty when nothing special is known.
    pub(super) keepalive: &'static str,
}

/// The server that runs under this name.
pub(super) fn known(program: &str) -> Option<&'static Server> {
    SERVERS.iter().find(|server| {
        server
            .programs
            .iter()
            .any(|name| match name.strip_suffix('*') {
                Some(beginning) => program.starts_with(beginning),
                None => program == *name,
            })
    })
}

const SERVERS: &[Server] = &[
    Server {
        programs: &["nginx*", "openresty", "angie*", "freenginx"],
        title: "nginx",
        graceful: "SIGQUIT",
        fast: &["SIGTERM", "SIGINT"],
        stop: "stop it with SIGQUIT (KillSignal=, STOPSIGNAL), and leave worker_shutdown_timeout unset or longer than the longest request.",
        keepalive: "it closes idle connections at once on QUIT and on a reload; have the load balancer leave first, or retry (proxy_next_upstream error).",
    },
    Server {
        programs: &["apache2", "httpd"],
        title: "Apache httpd",
        graceful: "SIGWINCH",
        fast: &["SIGTERM", "SIGHUP"],
        stop: "stop it with SIGWINCH (apachectl graceful-stop), reload with SIGUSR1, and set GracefulShutdownTimeout longer than the longest request.",
        keepalive: "it closes idle connections at once when it stops gracefully; have the load balancer leave first.",
    },
    Server {
        programs: &["gunicorn*"],
        title: "gunicorn",
        graceful: "SIGTERM",
        fast: &["SIGINT", "SIGQUIT"],
        stop: "stop it with SIGTERM, and set --graceful-timeout longer than the longest request.",
        keepalive: "its workers stop accepting at the signal and close what is idle; a preStop sleep before SIGTERM lets clients leave.",
    },
    Server {
        programs: &["uwsgi*"],
        title: "uWSGI",
        graceful: "",
        fast: &["SIGTERM", "SIGINT", "SIGQUIT"],
        stop: "set hook-master-start = unix_signal:15 gracefully_kill_them_all and worker-reload-mercy longer than the longest request; its SIGTERM reloads by default and cuts with die-on-term.",
        keepalive: "",
    },
    Server {
        programs: &["haproxy*"],
        title: "haproxy",
        graceful: "SIGUSR1",
        fast: &["SIGTERM", "SIGINT"],
        stop: "stop it with SIGUSR1, reload with SIGUSR2 (master-worker), and set hard-stop-after longer than the longest request.",
        keepalive: "its soft stop closes idle connections; set `option httpclose` or timeout http-keep-alive short before it, or have clients retry.",
    },
    Server {
        programs: &["node", "node-MainThread", "MainThread", "nodejs"],
        title: "Node",
        graceful: "",
        fast: &[],
        stop: "on SIGTERM call server.close() and server.closeIdleConnections(), and exit in its callback; without a handler SIGTERM kills it at once.",
        keepalive: "answer `Connection: close` after the signal, and call server.closeIdleConnections() some seconds later.",
    },
    Server {
        programs: &["java"],
        title: "Java",
        graceful: "SIGTERM",
        fast: &[],
        // The name of the program does not tell which server it embeds: what is said is right for each.
        stop: "with Spring Boot (on Tomcat, Jetty, Undertow and Netty alike) set server.shutdown=graceful and spring.lifecycle.timeout-per-shutdown-phase longer than the longest request; elsewhere stop accepting in a shutdown hook and wait for what is in flight.",
        keepalive: "whichever server it embeds, it lets go of kept-alive connections when it stops: have the load balancer leave first, by a preStop sleep before SIGTERM. How long a connection may idle is server.tomcat.keep-alive-timeout, server.jetty.connection-idle-timeout, server.undertow.no-request-timeout or server.netty.idle-timeout with Spring Boot: keep it longer than the clients' own.",
    },
    Server {
        programs: &["uvicorn*"],
        title: "uvicorn",
        graceful: "SIGTERM",
        fast: &[],
        stop: "leave --timeout-graceful-shutdown unset or longer than the longest request.",
        keepalive: "it closes idle connections at the signal; put a preStop sleep before it.",
    },
    Server {
        programs: &["hypercorn*"],
        title: "hypercorn",
        graceful: "SIGTERM",
        fast: &[],
        stop: "set --graceful-timeout longer than the longest request.",
        keepalive: "it stops accepting at the signal and keeps its listener for a while; put a preStop sleep before it.",
    },
    Server {
        programs: &["daphne*"],
        title: "Daphne",
        graceful: "",
        fast: &["SIGTERM", "SIGINT"],
        stop: "it cuts what is in flight on every stop: have the load balancer leave first (preStop sleep longer than the longest request), or use uvicorn.",
        keepalive: "",
    },
    Server {
        programs: &["puma*"],
        title: "Puma",
        graceful: "SIGTERM",
        fast: &[],
        stop: "set force_shutdown_after and worker_shutdown_timeout longer than the longest request.",
        keepalive: "",
    },
    Server {
        programs: &["unicorn*"],
        title: "unicorn",
        graceful: "SIGQUIT",
        fast: &["SIGTERM", "SIGINT"],
        stop: "stop it with SIGQUIT (KillSignal=, STOPSIGNAL).",
        keepalive: "",
    },
    Server {
        programs: &["php-fpm*"],
        title: "php-fpm",
        graceful: "SIGQUIT",
        fast: &["SIGTERM", "SIGINT"],
        stop: "stop it with SIGQUIT and set process_control_timeout longer than the longest request.",
        keepalive: "",
    },
    Server {
        programs: &["lighttpd*"],
        title: "lighttpd",
        graceful: "SIGINT",
        fast: &["SIGTERM"],
        stop: "stop it with SIGINT (KillSignal=), reload with SIGUSR1.",
        keepalive: "",
    },
    Server {
        programs: &["caddy"],
        title: "Caddy",
        graceful: "SIGTERM",
        fast: &["SIGQUIT"],
        stop: "leave grace_period unset or longer than the longest request.",
        keepalive: "set shutdown_delay, so that health checks fail before connections are closed.",
    },
    Server {
        programs: &["envoy"],
        title: "Envoy",
        graceful: "",
        fast: &["SIGTERM", "SIGINT"],
        stop: "drain it first (POST /healthcheck/fail, then /drain_listeners?graceful on its admin port), or restart it hot.",
        keepalive: "POST /healthcheck/fail makes it answer `Connection: close`.",
    },
    Server {
        programs: &["traefik"],
        title: "Traefik",
        graceful: "SIGTERM",
        fast: &[],
        stop: "set transport.lifeCycle.graceTimeOut longer than the longest request.",
        keepalive: "set transport.lifeCycle.requestAcceptGraceTimeout to what the load balancer needs.",
    },
    Server {
        programs: &["postgres"],
        title: "PostgreSQL",
        graceful: "SIGTERM",
        fast: &["SIGINT", "SIGQUIT"],
        stop: "SIGTERM waits for clients to leave (pg_ctl stop -m smart).",
        keepalive: "",
    },
    Server {
        programs: &["dotnet"],
        title: ".NET",
        graceful: "SIGTERM",
        fast: &[],
        stop: "set HostOptions.ShutdownTimeout longer than the longest request.",
        keepalive: "",
    },
    Server {
        programs: &["beam.smp"],
        title: "Erlang/Elixir",
        graceful: "SIGTERM",
        fast: &[],
        stop: "add a drainer to the supervision tree (Plug.Cowboy.Drainer; Phoenix has one) with a shutdown longer than the longest request.",
        keepalive: "",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_find_their_server() {
        for (program, title) in [
            ("nginx", "nginx"),
            ("gunicorn: maste", "gunicorn"),
            ("httpd", "Apache httpd"),
            ("php-fpm8.2", "php-fpm"),
            ("java", "Java"),
        ] {
            assert_eq!(known(program).map(|server| server.title), Some(title));
        }
        assert_eq!(known("javac"), None);
        assert_eq!(known("checkout"), None);
    }

    #[test]
    fn a_jvm_is_not_taken_for_one_of_the_servers_that_it_may_embed() {
        let java = known("java").expect("it is known");
        for server in ["tomcat", "jetty", "undertow", "netty"] {
            let own_setting = format!("server.{server}.");
            assert!(java.keepalive.contains(&own_setting), "{server}");
        }
        assert!(java.stop.contains("server.shutdown=graceful"));
    }

    #[test]
    fn no_signal_is_graceful_and_fast() {
        for server in SERVERS {
            assert!(!server.fast.contains(&server.graceful), "{}", server.title);
            assert!(server.stop.ends_with('.'), "{}", server.title);
        }
    }
}
