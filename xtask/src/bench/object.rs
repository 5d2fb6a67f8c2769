//! A program or a map of the kernel's by its number: a descriptor of it, and its name.

use std::os::fd::{AsRawFd as _, OwnedFd};

use anyhow::{Context as _, Result};

use super::bpf;

/// What has numbers.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Program,
    Map,
}

/// Opens it, and asks for its name, of which the kernel keeps fifteen letters.
pub(super) fn open(kind: Kind, id: u64) -> Result<(OwnedFd, String)> {
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
    const BPF_OBJ_GET_INFO_BY_FD: i32 = 15;
    const NAME_BYTES: usize = 16;
    // BPF_PROG_GET_FD_BY_ID and BPF_MAP_GET_FD_BY_ID; the name stands behind sixteen numbers of a `bpf_prog_info` and behind six
    // of a `bpf_map_info`.
    let (get_fd_by_id, what, name_at) = match kind {
        Kind::Program => (13, "program", 16 * size_of::<u32>()),
        Kind::Map => (14, "map", 6 * size_of::<u32>()),
    };
    let by_id = ById {
        id: u32::try_from(id).with_context(|| format!("read the number of a {what}"))?,
        next_id: 0,
        open_flags: 0,
    };
    let object =
        bpf::open(get_fd_by_id, &by_id).with_context(|| format!("open the {what} {id}"))?;
    let mut info = [0u64; 10];
    let info_of = InfoOf {
        fd: object.as_raw_fd().unsigned_abs(),
        info_len: (name_at + NAME_BYTES) as u32,
        info: (&raw mut info).addr() as u64,
    };
    bpf::ask(BPF_OBJ_GET_INFO_BY_FD, &info_of)
        .with_context(|| format!("ask for the {what} {id}"))?;
    let bytes = info.iter().flat_map(|word| word.to_ne_bytes());
    let name = bytes.skip(name_at).take(NAME_BYTES);
    let name: Vec<u8> = name.take_while(|byte| *byte != 0).collect();
    Ok((object, String::from_utf8_lossy(&name).into_owned()))
}
