//! The answer in one sentence: what clients lost, and why.

use super::{
    groups::{Group, groups},
    lost::Lost,
    subject::{Subject, lost_in},
};
use crate::render::{
    columns::{fitted, width},
    units::{grouped, many},
};
use crate::{
    diagnoses::Part,
    model::{Drain, DrainKind, Incident, Rollout, Severity, Verdict},
};

/// What clients lost in a rollout and why, in full.
pub fn headline(rollout: &Rollout) -> String {
    let subject = Subject::of_rollout(rollout);
    let told = told(&subject, &groups(&subject));
    told.into_iter().next().unwrap_or_default()
}

/// What clients lost in an incident and why, in full.
pub fn incident_headline(incident: &Incident) -> String {
    let counts = lost_in(incident);
    let subject = Subject::of_incident(incident, &counts);
    let told = told(&subject, &groups(&subject));
    told.into_iter().next().unwrap_or_default()
}

/// The same, as fully as so many columns allow.
pub(super) fn fitting(subject: &Subject<'_>, groups: &[Group<'_>], columns: usize) -> String {
    let told = told(subject, groups);
    let fits = |text: &&String| width(text) <= columns;
    let shortest = told.last().map(|text| fitted(text, columns, 1));
    let fitting = told.iter().find(fits).cloned();
    fitting.or(shortest).unwrap_or_default()
}

/// In full, and then shorter and shorter.
fn told(subject: &Subject<'_>, groups: &[Group<'_>]) -> Vec<String> {
    let lost = Lost::of(subject, groups);
    let told = match lost.is_nothing() {
        true => nothing_lost(subject, groups),
        false => lost.told(subject, groups),
    };
    let unclear = subject.verdict == Verdict::Inconclusive;
    let before = match (subject.is_over, unclear && subject.interrupted) {
        (false, _) => "so far ",
        (true, true) => "finwatch was restarted meanwhile; seen: ",
        (true, false) if unclear => return doubt(subject, &lost, told),
        (true, false) => "",
    };
    let told = told.into_iter();
    told.map(|told| format!("{before}{told}")).collect()
}

/// Why there is no verdict, with what was seen to be lost.
fn doubt(subject: &Subject<'_>, lost: &Lost, told: Vec<String>) -> Vec<String> {
    let drains = subject.drains;
    let missed = drains
        .iter()
        .fold(0, |sum: u64, drain| sum.saturating_add(drain.records_lost));
    let idle = drains.iter().filter(|drain| !had_traffic(drain)).count();
    let why = match (missed, idle, drains.len()) {
        (0, _, 0) => Some("no stop and no reload".to_owned()),
        (0, 0, _) => None,
        (0, idle, all) if idle == all => Some("nobody was connected".to_owned()),
        (0, idle, all) => Some(format!(
            "nobody was connected in {idle} of {}",
            many(all as u64, "drain")
        )),
        (missed, ..) => Some(format!(
            "{} of finwatch's records were lost",
            grouped(missed)
        )),
    };
    let why = why.map_or_else(String::new, |why| format!(": {why}"));
    let unclear = "too little was seen";
    match lost.is_nothing() {
        true => vec![format!("{unclear}{why}"), unclear.to_owned()],
        false => told
            .into_iter()
            .map(|told| format!("{told}; {unclear}"))
            .collect(),
    }
}

fn had_traffic(drain: &Drain) -> bool {
    drain.open_at_start + drain.opened_after_start + drain.counts.opened + drain.counts.closes() > 0
}

fn nothing_lost(subject: &Subject<'_>, groups: &[Group<'_>]) -> Vec<String> {
    let nothing = match subject.drains.len() as u64 {
        0 if subject.counts.closes() > 0 => "nothing lost, with no stop and no reload".to_owned(),
        0 => "no stop and no reload was seen".to_owned(),
        _ if subject.is_one_drain => "nothing lost".to_owned(),
        drains => format!("nothing lost in {}", many(drains, kind(subject.drains))),
    };
    let amount = match subject.counts.closes() {
        0 => nothing.clone(),
        closes => format!("{nothing}, {} ended", many(closes, "connection")),
    };
    let says = |severity: Severity| {
        let mut groups = groups.iter().filter(|group| group.part != Part::Note);
        groups
            .find(|group| group.severity == severity)
            .map(Group::says)
    };
    match subject.verdict {
        _ if !subject.is_over => vec![amount, nothing],
        Verdict::Fail => match says(Severity::Fail) {
            Some(says) => vec![format!("{says}; no request is known to be lost"), says],
            None => vec![amount, nothing],
        },
        Verdict::Warn => match says(Severity::Warn) {
            Some(says) => vec![
                format!("{amount}, but {says}"),
                format!("{nothing}, but {says}"),
                format!("nothing lost, but {says}"),
                says,
            ],
            None => vec![amount, nothing],
        },
        Verdict::Pass | Verdict::Inconclusive => vec![amount, nothing],
    }
}

/// `stop` and `reload` where all are that.
fn kind(drains: &[Drain]) -> &'static str {
    let all = |kind: DrainKind| drains.iter().all(|drain| drain.kind == kind);
    if all(DrainKind::Stop) {
        "stop"
    } else if all(DrainKind::Reload) {
        "reload"
    } else {
        "drain"
    }
}
