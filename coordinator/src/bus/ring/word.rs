//! The first word of a slot: the record's number, epoch, kind and length.

use std::fmt;

/// Bits of each part. The sequence is the upper half, so that word and half compare alike.
const LEN_BITS: u32 = 21;
const KIND_BITS: u32 = 3;
/// Where the epoch begins, and with it what a consumer compares.
const EPOCH_AT: u32 = LEN_BITS + KIND_BITS;

/// The longest payload whose length fits a word, in bytes.
pub const LEN_MAX: usize = (1 << LEN_BITS) - 1;
/// Kinds are 1 to this.
pub const KIND_MAX: u32 = (1 << KIND_BITS) - 1;

/// {sequence: 32, epoch: 8, kind: 3, len: 21}; the sequence is the low half of index + 1. A slot that
/// was never written is zero, which no record's word is: epochs begin at 1.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Word(pub u64);

impl fmt::Debug for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sequence {} epoch {} kind {} len {}", self.0 >> 32, self.epoch(), self.kind(), self.len())
    }
}

impl Word {
    #[inline]
    pub fn new(index: u64, epoch: u8, kind: u32, len: usize) -> Self {
        Self(Self::tag(index, epoch) << EPOCH_AT | u64::from(kind) << LEN_BITS | len as u64)
    }

    /// Sequence and epoch: what distinguishes the word of record `index` from any other.
    #[inline]
    pub fn tag(index: u64, epoch: u8) -> u64 {
        u64::from((index + 1) as u32) << 8 | u64::from(epoch)
    }

    #[inline]
    pub fn is(self, tag: u64) -> bool {
        self.0 >> EPOCH_AT == tag
    }

    /// True if this is record `index` of the producer after the one of `epoch`.
    #[inline]
    pub fn is_of_successor(self, index: u64, epoch: u8) -> bool {
        self.is(Self::tag(index, after(epoch)))
    }

    /// True if it claims to be record `index`, in any epoch.
    pub fn claims(self, index: u64) -> bool {
        self.0 >> 32 == u64::from((index + 1) as u32)
    }

    pub fn epoch(self) -> u8 {
        (self.0 >> EPOCH_AT) as u8
    }

    #[inline]
    pub fn kind(self) -> u32 {
        (self.0 >> LEN_BITS) as u32 & KIND_MAX
    }

    #[inline]
    pub fn len(self) -> usize {
        self.0 as usize & LEN_MAX
    }
}

/// The epoch of a successor: 1 to 255 and around, never 0.
#[inline]
pub fn after(epoch: u8) -> u8 {
    epoch % 255 + 1
}
