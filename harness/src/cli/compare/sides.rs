//! From paths on the command line to the runs of a side.

use crate::cli::output;
use crate::exit::ExitCode;
use crate::provenance::contradiction;
use reports::JudgeError;
use reports::compare::{Baseline, Side};
use reports::run_dir::layout::RUN_LOG;
use reports::run_dir::records_sha256;
use reports::summary::Summary;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// How deep runs may lie below a directory: DIR/<side>/<pair>/<scenario>/<run>.
const DEPTH_MAX: usize = 4;

/// The runs at `paths`, and what those that can be compared amount to. A path is the directory of a run, a directory with
/// runs in it, the log of a run, or a baseline. An error has been explained when this returns its exit code.
pub(crate) fn read(label: &str, paths: &[PathBuf]) -> Result<(Side, Vec<Summary>), ExitCode> {
    let mut side = Side::new(label);
    let mut summaries = Vec::new();
    for path in paths {
        if path.extension().is_some_and(|ending| ending == "json") && path.is_file() {
            side.join(&path.display().to_string(), baseline(path)?.side(label));
            continue;
        }
        let runs = runs(path).map_err(|error| {
            output::error(
                &format!("cannot read `{}`: {error}", path.display()),
                Some("name the directory of a run"),
            );
            ExitCode::Usage
        })?;
        if runs.is_empty() {
            let message = format!("there is no run in `{}`", path.display());
            output::error(
                &message,
                Some("name the directory of a run, or one with runs in it: runs/SCENARIO"),
            );
            return Err(ExitCode::Usage);
        }
        for run in runs {
            take(&run, &mut side, &mut summaries)?;
        }
    }
    Ok((side, summaries))
}

/// Takes a run. One whose log is damaged, and one that the side has, is left out; what is not a run at all is an error. The position
/// that it has in the side, if it has one.
pub(crate) fn take(
    run: &Path,
    side: &mut Side,
    summaries: &mut Vec<Summary>,
) -> Result<Option<usize>, ExitCode> {
    let name = run.display().to_string();
    match reports::summarise(run, contradiction) {
        Ok((summary, log)) => {
            let taken = side.push(&name, &summary, &log, records_sha256(run).ok());
            if taken.is_some() {
                summaries.push(summary);
            }
            Ok(taken)
        }
        Err(damaged @ JudgeError::Damaged { .. }) => {
            side.leave_out(&name, damaged.to_string());
            Ok(None)
        }
        Err(error) => {
            output::error(&error.to_string(), Some(error.hint()));
            Err(ExitCode::of_reports(error.exit_code()))
        }
    }
}

/// A run by itself, or all below a directory, in the order of their paths. Links below it are not followed: `latest` is
/// one of the others.
pub(crate) fn runs(path: &Path) -> io::Result<Vec<PathBuf>> {
    if path.join(RUN_LOG).is_file() || fs::metadata(path)?.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    let mut found = Vec::new();
    below(path, DEPTH_MAX, &|path| path.join(RUN_LOG).is_file(), &mut found)?;
    found.sort();
    Ok(found)
}

/// The directories that are looked for, at most so many levels down, and nothing within one of them. Links are not followed.
pub(crate) fn below(
    directory: &Path,
    depth: usize,
    is_one: &dyn Fn(&Path) -> bool,
    found: &mut Vec<PathBuf>,
) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if !entry.file_type()?.is_dir() {
            continue;
        }
        let path = entry.path();
        if is_one(&path) {
            found.push(path);
        } else if depth > 1 {
            below(&path, depth - 1, is_one, found)?;
        }
    }
    Ok(())
}

/// Reads the file of a baseline. An error has been explained when this returns its exit code.
pub(crate) fn baseline(path: &Path) -> Result<Baseline, ExitCode> {
    let refuse = |what: String, hint: &str| {
        output::error(&format!("`{}` cannot be used as a baseline: {what}", path.display()), Some(hint));
        ExitCode::Usage
    };
    let text = fs::read_to_string(path).map_err(|error| {
        refuse(error.to_string(), "`harness baseline list` lists the baselines, and `set` makes one of runs")
    })?;
    Baseline::parse(&text)
        .map_err(|error| refuse(error.to_string(), "make it again: harness baseline set NAME RUN…"))
}
