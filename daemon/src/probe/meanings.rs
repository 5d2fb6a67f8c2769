//! Tells the kernel programs what signals mean to the servers that are known. It knows no server itself.

use aya::{
    Ebpf,
    maps::{
        MapData,
        lpm_trie::{Key, LpmTrie},
    },
};
use finwatch_common::MeaningKey;
use finwatch_engine::servers::{self, Meaning};

use super::{ProbeError, object, rows::Plain};

/// Fills the kernel's map from the table of servers.
pub(super) fn fill(ebpf: &mut Ebpf) -> Result<(), ProbeError> {
    let name = "MEANINGS";
    let mut map: LpmTrie<MapData, Plain<MeaningKey>, u32> = object::map(ebpf, name)?;
    for (pattern, meaning) in servers::meanings() {
        let (bits, key) = key(pattern, meaning);
        map.insert(&Key::new(bits, Plain(key)), meaning.intent as u32, 0)
            .map_err(|source| ProbeError::Map { name, source })?;
    }
    Ok(())
}

/// What the kernel matches, and how many bits of it: of a whole name its NUL too, of a beginning no more than that.
fn key(pattern: &str, meaning: &Meaning) -> (u32, MeaningKey) {
    let beginning = pattern.strip_suffix('*');
    let bytes = beginning.unwrap_or(pattern).as_bytes();
    let mut comm = [0; 16];
    let mut matched = 0;
    for (to, from) in comm.iter_mut().zip(bytes) {
        *to = *from;
        matched += 1;
    }
    let nul = u32::from(beginning.is_none());
    let key = MeaningKey {
        signal: meaning.signal.into(),
        comm,
    };
    (MeaningKey::bits(matched + nul), key)
}

#[cfg(test)]
mod tests {
    use finwatch_common::{Intent, signal};

    use super::*;

    fn key_of(pattern: &str) -> (u32, MeaningKey) {
        let meaning = Meaning {
            signal: signal::USR1,
            intent: Intent::Nothing,
            does: "",
        };
        key(pattern, &meaning)
    }

    #[test]
    fn a_whole_name_is_matched_to_its_end_and_a_beginning_is_not() {
        let (whole, key) = key_of("nginx");
        assert_eq!(whole, 32 + 8 * 6);
        assert_eq!(key.signal, u32::from(signal::USR1));
        assert_eq!(&key.comm[..6], b"nginx\0");
        let (beginning, same) = key_of("nginx*");
        assert_eq!((beginning, same), (32 + 8 * 5, key));
        // The kernel keeps fifteen bytes and a NUL.
        assert_eq!(key_of("unicorn worker[").0, MeaningKey::BITS);
    }
}
