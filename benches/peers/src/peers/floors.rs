//! What no bus on this machine can beat: blocks handed over through shared memory, and a bare futex.
//!
//! They are links, so that they do the same work as the peers: every message is written, read and checked. The
//! bulk hand-off is not usable as a bus (a message waits until its block is full), and the futex carries one message
//! at a time; that is what makes them floors.

use crate::link::{Link, Peer, Side, Terms};
use crate::payload::{Fill, See};
use crate::shared::{Half, Line, Shared, Words};
use anyhow::Result;
use rustix::thread::futex;
use std::cell::UnsafeCell;
use std::rc::Rc;
use std::sync::atomic::Ordering;

const BLOCK: usize = 64 << 10;
/// Blocks in flight: one is written while another is read, and one more so that neither waits.
const BLOCKS: usize = 4;

/// Bytes that one process at a time may touch; who that is, words beside them say.
#[repr(C, align(4096))]
struct Bytes(UnsafeCell<[u8; BLOCK]>);

// SAFETY: not atomics, but every bit pattern is a value, nothing to drop, and `lent` below is the only way in.
unsafe impl Words for Bytes {}

impl Bytes {
    /// # Safety
    /// The caller has been handed these bytes by an acquire of what the other process released, and hands them back
    /// before that process touches them again.
    #[inline(always)]
    #[expect(clippy::mut_from_ref, reason = "the words beside it are the lock")]
    unsafe fn lent(&self) -> &mut [u8; BLOCK] {
        // SAFETY: the caller's promise.
        unsafe { &mut *self.0.get() }
    }
}

/// Near to far only. `DIRTY`: the reader also writes a word into every line it has read, so that the writer finds
/// the line in one cache instead of in two.
pub struct Bulk<const DIRTY: bool> {
    blocks: Rc<Shared<Bytes>>,
    /// Blocks written, blocks read.
    counts: Rc<Shared<Line>>,
    size: usize,
}

pub struct BulkEnd<const DIRTY: bool> {
    blocks: Rc<Shared<Bytes>>,
    counts: Rc<Shared<Line>>,
    size: usize,
    block: u64,
    /// Bytes of the current block that are done with.
    done: usize,
}

const WRITTEN: usize = 0;
const READ: usize = 1;

impl<const DIRTY: bool> Peer for Bulk<DIRTY> {
    type Link = BulkEnd<DIRTY>;

    fn prepare(terms: Terms<'_>) -> Result<Self> {
        Ok(Self { blocks: Rc::new(Shared::new(BLOCKS)?), counts: Rc::new(Shared::new(2)?), size: terms.size })
    }

    fn connect(&self, _side: Side) -> Result<Self::Link> {
        Ok(BulkEnd {
            blocks: self.blocks.clone(),
            counts: self.counts.clone(),
            size: self.size,
            block: 0,
            done: 0,
        })
    }
}

impl<const DIRTY: bool> Link for BulkEnd<DIRTY> {
    #[inline(always)]
    fn send(&mut self, len: usize, fill: impl Fill) -> Result<()> {
        if self.done == 0 {
            // [read] the reader is done with what this block held
            while self.counts[READ].0.load(Ordering::Acquire) + (BLOCKS as u64) <= self.block {}
        }
        // SAFETY: not written to the reader yet, and the reader is done with its last content: see above.
        let block = unsafe { self.blocks[self.block as usize % BLOCKS].lent() };
        fill.bytes(&mut block[self.done..self.done + len]);
        self.done += len;
        if self.done + len > BLOCK { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        if self.done > 0 {
            self.block += 1;
            self.done = 0;
            // [written]
            self.counts[WRITTEN].0.store(self.block, Ordering::Release);
        }
        Ok(())
    }

    #[inline(always)]
    fn take(&mut self, limit: usize, see: &mut impl See) -> Result<usize> {
        // [written] the whole block is there
        if self.counts[WRITTEN].0.load(Ordering::Acquire) == self.block {
            return Ok(0);
        }
        // SAFETY: written in full, and the writer waits for our count before it writes again.
        let block = unsafe { self.blocks[self.block as usize % BLOCKS].lent() };
        let left = (BLOCK - self.done) / self.size;
        let taken = left.min(limit);
        for message in block[self.done..self.done + taken * self.size].chunks_exact_mut(self.size) {
            see.bytes(message);
            if DIRTY {
                message.iter_mut().step_by(64).for_each(|byte| *byte = 0xff);
            }
        }
        self.done += taken * self.size;
        if taken == left {
            self.block += 1;
            self.done = 0;
            // [read]
            self.counts[READ].0.store(self.block, Ordering::Release);
        }
        Ok(taken)
    }
}

/// A word a side and one message beside it: store, wake, wait for the other's word. Nothing is counted or queued.
pub struct Futex {
    words: Rc<Shared<Half>>,
    bytes: Rc<Shared<Bytes>>,
}

pub struct FutexEnd {
    words: Rc<Shared<Half>>,
    bytes: Rc<Shared<Bytes>>,
    side: Side,
    taken: u32,
}

impl Peer for Futex {
    type Link = FutexEnd;

    fn prepare(_terms: Terms<'_>) -> Result<Self> {
        Ok(Self { words: Rc::new(Shared::new(2)?), bytes: Rc::new(Shared::new(2)?) })
    }

    fn connect(&self, side: Side) -> Result<Self::Link> {
        Ok(FutexEnd { words: self.words.clone(), bytes: self.bytes.clone(), side, taken: 0 })
    }
}

impl Link for FutexEnd {
    fn send(&mut self, len: usize, fill: impl Fill) -> Result<()> {
        let mine = self.side.index();
        // SAFETY: in a ping-pong the other side has answered our last message, so it no longer reads it.
        fill.bytes(unsafe { &mut self.bytes[mine].lent()[..len] });
        let word = &self.words[mine].0;
        // [message]
        word.fetch_add(1, Ordering::Release);
        futex::wake(word, futex::Flags::empty(), 1)?;
        Ok(())
    }

    fn take(&mut self, _limit: usize, see: &mut impl See) -> Result<usize> {
        let other = 1 - self.side.index();
        let word = &self.words[other].0;
        // [message]
        while word.load(Ordering::Acquire) == self.taken {
            // woken, interrupted or too late to sleep: look again
            let _ = futex::wait(word, futex::Flags::empty(), self.taken, None);
        }
        self.taken += 1;
        // SAFETY: the other side waits for our answer before it writes again.
        see.bytes(unsafe { &self.bytes[other].lent()[..64] });
        Ok(1)
    }
}
