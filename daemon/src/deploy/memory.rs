//! Which events came before. Bounded: the oldest are forgotten, and an event that comes again after that is taken
//! again.

use finwatch_engine::bounded::Bounded;
use sha2::{Digest as _, Sha256};

/// Most names remembered, at 32 bytes each, twice.
pub(super) const NAMES_MAX: usize = 4_096;

/// A name, hashed: what senders choose may be long.
pub(super) type Name = [u8; 32];

/// The names.
pub(super) type Memory = Bounded<Name, (), NAMES_MAX>;

/// The name that these parts make together.
pub(super) fn name(parts: &[&str]) -> Name {
    let mut hash = Sha256::new();
    for part in parts {
        // With their lengths, so that no two lists of parts run together.
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_run_together() {
        assert_ne!(name(&["ab", "c"]), name(&["a", "bc"]));
        assert_ne!(name(&["ab"]), name(&["ab", ""]));
    }
}
