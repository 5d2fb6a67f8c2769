//! What of a service's counters goes into a window, and back from there into names.

use finwatch_common::{Cell, Cut, Evidence, Lost, Origin, Outcome, Phase};

use crate::{
    model::{Counts, Resets, SmallQuestions},
    services::{SeriesView, SettledRow},
};

/// Counts of one service; see [`counted`] for their order.
pub(super) type Counted = [u32; COUNTED];
/// Number of counts.
pub(super) const COUNTED: usize = 38;

/// What a service has counted in phase `steady`, modulo 2^32: [`counts`] turns sums of it back.
pub(super) fn counted(row: &SettledRow, view: &SeriesView) -> Counted {
    let by_origin = Origin::ALL.map(|origin| {
        sum(
            row,
            Outcome::ALL.map(|outcome| Cell::closes(origin, outcome)),
        )
    });
    let by_outcome = Outcome::ALL
        .map(|outcome| sum(row, Origin::ALL.map(|origin| Cell::closes(origin, outcome))));
    let resets = [Lost::Nothing, Lost::Goodbye, Lost::Data].map(|lost| {
        view.resets
            .iter()
            .filter(|(reset, _)| reset.phase == Phase::Steady && reset.lost == lost)
            .fold(0u64, |sum, (_, count)| sum.wrapping_add(*count))
    });
    let cells = [
        Cell::TIME_WAIT,
        Cell::FIN_WAIT2,
        Cell::UNREAD,
        Cell::UNREAD_BYTES,
        Cell::UNACKED,
        Cell::UNACKED_BYTES,
        Cell::EXIT,
        Cell::ABANDONED,
        Cell::EARLY,
        Cell::REST_OR_REQUEST,
        Cell::SMALL_ANSWERED,
        Cell::SMALL_LEFT,
        Cell::SMALL_LATE,
        Cell::NEVER_ANSWERED,
        Cell::NEVER_ASKED,
        Cell::NO_PAYLOAD,
        Cell::WAITED,
        Cell::REFUSED,
        Cell::ACCEPT_QUEUE_DROPPED,
        Cell::OPENED,
    ]
    .map(|cell| row.get(cell));
    let mut counted = [0; COUNTED];
    let all = by_origin
        .into_iter()
        .chain(by_outcome)
        .chain(Cut::ALL.map(|cut| row.get(Cell::cut(cut))))
        .chain(Evidence::ALL.map(|evidence| row.get(Cell::unanswered(evidence))))
        .chain(resets)
        .chain(cells);
    for (count, value) in counted.iter_mut().zip(all) {
        *count = value as u32;
    }
    counted
}

/// Whether connections came or ended between two times. Refused SYNs are no sign of a service.
pub(super) fn is_traffic(now: &Counted, before: &Counted) -> bool {
    let closes = 0..Origin::ALL.len();
    let opened = COUNTED - 1;
    closes
        .chain([opened])
        .any(|count| now[count] != before[count])
}

/// Sums of what [`counted`] gives, by name. RSTs are not told apart by reason here.
pub(super) fn counts(sum: &[u64; COUNTED]) -> Counts {
    let [
        local_first,
        remote_first,
        both_first,
        no_fin,
        fin,
        reset_sent,
        reset_received,
        timeout,
        unknown_outcome,
        cut_unanswered,
        cut_unread,
        cut_late,
        silent,
        alert,
        small,
        nothing,
        goodbye,
        data,
        time_wait,
        fin_wait2,
        unread,
        unread_bytes,
        unacked,
        unacked_bytes,
        by_exit,
        abandoned,
        early_answers,
        rest_or_request,
        small_answered,
        small_left,
        small_late,
        never_answered,
        never_asked,
        no_payload,
        waited,
        refused,
        accept_queue_dropped,
        opened,
    ] = *sum;
    let mut counts = Counts {
        opened,
        local_first,
        remote_first,
        both_first,
        no_fin,
        fin,
        reset_sent,
        reset_received,
        timeout,
        unknown_outcome,
        time_wait,
        fin_wait2,
        unread,
        unread_bytes,
        unacked,
        unacked_bytes,
        by_exit,
        abandoned,
        early_answers,
        rest_or_request,
        small: SmallQuestions {
            answered: small_answered,
            left: small_left,
            late: small_late,
        },
        never_answered,
        never_asked,
        no_payload,
        waited,
        refused,
        accept_queue_dropped,
        ..Counts::default()
    };
    (counts.cut.unanswered, counts.cut.unread, counts.cut.late) =
        (cut_unanswered, cut_unread, cut_late);
    let unanswered = &mut counts.unanswered;
    (unanswered.silent, unanswered.alert, unanswered.small) = (silent, alert, small);
    if nothing + goodbye + data > 0 {
        counts.resets_sent.push(Resets {
            reason: "any".to_owned(),
            nothing,
            goodbye,
            goodbye_of_cut: 0,
            data,
        });
    }
    counts
}

fn sum<const N: usize>(row: &SettledRow, cells: [Cell; N]) -> u64 {
    cells.iter().map(|cell| row.get(*cell)).sum()
}
