//! Whose turn it was when the connection began to end: was a request cut, abandoned, left unanswered?
//! Judged once, at the first closing transition, whoever makes it; what comes later is told by the bytes
//! that an RST throws away.

use aya_ebpf::helpers::bpf_jiffies64;
use finwatch_common::{Cell, Cut, Evidence, frames::GOAWAY_ENDS};
use finwatch_probe::{
    tcp::{SOCK_DONE, seq_after, state, unread},
    turns,
};

use super::{
    conn::{Conn, NONE, flag},
    counters::Row,
    kernel::{Tcp, offset, tick_ns},
    task::Task,
    turn,
};

/// The first closing transition is ours: did we owe an answer? `by_process`: the current task did it;
/// `write_seq`: without our FIN.
#[inline(always)]
pub(super) fn closed_by_us(
    conn: &mut Conn,
    tcp: Tcp,
    row: Row,
    by_process: bool,
    write_seq: u32,
    unread: u32,
) {
    conn.set(flag::JUDGED);
    if by_process {
        let task = Task::current();
        conn.closer_tgid = task.tgid();
        if task.is_exiting() {
            conn.set(flag::BY_EXIT);
            row.inc(Cell::EXIT);
        }
    }
    // Who dies throws nothing away on purpose.
    let rest = !conn.has(flag::BY_EXIT) && is_read_to_its_end(tcp, conn);
    let (turn, evidence) = turn::judged(&conn.turns, write_seq, unread, rest);
    conn.since_read = turn.since_read;
    conn.asked = turn.asked;
    if conn.is_server()
        && let Some(evidence) = evidence
    {
        unanswered(conn, row, evidence);
        // A small one is judged when the peer has left: see [`small_at_end`].
        if evidence as u8 != Evidence::Small as u8 {
            cut(conn, row, Cut::Unanswered);
        }
    }
}

/// A connection ends on which this side left a small question without an answer. Whoever waits for one leaves when he sees our FIN: a
/// peer whose FIN crossed it had said its last word, as PostgreSQL's `Terminate` or MQTT's DISCONNECT.
#[inline(always)]
pub(super) fn small_at_end(conn: &mut Conn, row: Row, old: u8) {
    if conn.evidence != Evidence::Small as u8 || !conn.is_server() || old == state::CLOSING {
        return;
    }
    if conn.manner().is_small_question(conn.asked) {
        cut(conn, row, Cut::Unanswered);
    } else {
        small_left(conn, row, conn.asked);
    }
}

/// So few bytes are lost, and it is not known whether they were a question.
#[inline(always)]
fn small_left(conn: &mut Conn, row: Row, bytes: u32) {
    if conn.cut == NONE && !conn.has(flag::SMALL_LEFT) && conn.turns.may_ask(bytes) {
        conn.set(flag::SMALL_LEFT);
        row.inc(Cell::SMALL_LEFT);
    }
}

/// This side had an answer out for the question that was judged.
#[inline(always)]
pub(super) fn answered_early(conn: &Conn) -> bool {
    conn.since_read > 0 && conn.evidence == NONE
}

/// It was given before all of the question was read, and the rest draws an RST: the client may have its answer, or lose it.
#[inline(always)]
pub(super) fn early(conn: &mut Conn, row: Row) {
    if !conn.has(flag::EARLY) {
        conn.set(flag::EARLY);
        row.inc(Cell::EARLY);
    }
}

/// Data is lost behind an answer, and it is not known whether it was the rest of what was answered.
#[inline(always)]
pub(super) fn rest_or_request(conn: &mut Conn, row: Row) {
    if conn.cut == NONE && !conn.has(flag::REST_OR_REQUEST) {
        conn.set(flag::REST_OR_REQUEST);
        row.inc(Cell::REST_OR_REQUEST);
    }
}

/// Bytes of the peer are lost unread at a closing transition: the rest of a question that had its answer, or a question.
#[inline(always)]
fn lose_unread(tcp: Tcp, conn: &mut Conn, row: Row, cause: Cut) {
    let answered = answered_early(conn);
    let rest = answered && (conn.has(flag::MORE_TO_READ) || came_before_answer(tcp, conn));
    if rest {
        early(conn, row);
    }
    let held_back = is_held_back(tcp);
    if held_back || !answered {
        cut(conn, row, cause);
    } else if !rest {
        // Of what is as long as a body nothing more is known where the answer went out in this instant; who had it long ago asks anew.
        let may_be_rest =
            conn.has(flag::REST_MAY_COME) || (is_body(conn, tcp.unread()) && !is_quiet(tcp, conn));
        if may_be_rest {
            rest_or_request(conn, row);
        } else {
            cut(conn, row, cause);
        }
    }
}

/// Whether some of what was written never left, or is being sent again: the RST throws it away. What is only not acknowledged yet
/// goes before the RST.
#[inline(always)]
fn is_held_back(tcp: Tcp) -> bool {
    tcp.retrying() || seq_after(tcp.write_seq(), tcp.get(offset!(snd_nxt))) > 0
}

/// Whether what lies unread came before the peer had seen any of the answer: none of that is acknowledged, or what acknowledged it was
/// sent behind an upload. Fewer bytes tell nothing then, as the peer may have acknowledged a goodbye of ours behind its next question;
/// nor does the kernel's clock, by which that goodbye went out last.
#[inline(always)]
fn came_before_answer(tcp: Tcp, conn: &Conn) -> bool {
    let came: u32 = tcp.get(offset!(lrcvtime));
    !conn.turns.was_answer_seen(tcp.get(offset!(snd_una)))
        || (turns::is_upload(tcp.unread())
            && seq_after(tcp.get(offset!(snd_wl1)), conn.turns.read) > 0
            && seq_after(tcp.get(offset!(lsndtime)), came) > 0)
}

/// Whether some of what came behind the `read` bytes was sent by a peer that had not seen what was written since: the segment that
/// acknowledged that begins behind it, or none has come.
#[inline(always)]
pub(super) fn was_sent_unanswered(tcp: Tcp, read: u32) -> bool {
    seq_after(tcp.write_seq(), tcp.get(offset!(snd_una))) > 0
        || seq_after(tcp.get(offset!(snd_wl1)), read) > 0
}

/// Whether what followed an answer was read as it came and then let go: so it is done with the rest of an upload, to let the client read
/// its answer, and not with a question, which takes its time.
#[inline(always)]
fn is_read_to_its_end(tcp: Tcp, conn: &Conn) -> bool {
    const AT_ONCE_NS: u64 = 100_000_000;
    conn.is_server() && conn.has(flag::FOLLOWS) && age_ns(tcp.get(offset!(lrcvtime))) < AT_ONCE_NS
}

/// Whether so many bytes are the body of a request that was answered, and the connection closed, when its head had come: who had an
/// answer and asks again was given time for it, or asks briefly.
#[inline(always)]
pub(super) fn is_body(conn: &Conn, bytes: u32) -> bool {
    !conn.has(flag::AT_REST) && turns::is_body(conn.asked, conn.since_read, bytes)
}

/// The process died: was an answer on its way? No other fact of TCP tells that one was cut in its middle.
#[inline(always)]
pub(super) fn note_sending(tcp: Tcp, conn: &mut Conn) {
    const SECOND_NS: u64 = 1_000_000_000;
    if conn.has(flag::BY_EXIT)
        && conn.since_read > 0
        && age_ns(tcp.get(offset!(lsndtime))) <= SECOND_NS
    {
        conn.set(flag::SENDING);
    }
}

/// Our FIN goes out: does it end an idle connection? A server that answers before it has all of a long request closes in
/// the instant of its answer, with the client still sending; what comes after the FIN may be the rest of that request then.
#[inline(always)]
pub(super) fn note_rest(tcp: Tcp, conn: &mut Conn, unread: u32) {
    if !conn.is_server() || conn.evidence != NONE {
        return;
    }
    if !is_quiet(tcp, conn) {
        note_parted(conn);
    } else if unread == 0 && age_ns(tcp.get(offset!(rcv_tstamp))) >= REST_NS {
        conn.set(flag::AT_REST);
        conn.idle_ds = idle_ds(tcp);
    }
}

/// This side hangs up in the instant of its answer. A client that had all of its question out would wait for that; of one whose
/// question came in several parts nobody can say.
#[inline(always)]
fn note_parted(conn: &mut Conn) {
    if conn.since_read > 0 && conn.is_parted() {
        conn.set(flag::REST_MAY_COME);
    }
}

const REST_NS: u64 = 20_000_000;

/// Whether no answer went out in this instant. In TLS a goodbye may have gone; then all else that was sent was acknowledged, and
/// that is long ago.
#[inline(always)]
fn is_quiet(tcp: Tcp, conn: &Conn) -> bool {
    const GOODBYE_BYTES_MAX: u32 = GOAWAY_ENDS[GOAWAY_ENDS.len() - 1];
    if age_ns(tcp.get(offset!(lsndtime))) >= REST_NS {
        return true;
    }
    let on_its_way = seq_after(tcp.write_seq(), tcp.get(offset!(snd_una)));
    conn.turns.may_be_tls()
        && on_its_way <= GOODBYE_BYTES_MAX
        && age_ns(tcp.get(offset!(rcv_tstamp))) >= REST_NS
}

/// Since the last data came or went, in tenths of a second, and 1 at least; what is longer than they can say is the longest.
#[inline(always)]
fn idle_ds(tcp: Tcp) -> u16 {
    const TENTH_NS: u64 = 100_000_000;
    const LONGEST: u64 = u16::MAX as u64;
    let came = age_ns(tcp.get(offset!(lrcvtime)));
    let went = age_ns(tcp.get(offset!(lsndtime)));
    let tenths = if came < went { came } else { went } / TENTH_NS;
    if tenths == 0 {
        1
    } else if tenths > LONGEST {
        u16::MAX
    } else {
        tenths as u16
    }
}

/// As [`age_ns`], in milliseconds.
#[inline(always)]
pub(super) fn age_ms(noted: u32) -> u32 {
    const MS_NS: u64 = 1_000_000;
    (age_ns(noted) / MS_NS) as u32
}

/// Since the kernel noted the time, of which it keeps the lower half (`tcp_jiffies32`).
#[inline(always)]
fn age_ns(noted: u32) -> u64 {
    // SAFETY: the helper has no preconditions.
    let now = unsafe { bpf_jiffies64() } as u32;
    u64::from(now.wrapping_sub(noted)) * tick_ns()
}

/// The first closing transition is the peer's: did it give up, or leave us without an answer?
#[inline(always)]
pub(super) fn closed_by_peer(tcp: Tcp, conn: &mut Conn, row: Row) {
    conn.set(flag::JUDGED);
    let unread = tcp.unread();
    let rest = is_read_to_its_end(tcp, conn);
    let (turn, evidence) = turn::judged(&conn.turns, tcp.write_seq(), unread, rest);
    conn.since_read = turn.since_read;
    conn.asked = turn.asked;
    if conn.is_server() {
        match evidence {
            // A client may close on the alert, before our FIN.
            Some(Evidence::Alert) => {
                unanswered(conn, row, Evidence::Alert);
                cut(conn, row, Cut::Unanswered);
            }
            Some(Evidence::Silent) if conn.turns.is_farewell_ping(turn.asked) => {}
            Some(Evidence::Silent) => abandoned(conn, row),
            // A request that the program never got to: the server is slow, the client gave up.
            // The rest of an upload lies there, which had its answer.
            None if turn.since_read > 0 && (rest || conn.has(flag::MORE_TO_READ)) => {}
            Some(Evidence::Small) | None
                if !is_goodbye(tcp, conn, unread) && !conn.turns.is_farewell_ping(unread) =>
            {
                abandoned(conn, row);
            }
            Some(Evidence::Small) | None => {}
        }
    } else if let Some(evidence) = conn.turns.awaited(turn, unread) {
        unanswered(conn, row, evidence);
    }
}

#[inline(always)]
fn abandoned(conn: &mut Conn, row: Row) {
    conn.set(flag::ABANDONED);
    row.inc(Cell::ABANDONED);
}

#[inline(always)]
fn unanswered(conn: &mut Conn, row: Row, evidence: Evidence) {
    conn.evidence = evidence as u8;
    row.inc(Cell::unanswered(evidence));
}

/// Each connection counts once, by its first cause.
#[inline(always)]
pub(super) fn cut(conn: &mut Conn, row: Row, cause: Cut) {
    if conn.cut == NONE {
        conn.cut = cause as u8;
        row.inc(Cell::cut(cause));
    }
}

/// This host ends the connection: by an abort, a death, or its listener's end.
#[inline(always)]
pub(super) fn ended_by_us(tcp: Tcp, conn: &mut Conn, row: Row, old: u8, unread: u32) {
    let lost = conn.is_server() && !is_goodbye(tcp, conn, unread);
    if !conn.has(flag::JUDGED) {
        if lost {
            let rest = is_read_to_its_end(tcp, conn) && !Task::current().is_exiting();
            let (turn, evidence) = turn::judged(&conn.turns, tcp.write_seq(), unread, rest);
            if evidence.is_none() {
                conn.since_read = turn.since_read;
                if !is_quiet(tcp, conn) {
                    note_parted(conn);
                }
            }
            lose_unread(tcp, conn, row, Cut::Unread);
        }
        let by_process = tcp.owned() || conn.has(flag::NEVER_ACCEPTED);
        closed_by_us(conn, tcp, row, by_process, tcp.write_seq(), unread);
        note_sending(tcp, conn);
    } else if lost && conn.has(flag::LOCAL_FIN) && old != state::CLOSE_WAIT {
        lose_unread(tcp, conn, row, cause_of_unread(tcp, conn));
    }
    if !lost && conn.is_server() && conn.evidence == NONE && old != state::CLOSE_WAIT {
        small_left(conn, row, unread);
    }
}

/// A connection ends that this side had closed when it was idle, and whose socket stayed open to take in what still came (a
/// lingering close, as Apache and lighttpd do it): a request that came was thrown away, without an RST.
#[inline(always)]
pub(super) fn came_too_late(tcp: Tcp, conn: &mut Conn, row: Row) {
    if !conn.has(flag::AT_REST) {
        return;
    }
    let bytes = unread(
        tcp.rcv_nxt(),
        conn.fin_rcv_nxt,
        tcp.flags() & SOCK_DONE != 0,
    );
    if bytes > 0 && !conn.manner().is_leave(bytes) {
        cut(conn, row, Cut::Late);
    }
}

/// The program lets go of a connection that has ended, and of what it never read of it: a request that met our FIN, on a
/// connection that the peer left before our `close()`. Returns the cause when that makes it a cut one, and whether it became one on
/// which the rest of a question or a request was lost.
#[inline(always)]
pub(super) fn never_read(tcp: Tcp, conn: &mut Conn, row: Row, unread: u32) -> (u8, bool) {
    if conn.cut != NONE
        || !conn.is_server()
        || !conn.has(flag::LOCAL_FIN)
        || is_goodbye(tcp, conn, unread)
    {
        return (NONE, false);
    }
    let told = conn.has(flag::REST_OR_REQUEST);
    lose_unread(tcp, conn, row, cause_of_unread(tcp, conn));
    (conn.cut, conn.has(flag::REST_OR_REQUEST) && !told)
}

/// Whether what the program never read was but the peer's goodbye.
#[inline(always)]
fn is_goodbye(tcp: Tcp, conn: &Conn, unread: u32) -> bool {
    let segments = tcp
        .get::<u32>(offset!(data_segs_in))
        .wrapping_sub(conn.segments);
    turn::is_goodbye(conn.manner(), unread, segments)
}

#[inline(always)]
fn cause_of_unread(tcp: Tcp, conn: &Conn) -> Cut {
    if conn.unread_before_fin(tcp.copied_seq()) {
        Cut::Unread
    } else {
        Cut::Late
    }
}

/// The peer's RST ends the connection.
#[inline(always)]
pub(super) fn ended_by_peer(tcp: Tcp, conn: &mut Conn, row: Row) {
    if !conn.has(flag::JUDGED) {
        closed_by_peer(tcp, conn, row);
    }
}
