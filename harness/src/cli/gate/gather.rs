//! What a decision is made from, as it lies on this host: runs, the scenarios of the plan, files of other programs, the time.

use super::note_who_names_it;
use super::signed::{Keys, Seals};
use crate::cli::args::{PlanArg, VariantArgs};
use crate::cli::outside::bytes;
use crate::cli::usual::{GATES, PHASES, RUNS};
use crate::cli::{load, output};
use crate::engine::writer;
use crate::exit::ExitCode;
use crate::provenance::contradiction;
use crate::scenario::phases::check_criteria;
use crate::scenario::unit::nanos;
use crate::{conduct, host, provenance, run_index, scenario};
use jiff::{RoundMode, Timestamp, TimestampRound, Unit};
use notation::shell::quoted;
use reports::gate::exhibit::{
    Caller, Circumstances, Exhibit, Found, Inputs, JudgedRun, Ongoing, Recipe, Recipes,
};
use reports::gate::index::Index;
use reports::gate::outside;
use reports::gate::plan::{Format, Gate, OutsideFile, Plan, Source};
use reports::run_dir::layout::RUN_LOG;
use reports::run_dir::{logs_sha256, records_sha256};
use reports::runlog::codec;
use reports::runlog::event::{Event, Header};
use reports::summary::Identity;
use reports::verdict::LogState;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Component, Path, PathBuf};

/// Where a plan looks for what it names: beside itself.
pub(in crate::cli) fn home_of(plan: &Plan) -> &Path {
    Path::new(&plan.file.path).parent().unwrap_or(Path::new(""))
}

/// Everything that these gates are decided from. `source` is the text of the plan.
pub(in crate::cli) fn inputs(
    source: &scenario::Source,
    plan: &Plan,
    gates: &[&Gate],
    args: &PlanArg,
    output: &Path,
) -> Result<Inputs, ExitCode> {
    let home = home_of(plan);
    let keys = Keys::read(plan, gates, home)?;
    let (mut named, mut files) = (Vec::new(), BTreeMap::new());
    for evidence in gates.iter().flat_map(|gate| &gate.evidence) {
        match &evidence.source {
            Source::Runs(runs) => named.push((evidence, runs.recipe())),
            Source::File(file) => {
                named.extend(file.about.iter().map(|about| (evidence, (about.clone(), None))));
                if let Some(found) = found(file, &keys) {
                    files.insert((file.path.clone(), file.format), found);
                }
            }
        }
    }
    let mut recipes = BTreeMap::new();
    for (evidence, key) in named {
        if let Entry::Vacant(place) = recipes.entry(key) {
            let (scenario, profile) = place.key();
            let cells = cells(&home.join(scenario), profile.as_ref())
                .inspect_err(|_| note_who_names_it(plan, evidence))?;
            place.insert(cells);
        }
    }
    check_criteria(source, plan, &recipes).map_err(|found| {
        output::mistakes(&found);
        ExitCode::Usage
    })?;
    let seals = Seals::read(&keys, &args.seals)?;
    // Before the runs are looked for: one that begins meanwhile is not taken for gone.
    let index = run_index::read(&args.runs);
    let asked = Asked {
        scenarios: recipes.values().flatten().map(|recipe: &Recipe| recipe.name.clone()).collect(),
        files: recipes.keys().filter_map(|(scenario, _)| home.join(scenario).canonicalize().ok()).collect(),
    };
    let Runs { exhibits, ongoing } = found_runs(&args.runs, &asked, &seals)?;
    name_files(home, &exhibits, &index, &mut recipes);
    Ok(Inputs {
        circumstances: circumstances(),
        caller: caller(plan, args, output),
        exhibits,
        index,
        ongoing,
        recipes,
        files,
    })
}

/// As [`exhibits`]. A mistake has been shown when this returns an error.
fn found_runs(runs: &Path, asked: &Asked, seals: &Seals) -> Result<Runs, ExitCode> {
    if !runs.exists() && runs != Path::new(RUNS) {
        output::warn(&format!("there is no directory `{}`, so there are no runs", runs.display()));
    }
    exhibits(runs, asked, seals).map_err(|error| {
        let message = format!("cannot read `{}`: {error}", runs.display());
        output::error(&message, Some("name the directory of your runs with --runs"));
        ExitCode::Usage
    })
}

/// Tells each recipe by which names runs know its file.
fn name_files(home: &Path, exhibits: &[Exhibit], index: &Index, recipes: &mut Recipes) {
    let of_runs =
        exhibits.iter().filter_map(|one| Some(&one.judged.as_ref().ok()?.judgement.file.as_ref()?.path));
    let of_index = index.entries.iter().filter_map(|entry| entry.file.as_ref());
    let named: BTreeSet<&String> = of_runs.chain(of_index).collect();
    for ((scenario, _), cells) in recipes {
        let Ok(file) = home.join(scenario).canonicalize() else { continue };
        let of_file = named.iter().filter(|named| denotes(named, &file)).map(|named| (*named).clone());
        let of_file: Vec<String> = of_file.collect();
        for cell in cells {
            cell.files.clone_from(&of_file);
        }
    }
}

/// What was given on the command line, for those that the decision prints.
fn caller(plan: &Plan, args: &PlanArg, output: &Path) -> Caller {
    let option = |name: &str, path: &Path, usual: &str| {
        let is_usual = path == Path::new(usual);
        if is_usual { String::new() } else { format!(" {name} {}", quoted(&path.display().to_string())) }
    };
    let seals = args.seals.iter().map(|seal| option("--seal", seal, "")).collect::<String>();
    let phases =
        format!("{}{}{seals}", option("--phases", &args.phases, PHASES), option("--runs", &args.runs, RUNS));
    Caller {
        home: home_of(plan).display().to_string(),
        runs: args.runs.display().to_string(),
        gate: format!("{phases}{}", option("--output", output, GATES)),
        phases,
        out: option("--out", &args.runs, RUNS),
    }
}

fn circumstances() -> Circumstances {
    let build = conduct::build();
    Circumstances {
        now: next_second(Timestamp::now()),
        fingerprint: host::facts(&load::shm_dir()).fingerprint,
        commit: build.commit().map(str::to_owned),
    }
}

/// The whole second that ends next. Rounded down, the time of the decision would be before the start of a run that has just
/// begun, which is in no window then.
fn next_second(now: Timestamp) -> Timestamp {
    let up = TimestampRound::new().smallest(Unit::Second).mode(RoundMode::Ceil);
    now.round(up).unwrap_or(now)
}

/// What a scenario is as its file stands; of a file with a matrix, each of its scenarios.
fn cells(path: &Path, profile: Option<&String>) -> Result<Vec<Recipe>, ExitCode> {
    let variant = VariantArgs { profile: profile.cloned(), ..VariantArgs::default() };
    let plans = load::plans(path, &variant)?;
    let profile = profile.map_or_else(String::new, |name| format!(" --profile {}", quoted(name)));
    let is_cell = plans.len() > 1;
    let recipe = |plan: &scenario::Plan| {
        let facts = plan.scenario_facts();
        let filter = if is_cell { format!(" --filter {}", quoted(&facts.name)) } else { String::new() };
        let judged = plan.criteria().iter().filter(|one| !one.informational);
        Recipe {
            name: facts.name.clone(),
            sha256: facts.sha256.clone(),
            files: Vec::new(),
            criteria: judged.map(|one| one.name.clone()).collect(),
            command: format!("harness run {}{profile}{filter}", quoted(&path.display().to_string())),
            takes_ns: nanos(plan.expected_duration()),
        }
    };
    Ok(plans.iter().map(recipe).collect())
}

/// Nothing if there is no such file.
fn found(file: &OutsideFile, keys: &Keys) -> Option<Found> {
    let path = Path::new(&file.path);
    let unknown = Timestamp::UNIX_EPOCH;
    let metadata = match std::fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => {
            return Some(Found { changed: unknown, signers: Vec::new(), reading: Err(error.to_string()) });
        }
    };
    let changed = metadata.modified().ok().and_then(|at| Timestamp::try_from(at).ok());
    let text = bytes(path);
    // The very bytes that are read: the file may change meanwhile.
    let signers = match (file.format, &text) {
        (Format::Statement, Ok(text)) => keys.signers_of(file, text),
        _ => Vec::new(),
    };
    let reading = text.and_then(|bytes| outside::read(file.format, &bytes));
    Some(Found { changed: changed.unwrap_or(unknown), signers, reading })
}

/// Which runs are looked for.
struct Asked {
    scenarios: BTreeSet<String>,
    /// A scenario that has another name now is one of these files none the less. Each is canonical.
    files: BTreeSet<PathBuf>,
}

/// The runs of some scenarios.
struct Runs {
    exhibits: Vec<Exhibit>,
    /// Of whatever scenario.
    ongoing: Vec<Ongoing>,
}

/// Every run that is asked for, judged from its log: none if the directory does not exist.
fn exhibits(runs: &Path, asked: &Asked, seals: &Seals) -> io::Result<Runs> {
    let folders = match directories(runs) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        folders => folders?,
    };
    let (mut found, mut ongoing) = (Vec::new(), Vec::new());
    for folder in folders {
        for directory in directories(&folder)? {
            if !directory.join(RUN_LOG).is_file() {
                continue;
            }
            let header = header(&directory);
            let scenarios = scenarios_of(header.as_deref(), &folder);
            if goes_on(&directory) {
                let profile = header.and_then(|header| header.scenario.profile);
                ongoing.push(Ongoing { directory: directory.display().to_string(), scenarios, profile });
                continue;
            }
            let before = found.len();
            let of_name = scenarios.into_iter().filter(|name| asked.scenarios.contains(name));
            found.extend(of_name.map(|scenario| exhibit(&directory, scenario, seals)));
            let is_of_file =
                |header: &Header| asked.files.iter().any(|file| denotes(&header.scenario.file, file));
            if let Some(header) = header.filter(|header| found.len() == before && is_of_file(header)) {
                found.push(exhibit(&directory, header.scenario.name, seals));
            }
        }
    }
    Ok(Runs { exhibits: found, ongoing })
}

/// Whether a name that was given on a command line is that of a file, whose path is canonical.
fn denotes(named: &str, file: &Path) -> bool {
    let named = Path::new(named);
    if let Ok(named) = named.canonicalize() {
        return named == file;
    }
    // It was given in another directory, or on another host.
    let names = named.components().filter(|part| matches!(part, Component::Normal(_)));
    file.ends_with(names.collect::<PathBuf>())
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
    writer::locked(directory).is_ok_and(|log| log.is_some())
}

/// As the log says, by its header and by the text in it; the name of its folder if that cannot be read.
fn scenarios_of(header: Option<&Header>, folder: &Path) -> Vec<String> {
    match header {
        Some(header) => provenance::scenarios_of(header),
        None => vec![folder.file_name().unwrap_or_default().to_string_lossy().into_owned()],
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
    // Without a hash, it is the same as no other run, and no key vouches for it.
    let logs = logs_sha256(directory).unwrap_or_default();
    Exhibit {
        directory: directory.display().to_string(),
        scenario,
        log_sha256: run_index::joined(&logs),
        records_sha256: records_sha256(directory).unwrap_or_default(),
        signers: if logs.is_empty() { Vec::new() } else { seals.signers_of(&logs) },
        judged,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_known_by_whatever_name_a_run_was_given_it() {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join("scenarios")).unwrap();
        let file = home.path().join("scenarios/q.toml");
        std::fs::write(&file, "").unwrap();
        let file = file.canonicalize().unwrap();
        std::fs::write(home.path().join("other.toml"), "").unwrap();
        let at = |name: &str| home.path().join(name).display().to_string();
        for (named, is_it) in [
            (at("scenarios/q.toml"), true),
            (at("./scenarios/../scenarios/q.toml"), true),
            // From another directory, which is not this one.
            ("../scenarios/q.toml".to_owned(), true),
            ("nowhere/q.toml".to_owned(), false),
            (at("other.toml"), false),
        ] {
            assert_eq!(denotes(&named, &file), is_it, "{named}");
        }
    }

    #[test]
    fn a_gate_is_decided_no_earlier_than_any_run_has_begun() {
        for (now, decided) in [
            ("2026-11-30T10:00:00.0004Z", "2026-11-30T10:00:01Z"),
            ("2026-11-30T10:00:00.49Z", "2026-11-30T10:00:01Z"),
            ("2026-11-30T10:00:00.9996Z", "2026-11-30T10:00:01Z"),
            ("2026-11-30T10:00:01Z", "2026-11-30T10:00:01Z"),
        ] {
            let now: Timestamp = now.parse().unwrap();
            assert_eq!(next_second(now).to_string(), decided, "{now}");
            // A run says when it began in whole milliseconds, rounded to the nearest.
            assert!(next_second(now) >= now.round(Unit::Millisecond).unwrap(), "{now}");
        }
    }
}
