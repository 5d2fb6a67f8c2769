//! What the running kernel passes to programs. Each program quotes the prototype that it trusts; whoever holds a quote
//! against the kernel asks here.

use super::{
    ProbeError,
    btf::{Btf, Prototype},
};

/// The prototypes of one kernel.
pub struct Prototypes(Btf);

impl Prototypes {
    /// Reads the running kernel's BTF. Blocking, milliseconds.
    ///
    /// # Errors
    /// When the kernel has none.
    pub fn of_kernel() -> Result<Self, ProbeError> {
        let is_wanted =
            |name: &str| name.starts_with("btf_trace_") || name.starts_with("bpf_iter_");
        Btf::of_kernel(is_wanted).map(Self).map_err(ProbeError::Btf)
    }

    /// What programs on a tracepoint get; `None`: there is no such tracepoint.
    pub fn tracepoint(&self, name: &str) -> Option<Prototype> {
        self.0.tracepoint(name)
    }

    /// What programs of an iterator get; `None`: there is no such iterator.
    pub fn iterator(&self, name: &str) -> Option<Prototype> {
        self.0.iterator(name)
    }
}
