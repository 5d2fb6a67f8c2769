//! What the engine knows beside what happened: how the clocks stand, whose services are, what reset reasons are called,
//! what was ordinary, and how many SYNs were refused. Lent to whoever tells a drain; it asks nobody.

use std::collections::BTreeMap;

use finwatch_common::ServiceKey;
use jiff::Timestamp;

use crate::{
    clocks::Clocks,
    model::{Baseline, Counts, Pod, Service, Shape, SmallQuestions},
    servers::{self, Server},
    services::{Names, Refusals, Refused, Smalls, Windows},
};

/// See the module.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known<'a> {
    pub(crate) clocks: Clocks,
    pub(crate) names: &'a Names,
    pub(crate) reasons: &'a Reasons,
    pub(crate) windows: &'a Windows,
    pub(crate) refusals: &'a Refusals,
    pub(crate) smalls: &'a Smalls,
    /// Ports where the configuration says that nobody need be answered.
    pub(crate) stream_ports: &'a [u16],
}

/// Names of the reset reasons, snake_case: `enum sk_rst_reason` of the running kernel, or `inferred_*` from 128 on.
#[derive(Debug, Clone, Default)]
pub struct Reasons(BTreeMap<u8, String>);

// === impl Known ===

impl Known<'_> {
    /// Whose a service is, by the best name that is known.
    pub(crate) fn service(&self, key: &ServiceKey) -> Service {
        self.names.service(key)
    }

    /// The pod that a service runs in, as far as that is known.
    pub(crate) fn pod(&self, key: &ServiceKey) -> Pod {
        self.names.pod(key)
    }

    /// Name of a reset reason.
    pub(crate) fn reason(&self, reason: u8) -> String {
        self.reasons.name(reason)
    }

    /// Wall time of a kernel stamp.
    pub(crate) fn wall(&self, kernel_ns: u64) -> Timestamp {
        self.clocks.wall(kernel_ns)
    }

    /// Nanoseconds since boot, suspend included, of a kernel stamp.
    pub(crate) const fn boot_ns(&self, kernel_ns: u64) -> u64 {
        self.clocks.boot_ns(kernel_ns)
    }

    /// The service's ordinary time before T0.
    pub(crate) fn baseline(&self, key: &ServiceKey, t0_ns: u64) -> Baseline {
        self.windows.baseline(&self.names.labels(key), t0_ns)
    }

    /// What kind of conversation this program holds on this port: as configured, else as its protocol says, else as its ordinary
    /// connections show.
    pub(crate) fn shape(&self, port: u16, program: &str, ordinary: &Counts) -> Shape {
        if self.stream_ports.contains(&port) {
            return Shape::CONFIGURED;
        }
        let conversation = servers::known(program).and_then(Server::conversation);
        conversation
            .map(Shape::of_program)
            .filter(|shape| !shape.is_refuted_by(ordinary))
            .unwrap_or_else(|| Shape::learned(ordinary))
    }

    /// The same, by the service's ordinary time up to now.
    pub(crate) fn ordinary_shape(&self, key: &ServiceKey) -> Shape {
        let ordinary = self.windows.ordinary(&self.names.labels(key));
        self.shape(key.port, key.comm(), &ordinary.counts)
    }

    /// What became of small questions in the service's ordinary time, by the last reading.
    pub(crate) fn small(&self, key: &ServiceKey) -> SmallQuestions {
        self.smalls.get(key)
    }

    /// SYNs refused on the service's port by the last reading; none before there was one.
    pub(crate) fn refused(&self, key: &ServiceKey) -> Option<Refused> {
        self.refusals.get(key)
    }

    /// The same by a time in the past.
    pub(crate) fn refused_by(&self, key: &ServiceKey, at_ns: u64) -> Option<Refused> {
        self.refusals.by(key, at_ns)
    }
}

// === impl Reasons ===

impl Reasons {
    /// The kernel's own names, by number.
    pub fn new(names: impl IntoIterator<Item = (u8, String)>) -> Self {
        Self(names.into_iter().collect())
    }

    /// The name, or `reason_<number>` for one that is newer than its kernel's BTF.
    pub fn name(&self, reason: u8) -> String {
        self.0
            .get(&reason)
            .map_or_else(|| format!("reason_{reason}"), Clone::clone)
    }
}
