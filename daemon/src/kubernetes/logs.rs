//! Names of pods by the links to their containers' logs, which the kubelet makes for collectors of logs:
//! `<pod>_<namespace>_<container>-<id>.log`. They come some tenths of a second after the container, and speak of no owner.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

use finwatch_engine::model::{Named, Pod, Workload};

use super::guess;

/// Where the kubelet makes them.
pub const LOGS: &str = "/var/log/containers";
/// Most links that are remembered.
const LINKS_MAX: usize = 16_384;

/// See the module.
#[derive(Debug)]
pub struct Logs {
    folder: PathBuf,
    links: HashMap<String, Link>,
    read_at: Option<SystemTime>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Link {
    pod: String,
    namespace: String,
    container: String,
}

// === impl Logs ===

impl Logs {
    /// Those in a folder.
    pub fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            links: HashMap::new(),
            read_at: None,
        }
    }

    /// The name of a container of this id, by the engine's.
    pub fn container(&mut self, id: &str) -> Option<&str> {
        self.find(id).map(|link| link.container.as_str())
    }

    /// What a container of this id is called. Of whom there is only the name of a pod, the workload is guessed by that.
    pub fn named(&mut self, id: &str, uid: &str) -> Option<Named> {
        let link = self.find(id)?;
        let (kind, name) = guess::workload(&link.pod);
        Some(Named {
            workload: Workload {
                namespace: link.namespace.clone(),
                kind,
                name: name.to_owned(),
            },
            pod: Pod {
                uid: Some(uid.to_owned()),
                name: Some(link.pod.clone()),
                container: Some(link.container.clone()),
                ..Pod::default()
            },
        })
    }

    fn find(&mut self, id: &str) -> Option<&Link> {
        if !self.links.contains_key(id) {
            self.read_anew();
        }
        self.links.get(id)
    }

    /// Reads the folder, if anything in it is another than when it was read last.
    fn read_anew(&mut self) {
        let changed_at = fs::metadata(&self.folder).and_then(|folder| folder.modified());
        let changed_at = changed_at.ok();
        if changed_at.is_none() || changed_at == self.read_at {
            return;
        }
        let Ok(entries) = fs::read_dir(&self.folder) else {
            return;
        };
        let names = entries.flatten().map(|entry| entry.file_name());
        self.links = names
            .filter_map(|name| link(name.to_str()?))
            .take(LINKS_MAX)
            .collect();
        self.read_at = changed_at;
    }
}

/// The id, and what else the name of a link says.
fn link(file: &str) -> Option<(String, Link)> {
    let (rest, id) = file.strip_suffix(".log")?.rsplit_once('-')?;
    let mut parts = rest.splitn(3, '_');
    let [pod, namespace, container] = [parts.next()?, parts.next()?, parts.next()?];
    let link = Link {
        pod: pod.to_owned(),
        namespace: namespace.to_owned(),
        container: container.to_owned(),
    };
    Some((id.to_owned(), link))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "3f4e5d6c7b8a99887766554433221100ffeeddccbbaa99887766554433221100";
    const UID: &str = "4ab0e6a2-0f0c-4c59-9d3c-7f1c7a3b2d11";

    #[test]
    fn a_link_names_pod_namespace_and_container() {
        let folder = tempfile::tempdir().unwrap();
        let mut logs = Logs::new(folder.path());
        assert_eq!(logs.named(ID, UID), None);
        let file = format!("web-7d4b9c5f6-x2x5k_shop_side-car-{ID}.log");
        fs::write(folder.path().join(file), "").unwrap();
        fs::write(folder.path().join("strange.log"), "").unwrap();
        let Named { workload, pod } = logs.named(ID, UID).unwrap();
        assert_eq!(workload.namespace, "shop");
        assert_eq!(
            (workload.kind.as_str(), workload.name.as_str()),
            ("deployment", "web")
        );
        assert_eq!(pod.name.as_deref(), Some("web-7d4b9c5f6-x2x5k"));
        assert_eq!(pod.container.as_deref(), Some("side-car"));
        assert_eq!(pod.uid.as_deref(), Some(UID));
        assert_eq!(logs.container(ID), Some("side-car"));
    }

    #[test]
    fn without_the_folder_nothing_is_known() {
        let mut logs = Logs::new(Path::new("/nonexistent"));
        assert_eq!(logs.named(ID, UID), None);
    }
}
