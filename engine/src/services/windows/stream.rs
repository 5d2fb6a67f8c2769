//! The counts of one service's buckets as a stream of bytes: short numbers, only for buckets in which something was
//! counted, and only for what was. It does not know what the numbers mean.

use std::collections::VecDeque;

use super::counted::{COUNTED, Counted};

/// Most bytes of one service's buckets; beyond these the oldest go early, and its window is shorter.
const STREAM_MAX: usize = 4_096;
/// So many bytes are reserved at a time: doubling would waste more than half of them.
const STREAM_STEP: usize = 64;
/// How an entry of a stream is to be read: the low bits of its first number.
const SAME_MASK: u64 = 0;
const NEW_MASK: u64 = 1;
const NOT_ORDINARY: u64 = 2;

/// Entries of those buckets in which something was counted, each relative to the one before.
#[derive(Debug, Default)]
pub(super) struct Stream {
    bytes: VecDeque<u8>,
    /// Number and mask of the entry before the first one.
    front: Place,
    /// Of the last one.
    back: Place,
}

#[derive(Debug, Default, Clone, Copy)]
struct Place {
    number: u32,
    mask: u64,
}

/// What was counted in one bucket.
pub(super) struct Entry {
    place: Place,
    /// Whether nothing but ordinary time was in it.
    pub(super) ordinary: bool,
    /// What was counted.
    pub(super) counted: Counted,
}

// === impl Stream ===

impl Stream {
    /// An empty one, whose first entry comes after the bucket of this number.
    pub(super) fn after(number: u32) -> Self {
        let place = Place { number, mask: 0 };
        Self {
            bytes: VecDeque::new(),
            front: place,
            back: place,
        }
    }

    /// Number of the last bucket that is not told of any more.
    pub(super) fn forgotten(&self) -> u32 {
        self.front.number
    }

    /// Bytes that it holds.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.capacity()
    }

    pub(super) fn push(&mut self, number: u32, ordinary: bool, counted: &Counted) {
        let gap = u64::from(number - self.back.number) << 2;
        let mut bytes = Vec::with_capacity(COUNTED * 2);
        if ordinary {
            let mask = (0..COUNTED).fold(0, |mask, i| mask | u64::from(counted[i] > 0) << i);
            if mask == self.back.mask {
                put(&mut bytes, gap | SAME_MASK);
            } else {
                put(&mut bytes, gap | NEW_MASK);
                put(&mut bytes, mask);
            }
            for count in counted.iter().filter(|count| **count > 0) {
                put(&mut bytes, u64::from(*count));
            }
            self.back.mask = mask;
        } else {
            put(&mut bytes, gap | NOT_ORDINARY);
        }
        self.back.number = number;
        if self.bytes.capacity() < self.bytes.len() + bytes.len() {
            self.bytes.reserve_exact(bytes.len().max(STREAM_STEP));
        }
        self.bytes.extend(bytes);
    }

    /// Drops entries of buckets that are not kept, and the oldest ones of a stream that is too long.
    pub(super) fn forget(&mut self, oldest: u32) {
        loop {
            let mut rest = self.bytes.iter().copied();
            let Some(entry) = read(&mut rest, self.front) else {
                return;
            };
            let left = rest.len();
            if entry.place.number > oldest && self.bytes.len() <= STREAM_MAX {
                return;
            }
            self.front = entry.place;
            self.bytes.drain(..self.bytes.len() - left);
        }
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = Entry> {
        let mut rest = self.bytes.iter().copied();
        let mut place = self.front;
        std::iter::from_fn(move || {
            let entry = read(&mut rest, place)?;
            place = entry.place;
            Some(entry)
        })
    }
}

// === impl Entry ===

impl Entry {
    /// Number of its bucket.
    pub(super) const fn number(&self) -> u32 {
        self.place.number
    }
}

/// Reads an entry, knowing the one before it.
fn read(bytes: &mut impl Iterator<Item = u8>, before: Place) -> Option<Entry> {
    let head = get(bytes)?;
    let mut place = Place {
        number: before.number + (head >> 2) as u32,
        mask: before.mask,
    };
    let ordinary = head & 3 != NOT_ORDINARY;
    let mut counted = [0; COUNTED];
    if ordinary {
        if head & 3 == NEW_MASK {
            place.mask = get(bytes)?;
        }
        for (i, count) in counted.iter_mut().enumerate() {
            if place.mask >> i & 1 == 1 {
                *count = get(bytes)? as u32;
            }
        }
    }
    Some(Entry {
        place,
        ordinary,
        counted,
    })
}

/// Writes a number, seven bits a byte, the low ones first.
fn put(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn get(bytes: &mut impl Iterator<Item = u8>) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = bytes.next()?;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_come_back(number in any::<u64>()) {
            let mut bytes = Vec::new();
            put(&mut bytes, number);
            prop_assert_eq!(get(&mut bytes.into_iter()), Some(number));
        }
    }

    #[test]
    fn a_stream_that_is_too_long_forgets_its_oldest_and_says_so() {
        let mut stream = Stream::after(0);
        for number in 1..=100 {
            stream.push(number, true, &[u32::MAX / 3; COUNTED]);
            stream.forget(0);
        }
        assert!(stream.bytes() <= STREAM_MAX + 200, "{}", stream.bytes());
        let numbers: Vec<_> = stream.entries().map(|entry| entry.number()).collect();
        let forgotten = stream.forgotten();
        assert!(forgotten > 0);
        assert_eq!(numbers, ((forgotten + 1)..=100).collect::<Vec<_>>());
    }
}
