//! Below the verdict of a rollout: what was lost in its time and is none of its own.

use super::{
    tree::{Line, Section, Tone},
    units::{Times, count, plain, service, were},
};
use crate::model::Incident;

/// Most lines.
const SHOWN_MAX: usize = 3;

/// A line for each of the first of these incidents.
pub fn beside<'a>(
    incidents: impl ExactSizeIterator<Item = &'a Incident>,
    times: &Times,
) -> Vec<Section> {
    let more = incidents.len().saturating_sub(SHOWN_MAX);
    let lines = incidents
        .take(SHOWN_MAX)
        .map(|incident| line(incident, times));
    let more = (more > 0).then(|| {
        let more = count(more as u64, "more incident");
        Line::default().and(
            Tone::Plain,
            format!("beside it, {more}: finwatch incidents"),
        )
    });
    lines.chain(more).map(Section::new).collect()
}

fn line(incident: &Incident, times: &Times) -> Line {
    let (cut, refused) = (incident.cut.total(), incident.refused);
    let of = plain(&service(&incident.service));
    let lost = match (cut, refused) {
        (0, refused) => format!(
            "{} of {of} {} refused",
            count(refused, "client"),
            were(refused)
        ),
        (cut, 0) => format!("{} of {of} {} lost", count(cut, "request"), were(cut)),
        (cut, refused) => format!(
            "{} of {of} {} lost and {} refused",
            count(cut, "request"),
            were(cut),
            count(refused, "client")
        ),
    };
    let from = times.clock(incident.started_at);
    let until = match incident.is_over() {
        true => format!("to {}", times.clock(incident.last_at)),
        false => "on".to_owned(),
    };
    let told = format!("beside it, {lost} in an incident from {from} {until}");
    Line::default().and(Tone::Plain, told)
}
