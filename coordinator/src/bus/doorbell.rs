//! A futex that is rung only when a process sleeps on it.
//!
//! The sleeper arms the bell, looks once more for work, and sleeps; a process that has work publishes it
//! and then looks whether the bell is armed. The two fences make sure that one of them sees the other. The
//! ringer disarms the bell after the wake-up and not before: if it is killed in between, the bell stays
//! armed, and the next ringer wakes the sleeper. A wake-up that is lost all the same (a peer killed before
//! it rang, and no other one) costs at most the time-out of the sleeper.

use super::futex;
use super::shared::Shared;
use super::sync::{AtomicU32, Bug, Ordering, full_fence, planted};
use std::time::Duration;

#[derive(Debug)]
#[repr(C, align(128))]
pub struct Doorbell {
    /// The futex word; not private, since the sleeper is another process.
    pub(super) rung: AtomicU32,
    /// Not 0 while a process sleeps or is about to: then the value of `rung` that it sleeps on, so that a
    /// late ringer does not disarm the next sleep.
    pub(super) armed: AtomicU32,
}

// SAFETY: atomics only.
unsafe impl Shared for Doorbell {}

impl Default for Doorbell {
    fn default() -> Self {
        Self::new()
    }
}

impl Doorbell {
    /// As zeroed memory would be.
    pub fn new() -> Self {
        Self { rung: AtomicU32::new(0), armed: AtomicU32::new(0) }
    }

    /// Call after publishing: wakes the sleeper if there is one. True if it cost a system call.
    pub fn ring(&self) -> bool {
        // Pairs with the fence in `wait`: either we see it armed, or it sees what we published.
        if !planted(Bug::RingWithoutFence) {
            full_fence();
        }
        let armed = self.armed.load(Ordering::Relaxed);
        if armed == 0 {
            return false;
        }
        if planted(Bug::DisarmFirst) {
            self.armed.store(0, Ordering::Relaxed);
        }
        self.wake();
        // Fails if the sleeper has disarmed it, or has armed it anew.
        let _ = self.armed.compare_exchange(armed, 0, Ordering::Release, Ordering::Relaxed);
        true
    }

    /// As [`Doorbell::ring`], without the fence: may overlook a sleeper that has just armed the bell. For
    /// callers that ring again soon.
    #[inline]
    pub fn ring_relaxed(&self) {
        if self.armed.load(Ordering::Relaxed) != 0 {
            self.ring();
        }
    }

    /// Wakes the sleeper whether or not it is armed: for changes of state, and from signal handlers.
    pub fn wake(&self) {
        self.rung.fetch_add(1, Ordering::Release);
        futex::wake(&self.rung);
    }

    /// Sleeps until rung, unless `has_work` is true at the last moment.
    pub fn wait(&self, timeout: Duration, has_work: impl FnOnce() -> bool) {
        let rung = self.rung.load(Ordering::Acquire);
        self.armed.store(rung << 1 | 1, Ordering::Relaxed);
        full_fence();
        if !has_work() {
            futex::wait(&self.rung, rung, timeout);
        }
        // A swap, so that a late disarming by a ringer comes before the next arming for good.
        self.armed.swap(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::AtomicU64;

    #[test]
    fn a_bell_without_a_sleeper_costs_no_system_call() {
        let bell = Doorbell::new();
        assert!(!bell.ring());
    }

    #[test]
    fn work_published_before_the_sleep_is_never_slept_over() {
        let bell = Arc::new(Doorbell::new());
        let (asked, done) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let rounds = 20_000;
        let sleeper = std::thread::spawn({
            let (bell, asked, done) = (bell.clone(), asked.clone(), done.clone());
            move || {
                for round in 1..=rounds {
                    while asked.load(Ordering::Acquire) < round {
                        // A lost wake-up would stand here for an hour: the test's own time limit
                        // is the watchdog.
                        let hour = Duration::from_secs(3600);
                        bell.wait(hour, || asked.load(Ordering::Acquire) >= round);
                    }
                    done.store(round, Ordering::Release);
                }
            }
        });
        for round in 1..=rounds {
            asked.store(round, Ordering::Release);
            bell.ring();
            while done.load(Ordering::Acquire) < round {
                std::thread::yield_now();
            }
        }
        sleeper.join().unwrap();
    }
}
