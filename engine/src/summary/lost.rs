//! What clients lost, in words, and what it came of.

use std::cmp::Reverse;

use super::{groups::Group, subject::Subject};
use crate::{
    diagnoses::{Part, RESPONSE_TRUNCATED},
    model::{Cuts, Drain, Verdict},
    render::units::{grouped, many},
};

/// See the module.
#[derive(Default)]
pub(super) struct Lost {
    cut: Cuts,
    /// What each of them was.
    what: &'static str,
    /// Requests that were likely lost.
    likely: u64,
    truncated: u64,
    refused: u64,
    /// Clients that were reset before they were accepted.
    dropped: u64,
}

/// How much of it is told.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Length {
    Long,
    Short,
    Bare,
}

/// What was lost, in words: as the only kind, and among others.
struct Kind {
    alone: &'static str,
    long: &'static str,
    short: &'static str,
}

/// In the order of [`Cuts`].
const KINDS: [Kind; 3] = [
    Kind {
        alone: "read and never answered",
        long: "never answered",
        short: "unanswered",
    },
    Kind {
        alone: "never read by the server",
        long: "never read",
        short: "unread",
    },
    Kind {
        alone: "sent just after the server had closed",
        long: "sent just after the close",
        short: "late",
    },
];

// === impl Lost ===

impl Lost {
    pub(super) fn of(subject: &Subject<'_>, groups: &[Group<'_>]) -> Self {
        let mut cut = subject.outside;
        let mut requests = cut.total();
        for drain in subject.drains {
            let lost = drain.lost();
            cut.add(&lost);
            if !drain.turns_not_judged {
                requests += lost.total();
            }
        }
        let all_told = requests == 0 && cut.total() > 0;
        let truncated = groups.iter().find(|group| group.is_of(&RESPONSE_TRUNCATED));
        let likely = subject
            .drains
            .iter()
            .filter(|drain| !drain.turns_not_judged);
        Self {
            cut,
            what: if all_told { "message" } else { "request" },
            likely: likely.map(|drain| drain.likely_cut).sum(),
            truncated: truncated.map_or(0, Group::connections),
            refused: subject.refused,
            dropped: subject.counts.accept_queue_dropped,
        }
    }

    pub(super) fn is_nothing(&self) -> bool {
        self.total() == 0
    }

    /// Whatever it was that clients lost.
    pub(super) fn total(&self) -> u64 {
        let Self {
            cut,
            what: _,
            likely,
            truncated,
            refused,
            dropped,
        } = self;
        cut.total() + likely + truncated + refused + dropped
    }

    /// What another lost, too.
    pub(super) fn add(&mut self, other: &Self) {
        let Self {
            cut,
            what,
            likely,
            truncated,
            refused,
            dropped,
        } = other;
        if self.cut.total() == 0 {
            self.what = what;
        }
        self.cut.add(cut);
        self.likely += likely;
        self.truncated += truncated;
        self.refused += refused;
        self.dropped += dropped;
    }

    /// How much of what.
    pub(super) fn amount(&self) -> String {
        let cut = self.cut.total();
        let requests = match (cut, self.likely) {
            (0, 0) => None,
            (0, likely) => Some(format!("{} likely lost", many(likely, "request"))),
            (cut, _) => Some(format!("{} lost", many(cut, self.what))),
        };
        let others = self.others(Length::Long).into_iter();
        requests
            .into_iter()
            .chain(others)
            .collect::<Vec<_>>()
            .join(", ")
    }

    /// In full, and then shorter and shorter.
    pub(super) fn told(&self, subject: &Subject<'_>, groups: &[Group<'_>]) -> Vec<String> {
        let requests = match (self.cut.total(), self.likely) {
            (0, 0) if subject.verdict == Verdict::Fail => None,
            (0, 0) => Some("no request lost".to_owned()),
            (0, likely) => Some(format!("{} likely lost", many(likely, "request"))),
            (cut, _) => Some(format!("{} lost", many(cut, self.what))),
        };
        let why = match &requests {
            Some(_) => self.why(subject, groups),
            None => cause(subject, groups).or_else(|| first_loss(groups)),
        };
        let explained = why.is_some() && self.kinds().len() < 2;
        let told = |length: Length| {
            let kinds = match (explained, length) {
                (true, _) | (_, Length::Bare) => String::new(),
                (false, length) => self.told_kinds(length),
            };
            let requests = requests.iter().map(|requests| format!("{requests}{kinds}"));
            let others = self.others(length).into_iter();
            requests.chain(others).collect::<Vec<_>>().join(", ")
        };
        let lost = [Length::Long, Length::Short, Length::Bare].map(told);
        let because = why
            .iter()
            .flat_map(|why| lost.iter().map(move |lost| format!("{lost}: {why}")));
        because.chain(lost.iter().cloned()).collect()
    }

    /// What it came of, as the end of a headline.
    pub(super) fn why(&self, subject: &Subject<'_>, groups: &[Group<'_>]) -> Option<String> {
        let alone = || match self.others(Length::Long).is_empty() {
            true => self.one_kind(),
            false => None,
        };
        cause(subject, groups).or_else(alone)
    }

    /// What was lost beside requests.
    fn others(&self, length: Length) -> Vec<String> {
        let cut = self.cut.total();
        let mut others = Vec::new();
        if self.likely > 0 && cut > 0 && length == Length::Long {
            others.push(format!("{} more likely", grouped(self.likely)));
        }
        if self.truncated > 0 {
            others.push(format!("{} cut short", many(self.truncated, "answer")));
        }
        // Most of them had asked, and are among the requests.
        if self.dropped > 0 && cut == 0 {
            let clients = many(self.dropped, "client");
            others.push(format!("{clients} reset before they were accepted"));
        }
        if self.refused > 0 {
            others.push(match length {
                Length::Long => format!("{} refused", many(self.refused, "connection")),
                _ if others.is_empty() && cut + self.likely == 0 => {
                    format!("{} refused", many(self.refused, "connection"))
                }
                Length::Short | Length::Bare => format!("{} refused", grouped(self.refused)),
            });
        }
        others
    }

    /// Those that there are, the most frequent first.
    fn kinds(&self) -> Vec<(u64, &'static Kind)> {
        let Cuts {
            unanswered,
            unread,
            late,
        } = self.cut;
        let mut kinds: Vec<_> = [unanswered, unread, late].into_iter().zip(&KINDS).collect();
        kinds.retain(|(number, _)| *number > 0);
        kinds.sort_by_key(|(number, _)| Reverse(*number));
        kinds
    }

    fn one_kind(&self) -> Option<String> {
        match self.kinds().as_slice() {
            [(_, kind)] => Some(kind.alone.to_owned()),
            _ => None,
        }
    }

    /// ` (10 never answered, 2 never read)`.
    fn told_kinds(&self, length: Length) -> String {
        let word = |kind: &Kind| match length {
            Length::Long => kind.long,
            Length::Short | Length::Bare => kind.short,
        };
        match self.kinds().as_slice() {
            [] => String::new(),
            [(_, kind)] => format!(" ({})", word(kind)),
            kinds => {
                let told = kinds
                    .iter()
                    .map(|(number, kind)| format!("{} {}", grouped(*number), word(kind)));
                format!(" ({})", told.collect::<Vec<_>>().join(", "))
            }
        }
    }
}

/// What most of the drains that failed have in common, and most of what was lost; with no drain, what stands first.
fn cause(subject: &Subject<'_>, groups: &[Group<'_>]) -> Option<String> {
    if subject.why.is_some() {
        return subject.why.clone();
    }
    if subject.drains.is_empty() {
        let mut causes = groups.iter().filter(|group| group.part == Part::Cause);
        return causes.next().map(Group::says);
    }
    let drains = subject.drains.iter();
    let failed: Vec<&Drain> = drains
        .filter(|drain| drain.verdict == Verdict::Fail)
        .collect();
    let cut = subject.counts.cut.total();
    let explains = |group: &&Group<'_>| {
        let of_it = failed.iter().filter(|drain| group.is_in(drain)).count();
        let is_most = group.connections() == 0 || group.connections() * 2 > cut;
        group.part == Part::Cause && of_it > 0 && of_it * 2 >= failed.len() && is_most
    };
    groups.iter().find(explains).map(Group::says)
}

fn first_loss(groups: &[Group<'_>]) -> Option<String> {
    let mut groups = groups.iter();
    groups
        .find(|group| group.part == Part::Loss)
        .map(Group::says)
}
