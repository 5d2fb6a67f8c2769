//! What an incident came of, in words.

use finwatch_common::{Cut, Phase, comm_str};
use jiff::Timestamp;

use super::burst::{Burst, Ended, Mark, What};
use crate::{
    diagnoses::{
        self as diagnoses, Diagnosis, growth,
        judge::{
            beside, example_told,
            idle::{Idle, LATE_MIN},
            worst,
        },
    },
    known::Known,
    model::{
        EndedConnection, EndedProcess, Exit, Finding, IdleTimes, Incident, IncidentCause,
        IncidentEnd, Service,
    },
    render::units::{count, length, secs, were},
    servers::{self, Topic},
};

/// Most examples that a finding shows.
const EXAMPLES_MAX: usize = 3;

/// The incident that a burst is; `ending`: it is over.
pub(super) fn tell(
    service: &Service,
    burst: &Burst,
    ending: Option<IncidentEnd>,
    known: &Known<'_>,
) -> Incident {
    let last_at = known.wall(burst.last_ns());
    let idle = idle(burst);
    let by_ended_processes = by_ended_processes(burst, idle.as_ref());
    let mut incident = Incident {
        id: burst.id().to_owned(),
        service: service.clone(),
        program: burst.key().comm().to_owned(),
        netns: burst.around.netns_inum,
        netns_cookie: burst.key().netns,
        drain: None,
        pod: known.pod(burst.key()),
        started_at: known.wall(burst.began_ns()),
        last_at,
        ended_at: ending.map(|_| last_at),
        ending,
        cause: IncidentCause::Unknown,
        cut: burst.cut,
        refused: burst.refused,
        by_ended_processes,
        ended_processes: burst.deaths.iter().map(|one| process(one, known)).collect(),
        listened: burst.around.listened,
        idle: idle.map(|idle| idle.times),
        examples: burst.examples().cloned().collect(),
        findings: Vec::new(),
        verdict: Default::default(),
    };
    incident.findings = findings(&incident, idle.as_ref(), burst, known);
    incident.cause = cause(&incident, burst);
    incident.verdict = worst(&incident.findings, false);
    incident
}

fn process(ended: &Ended, known: &Known<'_>) -> EndedProcess {
    // The low seven bits are the signal that ended it, if one did.
    let signal = (ended.status & 0x7f) as u8;
    EndedProcess {
        pid: ended.pid,
        program: comm_str(&ended.comm).to_owned(),
        exit: Exit {
            at: known.wall(ended.at_ns),
            code: (signal == 0).then_some((ended.status >> 8) as u8),
            signal: (signal != 0).then(|| crate::drains::names::signal(signal)),
        },
    }
}

/// For how long those had been idle whose requests came too late.
fn idle(burst: &Burst) -> Option<Idle> {
    let late = burst
        .marks()
        .filter(|mark| mark.what == What::Cut(Cut::Late));
    let known = late.filter(|mark| mark.idle_ds > 0);
    Idle::of(known.map(|mark| f64::from(mark.idle_ds) / 10.0))
}

/// Requests that a process took with it when it ended.
fn by_ended_processes(burst: &Burst, idle: Option<&Idle>) -> u64 {
    // What an idle timeout explains needs nobody's end.
    let timed_out = |mark: &Mark| mark.idle_ds > 0 && idle.is_some_and(|idle| idle.is_constant);
    let of_it = |mark: &&Mark| mark.by_death || mark.near_death && !timed_out(mark);
    burst.marks().filter(of_it).count() as u64
}

/// What others follow from stands first.
fn findings(
    incident: &Incident,
    idle: Option<&Idle>,
    burst: &Burst,
    known: &Known<'_>,
) -> Vec<Finding> {
    let recycled = worker_recycled(incident, burst);
    let race = idle_timeout_race(incident, idle);
    let late = keepalive_race(incident, race.is_some());
    let dropped = dropped_by_server(incident, burst);
    let refused = refused(incident, burst);
    let mut findings: Vec<_> = [recycled, race, late, dropped, refused]
        .into_iter()
        .flatten()
        .collect();
    findings.extend(requests_cut(incident, burst, !findings.is_empty(), known));
    findings
}

fn worker_recycled(incident: &Incident, burst: &Burst) -> Option<Finding> {
    let lost = incident.by_ended_processes;
    if lost == 0 || !incident.listened {
        return None;
    }
    let others = match (burst.is_ended_whole(), incident.refused) {
        (false, _) => "others went on listening".to_owned(),
        (true, 0) => "others listen in its stead".to_owned(),
        (true, refused) => format!(
            "{} {} refused until others listened",
            count(refused, "SYN"),
            were(refused)
        ),
    };
    let ended = incident.ended_processes.iter().map(|ended| {
        let EndedProcess { pid, program, exit } = ended;
        let how = match (&exit.signal, exit.code) {
            (Some(signal), _) => format!("was ended by {signal}"),
            (None, Some(code)) => format!("exited with code {code}"),
            (None, None) => "ended".to_owned(),
        };
        let when = told(incident, exit.at);
        format!("{program} (process {pid}) {how}, {when}, and {others}.")
    });
    let mut evidence: Vec<_> = ended.collect();
    // Who serves and does not listen is no process of the instance: only that it ended with its connections is known.
    let with = match (evidence.len(), burst.dead_closers()) {
        (0, 0 | 1) => format!("the process that had them in hand, and {others}"),
        (0, _) => format!("the processes that had them in hand, and {others}"),
        (1, _) => "it".to_owned(),
        _ => "them".to_owned(),
    };
    evidence.push(format!(
        "{} lost on connections that ended with {with}.",
        requests(lost)
    ));
    Some(found(
        &diagnoses::WORKER_RECYCLED,
        incident,
        evidence,
        Some(Topic::Finish),
    ))
}

fn idle_timeout_race(incident: &Incident, idle: Option<&Idle>) -> Option<Finding> {
    let idle = idle.filter(|idle| idle.is_constant && idle.times.known >= LATE_MIN)?;
    let late = incident.cut.late;
    let of_them = idle.times.known * 2 >= late;
    of_them.then(|| {
        let IdleTimes {
            median_secs,
            min_secs,
            max_secs,
            ..
        } = idle.times;
        let [most, min, max] = [median_secs, min_secs, max_secs].map(length);
        let evidence = vec![
            format!(
                "{} met a connection that this side had just closed, most of them after {most} without data.",
                count(late, "request")
            ),
            format!("The connections had been idle for {min} to {max}."),
        ];
        found(&diagnoses::IDLE_TIMEOUT_RACE, incident, evidence, None)
    })
}

/// What came too late, and no idle timeout and no process's end explains.
fn keepalive_race(incident: &Incident, is_explained: bool) -> Option<Finding> {
    let late = incident.cut.late;
    if late == 0 || is_explained || incident.by_ended_processes >= late {
        return None;
    }
    let mut evidence = vec![format!(
        "On {} this side sent its FIN first, and a request came after it.",
        count(late, "connection")
    )];
    evidence.extend(examples(incident, |example| example.cut == "late"));
    Some(found(&diagnoses::KEEPALIVE_RACE, incident, evidence, None))
}

/// What the server closed by itself, of its own accord.
fn dropped_by_server(incident: &Incident, burst: &Burst) -> Option<Finding> {
    let dropped = burst.marks().filter(|mark| mark.is_dropped());
    let times: Vec<u64> = dropped.map(|mark| mark.at_ns).collect();
    let (first_ns, last_ns) = (times.first()?, times.last()?);
    let within = match times.len() {
        1 => String::new(),
        _ => format!(", within {}", length((last_ns - first_ns) as f64 / 1e9)),
    };
    let mut evidence = vec![format!(
        "The server itself closed {} with a request in hand{within}, and goes on.",
        count(times.len() as u64, "connection")
    )];
    evidence.extend(examples(incident, |example| example.cut != "late"));
    Some(found(
        &diagnoses::DROPPED_BY_SERVER,
        incident,
        evidence,
        None,
    ))
}

fn refused(incident: &Incident, burst: &Burst) -> Option<Finding> {
    let refused = incident.refused;
    (refused > 0).then(|| {
        if burst.is_ended_whole() {
            let evidence = vec![format!(
                "{} {} refused between the end of one process and the listening socket of the next.",
                count(refused, "SYN"),
                were(refused)
            )];
            return found(&diagnoses::LISTENER_GAP, incident, evidence, None);
        }
        let evidence = vec![format!(
            "{} {} refused while the process ran that had listened there, with no stop under way.",
            count(refused, "SYN"),
            were(refused)
        )];
        found(&diagnoses::LISTENER_CLOSED_EARLY, incident, evidence, None)
    })
}

fn requests_cut(
    incident: &Incident,
    burst: &Burst,
    is_explained: bool,
    known: &Known<'_>,
) -> Option<Finding> {
    let cut = incident.cut;
    if cut.total() == 0 {
        return None;
    }
    let kinds = [
        (cut.unanswered, "read and not answered"),
        (cut.unread, "received and never read"),
        (cut.late, "sent after this side had closed"),
    ];
    let kinds = kinds.iter().filter(|(number, _)| *number > 0);
    let kinds: Vec<_> = kinds
        .map(|(number, what)| format!("{number} {what}"))
        .collect();
    let lasted = secs(incident.started_at, incident.last_at).max(1.0);
    let before = known.baseline(&burst.key().in_phase(Phase::Steady), burst.began_ns());
    let ordinary = growth::ordinary_secs(&before);
    let grown = growth::test(cut.total(), lasted, before.counts.cut.total(), ordinary);
    let mut evidence = vec![format!(
        "{} lost while nothing was told to stop: {}.",
        requests(cut.total()),
        kinds.join(", ")
    )];
    if grown.p_value.is_some() {
        evidence.push(beside(&grown, "request lost", "requests lost"));
    }
    evidence.extend(examples(incident, |_| true));
    let mut finding = diagnoses::REQUESTS_CUT.found(evidence);
    if is_explained {
        // What to do stands with what it came of.
        finding.remedy.clear();
    }
    Some(finding)
}

/// With the remedy for the server that it is; where none is to the point, with what is said of it in another matter.
fn found(
    diagnosis: &Diagnosis,
    incident: &Incident,
    evidence: Vec<String>,
    or: Option<Topic>,
) -> Finding {
    let mut finding = diagnosis.found(evidence);
    let server = servers::of(&incident.program, &incident.service);
    let own = server.and_then(|server| {
        let of_another = || Some(server.advice(or?)?.into());
        let own = diagnosis.remedy_for(server).or_else(of_another);
        Some((server.title, own?))
    });
    if let Some((title, own)) = own {
        finding.remedy = format!("{title}: {own} {}", finding.remedy);
    }
    finding
}

/// What explains half of it.
fn cause(incident: &Incident, burst: &Burst) -> IncidentCause {
    let lost = incident.lost();
    let has = |diagnosis: &Diagnosis| {
        let mut findings = incident.findings.iter();
        findings.any(|finding| finding.diagnosis == diagnosis.name)
    };
    let is_half = |number: u64| number > 0 && number * 2 >= lost;
    // Who was refused came when nobody listened, as the process had ended.
    let ended = match has(&diagnoses::LISTENER_GAP) {
        true => incident.by_ended_processes + incident.refused,
        false => incident.by_ended_processes,
    };
    if has(&diagnoses::WORKER_RECYCLED) && is_half(ended) {
        match burst.is_by_crash() {
            true => IncidentCause::WorkerCrashed,
            false => IncidentCause::WorkerRecycled,
        }
    } else if has(&diagnoses::IDLE_TIMEOUT_RACE) && is_half(incident.cut.late) {
        IncidentCause::IdleTimeoutRace
    } else if is_half(burst.marks().filter(|mark| mark.is_dropped()).count() as u64) {
        IncidentCause::DroppedByServer
    } else if is_half(incident.refused) {
        IncidentCause::Refused
    } else {
        IncidentCause::Unknown
    }
}

fn examples(incident: &Incident, is_of: impl Fn(&EndedConnection) -> bool) -> Vec<String> {
    let examples = incident.examples.iter().filter(|example| is_of(example));
    let tell = |example| example_told(example, &told(incident, example.ended_at));
    examples.take(EXAMPLES_MAX).map(tell).collect()
}

/// `1.2 s after the first`.
fn told(incident: &Incident, at: Timestamp) -> String {
    match secs(incident.started_at, at) {
        secs if secs < 0.0 => format!("{} before the first was lost", length(-secs)),
        secs => format!("{} after the first was lost", length(secs)),
    }
}

fn requests(number: u64) -> String {
    match number {
        1 => "1 request was".to_owned(),
        many => format!("{many} requests were"),
    }
}
