//! Imports point one way: from room to room as the table says, and in no circle of files. It knows no words and no
//! lines, only who leans on whom.
//!
//! A file leans on another when it imports or names something that the other defines. Who passes a name on
//! (`pub use`) leans on nobody, and who takes it leans on the file that defines it, not on the one in between.
//!
//! One tie does not count for a circle: a module may use the **types, traits and constants of a module that it lies
//! in**. The head of a folder (`mod.rs`) declares what all its files speak of, and puts them to work; without this every
//! folder would need one more file that is called `types.rs`. A function of the head that is called from below is a tie
//! like any other: that is work that belongs into a file of its own.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::modules::{Modules, Texts};
use super::rooms::{CRATES, Crate};
use super::rules::Finding;

/// Checks the crates of the table.
pub(super) fn check(texts: &Texts) -> Vec<Finding> {
    check_crates(texts, CRATES)
}

fn check_crates(texts: &Texts, crates: &[Crate]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for krate in crates {
        match Modules::read(texts, krate.root) {
            Ok(modules) => {
                check_rooms(krate, &modules, &mut findings);
                findings.extend(Ties::of(&modules).circles().iter().map(Circle::finding));
            }
            Err(error) => findings.push(Finding::whole(
                krate.root,
                format!("a file of this crate is not Rust: {error}"),
            )),
        }
    }
    findings
}

// === Rooms ===

fn check_rooms(krate: &Crate, modules: &Modules, findings: &mut Vec<Finding>) {
    if krate.rooms.is_empty() {
        return;
    }
    let mut empty: BTreeSet<_> = krate.rooms.iter().map(|(room, _)| *room).collect();
    for file in modules.files() {
        let room = krate.room(file);
        empty.remove(room);
        if !krate.rooms.iter().any(|(known, _)| *known == room) {
            findings.push(Finding::whole(
                file,
                format!("the room `{room}` is not in tidy's table: what may it import?"),
            ));
        }
    }
    for room in empty {
        findings.push(Finding::whole(
            krate.root,
            format!("tidy's table has a room `{room}`, the crate has not"),
        ));
    }
    let mut seen = BTreeSet::new();
    for used in modules.uses() {
        let (from, to) = (krate.room(used.file), krate.room(used.of));
        if from != to && !krate.allows(from, to) && seen.insert((used.file, used.name)) {
            findings.push(Finding::at(
                used.file,
                used.line,
                format!(
                    "`{from}` may not import from `{to}`, and takes `{}`",
                    used.name
                ),
            ));
        }
    }
}

// === Circles ===

/// Who leans on whom, and with what.
struct Ties<'a>(BTreeMap<&'a str, BTreeMap<&'a str, Tie<'a>>>);

#[derive(Clone)]
struct Tie<'a> {
    line: usize,
    names: BTreeSet<&'a str>,
}

/// Files of which each leans on the next, and the last on the first.
struct Circle<'a>(Vec<(&'a str, Tie<'a>)>);

impl<'a> Ties<'a> {
    fn of(modules: &'a Modules) -> Self {
        let mut ties = BTreeMap::<_, BTreeMap<_, Tie<'_>>>::new();
        for used in modules.uses().filter(|used| !used.vocabulary) {
            let from = ties.entry(used.file).or_default();
            let tie = from.entry(used.of).or_insert(Tie {
                line: used.line,
                names: BTreeSet::new(),
            });
            tie.names.insert(used.name);
        }
        Self(ties)
    }

    /// For each file that is in a circle the shortest one; each circle once.
    fn circles(&self) -> Vec<Circle<'a>> {
        let mut seen = BTreeSet::new();
        self.0
            .keys()
            .filter_map(|file| self.circle_through(file))
            .filter(|files| {
                let mut members = files.clone();
                members.sort_unstable();
                seen.insert(members)
            })
            .map(|files| {
                let next = files.iter().cycle().skip(1);
                let ties = files.iter().zip(next);
                Circle(
                    ties.map(|(from, to)| (*from, self.0[from][to].clone()))
                        .collect(),
                )
            })
            .collect()
    }

    /// The fewest files that lead from `start` back to it.
    fn circle_through(&self, start: &'a str) -> Option<Vec<&'a str>> {
        let mut came_from = BTreeMap::<&'a str, &'a str>::new();
        let mut waiting = VecDeque::from([start]);
        while let Some(file) = waiting.pop_front() {
            for next in self.0.get(file)?.keys() {
                if *next == start {
                    let mut files = vec![file];
                    while let Some(before) = came_from.get(files[files.len() - 1]) {
                        files.push(before);
                    }
                    files.reverse();
                    return Some(files);
                }
                if self.0.contains_key(next) && !came_from.contains_key(next) {
                    came_from.insert(*next, file);
                    waiting.push_back(next);
                }
            }
        }
        None
    }
}

impl Circle<'_> {
    fn finding(&self) -> Finding {
        let mut text = "a circle of files:".to_owned();
        let next = self.0.iter().cycle().skip(1);
        for ((from, tie), (to, _)) in self.0.iter().zip(next) {
            let names: Vec<_> = tie.names.iter().copied().collect();
            text += &format!("\n    {from} takes {} of {to}", names.join(", "));
        }
        let (file, tie) = &self.0[0];
        Finding::at(file, tie.line, text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_ROOMS: &[Crate] = &[Crate {
        root: "x/src/lib.rs",
        rooms: &[],
    }];

    fn texts(files: &[(&str, &str)]) -> Texts {
        files
            .iter()
            .map(|(name, text)| (format!("x/src/{name}"), (*text).to_owned()))
            .collect()
    }

    fn circles(files: &[(&str, &str)]) -> Vec<String> {
        let findings = check_crates(&texts(files), NO_ROOMS);
        findings.into_iter().map(|finding| finding.text).collect()
    }

    #[test]
    fn two_files_that_import_each_other_are_told_with_the_names() {
        let found = circles(&[
            ("lib.rs", "mod a; mod b;"),
            ("a.rs", "use crate::b::Second; pub struct First(Second);"),
            (
                "b.rs",
                "pub struct Second; fn f() { super::a::First::new() }",
            ),
        ]);
        assert_eq!(
            found,
            [
                "a circle of files:\n    x/src/a.rs takes Second of x/src/b.rs\n    \
                 x/src/b.rs takes First of x/src/a.rs"
            ]
        );
    }

    #[test]
    fn a_circle_may_have_many_files_and_begins_where_it_began() {
        let files = [
            ("lib.rs", "mod a; mod b; mod c; mod d;"),
            ("a.rs", "use crate::b; fn f() { b::f() }"),
            ("b.rs", "pub fn f() { matches!(x, crate::c::C) }"),
            ("c.rs", "pub const C: u8 = crate::a::f();"),
            ("d.rs", "use crate::a::f;"),
        ];
        let found = circles(&files);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].lines().count(), 4, "{found:?}");
    }

    #[test]
    fn who_passes_a_name_on_is_in_no_circle() {
        let files = [
            ("lib.rs", "mod a;"),
            ("a/mod.rs", "mod b; mod c; pub use self::{b::B, c::*};"),
            ("a/b.rs", "use super::C; pub struct B(C);"),
            ("a/c.rs", "pub struct C;"),
        ];
        assert_eq!(circles(&files), [""; 0]);
        let mut through_it = files;
        through_it[3].1 = "use crate::a::B; pub struct C(B);";
        assert_eq!(circles(&through_it).len(), 1);
    }

    #[test]
    fn a_head_lends_its_types_but_not_its_functions() {
        let mut files = [
            ("lib.rs", "mod a;"),
            (
                "a/mod.rs",
                "mod b; pub struct Options; pub fn help() {} fn run() { b::work() }",
            ),
            ("a/b.rs", "pub fn work(options: &super::Options) {}"),
        ];
        assert_eq!(circles(&files), [""; 0]);
        files[2].1 = "pub fn work() { super::help() }";
        assert_eq!(circles(&files).len(), 1);
    }

    #[test]
    fn tests_tie_nothing() {
        let found = circles(&[
            ("lib.rs", "mod a; mod b;"),
            ("a.rs", "use crate::b::B;"),
            (
                "b.rs",
                "pub struct B; #[cfg(test)] mod tests { use crate::a::A; } #[cfg(all(test, unix))] use crate::a::A;",
            ),
        ]);
        assert_eq!(found, [""; 0]);
    }

    #[test]
    fn rooms_import_what_the_table_says() {
        let crates = &[Crate {
            root: "x/src/lib.rs",
            rooms: &[("low", &[]), ("high", &["low"]), ("lib", &["high"])],
        }];
        let mut files = [
            ("lib.rs", "mod low; mod high; fn f() { high::up() }"),
            ("low.rs", "pub struct Low;"),
            ("high/mod.rs", "use crate::low::Low; pub fn up() {}"),
        ];
        assert_eq!(check_crates(&texts(&files), crates), []);
        files[1].1 = "pub struct Low;\nfn f() { crate::high::up() }";
        files[2].1 = "pub fn up() {}";
        let found = check_crates(&texts(&files), crates);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].path.as_str(), found[0].line), ("x/src/low.rs", 2));
        files[0].1 = "mod low; mod new;";
        files[2] = ("new.rs", "");
        let found = check_crates(&texts(&files), crates);
        assert_eq!(found.len(), 3, "new has no row, high no file: {found:?}");
    }

    #[test]
    fn what_is_not_rust_is_said() {
        let found = circles(&[("lib.rs", "mod a;"), ("a.rs", "fn {")]);
        assert_eq!(found.len(), 1);
    }
}
