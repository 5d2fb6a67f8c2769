//! Which events came before. Bounded: the oldest are forgotten, and an event that comes again after that is taken
//! again.

use std::collections::{HashSet, VecDeque};

use sha2::{Digest as _, Sha256};

/// Most names remembered, at 32 bytes each, twice.
pub(super) const NAMES_MAX: usize = 4_096;

/// A name, hashed: what senders choose may be long.
pub(super) type Name = [u8; 32];

/// The names.
#[derive(Debug, Default)]
pub(super) struct Memory {
    known: HashSet<Name>,
    by_age: VecDeque<Name>,
}

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

// === impl Memory ===

impl Memory {
    pub(super) fn knows(&self, name: &Name) -> bool {
        self.known.contains(name)
    }

    pub(super) fn remember(&mut self, name: Name) {
        if !self.known.insert(name) {
            return;
        }
        self.by_age.push_back(name);
        if self.by_age.len() > NAMES_MAX
            && let Some(oldest) = self.by_age.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_goes() {
        let mut memory = Memory::default();
        let names: Vec<_> = (0..=NAMES_MAX).map(|n| name(&[&n.to_string()])).collect();
        for one in &names {
            memory.remember(*one);
            memory.remember(*one);
        }
        assert!(!memory.knows(&names[0]));
        assert!(names[1..].iter().all(|one| memory.knows(one)));
        assert_eq!(
            (memory.known.len(), memory.by_age.len()),
            (NAMES_MAX, NAMES_MAX)
        );
    }

    #[test]
    fn parts_do_not_run_together() {
        assert_ne!(name(&["ab", "c"]), name(&["a", "bc"]));
        assert_ne!(name(&["ab"]), name(&["ab", ""]));
    }
}
