//! The run log: the contract between the crates.
//!
//! One JSON object a line, each sequenced and checksummed; the first is the header, the last is
//! [`event::Event::End`]. The log is enough to say everything that can be said about a run: no report knows
//! a fact that is not in here. A run that was resumed has a log for each of its segments. Deliberately absent: any knowledge of how the
//! facts were obtained.

pub mod codec;
pub mod columns;
pub mod event;
pub mod sweep;
mod v1;
pub mod validate;

pub use codec::{LogError, Reader, Unknown, Writer};
pub use event::{Event, Header, Record};
