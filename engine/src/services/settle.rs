//! What the ambiguous cells of a counter row come to. Some ends are only told apart by an RST that may
//! follow; the kernel counts the end in one cell and the RST in another, and here the two are put together.

use finwatch_common::{CELLS, Cell, CounterRow, Origin, Outcome, tcp};

/// Cells that [`settle`] computes by a difference. An end is counted an instant before the RST that
/// explains it, so a difference can shrink by what was in flight at a reading; see [`HighWater`].
const DIFFERENCES: [Cell; 5] = [
    Cell::closes(Origin::Local, Outcome::ResetReceived),
    Cell::closes(Origin::Local, Outcome::Fin),
    RESETS_FW1,
    RESETS_FW2,
    Cell::NO_MINI_SOCKET,
];
const RESETS_FW1: Cell = received(tcp::FIN_WAIT1);
const RESETS_FW2: Cell = received(tcp::FIN_WAIT2);

const fn received(state: u8) -> Cell {
    match Cell::resets_received(state) {
        Some(cell) => cell,
        None => panic!("no connection is reset in this state"),
    }
}

/// A counter row without ambiguity. `NO_MINI_SOCKET` holds TCPTimeWaitOverflow alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SettledRow(CounterRow);

impl SettledRow {
    /// The value of a cell.
    pub const fn get(&self, cell: Cell) -> u64 {
        self.0[cell.index()]
    }

    #[cfg(test)]
    pub(super) fn raw(&self, cell: usize) -> u64 {
        self.0[cell]
    }

    /// Connections that ended, in any way.
    pub fn closes(&self) -> u64 {
        Origin::ALL
            .iter()
            .flat_map(|origin| {
                Outcome::ALL
                    .iter()
                    .map(|outcome| Cell::closes(*origin, *outcome))
            })
            .map(|cell| self.get(cell))
            .sum()
    }

    /// Ends that should have left a mini-socket and did not (TCPTimeWaitOverflow).
    pub const fn time_wait_overflow(&self) -> u64 {
        self.get(Cell::NO_MINI_SOCKET) + self.get(Cell::NO_MINI_SOCKET_BOTH)
    }
}

/// Settles a row: the sums over all of a service's generations, not one reading's part of them.
///
/// A close after which the peer's RST and ours look alike goes to `reset_sent` as far as RSTs of ours were
/// seen, else to `reset_received`; a missing mini-socket likewise to `reset_sent`, else to `fin`.
pub(super) fn settle(row: &CounterRow) -> SettledRow {
    let mut settled = *row;
    let at = |cell: Cell| row[cell.index()];
    let fw1 = at(Cell::AMBIGUOUS_FW1).saturating_sub(at(Cell::AMBIGUOUS_FW1_SENT));
    let fw2 = at(Cell::AMBIGUOUS_FW2).saturating_sub(at(Cell::AMBIGUOUS_FW2_SENT));
    let overflow = at(Cell::NO_MINI_SOCKET).saturating_sub(at(Cell::NO_MINI_SOCKET_SENT));
    let sent =
        at(Cell::AMBIGUOUS_FW1_SENT) + at(Cell::AMBIGUOUS_FW2_SENT) + at(Cell::NO_MINI_SOCKET_SENT);
    let mut add = |cell: Cell, count: u64| settled[cell.index()] += count;
    add(
        Cell::closes(Origin::Local, Outcome::ResetReceived),
        fw1 + fw2,
    );
    add(Cell::closes(Origin::Local, Outcome::ResetSent), sent);
    add(Cell::closes(Origin::Local, Outcome::Fin), overflow);
    add(RESETS_FW1, fw1);
    add(RESETS_FW2, fw2);
    settled[Cell::NO_MINI_SOCKET.index()] = overflow;
    SettledRow(settled)
}

/// The most that was ever shown of each difference, so that no shown counter goes backwards.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct HighWater([u64; DIFFERENCES.len()]);

impl HighWater {
    /// Lifts `row` to what was shown before, and remembers what is shown now.
    pub(super) fn hold(&mut self, row: &mut SettledRow) {
        for (mark, cell) in self.0.iter_mut().zip(DIFFERENCES) {
            let value = &mut row.0[cell.index()];
            *value = (*value).max(*mark);
            *mark = *value;
        }
    }
}

/// Adds `from` to `to`, cell by cell.
pub(super) fn add(to: &mut CounterRow, from: &CounterRow) {
    for (to, from) in to.iter_mut().zip(from) {
        *to += from;
    }
}

/// A row of zeros.
pub(super) const EMPTY: CounterRow = [0; CELLS];

#[cfg(test)]
mod tests {
    use super::*;

    fn row(cells: &[(Cell, u64)]) -> CounterRow {
        let mut row = EMPTY;
        for (cell, count) in cells {
            row[cell.index()] += count;
        }
        row
    }

    #[test]
    fn ambiguous_ends_are_shared_out_once_each() {
        let settled = settle(&row(&[
            (Cell::closes(Origin::Local, Outcome::ResetReceived), 1),
            (Cell::closes(Origin::Local, Outcome::ResetSent), 2),
            (Cell::closes(Origin::Local, Outcome::Fin), 3),
            (Cell::AMBIGUOUS_FW1, 10),
            (Cell::AMBIGUOUS_FW1_SENT, 4),
            (Cell::AMBIGUOUS_FW2, 20),
            (Cell::AMBIGUOUS_FW2_SENT, 5),
            (Cell::NO_MINI_SOCKET, 30),
            (Cell::NO_MINI_SOCKET_SENT, 6),
            (Cell::NO_MINI_SOCKET_BOTH, 2),
        ]));
        let closes = |outcome| settled.get(Cell::closes(Origin::Local, outcome));
        assert_eq!(closes(Outcome::ResetReceived), 1 + 6 + 15);
        assert_eq!(closes(Outcome::ResetSent), 2 + 4 + 5 + 6);
        assert_eq!(closes(Outcome::Fin), 3 + 24);
        assert_eq!(settled.closes(), 1 + 2 + 3 + 10 + 20 + 30);
        assert_eq!(settled.get(RESETS_FW1), 6);
        assert_eq!(settled.get(RESETS_FW2), 15);
        assert_eq!(settled.time_wait_overflow(), 24 + 2);
    }

    #[test]
    fn an_rst_that_overtakes_its_close_borrows_nothing() {
        let settled = settle(&row(&[(Cell::AMBIGUOUS_FW1_SENT, 1)]));
        assert_eq!(settled.get(RESETS_FW1), 0);
        assert_eq!(
            settled.get(Cell::closes(Origin::Local, Outcome::ResetReceived)),
            0
        );
    }

    #[test]
    fn a_shrinking_difference_keeps_its_height() {
        let mut marks = HighWater::default();
        let mut before = settle(&row(&[(Cell::AMBIGUOUS_FW2, 3)]));
        marks.hold(&mut before);
        let mut after = settle(&row(&[
            (Cell::AMBIGUOUS_FW2, 3),
            (Cell::AMBIGUOUS_FW2_SENT, 1),
        ]));
        assert_eq!(after.get(RESETS_FW2), 2);
        marks.hold(&mut after);
        assert_eq!(after.get(RESETS_FW2), 3);
    }
}
