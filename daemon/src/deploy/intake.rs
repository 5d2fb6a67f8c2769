//! The way of an event: who sends it, what it says, whether it is known, and on to whoever tells the story. Blocking
//! only for a look at a secret's file; it reads no clock, as the time of receipt is given.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use anyhow::Context as _;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use tokio::sync::mpsc::{Sender, error::TrySendError};

use super::{
    Headers, Outcome, Refusal, RefusalKind, Route, Tallies, argo, auth, cdevents, cloudevents,
    flux, github,
    memory::{self, Memory, Name},
    native,
    parsed::{Draft, Ignored, Parsed},
    secrets::SecretFile,
};
use crate::{config::Deploys, nearest::Unknown};
use finwatch_engine::model::{DeployEvent, DeployStage, Skew, Source};

/// Takes events in.
#[derive(Debug)]
pub struct Intake {
    token: Option<SecretFile>,
    github: Option<SecretFile>,
    flux: Option<SecretFile>,
    tolerance: SignedDuration,
    /// A lock, as two senders may come at once and one event is to be taken once. Held for moments, and over no system call.
    memory: Mutex<Memory>,
    events: Sender<DeployEvent>,
    unnamed: AtomicU64,
    tallies: Arc<Tallies>,
}

/// What became of one event, as the sender is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Receipt {
    /// Its id; made up here where the sender had none.
    pub id: String,
    /// What became of it: `accepted`, `duplicate` or `ignored`.
    pub result: Outcome,
    /// Why it was ignored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// That the sender's clock and ours disagree.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skew: Option<Skew>,
    /// That nobody is called as the event says; it was taken all the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unknown: Option<Unknown>,
    /// The workload that begins to change, by the name that was given.
    #[serde(skip)]
    pub begins: Option<String>,
    /// In whose name it was counted.
    #[serde(skip)]
    pub source: Source,
    /// The sender only asked whether somebody is there.
    #[serde(skip)]
    pub ping: bool,
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// Of its one event.
    One(Receipt),
    /// Of each event of a batch, in its order.
    Batch(Vec<Receipt>),
}

// === impl Intake ===

impl Intake {
    /// Reads the secrets that are configured.
    ///
    /// # Errors
    /// When one cannot be read or is empty, and when others than this host could send without a token.
    pub fn new(deploys: &Deploys, events: Sender<DeployEvent>) -> anyhow::Result<Self> {
        let Deploys {
            listen,
            token_file,
            github_secret_file,
            flux_secret_file,
            skew_tolerance,
        } = deploys;
        if token_file.is_none() {
            must_be_loopback(listen)?;
        }
        let open = |setting, path: &Option<std::path::PathBuf>| {
            let open = |path| SecretFile::open(setting, path);
            let opened = path.as_deref().map(open).transpose();
            opened.with_context(|| {
                format!(
                    "cannot take deploy events: {setting} must name a file with the secret in it, which finwatch's user \
                     can read without any capability"
                )
            })
        };
        Ok(Self {
            token: open("deploys.token_file", token_file)?,
            github: open(GITHUB_SETTING, github_secret_file)?,
            flux: open(FLUX_SETTING, flux_secret_file)?,
            tolerance: SignedDuration::try_from(*skew_tolerance)
                .context("deploys.skew_tolerance is too long")?,
            memory: Mutex::default(),
            events,
            unnamed: AtomicU64::new(0),
            tallies: Arc::default(),
        })
    }

    /// The counters, which outlive the intake.
    pub fn tallies(&self) -> Arc<Tallies> {
        Arc::clone(&self.tallies)
    }

    /// Whether a request may go on, by its head alone: so that nobody's body is kept who has no token.
    ///
    /// # Errors
    /// Says what is missing.
    pub fn admit(&self, route: Route, headers: &Headers) -> Result<(), Refusal> {
        let admitted = match route {
            Route::Github => configured(self.github.as_ref(), GITHUB_SETTING).map(drop),
            Route::Flux => configured(self.flux.as_ref(), FLUX_SETTING).map(drop),
            Route::Deploys | Route::Argocd | Route::ArgoRollouts => match &self.token {
                None => Ok(()),
                Some(token) => token
                    .current()
                    .and_then(|token| auth::bearer(headers, &token)),
            },
        };
        admitted.inspect_err(|refusal| self.refused(route, headers, refusal))
    }

    /// Takes every event of a request that was admitted.
    ///
    /// # Errors
    /// Says what is wrong, and then nothing of the request was taken.
    pub fn take(
        &self,
        route: Route,
        headers: &Headers,
        body: &[u8],
        now: Timestamp,
    ) -> Result<Taken, Refusal> {
        self.signed(route, headers, body)
            .and_then(|()| parse(route, headers, body))
            .and_then(|parsed| self.pass_on(parsed, now))
            .map(|mut receipts| match receipts.pop() {
                Some(receipt) if receipts.is_empty() && !is_batch(route, headers) => {
                    Taken::One(receipt)
                }
                last => {
                    receipts.extend(last);
                    Taken::Batch(receipts)
                }
            })
            .inspect_err(|refusal| self.refused(route, headers, refusal))
    }

    /// Counts a request that was refused before it could be taken.
    pub fn refused(&self, route: Route, headers: &Headers, refusal: &Refusal) {
        let source = route.source(headers);
        tracing::debug!(source = source.as_str(), %refusal, "a deploy event was refused");
        self.tallies.count(source, refusal.kind.outcome());
    }

    fn signed(&self, route: Route, headers: &Headers, body: &[u8]) -> Result<(), Refusal> {
        let (secret, setting, header) = match route {
            Route::Github => (&self.github, GITHUB_SETTING, "x-hub-signature-256"),
            Route::Flux => (&self.flux, FLUX_SETTING, "x-signature"),
            Route::Deploys | Route::Argocd | Route::ArgoRollouts => return Ok(()),
        };
        let key = configured(secret.as_ref(), setting)?.current()?;
        auth::signature(headers, header, setting, &key, body)
    }

    /// All of it or nothing: a sender that is refused sends all of it again.
    fn pass_on(&self, parsed: Vec<Parsed>, now: Timestamp) -> Result<Vec<Receipt>, Refusal> {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut names, mut fresh, mut receipts) = (Vec::<Name>::new(), Vec::new(), Vec::new());
        for one in parsed {
            let draft = match one {
                Parsed::Ignored(ignored) => {
                    receipts.push(Receipt::from(ignored));
                    continue;
                }
                Parsed::Event(draft) => draft,
            };
            let (id, own_names) = self.names(&draft, now);
            let known = own_names
                .iter()
                .any(|name| memory.contains(name) || names.contains(name));
            names.extend(own_names);
            let mut receipt = Receipt {
                id: id.clone(),
                result: Outcome::Duplicate,
                reason: None,
                skew: None,
                unknown: None,
                begins: None,
                source: draft.source,
                ping: false,
            };
            if !known {
                let event = draft.received(id, now, self.tolerance);
                receipt.result = Outcome::Accepted;
                receipt.skew = Some(event.skew).filter(|skew| *skew != Skew::None);
                receipt.begins = event.begins().then(|| event.workload.name.clone());
                fresh.push(event);
            }
            receipts.push(receipt);
        }
        // Room for all first, then memory: what is refused here must not be known when it comes again.
        let room = self
            .events
            .try_reserve_many(fresh.len())
            .map_err(overloaded)?;
        for (place, event) in room.zip(fresh) {
            place.send(event);
        }
        for name in names {
            memory.insert(name, ());
        }
        drop(memory);
        for receipt in &receipts {
            self.tallies.count(receipt.source, receipt.result);
        }
        Ok(receipts)
    }

    /// The event's id, and the names by which it is known when it comes again.
    fn names(&self, draft: &Draft, now: Timestamp) -> (String, Vec<Name>) {
        let source = draft.source.as_str();
        let id = draft.id.clone().unwrap_or_else(|| {
            let count = self.unnamed.fetch_add(1, Ordering::Relaxed);
            format!("{source}-{:x}-{count}", now.as_nanosecond())
        });
        let stage = match draft.stage {
            DeployStage::Started => "started",
            DeployStage::Finished => "finished",
            DeployStage::Failed => "failed",
        };
        let mut names = vec![memory::name(&[source, "id", &id, stage])];
        if let Some(delivery) = &draft.delivery {
            names.push(memory::name(&[source, "delivery", delivery]));
        }
        (id, names)
    }
}

// === impl Receipt ===

impl From<Ignored> for Receipt {
    fn from(ignored: Ignored) -> Self {
        let Ignored {
            source,
            id,
            reason,
            ping,
        } = ignored;
        Self {
            id,
            result: Outcome::Ignored,
            reason: Some(reason),
            skew: None,
            unknown: None,
            begins: None,
            source,
            ping,
        }
    }
}

const GITHUB_SETTING: &str = "deploys.github_secret_file";
const FLUX_SETTING: &str = "deploys.flux_secret_file";

fn parse(route: Route, headers: &Headers, body: &[u8]) -> Result<Vec<Parsed>, Refusal> {
    match route {
        Route::Github => github::parse(headers, body),
        Route::Flux => flux::parse(headers, body),
        Route::Argocd => argo::parse_cd(headers, body),
        Route::ArgoRollouts => argo::parse_rollouts(headers, body),
        Route::Deploys if cloudevents::is_one(headers) => cloudevents::parse(headers, body),
        Route::Deploys if cdevents::is_bare(headers) => cdevents::parse(body),
        Route::Deploys => native::parse(headers, route.source(headers), body),
    }
}

fn is_batch(route: Route, headers: &Headers) -> bool {
    route == Route::Deploys && cloudevents::is_batch(headers)
}

fn configured<'a>(
    secret: Option<&'a SecretFile>,
    setting: &str,
) -> Result<&'a SecretFile, Refusal> {
    secret.ok_or_else(|| {
        Refusal::new(
            RefusalKind::NotConfigured,
            format!("{setting} is not set, so no signature can be checked"),
            format!("set {setting} to a file with the secret that the sender signs with, and restart finwatch"),
        )
    })
}

fn overloaded(error: TrySendError<()>) -> Refusal {
    let error = match error {
        TrySendError::Full(()) => "too many deploy events wait already",
        TrySendError::Closed(()) => "finwatch is stopping",
    };
    Refusal::new(RefusalKind::Overloaded, error, "send it again in a moment")
}

fn must_be_loopback(listen: &[SocketAddr]) -> anyhow::Result<()> {
    match listen.iter().find(|address| !address.ip().is_loopback()) {
        None => Ok(()),
        Some(open) => anyhow::bail!(
            "deploys.listen has {open}, where others than this host could send deploy events without a token: set \
             deploys.token_file, or listen on 127.0.0.1:{} only",
            open.port()
        ),
    }
}
