//! The stream for people: one line an event, in columns. Colours are written always; whoever prints strips
//! them where nobody sees them.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use finwatch_common::{Phase, Role};
use jiff::{Timestamp, tz::TimeZone};

use super::event::{Event, Exit, Gap, GapKind, Listener, Reset, Signal, Subject, Unread};
use finwatch_engine::{
    model::{Close, Ends, Pod, Service, words::Word as _},
    render::units::{self, Times, bytes_column as bytes},
};

const DIMMED: Style = Style::new().dimmed();
const BOLD: Style = Style::new().bold();
const RED: Style = Style::new().fg_color(Some(anstyle::Color::Ansi(AnsiColor::Red)));
const YELLOW: Style = Style::new().fg_color(Some(anstyle::Color::Ansi(AnsiColor::Yellow)));
const CYAN: Style = Style::new().fg_color(Some(anstyle::Color::Ansi(AnsiColor::Cyan)));
const PLAIN: Style = Style::new();

/// Width of the column before the notes.
const TIME_WAIT_WIDTH: usize = 9;

/// What does not apply.
const NOTHING: &str = "-";
/// What is not known.
const UNKNOWN: &str = "?";

/// Writes lines; the times of day are those of a time zone.
#[derive(Debug, Clone)]
pub(super) struct TextWriter {
    times: Times,
}

impl TextWriter {
    /// With the times of day of `zone`.
    pub(super) const fn new(zone: TimeZone) -> Self {
        let times = Times::new(zone);
        Self { times }
    }

    /// The names of the columns.
    pub(super) fn header(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(
            out,
            "{BOLD}{:<12} {:<6} {:<28} {:<22} {:>8} {:>8} {:>8} {:<6} {:<14} {:<9} NOTES{BOLD:#}",
            "TIME",
            "ROLE",
            "SERVICE",
            "PEER",
            "DURATION",
            "IN",
            "OUT",
            "FIRST",
            "ENDED",
            "TIME_WAIT"
        )
    }

    /// One line.
    pub(super) fn event(&self, out: &mut impl Write, event: &Event) -> io::Result<()> {
        match event {
            Event::Close(close) => self.close(out, close),
            Event::Reset(reset) => self.reset(out, reset),
            Event::Unread(unread) => self.unread(out, unread),
            Event::Listener(listener) => self.listener(out, listener),
            Event::Signal(signal) => self.signal(out, signal),
            Event::Exit(exit) => self.exit(out, exit),
            Event::Lost(gap) => self.gap(out, gap),
        }
    }

    fn close(&self, out: &mut impl Write, close: &Close) -> io::Result<()> {
        let (ended, ended_style) = match close.outcome.as_str() {
            "fin" => ("fin", PLAIN),
            "unknown" => (UNKNOWN, YELLOW),
            other => (other, YELLOW),
        };
        let side = close.time_wait_side.as_str();
        let side_style = match side {
            "here" | "both" => CYAN,
            _ => PLAIN,
        };
        let Close { service, ends, .. } = close;
        self.lead(out, close.ended_at, close.role, service, peer(ends))?;
        write!(
            out,
            " {:>8} {:>8} {:>8} {:<6} {ended_style}{ended:<14}{ended_style:#} \
             {side_style}{side}{side_style:#}",
            close
                .duration_seconds
                .map_or(UNKNOWN.to_owned(), units::span_column),
            bytes(close.bytes_received),
            bytes(close.bytes_sent),
            close.origin,
        )?;
        notes(out, side.len(), cut_of(close).as_deref(), &notes_of(close))
    }

    fn reset(&self, out: &mut impl Write, reset: &Reset) -> io::Result<()> {
        self.lead_of(out, &reset.subject, peer(&reset.ends))?;
        write!(
            out,
            " {:>8} {:>8} {:>8} {:<6} {YELLOW}{:<14}{YELLOW:#} ",
            "",
            "",
            "",
            "",
            if reset.refused {
                "refused"
            } else {
                "reset_sent"
            }
        )?;
        let cut = reset.cut.map(|cut| format!("CUT {cut}"));
        let mut rest = vec![format!("RST {}", reset.reset_reason)];
        if reset.refused {
            rest.insert(0, "nothing listens".to_owned());
        }
        if reset.mini_socket {
            rest.push("after the close".to_owned());
        }
        rest.extend(lost(reset.lost, reset.lost_bytes));
        rest.extend(pod(&reset.subject.pod));
        notes(out, 0, cut.as_deref(), &rest)
    }

    fn unread(&self, out: &mut impl Write, unread: &Unread) -> io::Result<()> {
        self.lead_of(out, &unread.subject, peer(&unread.ends))?;
        write!(
            out,
            " {:>8} {:>8} {:>8} {:<6} {:<14} ",
            "", "", "", "", "let go"
        )?;
        let cut = unread.cut.map(|cut| format!("CUT {cut}"));
        let rest = [
            format!("{} unread", bytes(unread.unread_bytes.into())),
            "after the close".to_owned(),
        ];
        notes(out, 0, cut.as_deref(), &rest)
    }

    fn listener(&self, out: &mut impl Write, listener: &Listener) -> io::Result<()> {
        let process = match listener.pid {
            None => "its process".to_owned(),
            Some(pid) => format!("process {pid}"),
        };
        let local = listener.local();
        self.lead_of(out, &listener.subject, NOTHING)?;
        match (listener.up, listener.exited) {
            (false, false) => write!(out, " stopped listening on {local}, {process}")?,
            (false, true) => write!(out, " stopped listening on {local} as {process} died")?,
            (true, _) => write!(out, " listens on {local}, {process}")?,
        }
        if !listener.up && listener.backlog > 0 {
            write!(out, "; {} waited to be accepted", listener.backlog)?;
        }
        if let Some(pod) = pod(&listener.subject.pod) {
            write!(out, ", {pod}")?;
        }
        writeln!(out)
    }

    fn signal(&self, out: &mut impl Write, signal: &Signal) -> io::Result<()> {
        let target = process(&signal.program, signal.pid, signal.kinship);
        let sender = match (signal.sender_pid, &signal.sender_program) {
            (Some(pid), Some(program)) => format!("{program}[{pid}]"),
            _ => "the kernel".to_owned(),
        };
        let phase = signal.phase;
        let style = match phase {
            Phase::Steady => PLAIN,
            Phase::Draining | Phase::Reloading => YELLOW,
        };
        let ignored = signal.disposition == Some("ignored");
        writeln!(
            out,
            "{DIMMED}{}{DIMMED:#} {BOLD}{}{BOLD:#} to {target}{} from {sender}: {style}{}{style:#}{}",
            self.times.of_day(signal.time),
            signal.signal,
            services(&signal.services),
            phase.word(),
            if ignored { ", but ignores it" } else { "" },
        )
    }

    fn exit(&self, out: &mut impl Write, exit: &Exit) -> io::Result<()> {
        write!(
            out,
            "{DIMMED}{}{DIMMED:#} {}{} ",
            self.times.of_day(exit.time),
            process(&exit.program, exit.pid, exit.kinship),
            services(&exit.services)
        )?;
        match (&exit.signal, exit.code) {
            (Some(name), _) => writeln!(out, "was ended by {YELLOW}{name}{YELLOW:#}"),
            (None, Some(0) | None) => writeln!(out, "exited"),
            (None, Some(code)) => writeln!(out, "exited with {YELLOW}code {code}{YELLOW:#}"),
        }
    }

    fn gap(&self, out: &mut impl Write, gap: &Gap) -> io::Result<()> {
        let Gap { time, kind, count } = gap;
        writeln!(
            out,
            "{YELLOW}{} -- {count} {} --{YELLOW:#}",
            self.times.of_day(*time),
            sentence(*kind)
        )
    }

    fn lead_of(&self, out: &mut impl Write, subject: &Subject, peer: &str) -> io::Result<()> {
        self.lead(out, subject.time, subject.role, &subject.service, peer)
    }

    /// Time, role, service and peer: what every line begins with.
    fn lead(
        &self,
        out: &mut impl Write,
        time: Timestamp,
        role: Role,
        service: &Service,
        peer: &str,
    ) -> io::Result<()> {
        write!(
            out,
            "{DIMMED}{}{DIMMED:#} {:<6} {:<28} {peer:<22}",
            self.times.of_day(time),
            role.word(),
            units::service(service),
        )
    }
}

fn sentence(kind: GapKind) -> &'static str {
    match kind {
        GapKind::Closes => "closes lost: the ring buffer was full",
        GapKind::Resets => "RSTs lost: the ring buffer was full",
        GapKind::Listeners => "listener changes lost: the ring buffer was full",
        GapKind::Signals => "signals lost: the ring buffer was full",
        GapKind::Exits => "exits lost: the ring buffer was full",
        GapKind::Unread => "unread requests lost: the ring buffer was full",
        GapKind::Malformed => "records rejected: their bytes were malformed",
        GapKind::Unrecorded => "connections not followed: the kernel had no room for their record",
    }
}

/// `nginx[4711]`, and what it is to the service when it is not the service itself.
fn process(program: &str, pid: u32, kinship: &str) -> String {
    let what = match kinship {
        "member" => "worker ",
        "controller" => "controller ",
        _ => "",
    };
    format!("{what}{program}[{pid}]")
}

/// ` (service nginx:80, nginx:443)`; nothing when none is known.
fn services(services: &[Service]) -> String {
    if services.is_empty() {
        return String::new();
    }
    let names: Vec<String> = services.iter().map(units::service).collect();
    format!(" (service {})", names.join(", "))
}

fn peer(ends: &Ends) -> &str {
    ends.peer.as_deref().unwrap_or(UNKNOWN)
}

fn cut_of(close: &Close) -> Option<String> {
    let cut = close.cut.as_ref()?;
    Some(match &close.evidence {
        Some(evidence) => format!("CUT {cut} ({evidence})"),
        None => format!("CUT {cut}"),
    })
}

fn notes_of(close: &Close) -> Vec<String> {
    let mut notes = Vec::new();
    if close.cut.is_none()
        && let Some(evidence) = &close.evidence
    {
        notes.push(format!("unanswered ({evidence})"));
    }
    if let Some(reason) = &close.reset_reason {
        notes.push(format!("RST {reason}"));
    }
    notes.extend(lost(&close.lost, close.lost_bytes));
    if close.unread_bytes > 0 {
        notes.push(format!("{} unread", bytes(close.unread_bytes.into())));
    }
    if close.unacked_bytes > 0 {
        let unacked = bytes(close.unacked_bytes.into());
        notes.push(format!("{unacked} unacknowledged"));
    }
    for (is_so, note) in [
        (close.abandoned, "the peer gave up waiting"),
        (close.answered_early, "answered before all was read"),
        (close.by_exit, "the process died"),
        (close.never_accepted, "never accepted"),
        (close.preexisting, "older than the watch"),
        (close.time_wait_overflowed, "no room for a TIME_WAIT"),
        (close.phase != Phase::Steady, close.phase.word()),
    ] {
        if is_so {
            notes.push(note.to_owned());
        }
    }
    notes.extend(pod(&close.pod));
    notes
}

/// Which pod of a workload it was.
fn pod(pod: &Pod) -> Option<String> {
    let name = pod.name.as_ref()?;
    Some(format!("pod {}", units::plain(name)))
}

fn lost(lost: &str, count: u32) -> Option<String> {
    match lost {
        "data" if count > 0 => Some(format!("{} of the peer lost", bytes(count.into()))),
        "data" => Some("data of the peer lost".to_owned()),
        "goodbye" => Some("only a goodbye lost".to_owned()),
        _ => None,
    }
}

/// The end of a line: the cut first, as it is what people look for. `written` characters of the column
/// before are there; it is filled up only if something follows.
fn notes(
    out: &mut impl Write,
    written: usize,
    cut: Option<&str>,
    rest: &[String],
) -> io::Result<()> {
    let fill = TIME_WAIT_WIDTH.saturating_sub(written) + 1;
    let rest = rest.join(", ");
    match cut {
        Some(cut) => {
            let comma = if rest.is_empty() { "" } else { ", " };
            writeln!(out, "{:fill$}{RED}{cut}{RED:#}{comma}{rest}", "")
        }
        None if rest.is_empty() => writeln!(out),
        None => writeln!(out, "{:fill$}{rest}", ""),
    }
}

#[cfg(test)]
#[path = "text_tests.rs"]
mod tests;
