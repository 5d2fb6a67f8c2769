//! Times in which nobody listened between two owners of a port, from the listeners' coming and going.
//! It is told of every listener once, by record or by survey, and knows it by its cookie.

use std::collections::HashSet;

use crate::bounded::Queue;

/// Most listeners of one service that are told apart. A service with more is taken to be listening.
const LISTENERS_MAX: usize = 4_096;

/// How many of the last to go are remembered: a survey may still tell of them.
const GONE_MAX: usize = 64;

/// The listeners of one service.
#[derive(Debug, Default)]
pub(super) struct Listeners {
    up: HashSet<u64>,
    gone: Queue<u64, GONE_MAX>,
    down_since_ns: Option<u64>,
}

impl Listeners {
    /// A listener is there. Returns the length of the gap that it ends, in nanoseconds.
    pub(super) fn opened(&mut self, cookie: u64, at_ns: u64) -> Option<u64> {
        if self.gone.iter().any(|gone| *gone == cookie) {
            return None;
        }
        if self.up.len() < LISTENERS_MAX {
            self.up.insert(cookie);
        }
        let since = self.down_since_ns.take()?;
        Some(at_ns.saturating_sub(since))
    }

    /// A listener is gone; with the last one a gap begins.
    pub(super) fn closed(&mut self, cookie: u64, at_ns: u64) {
        self.gone.push(cookie);
        let known = self.up.remove(&cookie);
        if known && self.up.is_empty() {
            self.down_since_ns = Some(at_ns);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_to_go_begins_a_gap_and_the_first_to_come_ends_it() {
        let mut listeners = Listeners::default();
        assert_eq!(listeners.opened(1, 10), None);
        assert_eq!(listeners.opened(2, 20), None);
        listeners.closed(1, 30);
        assert_eq!(listeners.opened(3, 35), None, "another one still listened");
        listeners.closed(2, 40);
        listeners.closed(3, 50);
        assert_eq!(listeners.opened(4, 80), Some(30));
        assert_eq!(listeners.opened(5, 90), None);
    }

    #[test]
    fn a_listener_nobody_told_of_begins_no_gap() {
        let mut listeners = Listeners::default();
        listeners.closed(9, 30);
        assert_eq!(listeners.opened(1, 40), None);
    }

    #[test]
    fn a_late_survey_revives_nobody() {
        let mut listeners = Listeners::default();
        listeners.opened(1, 10);
        listeners.closed(1, 20);
        assert_eq!(listeners.opened(1, 25), None);
        assert_eq!(listeners.opened(2, 50), Some(30));
    }

    #[test]
    fn a_handover_without_a_gap_counts_none() {
        let mut listeners = Listeners::default();
        listeners.opened(1, 10);
        listeners.opened(2, 20);
        listeners.closed(1, 20);
        listeners.closed(2, 30);
        assert_eq!(listeners.opened(3, 30), Some(0));
    }
}
