//! What the kernel tells a process about itself and others: which process has a pid, and what time it is.
//!
//! The ground floor: it imports nothing of this crate, and every other module may use it.

pub mod clock;
pub mod identity;
