//! What the harness itself has used: measure the measurer.

use procfs::process::Process;
use rustix::time::{ClockId, Timespec, clock_gettime};
use std::time::Duration;

/// Over the whole life of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OwnUsage {
    /// User + system, of all threads.
    pub cpu: Duration,
    /// The most at once.
    pub rss_max_kib: u64,
}

/// The kernel's account of this process; 0 for what cannot be read.
pub fn own_usage() -> OwnUsage {
    let status = Process::myself().and_then(|own| own.status());
    OwnUsage {
        cpu: since(Timespec::default(), clock_gettime(ClockId::ProcessCPUTime)),
        rss_max_kib: status.ok().and_then(|status| status.vmhwm).unwrap_or(0),
    }
}

/// Between two readings of the same clock.
pub(super) fn since(earlier: Timespec, later: Timespec) -> Duration {
    let ns = |time: Timespec| i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec);
    Duration::from_nanos(u64::try_from(ns(later) - ns(earlier)).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_grows_and_is_not_nothing() {
        let before = own_usage();
        let sum = (0..5_000_000_u64).fold(0_u64, |sum, n| std::hint::black_box(sum.wrapping_add(n)));
        std::hint::black_box(sum);
        let after = own_usage();
        assert!(after.cpu > before.cpu, "{before:?} {after:?}");
        assert!(after.rss_max_kib > 100);
    }
}
