//! What of a fleet outlives it: backups of a running one, and journals of what was accepted.
//!
//! Both are lines of JSON with a chained checksum (`lines`), of the same records (`record`); a file is
//! whole, or it is refused. What the files mean is in `docs/backup-format.md`.
//!
//! Absent on purpose: the running of fleets. Who restores one is its client, and lives in `cli/`.

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
