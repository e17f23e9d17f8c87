//! What of a fleet outlives it: backups of a running fleet, and journals of accepted tasks.
//!
//! A fleet's clients keep such a journal in its directory, one after the other (`clients`): what one of them has not written
//! down, the next one does.
//!
//! Both are lines of JSON with a chained checksum (`lines`), of the same records (`record`); a file is
//! complete, or it is refused. `docs/backup-format.md` is its specification.
//!
//! Deliberately absent: running fleets. A restore is a client of the new fleet, in `cli/`.

pub mod backup;
pub mod clients;
pub(crate) mod durable;
pub mod error;
pub mod file;
mod header;
pub mod journal;
pub mod journaled;
mod lines;
pub mod output;
pub mod record;

pub use error::SnapshotError;
pub use file::{Snapshot, read_snapshot, write_snapshot};
pub use journal::{Ended, Entry, Journal, Outcome, Replay};
