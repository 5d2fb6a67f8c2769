//! A service's metrics. What an alert or an `increase()` needs, a service has from birth, at zero: a counter that first appears at 1
//! hides that one from `increase()`, and what ends in a drain ends at once. These are cuts, opened and ended connections and TIME_WAITs, in
//! every phase of a server, ends by each origin with its most usual outcome; what nobody listened for; and what fails of a client. All
//! else is rare, and is born with its first event: a series for each detail of each service that never had one would be most of
//! what is scraped and stored. Of a client, only its steady phase is ordinary. `dashboards/README.md` says how a series is asked
//! for that may be younger than what is asked about.

use std::{collections::BTreeMap, fmt};

use finwatch_common::{Cell, Cut, Evidence, Origin, Outcome, Phase, Role};
use prometheus_client::encoding::{DescriptorEncoder, EncodeCounterValue};

use super::{
    catalog::{self, Family},
    encode::{counter, gauge, metric},
    labels::{LOSTS, MoreText, PHASES, RESET_STATES, SampleLabels, ServiceText},
};
use finwatch_engine::{
    model::words::Word as _,
    services::{ResetSeries, SeriesView},
};

pub(super) fn encode(
    out: &mut DescriptorEncoder<'_>,
    services: &[SeriesView],
    reasons: &BTreeMap<u8, String>,
) -> fmt::Result {
    let services: Vec<_> = services
        .iter()
        .map(|view| Service {
            labels: ServiceText::new(&view.labels),
            view,
        })
        .collect();
    let mut out = Services {
        out,
        services: &services,
    };
    counters(&mut out, reasons)?;
    gauges(&mut out)
}

fn counters(out: &mut Services<'_, '_>, reasons: &BTreeMap<u8, String>) -> fmt::Result {
    out.by_phase(&catalog::OPENED, any, any, &[(&[], Cell::OPENED)])?;
    out.closes()?;
    let mini_sockets: [Sample<'_>; 2] = [
        (&[("substate", "time_wait")], Cell::TIME_WAIT),
        (&[("substate", "fin_wait2")], Cell::FIN_WAIT2),
    ];
    out.by_phase(&catalog::TIME_WAIT_CREATED, any, any, &mini_sockets)?;
    out.resets_sent(reasons)?;
    let causes = Cut::ALL.map(|cut| ([("cause", cut.word())], Cell::cut(cut)));
    out.by_phase(&catalog::CUT, servers, servers, &samples(&causes))?;
    let states = RESET_STATES
        .into_iter()
        .filter_map(|(number, state)| Some(([("state", state)], Cell::resets_received(number)?)));
    let states: Vec<_> = states.collect();
    out.by_phase(&catalog::RESETS_RECEIVED, any, nobody, &samples(&states))?;
    let evidence = Evidence::ALL.map(|evidence| {
        let label = ("evidence", evidence.word());
        ([label], Cell::unanswered(evidence))
    });
    out.by_phase(&catalog::UNANSWERED, any, nobody, &samples(&evidence))?;
    out.by_phase(
        &catalog::ABANDONED,
        servers,
        nobody,
        &[(&[], Cell::ABANDONED)],
    )?;
    out.by_phase(&catalog::EARLY, servers, nobody, &[(&[], Cell::EARLY)])?;
    let unclear: [Sample<'_>; 3] = [
        (&[("what", "small")], Cell::SMALL_LEFT),
        (&[("what", "small_late")], Cell::SMALL_LATE),
        (&[("what", "rest_or_request")], Cell::REST_OR_REQUEST),
    ];
    out.by_phase(&catalog::UNCLEAR, servers, nobody, &unclear)?;
    out.by_phase(&catalog::WAITED, servers, nobody, &[(&[], Cell::WAITED)])?;
    for (family, cell) in [
        (&catalog::UNREAD, Cell::UNREAD),
        (&catalog::UNREAD_BYTES, Cell::UNREAD_BYTES),
        (&catalog::UNACKED, Cell::UNACKED),
        (&catalog::UNACKED_BYTES, Cell::UNACKED_BYTES),
        (&catalog::EXIT, Cell::EXIT),
    ] {
        out.by_phase(family, any, nobody, &[(&[], cell)])?;
    }
    out.over_phases(&catalog::REFUSED, servers, servers, Cell::REFUSED)?;
    out.by_phase(
        &catalog::ACCEPT_QUEUE_DROPPED,
        servers,
        servers,
        &[(&[], Cell::ACCEPT_QUEUE_DROPPED)],
    )?;
    out.over_phases(
        &catalog::EMBRYONIC_FAILED,
        servers,
        nobody,
        Cell::EMBRYONIC_FAILED,
    )?;
    out.over_phases(
        &catalog::CONNECT_FAILED,
        clients,
        clients,
        Cell::CONNECT_FAILED,
    )?;
    out.over_phases(&catalog::ESTAB_RESETS, any, nobody, Cell::ESTAB_RESETS)?;
    // Settled rows keep the overflow in this cell.
    out.over_phases(
        &catalog::TIME_WAIT_OVERFLOW,
        any,
        nobody,
        Cell::NO_MINI_SOCKET,
    )?;
    out.over_phases(&catalog::SEEDED, any, nobody, Cell::SEEDED)
}

fn gauges(out: &mut Services<'_, '_>) -> fmt::Result {
    out.gauge(&catalog::OPEN, any, |service| service.gauges.open)?;
    out.time_wait()?;
    out.gauge(&catalog::AWAITING, any, |service| {
        service.gauges.surveyed.awaiting
    })?;
    out.gauge(&catalog::CLOSE_WAIT, any, |service| {
        service.gauges.close_wait
    })?;
    out.gauge(&catalog::LISTENER_UP, servers, |service| {
        service.gauges.listeners.min(1)
    })?;
    out.gauge(&catalog::LISTENER_BACKLOG, servers, |service| {
        service.gauges.surveyed.backlog
    })?;
    out.gauge(&catalog::LISTENER_BACKLOG_LIMIT, servers, |service| {
        service.gauges.surveyed.backlog_limit
    })?;
    out.counter(&catalog::LISTENER_GAP_SECONDS, servers, |service| {
        service.gap_ns as f64 / 1e9
    })?;
    out.counter(&catalog::LISTENER_GAPS, servers, |service| service.gaps)
}

/// Which services have a metric, or have it from birth.
type Who = fn(&SeriesView) -> bool;

fn any(_: &SeriesView) -> bool {
    true
}

fn nobody(_: &SeriesView) -> bool {
    false
}

fn servers(service: &SeriesView) -> bool {
    service.labels.role == Role::Server
}

fn clients(service: &SeriesView) -> bool {
    service.labels.role == Role::Client
}

type Label = (&'static str, &'static str);

/// The labels that tell a cell from others of the same metric, and the cell.
type Sample<'a> = (&'a [Label], Cell);

fn samples<const N: usize>(all: &[([Label; N], Cell)]) -> Vec<Sample<'_>> {
    all.iter()
        .map(|(labels, cell)| (labels.as_slice(), *cell))
        .collect()
}

/// How connections most usually end that `origin` ended first: at zero from birth.
fn usual(origin: Origin, role: Role) -> Outcome {
    match (origin, role) {
        (Origin::Local | Origin::Remote | Origin::Both, _) => Outcome::Fin,
        // What servers do to clients.
        (Origin::None, Role::Server) => Outcome::ResetSent,
        (Origin::None, Role::Client) => Outcome::ResetReceived,
    }
}

struct Service<'a> {
    labels: ServiceText,
    view: &'a SeriesView,
}

/// Encodes one metric of all services after the other, as the format wants them.
struct Services<'a, 'e> {
    out: &'a mut DescriptorEncoder<'e>,
    services: &'a [Service<'a>],
}

// === impl Services ===

impl Services<'_, '_> {
    /// Cells by phase, of the services `who`; those `born` with them have them from birth.
    fn by_phase(
        &mut self,
        family: &Family,
        who: Who,
        born: Who,
        samples: &[Sample<'_>],
    ) -> fmt::Result {
        let samples: Vec<_> = samples.iter().map(|sample| (*sample, born)).collect();
        self.cells(family, who, &samples)
    }

    /// The same, each cell with who has it from birth.
    fn cells(&mut self, family: &Family, who: Who, samples: &[(Sample<'_>, Who)]) -> fmt::Result {
        let in_phases = PHASES.map(|phase| {
            let text = |(labels, _): &Sample<'_>| {
                let labels = [&[("phase", phase.word())], *labels].concat();
                MoreText::new(&labels)
            };
            samples
                .iter()
                .map(|(sample, born)| (text(sample), sample.1, *born))
                .collect::<Vec<_>>()
        });
        let mut out = metric(self.out, family)?;
        for Service { labels, view } in self.services.iter().filter(|service| who(service.view)) {
            let phases = PHASES.into_iter().zip(&view.phases).zip(&in_phases);
            for ((phase, row), samples) in phases {
                let ordinary = phase == Phase::Steady || servers(view);
                for (more, cell, born) in samples {
                    let count = row.get(*cell);
                    if count > 0 || ordinary && born(view) {
                        counter(&mut out, &of(labels, more), count)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// A cell, its phases together.
    fn over_phases(&mut self, family: &Family, who: Who, born: Who, cell: Cell) -> fmt::Result {
        let count = |view: &SeriesView| view.phases.iter().map(|row| row.get(cell)).sum::<u64>();
        let shown = |view: &SeriesView| who(view) && (born(view) || count(view) > 0);
        self.counter(family, shown, count)
    }

    fn counter<V: EncodeCounterValue>(
        &mut self,
        family: &Family,
        who: impl Fn(&SeriesView) -> bool,
        value: impl Fn(&SeriesView) -> V,
    ) -> fmt::Result {
        let mut out = metric(self.out, family)?;
        for Service { labels, view } in self.services.iter().filter(|service| who(service.view)) {
            counter(&mut out, &of(labels, &MoreText::default()), value(view))?;
        }
        Ok(())
    }

    fn gauge(
        &mut self,
        family: &Family,
        who: Who,
        value: impl Fn(&SeriesView) -> u64,
    ) -> fmt::Result {
        let mut out = metric(self.out, family)?;
        for Service { labels, view } in self.services.iter().filter(|service| who(service.view)) {
            gauge(&mut out, &of(labels, &MoreText::default()), value(view))?;
        }
        Ok(())
    }

    fn closes(&mut self) -> fmt::Result {
        let pairs: Vec<_> = Origin::ALL
            .into_iter()
            .flat_map(|origin| Outcome::ALL.map(|outcome| (origin, outcome)))
            .map(|(origin, outcome)| {
                let of = |role| usual(origin, role) == outcome;
                let born: Who = match (of(Role::Server), of(Role::Client)) {
                    (true, true) => any,
                    (true, false) => servers,
                    (false, true) => clients,
                    (false, false) => nobody,
                };
                let labels = [("origin", origin.word()), ("outcome", outcome.word())];
                (labels, Cell::closes(origin, outcome), born)
            })
            .collect();
        let pairs: Vec<_> = pairs
            .iter()
            .map(|(labels, cell, born)| ((labels.as_slice(), *cell), *born))
            .collect();
        self.cells(&catalog::CLOSES, any, &pairs)
    }

    /// By reason, of which there are as many as the kernel has; all three of `lost` come together.
    fn resets_sent(&mut self, reasons: &BTreeMap<u8, String>) -> fmt::Result {
        let mut out = metric(self.out, &catalog::RESETS_SENT)?;
        for Service { labels, view } in self.services {
            let mut born: Vec<_> = view
                .resets
                .keys()
                .map(|reset| (reset.phase, reset.reason))
                .collect();
            born.dedup();
            for (phase, reason) in born {
                let Some(name) = reasons.get(&reason) else {
                    continue;
                };
                for lost in LOSTS {
                    let reset = ResetSeries {
                        phase,
                        reason,
                        lost,
                    };
                    let more = MoreText::new(&[
                        ("phase", phase.word()),
                        ("reason", name.as_str()),
                        ("lost", lost.word()),
                    ]);
                    let count = view.resets.get(&reset).copied().unwrap_or(0);
                    counter(&mut out, &of(labels, &more), count)?;
                }
            }
        }
        Ok(())
    }

    fn time_wait(&mut self) -> fmt::Result {
        let substates = ["time_wait", "fin_wait2"];
        let more = substates.map(|substate| MoreText::new(&[("substate", substate)]));
        let mut out = metric(self.out, &catalog::TIME_WAIT)?;
        for Service { labels, view } in self.services {
            let mini = view.gauges.mini_sockets;
            for (more, count) in more.iter().zip([mini.time_wait, mini.fin_wait2]) {
                gauge(&mut out, &of(labels, more), count)?;
            }
        }
        Ok(())
    }
}

fn of<'a>(service: &'a ServiceText, more: &'a MoreText<'a>) -> SampleLabels<'a> {
    SampleLabels { service, more }
}
