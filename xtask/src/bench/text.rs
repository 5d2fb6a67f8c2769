//! Tables and lines in Markdown: the same for the terminal and for the page.

use std::fmt::Write as _;

pub(super) fn heading(text: &mut String, title: &str) {
    line(text, format!("\n## {title}\n"));
}

pub(super) fn row<T: AsRef<str>>(text: &mut String, cells: &[T]) {
    let cells: Vec<&str> = cells.iter().map(AsRef::as_ref).collect();
    line(text, format!("| {} |", cells.join(" | ")));
}

pub(super) fn line(text: &mut String, content: impl AsRef<str>) {
    // Writing to a string cannot fail.
    let _written = writeln!(text, "{}", content.as_ref());
}

pub(super) fn range(values: &[f64]) -> String {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let digits = usize::from(most < 100.0);
    format!("{least:.digits$} to {most:.digits$}")
}
