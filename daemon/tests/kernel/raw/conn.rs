//! The peer's end of one connection: it keeps the two sequence numbers and does nothing by itself, not
//! even acknowledge.

use std::{net::SocketAddr, time::Duration};

use super::{ACK, FIN, PSH, RST, RawPeer, SYN, Segment};

const PATIENCE: Duration = Duration::from_secs(30);

/// One connection as the peer sees it.
pub(crate) struct RawConn<'a> {
    peer: &'a RawPeer,
    local: SocketAddr,
    remote: SocketAddr,
    /// The sequence number the peer sends next.
    pub(crate) seq: u32,
    /// The sequence number the peer awaits.
    pub(crate) ack: u32,
    /// The window it offers.
    pub(crate) window: u16,
}

impl<'a> RawConn<'a> {
    pub(super) fn new(peer: &'a RawPeer, local: SocketAddr, remote: SocketAddr) -> Self {
        Self {
            peer,
            local,
            remote,
            seq: 0x1000_0000,
            ack: 0,
            window: 60_000,
        }
    }

    /// Sends the next segment in order. A SYN-ACK, like all but the first SYN, acknowledges.
    pub(crate) fn send(&mut self, flags: u8, payload: &[u8]) {
        let segment = self.segment(self.seq, self.ack, flags, payload);
        self.seq = self.seq.wrapping_add(segment.length());
        self.peer.send(&segment);
    }

    /// Sends data in order.
    pub(crate) fn data(&mut self, payload: &[u8]) {
        self.send(ACK | PSH, payload);
    }

    /// Sends a FIN that acknowledges all that came.
    pub(crate) fn fin(&mut self) {
        self.send(FIN | ACK, b"");
    }

    /// Sends an RST that the kernel must believe.
    pub(crate) fn rst(&mut self) {
        self.send(RST | ACK, b"");
    }

    /// Acknowledges all that came.
    pub(crate) fn acknowledge(&mut self) {
        self.send(ACK, b"");
    }

    /// Sends any segment at all, and keeps no account of it.
    pub(crate) fn send_at(&self, seq: u32, ack: u32, flags: u8, payload: &[u8]) {
        self.peer.send(&self.segment(seq, ack, flags, payload));
    }

    /// Waits for the next segment that has `flags`, and takes note of what it acknowledges and carries;
    /// segments without them that come before are taken note of too.
    #[track_caller]
    pub(crate) fn expect(&mut self, flags: u8) -> Segment {
        loop {
            let Some(segment) = self.next(PATIENCE) else {
                panic!("no segment with the flags {flags:#04x} came");
            };
            let found = segment.has(flags);
            // A reset is never passed over: who waits for something else would wait in vain.
            assert!(
                found || !segment.has(RST),
                "reset while the flags {flags:#04x} were awaited"
            );
            if found {
                return segment;
            }
        }
    }

    /// Sends a SYN until a SYN-ACK comes: the first segments of an interface that has just come up may be
    /// lost, and a peer that never repeats one would wait in vain.
    #[track_caller]
    pub(crate) fn open(&mut self) {
        let isn = self.seq;
        for _ in 0..PATIENCE.as_secs() {
            self.seq = isn;
            self.send(SYN, b"");
            if self
                .next(Duration::from_secs(1))
                .is_some_and(|s| s.has(SYN | ACK))
            {
                return;
            }
        }
        panic!("no answer to any SYN came");
    }

    /// Waits until bytes of the kernel came up to `length` in all.
    #[track_caller]
    pub(crate) fn expect_data(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while bytes.len() < length {
            bytes.extend(self.expect(ACK).payload);
        }
        bytes
    }

    /// The next segment of this connection, or `None` when none came within `patience`.
    pub(crate) fn next(&mut self, patience: Duration) -> Option<Segment> {
        let segment = self.peer.take(patience, |s| {
            s.destination_port == self.local.port()
                && s.source_port == self.remote.port()
                && s.source == self.remote.ip()
        })?;
        self.heard(&segment);
        Some(segment)
    }

    /// The kernel's port.
    pub(crate) fn remote_port(&self) -> u16 {
        self.remote.port()
    }

    pub(super) fn heard(&mut self, segment: &Segment) {
        if segment.has(SYN) {
            self.ack = segment.seq.wrapping_add(1);
        } else if segment.seq == self.ack {
            self.ack = self.ack.wrapping_add(segment.length());
        }
    }

    fn segment(&self, seq: u32, ack: u32, flags: u8, payload: &[u8]) -> Segment {
        // Without the option the kernel takes 536 bytes for what the peer can receive.
        let mss = if flags & SYN != 0 {
            vec![2, 4, 5, 120]
        } else {
            Vec::new()
        };
        Segment {
            source: self.local.ip(),
            destination: self.remote.ip(),
            source_port: self.local.port(),
            destination_port: self.remote.port(),
            seq,
            ack: if flags & ACK != 0 { ack } else { 0 },
            flags,
            window: self.window,
            options: mss,
            payload: payload.to_vec(),
        }
    }
}
