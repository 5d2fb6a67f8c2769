//! Nobody waits for a walk through sockets: the tasks around the engine over the real programs, with a survey that does not
//! come to an end.

use std::{
    net::{TcpListener, TcpStream},
    os::fd::BorrowedFd,
    path::PathBuf,
    sync::{
        Arc,
        mpsc::{self, Receiver, SyncSender},
    },
    time::Duration,
};

use finwatch::{
    attribution::{Attribution, AttributionOptions},
    config,
    deploy::Tallies,
    http::Story as _,
    lifecycle::{Around, Intervals, LiveRows, Sources, SurveySource, Tasks},
    metrics::{Scrape, Source as _},
    probe::Probe,
    store::History,
};
use finwatch_common::{Cell, Role, SurveyRow};
use finwatch_engine::{Engine, Remembered, services::SettledRow};
use jiff::Timestamp;

use crate::{
    harness::{Netns, OPTIONS},
    teller,
};

/// Connections that come and go while sockets are surveyed.
const CONNECTIONS: u64 = 2_000;
/// How long an answer may take before it is taken to wait for something.
const PATIENCE: Duration = Duration::from_secs(30);

/// A walk that has begun, and goes on until it is let go.
struct Endless {
    begun: SyncSender<()>,
    end: Receiver<()>,
}

impl SurveySource for Endless {
    fn sockets(&mut self, _netns: BorrowedFd<'_>) -> anyhow::Result<Vec<SurveyRow>> {
        // Nobody listens any more after the first.
        let _first = self.begun.try_send(());
        let _over = self.end.recv();
        Ok(Vec::new())
    }

    fn mini_sockets(&mut self, _netns: BorrowedFd<'_>) -> anyhow::Result<Vec<SurveyRow>> {
        Ok(Vec::new())
    }
}

#[test]
fn a_scrape_is_answered_and_no_record_is_lost_while_sockets_are_surveyed() {
    Netns::run(|_| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(while_a_survey_walks());
    });
}

async fn while_a_survey_walks() {
    let (begun, has_begun) = mpsc::sync_channel(1);
    let (let_go, end) = mpsc::sync_channel(1);
    let mut tasks = Tasks::new();
    let around = start(&mut tasks, Endless { begun, end });
    around.survey();
    tokio::task::spawn_blocking(move || has_begun.recv_timeout(PATIENCE).unwrap())
        .await
        .unwrap();

    // Who asks for closes has all of them told.
    let story = around.story();
    tokio::task::spawn_blocking(move || story.closes())
        .await
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let before = scrape(&around).await;
    tokio::task::spawn_blocking(move || {
        for _ in 0..CONNECTIONS {
            let client = TcpStream::connect(("127.0.0.1", port)).unwrap();
            let (server, _) = listener.accept().unwrap();
            drop((client, server));
        }
    })
    .await
    .unwrap();

    let lost = |scrape: &Scrape| scrape.probe.losses.records();
    let told = |scrape: &Scrape| scrape.engine.records[0];
    let mut after = scrape(&around).await;
    // The ring is read now and then; both ends of each connection are told.
    let waited = tokio::time::timeout(PATIENCE, async {
        while told(&after) - told(&before) < 2 * CONNECTIONS {
            tokio::task::yield_now().await;
            after = scrape(&around).await;
        }
    });
    let waited = waited.await;
    assert!(waited.is_ok(), "{} told", told(&after) - told(&before));
    assert_eq!(lost(&after), lost(&before));
    let of_port = |row: fn(&SettledRow) -> u64| -> u64 {
        let series = after.view.series.iter();
        let servers = series.filter(|s| s.labels.port == port && s.labels.role == Role::Server);
        servers.flat_map(|s| s.phases.iter().map(row)).sum()
    };
    assert_eq!(of_port(|row| row.get(Cell::OPENED)), CONNECTIONS);
    assert_eq!(of_port(SettledRow::closes), CONNECTIONS);

    drop(let_go);
    drop(around);
    tasks.stop(PATIENCE).await.unwrap();
}

/// A scrape, while nothing but it happens on this thread.
async fn scrape(around: &Around) -> Box<Scrape> {
    let source = around.source();
    let answer = tokio::task::spawn_blocking(move || source.scrape());
    let answer = tokio::time::timeout(PATIENCE, answer).await;
    answer.expect("it waits for no survey").unwrap().unwrap()
}

fn start(tasks: &mut Tasks, survey: Endless) -> Around {
    let Probe {
        rows,
        ring,
        // It keeps the programs attached.
        survey: attached,
        processes,
        phases,
        closes,
        stats,
        losses,
        reasons,
        ports: _,
        listeners: _,
        unseeded: _,
    } = Probe::load(&OPTIONS).expect("the programs load");
    let in_memory = config::History {
        directory: None,
        limit: 100,
        max_age: Duration::from_secs(3_600),
    };
    let (_, deployed) = tokio::sync::mpsc::channel(1);
    let sources = Sources {
        rows: LiveRows {
            rows,
            stats,
            losses: losses.clone(),
        },
        survey: Attached {
            survey,
            _programs: attached,
        },
        ring: Some((ring, losses)),
        tables: Some((processes, phases, closes)),
        attribution: Attribution::new(&AttributionOptions {
            cgroup_root: Some(PathBuf::from("/nonexistent")),
            ..AttributionOptions::default()
        }),
        pods: None,
        deployed,
        tallies: Arc::new(Tallies::default()),
        history: Arc::new(History::open(&in_memory, Timestamp::UNIX_EPOCH).0),
    };
    let never = Duration::from_secs(3_600);
    let intervals = Intervals {
        rows: never,
        survey: never,
    };
    let engine = Engine::new(teller::options(reasons), &Remembered::default());
    Around::start(tasks, engine, intervals, sources)
}

/// A stand-in for the walk, beside the programs.
struct Attached {
    survey: Endless,
    _programs: finwatch::probe::Survey,
}

impl SurveySource for Attached {
    fn sockets(&mut self, netns: BorrowedFd<'_>) -> anyhow::Result<Vec<SurveyRow>> {
        self.survey.sockets(netns)
    }

    fn mini_sockets(&mut self, netns: BorrowedFd<'_>) -> anyhow::Result<Vec<SurveyRow>> {
        self.survey.mini_sockets(netns)
    }
}
