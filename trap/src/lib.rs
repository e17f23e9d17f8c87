//! Lets another process answer some system calls of a thread and of everything that it starts: seccomp user
//! notification, for the calls by which memory comes to be shared.
//!
//! A safe function and a type around one system call and three ioctls ([ADR 15](../../docs/adr/0015-a-crate-for-seccomp-notification.md)).
//! Deliberately absent: which call fails, and why; files, processes and threads.

mod filter;
mod kernel;
mod listener;

pub use filter::TrappedCall;
pub use kernel::install;
pub use listener::{Answer, Call, Listener};
