//! Images of containers as OCI archives, made by hand: one layer, of the files given. No container engine is wanted, and the same
//! files give the same image.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use crate::shell;

pub(crate) struct Image<'a> {
    /// With the part of a registry, or else container runtimes ask a public one for it.
    pub(crate) name: &'a str,
    /// Programs: where each is, and its place in the image.
    pub(crate) programs: &'a [(&'a Path, &'a str)],
    pub(crate) entrypoint: &'a [&'a str],
}

// === impl Image ===

impl Image<'_> {
    /// Writes the archive; what was at the path is replaced.
    pub(crate) fn write(&self, archive: &Path) -> Result<()> {
        let layout = archive.with_extension("layout");
        if layout.exists() {
            fs::remove_dir_all(&layout).with_context(|| format!("remove {}", layout.display()))?;
        }
        let layer = self.layer(&layout)?;
        let config = json!({
            "architecture": architecture()?,
            "os": "linux",
            "config": {"Entrypoint": self.entrypoint},
            "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]},
        });
        let config = blob(&layout, &config, "application/vnd.oci.image.config.v1+json")?;
        let kind = "application/vnd.oci.image.manifest.v1+json";
        let manifest = json!({
            "schemaVersion": 2, "mediaType": kind, "config": config, "layers": [layer],
        });
        let mut manifest = blob(&layout, &manifest, kind)?;
        manifest["annotations"] = json!({
            "io.containerd.image.name": self.name,
            "org.opencontainers.image.ref.name": self.name,
        });
        let index = json!({"schemaVersion": 2, "manifests": [manifest]});
        write(&layout.join("index.json"), index.to_string().as_bytes())?;
        write(
            &layout.join("oci-layout"),
            br#"{"imageLayoutVersion":"1.0.0"}"#,
        )?;
        tar(&layout, archive)?;
        fs::remove_dir_all(&layout).with_context(|| format!("remove {}", layout.display()))
    }

    fn layer(&self, layout: &Path) -> Result<Value> {
        let root = layout.join("root");
        for (program, place) in self.programs {
            let to = root.join(place.trim_start_matches('/'));
            let folder = to.parent().context("find the folder of a program")?;
            fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
            fs::copy(program, &to).with_context(|| format!("copy {}", program.display()))?;
            fs::set_permissions(&to, fs::Permissions::from_mode(0o755))
                .with_context(|| format!("set the mode of {}", to.display()))?;
        }
        let packed = layout.join("layer");
        tar(&root, &packed)?;
        fs::remove_dir_all(&root).with_context(|| format!("remove {}", root.display()))?;
        keep(layout, &packed, "application/vnd.oci.image.layer.v1.tar")
    }
}

fn blob(layout: &Path, content: &Value, kind: &str) -> Result<Value> {
    let path = layout.join("blob");
    write(&path, content.to_string().as_bytes())?;
    keep(layout, &path, kind)
}

/// Moves a file to where its content says, and describes it.
fn keep(layout: &Path, file: &Path, kind: &str) -> Result<Value> {
    let size = fs::metadata(file)
        .with_context(|| format!("look at {}", file.display()))?
        .len();
    let printed = shell::read(Command::new("sha256sum").arg(file))?;
    let digest = printed
        .split_whitespace()
        .next()
        .context("read what sha256sum printed")?;
    let blobs = layout.join("blobs/sha256");
    fs::create_dir_all(&blobs).with_context(|| format!("create {}", blobs.display()))?;
    fs::rename(file, blobs.join(digest)).with_context(|| format!("move {}", file.display()))?;
    Ok(json!({"mediaType": kind, "digest": format!("sha256:{digest}"), "size": size}))
}

fn tar(folder: &Path, to: &Path) -> Result<()> {
    let mut command = Command::new("tar");
    command
        .args(["--sort=name", "--mtime=@0", "--owner=0", "--group=0"])
        .args([
            "--numeric-owner",
            "--format=pax",
            "--pax-option=delete=atime,delete=ctime",
        ])
        .arg("-C")
        .arg(folder)
        .arg("-cf")
        .arg(to)
        .args(names(folder)?);
    shell::read(&mut command).map(drop)
}

fn names(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = folder
        .read_dir()
        .with_context(|| format!("list {}", folder.display()))?;
    let mut names: Vec<PathBuf> = entries
        .map(|entry| Ok(entry?.file_name().into()))
        .collect::<Result<_>>()?;
    names.sort();
    Ok(names)
}

/// What OCI calls the machine that this runs on.
fn architecture() -> Result<&'static str> {
    match std::env::consts::ARCH {
        "x86_64" => Ok("amd64"),
        "aarch64" => Ok("arm64"),
        other => bail!("make an image for {other}: its name in OCI is not known"),
    }
}

fn write(path: &Path, content: &[u8]) -> Result<()> {
    let folder = path.parent().context("find the folder of a file")?;
    fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    fs::write(path, content).with_context(|| format!("write {}", path.display()))
}
