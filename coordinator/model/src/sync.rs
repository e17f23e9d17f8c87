//! Stands in for the bus's door to atomics: loom's, and each change is a step at which a thread can
//! be told to die.

#[path = "../../src/bus/sync/bug.rs"]
mod bug;
#[macro_use]
#[path = "../../src/bus/sync/changes.rs"]
mod changes;

pub use bug::Bug;
pub use loom::hint::spin_loop;
pub use std::sync::atomic::Ordering;

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

std::thread_local! {
    /// loom runs all threads of a model on the thread of its test.
    static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
}

loom::thread_local! {
    /// Steps left to live.
    static LEFT: Cell<u32> = Cell::new(u32::MAX);
}

/// Commits `bug` in all models of this test from now on.
pub fn plant(bug: Bug) {
    PLANTED.set(Some(bug));
}

pub fn planted(bug: Bug) -> bool {
    PLANTED.get() == Some(bug)
}

pub fn full_fence() {
    loom::sync::atomic::fence(Ordering::SeqCst);
}

struct Died;

/// Runs `life` up to its `steps`-th change of memory, which does not take place any more; true if it
/// came to its end before.
pub fn dies_at(steps: u32, life: impl FnOnce()) -> bool {
    LEFT.with(|left| left.set(steps));
    let lived = catch_unwind(AssertUnwindSafe(life));
    LEFT.with(|left| left.set(u32::MAX));
    match lived {
        Ok(()) => true,
        Err(cause) if cause.is::<Died>() => false,
        Err(cause) => resume_unwind(cause),
    }
}

/// A step without a change of memory.
pub fn call() {
    step();
}

fn step() {
    let left = LEFT.with(Cell::get);
    if left == 0 {
        // Not a panic: no other thread is notified.
        resume_unwind(Box::new(Died));
    }
    if left != u32::MAX {
        LEFT.with(|cell| cell.set(left - 1));
    }
}

macro_rules! counted {
    ($name:ident, $value:ty) => {
        #[derive(Debug)]
        pub struct $name(loom::sync::atomic::$name);

        impl $name {
            pub fn new(value: $value) -> Self {
                Self(loom::sync::atomic::$name::new(value))
            }
        }

        changes!($name, $value);
    };
}

counted!(AtomicU32, u32);
counted!(AtomicI32, i32);
counted!(AtomicU64, u64);
