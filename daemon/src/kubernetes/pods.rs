//! The pods of this node, by the uids that their cgroups are named by. One that is gone is remembered for a while: its last
//! connections may end, and be asked for, after it. It asks nobody and reads no clock.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use finwatch_engine::{bounded::Bounded, model::Named};

use super::PodMeta;

/// Most pods that run here at once: ten times what a large node is let have.
pub const PODS_MAX: usize = 4_096;
/// Most that are gone and remembered, at about 500 bytes each.
pub const TOMBSTONES_MAX: usize = 4_096;
/// How long one that is gone is remembered: longer than the longest usual grace and the last mini-socket after it.
const TOMBSTONE: Duration = Duration::from_secs(15 * 60);

/// What the watch tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// All pods follow, one by one.
    Listing,
    /// One of these.
    Listed(PodMeta),
    /// Those were all: others are gone.
    ListEnd,
    /// A pod came, or is another than it was.
    Applied(PodMeta),
    /// A pod is gone.
    Deleted(PodMeta),
}

/// Figures about themselves.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct PodsFigures {
    /// Pods of this node that are known.
    pub running: usize,
    /// Pods that are gone and remembered.
    pub gone: usize,
    /// Times one was forgotten, or not taken in, as there were too many; only grows.
    pub full: u64,
}

/// See the module.
#[derive(Debug)]
pub struct Pods {
    node: String,
    running: Bounded<String, Named, PODS_MAX>,
    gone: Bounded<String, (Named, Instant), TOMBSTONES_MAX>,
    /// Those that a list has shown so far, while one is read.
    listed: Option<HashSet<String>>,
}

// === impl Pods ===

impl Pods {
    /// None yet, of this node.
    pub fn new(node: &str) -> Self {
        Self {
            node: node.to_owned(),
            running: Bounded::default(),
            gone: Bounded::default(),
            listed: None,
        }
    }

    /// Takes in what the watch told.
    pub fn take(&mut self, change: Change, now: Instant) {
        self.gone
            .expire(|_, (_, since)| now.saturating_duration_since(*since) >= TOMBSTONE);
        match change {
            Change::Listing => self.listed = Some(HashSet::new()),
            Change::Listed(meta) => {
                if let Some(listed) = &mut self.listed {
                    listed.insert(meta.cgroup_uid().to_owned());
                }
                self.learn(&meta);
            }
            Change::ListEnd => {
                let listed = self.listed.take().unwrap_or_default();
                let running = self.running.iter().map(|(uid, _)| uid);
                let left: Vec<_> = running
                    .filter(|uid| !listed.contains(*uid))
                    .cloned()
                    .collect();
                for uid in left {
                    self.bury(&uid, now);
                }
            }
            Change::Applied(meta) => self.learn(&meta),
            Change::Deleted(meta) => {
                // One of which nobody heard while it ran may have had connections all the same.
                self.learn(&meta);
                self.bury(meta.cgroup_uid(), now);
            }
        }
    }

    /// The pod that a cgroup is named by.
    pub fn find(&self, uid: &str) -> Option<&Named> {
        let gone = || self.gone.get(uid).map(|(named, _)| named);
        self.running.get(uid).or_else(gone)
    }

    /// Figures about them.
    pub fn figures(&self) -> PodsFigures {
        PodsFigures {
            running: self.running.len(),
            gone: self.gone.len(),
            full: self.running.bitten() + self.gone.bitten(),
        }
    }

    fn learn(&mut self, meta: &PodMeta) {
        let uid = meta.cgroup_uid();
        self.gone.remove(uid);
        self.running.insert(uid.to_owned(), meta.named(&self.node));
    }

    fn bury(&mut self, uid: &str, now: Instant) {
        if let Some(named) = self.running.remove(uid) {
            self.gone.insert(uid.to_owned(), (named, now));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(uid: &str) -> PodMeta {
        PodMeta {
            uid: uid.to_owned(),
            namespace: "shop".to_owned(),
            name: format!("web-{uid}"),
            ..PodMeta::default()
        }
    }

    fn name(pods: &Pods, uid: &str) -> Option<String> {
        pods.find(uid).and_then(|named| named.pod.name.clone())
    }

    #[test]
    fn a_pod_that_is_gone_is_remembered_for_a_quarter_of_an_hour() {
        let mut pods = Pods::new("n");
        let began = Instant::now();
        let later = |secs| began + Duration::from_secs(secs);
        pods.take(Change::Applied(pod("a")), began);
        pods.take(Change::Deleted(pod("a")), began);
        pods.take(Change::Deleted(pod("unheard")), began);
        pods.take(Change::Applied(pod("b")), later(899));
        assert_eq!(name(&pods, "a").as_deref(), Some("web-a"));
        assert_eq!(name(&pods, "unheard").as_deref(), Some("web-unheard"));
        assert_eq!((pods.figures().running, pods.figures().gone), (1, 2));
        pods.take(Change::Applied(pod("b")), later(900));
        assert_eq!(name(&pods, "a"), None);
        assert_eq!(name(&pods, "b").as_deref(), Some("web-b"));
        assert_eq!(
            pods.figures(),
            PodsFigures {
                running: 1,
                gone: 0,
                full: 0
            }
        );
    }

    #[test]
    fn what_a_new_list_does_not_show_went_unheard() {
        let mut pods = Pods::new("n");
        let now = Instant::now();
        for uid in ["a", "b"] {
            pods.take(Change::Applied(pod(uid)), now);
        }
        pods.take(Change::Listing, now);
        pods.take(Change::Listed(pod("b")), now);
        pods.take(Change::Listed(pod("c")), now);
        assert_eq!(pods.figures().running, 3, "until the list is whole");
        pods.take(Change::ListEnd, now);
        let figures = pods.figures();
        assert_eq!((figures.running, figures.gone), (2, 1));
        assert_eq!(name(&pods, "a").as_deref(), Some("web-a"), "remembered");
    }

    #[test]
    fn a_list_that_was_cut_short_buries_nobody() {
        let mut pods = Pods::new("n");
        let now = Instant::now();
        pods.take(Change::Applied(pod("a")), now);
        pods.take(Change::Listing, now);
        pods.take(Change::Listing, now);
        pods.take(Change::Listed(pod("a")), now);
        pods.take(Change::ListEnd, now);
        assert_eq!((pods.figures().running, pods.figures().gone), (1, 0));
    }

    #[test]
    fn no_more_are_remembered_than_the_bound_says() {
        let mut pods = Pods::new("n");
        let now = Instant::now();
        for number in 0..TOMBSTONES_MAX + 10 {
            let uid = number.to_string();
            pods.take(Change::Applied(pod(&uid)), now);
            pods.take(Change::Deleted(pod(&uid)), now);
        }
        let gone = TOMBSTONES_MAX;
        assert_eq!(
            pods.figures(),
            PodsFigures {
                running: 0,
                gone,
                full: 10
            }
        );
        assert_eq!(name(&pods, "9"), None, "the oldest went first");
        assert!(name(&pods, "10").is_some());
    }
}
