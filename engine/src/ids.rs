//! Names of rollouts and incidents: whose it is and when it began, once each.

use jiff::Timestamp;

use crate::bounded::Bounded;

/// Most names that are remembered as taken. A name holds its second: an older one cannot come again.
const TAKEN_MAX: usize = 1_024;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Ids {
    taken: Bounded<String, (), TAKEN_MAX>,
}

// === impl Ids ===

impl Ids {
    /// A name that no other has.
    pub(crate) fn fresh(&mut self, whose: &str, at: Timestamp) -> String {
        let name: String = whose
            .chars()
            .map(|c| match c {
                c if c.is_ascii_alphanumeric() => c,
                '.' | '_' | '-' => c,
                _ => '-',
            })
            .collect();
        let first = format!("{name}-{}", at.strftime("%Y%m%dT%H%M%SZ"));
        let mut id = first.clone();
        for number in 2..=TAKEN_MAX + 1 {
            if !self.taken.contains(&id) {
                break;
            }
            id = format!("{first}-{number}");
        }
        self.taken.insert(id.clone(), ());
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_what_and_when() {
        let at = "2026-01-02T03:04:05.678Z".parse().expect("a time");
        let mut ids = Ids::default();
        assert_eq!(
            ids.fresh("nginx.service", at),
            "nginx.service-20260102T030405Z"
        );
        assert_eq!(
            ids.fresh("nginx.service", at),
            "nginx.service-20260102T030405Z-2"
        );
        assert_eq!(
            ids.fresh("nginx.service", at),
            "nginx.service-20260102T030405Z-3"
        );
        assert_eq!(ids.fresh("a b/c:\u{e9}", at), "a-b-c---20260102T030405Z");
    }
}
