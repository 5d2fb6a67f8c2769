//! When it was, who announced it and what began it.

use super::subject::Subject;
use crate::model::{Drain, SignalSeen};
use crate::render::{
    columns::{fitted, width},
    units::{Times, many, plain, span},
};

/// When it was, who announced it and what began it, and how much of it there was: what there is room for in a line, two where
/// the least is too long.
pub(super) fn when(subject: &Subject<'_>, times: &Times, headline: &str, columns: usize) -> String {
    let took = match subject.last_seen_at {
        Some(last) => Some(format!(
            "took {}",
            span(last.duration_since(subject.started_at))
        )),
        None => (!subject.is_over).then(|| "still running".to_owned()),
    };
    let closes = subject.counts.closes();
    // A headline of what was not lost says of how many.
    let told = closes == 0 || headline.contains(" ended");
    let ended = (!told).then(|| format!("{} ended", many(closes, "connection")));
    let [signal, brief] = began(subject.drains);
    let line = |signal: &Option<String>, ended: Option<&String>| {
        let announced = subject.announced;
        let announced = announced.map(|source| format!("announced by {}", source.as_str()));
        let first = [Some(times.full(subject.started_at)), announced];
        let then = [signal.clone(), took.clone(), ended.cloned()];
        let parts = first.into_iter().chain(then).flatten();
        parts.collect::<Vec<_>>().join(", ")
    };
    let lines = [
        line(&signal, ended.as_ref()),
        line(&signal, None),
        line(&brief, None),
    ];
    let fits = |line: &&String| width(line) <= columns;
    match lines.iter().find(fits) {
        Some(line) => line.clone(),
        None => fitted(&lines[2], columns, 2),
    }
}

/// The signal that began it all, and the same in short: `SIGTERM from systemd (1) to nginx (1200)`, `SIGTERM from systemd`.
fn began(drains: &[Drain]) -> [Option<String>; 2] {
    let brief = |drain: &Drain| {
        let told = |signal: &SignalSeen| format!("{} from {}", signal.name, signal.sender.program);
        drain
            .signal
            .as_ref()
            .map_or_else(|| "no signal".to_owned(), told)
    };
    let Some((first, others)) = drains.split_first() else {
        return [None, None];
    };
    let all = plain(&brief(first));
    if others.iter().any(|other| brief(other) != all) {
        return [None, None];
    }
    let full = match (&first.signal, others) {
        (Some(signal), []) => {
            let SignalSeen {
                name,
                target_pid,
                target_program,
                sender,
                ..
            } = signal;
            let from = match sender.pid {
                0 => "the kernel".to_owned(),
                pid => format!("{} ({pid})", sender.program),
            };
            plain(&format!(
                "{name} from {from} to {target_program} ({target_pid})"
            ))
        }
        _ => all.clone(),
    };
    [Some(full), Some(all)]
}
