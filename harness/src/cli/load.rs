//! From a path on the command line to a scenario or a plan; whatever is wrong has been said.

use super::args::VariantArgs;
use super::talk;
use crate::exit::ExitCode;
use crate::host::SHM_DIR;
use crate::scenario::{Plan, PlanOptions, Scenario, Selection, Source, seed};
use std::io;
use std::path::{Path, PathBuf};

pub(crate) fn source(file: &Path) -> Result<Source, ExitCode> {
    let name = file.display().to_string();
    match std::fs::read_to_string(file) {
        Ok(text) => Ok(Source { name, text }),
        Err(error) => {
            let hint = match error.kind() {
                io::ErrorKind::NotFound => "`harness list` shows the scenarios that there are",
                io::ErrorKind::PermissionDenied => "you may not read it; `ls -l` says who may",
                io::ErrorKind::InvalidData => "a scenario is text in UTF-8",
                io::ErrorKind::IsADirectory => "name a file in it; `harness list DIR` shows them",
                _ => "name a scenario file, such as scenarios/smoke.toml",
            };
            talk::error(&format!("cannot read `{name}`: {error}"), Some(hint));
            Err(ExitCode::Usage)
        }
    }
}

pub(crate) fn scenario(source: &Source, selection: &Selection) -> Result<Scenario, ExitCode> {
    Scenario::parse(source, selection).map_err(|found| {
        talk::mistakes(&found);
        ExitCode::Usage
    })
}

/// A scenario that names no seed gets one of its own text: the same file is the same run.
pub(crate) fn plan(file: &Path, variant: &VariantArgs) -> Result<Plan, ExitCode> {
    let source = source(file)?;
    let scenario = scenario(&source, &variant.selection())?;
    let options = PlanOptions {
        seed: variant.seed,
        fallback_seed: seed::child(0, &source.text),
        rehearsal: variant.rehearse,
    };
    Ok(Plan::new(scenario, &options))
}

/// Where fleets keep their shared memory.
pub(crate) fn shm_dir() -> PathBuf {
    std::env::var_os("COORDINATOR_SHM_DIR").map_or_else(|| PathBuf::from(SHM_DIR), PathBuf::from)
}
