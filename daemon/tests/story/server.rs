//! The real router and server over a story from files, on a thread of their own.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    ops::ControlFlow,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread::JoinHandle,
    time::{Duration, Instant, SystemTime},
};

use finwatch::{
    http::{self, Readiness, Story},
    metrics::{Exporter, Scrape, Source},
};
use finwatch_engine::model::{Close, Drain, Incident, RecentCloses, Rollout, ServiceState};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::oneshot;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// When the daemon began to watch.
const WATCHED_SINCE: &str = "2026-11-22T00:00:00Z";

/// What is told.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    pub(crate) services: Vec<ServiceState>,
    pub(crate) drains: Vec<Drain>,
    pub(crate) rollouts: Vec<Rollout>,
    pub(crate) closes: Vec<Close>,
    pub(crate) incidents: Vec<Incident>,
    pub(crate) watched_since: Timestamp,
}

/// A server that tells it.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    told: Arc<Mutex<Told>>,
    /// How often it was asked for any of that.
    asked: Arc<AtomicU64>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    pub(crate) body: String,
}

// === impl Told ===

impl Told {
    /// A stop that cut requests, a clean reload, a crash, and a stop that is not over.
    pub(crate) fn sample() -> Self {
        Self {
            services: read("services"),
            drains: read("drains"),
            rollouts: read("rollouts"),
            closes: read("closes"),
            incidents: read("incidents"),
            watched_since: WATCHED_SINCE.parse().expect("a time"),
        }
    }

    pub(crate) fn nothing() -> Self {
        Self {
            services: Vec::new(),
            drains: Vec::new(),
            rollouts: Vec::new(),
            closes: Vec::new(),
            incidents: Vec::new(),
            watched_since: WATCHED_SINCE.parse().expect("a time"),
        }
    }
}

fn read<T: DeserializeOwned>(name: &str) -> T {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/story/{name}.json"));
    let text = std::fs::read_to_string(&path).expect("a file");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"))
}

struct Teller {
    told: Arc<Mutex<Told>>,
    asked: Arc<AtomicU64>,
}

impl Teller {
    fn told(&self) -> Told {
        let told = self.told.lock().expect("no panic").clone();
        self.asked.fetch_add(1, Relaxed);
        told
    }
}

impl Story for Teller {
    fn services(&self) -> Vec<ServiceState> {
        self.told().services
    }

    fn drains(&self, visit: &mut dyn FnMut(Drain) -> ControlFlow<()>) {
        let _either_way = self.told().drains.into_iter().try_for_each(visit);
    }

    fn rollouts(&self, visit: &mut dyn FnMut(Rollout) -> ControlFlow<()>) {
        let _either_way = self.told().rollouts.into_iter().try_for_each(visit);
    }

    fn incidents(&self, visit: &mut dyn FnMut(Incident) -> ControlFlow<()>) {
        let _either_way = self.told().incidents.into_iter().try_for_each(visit);
    }

    fn watches_since(&self) -> Timestamp {
        self.told().watched_since
    }

    fn closes(&self) -> RecentCloses {
        RecentCloses {
            closes: self.told().closes,
            complete_since: None,
        }
    }
}

// === impl Server ===

impl Server {
    pub(crate) fn start(told: Told) -> Self {
        let told = Arc::new(Mutex::new(told));
        let asked = Arc::<AtomicU64>::default();
        let story: Arc<dyn Story> = Arc::new(Teller {
            told: Arc::clone(&told),
            asked: Arc::clone(&asked),
        });
        let (stop, stopped) = oneshot::channel();
        let (bound, address) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(async {
                let any = "127.0.0.1:0".parse().expect("an address");
                let listeners = http::bind(&[any]).expect("a port");
                let address = listeners[0].local_addr().expect("its address");
                bound.send(address).expect("somebody waits");
                let router = http::router(exporter(), Arc::new(Readiness::default()), Some(story));
                let until = async {
                    let _either_way = stopped.await;
                };
                http::serve(listeners, router, until)
                    .await
                    .expect("no error");
            });
        });
        Self {
            address: address.recv().expect("an address"),
            told,
            asked,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What is told from now on.
    pub(crate) fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().expect("no panic")
    }

    /// Waits until somebody who asks again and again has done so twice more: what was told before has been seen.
    pub(crate) fn wait_until_seen(&self) {
        // Of one question the answer may have been taken before.
        const TIMES: u64 = 3;
        let (before, deadline) = (self.asked.load(Relaxed), Instant::now() + PATIENCE);
        while self.asked.load(Relaxed) < before + TIMES {
            assert!(Instant::now() < deadline, "nobody asks");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        let mut stream = TcpStream::connect(self.address).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("set");
        write!(stream, "GET {path} HTTP/1.0\r\nHost: test\r\n\r\n").expect("a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        let content_type = head
            .lines()
            .filter_map(|line| line.split_once(": "))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-type"))
            .map_or_else(String::new, |(_, value)| value.to_owned());
        Answer {
            status: head[9..12].parse().expect("a status"),
            content_type,
            body: body.to_owned(),
        }
    }

    pub(crate) fn json(&self, path: &str) -> Value {
        let answer = self.get(path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        assert_eq!(answer.content_type, "application/json", "{path}");
        serde_json::from_str(&answer.body).expect("JSON")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let stopped = self.stop.take().is_some_and(|stop| stop.send(()).is_ok());
        let ended = self.thread.take().map(JoinHandle::join);
        if !std::thread::panicking() {
            assert!(stopped && ended.is_some_and(|ended| ended.is_ok()));
        }
    }
}

/// Nobody asks it for metrics.
struct Quiet;

impl Source for Quiet {
    fn scrape(&self) -> Option<Box<Scrape>> {
        None
    }
}

fn exporter() -> Exporter {
    Exporter::new(Quiet, SystemTime::UNIX_EPOCH)
}
