//! A ring in ordinary memory, whose words a test may overwrite while both ends are at work. For tests and
//! the fuzz targets only.

use super::ring::{Geometry, Ring, RingHeader};
use super::sync::AtomicU64;

/// Words that begin where a [`RingHeader`] may.
#[repr(C, align(128))]
struct Lines([AtomicU64; 16]);

/// A ring's memory, freed when it is dropped. The ends of its ring must be dropped first.
pub(crate) struct HeapRing {
    lines: *mut [Lines],
    geometry: Geometry,
}

/// Words before the first slot.
pub(crate) const HEADER_WORDS: usize = size_of::<RingHeader>() / 8;

impl HeapRing {
    pub(crate) fn new(geometry: Geometry) -> Self {
        let words = HEADER_WORDS + geometry.bytes() as usize / 8;
        let lines: Box<[Lines]> =
            (0..words.div_ceil(16)).map(|_| Lines([const { AtomicU64::new(0) }; 16])).collect();
        Self { lines: Box::into_raw(lines), geometry }
    }

    /// The header's words, then those of the slots.
    pub(crate) fn words(&self) -> &'static [AtomicU64] {
        let count = HEADER_WORDS + self.geometry.bytes() as usize / 8;
        // SAFETY: so many words were allocated, aligned for more than that; the ring's ends, which
        // hold on to them, are dropped before the memory is (`fuzzing::records`).
        unsafe { std::slice::from_raw_parts(self.lines.cast::<AtomicU64>(), count) }
    }

    pub(crate) fn ring(&self) -> Ring {
        // SAFETY: as above; a header is `Shared`: any bytes are one.
        let header: &'static RingHeader = unsafe { &*self.lines.cast::<RingHeader>() };
        Ring::new(header, &self.words()[HEADER_WORDS..], self.geometry)
    }
}

impl Drop for HeapRing {
    fn drop(&mut self) {
        // SAFETY: it came out of a Box in `new`, and nothing of it is used any more.
        drop(unsafe { Box::from_raw(self.lines) });
    }
}
