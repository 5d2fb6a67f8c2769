//! Takes on the sockets that are older than the programs: listeners, and connections with their role.

use std::os::fd::AsFd as _;

use aya::{
    Ebpf,
    maps::{HashMap, Map},
};
use finwatch_common::{OwnerSeed, SurveyRow, survey_kind};

use super::{object::SOCKETS, rows::Plain, survey};
use crate::netns::{Namespaces, owners};

/// What was there.
#[derive(Debug, Default)]
pub(super) struct Seeded {
    /// Who listens.
    pub(super) listeners: Vec<SurveyRow>,
    /// What could not be looked at, in words, one a namespace or cause.
    pub(super) refused: Vec<String>,
}

/// Walks every network namespace it may enter. What it may not enter is a stated loss, not an error.
pub(super) fn run(ebpf: &mut Ebpf) -> Seeded {
    let mut seeded = Seeded::default();
    if let Err(error) = tell_owners(ebpf) {
        seeded.refused.push(format!(
            "the owners of older sockets are not known: {error:#}"
        ));
    }
    match Namespaces::scan() {
        Ok(namespaces) => {
            for namespace in &namespaces.found {
                match survey::run(ebpf, SOCKETS, namespace.file.as_fd()) {
                    Ok(rows) => seeded
                        .listeners
                        .extend(rows.into_iter().filter(is_listener)),
                    Err(error) => {
                        let inum = namespace.inum;
                        seeded.refused.push(format!("net:[{inum}]: {error:#}"));
                    }
                }
            }
            let refusals = namespaces.refused.iter();
            seeded.refused.extend(
                refusals.map(|refusal| format!("{}: {}", refusal.found_at, refusal.reason)),
            );
        }
        Err(error) => seeded
            .refused
            .push(format!("no network namespace is known: {error}")),
    }
    forget_owners(ebpf);
    seeded
}

const fn is_listener(row: &SurveyRow) -> bool {
    row.kind == survey_kind::LISTENER
}

/// Says to the programs who holds which socket.
fn tell_owners(ebpf: &mut Ebpf) -> anyhow::Result<()> {
    let owners = owners::scan()?;
    let mut map = owners_map(ebpf)?;
    for (inode, seed) in owners.sockets {
        map.insert(inode, Plain(seed), 0)?;
    }
    Ok(())
}

/// Inode numbers are reused, so what was said is taken back.
fn forget_owners(ebpf: &mut Ebpf) {
    let Ok(mut map) = owners_map(ebpf) else {
        return;
    };
    let inodes: Vec<u64> = map.keys().filter_map(Result::ok).collect();
    for inode in inodes {
        // It can only fail for an entry that is gone.
        let _ = map.remove(&inode);
    }
}

fn owners_map(
    ebpf: &mut Ebpf,
) -> anyhow::Result<HashMap<&mut aya::maps::MapData, u64, Plain<OwnerSeed>>> {
    let map: &mut Map = ebpf
        .map_mut("OWNERS")
        .ok_or_else(|| anyhow::anyhow!("the object has no map OWNERS"))?;
    Ok(map.try_into()?)
}
