//! Multipath TCP is left out: neither the program's socket nor the connections below it are counted. A
//! connection whose peer does not speak it is an ordinary one.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    os::fd::{AsRawFd, FromRawFd, IntoRawFd},
};

use super::{ANSWER, REQUEST};
use crate::harness::{
    Expect, Netns, Observed, Origin, Outcome, Side, Snmp, scenario, settle, shared,
    sock::{accept, bind, connect_again, new_stream, read_eof, wait_all_closed},
};

const IPPROTO_MPTCP: libc::c_int = 262;

#[test]
fn spoken_by_both_ends_it_is_left_out() {
    let probe = shared();
    let before = probe.with(|p| p.losses.read()).mptcp_subflows;
    Netns::run(|ns| {
        let address: SocketAddr = "127.0.0.1:8080".parse().unwrap();
        let listener = listen(address);
        let client = new_stream(&address, 0, IPPROTO_MPTCP);
        connect_again(&client, address).unwrap();
        let server = accept(&listener);
        converse(&client, &server);
        assert_eq!(
            Snmp::read().get("MPCapableSYNACKRX"),
            1,
            "the peers agreed on MPTCP"
        );
        drop(server);
        read_eof(&client);
        drop(client);
        wait_all_closed();
        settle(ns, &Expect::default());
        let observed = Observed::read(probe.counters(), ns.cookie());
        assert_eq!(observed.resets_sent(), 0);
    });
    // What is left out is said.
    let after = probe.with(|p| p.losses.read()).mptcp_subflows;
    assert_eq!(
        after - before,
        2,
        "both ends of one connection are left out"
    );
}

#[test]
fn a_plain_client_of_a_multipath_listener_is_counted() {
    scenario(|_| {
        let address: SocketAddr = "127.0.0.1:8080".parse().unwrap();
        let listener = listen(address);
        let client = TcpStream::connect(address).unwrap();
        let server = accept(&listener);
        converse(&client, &server);
        drop(server);
        read_eof(&client);
        drop(client);
        Expect::both(
            Side::closed(Origin::Local, Outcome::Fin).mini_socket(),
            Side::passively_closed(),
        )
    });
}

fn converse(mut client: &TcpStream, mut server: &TcpStream) {
    client.write_all(REQUEST).unwrap();
    let mut request = vec![0; REQUEST.len()];
    server.read_exact(&mut request).unwrap();
    server.write_all(ANSWER).unwrap();
    let mut answer = vec![0; ANSWER.len()];
    client.read_exact(&mut answer).unwrap();
}

fn listen(address: SocketAddr) -> TcpListener {
    let socket = new_stream(&address, 0, IPPROTO_MPTCP);
    bind(&socket, address);
    // SAFETY: no memory is involved.
    let result = unsafe { libc::listen(socket.as_raw_fd(), 8) };
    assert_eq!(result, 0, "listen: {}", std::io::Error::last_os_error());
    // SAFETY: the descriptor changes its owner once.
    unsafe { TcpListener::from_raw_fd(socket.into_raw_fd()) }
}
