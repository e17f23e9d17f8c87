//! The files of an analysis beside its runs: `impact.json` and `runs.jsonl`.

use crate::cli::output;
use crate::exit::ExitCode;
use reports::impact::{Design, Ordered, Over};
use std::fs;
use std::path::Path;

const ORDERED: &str = "impact.json";
const OVER: &str = "runs.jsonl";
/// More is not what this program has written: 100 runs of 32 cells are less than 1 MiB.
const SIZE_MAX: u64 = 4 << 20;

/// Whether the runs in this directory were made for an analysis.
pub(super) fn is_in(directory: &Path) -> bool {
    directory.join(ORDERED).is_file()
}

/// What was asked for, and the runs that are over. An error has been explained.
pub(super) fn read(directory: &Path) -> Result<(Ordered, Design, Vec<Over>), ExitCode> {
    let path = directory.join(ORDERED);
    let (ordered, design) = Ordered::parse(&text(&path)?).map_err(|what| refuse(&path, &what))?;
    let path = directory.join(OVER);
    if !path.exists() {
        return Ok((ordered, design, Vec::new()));
    }
    let over = Over::parse(&text(&path)?, &ordered).map_err(|what| refuse(&path, &what))?;
    Ok((ordered, design, over))
}

pub(super) fn begin(directory: &Path, ordered: &Ordered) -> Result<(), ExitCode> {
    write(&directory.join(ORDERED), &ordered.text(), "name another directory with --out")
}

/// All runs that are over.
pub(super) fn update(directory: &Path, over: &[Over]) -> Result<(), ExitCode> {
    write(&directory.join(OVER), &Over::lines(over), "free some space, and go on with --resume")
}

fn write(path: &Path, text: &str, hint: &str) -> Result<(), ExitCode> {
    reports::write_whole(path, text.as_bytes()).map_err(|error| {
        output::error(&error.to_string(), Some(hint));
        ExitCode::HostUnfit
    })
}

fn text(path: &Path) -> Result<String, ExitCode> {
    if fs::metadata(path).is_ok_and(|metadata| metadata.len() > SIZE_MAX) {
        return Err(refuse(path, "it is larger than any that this program writes"));
    }
    fs::read_to_string(path).map_err(|error| refuse(path, &error.to_string()))
}

fn refuse(path: &Path, what: &str) -> ExitCode {
    let hint = "name a directory that `harness impact SCENARIO` has made";
    output::error(&format!("cannot read `{}`: {what}", path.display()), Some(hint));
    ExitCode::Usage
}
