//! Every task in one set. A task that ends while the daemon runs ends the daemon: running on without it would
//! show numbers that nobody keeps.

use std::time::Duration;

use anyhow::Context as _;
use tokio::{sync::watch, task::JoinSet};

/// The tasks, and the word that stops them.
pub struct Tasks {
    set: JoinSet<(&'static str, anyhow::Result<()>)>,
    stop: watch::Sender<bool>,
}

/// Resolves when the daemon stops.
#[derive(Debug, Clone)]
pub struct Stop(watch::Receiver<bool>);

// === impl Tasks ===

impl Default for Tasks {
    fn default() -> Self {
        Self::new()
    }
}

impl Tasks {
    /// None yet.
    pub fn new() -> Self {
        Self {
            set: JoinSet::new(),
            stop: watch::channel(false).0,
        }
    }

    /// What each task waits for beside its work.
    pub fn stop_word(&self) -> Stop {
        Stop(self.stop.subscribe())
    }

    /// A task that does not block.
    pub fn spawn(
        &mut self,
        name: &'static str,
        task: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) {
        self.set.spawn(async move { (name, task.await) });
    }

    /// A task that blocks: it gets a thread of its own, and ends when nobody can ask it any more.
    pub fn spawn_blocking(
        &mut self,
        name: &'static str,
        task: impl FnOnce() -> anyhow::Result<()> + Send + 'static,
    ) {
        self.set.spawn_blocking(move || (name, task()));
    }

    /// Waits for the first task to end, which none should.
    pub async fn first_end(&mut self) -> anyhow::Error {
        match self.set.join_next().await {
            Some(Ok((name, Ok(())))) => anyhow::anyhow!("task {name} ended by itself"),
            Some(Ok((name, Err(error)))) => error.context(format!("task {name} failed")),
            Some(Err(panicked)) => anyhow::Error::new(panicked).context("a task panicked"),
            None => anyhow::anyhow!("there are no tasks"),
        }
    }

    /// Says the word and waits for every task.
    ///
    /// # Errors
    /// When a task fails on its way out, or some are still there after `deadline`.
    pub async fn stop(mut self, deadline: Duration) -> anyhow::Result<()> {
        // Without receivers there is nobody to tell.
        self.stop.send_replace(true);
        let all = async {
            while let Some(ended) = self.set.join_next().await {
                let (name, result) = ended.context("a task panicked while stopping")?;
                result.with_context(|| format!("task {name} failed while stopping"))?;
            }
            Ok(())
        };
        match tokio::time::timeout(deadline, all).await {
            Ok(result) => result,
            Err(_) => anyhow::bail!(
                "not everything had stopped after {deadline:?} (shutdown_deadline): {} tasks were left behind",
                self.set.len()
            ),
        }
    }
}

// === impl Stop ===

impl Stop {
    /// Resolves when the word is said.
    pub async fn said(&mut self) {
        // An error means that the sender is gone, which is as good as the word.
        let _gone = self.0.wait_for(|stop| *stop).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_failing_task_is_told_by_name() {
        let mut tasks = Tasks::new();
        tasks.spawn("good", std::future::pending());
        tasks.spawn("bad", async { anyhow::bail!("no luck") });
        let error = tasks.first_end().await;
        assert_eq!(format!("{error:#}"), "task bad failed: no luck");
    }

    #[tokio::test]
    async fn a_task_that_just_ends_is_a_failure_too() {
        let mut tasks = Tasks::new();
        tasks.spawn("short", async { Ok(()) });
        assert_eq!(
            tasks.first_end().await.to_string(),
            "task short ended by itself"
        );
    }

    #[tokio::test]
    async fn the_word_stops_and_the_deadline_holds() {
        let mut tasks = Tasks::new();
        let mut stop = tasks.stop_word();
        tasks.spawn("polite", async move {
            stop.said().await;
            Ok(())
        });
        tasks
            .stop(Duration::from_secs(5))
            .await
            .expect("a clean stop");

        let mut tasks = Tasks::new();
        tasks.spawn("deaf", std::future::pending());
        let error = tasks
            .stop(Duration::from_millis(20))
            .await
            .expect_err("it never ends");
        assert!(
            error.to_string().contains("1 tasks were left behind"),
            "{error}"
        );
    }
}
