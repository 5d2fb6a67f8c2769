//! What is open is counted in full, whether it can be remembered or not.

use std::collections::BTreeMap;

use finwatch_common::{
    CloseRecord, Phase, Process, Role, ServiceKey, SurveyRow, Wire, survey_kind,
};

use super::{PortSurvey, Seen};
use crate::drains::report::tally::Setting;

const SECOND: u64 = 1_000_000_000;
const T0_NS: u64 = 10 * SECOND;
const SERVER: Process = Process {
    start_ns: 1,
    tgid: 7,
    pad: 0,
};
const SETTING: Setting = Setting {
    since_ns: T0_NS,
    killed: false,
    moved: false,
    replaced: false,
};

/// Open, and of a time when nobody had told it to stop, unless it is younger.
fn open(cookie: u64, opened_at_ns: u64) -> SurveyRow {
    SurveyRow {
        service: ServiceKey::other(Role::Server, Phase::Draining),
        owner: SERVER,
        cookie,
        opened_at_ns,
        a: 0,
        b: 0,
        kind: survey_kind::OPEN,
        quiet: 0,
        queued: 0,
        pad: 0,
        waits_ms: 0,
    }
}

fn survey(seen: &mut Seen, at_ns: u64, rows: &[SurveyRow], room: &mut usize) {
    let rows: Vec<_> = rows.iter().map(|row| (SERVER, row)).collect();
    let survey = PortSurvey {
        began_ns: at_ns,
        rows: &rows,
        since: &BTreeMap::from([(SERVER, T0_NS)]),
        whole: true,
        gone_ns: None,
        shows_open: true,
        mini_sockets: false,
        ended: &|_| false,
    };
    seen.surveyed(&survey, room);
}

fn end(seen: &mut Seen, cookie: u64, opened_at_ns: u64, room: &mut usize) {
    let zeros = vec![0; size_of::<CloseRecord>()];
    let mut close = CloseRecord::from_bytes(&zeros).expect("zeros");
    (close.cookie, close.opened_at_ns) = (cookie, opened_at_ns);
    close.header.at_ns = T0_NS + 5 * SECOND;
    seen.ended(cookie);
    let _owed = seen.close(&close, SERVER, SETTING, room);
}

/// Open at T0, and still.
fn counts(seen: &Seen) -> (u64, u64) {
    (seen.open_at_start(), seen.still_open())
}

#[test]
fn what_cannot_be_remembered_is_counted_once() {
    for room in [0, 1, 2, 3, 10] {
        let mut seen = Seen::new(true);
        let mut left = room;
        let rows = [open(1, SECOND), open(2, SECOND), open(3, SECOND)];
        survey(&mut seen, T0_NS + SECOND, &rows, &mut left);
        assert_eq!(counts(&seen), (3, 3), "room for {room}");
        end(&mut seen, 3, SECOND, &mut left);
        assert_eq!(counts(&seen), (3, 2), "room for {room}");
        survey(&mut seen, T0_NS + 2 * SECOND, &rows[..2], &mut left);
        assert_eq!(counts(&seen), (3, 2), "room for {room}");
        end(&mut seen, 1, SECOND, &mut left);
        end(&mut seen, 2, SECOND, &mut left);
        assert_eq!(counts(&seen), (3, 0), "room for {room}");
        assert_eq!((left, seen.remembered()), (room, 0), "nothing is kept");
    }
}

#[test]
fn the_survey_may_miss_what_ends_while_it_lasts() {
    let mut seen = Seen::new(true);
    let mut room = 10;
    survey(&mut seen, T0_NS + SECOND, &[open(1, SECOND)], &mut room);
    end(&mut seen, 2, SECOND, &mut room);
    assert_eq!(counts(&seen), (2, 1));
}

#[test]
fn what_is_younger_is_told_apart() {
    let mut seen = Seen::new(true);
    let mut room = 10;
    let young_ns = T0_NS + SECOND / 2;
    let rows = [open(1, SECOND), open(2, young_ns)];
    survey(&mut seen, T0_NS + SECOND, &rows, &mut room);
    assert_eq!(counts(&seen), (1, 2));
    assert_eq!(seen.still_open_younger(T0_NS), (1, Some(young_ns)));
    assert_eq!((seen.still_open_idle(), seen.remembered()), (1, 2));
    seen.keep_older(T0_NS);
    assert_eq!(counts(&seen), (1, 1));
    seen.forget_open();
    assert_eq!(counts(&seen), (1, 0));
}
