//! The peers, one file each; what they have in common is in [`crate::link`].

#[cfg(feature = "aeron")]
pub mod aeron;
pub mod files;
pub mod floors;
pub mod iceoryx;
pub mod kernel;
pub mod nats;
pub mod ours;
pub mod redis_streams;
mod server;
#[cfg(feature = "zeromq")]
pub mod zeromq;
