//! OpenMetrics text on its way to Prometheus text 0.0.4: the two differ in the lines of comments only, where a
//! counter is called by its full name, an information is a gauge, and there are neither units nor an end mark.

use std::fmt::{self, Write};

/// Text is rewritten in portions of this size: looking at each of the encoder's small writes would cost as much
/// as making them.
const PORTION_BYTES: usize = 32 * 1024;

/// Rewrites what passes through. To be finished, or its last portion is missing.
pub(super) struct PlainText<'a, W> {
    inner: &'a mut W,
    portion: String,
    help: String,
}

impl<'a, W: Write> PlainText<'a, W> {
    pub(super) fn new(inner: &'a mut W) -> Self {
        Self {
            inner,
            portion: String::with_capacity(PORTION_BYTES),
            help: String::new(),
        }
    }

    /// Writes what is left.
    pub(super) fn finish(mut self) -> fmt::Result {
        self.pass_on()
    }

    /// Passes every complete line on and keeps the rest. Lines of samples go on in one piece.
    fn pass_on(&mut self) -> fmt::Result {
        let portion = std::mem::take(&mut self.portion);
        let complete = portion.rfind('\n').map_or(0, |end| end + 1);
        let (mut lines, rest) = portion.split_at(complete);
        while !lines.is_empty() {
            if lines.starts_with('#') {
                let (line, after) = lines.split_once('\n').unwrap_or((lines, ""));
                self.comment(line)?;
                lines = after;
            } else {
                let samples = samples_bytes(lines);
                self.inner.write_str(&lines[..samples])?;
                lines = &lines[samples..];
            }
        }
        self.portion.reserve(PORTION_BYTES);
        self.portion.push_str(rest);
        Ok(())
    }

    /// The help comes before the type, and needs the name that the type makes.
    fn comment(&mut self, line: &str) -> fmt::Result {
        if let Some(help) = line.strip_prefix("# HELP ") {
            help.clone_into(&mut self.help);
        } else if let Some((name, kind)) = line
            .strip_prefix("# TYPE ")
            .and_then(|rest| rest.split_once(' '))
        {
            let (suffix, kind) = match kind {
                "counter" => ("_total", "counter"),
                "info" => ("_info", "gauge"),
                "unknown" => ("", "untyped"),
                other => ("", other),
            };
            if let Some((_, help)) = self.help.split_once(' ') {
                writeln!(self.inner, "# HELP {name}{suffix} {help}")?;
            }
            writeln!(self.inner, "# TYPE {name}{suffix} {kind}")?;
        }
        Ok(())
    }
}

/// Bytes of the lines before the next comment. Line by line, as a line's end is found by its one byte: a search for both bytes at
/// once takes longer than to encode what is searched.
fn samples_bytes(lines: &str) -> usize {
    lines
        .split_inclusive('\n')
        .take_while(|line| !line.starts_with('#'))
        .map(str::len)
        .sum()
}

impl<W: Write> Write for PlainText<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.portion.push_str(text);
        if self.portion.len() >= PORTION_BYTES {
            self.pass_on()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN: &str = "# HELP a_b Of b.\n# TYPE a_b counter\n# UNIT a_b b\na_b_total{x=\"#\"} 1\n\
                        # HELP build Version.\n# TYPE build info\nbuild_info{v=\"1\"} 1\n\
                        # HELP g A gauge.\n# TYPE g gauge\ng 1\ng{x=\"y\"} 2\n\
                        # HELP none Nothing.\n# TYPE none counter\n# EOF\n";
    const PLAIN: &str = "# HELP a_b_total Of b.\n# TYPE a_b_total counter\na_b_total{x=\"#\"} 1\n\
                         # HELP build_info Version.\n# TYPE build_info gauge\nbuild_info{v=\"1\"} 1\n\
                         # HELP g A gauge.\n# TYPE g gauge\ng 1\ng{x=\"y\"} 2\n\
                         # HELP none_total Nothing.\n# TYPE none_total counter\n";

    /// The text in pieces of `size`, every piece passed on at once.
    fn through(text: &str, size: usize) -> String {
        let mut out = String::new();
        let mut plain = PlainText::new(&mut out);
        for piece in text.as_bytes().chunks(size) {
            plain
                .write_str(std::str::from_utf8(piece).expect("ascii"))
                .and_then(|()| plain.pass_on())
                .expect("a string takes everything");
        }
        plain.finish().expect("a string takes everything");
        out
    }

    #[test]
    fn comments_change_and_samples_do_not_however_they_are_cut() {
        for size in [1, 2, 3, 7, 40, OPEN.len()] {
            assert_eq!(through(OPEN, size), PLAIN, "in pieces of {size}");
        }
    }

    #[test]
    fn what_is_longer_than_a_portion_arrives_whole() {
        let lines = "g{x=\"some label or other\"} 123456\n".repeat(5_000);
        let mut out = String::new();
        let mut plain = PlainText::new(&mut out);
        plain
            .write_str("# HELP g A gauge.\n# TYPE g gauge\n")
            .expect("taken");
        for line in lines.split_inclusive(' ') {
            plain.write_str(line).expect("taken");
        }
        plain.write_str("# EOF\n").expect("taken");
        plain.finish().expect("taken");
        assert_eq!(out, format!("# HELP g A gauge.\n# TYPE g gauge\n{lines}"));
    }
}
