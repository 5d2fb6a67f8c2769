//! The tree of one rollout: the announcement, what grew, the drains with their facts, each with its findings.

use anstyle::Style;
use jiff::Timestamp;

use super::{
    facts,
    layout::Node,
    table::{is_over, verdict_style, verdict_word, workload},
    words::{Words, after, count, plain, secs, service, span},
};
use finwatch_engine::model::{
    DeployEvent, DeployStage, Drain, GrowthTest, Rollout, Skew, Source, Verdict,
};

/// A rollout with everything that belongs to it.
pub(crate) fn rollout_tree(rollout: &Rollout, words: &Words) -> String {
    let over = is_over(rollout);
    let mut title = title(over, rollout.verdict, "rollout", &rollout.id);
    title.push_str(&format!("  {}", workload(rollout)));
    if let Some(revision) = &rollout.revision {
        title.push_str(&format!("  revision {}", plain(revision)));
    }
    let mut node = Node::new(title);
    let began = words.full_time(rollout.started_at);
    match rollout.ended_at {
        Some(ended) => {
            let took = span(ended.duration_since(rollout.started_at));
            node.fact("began", format!("{began}, over after {took}"));
        }
        None => node.fact("began", format!("{began}, still running")),
    }
    node.fact("announced", announced(rollout));
    for event in &rollout.events {
        node.fact(stage(event.stage), event_line(event, words));
    }
    for link in &rollout.links {
        node.fact("see", plain(link));
    }
    facts::add_cut(&mut node, rollout.counts.cut);
    add_growth(&mut node, rollout);
    add_listeners(&mut node, rollout);
    if rollout.interrupted {
        let style = Style::new().fg_color(Some(anstyle::AnsiColor::Yellow.into()));
        let text = "finwatch was restarted meanwhile: what happened then is missing here";
        node.styled("interrupted", text, style);
    }
    node.children = rollout.findings.iter().map(facts::finding).collect();
    let drains = rollout.drains.iter().map(|drain| drain_node(drain, words));
    node.children.extend(drains);
    node.draw()
}

/// A drain on its own.
pub(crate) fn drain_tree(drain: &Drain, words: &Words) -> String {
    drain_node(drain, words).draw()
}

fn drain_node(drain: &Drain, words: &Words) -> Node {
    let over = drain.ended_at.is_some();
    let mut title = title(over, drain.verdict, "drain", &drain.id);
    let kind = drain.kind.as_str();
    title.push_str(&format!("  {kind} of {}", service(&drain.service)));
    let mut node = Node::new(title);
    facts::add_drain(&mut node, drain, words);
    node.children = drain.findings.iter().map(facts::finding).collect();
    node
}

fn title(over: bool, verdict: Verdict, what: &str, id: &str) -> String {
    let style = verdict_style(over, verdict);
    let word = verdict_word(over, verdict).to_uppercase();
    format!("{style}{word}{style:#}  {what} {}", plain(id))
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

fn event_line(event: &DeployEvent, words: &Words) -> String {
    let mut text = words.full_time(event.event_time);
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
                words.full_time(event.receive_time)
            ));
        }
    }
    text
}

fn add_growth(node: &mut Node, rollout: &Rollout) {
    let growth = &rollout.growth;
    let mut line = |label: &str, test: &GrowthTest| {
        if test.count > 0 || test.baseline_count > 0 {
            node.fact(label, growth_line(test));
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
    let mut text = format!("{count} in {}", secs(*window));
    if *baseline_secs <= 0.0 {
        text.push_str("; nothing is known of the ordinary minutes");
        return text;
    }
    text.push_str(&format!(
        ", {baseline_count} in {} before",
        secs(*baseline_secs)
    ));
    if let Some(ratio) = ratio {
        text.push_str(&format!(": {ratio:.1} times the rate"));
    }
    match p_value {
        Some(p) if *p < 0.001 => text.push_str(&format!(", p = {p:.1e}")),
        Some(p) => text.push_str(&format!(", p = {p:.3}")),
        None => text.push_str(", too little to test"),
    }
    text
}

fn add_listeners(node: &mut Node, rollout: &Rollout) {
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
        node.fact("nobody listened", text);
    }
    for begun in &rollout.starts {
        let at: Timestamp = begun.at;
        let name = service(&begun.service);
        let text = format!("{name} {}, process {}", after(at, start), begun.pid);
        node.fact("listens", text);
    }
}
