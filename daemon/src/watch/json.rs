//! The stream for scripts: one JSON object a line. Fields may be added, never renamed; what is not known is
//! null.

use std::{
    io::{self, Write},
    net::SocketAddr,
};

use finwatch_common::{close_flags, reset_flags};
use jiff::Timestamp;
use serde::Serialize;

use super::event::{Close, Event, Gap, Listener, Reset, Subject};
use crate::words::{Word as _, substate};

/// Writes one object and a newline.
pub(super) fn write_event(out: &mut impl Write, event: &Event) -> io::Result<()> {
    let wire = match event {
        Event::Close(close) => WireEvent::Close(WireClose::from(&**close)),
        Event::Reset(reset) => WireEvent::Reset(WireReset::from(&**reset)),
        Event::Listener(listener) => WireEvent::Listener(WireListener::from(&**listener)),
        Event::Lost(gap) => WireEvent::Lost(WireGap::from(gap)),
    };
    serde_json::to_writer(&mut *out, &wire)?;
    out.write_all(b"\n")
}

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum WireEvent<'a> {
    Close(WireClose<'a>),
    Reset(WireReset<'a>),
    Listener(WireListener<'a>),
    Lost(WireGap),
}

#[derive(Serialize)]
struct WireSubject<'a> {
    time: String,
    workload_namespace: &'a str,
    workload_kind: &'a str,
    workload: &'a str,
    port: u16,
    role: &'a str,
    phase: &'a str,
}

#[derive(Serialize)]
struct WireEnds {
    local_address: Option<String>,
    local_port: Option<u16>,
    peer_address: Option<String>,
    peer_port: Option<u16>,
}

#[derive(Serialize)]
struct WireClose<'a> {
    #[serde(flatten)]
    subject: WireSubject<'a>,
    #[serde(flatten)]
    ends: WireEnds,
    duration_seconds: Option<f64>,
    bytes_received: u64,
    bytes_sent: u64,
    origin: &'a str,
    outcome: &'a str,
    time_wait: &'a str,
    time_wait_substate: Option<&'a str>,
    time_wait_overflowed: bool,
    cut: Option<&'a str>,
    evidence: Option<&'a str>,
    reset_reason: Option<&'a str>,
    lost: &'a str,
    lost_bytes: u32,
    unread_bytes: u32,
    unacked_bytes: u32,
    abandoned: bool,
    exited: bool,
    never_accepted: bool,
    preexisting: bool,
    turns: Option<u32>,
    rtt_seconds: Option<f64>,
    retransmits: u32,
    owner_pid: Option<u32>,
    closer_pid: Option<u32>,
    cookie: u64,
}

#[derive(Serialize)]
struct WireReset<'a> {
    #[serde(flatten)]
    subject: WireSubject<'a>,
    #[serde(flatten)]
    ends: WireEnds,
    reset_reason: &'a str,
    cut: Option<&'a str>,
    lost: &'a str,
    lost_bytes: u32,
    refused: bool,
    mini_socket: bool,
    cookie: Option<u64>,
}

#[derive(Serialize)]
struct WireListener<'a> {
    #[serde(flatten)]
    subject: WireSubject<'a>,
    local_address: String,
    up: bool,
    exited: bool,
    pid: Option<u32>,
    backlog: u32,
    backlog_limit: u32,
    cookie: u64,
}

#[derive(Serialize)]
struct WireGap {
    time: String,
    kind: &'static str,
    count: u64,
}

impl<'a> From<&'a Subject> for WireSubject<'a> {
    fn from(subject: &'a Subject) -> Self {
        let Subject {
            time,
            workload,
            port,
            role,
            phase,
        } = subject;
        Self {
            time: rfc3339(*time),
            workload_namespace: &workload.namespace,
            workload_kind: workload.kind.as_str(),
            workload: &workload.name,
            port: *port,
            role: role.word(),
            phase: phase.word(),
        }
    }
}

impl WireEnds {
    fn new(local: Option<SocketAddr>, peer: Option<SocketAddr>) -> Self {
        let ip = |end: Option<SocketAddr>| end.map(|end| end.ip().to_string());
        Self {
            local_address: ip(local),
            local_port: local.map(|end| end.port()),
            peer_address: ip(peer),
            peer_port: peer.map(|end| end.port()),
        }
    }
}

impl<'a> From<&'a Close> for WireClose<'a> {
    fn from(close: &'a Close) -> Self {
        let Close {
            subject,
            connection,
            reset_reason,
        } = close;
        let record = &connection.record;
        Self {
            subject: subject.into(),
            ends: WireEnds::new(close.local(), close.peer()),
            duration_seconds: close.duration_ns().map(|nanos| nanos as f64 / 1e9),
            bytes_received: record.bytes_received,
            bytes_sent: record.bytes_sent,
            origin: connection.origin.word(),
            outcome: connection.outcome.word(),
            time_wait: close.time_wait().word(),
            time_wait_substate: substate(connection.time_wait),
            time_wait_overflowed: connection.time_wait_overflowed,
            cut: connection.cut.map(|cut| cut.word()),
            evidence: record.evidence().map(|evidence| evidence.word()),
            reset_reason: reset_reason.as_deref(),
            lost: connection.lost.word(),
            lost_bytes: connection.lost_bytes,
            unread_bytes: record.unread,
            unacked_bytes: record.unacked,
            abandoned: close.has(close_flags::ABANDONED),
            exited: close.has(close_flags::BY_EXIT),
            never_accepted: close.has(close_flags::NEVER_ACCEPTED),
            preexisting: close.is_preexisting(),
            turns: (!close.is_preexisting()).then_some(record.turns),
            rtt_seconds: (record.srtt_us != 0).then(|| f64::from(record.srtt_us) / 1e6),
            retransmits: record.retransmits,
            owner_pid: pid(record.owner_tgid),
            closer_pid: pid(record.closer_tgid),
            cookie: record.cookie,
        }
    }
}

impl<'a> From<&'a Reset> for WireReset<'a> {
    fn from(reset: &'a Reset) -> Self {
        let Reset {
            subject,
            record,
            reason,
        } = reset;
        Self {
            subject: subject.into(),
            ends: WireEnds::new(reset.local(), reset.peer()),
            reset_reason: reason,
            cut: reset.cuts().then_some("late"),
            lost: reset.lost().word(),
            lost_bytes: record.lost_bytes,
            refused: reset.has(reset_flags::REFUSED),
            mini_socket: reset.has(reset_flags::MINI_SOCKET),
            cookie: (record.cookie != 0).then_some(record.cookie),
        }
    }
}

impl<'a> From<&'a Listener> for WireListener<'a> {
    fn from(listener: &'a Listener) -> Self {
        let Listener { subject, record } = listener;
        Self {
            subject: subject.into(),
            local_address: listener.local().ip().to_string(),
            up: record.up != 0,
            exited: record.by_exit != 0,
            pid: pid(record.tgid),
            backlog: record.backlog,
            backlog_limit: record.backlog_limit,
            cookie: record.cookie,
        }
    }
}

impl From<&Gap> for WireGap {
    fn from(gap: &Gap) -> Self {
        let Gap { time, kind, count } = gap;
        Self {
            time: rfc3339(*time),
            kind: kind.word(),
            count: *count,
        }
    }
}

fn pid(tgid: u32) -> Option<u32> {
    (tgid != 0).then_some(tgid)
}

/// With all nine digits, so that every line has the same form.
fn rfc3339(time: Timestamp) -> String {
    format!("{time:.9}")
}

#[cfg(test)]
mod tests {
    use finwatch_common::{Cut, Evidence, Lost, Outcome, TimeWait};

    use super::*;
    use crate::watch::{
        event::GapKind,
        samples::{close, listener, reset, subject},
    };

    fn line(event: &Event) -> String {
        let mut out = Vec::new();
        write_event(&mut out, event).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_clean_close() {
        assert_eq!(
            line(&Event::Close(Box::new(close()))),
            concat!(
                r#"{"event":"close","time":"2026-11-22T16:52:01.123456789Z","workload_namespace":"","#,
                r#""workload_kind":"unit","workload":"nginx.service","port":443,"role":"server","#,
                r#""phase":"steady","local_address":"10.0.0.1","local_port":443,"#,
                r#""peer_address":"10.0.0.5","peer_port":51234,"duration_seconds":1.203,"#,
                r#""bytes_received":107,"bytes_sent":3565158,"origin":"local","outcome":"fin","#,
                r#""time_wait":"here","time_wait_substate":"time_wait","time_wait_overflowed":false,"#,
                r#""cut":null,"evidence":null,"reset_reason":null,"lost":"nothing","lost_bytes":0,"#,
                r#""unread_bytes":0,"unacked_bytes":0,"abandoned":false,"exited":false,"#,
                r#""never_accepted":false,"preexisting":false,"turns":2,"rtt_seconds":0.00125,"#,
                r#""retransmits":0,"owner_pid":300,"closer_pid":301,"cookie":99}"#,
                "\n"
            )
        );
    }

    #[test]
    fn a_cut_close_of_a_connection_older_than_the_watch() {
        let mut cut = close();
        cut.connection.cut = Some(Cut::Unread);
        cut.connection.outcome = Outcome::ResetSent;
        cut.connection.time_wait = TimeWait::None;
        cut.connection.lost = Lost::Data;
        cut.connection.lost_bytes = 50;
        cut.connection.record.evidence = Evidence::Silent as u8;
        cut.connection.record.unread = 50;
        cut.connection.record.opened_at_ns = 0;
        cut.connection.record.flags = close_flags::PREEXISTING | close_flags::BY_EXIT;
        cut.connection.record.remote_addr = [0; 16];
        cut.connection.record.owner_tgid = 0;
        cut.reset_reason = Some("abort_on_close".to_owned());
        let json: serde_json::Value =
            serde_json::from_str(&line(&Event::Close(Box::new(cut)))).unwrap();
        let want = serde_json::json!({
            "cut": "unread", "outcome": "reset_sent", "time_wait": "none", "time_wait_substate": null,
            "lost": "data", "lost_bytes": 50, "evidence": "silent", "unread_bytes": 50,
            "duration_seconds": null, "preexisting": true, "exited": true, "turns": null,
            "peer_address": null, "peer_port": null, "owner_pid": null,
            "reset_reason": "abort_on_close",
        });
        for (field, value) in want.as_object().unwrap() {
            assert_eq!(&json[field], value, "{field}");
        }
    }

    #[test]
    fn the_other_events() {
        assert_eq!(
            line(&Event::Reset(Box::new(reset(true)))),
            concat!(
                r#"{"event":"reset","time":"2026-11-22T16:52:01.123456789Z","workload_namespace":"","#,
                r#""workload_kind":"unit","workload":"nginx.service","port":443,"role":"server","#,
                r#""phase":"steady","local_address":"10.0.0.1","local_port":443,"#,
                r#""peer_address":"10.0.0.5","peer_port":51234,"reset_reason":"timewait_socket","#,
                r#""cut":"late","lost":"data","lost_bytes":107,"refused":false,"mini_socket":true,"#,
                r#""cookie":99}"#,
                "\n"
            )
        );
        assert_eq!(
            line(&Event::Listener(Box::new(listener()))),
            concat!(
                r#"{"event":"listener","time":"2026-11-22T16:52:01.123456789Z","workload_namespace":"","#,
                r#""workload_kind":"unit","workload":"nginx.service","port":443,"role":"server","#,
                r#""phase":"steady","local_address":"0.0.0.0","up":false,"exited":true,"pid":300,"#,
                r#""backlog":3,"backlog_limit":511,"cookie":98}"#,
                "\n"
            )
        );
        let gap = Gap {
            time: subject().time,
            kind: GapKind::Closes,
            count: 12,
        };
        assert_eq!(
            line(&Event::Lost(gap)),
            "{\"event\":\"lost\",\"time\":\"2026-11-22T16:52:01.123456789Z\",\"kind\":\"close\",\"count\":12}\n"
        );
    }
}
