//! The stream for people: one line an event, in columns. Colours are written always; whoever prints strips
//! them where nobody sees them.

use std::{
    io::{self, Write},
    net::SocketAddr,
};

use anstyle::{AnsiColor, Style};
use finwatch_common::{Lost, Outcome, Phase, close_flags, reset_flags};
use jiff::{Timestamp, tz::TimeZone};

use super::{
    event::{Close, Event, Gap, Listener, Reset, Side, Subject},
    words::Word as _,
};

const DIMMED: Style = Style::new().dimmed();
const BOLD: Style = Style::new().bold();
const RED: Style = Style::new().fg_color(Some(anstyle::Color::Ansi(AnsiColor::Red)));
const YELLOW: Style = Style::new().fg_color(Some(anstyle::Color::Ansi(AnsiColor::Yellow)));
const CYAN: Style = Style::new().fg_color(Some(anstyle::Color::Ansi(AnsiColor::Cyan)));
const PLAIN: Style = Style::new();

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
            Event::Listener(listener) => self.listener(out, listener),
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
        self.lead(out, &close.subject, close.peer())?;
        write!(
            out,
            " {:>8} {:>8} {:>8} {:<6} {ended_style}{ended:<14}{ended_style:#} \
             {side_style}{:<9}{side_style:#}",
            close.duration_ns().map_or(UNKNOWN.to_owned(), duration),
            bytes(record.bytes_received),
            bytes(record.bytes_sent),
            connection.origin.word(),
            side.word(),
        )?;
        notes(out, cut_of(close).as_deref(), &notes_of(close))
    }

    fn reset(&self, out: &mut impl Write, reset: &Reset) -> io::Result<()> {
        self.lead(out, &reset.subject, reset.peer())?;
        write!(
            out,
            " {:>8} {:>8} {:>8} {:<6} {YELLOW}{:<14}{YELLOW:#} {:<9}",
            "", "", "", "", "reset_sent", ""
        )?;
        let cut = reset.cuts().then_some("CUT late");
        let mut rest = vec![format!("RST {}", reset.reason)];
        if reset.has(reset_flags::REFUSED) {
            rest.push("nothing listens".to_owned());
        }
        if reset.has(reset_flags::MINI_SOCKET) {
            rest.push("after the close".to_owned());
        }
        rest.extend(lost(reset.lost(), reset.record.lost_bytes));
        notes(out, cut, &rest)
    }

    fn listener(&self, out: &mut impl Write, listener: &Listener) -> io::Result<()> {
        let record = &listener.record;
        let what = match (record.up, record.by_exit) {
            (0, 0) => "stopped listening",
            (0, _) => "stopped listening: the process died",
            _ => "listens",
        };
        self.lead(out, &listener.subject, None)?;
        write!(out, " {what} on {}", listener.local())?;
        if record.tgid != 0 {
            write!(out, ", process {}", record.tgid)?;
        }
        if record.up == 0 && record.backlog > 0 {
            write!(out, ", {} waited to be accepted", record.backlog)?;
        }
        writeln!(out)
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
    fn lead(
        &self,
        out: &mut impl Write,
        subject: &Subject,
        peer: Option<SocketAddr>,
    ) -> io::Result<()> {
        let peer = peer.map_or(UNKNOWN.to_owned(), |peer| peer.to_string());
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

/// The end of a line: the cut first, as it is what people look for.
fn notes(out: &mut impl Write, cut: Option<&str>, rest: &[String]) -> io::Result<()> {
    if let Some(cut) = cut {
        write!(out, " {RED}{cut}{RED:#}")?;
    }
    if !rest.is_empty() {
        let gap = if cut.is_some() { ", " } else { " " };
        write!(out, "{gap}{}", rest.join(", "))?;
    }
    writeln!(out)
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
mod tests {
    use finwatch_common::{Cut, Evidence, Origin, Role, TimeWait};

    use super::*;
    use crate::watch::{
        event::GapKind,
        samples::{close, listener, reset, subject},
    };

    fn plain(event: &Event) -> String {
        let mut out = anstream::StripStream::new(Vec::new());
        TextWriter::new(TimeZone::UTC)
            .event(&mut out, event)
            .unwrap();
        String::from_utf8(out.into_inner()).unwrap()
    }

    fn line(close: Close) -> String {
        plain(&Event::Close(Box::new(close)))
    }

    #[test]
    fn a_clean_close_stands_under_its_header() {
        let mut header = anstream::StripStream::new(Vec::new());
        let writer = TextWriter::new(TimeZone::UTC);
        writer.header(&mut header).unwrap();
        assert_eq!(
            String::from_utf8(header.into_inner()).unwrap() + &line(close()),
            "\
TIME         ROLE   SERVICE                      PEER                   DURATION       IN      OUT FIRST  ENDED          TIME_WAIT NOTES
16:52:01.123 server nginx.service:443            10.0.0.5:51234           1.203s     107B     3.4M local  fin            here     \n"
        );
    }

    #[test]
    fn a_cut_connection_says_why() {
        let mut cut = close();
        cut.connection.cut = Some(Cut::Unanswered);
        cut.connection.record.evidence = Evidence::Alert as u8;
        cut.connection.outcome = Outcome::ResetSent;
        cut.connection.time_wait = TimeWait::None;
        cut.connection.lost = Lost::Data;
        cut.connection.lost_bytes = 107;
        cut.reset_reason = Some("abort_on_data".to_owned());
        cut.connection.record.flags = close_flags::BY_EXIT;
        cut.subject.phase = Phase::Draining;
        assert!(
            line(cut).ends_with(
                " local  reset_sent     none      CUT unanswered (alert), RST abort_on_data, \
                 107B of the peer lost, the process died, draining\n"
            ),
            "{}",
            line(close())
        );
    }

    #[test]
    fn what_is_not_known_is_a_question_mark() {
        let mut old = close();
        old.connection.record.opened_at_ns = 0;
        old.connection.record.flags = close_flags::PREEXISTING;
        old.connection.record.remote_addr = [0; 16];
        old.connection.outcome = Outcome::Unknown;
        old.connection.origin = Origin::None;
        old.connection.time_wait = TimeWait::None;
        assert_eq!(
            line(old),
            "16:52:01.123 server nginx.service:443            ?                             ?     107B     3.4M none   ?              none      older than the watch\n"
        );
    }

    #[test]
    fn ipv6_and_clients() {
        let mut client = close();
        client.subject.role = Role::Client;
        client.subject.workload.namespace = "shop".to_owned();
        client.connection.record.remote_addr = "2001:db8::1"
            .parse::<std::net::Ipv6Addr>()
            .unwrap()
            .octets();
        assert!(
            line(client).starts_with(
                "16:52:01.123 client shop/nginx.service:443       [2001:db8::1]:51234 "
            )
        );
    }

    #[test]
    fn the_side_of_the_time_wait() {
        use TimeWait::{FinWait2, None as Nothing, TimeWait as Waits};
        for (origin, outcome, time_wait, want) in [
            (Origin::Local, Outcome::Fin, Waits, Side::Here),
            (Origin::Local, Outcome::Fin, FinWait2, Side::Here),
            (Origin::Local, Outcome::Fin, Nothing, Side::None),
            (Origin::Remote, Outcome::Fin, Nothing, Side::Peer),
            (Origin::Both, Outcome::Fin, Waits, Side::Both),
            (Origin::Both, Outcome::Fin, Nothing, Side::Peer),
            (Origin::Remote, Outcome::ResetReceived, Nothing, Side::None),
            (Origin::None, Outcome::ResetSent, Nothing, Side::None),
        ] {
            let mut close = close();
            close.connection.origin = origin;
            close.connection.outcome = outcome;
            close.connection.time_wait = time_wait;
            assert_eq!(
                close.time_wait(),
                want,
                "{origin:?} {outcome:?} {time_wait:?}"
            );
        }
    }

    #[test]
    fn other_events_have_lines_of_their_own() {
        let late = plain(&Event::Reset(Box::new(reset(true))));
        assert!(late.contains(" reset_sent "), "{late}");
        assert!(
            late.ends_with(
                "CUT late, RST timewait_socket, after the close, 107B of the peer lost\n"
            ),
            "{late}"
        );
        let down = plain(&Event::Listener(Box::new(listener())));
        assert!(
            down.ends_with(
                "stopped listening: the process died on 0.0.0.0:443, process 300, 3 waited to be accepted\n"
            ),
            "{down}"
        );
        let gap = Gap {
            time: subject().time,
            kind: GapKind::Closes,
            count: 12,
        };
        assert_eq!(
            plain(&Event::Lost(gap)),
            "16:52:01.123 -- 12 closes lost: the ring buffer was full --\n"
        );
    }

    #[test]
    fn sizes() {
        for (count, want) in [
            (0, "0B"),
            (1023, "1023B"),
            (1024, "1.0K"),
            (1_048_575, "1.0M"),
            (3_565_158, "3.4M"),
            (u64::MAX, "16.0E"),
        ] {
            assert_eq!(bytes(count), want);
        }
    }

    #[test]
    fn durations() {
        for (nanos, want) in [
            (0, "0us"),
            (850_999, "850us"),
            (12_345_678, "12.3ms"),
            (999_999_999, "999.9ms"),
            (1_203_000_000, "1.203s"),
            (59_999_999_999, "59.999s"),
            (123_000_000_000, "2m03s"),
            (18_120_000_000_000, "5h02m"),
            (273_600_000_000_000, "3d04h"),
        ] {
            assert_eq!(duration(nanos), want);
        }
    }
}
