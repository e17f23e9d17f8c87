//! From a path on the command line to a scenario or a plan. A function here that returns an exit code has
//! written the error.

use super::args::VariantArgs;
use super::output;
use crate::exit::ExitCode;
use crate::host::{self, SHM_DIR};
use crate::scenario::unit::bytes_text;
use crate::scenario::{Base, Plan, PlanOptions, Scenario, Selection, Source, seed};
use notation::suggest;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// How large a text may be: a far larger file is something else.
#[derive(Clone, Copy)]
struct Bound {
    bytes_max: u64,
    hint: &'static str,
}

/// The largest committed one has a few KiB.
const OF_SCENARIOS: Bound =
    Bound { bytes_max: 1 << 20, hint: "scenarios have a few KiB; is this the right file?" };
/// The plan of this project has 30 KiB.
const OF_PLANS: Bound =
    Bound { bytes_max: 256 << 10, hint: "plans have a few dozen KiB; is this the right file?" };
/// As a file's name on the command line.
const STDIN: &str = "-";
/// Where scenarios are looked for that are named without a directory.
const SCENARIOS: &str = "scenarios";

/// Why the text of a scenario cannot be had from a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unusable {
    pub message: String,
    pub hint: String,
    /// The file that extends it, if it is not the one that was named.
    pub extended_by: Option<String>,
}

impl Unusable {
    fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: hint.into(), extended_by: None }
    }

    pub(super) fn report(&self) {
        output::error(&self.message, Some(&self.hint));
        if let Some(by) = &self.extended_by {
            output::report(&format!("note: `{by}` extends it"));
        }
    }
}

/// As [`text`]; what is wrong has been reported.
pub(crate) fn source(file: &Path) -> Result<Source, ExitCode> {
    text(file).map_err(|unusable| {
        unusable.report();
        ExitCode::Usage
    })
}

/// The text of a plan; what is wrong has been reported.
pub(super) fn plan_source(file: &Path) -> Result<Source, ExitCode> {
    own_text(file, OF_PLANS).map(|(source, _)| source).map_err(|unusable| {
        unusable.report();
        ExitCode::Usage
    })
}

/// `-` is standard input, and a bare name that is no file here is looked for in `scenarios/`: with its path.
fn own_text(file: &Path, bound: Bound) -> Result<(Source, PathBuf), Unusable> {
    let is_stdin = file == Path::new(STDIN);
    let path = if is_stdin { file.to_owned() } else { found(file) };
    let source = if is_stdin { from_stdin(bound) } else { text_of(&path, bound) }?;
    Ok((source, path))
}

/// The text of a scenario, with those that it extends.
pub(super) fn text(file: &Path) -> Result<Source, Unusable> {
    let (mut source, path) = own_text(file, OF_SCENARIOS)?;
    let mut seen = vec![path.canonicalize().unwrap_or_else(|_| path.clone())];
    let mut at = path;
    let mut next = Source::extends(&source.text);
    while let Some(extended) = next {
        let base = at.parent().unwrap_or(Path::new("")).join(&extended);
        let identity = base.canonicalize().unwrap_or_else(|_| base.clone());
        if seen.contains(&identity) {
            let by_way = if seen.last() == Some(&identity) {
                String::new()
            } else {
                format!(", by way of `{}`", at.display())
            };
            let message = format!("`{}` extends itself{by_way}", base.display());
            return Err(Unusable::new(message, "leave out one `extends`"));
        }
        let Source { name, text, .. } = text_of(&base, OF_SCENARIOS)
            .map_err(|unusable| Unusable { extended_by: Some(at.display().to_string()), ..unusable })?;
        next = Source::extends(&text);
        source.bases.push(Base { name, text });
        seen.push(identity);
        at = base;
    }
    Ok(source)
}

/// `smoke` is `scenarios/smoke.toml`, unless there is a file of that name here.
fn found(file: &Path) -> PathBuf {
    let is_bare = file.components().count() == 1 && file.extension().is_none();
    if is_bare && !file.exists() {
        let named = Path::new(SCENARIOS).join(file).with_extension("toml");
        if named.is_file() {
            return named;
        }
    }
    file.to_owned()
}

fn from_stdin(bound: Bound) -> Result<Source, Unusable> {
    /// Whether it has been read: there is no more in it then.
    static READ: AtomicBool = AtomicBool::new(false);
    if READ.swap(true, Ordering::Relaxed) {
        return Err(Unusable::new(
            "`-` is named twice".to_owned(),
            "standard input can be read once: name `-` once",
        ));
    }
    let mut bytes = Vec::new();
    let read = io::stdin().lock().take(bound.bytes_max + 1).read_to_end(&mut bytes);
    let refuse = |message: String, hint: &str| Err(Unusable::new(message, hint));
    match (read, String::from_utf8(bytes)) {
        (Err(error), _) => refuse(format!("cannot read standard input: {error}"), "name a scenario file"),
        (Ok(n), _) if n as u64 > bound.bytes_max => {
            refuse(format!("standard input is larger than {}", bytes_text(bound.bytes_max)), bound.hint)
        }
        (Ok(0), _) => {
            refuse("standard input is empty".to_owned(), "pipe a scenario into it: `harness run - < FILE`")
        }
        (Ok(_), Err(_)) => refuse("standard input is not UTF-8".to_owned(), "a scenario is text in UTF-8"),
        (Ok(_), Ok(text)) => Ok(Source::new("<stdin>", text)),
    }
}

fn text_of(file: &Path, bound: Bound) -> Result<Source, Unusable> {
    let name = file.display().to_string();
    let refuse = |message: String, hint: &str| Err(Unusable::new(message, hint));
    let bytes = match read(file, bound.bytes_max) {
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
            let most = bytes_text(bound.bytes_max);
            return refuse(format!("cannot read `{name}`: it is larger than {most}"), bound.hint);
        }
    };
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Source::new(name, text)),
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

fn read(file: &Path, bytes_max: u64) -> Result<Vec<u8>, Unread> {
    let metadata = std::fs::metadata(file)?;
    if metadata.is_dir() {
        return Err(Unread::Directory);
    }
    if !metadata.is_file() {
        return Err(Unread::Stream);
    }
    let mut bytes = Vec::new();
    // The bound is held while reading: files of /proc say that they are empty.
    std::fs::File::open(file)?.take(bytes_max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max { Err(Unread::TooLarge) } else { Ok(bytes) }
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

/// One, or as many as the file's matrix has.
pub(crate) fn scenarios(source: &Source, selection: &Selection) -> Result<Vec<Scenario>, ExitCode> {
    Scenario::parse_all(source, selection).map_err(|found| {
        output::mistakes(&found);
        ExitCode::Usage
    })
}

/// A scenario that names no seed gets one of its own text: the same file is the same run.
pub(crate) fn plans(file: &Path, variant: &VariantArgs) -> Result<Vec<Plan>, ExitCode> {
    plans_of(&source(file)?, variant)
}

/// As [`plans`], of a text that has been read.
pub(crate) fn plans_of(source: &Source, variant: &VariantArgs) -> Result<Vec<Plan>, ExitCode> {
    let scenarios = scenarios(source, &variant.selection())?;
    let options = PlanOptions {
        seed: variant.seed,
        fallback_seed: seed::child(0, &source.text),
        rehearsal: variant.rehearse,
    };
    Ok(scenarios.into_iter().map(|scenario| Plan::new(scenario, &options)).collect())
}

/// What a reader of the plan should know, on this host; a sentence each.
pub(crate) fn notes(plan: &Plan) -> Vec<String> {
    let mut notes = plan.notes().to_vec();
    notes.extend(host::limits().map(|limits| plan.settled_by(&limits)).unwrap_or_default());
    notes
}

/// Where fleets keep their shared memory.
pub(crate) fn shm_dir() -> PathBuf {
    std::env::var_os("COORDINATOR_SHM_DIR").map_or_else(|| PathBuf::from(SHM_DIR), PathBuf::from)
}

/// Where journals of what faults make are: of this user, on this host, until it is booted anew.
pub(crate) fn undo_dir() -> PathBuf {
    if let Some(dir) = std::env::var_os("HARNESS_STATE_DIR") {
        return PathBuf::from(dir);
    }
    let user = rustix::process::geteuid();
    let of_user = || {
        let usual = || PathBuf::from(format!("/run/user/{}", user.as_raw()));
        // A relative one is invalid by its specification, and to be ignored.
        let named = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
        named.filter(|dir| dir.is_absolute()).unwrap_or_else(usual)
    };
    if user.is_root() { PathBuf::from("/run/harness") } else { of_user().join("harness") }
}
