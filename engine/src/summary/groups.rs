//! Each diagnosis once, over all drains and the rollout's own: how many it concerns, the worst, examples, the remedy.

use std::{borrow::Cow, cmp::Reverse};

use super::subject::{Subject, server_of};
use crate::render::{
    columns::{fitted, width},
    finding::severity_title,
    tree::{Section, Tone},
    units::{Times, many, plain},
};
use crate::{
    diagnoses::{self, CLEAN_DRAIN, Diagnosis, KEEPALIVE_RACE, Part, Place, REQUESTS_CUT},
    model::{Drain, EndedConnection, Finding, Severity, Verdict},
    servers::Server,
};

/// Most connections that are shown of one diagnosis.
const EXAMPLES_MAX: usize = 3;

/// One diagnosis wherever it was found.
pub(super) struct Group<'a> {
    /// What it is to the story.
    pub(super) part: Part,
    pub(super) place: Option<&'static Place>,
    /// How grave it was where it was gravest.
    pub(super) severity: Severity,
    /// Its name is enough.
    pub(super) is_brief: bool,
    name: &'a str,
    /// The heaviest first.
    found: Vec<Found<'a>>,
    /// Drains that there are.
    drains: u64,
    outside: &'a [EndedConnection],
}

/// Where it was found.
struct Found<'a> {
    /// None: in the rollout as a whole.
    drain: Option<&'a Drain>,
    finding: &'a Finding,
    connections: u64,
    server: Option<&'static Server>,
}

/// What is told of a group beside its name, in lines at most.
pub(super) struct Form {
    /// What was seen where it is worst.
    pub(super) fact: usize,
    /// Connections, in a line of their own.
    pub(super) examples: bool,
    pub(super) remedy: usize,
}

/// Every diagnosis that explains something, what others follow from first.
pub(super) fn groups<'a>(subject: &Subject<'a>) -> Vec<Group<'a>> {
    let own = subject.findings.iter().map(|finding| (None, finding));
    let of_drains = subject.drains.iter().flat_map(|drain| {
        let findings = drain.findings.iter();
        findings.map(move |finding| (Some(drain), finding))
    });
    let mut groups: Vec<(usize, Group<'a>)> = Vec::new();
    for (drain, finding) in own.chain(of_drains) {
        // That nothing was lost stands in the headline.
        if finding.diagnosis == CLEAN_DRAIN.name {
            continue;
        }
        let (at, place) = Place::of(&finding.diagnosis);
        let connections = match (place, drain) {
            (Some(place), Some(drain)) => (place.connections)(drain),
            (Some(place), None) => subject.cut_outside(place.examples),
            (None, _) => 0,
        };
        let server = drain.map_or_else(|| subject.server(), server_of);
        let found = Found {
            drain,
            finding,
            connections,
            server,
        };
        match groups
            .iter_mut()
            .find(|(_, group)| group.name == finding.diagnosis)
        {
            Some((_, group)) => group.add(found),
            None => groups.push((at, Group::new(place, found, subject))),
        }
    }
    let cut = groups.iter().find(|(_, group)| group.is_of(&REQUESTS_CUT));
    let cut = cut.map_or(0, |(_, group)| group.connections());
    groups.sort_by_key(|(at, group)| (group.part, group.is_of_few(cut), *at));
    let groups = groups.into_iter();
    let mut groups: Vec<_> = groups.map(|(_, group)| group.sorted()).collect();
    name_only(subject, &mut groups);
    groups
}

/// Which of them say nothing that is not said already.
fn name_only(subject: &Subject<'_>, groups: &mut [Group<'_>]) {
    let of = |diagnosis: &Diagnosis| groups.iter().find(|group| group.is_of(diagnosis));
    // Where every request was late, the race tells how it came and what to do.
    let late = of(&KEEPALIVE_RACE).map(Group::connections);
    let cut = of(&REQUESTS_CUT).map(Group::connections);
    let all_late = late.is_some() && late == cut;
    // With no drain what stands first explains all of it.
    let explained = subject.drains.is_empty() && groups.iter().any(|g| g.part == Part::Cause);
    for group in groups {
        group.is_brief = match group.part {
            Part::Note => true,
            // Some drain was idle; the others were judged.
            Part::Doubt => subject.verdict != Verdict::Inconclusive,
            Part::Cause | Part::Loss | Part::Cost => {
                (all_late || explained) && group.is_of(&REQUESTS_CUT)
            }
        };
    }
}

// === impl Group ===

impl<'a> Group<'a> {
    fn new(place: Option<&'static Place>, found: Found<'a>, subject: &Subject<'a>) -> Self {
        let severity = found.finding.severity;
        Self {
            part: Part::of(place, severity),
            place,
            severity,
            is_brief: false,
            name: &found.finding.diagnosis,
            found: vec![found],
            drains: subject.drains.len() as u64,
            outside: subject.outside_examples,
        }
    }

    fn add(&mut self, found: Found<'a>) {
        self.severity = self.severity.max(found.finding.severity);
        self.part = Part::of(self.place, self.severity);
        self.found.push(found);
    }

    fn sorted(mut self) -> Self {
        let weight = |found: &Found<'_>| {
            let whole = found.drain.is_none();
            Reverse((found.finding.severity, whole, found.connections))
        };
        self.found.sort_by_key(weight);
        self
    }

    /// Whether it was found in a drain.
    pub(super) fn is_in(&self, drain: &Drain) -> bool {
        let mut drains = self.found.iter().filter_map(|found| found.drain);
        drains.any(|found| std::ptr::eq(found, drain))
    }

    /// Whether it is this diagnosis.
    pub(super) fn is_of(&self, diagnosis: &Diagnosis) -> bool {
        self.name == diagnosis.name
    }

    /// What happened, as the end of a headline.
    pub(super) fn says(&self) -> String {
        self.place
            .map_or_else(|| plain(self.name), |place| place.says.to_owned())
    }

    /// Connections that it concerns, over all drains.
    pub(super) fn connections(&self) -> u64 {
        self.found.iter().map(|found| found.connections).sum()
    }

    /// Whether it explains only the smaller part of so many requests that were lost: it stands behind them then.
    fn is_of_few(&self, cut: u64) -> bool {
        let explains = self.place.is_some_and(|place| !place.examples.is_empty());
        self.part == Part::Loss && explains && self.connections() * 2 < cut
    }

    /// `7 connections in 2 of 52 drains`; empty where neither says anything.
    fn scope(&self) -> String {
        let connections = match self.connections() {
            0 => String::new(),
            number => many(number, "connection"),
        };
        let found = self.found.iter().filter(|found| found.drain.is_some());
        let drains = match (found.count() as u64, self.drains) {
            (0, _) | (_, 1) => String::new(),
            (some, all) if some == all => format!("in all {}", many(all, "drain")),
            (some, all) => format!("in {some} of {}", many(all, "drain")),
        };
        format!("{connections} {drains}").trim().to_owned()
    }

    /// `requests-cut`.
    pub(super) fn name(&self) -> String {
        plain(self.name)
    }

    /// `requests-cut (7 connections)`, for a line that names several.
    pub(super) fn named(&self) -> String {
        match self.scope().as_str() {
            "" => self.name(),
            scope => format!("{} ({scope})", self.name()),
        }
    }

    /// It and what is to be told of it, in lines of `columns`, but for what was `told` before.
    pub(super) fn section(
        &self,
        form: &Form,
        columns: usize,
        times: &Times,
        told: &[String],
    ) -> Section {
        let name = format!("{}  {}", plain(self.name), self.scope());
        let title = severity_title(self.severity).and(Tone::Plain, name.trim_end());
        let mut section = Section::new(title);
        if let Some(fact) = self.fact().filter(|_| form.fact > 0) {
            section.field("", fitted(&fact, columns, form.fact));
        }
        let examples = self.examples(columns, times).filter(|_| form.examples);
        if let Some(examples) = examples.filter(|examples| !told.contains(examples)) {
            section.field("", examples);
        }
        let mut remedies = self.remedies();
        remedies.retain(|remedy| !told.contains(remedy));
        if !remedies.is_empty() && form.remedy > 0 {
            let remedy = fitted(&remedies.join(" "), columns, form.remedy);
            section.toned("", Tone::Advice, remedy);
        }
        section
    }

    /// What was seen where it is worst, beside what began it and the connections.
    fn fact(&self) -> Option<String> {
        let worst = self.found.first()?;
        let mut evidence = worst.finding.evidence.iter();
        let fact = plain(evidence.find(|line| !is_told_elsewhere(line))?);
        Some(match worst.drain.filter(|_| self.drains > 1) {
            None => fact,
            Some(drain) if self.found.len() == 1 => format!("{}: {fact}", plain(&drain.id)),
            Some(drain) => format!("the worst, {}: {fact}", plain(&drain.id)),
        })
    }

    /// What need not be told again of others.
    pub(super) fn told(&self, columns: usize, times: &Times) -> Vec<String> {
        let examples = self.examples(columns, times);
        self.remedies().into_iter().chain(examples).collect()
    }

    /// As many connections as one line has room for.
    fn examples(&self, columns: usize, times: &Times) -> Option<String> {
        let causes = self.place?.examples;
        let drains = self.found.iter().filter_map(|found| found.drain);
        let is_whole = |found: &Found<'_>| found.drain.is_none();
        let outside = match self.found.iter().any(is_whole) {
            true => self.outside,
            false => &[],
        };
        let lost = drains.flat_map(|drain| {
            let examples = drain.examples.iter();
            examples.filter(|example| drain.is_loss(&example.cut))
        });
        let connections = lost.chain(outside);
        let examples = connections.filter(|example| causes.contains(&example.cut.as_str()));
        let mut line = String::new();
        for example in examples.take(EXAMPLES_MAX) {
            let EndedConnection { peer, ended_at, .. } = example;
            let one = format!("{} at {}", plain(peer), times.clock(*ended_at));
            let longer = match line.as_str() {
                "" => format!("e.g. {one}"),
                before => format!("{before}, {one}"),
            };
            if !line.is_empty() && width(&longer) > columns {
                break;
            }
            line = longer;
        }
        (!line.is_empty()).then(|| fitted(&line, columns, 1))
    }

    /// What to do, for each server that it was found at, each text once.
    fn remedies(&self) -> Vec<String> {
        let mut told: Vec<String> = Vec::new();
        for found in &self.found {
            let remedy = found.remedy();
            if !remedy.is_empty() && !told.contains(&remedy) {
                told.push(remedy);
            }
        }
        told
    }
}

// === impl Found ===

impl Found<'_> {
    fn remedy(&self) -> String {
        if self.finding.remedy.is_empty() {
            // There is nothing to mend, or what to do stands with what it came of.
            return String::new();
        }
        let of_server = self.server.and_then(|server| {
            let of_diagnosis =
                || diagnoses::find(&self.finding.diagnosis).and_then(|it| it.remedy_for(server));
            let advised = server.advised_in(&self.finding.remedy).map(Cow::Borrowed);
            let remedy = advised.or_else(of_diagnosis)?;
            Some(format!("remedy for {}: {remedy}", server.title))
        });
        of_server.unwrap_or_else(|| format!("remedy: {}", plain(&self.finding.remedy)))
    }
}

/// What began a drain, and its connections, have places of their own.
fn is_told_elsewhere(evidence: &str) -> bool {
    evidence.starts_with("T0: ") || evidence.starts_with("For example ")
}
