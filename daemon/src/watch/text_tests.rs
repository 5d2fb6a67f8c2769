//! Lines as people see them.

use super::*;
use crate::watch::{
    event::GapKind,
    samples::{close, exit_record, listener, refused, reset, signal, subject, unread},
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
16:52:01.123 server nginx.service:443            10.0.0.5:51234           1.203s     107B     3.4M local  fin            here\n"
    );
}

#[test]
fn a_cut_connection_says_why() {
    let mut cut = close();
    cut.cut = Some("unanswered".to_owned());
    cut.evidence = Some("alert".to_owned());
    cut.outcome = "reset_sent".to_owned();
    cut.time_wait_side = "none".to_owned();
    cut.lost = "data".to_owned();
    cut.lost_bytes = 107;
    cut.reset_reason = Some("abort_on_data".to_owned());
    cut.by_exit = true;
    cut.phase = Phase::Draining;
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
fn a_service_is_its_workload_and_its_pod_a_note() {
    let mut named = close();
    named.service.workload_namespace = "shop".to_owned();
    named.service.workload_kind = "deployment".to_owned();
    named.service.workload = "web".to_owned();
    named.pod.name = Some("web-7d4b9c5f6-x2x5k".to_owned());
    let line = line(named);
    assert!(line.contains(" server shop/web:443 "), "{line}");
    assert!(
        line.ends_with(" here      pod web-7d4b9c5f6-x2x5k\n"),
        "{line}"
    );
    let mut opened = listener();
    opened.subject.pod.name = Some("web-0".to_owned());
    let line = plain(&Event::Listener(Box::new(opened)));
    assert!(line.ends_with(", pod web-0\n"), "{line}");
}

#[test]
fn what_is_not_known_is_a_question_mark() {
    let mut old = close();
    old.duration_seconds = None;
    old.preexisting = true;
    old.ends = Ends::default();
    old.outcome = "unknown".to_owned();
    old.origin = "none".to_owned();
    old.time_wait_side = "none".to_owned();
    assert_eq!(
        line(old),
        "16:52:01.123 server nginx.service:443            ?                             ?     107B     3.4M none   ?              none      older than the watch\n"
    );
}

#[test]
fn ipv6_and_clients() {
    let mut client = close();
    client.role = Role::Client;
    client.service.workload_namespace = "shop".to_owned();
    client.ends = Ends::new(None, Some("[2001:db8::1]:51234".parse().unwrap()));
    assert!(
        line(client)
            .starts_with("16:52:01.123 client shop/nginx.service:443       [2001:db8::1]:51234 ")
    );
}

#[test]
fn other_events_have_lines_of_their_own() {
    let late = plain(&Event::Reset(Box::new(reset(true))));
    assert!(late.contains(" reset_sent "), "{late}");
    assert!(
        late.ends_with("CUT late, RST timewait_socket, after the close, 107B of the peer lost\n"),
        "{late}"
    );
    let refused = plain(&Event::Reset(Box::new(refused())));
    assert!(refused.contains(" 10.0.0.5:51234 "), "{refused}");
    assert!(refused.contains(" refused "), "{refused}");
    assert!(
        refused.ends_with("nothing listens, RST no_socket\n"),
        "{refused}"
    );
    let unread = plain(&Event::Unread(Box::new(unread())));
    assert!(unread.contains(" let go "), "{unread}");
    assert!(
        unread.ends_with("CUT unread, 107B unread, after the close\n"),
        "{unread}"
    );
    let down = plain(&Event::Listener(Box::new(listener())));
    assert!(
        down.ends_with(
            "stopped listening on 0.0.0.0:443 as process 300 died; 3 waited to be accepted\n"
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
fn signals_say_to_whom_from_whom_and_what_follows() {
    let told = |change: fn(&mut Signal)| {
        let mut signal = signal();
        change(&mut signal);
        plain(&Event::Signal(Box::new(signal)))
    };
    assert_eq!(
        told(|_| ()),
        "16:52:01.123 SIGTERM to nginx[300] (service nginx.service:443) from bash[4700]: draining\n"
    );
    assert_eq!(
        told(|signal| {
            let mut other = subject().service;
            other.port = 80;
            signal.services.push(other);
            signal.signal = "SIGHUP".to_owned();
            signal.phase = Phase::Reloading;
        }),
        "16:52:01.123 SIGHUP to nginx[300] (service nginx.service:443, nginx.service:80) from bash[4700]: reloading\n"
    );
    assert_eq!(
        told(|signal| {
            signal.services.clear();
            signal.sender_pid = None;
            signal.kinship = "controller";
            signal.disposition = Some("ignored");
        }),
        "16:52:01.123 SIGTERM to controller nginx[300] from the kernel: draining, but ignores it\n"
    );
    assert_eq!(
        told(|signal| {
            signal.kinship = "member";
            signal.pid = 301;
            signal.phase = Phase::Steady;
        }),
        "16:52:01.123 SIGTERM to worker nginx[301] (service nginx.service:443) from bash[4700]: steady\n"
    );
    assert_eq!(
        told(|signal| {
            signal.signal = "SIGUSR1".to_owned();
            signal.phase = Phase::Steady;
        }),
        "16:52:01.123 SIGUSR1 to nginx[300] (service nginx.service:443) from bash[4700]: steady\n"
    );
}

#[test]
fn exits_say_how() {
    for (status, want) in [
        (0, "exited"),
        (3 << 8, "exited with code 3"),
        (9, "was ended by SIGKILL"),
        // With a core dump.
        (11 | 0x80, "was ended by SIGSEGV"),
    ] {
        let mut record = exit_record();
        record.status = status;
        let exit = Exit::new(subject().time, vec![subject().service], &record);
        assert_eq!(
            plain(&Event::Exit(Box::new(exit))),
            format!("16:52:01.123 nginx[300] (service nginx.service:443) {want}\n")
        );
    }
}
