//! The name that people gave a container, from the engine's files on disk. It speaks to no engine: where
//! there is no file, there is no name.

use std::{
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use super::path::Engine;

/// Most bytes that are read of one file: an engine's list of a thousand containers stays below.
const MAX_FILE_BYTES: u64 = 8 << 20;

/// Where the engines of this host keep their files.
#[derive(Debug, Clone)]
pub(super) struct EngineFiles {
    host_root: PathBuf,
}

/// Docker: `/var/lib/docker/containers/<id>/config.v2.json`.
#[derive(Deserialize)]
struct DockerConfig {
    #[serde(rename = "Name")]
    name: String,
}

/// Podman (containers/storage): an entry of `containers.json`.
#[derive(Deserialize)]
struct StorageEntry {
    id: String,
    #[serde(default)]
    names: Vec<String>,
}

/// The OCI bundle's `config.json`, of which nerdctl's annotation is wanted.
#[derive(Deserialize)]
struct Bundle {
    #[serde(default)]
    annotations: Annotations,
}

#[derive(Default, Deserialize)]
struct Annotations {
    #[serde(rename = "nerdctl/name")]
    nerdctl_name: Option<String>,
}

impl EngineFiles {
    /// Looks below `host_root`: `/`, or where the host's root is mounted in a container.
    pub(super) fn new(host_root: &Path) -> Self {
        Self {
            host_root: host_root.to_owned(),
        }
    }

    /// The name of the container `id`, which the engine's own tools show.
    pub(super) fn name_of(&self, engine: Engine, id: &str) -> Option<String> {
        let name = match engine {
            Engine::Docker => self.docker(id),
            Engine::Podman => self.podman(id),
            Engine::Containerd => self.nerdctl(id),
            Engine::Unnamed => self.docker(id).or_else(|| self.nerdctl(id)),
            // CRI-O's containers belong to pods: their names say nothing without the pod.
            Engine::Crio => None,
            Engine::Lxc => Some(id.to_owned()),
        };
        name.filter(|name| !name.is_empty())
    }

    fn docker(&self, id: &str) -> Option<String> {
        let path = format!("var/lib/docker/containers/{id}/config.v2.json");
        let config: DockerConfig = self.read(&path)?;
        Some(config.name.trim_start_matches('/').to_owned())
    }

    fn podman(&self, id: &str) -> Option<String> {
        [
            "var/lib/containers/storage/overlay-containers/containers.json",
            "run/containers/storage/overlay-containers/volatile-containers.json",
            "var/lib/containers/storage/overlay-containers/volatile-containers.json",
        ]
        .iter()
        .filter_map(|path| self.read::<Vec<StorageEntry>>(path))
        .flatten()
        .find(|entry| entry.id == id)?
        .names
        .into_iter()
        .next()
    }

    fn nerdctl(&self, id: &str) -> Option<String> {
        let path = format!("run/containerd/io.containerd.runtime.v2.task/default/{id}/config.json");
        self.read::<Bundle>(&path)?.annotations.nerdctl_name
    }

    fn read<T: serde::de::DeserializeOwned>(&self, path: &str) -> Option<T> {
        let file = File::open(self.host_root.join(path)).ok()?;
        let mut bytes = Vec::new();
        file.take(MAX_FILE_BYTES).read_to_end(&mut bytes).ok()?;
        serde_json::from_slice(&bytes).ok()
    }
}
