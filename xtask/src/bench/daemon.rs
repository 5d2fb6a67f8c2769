//! The release daemon as a child of the benchmark, and what it says on `/metrics`.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::sys;
use crate::paths::Paths;

/// A finwatch that is measured, and what it is called in the tables.
#[derive(Clone)]
pub(super) struct Finwatch {
    pub(super) name: &'static str,
    pub(super) binary: PathBuf,
}

pub(super) struct Daemon {
    child: Child,
    address: SocketAddrV4,
}

/// One answer of `/metrics`.
pub(super) struct Scrape {
    text: String,
    pub(super) took: Duration,
}

const STARTED_WITHIN: Duration = Duration::from_secs(20);

// === impl Daemon ===

impl Daemon {
    /// Starts it with its built-in defaults, whatever this host's configuration says, and `more` flags.
    pub(super) fn start(paths: &Paths, finwatch: &Finwatch, more: &[&str]) -> Result<Self> {
        let Finwatch { binary, .. } = finwatch;
        let log = paths.target.join("bench/finwatch.log");
        let address = free_address()?;
        let mut command = Command::new(binary);
        command
            .args(["daemon", "--config", "/dev/null"])
            .args(["--listen", &address.to_string()])
            // Another finwatch on this host may have the port.
            .args(["--deploys-listen", ""])
            .args(more)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(create(&log)?);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("FINWATCH_") {
                command.env_remove(name);
            }
        }
        let child = command
            .spawn()
            .with_context(|| format!("run {}", binary.display()))?;
        let mut daemon = Self { child, address };
        daemon
            .wait_until_ready()
            .with_context(|| format!("start the daemon; its log is {}", log.display()))?;
        Ok(daemon)
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn scrape(&self) -> Result<Scrape> {
        let start = Instant::now();
        let text = self.get("/metrics")?;
        Ok(Scrape {
            text,
            took: start.elapsed(),
        })
    }

    /// As [`Daemon::scrape`], when what the ring still held of a load that has ended is read.
    pub(super) fn last_scrape(&self) -> Result<Scrape> {
        thread::sleep(Duration::from_millis(500));
        self.scrape()
    }

    /// What the read API answers on this path.
    pub(super) fn ask(&self, path: &str) -> Result<serde_json::Value> {
        let answer = self.get(path)?;
        let (_, body) = answer.split_once("\r\n\r\n").context("read an answer")?;
        serde_json::from_str(body).with_context(|| format!("understand the answer to {path}"))
    }

    /// A clean stop; what is left in the kernel would disturb the next measurement.
    pub(super) fn stop(mut self) -> Result<()> {
        sys::signal(self.child.id(), libc::SIGTERM)?;
        let status = self.child.wait().context("wait for the daemon's end")?;
        if !status.success() {
            bail!("stop the daemon: {status}");
        }
        Ok(())
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let start = Instant::now();
        while self.get("/ready").is_err() {
            if let Some(status) = self.child.try_wait().context("look after the daemon")? {
                bail!("the daemon ended: {status}");
            }
            if start.elapsed() > STARTED_WITHIN {
                bail!("the daemon is not ready after {STARTED_WITHIN:?}");
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    fn get(&self, path: &str) -> Result<String> {
        let Self { address, .. } = self;
        let mut stream =
            TcpStream::connect(address).with_context(|| format!("connect to {address}"))?;
        stream.set_read_timeout(Some(STARTED_WITHIN))?;
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes())?;
        let mut answer = String::new();
        stream
            .read_to_string(&mut answer)
            .with_context(|| format!("read http://{address}{path}"))?;
        if !answer.starts_with("HTTP/1.1 200") {
            let status = answer.lines().next().unwrap_or("nothing");
            bail!("read http://{address}{path}: the answer is {status}");
        }
        Ok(answer)
    }
}

impl Drop for Daemon {
    /// Also when a measurement failed; does nothing to a process that has ended.
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}

// === impl Scrape ===

impl Scrape {
    /// The sum of the series of this name that have all of these labels.
    pub(super) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let wanted: Vec<String> = labels
            .iter()
            .map(|(key, value)| format!("{key}=\"{value}\""))
            .collect();
        self.samples(name)
            .filter(|(labels, _)| wanted.iter().all(|label| has_label(labels, label)))
            .map(|(_, value)| value)
            .sum()
    }

    /// As [`Scrape::sum`], for counters of things.
    pub(super) fn count(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        self.sum(name, labels) as u64
    }

    /// As [`Scrape::count`], of the services on these ports.
    pub(super) fn on_ports(&self, ports: &[u16], name: &str, labels: &[(&str, &str)]) -> u64 {
        let on = |port: &u16| {
            let port = port.to_string();
            self.count(name, &[&[("port", port.as_str())], labels].concat())
        };
        ports.iter().map(on).sum()
    }

    /// The values of a metric by one of its labels.
    pub(super) fn by_label(&self, name: &str, label: &str) -> BTreeMap<String, f64> {
        self.samples(name)
            .filter_map(|(labels, value)| {
                let mut pairs = labels.trim_matches(['{', '}']).split(',');
                let found = pairs.find_map(|pair| pair.strip_prefix(label)?.strip_prefix('='))?;
                Some((found.trim_matches('"').to_owned(), value))
            })
            .collect()
    }

    pub(super) fn series(&self) -> usize {
        let samples = |line: &&str| line.starts_with("finwatch_");
        self.text.lines().filter(samples).count()
    }

    pub(super) fn kib(&self) -> usize {
        self.text.len() / 1024
    }

    /// Labels, in braces, and value of each series of this name.
    fn samples(&self, name: &str) -> impl Iterator<Item = (&str, f64)> {
        self.text
            .lines()
            .filter_map(move |line| line.strip_prefix(name)?.rsplit_once(' '))
            .filter(|(labels, _)| labels.is_empty() || labels.starts_with('{'))
            .filter_map(|(labels, value)| Some((labels, value.parse().ok()?)))
    }
}

fn has_label(labels: &str, wanted: &str) -> bool {
    labels
        .trim_matches(['{', '}'])
        .split(',')
        .any(|label| label == wanted)
}

/// An address that nobody uses at the moment.
fn free_address() -> Result<SocketAddrV4> {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("find a free port")?;
    let port = taken.local_addr().context("find a free port")?.port();
    Ok(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port))
}

pub(super) fn create(log: &Path) -> Result<File> {
    if let Some(folder) = log.parent() {
        fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    }
    File::create(log).with_context(|| format!("create {}", log.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_the_series_with_all_the_labels() {
        let scrape = Scrape {
            text: "# TYPE finwatch_x_total counter\n\
                   finwatch_x_total{port=\"79\",role=\"server\"} 3\n\
                   finwatch_x_total{port=\"79\",role=\"client\"} 4\n\
                   finwatch_x_total{port=\"7\",role=\"server\"} 5\n\
                   finwatch_x_total_more 6\n"
                .to_owned(),
            took: Duration::ZERO,
        };
        assert_eq!(scrape.count("finwatch_x_total", &[("port", "79")]), 7);
        assert_eq!(scrape.count("finwatch_x_total", &[("role", "server")]), 8);
        assert_eq!(scrape.count("finwatch_x_total_more", &[]), 6);
        assert_eq!(scrape.series(), 4);
        let by_role = scrape.by_label("finwatch_x_total", "role");
        assert_eq!(by_role["client"], 4.0);
    }
}
