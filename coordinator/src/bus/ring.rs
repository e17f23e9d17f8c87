//! A ring with one producer and one consumer, in shared memory.
//!
//! Slots have one size. A slot is one word {sequence, epoch, kind, length} and a payload; record `i`
//! lies in slot `i` modulo the capacity. A record is published by the release store of its word, and
//! by nothing else: a producer killed at any instant has published it whole or not at all. The tail
//! is a hint for consumers that take many at once; it may lag. The head counts the records that the
//! consumer has finished with: the producer may write there again.
//!
//! Each end counts its holders. A successor of a *dead* producer wipes what its predecessor had staged
//! and not published, and writes in the next epoch, so that no record of the predecessor can be taken for
//! its own. A successor of a dead consumer begins at the head. A producer that is alive but must be ignored
//! is sealed off by its consumer; what it writes after the consumer has closed that end counts for nothing,
//! also for its successor.
//!
//! Absent: any lock, and any word that both sides write while both are at work.

#[path = "ring/consumer.rs"]
mod consumer;
#[path = "ring/pace.rs"]
mod pace;
#[path = "ring/producer.rs"]
mod producer;
#[path = "ring/word.rs"]
mod word;

pub use consumer::{Consumer, Message, Record};
pub use producer::{Claim, Full, Producer};
pub use word::{KIND_MAX, LEN_MAX};

use super::copy::copy_out;
use super::shared::Shared;
use super::sync::{AtomicU32, AtomicU64, Bug, Ordering, planted};
use thiserror::Error;
use word::{Word, after};

/// Bytes of a cache line; slots begin at one.
pub const LINE: usize = 64;
pub(super) const WORDS_PER_LINE: usize = LINE / 8;
/// Bytes of a record's fixed header, where it has one; with the slot's word it fills a line.
pub const HEADER: usize = LINE - 8;
/// Set in a holder's count when the consumer seals it off.
const SEALED: u32 = 1 << 31;
/// Set beside it once the consumer has taken the last record of that holder.
const CLOSED: u32 = 1 << 30;
const HOLDERS: u32 = CLOSED - 1;
/// Positions have this many bits in the head's word: 10 million records a second for 228 years.
const POSITION_BITS: u32 = 56;

/// One end's words, 128 bytes from the other's: the adjacent-line prefetcher pairs lines.
#[derive(Debug)]
#[repr(C, align(128))]
pub(super) struct Side {
    pub(super) position: AtomicU64,
    /// How many holders this end has had; [`SEALED`] and [`CLOSED`] beside it.
    pub(super) holder: AtomicU32,
}

/// The control words of a ring; its slots lie elsewhere.
#[derive(Debug)]
#[repr(C)]
pub struct RingHeader {
    /// Written by the producer: how many records are published. A hint.
    pub(super) tail: Side,
    /// Written by the consumer: {epoch: 8, position: 56} of the first record that it has not finished with.
    pub(super) head: Side,
}

// SAFETY: atomics only.
unsafe impl Shared for RingHeader {}

impl RingHeader {
    /// As zeroed memory would be.
    pub fn new() -> Self {
        let side = || Side { position: AtomicU64::new(0), holder: AtomicU32::new(0) };
        Self { tail: side(), head: side() }
    }
}

impl Default for RingHeader {
    fn default() -> Self {
        Self::new()
    }
}

/// A peer wrote something impossible into the ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RingError {
    #[error("positions {head} and {tail} do not fit a ring of {capacity} records")]
    Positions { head: u64, tail: u64, capacity: u64 },
    #[error("record {position} claims {len} bytes; a slot holds {max}")]
    Length { position: u64, len: usize, max: usize },
    #[error("record {position} has no kind")]
    Kind { position: u64 },
    #[error("the tail is {tail}, but record {position} is missing")]
    Unwritten { position: u64, tail: u64 },
    #[error("this end never had a holder")]
    NeverHeld,
    #[error("another process is taking this end over")]
    Contended,
}

/// How many records, of which size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    capacity: u64,
    payload_max: usize,
}

impl Geometry {
    /// At least `records`, rounded up to a power of two, with payloads of at most `payload_max` bytes.
    pub const fn new(records: u64, payload_max: usize) -> Self {
        assert!(payload_max <= LEN_MAX);
        Self { capacity: records.next_power_of_two(), payload_max }
    }

    pub const fn capacity(&self) -> u64 {
        self.capacity
    }

    pub const fn payload_max(&self) -> usize {
        self.payload_max
    }

    /// Bytes of a slot: whole lines.
    pub const fn stride(&self) -> usize {
        (8 + self.payload_max).next_multiple_of(LINE)
    }

    /// Bytes of all slots.
    pub const fn bytes(&self) -> u64 {
        self.capacity * self.stride() as u64
    }
}

/// A ring, before either end is taken.
#[derive(Debug, Clone, Copy)]
pub struct Ring {
    header: &'static RingHeader,
    slots: &'static [AtomicU64],
    geometry: Geometry,
}

impl Ring {
    /// `slots` are the words of [`Geometry::bytes`].
    pub fn new(header: &'static RingHeader, slots: &'static [AtomicU64], geometry: Geometry) -> Self {
        assert_eq!(slots.len() as u64 * 8, geometry.bytes());
        Self { header, slots, geometry }
    }

    pub fn geometry(&self) -> Geometry {
        self.geometry
    }

    #[inline]
    fn words(&self, index: u64) -> &'static [AtomicU64] {
        let stride = self.geometry.stride() / 8;
        let first = (index & (self.geometry.capacity - 1)) as usize * stride;
        &self.slots[first..first + stride]
    }

    /// The producing end; `None` if it has, or has had, a holder.
    pub fn producer(self) -> Option<Producer> {
        claim(&self.header.tail.holder)?;
        let (head, epoch) = self.head();
        let (next, epoch) = self.published(head, epoch).ok()?;
        Some(Producer::new(self, next, head, 1, epoch))
    }

    /// The consuming end; `None` if it has, or has had, a holder.
    pub fn consumer(self) -> Option<Consumer> {
        claim(&self.header.head.holder)?;
        Some(Consumer::new(self))
    }

    /// The producing end after its holder's **death**, which the caller has verified: a process that is
    /// only stopped could still write into the slots that its successor uses. Continues after the last
    /// record that was published, or that the consumer took before it closed this end.
    pub fn take_over_producer(self) -> Result<Producer, RingError> {
        let holder = &self.header.tail.holder;
        let mut before = holder.load(Ordering::Acquire);
        loop {
            if before == 0 {
                return Err(RingError::NeverHeld);
            }
            let (head, epoch) = self.head();
            let (next, epoch) =
                if before & CLOSED == 0 { self.published(head, epoch)? } else { (head, epoch) };
            // Before the holder's count changes: a consumer that has closed this end reopens it then.
            self.wipe(next, head);
            // The hint may lag, if its writer died between word and tail. Or it counts refused records.
            self.header.tail.position.store(next, Ordering::Release);
            let successor = (before & HOLDERS) % HOLDERS + 1;
            // The AcqRel pairs with that in `Consumer::seal` and in `Consumer::close`: whether this end
            // is closed is final from here on.
            match holder.compare_exchange(before, successor, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => {
                    let epoch = if planted(Bug::SameEpoch) { epoch } else { after(epoch) };
                    return Ok(Producer::new(self, next, head, successor, epoch));
                }
                // The consumer sealed the dead holder off, or closed this end, at this moment.
                Err(now) if now & HOLDERS == before & HOLDERS => before = now,
                Err(_) => return Err(RingError::Contended),
            }
        }
    }

    /// Takes away what a dead producer had staged from record `next` on. If the caller dies before it is
    /// through, the next successor does the rest.
    fn wipe(&self, next: u64, head: u64) {
        if planted(Bug::SameEpoch) {
            return;
        }
        for index in next..head + self.geometry.capacity {
            let word = &self.words(index)[0];
            if Word(word.load(Ordering::Relaxed)).claims(index) {
                // Visible to every process that sees what is published here later, or the new count.
                word.store(0, Ordering::Relaxed);
            }
        }
    }

    /// The consuming end after its holder's **death**: begins with the first record that was not
    /// acknowledged, so that what its predecessor had taken but not acknowledged comes again.
    pub fn take_over_consumer(self) -> Result<Consumer, RingError> {
        succeed(&self.header.head.holder)?;
        Ok(Consumer::new(self))
    }

    /// Drops everything and frees both ends, whose holders are **dead**. What was in the slots stays
    /// invalid for later holders.
    pub fn reset(self) -> Result<(), RingError> {
        let (head, epoch) = self.head();
        let (next, epoch) = self.published(head, epoch)?;
        self.header.head.position.store(pack_head(next, epoch), Ordering::Release);
        self.header.tail.position.store(next, Ordering::Release);
        Ok(())
    }

    /// Copies what is published and not acknowledged, for a process that holds neither end: of rings whose
    /// records have headers. The producer must be paused, or not be near the head again; the consumer need not.
    pub fn unread(&self) -> Result<Vec<Record>, RingError> {
        let (head, epoch) = self.head();
        let mut records = Vec::new();
        let (end, _) = self.published(head, epoch)?;
        for position in head..end {
            let words = self.words(position);
            let word = Word(words[0].load(Ordering::Acquire));
            let len = word.len().min(self.geometry.payload_max);
            let Some(body) = len.checked_sub(HEADER) else {
                return Err(RingError::Length { position, len, max: self.geometry.payload_max });
            };
            let mut record = Record { kind: word.kind(), header: [0; HEADER], body: vec![0; body] };
            copy_out(&words[1..WORDS_PER_LINE], &mut record.header);
            copy_out(&words[WORDS_PER_LINE..], &mut record.body);
            records.push(record);
        }
        Ok(records)
    }

    /// Records published and not acknowledged, counted at the slots.
    pub fn backlog(&self) -> Result<u64, RingError> {
        let (head, epoch) = self.head();
        Ok(self.published(head, epoch)?.0 - head)
    }

    fn head(&self) -> (u64, u8) {
        // Pairs with the Release in `Consumer::acknowledge`: the consumer has copied what it frees.
        let word = self.header.head.position.load(Ordering::Acquire);
        (word & ((1 << POSITION_BITS) - 1), ((word >> POSITION_BITS) as u8).max(1))
    }

    /// The first record after `from` that is not published, and the epoch there.
    fn published(&self, from: u64, mut epoch: u8) -> Result<(u64, u8), RingError> {
        let mut index = from;
        while index - from < self.geometry.capacity {
            // Pairs with the Release in `Producer::publish`.
            let word = Word(self.words(index)[0].load(Ordering::Acquire));
            if word.is_of_successor(index, epoch) {
                epoch = word.epoch();
            } else if !word.is(Word::tag(index, epoch)) {
                break;
            }
            if word.len() > self.geometry.payload_max {
                let max = self.geometry.payload_max;
                return Err(RingError::Length { position: index, len: word.len(), max });
            }
            index += 1;
        }
        Ok((index, epoch))
    }
}

fn pack_head(position: u64, epoch: u8) -> u64 {
    // Masked: a peer may have set the head to its maximum.
    u64::from(epoch) << POSITION_BITS | position & ((1 << POSITION_BITS) - 1)
}

fn claim(holder: &AtomicU32) -> Option<()> {
    holder.compare_exchange(0, 1, Ordering::AcqRel, Ordering::Relaxed).ok().map(|_| ())
}

/// Counts a successor of a consumer.
fn succeed(holder: &AtomicU32) -> Result<u32, RingError> {
    let before = holder.load(Ordering::Acquire);
    if before == 0 {
        return Err(RingError::NeverHeld);
    }
    let next = (before & HOLDERS) % HOLDERS + 1;
    holder
        .compare_exchange(before, next, Ordering::AcqRel, Ordering::Relaxed)
        .map(|_| next)
        .map_err(|_| RingError::Contended)
}

#[cfg(test)]
#[path = "ring/tests.rs"]
mod tests;
