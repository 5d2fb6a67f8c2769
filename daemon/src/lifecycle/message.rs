//! What the tasks say to the one that owns the engine. Each sends what its I/O brought; whoever wants an answer sends a
//! place for it along.

use finwatch_common::{ProcessEntry, ServiceKey, SurveyRow};
use finwatch_engine::{
    input::{Reading, Record},
    model::{DeployEvent, Named, RecentCloses, ServiceState},
};
use tokio::sync::{mpsc, oneshot};

use crate::metrics::{ProbeFigures, Scrape};

/// See the module.
pub(crate) enum Message {
    /// Records of the ring, and how many were lost so far.
    Records { records: Vec<Record>, lost: u64 },
    /// All live rows, for whoever asked.
    Live { reading: Reading, to: Option<For> },
    /// What the rows held when they were emptied.
    Emptied(Reading),
    /// The rows of some services.
    Some {
        services: Vec<ServiceKey>,
        reading: Reading,
    },
    /// The rows could not be read.
    CountersFailed { to: Option<For> },
    /// A survey of a network namespace.
    Survey {
        netns: u64,
        began_ns: u64,
        rows: Vec<SurveyRow>,
        minis: Option<Vec<SurveyRow>>,
        mini_sockets: Option<u64>,
    },
    /// A survey that was wanted failed.
    SurveyFailed { netns: u64 },
    /// A survey of mini-sockets.
    MiniSockets { netns: u64, rows: Vec<SurveyRow> },
    /// Which namespaces a round of surveys found.
    Namespaces { alive: Vec<u64>, refused: u64 },
    /// The kernel's table of processes.
    Processes(Vec<(u32, ProcessEntry)>),
    /// Whose services are.
    Names(Vec<(ServiceKey, Named)>),
    /// Services of other nodes.
    Elsewhere(Vec<ServiceKey>),
    /// A deploy event.
    Deploy(Box<DeployEvent>),
    /// Time passes.
    Tick,
    /// Which connections ended last?
    Closes(oneshot::Sender<RecentCloses>),
    /// No record comes any more.
    End,
}

/// Who waits for a reading of all rows.
pub(crate) enum For {
    /// A scrape, with what was read beside.
    Scrape {
        probe: Box<ProbeFigures>,
        reply: oneshot::Sender<Box<Scrape>>,
    },
    /// Who asks what services do now.
    Services(oneshot::Sender<Vec<ServiceState>>),
}

/// The engine, for those whom it asks: they do not keep it running, as it keeps them.
#[derive(Clone)]
pub(crate) struct Asker(mpsc::WeakSender<Message>);

/// The engine has ended.
#[derive(Debug)]
pub(crate) struct Gone;

// === impl Asker ===

impl Asker {
    pub(crate) fn new(engine: &mpsc::Sender<Message>) -> Self {
        Self(engine.downgrade())
    }

    /// Says something, when there is room. Blocking.
    ///
    /// # Errors
    /// When nobody listens any more.
    pub(crate) fn say(&self, message: Message) -> Result<(), Gone> {
        let engine = self.0.upgrade().ok_or(Gone)?;
        engine.blocking_send(message).map_err(|_| Gone)
    }
}
