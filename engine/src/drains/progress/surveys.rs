//! Surveys, taken by the drains that they concern.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};

use finwatch_common::{Phase, Process, Role, ServiceKey, SurveyRow, survey_kind};

use crate::drains::{
    Drains,
    draining::{Draining, Over, Scope},
    membership::instances::Instances,
    port::{Port, PortSurvey, is_open},
};
use crate::known::Known;

/// Most connections remembered that ended a moment ago: a survey that began before may still show them.
pub(crate) const RECENT_MAX: usize = 32_768;

/// Sockets of one namespace.
pub(crate) struct Survey<'a> {
    pub(crate) netns: u64,
    pub(crate) began_ns: u64,
    pub(crate) rows: &'a [SurveyRow],
    /// `None`: nobody looked at them.
    pub(crate) minis: Option<&'a [SurveyRow]>,
}

/// Connections that ended a moment ago, by cookie.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    cookies: HashSet<u64>,
    order: VecDeque<u64>,
}

type Rows<'a> = BTreeMap<ServiceKey, Vec<(Process, &'a SurveyRow)>>;

// === impl Recent ===

impl Recent {
    /// A connection ended.
    pub(crate) fn insert(&mut self, cookie: u64) {
        if !self.cookies.insert(cookie) {
            return;
        }
        self.order.push_back(cookie);
        if self.order.len() > RECENT_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.cookies.remove(&oldest);
        }
    }

    /// Forgets all.
    pub(crate) fn clear(&mut self) {
        self.cookies.clear();
        self.order.clear();
    }

    fn contains(&self, cookie: u64) -> bool {
        self.cookies.contains(&cookie)
    }
}

// === impl Drains ===

impl Drains {
    pub(crate) fn on_survey(&mut self, survey: &Survey<'_>, now_ns: u64, known: &Known<'_>) {
        if survey.minis.is_some() {
            self.surveys.answered(survey.netns);
        }
        self.learn_listeners(survey, now_ns, known);
        self.find_room();
        let ids: Vec<u64> = self.drainings.keys().copied().collect();
        for id in ids {
            self.survey_for(id, survey, now_ns, known);
        }
    }

    pub(crate) fn on_survey_failed(&mut self, netns: u64) {
        self.surveys.answered(netns);
        for draining in self.drainings.values_mut() {
            let concerns = draining.ports.keys().any(|key| key.netns == netns);
            if concerns && draining.gone.is_some() {
                draining.surveys_failed += 1;
            }
        }
    }

    fn learn_listeners(&mut self, survey: &Survey<'_>, now_ns: u64, known: &Known<'_>) {
        let listeners = || survey.rows.iter().filter(|r| is_listener(r));
        for row in listeners() {
            let key = row.service.in_phase(Phase::Steady);
            if self
                .starts
                .waits_for(row.cookie, &key, survey.began_ns, known)
            {
                continue;
            }
            let came = self
                .instances
                .listen(row.cookie, row.owner, key, 0, survey.began_ns);
            if came.is_some() {
                self.starts.found(row.cookie, &key, known);
                let owner = self.instances.resolve(row.owner);
                self.listens_again(owner, &key, survey.began_ns, now_ns);
            }
        }
        let found: HashSet<u64> = listeners().map(|row| row.cookie).collect();
        let lost = self
            .instances
            .surveyed(survey.netns, survey.began_ns, |cookie| {
                found.contains(&cookie)
            });
        for cookie in lost {
            self.starts.lost(cookie);
        }
    }

    fn survey_for(&mut self, id: u64, survey: &Survey<'_>, now_ns: u64, known: &Known<'_>) {
        // A survey made at leisure cannot tell whether anybody may still ask too late.
        let Some(minis) = survey.minis else {
            return;
        };
        let Some(draining) = self.drainings.get_mut(&id) else {
            return;
        };
        if survey.began_ns < draining.t0_ns() {
            return;
        }
        let instances = &self.instances;
        let rows = rows_of(draining, survey, instances);
        for (key, rows) in &rows {
            if draining.ports.contains_key(key) || !draining.may_have_port(key) {
                continue;
            }
            let owner = rows.first().map_or(draining.instance, |(owner, _)| *owner);
            let (t0_ns, phased) = (draining.t0_ns(), draining.is_phased());
            let port = Port::new(key, &owner, t0_ns, phased, instances, known);
            draining.ports.insert(*key, port);
        }
        let minis: BTreeSet<ServiceKey> = minis
            .iter()
            .filter(|row| row.kind == survey_kind::FIN_WAIT2)
            .filter_map(|row| self.lingering.get(row.cookie))
            .filter(|lingerer| lingerer.draining == id)
            .map(|lingerer| lingerer.key)
            .collect();
        let since = draining.since_mono();
        let whole = draining.scope == Scope::Instance
            && !matches!(draining.gone, Some((_, over)) if over != Over::Ended);
        let ended = |cookie| self.recent.contains(cookie);
        for (key, port) in &mut draining.ports {
            if key.netns != survey.netns {
                continue;
            }
            let survey = PortSurvey {
                began_ns: survey.began_ns,
                rows: rows.get(key).map_or(&[], Vec::as_slice),
                since: &since,
                whole,
                gone_ns: draining.gone.map(|(at_ns, _)| at_ns),
                mini_sockets: minis.contains(key),
                ended: &ended,
            };
            port.surveyed(&survey, &mut self.room);
        }
        draining.surveyed(survey.began_ns, now_ns);
        draining.touch();
    }
}

// === impl Draining ===

impl Draining {
    /// What a survey means for the drain as a whole.
    fn surveyed(&mut self, began_ns: u64, now_ns: u64) {
        let listening = self
            .ports
            .values()
            .any(|p| p.is_listening() && p.surveyed_ns() == began_ns);
        let tells = self
            .listeners_tell_from_ns()
            .is_some_and(|from_ns| began_ns >= from_ns);
        if tells && listening {
            self.surveys_listening = self.surveys_listening.saturating_add(1);
        }
        let quiet = |port: &Port| {
            port.surveyed_ns() >= self.t0_ns() && !port.is_listening() && !port.is_open()
        };
        if !self.ports.is_empty() && self.ports.values().all(quiet) {
            self.quiet_ns.get_or_insert(now_ns);
        } else {
            self.quiet_ns = None;
        }
    }
}

/// The rows of a drain's instances, by port. Of one process's drain only the listeners: a survey does not tell which
/// process serves a connection.
fn rows_of<'a>(draining: &Draining, survey: &Survey<'a>, instances: &Instances) -> Rows<'a> {
    let of_process = matches!(draining.scope, Scope::Process(_));
    let mut rows = Rows::new();
    for row in survey.rows {
        if row.service.role() != Some(Role::Server) || (of_process && !is_listener(row)) {
            continue;
        }
        let key = row.service.in_phase(Phase::Steady);
        let Some(owner) = instances.owner(row.owner, &key) else {
            continue;
        };
        let earlier = is_open(row) && row.opened_at_ns < draining.floor_ns;
        if draining.since.contains_key(&owner) && !earlier {
            rows.entry(key).or_default().push((owner, row));
        }
    }
    rows
}

fn is_listener(row: &SurveyRow) -> bool {
    row.kind == survey_kind::LISTENER
}
