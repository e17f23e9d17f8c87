//! What the kernel knows: which process has a pid, what time it is, and which signals end a process.
//!
//! The ground floor: it imports nothing of this crate, and every other module may use it.

pub mod clock;
pub mod identity;
pub mod mounts;
pub mod named;
pub mod nameless;
pub mod stop;
pub mod whereabouts;
