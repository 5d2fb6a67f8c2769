//! The stream for people: one line an event, in columns. Colours are written always; whoever prints strips
//! them where nobody sees them.

use std::{
    io::{self, Write},
    net::SocketAddr,
};

use anstyle::{AnsiColor, Style};
use finwatch_common::{
    Disposition, Kinship, Lost, Outcome, Phase, close_flags, comm_str, reset_flags,
};
use jiff::{Timestamp, tz::TimeZone};

use super::event::{Close, Event, Exit, Gap, Listener, Reset, Side, Signal, Subject, Unread};
use finwatch_engine::{drains::names, model::words::Word as _};

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
    zone: TimeZone,
}

impl TextWriter {
    /// With the times of day of `zone`.
    pub(super) fn new(zone: TimeZone) -> Self {
        Self { zone }
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
        let connection = &close.connection;
        let record = &connection.record;
        let ended = match connection.outcome {
            Outcome::Unknown => UNKNOWN,
            outcome => outcome.word(),
        };
        let ended_style = match connection.outcome {
            Outcome::Fin => PLAIN,
            Outcome::ResetSent | Outcome::ResetReceived | Outcome::Timeout | Outcome::Unknown => {
                YELLOW
            }
        };
        let side = close.time_wait();
        let side_style = match side {
            Side::Here | Side::Both => CYAN,
            Side::Peer | Side::None => PLAIN,
        };
        self.lead(out, &close.subject, peer(close.peer()))?;
        write!(
            out,
            " {:>8} {:>8} {:>8} {:<6} {ended_style}{ended:<14}{ended_style:#} \
             {side_style}{}{side_style:#}",
            close.duration_ns().map_or(UNKNOWN.to_owned(), duration),
            bytes(record.bytes_received),
            bytes(record.bytes_sent),
            connection.origin.word(),
            side.word(),
        )?;
        notes(
            out,
            side.word().len(),
            cut_of(close).as_deref(),
            &notes_of(close),
        )
    }

    fn reset(&self, out: &mut impl Write, reset: &Reset) -> io::Result<()> {
        self.lead(out, &reset.subject, peer(reset.peer()))?;
        write!(
            out,
            " {:>8} {:>8} {:>8} {:<6} {YELLOW}{:<14}{YELLOW:#} ",
            "", "", "", "", "reset_sent"
        )?;
        let cut = reset.cuts().then_some("CUT late");
        let mut rest = vec![format!("RST {}", reset.reason)];
        if reset.has(reset_flags::MINI_SOCKET) {
            rest.push("after the close".to_owned());
        }
        rest.extend(lost(reset.lost(), reset.record.lost_bytes));
        notes(out, 0, cut, &rest)
    }

    fn unread(&self, out: &mut impl Write, unread: &Unread) -> io::Result<()> {
        self.lead(out, &unread.subject, peer(unread.peer()))?;
        write!(
            out,
            " {:>8} {:>8} {:>8} {:<6} {:<14} ",
            "", "", "", "", "let go"
        )?;
        let record = &unread.record;
        let cut = record.cut().map(|cut| format!("CUT {}", cut.word()));
        let rest = [
            format!("{} unread", bytes(record.unread.into())),
            "after the close".to_owned(),
        ];
        notes(out, 0, cut.as_deref(), &rest)
    }

    fn listener(&self, out: &mut impl Write, listener: &Listener) -> io::Result<()> {
        let record = &listener.record;
        let process = match record.tgid {
            0 => "its process".to_owned(),
            tgid => format!("process {tgid}"),
        };
        let local = listener.local();
        self.lead(out, &listener.subject, NOTHING.to_owned())?;
        match (record.up, record.by_exit) {
            (0, 0) => write!(out, " stopped listening on {local}, {process}")?,
            (0, _) => write!(out, " stopped listening on {local} as {process} died")?,
            _ => write!(out, " listens on {local}, {process}")?,
        }
        if record.up == 0 && record.backlog > 0 {
            write!(out, "; {} waited to be accepted", record.backlog)?;
        }
        writeln!(out)
    }

    fn signal(&self, out: &mut impl Write, signal: &Signal) -> io::Result<()> {
        let record = &signal.record;
        let target = process(&record.target_comm, record.target.tgid, record.kinship);
        let sender = match record.sender_tgid {
            0 => "the kernel".to_owned(),
            tgid => format!("{}[{tgid}]", comm_str(&record.sender_comm)),
        };
        let phase = signal.phase();
        let style = match phase {
            Phase::Steady => PLAIN,
            Phase::Draining | Phase::Reloading => YELLOW,
        };
        let ignored = record.disposition == Disposition::Ignored as u8;
        writeln!(
            out,
            "{DIMMED}{}{DIMMED:#} {BOLD}{}{BOLD:#} to {target}{} from {sender}: {style}{}{style:#}{}",
            self.time(signal.time),
            names::signal(record.signal),
            services(&signal.services),
            phase.word(),
            if ignored { ", but ignores it" } else { "" },
        )
    }

    fn exit(&self, out: &mut impl Write, exit: &Exit) -> io::Result<()> {
        let record = &exit.record;
        write!(
            out,
            "{DIMMED}{}{DIMMED:#} {}{} ",
            self.time(exit.time),
            process(&record.comm, record.process.tgid, record.kinship),
            services(&exit.services)
        )?;
        match (exit.signal(), exit.code()) {
            (Some(signal), _) => {
                let name = names::signal(signal);
                writeln!(out, "was ended by {YELLOW}{name}{YELLOW:#}")
            }
            (None, Some(0) | None) => writeln!(out, "exited"),
            (None, Some(code)) => writeln!(out, "exited with {YELLOW}code {code}{YELLOW:#}"),
        }
    }

    fn gap(&self, out: &mut impl Write, gap: &Gap) -> io::Result<()> {
        let Gap { time, kind, count } = gap;
        writeln!(
            out,
            "{YELLOW}{} -- {count} {} --{YELLOW:#}",
            self.time(*time),
            kind.sentence()
        )
    }

    /// Time, role, service and peer: what every line begins with.
    fn lead(&self, out: &mut impl Write, subject: &Subject, peer: String) -> io::Result<()> {
        write!(
            out,
            "{DIMMED}{}{DIMMED:#} {:<6} {:<28} {peer:<22}",
            self.time(subject.time),
            subject.role.word(),
            service(subject),
        )
    }

    fn time(&self, time: Timestamp) -> String {
        let local = time.to_zoned(self.zone.clone());
        local.strftime("%H:%M:%S%.3f").to_string()
    }
}

/// `nginx[4711]`, and what it is to the service when it is not the service itself.
fn process(comm: &[u8; 16], tgid: u32, kinship: u8) -> String {
    let what = match Kinship::from_u8(kinship) {
        Some(Kinship::Member) => "worker ",
        Some(Kinship::Controller) => "controller ",
        Some(Kinship::Owner) | None => "",
    };
    format!("{what}{}[{tgid}]", comm_str(comm))
}

/// ` (service nginx:80, nginx:443)`; nothing when none is known.
fn services(subjects: &[Subject]) -> String {
    if subjects.is_empty() {
        return String::new();
    }
    let names: Vec<String> = subjects.iter().map(service).collect();
    format!(" (service {})", names.join(", "))
}

fn peer(end: Option<SocketAddr>) -> String {
    end.map_or(UNKNOWN.to_owned(), |end| end.to_string())
}

fn service(subject: &Subject) -> String {
    let workload = &subject.workload;
    let port = subject.port;
    if workload.namespace.is_empty() {
        format!("{}:{port}", workload.name)
    } else {
        format!("{}/{}:{port}", workload.namespace, workload.name)
    }
}

fn cut_of(close: &Close) -> Option<String> {
    let cut = close.connection.cut?;
    let evidence = close.connection.record.evidence();
    Some(match evidence {
        Some(evidence) => format!("CUT {} ({})", cut.word(), evidence.word()),
        None => format!("CUT {}", cut.word()),
    })
}

fn notes_of(close: &Close) -> Vec<String> {
    let connection = &close.connection;
    let record = &connection.record;
    let mut notes = Vec::new();
    if connection.cut.is_none()
        && let Some(evidence) = record.evidence()
    {
        notes.push(format!("unanswered ({})", evidence.word()));
    }
    if let Some(reason) = &close.reset_reason {
        notes.push(format!("RST {reason}"));
    }
    notes.extend(lost(connection.lost, connection.lost_bytes));
    if record.unread > 0 {
        notes.push(format!("{} unread", bytes(record.unread.into())));
    }
    if record.unacked > 0 {
        notes.push(format!("{} unacknowledged", bytes(record.unacked.into())));
    }
    for (flag, note) in [
        (close_flags::ABANDONED, "the peer gave up waiting"),
        (close_flags::BY_EXIT, "the process died"),
        (close_flags::NEVER_ACCEPTED, "never accepted"),
        (close_flags::PREEXISTING, "older than the watch"),
    ] {
        if close.has(flag) {
            notes.push(note.to_owned());
        }
    }
    if connection.time_wait_overflowed {
        notes.push("no room for a TIME_WAIT".to_owned());
    }
    if close.subject.phase != Phase::Steady {
        notes.push(close.subject.phase.word().to_owned());
    }
    notes
}

fn lost(lost: Lost, count: u32) -> Option<String> {
    match lost {
        Lost::Nothing => None,
        Lost::Goodbye => Some("only a goodbye lost".to_owned()),
        Lost::Data if count > 0 => Some(format!("{} of the peer lost", bytes(count.into()))),
        Lost::Data => Some("data of the peer lost".to_owned()),
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

/// Three digits or a little more: `107B`, `1.2K`, `3.4M`, in powers of 1024.
fn bytes(count: u64) -> String {
    const UNITS: [&str; 6] = ["K", "M", "G", "T", "P", "E"];

    if count < 1024 {
        return format!("{count}B");
    }
    let mut value = count as f64 / 1024.0;
    let mut unit = 0;
    // What would be printed as 1024.0 is one of the next unit.
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1}{}", UNITS[unit])
}

/// At most seven characters: `850us`, `12.3ms`, `1.203s`, `2m03s`, `5h02m`, `3d04h`.
fn duration(nanos: u64) -> String {
    const SECOND: u64 = 1_000_000_000;

    let micros = nanos / 1_000;
    let secs = nanos / SECOND;
    match micros {
        0..1_000 => format!("{micros}us"),
        1_000..1_000_000 => format!("{}.{}ms", micros / 1_000, micros % 1_000 / 100),
        _ if secs < 60 => format!("{secs}.{:03}s", micros / 1_000 % 1_000),
        _ if secs < 3_600 => format!("{}m{:02}s", secs / 60, secs % 60),
        _ if secs < 86_400 => format!("{}h{:02}m", secs / 3_600, secs % 3_600 / 60),
        _ => format!("{}d{:02}h", secs / 86_400, secs % 86_400 / 3_600),
    }
}

#[cfg(test)]
#[path = "text_tests.rs"]
mod tests;
