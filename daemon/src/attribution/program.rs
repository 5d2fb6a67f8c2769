//! What people call a program: the script, the archive, the module or the class that an interpreter runs, the title without
//! what changes in it, and else its own name. The same program has the same name at each start, and there are no more names
//! than programs: nothing of a name is a process id, a temporary file or an argument that anybody may write.

use finwatch_engine::servers;

use super::{
    path::{is_lower_hex, printable},
    runtimes::{self, What},
};

/// Bytes of a name that the kernel keeps.
const COMM_BYTES: usize = 15;
/// Most bytes of a name.
const MAX_BYTES: usize = 64;
/// So many digits in a row are a date or a process id; ports of four are not.
const NUMBER_DIGITS: usize = 5;
/// So many hex digits in a row, letters among them, are a hash.
const HASH_DIGITS: usize = 8;

/// Main classes that are not called by their names.
const CLASSES: &[(&str, &str)] = &[
    ("org.apache.catalina.startup.Bootstrap", "tomcat"),
    ("org.apache.cassandra.service.CassandraDaemon", "cassandra"),
    (
        "org.apache.zookeeper.server.quorum.QuorumPeerMain",
        "zookeeper",
    ),
    ("kafka.Kafka", "kafka"),
];

/// The name of a program by the kernel's name of its process and its command line, as `/proc` has both.
pub(super) fn name(comm: &str, words: &[&str]) -> String {
    let words = without_title(words);
    named_by(comm, &words)
        .filter(|name| !name.is_empty() && !is_made_up(name))
        .map_or_else(|| by_comm(comm), |name| bounded(&printable(&name)))
}

/// Whether a process runs code that its parent handed to it: a worker, or a helper, of Python's `multiprocessing` (as uvicorn and
/// hypercorn start theirs).
pub(super) fn works_for_parent(words: &[&str]) -> bool {
    let mut options = words.iter().skip_while(|word| **word != "-c");
    let code = options.nth(1);
    code.is_some_and(|code| code.starts_with("from multiprocessing."))
}

/// Whether two command lines are of one interpreter: who works for the other's program.
pub(super) fn share_runtime(one: &[&str], other: &[&str]) -> bool {
    let runtime = |words: &[&str]| words.first().and_then(|first| runtimes::of(base(first)));
    match (runtime(one), runtime(other)) {
        (Some(one), Some(other)) => std::ptr::eq(one, other),
        _ => false,
    }
}

/// The name of a program of which nothing is known but the kernel's name of its process.
pub(super) fn by_comm(comm: &str) -> String {
    let is_server = servers::known(comm).is_some();
    let own = if is_server { first_word(comm) } else { comm };
    let name = called(comm).unwrap_or(own);
    match printable(name) {
        name if name.is_empty() => "unknown".to_owned(),
        name => name,
    }
}

/// Whether a command line may say more than the kernel's name of the process.
pub(super) fn may_be_better(comm: &str) -> bool {
    comm.len() >= COMM_BYTES || runtimes::of(comm).is_some() || called(comm).is_some()
}

fn named_by(comm: &str, words: &[&str]) -> Option<String> {
    let (first, rest) = words.split_first()?;
    let program = base(first).trim_start_matches('-');
    if let Some(runtime) = runtimes::of(program) {
        let (what, word) = runtime.read(rest)?;
        return of_word(what, word);
    }
    // What has another name is not what the kernel means: it was started by that name, and took this one itself.
    let is_whole = comm.len() >= COMM_BYTES && program.starts_with(comm);
    let is_title = first.starts_with(comm) && first_word(first).len() < first.len();
    match (is_title, is_whole) {
        (true, _) => Some(called(comm).unwrap_or(first_word(first)).to_owned()),
        (false, true) => Some(program.to_owned()),
        (false, false) => None,
    }
}

/// What people call a server whose processes' names tell that badly.
fn called(comm: &str) -> Option<&'static str> {
    servers::known(comm)?.called
}

fn of_word(what: What, word: &str) -> Option<String> {
    match what {
        What::File => file(word),
        What::Assembly => file(word).filter(|_| word.ends_with(".dll") || word.ends_with(".exe")),
        What::Module => Some(word.to_owned()),
        What::Class => match word.ends_with(".java") {
            true => file(word),
            false => Some(class(word.rsplit('/').next().unwrap_or(word)).to_owned()),
        },
        What::Node => word.split('@').next().map(str::to_owned),
        // The directory of an instance that somebody made for the moment says nothing.
        What::Instance => (!is_passing(word)).then(|| base(word).to_owned()),
    }
}

fn class(name: &str) -> &str {
    let known = CLASSES.iter().find(|(class, _)| *class == name);
    known.map_or(name, |(_, called)| called)
}

/// The name of a script or an archive, without its version: it is another one with each deploy.
fn file(path: &str) -> Option<String> {
    let path = match path.strip_suffix("/__main__.py") {
        Some(package) => package,
        None => path,
    };
    let name = base(path);
    if matches!(name, "" | "." | ".." | "-") {
        return None;
    }
    let (stem, suffix) = match name.rsplit_once('.') {
        Some((stem, suffix)) if !stem.is_empty() && is_suffix(suffix) => (stem, suffix),
        _ => (name, ""),
    };
    let mut parts = stem.split('-');
    let mut kept = parts.next()?.to_owned();
    for part in parts.take_while(|part| !is_version(part)) {
        kept.push('-');
        kept.push_str(part);
    }
    if !suffix.is_empty() {
        kept.push('.');
        kept.push_str(suffix);
    }
    Some(kept)
}

fn is_suffix(text: &str) -> bool {
    text.len() <= 5 && text.starts_with(|c: char| c.is_ascii_alphabetic())
}

/// `1.4.2`, `v1.4`, `20260102`, a hash. A number alone may be one of several.
fn is_version(part: &str) -> bool {
    let number = part.strip_prefix('v').unwrap_or(part);
    let is_dotted = number.starts_with(|c: char| c.is_ascii_digit()) && number.contains('.');
    is_dotted || part == "SNAPSHOT" || is_made_up(part)
}

/// Whether a name is of one start only: a temporary file's, or one with a date, a process id or a hash in it.
fn is_made_up(name: &str) -> bool {
    is_temporary(name) || has_run(name, NUMBER_DIGITS, |run| run.bytes().all(is_digit)) || {
        let is_hash = |run: &str| {
            is_lower_hex(run)
                && run.bytes().filter(|b| is_digit(*b)).count() >= 2
                && !run.bytes().all(is_digit)
        };
        has_run(name, HASH_DIGITS, is_hash)
    }
}

/// `tmpk3x9_q2a.py` of Python's `tempfile`, `tmp.Ab3dE6gH9k` of mktemp(1).
fn is_temporary(name: &str) -> bool {
    let Some(rest) = name.strip_prefix("tmp") else {
        return false;
    };
    let drawn = rest.split('.').next().unwrap_or(rest);
    let is_drawn = |b: u8| b.is_ascii_lowercase() || is_digit(b) || b == b'_';
    rest.starts_with('.') || (drawn.len() == 8 && drawn.bytes().all(is_drawn))
}

/// Whether so many letters and digits in a row are so.
fn has_run(name: &str, least: usize, is_so: impl Fn(&str) -> bool) -> bool {
    let is_apart = |c: char| !c.is_ascii_alphanumeric();
    name.split(is_apart).any(|word| {
        let cut = |at: usize| word.get(at..at + least);
        (0..word.len()).filter_map(cut).any(&is_so)
    })
}

const fn is_digit(byte: u8) -> bool {
    byte.is_ascii_digit()
}

/// Below a directory for what is thrown away.
fn is_passing(path: &str) -> bool {
    ["/tmp/", "/var/tmp/", "/dev/shm/", "/run/user/"]
        .iter()
        .any(|root| path.starts_with(root))
}

/// The words of a command line that its program wrote over with one text: `node /srv/shop.js`.
fn without_title<'a>(words: &[&'a str]) -> Vec<&'a str> {
    match words {
        [title] if runtimes::of(first_word(title)).is_some() => title.split(' ').collect(),
        _ => words.to_vec(),
    }
}

/// What stands before the first space, colon or bracket.
fn first_word(text: &str) -> &str {
    text.split([' ', ':', '[']).next().unwrap_or(text)
}

fn base(path: &str) -> &str {
    let path = path.trim_end_matches('/');
    path.rsplit('/').next().unwrap_or(path)
}

fn bounded(name: &str) -> String {
    let end = name.floor_char_boundary(MAX_BYTES);
    name[..end].to_owned()
}

#[cfg(test)]
#[path = "program_tests.rs"]
mod tests;
