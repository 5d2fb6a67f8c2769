//! Findings of a rollout as a whole: what none of its drains shows alone.

use finwatch_common::Role;

use super::look::{Looks, Watched};
use crate::{
    diagnoses::{
        self as diagnoses, JudgeOptions, growth,
        judge::{
            beside, burst,
            idle::{Idle, LATE_MIN},
        },
    },
    model::{Finding, Gap, GrowthTest, Rollout, Service, Severity},
    render::units::{count, length, secs, were},
};

/// Most gaps that a finding shows.
const SHOWN_MAX: usize = 5;
/// What came within so long was closed in one moment.
const AT_ONCE_SECS: f64 = 1.0;
/// Sockets in CLOSE_WAIT that are more than at the start by fewer are chance.
const LEAK_MIN: u64 = 5;
/// Sockets in CLOSE_WAIT that do not get fewer for so long stay.
const LEAK_SECS: f64 = 60.0;

/// Every finding, in the order of the reference.
pub(super) fn findings(rollout: &Rollout, looks: &Looks, options: &JudgeOptions) -> Vec<Finding> {
    [
        idle_timeout_race(looks),
        time_wait_burst(rollout, options),
        clients_gave_up(looks, options),
        listener_gap(rollout),
        traffic_before_ready(rollout),
        upstream_closed_early(looks, options),
        close_wait_leak(looks),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn idle_timeout_race(looks: &Looks) -> Option<Finding> {
    if looks.late_count < LATE_MIN {
        return None;
    }
    // Who closes all that is idle in one moment has changed something, however long it had been idle.
    let times = looks.late.iter().map(|late| late.at);
    let (first, last) = (times.clone().min()?, times.max()?);
    if secs(first, last) < AT_ONCE_SECS {
        return None;
    }
    let idle = looks.late.iter().filter_map(|late| late.idle_secs);
    let how_long = match Idle::of(idle) {
        None => "How long they had been idle is not known.".to_owned(),
        Some(idle) if !idle.is_constant => return None,
        Some(idle) => idle.told(),
    };
    let services: Vec<_> = names(looks.late.iter().map(|late| &late.service));
    Some(diagnoses::IDLE_TIMEOUT_RACE.found(vec![
        format!(
            "{} met a connection that this side had just closed, with no stop under way, on {}.",
            count(looks.late_count, "request"),
            services.join(", ")
        ),
        how_long,
    ]))
}

fn time_wait_burst(rollout: &Rollout, options: &JudgeOptions) -> Option<Finding> {
    // One drain tells of its own burst.
    let grown = &rollout.growth.time_wait;
    let told =
        rollout.drains.len() > 1 && grown.count >= options.burst_min && is_growth(grown, options);
    told.then(|| {
        let over = format!("Over {}: ", count(rollout.drains.len() as u64, "drain"));
        burst(grown, &over, options)
    })
}

fn clients_gave_up(looks: &Looks, options: &JudgeOptions) -> Option<Finding> {
    let grown = |watched: &Watched| {
        growth::test(
            watched.abandoned,
            watched.secs,
            watched.ordinary.counts.abandoned,
            growth::ordinary_secs(&watched.ordinary),
        )
    };
    let evidence = watched(looks, Role::Server, grown, options, |service, grown| {
        format!(
            "{service}: {}",
            beside(
                grown,
                "client left without its answer",
                "clients left without their answer"
            )
        )
    });
    (!evidence.is_empty()).then(|| diagnoses::CLIENTS_GAVE_UP.found(evidence))
}

fn upstream_closed_early(looks: &Looks, options: &JudgeOptions) -> Option<Finding> {
    let grown = |watched: &Watched| {
        let before = &watched.ordinary.counts.unanswered;
        growth::test(
            watched.unanswered,
            watched.secs,
            before.silent + before.alert,
            growth::ordinary_secs(&watched.ordinary),
        )
    };
    let evidence = watched(looks, Role::Client, grown, options, |service, grown| {
        format!(
            "To port {} of others: {}",
            service.port,
            beside(
                grown,
                "connection ended by the peer with our request unanswered",
                "connections ended by the peer with our requests unanswered"
            )
        )
    });
    (!evidence.is_empty()).then(|| diagnoses::UPSTREAM_CLOSED_EARLY.found(evidence))
}

/// A sentence for each service of a role on which something grew.
fn watched(
    looks: &Looks,
    role: Role,
    test: impl Fn(&Watched) -> GrowthTest,
    options: &JudgeOptions,
    tell: impl Fn(&Service, &GrowthTest) -> String,
) -> Vec<String> {
    looks
        .services
        .iter()
        .filter(|((_, theirs), _)| *theirs == role)
        .map(|((service, _), watched)| (service, test(watched)))
        .filter(|(_, grown)| grown.count >= options.gave_up_min && is_growth(grown, options))
        .map(|(service, grown)| tell(service, &grown))
        .collect()
}

fn listener_gap(rollout: &Rollout) -> Option<Finding> {
    let gaps: Vec<&Gap> = rollout
        .gaps
        .iter()
        .filter(|gap| had_owner(rollout, gap))
        // Nobody need listen again after a stop that nobody announced as a deploy.
        .filter(|gap| gap.until.is_some() || rollout.source.is_announced())
        .filter(|gap| gap.until.is_some() || gap.refused > 0)
        .collect();
    let refused: u64 = gaps.iter().map(|gap| gap.refused).sum();
    if gaps.is_empty() {
        return None;
    }
    let evidence = shown(&gaps, |gap| match gap.until {
        Some(until) => format!(
            "Nobody listened on {} for {}: {} refused.",
            gap.service,
            length(secs(gap.from, until)),
            count(gap.refused, "SYN")
        ),
        None => format!(
            "Nobody has listened on {} since {}: {} refused.",
            gap.service,
            gap.from,
            count(gap.refused, "SYN")
        ),
    });
    Some(milder(diagnoses::LISTENER_GAP.found(evidence), refused))
}

fn traffic_before_ready(rollout: &Rollout) -> Option<Finding> {
    let gaps: Vec<&Gap> = rollout
        .gaps
        .iter()
        .filter(|gap| !had_owner(rollout, gap) && gap.refused > 0 && gap.until.is_some())
        .collect();
    if gaps.is_empty() {
        return None;
    }
    let evidence = shown(&gaps, |gap| {
        let before = gap.until.map(|until| length(secs(gap.from, until)));
        format!(
            "{} {} refused on {} in the {} before its new owner listened.",
            count(gap.refused, "SYN"),
            were(gap.refused),
            gap.service,
            before.unwrap_or_default()
        )
    });
    Some(diagnoses::TRAFFIC_BEFORE_READY.found(evidence))
}

fn close_wait_leak(looks: &Looks) -> Option<Finding> {
    let evidence: Vec<_> = looks
        .services
        .iter()
        .filter(|(_, watched)| {
            watched.close_wait >= watched.close_wait_at_first + LEAK_MIN
                && secs(watched.fewer_at, watched.at) >= LEAK_SECS
        })
        .map(|((service, _), watched)| {
            format!(
                "{service}: {} in CLOSE_WAIT, {} at the rollout's start, and not fewer for {}.",
                count(watched.close_wait, "socket"),
                watched.close_wait_at_first,
                length(secs(watched.fewer_at, watched.at))
            )
        })
        .collect();
    (!evidence.is_empty()).then(|| diagnoses::CLOSE_WAIT_LEAK.found(evidence))
}

/// Whether the one who listened before a gap was drained in this rollout.
fn had_owner(rollout: &Rollout, gap: &Gap) -> bool {
    rollout
        .drains
        .iter()
        .any(|drain| drain.service == gap.service)
}

fn is_growth(grown: &GrowthTest, options: &JudgeOptions) -> bool {
    grown.p_value.is_some_and(|p| p < options.significance)
}

/// A sentence for each of the first, and how many more there are.
fn shown(gaps: &[&Gap], tell: impl Fn(&Gap) -> String) -> Vec<String> {
    let mut evidence: Vec<_> = gaps.iter().take(SHOWN_MAX).map(|gap| tell(gap)).collect();
    if gaps.len() > SHOWN_MAX {
        let more = (gaps.len() - SHOWN_MAX) as u64;
        evidence.push(format!("And {}.", count(more, "more time")));
    }
    evidence
}

fn names<'a>(services: impl Iterator<Item = &'a Service>) -> Vec<String> {
    let mut names: Vec<_> = services.map(ToString::to_string).collect();
    names.sort();
    names.dedup();
    names
}

/// How grave a finding is when nobody was hit by it.
fn milder(mut finding: Finding, hit: u64) -> Finding {
    if hit == 0 {
        finding.severity = Severity::Warn;
    }
    finding
}
