//! Times in which nobody served: no part of a service's ordinary time, as nothing could happen in them. It does not know how
//! they were found out.

/// Most of one service. Beyond these the oldest go early, and its window begins after them.
const PAUSES_MAX: usize = 64;

/// Spans of the kernel's clock, apart from each other, in their order.
#[derive(Debug, Default)]
pub(super) struct Pauses {
    spans: Vec<Span>,
    /// Before this time pauses may have been forgotten.
    known_since_ns: u64,
}

/// From its first to its second time, nanoseconds on the kernel's clock.
type Span = (u64, u64);

// === impl Pauses ===

impl Pauses {
    /// Adds one; with those that it overlaps or touches it is one.
    pub(super) fn add(&mut self, from_ns: u64, until_ns: u64) {
        if from_ns >= until_ns {
            return;
        }
        let first = self.spans.partition_point(|(_, until)| *until < from_ns);
        let behind = self.spans.partition_point(|(from, _)| *from <= until_ns);
        let (mut from, mut until) = (from_ns, until_ns);
        for span in self.spans.drain(first..behind) {
            from = from.min(span.0);
            until = until.max(span.1);
        }
        self.spans.insert(first, (from, until));
        if self.spans.len() > PAUSES_MAX {
            self.known_since_ns = self.spans.remove(0).1;
        }
    }

    /// Forgets those that ended by then.
    pub(super) fn forget(&mut self, oldest_ns: u64) {
        self.spans.retain(|(_, until)| *until > oldest_ns);
    }

    /// From when on all are known.
    pub(super) const fn known_since_ns(&self) -> u64 {
        self.known_since_ns
    }

    /// How much of a span is none of them, nanoseconds.
    pub(super) fn served_ns(&self, from_ns: u64, until_ns: u64) -> u64 {
        let paused = self
            .spans
            .iter()
            .map(|(from, until)| (*until).min(until_ns).saturating_sub((*from).max(from_ns)));
        (until_ns - from_ns) - paused.sum::<u64>()
    }

    /// Bytes that it holds beside itself.
    pub(super) fn bytes(&self) -> usize {
        self.spans.capacity() * size_of::<Span>()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Held against a plain list of which units of time are paused.
        #[test]
        fn what_is_left_is_what_no_pause_covers(
            added in prop::collection::vec((0u64..200, 0u64..30), 0..40),
            from in 0u64..200,
            length in 0u64..100,
        ) {
            let mut pauses = Pauses::default();
            let mut plain = [false; 400];
            for (at, length) in added {
                pauses.add(at, at + length);
                plain[at as usize..(at + length) as usize].fill(true);
            }
            let left = plain[from as usize..(from + length) as usize]
                .iter()
                .filter(|paused| !**paused)
                .count();
            prop_assert_eq!(pauses.served_ns(from, from + length), left as u64);
            prop_assert!(pauses.spans.is_sorted());
        }
    }

    #[test]
    fn past_the_bound_the_oldest_go_and_it_is_said_from_when_on_all_are_known() {
        let mut pauses = Pauses::default();
        for at in 0..PAUSES_MAX as u64 + 2 {
            pauses.add(at * 10, at * 10 + 5);
        }
        assert_eq!(
            (pauses.spans.len(), pauses.known_since_ns()),
            (PAUSES_MAX, 15)
        );
        pauses.forget(1_000_000);
        assert_eq!(pauses.spans, []);
    }
}
