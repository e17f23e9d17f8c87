//! Real fleets, through the program and through the client.

mod client;
mod inherited;
mod namespaces;
mod nonsense;
mod orders;
mod outcomes;
mod pool;
mod program;
mod seen;
mod strangers;
mod tasks;
mod top;

use crate::support::up::{PROGRAM, Up, is_empty, kill, shm, wait_until};
