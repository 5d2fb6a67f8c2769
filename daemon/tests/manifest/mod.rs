//! What the files under `deploy/` give the daemon, read from the files themselves. It reads lines, not YAML: the two
//! files are this project's own.

use std::{collections::BTreeSet, fs, path::Path};

/// What one of them says.
#[derive(Debug)]
pub(crate) struct Manifest {
    /// `CAP_BPF`, ...
    pub(crate) capabilities: BTreeSet<String>,
    /// The words after the program's name.
    pub(crate) arguments: Vec<String>,
    /// The only folder that may be written to.
    pub(crate) state: String,
}

/// `deploy/daemonset.yaml`.
pub(crate) fn daemonset() -> Manifest {
    let text = read("daemonset.yaml");
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    for wanted in [
        "readOnlyRootFilesystem: true",
        "allowPrivilegeEscalation: false",
        "privileged: false",
        "drop: [\"ALL\"]",
        "runAsUser: 0",
        "hostPID: true",
        "hostNetwork: false",
        "type: RuntimeDefault",
    ] {
        assert!(lines.contains(&wanted), "daemonset.yaml: `{wanted}`");
    }
    let after = |key: &str| {
        let at = lines.iter().position(|line| *line == key);
        &lines[at.unwrap_or_else(|| panic!("daemonset.yaml: `{key}`")) + 1..]
    };
    let capability = |line: &&str| {
        let name = line.strip_prefix("- ")?.split(" #").next()?;
        Some(format!("CAP_{name}"))
    };
    let mounts: Vec<_> = lines
        .iter()
        .enumerate()
        .filter_map(|(at, line)| Some((line.strip_prefix("mountPath: ")?, lines.get(at + 1))))
        .collect();
    let mut writable = mounts
        .iter()
        .filter(|(_, next)| next.is_none_or(|next| *next != "readOnly: true"));
    let state = writable.next().expect("a folder for the state").0;
    assert!(writable.next().is_none(), "only one folder may be written");
    let arguments = lines.iter().find_map(|line| line.strip_prefix("args: "));
    Manifest {
        capabilities: after("add:").iter().map_while(capability).collect(),
        arguments: serde_json::from_str(arguments.expect("arguments")).expect("a list of texts"),
        state: state.to_owned(),
    }
}

/// `deploy/finwatch.service`.
pub(crate) fn service() -> Manifest {
    let text = read("finwatch.service");
    let value = |key: &str| {
        let mut values = text
            .lines()
            .filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        let value = values
            .next()
            .unwrap_or_else(|| panic!("finwatch.service: {key}="));
        assert!(values.next().is_none(), "finwatch.service: {key}= twice");
        value
    };
    for (key, wanted) in [
        ("Type", "notify"),
        ("DynamicUser", "yes"),
        ("NoNewPrivileges", "yes"),
        ("ProtectSystem", "strict"),
        ("ProtectHome", "yes"),
    ] {
        assert_eq!(value(key), wanted, "finwatch.service: {key}=");
    }
    let set = |key| value(key).split(' ').map(str::to_owned).collect();
    let capabilities: BTreeSet<String> = set("AmbientCapabilities");
    let bounding: BTreeSet<String> = set("CapabilityBoundingSet");
    assert_eq!(capabilities, bounding, "no more than what is used");
    let mut command = value("ExecStart").split(' ');
    assert_eq!(command.next(), Some("/usr/bin/finwatch"));
    Manifest {
        capabilities,
        arguments: command.map(str::to_owned).collect(),
        state: format!("/var/lib/{}", value("StateDirectory")),
    }
}

fn read(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../deploy")
        .join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("read {}: {error}", path.display()))
}
