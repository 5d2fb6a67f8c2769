//! Where docs/performance.md has the figures of many sockets: a part of its own, as another run measures the rest.

use anyhow::{Context as _, Result};

use super::report::HEADING;

/// The part of the page, from its heading to the next; empty where there is none.
pub(in crate::bench) fn part_of(page: &str) -> &str {
    find(page).map_or("", |(from, to)| &page[from..to])
}

/// The page with this text in the part's place.
///
/// # Errors
/// When the page has none: it is to be written by the other run first.
pub(in crate::bench) fn put_in(page: &str, part: &str) -> Result<String> {
    let (from, to) = find(page).with_context(|| {
        format!("find `{HEADING}` in the page: write it with `cargo xtask bench --write` first")
    })?;
    Ok(format!(
        "{}{}\n\n{}",
        &page[..from],
        part.trim(),
        &page[to..]
    ))
}

fn find(page: &str) -> Option<(usize, usize)> {
    let from = page.find(HEADING)?;
    let behind = from + HEADING.len();
    let to = page[behind..].find("\n## ")?;
    Some((from, behind + to + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(part: &str) -> String {
        format!("# Page\n\n## Before\n\n{part}## Behind\n\nText\n")
    }

    #[test]
    fn the_part_is_replaced_and_nothing_else() {
        let old = format!("{HEADING}\n\nold\n\n### Table\n\nold\n\n");
        let new = format!("\n{HEADING}\n\nnew\n");
        let written = put_in(&page(&old), &new).expect("there is such a part");
        assert_eq!(written, page(&format!("{HEADING}\n\nnew\n\n")));
        assert_eq!(part_of(&written), format!("{HEADING}\n\nnew\n\n"));
    }

    #[test]
    fn a_page_without_the_part_is_not_guessed_at() {
        assert!(put_in(&page(""), "new").is_err());
        assert_eq!(part_of(&page("")), "");
    }
}
