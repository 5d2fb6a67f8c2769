//! Text in columns of a terminal: how wide it is, where it breaks, how it is shortened. Widths are those of Unicode, in
//! which an ideograph takes two columns and a combining accent none; colours take none. It does not know what it writes.

use std::borrow::Cow;

use textwrap::{Options, WordSplitter, core};

/// Columns that a text takes.
pub(super) fn width(text: &str) -> usize {
    core::display_width(text)
}

/// Lines of `width` columns at most, broken at spaces; a word that is longer than a line stands on one of its own, so that
/// an id or an address can still be copied. One empty line for no text.
pub fn wrap(text: &str, width: usize) -> Vec<Cow<'_, str>> {
    let options = Options::new(width)
        .break_words(false)
        .word_splitter(WordSplitter::NoHyphenation);
    textwrap::wrap(text, options)
}

/// Text in `most` columns at most. What goes is its middle: the end of a name tells more, a port or a revision's number.
pub(super) fn shortened(text: &str, most: usize) -> String {
    if width(text) <= most {
        return text.to_owned();
    }
    let room = most.saturating_sub(1);
    let ends = fitting(text.chars().rev(), room / 2);
    let begins = fitting(text.chars(), room - room / 2);
    let end: String = text.chars().rev().take(ends).collect();
    let begin = text.chars().take(begins);
    begin.chain(['…']).chain(end.chars().rev()).collect()
}

/// How many of the first characters fit.
fn fitting(chars: impl Iterator<Item = char>, columns: usize) -> usize {
    let taken = chars.scan(0, |taken, c| {
        *taken += width(c.encode_utf8(&mut [0; 4]));
        Some(*taken)
    });
    taken.take_while(|taken| *taken <= columns).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_at_spaces_and_nowhere_else() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("extra-ordinary a b", 5), ["extra-ordinary", "a b"]);
        assert_eq!(wrap("", 5), [""]);
    }

    #[test]
    fn an_ideograph_takes_two_columns() {
        assert_eq!(width("決済:80"), 7);
        assert_eq!(width("e\u{301}"), 1);
        assert_eq!(wrap("決済 決済", 8), ["決済", "決済"]);
        assert_eq!(shortened("決済決済決済:8080", 11), "決済…:8080");
    }

    #[test]
    fn a_name_too_long_loses_its_middle() {
        assert_eq!(shortened("checkout:8080", 20), "checkout:8080");
        assert_eq!(
            shortened("a-long-name-of-a-service:8080", 11),
            "a-lon…:8080"
        );
        assert_eq!(shortened("abc", 1), "…");
    }
}
