//! The prototypes that the kernel programs quote, against those that this kernel has. A tracepoint is no stable interface:
//! an argument that moved would be read as something else, and nothing would say so.

use finwatch::probe::{Prototype, Prototypes};

/// Where every entry point is.
const ENTRY_POINTS: &str = include_str!("../../../../probe-ebpf/src/bpf/mod.rs");

/// A quote: the name, and what it says.
#[derive(Debug)]
struct Quote {
    name: String,
    prototype: Prototype,
}

/// What an entry point is attached to, and every prototype that it quotes: kernels differ.
#[derive(Debug)]
struct EntryPoint {
    place: Place,
    quotes: Vec<Quote>,
}

#[derive(Debug, PartialEq)]
enum Place {
    Tracepoint(String),
    Iterator(String),
}

fn entry_points(text: &str) -> Vec<EntryPoint> {
    let mut quotes = Vec::new();
    let mut entry_points = Vec::new();
    for line in text.lines() {
        if let Some(quoted) = line.strip_prefix("// match-proto: ") {
            quotes.push(quote(quoted).unwrap_or_else(|| panic!("no prototype: {quoted}")));
        } else if let Some(place) = place(line) {
            let quotes = std::mem::take(&mut quotes);
            entry_points.push(EntryPoint { place, quotes });
        }
    }
    assert!(quotes.is_empty(), "quoted for nothing: {quotes:?}");
    entry_points
}

fn place(line: &str) -> Option<Place> {
    let between = |before: &str, after: &str| {
        let rest = line.strip_prefix(before)?;
        Some(rest.strip_suffix(after)?.to_owned())
    };
    let tracepoint = between("#[btf_tracepoint(function = \"", "\")]").map(Place::Tracepoint);
    let iterator = || between("#[unsafe(link_section = \"iter/", "\")]").map(Place::Iterator);
    tracepoint.or_else(iterator)
}

/// Takes `void name(const struct sock *sk, const int state)` apart.
fn quote(text: &str) -> Option<Quote> {
    let (head, arguments) = text.strip_suffix(')')?.split_once('(')?;
    let (returns, name) = head.rsplit_once(' ')?;
    let arguments = arguments.split(", ").map(|argument| {
        let named = argument.rfind(|c: char| !c.is_alphanumeric() && c != '_')?;
        let kind = argument[..=named].trim_end();
        // Of a value that is passed `const` says nothing.
        let kind = match kind.strip_prefix("const ") {
            Some(value) if !kind.ends_with('*') => value,
            _ => kind,
        };
        Some(kind.to_owned())
    });
    Some(Quote {
        name: name.to_owned(),
        prototype: Prototype {
            returns: returns.to_owned(),
            arguments: arguments.collect::<Option<_>>()?,
        },
    })
}

#[test]
fn the_kernel_passes_what_each_program_trusts() {
    let kernel = Prototypes::of_kernel().unwrap();
    let entry_points = entry_points(ENTRY_POINTS);
    assert_eq!(entry_points.len(), 13, "programs that were read");
    for EntryPoint { place, quotes } in entry_points {
        let (name, has) = match &place {
            Place::Tracepoint(name) => (name, kernel.tracepoint(name)),
            Place::Iterator(name) => (name, kernel.iterator(name)),
        };
        let has = has.unwrap_or_else(|| panic!("this kernel has no {place:?}"));
        assert!(
            quotes.iter().all(|quote| quote.name == *name),
            "{place:?} quotes another: {quotes:?}"
        );
        assert!(
            quotes.iter().any(|quote| quote.prototype == has),
            "{place:?}: the kernel passes {has:?}, quoted is {quotes:?}"
        );
    }
}

#[test]
fn quotes_are_read_to_the_letter() {
    let text = "\
// match-proto: void a(const struct sock *sk, const int old, bool dead)
// match-proto: void a(struct sock **sk, pid_t pid, const enum why why)
#[btf_tracepoint(function = \"a\")]
";
    let [EntryPoint { place, quotes }] = &entry_points(text)[..] else {
        panic!("one entry point");
    };
    assert_eq!(*place, Place::Tracepoint("a".to_owned()));
    let arguments: Vec<_> = quotes
        .iter()
        .map(|quote| &quote.prototype.arguments)
        .collect();
    assert_eq!(
        arguments,
        [
            &["const struct sock *", "int", "bool"],
            &["struct sock **", "pid_t", "enum why"]
        ]
    );
}
