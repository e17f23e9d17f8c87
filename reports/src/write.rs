//! From a run directory to its verdict and documents: reads the log once, writes the files.
//!
//! Each file is written under a temporary name and renamed, and only after the whole log has been
//! read: a damaged log changes nothing. What cannot be written is left out and told, and the verdict is
//! given all the same. Nothing written depends on the time or on where the directory is, so the same
//! log gives the same bytes.

use std::fs::{self, File};
use std::io::{self, BufRead, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::facts::Facts;
use crate::render;
use crate::runlog::codec::{self, LogError, Reader};
use crate::runlog::event::{Event, Header, Record};
use crate::runlog::validate::Validator;
use crate::verdict::{Judgement, LogState};

/// The log's name in a run directory.
const RUN_LOG: &str = "run.log";

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
}

impl JudgeError {
    /// See `docs/exit-codes.md`.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Damaged { .. } => 12,
            Self::NoRun { .. } | Self::CannotRead { .. } | Self::NotARunLog { .. } => 64,
            Self::CannotWrite { .. } => 20,
        }
    }

    /// What to do next.
    pub fn hint(&self) -> &str {
        match self {
            Self::NoRun { hint, .. } => hint,
            Self::CannotRead { source, .. } => match source.kind() {
                io::ErrorKind::NotADirectory => "give the directory of the run, not a file in it",
                io::ErrorKind::PermissionDenied => {
                    "mend the permissions, or judge the run as the user who made it"
                }
                _ => "copy the run directory to a sound disk, and judge the copy",
            },
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
#[derive(Debug)]
pub struct Judged {
    pub judgement: Judgement,
    /// For a terminal, plain.
    pub summary: String,
    /// In the order of their writing.
    pub files: Vec<PathBuf>,
    /// The first of the files that could not be written, and why. The verdict holds all the same.
    pub unwritten: Option<JudgeError>,
}

/// Reads the run's log and writes `verdict.json`.
pub fn judge(run_dir: &Path) -> Result<Judged, JudgeError> {
    let (facts, log) = read_dir(run_dir, |_, _| ())?;
    let judgement = Judgement::of(&facts, &log);
    let mut documents = Documents::new(run_dir);
    documents.write("verdict.json", render::json::render(&judgement).as_bytes());
    Ok(documents.judged(judgement, &facts))
}

/// Judges a log wherever it comes from. A log that ends early is judged as far as it goes; one that is
/// damaged, or has no whole header, is an error.
pub fn judge_log(log: impl BufRead) -> Result<(Judgement, Facts), LogError> {
    let (facts, log) = read(&mut Reader::new(log), |_, _| ())?;
    Ok((Judgement::of(&facts, &log), facts))
}

/// Makes everything again that can be made from the log: the verdict first, the tables last.
pub fn report(run_dir: &Path) -> Result<Judged, JudgeError> {
    let mut documents = Documents::new(run_dir);
    let (facts, log) = read_dir(run_dir, |facts, record| documents.tabulate(facts, record))?;
    let judgement = Judgement::of(&facts, &log);
    documents.write("verdict.json", render::json::render(&judgement).as_bytes());
    documents.write("report.html", render::html::render(&judgement, &facts).as_bytes());
    documents.write("report.md", render::markdown::render(&judgement, &facts).as_bytes());
    documents.write("junit.xml", render::junit::render(&judgement, &facts).as_bytes());
    documents.directory("plots");
    for plot in render::plot::all(&facts) {
        documents.write(&format!("plots/{}.svg", plot.name), plot.standalone().as_bytes());
    }
    documents.finish_tables();
    Ok(documents.judged(judgement, &facts))
}

fn read_dir(run_dir: &Path, each: impl FnMut(&Facts, &Record)) -> Result<(Facts, LogState), JudgeError> {
    let path = run_dir.join(RUN_LOG);
    let mut reader = codec::open(&path).map_err(|source| absent(run_dir, path.clone(), source))?;
    read(&mut reader, each).map_err(|source| refuse(path, source))
}

/// Why there is no log to open, and where one is.
fn absent(run_dir: &Path, path: PathBuf, source: io::Error) -> JudgeError {
    if source.kind() != io::ErrorKind::NotFound {
        return JudgeError::CannotRead { path, source };
    }
    let latest = run_dir.join("latest");
    let hint = if latest.join(RUN_LOG).is_file() {
        format!("did you mean {}?", latest.display())
    } else {
        "give the directory of a run, such as runs/SCENARIO/latest".into()
    };
    JudgeError::NoRun { path, source, hint }
}

/// One pass over the log. `each` sees every record after the facts have taken it.
fn read(
    reader: &mut Reader<impl BufRead>,
    mut each: impl FnMut(&Facts, &Record),
) -> Result<(Facts, LogState), LogError> {
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
            Err(e) => return Err(e),
        };
        if let Err(contradiction) = validator.step(&record) {
            log.contradiction.get_or_insert_with(|| contradiction.to_string());
        }
        let facts = match (&mut facts, &record.event) {
            (Some(facts), _) => facts,
            (none, Event::Header(header)) => none.insert(Facts::new(header)),
            (None, _) => {
                return Err(LogError::BadHeader { what: "its first line is not a header".into() });
            }
        };
        facts.push(&record);
        each(facts, &record);
    }
    log.lines = reader.lines();
    log.unknown_events = reader.unknown_events();
    facts.map(|facts| (facts, log)).ok_or(LogError::Empty)
}

fn refuse(path: PathBuf, source: LogError) -> JudgeError {
    match source {
        LogError::Io(source) => JudgeError::CannotRead { path, source },
        // Line 1 is the header: without it there is nothing to judge.
        LogError::Empty
        | LogError::BadHeader { .. }
        | LogError::VersionUnsupported { .. }
        | LogError::Torn { .. } => JudgeError::NotARunLog { path, source },
        LogError::Damaged { .. } | LogError::SequenceGap { .. } => JudgeError::Damaged { path, source },
    }
}

/// The files of a run directory as they are written. An error ends nothing: the first one is kept.
struct Documents<'a> {
    run_dir: &'a Path,
    tables: TableState,
    files: Vec<PathBuf>,
    unwritten: Option<JudgeError>,
}

enum TableState {
    /// Before the header.
    Due,
    Open(Box<Tables>),
    /// Written, given up, or not asked for.
    Closed,
}

impl<'a> Documents<'a> {
    fn new(run_dir: &'a Path) -> Self {
        Self { run_dir, tables: TableState::Due, files: Vec::new(), unwritten: None }
    }

    fn failed(&mut self, path: PathBuf, source: io::Error) {
        self.unwritten.get_or_insert(JudgeError::CannotWrite { path, source });
    }

    /// Writes one file. If that fails, the tables give way: they may hold the room that it needs.
    fn write(&mut self, name: &str, bytes: &[u8]) {
        let path = self.run_dir.join(name);
        let mut done = replace(&path, bytes);
        if let Err(source) = done {
            done = match self.give_up_tables() {
                Some(tables) => {
                    self.failed(tables, source);
                    replace(&path, bytes)
                }
                None => Err(source),
            };
        }
        match done {
            Ok(()) => self.files.push(path),
            Err(source) => self.failed(path, source),
        }
    }

    fn directory(&mut self, name: &str) {
        let path = self.run_dir.join(name);
        if let Err(source) = fs::create_dir_all(&path) {
            self.failed(path, source);
        }
    }

    /// A record's rows, if the tables could be written so far.
    fn tabulate(&mut self, facts: &Facts, record: &Record) {
        let done = match &mut self.tables {
            TableState::Closed => return,
            TableState::Open(tables) => tables.push(facts, record),
            TableState::Due => Tables::create(self.run_dir, &facts.header)
                .map(|tables| self.tables = TableState::Open(Box::new(tables))),
        };
        if let Err((path, source)) = done {
            self.give_up_tables();
            self.failed(path, source);
        }
    }

    /// Removes what there is of the tables, and names the first of them.
    fn give_up_tables(&mut self) -> Option<PathBuf> {
        match std::mem::replace(&mut self.tables, TableState::Closed) {
            TableState::Open(tables) => Some(tables.paths[0].clone()),
            TableState::Due | TableState::Closed => None,
        }
    }

    fn finish_tables(&mut self) {
        if let TableState::Open(tables) = std::mem::replace(&mut self.tables, TableState::Closed)
            && let Err((path, source)) = tables.finish(&mut self.files)
        {
            self.failed(path, source);
        }
    }

    fn judged(self, judgement: Judgement, facts: &Facts) -> Judged {
        let summary = render::text::render(&judgement, facts);
        Judged { judgement, summary, files: self.files, unwritten: self.unwritten }
    }
}

/// Writes beside the file and renames: a reader sees the old bytes or the new ones.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut draft = Draft::create(path)?;
    draft.write_all(bytes)?;
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
    fn create(path: &Path) -> io::Result<Self> {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".tmp");
        let temporary = path.with_file_name(name);
        let file = File::create(&temporary)?;
        Ok(Self { out: Some(BufWriter::new(file)), temporary, path: path.to_owned() })
    }

    fn finish(mut self) -> io::Result<()> {
        if let Some(out) = self.out.take() {
            out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        }
        fs::rename(&self.temporary, &self.path)
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

/// Which table, and why.
type TableError = (PathBuf, io::Error);

impl Tables {
    fn create(run_dir: &Path, header: &Header) -> Result<Self, TableError> {
        let paths = ["samples.csv", "rounds.csv", "latency.hlog"].map(|name| run_dir.join(name));
        let at = |i: usize| {
            let path = &paths[i];
            move |source| (path.clone(), source)
        };
        let samples = Draft::create(&paths[0]).and_then(|d| render::csv::Samples::new(d, header));
        let rounds = Draft::create(&paths[1]).and_then(|d| render::csv::Rounds::new(d, header));
        let latency = Draft::create(&paths[2]).and_then(|d| render::hlog::Log::new(d, header));
        Ok(Self {
            samples: samples.map_err(at(0))?,
            rounds: rounds.map_err(at(1))?,
            latency: latency.map_err(at(2))?,
            paths,
        })
    }

    fn push(&mut self, facts: &Facts, record: &Record) -> Result<(), TableError> {
        let (at, done) = match &record.event {
            Event::Sample(sample) => (0, self.samples.push(facts, sample)),
            Event::Round(round) => (1, self.rounds.push(round)),
            Event::Latency(interval) => (2, self.latency.push(interval)),
            _ => return Ok(()),
        };
        done.map_err(|source| (self.paths[at].clone(), source))
    }

    /// Each table that is whole counts, also if another is not.
    fn finish(self, files: &mut Vec<PathBuf>) -> Result<(), TableError> {
        let done = [
            self.samples.into_inner().and_then(Draft::finish),
            self.rounds.into_inner().and_then(Draft::finish),
            self.latency.into_inner().and_then(Draft::finish),
        ];
        let mut first = Ok(());
        for (path, done) in self.paths.into_iter().zip(done) {
            match done {
                Ok(()) => files.push(path),
                Err(source) => first = first.and(Err((path, source))),
            }
        }
        first
    }
}
