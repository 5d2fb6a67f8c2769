//! A cluster from outside: what it is built of, its two nodes as child processes in namespaces of their own, and its end, after which
//! the host is as it was.

use std::env;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::cgroups::Cgroups;
use super::images;
use super::inside::HERE;
use super::pki::Pki;
use super::plan::NODES;
use super::programs::{self, Programs};
use super::traces::Traces;
use crate::paths::Paths;
use crate::shell::say;

/// Builds what a cluster is made of.
pub(super) fn build(paths: &Paths) -> Result<Programs> {
    let programs = programs::ensure(paths)?;
    images::make(paths, &programs, &paths.e2e().join("images"))?;
    Ok(programs)
}

/// Makes a cluster, lets its first node do what the words say, and ends it, whatever became of that.
pub(super) fn with_cluster(paths: &Paths, words: &[&str]) -> Result<()> {
    build(paths)?;
    let logs = paths.e2e().join("logs");
    if logs.exists() {
        fs::remove_dir_all(&logs).with_context(|| format!("remove {}", logs.display()))?;
    }
    Pki::at(&paths.e2e().join("pki")).make()?;
    end_at_signals();
    let before = Traces::look();
    let cgroups = Cgroups::make()?;
    let outcome = live(&cgroups, words);
    say("ending the cluster");
    let ended = cgroups
        .end()
        .and_then(|()| before.compare(&Traces::look()))
        .context("leave nothing behind");
    match &ended {
        Ok(()) => say(
            "the cluster is gone: no process, control group, mount, device or file of it is left on the host",
        ),
        Err(error) => say(format!("{error:#}")),
    }
    outcome.and(ended)
}

/// Ends what tasks that were killed have left.
pub(super) fn down() -> Result<()> {
    let stale = Cgroups::stale()?;
    for cgroups in &stale {
        cgroups.end()?;
    }
    say(match stale.len() {
        0 => "no cluster was left behind".to_owned(),
        some => format!("ended {some} that had been left behind"),
    });
    Ok(())
}

fn live(cgroups: &Cgroups, words: &[&str]) -> Result<()> {
    let [first, second] = NODES else {
        bail!("a cluster has two nodes");
    };
    let mut other = inside(cgroups, second.name, &[])?
        .stdout(Stdio::piped())
        .spawn()
        .context("start the second node")?;
    let said = other.stdout.take().context("listen to the second node")?;
    let mut line = String::new();
    BufReader::new(said)
        .read_line(&mut line)
        .context("listen to the second node")?;
    if line.trim() != HERE {
        bail!("start the second node: it said `{}`", line.trim());
    }
    let peer = other.id().to_string();
    let mut more = vec!["--peer", &peer];
    more.extend(words);
    let mut main = inside(cgroups, first.name, &more)?
        .spawn()
        .context("start the first node")?;
    let status = wait(&mut main, &mut other);
    // Their groups are ended next, and they with them: no orderly end is worth waiting for.
    for child in [&mut main, &mut other] {
        child.kill().ok();
        child.wait().ok();
    }
    match status? {
        None => bail!("interrupted"),
        Some(status) if status.success() => Ok(()),
        Some(_) => bail!("not everything was as it should be: see above"),
    }
}

/// Waits for the end of the first node; `None` when this task shall end.
fn wait(main: &mut Child, other: &mut Child) -> Result<Option<ExitStatus>> {
    loop {
        if let Some(status) = main.try_wait().context("wait for the first node")? {
            return Ok(Some(status));
        }
        if let Some(status) = other.try_wait().context("wait for the second node")? {
            bail!("the second node ended: {status}");
        }
        if ENDING.load(Ordering::Relaxed) {
            return Ok(None);
        }
        thread::sleep(Duration::from_millis(100));
    }
}

/// This task once more, as a node: in its control groups, and in namespaces of its own. Its standard input ends with this task.
fn inside(cgroups: &Cgroups, node: &str, more: &[&str]) -> Result<Command> {
    let own = env::current_exe().context("find this very program")?;
    // The groups first: what is one's own group when the namespace is made is its root.
    let script = r#"for procs in $JOIN; do echo $$ >"$procs" || exit 1; done
        exec unshare --mount --cgroup --net --propagation slave "$0" e2e inside "$@""#;
    let join: Vec<_> = cgroups
        .of_node(node)?
        .iter()
        .map(|procs| procs.display().to_string())
        .collect();
    let mut command = Command::new("sh");
    command
        .args(["-c", script])
        .arg(own)
        .args(["--node", node])
        .args(more)
        .env("JOIN", join.join(" "))
        .stdin(Stdio::piped());
    Ok(command)
}

/// Whether this task has been told to end.
static ENDING: AtomicBool = AtomicBool::new(false);

extern "C" fn end(_signal: libc::c_int) {
    ENDING.store(true, Ordering::Relaxed);
}

fn end_at_signals() {
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        let handler = end as extern "C" fn(libc::c_int);
        // SAFETY: the handler only stores to an atomic, which is safe in a handler.
        unsafe { libc::signal(signal, handler as libc::sighandler_t) };
    }
}
