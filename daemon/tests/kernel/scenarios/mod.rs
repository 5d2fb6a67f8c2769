//! The paths by which a TCP connection ends, one file a family of them. Each test says in its
//! expectation all that finwatch must count, for both ends where both are sockets of the namespace.

mod aborts;
mod churn;
mod closes;
mod connects;
mod deaths;
mod exits;
mod families;
mod fast_open;
mod http2;
mod instances;
mod late_data;
mod limits;
mod linger2;
mod listeners;
mod looks;
mod multipath;
mod own_signals;
mod phases;
mod records;
mod reset_received;
mod rests;
mod rows;
mod seeding;
mod servers;
mod services;
mod signals;
mod signs;
mod small;
mod stops;
mod timeouts;
mod turns;
mod unread;
mod upload_ends;
mod uploads;
mod ways;

/// A request as a client writes it: large enough not to be taken for a control frame.
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: example.test\r\nUser-Agent: scenario\r\n\r\n";

/// An answer, of no length that means anything.
const ANSWER: &[u8] = &[b'a'; 200];

/// The size of a TLS 1.3 close_notify record.
const ALERT: &[u8] = &[21; 24];

/// A control frame's size: an HTTP/2 PING.
const SMALL: &[u8] = &[6; 17];
