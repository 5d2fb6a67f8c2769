//! Listeners: children that nobody accepts, overflow, migration, and connections that fail in the bud.

use std::{
    net::{TcpListener, TcpStream},
    os::fd::FromRawFd,
};

use super::REQUEST;
use crate::{
    harness::{
        Cell, Cut, Evidence, Expect, Lost, Observed, Origin, Outcome, Reason, Side, Snmp, scenario,
        shared,
        sock::{accept, deliver, listen, listen_again, pair, read_eof, read_reset, wait_state},
        state, wait_until,
    },
    raw::{ACK, FIN, Family, RST, RawPeer},
};

/// Established, never accepted, reset as the listener closed.
fn dropped() -> Side {
    Side::broken(Outcome::ResetSent).plus(Cell::ACCEPT_QUEUE_DROPPED, 1)
}

#[test]
fn closed_with_connections_in_the_queue() {
    scenario(|_| {
        let listener = listen();
        let address = listener.local_addr().unwrap();
        let clients: Vec<_> = (0..3)
            .map(|_| TcpStream::connect(address).unwrap())
            .collect();
        drop(listener);
        clients.iter().for_each(read_reset);
        Expect::both(
            dropped().reset_sent(Reason::State, Lost::Nothing) * 3,
            Side::broken(Outcome::ResetReceived).reset_received(state::ESTABLISHED) * 3,
        )
    });
}

#[test]
fn closed_with_a_request_in_the_queue() {
    scenario(|_| {
        let raw = RawPeer::new();
        let listener = raw.listener(Family::V6);
        let mut peer = raw.connect(&listener);
        peer.data(REQUEST);
        peer.expect(ACK);
        drop(listener);
        peer.expect(RST);
        Expect::server(
            dropped()
                .unread(REQUEST.len() as u64)
                .cut(Cut::Unread)
                .reset_sent(Reason::State, Lost::Data),
        )
    });
}

#[test]
fn closed_with_a_connection_in_the_queue_that_the_peer_has_closed() {
    scenario(|_| {
        let listener = listen();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        client.shutdown(std::net::Shutdown::Write).unwrap();
        wait_state(&client, state::FIN_WAIT2);
        drop(listener);
        read_reset(&client);
        Expect::both(
            Side::broken_in_close_wait(Outcome::ResetSent)
                .plus(Cell::ACCEPT_QUEUE_DROPPED, 1)
                .reset_sent(Reason::State, Lost::Nothing),
            Side::closed(Origin::Local, Outcome::ResetReceived).reset_received(state::FIN_WAIT2),
        )
    });
}

#[test]
fn closed_with_a_request_that_is_no_socket_yet() {
    scenario(|_| {
        let raw = RawPeer::new();
        let listener = raw.listener(Family::V4);
        let mut peer = raw.half_open(listener.local_addr().unwrap());
        drop(listener);
        peer.acknowledge();
        peer.expect(RST);
        Expect::server(if crate::harness::kernel::traces_every_reset() {
            Side::default().reset_sent(Reason::NoSocket, Lost::Nothing)
        } else {
            Side::default()
        })
    });
}

#[test]
fn overflow_without_a_reset_drops_silently() {
    scenario(|_| {
        let raw = RawPeer::new();
        let listener = raw.listener(Family::V4);
        listen_again(&listener, 0);
        let mut first = raw.connect(&listener);
        let server = accept(&listener);
        let mut second = raw.half_open(listener.local_addr().unwrap());
        let mut third = raw.half_open(listener.local_addr().unwrap());
        second.acknowledge();
        wait_until("the second is queued", || {
            Snmp::read().get("PassiveOpens") == 2
        });
        third.acknowledge();
        wait_until("the third overflows", || {
            Snmp::read().get("ListenOverflows") == 1
        });
        first.fin();
        read_eof(&server);
        drop(server);
        first.expect(FIN);
        first.acknowledge();
        let server = accept(&listener);
        second.fin();
        read_eof(&server);
        drop(server);
        second.expect(FIN);
        second.acknowledge();
        Expect::server(Side::passively_closed() * 2)
    });
}

#[test]
fn overflow_with_a_reset() {
    scenario(|ns| {
        ns.sysctl("ipv4/tcp_abort_on_overflow", 1);
        let raw = RawPeer::new();
        let listener = raw.listener(Family::V4);
        // Room for three, and for two that are not there yet: the request that will find no room must
        // be a real one, as a cookie's overflow is never reset.
        listen_again(&listener, 2);
        let address = listener.local_addr().unwrap();
        let mut late = raw.half_open(address);
        let mut queued: Vec<_> = (1..=3)
            .map(|count| {
                let peer = raw.connect(&listener);
                wait_until("it is queued", || Snmp::read().get("PassiveOpens") == count);
                peer
            })
            .collect();
        late.acknowledge();
        late.expect(RST);
        for peer in &mut queued {
            let server = accept(&listener);
            peer.fin();
            read_eof(&server);
            drop(server);
            peer.expect(FIN);
            peer.acknowledge();
        }
        Expect::server(
            Side::passively_closed() * 3
                + Side::default().reset_sent(Reason::InvalidSyn, Lost::Nothing),
        )
    });
}

#[test]
fn a_stray_acknowledgement_to_a_listener() {
    scenario(|_| {
        let raw = RawPeer::new();
        let listener = raw.listener(Family::V4);
        let mut peer = raw.dial(listener.local_addr().unwrap());
        peer.send(ACK, b"");
        peer.expect(RST);
        Expect::server(Side::default().reset_sent(Reason::Flags, Lost::Nothing))
    });
}

#[test]
fn a_connection_that_fails_in_the_bud() {
    scenario(|ns| {
        ns.sysctl("ipv4/conf/all/rp_filter", 0);
        ns.sysctl("ipv4/conf/default/rp_filter", 0);
        let raw = RawPeer::new();
        let listener = raw.listener(Family::V4);
        let mut peer = raw.half_open(listener.local_addr().unwrap());
        // Without a way back the socket that the last ACK makes is given up at once.
        raw.cut_route();
        peer.acknowledge();
        wait_until("the child is dropped", || {
            Snmp::read().get("ListenDrops") == 1
        });
        assert_eq!(Snmp::read().get("PassiveOpens"), 1);
        Expect::server(Side::default().plus(Cell::EMBRYONIC_FAILED, 1))
    });
}

#[test]
fn children_migrate_to_the_other_listener_of_the_port() {
    scenario(|ns| {
        ns.sysctl("ipv4/tcp_migrate_req", 1);
        let first = shared_listener(0);
        let address = first.local_addr().unwrap();
        let clients: Vec<_> = (0..4)
            .map(|_| TcpStream::connect(address).unwrap())
            .collect();
        let second = shared_listener(address.port());
        drop(first);
        for client in &clients {
            let server = accept(&second);
            drop(server);
            read_eof(client);
        }
        drop(clients);
        Expect::both(
            Side::closed(Origin::Local, Outcome::Fin).mini_socket() * 4,
            Side::passively_closed() * 4,
        )
    });
}

#[test]
fn a_listener_is_up_and_down() {
    scenario(|ns| {
        let first = listen();
        let second = listen();
        // A second listen() is no second listener.
        listen_again(&second, 4);
        drop(first);
        let observed = || Observed::read(shared().counters(), ns.cookie()).server;
        wait_until("both listeners are counted", || {
            observed().get(Cell::LISTEN_UP) == 2 && observed().get(Cell::LISTEN_DOWN) == 1
        });
        let (client, server) = pair(&second);
        deliver(&client, &server, REQUEST);
        // shutdown() ends a listener as well, and its queue with it.
        let queued = TcpStream::connect(second.local_addr().unwrap()).unwrap();
        // SAFETY: no memory is involved.
        unsafe { libc::shutdown(std::os::fd::AsRawFd::as_raw_fd(&second), libc::SHUT_RDWR) };
        read_reset(&queued);
        wait_until("the second is down", || {
            observed().get(Cell::LISTEN_DOWN) == 2
        });
        drop(second);
        drop(server);
        read_reset(&client);
        Expect::both(
            dropped().reset_sent(Reason::State, Lost::Nothing)
                + Side::broken(Outcome::ResetSent)
                    .unread(REQUEST.len() as u64)
                    .cut(Cut::Unread)
                    .reset_sent(Reason::AbortOnClose, Lost::Data),
            Side::broken(Outcome::ResetReceived).reset_received(state::ESTABLISHED)
                + Side::broken(Outcome::ResetReceived)
                    .reset_received(state::ESTABLISHED)
                    .unanswered(Evidence::Silent),
        )
    });
}

/// A listener that others may share the port with (SO_REUSEPORT).
fn shared_listener(port: u16) -> TcpListener {
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], port));
    let socket = crate::harness::sock::new_stream(&address, 0, 0);
    crate::harness::sock::reuse_port(&socket);
    crate::harness::sock::bind(&socket, address);
    // SAFETY: no memory is involved; the descriptor changes its owner once.
    unsafe {
        let fd = std::os::fd::IntoRawFd::into_raw_fd(socket);
        assert_eq!(libc::listen(fd, 64), 0);
        TcpListener::from_raw_fd(fd)
    }
}
