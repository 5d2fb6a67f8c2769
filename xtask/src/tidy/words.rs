//! Words that went: one concept has one word, the field's, and these were a second one. It reads words, also those that
//! a name in code is made of; it does not know what they mean.
//!
//! Not checked, as they have a meaning that is still needed, and a list of their good uses would be longer than the code:
//! "tell", "told", "asks", "look", "words", "meanings", "rounds" (verbs, and plain English), "accounts" (finwatch accounts for
//! connections), "families" (of addresses, of metrics).

use std::collections::BTreeSet;

use super::modules::Texts;
use super::rules::{Finding, numbered};

/// A word that went, in its plural too, and the one to use.
const GONE: &[(&str, &str)] = &[
    ("chronicle", "engine, history"),
    ("desk", "the thing itself: engine, intake"),
    ("scene", "scenario, drain"),
    ("books", "ledger, counters"),
    ("bookkeeper", "engine"),
    ("bookkeeping", "state"),
    ("storyteller", "engine"),
    ("narrator", "stream"),
    ("shelf", "series, waiting values"),
    ("shelves", "series, waiting values"),
    ("shelved", "series, waiting values"),
    ("lefts", "what is left"),
    ("episode", "drain"),
];

/// The list spells what it forbids.
const ITSELF: &str = "xtask/src/tidy/words.rs";

/// Checks every file.
pub(super) fn check(texts: &Texts) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in texts.iter().filter(|(path, _)| is_read(path)) {
        for (line, content) in numbered(text) {
            let found: BTreeSet<_> = words(content).filter_map(gone).collect();
            findings.extend(found.into_iter().map(|(word, instead)| {
                Finding::at(
                    path,
                    line,
                    format!("the word \"{word}\" went; say: {instead}"),
                )
            }));
        }
    }
    findings
}

fn gone(word: &str) -> Option<(&'static str, &'static str)> {
    GONE.iter()
        .find(|(gone, _)| {
            let one = word.get(..gone.len());
            let rest = word.get(gone.len()..).unwrap_or_default();
            one.is_some_and(|one| one.eq_ignore_ascii_case(gone))
                && (rest.is_empty() || rest.eq_ignore_ascii_case("s"))
        })
        .copied()
}

/// Rust, and the pages at the top and under `docs`.
fn is_read(path: &str) -> bool {
    let page = path.ends_with(".md") && (!path.contains('/') || path.starts_with("docs/"));
    (page || path.ends_with(".rs")) && path != ITSELF
}

/// The words of a line; `HeldShelf` and `held_shelf` are two each.
fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !c.is_ascii_alphabetic())
        .flat_map(|name| {
            let bytes = name.as_bytes();
            let starts = (1..bytes.len())
                .filter(|at| bytes[*at].is_ascii_uppercase() && bytes[at - 1].is_ascii_lowercase());
            let mut begin = 0;
            let mut parts = Vec::new();
            for at in starts.chain([bytes.len()]) {
                parts.push(&name[begin..at]);
                begin = at;
            }
            parts
        })
        .filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(path: &str, text: &str) -> Vec<usize> {
        let texts = [(path.to_owned(), text.to_owned())].into();
        let findings = check(&texts);
        findings.into_iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn finds_a_word_wherever_it_is_part_of_a_name() {
        for text in [
            "struct Shelf;",
            "struct SeriesShelf<T>(T);",
            "let the_shelf = 1;",
            "const SHELF_MAX: u8 = 1;",
            "// What lies on the shelf.",
            "let desks = 2;",
            "const DESKS: u8 = 1;",
            "// The Shelf: what waits.",
        ] {
            assert_eq!(lines("engine/src/x.rs", text), [1], "{text}");
        }
    }

    #[test]
    fn another_word_is_another_word() {
        for text in ["let bookshelf = 1;", "// a desktop", "// scenery, obscene"] {
            assert_eq!(lines("engine/src/x.rs", text), [0; 0], "{text}");
        }
    }

    #[test]
    fn reads_rust_and_the_pages_of_the_project() {
        let text = "fine\nthe desk\n";
        for path in ["daemon/tests/x.rs", "README.md", "docs/deep/x.md"] {
            assert_eq!(lines(path, text), [2], "{path}");
        }
        for path in ["lab/x/README.md", "dashboards/x.json", ITSELF] {
            assert_eq!(lines(path, text), [0; 0], "{path}");
        }
    }
}
