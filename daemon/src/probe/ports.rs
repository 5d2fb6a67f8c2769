//! The kernel's table of ports: who last listened on each.

use aya::{
    Ebpf,
    maps::{HashMap, MapData},
};
use finwatch_common::{Phase, PortKey, PortOwner, Process, ServiceKey};

use super::{ProbeError, object::map, rows::Plain};

/// See the module.
pub struct Ports {
    ports: HashMap<MapData, Plain<PortKey>, Plain<PortOwner>>,
}

// === impl Ports ===

impl Ports {
    pub(super) fn new(ebpf: &mut Ebpf) -> Result<Self, ProbeError> {
        Ok(Self {
            ports: map(ebpf, "PORTS")?,
        })
    }

    /// The process that last listened for a service; none where it is not known, or another service has the port. One system
    /// call.
    pub fn owner(&self, service: &ServiceKey) -> Option<Process> {
        let key = PortKey {
            netns: service.netns,
            port: service.port.into(),
            pad: 0,
        };
        let Plain(owner) = self.ports.get(&Plain(key), 0).ok()?;
        let is_its_own = owner.service == service.in_phase(Phase::Steady) && owner.tgid != 0;
        is_its_own.then_some(Process {
            start_ns: owner.start_ns,
            tgid: owner.tgid,
            pad: 0,
        })
    }
}
