//! What to do next, as functions of what is known: no clock, no file, no process.

pub mod capacity;
pub mod health;
pub mod lease;
pub mod pool;
pub mod recover;
pub mod restart;
pub mod retry;
pub mod scaling;
