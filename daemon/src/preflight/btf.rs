//! Which names a kernel's BTF knows. It reads the string section only: enough to tell whether a
//! tracepoint or an enumeration is there, not what it looks like.

use std::collections::HashSet;

/// Of `wanted`, the names that are in the BTF; `None` when the bytes are no BTF of this byte order.
pub(super) fn names_in<'a>(btf: &[u8], wanted: &[&'a str]) -> Option<HashSet<&'a str>> {
    let strings = strings(btf)?;
    // One pass over some megabytes: a look-up in a short list for each name.
    let found = strings
        .split(|byte| *byte == 0)
        .filter_map(|name| wanted.iter().find(|wanted| wanted.as_bytes() == name));
    Some(found.copied().collect())
}

/// The header (`struct btf_header`): magic, version, flags, its own length, then offset and length of
/// the types and of the strings, counted from the header's end.
fn strings(btf: &[u8]) -> Option<&[u8]> {
    const MAGIC: u16 = 0xeb9f;

    let half = btf.get(..2)?.try_into().ok()?;
    if u16::from_ne_bytes(half) != MAGIC {
        return None;
    }
    let header_len = word(btf, 4)?;
    let start = header_len.checked_add(word(btf, 16)?)?;
    let end = start.checked_add(word(btf, 20)?)?;
    btf.get(start..end)
}

fn word(bytes: &[u8], at: usize) -> Option<usize> {
    let word = bytes.get(at..at + 4)?.try_into().ok()?;
    usize::try_from(u32::from_ne_bytes(word)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn btf(strings: &[u8]) -> Vec<u8> {
        let mut bytes = 0xeb9f_u16.to_ne_bytes().to_vec();
        bytes.extend([1, 0]);
        for word in [24, 0, 8, 8, strings.len() as u32] {
            bytes.extend(u32::to_ne_bytes(word));
        }
        bytes.extend([0xff; 8]);
        bytes.extend(strings);
        bytes
    }

    #[test]
    fn whole_names_only() {
        let bytes = btf(b"\0btf_trace_tcp_probe\0sk_rst_reasons\0x\0");
        let wanted = ["btf_trace_tcp_probe", "sk_rst_reason", "tcp_probe"];
        let found = names_in(&bytes, &wanted).unwrap();
        assert_eq!(found, HashSet::from(["btf_trace_tcp_probe"]));
    }

    #[test]
    fn what_is_no_btf_is_refused() {
        assert_eq!(names_in(b"", &["x"]), None);
        assert_eq!(names_in(b"\x7fELF and some more bytes", &["x"]), None);
        let whole = btf(b"\0name\0");
        assert_eq!(names_in(&whole[..whole.len() - 1], &["name"]), None);
    }
}
