//! The kernel memory of a process's BPF maps, by their names.

use std::collections::BTreeMap;

use anyhow::Result;

use super::bpf;
use super::object::{self, Kind};
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
        .map(|(id, bytes)| Ok((object::open(Kind::Map, id)?.1, bytes)))
        .collect::<Result<Vec<_>>>()?;
    maps.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
    Ok(maps)
}
