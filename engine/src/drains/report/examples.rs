//! Connections on which a request was lost, as they are shown.

use finwatch_common::{Cut, ResetRecord, UnreadRecord};

use super::names::peer;
use crate::{
    drains::membership::{lingering::Lingerer, merge::ClosedConnection},
    known::Known,
    model::{EndedConnection, words::Word},
};

/// One whose close told of it.
pub(crate) fn closed(closed: &ClosedConnection, known: &Known<'_>) -> EndedConnection {
    let record = &closed.record;
    EndedConnection {
        peer: peer(record.remote_addr, record.remote_port),
        opened_at: (record.opened_at_ns != 0).then(|| known.wall(record.opened_at_ns)),
        ended_at: known.wall(record.header.at_ns),
        closed_by_pid: record.closer_tgid,
        cut: closed.cut.map_or("", Word::word).to_owned(),
        asked_bytes: record.asked,
        unread_bytes: record.unread,
        origin: closed.origin.word().to_owned(),
        outcome: closed.outcome.word().to_owned(),
    }
}

/// One whose request an RST answered when its close had been told; `lingerer`: what is remembered of that.
pub(crate) fn late(
    reset: &ResetRecord,
    lingerer: Option<&Lingerer>,
    known: &Known<'_>,
) -> EndedConnection {
    EndedConnection {
        peer: peer(reset.remote_addr, reset.remote_port),
        ended_at: known.wall(reset.header.at_ns),
        cut: Cut::Late.word().to_owned(),
        asked_bytes: reset.lost_bytes,
        unread_bytes: 0,
        ..remembered(lingerer, known)
    }
}

/// One whose request lay unread until its program let go of it; `lingerer`: what is remembered of its close.
pub(crate) fn never_read(
    record: &UnreadRecord,
    lingerer: Option<&Lingerer>,
    known: &Known<'_>,
) -> EndedConnection {
    let ended_ns = lingerer.map_or(record.header.at_ns, |lingerer| lingerer.ended_at_ns);
    EndedConnection {
        peer: peer(record.remote_addr, record.remote_port),
        ended_at: known.wall(ended_ns),
        cut: record.cut().map_or("", Word::word).to_owned(),
        asked_bytes: 0,
        unread_bytes: record.unread,
        ..remembered(lingerer, known)
    }
}

/// What the close said, if it is remembered.
fn remembered(lingerer: Option<&Lingerer>, known: &Known<'_>) -> EndedConnection {
    let opened_ns = lingerer.map_or(0, |lingerer| lingerer.opened_at_ns);
    EndedConnection {
        peer: String::new(),
        opened_at: (opened_ns != 0).then(|| known.wall(opened_ns)),
        ended_at: known.wall(0),
        closed_by_pid: lingerer.map_or(0, |lingerer| lingerer.closer_tgid),
        cut: String::new(),
        asked_bytes: 0,
        unread_bytes: 0,
        origin: lingerer.map_or("", |l| l.origin.word()).to_owned(),
        outcome: lingerer.map_or("", |l| l.outcome.word()).to_owned(),
    }
}
