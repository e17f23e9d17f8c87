//! Atomics that count every change, beside the system calls that others see, and can end or stop the process at the n-th: for the tests that
//! kill at every step. Compiled in with the feature `kill-points` only.

#[macro_use]
#[path = "changes.rs"]
mod changes;

use super::{Bug, Ordering};
use nix::sys::signal::{Signal, raise};
pub use std::sync::atomic::{AtomicBool, AtomicPtr};
use std::sync::atomic::{AtomicU32 as StdU32, AtomicU64 as StdU64};

static STEPS: StdU64 = StdU64::new(0);
static KILL_AT: StdU64 = StdU64::new(u64::MAX);
static STOP_AT: StdU64 = StdU64::new(u64::MAX);
static PLANTED: StdU32 = StdU32::new(0);

/// Changes of atomics by this process, and system calls, since [`kill_at`] or [`stop_at`].
pub fn steps() -> u64 {
    STEPS.load(Ordering::Relaxed)
}

/// Counts from 0 again.
fn restart() {
    STEPS.store(0, Ordering::Relaxed);
    KILL_AT.store(u64::MAX, Ordering::Relaxed);
    STOP_AT.store(u64::MAX, Ordering::Relaxed);
}

/// SIGKILL before change `step`, counted from 0 from now on; `u64::MAX` for never.
pub fn kill_at(step: u64) {
    restart();
    KILL_AT.store(step, Ordering::Relaxed);
}

/// SIGSTOP before change `step`, counted from 0 from now on.
pub fn stop_at(step: u64) {
    restart();
    STOP_AT.store(step, Ordering::Relaxed);
}

/// Makes this process commit `bug` from now on; `None` ends that.
pub fn plant(bug: Option<Bug>) {
    PLANTED.store(bug.map_or(0, |bug| bug as u32), Ordering::Relaxed);
}

/// Also of the whole fleet's, where the build has both.
pub fn planted(bug: Bug) -> bool {
    #[cfg(feature = "sabotage")]
    if super::sabotage::planted(bug) {
        return true;
    }
    PLANTED.load(Ordering::Relaxed) == bug as u32
}

/// A system call that others see comes next.
pub fn call() {
    step();
}

fn step() {
    let step = STEPS.fetch_add(1, Ordering::Relaxed);
    if step == KILL_AT.load(Ordering::Relaxed) {
        let _ = raise(Signal::SIGKILL);
    }
    if step == STOP_AT.load(Ordering::Relaxed) {
        let _ = raise(Signal::SIGSTOP);
    }
}

macro_rules! counted {
    ($name:ident, $value:ty) => {
        #[derive(Debug, Default)]
        #[repr(transparent)]
        pub struct $name(std::sync::atomic::$name);

        impl $name {
            pub const fn new(value: $value) -> Self {
                Self(std::sync::atomic::$name::new(value))
            }
        }

        changes!($name, $value);
    };
}

counted!(AtomicU32, u32);
counted!(AtomicI32, i32);
counted!(AtomicU64, u64);

/// The atomic as the kernel wants it.
pub fn as_std(word: &AtomicU32) -> &StdU32 {
    &word.0
}
