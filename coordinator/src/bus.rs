//! The shared-memory bus: who may touch which byte, and when.
//!
//! Files → [`mapping`] → typed parts ([`view`], [`slot`], laid out by [`layout`]) → [`ring`],
//! [`doorbell`], [`bitmap`]. A [`channel`] is two rings in a file of their own, for two processes without
//! a fleet. The only `unsafe` is where bytes become atomics, and in the handler of a lost mapping.
//!
//! Absent: anything above. The bus imports the ground floor (`os`, `raw`) and itself.
#![expect(unsafe_code, reason = "shared memory is mapped here, and nowhere else")]

pub mod bitmap;
pub mod channel;
pub mod copy;
pub mod directory;
pub mod doorbell;
pub mod error;
pub mod events;
pub mod fault;
pub mod fields;
pub mod futex;
#[cfg(any(test, feature = "probe"))]
pub(crate) mod heap;
pub mod layout;
pub(crate) mod leak;
pub mod mapping;
pub mod memory;
pub mod ring;
pub mod shape;
pub mod shared;
pub mod slot;
pub mod spin;
pub mod sync;
pub mod tune;
pub mod view;
pub mod written;
