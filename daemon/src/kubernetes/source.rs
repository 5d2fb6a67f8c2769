//! Which source of names is in use, and why: as configured, and as far as what it needs is there. It looks at the environment
//! and at files, and asks no server.

use std::{
    env, fmt,
    path::{Path, PathBuf},
};

use super::LOGS;

/// Set in every container of a pod.
const SERVICE_HOST: &str = "KUBERNETES_SERVICE_HOST";
/// Set by the manifest (`fieldRef: spec.nodeName`); people know it by this name.
const NODE_NAME: &str = "NODE_NAME";
/// Mounted into the containers of a pod that has a ServiceAccount.
const TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// What may be asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    /// Whatever is there, the best first.
    #[default]
    Auto,
    /// The API server; without what that needs the daemon does not start.
    Api,
    /// The names of log files.
    Names,
    /// Nobody.
    Off,
}

/// As configured.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// What may be asked.
    pub mode: Mode,
    /// This node, as the API server calls it; none: as `NODE_NAME` says.
    pub node: Option<String>,
    /// How to reach the API server; none: as the ServiceAccount of a pod says.
    pub kubeconfig: Option<PathBuf>,
}

/// What is there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// `NODE_NAME`.
    pub node: Option<String>,
    /// The environment and the token of a pod's ServiceAccount.
    pub service_account: bool,
    /// The environment of a pod's container.
    pub in_pod: bool,
    /// The links to logs can be read.
    pub logs: bool,
}

/// Who is asked for names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Source {
    /// The API server, for the pods of this node.
    pub api: Option<Api>,
    /// The folder of the links to logs: asked for what the API server does not know.
    pub logs: Option<PathBuf>,
    /// Why it is not the API server.
    pub why_not_api: Option<&'static str>,
}

/// How the API server is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Api {
    /// This node.
    pub node: String,
    /// Its file; none: the pod's ServiceAccount.
    pub kubeconfig: Option<PathBuf>,
}

// === impl Mode ===

impl Mode {
    /// As it is typed.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "auto" => Some(Self::Auto),
            "api" => Some(Self::Api),
            "names" => Some(Self::Names),
            "off" => Some(Self::Off),
            _ => None,
        }
    }
}

// === impl Found ===

impl Found {
    /// What this process finds.
    pub fn here() -> Self {
        let set = |name| env::var(name).ok().filter(|value| !value.is_empty());
        let in_pod = set(SERVICE_HOST).is_some();
        Self {
            node: set(NODE_NAME),
            service_account: in_pod && Path::new(TOKEN).exists(),
            in_pod,
            logs: Path::new(LOGS).read_dir().is_ok(),
        }
    }
}

// === impl Source ===

impl Source {
    /// The best that is configured and there.
    pub fn choose(options: &Options, found: &Found) -> Self {
        let api = Api::choose(options, found);
        let why_not_api = api.as_ref().err().copied();
        let may_be_named = !matches!(options.mode, Mode::Off);
        Self {
            api: api.ok(),
            logs: (may_be_named && found.logs).then(|| PathBuf::from(LOGS)),
            why_not_api,
        }
    }

    /// Whether anybody is asked.
    pub fn is_any(&self) -> bool {
        self.api.is_some() || self.logs.is_some()
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.api, &self.logs) {
            (Some(Api { node, .. }), logs) => {
                write!(f, "the API server, for the pods of node {node}")?;
                match logs {
                    Some(_) => write!(f, "; what it does not know by the links in {LOGS}"),
                    None => Ok(()),
                }
            }
            (None, Some(_)) => write!(
                f,
                "the links in {LOGS}: owners are guessed by the names of pods"
            ),
            (None, None) => write!(f, "none: containers of pods are shown by their ids"),
        }?;
        match self.why_not_api {
            Some(why) => write!(f, " (not the API server: {why})"),
            None => Ok(()),
        }
    }
}

// === impl Api ===

impl Api {
    fn choose(options: &Options, found: &Found) -> Result<Self, &'static str> {
        match options.mode {
            Mode::Off => return Err("kubernetes.mode is off"),
            Mode::Names => return Err("kubernetes.mode is names"),
            Mode::Auto | Mode::Api => {}
        }
        if !cfg!(feature = "kubernetes") {
            return Err("this finwatch was built without the feature kubernetes");
        }
        if options.kubeconfig.is_none() && !found.service_account {
            return Err(match found.in_pod {
                true => {
                    "the pod has no ServiceAccount token, and kubernetes.kubeconfig names no file"
                }
                false => "this is no pod, and kubernetes.kubeconfig names no file",
            });
        }
        let node = options.node.clone().or_else(|| found.node.clone());
        Ok(Self {
            node: node
                .ok_or("nobody says which node this is: set NODE_NAME or kubernetes.node_name")?,
            kubeconfig: options.kubeconfig.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod() -> Found {
        Found {
            node: Some("node-1".to_owned()),
            service_account: true,
            in_pod: true,
            logs: false,
        }
    }

    fn told(mode: Mode, found: &Found) -> String {
        let options = Options {
            mode,
            ..Options::default()
        };
        Source::choose(&options, found).to_string()
    }

    #[test]
    #[cfg(feature = "kubernetes")]
    fn the_best_that_is_there_is_asked() {
        assert_eq!(
            told(Mode::Auto, &pod()),
            "the API server, for the pods of node node-1"
        );
        let logs = Found {
            logs: true,
            ..pod()
        };
        assert_eq!(
            told(Mode::Api, &logs),
            "the API server, for the pods of node node-1; what it does not know by the links in /var/log/containers"
        );
        assert_eq!(
            told(Mode::Names, &logs),
            "the links in /var/log/containers: owners are guessed by the names of pods \
             (not the API server: kubernetes.mode is names)"
        );
        assert!(
            !Source::choose(
                &Options {
                    mode: Mode::Off,
                    ..Options::default()
                },
                &logs
            )
            .is_any()
        );
        let bare = Found::default();
        assert_eq!(
            told(Mode::Auto, &bare),
            "none: containers of pods are shown by their ids \
             (not the API server: this is no pod, and kubernetes.kubeconfig names no file)"
        );
        let nameless = Found {
            node: None,
            ..pod()
        };
        assert!(told(Mode::Auto, &nameless).contains("set NODE_NAME"));
        let no_token = Found {
            service_account: false,
            ..pod()
        };
        assert!(told(Mode::Auto, &no_token).contains("no ServiceAccount token"));
    }

    #[test]
    #[cfg(feature = "kubernetes")]
    fn what_is_configured_goes_before_what_is_found() {
        let options = Options {
            node: Some("other".to_owned()),
            kubeconfig: Some(PathBuf::from("/etc/kubeconfig")),
            ..Options::default()
        };
        let source = Source::choose(
            &options,
            &Found {
                service_account: false,
                ..pod()
            },
        );
        let api = source.api.unwrap();
        assert_eq!(
            (api.node.as_str(), api.kubeconfig),
            ("other", options.kubeconfig)
        );
    }
}
