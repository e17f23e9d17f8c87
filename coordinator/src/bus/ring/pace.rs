//! How often an adaptive consumer looks, decided from how much it found: no clock, and no memory except
//! its own.
//!
//! A consumer that looks again at once after each record has the lowest latency, but under load it chases
//! its producer from line to line, which costs both of them a transfer for every record. One that pauses
//! for a while finds many records, in lines that the producer no longer holds. So there are two states. *Close*: look at the next slot without a pause. *Streaming*: pause
//! without touching shared memory, read the tail once, take everything up to it. An empty look leaves
//! streaming at once, so that the first record after an idle time is always met closely.

/// Records taken at most by a close look.
pub const CLOSE_LIMIT: usize = 8;
/// A close look that finds this many begins to stream.
const ENTER: usize = 4;
/// A streaming look that finds fewer than the threshold is thin; two thin ones in a row end it.
const THRESHOLD_MAX: u32 = 8;
const THRESHOLD_MIN: u32 = 2;
/// A close spell shorter than this many records means that streaming was left too early.
const SHORT_SPELL: u64 = 64;
/// So many looks of fewer than `THRESHOLD_MAX` records, and the threshold goes back up: streaming
/// that was entered for a stall does not outlast it.
const THIN_MAX: u32 = 512;
/// The longest pause, in steps of about 26 ns: 420 ns is the most that streaming adds to a latency.
const PAUSE_MAX: u32 = 16;
/// The first pause.
const PAUSE_FIRST: u32 = PAUSE_MAX / 4 + 1;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pace {
    streaming: bool,
    /// How long a pause is by now, and the one before the next look; in steps.
    length: u32,
    pause: u32,
    threshold: u32,
    misses: u32,
    thin: u32,
    /// Records taken closely since the stream was left.
    spell: u64,
}

impl Pace {
    pub fn new() -> Self {
        Self { streaming: false, length: 0, pause: 0, threshold: THRESHOLD_MAX, misses: 0, thin: 0, spell: 0 }
    }

    #[inline]
    pub fn is_streaming(&self) -> bool {
        self.streaming
    }

    /// Steps to pause before the next look.
    pub fn pause(&self) -> u32 {
        self.pause
    }

    /// A close look took `taken` records, more than none.
    #[inline]
    pub fn looked_closely(&mut self, taken: usize) {
        self.spell += taken as u64;
        if taken < ENTER {
            return;
        }
        self.threshold = if self.spell < SHORT_SPELL {
            (self.threshold / 2).max(THRESHOLD_MIN)
        } else {
            (self.threshold * 2).min(THRESHOLD_MAX)
        };
        self.spell = 0;
        self.streaming = true;
        self.length = PAUSE_FIRST;
        self.pause = PAUSE_FIRST;
    }

    /// A streaming look took `taken` records of at most `limit`.
    pub fn streamed(&mut self, taken: usize, limit: usize) {
        if taken == limit {
            // There is more.
            self.pause = 0;
        } else if taken < self.threshold as usize {
            self.misses += 1;
            if taken == 0 || self.misses == 2 {
                self.streaming = false;
                (self.length, self.pause, self.misses) = (0, 0, 0);
            } else {
                self.pause = self.length;
            }
        } else {
            self.misses = 0;
            self.length = (self.length + self.length / 2 + 1).min(PAUSE_MAX);
            self.pause = self.length;
            if taken >= THRESHOLD_MAX as usize {
                self.thin = 0;
            } else {
                self.thin += 1;
                if self.thin == THIN_MAX {
                    self.threshold = THRESHOLD_MAX;
                    self.thin = 0;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn single_records_are_always_met_closely() {
        let mut pace = Pace::new();
        for _ in 0..10_000 {
            pace.looked_closely(1);
            assert!(!pace.is_streaming());
        }
    }

    #[test]
    fn an_empty_look_ends_the_stream() {
        let mut pace = Pace::new();
        pace.looked_closely(CLOSE_LIMIT);
        assert!(pace.is_streaming() && pace.pause() > 0);
        pace.streamed(0, 256);
        assert!(!pace.is_streaming());
        assert_eq!(pace.pause(), 0);
    }

    #[test]
    fn a_full_look_is_followed_by_another_at_once() {
        let mut pace = Pace::new();
        pace.looked_closely(CLOSE_LIMIT);
        pace.streamed(256, 256);
        assert!(pace.is_streaming());
        assert_eq!(pace.pause(), 0);
    }

    proptest! {
        /// Whatever is found, the pause stays bounded, and the stream ends within two thin looks.
        #[test]
        fn pauses_are_bounded(found in prop::collection::vec(0_usize..300, 1..2000)) {
            let mut pace = Pace::new();
            for taken in found {
                if pace.is_streaming() {
                    pace.streamed(taken.min(256), 256);
                } else if taken > 0 {
                    pace.looked_closely(taken.min(CLOSE_LIMIT));
                }
                prop_assert!(pace.pause() <= PAUSE_MAX);
                prop_assert!((THRESHOLD_MIN..=THRESHOLD_MAX).contains(&pace.threshold));
                prop_assert!(pace.misses < 2);
                prop_assert!(pace.is_streaming() || pace.pause() == 0);
            }
        }
    }
}
