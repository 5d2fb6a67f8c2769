//! Reports on a terminal: how wide a line is, and what each piece of text looks like. Colours are written always; the
//! stream strips them where nobody sees them.

use anstyle::{AnsiColor, Style};

use finwatch_engine::{
    model::{Severity, Verdict},
    render::{COLUMNS, Tone, text::Writer},
};

/// Who writes reports.
pub(super) const TERMINAL: Writer = Writer {
    width: COLUMNS,
    paint: |tone, text| {
        let style = style(tone);
        format!("{style}{text}{style:#}")
    },
};

const fn style(tone: Tone) -> Style {
    let plain = Style::new();
    match tone {
        Tone::Plain | Tone::Id => plain,
        Tone::Advice => plain.italic(),
        Tone::Dim => plain.dimmed(),
        Tone::Verdict(verdict) => {
            let colour = match verdict {
                Verdict::Pass => AnsiColor::Green,
                Verdict::Warn => AnsiColor::Yellow,
                Verdict::Inconclusive => AnsiColor::Cyan,
                Verdict::Fail => AnsiColor::Red,
            };
            colour.on_default().bold()
        }
        Tone::Severity(severity) => match severity {
            Severity::Pass => AnsiColor::Green,
            Severity::Info => AnsiColor::Blue,
            Severity::Warn => AnsiColor::Yellow,
            Severity::Fail => AnsiColor::Red,
        }
        .on_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_red_and_what_is_plain_has_no_colour() {
        let paint = TERMINAL.paint;
        assert_eq!(paint(Tone::Plain, "text"), "text");
        let failed = paint(Tone::Verdict(Verdict::Fail), "FAIL");
        assert_eq!(failed, "\u{1b}[1m\u{1b}[31mFAIL\u{1b}[0m");
    }
}
