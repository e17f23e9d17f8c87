//! What a decision is made from, as it lies on this host: runs, the scenarios of the plan, files of other programs, the time.

use super::signed::Seals;
use crate::cli::args::{PlanArg, VariantArgs};
use crate::cli::{load, output};
use crate::exit::ExitCode;
use crate::provenance::contradiction;
use crate::scenario::Source as File;
use crate::scenario::unit::nanos;
use crate::{conduct, host, run_index};
use jiff::{Timestamp, Unit};
use reports::gate::exhibit::{Circumstances, Exhibit, Found, Inputs, JudgedRun, Recipe};
use reports::gate::index::{self, Index};
use reports::gate::outside;
use reports::gate::plan::{Format, Gate, Plan, Runs, Source};
use reports::run_dir::layout::RUN_LOG;
use reports::runlog::codec;
use reports::runlog::event::{Event, Header};
use reports::summary::Identity;
use reports::verdict::LogState;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufReader, Read as _};
use std::path::{Path, PathBuf};

/// A coverage report of a large workspace has a few MiB.
const FILE_BYTES_MAX: u64 = 256 << 20;

/// The text of a plan.
pub(super) fn text(path: &Path) -> Result<File, ExitCode> {
    load::source(path)
}

pub(super) fn inputs(plan: &Plan, gates: &[&Gate], args: &PlanArg) -> Result<Inputs, ExitCode> {
    let home = args.phases.parent().unwrap_or(Path::new(""));
    let (mut recipes, mut files) = (BTreeMap::new(), BTreeMap::new());
    for evidence in gates.iter().flat_map(|gate| &gate.evidence) {
        match &evidence.source {
            Source::Runs(runs) => {
                let key = (runs.scenario.clone(), runs.profile.clone());
                if let Entry::Vacant(place) = recipes.entry(key) {
                    let recipe = recipe(runs, home).inspect_err(|_| {
                        output::report(&format!(
                            "note: `{}` names it, at {}",
                            plan.file.path, evidence.place
                        ));
                    })?;
                    place.insert(recipe);
                }
            }
            Source::File(file) => {
                if let Some(found) = found(Path::new(&file.path), file.format) {
                    files.insert((file.path.clone(), file.format), found);
                }
            }
        }
    }
    let scenarios: BTreeSet<&str> = recipes.values().map(|recipe| recipe.name.as_str()).collect();
    let seals = Seals::read(gates, args)?;
    let exhibits = exhibits(&args.runs, &scenarios, &seals).map_err(|error| {
        let message = format!("cannot read `{}`: {error}", args.runs.display());
        output::error(&message, Some("name the directory of your runs with --runs"));
        ExitCode::Usage
    })?;
    Ok(Inputs { circumstances: circumstances(), exhibits, index: read_index(&args.runs), recipes, files })
}

fn circumstances() -> Circumstances {
    let build = conduct::build();
    let now = Timestamp::now();
    let is_known = !build.dirty && build.git != "unknown";
    Circumstances {
        now: now.round(Unit::Second).unwrap_or(now),
        fingerprint: host::facts(&load::shm_dir()).fingerprint,
        commit: is_known.then_some(build.git),
    }
}

/// What a scenario is as its file stands.
fn recipe(runs: &Runs, home: &Path) -> Result<Recipe, ExitCode> {
    let path = home.join(&runs.scenario);
    let variant = VariantArgs { profile: runs.profile.clone(), ..VariantArgs::default() };
    let plans = load::plans(&path, &variant)?;
    let [plan] = plans.as_slice() else {
        let message = format!("`{}` has a matrix, and is {} scenarios", path.display(), plans.len());
        output::error(&message, Some("a gate asks for runs of one scenario: name a file without a matrix"));
        return Err(ExitCode::Usage);
    };
    let facts = plan.scenario_facts();
    let profile = runs.profile.as_ref().map_or_else(String::new, |name| format!(" --profile {name}"));
    Ok(Recipe {
        name: facts.name.clone(),
        sha256: facts.sha256.clone(),
        criteria: plan
            .criteria()
            .iter()
            .filter(|one| !one.informational)
            .map(|one| one.name.clone())
            .collect(),
        command: format!("harness run {}{profile}", path.display()),
        takes_ns: nanos(plan.expected_duration()),
    })
}

/// Nothing if there is no such file.
fn found(path: &Path, format: Format) -> Option<Found> {
    let metadata = match std::fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => return Some(Found { changed: Timestamp::UNIX_EPOCH, reading: Err(error.to_string()) }),
    };
    let changed = metadata.modified().ok().and_then(|at| Timestamp::try_from(at).ok());
    let reading = bytes(path).and_then(|bytes| outside::read(format, &bytes));
    Some(Found { changed: changed.unwrap_or(Timestamp::UNIX_EPOCH), reading })
}

fn bytes(path: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let file = codec::open_file(path).map_err(|error| error.to_string())?;
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > FILE_BYTES_MAX { Err("it is too large".to_owned()) } else { Ok(bytes) }
}

fn read_index(runs: &Path) -> Index {
    match codec::open_file(&runs.join(index::FILE)) {
        Ok(file) => index::read(BufReader::new(file)),
        // A directory of runs from before there was an index, or from elsewhere.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Index::default(),
        Err(error) => Index { entries: Vec::new(), damaged: Some(error.to_string()) },
    }
}

/// Every run of these scenarios, judged from its log: none if the directory does not exist.
fn exhibits(runs: &Path, scenarios: &BTreeSet<&str>, seals: &Seals) -> io::Result<Vec<Exhibit>> {
    let folders = match directories(runs) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        folders => folders?,
    };
    let mut found = Vec::new();
    for folder in folders {
        for directory in directories(&folder)? {
            if !directory.join(RUN_LOG).is_file() || goes_on(&directory) {
                continue;
            }
            let scenario = scenario_of(&directory, &folder);
            if scenarios.contains(scenario.as_str()) {
                found.push(exhibit(&directory, scenario, seals));
            }
        }
    }
    Ok(found)
}

/// In the order of their names; links, such as `latest`, are not followed.
fn directories(parent: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(parent)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

/// The harness that writes a log holds a lock on it until it has judged the run.
fn goes_on(directory: &Path) -> bool {
    let locked = |file: std::fs::File| matches!(file.try_lock(), Err(std::fs::TryLockError::WouldBlock));
    std::fs::File::open(directory.join(RUN_LOG)).is_ok_and(locked)
}

/// As the log says; the name of its folder if that cannot be read.
fn scenario_of(directory: &Path, folder: &Path) -> String {
    match header(directory) {
        Some(header) => header.scenario.name,
        None => folder.file_name().unwrap_or_default().to_string_lossy().into_owned(),
    }
}

fn header(directory: &Path) -> Option<Box<Header>> {
    match codec::open(&directory.join(RUN_LOG)).ok()?.next()?.ok()?.event {
        Event::Header(header) => Some(header),
        _ => None,
    }
}

fn exhibit(directory: &Path, scenario: String, seals: &Seals) -> Exhibit {
    let judged = match reports::summarise(directory, contradiction) {
        Err(error) => Err(error.to_string()),
        Ok((_, LogState { contradiction: Some(why), .. })) => Err(format!("it contradicts itself: {why}")),
        Ok((summary, _)) => {
            let Identity { host, build, .. } = summary.identity;
            Ok(Box::new(JudgedRun { judgement: summary.judgement, host, build }))
        }
    };
    Exhibit {
        directory: directory.display().to_string(),
        scenario,
        log_sha256: run_index::log_sha256(directory).unwrap_or_default(),
        signers: seals.signers(directory),
        judged,
    }
}
