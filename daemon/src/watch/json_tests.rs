//! Lines as scripts read them.

use finwatch_common::{Cut, Evidence, Lost, Outcome, TimeWait};

use super::*;
use crate::watch::{
    event::GapKind,
    samples::{close, exit, listener, reset, signal, subject, unread},
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
            r#""cut":"late","lost":"data","lost_bytes":107,"mini_socket":true,"#,
            r#""cookie":99}"#,
            "\n"
        )
    );
    assert_eq!(
        line(&Event::Unread(Box::new(unread()))),
        concat!(
            r#"{"event":"unread","time":"2026-11-22T16:52:01.123456789Z","workload_namespace":"","#,
            r#""workload_kind":"unit","workload":"nginx.service","port":443,"role":"server","#,
            r#""phase":"steady","local_address":"10.0.0.1","local_port":443,"#,
            r#""peer_address":"10.0.0.5","peer_port":51234,"cut":"unread","unread_bytes":107,"#,
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
            "\n"
        )
    );
    let mut by_kernel = signal();
    by_kernel.record.sender_tgid = 0;
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
            "\n"
        )
    );
    let mut killed = exit();
    killed.record.status = 9;
    let json: serde_json::Value =
        serde_json::from_str(&line(&Event::Exit(Box::new(killed)))).unwrap();
    assert!(json["code"].is_null());
    assert_eq!(json["signal"], "SIGKILL");
}
