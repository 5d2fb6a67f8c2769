//! The switch that says which ends of connections the programs tell: all, or what is of note and a sample.

use aya::{
    Ebpf,
    maps::{Array, MapData},
};

use super::{ProbeError, object::map};

/// See the module. At first, all are told.
pub struct Closes(Array<MapData, u32>);

// === impl Closes ===

impl Closes {
    pub(super) fn new(ebpf: &mut Ebpf) -> Result<Self, ProbeError> {
        Ok(Self(map(ebpf, "FEW_CLOSES")?))
    }

    /// Tells all from now on, or not.
    pub fn tell_all(&mut self, all: bool) {
        // An array's element can always be set.
        let _ = self.0.set(0, u32::from(!all), 0);
    }
}
