//! From a run directory to its verdict and documents: reads the log once, writes the files.
//!
//! Each file is written under a temporary name and renamed, and only after the whole log has been
//! read: a damaged log changes nothing. What cannot be written is left out and named, and the verdict is
//! given all the same. Nothing written depends on the time or on where the directory is, so the same
//! log gives the same bytes.

mod another;
mod documents;
mod draft;
pub use crate::layout;
mod read;
mod unfinished;

use std::io::{self, BufRead};
use std::path::{Path, PathBuf};
use std::time::Duration;

use notation::framed::{Lines, Next};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::facts::Facts;
use crate::runlog::codec::{self, LogError, Reader};
use crate::runlog::event::Header;
use crate::sha256::{hex, sha256_of};
use crate::summary::Summary;
use crate::verdict::{Case, Judgement, LogState, VERDICT_VERSION};

pub use another::{Another, PlanCheck};
use documents::Documents;
pub use draft::NewFile;
use read::{Opened, Pass};
pub use unfinished::{ResumeError, Unfinished, unfinished};

/// Says how a header differs from the text of the scenario that it holds, in a sentence's fragment; nothing if all of it follows
/// from that text. This crate cannot read scenarios, so its callers bring the check, and every log of a run is held to it.
pub type HeaderCheck = fn(&Header) -> Option<String>;

/// Why a run could not be judged, or what of its documents could not be written.
#[derive(Debug, thiserror::Error)]
pub enum JudgeError {
    #[error("there is no run at {path}: {source}")]
    NoRun { path: PathBuf, source: io::Error, hint: String },
    #[error("{path} cannot be read: {source}")]
    CannotRead { path: PathBuf, source: io::Error },
    #[error("{path} is not a run log that this program can read: {source}")]
    NotARunLog { path: PathBuf, source: LogError },
    #[error("{path}: {source}")]
    Damaged { path: PathBuf, source: LogError },
    #[error("{path} cannot be written: {source}")]
    CannotWrite { path: PathBuf, source: io::Error },
    #[error("{file} cannot judge {path}: {}", what.join("; "))]
    CannotApply { path: PathBuf, file: String, what: Vec<String> },
    #[error("{path} holds another run, whose documents would be lost")]
    HoldsAnotherRun { path: PathBuf },
    #[error("{path} is not a verdict that this program can read: {what}")]
    NotAVerdict { path: PathBuf, what: String },
}

impl JudgeError {
    /// See `docs/exit-codes.md`.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Damaged { .. } => 12,
            Self::NoRun { .. }
            | Self::CannotRead { .. }
            | Self::NotARunLog { .. }
            | Self::CannotApply { .. }
            | Self::HoldsAnotherRun { .. }
            | Self::NotAVerdict { .. } => 64,
            Self::CannotWrite { .. } => 20,
        }
    }

    /// What to do next.
    pub fn hint(&self) -> &str {
        match self {
            Self::NoRun { hint, .. } => hint,
            Self::CannotRead { source, .. } if source.kind() == io::ErrorKind::NotADirectory => {
                "give the directory of the run, not a file in it"
            }
            Self::CannotRead { source, .. } if source.kind() == io::ErrorKind::InvalidInput => {
                "write the log to a file named run.log, and give its directory"
            }
            Self::CannotRead { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                "change the permissions, or judge the run as the user who made it"
            }
            Self::CannotRead { .. } => "copy the run directory to a sound disk, and judge the copy",
            Self::NotARunLog { source: LogError::VersionUnsupported { .. }, .. } => {
                "read it with the version of the program that wrote it, or with a newer one"
            }
            Self::NotARunLog { .. } => "give the directory of a run: it holds a file run.log",
            Self::Damaged { .. } => {
                "the file was changed after it was written: take an unharmed copy of it, or run the scenario again; nothing was written"
            }
            Self::CannotWrite { .. } => "free some space or change the permissions, and judge the run again",
            Self::CannotApply { .. } => {
                "leave these criteria out of the file, or mark them `informational`; nothing was written"
            }
            Self::HoldsAnotherRun { .. } => "give a directory of its own; nothing was written",
            Self::NotAVerdict { .. } => "judge the run again: its verdict is made from its log",
        }
    }
}

/// A run that has been judged, and what was written about it.
#[derive(Debug)]
pub struct Judged {
    pub judgement: Judgement,
    /// For a terminal, plain.
    pub summary: String,
    /// In the order of their writing.
    pub files: Vec<PathBuf>,
    /// The first of the documents that could not be written, and why; the others are written. The verdict holds all the same.
    pub unwritten: Option<JudgeError>,
}

/// Reads the run's log and writes `verdict.json`.
pub fn judge(run_dir: &Path, check: HeaderCheck) -> Result<Judged, JudgeError> {
    judge_with(run_dir, check, None)
}

/// As [`judge`], by the criteria of another scenario file than the one that ran.
pub fn judge_by(run_dir: &Path, another: &Another, check: HeaderCheck) -> Result<Judged, JudgeError> {
    judge_with(run_dir, check, Some(another))
}

fn judge_with(run_dir: &Path, check: HeaderCheck, another: Option<&Another>) -> Result<Judged, JudgeError> {
    let (case, log) = read::run(run_dir, check, another, |_, _| ())?;
    let judgement = case.judgement(&log);
    another::applies(run_dir, &judgement, &case.facts().header, another)?;
    let mut documents = Documents::new(run_dir);
    documents.write_verdict(&judgement, case.facts());
    Ok(documents.judged(judgement, case.facts()))
}

/// What the log of a run amounts to, and how far it goes; nothing is written. A path that is not a directory is that of a log
/// with one segment.
pub fn summarise(run: &Path, check: HeaderCheck) -> Result<(Summary, LogState), JudgeError> {
    let read = if run.is_file() { read::file(run, check) } else { read::run(run, check, None, |_, _| ()) };
    let (case, log) = read?;
    let judgement = case.judgement(&log);
    Ok((Summary::of(case.facts(), &judgement), log))
}

/// Writes a document beside its name and renames it: a reader sees the old bytes or the new ones.
pub fn write_document(path: &Path, bytes: &[u8]) -> io::Result<()> {
    draft::replace(path, bytes)
}

/// As [`write_document`], of a file that its owner has made: it keeps its mode, and links to it stay links.
pub fn edit_document(path: &Path, bytes: &[u8]) -> io::Result<()> {
    draft::edit(path, bytes)
}

/// Makes everything again that can be made from the log: the verdict first, the tables last.
pub fn report(run_dir: &Path, check: HeaderCheck) -> Result<Judged, JudgeError> {
    report_to(run_dir, check, &Making::default()).map(|(judged, _)| judged)
}

/// How the documents of a run are made, where that is not as its end makes them.
#[derive(Debug, Clone, Copy, Default)]
pub struct Making<'a> {
    /// They go to this directory, which is made if it is not there, and nothing is written to the run's own.
    pub out: Option<&'a Path>,
    /// The run is judged by the criteria of another scenario file than the one that ran.
    pub another: Option<&'a Another>,
    /// How far apart the samples of `samples.csv` are; as far as [`csv::sweep_step`](crate::render::csv::sweep_step) says if
    /// it is not given.
    pub samples_every: Option<Duration>,
}

/// As [`report`], and what was found.
pub fn report_to(
    run_dir: &Path,
    check: HeaderCheck,
    making: &Making<'_>,
) -> Result<(Judged, Facts), JudgeError> {
    let another = making.another;
    let documents = match making.out {
        Some(out) if !make_place(run_dir, out)? => Documents::apart(out),
        _ => Documents::new(run_dir),
    };
    let mut documents = documents.with_samples_every(making.samples_every);
    let (case, log) = read::run(run_dir, check, another, |facts, record| documents.tabulate(facts, record))?;
    let judgement = case.judgement(&log);
    another::applies(run_dir, &judgement, &case.facts().header, another)?;
    documents.write_all(&judgement, case.facts());
    Ok((documents.judged(judgement, case.facts()), case.into_facts()))
}

/// Makes a directory for the documents of a run, and says whether it is the run's own. That of another run is refused: its own
/// documents would be gone. Without a run, nothing is made.
fn make_place(run_dir: &Path, out: &Path) -> Result<bool, JudgeError> {
    read::open(run_dir, 0)?;
    let cannot_read = |source| JudgeError::CannotRead { path: run_dir.to_owned(), source };
    let own = run_dir.canonicalize().map_err(cannot_read)?;
    // A directory that is not there yet is not the run's.
    let is_own = out.canonicalize().is_ok_and(|out| out == own);
    if !is_own && out.join(layout::RUN_LOG).exists() {
        return Err(JudgeError::HoldsAnotherRun { path: out.to_owned() });
    }
    let cannot_write = |source| JudgeError::CannotWrite { path: out.to_owned(), source };
    std::fs::create_dir_all(out).map_err(cannot_write)?;
    Ok(is_own)
}

/// As [`report`], for a log that was lost from the run's directory while the run went on, and is still held
/// open. `lost` says how, in a sentence: the run is INCONCLUSIVE at best. What can be written is written, into a new
/// directory if the run's own was removed.
pub fn report_lost(run_dir: &Path, log: impl BufRead, lost: &str) -> Result<Judged, JudgeError> {
    let mut documents = Documents::in_place(run_dir);
    let (case, log) = read::held(run_dir, log, lost, |facts, record| documents.tabulate(facts, record))?;
    let judgement = case.judgement(&log);
    documents.write_all(&judgement, case.facts());
    Ok(documents.judged(judgement, case.facts()))
}

/// As [`report`], for a log that was changed while the run went on, from what its records had amounted to before.
/// `lost` says what happened, in a sentence: the run is INCONCLUSIVE at best. Tables, which hold the records
/// themselves, are not made.
pub fn report_remembered(run_dir: &Path, case: &Case, lost: &str) -> Judged {
    let log =
        LogState { lines: case.facts().records, contradiction: Some(lost.to_owned()), ..LogState::default() };
    let judgement = case.judgement(&log);
    let mut documents = Documents::in_place(run_dir);
    documents.write_all(&judgement, case.facts());
    documents.judged(judgement, case.facts())
}

/// Judges a log that the caller has made: its header is not held against its text. A log that ends early is judged as far as it goes; one that is
/// damaged, or has no whole header, is an error.
pub fn judge_log(log: impl BufRead) -> Result<(Judgement, Facts), LogError> {
    pass_over(Pass::default(), [log])
}

/// Judges the logs of a run's segments, in order.
pub fn judge_logs(
    logs: impl IntoIterator<Item = impl BufRead>,
    check: HeaderCheck,
) -> Result<(Judgement, Facts), LogError> {
    pass_over(Pass::checking(check), logs)
}

fn pass_over(
    mut pass: Pass,
    logs: impl IntoIterator<Item = impl BufRead>,
) -> Result<(Judgement, Facts), LogError> {
    let mut logs = logs.into_iter().map(|log| Opened::new(Reader::new(log))).peekable();
    while let Some(opened) = logs.next() {
        let counted_to = logs.peek().and_then(Opened::before_counts_to);
        pass.segment(opened, counted_to, &mut |_, _| ())?;
    }
    let (case, log) = pass.finish()?;
    Ok((case.judgement(&log), case.into_facts()))
}

/// Writes a file that is whole or not there: beside its place, and then renamed.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), JudgeError> {
    draft::replace(path, bytes).map_err(|source| JudgeError::CannotWrite { path: path.to_owned(), source })
}

/// Reads the judgement that `verdict.json` holds. What only the log knows is not in it: see
/// [`crate::verdict::CriterionResult::so_far`].
pub fn read_verdict(run_dir: &Path) -> Result<Judgement, JudgeError> {
    let path = run_dir.join(layout::VERDICT);
    let text = codec::open_file(&path)
        .and_then(io::read_to_string)
        .map_err(|source| JudgeError::CannotRead { path: path.clone(), source })?;
    let refuse = |what: String| JudgeError::NotAVerdict { path: path.clone(), what };
    // The version first: a file of another one has other keys.
    let Versioned { version } = serde_json::from_str(&text).map_err(|e| refuse(e.to_string()))?;
    if version != VERDICT_VERSION {
        return Err(refuse(format!("it has version {version}, and this program reads {VERDICT_VERSION}")));
    }
    serde_json::from_str(&text).map_err(|e| refuse(e.to_string()))
}

/// The logs that a run may have, in order, each with whether it is the first, which has to be there. A path that is not a directory is
/// that of a log with one segment.
fn segments(run: &Path) -> impl Iterator<Item = (PathBuf, bool)> {
    let is_file = run.is_file();
    let most = if is_file { 1 } else { layout::SEGMENTS_MAX };
    (0..most).map(move |segment| {
        let path = if is_file { run.to_owned() } else { run.join(layout::segment_log(segment)) };
        (path, segment == 0)
    })
}

/// The SHA-256 of each log of a run, in hex and in order: what [`crate::seal::Verified::signers_of`] tells it by.
pub fn logs_sha256(run_dir: &Path) -> Result<Vec<String>, JudgeError> {
    let mut hashes = Vec::new();
    for (path, is_first) in segments(run_dir) {
        match codec::open_file(&path).and_then(sha256_of) {
            Ok((hash, _)) => hashes.push(hash),
            Err(source) if !is_first && source.kind() == io::ErrorKind::NotFound => break,
            Err(source) => return Err(JudgeError::CannotRead { path, source }),
        }
    }
    Ok(hashes)
}

/// The SHA-256 of what the logs of a run recorded, without their headers and checksums: the same for a run and for a copy of it,
/// whatever the copy's header says. Of a run that recorded nothing, that of its logs.
pub fn records_sha256(run_dir: &Path) -> Result<String, JudgeError> {
    let mut digest = Sha256::new();
    let mut records = 0_u64;
    for (path, is_first) in segments(run_dir) {
        let unreadable = |source| JudgeError::CannotRead { path: path.clone(), source };
        let log = match codec::open_file(&path) {
            Ok(log) => log,
            Err(source) if !is_first && source.kind() == io::ErrorKind::NotFound => break,
            Err(source) => return Err(unreadable(source)),
        };
        let mut lines = Lines::new(io::BufReader::new(log), codec::LINE_BYTES_MAX);
        let mut is_header = true;
        while lines.advance().map_err(unreadable)? == Next::Whole {
            // A log that does not verify is no evidence, whatever this says of it.
            let Ok(checked) = lines.check() else { break };
            if !std::mem::take(&mut is_header) {
                digest.update(&checked.json);
                digest.update(b"\n");
                records += 1;
            }
            lines.accept(&checked);
        }
    }
    if records == 0 { logs_sha256(run_dir).map(|logs| logs.join("+")) } else { Ok(hex(&digest.finalize())) }
}

#[derive(Deserialize)]
struct Versioned {
    version: u32,
}
