//! Where values come from: flags over environment over file over defaults. Each value keeps its origin, so that
//! an error and `finwatch config show` can name it.

use std::{
    collections::HashMap,
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::keys::{self, KEYS, Key};

/// Where a value was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody gave one.
    Default,
    /// A line of a file.
    File {
        /// The file.
        path: Arc<Path>,
        /// Its line, from 1.
        line: usize,
    },
    /// An environment variable.
    Env(&'static str),
    /// A flag of the command line.
    Flag(&'static str),
}

/// A value as it was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Typed {
    /// One item, or a list's.
    pub items: Vec<String>,
    /// Where it was given.
    pub origin: Origin,
}

/// Values by key.
pub type Layer = HashMap<&'static str, Typed>;

/// Why a configuration is refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read configuration file {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("{}:{line}: not valid TOML: {message}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where.
        line: usize,
        /// What the parser says.
        message: String,
    },
    /// A key that does not exist.
    #[error("{}:{line}: unknown key `{key}`{}", path.display(), hint(.nearest))]
    UnknownKey {
        /// The file.
        path: PathBuf,
        /// Where.
        line: usize,
        /// What was written.
        key: String,
        /// What may have been meant.
        nearest: Option<&'static str>,
    },
    /// A value of the wrong kind.
    #[error("{origin}: `{key}` is `{value}`, expected {expected}")]
    Value {
        /// Where it was given.
        origin: Origin,
        /// The setting.
        key: &'static str,
        /// What was given.
        value: String,
        /// What can be given.
        expected: String,
    },
}

/// Every setting's value and origin.
#[derive(Debug)]
pub struct Effective(Layer);

/// The environment's values, and the names of `FINWATCH_` variables that mean nothing.
pub fn from_env(vars: impl IntoIterator<Item = (String, String)>) -> (Layer, Vec<String>) {
    let (mut layer, mut unknown) = (Layer::new(), Vec::new());
    for (name, value) in vars {
        if let Some(key) = KEYS.iter().find(|key| key.env == name) {
            layer.insert(key.name, typed(key, &value, Origin::Env(key.env)));
        } else if name.starts_with("FINWATCH_")
            && !OF_COMMANDS.contains(&name.as_str())
            && !set_by_kubernetes(&name)
        {
            unknown.push(name);
        }
    }
    unknown.sort();
    (layer, unknown)
}

/// The environment variable that names the file.
pub const CONFIG_ENV: &str = "FINWATCH_CONFIG";

/// Variables that are no settings: what other commands read may be set where the daemon runs.
const OF_COMMANDS: [&str; 3] = [CONFIG_ENV, "FINWATCH_URL", "FINWATCH_TOKEN"];

/// Kubernetes sets these in every pod beside a service that is called `finwatch`.
pub(super) fn set_by_kubernetes(name: &str) -> bool {
    name.starts_with("FINWATCH_SERVICE_")
        || name == "FINWATCH_PORT"
        || name.starts_with("FINWATCH_PORT_")
}

/// A value as typed: a list is split at its commas.
pub fn typed(key: &Key, value: &str, origin: Origin) -> Typed {
    let items = match key.shape {
        keys::Shape::List => value
            .split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty())
            .map(str::to_owned)
            .collect(),
        _ => vec![value.trim().to_owned()],
    };
    Typed { items, origin }
}

// === impl Effective ===

impl Effective {
    /// Lays `layers` over the defaults, the last on top.
    pub fn new(layers: impl IntoIterator<Item = Layer>) -> Self {
        let mut values: Layer = KEYS
            .iter()
            .map(|key| (key.name, typed(key, key.default, Origin::Default)))
            .collect();
        for layer in layers {
            values.extend(layer);
        }
        Self(values)
    }

    /// The value of a setting.
    pub fn get(&self, key: &Key) -> &Typed {
        // `new` put a default there for every key.
        &self.0[key.name]
    }
}

// === impl Origin ===

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Env(name) => write!(f, "environment variable {name}"),
            Self::Flag(name) => write!(f, "flag --{name}"),
        }
    }
}

fn hint(nearest: &Option<&'static str>) -> String {
    match nearest {
        Some(name) => format!("; did you mean `{name}`?"),
        None => "; `finwatch config show` lists every key".to_owned(),
    }
}
