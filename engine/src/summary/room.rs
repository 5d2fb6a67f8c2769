//! What room there is for diagnoses, and who gets it: those that come first are told as fully as it allows, the others are
//! named in one line for each severity.

use std::collections::BTreeSet;

use super::groups::{Form, Group};
use crate::model::Severity;
use crate::render::{
    columns::{fitted, width, wrap},
    finding::severity_title,
    tree::{Section, Tone},
    units::Times,
};

/// What belongs to a diagnosis stands so much further in than the diagnosis.
const INDENT: usize = 6;
/// From the fullest: what was seen and whom it hit gives way to what is to be done.
const FORMS: [Form; 5] = [
    form(2, true, 3),
    form(1, true, 2),
    form(1, false, 2),
    form(0, false, 2),
    form(0, false, 1),
];

const fn form(fact: usize, examples: bool, remedy: usize) -> Form {
    Form {
        fact,
        examples,
        remedy,
    }
}

/// See the module.
pub(super) struct Room<'a> {
    pub(super) lines: usize,
    pub(super) columns: usize,
    pub(super) times: &'a Times,
}

// === impl Room ===

impl Room<'_> {
    /// A section for each that gets some of it, and one for those of a severity that do not.
    pub(super) fn fill(&self, groups: &[Group<'_>]) -> Vec<Section> {
        let mut left = self.lines;
        let mut sections = Vec::new();
        let (mut named, full): (Vec<_>, Vec<_>) = groups.iter().partition(|group| group.is_brief);
        let mut told = Vec::new();
        for (at, group) in full.iter().enumerate() {
            let others = severities(full[at + 1..].iter().chain(&named)).len();
            let room = left.saturating_sub(others);
            let Some(section) = self.fullest(group, room, &told) else {
                named.splice(0..0, full[at..].iter().copied());
                break;
            };
            left -= lines(&section, self.columns - INDENT);
            told.extend(group.told(self.columns - INDENT, self.times));
            sections.push(section);
        }
        let others = severities(&named).into_iter();
        sections.extend(
            others
                .take(left)
                .map(|severity| self.named(severity, &named)),
        );
        sections
    }

    fn fullest(&self, group: &Group<'_>, room: usize, told: &[String]) -> Option<Section> {
        let columns = self.columns - INDENT;
        let forms = FORMS.iter();
        let mut sections = forms.map(|form| group.section(form, columns, self.times, told));
        sections.find(|section| lines(section, columns) <= room)
    }

    /// Their names: with how many they concern where there is room, and else as many as there is room for.
    fn named(&self, severity: Severity, groups: &[&Group<'_>]) -> Section {
        let of_it = groups.iter().filter(|group| group.severity == severity);
        let [full, brief] = [Group::named, Group::name].map(|name| {
            let names: Vec<_> = of_it.clone().map(|group| name(group)).collect();
            names.join(", ")
        });
        let title = severity_title(severity);
        let room = self.columns - width(&title.plain());
        let names = match width(&full) <= room {
            true => full,
            false => fitted(&brief, room, 1),
        };
        Section::new(title.and(Tone::Plain, names))
    }
}

/// Each severity once, the gravest first.
fn severities<'a>(groups: impl IntoIterator<Item = &'a &'a Group<'a>>) -> Vec<Severity> {
    let severities = groups.into_iter().map(|group| group.severity);
    let severities: BTreeSet<_> = severities.collect();
    severities.into_iter().rev().collect()
}

/// Lines that a section takes without its parts, where what stands below its title has so many columns.
pub(super) fn lines(section: &Section, columns: usize) -> usize {
    let Section {
        title: _,
        fields,
        parts: _,
        table,
        more,
    } = section;
    let below = fields.iter().map(|field| &field.text).chain(more);
    let below: usize = below.map(|line| wrap(&line.plain(), columns).len()).sum();
    let table = table.as_ref().map_or(0, |table| table.rows.len() + 1);
    1 + below + table
}
