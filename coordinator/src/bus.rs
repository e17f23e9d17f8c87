//! The shared-memory bus: who may touch which byte, and when.

pub mod layout;
