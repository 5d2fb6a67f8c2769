//! Lines as scripts read them.

use finwatch_common::{Cut, Evidence, Origin, Outcome, TimeWait, close_flags};
use finwatch_engine::drains::ClosedConnection;

use super::*;
use crate::watch::samples::{
    close, close_record, exit, exit_record, listener, reset, signal, signal_record, subject, told,
    unread,
};

fn line(event: &Event) -> String {
    serde_json::to_string(event).unwrap()
}

#[test]
fn a_clean_close() {
    assert_eq!(
        line(&Event::Close(Box::new(close()))),
        concat!(
            r#"{"event":"close","time":"2026-11-22T16:52:01.123456789Z","workload_namespace":"","#,
            r#""workload_kind":"unit","workload":"nginx.service","port":443,"#,
            r#""ended_at":"2026-11-22T16:52:01.123456789Z","opened_at":"2026-11-22T16:51:59.920456789Z","#,
            r#""duration_seconds":1.203,"service":{"workload_namespace":"","workload_kind":"unit","#,
            r#""workload":"nginx.service","port":443},"role":"server","phase":"steady","#,
            r#""local_address":"10.0.0.1","local_port":443,"peer":"10.0.0.5:51234","#,
            r#""peer_address":"10.0.0.5","peer_port":51234,"origin":"local","outcome":"fin","#,
            r#""time_wait":"time_wait","time_wait_side":"here","time_wait_overflowed":false,"cut":null,"#,
            r#""evidence":null,"reset_reason":null,"lost":"nothing","lost_bytes":0,"#,
            r#""bytes_received":107,"bytes_sent":3565158,"unread_bytes":0,"unacked_bytes":0,"#,
            r#""by_exit":false,"abandoned":false,"answered_early":false,"never_accepted":false,"preexisting":false,"#,
            r#""turns":2,"rtt_seconds":0.00125,"retransmits":0,"owner_pid":300,"closed_by_pid":301,"#,
            r#""cookie":99,"time_wait_substate":"time_wait","exited":false,"closer_pid":301}"#
        )
    );
}

#[test]
fn a_cut_close_of_a_connection_older_than_the_watch() {
    let mut cut = ClosedConnection::from(close_record());
    cut.cut = Some(Cut::Unread);
    cut.outcome = Outcome::ResetSent;
    cut.time_wait = TimeWait::None;
    cut.lost = Lost::Data;
    cut.lost_bytes = 50;
    cut.reset_reason = Some(15);
    cut.record.evidence = Evidence::Silent as u8;
    cut.record.unread = 50;
    cut.record.opened_at_ns = 0;
    cut.record.flags = close_flags::PREEXISTING | close_flags::BY_EXIT;
    cut.record.remote_addr = [0; 16];
    cut.record.owner_tgid = 0;
    let json: serde_json::Value =
        serde_json::from_str(&line(&Event::Close(Box::new(told(&cut))))).unwrap();
    let want = serde_json::json!({
        "cut": "unread", "outcome": "reset_sent", "time_wait": null, "time_wait_side": "none",
        "lost": "data", "lost_bytes": 50, "evidence": "silent", "unread_bytes": 50,
        "duration_seconds": null, "preexisting": true, "by_exit": true, "turns": null, "opened_at": null, "peer": null,
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
            r#""peer":"10.0.0.5:51234","peer_address":"10.0.0.5","peer_port":51234,"reset_reason":"timewait_socket","#,
            r#""cut":"late","lost":"data","lost_bytes":107,"mini_socket":true,"refused":false,"#,
            r#""cookie":99}"#,
        )
    );
    assert_eq!(
        line(&Event::Unread(Box::new(unread()))),
        concat!(
            r#"{"event":"unread","time":"2026-11-22T16:52:01.123456789Z","workload_namespace":"","#,
            r#""workload_kind":"unit","workload":"nginx.service","port":443,"role":"server","#,
            r#""phase":"steady","local_address":"10.0.0.1","local_port":443,"#,
            r#""peer":"10.0.0.5:51234","peer_address":"10.0.0.5","peer_port":51234,"cut":"unread","unread_bytes":107,"#,
            r#""cookie":99}"#,
        )
    );
    assert_eq!(
        line(&Event::Listener(Box::new(listener()))),
        concat!(
            r#"{"event":"listener","time":"2026-11-22T16:52:01.123456789Z","workload_namespace":"","#,
            r#""workload_kind":"unit","workload":"nginx.service","port":443,"role":"server","#,
            r#""phase":"steady","local_address":"0.0.0.0","up":false,"exited":true,"pid":300,"#,
            r#""backlog":3,"backlog_limit":511,"cookie":98}"#,
        )
    );
    let gap = Gap {
        time: subject().time,
        kind: GapKind::Closes,
        count: 12,
    };
    assert_eq!(
        line(&Event::Lost(gap)),
        "{\"event\":\"lost\",\"time\":\"2026-11-22T16:52:01.123456789Z\",\"kind\":\"close\",\"count\":12}"
    );
}

#[test]
fn signals_and_exits() {
    assert_eq!(
        line(&Event::Signal(Box::new(signal()))),
        concat!(
            r#"{"event":"signal","time":"2026-11-22T16:52:01.123456789Z","#,
            r#""services":[{"workload_namespace":"","workload_kind":"unit","#,
            r#""workload":"nginx.service","port":443}],"signal":"SIGTERM","pid":300,"#,
            r#""program":"nginx","kinship":"owner","sender_pid":4700,"sender_program":"bash","#,
            r#""disposition":"handled","phase":"draining","instance_pid":300}"#,
        )
    );
    let mut by_kernel = signal_record();
    by_kernel.sender_tgid = 0;
    let by_kernel = Signal::new(subject().time, Vec::new(), &by_kernel);
    let json: serde_json::Value =
        serde_json::from_str(&line(&Event::Signal(Box::new(by_kernel)))).unwrap();
    assert!(json["sender_pid"].is_null() && json["sender_program"].is_null());
    assert_eq!(
        line(&Event::Exit(Box::new(exit()))),
        concat!(
            r#"{"event":"exit","time":"2026-11-22T16:52:01.123456789Z","#,
            r#""services":[{"workload_namespace":"","workload_kind":"unit","#,
            r#""workload":"nginx.service","port":443}],"pid":300,"program":"nginx","#,
            r#""kinship":"owner","code":0,"signal":null,"instance_pid":300}"#,
        )
    );
    let mut killed = exit_record();
    killed.status = 9;
    let killed = Exit::new(subject().time, Vec::new(), &killed);
    let json: serde_json::Value =
        serde_json::from_str(&line(&Event::Exit(Box::new(killed)))).unwrap();
    assert!(json["code"].is_null());
    assert_eq!(json["signal"], "SIGKILL");
}

#[test]
fn a_close_is_what_the_read_api_tells_and_what_each_line_begins_with() {
    let close = close();
    let line: serde_json::Value =
        serde_json::from_str(&line(&Event::Close(Box::new(close.clone())))).unwrap();
    let told = serde_json::to_value(&close).unwrap();
    for (field, value) in told.as_object().unwrap() {
        assert_eq!(&line[field], value, "{field}");
    }
    let lead = serde_json::to_value(&close.service).unwrap();
    for (field, value) in lead.as_object().unwrap() {
        assert_eq!(&line[field], value, "{field}");
    }
    assert_eq!(line["event"], "close");
    let read: Close = serde_json::from_value(line).unwrap();
    assert_eq!(read, close, "a line is a close");
}

#[test]
fn the_side_of_the_time_wait() {
    use TimeWait::{FinWait2, None as Nothing, TimeWait as Waits};
    for (origin, outcome, time_wait, want) in [
        (Origin::Local, Outcome::Fin, Waits, "here"),
        (Origin::Local, Outcome::Fin, FinWait2, "here"),
        (Origin::Local, Outcome::Fin, Nothing, "none"),
        (Origin::Remote, Outcome::Fin, Nothing, "peer"),
        (Origin::Both, Outcome::Fin, Waits, "both"),
        (Origin::Both, Outcome::Fin, Nothing, "peer"),
        (Origin::Remote, Outcome::ResetReceived, Nothing, "none"),
        (Origin::None, Outcome::ResetSent, Nothing, "none"),
    ] {
        let mut closed = ClosedConnection::from(close_record());
        closed.origin = origin;
        closed.outcome = outcome;
        closed.time_wait = time_wait;
        let side = told(&closed).time_wait_side;
        assert_eq!(side, want, "{origin:?} {outcome:?} {time_wait:?}");
    }
}
