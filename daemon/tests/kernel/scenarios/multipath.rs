//! Multipath TCP: the socket of the program is no TCP socket and is left out; the connections below it
//! are ordinary ones and are counted like any other, once.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    os::fd::{AsRawFd, FromRawFd, IntoRawFd},
};

use super::{ANSWER, REQUEST};
use crate::harness::{
    Cell, Netns, Observed, Snmp, check_identities, shared,
    sock::{bind, connect_again, new_stream},
    wait_until,
};

const IPPROTO_MPTCP: libc::c_int = 262;

#[test]
fn only_the_connections_below_are_counted() {
    let probe = shared();
    Netns::run(|ns| {
        let address: SocketAddr = "127.0.0.1:8080".parse().unwrap();
        let listener = listen(address);
        let client = new_stream(&address, 0, IPPROTO_MPTCP);
        connect_again(&client, address).unwrap();
        let (server, _) = listener.accept().unwrap();
        converse(&client, &server);
        assert!(Snmp::read().get("MPCapableSYNACKRX") == 1, "the peers agreed on MPTCP");
        drop(server);
        assert_eq!((&client).read(&mut [0; 8]).unwrap(), 0);
        drop(client);
        drop(listener);
        let observed = || Observed::read(probe.counters(), ns.cookie());
        wait_until("both ends of one connection are counted", || {
            let now = observed();
            let ended = |side: &crate::harness::Counted| {
                side.get(Cell::OPENED) == 1 && side.get(Cell::LEFT) == 1 && side.closes() == 1
            };
            ended(&now.server) && ended(&now.client)
        });
        check_identities(ns, &observed());
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
