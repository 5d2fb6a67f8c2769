//! The real intake, router and server in a thread of its own, and a client that writes bytes.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use finwatch::{
    config::Deploys,
    deploy::Intake,
    deploy::QUEUE,
    deploy::Tallies,
    http::{self, Story},
};
use finwatch_engine::model::DeployEvent;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::Value;
use sha2::Sha256;
use tempfile::TempDir;
use tokio::sync::{mpsc, oneshot};

use super::known::Names;

pub(crate) const SECRET: &str = "It's a Secret to Everybody";

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) tallies: Arc<Tallies>,
    pub(crate) folder: TempDir,
    events: mpsc::Receiver<DeployEvent>,
    stop: Option<oneshot::Sender<()>>,
    serving: Option<JoinHandle<()>>,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

/// What a server is started with.
#[derive(Default, Clone, Copy)]
pub(crate) struct Setup {
    pub(crate) token: Option<&'static str>,
    pub(crate) secrets: bool,
    pub(crate) room: Option<usize>,
    /// The workloads that are known; none: nobody tells.
    pub(crate) services: &'static [&'static str],
}

// === impl Setup ===

impl Setup {
    fn story(self) -> Option<Arc<dyn Story>> {
        let known = Some(self.services).filter(|known| !known.is_empty());
        known.map(|known| Arc::new(Names(known)) as Arc<dyn Story>)
    }
}

// === impl Server ===

impl Server {
    pub(crate) fn start(setup: Setup) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let file = |name: &str, secret: &str| -> PathBuf {
            let path = folder.path().join(name);
            fs::write(&path, format!("{secret}\n")).expect("written");
            path
        };
        let secret = setup.secrets.then(|| file("secret", SECRET));
        let any: SocketAddr = "127.0.0.1:0".parse().expect("an address");
        let deploys = Deploys {
            listen: vec![any],
            token_file: setup.token.map(|token| file("token", token)),
            github_secret_file: secret.clone(),
            flux_secret_file: secret,
            skew_tolerance: Duration::from_secs(30),
        };
        let (sender, events) = mpsc::channel(setup.room.unwrap_or(QUEUE));
        let intake = Arc::new(Intake::new(&deploys, sender).expect("an intake"));
        let tallies = intake.tallies();
        let (stop, stopped) = oneshot::channel();
        let (started, starts) = std::sync::mpsc::channel();
        let serving = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(async move {
                let listeners =
                    http::bind_for(&deploys.listen, "deploy events", "--deploys-listen")
                        .expect("a port");
                let address = listeners[0].local_addr().expect("its address");
                started.send(address).expect("the test waits");
                let stopped = async {
                    let _either_way = stopped.await;
                };
                http::serve(
                    listeners,
                    http::deploys::router(intake, setup.story()),
                    stopped,
                )
                .await
                .expect("no error");
            });
        });
        Self {
            address: starts.recv().expect("an address"),
            tallies,
            folder,
            events,
            stop: Some(stop),
            serving: Some(serving),
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Every event that was passed on since the last call.
    pub(crate) fn events(&mut self) -> Vec<DeployEvent> {
        std::iter::from_fn(|| self.events.try_recv().ok()).collect()
    }

    pub(crate) fn post(&self, path: &str, head: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut request = format!(
            "POST {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Length: {}\r\n",
            body.len()
        );
        for (name, value) in head {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("\r\n");
        self.raw(&[request.as_bytes(), body].concat())
    }

    /// Sends bytes, and reads all that comes back.
    pub(crate) fn raw(&self, bytes: &[u8]) -> Answer {
        let mut stream = self.connect();
        stream.write_all(bytes).expect("written");
        read(stream)
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("a connection");
        let patience = Some(Duration::from_secs(30));
        stream.set_read_timeout(patience).expect("a timeout");
        stream
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _gone = stop.send(());
        }
        let began = Instant::now();
        if let Some(serving) = self.serving.take() {
            assert!(serving.join().is_ok() || std::thread::panicking());
        }
        assert!(began.elapsed() < Duration::from_secs(20), "it stops");
    }
}

pub(crate) fn read(mut stream: TcpStream) -> Answer {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).expect("an answer");
    let text = String::from_utf8(bytes).expect("UTF-8");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    Answer {
        status: head[9..12].parse().expect("a status"),
        head: head.to_ascii_lowercase(),
        body: body.to_owned(),
    }
}

pub(crate) fn signature(body: &[u8]) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("a key");
    let digest = mac.chain_update(body).finalize().into_bytes();
    format!("sha256={}", hex::encode(digest))
}

// === impl Answer ===

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    pub(crate) fn result(&self) -> String {
        let json = self.json();
        json["result"].as_str().unwrap_or_default().to_owned()
    }

    /// What was wrong; every refusal has a remedy.
    pub(crate) fn error(&self) -> String {
        assert!(
            self.head.contains("content-type: application/json"),
            "{self:?}"
        );
        let json = self.json();
        assert!(json["remedy"].is_string(), "{json}");
        json["error"].as_str().expect("an error").to_owned()
    }
}
