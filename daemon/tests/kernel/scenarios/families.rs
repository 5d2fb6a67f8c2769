//! IPv6, and IPv4 clients of an IPv6 listener: the same counts as for IPv4, in the same service.

use std::net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream};

use super::REQUEST;
use crate::{
    harness::{
        Cut, Evidence, Expect, Lost, Netns, Origin, Outcome, Reason, Side, scenario, settle,
        shared,
        sock::{accept, close_to_mini, deliver, pair, read_eof, read_reset},
        state,
    },
    raw::{FIN, Family, RST, RawPeer},
};

#[test]
fn ipv6_on_loopback() {
    scenario(|_| {
        let listener = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).unwrap();
        let (client, server) = pair(&listener);
        close_to_mini(server);
        drop(client);
        Expect::both(
            Side::closed(Origin::Local, Outcome::Fin).fin_wait2(),
            Side::passively_closed(),
        )
    });
}

#[test]
fn ipv6_with_a_request_unread() {
    scenario(|_| {
        let listener = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).unwrap();
        let (client, server) = pair(&listener);
        deliver(&client, &server, REQUEST);
        drop(server);
        read_reset(&client);
        Expect::both(
            Side::broken(Outcome::ResetSent)
                .unread(REQUEST.len() as u64)
                .cut(Cut::Unread)
                .reset_sent(Reason::AbortOnClose, Lost::Data),
            Side::broken(Outcome::ResetReceived)
                .reset_received(state::ESTABLISHED)
                .unanswered(Evidence::Silent),
        )
    });
}

#[test]
fn ipv4_clients_of_an_ipv6_listener() {
    scenario(|_| {
        let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let client = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port))).unwrap();
        let (server, from) = listener.accept().unwrap();
        assert!(from.is_ipv6(), "the address is mapped");
        close_to_mini(server);
        read_eof(&client);
        drop(client);
        Expect::both(
            Side::closed(Origin::Local, Outcome::Fin).fin_wait2(),
            Side::passively_closed(),
        )
    });
}

#[test]
fn ipv4_from_another_host_to_an_ipv6_listener() {
    scenario(|_| {
        let raw = RawPeer::new();
        let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut peer = raw.half_open(SocketAddr::from(([10, 0, 0, 1], port)));
        peer.acknowledge();
        let server = accept(&listener);
        peer.data(REQUEST);
        crate::harness::sock::read(&server, REQUEST.len());
        drop(server);
        peer.expect(FIN);
        peer.data(REQUEST);
        peer.expect(RST);
        Expect::server(
            // The connection was cut when we closed; the late request cuts it no second time.
            Side::closed(Origin::Local, Outcome::ResetSent)
                .unanswered(Evidence::Silent)
                .cut(Cut::Unanswered)
                .reset_sent(Reason::AbortOnData, Lost::Data),
        )
    });
}

#[test]
fn both_families_are_one_service() {
    let probe = shared();
    Netns::run(|ns| {
        let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        for address in [
            SocketAddr::from(([127, 0, 0, 1], port)),
            SocketAddr::from((Ipv6Addr::LOCALHOST, port)),
        ] {
            let client = TcpStream::connect(address).unwrap();
            let server = accept(&listener);
            drop(client);
            read_eof(&server);
        }
        settle(
            ns,
            &Expect::both(
                Side::passively_closed() * 2,
                Side::closed(Origin::Local, Outcome::Fin).mini_socket() * 2,
            ),
        );
        let reading = probe.counters().live().unwrap();
        let mut keys: Vec<_> = reading
            .rows
            .iter()
            .map(|(key, _)| key)
            .filter(|key| key.netns == ns.cookie())
            .collect();
        keys.sort();
        assert_eq!(
            keys.len(),
            2,
            "one row of the server, one of the client: {keys:?}"
        );
        assert!(keys.iter().all(|key| key.port == port));
        assert!(
            keys.iter()
                .all(|key| !key.comm().is_empty() && key.cgroup != 0)
        );
    });
}

#[test]
fn ipv6_from_another_host_closes_first() {
    scenario(|_| {
        let raw = RawPeer::new();
        let (mut peer, server) = raw.accepted(&raw.listener(Family::V6));
        peer.fin();
        read_eof(&server);
        drop(server);
        peer.expect(FIN);
        peer.acknowledge();
        Expect::server(Side::passively_closed())
    });
}
