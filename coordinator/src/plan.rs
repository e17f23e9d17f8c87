//! What to do next, as functions of what is known: no clock, no file, no process in here.

pub mod lease;
pub mod recover;
pub mod restart;
pub mod routing;
