//! Which way imports point: the rooms of each crate, and what each may import. A room is a folder of `src`, or a file
//! that lies there by itself. It only says what holds; `imports.rs` looks.

/// One crate that is looked at.
pub(super) struct Crate {
    /// Its root file.
    pub(super) root: &'static str,
    /// Each room with the rooms that it may import from: only ones that stand above it. Empty: the crate is one room.
    pub(super) rooms: &'static [(&'static str, &'static [&'static str])],
}

pub(super) const CRATES: &[Crate] = &[
    Crate {
        root: "common/src/lib.rs",
        rooms: &[],
    },
    Crate {
        root: "probe-ebpf/src/lib.rs",
        rooms: &[],
    },
    Crate {
        root: "probe-ebpf/src/main.rs",
        rooms: &[],
    },
    Crate {
        root: "engine/src/lib.rs",
        rooms: ENGINE,
    },
    Crate {
        root: "daemon/src/lib.rs",
        rooms: DAEMON,
    },
    Crate {
        root: "xtask/src/main.rs",
        rooms: &[],
    },
];

/// From what is told to who tells it.
#[rustfmt::skip]
const ENGINE: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("bounded", &[]),
    ("timing", &[]),
    ("ids", &["bounded"]),
    ("clocks", &[]),
    ("input", &["model"]),
    ("want", &["model"]),
    ("servers", &["model"]),
    ("render", &["model"]),
    ("services", &["model", "bounded", "timing", "input"]),
    ("elsewhere", &["bounded", "input", "services"]),
    ("known", &["model", "clocks", "servers", "services"]),
    ("drains", &["model", "bounded", "timing", "clocks", "input", "want", "servers", "services", "known"]),
    ("closes", &["model", "clocks", "known", "drains"]),
    ("diagnoses", &["model", "servers", "render"]),
    ("summary", &["model", "servers", "render", "diagnoses"]),
    ("rollouts", &["model", "bounded", "timing", "ids", "render", "services", "diagnoses"]),
    ("incidents", &["model", "bounded", "timing", "servers", "render", "known", "drains", "diagnoses", "ids"]),
    ("relatives", &["timing"]),
    ("accounting", &["model", "timing", "known", "drains", "rollouts", "want"]),
    ("snapshot", &["model", "drains"]),
    ("engine", &["model", "bounded", "timing", "clocks", "input", "want", "services", "elsewhere", "known", "drains", "closes", "diagnoses", "rollouts", "incidents", "relatives", "accounting", "snapshot"]),
    ("lib", &[]),
];

/// From the kernel to whoever looks.
#[rustfmt::skip]
const DAEMON: &[(&str, &[&str])] = &[
    ("clock", &[]),
    ("logging", &[]),
    ("mounts", &[]),
    ("nearest", &[]),
    ("ports", &[]),
    ("netns", &["mounts"]),
    ("families", &["netns"]),
    ("kubernetes", &["clock"]),
    ("attribution", &["clock", "mounts", "netns", "kubernetes"]),
    ("probe", &["clock", "netns"]),
    ("config", &["logging", "probe", "kubernetes"]),
    ("deploy", &["clock", "nearest", "config"]),
    ("store", &["clock", "config"]),
    ("metrics", &["kubernetes", "attribution", "probe", "deploy"]),
    ("http", &["clock", "nearest", "deploy", "metrics"]),
    ("preflight", &["mounts", "netns", "kubernetes", "attribution"]),
    ("watch", &["clock", "netns", "families", "kubernetes", "attribution", "probe"]),
    ("client", &["clock", "nearest"]),
    ("lifecycle", &["clock", "netns", "families", "kubernetes", "attribution", "probe", "config", "deploy", "store", "metrics", "http", "preflight"]),
    ("lib", &["clock", "kubernetes", "attribution", "probe", "ports", "config", "deploy", "store", "metrics", "http", "lifecycle"]),
    ("cli", &["clock", "logging", "kubernetes", "config", "preflight", "watch", "client", "lifecycle", "lib"]),
];

impl Crate {
    /// The room of a file: what follows `src`, without what is inside it.
    pub(super) fn room<'a>(&self, file: &'a str) -> &'a str {
        let folder = self.root.rsplit_once('/').map_or("", |(folder, _)| folder);
        let inside = file
            .strip_prefix(folder)
            .map_or(file, |inside| inside.trim_start_matches('/'));
        let room = inside.split('/').next().unwrap_or(inside);
        room.strip_suffix(".rs").unwrap_or(room)
    }

    pub(super) fn allows(&self, from: &str, to: &str) -> bool {
        self.rooms
            .iter()
            .any(|(room, imports)| *room == from && imports.contains(&to))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_imports_only_from_rooms_above_it() {
        for Crate { root, rooms } in CRATES {
            for (at, (room, imports)) in rooms.iter().enumerate() {
                for import in *imports {
                    assert!(
                        rooms[..at].iter().any(|(above, _)| above == import),
                        "{root}: {room} imports {import}, which stands below it or nowhere"
                    );
                }
            }
        }
    }

    #[test]
    fn a_room_is_a_folder_or_a_file() {
        let engine = Crate {
            root: "engine/src/lib.rs",
            rooms: ENGINE,
        };
        for (file, room) in [
            ("engine/src/drains/mod.rs", "drains"),
            ("engine/src/services/windows/stream.rs", "services"),
            ("engine/src/timing.rs", "timing"),
            ("engine/src/lib.rs", "lib"),
        ] {
            assert_eq!(engine.room(file), room);
        }
    }
}
