//! Surveys, taken by the drains that they concern.

use std::collections::{BTreeMap, BTreeSet};

use finwatch_common::{Phase, Process, Role, ServiceKey, SurveyRow, survey_kind};

use super::port_survey::{PortSurvey, is_open};
use crate::{
    drains::{
        draining::Draining,
        lasting::Lasting,
        membership::{instances::Instances, lingering::Recent},
        port::Port,
    },
    known::Known,
    timing,
};

/// Sockets of one namespace, and its mini-sockets: a survey made at leisure, without them, cannot tell whether anybody may
/// still ask too late.
pub(crate) struct Survey<'a> {
    /// Cookie of the namespace.
    pub(crate) netns: u64,
    /// When it began, on the clock of the records.
    pub(crate) began_ns: u64,
    /// Sockets.
    pub(crate) rows: &'a [SurveyRow],
    /// Mini-sockets.
    pub(crate) minis: &'a [SurveyRow],
}

type Rows<'a> = BTreeMap<ServiceKey, Vec<(Process, &'a SurveyRow)>>;

// === impl Survey ===

impl<'a> Survey<'a> {
    /// Tells the drains that last. `recent` ended a moment ago: the survey may have begun before.
    pub(in crate::drains) fn tell(
        &self,
        lasting: &mut Lasting,
        recent: &Recent,
        instances: &Instances,
        now_ns: u64,
        known: &Known<'_>,
    ) {
        let everybody = self.everybody();
        for id in lasting.ids() {
            let concerns = |draining: &Draining| self.began_ns >= draining.members.t0_ns();
            if !lasting.get(id).is_some_and(concerns) {
                continue;
            }
            let minis = self
                .minis
                .iter()
                .filter(|row| row.kind == survey_kind::FIN_WAIT2)
                .filter_map(|row| lasting.lingering().get(row.cookie))
                .filter(|lingerer| lingerer.drain == id)
                .map(|lingerer| lingerer.key)
                .collect();
            if let Some((draining, room)) = lasting.with_room(id) {
                let rows = self.rows_of(draining, instances);
                draining.open_found(&rows, instances, known);
                draining.survey_ports(self, &rows, &minis, recent, room);
                draining.survey_waiting(self, &everybody);
                draining.surveyed(self.began_ns, now_ns);
            }
        }
    }

    /// Everybody's open connections, by port.
    fn everybody(&self) -> BTreeMap<ServiceKey, Vec<&'a SurveyRow>> {
        let mut rows: BTreeMap<_, Vec<_>> = BTreeMap::new();
        let served = |row: &&SurveyRow| row.service.role() == Some(Role::Server) && is_open(row);
        for row in self.rows.iter().filter(served) {
            let key = row.service.in_phase(Phase::Steady);
            rows.entry(key).or_default().push(row);
        }
        rows
    }

    /// The rows of a drain's instances, by port. Of one process's drain only the listeners: a survey does not tell which
    /// process serves a connection.
    fn rows_of(&self, draining: &Draining, instances: &Instances) -> Rows<'a> {
        let of_process = draining.members.is_of_one();
        let mut rows = Rows::new();
        for row in self.rows {
            if row.service.role() != Some(Role::Server) || (of_process && !is_listener(row)) {
                continue;
            }
            let key = row.service.in_phase(Phase::Steady);
            let Some(owner) = instances.owner(row.owner, &key) else {
                continue;
            };
            let earlier = is_open(row) && draining.members.is_earlier(row.opened_at_ns);
            if draining.members.has(&owner) && !earlier {
                rows.entry(key).or_default().push((owner, row));
            }
        }
        rows
    }
}

// === impl Draining ===

impl Draining {
    /// A survey of a namespace failed.
    pub(in crate::drains) fn survey_failed(&mut self, netns: u64) {
        let concerns = self.ports.keys().any(|key| key.netns == netns);
        if concerns && !self.members.is_running() {
            self.progress.survey_failed();
        }
    }

    /// Opens ports of its instances that were not known before.
    fn open_found(&mut self, rows: &Rows<'_>, instances: &Instances, known: &Known<'_>) {
        for (key, rows) in rows {
            if self.may_have_port(key) {
                let owner = rows
                    .first()
                    .map_or(self.members.first(), |(owner, _)| *owner);
                self.port(*key, &owner, instances, known);
            }
        }
    }

    fn survey_ports(
        &mut self,
        survey: &Survey<'_>,
        rows: &Rows<'_>,
        minis: &BTreeSet<ServiceKey>,
        recent: &Recent,
        room: &mut usize,
    ) {
        let since = self.members.since_mono();
        let ended = |cookie| recent.contains(cookie);
        for (key, port) in &mut self.ports {
            if key.netns != survey.netns {
                continue;
            }
            let of_port = PortSurvey {
                began_ns: survey.began_ns,
                rows: rows.get(key).map_or(&[], Vec::as_slice),
                since: &since,
                whole: self.members.takes_younger(),
                gone_ns: self.members.gone().map(|gone| gone.since_ns),
                shows_open: !self.progress.is_replaced(),
                mini_sockets: minis.contains(key),
                ended: &ended,
            };
            port.seen.surveyed(&of_port, room);
        }
    }

    /// Who waits on its ports, in whosever queue.
    fn survey_waiting(
        &mut self,
        survey: &Survey<'_>,
        everybody: &BTreeMap<ServiceKey, Vec<&SurveyRow>>,
    ) {
        let around = self.around();
        for (key, port) in &mut self.ports {
            if key.netns == survey.netns {
                let rows = everybody.get(key).map_or(&[][..], Vec::as_slice);
                port.waiting.surveyed(survey.began_ns, rows, around);
            }
        }
    }

    /// What a survey means for the drain as a whole.
    fn surveyed(&mut self, began_ns: u64, now_ns: u64) {
        let listening = self
            .ports
            .values()
            .any(|p| p.seen.is_listening() && p.seen.surveyed_ns() == began_ns);
        // Who dies may take a moment to close its listeners: before that, they tell nothing of others.
        let tells = self
            .cause
            .target_exit()
            .is_some_and(|exit| began_ns >= exit.header.at_ns.saturating_add(timing::CLOSING_NS));
        if tells && listening {
            self.progress.surveys_listening = self.progress.surveys_listening.saturating_add(1);
        }
        let quiet = |port: &Port| {
            port.seen.surveyed_ns() >= self.members.t0_ns()
                && !port.seen.is_listening()
                && !port.seen.is_open()
        };
        if !self.ports.is_empty() && self.ports.values().all(quiet) {
            self.progress.quiet_ns.get_or_insert(now_ns);
        } else {
            self.progress.quiet_ns = None;
        }
        self.reported.outdated();
    }
}

/// A socket that listens.
pub(crate) fn is_listener(row: &SurveyRow) -> bool {
    row.kind == survey_kind::LISTENER
}
