//! Times of the fleet, which are of CLOCK_MONOTONIC, as times of the run.

use coordinator::client::now_ns;
use rustix::time::{ClockId, clock_gettime};

/// Readings of both clocks that took no longer than this are used; three readings take a tenth of it.
const READING_MAX_NS: u64 = 2_000;
/// After so many readings the best of them is used.
const READINGS_MAX: u32 = 4;

/// How far a time on CLOCK_MONOTONIC is from one on the run's clock, ns.
#[derive(Debug, Clone, Copy)]
pub(super) struct Offset(i128);

impl Offset {
    /// The two clocks drift apart only while the machine is suspended, so that this is taken anew with each poll.
    pub(super) fn now(zero_ns: i64) -> Self {
        // This thread may have to wait between two readings: the pair that took the least time is the truest.
        let pair = || {
            let (before, boot, after) = (now_ns(), clock_gettime(ClockId::Boottime), now_ns());
            let boot_ns = i128::from(boot.tv_sec) * 1_000_000_000 + i128::from(boot.tv_nsec);
            // From the earlier reading: an error makes times later, and the fleet no faster than it is.
            (after.saturating_sub(before), boot_ns - i128::from(zero_ns) - i128::from(before))
        };
        let mut best = pair();
        for _ in 1..READINGS_MAX {
            if best.0 <= READING_MAX_NS {
                break;
            }
            best = best.min(pair());
        }
        Self(best.1)
    }

    /// What lies before the start of the run counts as its start.
    pub(super) fn to_run_ns(self, monotonic_ns: u64) -> u64 {
        u64::try_from(i128::from(monotonic_ns) + self.0).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_the_fleet_are_times_of_the_run() {
        let boot = clock_gettime(ClockId::Boottime);
        let zero_ns = boot.tv_sec * 1_000_000_000 + boot.tv_nsec;
        let times: Vec<_> = (0..100).map(|_| Offset::now(zero_ns).to_run_ns(now_ns())).collect();
        assert!(times[99] < 60_000_000_000, "{times:?}");
        assert_eq!(Offset::now(zero_ns).to_run_ns(0), 0, "before the run");
    }
}
