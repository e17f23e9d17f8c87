//! From the files of Criterion and of coverage tools to lines of a history. Which commit they are of, the caller says: the files do not.

use crate::cli::compare::sides::below;
use crate::cli::compare_args::HistoryArgs;
use crate::cli::outside::bytes;
use crate::cli::{load, output};
use crate::exit::ExitCode;
use crate::host;
use jiff::{SignedDuration, Timestamp, Unit};
use reports::compare::{
    CoverageFormat, Entry, Estimate, Measurement, Source, criterion_estimate, criterion_id,
};
use reports::gate::outside;
use reports::gate::plan::Format;
use std::collections::{BTreeMap, btree_map};
use std::fs;
use std::path::Path;

const ESTIMATES: &str = "estimates.json";
const BENCHMARK: &str = "benchmark.json";
/// Of the last measurement; beside it are `base` and `change`.
const NEW: &str = "new";
/// DIR/<group>/<function>/<value>/new, and a level for those who name `target`.
const DEPTH_MAX: usize = 5;
/// More than a project has; a bound on what is kept.
const BENCHMARKS_MAX: usize = 10_000;
/// What to do about a file of a benchmark that cannot be used.
const AGAIN: &str = "run this benchmark again: cargo bench";
/// Criterion leaves the results of benchmarks that did not run again. What is older than the newest by more than this was not measured with it.
const TOGETHER: SignedDuration = SignedDuration::from_hours(24);

/// One of each source that was named. An error has been explained when this returns its exit code.
pub(super) fn entries(args: &HistoryArgs) -> Result<Vec<Entry>, ExitCode> {
    // Both options ask for a commit.
    let Some(commit) = &args.commit else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    if let Some(directory) = &args.criterion {
        let (figures, measured) = benchmarks(directory)?;
        let host = host::facts(&load::shm_dir());
        let source = Source::Criterion { machine: host.machine, fingerprint: host.fingerprint };
        found.push(entry(source, "criterion", commit, args.at.unwrap_or(measured), figures));
    }
    if let Some(path) = &args.coverage {
        let (format, figures, measured) = covered(path)?;
        let source = Source::Coverage { format };
        found.push(entry(source, format.word(), commit, args.at.unwrap_or(measured), figures));
    }
    Ok(found)
}

fn entry(
    source: Source,
    name: &str,
    commit: &str,
    at: Timestamp,
    figures: BTreeMap<String, Estimate>,
) -> Entry {
    let at = at.round(Unit::Second).unwrap_or(at);
    let run_id = format!("{name}-{}-{commit}", at.strftime("%Y%m%dT%H%M%SZ"));
    Entry::Measured(Measurement {
        source,
        run_id,
        started_utc: at.to_string(),
        commit: commit.to_owned(),
        figures,
    })
}

fn refuse(path: &Path, what: &str, hint: &str) -> ExitCode {
    output::error(&format!("`{}` cannot be used: {what}", path.display()), Some(hint));
    ExitCode::Usage
}

/// Which of the two formats a report has is seen in it.
fn covered(path: &Path) -> Result<(CoverageFormat, BTreeMap<String, Estimate>, Timestamp), ExitCode> {
    let read = || {
        let bytes = bytes(path)?;
        let is_json = bytes.trim_ascii_start().starts_with(b"{");
        let (format, reader) = if is_json {
            (CoverageFormat::LlvmCov, Format::LlvmCov)
        } else {
            (CoverageFormat::Lcov, Format::Lcov)
        };
        let exact = |(name, value): (&str, f64)| (name.to_owned(), Estimate { value, low: None, high: None });
        let figures = outside::read(reader, &bytes)?.figures.into_iter().map(exact).collect();
        Ok((format, figures, written(path)?))
    };
    read().map_err(|what: String| {
        refuse(path, &what, "write it again: cargo llvm-cov --lcov --output-path FILE, or --json")
    })
}

/// The figures by their names, and when the last of them was measured.
fn benchmarks(directory: &Path) -> Result<(BTreeMap<String, Estimate>, Timestamp), ExitCode> {
    const HINT: &str = "name the directory that Criterion writes to: target/criterion, after `cargo bench`";
    let mut places = Vec::new();
    let has_estimates =
        |path: &Path| path.file_name().is_some_and(|name| name == NEW) && path.join(ESTIMATES).is_file();
    below(directory, DEPTH_MAX, &has_estimates, &mut places)
        .map_err(|error| refuse(directory, &error.to_string(), HINT))?;
    if places.len() > BENCHMARKS_MAX {
        let what = format!("it holds {} benchmarks, and {BENCHMARKS_MAX} are read at most", places.len());
        return Err(refuse(directory, &what, "name a directory of some of them"));
    }
    places.sort();
    let mut dated = Vec::new();
    for place in places {
        let file = place.join(ESTIMATES);
        let at = written(&file).map_err(|what| refuse(&file, &what, AGAIN))?;
        dated.push((place, at));
    }
    let Some(newest) = dated.iter().map(|(_, at)| *at).max() else {
        let what = format!("there is no `{NEW}/{ESTIMATES}` in it");
        return Err(refuse(directory, &what, HINT));
    };
    let mut figures = BTreeMap::new();
    for (place, at) in dated {
        let name = name(directory, &place)?;
        if newest.duration_since(at) > TOGETHER {
            output::warn(&format!("`{name}` is left out: it was measured on {at}, and others on {newest}"));
            continue;
        }
        let file = place.join(ESTIMATES);
        let estimate = bytes(&file).and_then(|bytes| criterion_estimate(&bytes));
        let estimate = estimate.map_err(|what| refuse(&file, &what, AGAIN))?;
        match figures.entry(name) {
            btree_map::Entry::Vacant(free) => _ = free.insert(estimate),
            btree_map::Entry::Occupied(taken) => {
                let what = format!("another directory has a benchmark `{}`, too", taken.key());
                return Err(refuse(&place, &what, "remove the one that is no longer measured"));
            }
        }
    }
    Ok((figures, newest))
}

/// As Criterion calls it; the path of its directory where an old one does not say.
fn name(directory: &Path, place: &Path) -> Result<String, ExitCode> {
    let file = place.join(BENCHMARK);
    if file.exists() {
        return bytes(&file)
            .and_then(|bytes| criterion_id(&bytes))
            .map_err(|what| refuse(&file, &what, AGAIN));
    }
    let path = place.parent().unwrap_or(place);
    Ok(path.strip_prefix(directory).unwrap_or(path).display().to_string())
}

/// When a file was last written.
fn written(path: &Path) -> Result<Timestamp, String> {
    let changed =
        fs::metadata(path).and_then(|metadata| metadata.modified()).map_err(|error| error.to_string())?;
    Timestamp::try_from(changed).map_err(|error| error.to_string())
}
