//! The documents of a run, as they are written. A new one is a file in `render/` and a line in [`FORMATS`].

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::draft::{Draft, replace};
use super::{JudgeError, Judged, layout};
use crate::facts::Facts;
use crate::render::{Table, csv, hlog, html, json, junit, markdown, plot, summary, text};
use crate::runlog::event::{Header, Record};
use crate::verdict::Judgement;

type OpenTable = Box<dyn Table<Draft>>;

/// How the bytes of a document come about.
enum Format {
    /// Drawn at once, when the run has been judged.
    Drawn(fn(&Judgement, &Facts) -> String),
    /// The same, of a log that says enough for it.
    Where(fn(&Facts) -> Option<String>),
    /// A folder of drawings, each with its name.
    Folder(fn(&Facts) -> Vec<(String, String)>),
    /// Written row by row while the log is read, because it grows with the log.
    Table(fn(Draft, &Header, Option<Duration>) -> io::Result<OpenTable>),
}

/// Name and format, in the order of writing. Tables are finished last: they give way to all others.
const FORMATS: [(&str, Format); 10] = [
    (layout::VERDICT, Format::Drawn(|judgement, _| json::render(judgement))),
    (layout::REPORT, Format::Drawn(html::render)),
    ("report.md", Format::Drawn(markdown::render)),
    ("junit.xml", Format::Drawn(junit::render)),
    ("plots", Format::Folder(plot::files)),
    ("summary.json", Format::Drawn(summary::render)),
    ("workers.csv", Format::Where(csv::workers)),
    ("samples.csv", Format::Table(|out, header, every| Ok(Box::new(csv::Samples::new(out, header, every)?)))),
    ("rounds.csv", Format::Table(|out, header, _| Ok(Box::new(csv::Rounds::new(out, header)?)))),
    ("latency.hlog", Format::Table(|out, header, _| Ok(Box::new(hlog::Log::new(out, header)?)))),
];

/// An error ends nothing: that of the first document in [`FORMATS`] is kept.
pub(super) struct Documents<'a> {
    run_dir: &'a Path,
    /// Not beside the log.
    is_apart: bool,
    /// The wish of the one who reads `samples.csv`.
    samples_every: Option<Duration>,
    tables: Tables,
    files: Vec<PathBuf>,
    failures: Vec<Failure>,
}

enum Tables {
    /// Before the header.
    Due,
    Open(Vec<(PathBuf, OpenTable)>),
    /// Written, given up, or not asked for.
    Closed,
}

/// Which file, and why.
type Failure = (PathBuf, io::Error);

impl<'a> Documents<'a> {
    pub(super) fn new(run_dir: &'a Path) -> Self {
        Self {
            run_dir,
            is_apart: false,
            samples_every: None,
            tables: Tables::Due,
            files: Vec::new(),
            failures: Vec::new(),
        }
    }

    /// As [`Self::new`], in another directory than the one that the log is in.
    pub(super) fn apart(directory: &'a Path) -> Self {
        Self { is_apart: true, ..Self::new(directory) }
    }

    /// Shows the samples of `samples.csv` this far apart.
    pub(super) fn with_samples_every(self, samples_every: Option<Duration>) -> Self {
        Self { samples_every, ..self }
    }

    /// As [`Self::new`], of a directory that may have been removed: then it is made again.
    pub(super) fn in_place(run_dir: &'a Path) -> Self {
        // If it cannot be, each document says so.
        let _ = fs::create_dir_all(run_dir);
        Self::new(run_dir)
    }

    /// A record's rows, for each table that could be written so far.
    pub(super) fn tabulate(&mut self, facts: &Facts, record: &Record) {
        if let Tables::Due = self.tables {
            let opened = create(self.run_dir, &facts.header, self.samples_every, &mut self.failures);
            self.tables = Tables::Open(opened);
        }
        let Tables::Open(tables) = &mut self.tables else { return };
        tables.retain_mut(|(path, table)| match table.push(facts, record) {
            Ok(()) => true,
            Err(source) => {
                self.failures.push((path.clone(), source));
                false
            }
        });
    }

    pub(super) fn write_verdict(&mut self, judgement: &Judgement, facts: &Facts) {
        for (name, format) in &FORMATS {
            if *name == layout::VERDICT {
                self.write_one(name, format, judgement, facts);
            }
        }
    }

    pub(super) fn write_all(&mut self, judgement: &Judgement, facts: &Facts) {
        for (name, format) in &FORMATS {
            self.write_one(name, format, judgement, facts);
        }
        self.finish_tables();
    }

    pub(super) fn judged(self, judgement: Judgement, facts: &Facts) -> Judged {
        let summary = text::render(&judgement, facts);
        let order = |path: &Path| {
            let name = path.strip_prefix(self.run_dir).unwrap_or(path);
            FORMATS.iter().position(|(format, _)| name.starts_with(format))
        };
        let first = self.failures.into_iter().min_by_key(|(path, _)| order(path));
        let unwritten = first.map(|(path, source)| JudgeError::CannotWrite { path, source });
        Judged { judgement, summary, files: self.files, unwritten }
    }

    fn write_one(&mut self, name: &str, format: &Format, judgement: &Judgement, facts: &Facts) {
        match format {
            Format::Drawn(_) if self.is_apart && name == layout::REPORT => {
                self.write(&self.run_dir.join(name), html::render_apart(judgement, facts).as_bytes());
            }
            Format::Drawn(draw) => self.write(&self.run_dir.join(name), draw(judgement, facts).as_bytes()),
            Format::Where(draw) => {
                if let Some(text) = draw(facts) {
                    self.write(&self.run_dir.join(name), text.as_bytes());
                }
            }
            Format::Folder(draw) => {
                let folder = self.run_dir.join(name);
                if let Err(source) = fs::create_dir_all(&folder) {
                    self.failures.push((folder.clone(), source));
                }
                for (file, drawing) in draw(facts) {
                    self.write(&folder.join(file), drawing.as_bytes());
                }
            }
            Format::Table(_) => {}
        }
    }

    /// Writes one file. If the disk is full, the tables give way: they may hold the space that it needs.
    fn write(&mut self, path: &Path, bytes: &[u8]) {
        let mut done = replace(path, bytes);
        if let Err(source) = done {
            let full = matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
            done = match if full { self.give_up_tables() } else { None } {
                Some(table) => {
                    self.failures.push((table, source));
                    replace(path, bytes)
                }
                None => Err(source),
            };
        }
        match done {
            Ok(()) => self.files.push(path.to_owned()),
            Err(source) => self.failures.push((path.to_owned(), source)),
        }
    }

    /// Removes what there is of the tables, and names the first of them.
    fn give_up_tables(&mut self) -> Option<PathBuf> {
        match std::mem::replace(&mut self.tables, Tables::Closed) {
            Tables::Open(tables) => tables.into_iter().next().map(|(path, _)| path),
            Tables::Due | Tables::Closed => None,
        }
    }

    /// Each table that is whole counts, also if another is not.
    fn finish_tables(&mut self) {
        let Tables::Open(tables) = std::mem::replace(&mut self.tables, Tables::Closed) else { return };
        for (path, table) in tables {
            match table.into_inner().and_then(Draft::finish) {
                Ok(()) => self.files.push(path),
                Err(source) => self.failures.push((path, source)),
            }
        }
    }
}

/// Those that can be begun.
fn create(
    run_dir: &Path,
    header: &Header,
    samples_every: Option<Duration>,
    failures: &mut Vec<Failure>,
) -> Vec<(PathBuf, OpenTable)> {
    let mut tables = Vec::new();
    for (name, format) in &FORMATS {
        if let Format::Table(open) = format {
            let path = run_dir.join(name);
            match Draft::create(&path).and_then(|draft| open(draft, header, samples_every)) {
                Ok(table) => tables.push((path, table)),
                Err(source) => failures.push((path, source)),
            }
        }
    }
    tables
}
