//! Bytes in and out of shared words.
//!
//! Word by word through relaxed atomics: a peer may write at any time, so there is no reference to
//! bytes, and what was copied out is what is parsed. On the machines measured this is as fast as
//! `memcpy` up to a few KiB: the lines' way between the caches takes longer than the copy.

use super::sync::AtomicU64;
use super::sync::Ordering::Relaxed;

/// Copies `bytes` into shared words; the last word is filled up with zeros.
#[inline]
pub fn copy_in(words: &[AtomicU64], bytes: &[u8]) {
    let (chunks, rest) = bytes.as_chunks::<8>();
    let (whole, last) = words.split_at(chunks.len());
    for (word, chunk) in whole.iter().zip(chunks) {
        word.store(u64::from_ne_bytes(*chunk), Relaxed);
    }
    if !rest.is_empty() {
        let mut eight = [0; 8];
        eight[..rest.len()].copy_from_slice(rest);
        last[0].store(u64::from_ne_bytes(eight), Relaxed);
    }
}

/// Copies shared words out, once: what is parsed afterwards is the copy.
#[inline]
pub fn copy_out(words: &[AtomicU64], bytes: &mut [u8]) {
    let (chunks, rest) = bytes.as_chunks_mut::<8>();
    let (whole, last) = words.split_at(chunks.len());
    for (word, chunk) in whole.iter().zip(chunks) {
        *chunk = word.load(Relaxed).to_ne_bytes();
    }
    if !rest.is_empty() {
        rest.copy_from_slice(&last[0].load(Relaxed).to_ne_bytes()[..rest.len()]);
    }
}

/// Asks for the line of `word` to be here soon. Changes nothing.
#[inline]
pub fn prefetch(word: &AtomicU64) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a hint touches no memory; the instruction is of the baseline's set.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(word).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = word;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_every_length_survive_the_words() {
        let words: Vec<AtomicU64> = (0..8).map(|_| AtomicU64::new(u64::MAX)).collect();
        for len in 0..=64_usize {
            let bytes: Vec<u8> = (0..len).map(|i| i as u8 ^ 0x5a).collect();
            copy_in(&words, &bytes);
            let mut back = vec![0; len];
            copy_out(&words, &mut back);
            assert_eq!(bytes, back);
        }
    }
}
