//! From a drain's facts to its findings and verdict. It takes the facts as they are: what was not seen is not judged,
//! and says so. Everything that it tells is computed from the drain alone, so that a stored drain can be judged again.

mod cost;
mod ends;
mod facts;
pub(crate) mod idle;
mod lost;

use jiff::Timestamp;

use self::facts::Facts;
pub(crate) use self::{
    cost::{beside, burst},
    facts::{example_told, seen_until},
};
use crate::{
    diagnoses,
    model::{Drain, Finding, Meaning, Severity, Verdict},
    render::units::count,
};

/// Source ports that Linux gives out by default (`net.ipv4.ip_local_port_range`).
const EPHEMERAL_PORTS: u64 = 60_999 - 32_768 + 1;

/// How strictly.
#[derive(Debug, Clone, PartialEq)]
pub struct JudgeOptions {
    /// The time, for drains that still last; without it such a drain is judged by its last known event.
    pub now: Option<Timestamp>,
    /// A growth with a smaller p-value is told.
    pub significance: f64,
    /// Fewer TIME_WAITs are no burst.
    pub burst_min: u64,
    /// A burst that is greater than ordinary by fewer only informs: however significant, it costs nobody anything.
    pub burst_warn: u64,
    /// Fewer clients that gave up are chance.
    pub gave_up_min: u64,
    /// How long a load balancer needs to take an instance away.
    pub balancer_secs: f64,
    /// An end within so long of T0 is at once.
    pub moments_secs: f64,
    /// Idle connections that are open for longer after T0 hold the drain.
    pub held_secs: f64,
    /// Old workers that are there for longer pile up.
    pub pile_up_secs: f64,
}

/// Sets the findings of a drain, gravest first, and its verdict; both are `inconclusive` while it lasts.
pub fn judge(drain: &mut Drain, options: &JudgeOptions) {
    let facts = Facts::new(drain, options);
    let mut findings: Vec<Finding> = CHECKS.iter().filter_map(|check| check(&facts)).collect();
    weigh_ends(&mut findings, &facts);
    let failed = findings.iter().any(|f| f.severity == Severity::Fail);
    let unseen = unseen(&facts);
    if !failed && unseen.is_empty() && drain.ended_at.is_some() {
        findings.extend(cost::clean_drain(&facts));
    }
    let verdict = if drain.ended_at.is_none() || drain.interrupted {
        Verdict::Inconclusive
    } else {
        worst(&findings, !unseen.is_empty())
    };
    if drain.ended_at.is_some() && !unseen.is_empty() {
        findings.push(diagnoses::TOO_LITTLE_SEEN.found(unseen));
    }
    // The order of the checks is the order of the reference; a stable sort keeps it within a severity.
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    drain.findings = findings;
    drain.verdict = verdict;
}

/// What findings come to. What may be hidden takes a pass or a warning away, and never a failure.
pub(crate) fn worst(findings: &[Finding], may_hide: bool) -> Verdict {
    let worst = findings.iter().map(|finding| finding.severity).max();
    match worst {
        Some(Severity::Fail) => Verdict::Fail,
        _ if may_hide => Verdict::Inconclusive,
        Some(Severity::Warn) => Verdict::Warn,
        Some(Severity::Info | Severity::Pass) | None => Verdict::Pass,
    }
}

/// How the processes took their end weighs what clients lost by it: where nobody is known to have lost anything, it only warns.
fn weigh_ends(findings: &mut [Finding], facts: &Facts<'_>) {
    const ENDS: [&str; 3] = [
        diagnoses::DRAIN_TIMED_OUT.name,
        diagnoses::SIGNAL_IGNORED.name,
        diagnoses::KILLED_WITHOUT_STOP.name,
    ];
    let is_end = |finding: &Finding| ENDS.contains(&finding.diagnosis.as_str());
    let lost = |finding: &Finding| finding.severity == Severity::Fail && !is_end(finding);
    if facts.refused() > 0 || findings.iter().any(lost) {
        return;
    }
    let nobody = match facts.judges_turns() {
        true => "No client is known to have lost anything.",
        false => "What clients lost by it is not known: turns are not judged on this port.",
    };
    for finding in findings.iter_mut().filter(|finding| is_end(finding)) {
        finding.severity = Severity::Warn;
        finding.evidence.push(nobody.to_owned());
    }
}

type Check = fn(&Facts<'_>) -> Option<Finding>;

/// Every diagnosis that a drain alone can show, in the order of the reference. Those of rollouts are made there.
const CHECKS: &[Check] = &[
    lost::requests_cut,
    lost::response_truncated,
    lost::keepalive_race,
    cost::tls_goodbye_resets,
    cost::early_answer_reset,
    cost::server_hangs_up_first,
    cost::time_wait_burst,
    cost::accepts_after_signal,
    lost::died_serving,
    lost::worker_recycled,
    cost::clients_gave_up,
    cost::clients_waited,
    lost::listener_closed_early,
    lost::accept_queue_dropped,
    ends::not_accepting,
    ends::drain_timed_out,
    ends::signal_ignored,
    ends::signal_means_reload,
    ends::workers_left_behind,
    ends::sessions_live_on,
    cost::fast_stop_signal,
    cost::exited_too_early,
    cost::held_by_idle_connections,
    cost::requests_keep_coming,
    ends::old_workers_pile_up,
    ends::killed_without_stop,
];

/// Why a pass would say too much; nothing when it would not.
fn unseen(facts: &Facts<'_>) -> Vec<String> {
    let drain = facts.drain;
    let mut reasons = Vec::new();
    if !facts.had_traffic() {
        reasons.push(
            "No connection was open at T0, none was opened or closed afterwards, and nobody was refused."
                .to_owned(),
        );
    }
    if drain.records_lost > 0 {
        reasons.push(format!(
            "{} lost while it lasted: its numbers may be too small.",
            match drain.records_lost {
                1 => "1 record was".to_owned(),
                lost => format!("{} were", count(lost, "record")),
            }
        ));
    }
    let small = drain.counts.small;
    if small.open() > 0 && facts.judges_turns() && drain.small_means() == Meaning::Unknown {
        let ordinary = drain.small_before;
        let told = match ordinary.answered + ordinary.open() {
            0 => "no other is known".to_owned(),
            _ => format!(
                "in its ordinary time {} were answered, and {} left so",
                ordinary.answered,
                ordinary.open()
            ),
        };
        reasons.push(format!(
            "{} ended with under 18 bytes of the client unanswered or lost: a request, or a goodbye; {told}.",
            count(small.open(), "connection"),
        ));
    }
    if drain.interrupted {
        reasons.push("finwatch was not there for all of it: it was restarted.".to_owned());
    }
    reasons
}

// === impl JudgeOptions ===

impl Default for JudgeOptions {
    fn default() -> Self {
        Self {
            now: None,
            significance: 0.01,
            burst_min: 5,
            burst_warn: EPHEMERAL_PORTS / 10,
            gave_up_min: 3,
            balancer_secs: 5.0,
            moments_secs: 2.0,
            held_secs: 30.0,
            pile_up_secs: 60.0,
        }
    }
}

#[cfg(test)]
#[path = "scenarios.rs"]
pub(crate) mod scenarios;

#[cfg(test)]
#[path = "tests.rs"]
mod tests;

#[cfg(test)]
#[path = "ends_tests.rs"]
mod ends_tests;

#[cfg(test)]
#[path = "table_tests.rs"]
mod table_tests;

#[cfg(test)]
#[path = "property_tests.rs"]
pub(crate) mod property_tests;

#[cfg(test)]
#[path = "edges_tests.rs"]
mod edges_tests;
