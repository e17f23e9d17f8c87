//! The run log: the contract between the crates.
//!
//! One JSON object a line, each sequenced and checksummed; the first is the header, the last is
//! [`event::Event::End`]. Whoever can read the log can say everything that can be said about a
//! run: no report knows a fact that is not in here. Deliberately absent: any knowledge of how the
//! facts were obtained.

pub mod codec;
pub mod event;
pub mod validate;

pub use codec::{LogError, Reader, Writer};
pub use event::{Event, Header, Record};
