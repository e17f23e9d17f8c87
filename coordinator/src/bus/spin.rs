//! Whether to look a while longer before going to sleep.
//!
//! To sleep and be woken costs tens of microseconds across processors. Looking for as long as that
//! costs at most twice the best choice; but where the process that is waited for needs this processor,
//! every look is in vain. So a spin that found nothing is followed by more and more waits without one.

use super::sync::spin_loop;
use std::time::{Duration, Instant};

/// Waits without a spin after one in vain, at most.
const SKIP_MAX: u32 = 1024;
/// Looks between two looks at the clock.
const LOOKS: u32 = 64;

#[derive(Debug, Clone)]
pub struct Spin {
    limit: Duration,
    /// Waits still to go without spinning.
    skip: u32,
    /// How many of them the next spin in vain will bring.
    penalty: u32,
}

impl Spin {
    /// Spins for at most `limit`, which is about what a sleep and a wake cost ([`super::tune`]); zero
    /// never spins.
    pub fn new(limit: Duration) -> Self {
        Self { limit, skip: 0, penalty: 1 }
    }

    /// Looks until `is_ready` or it is time to sleep; true if it is ready.
    pub fn until(&mut self, mut is_ready: impl FnMut() -> bool) -> bool {
        if is_ready() {
            return true;
        }
        if self.limit.is_zero() {
            return false;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        let began = Instant::now();
        loop {
            for _ in 0..LOOKS {
                if is_ready() {
                    self.penalty = 1;
                    return true;
                }
                spin_loop();
            }
            if began.elapsed() >= self.limit {
                self.skip = self.penalty;
                self.penalty = (self.penalty * 2).min(SKIP_MAX);
                return false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spins_in_vain_become_rare() {
        let mut spin = Spin::new(Duration::from_nanos(1));
        let mut spins = 0;
        for _ in 0..100_000 {
            let mut looks = 0;
            spin.until(|| {
                looks += 1;
                false
            });
            spins += u32::from(looks > 1);
        }
        // 1 + 2 + 4 + … + 1024, then one in 1025
        assert!((100..=110).contains(&spins), "{spins}");
    }

    #[test]
    fn a_spin_that_pays_is_done_again_at_once() {
        let mut spin = Spin::new(Duration::from_secs(60));
        for _ in 0..100 {
            let mut looks = 0;
            assert!(spin.until(|| {
                looks += 1;
                looks == 10
            }));
        }
        assert_eq!(spin.skip, 0);
    }
}
