//! What the kernel knows: which process has a pid, and what time it is.
//!
//! The ground floor: it imports nothing of this crate, and every other module may use it.

pub mod clock;
pub mod identity;
pub mod named;
pub mod nameless;
