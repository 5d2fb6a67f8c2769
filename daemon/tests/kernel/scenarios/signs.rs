//! What a close record says of a conversation beside its counts: that its client told one message after another, that an answer may have
//! been on its way when the process died.

use std::{net::TcpStream, os::fd::AsRawFd as _};

use finwatch_common::{CloseRecord, Role, close_flags};
use finwatch_engine::input::Record;

use super::{ANSWER, REQUEST};
use crate::harness::{
    Netns,
    child::Child,
    recorded, shared,
    sock::{deliver, listen, pair, read, read_eof},
};

/// The record of the server's end of a connection that `talk` is held on.
fn server_end(talk: impl FnOnce(TcpStream, TcpStream) + Send) -> CloseRecord {
    shared();
    Netns::run(|ns| {
        let listener = listen();
        // Two ends of a connection.
        let records = recorded(ns, 2, || {
            let (client, server) = pair(&listener);
            talk(client, server);
        });
        let of_server = |record: &Record| match record {
            Record::Close(close) if close.service.role == Role::Server as u8 => Some(*close),
            _ => None,
        };
        let close = records.iter().find_map(of_server);
        close.expect("the server's end is told")
    })
}

/// Four at the least, none of them long, and no answer to any.
#[test]
fn messages_of_a_sender() {
    for (count, bytes, told) in [
        (4, 60, true),
        (3, 60, false),
        (4, 2_000, false),
        (5, 60, true),
    ] {
        let close = server_end(|client, server| {
            for _ in 0..count {
                deliver(&client, &server, &vec![b'x'; bytes]);
                read(&server, bytes);
            }
            drop(client);
            read_eof(&server);
        });
        let is_told = close.flags & close_flags::MESSAGES != 0;
        assert_eq!(is_told, told, "{count} of {bytes}: {close:#?}");
    }
}

/// An answer to the question before is no answer on its way.
#[test]
fn a_process_that_dies_with_an_answer_on_its_way_or_with_none() {
    for answered in [true, false] {
        let close = server_end(|client, server| {
            deliver(&client, &server, REQUEST);
            read(&server, REQUEST.len());
            deliver(&server, &client, ANSWER);
            read(&client, ANSWER.len());
            if !answered {
                deliver(&client, &server, REQUEST);
                read(&server, REQUEST.len());
            }
            let child = Child::holding(&[server.as_raw_fd()]);
            drop(server);
            child.kill();
            read_eof(&client);
        });
        assert_ne!(close.flags & close_flags::BY_EXIT, 0, "{close:#?}");
        let is_sending = close.flags & close_flags::SENDING != 0;
        assert_eq!(is_sending, answered, "{close:#?}");
    }
}
