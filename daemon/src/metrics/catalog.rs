//! Every metric, declared once: name, type and meaning. The names are what dashboards build on: add freely,
//! rename never. A counter's name stands here without `_total`, an information's without `_info`.

use prometheus_client::metrics::MetricType;

/// One metric.
#[derive(Debug, Clone, Copy)]
pub struct Family {
    /// Name, without the suffix that its type adds.
    pub name: &'static str,
    /// Its type.
    pub kind: MetricType,
    /// What it counts, in which unit, and where the number comes from.
    pub help: &'static str,
}

macro_rules! families {
    ($($constant:ident = $kind:ident $name:literal: $help:literal;)+) => {
        $(pub(super) const $constant: Family = Family {
            name: $name,
            kind: MetricType::$kind,
            help: $help,
        };)+

        /// Every metric, in the order in which they are shown.
        pub const FAMILIES: &[Family] = &[$($constant),+];
    };
}

families! {
    // Counted in the kernel.
    OPENED = Counter "finwatch_tcp_opened": "Connections established, counted in the kernel.";
    CLOSES = Counter "finwatch_tcp_closes": "Connections ended, by who sent the first FIN (origin) and how it ended (outcome), counted in the kernel. At zero from birth for the most usual outcome of each origin: fin, and without any FIN reset_sent of a server, reset_received of a client.";
    TIME_WAIT_CREATED = Counter "finwatch_tcp_time_wait_created": "Mini-sockets left on this host at a connection's end, by substate, counted in the kernel.";
    RESETS_SENT = Counter "finwatch_tcp_resets_sent": "RSTs this host sent, by the kernel's reason and by what bytes of the peer they threw away: nothing, a goodbye (TLS alert or control frame, harmless) or data; born with its first event.";
    CUT = Counter "finwatch_tcp_cut_connections": "Connections on which a client's request was really lost, each once by its first cause: read and unanswered, unread, or sent too late; counted in the kernel, which does not know where nobody waits for answers (syslog, SSH): there unanswered is no loss.";
    RESETS_RECEIVED = Counter "finwatch_tcp_resets_received": "RSTs that ended a connection here, by its TCP state, counted in the kernel; born with its first event.";
    UNANSWERED = Counter "finwatch_tcp_unanswered_closes": "Server: this side closed first with a request read and not answered. Client: the peer did while our request had no answer. By evidence: silent, alert (only a TLS alert was written), small (a request under 18 bytes); born with its first event.";
    ABANDONED = Counter "finwatch_tcp_abandoned_closes": "Server: the peer closed first while its request had no answer; born with its first event.";
    UNREAD = Counter "finwatch_tcp_unread_closes": "Connections ended with received data the program never read; born with its first event.";
    UNREAD_BYTES = Counter "finwatch_tcp_unread_bytes": "Received bytes the program never read, at the end of a connection; born with its first event.";
    UNACKED = Counter "finwatch_tcp_unacked_closes": "Connections ended with sent data the peer never acknowledged; born with its first event.";
    UNACKED_BYTES = Counter "finwatch_tcp_unacked_bytes": "Sent bytes the peer never acknowledged, at the end of a connection; born with its first event.";
    EARLY = Counter "finwatch_tcp_early_answer_resets": "Server: a request was answered before all of it was read, and this host reset the connection with the rest of it unread; the client may lose the answer. Not counted as cut, unless some of the answer had not left by then; born with its first event.";
    UNCLEAR = Counter "finwatch_tcp_unclear_losses": "Server: connections that ended with bytes of the client unanswered or thrown away, of which the connection does not tell whether they were a request. By what: small (under 18 bytes, left without an answer or never read; a goodbye may be as short), small_late (as few, after our FIN), rest_or_request (behind the answer to a request in several parts, that this side closed upon at once). Not counted as cut; born with its first event.";
    WAITED = Counter "finwatch_tcp_waited": "Server: the first request of a connection lay unread for a second or more, as nobody accepted the connection or nobody read from it; counted when it was read, in the phase in which the connection was established; born with its first event.";
    EXIT = Counter "finwatch_tcp_exit_closes": "Connections ended from this side because the process died, not because it called close(); born with its first event.";
    REFUSED = Counter "finwatch_tcp_refused": "SYNs answered with RST as nothing listened, given to the last known owner of the port.";
    ACCEPT_QUEUE_DROPPED = Counter "finwatch_tcp_accept_queue_dropped": "Connections established, never accepted, and dropped with their listener.";
    EMBRYONIC_FAILED = Counter "finwatch_tcp_embryonic_failed": "Server: handshakes that failed before the connection was established; born with its first event.";
    CONNECT_FAILED = Counter "finwatch_tcp_connect_failed": "Client: connection attempts that failed: refused, timed out or given up.";
    ESTAB_RESETS = Counter "finwatch_tcp_estab_resets": "Connections that went from ESTABLISHED or CLOSE_WAIT straight to CLOSE: the kernel's EstabResets; born with its first event.";
    TIME_WAIT_OVERFLOW = Counter "finwatch_tcp_time_wait_overflow": "Ends that should have left a mini-socket and did not, as the table was full: the kernel's TCPTimeWaitOverflow; born with its first event.";
    SEEDED = Counter "finwatch_tcp_seeded": "Connections that were established before the programs were attached: their origin and turns may be unknown; born with its first event.";

    // State.
    OPEN = Gauge "finwatch_tcp_open_connections": "Connections in ESTABLISHED or CLOSE_WAIT now, from the kernel's counters.";
    TIME_WAIT = Gauge "finwatch_tcp_time_wait_sockets": "Live mini-sockets by substate: creations of the last 60 s, held against the kernel's sockstat and surveys.";
    AWAITING = Gauge "finwatch_tcp_awaiting_connections": "Connections with a request read (server) or sent (client) and not yet answered, by the last survey (gauges.survey_interval); never more than are open now.";
    CLOSE_WAIT = Gauge "finwatch_tcp_close_wait_sockets": "Connections that the peer closed and this side has not, from the kernel's counters.";
    LISTENER_UP = Gauge "finwatch_listener_up": "1 while something listens on the port, from the kernel's counters.";
    LISTENER_BACKLOG = Gauge "finwatch_listener_backlog": "Connections that wait to be accepted, by the last survey (gauges.survey_interval).";
    LISTENER_BACKLOG_LIMIT = Gauge "finwatch_listener_backlog_limit": "Most connections that may wait to be accepted, by the last survey.";
    LISTENER_GAP_SECONDS = Counter "finwatch_listener_gap_seconds": "Seconds in which nobody listened between two owners of the port, from listener records.";
    LISTENER_GAPS = Counter "finwatch_listener_gaps": "Times nobody listened between two owners of the port, from listener records.";

    // The story.
    DRAINS = Counter "finwatch_drains": "Drains that ended, by what began them (kind: stop, reload, kill, crash) and by verdict; born at zero when the service's first drain of that kind begins.";
    DRAIN_DURATION = Histogram "finwatch_drain_duration_seconds": "From the signal to the last close (where nothing was open, to the end of the last process) of drains that ended, by kind.";
    DRAIN_OPENED_AFTER = Counter "finwatch_drain_opened_after_signal": "Connections that drains which ended accepted after their signal.";
    DIAGNOSES = Counter "finwatch_diagnoses": "Findings of drains, rollouts and incidents that ended, by diagnosis (docs/diagnoses.md).";
    INCIDENTS = Counter "finwatch_incidents": "Bursts of lost requests with nobody stopping or changing anything that are over, by what they came of (cause: worker-recycled, worker-crashed, idle-timeout-race, dropped-by-server, refused, unknown); born at zero when the service's first one begins.";
    INCIDENT_LOST = Counter "finwatch_incident_lost": "Requests and clients that were lost in these, by how: unanswered, unread, late, refused.";
    ROLLOUTS = Counter "finwatch_rollouts": "Rollouts that ended, by who announced them (source; signal: nobody) and by verdict.";
    ROLLOUT_START = Gauge "finwatch_rollout_start_timestamp_seconds": "When each of the last 20 rollouts began, seconds since the epoch; port is empty where it is not one port alone.";
    ROLLOUT = Info "finwatch_rollout": "Each of the last 20 rollouts: its revision, as the sender wrote it, and its verdict (inconclusive while it runs).";
    ROLLOUT_TIME_WAIT_GROWTH = Gauge "finwatch_rollout_time_wait_growth_ratio": "Rate of mini-sockets left on this host during the rollout over the rate of the baseline; absent where the baseline counted none.";
    ROLLOUT_RESET_GROWTH = Gauge "finwatch_rollout_reset_growth_ratio": "Rate of RSTs sent during the rollout over the rate of the baseline, without goodbyes; absent where the baseline counted none.";

    // Totals of what has no series any more.
    RETIRED_OPENED = Counter "finwatch_retired_opened": "Connections established of services whose series were forgotten.";
    RETIRED_CLOSES = Counter "finwatch_retired_closes": "Connections ended of services whose series were forgotten.";
    RETIRED_CUT = Counter "finwatch_retired_cut_connections": "Connections cut of services whose series were forgotten.";
    RETIRED_SERIES = Counter "finwatch_retired_services": "Services whose series were forgotten: gone for series.retention and pushed out of the memory of series.retired_limit.";

    // About itself.
    BUILD = Info "finwatch_build": "Version of finwatch.";
    START_TIME = Gauge "finwatch_start_time_seconds": "When the daemon started, seconds since the epoch.";
    PROBE_ATTACHED = Gauge "finwatch_probe_attached": "1 while the kernel program is attached; what this kernel does not have is 0.";
    PROBE_RUNS = Counter "finwatch_probe_runs": "Runs of the kernel program, while the kernel's BPF statistics are on (kernel.bpf_stats_enabled).";
    PROBE_RUN_SECONDS = Counter "finwatch_probe_run_seconds": "Seconds spent in the kernel program, while the kernel's BPF statistics are on.";
    PROBE_RECURSION_MISSES = Counter "finwatch_probe_recursion_misses": "Runs that the kernel's recursion guard skipped; made good by the program's second half.";
    RECORDS = Counter "finwatch_records": "Records taken from the ring buffer, by kind.";
    RECORDS_LOST = Counter "finwatch_records_lost": "Records that the full ring buffer refused, by kind; counters are never affected.";
    RECORDS_MALFORMED = Counter "finwatch_records_malformed": "Records that were rejected as their bytes were malformed.";
    STORAGE_FAILED = Counter "finwatch_socket_storage_failed": "Sockets for which the kernel gave no storage (optmem, memory): their turns are unknown.";
    PROBE_MADE_GOOD = Counter "finwatch_probe_made_good": "Transitions that the kernel's recursion guard skipped and the second program made good.";
    MPTCP_SUBFLOWS = Counter "finwatch_mptcp_subflows": "Subflows of MPTCP connections, which are left out of every other number.";
    MAP_ENTRIES = Gauge "finwatch_map_entries": "Entries in use, of kernel maps and of the daemon's own tables.";
    MAP_CAPACITY = Gauge "finwatch_map_capacity": "Most entries of the map.";
    MAP_FULL = Counter "finwatch_map_full": "Times the map was full: its count went to the row other, its longest unused entry was forgotten, or what came was not taken in.";
    SERIES_LIMITED = Counter "finwatch_series_limited": "Services that share the series other as a limit was reached (series.server_limit, series.client_limit).";
    ATTRIBUTION_UNKNOWN = Counter "finwatch_attribution_unknown": "Services whose owner was gone before its name was known, shown by the name of their process.";
    ATTRIBUTION_PENDING = Gauge "finwatch_attribution_pending": "Services whose owner is being looked up: counted, and not shown yet.";
    ATTRIBUTION_ELSEWHERE = Counter "finwatch_attribution_elsewhere": "Containers and other cgroups that are left out as they are of another Kubernetes node on the same kernel (kind, k3d).";
    KUBERNETES_CONNECTED = Gauge "finwatch_kubernetes_watch_connected": "1 while the API server answers the watch of this node's pods; absent where it is not asked.";
    KUBERNETES_HEARD = Gauge "finwatch_kubernetes_watch_last_event_timestamp_seconds": "When the API server was last heard, bookmarks included, seconds since the epoch.";
    KUBERNETES_LISTS = Counter "finwatch_kubernetes_watch_lists": "Times all pods of this node were listed: at the start, and when the server had forgotten where the watch was.";
    KUBERNETES_FAILURES = Counter "finwatch_kubernetes_watch_failures": "Lists and watches of pods that were refused, or for which nobody answered; each is tried again. A watch that is cut goes on at once, and is none.";
    DEPLOY_EVENTS = Counter "finwatch_deploy_events": "Deploy events that were sent here, by source and by what became of them (result: accepted, duplicate, ignored, unauthorized, malformed, too_large, overloaded).";
    NAMESPACES = Gauge "finwatch_network_namespaces": "Network namespaces found by the last survey; state refused: those that could not be entered, whose sockets are not surveyed.";
    READINGS_FAILED = Counter "finwatch_readings_failed": "Readings of the kernel's counters that failed; such a scrape shows no service.";
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_unique_and_help_needs_no_escaping() {
        let names: HashSet<_> = FAMILIES.iter().map(|family| family.name).collect();
        assert_eq!(names.len(), FAMILIES.len());
        for Family { name, help, .. } in FAMILIES {
            assert!(name.starts_with("finwatch_"), "{name}");
            assert!(
                !name.ends_with("_total") && !name.ends_with("_info"),
                "{name}"
            );
            assert!(
                help.ends_with('.') && !help.contains(['\\', '\n', '"']),
                "{name}"
            );
        }
    }
}
