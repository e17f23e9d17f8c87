//! Which calls of a fleet fail, as a scenario asks for it and as the processes are told that answer them ([`crate::disk`],
//! [`crate::trapped`]), and whose turn it is. Pure.

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// Which of them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Which {
    /// A share of them, 0 to 1, drawn from a seed.
    Rate(f64),
    /// Every n-th, from 1 on.
    Nth(u32),
}

/// As it is said in two words.
pub(crate) fn said(which: Which) -> String {
    match which {
        Which::Rate(rate) => format!("rate {rate}"),
        Which::Nth(nth) => format!("nth {nth}"),
    }
}

/// `None` if it is not said in this way.
pub(crate) fn read(how: &str, many: &str) -> Option<Which> {
    match how {
        "rate" => many.parse().ok().filter(|rate| (0.0..=1.0).contains(rate)).map(Which::Rate),
        "nth" => many.parse().ok().filter(|nth| *nth > 0).map(Which::Nth),
        _ => None,
    }
}

/// Of calls that are counted together.
#[derive(Debug)]
pub(crate) struct Turns {
    which: Which,
    made: u64,
    drawn: ChaCha8Rng,
}

impl Turns {
    /// Calls of another stream do not change what is drawn for those of this one.
    pub(crate) fn new(which: Which, seed: u64, stream: u64) -> Self {
        let mut drawn = ChaCha8Rng::seed_from_u64(seed);
        drawn.set_stream(stream);
        Self { which, made: 0, drawn }
    }

    /// Whether the next call fails.
    pub(crate) fn fails(&mut self) -> bool {
        self.made += 1;
        match self.which {
            Which::Rate(rate) => self.drawn.random_bool(rate),
            Which::Nth(nth) => self.made.is_multiple_of(nth.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(which: Which, seed: u64, stream: u64) -> Vec<bool> {
        let mut turns = Turns::new(which, seed, stream);
        (0..10_000).map(|_| turns.fails()).collect()
    }

    #[test]
    fn every_nth_call_fails() {
        let found = failed(Which::Nth(3), 7, 0);
        assert!(found.iter().enumerate().all(|(made, fails)| *fails == ((made + 1) % 3 == 0)));
        assert!(failed(Which::Nth(1), 7, 0).into_iter().all(|fails| fails));
    }

    #[test]
    fn a_share_of_the_calls_fails_and_the_seed_says_which() {
        let found = failed(Which::Rate(0.3), 7, 0);
        let share = found.iter().filter(|fails| **fails).count();
        // Five standard deviations of 10,000 draws.
        assert!((2771..=3229).contains(&share), "{share}");
        assert_eq!(found, failed(Which::Rate(0.3), 7, 0));
        assert_ne!(found, failed(Which::Rate(0.3), 8, 0));
        assert_ne!(found, failed(Which::Rate(0.3), 7, 1));
        assert!(failed(Which::Rate(1.0), 7, 0).into_iter().all(|fails| fails));
    }

    #[test]
    fn what_is_said_is_read_and_nothing_else_is() {
        for which in [Which::Rate(0.1), Which::Rate(1.0), Which::Nth(3)] {
            let said = said(which);
            let (how, many) = said.split_once(' ').unwrap();
            assert_eq!(read(how, many), Some(which), "{said}");
        }
        for (how, many) in [("nth", "0"), ("nth", "x"), ("rate", "1.5"), ("rate", "NaN"), ("share", "1")] {
            assert_eq!(read(how, many), None, "{how} {many}");
        }
    }
}
