//! For how long connections had been idle when this side closed them: an idle timeout shows in a time that most of them share.

use crate::{model::IdleTimes, render::units::length};

/// Fewer requests on just closed connections are chance.
pub(crate) const LATE_MIN: u64 = 3;
/// Idle times that differ by less are the same: a share of the time, and seconds.
const SAME: (f64, f64) = (0.1, 0.5);
/// No server's idle timeout is shorter: times below are the pauses of clients, which are alike by themselves.
const SHORTEST_SECS: f64 = 1.0;

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Idle {
    pub(crate) times: IdleTimes,
    /// Three in four had been idle for the same time; closes for other reasons are scattered.
    pub(crate) is_constant: bool,
}

// === impl Idle ===

impl Idle {
    /// Of connections that had been idle for so many seconds; none where there is none.
    pub(crate) fn of(secs: impl Iterator<Item = f64>) -> Option<Self> {
        let mut secs: Vec<f64> = secs.collect();
        secs.sort_by(f64::total_cmp);
        let median_secs = *secs.get(secs.len() / 2)?;
        let (share, slack) = SAME;
        let near = |secs: &&f64| (**secs - median_secs).abs() <= (median_secs * share).max(slack);
        Some(Self {
            times: IdleTimes {
                known: secs.len() as u64,
                min_secs: *secs.first()?,
                median_secs,
                max_secs: *secs.last()?,
            },
            is_constant: median_secs >= SHORTEST_SECS
                && secs.iter().filter(near).count() * 4 >= secs.len() * 3,
        })
    }

    /// The time that most of them share, in a sentence.
    pub(crate) fn told(&self) -> String {
        let most = length(self.times.median_secs);
        format!("They had been idle for {most}, most of them.")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_shows_in_most_of_them() {
        let of = |secs: &[f64]| Idle::of(secs.iter().copied());
        assert_eq!(of(&[]), None);
        let timeout = of(&[5.0, 5.1, 0.4, 5.0]).expect("some");
        assert!(timeout.is_constant);
        assert_eq!(
            timeout.told(),
            "They had been idle for 5.0 s, most of them."
        );
        assert_eq!((timeout.times.min_secs, timeout.times.max_secs), (0.4, 5.1));
        assert!(!of(&[1.0, 4.0, 9.0, 30.0]).expect("some").is_constant);
        assert!(of(&[1.0, 1.1, 1.0]).expect("some").is_constant);
        assert!(!of(&[0.1, 0.1, 0.1]).expect("some").is_constant, "a pause");
    }
}
