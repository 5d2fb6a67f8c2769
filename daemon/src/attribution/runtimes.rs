//! Programs that run others: interpreters and machines whose own name says nothing, and where in their command line
//! stands what they run.

use self::What::{Assembly, Class, File, Instance, Module, Node};

/// One of them.
#[derive(Debug)]
pub(super) struct Runtime {
    /// What its program is called; a version may follow (`python3.11`).
    names: &'static [&'static str],
    /// Options whose value is the next word.
    valued: &'static [&'static str],
    /// Options that bring the code with them, so that nothing is named.
    inline: &'static [&'static str],
    /// Options whose value says what runs.
    naming: &'static [(&'static str, What)],
    /// Words that may stand before what runs.
    verbs: &'static [&'static str],
    /// What the first word is that belongs to no option; none: words mean nothing, and any option may name.
    first: Option<What>,
    /// Whether options of one letter may be written together, and their value behind them.
    clusters: bool,
}

/// What a word of a command line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// A script or an archive.
    File,
    /// A .NET assembly; any other word is a command of the SDK.
    Assembly,
    /// A module, or a package.
    Module,
    /// A class with its packages, or a module with one.
    Class,
    /// `name@host`.
    Node,
    /// The name that somebody gave to one of several.
    Instance,
}

/// A row with nothing in it.
const BLANK: Runtime = Runtime {
    names: &[],
    valued: &[],
    inline: &[],
    naming: &[],
    verbs: &[],
    first: Some(File),
    clusters: false,
};

const RUNTIMES: &[Runtime] = &[
    // https://docs.python.org/3/using/cmdline.html
    Runtime {
        names: &["python", "pypy"],
        valued: &["-W", "-X", "--check-hash-based-pycs"],
        inline: &["-c"],
        naming: &[("-m", Module)],
        clusters: true,
        ..BLANK
    },
    // The `java` command of the JDK's tool specifications.
    Runtime {
        names: &["java"],
        valued: &[
            "-cp",
            "-classpath",
            "--class-path",
            "-p",
            "--module-path",
            "--upgrade-module-path",
            "--add-modules",
            "--add-exports",
            "--add-opens",
            "--add-reads",
            "--patch-module",
            "--limit-modules",
            "--enable-native-access",
            "--source",
        ],
        naming: &[("-jar", File), ("-m", Class), ("--module", Class)],
        first: Some(Class),
        ..BLANK
    },
    // node(1)
    Runtime {
        names: &["node", "nodejs"],
        valued: &[
            "-r",
            "--require",
            "--import",
            "--loader",
            "--experimental-loader",
            "-C",
            "--conditions",
            "--env-file",
            "--title",
        ],
        inline: &["-e", "--eval", "-p", "--print", "-pe"],
        ..BLANK
    },
    Runtime {
        names: &["deno", "bun"],
        valued: &["--config", "--preload", "--env-file", "--cwd"],
        inline: &["-e", "--eval", "eval"],
        verbs: &["run", "serve"],
        ..BLANK
    },
    // perlrun(1)
    Runtime {
        names: &["perl"],
        valued: &["-I", "-M", "-m"],
        inline: &["-e", "-E"],
        clusters: true,
        ..BLANK
    },
    // ruby(1)
    Runtime {
        names: &["ruby", "jruby"],
        valued: &["-I", "-r", "-C", "-E"],
        inline: &["-e"],
        clusters: true,
        ..BLANK
    },
    // php(1)
    Runtime {
        names: &["php"],
        valued: &[
            "-d",
            "-c",
            "-z",
            "-t",
            "-S",
            "--define",
            "--docroot",
            "--server",
        ],
        inline: &["-r", "-B", "-R", "-E"],
        naming: &[("-f", File), ("--file", File), ("-F", File)],
        ..BLANK
    },
    // https://learn.microsoft.com/en-us/dotnet/core/tools/dotnet
    Runtime {
        names: &["dotnet"],
        valued: &[
            "--depsfile",
            "--runtimeconfig",
            "--additionalprobingpath",
            "--additional-deps",
            "--fx-version",
            "--roll-forward",
        ],
        verbs: &["exec"],
        first: Some(Assembly),
        ..BLANK
    },
    Runtime {
        names: &["lua", "luajit"],
        valued: &["-l"],
        inline: &["-e"],
        ..BLANK
    },
    Runtime {
        names: &["tclsh"],
        ..BLANK
    },
    // dash(1), bash(1)
    Runtime {
        names: &["sh", "bash", "dash", "ash", "ksh", "zsh"],
        valued: &["-o", "-O", "--rcfile", "--init-file"],
        inline: &["-c", "-s"],
        clusters: true,
        ..BLANK
    },
    // erl(1)
    Runtime {
        names: &["beam.smp", "beam"],
        naming: &[("-sname", Node), ("-name", Node)],
        first: None,
        ..BLANK
    },
    // varnishd(1)
    Runtime {
        names: &["varnishd"],
        naming: &[("-n", Instance)],
        first: None,
        ..BLANK
    },
];

/// The runtime that a program of this name is.
pub(super) fn of(program: &str) -> Option<&'static Runtime> {
    RUNTIMES.iter().find(|runtime| runtime.is(program))
}

// === impl Runtime ===

impl Runtime {
    fn is(&self, program: &str) -> bool {
        let is_version = |rest: &str| {
            rest.bytes()
                .all(|b| b.is_ascii_digit() || b".-".contains(&b))
        };
        self.names
            .iter()
            .any(|name| program.strip_prefix(name).is_some_and(is_version))
    }

    /// The word that says what it runs, of those behind its own name. None when it brings its code along, or reads it from
    /// somewhere.
    pub(super) fn read<'a>(&self, words: &[&'a str]) -> Option<(What, &'a str)> {
        let mut words = words.iter().copied();
        while let Some(word) = words.next() {
            if word == "--" && self.first.is_some() {
                return Some((self.first?, words.next()?));
            }
            // `@`: a file of further words.
            if !word.starts_with(['-', '@']) {
                match self.first {
                    Some(_) if self.inline.contains(&word) => return None,
                    Some(what) if !self.verbs.contains(&word) => return Some((what, word)),
                    _ => continue,
                }
            }
            for (option, value) in self.options(word) {
                if self.inline.contains(&option.as_str()) {
                    return None;
                }
                let named = self.naming.iter().find(|(name, _)| *name == option);
                if let Some((_, what)) = named {
                    return Some((*what, value.or_else(|| words.next())?));
                }
                if self.valued.contains(&option.as_str()) {
                    if value.is_none() {
                        words.next();
                    }
                    break;
                }
            }
        }
        None
    }

    /// The options in a word, each with the value that it may have there.
    fn options<'a>(&self, word: &'a str) -> Vec<(String, Option<&'a str>)> {
        let letters = word.strip_prefix('-').filter(|rest| !rest.starts_with('-'));
        if let Some(letters) = letters.filter(|_| self.clusters) {
            let behind = |at: usize| Some(&letters[at..]).filter(|rest| !rest.is_empty());
            let letter = |(at, c): (usize, char)| (format!("-{c}"), behind(at + c.len_utf8()));
            return letters.char_indices().map(letter).collect();
        }
        match word.split_once('=') {
            Some((option, value)) => vec![(option.to_owned(), Some(value))],
            None => vec![(word.to_owned(), None)],
        }
    }
}
