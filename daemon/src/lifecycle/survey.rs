//! Surveys sockets: of one network namespace for a drain that waits, and of every one at an interval, which it stretches where
//! surveying would cost more than its share of a core. A drain never waits longer than for one walk.

use std::{
    collections::{HashSet, VecDeque},
    os::fd::BorrowedFd,
    time::Duration,
};

use anyhow::Context as _;
use finwatch_common::{SurveyRow, survey_kind};
use tokio::sync::{mpsc, oneshot};

use super::{
    message::{Asker, Message},
    tasks::Stop,
};
use crate::{
    clock,
    netns::{Namespace, Namespaces, Refusal},
    probe,
};

/// Surveying may take one part in this many of one core.
const COST_DIVISOR: u32 = 100;

/// What is asked of this task.
pub(crate) enum Request {
    /// A drain waits for this namespace.
    Survey { netns: u64 },
    /// The mini-sockets of this namespace are wanted, at leisure.
    MiniSockets { netns: u64 },
    /// Every namespace; the answer is what that cost.
    Round(oneshot::Sender<Duration>),
}

/// What walks the sockets of a network namespace: the probe, or one that stands in for it.
pub trait SurveySource: Send + 'static {
    /// Sockets of note. Blocking.
    ///
    /// # Errors
    /// When the namespace cannot be entered or the walk fails.
    fn sockets(&mut self, netns: BorrowedFd<'_>) -> anyhow::Result<Vec<SurveyRow>>;

    /// Mini-sockets. Blocking.
    ///
    /// # Errors
    /// As [`SurveySource::sockets`].
    fn mini_sockets(&mut self, netns: BorrowedFd<'_>) -> anyhow::Result<Vec<SurveyRow>>;
}

impl SurveySource for probe::Survey {
    fn sockets(&mut self, netns: BorrowedFd<'_>) -> anyhow::Result<Vec<SurveyRow>> {
        self.sockets(netns)
    }

    fn mini_sockets(&mut self, netns: BorrowedFd<'_>) -> anyhow::Result<Vec<SurveyRow>> {
        self.mini_sockets(netns)
    }
}

/// Everything that a survey needs. It remembers what it has complained of.
pub(super) struct Surveyor<S> {
    survey: S,
    requests: mpsc::UnboundedReceiver<Request>,
    /// Taken out of the queue to see whether a drain waits.
    later: VecDeque<Request>,
    engine: Asker,
    complained: HashSet<String>,
}

/// Asks for a round at each interval until the stop. The first one is asked for before.
pub(crate) async fn keep_time(
    surveyor: mpsc::UnboundedSender<Request>,
    interval: Duration,
    mut stop: Stop,
) -> anyhow::Result<()> {
    let mut pause = interval;
    loop {
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.said() => return Ok(()),
        }
        let (reply, cost) = oneshot::channel();
        let _gone = surveyor.send(Request::Round(reply));
        tokio::select! {
            cost = cost => pause = interval.max(cost.unwrap_or_default() * COST_DIVISOR),
            () = stop.said() => return Ok(()),
        }
    }
}

// === impl Surveyor ===

impl<S: SurveySource> Surveyor<S> {
    pub(crate) fn new(
        survey: S,
        requests: mpsc::UnboundedReceiver<Request>,
        engine: Asker,
    ) -> Self {
        Self {
            survey,
            requests,
            later: VecDeque::new(),
            engine,
            complained: HashSet::new(),
        }
    }

    /// Surveys until nobody asks any more. Blocking: on a thread of its own.
    pub(crate) fn run(mut self) {
        loop {
            let request = match self.later.pop_front() {
                Some(request) => request,
                None => match self.requests.blocking_recv() {
                    Some(request) => request,
                    None => return,
                },
            };
            match request {
                Request::Survey { netns } => self.for_a_drain(netns),
                Request::MiniSockets { netns } => self.mini_sockets(netns),
                Request::Round(reply) => {
                    let _unheard = reply.send(self.round());
                }
            }
        }
    }

    fn say(&self, message: Message) {
        // Without an engine nobody listens: that task has failed, and the daemon ends for that.
        let _gone = self.engine.say(message);
    }

    /// What drains wait for goes before whatever else is asked.
    fn let_drains_go_first(&mut self) {
        while let Ok(request) = self.requests.try_recv() {
            match request {
                Request::Survey { netns } => self.for_a_drain(netns),
                other => self.later.push_back(other),
            }
        }
    }

    fn for_a_drain(&mut self, netns: u64) {
        let message = match self.survey_by_cookie(netns) {
            Ok(message) => message,
            Err(error) => {
                tracing::debug!(
                    netns,
                    error = format!("{error:#}"),
                    "cannot look at a drain's sockets"
                );
                Message::SurveyFailed { netns }
            }
        };
        self.say(message);
    }

    fn survey_by_cookie(&mut self, netns: u64) -> anyhow::Result<Message> {
        let namespace = find(netns)?;
        let began_ns = clock::monotonic_ns();
        let rows = self.survey.sockets(namespace.as_fd())?;
        let minis = self.survey.mini_sockets(namespace.as_fd())?;
        Ok(Message::Survey {
            netns,
            began_ns,
            rows,
            minis: Some(minis.into_iter().filter(is_half_closed).collect()),
            mini_sockets: None,
        })
    }

    fn mini_sockets(&mut self, netns: u64) {
        let rows = find(netns).and_then(|namespace| self.survey.mini_sockets(namespace.as_fd()));
        match rows {
            Ok(rows) => self.say(Message::MiniSockets { netns, rows }),
            Err(error) => {
                self.complain(format!("cannot survey a network namespace: {error:#}"));
            }
        }
    }

    /// Surveys every namespace. Returns what that took.
    fn round(&mut self) -> Duration {
        // A busy host makes a walk long, not dear.
        let before = clock::thread_cpu();
        let namespaces = match Namespaces::scan() {
            Ok(namespaces) => namespaces,
            Err(error) => {
                self.complain(format!("cannot look for network namespaces: {error}"));
                return Duration::ZERO;
            }
        };
        self.complain_of_refused(&namespaces);
        let mut alive = Vec::with_capacity(namespaces.found.len());
        for namespace in &namespaces.found {
            self.let_drains_go_first();
            alive.push(namespace.cookie);
            if let Err(error) = self.at_leisure(namespace) {
                self.complain(format!("cannot survey a network namespace: {error:#}"));
            }
        }
        self.say(Message::Namespaces {
            alive,
            refused: namespaces.refused_count as u64,
        });
        clock::thread_cpu().saturating_sub(before)
    }

    fn at_leisure(&mut self, namespace: &Namespace) -> anyhow::Result<()> {
        let began_ns = clock::monotonic_ns();
        let rows = self.survey.sockets(namespace.as_fd())?;
        self.say(Message::Survey {
            netns: namespace.cookie,
            began_ns,
            rows,
            minis: None,
            mini_sockets: namespace.sockstat_time_wait().ok(),
        });
        Ok(())
    }

    /// One sentence for all: there may be hundreds, and more or fewer at the next round.
    fn complain_of_refused(&mut self, namespaces: &Namespaces) {
        let Some(Refusal { found_at, reason }) = namespaces.refused.first() else {
            return;
        };
        let (found, refused) = (namespaces.found.len(), namespaces.refused_count);
        let all = found + refused;
        self.complain_once(
            format!("refused: {reason}"),
            &format!(
                "{refused} of {all} network namespaces cannot be entered, such as that of {found_at}: {reason}; their \
                 gauges of backlog, open questions and mini-sockets are missing \
                 (finwatch_network_namespaces{{state=\"refused\"}} counts them)"
            ),
        );
    }

    fn complain(&mut self, what: String) {
        self.complain_once(what.clone(), &what);
    }

    /// Says it once: what cannot be done now cannot be done 15 s later.
    fn complain_once(&mut self, about: String, what: &str) {
        const MEMORY: usize = 256;
        if self.complained.len() < MEMORY && self.complained.insert(about) {
            tracing::warn!("{what}");
        }
    }
}

/// A namespace is found anew for each survey: to hold it open would keep it alive when its last process is gone, and that
/// is what is being watched.
fn find(netns: u64) -> anyhow::Result<Namespace> {
    let namespaces = Namespaces::scan().context("cannot look for network namespaces")?;
    namespaces
        .found
        .into_iter()
        .find(|found| found.cookie == netns)
        .context("the network namespace is gone")
}

/// Its peer may still send a request.
fn is_half_closed(mini: &SurveyRow) -> bool {
    mini.kind == survey_kind::FIN_WAIT2
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nothing;

    impl SurveySource for Nothing {
        fn sockets(&mut self, _: BorrowedFd<'_>) -> anyhow::Result<Vec<SurveyRow>> {
            Ok(Vec::new())
        }

        fn mini_sockets(&mut self, _: BorrowedFd<'_>) -> anyhow::Result<Vec<SurveyRow>> {
            Ok(Vec::new())
        }
    }

    fn refused(count: usize, reason: &str) -> Namespaces {
        let refusal = |pid| Refusal {
            found_at: format!("process {pid} (app)"),
            reason: reason.to_owned(),
        };
        Namespaces {
            refused: (0..count).map(refusal).collect(),
            refused_count: count,
            ..Namespaces::default()
        }
    }

    #[test]
    fn however_many_namespaces_may_not_be_entered_it_is_said_once() {
        let (engine, _messages) = mpsc::channel(1);
        let (_requests, requests) = mpsc::unbounded_channel();
        let mut surveyor = Surveyor::new(Nothing, requests, Asker::new(&engine));
        surveyor.complain_of_refused(&refused(0, ""));
        assert!(surveyor.complained.is_empty());
        for count in [40, 41, 39] {
            surveyor.complain_of_refused(&refused(count, "Permission denied (os error 13)"));
        }
        assert_eq!(surveyor.complained.len(), 1);
        surveyor.complain_of_refused(&refused(3, "Operation not permitted (os error 1)"));
        assert_eq!(surveyor.complained.len(), 2, "that is news");
    }
}
