//! The run's clock: nanoseconds of CLOCK_BOOTTIME since the run began, suspensions of the machine included.
//!
//! Every part of the engine asks this clock and no other, so that a test can replace it: a virtual clock stands
//! still until something moves it.

use jiff::{Timestamp, Unit};
use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;

#[cfg(test)]
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

#[derive(Debug, Clone)]
pub struct Clock(Source);

#[derive(Debug, Clone)]
enum Source {
    Boottime {
        /// Before the machine started, if a run goes on after that.
        zero_ns: i64,
    },
    #[cfg(test)]
    Virtual(Arc<AtomicU64>),
}

impl Clock {
    /// Begins now.
    pub fn start() -> Self {
        Self::resumed(0)
    }

    /// Of a run that began so long ago.
    pub fn resumed(elapsed_ns: u64) -> Self {
        let elapsed_ns = i64::try_from(elapsed_ns).unwrap_or(i64::MAX);
        Self(Source::Boottime { zero_ns: boottime_ns().saturating_sub(elapsed_ns) })
    }

    /// Since the start of the run.
    pub fn now_ns(&self) -> u64 {
        match &self.0 {
            Source::Boottime { zero_ns } => boottime_ns().saturating_sub(*zero_ns).max(0) as u64,
            #[cfg(test)]
            Source::Virtual(now_ns) => now_ns.load(Ordering::SeqCst),
        }
    }

    /// The start of the run on CLOCK_BOOTTIME; negative if the machine has started since.
    pub fn zero_ns(&self) -> i64 {
        match &self.0 {
            Source::Boottime { zero_ns } => *zero_ns,
            #[cfg(test)]
            Source::Virtual(_) => 0,
        }
    }

    /// The wall clock, RFC 3339: only ever written down, never computed with.
    pub fn utc(&self) -> String {
        let now = match &self.0 {
            Source::Boottime { .. } => Timestamp::now(),
            #[cfg(test)]
            Source::Virtual(_) => Timestamp::UNIX_EPOCH + Duration::from_nanos(self.now_ns()),
        };
        now.round(Unit::Millisecond).unwrap_or(now).to_string()
    }

    /// From now until `at_ns`; zero if that is over.
    pub fn until(&self, at_ns: u64) -> Duration {
        Duration::from_nanos(at_ns.saturating_sub(self.now_ns()))
    }
}

fn boottime_ns() -> i64 {
    let now = clock_gettime(ClockId::Boottime);
    now.tv_sec * 1_000_000_000 + now.tv_nsec
}

#[cfg(test)]
impl Clock {
    /// Stands at zero until [`Clock::advance`] moves it.
    pub fn virtual_at_zero() -> Self {
        Self(Source::Virtual(Arc::default()))
    }

    pub fn advance(&self, by: Duration) {
        match &self.0 {
            Source::Boottime { .. } => unreachable!("only a virtual clock is moved"),
            Source::Virtual(now_ns) => {
                now_ns.fetch_add(by.as_nanos() as u64, Ordering::SeqCst);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_begins_at_zero_and_never_goes_back() {
        let clock = Clock::start();
        let readings: Vec<_> = (0..100).map(|_| clock.now_ns()).collect();
        assert!(readings.is_sorted() && readings[0] < 60_000_000_000, "{readings:?}");
    }

    #[test]
    fn a_run_that_goes_on_after_a_restart_of_the_machine_keeps_its_clock() {
        let year_ns = 365 * 86_400 * 1_000_000_000;
        let clock = Clock::resumed(year_ns);
        assert!(clock.zero_ns() < 0, "{}", clock.zero_ns());
        let now = clock.now_ns();
        assert!(now >= year_ns && now - year_ns < 60_000_000_000, "{now}");
    }

    #[test]
    fn utc_is_written_to_the_millisecond() {
        let clock = Clock::virtual_at_zero();
        clock.advance(Duration::from_micros(1_500_400));
        assert_eq!(clock.utc(), "1970-01-01T00:00:01.5Z");
    }
}
