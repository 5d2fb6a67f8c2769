//! Every setting, declared once: its key in the file, its flag, its environment variable, its default and what
//! it means. It does not know what a value has to look like; `Config` does.

/// One setting.
#[derive(Debug)]
pub struct Key {
    /// Key in the file, with its table: `series.server_limit`.
    pub name: &'static str,
    /// Long flag, without the dashes.
    pub flag: &'static str,
    /// Environment variable.
    pub env: &'static str,
    /// Value when nobody says anything, as it would be typed; lists are separated by commas.
    pub default: &'static str,
    /// What the value looks like, for the help and for errors.
    pub shape: Shape,
    /// What it means.
    pub help: &'static str,
}

/// What a value looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// `true` or `false`; a flag without a value says `true`.
    Switch,
    /// A whole number.
    Number,
    /// A number with `ms`, `s`, `m` or `h`.
    Duration,
    /// Text.
    Text,
    /// A list, separated by commas where it is typed.
    List,
}

/// Every setting, in the order of the help.
pub const KEYS: &[Key] = &[
    Key {
        name: "listen",
        flag: "listen",
        env: "FINWATCH_LISTEN",
        default: "[::]:10346",
        shape: Shape::List,
        help: "Addresses of the HTTP server; [::] serves IPv4 too, and falls back to 0.0.0.0 where the host has no IPv6",
    },
    Key {
        name: "log.level",
        flag: "log-level",
        env: "FINWATCH_LOG_LEVEL",
        default: "info",
        shape: Shape::Text,
        help: "error, warn, info, debug or trace; or by module, as in info,finwatch::tracker=debug",
    },
    Key {
        name: "log.format",
        flag: "log-format",
        env: "FINWATCH_LOG_FORMAT",
        default: "text",
        shape: Shape::Text,
        help: "text or json; the log goes to standard error",
    },
    Key {
        name: "log.probe",
        flag: "probe-log",
        env: "FINWATCH_PROBE_LOG",
        default: "false",
        shape: Shape::Switch,
        help: "Show the kernel programs' own log lines",
    },
    Key {
        name: "probe.ring_bytes",
        flag: "ring-bytes",
        env: "FINWATCH_RING_BYTES",
        default: "4194304",
        shape: Shape::Number,
        help: "Size of the ring buffer of records: a power of two from 65536 to 268435456",
    },
    Key {
        name: "probe.max_rows",
        flag: "max-rows",
        env: "FINWATCH_MAX_ROWS",
        default: "auto",
        shape: Shape::Text,
        help: "Most counter rows (a service and phase) in the kernel at once; more are counted in other. \
               auto: as many as 64 MiB hold, at least 1024 and at most 6144; a listener that comes when there is none left is counted in other until it closes",
    },
    Key {
        name: "series.server_limit",
        flag: "series-server-limit",
        env: "FINWATCH_SERIES_SERVER_LIMIT",
        default: "1000",
        shape: Shape::Number,
        help: "Most listening ports with series of their own; more are counted in other",
    },
    Key {
        name: "series.client_limit",
        flag: "series-client-limit",
        env: "FINWATCH_SERIES_CLIENT_LIMIT",
        default: "200",
        shape: Shape::Number,
        help: "Most ports of outgoing connections with series of their own; more are counted in other",
    },
    Key {
        name: "series.retention",
        flag: "series-retention",
        env: "FINWATCH_SERIES_RETENTION",
        default: "1h",
        shape: Shape::Duration,
        help: "A service with no listener, nothing open and nothing counted for so long loses its series",
    },
    Key {
        name: "series.retired_limit",
        flag: "series-retired-limit",
        env: "FINWATCH_SERIES_RETIRED_LIMIT",
        default: "2048",
        shape: Shape::Number,
        help: "Most lost series whose totals are kept for their return; more go to finwatch_retired_*",
    },
    Key {
        name: "series.allow_ports",
        flag: "allow-ports",
        env: "FINWATCH_ALLOW_PORTS",
        default: "",
        shape: Shape::List,
        help: "Only these ports get series of their own; empty: all",
    },
    Key {
        name: "series.deny_ports",
        flag: "deny-ports",
        env: "FINWATCH_DENY_PORTS",
        default: "",
        shape: Shape::List,
        help: "These ports are counted in other",
    },
    Key {
        name: "series.allow_workloads",
        flag: "allow-workloads",
        env: "FINWATCH_ALLOW_WORKLOADS",
        default: "",
        shape: Shape::List,
        help: "Only these workloads (a name, or its beginning and *) get series of their own; empty: all",
    },
    Key {
        name: "series.deny_workloads",
        flag: "deny-workloads",
        env: "FINWATCH_DENY_WORKLOADS",
        default: "",
        shape: Shape::List,
        help: "These workloads are counted in other",
    },
    Key {
        name: "gauges.survey_interval",
        flag: "survey-interval",
        env: "FINWATCH_SURVEY_INTERVAL",
        default: "15s",
        shape: Shape::Duration,
        help: "How often sockets are looked at for backlogs and open questions; stretched where that would cost more than 1 % of a core",
    },
    Key {
        name: "drains.baseline_window",
        flag: "baseline-window",
        env: "FINWATCH_BASELINE_WINDOW",
        default: "10m",
        shape: Shape::Duration,
        help: "How much of a service's ordinary time before the signal a drain is compared with",
    },
    Key {
        name: "drains.settle_limit",
        flag: "drain-settle-limit",
        env: "FINWATCH_DRAIN_SETTLE_LIMIT",
        default: "61s",
        shape: Shape::Duration,
        help: "How long after the last old process a drain waits for connections that may still lose a late request; it ends sooner when none is left",
    },
    Key {
        name: "drains.stream_ports",
        flag: "stream-ports",
        env: "FINWATCH_STREAM_PORTS",
        default: "",
        shape: Shape::List,
        help: "Ports of streams, tunnels and one-way protocols, where nobody waits for an answer: turns are not judged there",
    },
    Key {
        name: "drains.time_wait_warn",
        flag: "time-wait-warn",
        env: "FINWATCH_TIME_WAIT_WARN",
        default: "auto",
        shape: Shape::Text,
        help: "A burst of so many TIME_WAITs above the ordinary is a warning; fewer are told and warn nobody. auto: a tenth of the host's \
               source ports or of tcp_max_tw_buckets, whichever is fewer",
    },
    Key {
        name: "rollouts.window",
        flag: "rollout-window",
        env: "FINWATCH_ROLLOUT_WINDOW",
        default: "10m",
        shape: Shape::Duration,
        help: "How long after its last sign of life a rollout with no announced end takes in what happens to its workload",
    },
    Key {
        name: "rollouts.quiet",
        flag: "rollout-quiet",
        env: "FINWATCH_ROLLOUT_QUIET",
        default: "5s",
        shape: Shape::Duration,
        help: "A rollout that nobody announced is over when nothing has happened to its workload for so long",
    },
    Key {
        name: "history.directory",
        flag: "state-directory",
        env: "FINWATCH_STATE_DIRECTORY",
        default: "/var/lib/finwatch",
        shape: Shape::Text,
        help: "Where drains and rollouts are kept over restarts; empty: nowhere. Under systemd STATE_DIRECTORY goes before the default",
    },
    Key {
        name: "history.limit",
        flag: "history-limit",
        env: "FINWATCH_HISTORY_LIMIT",
        default: "1000",
        shape: Shape::Number,
        help: "Most drains, and most rollouts, that are kept",
    },
    Key {
        name: "history.max_age",
        flag: "history-max-age",
        env: "FINWATCH_HISTORY_MAX_AGE",
        default: "720h",
        shape: Shape::Duration,
        help: "How long they are kept",
    },
    Key {
        name: "deploys.listen",
        flag: "deploys-listen",
        env: "FINWATCH_DEPLOYS_LISTEN",
        default: "127.0.0.1:10347",
        shape: Shape::List,
        help: "Addresses where deploy events are taken; others than loopback need deploys.token_file",
    },
    Key {
        name: "deploys.token_file",
        flag: "deploys-token-file",
        env: "FINWATCH_DEPLOYS_TOKEN_FILE",
        default: "",
        shape: Shape::Text,
        help: "File with the token that senders of deploy events show (Authorization: Bearer)",
    },
    Key {
        name: "deploys.github_secret_file",
        flag: "deploys-github-secret-file",
        env: "FINWATCH_DEPLOYS_GITHUB_SECRET_FILE",
        default: "",
        shape: Shape::Text,
        help: "File with the secret of GitHub's webhook (X-Hub-Signature-256); without it GitHub's events are refused",
    },
    Key {
        name: "deploys.flux_secret_file",
        flag: "deploys-flux-secret-file",
        env: "FINWATCH_DEPLOYS_FLUX_SECRET_FILE",
        default: "",
        shape: Shape::Text,
        help: "File with the key of Flux's generic-hmac provider (X-Signature); without it Flux's events are refused",
    },
    Key {
        name: "deploys.skew_tolerance",
        flag: "deploys-skew-tolerance",
        env: "FINWATCH_DEPLOYS_SKEW_TOLERANCE",
        default: "30s",
        shape: Shape::Duration,
        help: "How far an event's own time may be from the time it came before it is flagged as late or future",
    },
    Key {
        name: "kubernetes.mode",
        flag: "kubernetes-mode",
        env: "FINWATCH_KUBERNETES_MODE",
        default: "auto",
        shape: Shape::Text,
        help: "Who is asked for names of pods: auto: the API server where there is a ServiceAccount (or kubernetes.kubeconfig) and a node's \
               name, and for what it does not know the names of /var/log/containers; api: the same, and without them the daemon does not start; \
               names: /var/log/containers alone; off: nobody",
    },
    Key {
        name: "kubernetes.node_name",
        flag: "kubernetes-node-name",
        env: "FINWATCH_KUBERNETES_NODE_NAME",
        default: "",
        shape: Shape::Text,
        help: "This node, as the API server calls it; empty: as NODE_NAME says (fieldRef: spec.nodeName)",
    },
    Key {
        name: "kubernetes.kubeconfig",
        flag: "kubernetes-kubeconfig",
        env: "FINWATCH_KUBERNETES_KUBECONFIG",
        default: "",
        shape: Shape::Text,
        help: "File that says how to reach the API server; empty: as the pod's ServiceAccount says",
    },
    Key {
        name: "shutdown_deadline",
        flag: "shutdown-deadline",
        env: "FINWATCH_SHUTDOWN_DEADLINE",
        default: "5s",
        shape: Shape::Duration,
        help: "How long a stop may take before it is forced",
    },
    Key {
        name: "keep_capabilities",
        flag: "keep-capabilities",
        env: "FINWATCH_KEEP_CAPABILITIES",
        default: "false",
        shape: Shape::Switch,
        help: "Keep every capability after start instead of dropping what is not needed any more",
    },
];

/// The setting of this key.
pub(super) fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// The known name nearest to what was typed, when it is near enough to have been meant.
pub fn nearest<'a>(typed: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|name| (strsim::normalized_damerau_levenshtein(typed, name), name))
        .filter(|(likeness, _)| *likeness > 0.6)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_flags_and_variables_are_unique() {
        for text in [
            |key: &Key| key.name,
            |key: &Key| key.flag,
            |key: &Key| key.env,
        ] {
            let distinct: HashSet<_> = KEYS.iter().map(text).collect();
            assert_eq!(distinct.len(), KEYS.len());
        }
    }

    #[test]
    fn variables_cannot_be_those_that_kubernetes_sets_for_a_service_of_this_name() {
        for key in KEYS {
            assert!(key.env.starts_with("FINWATCH_"));
            assert!(
                !super::super::layers::set_by_kubernetes(key.env),
                "{}",
                key.env
            );
        }
    }

    #[test]
    fn a_slip_finds_what_was_meant() {
        let names = || KEYS.iter().map(|key| key.name);
        assert_eq!(
            nearest("series.server_limt", names()),
            Some("series.server_limit")
        );
        assert_eq!(
            nearest("serie.retention", names()),
            Some("series.retention")
        );
        assert_eq!(nearest("xyzzy", names()), None);
    }
}
