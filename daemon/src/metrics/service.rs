//! A service's metrics. A service that exists has every series that tells of an ordinary end from birth, at
//! zero, in every phase: a counter that first appears at 1 hides that one from `increase()`. Born when first
//! seen are only reset reasons (their number is the kernel's business; all three of `lost` come together),
//! resets received in SYN_SENT, SYN_RECV and CLOSING, and the rare pairs of origin and outcome.

use std::{collections::BTreeMap, fmt};

use finwatch_common::{Cell, Cut, Evidence, Origin, Outcome, Role, tcp};
use prometheus_client::encoding::{DescriptorEncoder, EncodeCounterValue};

use super::{
    catalog::{self, Family},
    encode::{counter, gauge, metric},
    labels::{LOSTS, PHASES, RESET_STATES, ServiceLabels},
};
use finwatch_engine::{
    model::words::Word as _,
    services::{ResetSeries, SeriesView},
};

/// Pairs of origin and outcome that a service has from birth.
const BORN_CLOSES: [(Origin, Outcome); 10] = [
    (Origin::Local, Outcome::Fin),
    (Origin::Local, Outcome::ResetSent),
    (Origin::Local, Outcome::ResetReceived),
    (Origin::Local, Outcome::Timeout),
    (Origin::Remote, Outcome::Fin),
    (Origin::Remote, Outcome::ResetSent),
    (Origin::Remote, Outcome::ResetReceived),
    (Origin::None, Outcome::ResetSent),
    (Origin::None, Outcome::ResetReceived),
    (Origin::None, Outcome::Timeout),
];

/// States of received resets that a service has from birth.
const BORN_RESET_STATES: [u8; 5] = [
    tcp::ESTABLISHED,
    tcp::FIN_WAIT1,
    tcp::FIN_WAIT2,
    tcp::CLOSE_WAIT,
    tcp::LAST_ACK,
];

pub(super) fn encode(
    out: &mut DescriptorEncoder<'_>,
    services: &[SeriesView],
    reasons: &BTreeMap<u8, String>,
) -> fmt::Result {
    let mut out = Services { out, services };
    counters(&mut out, reasons)?;
    gauges(&mut out)
}

fn counters(out: &mut Services<'_, '_>, reasons: &BTreeMap<u8, String>) -> fmt::Result {
    out.by_phase(&catalog::OPENED, any, &[(None, Cell::OPENED)])?;
    out.closes()?;
    out.by_phase(
        &catalog::TIME_WAIT_CREATED,
        any,
        &[
            (Some(("substate", "time_wait")), Cell::TIME_WAIT),
            (Some(("substate", "fin_wait2")), Cell::FIN_WAIT2),
        ],
    )?;
    out.resets_sent(reasons)?;
    let cuts = Cut::ALL.map(|cut| (Some(("cause", cut.word())), Cell::cut(cut)));
    out.by_phase(&catalog::CUT, servers, &cuts)?;
    out.resets_received()?;
    let unanswered = Evidence::ALL.map(|evidence| {
        let label = ("evidence", evidence.word());
        (Some(label), Cell::unanswered(evidence))
    });
    out.by_phase(&catalog::UNANSWERED, any, &unanswered)?;
    out.by_phase(&catalog::ABANDONED, servers, &[(None, Cell::ABANDONED)])?;
    out.by_phase(&catalog::EARLY, servers, &[(None, Cell::EARLY)])?;
    let unclear = [
        ("small", Cell::SMALL_LEFT),
        ("small_late", Cell::SMALL_LATE),
        ("rest_or_request", Cell::REST_OR_REQUEST),
    ]
    .map(|(what, cell)| (Some(("what", what)), cell));
    out.by_phase(&catalog::UNCLEAR, servers, &unclear)?;
    out.by_phase(&catalog::WAITED, servers, &[(None, Cell::WAITED)])?;
    for (family, cell) in [
        (&catalog::UNREAD, Cell::UNREAD),
        (&catalog::UNREAD_BYTES, Cell::UNREAD_BYTES),
        (&catalog::UNACKED, Cell::UNACKED),
        (&catalog::UNACKED_BYTES, Cell::UNACKED_BYTES),
        (&catalog::EXIT, Cell::EXIT),
    ] {
        out.by_phase(family, any, &[(None, cell)])?;
    }
    out.over_phases(&catalog::REFUSED, servers, Cell::REFUSED)?;
    out.by_phase(
        &catalog::ACCEPT_QUEUE_DROPPED,
        servers,
        &[(None, Cell::ACCEPT_QUEUE_DROPPED)],
    )?;
    out.over_phases(&catalog::EMBRYONIC_FAILED, servers, Cell::EMBRYONIC_FAILED)?;
    out.over_phases(&catalog::CONNECT_FAILED, clients, Cell::CONNECT_FAILED)?;
    out.over_phases(&catalog::ESTAB_RESETS, any, Cell::ESTAB_RESETS)?;
    // Settled rows keep the overflow in this cell.
    out.over_phases(&catalog::TIME_WAIT_OVERFLOW, any, Cell::NO_MINI_SOCKET)?;
    out.over_phases(&catalog::SEEDED, any, Cell::SEEDED)
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

/// Which services have a metric.
type Who = fn(&SeriesView) -> bool;

fn any(_: &SeriesView) -> bool {
    true
}

fn servers(service: &SeriesView) -> bool {
    service.labels.role == Role::Server
}

fn clients(service: &SeriesView) -> bool {
    service.labels.role == Role::Client
}

/// A cell, and the label that tells it from others of the same metric.
type Sample = (Option<(&'static str, &'static str)>, Cell);

/// Encodes one metric of all services after the other, as the format wants them.
struct Services<'a, 'e> {
    out: &'a mut DescriptorEncoder<'e>,
    services: &'a [SeriesView],
}

// === impl Services ===

impl Services<'_, '_> {
    /// Cells by phase.
    fn by_phase(&mut self, family: &Family, who: Who, samples: &[Sample]) -> fmt::Result {
        let mut out = metric(self.out, family)?;
        for service in self.services.iter().filter(|service| who(service)) {
            for (phase, row) in PHASES.into_iter().zip(&service.phases) {
                for (label, cell) in samples {
                    let phase = ("phase", phase.word());
                    let more = [phase, label.unwrap_or_default()];
                    let more = &more[..1 + usize::from(label.is_some())];
                    counter(&mut out, &of(service, more), row.get(*cell))?;
                }
            }
        }
        Ok(())
    }

    /// A cell, its phases together.
    fn over_phases(&mut self, family: &Family, who: Who, cell: Cell) -> fmt::Result {
        self.counter(family, who, |service| {
            service.phases.iter().map(|row| row.get(cell)).sum::<u64>()
        })
    }

    fn counter<V: EncodeCounterValue>(
        &mut self,
        family: &Family,
        who: Who,
        value: impl Fn(&SeriesView) -> V,
    ) -> fmt::Result {
        let mut out = metric(self.out, family)?;
        for service in self.services.iter().filter(|service| who(service)) {
            counter(&mut out, &of(service, &[]), value(service))?;
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
        for service in self.services.iter().filter(|service| who(service)) {
            gauge(&mut out, &of(service, &[]), value(service))?;
        }
        Ok(())
    }

    fn closes(&mut self) -> fmt::Result {
        let mut out = metric(self.out, &catalog::CLOSES)?;
        let pairs: Vec<_> = Origin::ALL
            .into_iter()
            .flat_map(|origin| Outcome::ALL.map(|outcome| (origin, outcome)))
            .map(|pair| (pair, BORN_CLOSES.contains(&pair)))
            .collect();
        for service in self.services {
            for (phase, row) in PHASES.into_iter().zip(&service.phases) {
                for ((origin, outcome), born) in &pairs {
                    let count = row.get(Cell::closes(*origin, *outcome));
                    if *born || count > 0 {
                        let more = [
                            ("phase", phase.word()),
                            ("origin", origin.word()),
                            ("outcome", outcome.word()),
                        ];
                        counter(&mut out, &of(service, &more), count)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn resets_sent(&mut self, reasons: &BTreeMap<u8, String>) -> fmt::Result {
        let mut out = metric(self.out, &catalog::RESETS_SENT)?;
        for service in self.services {
            let mut born: Vec<_> = service
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
                    let more = [
                        ("phase", phase.word()),
                        ("reason", name.as_str()),
                        ("lost", lost.word()),
                    ];
                    let count = service.resets.get(&reset).copied().unwrap_or(0);
                    counter(&mut out, &of(service, &more), count)?;
                }
            }
        }
        Ok(())
    }

    fn resets_received(&mut self) -> fmt::Result {
        let mut out = metric(self.out, &catalog::RESETS_RECEIVED)?;
        for service in self.services {
            for (phase, row) in PHASES.into_iter().zip(&service.phases) {
                for (number, state) in RESET_STATES {
                    let count = Cell::resets_received(number).map_or(0, |cell| row.get(cell));
                    if count > 0 || BORN_RESET_STATES.contains(&number) {
                        let more = [("phase", phase.word()), ("state", state)];
                        counter(&mut out, &of(service, &more), count)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn time_wait(&mut self) -> fmt::Result {
        let mut out = metric(self.out, &catalog::TIME_WAIT)?;
        for service in self.services {
            let mini = service.gauges.mini_sockets;
            for (substate, count) in [("time_wait", mini.time_wait), ("fin_wait2", mini.fin_wait2)]
            {
                gauge(&mut out, &of(service, &[("substate", substate)]), count)?;
            }
        }
        Ok(())
    }
}

fn of<'a>(service: &'a SeriesView, more: &'a [(&'static str, &'a str)]) -> ServiceLabels<'a> {
    ServiceLabels {
        service: &service.labels,
        more,
    }
}
