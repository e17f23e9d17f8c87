//! The bus under a model checker: the same source as in the coordinator, over loom's atomics.
//!
//! What stands in here: [`sync`] (loom's atomics, which count changes, so that a thread can die at any
//! of them) and [`futex`] (sleep and wake without a time-out, so that a lost wake-up is a deadlock,
//! which loom finds). Everything else is the file that the bus itself is built of, without the tests
//! that it brings: `cargo clippy --all-targets` would look for them here.
#![cfg(not(test))]

#[path = "../../src/bus/bitmap.rs"]
pub mod bitmap;
#[path = "../../src/bus/copy.rs"]
pub mod copy;
#[path = "../../src/bus/doorbell.rs"]
pub mod doorbell;
pub mod futex;
#[path = "../../src/bus/ring.rs"]
pub mod ring;
#[path = "../../src/bus/shared.rs"]
pub mod shared;
pub mod sync;
