//! A real nginx that answers one request a connection, and wrk that asks, both in a network namespace of their own.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use super::daemon::create;
use super::outcome::{Clock, Outcome};
use super::snmp::{self, Snmp};
use super::sys;
use crate::paths::Paths;
use crate::shell;

/// Below the ephemeral ports.
const PORT: u16 = 7_880;
/// Connections that wrk keeps open at a time.
const CONNECTIONS: &str = "64";
const STARTED_WITHIN: Duration = Duration::from_secs(10);

pub(super) fn run(clock: Clock<'_>, paths: &Paths, time: Duration) -> Result<Outcome> {
    let folder = paths.target.join("bench/nginx");
    sys::in_new_netns(|| {
        let cpu_before = sys::children_cpu()?;
        let nginx = Nginx::start(&folder)?;
        let clock_before = clock()?;
        let said = shell::read(&mut wrk(time))?;
        // What the observer makes of nginx's end is no part of it.
        let clocked = clock()?.saturating_sub(clock_before);
        nginx.stop()?;
        let (connections, elapsed) = answered(&said)?;
        Ok(Outcome {
            ports: vec![PORT],
            connections,
            // What was under way when wrk ended came to any end.
            ends: None,
            elapsed,
            clocked,
            cpu: sys::children_cpu()?.saturating_sub(cpu_before),
            snmp: Snmp::read()?,
        })
    })
}

struct Nginx {
    master: Child,
}

// === impl Nginx ===

impl Nginx {
    fn start(folder: &Path) -> Result<Self> {
        let config = folder.join("nginx.conf");
        let log = folder.join("nginx.log");
        let errors = create(&log)?;
        fs::write(&config, configuration(folder))
            .with_context(|| format!("write {}", config.display()))?;
        let master = Command::new("nginx")
            .arg("-c")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(errors)
            .spawn()
            .context("run nginx, of the Debian package nginx-light")?;
        let mut nginx = Self { master };
        nginx
            .wait_until_it_listens()
            .with_context(|| format!("start nginx; its log is {}", log.display()))?;
        Ok(nginx)
    }

    fn stop(mut self) -> Result<()> {
        sys::signal(self.master.id(), libc::SIGTERM)?;
        let status = self.master.wait().context("wait for nginx's end")?;
        ensure!(status.success(), "stop nginx: {status}");
        Ok(())
    }

    /// Without a connection, which would be counted.
    fn wait_until_it_listens(&mut self) -> Result<()> {
        let start = Instant::now();
        while !snmp::listens(PORT)? {
            if let Some(status) = self.master.try_wait().context("look after nginx")? {
                bail!("it ended: {status}");
            }
            ensure!(
                start.elapsed() < STARTED_WITHIN,
                "it does not listen after {STARTED_WITHIN:?}"
            );
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for Nginx {
    /// Also when a measurement failed. A master that is killed leaves its workers; one that is told to stop takes
    /// them along.
    fn drop(&mut self) {
        if matches!(self.master.try_wait(), Ok(None)) {
            let _told = sys::signal(self.master.id(), libc::SIGTERM);
            let _status = self.master.wait();
        }
    }
}

fn wrk(time: Duration) -> Command {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let mut command = Command::new("wrk");
    command
        .args(["-c", CONNECTIONS, "-H", "Connection: close"])
        .args(["-t", &threads.to_string()])
        .args(["-d", &format!("{}s", time.as_secs().max(1))])
        .arg(format!("http://127.0.0.1:{PORT}/"));
    command
}

/// Requests that were answered, and the time that they took, without wrk's own start and end.
fn answered(said: &str) -> Result<(u64, Duration)> {
    let requests: Option<u64> = said
        .lines()
        .find_map(|line| line.split_once(" requests in ")?.0.trim().parse().ok());
    let per_second: Option<f64> = said
        .lines()
        .find_map(|line| line.strip_prefix("Requests/sec:")?.trim().parse().ok());
    requests
        .zip(per_second)
        .filter(|(requests, per_second)| *requests > 0 && *per_second > 0.0)
        .map(|(requests, per_second)| {
            let seconds = requests as f64 / per_second;
            (requests, Duration::from_secs_f64(seconds))
        })
        .with_context(|| format!("find answered requests in what wrk says: {said}"))
}

fn configuration(folder: &Path) -> String {
    let at = folder.display();
    let body = "x".repeat(600);
    format!(
        "daemon off; user root; worker_processes auto; worker_cpu_affinity auto; pid {at}/pid; error_log {at}/error.log warn;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  client_body_temp_path {at}/body; proxy_temp_path {at}/proxy; fastcgi_temp_path {at}/fastcgi;
  uwsgi_temp_path {at}/uwsgi; scgi_temp_path {at}/scgi;
  server {{
    listen 127.0.0.1:{PORT} backlog=1024;
    location / {{ return 200 \"{body}\"; }}
  }}
}}
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_how_many_requests_were_answered() {
        let said = "Running 4s test @ http://127.0.0.1:7880/\n  2 threads and 64 connections\n  Thread Stats   Avg\n  \
                    80437 requests in 4.10s, 57.07MB read\nRequests/sec:  19617.41\n";
        let (requests, time) = answered(said).expect("well formed");
        assert_eq!((requests, time.as_millis()), (80_437, 4_100));
        assert!(answered("unable to connect").is_err());
        let none = "  0 requests in 4.10s, 0.00B read\nRequests/sec:      0.00\n";
        assert!(answered(none).is_err());
    }
}
