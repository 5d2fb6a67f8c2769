//! What there is to say of one rollout: the announcement, what grew, and the drains with their facts, each with its
//! findings.

use super::{
    drain::{add_cut, add_interrupted, drain, title},
    finding::finding,
    lists::workload,
    tree::{Section, Tone},
    units::{Times, after, count, plain, pod, probability, service, span, span_of_secs},
};
use crate::model::{DeployEvent, DeployStage, GrowthTest, Rollout, Skew, Source};

/// A rollout with everything that belongs to it.
pub fn rollout(rollout: &Rollout, times: &Times) -> Section {
    let over = rollout.is_over();
    let mut of = format!("  {}", workload(rollout));
    if let Some(revision) = &rollout.revision {
        of.push_str(&format!("  revision {}", plain(revision)));
    }
    let title = title(over, rollout.verdict, "rollout", &rollout.id).and(Tone::Plain, of);
    let mut section = Section::new(title);
    let began = times.exact(rollout.started_at);
    let began = match rollout.last_seen_at() {
        Some(last) => {
            let took = span(last.duration_since(rollout.started_at));
            format!("{began}, over after {took}")
        }
        None => format!("{began}, still running"),
    };
    section.field("began", began);
    section.field("announced", announced(rollout));
    for event in &rollout.events {
        section.field(stage(event.stage), event_line(event, times));
    }
    for link in &rollout.links {
        section.field("see", plain(link));
    }
    add_cut(&mut section, rollout.lost());
    add_outside(&mut section, rollout);
    add_growth(&mut section, rollout);
    add_listeners(&mut section, rollout);
    if rollout.interrupted {
        add_interrupted(&mut section);
    }
    let drains = rollout.drains.iter().map(|one| drain(one, times));
    section.parts = rollout.findings.iter().map(finding).chain(drains).collect();
    section
}

fn announced(rollout: &Rollout) -> String {
    match (rollout.source, rollout.events.len()) {
        (Source::Signal, 0) => "by nobody: finwatch saw the signal".to_owned(),
        (source, _) => format!("by {}", source.as_str()),
    }
}

fn stage(stage: DeployStage) -> &'static str {
    match stage {
        DeployStage::Started => "started",
        DeployStage::Finished => "finished",
        DeployStage::Failed => "failed",
    }
}

fn event_line(event: &DeployEvent, times: &Times) -> String {
    let mut text = times.exact(event.event_time);
    match event.skew {
        Skew::None => {}
        Skew::Late => {
            let late = span(event.receive_time.duration_since(event.event_time));
            text.push_str(&format!(", told {late} later"));
        }
        Skew::Future => {
            let ahead = span(event.event_time.duration_since(event.receive_time));
            text.push_str(&format!(
                ", by a clock that is {ahead} ahead: taken as of {}",
                times.exact(event.receive_time)
            ));
        }
    }
    text
}

/// What its services counted that no drain did.
fn add_outside(section: &mut Section, rollout: &Rollout) {
    let outside = &rollout.outside;
    let parts = [
        (outside.closes(), "connection", "ended"),
        (rollout.lost_outside().total(), "request", "lost"),
        (outside.refused, "SYN", "refused"),
    ];
    let parts = parts.iter().filter(|(number, ..)| *number > 0);
    let told = parts.map(|(number, what, became)| format!("{} {became}", count(*number, what)));
    let told = told.collect::<Vec<_>>().join(", ");
    if !told.is_empty() {
        section.field("in no drain", told);
    }
}

fn add_growth(section: &mut Section, rollout: &Rollout) {
    let growth = &rollout.growth;
    let mut line = |label: &str, test: &GrowthTest| {
        if test.count > 0 || test.baseline_count > 0 {
            section.field(label, growth_line(test));
        }
    };
    line("TIME_WAIT", &growth.time_wait);
    line("RSTs", &growth.resets);
    if growth.resets_with_goodbyes != growth.resets {
        line("with goodbyes", &growth.resets_with_goodbyes);
    }
}

fn growth_line(test: &GrowthTest) -> String {
    let GrowthTest {
        count,
        secs: window,
        baseline_count,
        baseline_secs,
        ratio,
        p_value,
    } = test;
    let mut text = format!("{count} in {}", span_of_secs(*window));
    if *baseline_secs <= 0.0 {
        text.push_str("; nothing is known of the ordinary minutes");
        return text;
    }
    text.push_str(&format!(
        ", {baseline_count} in {} before",
        span_of_secs(*baseline_secs)
    ));
    if let Some(ratio) = ratio {
        text.push_str(&format!(": {ratio:.1} times the rate"));
    }
    match p_value {
        Some(p) => text.push_str(&format!(", p = {}", probability(*p))),
        None => text.push_str(", too little to test"),
    }
    text
}

fn add_listeners(section: &mut Section, rollout: &Rollout) {
    let start = rollout.started_at;
    for gap in &rollout.gaps {
        let name = service(&gap.service);
        let refused = count(gap.refused, "SYN");
        let text = match gap.until {
            Some(until) => {
                let long = span(until.duration_since(gap.from));
                let from = after(gap.from, start);
                format!("on {name} for {long} from {from}, {refused} refused")
            }
            None => format!(
                "on {name} since {}, {refused} refused",
                after(gap.from, start)
            ),
        };
        section.field("nobody listened", text);
    }
    for begun in &rollout.starts {
        let name = service(&begun.service);
        let mut text = format!("{name} {}, process {}", after(begun.at, start), begun.pid);
        if let Some(pod) = pod(&begun.pod) {
            text.push_str(&format!(", pod {pod}"));
        }
        section.field("listens", text);
    }
}
