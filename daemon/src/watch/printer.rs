//! Where the stream goes: what the filter admits, in the form that was asked for.

use std::io::{self, Write};

use jiff::tz::TimeZone;

use super::{
    event::Event,
    filter::Filter,
    options::{Form, WatchOptions},
    text::TextWriter,
};

/// Prints what the filter admits. The first error is kept, and nothing is written after it.
pub(super) struct Printer<'a, W> {
    out: W,
    filter: &'a Filter,
    form: Form,
    text: TextWriter,
    most: Option<u64>,
    shown: u64,
    result: io::Result<()>,
}

impl<'a, W: Write> Printer<'a, W> {
    pub(super) fn new(options: &'a WatchOptions, out: W) -> Self {
        Self {
            out,
            filter: &options.filter,
            form: options.form,
            text: TextWriter::new(TimeZone::system()),
            most: options.count,
            shown: 0,
            result: Ok(()),
        }
    }

    pub(super) fn begin(&mut self) -> io::Result<()> {
        if self.form == Form::Text {
            self.text.header(&mut self.out)?;
        }
        self.out.flush()
    }

    pub(super) fn event(&mut self, event: &Event) {
        if self.is_full() || self.result.is_err() || !self.filter.admits(event) {
            return;
        }
        self.shown += u64::from(matches!(event, Event::Close(_)));
        self.result = match self.form {
            Form::Text => self.text.event(&mut self.out, event),
            Form::Json => write_json(&mut self.out, event),
        };
    }

    pub(super) fn is_full(&self) -> bool {
        self.most.is_some_and(|most| self.shown >= most)
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        std::mem::replace(&mut self.result, Ok(()))?;
        self.out.flush()
    }

    /// Closes that were printed.
    pub(super) fn shown(&self) -> u64 {
        self.shown
    }
}

/// One object and a newline.
fn write_json(out: &mut impl Write, event: &Event) -> io::Result<()> {
    serde_json::to_writer(&mut *out, event)?;
    out.write_all(b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::samples::{close, reset};

    fn options(form: Form, count: Option<u64>) -> WatchOptions {
        WatchOptions {
            filter: Filter::default(),
            form,
            count,
            duration: None,
            cgroup_root: None,
            kubernetes: crate::kubernetes::Options::default(),
            probe_log: false,
        }
    }

    #[test]
    fn the_count_is_of_closes() {
        let options = options(Form::Json, Some(2));
        let mut printer = Printer::new(&options, Vec::new());
        printer.begin().unwrap();
        printer.event(&Event::Reset(Box::new(reset(true))));
        for _ in 0..3 {
            assert_eq!(printer.is_full(), printer.shown == 2);
            printer.event(&Event::Close(Box::new(close())));
        }
        printer.flush().unwrap();
        let lines = String::from_utf8(printer.out).unwrap();
        assert_eq!(lines.lines().count(), 3);
    }

    struct Gone;

    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_error_comes_out_at_the_flush() {
        let options = options(Form::Text, None);
        let mut printer = Printer::new(&options, Gone);
        printer.event(&Event::Close(Box::new(close())));
        let error = printer.flush().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        printer.event(&Event::Close(Box::new(close())));
        printer.flush().unwrap_err();
    }
}
