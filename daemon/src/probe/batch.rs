//! All of a per-CPU hash map of counters by a few system calls (`BPF_MAP_LOOKUP_BATCH`, 5.6), where the library makes two for each entry.

use std::{
    io,
    os::fd::{AsFd as _, AsRawFd as _, OwnedFd},
};

use aya::{
    Ebpf,
    maps::{Map, MapData, MapError},
};
use finwatch_common::{Wire, WireError};

use super::ProbeError;

/// A map of 64-bit counters, one on each CPU.
#[derive(Debug)]
pub(super) struct Batch {
    map: OwnedFd,
    cpus: usize,
}

/// `union bpf_attr`, as the batch commands have it.
#[repr(C)]
#[derive(Default)]
struct Attr {
    /// Where the last call ended; 0: the first call.
    in_batch: u64,
    /// Where this one ended.
    out_batch: u64,
    keys: u64,
    values: u64,
    /// Room for so many entries; afterwards, how many there are.
    count: u32,
    map_fd: u32,
    elem_flags: u64,
    flags: u64,
}

// === impl Batch ===

impl Batch {
    /// Of a map that stays in the object.
    pub(super) fn new(ebpf: &Ebpf, name: &'static str) -> Result<Self, ProbeError> {
        let map: &MapData = match ebpf.map(name).ok_or(ProbeError::Missing { name })? {
            Map::PerCpuHashMap(map) => map,
            _ => return Err(ProbeError::Missing { name }),
        };
        let figures = |source| ProbeError::Figures { name, source };
        let value_size = map
            .info()
            .map_err(|source| ProbeError::Map { name, source })?;
        if value_size.value_size() as usize != size_of::<u64>() {
            let source = MapError::InvalidValueSize {
                size: size_of::<u64>(),
                expected: value_size.value_size() as usize,
            };
            return Err(ProbeError::Map { name, source });
        }
        Ok(Self {
            map: map.fd().as_fd().try_clone_to_owned().map_err(figures)?,
            cpus: aya::util::nr_cpus().map_err(|(_, source)| figures(source))?,
        })
    }

    /// Every entry, its counters summed over the CPUs. One that is made or removed meanwhile may be missing.
    ///
    /// # Errors
    /// When the kernel refuses, or a key is malformed.
    pub(super) fn sums<K: Wire>(&self) -> io::Result<Vec<(K, u64)>> {
        // More than a chain of the kernel's table can have, else it refuses to begin.
        const ROOM: usize = 256;
        let mut keys = vec![0u8; ROOM * size_of::<K>()];
        let mut values = vec![0u64; ROOM * self.cpus];
        let mut found = Vec::new();
        let mut place = 0u32;
        let mut begun = false;
        loop {
            let mut attr = Attr {
                in_batch: if begun { (&raw mut place) as u64 } else { 0 },
                out_batch: (&raw mut place) as u64,
                keys: keys.as_mut_ptr() as u64,
                values: values.as_mut_ptr() as u64,
                count: ROOM as u32,
                map_fd: self.map.as_raw_fd().cast_unsigned(),
                ..Attr::default()
            };
            let ended = match look_up(&mut attr) {
                Ok(()) => false,
                Err(error) if error.raw_os_error() == Some(libc::ENOENT) => true,
                Err(error) => return Err(error),
            };
            let entries = keys
                .chunks_exact(size_of::<K>())
                .zip(values.chunks_exact(self.cpus));
            for (key, counters) in entries.take(attr.count as usize) {
                let key = K::from_bytes(key).map_err(|error: WireError| io::Error::other(error))?;
                found.push((key, counters.iter().sum()));
            }
            if ended {
                return Ok(found);
            }
            begun = true;
        }
    }
}

fn look_up(attr: &mut Attr) -> io::Result<()> {
    const BPF_MAP_LOOKUP_BATCH: libc::c_int = 24;
    // SAFETY: the kernel reads the attributes, and writes to the buffers that they name, which have room for what they say.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, BPF_MAP_LOOKUP_BATCH, attr, size_of::<Attr>()) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
