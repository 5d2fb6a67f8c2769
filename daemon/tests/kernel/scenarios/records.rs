//! Records of the ring buffer: each close with its evidence, each RST, each listener, in the order in which
//! they happened.

use std::net::{IpAddr, Ipv6Addr, Shutdown};

use finwatch_common::{
    CloseRecord, ListenerRecord, ResetRecord, Role, TimeWait, close_flags, reset_flags,
};
use finwatch_engine::input::Record;

use super::{ANSWER, REQUEST};
use crate::{
    harness::{
        Cut, Evidence, Lost, Netns, Origin, Outcome, kernel, recorded, shared,
        sock::{close_to_mini, deliver, listen, pair, read, wait_port_state, wait_state},
        state,
    },
    raw::{ACK, FIN, Family, PSH, RST, RawPeer},
};

const BYTES: u64 = REQUEST.len() as u64;

fn closes(records: &[Record], role: Role) -> Vec<CloseRecord> {
    let of_role = |record: &Record| match record {
        Record::Close(close) if close.service.role == role as u8 => Some(*close),
        _ => None,
    };
    records.iter().filter_map(of_role).collect()
}

fn resets(records: &[Record]) -> Vec<ResetRecord> {
    let reset = |record: &Record| match record {
        Record::Reset(reset) => Some(*reset),
        _ => None,
    };
    records.iter().filter_map(reset).collect()
}

fn listeners(records: &[Record]) -> Vec<ListenerRecord> {
    let listener = |record: &Record| match record {
        Record::Listener(listener) => Some(*listener),
        _ => None,
    };
    records.iter().filter_map(listener).collect()
}

fn mapped(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

#[test]
fn a_clean_close_tells_both_ends() {
    shared();
    Netns::run(|ns| {
        let mut ports = (0, 0);
        // A listener's opening and end, and two ends of a connection.
        let records = recorded(ns, 4, || {
            let listener = listen();
            let (client, server) = pair(&listener);
            ports = (
                listener.local_addr().unwrap().port(),
                client.local_addr().unwrap().port(),
            );
            deliver(&client, &server, REQUEST);
            read(&server, REQUEST.len());
            deliver(&server, &client, ANSWER);
            read(&client, ANSWER.len());
            close_to_mini(server);
        });
        let [server] = closes(&records, Role::Server)[..] else {
            panic!("not one record of the server: {records:#?}")
        };
        let [client] = closes(&records, Role::Client)[..] else {
            panic!("not one record of the client: {records:#?}")
        };
        let localhost = mapped([127, 0, 0, 1].into());
        for (close, from, to) in [(&server, ports.0, ports.1), (&client, ports.1, ports.0)] {
            assert_eq!((close.local_port, close.remote_port), (from, to));
            assert_eq!(
                (close.local_addr, close.remote_addr),
                (localhost, localhost)
            );
            assert_eq!(
                close.service.port, ports.0,
                "the service's port is the server's"
            );
            assert_eq!(close.outcome, Outcome::Fin as u8);
            assert_eq!((close.cut(), close.evidence()), (None, None));
            assert_eq!((close.unread, close.unacked), (0, 0));
            assert_eq!(close.flags, close_flags::LEFT_STEADY);
            assert_eq!(close.owner_tgid, std::process::id());
            assert!(close.opened_at_ns > 0 && close.opened_at_ns < close.header.at_ns);
        }
        assert_eq!(server.origin, Origin::Local as u8);
        assert_eq!(client.origin, Origin::Remote as u8);
        assert_eq!(server.time_wait, TimeWait::FinWait2 as u8);
        assert_eq!(client.time_wait, TimeWait::None as u8);
        assert_eq!((server.bytes_received, server.bytes_sent), (BYTES, 200));
        assert_eq!((client.bytes_received, client.bytes_sent), (200, BYTES));
        assert_eq!(
            (server.turns, server.asked, server.since_read),
            (1, REQUEST.len() as u32, 200)
        );
        assert_eq!(server.closer_tgid, std::process::id());
        let [up, down] = listeners(&records)[..] else {
            panic!("not two records of the listener: {records:#?}")
        };
        assert_eq!((up.up, down.up), (1, 0));
        assert_eq!(up.cookie, down.cookie);
        assert_eq!(up.service.port, ports.0);
        assert_eq!(up.tgid, std::process::id());
    });
}

#[test]
fn an_unread_request_is_told_with_the_reset_that_follows() {
    shared();
    Netns::run(|ns| {
        let raw = RawPeer::new();
        let listener = raw.listener(Family::V6);
        let records = recorded(ns, 2, || {
            let (mut peer, server) = raw.accepted(&listener);
            peer.data(REQUEST);
            peer.expect(ACK);
            drop(server);
            peer.expect(RST);
        });
        let ([close], [reset]) = (&closes(&records, Role::Server)[..], &resets(&records)[..])
        else {
            panic!("not one close and one reset: {records:#?}")
        };
        assert_eq!(
            (close.origin, close.outcome),
            (Origin::None as u8, Outcome::ResetSent as u8)
        );
        assert_eq!((close.cut(), close.evidence()), (Some(Cut::Unread), None));
        assert_eq!(u64::from(close.unread), BYTES);
        assert_eq!(
            close.remote_addr,
            mapped("fd00::2".parse::<Ipv6Addr>().unwrap().into())
        );
        assert_eq!(reset.cookie, close.cookie);
        assert_eq!(
            (reset.lost, u64::from(reset.lost_bytes)),
            (Lost::Data as u8, BYTES)
        );
        assert_eq!(reset.flags & reset_flags::CUT_LATE, 0);
    });
}

#[test]
fn an_unread_request_is_told_when_the_program_lets_go_of_it() {
    shared();
    Netns::run(|ns| {
        let raw = RawPeer::new();
        let listener = raw.listener(Family::V6);
        let records = recorded(ns, 2, || {
            let (mut peer, server) = raw.accepted(&listener);
            peer.data(REQUEST);
            peer.expect(ACK);
            server.shutdown(Shutdown::Write).unwrap();
            peer.expect(FIN);
            peer.fin();
            wait_state(&server, 7);
            drop(server);
        });
        let [Record::Close(close), Record::Unread(unread)] = &records[..] else {
            panic!("not a close and what was unread: {records:#?}")
        };
        assert_ne!(close.flags & close_flags::HELD, 0);
        assert_eq!((close.cut(), close.unread), (None, 0));
        assert_eq!(unread.cookie, close.cookie);
        assert_eq!(unread.cut(), Some(Cut::Unread));
        assert_eq!(u64::from(unread.unread), BYTES);
        assert_eq!(
            (unread.local_addr, unread.local_port),
            (close.local_addr, close.local_port)
        );
        assert_eq!(
            (unread.remote_addr, unread.remote_port),
            (close.remote_addr, close.remote_port)
        );
    });
}

#[test]
fn an_unanswered_request_is_told_with_its_evidence() {
    shared();
    Netns::run(|ns| {
        let raw = RawPeer::new();
        let listener = raw.listener(Family::V4);
        let records = recorded(ns, 1, || {
            let (mut peer, server) = raw.accepted(&listener);
            peer.data(REQUEST);
            read(&server, REQUEST.len());
            drop(server);
            peer.expect(FIN);
            peer.fin();
            peer.expect(ACK);
        });
        let [close] = closes(&records, Role::Server)[..] else {
            panic!("not one close: {records:#?}")
        };
        assert_eq!(close.cut(), Some(Cut::Unanswered));
        assert_eq!(close.evidence(), Some(Evidence::Silent));
        assert_eq!(close.time_wait, TimeWait::TimeWait as u8);
        assert_eq!((close.asked, close.since_read), (REQUEST.len() as u32, 0));
    });
}

#[test]
fn late_data_settles_the_close_before_it() {
    shared();
    Netns::run(|ns| {
        let raw = RawPeer::new();
        let listener = raw.listener(Family::V4);
        let records = recorded(ns, 2, || {
            let (mut peer, server) = raw.accepted(&listener);
            let acknowledged = peer.ack;
            drop(server);
            peer.expect(FIN);
            peer.send_at(peer.seq, acknowledged, ACK | PSH, REQUEST);
            peer.expect(RST);
        });
        let ([close], [reset]) = (&closes(&records, Role::Server)[..], &resets(&records)[..])
        else {
            panic!("not one close and one reset: {records:#?}")
        };
        assert_ne!(close.flags & close_flags::AMBIGUOUS, 0);
        assert_eq!(reset.cookie, close.cookie);
        let both = reset_flags::SETTLES | reset_flags::CUT_LATE;
        assert_eq!(reset.flags & both, both);
        assert!(close.header.at_ns <= reset.header.at_ns);
    });
}

#[test]
fn a_mini_sockets_reset_names_the_connection_it_cuts() {
    if !kernel::traces_every_reset() {
        eprintln!("before 6.10 a mini-socket's RST has no tracepoint: there is nothing to record");
        return;
    }
    shared();
    Netns::run(|ns| {
        let raw = RawPeer::new();
        let listener = raw.listener(Family::V4);
        let records = recorded(ns, 2, || {
            let (mut peer, server) = raw.accepted(&listener);
            drop(server);
            peer.expect(FIN);
            peer.acknowledge();
            wait_port_state(peer.remote_port(), state::FIN_WAIT2);
            peer.data(REQUEST);
            peer.expect(RST);
        });
        let ([close], [reset]) = (&closes(&records, Role::Server)[..], &resets(&records)[..])
        else {
            panic!("not one close and one reset: {records:#?}")
        };
        assert_eq!(reset.cookie, close.cookie);
        let both = reset_flags::MINI_SOCKET | reset_flags::CUT_LATE;
        assert_eq!(reset.flags & both, both);
        assert_eq!(u64::from(reset.lost_bytes), BYTES);
    });
}
