//! The real engine, tasks, router and server over a recording, and a client for them.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use finwatch::{
    attribution::{Attribution, AttributionOptions},
    config,
    deploy::Tallies,
    http::{self, Readiness},
    lifecycle::{Around, Intervals, Sources, Tasks},
    metrics::Exporter,
    store::History,
};
use finwatch_engine::{
    Engine, Options, Remembered,
    diagnoses::JudgeOptions,
    rollouts::CorrelatorOptions,
    services::{Filter, Limits},
};
use jiff::Timestamp;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::mpsc,
};

use super::kernel::{Recording, Sockets, reasons};

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) readiness: Arc<Readiness>,
    around: Around,
    tasks: Tasks,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
    head: String,
}

impl Server {
    pub(crate) async fn start(recording: Recording) -> Self {
        Self::with(recording, Sockets::default(), &Remembered::default()).await
    }

    pub(crate) async fn with(
        recording: Recording,
        sockets: Sockets,
        remembered: &Remembered,
    ) -> Self {
        let options = Options {
            limits: Limits {
                servers: 2_000,
                clients: 2_000,
                retention_ns: 3_600_000_000_000,
                retired: 100,
                filter: Filter::default(),
            },
            settle_limit: Duration::from_secs(61),
            stream_ports: Vec::new(),
            baseline_window: Duration::from_secs(600),
            rollouts: CorrelatorOptions::default(),
            judge: JudgeOptions::default(),
            reasons: reasons(),
            own_tgid: 0,
        };
        // Without a tree of cgroups every service is called by its program.
        let attribution = Attribution::new(&AttributionOptions {
            cgroup_root: Some(PathBuf::from("/nonexistent")),
            ..AttributionOptions::default()
        });
        let in_memory = config::History {
            directory: None,
            limit: 100,
            max_age: Duration::from_secs(3_600),
        };
        let (history, _) = History::open(&in_memory, Timestamp::UNIX_EPOCH);
        let (_, deployed) = mpsc::channel(1);
        let sources = Sources {
            rows: recording,
            survey: sockets,
            ring: None,
            tables: None,
            attribution,
            pods: None,
            deployed,
            tallies: Arc::new(Tallies::default()),
            history: Arc::new(history),
        };
        let mut tasks = Tasks::new();
        let engine = Engine::new(options, remembered);
        // Nothing is looked at but what a test asks for.
        let never = Duration::from_secs(3_600);
        let intervals = Intervals {
            rows: never,
            survey: never,
        };
        let around = Around::start(&mut tasks, engine, intervals, sources);
        let exporter = Exporter::new(around.source(), SystemTime::UNIX_EPOCH);
        let readiness = Arc::new(Readiness::default());
        let router = http::router(exporter, Arc::clone(&readiness), None);
        let any = "127.0.0.1:0".parse().expect("an address");
        let listeners = http::bind(&[any]).expect("a port");
        let address = listeners[0].local_addr().expect("its address");
        let mut stop = tasks.stop_word();
        tasks.spawn(
            "http",
            http::serve(listeners, router, async move { stop.said().await }),
        );
        Self {
            address,
            readiness,
            around,
            tasks,
        }
    }

    pub(crate) async fn get(&self, path: &str, accept: &str) -> Answer {
        let mut stream = TcpStream::connect(self.address)
            .await
            .expect("a connection");
        let request = format!("GET {path} HTTP/1.0\r\nHost: test\r\nAccept: {accept}\r\n\r\n");
        stream
            .write_all(request.as_bytes())
            .await
            .expect("a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        Answer {
            status: head[9..12].parse().expect("a status"),
            head: head.to_ascii_lowercase(),
            body: body.to_owned(),
        }
    }

    /// Asks for a survey of everything; it begins when it begins.
    pub(crate) fn survey(&self) {
        self.around.survey();
    }

    /// Lets the rows be emptied, as once a minute. What is asked afterwards is answered afterwards.
    pub(crate) fn rotate(&self) {
        self.around.empty_rows();
    }

    pub(crate) async fn stop(self) {
        drop(self.around);
        self.tasks
            .stop(Duration::from_secs(10))
            .await
            .expect("a clean stop");
    }
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.head
            .lines()
            .filter_map(|line| line.split_once(": "))
            .find(|(header, _)| *header == name)
            .map_or("", |(_, value)| value)
    }
}
