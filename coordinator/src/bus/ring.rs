//! A ring with one producer and one consumer, in shared memory.
//!
//! A record is one or more consecutive 64-byte slots: one word {length, kind}, a fixed header, a
//! body. It never wraps: a padding record fills the end. Everything is written before the tail is
//! published, so a producer killed at any instant has published nothing half-written. Positions
//! are 64-bit, count slots, and never go back.
//!
//! Absent: any lock, and any word that both sides write.

use super::mapping::{Shared, copy_in, copy_out};
use super::sync::{AtomicU32, AtomicU64, Ordering};
use thiserror::Error;

/// Bytes of a slot: a cache line.
pub const SLOT: usize = 64;
const WORDS_PER_SLOT: usize = SLOT / 8;
/// Bytes of a record's fixed header; with its length word it fills the first slot.
pub const HEADER: usize = SLOT - 8;
/// The kind of a record that only fills the ring up to its end.
const PADDING: u32 = u32::MAX;

/// Words of one side are 128 bytes from the other's: the adjacent-line prefetcher pairs lines.
#[derive(Debug)]
#[repr(C, align(128))]
struct Side {
    position: AtomicU64,
    claimed: AtomicU32,
}

/// The control words of a ring; its slots lie elsewhere.
#[derive(Debug)]
#[repr(C)]
pub struct RingHeader {
    /// Written by the producer.
    tail: Side,
    /// Written by the consumer.
    head: Side,
}

// SAFETY: atomics only.
unsafe impl Shared for RingHeader {}
const _: () = assert!(size_of::<RingHeader>() == 256);

/// What a peer wrote into the ring cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RingError {
    #[error("positions {head} and {tail} do not fit a ring of {capacity} slots")]
    Positions { head: u64, tail: u64, capacity: u64 },
    #[error("a record of {len} bytes at position {position} does not fit what was published")]
    Length { position: u64, len: u32 },
}

/// Slots that a record with `body` bytes takes.
pub const fn record_slots(body: usize) -> u64 {
    (8 + HEADER + body).div_ceil(SLOT) as u64
}

/// A power of two that holds `records` records of `body` bytes, wherever the end of the ring falls.
pub const fn ring_slots(records: u64, body: usize) -> u64 {
    let record = record_slots(body);
    let padding = record - 1;
    (records * record + padding).next_power_of_two()
}

/// A ring, before either end is taken.
#[derive(Debug, Clone, Copy)]
pub struct Ring {
    header: &'static RingHeader,
    slots: &'static [AtomicU64],
}

impl Ring {
    /// `slots` are the words of a power of two of slots.
    pub fn new(header: &'static RingHeader, slots: &'static [AtomicU64]) -> Self {
        assert!(slots.len().is_multiple_of(WORDS_PER_SLOT));
        assert!((slots.len() / WORDS_PER_SLOT).is_power_of_two());
        Self { header, slots }
    }

    fn capacity(&self) -> u64 {
        (self.slots.len() / WORDS_PER_SLOT) as u64
    }

    fn words(&self, position: u64, slots: u64) -> &'static [AtomicU64] {
        let first = (position & (self.capacity() - 1)) as usize * WORDS_PER_SLOT;
        &self.slots[first..first + slots as usize * WORDS_PER_SLOT]
    }

    /// Slots from `position` to the end of the ring.
    fn until_end(&self, position: u64) -> u64 {
        self.capacity() - (position & (self.capacity() - 1))
    }

    fn positions(&self) -> Result<(u64, u64), RingError> {
        let head = self.header.head.position.load(Ordering::Acquire);
        let tail = self.header.tail.position.load(Ordering::Acquire);
        if tail.wrapping_sub(head) > self.capacity() {
            return Err(RingError::Positions { head, tail, capacity: self.capacity() });
        }
        Ok((head, tail))
    }

    /// The producing end; `None` if somebody has it.
    pub fn producer(self) -> Option<Producer> {
        claim(&self.header.tail.claimed)?;
        let (head, tail) = self.positions().ok()?;
        Some(Producer { ring: self, tail, published: tail, head })
    }

    /// The consuming end; `None` if somebody has it.
    pub fn consumer(self) -> Option<Consumer> {
        claim(&self.header.head.claimed)?;
        let (head, tail) = self.positions().ok()?;
        Some(Consumer { ring: self, head, acknowledged: head, tail })
    }
}

fn claim(word: &AtomicU32) -> Option<()> {
    word.compare_exchange(0, 1, Ordering::AcqRel, Ordering::Relaxed).ok().map(|_| ())
}

/// The one who writes. Nothing is seen before [`Producer::publish`].
#[derive(Debug)]
pub struct Producer {
    ring: Ring,
    /// Where the next record goes.
    tail: u64,
    published: u64,
    /// The consumer's head when we last looked.
    head: u64,
}

/// There is no room: the consumer is behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the ring is full")]
pub struct Full;

impl Producer {
    /// Stages a record. A record larger than the ring is a fault of the caller's.
    pub fn push(&mut self, kind: u32, header: &[u8; HEADER], body: &[u8]) -> Result<(), Full> {
        assert_ne!(kind, PADDING);
        let slots = record_slots(body.len());
        assert!(slots <= self.ring.capacity(), "a record of {slots} slots can never fit");
        let until_end = self.ring.until_end(self.tail);
        let padding = if slots > until_end { until_end } else { 0 };
        if !self.has_room(padding + slots) {
            return Err(Full);
        }
        if padding > 0 {
            let words = self.ring.words(self.tail, 1);
            words[0].store(pack((padding as usize * SLOT - 8) as u32, PADDING), Ordering::Relaxed);
            self.tail += padding;
        }
        let words = self.ring.words(self.tail, slots);
        words[0].store(pack((HEADER + body.len()) as u32, kind), Ordering::Relaxed);
        copy_in(&words[1..WORDS_PER_SLOT], header);
        copy_in(&words[WORDS_PER_SLOT..], body);
        self.tail += slots;
        Ok(())
    }

    fn has_room(&mut self, slots: u64) -> bool {
        let capacity = self.ring.capacity();
        if self.tail + slots <= self.head + capacity {
            return true;
        }
        // Pairs with the Release in `Consumer::acknowledge`: the consumer has copied what it frees.
        let head = self.ring.header.head.position.load(Ordering::Acquire);
        // A head that goes back or runs ahead of us is nonsense from the peer: treated as no news.
        if head >= self.head && head <= self.published {
            self.head = head;
        }
        self.tail + slots <= self.head + capacity
    }

    /// Shows everything staged to the consumer; true if there was anything.
    pub fn publish(&mut self) -> bool {
        if self.published == self.tail {
            return false;
        }
        // Pairs with the Acquire in `Consumer::pop`: the records are written before they are seen.
        self.ring.header.tail.position.store(self.tail, Ordering::Release);
        self.published = self.tail;
        true
    }
}

/// A record, copied out of the ring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub kind: u32,
    pub header: [u8; HEADER],
    pub body: Vec<u8>,
}

impl Record {
    pub fn empty() -> Self {
        Self { kind: 0, header: [0; HEADER], body: Vec::new() }
    }
}

/// The one who reads. The producer gets the room back at [`Consumer::acknowledge`].
#[derive(Debug)]
pub struct Consumer {
    ring: Ring,
    head: u64,
    acknowledged: u64,
    /// The producer's tail when we last looked.
    tail: u64,
}

impl Consumer {
    /// Copies the next record into `record`; false if there is none.
    pub fn pop(&mut self, record: &mut Record) -> Result<bool, RingError> {
        loop {
            if self.head == self.tail && !self.look()? {
                return Ok(false);
            }
            let published = self.tail - self.head;
            let until_end = self.ring.until_end(self.head);
            // Copied once; what is checked is what is used.
            let (len, kind) = unpack(self.ring.words(self.head, 1)[0].load(Ordering::Relaxed));
            let slots = (8 + u64::from(len)).div_ceil(SLOT as u64);
            let bad = RingError::Length { position: self.head, len };
            if slots > published || slots > until_end {
                return Err(bad);
            }
            if kind == PADDING {
                if slots != until_end {
                    return Err(bad);
                }
                self.head += slots;
                continue;
            }
            let Some(body) = (len as usize).checked_sub(HEADER) else { return Err(bad) };
            let words = self.ring.words(self.head, slots);
            record.kind = kind;
            copy_out(&words[1..WORDS_PER_SLOT], &mut record.header);
            record.body.resize(body, 0);
            copy_out(&words[WORDS_PER_SLOT..], &mut record.body);
            self.head += slots;
            return Ok(true);
        }
    }

    /// True if something is published that has not been taken.
    pub fn is_ready(&mut self) -> bool {
        self.head != self.tail || self.look().unwrap_or(true)
    }

    fn look(&mut self) -> Result<bool, RingError> {
        // Pairs with the Release in `Producer::publish`.
        let tail = self.ring.header.tail.position.load(Ordering::Acquire);
        if tail < self.head || tail - self.acknowledged > self.ring.capacity() {
            return Err(RingError::Positions { head: self.head, tail, capacity: self.ring.capacity() });
        }
        self.tail = tail;
        Ok(self.head != self.tail)
    }

    /// Gives the room of everything taken back to the producer: call it when the work is recorded.
    pub fn acknowledge(&mut self) {
        if self.acknowledged != self.head {
            // Pairs with the Acquire in `Producer::has_room`.
            self.ring.header.head.position.store(self.head, Ordering::Release);
            self.acknowledged = self.head;
        }
    }
}

fn pack(len: u32, kind: u32) -> u64 {
    u64::from(len) | u64::from(kind) << 32
}

fn unpack(word: u64) -> (u32, u32) {
    (word as u32, (word >> 32) as u32)
}

#[cfg(test)]
mod tests;
