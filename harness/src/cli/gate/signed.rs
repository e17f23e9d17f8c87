//! Who vouches for which runs and statements: the seals that are given, the signatures beside statements, and the keys that the
//! plan lists.

use super::note_who_names_it;
use crate::cli::{output, seal};
use crate::exit::ExitCode;
use reports::gate::plan::{Gate, OutsideFile, Plan, Source};
use reports::runlog::codec;
use reports::seal::{PublicKey, Verified, is_signed_beside};
use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// 64 bytes, or these in base64 with an end of line.
const SIGNATURE_BYTES_MAX: u64 = 1 << 10;

/// The public keys that a plan lists, by the names that it gives them.
pub(super) struct Keys(BTreeMap<String, PublicKey>);

impl Keys {
    /// `home` is the directory of the plan. Mistakes have been shown when this returns an error.
    pub(super) fn read(plan: &Plan, gates: &[&Gate], home: &Path) -> Result<Self, ExitCode> {
        let mut keys = BTreeMap::new();
        for evidence in gates.iter().flat_map(|gate| &gate.evidence) {
            let names = match &evidence.source {
                Source::Runs(runs) => &runs.signed_by,
                Source::File(file) => &file.signed_by,
            };
            for name in names {
                if !keys.contains_key(name) {
                    let key = seal::public_key(&home.join(name))
                        .inspect_err(|_| note_who_names_it(plan, evidence))?;
                    keys.insert(name.clone(), key);
                }
            }
        }
        Ok(Self(keys))
    }

    /// Those that have signed a file with this text.
    pub(super) fn signers_of(&self, file: &OutsideFile, text: &[u8]) -> Vec<String> {
        let Some(signature) = signature(file) else { return Vec::new() };
        let signed = self.0.iter().filter(|(_, key)| is_signed_beside(key, text, &signature));
        signed.map(|(name, _)| name.clone()).collect()
    }
}

/// None that can be read is none at all: the decision says that there is no signature of the text.
fn signature(file: &OutsideFile) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let beside = codec::open_file(Path::new(&file.signature())).ok()?;
    beside.take(SIGNATURE_BYTES_MAX).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// Every seal, as each key sees it.
pub(super) struct Seals(Vec<(String, Verified)>);

impl Seals {
    /// Mistakes have been shown when this returns an error.
    pub(super) fn read(keys: &Keys, bundles: &[PathBuf]) -> Result<Self, ExitCode> {
        for bundle in bundles {
            check(bundle)?;
        }
        let mut seen = Vec::new();
        for (name, key) in &keys.0 {
            for bundle in bundles {
                seen.push((name.clone(), seal::verified_by(bundle, std::slice::from_ref(key))?));
            }
        }
        Ok(Self(seen))
    }

    /// The keys, as the plan names them, that vouch for a run with exactly these logs: the SHA-256 of each, in order.
    pub(super) fn signers_of(&self, logs_sha256: &[String]) -> Vec<String> {
        let vouches = |(_, seal): &&(String, Verified)| !seal.signers_of(logs_sha256).is_empty();
        self.0.iter().filter(vouches).map(|(name, _)| name.clone()).collect()
    }
}

/// What was given must be what it is said to be, whether or not evidence asks for it and by whatever key it is signed. A mistake has been shown
/// when this returns an error.
fn check(bundle: &Path) -> Result<(), ExitCode> {
    let verified = seal::verified_by(bundle, &[])?;
    if verified.holds() {
        return Ok(());
    }
    let message =
        format!("the seal of `{}` does not hold: {}", bundle.display(), verified.findings.join("; "));
    output::error(&message, Some("take the archive as it was sealed, or leave this --seal out"));
    Err(ExitCode::Usage)
}
