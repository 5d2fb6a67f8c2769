//! A reader of the kernel's type information (BTF): where members lie, what arguments a tracepoint
//! has, what an enumeration's values are called. It knows nothing of programs.
//!
//! It walks the raw bytes rather than build every type, as there are 150,000 and a dozen are wanted;
//! the format is `Documentation/bpf/btf.rst` of the kernel.

use std::{collections::HashMap, fs, io, path::Path};

/// Where the running kernel shows its own.
pub(super) const VMLINUX: &str = "/sys/kernel/btf/vmlinux";

const MAGIC: u16 = 0xeb9f;
const TYPE_BYTES: usize = 12;

const INT: u32 = 1;
const PTR: u32 = 2;
const ARRAY: u32 = 3;
const STRUCT: u32 = 4;
const UNION: u32 = 5;
const ENUM: u32 = 6;
const FWD: u32 = 7;
const TYPEDEF: u32 = 8;
const VOLATILE: u32 = 9;
const CONST: u32 = 10;
const RESTRICT: u32 = 11;
const FUNC: u32 = 12;
const FUNC_PROTO: u32 = 13;
const VAR: u32 = 14;
const DATASEC: u32 = 15;
const DECL_TAG: u32 = 17;
const TYPE_TAG: u32 = 18;
const ENUM64: u32 = 19;

/// The types of one kernel.
pub(super) struct Btf {
    bytes: Vec<u8>,
    strings: usize,
    /// Where each type begins; type 0 is `void`.
    types: Vec<u32>,
    /// Named structures, typedefs, enumerations and functions.
    by_name: HashMap<(u32, Box<str>), u32>,
}

/// A member's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Member {
    /// Bytes from the start of the outermost structure.
    pub(super) offset: u32,
    /// Its size in bytes.
    pub(super) size: u32,
    /// Whether it is a pointer.
    pub(super) is_pointer: bool,
}

/// What a function takes and gives, each type as C writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prototype {
    /// What it returns.
    pub returns: String,
    /// What it is called with.
    pub arguments: Vec<String>,
}

/// Why there is no BTF.
#[derive(Debug, thiserror::Error)]
pub(super) enum BtfError {
    #[error("cannot read {VMLINUX}")]
    Read(#[source] io::Error),
    #[error("{VMLINUX} is not BTF of this byte order")]
    Malformed,
}

impl Btf {
    /// Reads the running kernel's types; names outside `wanted` are not kept.
    pub(super) fn of_kernel(wanted: impl Fn(&str) -> bool) -> Result<Self, BtfError> {
        let bytes = fs::read(Path::new(VMLINUX)).map_err(BtfError::Read)?;
        Self::parse(bytes, wanted).ok_or(BtfError::Malformed)
    }

    fn parse(bytes: Vec<u8>, wanted: impl Fn(&str) -> bool) -> Option<Self> {
        if u16::from_ne_bytes(bytes.get(..2)?.try_into().ok()?) != MAGIC {
            return None;
        }
        let header = word(&bytes, 4)? as usize;
        let first = header.checked_add(word(&bytes, 8)? as usize)?;
        let end = first.checked_add(word(&bytes, 12)? as usize)?;
        let strings = header.checked_add(word(&bytes, 16)? as usize)?;
        let mut btf = Self {
            bytes,
            strings,
            types: vec![0],
            by_name: HashMap::new(),
        };
        let mut at = first;
        while at < end {
            let id = u32::try_from(btf.types.len()).ok()?;
            btf.types.push(u32::try_from(at).ok()?);
            let (kind, vlen) = btf.shape(at)?;
            if matches!(kind, STRUCT | UNION | TYPEDEF | ENUM | ENUM64 | FUNC) {
                let name = btf.string(word(&btf.bytes, at)?)?;
                if !name.is_empty() && wanted(name) {
                    let name = name.into();
                    btf.by_name.entry((family(kind), name)).or_insert(id);
                }
            }
            at = at.checked_add(TYPE_BYTES + trailer_bytes(kind, vlen))?;
        }
        Some(btf)
    }

    /// The member that `path` (`struct.member.member`) leads to. Anonymous members are passed through.
    pub(super) fn member(&self, path: &str) -> Option<Member> {
        let mut names = path.split('.');
        let mut id = *self.by_name.get(&(STRUCT, names.next()?.into()))?;
        let mut offset = 0;
        for name in names {
            let (bits, member) = self.find_member(id, name)?;
            offset += bits / 8;
            id = member;
        }
        let id = self.resolve(id)?;
        Some(Member {
            offset,
            size: self.size(id)?,
            is_pointer: self.kind(id)? == PTR,
        })
    }

    /// What programs on a tracepoint get, or `None` when the kernel has no such tracepoint.
    pub(super) fn tracepoint(&self, name: &str) -> Option<Prototype> {
        let id = *self
            .by_name
            .get(&(TYPEDEF, format!("btf_trace_{name}").into()))?;
        let pointer = self.resolve(id)?;
        let mut prototype = self.prototype(self.type_word(pointer, 8)?)?;
        if prototype.arguments.is_empty() {
            return None;
        }
        // The first is the tracepoint's own data pointer.
        prototype.arguments.remove(0);
        Some(prototype)
    }

    /// What programs of an iterator get, or `None` when the kernel has no such iterator.
    pub(super) fn iterator(&self, name: &str) -> Option<Prototype> {
        let id = *self
            .by_name
            .get(&(FUNC, format!("bpf_iter_{name}").into()))?;
        self.prototype(self.type_word(id, 8)?)
    }

    fn prototype(&self, id: u32) -> Option<Prototype> {
        let id = self.resolve(id)?;
        let at = *self.types.get(id as usize)? as usize;
        let (kind, vlen) = self.shape(at)?;
        if kind != FUNC_PROTO {
            return None;
        }
        let arguments = (0..vlen).map(|index| {
            let entry = at + TYPE_BYTES + index * 8;
            self.in_c(word(&self.bytes, entry + 4)?)
        });
        Some(Prototype {
            arguments: arguments.collect::<Option<_>>()?,
            returns: self.in_c(self.type_word(id, 8)?)?,
        })
    }

    /// A type as C writes it: `const struct sock *`.
    fn in_c(&self, mut id: u32) -> Option<String> {
        let (mut before, mut after) = ("", String::new());
        // As in `resolve`.
        for _ in 0..32 {
            if id == 0 {
                return Some(format!("{before}void{after}"));
            }
            let name = self.string(self.type_word(id, 0)?)?;
            let target = self.type_word(id, 8)?;
            match self.kind(id)? {
                PTR => after.push_str(if after.is_empty() { " *" } else { "*" }),
                // Of a value that is passed it says nothing, and compilers drop it or not.
                CONST if !after.is_empty() => before = "const ",
                CONST | VOLATILE | RESTRICT | TYPE_TAG => {}
                INT | TYPEDEF => return Some(format!("{before}{name}{after}")),
                STRUCT | FWD => return Some(format!("{before}struct {name}{after}")),
                UNION => return Some(format!("{before}union {name}{after}")),
                ENUM | ENUM64 => return Some(format!("{before}enum {name}{after}")),
                _ => return None,
            }
            id = target;
        }
        None
    }

    /// Names of an enumeration's values, those that fit a byte.
    pub(super) fn enum_names(&self, name: &str) -> Option<Vec<(u8, &str)>> {
        let id = *self.by_name.get(&(ENUM, name.into()))?;
        let at = *self.types.get(id as usize)? as usize;
        let (kind, vlen) = self.shape(at)?;
        let step = if kind == ENUM64 { 12 } else { 8 };
        let mut names = Vec::with_capacity(vlen);
        for index in 0..vlen {
            let entry = at + TYPE_BYTES + index * step;
            if let Ok(value) = u8::try_from(word(&self.bytes, entry + 4)?) {
                names.push((value, self.string(word(&self.bytes, entry)?)?));
            }
        }
        Some(names)
    }

    /// Offset in bits and type of a member of a structure or union, or of an anonymous one inside.
    fn find_member(&self, id: u32, name: &str) -> Option<(u32, u32)> {
        let id = self.resolve(id)?;
        let at = *self.types.get(id as usize)? as usize;
        let (kind, vlen) = self.shape(at)?;
        if !matches!(kind, STRUCT | UNION) {
            return None;
        }
        let bitfields = word(&self.bytes, at + 4)? >> 31 != 0;
        for index in 0..vlen {
            let entry = at + TYPE_BYTES + index * 12;
            let member_name = self.string(word(&self.bytes, entry)?)?;
            let member_type = word(&self.bytes, entry + 4)?;
            let mut bits = word(&self.bytes, entry + 8)?;
            if bitfields {
                bits &= 0x00ff_ffff;
            }
            if member_name == name {
                return Some((bits, member_type));
            }
            if member_name.is_empty()
                && let Some((inner, found)) = self.find_member(member_type, name)
            {
                return Some((bits + inner, found));
            }
        }
        None
    }

    /// Passes through typedefs and qualifiers.
    fn resolve(&self, mut id: u32) -> Option<u32> {
        // A chain that long does not occur; a loop in malformed bytes would.
        for _ in 0..32 {
            match self.kind(id)? {
                TYPEDEF | VOLATILE | CONST | RESTRICT | TYPE_TAG => id = self.type_word(id, 8)?,
                _ => return Some(id),
            }
        }
        None
    }

    fn size(&self, id: u32) -> Option<u32> {
        match self.kind(id)? {
            INT | STRUCT | UNION | ENUM | ENUM64 => self.type_word(id, 8),
            PTR => Some(8),
            ARRAY => {
                let element = self.resolve(self.type_word(id, 12)?)?;
                self.size(element)?.checked_mul(self.type_word(id, 20)?)
            }
            _ => None,
        }
    }

    fn kind(&self, id: u32) -> Option<u32> {
        Some(
            self.shape(*self.types.get(id as usize).filter(|_| id != 0)? as usize)?
                .0,
        )
    }

    fn type_word(&self, id: u32, at: usize) -> Option<u32> {
        word(&self.bytes, *self.types.get(id as usize)? as usize + at)
    }

    /// Kind and vlen of the type at a place.
    fn shape(&self, at: usize) -> Option<(u32, usize)> {
        let info = word(&self.bytes, at + 4)?;
        Some(((info >> 24) & 0x1f, (info & 0xffff) as usize))
    }

    fn string(&self, offset: u32) -> Option<&str> {
        let tail = self.bytes.get(self.strings + offset as usize..)?;
        let end = tail.iter().position(|byte| *byte == 0)?;
        std::str::from_utf8(&tail[..end]).ok()
    }
}

/// Structures and unions share a name space, and so do the two kinds of enumeration.
const fn family(kind: u32) -> u32 {
    match kind {
        UNION => STRUCT,
        ENUM64 => ENUM,
        other => other,
    }
}

const fn trailer_bytes(kind: u32, vlen: usize) -> usize {
    match kind {
        INT | VAR | DECL_TAG => 4,
        ARRAY => 12,
        STRUCT | UNION | DATASEC | ENUM64 => vlen * 12,
        ENUM | FUNC_PROTO => vlen * 8,
        _ => 0,
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_ne_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rubbish_is_refused() {
        for bytes in [vec![], vec![0; 7], vec![0x9f, 0xeb, 1, 0], vec![0xff; 64]] {
            assert!(Btf::parse(bytes, |_| true).is_none());
        }
    }

    /// A table of these types, in the kernel's own encoding.
    fn table(strings: &[u8], types: &[&[u32]]) -> Btf {
        let types: Vec<u8> = types
            .iter()
            .flat_map(|words| words.iter().flat_map(|word| word.to_ne_bytes()))
            .collect();
        let mut bytes = Vec::new();
        bytes.extend(MAGIC.to_ne_bytes());
        bytes.extend([1, 0]);
        for field in [
            24,
            0,
            types.len() as u32,
            types.len() as u32,
            strings.len() as u32,
        ] {
            bytes.extend(field.to_ne_bytes());
        }
        bytes.extend(types);
        bytes.extend(strings);
        Btf::parse(bytes, |_| true).expect("well-formed")
    }

    #[test]
    fn a_small_table_is_walked() {
        // struct outer { int a; struct { int b; }; };
        let (int, outer, a, b) = (1u32, 5u32, 11u32, 13u32);
        let btf = table(
            b"\0int\0outer\0a\0b\0",
            &[
                &[int, INT << 24, 4, 32],
                &[0, STRUCT << 24 | 1, 4, b, 1, 0],
                &[outer, STRUCT << 24 | 2, 8, a, 1, 0, 0, 2, 32],
            ],
        );
        let place = |path| btf.member(path).map(|m| (m.offset, m.size));
        assert_eq!(place("outer.a"), Some((0, 4)));
        assert_eq!(
            place("outer.b"),
            Some((4, 4)),
            "through the anonymous member"
        );
        assert_eq!(place("outer.c"), None);
        assert_eq!(place("inner.a"), None);
    }

    #[test]
    fn a_tracepoint_is_told_as_c_writes_it() {
        // typedef void (*btf_trace_x)(void *, const struct s **, const int);
        let (int, s, x) = (1u32, 5u32, 7u32);
        let btf = table(
            b"\0int\0s\0btf_trace_x\0",
            &[
                &[int, INT << 24, 4, 32],
                &[s, FWD << 24, 0],
                &[0, CONST << 24, 2],
                &[0, PTR << 24, 3],
                &[0, PTR << 24, 4],
                &[0, CONST << 24, 1],
                &[0, PTR << 24, 0],
                &[0, FUNC_PROTO << 24 | 3, 0, 0, 7, 0, 5, 0, 6],
                &[0, PTR << 24, 8],
                &[x, TYPEDEF << 24, 9],
            ],
        );
        let prototype = Prototype {
            returns: "void".to_owned(),
            arguments: vec!["const struct s **".to_owned(), "int".to_owned()],
        };
        assert_eq!(btf.tracepoint("x"), Some(prototype));
        assert_eq!(btf.tracepoint("y"), None);
    }
}
