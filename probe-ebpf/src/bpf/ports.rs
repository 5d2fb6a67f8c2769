//! Who last listened on a port, for events that no socket carries: SYNs that nobody answers, segments
//! for mini-sockets, and sockets older than the programs.
//!
//! Written when a listener opens (here) and by nobody else. An LRU table: 112 bytes an entry.

use aya_ebpf::{btf_maps::LruHashMap, macros::btf_map};
use finwatch_common::{PortKey, PortOwner};

#[btf_map]
static PORTS: LruHashMap<PortKey, PortOwner, 16384> = LruHashMap::new();

/// Notes the owner of a port.
#[inline(always)]
pub(super) fn note(netns: u64, port: u16, owner: &PortOwner) {
    // It fails only when every entry of this CPU's share is in use at this instant; the next listener
    // of the port tries again, and until then the port has no known owner.
    let _ = PORTS.insert(key(netns, port), owner, 0);
}

/// The last known owner of a port.
#[inline(always)]
pub(super) fn owner(netns: u64, port: u16) -> Option<&'static PortOwner> {
    let found = PORTS.get_ptr(key(netns, port))?;
    // SAFETY: the entry stays readable for the run of the program; a torn read could only mix two
    // owners of the same port.
    unsafe { found.as_ref() }
}

#[inline(always)]
const fn key(netns: u64, port: u16) -> PortKey {
    PortKey {
        netns,
        port: port as u32,
        pad: 0,
    }
}
