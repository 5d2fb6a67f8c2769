//! Workers that crashed or were killed among their siblings. A drain tells of each and counts what clients lost by it; as nobody
//! stopped or changed anything, people look for it among the incidents, and find it there with the drain that tells of it.
//! It counts nothing itself.

use jiff::Timestamp;

use crate::{
    bounded::Bounded,
    diagnoses::judge::worst,
    ids::Ids,
    model::{Drain, EndedProcess, Incident, IncidentCause, IncidentEnd, Severity, Verdict},
    render::units::secs,
    timing,
};

/// Most that last at once.
const LASTING_MAX: usize = 256;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Crashes {
    /// Ids of those that last, by the id of the drain.
    lasting: Bounded<String, String, LASTING_MAX>,
}

// === impl Crashes ===

impl Crashes {
    /// Takes a drain as it stands: what it is among the incidents, if anything. `is_of_change`: it belongs to a change of its
    /// workload, which tells of it.
    pub(super) fn take(
        &mut self,
        drain: &Drain,
        is_of_change: bool,
        now: Timestamp,
        ids: &mut Ids,
    ) -> Option<Incident> {
        if !drain.is_lone_crash() {
            return None;
        }
        let id = match self.lasting.remove(&drain.id) {
            Some(id) => id,
            None if is_of_change || !has_lost(drain) || is_young(drain, now) => return None,
            None => {
                let whose = format!("{}-{}", drain.service.workload, drain.service.port);
                ids.fresh(&whose, drain.started_at)
            }
        };
        if drain.ended_at.is_none() {
            self.lasting.insert(drain.id.clone(), id.clone());
        }
        Some(incident(drain, id))
    }

    /// How often a bound kept something out.
    pub(super) fn bitten(&self) -> u64 {
        self.lasting.bitten()
    }
}

/// Whether a client is known to have lost something by it: while it lasts it has no verdict.
fn has_lost(drain: &Drain) -> bool {
    worst(&drain.findings, false) == Verdict::Fail
}

/// Whether it may still turn out to be a part of its whole instance's end.
fn is_young(drain: &Drain, now: Timestamp) -> bool {
    let known_ns = timing::ONE_HAND_NS + timing::READER_NS;
    drain.ended_at.is_none() && secs(drain.started_at, now) * 1e9 < known_ns as f64
}

fn incident(drain: &Drain, id: String) -> Incident {
    let lost = drain.examples.iter();
    let examples: Vec<_> = lost
        .filter(|one| drain.is_loss(&one.cut))
        .cloned()
        .collect();
    let told = drain.findings.iter();
    let findings: Vec<_> = told
        .filter(|finding| finding.severity >= Severity::Warn)
        .cloned()
        .collect();
    let lost_at = examples.iter().map(|one| one.ended_at).max();
    let last_at = lost_at.max(drain.last_close_at).max(Some(drain.started_at));
    let last_at = last_at.unwrap_or(drain.started_at);
    let ended = drain.worker_pid.zip(drain.exit.clone());
    let instance = &drain.instance;
    Incident {
        id,
        service: drain.service.clone(),
        program: instance.program.clone(),
        netns: instance.netns,
        netns_cookie: instance.netns_cookie,
        drain: Some(drain.id.clone()),
        pod: instance.pod.clone(),
        started_at: drain.started_at,
        last_at,
        ended_at: drain.ended_at.map(|_| last_at),
        ending: drain.ended_at.map(|_| IncidentEnd::Quiet),
        cause: IncidentCause::WorkerCrashed,
        cut: drain.lost(),
        refused: drain.counts.refused,
        by_ended_processes: drain.lost().total(),
        ended_processes: ended
            .map(|(pid, exit)| EndedProcess {
                pid,
                program: instance.program.clone(),
                exit,
            })
            .into_iter()
            .collect(),
        listened: drain.listening.closed_at.is_none() || drain.listening.taken_over,
        idle: None,
        examples,
        verdict: worst(&findings, false),
        findings,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        diagnoses::judge::scenarios::{at, drain, in_flight_cut, judged},
        model::DrainKind,
    };

    /// A worker that SIGSEGV ends with so many requests in flight, and whose drain lasts.
    fn crash(cut: u64) -> Drain {
        let mut crash = drain("gunicorn", "SIGSEGV");
        (crash.kind, crash.worker_pid) = (DrainKind::Crash, Some(700));
        (crash.ended_at, crash.exit) = (None, None);
        in_flight_cut(&mut crash, cut);
        judged(crash)
    }

    fn over(mut drain: Drain) -> Drain {
        drain.ended_at = Some(at(30.0));
        judged(drain)
    }

    fn take(crashes: &mut Crashes, drain: &Drain, is_of_change: bool) -> Option<Incident> {
        crashes.take(drain, is_of_change, at(5.0), &mut Ids::default())
    }

    #[test]
    fn one_that_lasts_keeps_its_name_until_it_is_over() {
        let mut crashes = Crashes::default();
        let first = take(&mut crashes, &crash(3), false).expect("told");
        assert_eq!((first.is_over(), first.lost()), (false, 3));
        // Who was told of it hears of its end, whatever comes to be announced.
        let more = take(&mut crashes, &crash(4), true).expect("told");
        assert_eq!((more.is_over(), more.lost()), (false, 4));
        let last = take(&mut crashes, &over(crash(5)), true).expect("told");
        assert_eq!((last.is_over(), last.lost()), (true, 5));
        assert!(first.id == more.id && more.id == last.id);
        assert!(crashes.lasting.is_empty());
    }

    #[test]
    fn what_is_of_a_change_or_lost_nothing_or_is_no_crash_is_none() {
        let mut crashes = Crashes::default();
        let mut whole = crash(3);
        whole.worker_pid = None;
        let mut stopped = crash(3);
        stopped.kind = DrainKind::Stop;
        for (drain, is_of_change) in [
            (crash(3), true),
            (crash(0), false),
            (whole, false),
            (stopped, false),
        ] {
            assert_eq!(take(&mut crashes, &drain, is_of_change), None, "{drain:#?}");
        }
    }

    #[test]
    fn what_may_yet_be_a_part_of_a_stop_waits() {
        let mut crashes = Crashes::default();
        let mut ids = Ids::default();
        let early = crashes.take(&crash(3), false, at(1.1), &mut ids);
        assert_eq!(early, None);
        let known = crashes.take(&crash(3), false, at(1.3), &mut ids);
        assert!(known.is_some());
    }
}
