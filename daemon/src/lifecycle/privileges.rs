//! Which capabilities the daemon keeps once the programs are attached, and why; all others are dropped for good,
//! from every thread made later as well.
//!
//! Found by dropping them one at a time: reading and emptying the maps, the programs' figures and opening the
//! survey's iterators need none on kernels from 5.19 on. Before, `kernel.unprivileged_bpf_disabled` closed the
//! whole of bpf(2) to a process without CAP_BPF; whether it does is tried, not guessed from a version.

use std::collections::HashSet;

use anyhow::Context as _;
use caps::{CapSet, Capability};

/// What is still needed after the start.
const KEPT: [(Capability, &str); 3] = [
    (
        Capability::CAP_SYS_ADMIN,
        "enter other network namespaces for the survey (setns)",
    ),
    (
        Capability::CAP_SYS_PTRACE,
        "open /proc/<pid>/ns/net of other users' processes",
    ),
    (
        Capability::CAP_DAC_READ_SEARCH,
        "resolve a cgroup's id to its path (open_by_handle_at), read the engines' names of containers",
    ),
];

/// Kept only where `reads_counters` fails without it.
const BPF: (Capability, &str) = (
    Capability::CAP_BPF,
    "read the counter maps: this kernel closes bpf(2) to processes without it",
);

/// Drops everything that is not in the lists above. To be called while the process has one thread only: a
/// thread's capabilities are its own.
///
/// # Errors
/// When the kernel refuses.
pub(crate) fn drop_capabilities(reads_counters: impl Fn() -> bool) -> anyhow::Result<()> {
    let held = caps::read(None, CapSet::Permitted).context("cannot read the capabilities")?;
    let mut wanted: Vec<_> = KEPT.to_vec();
    let mut kept = both(&wanted, &held);
    caps::set(None, CapSet::Effective, &kept).context("cannot drop effective capabilities")?;
    if !reads_counters() {
        wanted.push(BPF);
        kept = both(&wanted, &held);
        caps::set(None, CapSet::Effective, &held).context("cannot take back a capability")?;
    }
    drop_bounding(&held, &kept)?;
    // The ambient set must stay within the others, so it goes first.
    caps::clear(None, CapSet::Ambient).context("cannot drop ambient capabilities")?;
    caps::set(None, CapSet::Inheritable, &HashSet::new())
        .context("cannot drop inheritable capabilities")?;
    caps::set(None, CapSet::Effective, &kept).context("cannot drop effective capabilities")?;
    caps::set(None, CapSet::Permitted, &kept).context("cannot drop permitted capabilities")?;
    for (capability, why) in wanted.iter().filter(|(one, _)| kept.contains(one)) {
        tracing::info!(%capability, why, "capability kept");
    }
    tracing::info!(
        dropped = held.len() - kept.len(),
        "dropped the capabilities that are not needed any more (--keep-capabilities keeps them)"
    );
    Ok(())
}

fn both(wanted: &[(Capability, &str)], held: &HashSet<Capability>) -> HashSet<Capability> {
    let wanted = wanted.iter().map(|(capability, _)| *capability);
    wanted.filter(|one| held.contains(one)).collect()
}

/// Without CAP_SETPCAP the bounding set cannot be cut down; as nothing is ever executed it then does not matter.
fn drop_bounding(held: &HashSet<Capability>, kept: &HashSet<Capability>) -> anyhow::Result<()> {
    if !held.contains(&Capability::CAP_SETPCAP) {
        return Ok(());
    }
    caps::raise(None, CapSet::Effective, Capability::CAP_SETPCAP)
        .context("cannot take back CAP_SETPCAP")?;
    for capability in caps::read(None, CapSet::Bounding)?.difference(kept) {
        caps::drop(None, CapSet::Bounding, *capability)
            .with_context(|| format!("cannot drop {capability} from the bounding set"))?;
    }
    Ok(())
}
