//! THE table of known servers: by which names they run, what each signal means to them, how they are stopped well, what they do
//! that looks like something else, and what to advise. The kernel's map of meanings, the judge, the reference and `finwatch
//! explain` read it here. It knows the usual meaning, not what one installation made of it.

mod rows;

use finwatch_common::{Intent, signal};

use crate::model::{Service, ShapeKind, WorkloadKind};

pub(crate) use self::rows::LATE_LISTENER;
pub use self::rows::SERVERS;

/// One server.
#[derive(Debug, PartialEq, Eq)]
pub struct Server {
    /// As people call it.
    pub title: &'static str,
    /// Names of its processes as the kernel keeps them (15 bytes at most); with a `*` at the end, beginnings of such names.
    pub programs: &'static [&'static str],
    /// What people call a process of it where the kernel's names tell that badly: one that is a thread's, or has a version in
    /// it. None: by the name, or the first word of its title.
    pub called: Option<&'static str>,
    /// What signals mean to it, where a program would not be taken to do that by default (see `SignalRecord::intent`), or where it
    /// is worth a word.
    pub meanings: &'static [Meaning],
    /// The signal that lets it finish what it has in hand, if it has one.
    pub graceful: Option<u8>,
    /// The signals that end it at once.
    pub fast: &'static [u8],
    /// What it does that looks like something else.
    pub habits: &'static [Habit],
    /// What to do with it, by topic; each topic once.
    pub advice: &'static [(Topic, &'static str)],
}

/// What one signal means to a server.
#[derive(Debug, PartialEq, Eq)]
pub struct Meaning {
    /// Its number.
    pub signal: u8,
    /// What it asks of the server.
    pub intent: Intent,
    /// What the server does, as the end of a sentence that begins with its name.
    pub does: &'static str,
}

/// What a server does that looks like something else; finwatch takes it for what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Habit {
    /// It reads on after its FIN.
    LingeringClose,
    /// It connects to itself.
    WakesItself,
    /// HTTP/2: it writes before it answers.
    SettingsFirst,
    /// It takes what comes, and answers nothing.
    AnswersNothing,
    /// Both sides write when they like.
    WritesFreely,
}

/// What advice is about. A diagnosis says which topic is its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// How it is stopped without cutting what is in flight.
    Finish,
    /// How its kept-alive connections are let go well.
    LetGo,
    /// How its last bytes arrive before it closes.
    Linger,
    /// How long it lets connections idle.
    IdleTimeout,
    /// How the next one takes its port over without a gap.
    Overlap,
    /// What becomes of connections that wait to be accepted.
    Queue,
    /// How long clients wait until the next one takes them up.
    TakeUp,
    /// After which time it kills what has not finished.
    GracePeriod,
    /// A signal that reloads it where one would stop it.
    StopReloads,
    /// Workers that outlive their supervisor.
    LeftBehind,
    /// Workers that end after so many requests, or so much memory.
    Recycle,
    /// What makes it close connections unanswered.
    Drop,
    /// Idle connections that hold its end up.
    HeldByIdle,
    /// How it tells clients to leave.
    TellToLeave,
    /// How long old workers may stay after a reload.
    OldWorkers,
    /// What it does when an upstream closes early.
    Upstream,
}

/// The server that a process of this name belongs to.
pub fn known(program: &str) -> Option<&'static Server> {
    SERVERS.iter().find(|server| server.is(program))
}

/// The server that a service is: by the kernel's name of its process, else, where an interpreter runs it, by what people call it.
pub fn of(program: &str, service: &Service) -> Option<&'static Server> {
    let is_process = service.workload_kind == WorkloadKind::Process.as_str();
    known(program).or_else(|| known(&service.workload).filter(|_| is_process))
}

/// The server that goes by this title or program name.
pub fn find(name: &str) -> Option<&'static Server> {
    let titled = |server: &&Server| server.title.eq_ignore_ascii_case(name);
    SERVERS.iter().find(titled).or_else(|| known(name))
}

/// What every signal means that a row has something to say of, by the pattern of its program's name: what the kernel's map holds.
pub fn meanings() -> impl Iterator<Item = (&'static str, &'static Meaning)> {
    SERVERS.iter().flat_map(|server| {
        server.programs.iter().flat_map(|pattern| {
            let meanings = server.meanings.iter();
            meanings.map(move |meaning| (*pattern, meaning))
        })
    })
}

// === impl Server ===

impl Server {
    /// Whether a process of this name is one of its own.
    pub fn is(&self, program: &str) -> bool {
        self.programs
            .iter()
            .any(|pattern| match pattern.strip_suffix('*') {
                Some(beginning) => program.starts_with(beginning),
                None => program == *pattern,
            })
    }

    /// The kind of conversation that it holds, where its protocol has no other than one that is not questions and answers.
    pub fn conversation(&self) -> Option<ShapeKind> {
        self.habits.iter().find_map(|habit| match habit {
            Habit::AnswersNothing => Some(ShapeKind::OneWayIn),
            Habit::WritesFreely => Some(ShapeKind::Stream),
            Habit::LingeringClose | Habit::WakesItself | Habit::SettingsFirst => None,
        })
    }

    /// What to do with it in this matter.
    pub fn advice(&self, topic: Topic) -> Option<&'static str> {
        let found = self.advice.iter().find(|(about, _)| *about == topic);
        found.map(|(_, text)| *text)
    }

    /// Which of that a remedy begins with, if it is this server's.
    pub fn advised_in(&self, remedy: &str) -> Option<&'static str> {
        let told = remedy.strip_prefix(self.title)?.strip_prefix(": ")?;
        let found = self.advice.iter().find(|(_, text)| told.starts_with(text));
        found.map(|(_, text)| *text)
    }

    /// What to send in place of a signal that ends it, or replaces its workers, at once.
    pub fn better(&self, fast: u8) -> Option<u8> {
        if !self.fast.contains(&fast) {
            return None;
        }
        let reloads = self.meanings.iter().filter(|m| m.intent == Intent::Reload);
        let mut reloads = reloads.map(|meaning| meaning.signal);
        match reloads.clone().any(|reload| reload == fast) {
            true => reloads.find(|reload| !self.fast.contains(reload)),
            false => self.graceful,
        }
    }

    /// Which signals to send in place of which: `SIGQUIT in place of SIGTERM or SIGINT.`
    pub fn signals_to_swap(&self) -> Option<String> {
        let mut swaps: Vec<(&str, Vec<&str>)> = Vec::new();
        for fast in self.fast {
            let better = self.better(*fast).and_then(signal::name);
            let (Some(better), Some(fast)) = (better, signal::name(*fast)) else {
                continue;
            };
            match swaps.iter_mut().find(|(known, _)| *known == better) {
                Some((_, for_it)) => for_it.push(fast),
                None => swaps.push((better, vec![fast])),
            }
        }
        let swap = |(better, fast): &(&str, Vec<&str>)| {
            let fast = fast.join(" or ");
            format!("{better} in place of {fast}")
        };
        let swaps: Vec<String> = swaps.iter().map(swap).collect();
        (!swaps.is_empty()).then(|| format!("{}.", swaps.join("; ")))
    }
}

// === impl Habit ===

impl Habit {
    /// What it is, and how finwatch takes it.
    pub const fn told(self) -> &'static str {
        match self {
            Self::LingeringClose => {
                "After its FIN it reads on for a while and throws away what comes: a request that crosses the FIN counts as late, though no RST answers it."
            }
            Self::WakesItself => {
                "When it stops it may connect to its own listener, to wake the thread that accepts; nothing is said on such a connection, and it counts as nobody's request."
            }
            Self::SettingsFirst => {
                "Over HTTP/2 it writes its SETTINGS and their acknowledgement before it answers anything; they are no answer."
            }
            Self::AnswersNothing => {
                "It answers nothing: what it has read is not lost, what it leaves unread or gets after its FIN is. A service of it whose connections do get answers is judged by these."
            }
            Self::WritesFreely => {
                "Each side writes when it likes, and what was said last has ordinarily no answer: only what nobody read is lost."
            }
        }
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
