//! The end of a process that finds words in shared memory which it has not written, and cannot go on with.
//!
//! Any program of the same user may write anything there at any time. That is no bug of this program: no panic is
//! reported, and the exit status says what it was. What the process did is left to its successor, which trusts no word.

use std::any::Any;

/// The exit status of such a process: `docs/exit-codes.md`.
pub const STATUS: i32 = 73;
/// How a parent describes a process that ended with it.
pub const IN_WORDS: &str = "its shared memory was overwritten";

/// Where the words are that cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damaged {
    /// In this entry of the task table.
    Entry(u32),
    /// In the region's state, which the workers obey.
    State,
}

/// Unwinds to the fork of this process, which ends with [`STATUS`].
pub fn end_by(damaged: Damaged) -> ! {
    // Not a panic: no hook is called, and nothing is printed.
    std::panic::resume_unwind(Box::new(damaged))
}

/// The exit status of a process that unwound to its fork.
pub fn status_of(payload: &(dyn Any + Send)) -> i32 {
    if payload.is::<Damaged>() { STATUS } else { 70 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_damage_ends_with_its_status() {
        let damaged = std::panic::catch_unwind(|| end_by(Damaged::Entry(3))).unwrap_err();
        assert_eq!(status_of(&*damaged), STATUS);
        let bug: Box<dyn Any + Send> = Box::new("a bug");
        assert_eq!(status_of(&*bug), 70);
    }
}
