//! Which of what there is was asked for. It knows neither where the values come from nor how they are sent.

use std::{collections::HashSet, ops::ControlFlow};

use jiff::Timestamp;

use super::{
    Story,
    parameters::{self as p, Asked},
};
use finwatch_engine::model::{
    Drain, Incident, RecentCloses, Rollout, RolloutState, Service, ServiceState, WorkloadRef,
    words::Word as _,
};

/// Drains, newest first, and whether there would be more.
pub(super) fn drains(story: &dyn Story, asked: &Asked) -> (Vec<Drain>, bool) {
    let mut list = List::new(asked);
    story.drains(&mut |drain| {
        let wanted = asked.means(&drain.service)
            && asked.wants(&p::VERDICT, drain.verdict.as_str())
            && asked.wants(&p::KIND, drain.kind.as_str());
        let about = About {
            id: drain.id.clone(),
            began: drain.started_at,
            is_over: drain.ended_at.is_some(),
        };
        list.take(wanted, about, drain)
    });
    (list.taken, list.more)
}

/// Rollouts, newest first, and whether there would be more.
pub(super) fn rollouts(story: &dyn Story, asked: &Asked) -> (Vec<Rollout>, bool) {
    let mut list = List::new(asked);
    story.rollouts(&mut |rollout| {
        let wanted = asked.means_rollout(&rollout)
            && asked.wants(&p::VERDICT, rollout.verdict.as_str())
            && asked.wants(&p::SOURCE, rollout.source.as_str());
        let about = About {
            id: rollout.id.clone(),
            began: rollout.started_at,
            is_over: rollout.state == RolloutState::Ended,
        };
        list.take(wanted, about, rollout)
    });
    (list.taken, list.more)
}

/// Incidents, newest first, and whether there would be more.
pub(super) fn incidents(story: &dyn Story, asked: &Asked) -> (Vec<Incident>, bool) {
    let mut list = List::new(asked);
    story.incidents(&mut |incident| {
        let wanted = asked.means(&incident.service)
            && asked.wants(&p::VERDICT, incident.verdict.as_str())
            && asked.wants(&p::CAUSE, incident.cause.as_str());
        let about = About {
            id: incident.id.clone(),
            began: incident.started_at,
            is_over: incident.is_over(),
        };
        list.take(wanted, about, incident)
    });
    (list.taken, list.more)
}

/// Services.
pub(super) fn services(story: &dyn Story, asked: &Asked) -> Vec<ServiceState> {
    let mut services = story.services();
    services.retain(|state| {
        asked.means(&state.service)
            && asked.wants(&p::ROLE, state.role.word())
            && asked.wants(&p::PHASE, state.phase.word())
    });
    services
}

/// Closes, and whether there would be more.
pub(super) fn closes(story: &dyn Story, asked: &Asked) -> (RecentCloses, bool) {
    let mut recent = story.closes();
    let closes = &mut recent.closes;
    closes.retain(|close| {
        asked.means(&close.service)
            && asked.wants(&p::ROLE, close.role.word())
            && asked.wants(&p::PHASE, close.phase.word())
            && asked.wants(&p::ORIGIN, &close.origin)
            && asked.wants(&p::OUTCOME, &close.outcome)
            && asked.since.is_none_or(|since| close.ended_at >= since)
            && match asked.word(&p::CUT) {
                None => true,
                Some("any") => close.cut.is_some(),
                Some("none") => close.cut.is_none(),
                cause => close.cut.as_deref() == cause,
            }
    });
    let more = closes.len() > asked.limit();
    closes.truncate(asked.limit());
    (recent, more)
}

impl Asked {
    fn means(&self, service: &Service) -> bool {
        let Self {
            workload,
            namespace,
            port,
            ..
        } = self;
        workload
            .as_ref()
            .is_none_or(|name| is_called(&service.workload, name))
            && namespace
                .as_ref()
                .is_none_or(|n| *n == service.workload_namespace)
            && port.is_none_or(|port| port == service.port)
    }

    /// By a service that was seen in it, or by what the announcement says.
    fn means_rollout(&self, rollout: &Rollout) -> bool {
        let services = rollout
            .drains
            .iter()
            .map(|drain| &drain.service)
            .chain(rollout.starts.iter().map(|start| &start.service))
            .chain(rollout.gaps.iter().map(|gap| &gap.service));
        let mut seen = services.peekable();
        let nothing_seen = seen.peek().is_none();
        seen.any(|service| self.means(service))
            || self.means_announced(&rollout.workload, nothing_seen)
    }

    /// What an announcement leaves open is anything, until something was seen.
    fn means_announced(&self, announced: &WorkloadRef, is_open: bool) -> bool {
        let WorkloadRef {
            namespace,
            name,
            port,
            kind: _,
        } = announced;
        let Self {
            workload: workload_asked,
            namespace: namespace_asked,
            port: port_asked,
            ..
        } = self;
        workload_asked
            .as_ref()
            .is_none_or(|asked| is_called(name, asked))
            && (namespace_asked.is_none()
                || namespace == namespace_asked
                || namespace.is_none() && is_open)
            && (port_asked.is_none() || port == port_asked || port.is_none() && is_open)
    }
}

/// `nginx` and `nginx.service` are one, whichever of them was typed.
fn is_called(name: &str, wanted: &str) -> bool {
    let bare = |name: &str| name.strip_suffix(".service").unwrap_or(name).to_owned();
    name == wanted || bare(name) == bare(wanted)
}

/// What a list is made by.
struct About {
    id: String,
    began: Timestamp,
    is_over: bool,
}

/// A list that grows to its limit.
struct List<'a, T> {
    asked: &'a Asked,
    taken: Vec<T>,
    more: bool,
    /// Ids that came: what ends while it is told may come twice, first as it was.
    seen: HashSet<String>,
}

impl<'a, T> List<'a, T> {
    fn new(asked: &'a Asked) -> Self {
        Self {
            asked,
            taken: Vec::new(),
            more: false,
            seen: HashSet::new(),
        }
    }

    fn take(&mut self, wanted: bool, about: About, value: T) -> ControlFlow<()> {
        let About { id, began, is_over } = about;
        let old = self.asked.since.is_some_and(|since| began < since);
        if old && is_over {
            // What is over comes newest first: the rest is older still.
            return ControlFlow::Break(());
        }
        let state = if is_over { "ended" } else { "running" };
        let wanted = wanted
            && !old
            && self.asked.wants(&p::STATE, state)
            && self
                .asked
                .id
                .as_ref()
                .is_none_or(|beginning| id.starts_with(beginning.as_str()));
        if !wanted || !self.seen.insert(id) {
            return ControlFlow::Continue(());
        }
        if self.taken.len() == self.asked.limit() {
            self.more = true;
            return ControlFlow::Break(());
        }
        self.taken.push(value);
        ControlFlow::Continue(())
    }
}
