//! The one door to atomics: nothing else in the crate names `std::sync::atomic`, so that a model
//! checker's types can stand in for these.

pub use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU32, AtomicU64, Ordering, fence};
