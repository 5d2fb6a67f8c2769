//! What a server says last, and no answer: close frames of WebSockets.

use super::stop_tests::ends;

/// Five conversations that were upgraded, and whose clients wait for an answer to a message.
const WEBSOCKETS: &str = "
    0 listen 100 chat :80
    10 open c1..c5 :80 by 100
    20 ask c1..c5 150
    21 answer c1..c5 129
    300 ask c1..c5 46
";

#[test]
fn a_close_frame_is_no_answer() {
    // The server is gone before anybody can look.
    ends(
        WEBSOCKETS,
        "1000 signal TERM 100 from 7
         1000 answer c1..c5 4
         1000 close c1..c5
         1001 exit 100 0
         9000 end",
        &[
            "stop SIGTERM chat:80 at 1000, gone 1/1 code 0, open 5, owed 5, likely 5, local 5, fin 5, tw 5, closed",
        ],
    );
    // It stays for a while; some clients leave when they are told to.
    ends(
        WEBSOCKETS,
        "1000 signal TERM 100 from 7
         1000 answer c1..c5 4
         2000 leave c1..c2
         2000 close c3..c5
         2001 exit 100 0
         9000 end",
        &[
            "stop SIGTERM chat:80 at 1000, gone 1/1 code 0, open 5, owed 5, likely 5, local 3, remote 2, fin 5, tw 3, closed",
        ],
    );
}

#[test]
fn whoever_was_answered_before_t0_or_after_it_lost_nothing() {
    ends(
        WEBSOCKETS,
        "900 answer c1..c3 60
         1000 signal TERM 100 from 7
         1000 answer c1..c5 4
         1000 answer c4..c5 60
         1001 close c1..c5
         1002 exit 100 0
         9000 end",
        &["stop SIGTERM chat:80 at 1000, gone 1/1 code 0, open 5, local 5, fin 5, tw 5, closed"],
    );
}

/// Whose answers all have the size of a close frame speaks something else: of these some came before T0, and some after it.
#[test]
fn an_answer_as_short_as_a_close_frame_is_one() {
    const SHORT: &str = "
        0 listen 100 store :6379
        10 open c1..c5 :6379 by 100
        20 ask c1..c5 40
        21 answer c1..c5 4
        30 ask c1..c5 40
        31 answer c1..c5 4
        40 ask c1..c5 40
        41 answer c1..c3 4
    ";
    ends(
        SHORT,
        "1000 signal TERM 100 from 7
         1000 answer c4..c5 4
         1001 close c1..c5
         1002 exit 100 0
         9000 end",
        &["stop SIGTERM store:6379 at 1000, gone 1/1 code 0, open 5, local 5, fin 5, tw 5, closed"],
    );
    // And whoever had a long answer once is not asked again since.
    ends(
        SHORT,
        "50 ask c4..c5 40
         51 answer c4..c5 4000
         60 ask c4..c5 40
         61 answer c4..c5 4
         1000 signal TERM 100 from 7
         1001 close c1..c5
         1002 exit 100 0
         9000 end",
        &["stop SIGTERM store:6379 at 1000, gone 1/1 code 0, open 5, local 5, fin 5, tw 5, closed"],
    );
}

#[test]
fn a_client_that_echoes_the_close_frame_had_no_answer_either() {
    ends(
        WEBSOCKETS,
        "1000 signal TERM 100 from 7
         1000 answer c1..c5 4
         1500 ask c1..c5 8
         1501 close c1..c5
         1502 exit 100 0
         9000 end",
        &[
            "stop SIGTERM chat:80 at 1000, gone 1/1 code 0, open 5, owed 5, asked 5, likely 5, local 5, fin 5, tw 5, closed",
        ],
    );
}

/// It had more answers by then than a WebSocket's first has bytes.
#[test]
fn a_long_conversation_in_short_answers_was_never_upgraded() {
    let rounds: String = (0..40)
        .map(|round| {
            let at = 20 + 10 * round;
            format!("{at} ask c1..c5 40\n{} answer c1..c5 4\n", at + 1)
        })
        .collect();
    ends(
        &format!(
            "0 listen 100 store :6379\n10 open c1..c5 :6379 by 100\n{rounds} 900 ask c1..c5 40\n"
        ),
        "1000 signal TERM 100 from 7
         1000 answer c1..c5 4
         1001 close c1..c5
         1002 exit 100 0
         9000 end",
        &["stop SIGTERM store:6379 at 1000, gone 1/1 code 0, open 5, local 5, fin 5, tw 5, closed"],
    );
}

/// A message that came after the signal was read and had a close frame for an answer: what was owed at the signal is answered.
#[test]
fn a_message_after_the_signal_is_another() {
    ends(
        WEBSOCKETS,
        "1000 signal TERM 100 from 7
         1100 answer c1..c5 60
         1200 ask c1..c5 46
         1300 answer c1..c5 4
         1301 close c1..c5
         1302 exit 100 0
         9000 end",
        &[
            "stop SIGTERM chat:80 at 1000, gone 1/1 code 0, open 5, owed 5, asked 5, local 5, fin 5, tw 5, closed",
        ],
    );
}
