//! The daemon with nothing to do, and with a thousand services to tell of.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::daemon::{Daemon, Finwatch};
use super::{maps, sys};
use crate::paths::Paths;
use crate::shell::say;

/// Half of them servers, half of them clients of those.
pub(super) const SERVICES: u16 = 1_000;
const SERVERS: u16 = SERVICES / 2;
const FIRST_PORT: u16 = 10_000;
const CONNECTIONS_EACH: usize = 3;
const SCRAPES: usize = 15;
/// Room for the thousand beside what the host itself serves.
const LIMIT: &str = "1200";

/// One finwatch's process, idle and with a thousand services.
pub(super) struct Process {
    pub(super) idle: Idle,
    pub(super) thousand: Thousand,
}

pub(super) struct Idle {
    pub(super) rss_kib: u64,
    /// The most that it was while it started.
    pub(super) peak_kib: u64,
    /// Of `rss_kib`, the kernel's maps.
    pub(super) maps_kib: u64,
    /// Kernel memory of each map, in bytes; the largest first.
    pub(super) maps: Vec<(String, u64)>,
    /// Of one core.
    pub(super) cpu_percent: f64,
}

pub(super) struct Thousand {
    pub(super) scrape_ms: Vec<f64>,
    pub(super) series: usize,
    pub(super) kib: usize,
    pub(super) rss_kib: u64,
}

// === impl Idle ===

impl Idle {
    /// Kernel memory of the maps that hold rows.
    pub(super) fn rows_kib(&self) -> u64 {
        let rows = self.maps.iter().filter(|(name, _)| name.contains("ROWS"));
        rows.map(|(_, bytes)| bytes / 1024).sum()
    }

    /// Kernel memory of all maps.
    pub(super) fn kernel_kib(&self) -> u64 {
        self.maps.iter().map(|(_, bytes)| bytes / 1024).sum()
    }
}

// === impl Thousand ===

impl Thousand {
    /// Series of a scrape for each service: those of the daemon itself weigh little.
    pub(super) fn series_each(&self) -> f64 {
        self.series as f64 / f64::from(SERVICES)
    }

    /// Size of a scrape, in 10^6 bytes.
    pub(super) fn mb(&self) -> f64 {
        self.kib as f64 * 1024.0 / 1e6
    }
}

pub(super) fn run(paths: &Paths, finwatch: &Finwatch, idle_for: Duration) -> Result<Process> {
    Ok(Process {
        idle: idle(paths, finwatch, idle_for)?,
        thousand: thousand(paths, finwatch)?,
    })
}

fn idle(paths: &Paths, finwatch: &Finwatch, time: Duration) -> Result<Idle> {
    say(format!("{} with nothing to do", finwatch.name));
    let daemon = Daemon::start(paths, finwatch, &[])?;
    // Its start is not its idling.
    thread::sleep(Duration::from_secs(2));
    let before = sys::cpu_of(daemon.pid())?;
    let start = Instant::now();
    thread::sleep(time);
    let spent = sys::cpu_of(daemon.pid())?.saturating_sub(before);
    let idle = Idle {
        rss_kib: sys::rss_kib(daemon.pid())?,
        peak_kib: sys::peak_kib(daemon.pid())?,
        maps_kib: sys::bpf_maps_kib(daemon.pid())?,
        maps: maps::of(daemon.pid())?,
        cpu_percent: 100.0 * spent.as_secs_f64() / start.elapsed().as_secs_f64(),
    };
    daemon.stop()?;
    Ok(idle)
}

fn thousand(paths: &Paths, finwatch: &Finwatch) -> Result<Thousand> {
    say(format!(
        "scraping {SERVICES} services of {}, half of them clients, {CONNECTIONS_EACH} connections each",
        finwatch.name
    ));
    let limits = [
        "--series-server-limit",
        LIMIT,
        "--series-client-limit",
        LIMIT,
    ];
    let daemon = Daemon::start(paths, finwatch, &limits)?;
    let (last, scrape_ms) = with_services(|| {
        let mut last = daemon.scrape()?;
        let mut scrape_ms = Vec::new();
        for _ in 0..SCRAPES {
            last = daemon.scrape()?;
            scrape_ms.push(last.took.as_secs_f64() * 1e3);
        }
        Ok((last, scrape_ms))
    })?;
    let shown = last.count("finwatch_listener_up", &[("role", "server")]);
    ensure!(
        shown >= u64::from(SERVERS),
        "scrape {SERVERS} servers: the answer has {shown}"
    );
    let ports: Vec<u16> = (FIRST_PORT..).take(usize::from(SERVERS)).collect();
    let opened = last.on_ports(&ports, "finwatch_tcp_opened_total", &[("role", "client")]);
    let done = u64::from(SERVERS) * CONNECTIONS_EACH as u64;
    ensure!(
        opened == done,
        "scrape {SERVERS} clients: the answer has {opened} of their {done} connections"
    );
    let thousand = Thousand {
        scrape_ms,
        series: last.series(),
        kib: last.kib(),
        rss_kib: sys::rss_kib(daemon.pid())?,
    };
    daemon.stop()?;
    Ok(thousand)
}

/// Runs `body` in this namespace while the services live in one of their own.
fn with_services<R>(body: impl FnOnce() -> Result<R>) -> Result<R> {
    thread::scope(|scope| {
        let (ready, is_ready) = mpsc::channel();
        let (done, is_done) = mpsc::channel::<()>();
        let services = scope.spawn(move || {
            sys::in_new_netns(move || {
                let _listeners = open_services()?;
                // An error is the end of the one that waits or works: there is nothing to wait for then.
                let _sent = ready.send(());
                let _closed = is_done.recv();
                Ok(())
            })
        });
        // Without services, their own error is the one to tell.
        let result = is_ready
            .recv()
            .context("open the services")
            .and_then(|()| body());
        drop(done);
        match services.join() {
            Ok(ended) => ended.and(result),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

fn open_services() -> Result<Vec<TcpListener>> {
    let listeners = (0..SERVERS)
        .map(|nth| TcpListener::bind((Ipv4Addr::LOCALHOST, FIRST_PORT + nth)))
        .collect::<Result<Vec<_>, _>>()
        .with_context(|| format!("listen on {SERVERS} ports"))?;
    for listener in &listeners {
        for _ in 0..CONNECTIONS_EACH {
            connect_once(listener)?;
        }
    }
    Ok(listeners)
}

/// A request and an answer; the server closes first.
fn connect_once(listener: &TcpListener) -> Result<()> {
    let mut client = TcpStream::connect(listener.local_addr()?)?;
    let (mut server, _) = listener.accept()?;
    let mut bytes = [0; 64];
    client.write_all(&[b'?'; 64])?;
    server.read_exact(&mut bytes)?;
    server.write_all(&bytes)?;
    drop(server);
    client.read_exact(&mut bytes)?;
    Ok(())
}
