//! Requests that met a connection which this side had closed although nothing had told it to stop: a keep-alive time
//! that ended just then.

use finwatch_common::{Cut, Phase, Role, ServiceKey, reset_flags};

use crate::input::Record;

/// Whose request was lost so, and when (the kernel's clock, nanoseconds), if the record tells of one: by the RST that
/// answered it, or by its bytes, which the program never read.
pub fn late_in_steady_time(record: &Record) -> Option<(ServiceKey, u64)> {
    let (service, header, late) = match record {
        Record::Reset(reset) => (
            reset.service,
            reset.header,
            reset.flags & reset_flags::CUT_LATE != 0,
        ),
        Record::Close(close) => (close.service, close.header, close.cut() == Some(Cut::Late)),
        Record::Unread(unread) => (
            unread.service,
            unread.header,
            unread.cut() == Some(Cut::Late),
        ),
        Record::Listener(_) | Record::Signal(_) | Record::Exit(_) => return None,
    };
    let steady = service.role() == Some(Role::Server) && service.phase() == Some(Phase::Steady);
    (late && steady).then_some((service, header.at_ns))
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
            pad: [0; 7],
        })
    }

    #[test]
    fn a_server_in_its_ordinary_time_that_had_closed_first() {
        let steady = ServiceKey::other(Role::Server, Phase::Steady);
        let told = |service, cut| late_in_steady_time(&unread(service, cut));
        assert_eq!(told(steady, Some(Cut::Late)), Some((steady, AT_NS)));
        assert_eq!(told(steady, Some(Cut::Unread)), None);
        assert_eq!(told(steady, None), None);
        let draining = ServiceKey::other(Role::Server, Phase::Draining);
        assert_eq!(told(draining, Some(Cut::Late)), None);
        let client = ServiceKey::other(Role::Client, Phase::Steady);
        assert_eq!(told(client, Some(Cut::Late)), None);
    }
}
