//! A server that speaks the list and the watch of the API over real connections, as a script says: what each request must be,
//! and what it is answered.

use std::{
    collections::VecDeque,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use finwatch::kubernetes::Api;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    task::JoinHandle,
};

/// What one request is answered.
pub(crate) enum Answer {
    /// This status with these further lines of the head, and this body.
    Whole(u16, &'static str, String),
    /// Pieces of a body whose end is not known, each one sent when the one before it was.
    Pieces(Vec<Piece>),
}

pub(crate) enum Piece {
    /// Bytes, most often a line.
    Text(String),
    /// Nothing for a while.
    Pause(Duration),
    /// The end of the body, as the server says it.
    End,
    /// The connection is gone in the middle of it.
    Cut,
    /// Nothing more, and no end, as of a watch in which nothing happens.
    Silence,
}

/// A request that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    /// Which connection it came on, from 0.
    pub(crate) connection: usize,
    pub(crate) path: String,
    pub(crate) accept: String,
    pub(crate) token: String,
}

/// See the module.
pub(crate) struct Server {
    pub(crate) api: Api,
    pub(crate) token: PathBuf,
    requests: Arc<Mutex<Vec<Request>>>,
    task: JoinHandle<()>,
    _folder: tempfile::TempDir,
}

type Script = Arc<Mutex<VecDeque<Answer>>>;

// === impl Server ===

impl Server {
    /// Answers one request after the other by the script, and none beyond it.
    pub(crate) async fn start(script: Vec<Answer>) -> Self {
        Self::start_after(Duration::ZERO, script).await
    }

    /// The same, when nobody has listened there for a while.
    pub(crate) async fn start_after(time: Duration, script: Vec<Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        let folder = tempfile::tempdir().expect("a folder");
        let token = folder.path().join("token");
        std::fs::write(&token, "first").expect("a token");
        let kubeconfig = folder.path().join("kubeconfig");
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: it\n\
             clusters: [{{name: it, cluster: {{server: \"http://{address}\"}}}}]\n\
             users: [{{name: it, user: {{tokenFile: \"{}\"}}}}]\n\
             contexts: [{{name: it, context: {{cluster: it, user: it}}}}]\n",
            token.display()
        );
        std::fs::write(&kubeconfig, text).expect("a kubeconfig");
        let requests: Arc<Mutex<Vec<Request>>> = Arc::default();
        let script: Script = Arc::new(Mutex::new(script.into()));
        let asked = Arc::clone(&requests);
        let task = tokio::spawn(async move {
            let listener = match time {
                Duration::ZERO => listener,
                _ => {
                    drop(listener);
                    tokio::time::sleep(time).await;
                    TcpListener::bind(address).await.expect("the same port")
                }
            };
            accept(listener, script, asked).await;
        });
        Self {
            api: Api {
                node: "node-1".to_owned(),
                kubeconfig: Some(kubeconfig),
            },
            token,
            requests,
            task,
            _folder: folder,
        }
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().expect("no panic").clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, script: Script, requests: Arc<Mutex<Vec<Request>>>) {
    let mut set = tokio::task::JoinSet::new();
    for connection in 0.. {
        let Ok((stream, _)) = listener.accept().await else {
            return;
        };
        let (script, requests) = (Arc::clone(&script), Arc::clone(&requests));
        set.spawn(serve(stream, connection, script, requests));
    }
}

async fn serve(
    stream: TcpStream,
    connection: usize,
    script: Script,
    requests: Arc<Mutex<Vec<Request>>>,
) {
    let (from, mut to) = stream.into_split();
    let mut from = BufReader::new(from);
    while let Some(request) = read(&mut from, connection).await {
        requests.lock().expect("no panic").push(request);
        let answer = script.lock().expect("no panic").pop_front();
        let Some(answer) = answer else {
            // Whoever asks more than the script says waits until the test has looked at what was asked.
            return std::future::pending().await;
        };
        if !write(&mut to, answer).await {
            return;
        }
    }
}

async fn read(from: &mut BufReader<OwnedReadHalf>, connection: usize) -> Option<Request> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if from.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let header = |name: &str| {
        let header = lines.iter().find_map(|line| {
            let (of, value) = line.split_once(": ")?;
            of.eq_ignore_ascii_case(name).then(|| value.to_owned())
        });
        header.unwrap_or_default()
    };
    let mut body = vec![0; header("content-length").parse().unwrap_or(0)];
    from.read_exact(&mut body).await.ok()?;
    Some(Request {
        connection,
        path: lines.first()?.split(' ').nth(1)?.to_owned(),
        accept: header("accept"),
        token: header("authorization"),
    })
}

/// Says whether the connection can go on.
async fn write(to: &mut OwnedWriteHalf, answer: Answer) -> bool {
    let pieces = match answer {
        Answer::Whole(status, head, body) => {
            let length = body.len();
            let text = format!(
                "HTTP/1.1 {status} It\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n{head}\r\n{body}"
            );
            return to.write_all(text.as_bytes()).await.is_ok();
        }
        Answer::Pieces(pieces) => pieces,
    };
    let head =
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    if to.write_all(head.as_bytes()).await.is_err() {
        return false;
    }
    for piece in pieces {
        let written = match piece {
            Piece::Text(text) => {
                let chunk = format!("{:x}\r\n{text}\r\n", text.len());
                to.write_all(chunk.as_bytes()).await
            }
            Piece::Pause(time) => {
                tokio::time::sleep(time).await;
                Ok(())
            }
            Piece::End => return to.write_all(b"0\r\n\r\n").await.is_ok(),
            Piece::Cut => return false,
            Piece::Silence => return std::future::pending().await,
        };
        if written.is_err() {
            return false;
        }
    }
    true
}
