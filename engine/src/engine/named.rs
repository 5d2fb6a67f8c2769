//! What the engine does when it is told whose services are.

use finwatch_common::{Phase, ServiceKey};

use super::Engine;
use crate::model::Named;

impl Engine {
    /// Names came, or better ones.
    pub(super) fn on_names(&mut self, names: &[(ServiceKey, Named)]) {
        for (service, named) in names {
            if self.names.take(service, named.clone()) {
                self.ledger.named(service, &self.names);
            }
        }
    }

    /// Services are another node's: from now on nothing of them comes here.
    pub(super) fn on_elsewhere(&mut self, services: &[ServiceKey], now_ns: u64) {
        for service in services {
            self.elsewhere.add(service);
            self.names.forget(service);
            self.ledger.forget(service);
            self.drains.forget(&service.in_phase(Phase::Steady), now_ns);
        }
    }
}
