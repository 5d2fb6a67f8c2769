//! What there is to say of one incident: what was lost, which processes ended, examples, each with its findings.

use super::{
    drain::{add_cut, title},
    finding::finding,
    tree::{Section, Tone},
    units::{Times, after, count, length, plain, pod, service, span},
};
use crate::model::{EndedProcess, IdleTimes, Incident, IncidentEnd};

/// An incident with everything that is known of it.
pub fn incident(incident: &Incident, times: &Times) -> Section {
    let over = incident.is_over();
    let of = format!("  {}", service(&incident.service));
    let title = title(over, incident.verdict, "incident", &incident.id).and(Tone::Plain, of);
    let mut section = Section::new(title);
    section.field("first lost", times.exact(incident.started_at));
    let lasted = span(incident.last_at.duration_since(incident.started_at));
    section.field("last lost", format!("+{lasted}"));
    section.field("ended", ending(incident.ending));
    section.field("cause", incident.cause.as_str());
    if let Some(drain) = &incident.drain {
        section.field("told by drain", plain(drain));
    }
    if let Some(pod) = pod(&incident.pod) {
        section.field("pod", pod);
    }
    if incident.netns > 0 {
        section.field("network namespace", incident.netns.to_string());
    }
    add_cut(&mut section, incident.cut);
    if incident.refused > 0 {
        section.field("refused", count(incident.refused, "SYN"));
    }
    if let Some(IdleTimes {
        known,
        min_secs,
        median_secs,
        max_secs,
    }) = incident.idle
    {
        let [min, median, max] = [min_secs, median_secs, max_secs].map(length);
        let of = count(known, "late one");
        section.field(
            "had been idle",
            format!("{min} to {max}, half of {of} for less than {median}"),
        );
    }
    for EndedProcess { pid, program, exit } in &incident.ended_processes {
        let how = match (&exit.signal, exit.code) {
            (Some(signal), _) => format!(", by {}", plain(signal)),
            (None, Some(code)) => format!(", with code {code}"),
            (None, None) => String::new(),
        };
        let when = after(exit.at, incident.started_at);
        let process = format!("{} (process {pid}) {when}{how}", plain(program));
        section.field("process ended", process);
    }
    section.parts = incident.findings.iter().map(finding).collect();
    section
}

fn ending(ending: Option<IncidentEnd>) -> &'static str {
    match ending {
        None => "not yet",
        Some(IncidentEnd::Quiet) => "nothing more was lost for a while",
        Some(IncidentEnd::Rollout) => "a rollout began, which tells the rest",
        Some(IncidentEnd::GoesOn) => "it goes on: another one tells the rest",
        Some(IncidentEnd::Interrupted) => "finwatch was restarted",
    }
}
