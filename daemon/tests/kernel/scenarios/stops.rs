//! A server with 20 idle and 10 busy connections is stopped, in each way: exactly the 10 are lost.

use std::{
    io::{Read, Write},
    net::TcpStream,
    os::fd::{AsRawFd, RawFd},
};

use super::{ALERT, ANSWER};
use crate::harness::{
    Cut, Entry, Evidence, Expect, Lost, Netns, Origin, Outcome, Patient, Reason, Side,
    child::{Child, gate},
    kernel, scenario,
    sock::{listen, read, read_eof, wait_state},
    sockets, state, wait_until,
};

const IDLE: usize = 20;
const BUSY: usize = 10;
const ALL: usize = IDLE + BUSY;

/// What the server does with a request, by its first byte.
const ANSWER_IT: u8 = b'A';
const HOLD_IT: u8 = b'H';

/// How the server ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Close,
    Exit,
    Kill,
    /// A TLS server's close(): an alert first.
    Goodbye,
}

#[test]
fn by_close() {
    scenario(|ns| plain(ns, End::Close));
}

#[test]
fn by_exit() {
    scenario(|ns| plain(ns, End::Exit));
}

#[test]
fn by_sigkill() {
    scenario(|ns| plain(ns, End::Kill));
}

fn plain(_ns: &Netns, end: End) -> Expect {
    let clients = run(end);
    clients.iter().for_each(read_eof);
    drop(clients);
    let closed = |side: Side| {
        if end == End::Close {
            side.mini_socket()
        } else {
            side.mini_socket().by_exit()
        }
    };
    let closed = closed(Side::closed(Origin::Local, Outcome::Fin));
    let lost = closed
        .clone()
        .unanswered(Evidence::Silent)
        .cut(Cut::Unanswered);
    let client = Side::passively_closed();
    Expect::both(
        closed * IDLE as u64 + lost * BUSY as u64,
        client.clone() * IDLE as u64 + client.unanswered(Evidence::Silent) * BUSY as u64,
    )
}

#[test]
fn by_close_of_a_tls_server() {
    scenario(|_| {
        let clients = run(End::Goodbye);
        for client in &clients {
            assert_eq!(read(client, ALERT.len()), ALERT);
            read_eof(client);
        }
        wait_until("every server's end is a mini-socket", || {
            let waiting = |entry: &&Entry| entry.state == state::FIN_WAIT2;
            sockets().iter().filter(waiting).count() == ALL
        });
        // A TLS client says goodbye too, to a socket that is gone.
        for mut client in &clients {
            client.write_all(ALERT).unwrap();
            wait_state(client, 7);
        }
        drop(clients);
        let closed = Side::closed(Origin::Local, Outcome::Fin).fin_wait2();
        let closed = if kernel::traces_every_reset() {
            closed.reset_sent(Reason::TimeWaitSocket, Lost::Goodbye)
        } else {
            closed
        };
        let lost = closed
            .clone()
            .unanswered(Evidence::Alert)
            .cut(Cut::Unanswered);
        Expect::both(
            closed * IDLE as u64 + lost * BUSY as u64,
            Side::broken_in_close_wait(Outcome::ResetReceived)
                .reset_received(state::CLOSE_WAIT)
                .unacked(ALERT.len() as u64)
                * ALL as u64,
        )
    });
}

/// Starts a server process, gives every connection an answer, leaves ten requests without one, and ends
/// the process; the clients' ends are given back.
fn run(end: End) -> Vec<TcpStream> {
    let listener = listen();
    let address = listener.local_addr().unwrap();
    let (stop, stopper) = gate();
    let (reports, reporter) = gate();
    let mut reports = Patient::new(reports);
    let fds = [listener.as_raw_fd(), stop.as_raw_fd(), reporter.as_raw_fd()];
    let child = Child::fork(&fds, || serve(fds[0], fds[1], fds[2], end));
    drop((listener, stop, reporter));
    let clients: Vec<TcpStream> = (0..ALL)
        .map(|_| TcpStream::connect(address).unwrap())
        .collect();
    for mut client in &clients {
        // The first exchange stands for the handshake, the second is a request.
        for size in [517, 129] {
            client.write_all(&vec![ANSWER_IT; size]).unwrap();
            read(client, ANSWER.len());
        }
    }
    for mut client in &clients[IDLE..] {
        client.write_all(&[HOLD_IT; 129]).unwrap();
        reports.read_exact(&mut [0]).unwrap();
    }
    if end == End::Kill {
        child.kill();
    } else {
        drop(stopper);
        assert_eq!(child.wait(), 0);
    }
    clients
}

/// The server: system calls only, as it runs in a fork of a process with threads.
fn serve(listener: RawFd, stop: RawFd, report: RawFd, end: End) -> i32 {
    let mut fds = [libc::pollfd {
        fd: -1,
        events: libc::POLLIN,
        revents: 0,
    }; ALL + 1];
    fds[ALL].fd = stop;
    for entry in &mut fds[..ALL] {
        // SAFETY: no address is asked for, so no memory is involved.
        entry.fd = unsafe { libc::accept(listener, std::ptr::null_mut(), std::ptr::null_mut()) };
        if entry.fd < 0 {
            return 1;
        }
    }
    loop {
        // SAFETY: the array has that many entries.
        if unsafe { libc::poll(fds.as_mut_ptr(), fds.len() as libc::nfds_t, -1) } < 0 {
            return 2;
        }
        if fds[ALL].revents != 0 {
            break;
        }
        for entry in fds[..ALL].iter().filter(|entry| entry.revents != 0) {
            if !serve_one(entry.fd, report) {
                return 3;
            }
        }
    }
    if matches!(end, End::Close | End::Goodbye) {
        for entry in &fds[..ALL] {
            // SAFETY: the alert is as long as is said; the descriptor is ours.
            unsafe {
                if end == End::Goodbye {
                    libc::send(entry.fd, ALERT.as_ptr().cast(), ALERT.len(), 0);
                }
                libc::close(entry.fd);
            }
        }
    }
    0
}

fn serve_one(fd: RawFd, report: RawFd) -> bool {
    let mut request = [0u8; 1024];
    // SAFETY: every buffer is as long as is said.
    unsafe {
        let length = libc::recv(fd, request.as_mut_ptr().cast(), request.len(), 0);
        if length <= 0 {
            return false;
        }
        if request[0] == HOLD_IT {
            libc::write(report, request.as_ptr().cast(), 1) == 1
        } else {
            let sent = libc::send(fd, ANSWER.as_ptr().cast(), ANSWER.len(), 0);
            sent == ANSWER.len() as isize
        }
    }
}
