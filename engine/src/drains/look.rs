//! Looks, taken by the drains that they concern.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};

use finwatch_common::{Phase, Process, Role, ServiceKey, SurveyRow, survey_kind};

use super::{
    Drains,
    episode::{Episode, Over, Scope},
    instances::Instances,
    port::{Looked, Port, is_open},
};
use crate::known::Known;

/// Most connections remembered that ended a moment ago: a look that began before may still show them.
pub(super) const RECENT_MAX: usize = 32_768;

/// Sockets of one namespace.
pub(super) struct Look<'a> {
    pub(super) netns: u64,
    pub(super) began_ns: u64,
    pub(super) rows: &'a [SurveyRow],
    /// `None`: nobody looked at them.
    pub(super) minis: Option<&'a [SurveyRow]>,
}

/// Connections that ended a moment ago, by cookie.
#[derive(Debug, Default)]
pub(super) struct Recent {
    cookies: HashSet<u64>,
    order: VecDeque<u64>,
}

type Rows<'a> = BTreeMap<ServiceKey, Vec<(Process, &'a SurveyRow)>>;

// === impl Recent ===

impl Recent {
    /// A connection ended.
    pub(super) fn insert(&mut self, cookie: u64) {
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
    pub(super) fn clear(&mut self) {
        self.cookies.clear();
        self.order.clear();
    }

    fn contains(&self, cookie: u64) -> bool {
        self.cookies.contains(&cookie)
    }
}

// === impl Drains ===

impl Drains {
    pub(super) fn on_look(&mut self, look: &Look<'_>, now_ns: u64, known: &Known<'_>) {
        if look.minis.is_some() {
            self.looks.answered(look.netns);
        }
        self.learn_listeners(look, now_ns, known);
        self.find_room();
        let ids: Vec<u64> = self.episodes.keys().copied().collect();
        for id in ids {
            self.look_for(id, look, now_ns, known);
        }
    }

    pub(super) fn on_look_failed(&mut self, netns: u64) {
        self.looks.answered(netns);
        for episode in self.episodes.values_mut() {
            let concerns = episode.ports.keys().any(|key| key.netns == netns);
            if concerns && episode.gone.is_some() {
                episode.looks_failed += 1;
            }
        }
    }

    fn learn_listeners(&mut self, look: &Look<'_>, now_ns: u64, known: &Known<'_>) {
        let listeners = || look.rows.iter().filter(|r| is_listener(r));
        for row in listeners() {
            let key = row.service.in_phase(Phase::Steady);
            if self
                .starts
                .waits_for(row.cookie, &key, look.began_ns, known)
            {
                continue;
            }
            let came = self
                .instances
                .listen(row.cookie, row.owner, key, 0, look.began_ns);
            if came.is_some() {
                self.starts.found(row.cookie, &key, known);
                let owner = self.instances.resolve(row.owner);
                self.listens_again(owner, &key, look.began_ns, now_ns);
            }
        }
        let found: HashSet<u64> = listeners().map(|row| row.cookie).collect();
        let lost = self
            .instances
            .looked(look.netns, look.began_ns, |cookie| found.contains(&cookie));
        for cookie in lost {
            self.starts.lost(cookie);
        }
    }

    fn look_for(&mut self, id: u64, look: &Look<'_>, now_ns: u64, known: &Known<'_>) {
        // A survey made at leisure cannot tell whether anybody may still ask too late.
        let Some(minis) = look.minis else {
            return;
        };
        let Some(episode) = self.episodes.get_mut(&id) else {
            return;
        };
        if look.began_ns < episode.t0_ns() {
            return;
        }
        let instances = &self.instances;
        let rows = rows_of(episode, look, instances);
        for (key, rows) in &rows {
            if episode.ports.contains_key(key) || !episode.may_have_port(key) {
                continue;
            }
            let owner = rows.first().map_or(episode.instance, |(owner, _)| *owner);
            let (t0_ns, phased) = (episode.t0_ns(), episode.is_phased());
            let port = Port::new(key, &owner, t0_ns, phased, instances, known);
            episode.ports.insert(*key, port);
        }
        let minis: BTreeSet<ServiceKey> = minis
            .iter()
            .filter(|row| row.kind == survey_kind::FIN_WAIT2)
            .filter_map(|row| self.lefts.get(row.cookie))
            .filter(|left| left.episode == id)
            .map(|left| left.key)
            .collect();
        let since = episode.since_mono();
        let whole = episode.scope == Scope::Instance
            && !matches!(episode.gone, Some((_, over)) if over != Over::Ended);
        let ended = |cookie| self.recent.contains(cookie);
        for (key, port) in &mut episode.ports {
            if key.netns != look.netns {
                continue;
            }
            let looked = Looked {
                began_ns: look.began_ns,
                rows: rows.get(key).map_or(&[], Vec::as_slice),
                since: &since,
                whole,
                gone_ns: episode.gone.map(|(at_ns, _)| at_ns),
                mini_sockets: minis.contains(key),
                ended: &ended,
            };
            port.looked(&looked, &mut self.room);
        }
        episode.looked(look.began_ns, now_ns);
        episode.touch();
    }
}

// === impl Episode ===

impl Episode {
    /// What a look means for the episode as a whole.
    fn looked(&mut self, began_ns: u64, now_ns: u64) {
        let listening = self
            .ports
            .values()
            .any(|p| p.is_listening() && p.looked_ns() == began_ns);
        let tells = self
            .listeners_tell_from_ns()
            .is_some_and(|from_ns| began_ns >= from_ns);
        if tells && listening {
            self.looks_listening = self.looks_listening.saturating_add(1);
        }
        let quiet = |port: &Port| {
            port.looked_ns() >= self.t0_ns() && !port.is_listening() && !port.is_open()
        };
        if !self.ports.is_empty() && self.ports.values().all(quiet) {
            self.quiet_ns.get_or_insert(now_ns);
        } else {
            self.quiet_ns = None;
        }
    }
}

/// The rows of an episode's instances, by port. Of one process's drain only the listeners: a look does not tell which
/// process serves a connection.
fn rows_of<'a>(episode: &Episode, look: &Look<'a>, instances: &Instances) -> Rows<'a> {
    let of_process = matches!(episode.scope, Scope::Process(_));
    let mut rows = Rows::new();
    for row in look.rows {
        if row.service.role() != Some(Role::Server) || (of_process && !is_listener(row)) {
            continue;
        }
        let key = row.service.in_phase(Phase::Steady);
        let Some(owner) = instances.owner(row.owner, &key) else {
            continue;
        };
        let earlier = is_open(row) && row.opened_at_ns < episode.floor_ns;
        if episode.since.contains_key(&owner) && !earlier {
            rows.entry(key).or_default().push((owner, row));
        }
    }
    rows
}

fn is_listener(row: &SurveyRow) -> bool {
    row.kind == survey_kind::LISTENER
}
