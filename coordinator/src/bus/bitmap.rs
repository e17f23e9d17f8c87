//! Which of many rings may have something: a hint, in two levels.
//!
//! A bit set for nothing costs one look. A bit that is lost, because its writer was killed between ring and
//! bit, is repaired by the periodic scan of the rings.

use super::shared::Shared;
use super::sync::{AtomicU64, Ordering};

/// A summary word over as many words.
pub const READY_MAX: usize = 64 * 64;

#[derive(Debug)]
#[repr(C, align(128))]
pub(super) struct Word(pub(super) AtomicU64);

#[derive(Debug)]
#[repr(C)]
pub struct ReadyBitmap {
    pub(super) summary: Word,
    pub(super) words: [Word; 64],
}

// SAFETY: atomics only.
unsafe impl Shared for ReadyBitmap {}

impl Default for ReadyBitmap {
    fn default() -> Self {
        Self::new()
    }
}

impl ReadyBitmap {
    /// As zeroed memory would be.
    pub fn new() -> Self {
        let clear = || Word(AtomicU64::new(0));
        Self { summary: clear(), words: std::array::from_fn(|_| clear()) }
    }

    /// Call after publishing and before ringing.
    pub fn set(&self, index: usize) {
        let (word, bit) = (index / 64, 1 << (index % 64));
        // Always, even if the bit looks set: a plain load could happen before the record is visible, and
        // the bit be taken in between. The word before the summary: a reader that takes the summary's bit
        // must find the word's.
        self.words[word].0.fetch_or(bit, Ordering::AcqRel);
        self.summary.0.fetch_or(1 << word, Ordering::AcqRel);
    }

    pub fn is_clear(&self) -> bool {
        self.summary.0.load(Ordering::Acquire) == 0
    }

    /// Takes every bit that is set, and hands over the indices in order.
    pub fn take(&self, mut each: impl FnMut(usize)) {
        let mut summary = self.summary.0.swap(0, Ordering::AcqRel);
        while summary != 0 {
            let word = summary.trailing_zeros() as usize;
            summary &= summary - 1;
            let mut bits = self.words[word].0.swap(0, Ordering::AcqRel);
            while bits != 0 {
                each(word * 64 + bits.trailing_zeros() as usize);
                bits &= bits - 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn takes_exactly_what_was_set(set in prop::collection::btree_set(0..READY_MAX, 0..200)) {
            let bitmap = ReadyBitmap::new();
            for index in &set {
                bitmap.set(*index);
            }
            prop_assert_eq!(bitmap.is_clear(), set.is_empty());
            let mut taken = Vec::new();
            bitmap.take(|index| taken.push(index));
            prop_assert_eq!(taken, set.into_iter().collect::<Vec<_>>());
            prop_assert!(bitmap.is_clear());
        }
    }
}
