//! Text in columns of a terminal: how wide it is, where it breaks, how it is shortened. Widths are those of Unicode, in
//! which an ideograph takes two columns and a combining accent none; colours take none. It does not know what it writes.

use std::borrow::Cow;

use textwrap::{Options, WordSplitter, core};

/// Columns that a text takes.
pub(crate) fn width(text: &str) -> usize {
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
pub(crate) fn shortened(text: &str, most: usize) -> String {
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

/// Text that takes so many lines at most: whole sentences, or clauses, where one fits, else the beginning. A word that is
/// longer than a line loses its middle.
pub(crate) fn fitted(text: &str, columns: usize, lines: usize) -> String {
    let words = text.split_whitespace();
    let words: Vec<_> = words.map(|word| shortened(word, columns)).collect();
    let fits = |text: &str| wrap(text, columns).len() <= lines;
    let whole = words.join(" ");
    if fits(&whole) {
        return whole;
    }
    let ends = (1..words.len()).rev();
    let mut clauses = ends.filter_map(|at| clause(&words[..at], &words[at]));
    if let Some(clauses) = clauses.find(|text| fits(text)) {
        return clauses;
    }
    let beginnings = (0..words.len()).rev();
    let mut beginnings = beginnings.map(|at| format!("{} …", words[..at].join(" ")));
    let begins = beginnings.find(|text| fits(text));
    begins.unwrap_or_default()
}

/// Words that can stand alone, as what comes next begins a sentence or a clause. After an abbreviation's full stop comes a
/// small letter or a number.
fn clause(words: &[String], next: &str) -> Option<String> {
    let text = words.join(" ");
    let begins = next.starts_with(|c: char| c.is_uppercase() || c == '`');
    if text.ends_with('.') && begins {
        return Some(text);
    }
    text.strip_suffix(';').map(|clause| format!("{clause}."))
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
    fn what_is_too_long_ends_with_a_sentence_or_with_an_ellipsis() {
        let text = "It took 1.5 s. Nobody was told. So they went on.";
        assert_eq!(fitted(text, 20, 3), text);
        assert_eq!(fitted(text, 20, 2), "It took 1.5 s. Nobody was told.");
        assert_eq!(fitted(text, 20, 1), "It took 1.5 s.");
        assert_eq!(fitted("Do this; or do that instead.", 20, 1), "Do this.");
        assert_eq!(fitted("one two three four", 9, 1), "one two …");
        assert_eq!(fitted("one two three four", 9, 2), "one two three …");
        assert_eq!(fitted("a-word-that-is-too-long b", 11, 2), "a-wor…-long b");
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
