//! What of a fleet outlives it: backups of a running fleet, and journals of accepted tasks.
//!
//! Both are lines of JSON with a chained checksum (`lines`), of the same records (`record`); a file is
//! complete, or it is refused. `docs/backup-format.md` is its specification.
//!
//! Deliberately absent: running fleets. A restore is a client of the new fleet, in `cli/`.

pub mod backup;
mod durable;
pub mod error;
pub mod file;
pub mod journal;
pub mod journaled;
mod lines;
pub mod record;

pub use error::SnapshotError;
pub use file::{Snapshot, read_snapshot, write_snapshot};
pub use journal::{Ended, Entry, Journal, Replay};
