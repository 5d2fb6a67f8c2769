//! OpenMetrics text on its way to Prometheus text 0.0.4: the two differ in the lines of comments only, where a
//! counter is called by its full name, an information is a gauge, and there are neither units nor an end mark.

use std::fmt::{self, Write};

/// Rewrites what passes through. Lines of samples go on untouched and unbuffered.
pub(super) struct PlainText<'a, W> {
    inner: &'a mut W,
    at: At,
    comment: String,
    help: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    LineStart,
    Sample,
    Comment,
}

impl<'a, W: Write> PlainText<'a, W> {
    pub(super) fn new(inner: &'a mut W) -> Self {
        Self {
            inner,
            at: At::LineStart,
            comment: String::new(),
            help: String::new(),
        }
    }

    /// The help comes before the type, and needs the name that the type makes.
    fn comment_line(&mut self) -> fmt::Result {
        let line = std::mem::take(&mut self.comment);
        let line = line.trim_end_matches('\n');
        if let Some(help) = line.strip_prefix("# HELP ") {
            self.help = help.to_owned();
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

impl<W: Write> Write for PlainText<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for part in text.split_inclusive('\n') {
            if self.at == At::LineStart {
                self.at = if part.starts_with('#') {
                    At::Comment
                } else {
                    At::Sample
                };
            }
            let ends = part.ends_with('\n');
            if self.at == At::Sample {
                self.inner.write_str(part)?;
            } else {
                self.comment.push_str(part);
                if ends {
                    self.comment_line()?;
                }
            }
            if ends {
                self.at = At::LineStart;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_change_and_samples_do_not_however_they_are_cut() {
        let open = "# HELP a_b Of b.\n# TYPE a_b counter\n# UNIT a_b b\na_b_total{x=\"#\"} 1\n\
                    # HELP build Version.\n# TYPE build info\nbuild_info{v=\"1\"} 1\n\
                    # HELP g A gauge.\n# TYPE g gauge\ng 1\n# HELP none Nothing.\n# TYPE none counter\n# EOF\n";
        let plain = "# HELP a_b_total Of b.\n# TYPE a_b_total counter\na_b_total{x=\"#\"} 1\n\
                     # HELP build_info Version.\n# TYPE build_info gauge\nbuild_info{v=\"1\"} 1\n\
                     # HELP g A gauge.\n# TYPE g gauge\ng 1\n# HELP none_total Nothing.\n# TYPE none_total counter\n";
        for size in [1, 2, 3, 7, open.len()] {
            let mut out = String::new();
            let mut through = PlainText::new(&mut out);
            for piece in open.as_bytes().chunks(size) {
                through
                    .write_str(std::str::from_utf8(piece).expect("ascii"))
                    .expect("a string takes everything");
            }
            assert_eq!(out, plain, "in pieces of {size}");
        }
    }
}
