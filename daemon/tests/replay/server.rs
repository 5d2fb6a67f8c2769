//! The real books, router and server over a recording, and a client for them.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::SystemTime};

use finwatch::{
    accounts::Accounts, attribution::Attribution, attribution::AttributionOptions, http,
    http::Readiness, metrics::Exporter,
};
use finwatch_engine::services::{Filter, Limits};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::oneshot,
    task::JoinHandle,
};

use super::kernel::{Recording, Replay};

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) readiness: Arc<Readiness>,
    accounts: Arc<Accounts<Replay>>,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<anyhow::Result<()>>,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
    head: String,
}

impl Server {
    pub(crate) async fn start(recording: Recording) -> Self {
        let limits = Limits {
            servers: 2_000,
            clients: 200,
            retention_ns: 3_600_000_000_000,
            retired: 100,
            filter: Filter::default(),
        };
        // Without a tree of cgroups every service is called by its program.
        let attribution = Attribution::new(&AttributionOptions {
            cgroup_root: Some(PathBuf::from("/nonexistent")),
            ..AttributionOptions::default()
        });
        let accounts = Arc::new(Accounts::new(Replay::new(recording), limits, attribution));
        let exporter = Exporter::new(Arc::clone(&accounts), SystemTime::UNIX_EPOCH);
        let readiness = Arc::new(Readiness::default());
        let router = http::router(exporter, Arc::clone(&readiness), None);
        let any = "127.0.0.1:0".parse().expect("an address");
        let listeners = http::bind(&[any]).expect("a port");
        let address = listeners[0].local_addr().expect("its address");
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(http::serve(listeners, router, async {
            let _either_way = stopped.await;
        }));
        Self {
            address,
            readiness,
            accounts,
            stop,
            serving,
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

    pub(crate) async fn rotate(&self) {
        let accounts = Arc::clone(&self.accounts);
        tokio::task::spawn_blocking(move || accounts.rotate())
            .await
            .expect("a rotation")
            .expect("no error");
    }

    /// Where the story is told to.
    pub(crate) fn story(&self) -> std::sync::MutexGuard<'_, finwatch_engine::model::StoryBook> {
        self.accounts.story()
    }

    pub(crate) async fn stop(self) {
        self.stop.send(()).expect("the server runs");
        self.serving.await.expect("no panic").expect("no error");
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
