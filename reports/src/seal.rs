//! Seals: runs in one archive, with their hashes and, if there is a key, a signature.
//!
//! The checksums of a run log protect against accidents, a seal against people. A bundle is a tar archive of a fixed
//! form: first `seal.json`, a DSSE envelope around an in-toto statement whose subjects are the SHA-256 of all other files;
//! then, for each run, its scenario, its logs, its host and build, and its verdict. To verify is to hold every byte
//! against the statement, the statement against its signature, and the verdict against the logs, judged again.
//!
//! Nothing is ever unpacked. `docs/seals.md` has the formats.
//! Deliberately absent: files, and where keys come from.

mod archive;
mod envelope;
mod key;
mod seen;
mod statement;
mod write;

use std::io;

pub use envelope::pae;
pub use key::{PrivateKey, PublicKey, is_signed_beside};
pub use seen::{SealedRun, Verified, verify};
pub use write::{RunInput, Source, scenario_sha256, seal};

/// What a bundle's first file is called.
const SEAL: &str = "seal.json";
/// Of the files of a run that are read whole: a verdict, a scenario.
const SMALL_MAX: u64 = 16 << 20;

/// Why something cannot be sealed, or a bundle cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    #[error("the bundle cannot be read: {0}")]
    Read(io::Error),
    #[error("the bundle cannot be written: {0}")]
    Write(io::Error),
    #[error("this is not a bundle of sealed runs: {0}")]
    NotABundle(String),
    #[error("`{name}` in the bundle {what}")]
    Entry { name: String, what: String },
    #[error("the key cannot be used: {0}")]
    Key(String),
    #[error("run `{run}` cannot be sealed: {what}")]
    Run { run: String, what: String, hint: &'static str },
}

impl SealError {
    /// What to do next.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Read(_) => "copy the bundle again, and verify the copy",
            Self::Write(_) => "free some space, or name another file with --out",
            Self::NotABundle(_) | Self::Entry { .. } => {
                "take the file as `harness seal` wrote it: other archivers, and people, write other bytes"
            }
            Self::Key(_) => {
                "make one with `openssl genpkey -algorithm ed25519 -out key.pem`, and its public half with \
                 `openssl pkey -in key.pem -pubout -out key.pub.pem`"
            }
            Self::Run { hint, .. } => hint,
        }
    }
}
