//! `cargo xtask tidy`: the invariants of the architecture that a reader of the text can check.

mod imports;
mod modules;
mod rooms;
mod rules;
mod words;

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use self::rules::{Finding, LONG_FILES, check};
use crate::paths::Paths;
use crate::shell::say;

pub(crate) fn run(paths: &Paths) -> Result<()> {
    say("checking the architecture's invariants");
    let mut findings = Vec::new();
    let mut texts = modules::Texts::new();
    visit(&paths.root, &paths.root, &mut |path, text| {
        findings.extend(check(path, text));
        texts.insert(path.to_owned(), text.to_owned());
    })?;
    findings.extend(imports::check(&texts));
    findings.extend(words::check(&texts));
    for (path, _) in LONG_FILES {
        if !texts.contains_key(*path) {
            findings.push(Finding::whole(
                path,
                "listed as a long file, but there is no such file",
            ));
        }
    }
    if findings.is_empty() {
        return Ok(());
    }
    for Finding { path, line, text } in &findings {
        eprintln!("{path}:{line}: {text}");
    }
    bail!("{} findings by tidy", findings.len());
}

/// Calls `each` with every text file of the workspace that a person wrote.
fn visit(root: &Path, dir: &Path, each: &mut dyn FnMut(&str, &str)) -> Result<()> {
    let entries = dir
        .read_dir()
        .with_context(|| format!("list {}", dir.display()))?;
    let mut files: Vec<_> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    files.sort();
    for file in files {
        let relative = file
            .strip_prefix(root)
            .unwrap_or(&file)
            .to_string_lossy()
            .into_owned();
        if SKIPPED.contains(&relative.as_str()) {
            continue;
        }
        if file.is_dir() {
            visit(root, &file, each)?;
        } else if let Ok(text) = fs::read_to_string(&file) {
            each(&relative, &text);
        }
    }
    Ok(())
}

const SKIPPED: &[&str] = &[".git", "target", "Cargo.lock"];
