//! Who vouches for which runs: the seals that are given, and the keys that the plan lists.

use crate::cli::args::PlanArg;
use crate::cli::seal;
use crate::exit::ExitCode;
use reports::gate::plan::{Gate, Source};
use reports::run_dir::logs_sha256;
use reports::seal::Verified;
use std::collections::BTreeSet;
use std::path::Path;

/// Every seal, as each key sees it.
pub(super) struct Seals(Vec<(String, Verified)>);

impl Seals {
    /// Mistakes have been shown when this returns an error.
    pub(super) fn read(gates: &[&Gate], args: &PlanArg) -> Result<Self, ExitCode> {
        let home = args.phases.parent().unwrap_or(Path::new(""));
        let evidence = gates.iter().flat_map(|gate| &gate.evidence);
        let keys: BTreeSet<&String> = evidence
            .filter_map(|evidence| match &evidence.source {
                Source::Runs(runs) => Some(&runs.signed_by),
                Source::File(_) => None,
            })
            .flatten()
            .collect();
        let mut seen = Vec::new();
        for name in keys {
            let key = seal::public_key(&home.join(name))?;
            for bundle in &args.seals {
                seen.push((name.clone(), seal::verified_by(bundle, std::slice::from_ref(&key))?));
            }
        }
        Ok(Self(seen))
    }

    /// The keys, as the plan names them, that vouch for a run with exactly these logs.
    pub(super) fn signers(&self, directory: &Path) -> Vec<String> {
        let Ok(logs) = logs_sha256(directory) else { return Vec::new() };
        let vouches = |(_, seal): &&(String, Verified)| !seal.signers_of(&logs).is_empty();
        self.0.iter().filter(vouches).map(|(name, _)| name.clone()).collect()
    }
}
