//! Which series a service has before anything happened to it, and which come with their first event; what a thousand services
//! come to; and the same for a client that wants it compressed.

use std::{collections::BTreeSet, process::Command};

use finwatch::metrics::{FAMILIES, Format};
use finwatch_common::{Cell, Cut, Evidence, Lost, Origin, Outcome, Phase, Role, tcp};

use super::{
    exposition::parse,
    kernel::{Recording, reset, row, service},
    server::Server,
};

const PHASES: [&str; 3] = ["steady", "draining", "reloading"];
const SERVICES: u16 = 1_000;
/// The sizes that Prometheus is asked to bear.
const SERIES_MOST: usize = 40;
const CLIENT_SERIES_MOST: usize = 15;
const BYTES_MOST: usize = 5_000_000;

/// What a test finds of one service: names, and the labels that are not the service's.
type Series = BTreeSet<String>;

/// What every service has, in these phases; `without_fin` is the usual end of a connection that nobody ended by a FIN.
fn of_any(phases: &[&str], without_fin: &str) -> Series {
    let mut series = Series::new();
    for phase in phases {
        let mut by_phase = |name: &str, more: &str| {
            series.insert(format!("finwatch_tcp_{name}_total phase=\"{phase}\"{more}"));
        };
        by_phase("opened", "");
        for (origin, outcome) in [
            ("local", "fin"),
            ("remote", "fin"),
            ("both", "fin"),
            ("none", without_fin),
        ] {
            by_phase(
                "closes",
                &format!(",origin=\"{origin}\",outcome=\"{outcome}\""),
            );
        }
        for substate in ["time_wait", "fin_wait2"] {
            by_phase("time_wait_created", &format!(",substate=\"{substate}\""));
        }
    }
    let gauges = [
        "open_connections ",
        "time_wait_sockets substate=\"time_wait\"",
        "time_wait_sockets substate=\"fin_wait2\"",
        "awaiting_connections ",
        "close_wait_sockets ",
    ];
    series.extend(gauges.map(|gauge| format!("finwatch_tcp_{gauge}")));
    series
}

fn of_server() -> Series {
    let mut series = of_any(&PHASES, "reset_sent");
    for phase in PHASES {
        for cause in ["unanswered", "unread", "late"] {
            let labels = format!("phase=\"{phase}\",cause=\"{cause}\"");
            series.insert(format!("finwatch_tcp_cut_connections_total {labels}"));
        }
        let labels = format!("phase=\"{phase}\"");
        series.insert(format!("finwatch_tcp_accept_queue_dropped_total {labels}"));
    }
    let others = [
        "finwatch_tcp_refused_total ",
        "finwatch_listener_up ",
        "finwatch_listener_backlog ",
        "finwatch_listener_backlog_limit ",
        "finwatch_listener_gap_seconds_total ",
        "finwatch_listener_gaps_total ",
    ];
    series.extend(others.map(str::to_owned));
    series
}

fn of_client() -> Series {
    let mut series = of_any(&PHASES[..1], "reset_received");
    series.insert("finwatch_tcp_connect_failed_total ".to_owned());
    series
}

/// Series of this role with their values.
fn shown<'a>(text: &'a str, role: &str) -> Vec<(String, &'a str)> {
    let role = format!("role=\"{role}\"");
    let samples = text.lines().filter_map(|line| line.rsplit_once(' '));
    let of_role = samples.filter_map(|(series, value)| {
        let (name, labels) = series.strip_suffix('}')?.split_once('{')?;
        let (_, more) = labels.split_once(&role)?;
        let more = more.trim_start_matches(',');
        Some((format!("{name} {more}"), value))
    });
    of_role.collect()
}

fn names(shown: &[(String, &str)]) -> Series {
    shown.iter().map(|(series, _)| series.clone()).collect()
}

fn at_rest(servers: u16, clients: u16) -> Recording {
    let mut recording = Recording::default();
    let server = |port| {
        row(
            service("nginx", port, Role::Server),
            &[(Cell::LISTEN_UP, 1)],
        )
    };
    let client = |port| row(service("psql", port, Role::Client), &[]);
    recording.live.rows = (1..=servers).map(server).collect();
    recording.live.rows.extend((1..=clients).map(client));
    recording
}

#[tokio::test]
async fn a_service_is_born_with_what_an_increase_needs() {
    let server = Server::start(at_rest(1, 1)).await;
    let text = server.get("/metrics", "").await.body;
    let (of_the_server, of_the_client) = (shown(&text, "server"), shown(&text, "client"));
    assert_eq!(names(&of_the_server), of_server());
    assert_eq!(names(&of_the_client), of_client());
    let not_zero: Vec<_> = of_the_server
        .iter()
        .chain(&of_the_client)
        .filter(|(_, value)| *value != "0" && *value != "0.0")
        .collect();
    assert_eq!(not_zero, [&("finwatch_listener_up ".to_owned(), "1")]);
    server.stop().await;
}

/// A figure that nobody has to believe: it is the sum of the lists above.
#[tokio::test]
async fn a_thousand_services_half_of_them_clients_stay_within_their_bounds() {
    let empty = Server::start(Recording::default()).await;
    let own = empty.get("/metrics", "").await.body;
    let own = parse(&own, Format::Text).expect("strict").samples.len();
    empty.stop().await;

    let server = Server::start(at_rest(SERVICES / 2, SERVICES / 2)).await;
    let text = server.get("/metrics", "").await.body;
    let all = parse(&text, Format::Text).expect("strict").samples.len();
    let half = usize::from(SERVICES / 2);
    assert_eq!(
        all - own,
        half * of_server().len() + half * of_client().len()
    );
    assert!(all - own <= SERIES_MOST * usize::from(SERVICES), "{all}");
    assert!(of_client().len() <= CLIENT_SERIES_MOST);
    assert!(text.len() <= BYTES_MOST, "{} bytes", text.len());
    server.stop().await;
}

/// What the metrics reference calls "born with its first event" is so, and nothing else is.
#[tokio::test]
async fn details_are_born_with_their_first_event_in_its_phase() {
    let nginx = service("nginx", 80, Role::Server);
    let psql = service("psql", 5_432, Role::Client);
    let received = Cell::resets_received(tcp::CLOSING).expect("a state of resets");
    let late = [
        Cell::closes(Origin::Local, Outcome::ResetSent),
        Cell::unanswered(Evidence::Small),
        Cell::ABANDONED,
        Cell::EARLY,
        Cell::SMALL_LEFT,
        Cell::SMALL_LATE,
        Cell::REST_OR_REQUEST,
        Cell::WAITED,
        Cell::UNREAD,
        Cell::UNREAD_BYTES,
        Cell::UNACKED,
        Cell::UNACKED_BYTES,
        Cell::EXIT,
        received,
        Cell::EMBRYONIC_FAILED,
        Cell::ESTAB_RESETS,
        Cell::NO_MINI_SOCKET,
        Cell::SEEDED,
    ]
    .map(|cell| (cell, 1));
    let mut recording = at_rest(0, 0);
    recording.live.rows = vec![
        row(nginx, &[]),
        row(nginx.in_phase(Phase::Draining), &late),
        row(psql, &[(Cell::unanswered(Evidence::Silent), 1)]),
        // A client is never cut, and nobody listens there.
        row(
            psql.in_phase(Phase::Draining),
            &[(Cell::cut(Cut::Late), 1), (Cell::OPENED, 1)],
        ),
    ];
    recording.live.resets = vec![reset(nginx.in_phase(Phase::Draining), 8, Lost::Data, 1)];
    let server = Server::start(recording).await;
    let text = server.get("/metrics", "").await.body;

    let of_the_server = shown(&text, "server");
    let born: Series = &names(&of_the_server) - &of_server();
    let draining = |name: &str, more: &str| format!("{name}_total phase=\"draining\"{more}");
    let mut expected: Series = [
        ("closes", ",origin=\"local\",outcome=\"reset_sent\""),
        ("unanswered_closes", ",evidence=\"small\""),
        ("abandoned_closes", ""),
        ("early_answer_resets", ""),
        ("unclear_losses", ",what=\"small\""),
        ("unclear_losses", ",what=\"small_late\""),
        ("unclear_losses", ",what=\"rest_or_request\""),
        ("waited", ""),
        ("unread_closes", ""),
        ("unread_bytes", ""),
        ("unacked_closes", ""),
        ("unacked_bytes", ""),
        ("exit_closes", ""),
        ("resets_received", ",state=\"closing\""),
    ]
    .map(|(name, more)| draining(&format!("finwatch_tcp_{name}"), more))
    .into();
    for lost in ["nothing", "goodbye", "data"] {
        let more = format!(",reason=\"tcp_abort_on_data\",lost=\"{lost}\"");
        expected.insert(draining("finwatch_tcp_resets_sent", &more));
    }
    let whole = [
        "embryonic_failed",
        "estab_resets",
        "time_wait_overflow",
        "seeded",
    ];
    expected.extend(whole.map(|name| format!("finwatch_tcp_{name}_total ")));
    assert_eq!(born, expected);
    let told: BTreeSet<_> = FAMILIES
        .iter()
        .filter(|family| family.help.ends_with("; born with its first event."))
        .map(|family| format!("{}_total", family.name))
        .collect();
    let names_of = |series: &Series| -> BTreeSet<String> {
        series
            .iter()
            .filter_map(|series| Some(series.split_once(' ')?.0.to_owned()))
            .collect()
    };
    assert_eq!(told, &names_of(&born) - &names_of(&of_server()));

    let born: Series = &names(&shown(&text, "client")) - &of_client();
    let expected = [
        "finwatch_tcp_opened_total phase=\"draining\"",
        "finwatch_tcp_unanswered_closes_total phase=\"steady\",evidence=\"silent\"",
    ];
    assert_eq!(born, expected.map(str::to_owned).into());
    server.stop().await;
}

#[tokio::test]
async fn curl_is_answered_in_gzip_when_it_asks_and_reads_the_same() {
    let server = Server::start(at_rest(100, 100)).await;
    let url = format!("http://{}/metrics", server.address);
    let curl = |flags: &[&str]| {
        let mut command = Command::new("curl");
        command
            .args(["--silent", "--show-error", "--fail", "--max-time", "20"])
            .args([
                "--write-out",
                "\n%header{content-encoding} %{size_download}",
            ])
            .args(flags)
            .arg(&url);
        let answer = tokio::task::spawn_blocking(move || command.output().expect("run curl"));
        async move {
            let answer = answer.await.expect("no panic");
            let told = String::from_utf8_lossy(&answer.stderr);
            assert!(answer.status.success(), "{told}");
            let text = String::from_utf8(answer.stdout).expect("text");
            let (body, written) = text.rsplit_once('\n').expect("what it wrote");
            let (encoding, bytes) = written.split_once(' ').expect("two words");
            let bytes: usize = bytes.parse().expect("a number");
            (body.to_owned(), encoding.to_owned(), bytes)
        }
    };
    let (plain, encoding, bytes) = curl(&[]).await;
    assert_eq!((encoding.as_str(), bytes), ("", plain.len()));
    let (unpacked, encoding, bytes) = curl(&["--compressed"]).await;
    assert_eq!(encoding, "gzip");
    assert_eq!(unpacked, plain);
    assert!(bytes * 10 < plain.len(), "{bytes} of {}", plain.len());
    let (refused, encoding, _) = curl(&["--header", "Accept-Encoding: gzip;q=0, br"]).await;
    assert_eq!((refused, encoding.as_str()), (plain, ""));
    server.stop().await;
}
