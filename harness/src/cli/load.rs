//! From a path on the command line to a scenario or a plan. A function here that returns an exit code has
//! written the error.

use super::args::VariantArgs;
use super::output;
use crate::exit::ExitCode;
use crate::host::SHM_DIR;
use crate::scenario::unit::bytes_text;
use crate::scenario::{Plan, PlanOptions, Scenario, Selection, Source, seed};
use notation::suggest;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// The largest committed scenario has a few KiB; a far larger file is something else.
const FILE_MAX: u64 = 1 << 20;
/// Where scenarios are looked for that are named without a directory.
const SCENARIOS: &str = "scenarios";

pub(crate) fn source(file: &Path) -> Result<Source, ExitCode> {
    let name = file.display().to_string();
    let refuse = |message: String, hint: &str| {
        output::error(&message, Some(hint));
        Err(ExitCode::Usage)
    };
    let bytes = match read(file) {
        Ok(bytes) => bytes,
        Err(Unread::Failed(error)) => {
            let hint = match error.kind() {
                io::ErrorKind::NotFound => meant(file),
                io::ErrorKind::PermissionDenied => {
                    "you may not read it; `ls -l` shows its owner and its permissions".to_owned()
                }
                _ => "name a scenario file, such as scenarios/smoke.toml".to_owned(),
            };
            return refuse(format!("cannot read `{name}`: {error}"), &hint);
        }
        Err(Unread::Directory) => {
            let message = format!("cannot read `{name}`: it is a directory");
            return refuse(message, "name a file in it; `harness list DIR` shows them");
        }
        Err(Unread::Stream) => {
            let message = format!("cannot read `{name}`: it is a pipe or a device");
            return refuse(message, "write the scenario to a file, and name that");
        }
        Err(Unread::TooLarge) => {
            let message = format!("cannot read `{name}`: it is larger than {}", bytes_text(FILE_MAX));
            return refuse(message, "scenarios have a few KiB; is this the right file?");
        }
    };
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Source { name, text }),
        Err(error) => {
            let offset = error.utf8_error().valid_up_to();
            let line = error.as_bytes()[..offset].split(|byte| *byte == b'\n').count();
            let byte = error.as_bytes()[offset];
            refuse(
                format!(
                    "cannot read `{name}`: byte 0x{byte:02x} in line {line} (offset {offset}) is not UTF-8"
                ),
                "a scenario is text in UTF-8; `iconv -t UTF-8` converts other text",
            )
        }
    }
}

enum Unread {
    Failed(io::Error),
    Directory,
    /// Opening it might wait for a writer, and reading it might never end.
    Stream,
    TooLarge,
}

impl From<io::Error> for Unread {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

fn read(file: &Path) -> Result<Vec<u8>, Unread> {
    let metadata = std::fs::metadata(file)?;
    if metadata.is_dir() {
        return Err(Unread::Directory);
    }
    if !metadata.is_file() {
        return Err(Unread::Stream);
    }
    let mut bytes = Vec::new();
    // The bound is held while reading: files of /proc say that they are empty.
    std::fs::File::open(file)?.take(FILE_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_MAX { Err(Unread::TooLarge) } else { Ok(bytes) }
}

/// A hint for a user who names a scenario without its directory or its extension, or misspells it.
fn meant(file: &Path) -> String {
    let with_toml = || PathBuf::from(format!("{}.toml", file.display()));
    let in_scenarios = |file: &Path| Path::new(SCENARIOS).join(file);
    [with_toml(), in_scenarios(file), in_scenarios(&with_toml())]
        .into_iter()
        .find(|candidate| candidate.is_file())
        .or_else(|| file.parent().and_then(|directory| nearest(directory, file)))
        .or_else(|| nearest(Path::new(SCENARIOS), file))
        .map_or_else(
            || "`harness list` shows the scenarios in a directory".to_owned(),
            |candidate| format!("did you mean {}?", candidate.display()),
        )
}

/// The scenario of a directory whose name is nearest to that of `file`.
fn nearest(directory: &Path, file: &Path) -> Option<PathBuf> {
    let here = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    let names: Vec<String> = std::fs::read_dir(here)
        .ok()?
        .flatten()
        .map(|entry| PathBuf::from(entry.file_name()))
        .filter(|name| name.extension().is_some_and(|extension| extension == "toml"))
        .filter_map(|name| Some(name.file_stem()?.to_str()?.to_owned()))
        .collect();
    let near = suggest::nearest(file.file_stem()?.to_str()?, names.iter().map(String::as_str))?;
    Some(directory.join(format!("{near}.toml")))
}

pub(crate) fn scenario(source: &Source, selection: &Selection) -> Result<Scenario, ExitCode> {
    Scenario::parse(source, selection).map_err(|found| {
        output::mistakes(&found);
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
