//! Each row of the table of servers, held to what is known of the server: the names that its processes really have, and what each
//! signal is to it.

use std::collections::HashSet;

use finwatch_common::{
    Intent::{self, Nothing, Reload, Stop, Unclear},
    signal::{self, FAULTS, HUP, INT, KILL, QUIT, TERM, USR1, USR2, WINCH},
};

use super::*;

/// Bytes of a name that the kernel keeps.
const NAME_BYTES: usize = 15;

/// Title, names of processes, what signals mean, the graceful signal, the fast ones.
type Row = (
    &'static str,
    &'static [&'static str],
    &'static [(u8, Intent)],
    Option<u8>,
    &'static [u8],
);

const ROWS: &[Row] = &[
    (
        "nginx",
        &[
            "nginx",
            "nginx-debug",
            "openresty",
            "openresty-debug",
            "angie",
            "angie-debug",
            "freenginx",
            "tengine",
        ],
        &[
            (HUP, Reload),
            (USR1, Nothing),
            (USR2, Nothing),
            (WINCH, Reload),
        ],
        Some(QUIT),
        &[TERM, INT],
    ),
    (
        "Apache httpd",
        &["apache2", "httpd", "httpd-prefork"],
        &[(HUP, Reload), (USR1, Reload), (WINCH, Stop)],
        Some(WINCH),
        &[TERM, HUP],
    ),
    (
        "haproxy",
        &["haproxy"],
        &[(HUP, Reload), (QUIT, Nothing), (USR1, Stop), (USR2, Reload)],
        Some(USR1),
        &[TERM, INT],
    ),
    (
        "Envoy",
        &["envoy"],
        &[(HUP, Nothing), (USR1, Nothing)],
        None,
        &[TERM, INT],
    ),
    ("Traefik", &["traefik"], &[(USR1, Nothing)], Some(TERM), &[]),
    (
        "Caddy",
        &["caddy"],
        &[(HUP, Nothing), (USR1, Unclear), (USR2, Nothing)],
        Some(TERM),
        &[QUIT],
    ),
    (
        "lighttpd",
        &["lighttpd"],
        &[(HUP, Nothing), (USR1, Reload)],
        Some(INT),
        &[TERM],
    ),
    ("Varnish", &["varnishd", "cache-main"], &[], None, &[]),
    (
        "Squid",
        &["squid"],
        &[(HUP, Reload), (USR1, Nothing), (USR2, Nothing)],
        Some(TERM),
        &[INT],
    ),
    (
        "gunicorn",
        &[
            "gunicorn",
            "gunicorn3",
            "gunicorn: maste",
            "gunicorn: worke",
        ],
        &[
            (HUP, Reload),
            (USR1, Nothing),
            (USR2, Nothing),
            (WINCH, Unclear),
        ],
        Some(TERM),
        &[INT, QUIT],
    ),
    (
        "uWSGI",
        &["uwsgi", "uwsgi-core", "uwsgi_python3"],
        &[
            (HUP, Reload),
            (TERM, Stop),
            (USR1, Nothing),
            (USR2, Nothing),
        ],
        None,
        &[TERM, INT, QUIT],
    ),
    ("uvicorn", &["uvicorn"], &[(HUP, Reload)], Some(TERM), &[]),
    ("hypercorn", &["hypercorn"], &[], Some(TERM), &[]),
    ("Daphne", &["daphne"], &[], None, &[TERM, INT]),
    (
        "waitress",
        &["waitress-serve", "waitress"],
        &[],
        Some(INT),
        &[TERM],
    ),
    (
        "Flask's development server",
        &["flask"],
        &[],
        None,
        &[TERM, INT],
    ),
    ("Twisted", &["twistd", "twistd3"], &[], None, &[TERM, INT]),
    (
        "Puma",
        &["puma", "puma 6.4.2 (tcp", "puma: cluster w"],
        &[(HUP, Unclear), (USR1, Reload), (USR2, Reload)],
        Some(TERM),
        &[],
    ),
    (
        "unicorn",
        &[
            "unicorn",
            "unicorn_rails",
            "unicorn master",
            "unicorn worker[",
        ],
        &[
            (HUP, Reload),
            (USR1, Nothing),
            (USR2, Nothing),
            (WINCH, Unclear),
        ],
        Some(QUIT),
        &[TERM, INT],
    ),
    (
        "php-fpm",
        &[
            "php-fpm",
            "php-fpm7.4",
            "php-fpm8.2",
            "php-fpm8.5",
            "php-fpm83",
        ],
        &[(USR1, Nothing), (USR2, Reload)],
        Some(QUIT),
        &[TERM, INT],
    ),
    (
        "Node",
        &[
            "node",
            "nodejs",
            "node-MainThread",
            "MainThread",
            "node-22",
            "node18",
            "node22",
        ],
        &[(USR1, Nothing)],
        None,
        &[],
    ),
    (
        "PM2",
        &["PM2 v5.4.3: God", "PM2 v6.0.5: God"],
        &[(USR2, Nothing)],
        None,
        &[],
    ),
    (
        "Java",
        &["java"],
        &[
            (HUP, Stop),
            (QUIT, Nothing),
            (USR1, Nothing),
            (USR2, Nothing),
        ],
        Some(TERM),
        &[],
    ),
    (".NET", &["dotnet"], &[], Some(TERM), &[]),
    (
        "Erlang/Elixir",
        &["beam.smp"],
        &[(USR1, Stop)],
        Some(TERM),
        &[QUIT, USR1],
    ),
    (
        "PostgreSQL",
        &["postgres", "postmaster"],
        &[(HUP, Nothing), (USR1, Nothing), (USR2, Nothing)],
        Some(TERM),
        &[INT, QUIT],
    ),
    (
        "PgBouncer",
        &["pgbouncer"],
        &[(HUP, Nothing), (USR1, Nothing), (USR2, Nothing)],
        Some(INT),
        &[QUIT],
    ),
    (
        "MySQL, MariaDB",
        &["mysqld", "mariadbd"],
        &[(HUP, Nothing), (USR1, Nothing)],
        Some(TERM),
        &[],
    ),
    (
        "Redis, Valkey",
        &["redis-server", "valkey-server"],
        &[],
        Some(TERM),
        &[],
    ),
    (
        "memcached",
        &["memcached"],
        &[(HUP, Nothing), (USR1, Stop)],
        None,
        &[],
    ),
    (
        "dnsmasq",
        &["dnsmasq"],
        &[(HUP, Nothing), (USR1, Nothing), (USR2, Nothing)],
        None,
        &[],
    ),
    (
        "OpenSSH",
        &["sshd", "sshd-session"],
        &[(HUP, Reload)],
        None,
        &[],
    ),
    (
        "rsyslog",
        &["rsyslogd"],
        &[(HUP, Nothing), (USR1, Nothing)],
        None,
        &[],
    ),
];

#[test]
fn each_row_is_found_by_its_names_alone_and_means_what_is_known() {
    let titles: Vec<_> = SERVERS.iter().map(|server| server.title).collect();
    let expected: Vec<_> = ROWS.iter().map(|row| row.0).collect();
    assert_eq!(titles, expected, "each row has its test");
    for (title, names, meanings, graceful, fast) in ROWS {
        for name in *names {
            assert!(name.len() <= NAME_BYTES, "{name}: the kernel cuts it");
            let found: Vec<_> = SERVERS.iter().filter(|server| server.is(name)).collect();
            assert!(
                matches!(found[..], [one] if one.title == *title),
                "{name}: {found:?}"
            );
            assert_eq!(known(name).map(|server| server.title), Some(*title));
        }
        let server = find(title).expect("it is found by its title");
        let meant = server.meanings.iter();
        let meant: Vec<_> = meant.map(|means| (means.signal, means.intent)).collect();
        assert_eq!(&meant, meanings, "{title}");
        assert_eq!(
            (server.graceful, server.fast),
            (*graceful, *fast),
            "{title}"
        );
    }
}

#[test]
fn other_programs_are_no_servers() {
    for name in [
        "",
        "javac",
        "checkout",
        "nginx-ingress-c",
        "nginx-prometheu",
        "haproxy-ingress",
        "haproxy_exporte",
        "node_exporter",
        "node-problem-de",
        "lighttpd-angel",
        "redis-sentinel",
        "python3",
        "ruby",
    ] {
        assert_eq!(known(name), None, "{name}");
    }
}

#[test]
fn patterns_overlap_nowhere() {
    let patterns: Vec<&str> = SERVERS
        .iter()
        .flat_map(|server| server.programs)
        .copied()
        .collect();
    for (at, one) in patterns.iter().enumerate() {
        let bytes = one.trim_end_matches('*');
        assert!(
            !bytes.is_empty() && bytes.len() <= NAME_BYTES && !bytes.contains('*'),
            "{one}"
        );
        for other in &patterns[at + 1..] {
            let (a, b) = (bytes, other.trim_end_matches('*'));
            let overlap = match (one.ends_with('*'), other.ends_with('*')) {
                (false, false) => a == b,
                (true, false) => b.starts_with(a),
                (false, true) => a.starts_with(b),
                (true, true) => a.starts_with(b) || b.starts_with(a),
            };
            assert!(!overlap, "{one} and {other}");
        }
    }
}

#[test]
fn what_is_graceful_is_not_fast_and_both_stop_it() {
    for server in SERVERS {
        let Server {
            title,
            programs,
            called,
            meanings,
            graceful,
            fast,
            habits: _,
            advice,
        } = server;
        assert!(!programs.is_empty(), "{title}");
        assert!(called.is_none_or(|called| called == called.to_lowercase()));
        let signals: HashSet<u8> = meanings.iter().map(|meaning| meaning.signal).collect();
        assert_eq!(
            signals.len(),
            meanings.len(),
            "{title}: a signal means one thing"
        );
        let meant = |signal: u8| {
            let own = meanings.iter().find(|meaning| meaning.signal == signal);
            own.map(|meaning| meaning.intent)
        };
        let by_default = [TERM, INT, QUIT];
        if let Some(graceful) = graceful {
            assert!(!fast.contains(graceful), "{title}");
            let stops = meant(*graceful).map_or(by_default.contains(graceful), |it| it == Stop);
            assert!(stops, "{title}: its graceful signal");
        }
        for signal in *fast {
            // Apache's restart is as fast as its stop.
            let ends = meant(*signal).map_or(by_default.contains(signal), |intent| {
                matches!(intent, Stop | Reload)
            });
            assert!(ends, "{title}: signal {signal}");
        }
        let topics: HashSet<_> = advice.iter().map(|(topic, _)| topic).collect();
        assert_eq!(topics.len(), advice.len(), "{title}: a topic stands once");
        for (_, text) in *advice {
            assert!(
                text.ends_with('.') && !text.contains("  "),
                "{title}: {text}"
            );
        }
    }
}

#[test]
fn the_kernel_asks_only_for_what_it_looks_up() {
    for (pattern, Meaning { signal, does, .. }) in meanings() {
        assert!(signal::name(*signal).is_some(), "{pattern}");
        assert!(!FAULTS.contains(signal) && *signal != KILL, "{pattern}");
        assert!(
            !does.ends_with('.'),
            "{pattern}: it is the end of a sentence"
        );
    }
    assert!(
        meanings().count() <= 256,
        "the kernel's map has no more room"
    );
}

#[test]
fn a_title_or_a_program_finds_a_server() {
    for name in [
        "nginx",
        "NGINX",
        "angie",
        "apache httpd",
        "Apache httpd",
        "httpd",
    ] {
        assert!(find(name).is_some(), "{name}");
    }
    assert_eq!(find("angie"), find("nginx"));
    assert_eq!(find("apache"), None);
}

#[test]
fn a_jvm_is_not_taken_for_one_of_the_servers_that_it_may_embed() {
    let java = known("java").expect("it is known");
    let idle = java.advice(Topic::IdleTimeout).expect("a word on idling");
    for server in ["tomcat", "jetty", "undertow", "netty"] {
        assert!(idle.contains(&format!("server.{server}.")), "{server}");
    }
    let stop = java.advice(Topic::Finish).expect("a word on its stop");
    assert!(stop.contains("server.shutdown=graceful"));
}

#[test]
fn signals_are_swapped_only_where_a_better_one_is_known() {
    let swap = |name: &str| known(name).and_then(Server::signals_to_swap);
    assert_eq!(
        swap("nginx").as_deref(),
        Some("SIGQUIT in place of SIGTERM or SIGINT.")
    );
    assert_eq!(
        swap("apache2").as_deref(),
        Some("SIGWINCH in place of SIGTERM; SIGUSR1 in place of SIGHUP.")
    );
    assert_eq!(
        swap("lighttpd").as_deref(),
        Some("SIGINT in place of SIGTERM.")
    );
    assert_eq!(swap("uwsgi"), None, "it has no graceful one");
    assert_eq!(swap("java"), None, "it has no fast one");
}

#[test]
fn a_server_that_an_interpreter_runs_is_known_by_what_people_call_it() {
    let service = |kind: WorkloadKind, workload: &str| Service {
        workload_namespace: String::new(),
        workload_kind: kind.as_str().to_owned(),
        workload: workload.to_owned(),
        port: 8080,
    };
    let title = |program: &str, service: &Service| of(program, service).map(|server| server.title);
    let module = service(WorkloadKind::Process, "uvicorn");
    assert_eq!(title("python3", &module), Some("uvicorn"));
    assert_eq!(
        title("nginx", &module),
        Some("nginx"),
        "the kernel's name first"
    );
    let container = service(WorkloadKind::Container, "nginx");
    assert_eq!(
        title("python3", &container),
        None,
        "any program may be in it"
    );
}
