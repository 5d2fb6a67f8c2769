//! Connections that a server makes to its own listener and on which nothing is said: so Tomcat and others wake the thread
//! that waits in `accept()` at a stop. They are nobody's requests. It sees both ends, as they are on one host.

use finwatch_common::{CloseRecord, Process};

use crate::{bounded::Queue, timing};

/// Most of them remembered.
const CALLS_MAX: usize = 256;

/// The client's ends of silent connections, the newest last.
#[derive(Debug, Default)]
pub(crate) struct OwnCalls(Queue<Call, CALLS_MAX>);

#[derive(Debug, Clone, Copy)]
struct Call {
    netns: u64,
    addr: [u8; 16],
    port: u16,
    opened_at_ns: u64,
    caller: Process,
}

// === impl OwnCalls ===

impl OwnCalls {
    /// Keeps a client's end that was closed; `caller` is the instance of its process.
    pub(crate) fn note(&mut self, record: &CloseRecord, caller: Process) {
        if !is_silent(record) {
            return;
        }
        self.0.push(Call {
            netns: record.service.netns,
            addr: record.local_addr,
            port: record.local_port,
            opened_at_ns: record.opened_at_ns,
            caller,
        });
    }

    /// Whether the other end of a server's connection is the server's own.
    pub(crate) fn has(&self, record: &CloseRecord, owner: &Process) -> bool {
        is_silent(record)
            && self.0.iter().any(|call| {
                call.caller == *owner
                    && call.netns == record.service.netns
                    && (call.addr, call.port) == (record.remote_addr, record.remote_port)
                    && call.opened_at_ns.abs_diff(record.opened_at_ns) < timing::OWN_CALL_NS
            })
    }
}

const fn is_silent(record: &CloseRecord) -> bool {
    record.bytes_sent == 0 && record.bytes_received == 0
}
