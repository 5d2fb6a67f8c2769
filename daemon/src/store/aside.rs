//! Setting a history file aside that cannot be used: it is renamed, never deleted at once, and only the last few
//! such files are kept. It does not know why a file cannot be used.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use jiff::Timestamp;

/// Most files that are kept aside, of all sorts together.
const KEPT_MAX: usize = 3;

/// Renames `file` to `<file>.<why>-<time>` and says how it is called now; the oldest of earlier ones go.
///
/// # Errors
/// When the directory cannot be written.
pub(super) fn set(file: &Path, why: &str, now: Timestamp) -> io::Result<PathBuf> {
    let stamp = now.strftime("%Y%m%dT%H%M%S");
    let aside = (0..)
        .map(|again: u32| match again {
            0 => with_suffix(file, &format!(".{why}-{stamp}Z")),
            _ => with_suffix(file, &format!(".{why}-{stamp}Z-{again}")),
        })
        .find(|aside| !aside.exists())
        .unwrap_or_else(|| with_suffix(file, ".aside"));
    fs::rename(file, &aside)?;
    if let Err(error) = remove_oldest(file) {
        tracing::warn!(%error, "cannot remove history files that were set aside earlier");
    }
    Ok(aside)
}

fn with_suffix(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn remove_oldest(file: &Path) -> io::Result<()> {
    let (Some(directory), Some(name)) = (file.parent(), file.file_name()) else {
        return Ok(());
    };
    let ours = [".corrupt-", ".newer-"].map(|mark| format!("{}{mark}", name.to_string_lossy()));
    let mut aside = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let called = path.file_name().unwrap_or_default().to_string_lossy();
        // The order of the names after the mark is the order of the times.
        if let Some(time) = ours
            .iter()
            .find_map(|mark| called.strip_prefix(mark.as_str()))
        {
            aside.push((time.to_owned(), path));
        }
    }
    aside.sort();
    let surplus = aside.len().saturating_sub(KEPT_MAX);
    for (_, path) in aside.into_iter().take(surplus) {
        fs::remove_file(&path)?;
        tracing::info!(path = %path.display(), "removed a history file that had been set aside");
    }
    Ok(())
}
