//! A map and a queue that cannot outgrow their bound: the oldest make room, or what is new is kept out, and a counter
//! says how often. They do not know what they hold.
//!
//! The bound is part of the type, so that it stands where the collection is declared. What is walked through comes in
//! the order of its age, never in the hasher's: the same inputs give the same outputs.

use std::{
    borrow::Borrow,
    collections::{HashMap, VecDeque, vec_deque},
    hash::Hash,
};

/// At most `MAX` values by key. A set is one with values of `()`.
#[derive(Debug, Clone)]
pub struct Bounded<K, V, const MAX: usize> {
    entries: HashMap<K, Entry<V>>,
    /// Keys with their numbers, the oldest first. A key that was removed or became the newest leaves its old number
    /// behind, until [`Bounded::tidy`].
    order: VecDeque<(u64, K)>,
    next: u64,
    bitten: u64,
}

#[derive(Debug, Clone)]
struct Entry<V> {
    number: u64,
    value: V,
}

/// At most `MAX` values, the oldest first.
#[derive(Debug, Clone)]
pub struct Queue<T, const MAX: usize> {
    values: VecDeque<T>,
    bitten: u64,
}

// === impl Bounded ===

impl<K, V, const MAX: usize> Default for Bounded<K, V, MAX> {
    fn default() -> Self {
        const { assert!(MAX > 0, "a bound of nothing") };
        Self {
            entries: HashMap::new(),
            order: VecDeque::new(),
            next: 0,
            bitten: 0,
        }
    }
}

impl<K: Clone + Eq + Hash, V, const MAX: usize> Bounded<K, V, MAX> {
    /// Puts a value in as the newest, in place of what its key had. Returns what the bound pushed out.
    pub fn insert(&mut self, key: K, value: V) -> Option<(K, V)> {
        let pushed_out = if self.entries.len() >= MAX && !self.entries.contains_key(&key) {
            self.bitten += 1;
            self.pop_oldest()
        } else {
            None
        };
        let number = self.number(key.clone());
        self.entries.insert(key, Entry { number, value });
        self.tidy();
        pushed_out
    }

    /// The value of a key; where it has none, `make` makes one as the newest. `None` when the bound keeps it out.
    pub fn admit(&mut self, key: K, make: impl FnOnce() -> V) -> Option<&mut V> {
        if !self.entries.contains_key(&key) {
            if self.entries.len() >= MAX {
                self.bitten += 1;
                return None;
            }
            self.insert(key.clone(), make());
        }
        self.get_mut(&key)
    }

    /// Makes what a key has the newest, where it has something: so the longest unused make room.
    pub fn refresh(&mut self, key: &K) {
        let number = self.next;
        if let Some(entry) = self.entries.get_mut(key) {
            entry.number = number;
            self.number(key.clone());
            self.tidy();
        }
    }

    /// The value of a key.
    pub fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.entries.get(key).map(|entry| &entry.value)
    }

    /// The value of a key, to be changed; its age stays.
    pub fn get_mut<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        self.entries.get_mut(key).map(|entry| &mut entry.value)
    }

    /// Whether a key has a value.
    pub fn contains<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.entries.contains_key(key)
    }

    /// Takes a value out.
    pub fn remove<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let removed = self.entries.remove(key)?;
        self.tidy();
        Some(removed.value)
    }

    /// Takes the oldest out.
    pub fn pop_oldest(&mut self) -> Option<(K, V)> {
        while let Some((number, key)) = self.order.pop_front() {
            if is_current(&self.entries, number, &key)
                && let Some(Entry { value, .. }) = self.entries.remove(&key)
            {
                return Some((key, value));
            }
        }
        None
    }

    /// Takes the oldest out for as long as it is `over`: what has had its time is not what the bound pushes out.
    pub fn expire(&mut self, over: impl Fn(&K, &V) -> bool) {
        while let Some((number, key)) = self.order.front() {
            let current = self.entries.get(key).filter(|e| e.number == *number);
            if current.is_some_and(|entry| !over(key, &entry.value)) {
                break;
            }
            if current.is_some() {
                self.entries.remove(key);
            }
            self.order.pop_front();
        }
    }

    /// Keeps what is asked for.
    pub fn retain(&mut self, mut keep: impl FnMut(&K, &mut V) -> bool) {
        let Self { entries, order, .. } = self;
        // In the order of age, as `keep` may count.
        order.retain(|(number, key)| {
            let Some(entry) = entries.get_mut(key).filter(|e| e.number == *number) else {
                return false;
            };
            let kept = keep(key, &mut entry.value);
            if !kept {
                entries.remove(key);
            }
            kept
        });
    }

    /// Forgets all, but not how often the bound bit.
    pub fn clear(&mut self) {
        self.entries.clear();
        self.order.clear();
    }

    /// From the oldest to the newest.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&K, &V)> {
        self.order.iter().filter_map(|(number, key)| {
            let (key, entry) = self.entries.get_key_value(key)?;
            (entry.number == *number).then_some((key, &entry.value))
        })
    }

    /// All values, to be changed, in no order.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.entries.values_mut().map(|entry| &mut entry.value)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether the next new key makes the bound bite.
    pub fn is_full(&self) -> bool {
        self.entries.len() >= MAX
    }

    /// How many values the bound pushed out or kept out; only grows.
    pub fn bitten(&self) -> u64 {
        self.bitten
    }

    fn number(&mut self, key: K) -> u64 {
        let number = self.next;
        self.next += 1;
        self.order.push_back((number, key));
        number
    }

    /// Drops what removed keys left behind, once that is the greater part: paid for by the removals themselves.
    fn tidy(&mut self) {
        const FEW: usize = 16;
        let Self { entries, order, .. } = self;
        if order.len() > 2 * entries.len() + FEW {
            order.retain(|(number, key)| is_current(entries, *number, key));
        }
    }
}

fn is_current<K: Eq + Hash, V>(entries: &HashMap<K, Entry<V>>, number: u64, key: &K) -> bool {
    entries.get(key).is_some_and(|e| e.number == number)
}

// === impl Queue ===

impl<T, const MAX: usize> Default for Queue<T, MAX> {
    fn default() -> Self {
        const { assert!(MAX > 0, "a bound of nothing") };
        Self {
            values: VecDeque::new(),
            bitten: 0,
        }
    }
}

impl<T, const MAX: usize> Queue<T, MAX> {
    /// Puts a value behind the others. Returns what the bound pushed out.
    pub fn push(&mut self, value: T) -> Option<T> {
        let pushed_out = if self.values.len() >= MAX {
            self.bitten += 1;
            self.values.pop_front()
        } else {
            None
        };
        self.values.push_back(value);
        pushed_out
    }

    /// Takes the oldest out, if it is `wanted`.
    pub fn pop_if(&mut self, wanted: impl FnOnce(&T) -> bool) -> Option<T> {
        self.values.pop_front_if(|value| wanted(value))
    }

    /// Takes the oldest out of those that are `wanted`.
    pub fn take(&mut self, wanted: impl FnMut(&T) -> bool) -> Option<T> {
        let at = self.values.iter().position(wanted)?;
        self.values.remove(at)
    }

    /// Takes the newest out of those that are `wanted`.
    pub fn take_newest(&mut self, wanted: impl FnMut(&T) -> bool) -> Option<T> {
        let at = self.values.iter().rposition(wanted)?;
        self.values.remove(at)
    }

    /// Takes out all that are `wanted`.
    pub fn take_all(&mut self, mut wanted: impl FnMut(&T) -> bool) -> Vec<T> {
        let (taken, left) = std::mem::take(&mut self.values)
            .into_iter()
            .partition::<VecDeque<T>, _>(|value| wanted(value));
        self.values = left;
        taken.into()
    }

    /// Keeps what is asked for.
    pub fn retain(&mut self, keep: impl FnMut(&T) -> bool) {
        self.values.retain(keep);
    }

    /// From the oldest to the newest.
    pub fn iter(&self) -> vec_deque::Iter<'_, T> {
        self.values.iter()
    }

    /// The same, to be changed.
    pub fn iter_mut(&mut self) -> vec_deque::IterMut<'_, T> {
        self.values.iter_mut()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// How many values the bound pushed out; only grows.
    pub fn bitten(&self) -> u64 {
        self.bitten
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn keys<V, const MAX: usize>(map: &Bounded<u64, V, MAX>) -> Vec<u64> {
        map.iter().map(|(key, _)| *key).collect()
    }

    #[test]
    fn the_oldest_makes_room_and_is_counted() {
        let mut map = Bounded::<_, _, 3>::default();
        for key in 0..3 {
            assert_eq!(map.insert(key, key * 10), None);
        }
        assert_eq!((map.bitten(), map.is_full()), (0, true));
        assert_eq!(map.insert(3, 30), Some((0, 0)));
        assert_eq!(keys(&map), [1, 2, 3]);
        assert_eq!(map.bitten(), 1);
    }

    #[test]
    fn a_known_key_takes_no_room_and_becomes_the_newest() {
        let mut map = Bounded::<_, _, 2>::default();
        map.insert(1, 'a');
        map.insert(2, 'b');
        assert_eq!(map.insert(1, 'c'), None);
        assert_eq!(map.insert(3, 'd'), Some((2, 'b')));
        assert_eq!(map.get(&1), Some(&'c'));
        assert_eq!(map.bitten(), 1);
    }

    #[test]
    fn what_is_used_stays() {
        let mut map = Bounded::<_, _, 2>::default();
        map.insert(1, ());
        map.insert(2, ());
        map.refresh(&1);
        map.refresh(&9);
        assert_eq!(map.insert(3, ()), Some((2, ())));
        assert_eq!(keys(&map), [1, 3]);
    }

    #[test]
    fn a_full_map_admits_only_whom_it_knows() {
        let mut map = Bounded::<_, Vec<u64>, 1>::default();
        for value in [5, 6] {
            map.admit(1, Vec::new).expect("room").push(value);
        }
        assert_eq!(map.admit(2, Vec::new), None);
        assert_eq!(map.get(&1), Some(&vec![5, 6]));
        assert_eq!((map.len(), map.bitten()), (1, 1));
    }

    #[test]
    fn what_has_had_its_time_is_not_counted() {
        let mut map = Bounded::<_, _, 3>::default();
        for key in 0..3_u64 {
            map.insert(key, key);
        }
        map.expire(|_, at| *at < 2);
        assert_eq!((keys(&map), map.bitten()), (vec![2], 0));
    }

    #[test]
    fn a_queue_pushes_out_its_oldest() {
        let mut queue = Queue::<_, 2>::default();
        assert_eq!([queue.push(1), queue.push(2)], [None, None]);
        assert_eq!(queue.push(3), Some(1));
        assert_eq!(queue.take_newest(|value| *value > 1), Some(3));
        queue.push(3);
        assert_eq!(queue.take(|value| *value > 1), Some(2));
        assert_eq!(queue.take(|value| *value == 2), None);
        queue.push(2);
        assert_eq!(queue.take(|value| *value == 3), Some(3));
        assert_eq!((queue.len(), queue.bitten()), (1, 1));
        queue.push(4);
        assert_eq!(queue.take_all(|value| *value > 2), [4]);
        assert_eq!(queue.pop_if(|value| *value > 2), None);
        assert_eq!(queue.pop_if(|value| *value == 2), Some(2));
        assert!(queue.is_empty());
    }

    /// What is done to a map.
    #[derive(Debug, Clone)]
    enum Step {
        Insert(u64),
        Admit(u64),
        Refresh(u64),
        Remove(u64),
        PopOldest,
        RetainBelow(u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let key = 0_u64..12;
        let step = prop_oneof![
            4 => key.clone().prop_map(Step::Insert),
            2 => key.clone().prop_map(Step::Admit),
            2 => key.clone().prop_map(Step::Refresh),
            3 => key.clone().prop_map(Step::Remove),
            1 => Just(Step::PopOldest),
            1 => key.prop_map(Step::RetainBelow),
        ];
        proptest::collection::vec(step, 0..300)
    }

    proptest! {
        /// Against a list that is searched from end to end.
        #[test]
        fn it_is_a_list_with_a_bound(steps in steps()) {
            const MAX: usize = 5;
            let mut map = Bounded::<u64, (), MAX>::default();
            let (mut list, mut bitten) = (Vec::<u64>::new(), 0);
            for step in steps {
                match step {
                    Step::Insert(key) => {
                        map.insert(key, ());
                        list.retain(|known| *known != key);
                        if list.len() == MAX {
                            list.remove(0);
                            bitten += 1;
                        }
                        list.push(key);
                    }
                    Step::Admit(key) => {
                        map.admit(key, || ());
                        if !list.contains(&key) {
                            if list.len() < MAX { list.push(key) } else { bitten += 1 }
                        }
                    }
                    Step::Refresh(key) => {
                        map.refresh(&key);
                        if list.contains(&key) {
                            list.retain(|known| *known != key);
                            list.push(key);
                        }
                    }
                    Step::Remove(key) => {
                        let was = map.remove(&key).is_some();
                        prop_assert_eq!(was, list.contains(&key));
                        list.retain(|known| *known != key);
                    }
                    Step::PopOldest => {
                        let oldest = map.pop_oldest().map(|(key, ())| key);
                        prop_assert_eq!(oldest, list.first().copied());
                        list = list.split_off(list.len().min(1));
                    }
                    Step::RetainBelow(limit) => {
                        map.retain(|key, ()| *key < limit);
                        list.retain(|key| *key < limit);
                    }
                }
                prop_assert_eq!(keys(&map), list.clone());
                prop_assert_eq!((map.len(), map.bitten()), (list.len(), bitten));
                prop_assert!(map.order.len() <= 2 * MAX + 16, "{} left behind", map.order.len());
            }
        }
    }
}
