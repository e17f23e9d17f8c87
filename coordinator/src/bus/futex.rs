//! Sleeping and waking on a word of shared memory.

use super::sync::{AtomicU32, as_std, call};
use rustix::thread::futex;
use rustix::time::Timespec;
use std::time::Duration;

/// Sleeps while `word` is `value`, at most `timeout`. Woken, timed out, interrupted or changed
/// before it slept: the caller looks again in each case.
pub fn wait(word: &AtomicU32, value: u32, timeout: Duration) {
    let timeout = Timespec { tv_sec: timeout.as_secs() as i64, tv_nsec: i64::from(timeout.subsec_nanos()) };
    call();
    // Not private: who wakes is another process.
    let _ = futex::wait(as_std(word), futex::Flags::empty(), value, Some(&timeout));
}

/// Wakes one sleeper, if there is any.
pub fn wake(word: &AtomicU32) {
    call();
    let _ = futex::wake(as_std(word), futex::Flags::empty(), 1);
}
