//! Who owns a service.

mod workload;

pub use workload::{Workload, WorkloadKind};
