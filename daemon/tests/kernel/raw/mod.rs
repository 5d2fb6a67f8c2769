//! A TCP peer in user space that can send any segment at any time, as no kernel would.

mod conn;
mod peer;
mod segment;
mod tun;

pub(crate) use conn::RawConn;
pub(crate) use peer::{Family, RawPeer};
pub(crate) use segment::{ACK, FIN, PSH, RST, SYN, Segment};
