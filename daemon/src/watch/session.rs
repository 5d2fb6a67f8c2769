//! One run of the stream: loads the programs, reads records until it is told to stop, prints. The only file
//! of the stream that does I/O.

use std::{
    collections::BTreeSet,
    io::{self, Write},
    time::Duration,
};

use anyhow::Context as _;
use finwatch_common::{Process, ServiceKey, SurveyRow};
use jiff::tz::TimeZone;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
    time::{Instant, sleep_until, timeout},
};

use super::{
    event::Event,
    options::WatchOptions,
    printer::Printer,
    stream::{Stream, Tally, World},
};
use crate::{
    attribution::{Attribution, AttributionOptions, Whose},
    clock, families,
    kubernetes::{self, Change, Found, Source},
    probe::{LossCounters, Phases, Probe, ProbeOptions, Processes, Ring, Survey},
};
use finwatch_engine::{
    Clocks, Reasons,
    model::Named,
    render::units::{Times, count},
};

/// Longest wait between two looks at the ring buffer: what a line is late by, at most, besides the hold.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
/// Most records taken in between two looks at signals and at the end.
const BATCH: usize = 16_384;
/// Room for about 80,000 closes: what a busy host ends between the attachment and the first look.
const RING_BYTES: u32 = 16 << 20;
/// How long the API server may take to say which pods there are.
const PODS_PATIENCE: Duration = Duration::from_secs(2);
/// The stream does not read counters, so that the smallest table will do.
const MAX_ROWS: u32 = 1024;

/// Streams until a signal, the count, the time or the end of whoever reads. Says on standard error since when, and sums up
/// at the end.
///
/// # Errors
/// When the programs cannot be loaded, or a line cannot be printed.
pub(crate) async fn run(options: &WatchOptions) -> anyhow::Result<()> {
    // Before the programs are loaded, so that Ctrl-C ends it cleanly at any time.
    let mut stop = Stop::new()?;
    say("starting: the kernel checks the programs");
    // Before the programs as well: from their attachment on, records wait in the ring.
    let pods = Source::choose(&options.kubernetes, &Found::here());
    let mut attribution = Attribution::new(&AttributionOptions {
        cgroup_root: options.cgroup_root.clone(),
        pods: pods.clone(),
        ..AttributionOptions::default()
    });
    let probe = Probe::load(&ProbeOptions {
        ring_bytes: RING_BYTES,
        max_rows: Some(MAX_ROWS),
        tell_refused: true,
        log: options.probe_log,
    })
    .context("cannot load the programs (`finwatch doctor` says what is missing)")?;
    let Probe {
        ring,
        survey,
        processes,
        phases,
        ports,
        losses,
        reasons,
        listeners,
        ..
    } = probe;
    attribution.ask_for_owners(move |service| ports.owner(service));
    let heard = attribution.heard().unwrap_or_default();
    let (to_session, changes) = mpsc::unbounded_channel();
    let pods = async {
        match &pods.api {
            Some(api) => {
                let tell = |change| {
                    let _ended = to_session.send(change);
                };
                kubernetes::watch(api, &heard, tell).await;
            }
            None => drop(to_session),
        }
        std::future::pending::<()>().await;
    };
    let mut session = Session {
        ring,
        _survey: survey,
        processes,
        phases,
        losses,
        reasons,
        attribution,
        changes,
        stream: Stream::default(),
    };
    session.learn_services(&listeners);
    let times = Times::new(TimeZone::system());
    say(&format!(
        "watching since {}",
        times.of_day(clock::moment().wall())
    ));
    let out = io::BufWriter::with_capacity(64 << 10, anstream::stdout());
    let mut printer = Printer::new(options, out);
    let began = Instant::now();
    // A time too long to be added is no end at all.
    stop.deadline = options.duration.and_then(|time| began.checked_add(time));
    let ended = tokio::select! {
        ended = session.stream(&mut stop, &mut printer) => ended,
        () = pods => Ok(Ended::Asked),
    };
    let ended = ended.or_else(end_of_reader).context("cannot print")?;
    if ended == Ended::ReaderGone {
        return Ok(());
    }
    let summary = summary(&session.stream.tally(), printer.shown(), began.elapsed());
    say(&summary);
    Ok(())
}

/// What is no line of the stream goes to standard error. Where that is closed there is nobody to say it to.
fn say(what: &str) {
    let _told = writeln!(io::stderr(), "{what}");
}

/// Why the stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// A signal, the time or the count.
    Asked,
    /// Whoever read standard output is gone, as `head` is.
    ReaderGone,
}

fn end_of_reader(error: io::Error) -> io::Result<Ended> {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Ok(Ended::ReaderGone),
        _ => Err(error),
    }
}

// === the stream ===

struct Session {
    ring: Ring,
    /// It keeps the programs attached.
    _survey: Survey,
    processes: Processes,
    phases: Phases,
    losses: LossCounters,
    reasons: Reasons,
    attribution: Attribution,
    /// What becomes of pods.
    changes: mpsc::UnboundedReceiver<Change>,
    stream: Stream,
}

impl Session {
    /// Who listens already, and the processes around each: else their signals would not be seen. What cannot be
    /// looked at is left out, as its connections are.
    fn learn_services(&mut self, listeners: &[SurveyRow]) {
        let mut instances = BTreeSet::new();
        for listener in listeners {
            self.stream.learn(listener.owner, &listener.service);
            instances.insert(listener.owner);
        }
        instances.remove(&Process::default());
        let instances: Vec<Process> = instances.into_iter().collect();
        for (tgid, entry) in
            families::scan(&instances, &mut families::Sockets::default()).unwrap_or_default()
        {
            self.processes.adopt(tgid, entry);
        }
    }

    async fn stream(
        &mut self,
        stop: &mut Stop,
        printer: &mut Printer<'_, impl Write>,
    ) -> io::Result<Ended> {
        printer.begin()?;
        self.first_pods().await;
        loop {
            let stopped = tokio::select! {
                biased;
                () = stop.asked() => true,
                () = self.ring.ready(LOOK_INTERVAL) => false,
            };
            let full = self.look(printer);
            if stopped {
                let mut world = Kernel {
                    attribution: &mut self.attribution,
                    clocks: clock::moment().clocks,
                    reasons: &self.reasons,
                };
                self.stream
                    .finish(&mut world, &mut |event| printer.event(&event));
            }
            printer.flush()?;
            if stopped || printer.is_full() {
                return Ok(Ended::Asked);
            }
            if full {
                // More is waiting: let signals be seen, and go on at once.
                tokio::task::yield_now().await;
            }
        }
    }

    /// Waits for the pods that there are, if anybody tells of them.
    async fn first_pods(&mut self) {
        let listed = async {
            while let Some(change) = self.changes.recv().await {
                let is_last = change == Change::ListEnd;
                self.attribution.pod(change);
                if is_last {
                    return;
                }
            }
        };
        // Records wait meanwhile, and without names they are told by what there is.
        let _late = timeout(PODS_PATIENCE, listed).await;
    }

    /// Takes in what the ring holds; says whether there may be more.
    fn look(&mut self, printer: &mut Printer<'_, impl Write>) -> bool {
        let Self {
            ring,
            processes,
            phases,
            losses,
            reasons,
            attribution,
            changes,
            stream,
            _survey: _,
        } = self;
        attribution.refresh();
        while let Ok(change) = changes.try_recv() {
            attribution.pod(change);
        }
        // The time is read first: a close that is taken in after it waits for the next look.
        let now = clock::moment();
        let mut records = Vec::new();
        let taken = ring.drain(BATCH, |record| records.push(record));
        let mut world = Kernel {
            attribution,
            clocks: now.clocks,
            reasons,
        };
        let mut tell = |event: Event| printer.event(&event);
        for record in records {
            // Another node's on the same kernel.
            if record.service().is_some_and(|of| world.is_elsewhere(of)) {
                continue;
            }
            stream.take(record, &mut world, &mut tell);
        }
        stream.due(now.kernel_ns, &mut world, &mut tell);
        if stream.wants_processes() {
            for instance in stream.processes(now.kernel_ns, &processes.table()) {
                // A signal that came meanwhile is still to be read.
                phases.end(instance, now.kernel_ns);
            }
        }
        stream.losses(losses.read(), now.wall(), &mut tell);
        taken >= BATCH
    }
}

/// The world as it is.
struct Kernel<'a> {
    attribution: &'a mut Attribution,
    clocks: Clocks,
    reasons: &'a Reasons,
}

impl Kernel<'_> {
    fn is_elsewhere(&mut self, key: &ServiceKey) -> bool {
        self.attribution.whose(key) == Whose::Elsewhere
    }
}

impl World for Kernel<'_> {
    fn named(&mut self, key: &ServiceKey) -> Named {
        self.attribution.shown(key)
    }

    fn listens(&mut self, key: &ServiceKey) {
        // It is remembered.
        let _named = self.attribution.named(key);
    }

    fn clocks(&self) -> Clocks {
        self.clocks
    }

    fn reasons(&self) -> &Reasons {
        self.reasons
    }
}

// === the end ===

/// What ends the stream from outside.
struct Stop {
    interrupt: Signal,
    terminate: Signal,
    deadline: Option<Instant>,
}

impl Stop {
    fn new() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            deadline: None,
        })
    }

    async fn asked(&mut self) {
        let Self {
            interrupt,
            terminate,
            deadline,
        } = self;
        let timeout = async {
            match deadline {
                Some(deadline) => sleep_until(*deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            () = timeout => {}
        }
    }
}

/// `41 connections ended in 12.3 s (3 shown): 38 by FIN, 3 otherwise; 1 cut; no record lost`
fn summary(tally: &Tally, shown: u64, took: Duration) -> String {
    let Tally {
        closes,
        clean,
        cut,
        refused,
        lost,
    } = *tally;
    let ended = count(closes, "connection");
    let filtered = if shown == closes {
        String::new()
    } else {
        format!(" ({shown} shown)")
    };
    let refused = match refused {
        0 => String::new(),
        refused => format!(" {} refused;", count(refused, "SYN")),
    };
    let lost = match lost {
        0 => "no record lost".to_owned(),
        lost => format!("{} lost", count(lost, "record")),
    };
    format!(
        "{ended} ended in {:.1} s{filtered}: {clean} by FIN, {} otherwise; {cut} cut;{refused} {lost}",
        took.as_secs_f64(),
        closes.saturating_sub(clean)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_left_is_the_end_and_no_error() {
        let ended = end_of_reader(io::ErrorKind::BrokenPipe.into());
        assert_eq!(ended.unwrap(), Ended::ReaderGone);
        assert!(end_of_reader(io::ErrorKind::StorageFull.into()).is_err());
    }

    #[test]
    fn summaries() {
        let tally = Tally {
            closes: 41,
            clean: 38,
            cut: 1,
            refused: 0,
            lost: 0,
        };
        let took = Duration::from_millis(12_300);
        assert_eq!(
            summary(&tally, 3, took),
            "41 connections ended in 12.3 s (3 shown): 38 by FIN, 3 otherwise; 1 cut; no record lost"
        );
        let tally = Tally {
            closes: 1,
            clean: 1,
            cut: 0,
            refused: 2,
            lost: 1,
        };
        assert_eq!(
            summary(&tally, 1, took),
            "1 connection ended in 12.3 s: 1 by FIN, 0 otherwise; 0 cut; 2 SYNs refused; 1 record lost"
        );
    }
}
