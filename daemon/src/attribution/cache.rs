//! A bounded memory by id: the longest unused entries make room. It knows nothing of cgroups.

use std::collections::HashMap;

/// At most `capacity` values; see [`Cache::insert`].
#[derive(Debug)]
pub(super) struct Cache<V> {
    entries: HashMap<u64, Entry<V>>,
    capacity: usize,
    /// Grows with each use; an entry's own number says when it was used last.
    clock: u64,
    evicted: u64,
}

#[derive(Debug)]
struct Entry<V> {
    value: V,
    used_at: u64,
}

impl<V> Cache<V> {
    /// An empty cache.
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            entries: HashMap::new(),
            capacity,
            clock: 0,
            evicted: 0,
        }
    }

    /// Whether there is a value; it does not count as a use.
    pub(super) fn contains(&self, id: u64) -> bool {
        self.entries.contains_key(&id)
    }

    /// The value, which was used just now.
    pub(super) fn get(&mut self, id: u64) -> Option<&V> {
        self.clock += 1;
        let entry = self.entries.get_mut(&id)?;
        entry.used_at = self.clock;
        Some(&entry.value)
    }

    /// Puts a value in. When the cache is full, the longest unused eighth goes at once, so that the
    /// search for them is paid once in many insertions.
    pub(super) fn insert(&mut self, id: u64, value: V) {
        if self.entries.len() >= self.capacity && !self.entries.contains_key(&id) {
            self.make_room();
        }
        self.clock += 1;
        let used_at = self.clock;
        self.entries.insert(id, Entry { value, used_at });
    }

    /// Number of values.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Number of values that had to go, since the start.
    pub(super) fn evicted(&self) -> u64 {
        self.evicted
    }

    fn make_room(&mut self) {
        let mut ages: Vec<u64> = self.entries.values().map(|entry| entry.used_at).collect();
        let last = (ages.len() / 8).min(ages.len().saturating_sub(1));
        let (_, limit, _) = ages.select_nth_unstable(last);
        let limit = *limit;
        let before = self.entries.len();
        self.entries.retain(|_, entry| entry.used_at > limit);
        self.evicted += (before - self.entries.len()) as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_unused_make_room() {
        let mut cache = Cache::new(16);
        for id in 0..16 {
            cache.insert(id, id * 10);
        }
        assert_eq!(cache.get(0), Some(&0));
        cache.insert(16, 160);
        assert!(cache.len() <= 16);
        assert_eq!(cache.get(0), Some(&0), "used, so it stays");
        assert_eq!(cache.get(1), None, "the longest unused");
        assert_eq!(cache.get(16), Some(&160));
        assert_eq!(cache.evicted(), 3);
    }

    #[test]
    fn a_known_id_takes_no_room() {
        let mut cache = Cache::new(1);
        cache.insert(1, 'a');
        cache.insert(1, 'b');
        assert_eq!(cache.get(1), Some(&'b'));
        assert_eq!(cache.evicted(), 0);
    }

    #[test]
    fn it_never_grows_past_its_capacity() {
        let mut cache = Cache::new(100);
        for id in 0..10_000 {
            cache.insert(id, ());
            assert!(cache.len() <= 100);
        }
        assert_eq!(cache.evicted() + cache.len() as u64, 10_000);
    }
}
