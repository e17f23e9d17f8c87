//! What every message of every peer looks like, and how it is checked on arrival.
//!
//! Word 0 is the message's number, the last word its complement, word 1 a stamp (the due time in the open loop),
//! the words between a pattern. The sender writes every word, the receiver reads every word: a peer that moves
//! messages without touching them gains nothing here. Order, count and content are checked by the same look.

use anyhow::{Result, bail};
use std::sync::atomic::{AtomicU64, Ordering};

const WORD: usize = 8;
/// Words of a payload in the first line of its slot.
const FIRST_LINE: usize = 7;
const PATTERN: u64 = 0x5eed_0b5e_55ed_c0de;

/// A message before it is written: into bytes, or into the words of a slot that is shared memory.
pub trait Fill {
    fn bytes(self, message: &mut [u8]);
    fn words(self, message: &[AtomicU64]);
}

/// Who reads messages where they lie.
pub trait See {
    fn bytes(&mut self, message: &[u8]);
    fn words(&mut self, message: &[AtomicU64], len: usize);
}

/// A message of `SIZE` bytes.
#[derive(Debug, Clone, Copy)]
pub struct Stamped<const SIZE: usize> {
    pub number: u64,
    pub stamp: u64,
}

impl<const SIZE: usize> Stamped<SIZE> {
    #[inline(always)]
    fn word(self, at: usize) -> u64 {
        match at {
            0 => self.number,
            1 => self.stamp,
            at if at == SIZE / WORD - 1 => !self.number,
            _ => PATTERN,
        }
    }
}

impl<const SIZE: usize> Fill for Stamped<SIZE> {
    #[inline(always)]
    fn bytes(self, message: &mut [u8]) {
        let message: &mut [u8; SIZE] =
            message.try_into().expect("a peer lends as many bytes as were asked for");
        for (at, word) in message.chunks_exact_mut(WORD).enumerate() {
            word.copy_from_slice(&self.word(at).to_ne_bytes());
        }
    }

    /// The first line last, which the receiver looks at all the time: as the library does it, and asks for.
    #[inline(always)]
    fn words(self, message: &[AtomicU64]) {
        let (first, rest) = message[..SIZE / WORD].split_at(FIRST_LINE);
        for (at, word) in (FIRST_LINE..).zip(rest) {
            word.store(self.word(at), Ordering::Relaxed);
        }
        for (at, word) in first.iter().enumerate() {
            word.store(self.word(at), Ordering::Relaxed);
        }
    }
}

/// What the receiver expects next, and the first thing that was not so. `each` is told every message's number and
/// stamp.
#[derive(Debug)]
pub struct Checker<const SIZE: usize, F> {
    next: u64,
    wrong: Option<String>,
    each: F,
}

impl<const SIZE: usize, F: FnMut(u64, u64)> Checker<SIZE, F> {
    pub fn new(each: F) -> Self {
        Self { next: 0, wrong: None, each }
    }

    pub fn seen(&self) -> u64 {
        self.next
    }

    /// Reads all of a message.
    #[inline(always)]
    fn check(&mut self, word: impl Fn(usize) -> u64) {
        let last = SIZE / WORD - 1;
        let mut middle = 0;
        for at in 2..last {
            middle |= word(at) ^ PATTERN;
        }
        let (number, stamp) = (word(0), word(1));
        if number != self.next || word(last) != !self.next || middle != 0 {
            self.blame(format!(
                "expected message {}, got number {number}, last word {:#x}, pattern off by {middle:#x}",
                self.next,
                word(last)
            ));
        }
        (self.each)(self.next, stamp);
        self.next += 1;
    }

    #[cold]
    #[inline(never)]
    fn blame(&mut self, what: String) {
        self.wrong.get_or_insert(what);
    }

    /// Fails if anything seen so far was wrong.
    #[inline(always)]
    pub fn verdict(&self) -> Result<()> {
        match &self.wrong {
            None => Ok(()),
            Some(what) => bail!("payload: {what}"),
        }
    }
}

impl<const SIZE: usize, F: FnMut(u64, u64)> See for Checker<SIZE, F> {
    #[inline(always)]
    fn bytes(&mut self, message: &[u8]) {
        let Ok(message) = <&[u8; SIZE]>::try_from(message) else {
            self.blame(format!("message {} has {} bytes, not {SIZE}", self.next, message.len()));
            return;
        };
        self.check(|at| u64::from_ne_bytes(message[at * WORD..][..WORD].try_into().expect("eight bytes")));
    }

    #[inline(always)]
    fn words(&mut self, message: &[AtomicU64], len: usize) {
        if len != SIZE || message.len() < SIZE / WORD {
            self.blame(format!("message {} has {len} bytes, not {SIZE}", self.next));
            return;
        }
        let message = &message[..SIZE / WORD];
        self.check(|at| message[at].load(Ordering::Relaxed));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(number: u64) -> [u8; 64] {
        let mut message = [0; 64];
        Stamped::<64> { number, stamp: 7 }.bytes(&mut message);
        message
    }

    #[test]
    fn what_was_written_is_taken_for_right() {
        let mut stamps = Vec::new();
        let mut checker = Checker::<64, _>::new(|number, stamp| stamps.push((number, stamp)));
        checker.bytes(&message(0));
        let words: Vec<AtomicU64> = (0..8).map(|_| AtomicU64::new(0)).collect();
        Stamped::<64> { number: 1, stamp: 9 }.words(&words);
        checker.words(&words, 64);
        assert!(checker.verdict().is_ok());
        assert_eq!(checker.seen(), 2);
        assert_eq!(stamps, [(0, 7), (1, 9)]);
    }

    #[test]
    fn a_lost_a_doubled_and_a_torn_message_are_all_seen() {
        let mut torn = message(1);
        torn[30] ^= 1;
        for second in [message(2), message(0), torn] {
            let mut checker = Checker::<64, _>::new(|_, _| ());
            checker.bytes(&message(0));
            checker.bytes(&second);
            assert!(checker.verdict().is_err());
        }
        let mut checker = Checker::<64, _>::new(|_, _| ());
        checker.bytes(&message(0)[..32]);
        assert!(checker.verdict().is_err());
    }
}
