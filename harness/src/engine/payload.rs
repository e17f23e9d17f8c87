//! What an echo task carries: bytes that no one can guess without the task's own number.
//!
//! Both ends of the check make them anew, so an answer that is another task's, an older one's or a
//! buffer's remains is told from the right one.

use rand::SeedableRng;
use rand::rand_core::Rng as _;
use rand_chacha::ChaCha8Rng;

/// Fills `buffer` with `bytes` bytes for the task `tag`.
pub fn fill(buffer: &mut Vec<u8>, seed: u64, tag: u64, bytes: u32) {
    buffer.resize(bytes as usize, 0);
    // The odd factor spreads neighbouring tags over all seeds.
    ChaCha8Rng::seed_from_u64(seed ^ tag.wrapping_mul(0x9e37_79b9_7f4a_7c15)).fill_bytes(buffer);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_task_has_its_own_bytes_and_always_the_same() {
        let make = |seed, tag| {
            let mut bytes = Vec::new();
            fill(&mut bytes, seed, tag, 256);
            bytes
        };
        assert_eq!(make(1, 2), make(1, 2));
        assert_ne!(make(1, 2), make(1, 3));
        assert_ne!(make(1, 2), make(2, 2));
    }
}
