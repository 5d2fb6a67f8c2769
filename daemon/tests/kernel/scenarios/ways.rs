//! Which way payload went over a connection's life, whoever ended it: what the shape of a service is learned of.

use super::{ANSWER, REQUEST};
use crate::harness::{
    Netns, Observed, WAYS, settle_to_none, shared,
    sock::{deliver, listen, pair, read, read_eof},
};

#[test]
fn connections_that_say_something_are_told_by_who_does() {
    let probe = shared();
    Netns::run(|ns| {
        let listener = listen();
        // Both, the peer alone twice, this side alone three times, nobody four times.
        let talks = [
            (true, true, 1),
            (true, false, 2),
            (false, true, 3),
            (false, false, 4),
        ];
        for (asks, answers, times) in talks {
            for _ in 0..times {
                let (client, server) = pair(&listener);
                if asks {
                    deliver(&client, &server, REQUEST);
                    read(&server, REQUEST.len());
                }
                if answers {
                    deliver(&server, &client, ANSWER);
                    read(&client, ANSWER.len());
                }
                drop(client);
                read_eof(&server);
            }
        }
        settle_to_none(|| {
            let observed = Observed::read(probe.counters(), ns.cookie());
            let ways = WAYS.map(|cell| observed.server.get(cell));
            let client = WAYS.map(|cell| observed.client.get(cell));
            let told = [(ways, [2, 3, 4]), (client, [0; 3])].into_iter();
            told.filter(|(got, want)| got != want)
                .map(|(got, want)| format!("expected {want:?}, counted {got:?}"))
                .collect()
        });
    });
}
