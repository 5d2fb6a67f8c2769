//! A real nginx in the calling thread's network namespace: plain on one port, TLS on another, and a
//! path that waits for an upstream of the test's.

use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
};

use super::{PATIENCE, lab::in_cgroup, sockets, state, wait_for_end, wait_until, within};

/// The server's ports, the same in every namespace.
pub(crate) const PLAIN: u16 = 8080;
pub(crate) const TLS: u16 = 8443;
const UPSTREAM: u16 = 9000;

/// A running nginx; it is killed, and its folder removed, when dropped.
pub(crate) struct Nginx {
    master: Child,
    folder: PathBuf,
}

impl Nginx {
    /// Starts the server and waits until it listens.
    pub(crate) fn start() -> Self {
        Self::start_with("")
    }

    /// The same with more directives in its http context.
    pub(crate) fn start_with(http: &str) -> Self {
        Self::launch(Command::new("nginx"), "", http)
    }

    /// Starts the server as a process of the cgroup, with more directives in its main and in its http context.
    pub(crate) fn start_in(cgroup: &Path, main: &str, http: &str) -> Self {
        Self::launch(in_cgroup(cgroup, "nginx"), main, http)
    }

    fn launch(mut command: Command, main: &str, http: &str) -> Self {
        let folder = std::env::temp_dir().join(format!(
            "finwatch-nginx-{}-{:?}",
            std::process::id(),
            thread::current().id()
        ));
        fs::create_dir_all(&folder).unwrap();
        certificate(&folder);
        let config = folder.join("nginx.conf");
        let text = configuration(&folder, http);
        fs::write(&config, format!("{main}\n{text}")).unwrap();
        let master = command
            .arg("-c")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("nginx starts; Debian's package is nginx-light");
        let server = Self { master, folder };
        for port in [PLAIN, TLS] {
            let listens =
                |entry: &super::Entry| entry.local_port == port && entry.state == state::LISTEN;
            wait_until("nginx listens", || sockets().iter().any(listens));
        }
        server
    }

    /// Sends the master a signal.
    pub(crate) fn signal(&self, signal: libc::c_int) {
        // SAFETY: no memory is involved; the child is ours and not yet reaped.
        let result = unsafe { libc::kill(self.master.id().cast_signed(), signal) };
        assert_eq!(result, 0, "signal nginx");
    }

    /// Waits for the end that a signal began.
    #[track_caller]
    pub(crate) fn wait(&mut self) {
        wait_for_end(&mut self.master, "nginx");
    }

    /// What the server complained of.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.join("error.log")).unwrap_or_default()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // A master that is killed leaves its workers; one that is told to stop takes them along.
        if matches!(self.master.try_wait(), Ok(None)) {
            self.signal(libc::SIGTERM);
            let ended = || self.master.try_wait().is_ok_and(|ended| ended.is_some());
            if !within(PATIENCE, &mut { ended }) {
                let _already_gone = self.master.kill();
                let _reaped = self.master.wait();
            }
        }
        fs::remove_dir_all(&self.folder).ok();
    }
}

/// What the slow path waits for: it takes requests and answers none until it is told to.
pub(crate) struct Upstream {
    taken: mpsc::Receiver<TcpStream>,
    held: Vec<TcpStream>,
}

impl Upstream {
    /// Listens in the calling thread's namespace.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", UPSTREAM)).unwrap();
        let (sender, taken) = mpsc::channel();
        thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let mut request = [0; 4096];
                if stream.read(&mut request).is_err() || sender.send(stream).is_err() {
                    return;
                }
            }
        });
        let held = Vec::new();
        Self { taken, held }
    }

    /// Waits until `count` more requests are held here: nginx has read them.
    pub(crate) fn hold(&mut self, count: usize) {
        for _ in 0..count {
            self.held.push(self.taken.recv_timeout(PATIENCE).unwrap());
        }
    }

    /// Answers all that is held.
    pub(crate) fn release(&mut self) {
        for mut stream in self.held.drain(..) {
            stream
                .write_all(b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nlate\n")
                .unwrap();
        }
    }
}

fn certificate(folder: &Path) {
    let status = Command::new("openssl")
        .args([
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
        ])
        .args(["-subj", "/CN=localhost", "-keyout"])
        .arg(folder.join("key.pem"))
        .arg("-out")
        .arg(folder.join("cert.pem"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .expect("openssl starts; Debian's package is openssl");
    assert!(status.success(), "openssl made no certificate");
}

fn configuration(folder: &Path, http: &str) -> String {
    let at = folder.display();
    let body = "x".repeat(150);
    format!(
        "daemon off; user root; worker_processes 1; pid {at}/pid; error_log {at}/error.log warn;
events {{ worker_connections 1024; }}
http {{
  {http}
  access_log off; keepalive_timeout 300; keepalive_requests 1000000;
  client_body_temp_path {at}/body; proxy_temp_path {at}/proxy; fastcgi_temp_path {at}/fastcgi;
  uwsgi_temp_path {at}/uwsgi; scgi_temp_path {at}/scgi;
  server {{
    listen 127.0.0.1:{PLAIN} backlog=1024;
    listen 127.0.0.1:{TLS} ssl backlog=1024;
    ssl_protocols TLSv1.2 TLSv1.3; ssl_certificate {at}/cert.pem; ssl_certificate_key {at}/key.pem;
    location / {{ return 200 \"{body}\"; }}
    location /slow {{ proxy_pass http://127.0.0.1:{UPSTREAM}; proxy_read_timeout 300; }}
  }}
}}
"
    )
}
