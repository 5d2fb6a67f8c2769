//! Which capabilities the daemon keeps once the programs are attached, and why; all others are dropped for good,
//! from every thread made later as well.

use std::collections::HashSet;

use anyhow::Context as _;
use caps::{CapSet, Capability};

/// What is still needed after the start.
const KEPT: [(Capability, &str); 5] = [
    (
        Capability::CAP_BPF,
        "read and empty the counter maps, open the survey's iterator",
    ),
    (
        Capability::CAP_PERFMON,
        "open the survey's iterator, which reads kernel memory",
    ),
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
        "resolve a cgroup's id to its path",
    ),
];

/// Drops everything that is not in the list above. To be called while the process has one thread only: a
/// thread's capabilities are its own.
///
/// # Errors
/// When the kernel refuses.
pub(crate) fn drop_capabilities() -> anyhow::Result<()> {
    let held = caps::read(None, CapSet::Permitted).context("cannot read the capabilities")?;
    let kept: HashSet<_> = KEPT
        .iter()
        .map(|(capability, _)| *capability)
        .filter(|capability| held.contains(capability))
        .collect();
    // The ambient set first: it must stay within the others.
    caps::clear(None, CapSet::Ambient).context("cannot drop ambient capabilities")?;
    caps::set(None, CapSet::Inheritable, &HashSet::new())
        .context("cannot drop inheritable capabilities")?;
    drop_bounding(&kept)?;
    caps::set(None, CapSet::Effective, &kept).context("cannot drop effective capabilities")?;
    caps::set(None, CapSet::Permitted, &kept).context("cannot drop permitted capabilities")?;
    for (capability, why) in KEPT
        .iter()
        .filter(|(capability, _)| kept.contains(capability))
    {
        tracing::debug!(%capability, why, "capability kept");
    }
    tracing::info!(
        kept = kept.len(),
        dropped = held.len() - kept.len(),
        "dropped the capabilities that are not needed any more (--keep-capabilities keeps them)"
    );
    Ok(())
}

/// Without CAP_SETPCAP the bounding set cannot be cut down; as nothing is ever executed it then does not matter.
fn drop_bounding(kept: &HashSet<Capability>) -> anyhow::Result<()> {
    if !caps::has_cap(None, CapSet::Effective, Capability::CAP_SETPCAP)? {
        return Ok(());
    }
    for capability in caps::read(None, CapSet::Bounding)?.difference(kept) {
        caps::drop(None, CapSet::Bounding, *capability)
            .with_context(|| format!("cannot drop {capability} from the bounding set"))?;
    }
    Ok(())
}
