//! A recording: what the drains were told in a real run, in its order, and what the clients of that run counted for
//! themselves. It knows how this is written down, and nothing of what follows from it.
//!
//! One line an input: the kernel clock when it was taken, its kind, and wire bytes in hex. Runs of zero bytes are
//! written as `.` and their number. The head is of lines that begin with `#`.

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
    str::SplitAsciiWhitespace,
};

use finwatch_common::{CELLS, CounterRow, ProcessEntry, ServiceKey, SurveyRow, Wire};
use finwatch_engine::input::{Reading, Record};

/// How to write it anew; said wherever one cannot be read.
const REMEDY: &str = "when a layout of common has changed, record it anew: FINWATCH_WRITE_RECORDINGS=1 ./x test kernel -- recorded";

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Recording {
    pub(crate) head: Head,
    pub(crate) inputs: Vec<Input>,
}

/// What was true of the whole run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Head {
    /// Name of the server in the lab.
    pub(crate) server: String,
    /// Requests that the clients wrote.
    pub(crate) asked: u64,
    /// Requests that were answered completely.
    pub(crate) answered: u64,
    /// Requests without an answer.
    pub(crate) lost: u64,
    /// The rows were read, and what they held is among the inputs; else nothing was refused and nothing ordinary is known.
    pub(crate) counted: bool,
    /// Wall time at the zero of the kernel's clock, nanoseconds since the epoch.
    pub(crate) wall_zero_ns: u64,
    /// How long the host had slept: what boot time is ahead of the kernel's clock.
    pub(crate) asleep_ns: u64,
    /// Names of the reset reasons that occur: each kernel has numbers of its own.
    pub(crate) reasons: BTreeMap<u8, String>,
}

/// One thing that was told, or time that passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Input {
    /// When it was taken, on the kernel's clock.
    pub(crate) at_ns: u64,
    pub(crate) what: What,
}

/// As [`finwatch_engine::input::Input`], owned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum What {
    Record(Record),
    Processes(Vec<(u32, ProcessEntry)>),
    Look {
        netns: u64,
        began_ns: u64,
        rows: Vec<SurveyRow>,
        minis: Vec<SurveyRow>,
    },
    Lost {
        total: u64,
    },
    /// All live rows of the run's namespace were read.
    Live(Reading),
    /// The rows of one service were read.
    Counted {
        service: ServiceKey,
        reading: Reading,
    },
    /// A round of work begins: time has passed.
    Tick,
    /// It ends: what ended is judged.
    Conclude,
}

// === impl Recording ===

impl Recording {
    /// Reads what [`fmt::Display`] wrote.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let mut head = Head::default();
        let mut inputs = Vec::new();
        for (at, line) in text.lines().enumerate() {
            let read = match line.strip_prefix("# ") {
                Some(said) => head.take(said),
                None => Input::read(line).map(|input| inputs.push(input)),
            };
            read.map_err(|wrong| format!("line {}: {wrong}; {REMEDY}", at + 1))?;
        }
        Ok(Self { head, inputs })
    }
}

impl fmt::Display for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Head {
            server,
            asked,
            answered,
            lost,
            counted,
            wall_zero_ns,
            asleep_ns,
            reasons,
        } = &self.head;
        writeln!(f, "# server {server}")?;
        writeln!(f, "# asked {asked}\n# answered {answered}\n# lost {lost}")?;
        if *counted {
            writeln!(f, "# counted 1")?;
        }
        writeln!(f, "# wall_zero_ns {wall_zero_ns}\n# asleep_ns {asleep_ns}")?;
        for (number, name) in reasons {
            writeln!(f, "# reason {number} {name}")?;
        }
        self.inputs
            .iter()
            .try_for_each(|input| writeln!(f, "{input}"))
    }
}

// === impl Head ===

impl Head {
    fn take(&mut self, said: &str) -> Result<(), String> {
        let mut words = said.split_ascii_whitespace();
        match word(&mut words)? {
            "server" => word(&mut words)?.clone_into(&mut self.server),
            "asked" => self.asked = number(&mut words)?,
            "answered" => self.answered = number(&mut words)?,
            "lost" => self.lost = number(&mut words)?,
            "counted" => self.counted = number::<u8>(&mut words)? != 0,
            "wall_zero_ns" => self.wall_zero_ns = number(&mut words)?,
            "asleep_ns" => self.asleep_ns = number(&mut words)?,
            "reason" => {
                let reason = number(&mut words)?;
                self.reasons.insert(reason, word(&mut words)?.to_owned());
            }
            other => return Err(format!("the head says {other:?}, which nobody knows")),
        }
        nothing_more(words)
    }
}

// === impl Input ===

impl Input {
    fn read(line: &str) -> Result<Self, String> {
        let mut words = line.split_ascii_whitespace();
        let at_ns = number(&mut words)?;
        let what = match word(&mut words)? {
            "record" => {
                let bytes = bytes(word(&mut words)?)?;
                What::Record(Record::from_bytes(&bytes).map_err(|e| e.to_string())?)
            }
            "processes" => {
                let process = |word: &str| {
                    let (tgid, entry) = word.split_once(':').ok_or("a process without a colon")?;
                    let tgid = tgid.parse().map_err(|e| format!("{tgid:?}: {e}"))?;
                    Ok((tgid, value(entry)?))
                };
                What::Processes(words.by_ref().map(process).collect::<Result<_, String>>()?)
            }
            "look" => {
                let (netns, began_ns) = (number(&mut words)?, number(&mut words)?);
                let (mut rows, mut minis) = (Vec::new(), Vec::new());
                for word in words.by_ref() {
                    match word.split_once(':') {
                        Some(("row", row)) => rows.push(value(row)?),
                        Some(("mini", mini)) => minis.push(value(mini)?),
                        _ => return Err("a look holds rows and minis".to_owned()),
                    }
                }
                What::Look {
                    netns,
                    began_ns,
                    rows,
                    minis,
                }
            }
            "lost" => What::Lost {
                total: number(&mut words)?,
            },
            "live" => What::Live(reading(&mut words)?),
            "counted" => What::Counted {
                service: value(word(&mut words)?)?,
                reading: reading(&mut words)?,
            },
            "tick" => What::Tick,
            "conclude" => What::Conclude,
            other => return Err(format!("{other:?} is no kind of input")),
        };
        nothing_more(words)?;
        Ok(Self { at_ns, what })
    }
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.at_ns)?;
        match &self.what {
            What::Record(record) => write!(f, "record {}", hex(record_bytes(record))),
            What::Processes(processes) => {
                f.write_str("processes")?;
                processes
                    .iter()
                    .try_for_each(|(tgid, entry)| write!(f, " {tgid}:{}", hex(entry.as_bytes())))
            }
            What::Look {
                netns,
                began_ns,
                rows,
                minis,
            } => {
                write!(f, "look {netns} {began_ns}")?;
                for row in rows {
                    write!(f, " row:{}", hex(row.as_bytes()))?;
                }
                minis
                    .iter()
                    .try_for_each(|mini| write!(f, " mini:{}", hex(mini.as_bytes())))
            }
            What::Lost { total } => write!(f, "lost {total}"),
            What::Live(reading) => {
                f.write_str("live")?;
                write_reading(f, reading)
            }
            What::Counted { service, reading } => {
                write!(f, "counted {}", hex(service.as_bytes()))?;
                write_reading(f, reading)
            }
            What::Tick => f.write_str("tick"),
            What::Conclude => f.write_str("conclude"),
        }
    }
}

fn record_bytes(record: &Record) -> &[u8] {
    match record {
        Record::Close(close) => close.as_bytes(),
        Record::Reset(reset) => reset.as_bytes(),
        Record::Listener(listener) => listener.as_bytes(),
        Record::Signal(signal) => signal.as_bytes(),
        Record::Exit(exit) => exit.as_bytes(),
        Record::Unread(unread) => unread.as_bytes(),
    }
}

/// When it was made, its rows and its resets.
fn write_reading(f: &mut fmt::Formatter<'_>, reading: &Reading) -> fmt::Result {
    write!(f, " {}", reading.read_ns)?;
    for (key, row) in &reading.rows {
        let cells: Vec<u8> = row.iter().flat_map(|cell| cell.to_ne_bytes()).collect();
        write!(f, " row:{}:{}", hex(key.as_bytes()), hex(&cells))?;
    }
    reading
        .resets
        .iter()
        .try_for_each(|(key, count)| write!(f, " reset:{}:{count}", hex(key.as_bytes())))
}

fn reading(words: &mut SplitAsciiWhitespace<'_>) -> Result<Reading, String> {
    let mut reading = Reading {
        read_ns: number(words)?,
        ..Reading::default()
    };
    for word in words {
        let mut parts = word.splitn(3, ':');
        match (parts.next(), parts.next(), parts.next()) {
            (Some("row"), Some(key), Some(cells)) => {
                reading.rows.push((value(key)?, row(&bytes(cells)?)?));
            }
            (Some("reset"), Some(key), Some(count)) => {
                let count = count.parse().map_err(|e| format!("{count:?}: {e}"))?;
                reading.resets.push((value(key)?, count));
            }
            _ => return Err("a reading holds rows and resets".to_owned()),
        }
    }
    Ok(reading)
}

/// A row of an earlier layout is the beginning of one of today's.
fn row(bytes: &[u8]) -> Result<CounterRow, String> {
    let mut row: CounterRow = [0; CELLS];
    let (cells, rest) = bytes.as_chunks::<8>();
    if cells.len() > row.len() || !rest.is_empty() {
        return Err(format!("a row of {} bytes", bytes.len()));
    }
    for (cell, bytes) in row.iter_mut().zip(cells) {
        *cell = u64::from_ne_bytes(*bytes);
    }
    Ok(row)
}

fn value<T: Wire>(text: &str) -> Result<T, String> {
    T::from_bytes(&bytes(text)?).map_err(|e| e.to_string())
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    for run in bytes.chunk_by(|a, b| *a == 0 && *b == 0) {
        let written = match run {
            [0, _, _, ..] => write!(text, ".{},", run.len()),
            _ => run.iter().try_for_each(|byte| write!(text, "{byte:02x}")),
        };
        written.unwrap();
    }
    text
}

fn bytes(mut text: &str) -> Result<Vec<u8>, String> {
    /// No layout of common is so long; a run that is longer is damage.
    const RUN_MAX: usize = 4096;
    let mut bytes = Vec::new();
    while !text.is_empty() {
        if let Some(run) = text.strip_prefix('.') {
            let (zeros, rest) = run.split_once(',').ok_or("a run of zeros without an end")?;
            let zeros: usize = zeros.parse().map_err(|e| format!("{zeros:?}: {e}"))?;
            if zeros > RUN_MAX {
                return Err(format!("a run of {zeros} zeros"));
            }
            bytes.resize(bytes.len() + zeros, 0);
            text = rest;
        } else {
            let (byte, rest) = text.split_at_checked(2).ok_or("half a byte")?;
            bytes.push(u8::from_str_radix(byte, 16).map_err(|e| format!("{byte:?}: {e}"))?);
            text = rest;
        }
    }
    Ok(bytes)
}

fn word<'a>(words: &mut SplitAsciiWhitespace<'a>) -> Result<&'a str, String> {
    words.next().ok_or_else(|| "it ends too early".to_owned())
}

fn number<T: std::str::FromStr<Err: fmt::Display>>(
    words: &mut SplitAsciiWhitespace<'_>,
) -> Result<T, String> {
    let word = word(words)?;
    word.parse().map_err(|e| format!("{word:?}: {e}"))
}

fn nothing_more(mut words: SplitAsciiWhitespace<'_>) -> Result<(), String> {
    match words.next() {
        None => Ok(()),
        Some(word) => Err(format!("{word:?} is too much")),
    }
}
