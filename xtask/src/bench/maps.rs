//! The kernel memory of a process's BPF maps, by their names.

use std::collections::BTreeMap;
use std::os::fd::AsRawFd as _;

use anyhow::{Context as _, Result};

use super::bpf;
use super::sys::field;

/// Bytes of each map, as the kernel accounts for them; the largest first.
pub(super) fn of(pid: u32) -> Result<Vec<(String, u64)>> {
    // A map may be open more than once.
    let mut by_id = BTreeMap::new();
    for file in bpf::files_of(pid)? {
        if let (Some(id), Some(bytes)) = (field(&file, "map_id:"), field(&file, "memlock:")) {
            by_id.insert(id, bytes);
        }
    }
    let mut maps = by_id
        .into_iter()
        .map(|(id, bytes)| Ok((name(id)?, bytes)))
        .collect::<Result<Vec<_>>>()?;
    maps.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
    Ok(maps)
}

fn name(id: u64) -> Result<String> {
    #[repr(C)]
    struct ById {
        id: u32,
        next_id: u32,
        open_flags: u32,
    }
    #[repr(C)]
    struct InfoOf {
        fd: u32,
        info_len: u32,
        info: u64,
    }
    /// The beginning of a `bpf_map_info`: six numbers and the name.
    #[repr(C)]
    #[derive(Default)]
    struct Info {
        numbers: [u32; 6],
        name: [u8; 16],
    }
    const BPF_MAP_GET_FD_BY_ID: i32 = 14;
    const BPF_OBJ_GET_INFO_BY_FD: i32 = 15;
    let by_id = ById {
        id: u32::try_from(id).context("read a map's number")?,
        next_id: 0,
        open_flags: 0,
    };
    let map =
        bpf::open(BPF_MAP_GET_FD_BY_ID, &by_id).with_context(|| format!("open the map {id}"))?;
    let mut info = Info::default();
    let info_of = InfoOf {
        fd: map.as_raw_fd().unsigned_abs(),
        info_len: size_of::<Info>() as u32,
        info: (&raw mut info).addr() as u64,
    };
    bpf::ask(BPF_OBJ_GET_INFO_BY_FD, &info_of).with_context(|| format!("ask for the map {id}"))?;
    let name = info.name.split(|byte| *byte == 0).next();
    Ok(String::from_utf8_lossy(name.unwrap_or_default()).into_owned())
}
