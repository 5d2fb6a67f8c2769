//! A table of the kernel programs in this process's own memory (`BPF_F_MMAPABLE`): it is read without a system call, while the
//! programs write it.

use std::{
    io,
    marker::PhantomData,
    os::fd::{AsFd as _, AsRawFd as _},
    ptr::{self, NonNull},
    slice,
    sync::atomic::{AtomicU64, Ordering},
};

use aya::{
    Ebpf,
    maps::{Map, MapData, MapError},
};

use super::ProbeError;

/// An array of `T`, which is read and written by its words of eight bytes.
#[derive(Debug)]
pub(super) struct Mapped<T> {
    words: NonNull<AtomicU64>,
    entries: usize,
    entry: PhantomData<T>,
    /// Keeps the map.
    _map: MapData,
}

// SAFETY: the memory is shared with the kernel anyway, and all that is read or written of it are atomic words.
unsafe impl<T> Send for Mapped<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for Mapped<T> {}

impl<T> Mapped<T> {
    const WORDS: usize = size_of::<T>() / size_of::<u64>();

    /// Takes an array out of the object and maps it.
    pub(super) fn new(ebpf: &mut Ebpf, name: &'static str) -> Result<Self, ProbeError> {
        const {
            assert!(size_of::<T>().is_multiple_of(size_of::<u64>()));
            assert!(align_of::<T>() <= align_of::<u64>());
        };
        let error = |source| ProbeError::Map { name, source };
        let map = match ebpf.take_map(name).ok_or(ProbeError::Missing { name })? {
            Map::Array(map) => map,
            _ => return Err(ProbeError::Missing { name }),
        };
        let info = map.info().map_err(error)?;
        let entries = info.max_entries() as usize;
        if info.value_size() as usize != size_of::<T>() {
            return Err(error(MapError::InvalidValueSize {
                size: size_of::<T>(),
                expected: info.value_size() as usize,
            }));
        }
        // SAFETY: a new mapping of the whole map, at an address that the kernel chooses.
        let start = unsafe {
            libc::mmap(
                ptr::null_mut(),
                entries * size_of::<T>(),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                map.fd().as_fd().as_raw_fd(),
                0,
            )
        };
        let words = NonNull::new(start.cast()).filter(|_| start != libc::MAP_FAILED);
        let Some(words) = words else {
            return Err(ProbeError::Figures {
                name,
                source: io::Error::last_os_error(),
            });
        };
        Ok(Self {
            words,
            entries,
            entry: PhantomData,
            _map: map,
        })
    }

    /// The words of an entry; of one that is not there, none.
    pub(super) fn words(&self, index: usize) -> &[AtomicU64] {
        if index >= self.entries {
            return &[];
        }
        // SAFETY: the entry lies in the mapping, which lives as long as this; who else writes it does so by whole words.
        unsafe { slice::from_raw_parts(self.words.as_ptr().add(index * Self::WORDS), Self::WORDS) }
    }

    /// A copy of an entry's bytes, each word as it is when it is read.
    pub(super) fn bytes(&self, index: usize) -> Vec<u8> {
        let words = self.words(index).iter();
        words
            .flat_map(|word| word.load(Ordering::Acquire).to_ne_bytes())
            .collect()
    }
}

impl<T> Drop for Mapped<T> {
    fn drop(&mut self) {
        // SAFETY: the mapping is this one's own, and nobody has a part of it any more. It cannot fail for one that is there.
        unsafe { libc::munmap(self.words.as_ptr().cast(), self.entries * size_of::<T>()) };
    }
}
