//! The writing end of a ring.

use super::super::copy::copy_in;
use super::super::sync::{AtomicU64, Bug, Ordering, planted};
use super::{HEADER, KIND_MAX, Ring, SEALED, WORDS_PER_LINE, Word};
use thiserror::Error;

/// Writes records. The consumer sees none before [`Producer::publish`].
#[derive(Debug)]
pub struct Producer {
    ring: Ring,
    /// The index of the next record.
    next: u64,
    /// Records before this are published.
    published: u64,
    /// The word of record `published`, if that is staged: stored last, it publishes all that follow.
    held: Word,
    /// The consumer's head when we last looked.
    head: u64,
    /// Which holder of this end this is.
    holder: u32,
    epoch: u8,
    /// Slots that only [`Producer::control`] may use.
    reserved: u64,
}

/// No slot is free: the consumer is behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the ring is full")]
pub struct Full;

/// A slot lent to its writer: filled in place, and staged by [`Claim::commit`]. If it is dropped without
/// that, nothing was staged.
#[derive(Debug)]
pub struct Claim<'a> {
    producer: &'a mut Producer,
    words: &'static [AtomicU64],
}

impl Claim<'_> {
    /// The payload's words. Write the first seven last: they share a line with what the consumer
    /// looks at, and it would take that away in between.
    #[inline]
    pub fn words(&self) -> &'static [AtomicU64] {
        self.words
    }

    /// Stages what was written: `len` bytes of it.
    #[inline]
    pub fn commit(self, kind: u32, len: usize) {
        assert!(len <= self.producer.ring.geometry.payload_max());
        self.producer.stage(kind, len);
    }
}

impl Producer {
    pub(super) fn new(ring: Ring, next: u64, head: u64, holder: u32, epoch: u8) -> Self {
        Self { ring, next, published: next, held: Word(0), head, holder, epoch, reserved: 0 }
    }

    /// Which record of this ring comes next, counted from 0: [`super::Consumer::acknowledged`] returns it when all
    /// records before it are finished with.
    pub fn position(&self) -> u64 {
        self.next
    }

    /// Keeps `slots` free for control records, so that a flood of data cannot stop them.
    #[must_use]
    pub fn reserving(mut self, slots: u64) -> Self {
        assert!(slots < self.ring.geometry.capacity());
        self.reserved = slots;
        self
    }

    /// Stages a record of a header and a body. Panics if it is larger than a slot.
    #[inline]
    pub fn push(&mut self, kind: u32, header: &[u8; HEADER], body: &[u8]) -> Result<(), Full> {
        let len = HEADER + body.len();
        let words = self.slot(len, self.reserved)?;
        copy_in(&words[WORDS_PER_LINE - 1..], body);
        copy_in(&words[..WORDS_PER_LINE - 1], header);
        self.stage(kind, len);
        Ok(())
    }

    /// Stages a record that is all payload.
    #[inline]
    pub fn put(&mut self, kind: u32, payload: &[u8]) -> Result<(), Full> {
        let words = self.slot(payload.len(), self.reserved)?;
        if planted(Bug::PublishBeforeBytes) {
            self.stage(kind, payload.len());
            self.publish();
            fill(words, payload);
            return Ok(());
        }
        fill(words, payload);
        self.stage(kind, payload.len());
        Ok(())
    }

    /// As [`Producer::put`], but may also use the slots that are reserved for control records.
    pub fn control(&mut self, kind: u32, payload: &[u8]) -> Result<(), Full> {
        let words = self.slot(payload.len(), 0)?;
        fill(words, payload);
        self.stage(kind, payload.len());
        Ok(())
    }

    /// Lends the next slot, to be filled in place.
    #[inline]
    pub fn claim(&mut self) -> Result<Claim<'_>, Full> {
        let words = self.slot(0, self.reserved)?;
        Ok(Claim { producer: self, words })
    }

    /// The payload's words of the next slot, if that is free.
    #[inline]
    fn slot(&mut self, len: usize, reserved: u64) -> Result<&'static [AtomicU64], Full> {
        let geometry = self.ring.geometry;
        assert!(len <= geometry.payload_max(), "a payload of {len} bytes never fits");
        if self.next - self.head + reserved >= geometry.capacity() && !self.has_room(reserved) {
            return Err(Full);
        }
        Ok(&self.ring.words(self.next)[1..])
    }

    #[cold]
    fn has_room(&mut self, reserved: u64) -> bool {
        let (head, _) = self.ring.head();
        // A head that goes back or runs ahead of us is nonsense from the peer: ignored.
        if head >= self.head && head <= self.published {
            self.head = head;
        }
        self.next - self.head + reserved < self.ring.geometry.capacity()
    }

    #[inline]
    fn stage(&mut self, kind: u32, len: usize) {
        if planted(Bug::LosesRecord) {
            return;
        }
        if planted(Bug::DelaysRecord) {
            std::thread::sleep(std::time::Duration::from_secs(1));
        }
        if planted(Bug::ChangesRecord) {
            let word = &self.ring.words(self.next)[len.div_ceil(8)];
            word.store(word.load(Ordering::Relaxed) ^ 1 << (8 * ((len.max(1) - 1) % 8)), Ordering::Relaxed);
        }
        self.stage_as_it_is(kind, len);
        if planted(Bug::DoublesRecord) && self.has_room(self.reserved) {
            let (from, to) = (self.ring.words(self.next - 1), self.ring.words(self.next));
            for (from, to) in from.iter().zip(to).skip(1) {
                to.store(from.load(Ordering::Relaxed), Ordering::Relaxed);
            }
            self.stage_as_it_is(kind, len);
        }
    }

    #[inline]
    fn stage_as_it_is(&mut self, kind: u32, len: usize) {
        assert!((1..=KIND_MAX).contains(&kind), "kinds are 1 to {KIND_MAX}, not {kind}");
        let word = Word::new(self.next, self.epoch, kind, len);
        if self.next == self.published {
            self.held = word;
        } else {
            // Pairs with the Acquire in `Consumer::take`. Not seen before the held word, at which the
            // consumer stops.
            self.ring.words(self.next)[0].store(word.0, Ordering::Release);
        }
        self.next += 1;
    }

    /// Publishes everything staged; true if there was anything. Does not ring the consumer's bell.
    #[inline]
    pub fn publish(&mut self) -> bool {
        if self.published == self.next {
            return false;
        }
        let word = &self.ring.words(self.published)[0];
        if planted(Bug::TailBeforeWord) {
            self.ring.header.tail.position.store(self.next, Ordering::Release);
        }
        // Pairs with the Acquire in `Consumer::take`: the records are written before they are seen.
        let order = if planted(Bug::PublishRelaxed) { Ordering::Relaxed } else { Ordering::Release };
        word.store(self.held.0, order);
        // Pairs with the Acquire in `Consumer::look`: what the hint counts is there.
        self.ring.header.tail.position.store(self.next, Ordering::Release);
        self.published = self.next;
        true
    }

    /// Puts the tail back if another program has overwritten it, and returns whether it had. For the living holder.
    pub fn reassert(&self) -> bool {
        let tail = &self.ring.header.tail.position;
        let wrong = tail.load(Ordering::Relaxed) != self.published;
        if wrong {
            tail.store(self.published, Ordering::Release);
        }
        wrong
    }

    /// True if this end has a successor, or its consumer has sealed it off. What is published from
    /// then on is ignored. Exact for a record only after a full fence behind its publication
    /// ([`super::super::doorbell::Doorbell::ring`] has one).
    #[inline]
    pub fn is_fenced(&self) -> bool {
        if planted(Bug::NoFence) || planted(Bug::ObeysTheDead) {
            return false;
        }
        self.ring.header.tail.holder.load(Ordering::Acquire) != self.holder
    }

    /// True if no slot is free for a record of data at this moment.
    pub fn is_full(&mut self) -> bool {
        !self.has_room(self.reserved)
    }

    /// True once the consumer has sealed this end off (as opposed to a successor having taken it).
    pub fn is_sealed(&self) -> bool {
        self.ring.header.tail.holder.load(Ordering::Acquire) & SEALED != 0
    }
}

/// The first line last: the consumer looks at it all the time, and would take it away between its
/// first and its last word while those of the other lines are on their way.
#[inline]
fn fill(words: &[AtomicU64], payload: &[u8]) {
    match payload.split_at_checked(HEADER) {
        Some((first, rest)) => {
            copy_in(&words[WORDS_PER_LINE - 1..], rest);
            copy_in(&words[..WORDS_PER_LINE - 1], first);
        }
        None => copy_in(words, payload),
    }
}
