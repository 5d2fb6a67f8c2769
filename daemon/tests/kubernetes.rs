//! The watch of pods against a server that speaks the protocol over real connections, and does what servers do: it forgets, cuts,
//! refuses, is slow, and wants another token.

#![cfg(feature = "kubernetes")]

#[path = "kubernetes/frames.rs"]
mod frames;
#[path = "kubernetes/server.rs"]
mod server;

use std::{
    fs,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use finwatch::kubernetes::{Change, Heard, Pods, watch};

use self::{
    frames::{added, bookmark, deleted, gone, list, modified, pod, refused},
    server::{
        Answer::{self, Pieces, Whole},
        Piece::{Cut, End, Pause, Silence, Text},
        Request, Server,
    },
};

/// Longest time that anything may take here.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is known after the script.
struct Seen {
    changes: Vec<String>,
    pods: Pods,
    requests: Vec<Request>,
    heard: Arc<Heard>,
}

/// Watches until that is told.
async fn until(server: &Server, last: &str) -> Seen {
    let changes: Mutex<Vec<String>> = Mutex::default();
    let pods = Mutex::new(Pods::new("node-1"));
    let heard: Arc<Heard> = Arc::default();
    let (told, mut is_told) = tokio::sync::mpsc::unbounded_channel();
    let watching = watch(&server.api, &heard, |change| {
        let word = match &change {
            Change::Listing => "listing".to_owned(),
            Change::Listed(pod) => format!("listed {}", pod.name),
            Change::ListEnd => "list end".to_owned(),
            Change::Applied(pod) => format!("applied {}", pod.name),
            Change::Deleted(pod) => format!("deleted {}", pod.name),
        };
        pods.lock().expect("no panic").take(change, Instant::now());
        changes.lock().expect("no panic").push(word.clone());
        told.send(word).expect("somebody hears");
    });
    let end = async {
        while let Some(word) = is_told.recv().await {
            if word == last {
                return;
            }
        }
    };
    tokio::select! {
        () = watching => panic!("the watch ended"),
        () = end => {}
        () = tokio::time::sleep(PATIENCE) => {
            panic!("{last} was not told; told: {changes:?}, asked: {:?}", server.requests());
        }
    }
    Seen {
        changes: changes.into_inner().expect("no panic"),
        pods: pods.into_inner().expect("no panic"),
        requests: server.requests(),
        heard,
    }
}

/// The versions that were asked for, `list` or `watch` before each.
fn asked(requests: &[Request]) -> Vec<String> {
    let asked = requests.iter().map(|request| {
        let (path, query) = request.path.split_once('?').expect("a query");
        assert_eq!(path, "/api/v1/pods");
        let value = |name: &str| {
            let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs
                .find(|(of, _)| *of == name)
                .map(|(_, value)| value.to_owned())
        };
        assert_eq!(
            value("fieldSelector").as_deref(),
            Some("spec.nodeName%3Dnode-1")
        );
        assert!(
            request.accept.contains("as=PartialObjectMeta"),
            "{}",
            request.accept
        );
        let is_watch = value("watch").is_some();
        if is_watch {
            assert_eq!(value("allowWatchBookmarks").as_deref(), Some("true"));
        }
        let version = value("resourceVersion").unwrap_or_default();
        format!("{} {version}", if is_watch { "watch" } else { "list" })
    });
    asked.collect()
}

fn whole_list(version: &str, pods: &[String]) -> Answer {
    Whole(200, "", list(version, pods))
}

#[tokio::test]
async fn what_was_listed_and_what_comes_is_told_over_one_connection() {
    let server = Server::start(vec![
        whole_list("10", &[pod("a", "web-7d4b9c5f6-aaaaa", "9")]),
        Pieces(vec![
            Text(added(&pod("b", "web-7d4b9c5f6-bbbbb", "11"))),
            Text(bookmark("15")),
            Text(deleted(&pod("a", "web-7d4b9c5f6-aaaaa", "16"))),
            Text(modified(&pod("c", "web-7d4b9c5f6-ccccc", "17"))),
            Silence,
        ]),
    ])
    .await;
    let seen = until(&server, "applied web-7d4b9c5f6-ccccc").await;
    assert_eq!(
        seen.changes,
        [
            "listing",
            "listed web-7d4b9c5f6-aaaaa",
            "list end",
            "applied web-7d4b9c5f6-bbbbb",
            "deleted web-7d4b9c5f6-aaaaa",
            "applied web-7d4b9c5f6-ccccc",
        ]
    );
    assert_eq!(asked(&seen.requests), ["list 0", "watch 10"]);
    assert!(seen.requests.iter().all(|request| request.connection == 0));
    assert!(
        seen.requests
            .iter()
            .all(|request| request.token == "Bearer first")
    );
    let figures = seen.pods.figures();
    assert_eq!((figures.running, figures.gone), (2, 1));
    for uid in ["a", "b", "c"] {
        let named = seen.pods.find(uid).unwrap();
        assert_eq!(named.workload.kind.as_str(), "deployment");
        assert_eq!(named.workload.name, "web");
        assert_eq!(named.pod.revision.as_deref(), Some("7d4b9c5f6"));
    }
    let heard = seen.heard.figures();
    assert_eq!((heard.connected, heard.lists, heard.failures), (true, 1, 0));
    assert!(heard.last_ms.is_some());
}

#[tokio::test]
async fn a_watch_that_ends_or_is_cut_goes_on_where_it_was() {
    let server = Server::start(vec![
        whole_list("10", &[]),
        // The server ends each watch after some minutes. A bookmark said how far it was.
        Pieces(vec![Text(bookmark("20")), End]),
        // Cut in the middle of a line.
        Pieces(vec![
            Text(modified(&pod("a", "a", "21"))),
            Text(modified(&pod("b", "b", "22"))[..40].to_owned()),
            Cut,
        ]),
        Pieces(vec![Text(modified(&pod("b", "b", "22"))), Silence]),
    ])
    .await;
    let seen = until(&server, "applied b").await;
    assert_eq!(
        asked(&seen.requests),
        ["list 0", "watch 10", "watch 20", "watch 21"]
    );
    assert_eq!(
        seen.changes,
        ["listing", "list end", "applied a", "applied b"]
    );
    // It was never refused.
    let heard = seen.heard.figures();
    assert_eq!((heard.connected, heard.lists, heard.failures), (true, 1, 0));
}

#[tokio::test]
async fn what_the_server_has_forgotten_is_listed_anew_and_who_went_meanwhile_is_gone() {
    for refusal in [
        // In the stream, as the API server tells it; and before it, as some that stand between do.
        Pieces(vec![Text(gone()), End]),
        Whole(410, "", refused(410, "Expired")),
    ] {
        let server = Server::start(vec![
            whole_list("10", &[pod("a", "a", "9"), pod("b", "b", "9")]),
            refusal,
            whole_list("90", &[pod("b", "b", "9"), pod("c", "c", "80")]),
            Pieces(vec![Text(modified(&pod("d", "d", "91"))), Silence]),
        ])
        .await;
        let seen = until(&server, "applied d").await;
        assert_eq!(
            asked(&seen.requests),
            ["list 0", "watch 10", "list 0", "watch 90"]
        );
        let figures = seen.pods.figures();
        assert_eq!((figures.running, figures.gone), (3, 1));
        assert!(seen.pods.find("a").is_some(), "remembered for a while");
        let heard = seen.heard.figures();
        assert_eq!((heard.connected, heard.lists, heard.failures), (true, 2, 0));
    }
}

#[tokio::test]
async fn a_server_that_is_busy_is_asked_again_when_it_says() {
    let server = Server::start(vec![
        Whole(429, "Retry-After: 1\r\n", refused(429, "TooManyRequests")),
        whole_list("10", &[]),
        Whole(503, "", refused(503, "ServiceUnavailable")),
        Pieces(vec![Text(modified(&pod("a", "a", "11"))), Silence]),
    ])
    .await;
    let seen = until(&server, "applied a").await;
    assert_eq!(
        asked(&seen.requests),
        ["list 0", "list 0", "watch 10", "watch 10"]
    );
    assert_eq!(seen.changes, ["listing", "list end", "applied a"]);
}

#[tokio::test]
async fn a_token_that_was_rotated_is_read_anew_when_the_old_one_is_refused() {
    let server = Server::start(vec![
        whole_list("10", &[]),
        Pieces(vec![Text(modified(&pod("a", "a", "11"))), End]),
        Whole(401, "", refused(401, "Unauthorized")),
        whole_list("12", &[pod("a", "a", "11")]),
        Pieces(vec![Text(modified(&pod("b", "b", "13"))), Silence]),
    ])
    .await;
    fs::write(&server.token, "first").unwrap();
    let rotate = async {
        while server.requests().len() < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        fs::write(&server.token, "second").unwrap();
    };
    let (seen, ()) = tokio::join!(until(&server, "applied b"), rotate);
    let tokens: Vec<_> = seen
        .requests
        .iter()
        .map(|request| request.token.as_str())
        .collect();
    assert_eq!(
        tokens,
        [
            "Bearer first",
            "Bearer first",
            "Bearer first",
            "Bearer second",
            "Bearer second"
        ]
    );
    assert_eq!(seen.pods.figures().running, 2);
}

#[tokio::test]
async fn who_may_not_watch_goes_on_asking_and_buries_nobody() {
    let server = Server::start(vec![
        Whole(403, "", refused(403, "Forbidden")),
        whole_list("10", &[pod("a", "a", "9")]),
        Whole(403, "", refused(403, "Forbidden")),
        Pieces(vec![Text(modified(&pod("b", "b", "11"))), Silence]),
    ])
    .await;
    let seen = until(&server, "applied b").await;
    assert_eq!(
        asked(&seen.requests),
        ["list 0", "list 0", "watch 10", "watch 10"]
    );
    assert_eq!(seen.pods.figures().running, 2);
    assert_eq!(seen.heard.figures().failures, 2);
}

#[tokio::test]
async fn a_slow_server_is_waited_for() {
    let text = list("10", &[pod("a", "a", "9")]);
    let (head, tail) = text.split_at(30);
    let server = Server::start(vec![
        Pieces(vec![
            Text(head.to_owned()),
            Pause(Duration::from_secs(1)),
            Text(tail.to_owned()),
            End,
        ]),
        Pieces(vec![
            Pause(Duration::from_secs(1)),
            Text(modified(&pod("b", "b", "11"))),
            Silence,
        ]),
    ])
    .await;
    let seen = until(&server, "applied b").await;
    assert_eq!(
        seen.changes,
        ["listing", "listed a", "list end", "applied b"]
    );
    assert_eq!(seen.heard.figures().failures, 0);
}

#[tokio::test]
async fn a_server_that_is_not_there_yet_is_found_when_it_comes() {
    let script = vec![
        whole_list("10", &[]),
        Pieces(vec![Text(modified(&pod("a", "a", "11"))), Silence]),
    ];
    let server = Server::start_after(Duration::from_millis(300), script).await;
    let seen = until(&server, "applied a").await;
    assert_eq!(seen.pods.figures().running, 1);
    let heard = seen.heard.figures();
    assert!(heard.connected && heard.failures > 0, "{heard:?}");
}
