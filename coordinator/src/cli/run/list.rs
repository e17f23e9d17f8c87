//! The tasks of a run: a list that is checked as a whole before anything starts, and then read again as tasks are
//! wanted, so that a long one need not fit into memory.

use super::results::Done;
use super::task::{self, Doer, Job, Spec, first_8};
use super::template::Values;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, Write};
use std::path::{Path, PathBuf};

/// Mistakes of a list that are told one by one.
const MISTAKES_TOLD: usize = 20;
/// Bytes of a line. A task of the largest size fits, however it is written.
const LINE_MAX: usize = 8 << 20;

/// Where tasks come from.
#[derive(Debug, Clone)]
pub(super) enum From {
    /// One for each agent.
    Agents(u32),
    /// One for each line, or for each string that ends with a NUL.
    Inputs { path: PathBuf, null: bool },
    /// One for each line of JSON.
    Tasks(PathBuf),
}

/// Why there is no list.
#[derive(Debug)]
pub(super) enum Refusal {
    /// What cannot be understood, a line each.
    Mistakes(Vec<String>),
    /// Something else than the list: what was done, and why not.
    Io(String),
}

/// A list that has been checked.
#[derive(Debug)]
pub(super) struct List {
    source: Source,
    doer: Doer,
    surroundings: Surroundings,
    /// By task: what its line was when it was checked, and whether it is to be done.
    checked: Vec<(u32, bool)>,
    /// Tasks taken so far.
    taken: u64,
    pub(super) facts: Facts,
}

/// What all tasks have in common beside the command.
#[derive(Debug, Default)]
pub(super) struct Surroundings {
    /// Where a task runs that does not say so itself; otherwise where the fleet is at home.
    pub(super) cwd: Option<String>,
    /// Gets two files a task: all that it says on stdout, and on stderr.
    pub(super) output_dir: Option<String>,
}

impl Surroundings {
    /// What is around a task is no part of what it is: its hash knows nothing of it.
    fn job(&self, spec: Spec) -> Result<Job, String> {
        let hash = spec.hash();
        Ok(Job { hash, ..self.around(spec).job()? })
    }

    fn around(&self, mut spec: Spec) -> Spec {
        if spec.cwd.is_none() {
            spec.cwd.clone_from(&self.cwd);
        }
        spec.files = self.output_dir.as_ref().map(|dir| {
            let name = file_name(&spec.id);
            ["stdout", "stderr"].map(|stream| Some(format!("{dir}/{name}.{stream}")))
        });
        spec
    }
}

/// An id as the name of a file: what is more than letters, digits, `-`, `_` and points between them is written as `%` and two digits.
fn file_name(id: &str) -> String {
    // Writing into a string cannot fail.
    let mut name = String::new();
    for byte in id.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => name.push(byte.into()),
            b'.' if !name.is_empty() => name.push('.'),
            _ => {
                let _ = write!(name, "%{byte:02X}");
            }
        }
    }
    name
}

/// What is known of a list before anything starts.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) total: u64,
    /// Tasks to be done now.
    pub(super) wanted: u64,
    /// Tasks done before, and how many of those had failed.
    pub(super) done: u64,
    pub(super) done_badly: u64,
    /// Tasks that had failed and are done again.
    pub(super) failed_again: u64,
    /// Tasks that were done before as something else, and the first of them.
    pub(super) changed: u64,
    pub(super) changed_first: Option<String>,
    /// Bytes of the largest message.
    pub(super) largest: usize,
}

#[derive(Debug)]
enum Source {
    Agents(u32),
    Lines { lines: Lines, json: bool },
}

/// A file, line by line.
#[derive(Debug)]
struct Lines {
    name: String,
    from: BufReader<File>,
    end: u8,
    /// Of the line that was read last; 1 for the first.
    number: u64,
    text: Vec<u8>,
}

impl List {
    /// Reads and checks all of it. `before` is what is known of earlier results.
    pub(super) fn check(
        from: &From,
        (doer, surroundings): (Doer, Surroundings),
        before: &Done,
        retry_failed: bool,
    ) -> Result<Self, Refusal> {
        let source = match from {
            From::Agents(count) => Source::Agents(*count),
            From::Inputs { path, null } => {
                Source::Lines { lines: Lines::open(path, if *null { 0 } else { b'\n' })?, json: false }
            }
            From::Tasks(path) => Source::Lines { lines: Lines::open(path, b'\n')?, json: true },
        };
        let mut list =
            Self { source, doer, surroundings, checked: Vec::new(), taken: 0, facts: Facts::default() };
        list.look_through(before, retry_failed)?;
        list.rewind().map_err(|error| Refusal::Io(format!("cannot read it again: {error}")))?;
        Ok(list)
    }

    fn look_through(&mut self, before: &Done, retry_failed: bool) -> Result<(), Refusal> {
        let mut mistakes = Mistakes { name: self.source.name(), told: Vec::new(), more: 0 };
        let mut ids: HashMap<u128, u64> = HashMap::new();
        while let Some(found) = self.next_line(self.facts.total + 1).map_err(Refusal::Io)? {
            self.facts.total += 1;
            let Found { line, mark, spec } = found;
            let spec = match spec {
                Ok(spec) => spec,
                Err(wrong) => {
                    for wrong in wrong {
                        mistakes.add(line, &wrong);
                    }
                    self.checked.push((mark, false));
                    continue;
                }
            };
            if let Some(first) = ids.insert(digest(&spec.id), line) {
                mistakes.add(line, &format!("the id {:?} is that of line {first} already", spec.id));
            }
            let hash = spec.hash();
            let is_done = match before.get(&spec.id) {
                Some((_, was)) if was != hash => {
                    self.facts.changed += 1;
                    self.facts.changed_first.get_or_insert_with(|| spec.id.clone());
                    false
                }
                Some((ok, _)) => {
                    let is_done = ok || !retry_failed;
                    self.facts.done += u64::from(is_done);
                    self.facts.done_badly += u64::from(is_done && !ok);
                    self.facts.failed_again += u64::from(!is_done);
                    is_done
                }
                None => false,
            };
            match self.surroundings.job(spec) {
                Ok(job) => self.facts.largest = self.facts.largest.max(job.size()),
                Err(wrong) => mistakes.add(line, &wrong),
            }
            self.facts.wanted += u64::from(!is_done);
            self.checked.push((mark, !is_done));
        }
        mistakes.none()
    }

    fn rewind(&mut self) -> io::Result<()> {
        match &mut self.source {
            Source::Agents(_) => Ok(()),
            Source::Lines { lines, .. } => lines.rewind(),
        }
    }

    /// The next task that is to be done; an error if the list is not what it was when it was checked.
    pub(super) fn next(&mut self) -> Result<Option<Spec>, String> {
        while let Some((mark, wanted)) = self.checked.get(self.taken as usize).copied() {
            let found = self.next_line(self.taken + 1)?;
            self.taken += 1;
            let changed = |line: Option<u64>| {
                let at = line.map_or_else(|| "its end".to_owned(), |line| format!("line {line}"));
                format!(
                    "{} was changed after it had been checked: {at} is not what it was",
                    self.source.name()
                )
            };
            match found {
                None => return Err(changed(None)),
                Some(found) if found.mark != mark => return Err(changed(Some(found.line))),
                Some(Found { line, spec, .. }) if wanted => {
                    return spec.map(Some).map_err(|_| changed(Some(line)));
                }
                Some(_) => {}
            }
        }
        Ok(None)
    }

    fn next_line(&mut self, number: u64) -> Result<Option<Found>, String> {
        let (lines, json) = match &mut self.source {
            Source::Agents(count) => {
                if number > u64::from(*count) {
                    return Ok(None);
                }
                let id = (number - 1).to_string();
                let spec = match &self.doer {
                    Doer::Command(template) => {
                        let argv = template.fill(&Values { input: Some(id.as_bytes()), number, id: &id });
                        Spec::plain(id.clone(), number, id.as_bytes(), argv)
                    }
                    Doer::Agent(_) => {
                        let mut spec = Spec::plain(id.clone(), number, id.as_bytes(), Vec::new());
                        spec.ask(&id, &self.doer);
                        spec
                    }
                };
                return Ok(Some(Found { line: number, mark: 0, spec: Ok(spec) }));
            }
            Source::Lines { lines, json } => (lines, *json),
        };
        let whole = loop {
            match lines.next().map_err(|error| format!("cannot read {}: {error}", lines.name))? {
                None => return Ok(None),
                Some(_) if lines.is_blank(json) => {}
                Some(whole) => break whole,
            }
        };
        let (line, text) = (lines.number, lines.text.as_slice());
        let mark = crc32c::crc32c(text);
        let spec = if !whole {
            Err(vec![format!("the line is longer than {LINE_MAX} bytes")])
        } else if json {
            task::read(text, line, number, &self.doer)
        } else {
            plain(text, line, number, &self.doer)
        };
        Ok(Some(Found { line, mark, spec }))
    }
}

/// A line of input; without a command to give it to, it is a command itself. To an agent it is a string.
fn plain(text: &[u8], line: u64, number: u64, doer: &Doer) -> Result<Spec, Vec<String>> {
    let id = line.to_string();
    let argv = match doer {
        Doer::Command(template) if template.is_empty() => {
            vec![b"sh".to_vec(), b"-c".to_vec(), text.to_vec()]
        }
        Doer::Command(template) => template.fill_or_append(&Values { input: Some(text), number, id: &id }),
        Doer::Agent(_) => {
            let text_of = std::str::from_utf8(text).ok().and_then(|text| serde_json::to_string(text).ok());
            let question = text_of.ok_or_else(|| vec!["the line is no UTF-8, and JSON is".to_owned()])?;
            let mut spec = Spec::plain(id, number, text, Vec::new());
            spec.ask(&question, doer);
            return Ok(spec);
        }
    };
    Ok(Spec::plain(id, number, text, argv))
}

struct Found {
    line: u64,
    mark: u32,
    spec: Result<Spec, Vec<String>>,
}

struct Mistakes {
    name: String,
    told: Vec<String>,
    more: u64,
}

impl Mistakes {
    fn add(&mut self, line: u64, what: &str) {
        if self.told.len() < MISTAKES_TOLD {
            self.told.push(format!("{}:{line}: {what}", self.name));
        } else {
            self.more += 1;
        }
    }

    fn none(mut self) -> Result<(), Refusal> {
        if self.told.is_empty() {
            return Ok(());
        }
        if self.more > 0 {
            self.told.push(format!("{}: and {} more mistakes", self.name, self.more));
        }
        Err(Refusal::Mistakes(self.told))
    }
}

/// Stands for an id: no two of a list have the same.
pub(super) fn digest(id: &str) -> u128 {
    let digest = Sha256::digest(id.as_bytes());
    u128::from(first_8(&digest)) << 64 | u128::from(first_8(&digest[8..]))
}

impl Source {
    fn name(&self) -> String {
        match self {
            Self::Agents(_) => "the command".to_owned(),
            Self::Lines { lines, .. } => lines.name.clone(),
        }
    }
}

impl Lines {
    fn open(path: &Path, end: u8) -> Result<Self, Refusal> {
        let is_stdin = path.as_os_str() == "-";
        let name = if is_stdin { "standard input".to_owned() } else { path.display().to_string() };
        let opened = if is_stdin { spooled(io::stdin().lock()) } else { open(path) };
        let file = opened.map_err(|error| Refusal::Io(format!("cannot read {name}: {error}")))?;
        Ok(Self { name, from: BufReader::with_capacity(1 << 16, file), end, number: 0, text: Vec::new() })
    }

    fn rewind(&mut self) -> io::Result<()> {
        self.number = 0;
        self.from.rewind()
    }

    /// The next line into `text`; `false` if it is too long, and only its beginning is there.
    fn next(&mut self) -> io::Result<Option<bool>> {
        self.text.clear();
        let limit = LINE_MAX as u64 + 1;
        if (&mut self.from).take(limit).read_until(self.end, &mut self.text)? == 0 {
            return Ok(None);
        }
        self.number += 1;
        if self.text.last() == Some(&self.end) {
            self.text.pop();
            return Ok(Some(true));
        }
        if (self.text.len() as u64) < limit {
            return Ok(Some(true));
        }
        self.from.skip_until(self.end)?;
        Ok(Some(false))
    }

    /// No task; a mark at the beginning of the file that some editors leave is cut off.
    fn is_blank(&mut self, json: bool) -> bool {
        if json && self.number == 1 && self.text.starts_with(b"\xef\xbb\xbf") {
            self.text.drain(..3);
        }
        if json { self.text.trim_ascii().is_empty() } else { self.text.is_empty() }
    }
}

/// What can be read once only is copied first.
fn open(path: &Path) -> io::Result<File> {
    let file = File::open(path)?;
    let kind = file.metadata()?.file_type();
    if kind.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if kind.is_file() { Ok(file) } else { spooled(file) }
}

fn spooled(mut from: impl Read) -> io::Result<File> {
    let mut file = nameless()?;
    io::copy(&mut from, &mut file)?;
    file.rewind()?;
    Ok(file)
}

/// A temporary file that is gone with its last descriptor.
pub(super) fn nameless() -> io::Result<File> {
    let dir = std::env::temp_dir();
    let open = |path: &Path| File::options().read(true).write(true).create_new(true).open(path);
    for attempt in 0..100 {
        let path = dir.join(format!("coordinator-{}-{attempt}.tmp", std::process::id()));
        match open(&path) {
            Ok(file) => {
                std::fs::remove_file(&path)?;
                return Ok(file);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(io::Error::new(error.kind(), format!("{}: {error}", dir.display()))),
        }
    }
    Err(io::Error::other(format!("{} is full of old files of this program", dir.display())))
}

/// What a run would do, a line a task.
pub(super) fn print(list: &mut List, out: &mut impl Write) -> Result<io::Result<()>, String> {
    while let Some(spec) = list.next()? {
        if let Err(error) = writeln!(out, "{}", spec.in_shell()) {
            return Ok(Err(error));
        }
    }
    Ok(out.flush())
}

/// As [`List::next`], ready to be sent.
pub(super) fn next_job(list: &mut List) -> Result<Option<Job>, String> {
    let Some(spec) = list.next()? else { return Ok(None) };
    list.surroundings.job(spec).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_id_is_a_file_of_its_own() {
        for (id, name) in
            [("a1", "a1"), ("a/b", "a%2Fb"), ("..", "%2E."), ("a.b c", "a.b%20c"), ("ä%", "%C3%A4%25")]
        {
            assert_eq!(file_name(id), name);
        }
    }
}
