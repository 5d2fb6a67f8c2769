//! What finwatch counted in one network namespace, and how it differs from what was expected.

use std::collections::BTreeMap;

use finwatch::probe::Rows;
use finwatch_common::{
    CELLS, Cell, CounterRow, Cut, Evidence, Lost, Origin, Outcome, Phase, Role, ServiceKey,
};
use finwatch_engine::input::Reading;

use super::{Expect, Reason, Side, kernel, state};

/// Counts of one role, of all services and phases together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Counted {
    cells: CounterRow,
    /// By reason and what was thrown away, as the wire has them.
    pub(crate) resets: BTreeMap<(u8, u8), u64>,
}

/// Counts of one namespace.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Observed {
    pub(crate) server: Counted,
    pub(crate) client: Counted,
}

impl Observed {
    /// Reads the rows of one namespace.
    pub(crate) fn read(counters: &Rows, netns: u64) -> Self {
        Self::of(&counters.live().unwrap(), netns)
    }

    /// Reads the rows of one port of one namespace: a server's, and those of its clients.
    pub(crate) fn read_port(counters: &Rows, netns: u64, port: u16) -> Self {
        let mut reading = counters.live().unwrap();
        reading.rows.retain(|(key, _)| key.port == port);
        reading.resets.retain(|(key, _)| key.service.port == port);
        Self::of(&reading, netns)
    }

    /// Reads the rows of one phase of one namespace.
    pub(crate) fn read_phase(counters: &Rows, netns: u64, phase: Phase) -> Self {
        let mut reading = counters.live().unwrap();
        let in_phase = |key: &ServiceKey| key.phase() == Some(phase);
        reading.rows.retain(|(key, _)| in_phase(key));
        reading.resets.retain(|(key, _)| in_phase(&key.service));
        Self::of(&reading, netns)
    }

    /// Sums the rows of one namespace.
    pub(crate) fn of(reading: &Reading, netns: u64) -> Self {
        let mut observed = Self::default();
        for (key, row) in reading.rows.iter().filter(|(key, _)| key.netns == netns) {
            let cells = &mut observed.side(key.role().unwrap()).cells;
            for (sum, more) in cells.iter_mut().zip(row) {
                *sum += more;
            }
        }
        for (key, count) in &reading.resets {
            if key.service.netns == netns {
                let side = observed.side(key.service.role().unwrap());
                *side.resets.entry((key.reason, key.lost)).or_default() += count;
            }
        }
        observed.server.settle();
        observed.client.settle();
        observed
    }

    /// A cell, both roles together.
    pub(crate) fn sum(&self, cell: Cell) -> u64 {
        self.server.get(cell) + self.client.get(cell)
    }

    /// RSTs sent, both roles together.
    pub(crate) fn resets_sent(&self) -> u64 {
        let all = self
            .server
            .resets
            .values()
            .chain(self.client.resets.values());
        all.sum()
    }

    /// Every difference, one line each; empty when all is as expected.
    pub(crate) fn differences(&self, expect: &Expect) -> Vec<String> {
        let mut lines = Vec::new();
        for (role, counted, side) in [
            ("server", &self.server, &expect.server),
            ("client", &self.client, &expect.client),
        ] {
            lines.extend(
                counted
                    .differences(side)
                    .map(|line| format!("{role}: {line}")),
            );
        }
        lines
    }

    fn side(&mut self, role: Role) -> &mut Counted {
        match role {
            Role::Server => &mut self.server,
            Role::Client => &mut self.client,
        }
    }
}

/// Which way payload went.
pub(crate) const WAYS: [Cell; 3] = [Cell::NEVER_ANSWERED, Cell::NEVER_ASKED, Cell::NO_PAYLOAD];

impl Counted {
    /// One cell.
    pub(crate) fn get(&self, cell: Cell) -> u64 {
        self.cells[cell.index()]
    }

    /// Resolves the ambiguous cells as their documentation says: what was settled goes to the outcome it
    /// was settled to, the rest to the other one. `NO_MINI_SOCKET` is left with TCPTimeWaitOverflow.
    fn settle(&mut self) {
        let fin_wait = [
            (
                Cell::AMBIGUOUS_FW1,
                Cell::AMBIGUOUS_FW1_SENT,
                state::FIN_WAIT1,
            ),
            (
                Cell::AMBIGUOUS_FW2,
                Cell::AMBIGUOUS_FW2_SENT,
                state::FIN_WAIT2,
            ),
        ];
        for (all, sent, state) in fin_wait {
            let (all, sent) = (self.take(all), self.take(sent));
            self.add(Cell::closes(Origin::Local, Outcome::ResetSent), sent);
            self.add(
                Cell::closes(Origin::Local, Outcome::ResetReceived),
                all - sent,
            );
            self.add(Cell::resets_received(state).unwrap(), all - sent);
        }
        let (all, sent) = (
            self.take(Cell::NO_MINI_SOCKET),
            self.take(Cell::NO_MINI_SOCKET_SENT),
        );
        self.add(Cell::closes(Origin::Local, Outcome::ResetSent), sent);
        self.add(Cell::closes(Origin::Local, Outcome::Fin), all - sent);
        let both = self.take(Cell::NO_MINI_SOCKET_BOTH);
        self.add(Cell::NO_MINI_SOCKET, all - sent + both);
    }

    fn take(&mut self, cell: Cell) -> u64 {
        std::mem::take(&mut self.cells[cell.index()])
    }

    fn add(&mut self, cell: Cell, count: u64) {
        self.cells[cell.index()] += count;
    }

    /// Connections ended, whatever the origin and outcome.
    pub(crate) fn closes(&self) -> u64 {
        Origin::ALL
            .into_iter()
            .flat_map(|origin| Outcome::ALL.map(|outcome| Cell::closes(origin, outcome)))
            .map(|cell| self.get(cell))
            .sum()
    }

    fn differences<'a>(&'a self, side: &'a Side) -> impl Iterator<Item = String> + 'a {
        let mut got = self.cells;
        let mut want = side.cells;
        if side.minis > 0 {
            let (time_wait, fin_wait2) = (Cell::TIME_WAIT.index(), Cell::FIN_WAIT2.index());
            got[time_wait] += std::mem::take(&mut got[fin_wait2]);
            want[time_wait] += std::mem::take(&mut want[fin_wait2]) + side.minis;
        }
        // Listeners come and go in every scenario, and so does payload; the identities compare the ones with the kernel's
        // table, and the others are told of by `ways`.
        let elsewhere = [Cell::LISTEN_UP, Cell::LISTEN_DOWN]
            .into_iter()
            .chain(WAYS)
            .map(Cell::index);
        let elsewhere: Vec<usize> = elsewhere.collect();
        let cells = (0..CELLS).filter(move |index| !elsewhere.contains(index));
        cells
            .filter(move |index| got[*index] != want[*index])
            .map(move |index| (name(index), want[index], got[index]))
            .chain(self.reset_differences(side))
            .map(|(what, want, got)| format!("{what}: expected {want}, counted {got}"))
    }

    /// Resets compared as far as the running kernel tells them.
    fn reset_differences(&self, side: &Side) -> Vec<(String, u64, u64)> {
        let exact = kernel::tells_reset_reasons();
        let key = |reason: u8, lost: u8| (if exact { reason } else { 0 }, lost);
        let mut both = BTreeMap::<(u8, u8), (u64, u64)>::new();
        for ((reason, lost), count) in &side.resets {
            if kernel::traces_every_reset() || !reason.sent_without_socket() {
                both.entry(key(*reason as u8, *lost)).or_default().0 += count;
            }
        }
        for ((reason, lost), count) in &self.resets {
            both.entry(key(*reason, *lost)).or_default().1 += count;
        }
        // More of these than the scenario says are no miscount: the identities hold them to OutRsts.
        let of_chance = key(Reason::NoSocket as u8, Lost::Nothing as u8);
        let by_chance = kernel::may_overlook_a_mini_socket();
        both.into_iter()
            .filter(|(key, (want, got))| {
                want != got && !(by_chance && *key == of_chance && want < got)
            })
            .map(|((reason, lost), (want, got))| {
                let lost = Lost::from_u8(lost).unwrap();
                (
                    format!("resets sent, reason {reason}, lost {lost:?}"),
                    want,
                    got,
                )
            })
            .collect()
    }
}

impl Default for Counted {
    fn default() -> Self {
        Self {
            cells: [0; CELLS],
            resets: BTreeMap::new(),
        }
    }
}

/// A cell's name in a message.
fn name(index: usize) -> String {
    const PLAIN: [(&str, Cell); 36] = [
        ("opened", Cell::OPENED),
        ("seeded", Cell::SEEDED),
        ("left", Cell::LEFT),
        ("embryonic_failed", Cell::EMBRYONIC_FAILED),
        ("connect_failed", Cell::CONNECT_FAILED),
        ("estab_resets", Cell::ESTAB_RESETS),
        ("ambiguous_fw1", Cell::AMBIGUOUS_FW1),
        ("ambiguous_fw1_sent", Cell::AMBIGUOUS_FW1_SENT),
        ("ambiguous_fw2", Cell::AMBIGUOUS_FW2),
        ("ambiguous_fw2_sent", Cell::AMBIGUOUS_FW2_SENT),
        ("no_mini_socket", Cell::NO_MINI_SOCKET),
        ("no_mini_socket_sent", Cell::NO_MINI_SOCKET_SENT),
        ("time_wait", Cell::TIME_WAIT),
        ("fin_wait2", Cell::FIN_WAIT2),
        ("abandoned", Cell::ABANDONED),
        ("early", Cell::EARLY),
        ("rest_or_request", Cell::REST_OR_REQUEST),
        ("small_answered", Cell::SMALL_ANSWERED),
        ("small_left", Cell::SMALL_LEFT),
        ("small_late", Cell::SMALL_LATE),
        ("never_answered", Cell::NEVER_ANSWERED),
        ("never_asked", Cell::NEVER_ASKED),
        ("no_payload", Cell::NO_PAYLOAD),
        ("waited", Cell::WAITED),
        ("unread", Cell::UNREAD),
        ("unread_bytes", Cell::UNREAD_BYTES),
        ("unacked", Cell::UNACKED),
        ("unacked_bytes", Cell::UNACKED_BYTES),
        ("exit", Cell::EXIT),
        ("refused", Cell::REFUSED),
        ("accept_queue_dropped", Cell::ACCEPT_QUEUE_DROPPED),
        ("close_wait_in", Cell::CLOSE_WAIT_IN),
        ("close_wait_out", Cell::CLOSE_WAIT_OUT),
        ("listen_up", Cell::LISTEN_UP),
        ("listen_down", Cell::LISTEN_DOWN),
        ("no_mini_socket_both", Cell::NO_MINI_SOCKET_BOTH),
    ];
    if let Some((name, _)) = PLAIN.iter().find(|(_, cell)| cell.index() == index) {
        return (*name).to_owned();
    }
    for origin in Origin::ALL {
        for outcome in Outcome::ALL {
            if Cell::closes(origin, outcome).index() == index {
                return format!("closes {origin:?} {outcome:?}");
            }
        }
    }
    for state in state::ESTABLISHED..=state::CLOSING {
        if Cell::resets_received(state).is_some_and(|cell| cell.index() == index) {
            return format!("resets received in state {state}");
        }
    }
    if let Some(cut) = Cut::ALL
        .into_iter()
        .find(|c| Cell::cut(*c).index() == index)
    {
        return format!("cut {cut:?}");
    }
    match Evidence::ALL
        .into_iter()
        .find(|e| Cell::unanswered(*e).index() == index)
    {
        Some(evidence) => format!("unanswered {evidence:?}"),
        None => panic!("cell {index} has no name here"),
    }
}

#[test]
fn every_cell_has_a_name_of_its_own() {
    let names: std::collections::BTreeSet<String> = (0..CELLS).map(name).collect();
    assert_eq!(names.len(), CELLS);
}
