//! The shared-memory bus: who may touch which byte, and when.
//!
//! Files → [`mapping`] → typed parts ([`view`], [`slot`], laid out by [`layout`]) → [`ring`],
//! [`doorbell`], [`bitmap`]. The only `unsafe` is where bytes become atomics.
#![expect(unsafe_code, reason = "shared memory is mapped here, and nowhere else")]

pub mod bitmap;
pub mod directory;
pub mod doorbell;
pub mod error;
pub mod layout;
pub mod mapping;
pub mod ring;
pub mod slot;
pub mod sync;
pub mod view;
