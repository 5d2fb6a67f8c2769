//! Requests that met a connection which this side had closed although nothing had told it to stop: a keep-alive time
//! that ended just then.

use finwatch_common::{Cut, Phase, Role, ServiceKey, reset_flags};

use crate::input::Record;

/// A request that was lost so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LateRequest {
    /// On whose connection.
    pub service: ServiceKey,
    /// When, on the kernel's clock, nanoseconds.
    pub at_ns: u64,
    /// For how many tenths of a second that had been idle when this side closed it; 0: not at rest, or unknown.
    pub idle_ds: u16,
}

/// The request that was lost so, if the record tells of one: by the RST that answered it, or by its bytes, which the program
/// never read.
pub fn late_in_steady_time(record: &Record) -> Option<LateRequest> {
    let (service, header, idle_ds, late) = match record {
        Record::Reset(reset) => (
            reset.service,
            reset.header,
            reset.idle_ds,
            reset.flags & reset_flags::CUT_LATE != 0,
        ),
        Record::Close(close) => (
            close.service,
            close.header,
            close.idle_ds,
            close.cut() == Some(Cut::Late),
        ),
        Record::Unread(unread) => (
            unread.service,
            unread.header,
            unread.idle_ds,
            unread.cut() == Some(Cut::Late),
        ),
        Record::Listener(_) | Record::Signal(_) | Record::Exit(_) => return None,
    };
    let steady = service.role() == Some(Role::Server) && service.phase() == Some(Phase::Steady);
    (late && steady).then_some(LateRequest {
        service,
        at_ns: header.at_ns,
        idle_ds,
    })
}

#[cfg(test)]
mod tests {
    use finwatch_common::{KIND_UNREAD, RecordHeader, UnreadRecord};

    use super::*;

    const AT_NS: u64 = 7;

    fn unread(service: ServiceKey, cut: Option<Cut>) -> Record {
        Record::Unread(UnreadRecord {
            header: RecordHeader {
                kind: KIND_UNREAD,
                size: 0,
                at_ns: AT_NS,
            },
            cookie: 1,
            service,
            local_addr: [0; 16],
            remote_addr: [0; 16],
            local_port: 80,
            remote_port: 40_000,
            unread: 100,
            cut: cut.map_or(0xff, |cut| cut as u8),
            rest_or_request: 0,
            idle_ds: 52,
            tail: [0; 4],
        })
    }

    #[test]
    fn a_server_in_its_ordinary_time_that_had_closed_first() {
        let steady = ServiceKey::other(Role::Server, Phase::Steady);
        let told = |service, cut| late_in_steady_time(&unread(service, cut));
        let late = LateRequest {
            service: steady,
            at_ns: AT_NS,
            idle_ds: 52,
        };
        assert_eq!(told(steady, Some(Cut::Late)), Some(late));
        assert_eq!(told(steady, Some(Cut::Unread)), None);
        assert_eq!(told(steady, None), None);
        let draining = ServiceKey::other(Role::Server, Phase::Draining);
        assert_eq!(told(draining, Some(Cut::Late)), None);
        let client = ServiceKey::other(Role::Client, Phase::Steady);
        assert_eq!(told(client, Some(Cut::Late)), None);
    }
}
