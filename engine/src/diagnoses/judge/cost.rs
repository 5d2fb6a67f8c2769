//! Diagnoses of what one drain cost without loss, of what only looks bad, and of the drain that is as it should be.

use finwatch_common::signal;

use super::{JudgeOptions, facts::Facts};
use crate::{
    diagnoses::{self as diagnoses, growth},
    model::{Finding, GrowthTest, Resets, Severity, Waited},
    render::units::{count, length, percent, probability, were},
};

/// A share of closes that is higher by this is higher.
const SHARE_MARGIN: f64 = 0.1;
/// Requests that come for so long after T0 keep coming.
const KEEP_COMING_SECS: f64 = 5.0;

pub(super) fn clean_drain(facts: &Facts<'_>) -> Option<Finding> {
    let drain = facts.drain;
    let counts = &drain.counts;
    let data: u64 = counts.resets_sent.iter().map(|resets| resets.data).sum();
    let unanswered = match facts.judges_turns() {
        true => counts.cut.unanswered + drain.likely_cut,
        false => 0,
    };
    let lost = unanswered + counts.cut.unread + counts.cut.late + counts.rest_or_request + data;
    // Whoever listens at its end is the one who refuses them.
    let refused = facts.refused() > 0 && !drain.listening.taken_over;
    let warns = |finding: Finding| finding.severity >= Severity::Warn;
    let gave_up = clients_gave_up(facts).is_some() || clients_waited(facts).is_some_and(warns);
    let orderly = (facts.is_stop() || facts.is_reload()) && facts.kill().is_none();
    if lost > 0 || refused || gave_up || !orderly {
        return None;
    }
    let owed = match (facts.judges_turns(), drain.awaiting_at_start) {
        (false, _) => "nobody waits for answers here".to_owned(),
        (true, Some(awaiting)) => format!("{awaiting} of these owed an answer"),
        (true, None) => "how many owed an answer is not known".to_owned(),
    };
    let open = drain.open_at_start;
    let mut evidence = vec![
        facts.began(),
        format!(
            "At T0 {} {} open; {owed}.",
            count(open, "connection"),
            were(open)
        ),
        format!(
            "{} ended, {} of them closed by this side first, and nobody lost {}.",
            count(counts.closes(), "connection"),
            counts.local_first,
            format_args!("a {}", facts.lost_kind())
        ),
    ];
    evidence.extend(super::lost::shape(facts));
    if let Some(at) = drain.last_close_at {
        evidence.push(format!("The last one ended {}.", facts.told(at)));
    }
    Some(diagnoses::CLEAN_DRAIN.found(evidence))
}

pub(super) fn tls_goodbye_resets(facts: &Facts<'_>) -> Option<Finding> {
    let resets = &facts.drain.counts.resets_sent;
    // On a connection that was cut the harm was done before.
    let harmless = |resets: &Resets| resets.goodbye.saturating_sub(resets.goodbye_of_cut);
    let goodbyes: u64 = resets.iter().map(harmless).sum();
    if goodbyes == 0 {
        return None;
    }
    let reasons: Vec<_> = resets
        .iter()
        .filter(|resets| harmless(resets) > 0)
        .map(|resets| format!("{} for {}", harmless(resets), resets.reason))
        .collect();
    let others = facts.drain.counts.resets() - goodbyes;
    Some(diagnoses::TLS_GOODBYE_RESETS.found(vec![
        format!(
            "{} sent that threw away only a TLS alert or a control frame: {}.",
            match goodbyes {
                1 => "1 RST was".to_owned(),
                _ => format!("{goodbyes} RSTs were"),
            },
            reasons.join(", ")
        ),
        format!(
            "{} sent besides.",
            match others {
                1 => "1 other RST was".to_owned(),
                _ => format!("{others} other RSTs were"),
            }
        ),
    ]))
}

pub(super) fn early_answer_reset(facts: &Facts<'_>) -> Option<Finding> {
    let early = facts.drain.counts.early_answers;
    let unclear = facts.drain.counts.rest_or_request;
    if early + unclear == 0 {
        return None;
    }
    let baseline = &facts.drain.baseline;
    let grown = growth::test(
        early,
        facts.exposure_secs(),
        baseline.counts.early_answers,
        growth::ordinary_secs(baseline),
    );
    let usual = grown.baseline_count > 0 && !is_growth(&grown, facts);
    let mut evidence = vec![facts.began()];
    if early > 0 {
        evidence.push(format!(
            "{} {} answered before all of it was read, and reset with the rest.",
            count(early, "request"),
            were(early)
        ));
    }
    if unclear > 0 {
        evidence.push(format!(
            "On {} data was lost behind an answer that this side closed upon at once: the rest of what was answered, which had come \
             in several parts, or another request. Which, is not known ({} ended so in its ordinary time).",
            count(unclear, "connection"),
            baseline.counts.rest_or_request
        ));
    }
    if usual {
        evidence.push(format!(
            "As in its ordinary time: {}",
            beside(&grown, "such end", "such ends")
        ));
    }
    let mut finding = diagnoses::EARLY_ANSWER_RESET.found(evidence);
    if usual && unclear == 0 {
        finding.severity = Severity::Info;
    }
    Some(finding)
}

pub(super) fn server_hangs_up_first(facts: &Facts<'_>) -> Option<Finding> {
    let closes = facts.drain.counts.closes();
    let ours = facts.ours();
    if ours == 0 || !(facts.is_stop() || facts.is_reload()) {
        return None;
    }
    let ordinary = &facts.drain.baseline;
    let (base_ours, base_closes) = (ordinary.counts.local_first, ordinary.counts.closes());
    let share = |part: u64, whole: u64| part as f64 / whole.max(1) as f64;
    if base_closes > 0 && share(ours, closes) <= share(base_ours, base_closes) + SHARE_MARGIN {
        return None;
    }
    let beside = match base_closes {
        0 if ordinary.window_secs <= 0.0 => {
            "Nothing is known of its ordinary time to set it beside.".to_owned()
        }
        0 => format!(
            "There were no closes in the {} of its ordinary time before to set it beside.",
            length(ordinary.window_secs)
        ),
        _ => format!(
            "In the {} before: {base_ours} of {base_closes} ({}).",
            length(ordinary.window_secs),
            percent(base_ours, base_closes)
        ),
    };
    let half_closed = facts.drain.counts.fin_wait2;
    let left = facts.drain.counts.time_wait + half_closed;
    let first = match half_closed {
        0 => String::new(),
        all if all == left => ", in FIN_WAIT2 until the peer's FIN".to_owned(),
        some => format!(", {some} of them in FIN_WAIT2 until the peer's FIN"),
    };
    Some(facts.found_with_keepalive(
        &diagnoses::SERVER_HANGS_UP_FIRST,
        vec![
            format!(
                "{ours} of {} after T0 ({}) {} begun by this side, and left {} here{first}.",
                count(closes, "close"),
                percent(ours, closes),
                were(ours),
                count(left, "TIME_WAIT")
            ),
            beside,
        ],
    ))
}

pub(super) fn time_wait_burst(facts: &Facts<'_>) -> Option<Finding> {
    let counts = &facts.drain.counts;
    let ordinary = &facts.drain.baseline;
    let grown = growth::test(
        counts.time_wait + counts.fin_wait2,
        facts.exposure_secs(),
        ordinary.counts.time_wait + ordinary.counts.fin_wait2,
        growth::ordinary_secs(ordinary),
    );
    let told = grown.count >= facts.options.burst_min && is_growth(&grown, facts);
    if !told || !(facts.is_stop() || facts.is_reload()) {
        return None;
    }
    Some(burst(&grown, "", facts.options))
}

/// A burst of TIME_WAITs; `over` says over what they were counted.
pub(crate) fn burst(grown: &GrowthTest, over: &str, options: &JudgeOptions) -> Finding {
    let counts = beside(grown, "TIME_WAIT created", "TIME_WAITs created");
    let mut finding = diagnoses::TIME_WAIT_BURST.found(vec![format!("{over}{counts}")]);
    let warn = options.burst_warn;
    if growth::excess(grown) < warn {
        finding.severity = Severity::Info;
        let few = format!("Too few to run anybody out of ports: it warns from {warn} more on.");
        finding.evidence.push(few);
        finding.remedy.clear();
    }
    finding
}

pub(super) fn clients_gave_up(facts: &Facts<'_>) -> Option<Finding> {
    let ordinary = &facts.drain.baseline;
    let grown = growth::test(
        facts.drain.counts.abandoned,
        facts.exposure_secs(),
        ordinary.counts.abandoned,
        growth::ordinary_secs(ordinary),
    );
    // Where nobody ever did, a few are no chance.
    let unheard_of = grown.baseline_count == 0;
    let told = grown.count >= facts.options.gave_up_min && (unheard_of || is_growth(&grown, facts));
    (told && facts.judges_turns()).then(|| {
        let left = beside(
            &grown,
            "client left without its answer",
            "clients left without their answer",
        );
        facts.found_with_server(&diagnoses::CLIENTS_GAVE_UP, vec![left])
    })
}

pub(super) fn clients_waited(facts: &Facts<'_>) -> Option<Finding> {
    let drain = facts.drain;
    let Waited {
        long,
        longest_secs,
        unserved,
        still,
    } = drain.waited;
    if long == 0 || !(facts.is_stop() || facts.is_reload()) {
        return None;
    }
    // Whom others took up is in no other count: it was looked for them until the end.
    let until = drain.ended_at.unwrap_or_else(|| facts.until());
    let grown = growth::test(
        long,
        facts.after(until).max(facts.exposure_secs()),
        drain.baseline.counts.waited,
        growth::ordinary_secs(&drain.baseline),
    );
    let usual = grown.baseline_count > 0 && !is_growth(&grown, facts);
    let clients = |number: u64| match number {
        1 => "1 client".to_owned(),
        _ => format!("{number} clients"),
    };
    let mut evidence = vec![
        facts.began(),
        format!(
            "{} waited a second or more until somebody read their first request, one of them {} at least.",
            clients(long),
            length(longest_secs)
        ),
    ];
    if unserved > 0 {
        evidence.push(format!(
            "{} left or ended without an answer.",
            clients(unserved)
        ));
    }
    if still > 0 {
        let waits = if still == 1 { "waits" } else { "wait" };
        evidence.push(format!("{} {waits} still.", clients(still)));
    }
    if drain.listening.held_by_others {
        let held = "Its listening socket outlived it: whoever holds it did not accept at once.";
        evidence.push(held.to_owned());
    }
    let with = beside(&grown, "client waited so long", "clients waited so long");
    evidence.push(match usual {
        true => format!("As in its ordinary time: {with}"),
        false => with,
    });
    let mut finding = facts.found_with_server(&diagnoses::CLIENTS_WAITED, evidence);
    if usual {
        finding.severity = Severity::Info;
    }
    Some(finding)
}

pub(super) fn accepts_after_signal(facts: &Facts<'_>) -> Option<Finding> {
    let opened = facts.drain.opened_after_start;
    if opened == 0 || !facts.is_stop() || !facts.is_asked() || facts.is_left_behind() {
        return None;
    }
    let mut evidence = vec![facts.began()];
    let many = format!(
        "{} {} established after T0",
        count(opened, "connection"),
        were(opened)
    );
    evidence.push(match facts.drain.last_opened_at {
        Some(last) => {
            let secs = facts.after(last).max(1.0);
            format!(
                "{many}, the last one {} ({:.1} a second).",
                facts.told(last),
                opened as f64 / secs
            )
        }
        None => format!("{many}."),
    });
    Some(diagnoses::ACCEPTS_AFTER_SIGNAL.found(evidence))
}

pub(super) fn fast_stop_signal(facts: &Facts<'_>) -> Option<Finding> {
    let drain = facts.drain;
    let sent = drain.signal.as_ref().filter(|_| facts.is_asked())?;
    let known = facts
        .server
        .and_then(|server| Some((server, signal::name(server.better(sent.number)?)?)));
    let how = match known {
        Some((server, better)) => format!(
            "{} stops {} at once; {better} lets it finish.",
            sent.name, server.title
        ),
        None if facts.died_of(sent) => format!(
            "{} has no handler for {}: the kernel ended it at once.",
            facts.program(),
            sent.name
        ),
        None => return None,
    };
    let in_flight = drain
        .awaiting_at_start
        .unwrap_or(0)
        .max(drain.lost().unanswered + drain.lost().unread);
    let took = facts.after(facts.until());
    let at_once = took <= facts.options.moments_secs && drain.still_open == 0;
    if in_flight == 0 || !at_once {
        return None;
    }
    let mut finding = facts.found_with_stop(
        &diagnoses::FAST_STOP_SIGNAL,
        vec![
            facts.began(),
            how,
            format!(
                "{} in flight, and all was over {} after T0.",
                match in_flight {
                    1 => "1 request was".to_owned(),
                    _ => format!("{in_flight} requests were"),
                },
                length(took)
            ),
        ],
    );
    if known.is_none() && facts.server.is_none() {
        finding.remedy = format!(
            "Handle {} in the program: stop accepting, answer what is in flight, close what is idle, and end. {}",
            sent.name, finding.remedy
        );
    }
    Some(finding)
}

pub(super) fn exited_too_early(facts: &Facts<'_>) -> Option<Finding> {
    let drain = facts.drain;
    let exit = drain.exit.as_ref()?;
    let refused = facts.refused();
    let late = match facts.judges_turns() {
        true => drain.lost().late,
        false => 0,
    };
    let asked_to_stop = facts.is_asked() && facts.kill().is_none();
    let soon = facts.after(exit.at) < facts.options.balancer_secs && drain.open_at_start > 0;
    let came = drain.opened_after_start + late + refused;
    // However long it waited: who is refused after its end had not been led elsewhere.
    let early = facts.refused_after_end() > 0 || asked_to_stop && soon && came > 0;
    // Whoever holds its listening socket lets nobody be refused.
    let listening = &drain.listening;
    let succeeded = listening.taken_over || (listening.held_by_others && refused == 0);
    if !facts.is_stop() || !early || succeeded {
        return None;
    }
    Some(diagnoses::EXITED_TOO_EARLY.found(vec![
        facts.began(),
        format!("The last old process ended {}.", facts.told(exit.at)),
        format!(
            "Clients still came: {} established after T0, {} sent after our FIN, {} refused.",
            count(drain.opened_after_start, "connection"),
            count(late, "request"),
            count(refused, "SYN")
        ),
    ]))
}

pub(super) fn held_by_idle_connections(facts: &Facts<'_>) -> Option<Finding> {
    if !facts.is_stop() || !facts.is_asked() || facts.is_left_behind() {
        return None;
    }
    let drain = facts.drain;
    let (idle, until) = match facts.kill() {
        Some(killed) => (
            drain.signs.open_at_kill_idle.unwrap_or(drain.idle_at_exit),
            format!("SIGKILL, {}", facts.told(killed.at)),
        ),
        None if facts.after(facts.until()) > facts.options.held_secs => {
            (drain.still_open_idle, facts.told(facts.until()))
        }
        None => return None,
    };
    (idle > 0).then(|| {
        facts.found_with_stop(
            &diagnoses::HELD_BY_IDLE_CONNECTIONS,
            vec![
                facts.began(),
                format!(
                    "{} carried nothing from T0 until {until}.",
                    count(idle, "connection")
                ),
            ],
        )
    })
}

pub(super) fn requests_keep_coming(facts: &Facts<'_>) -> Option<Finding> {
    let drain = facts.drain;
    let asked = drain.asked_after_start;
    if asked == 0 || !facts.is_asked() || facts.is_left_behind() {
        return None;
    }
    let killed = facts.kill();
    let last = drain.signs.last_asked_at.map(|at| facts.after(at));
    let kept = match (last, &killed) {
        (Some(last), Some(killed)) => last >= facts.after(killed.at) / 2.0,
        (Some(last), None) => last >= KEEP_COMING_SECS,
        (None, Some(_)) => true,
        (None, None) => false,
    };
    if !kept {
        return None;
    }
    let mut evidence = vec![
        facts.began(),
        format!(
            "{} of before T0 carried requests after it.",
            count(asked, "connection")
        ),
    ];
    if let Some(at) = drain.signs.last_asked_at {
        evidence.push(format!(
            "The last such request was read {}.",
            facts.told(at)
        ));
    }
    if let Some(killed) = killed {
        evidence.push(format!("SIGKILL came {}.", facts.told(killed.at)));
    }
    Some(facts.found_with_keepalive(&diagnoses::REQUESTS_KEEP_COMING, evidence))
}

fn is_growth(grown: &GrowthTest, facts: &Facts<'_>) -> bool {
    grown
        .p_value
        .is_some_and(|p| p < facts.options.significance)
}

/// A growth as a sentence, with both counts and both windows.
pub(crate) fn beside(grown: &GrowthTest, one: &str, many: &str) -> String {
    let noun = if grown.count == 1 { one } else { many };
    if grown.p_value.is_none() {
        return format!(
            "{} {noun} in {}; too little is known of its ordinary time to set it beside.",
            grown.count,
            length(grown.secs)
        );
    }
    let ratio = match grown.ratio {
        Some(ratio) => format!("{ratio:.1} times the ordinary rate"),
        None => "the ordinary rate is zero".to_owned(),
    };
    format!(
        "{} {noun} in {}, {} in the {} before: {ratio}, p {}.",
        grown.count,
        length(grown.secs),
        grown.baseline_count,
        length(grown.baseline_secs),
        grown.p_value.map(probability).unwrap_or_default()
    )
}
