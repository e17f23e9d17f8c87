//! From a run directory to its verdict and documents: reads the log once, writes the files.
//!
//! Each file is written under a temporary name and renamed, and only after the whole log has been
//! read: a damaged log changes nothing. Nothing written depends on the time or on where the
//! directory is, so the same log gives the same bytes.

use std::fs::{self, File};
use std::io::{self, BufRead, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::facts::Facts;
use crate::render;
use crate::runlog::codec::{self, LogError, Reader};
use crate::runlog::event::{Event, Header, Record};
use crate::runlog::validate::Validator;
use crate::verdict::{LogState, Verdict};

/// The log's name in a run directory.
const RUN_LOG: &str = "run.log";

/// Why a run could not be judged or its documents not be written.
#[derive(Debug, thiserror::Error)]
pub enum JudgeError {
    #[error("there is no run at {path}: {source}")]
    NoRun { path: PathBuf, source: io::Error },
    #[error("{path} is not a run log that this program can read: {source}")]
    NotARunLog { path: PathBuf, source: LogError },
    #[error("{path}: {source}")]
    Damaged { path: PathBuf, source: LogError },
    #[error("{path} cannot be written: {source}")]
    CannotWrite { path: PathBuf, source: io::Error },
}

impl JudgeError {
    /// See `docs/exit-codes.md`.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Damaged { .. } => 12,
            Self::NoRun { .. } | Self::NotARunLog { .. } => 64,
            Self::CannotWrite { .. } => 20,
        }
    }

    /// What to do next.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NoRun { .. } => "give the directory of a run, such as runs/SCENARIO/latest",
            Self::NotARunLog { source: LogError::VersionUnsupported { .. }, .. } => {
                "read it with the version of the program that wrote it, or with a newer one"
            }
            Self::NotARunLog { .. } => "give the directory of a run: it holds a file run.log",
            Self::Damaged { .. } => {
                "the file was changed after it was written: take an unharmed copy of it, or run the scenario again; nothing was written"
            }
            Self::CannotWrite { .. } => "free some space or mend the permissions, and judge the run again",
        }
    }
}

/// A run that has been judged, and what was written about it.
#[derive(Debug, Clone)]
pub struct Judged {
    pub verdict: Verdict,
    /// For a terminal, plain.
    pub summary: String,
    /// In the order of their writing.
    pub files: Vec<PathBuf>,
}

/// Reads the run's log and writes `verdict.json`.
pub fn judge(run_dir: &Path) -> Result<Judged, JudgeError> {
    let (facts, log) = read_dir(run_dir, |_, _| Ok(()))?;
    let verdict = Verdict::of(&facts, &log);
    let path = run_dir.join("verdict.json");
    replace(&path, render::json::render(&verdict).as_bytes())?;
    Ok(Judged { summary: render::text::render(&verdict, &facts), verdict, files: vec![path] })
}

/// As [`judge`], the verdict alone.
pub fn judge_run(run_dir: &Path) -> Result<Verdict, JudgeError> {
    judge(run_dir).map(|judged| judged.verdict)
}

/// As [`report`], without the summary.
pub fn report_run(run_dir: &Path) -> Result<(Verdict, Vec<PathBuf>), JudgeError> {
    report(run_dir).map(|judged| (judged.verdict, judged.files))
}

/// Judges a log wherever it comes from. A log that ends early is judged as far as it goes; one that is
/// damaged, or has no whole header, is an error.
pub fn judge_log(log: impl BufRead) -> Result<(Verdict, Facts), LogError> {
    let (facts, log) = read(&mut Reader::new(log), |_, _| Ok::<(), LogError>(()))?;
    Ok((Verdict::of(&facts, &log), facts))
}

/// Makes everything again that can be made from the log.
pub fn report(run_dir: &Path) -> Result<Judged, JudgeError> {
    let mut tables: Option<Tables> = None;
    let (facts, log) = read_dir(run_dir, |facts, record| {
        if tables.is_none() {
            tables = Some(Tables::create(run_dir, &facts.header)?);
        }
        match &mut tables {
            Some(tables) => tables.push(facts, record),
            None => Ok(()),
        }
    })?;
    let verdict = Verdict::of(&facts, &log);
    let mut files = Vec::new();
    if let Some(tables) = tables {
        tables.finish(&mut files)?;
    }
    let mut write = |name: &str, bytes: &[u8]| {
        let path = run_dir.join(name);
        replace(&path, bytes)?;
        files.push(path);
        Ok(())
    };
    write("verdict.json", render::json::render(&verdict).as_bytes())?;
    write("report.html", render::html::render(&verdict, &facts).as_bytes())?;
    write("report.md", render::markdown::render(&verdict, &facts).as_bytes())?;
    write("junit.xml", render::junit::render(&verdict, &facts).as_bytes())?;
    let plots = run_dir.join("plots");
    fs::create_dir_all(&plots).map_err(|source| JudgeError::CannotWrite { path: plots, source })?;
    for plot in render::plot::all(&facts) {
        write(&format!("plots/{}.svg", plot.name), plot.standalone().as_bytes())?;
    }
    Ok(Judged { summary: render::text::render(&verdict, &facts), verdict, files })
}

fn read_dir(
    run_dir: &Path,
    each: impl FnMut(&Facts, &Record) -> Result<(), JudgeError>,
) -> Result<(Facts, LogState), JudgeError> {
    let path = run_dir.join(RUN_LOG);
    let mut reader = codec::open(&path).map_err(|source| JudgeError::NoRun { path: path.clone(), source })?;
    read(&mut reader, each).map_err(|stop| match stop {
        Stop::Log(source) => refuse(path, source),
        Stop::Each(e) => e,
    })
}

/// Why a pass over the log ended early.
enum Stop<E> {
    Log(LogError),
    Each(E),
}

impl From<Stop<Self>> for LogError {
    fn from(stop: Stop<Self>) -> Self {
        match stop {
            Stop::Log(e) | Stop::Each(e) => e,
        }
    }
}

/// One pass over the log. `each` sees every record after the facts have taken it.
fn read<E>(
    reader: &mut Reader<impl BufRead>,
    mut each: impl FnMut(&Facts, &Record) -> Result<(), E>,
) -> Result<(Facts, LogState), Stop<E>> {
    let mut facts: Option<Facts> = None;
    let mut validator = Validator::new();
    let mut log = LogState::default();
    for read in reader.by_ref() {
        let record = match read {
            Ok(record) => record,
            Err(LogError::Torn { line, offset }) if facts.is_some() => {
                log.torn = Some((line, offset));
                break;
            }
            Err(e) => return Err(Stop::Log(e)),
        };
        if let Err(contradiction) = validator.step(&record) {
            log.contradiction.get_or_insert_with(|| contradiction.to_string());
        }
        let facts = match (&mut facts, &record.event) {
            (Some(facts), _) => facts,
            (none, Event::Header(header)) => none.insert(Facts::new(header)),
            (None, _) => {
                let what = "its first line is not a header".into();
                return Err(Stop::Log(LogError::BadHeader { what }));
            }
        };
        facts.push(&record);
        each(facts, &record).map_err(Stop::Each)?;
    }
    log.lines = reader.lines();
    log.unknown_events = reader.unknown_events();
    facts.map(|facts| (facts, log)).ok_or(Stop::Log(LogError::Empty))
}

fn refuse(path: PathBuf, source: LogError) -> JudgeError {
    match source {
        LogError::Io(source) => JudgeError::NoRun { path, source },
        // Line 1 is the header: without it there is nothing to judge.
        LogError::Empty
        | LogError::BadHeader { .. }
        | LogError::VersionUnsupported { .. }
        | LogError::Torn { .. } => JudgeError::NotARunLog { path, source },
        LogError::Damaged { .. } | LogError::SequenceGap { .. } => JudgeError::Damaged { path, source },
    }
}

/// Writes beside the file and renames: a reader sees the old bytes or the new ones.
fn replace(path: &Path, bytes: &[u8]) -> Result<(), JudgeError> {
    let mut draft = Draft::create(path)?;
    draft.write_all(bytes).map_err(|source| JudgeError::CannotWrite { path: path.to_owned(), source })?;
    draft.finish()
}

/// A file under its temporary name; gone if it is dropped unfinished.
#[derive(Debug)]
struct Draft {
    out: Option<BufWriter<File>>,
    temporary: PathBuf,
    path: PathBuf,
}

impl Draft {
    fn create(path: &Path) -> Result<Self, JudgeError> {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".tmp");
        let temporary = path.with_file_name(name);
        let file = File::create(&temporary)
            .map_err(|source| JudgeError::CannotWrite { path: path.to_owned(), source })?;
        Ok(Self { out: Some(BufWriter::new(file)), temporary, path: path.to_owned() })
    }

    fn finish(mut self) -> Result<(), JudgeError> {
        let done = (|| {
            if let Some(out) = self.out.take() {
                out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
            }
            fs::rename(&self.temporary, &self.path)
        })();
        done.map_err(|source| JudgeError::CannotWrite { path: self.path.clone(), source })
    }
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.as_mut().map_or(Ok(0), |out| out.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.as_mut().map_or(Ok(()), Write::flush)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // After a rename there is nothing under this name, and nothing to do.
        let _ = fs::remove_file(&self.temporary);
    }
}

/// The files that are written while the log is read, because they grow with it.
struct Tables {
    samples: render::csv::Samples<Draft>,
    rounds: render::csv::Rounds<Draft>,
    latency: render::hlog::Log<Draft>,
    paths: [PathBuf; 3],
}

impl Tables {
    fn create(run_dir: &Path, header: &Header) -> Result<Self, JudgeError> {
        let paths = ["samples.csv", "rounds.csv", "latency.hlog"].map(|name| run_dir.join(name));
        let fail = |path: &Path| {
            let path = path.to_owned();
            move |source| JudgeError::CannotWrite { path, source }
        };
        Ok(Self {
            samples: render::csv::Samples::new(Draft::create(&paths[0])?, header).map_err(fail(&paths[0]))?,
            rounds: render::csv::Rounds::new(Draft::create(&paths[1])?, header).map_err(fail(&paths[1]))?,
            latency: render::hlog::Log::new(Draft::create(&paths[2])?, header).map_err(fail(&paths[2]))?,
            paths,
        })
    }

    fn push(&mut self, facts: &Facts, record: &Record) -> Result<(), JudgeError> {
        let (at, done) = match &record.event {
            Event::Sample(sample) => (0, self.samples.push(facts, sample)),
            Event::Round(round) => (1, self.rounds.push(round)),
            Event::Latency(interval) => (2, self.latency.push(interval)),
            _ => return Ok(()),
        };
        done.map_err(|source| JudgeError::CannotWrite { path: self.paths[at].clone(), source })
    }

    fn finish(self, files: &mut Vec<PathBuf>) -> Result<(), JudgeError> {
        let [samples, rounds, latency] = self.paths;
        let fail = |path: &PathBuf| {
            let path = path.clone();
            move |source| JudgeError::CannotWrite { path, source }
        };
        self.samples.into_inner().map_err(fail(&samples))?.finish()?;
        self.rounds.into_inner().map_err(fail(&rounds))?.finish()?;
        self.latency.into_inner().map_err(fail(&latency))?.finish()?;
        files.extend([samples, rounds, latency]);
        Ok(())
    }
}
