//! The tasks of a run: a list that is checked as a whole before anything starts, and then read again task by task, so
//! that a long list need not fit into memory. Plain lines from a pipe that is still open are the exception: little can be
//! wrong with them, and they are taken as they come.

mod lines;
mod whence;

use super::outputs::{ENDS, file_name};
use super::pipe::{self, Input, Live, Piece};
use super::results::{Done, digest};
use super::task::{self, Doer, Job, OwnStop, Spec};
use super::template::Values;
use crate::bus::error::ungrown;
use lines::{LINE_MAX, Lines};
use std::collections::HashMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use whence::Whence;

/// How many mistakes of a list are printed one by one.
const MISTAKES_SHOWN: usize = 20;

/// Where tasks come from.
#[derive(Debug, Clone)]
pub(super) enum From {
    /// One task for each agent.
    Agents(u32),
    /// One task for each line, or for each string that ends with a NUL. `whole` reads the last line before the first task
    /// starts.
    Inputs { path: PathBuf, null: bool, whole: bool },
    /// One task for each line of JSON.
    Tasks(PathBuf),
}

/// Why there is no list.
#[derive(Debug)]
pub(super) enum Refusal {
    /// Mistakes in the list, one line each.
    Mistakes(Vec<String>),
    /// The list cannot be read: what was tried, and why it failed.
    Io(String),
    /// A list that can be read only once has no room in the temporary directory.
    Copy(String),
}

/// Why there is no next task of a list that a run has begun, and what to do.
#[derive(Debug)]
pub(super) struct Unlisted {
    pub(super) what: String,
    pub(super) hint: &'static str,
}

impl Unlisted {
    fn unread(what: String) -> Self {
        Self { what, hint: "" }
    }

    fn changed(what: String) -> Self {
        Self { what, hint: "do not change a list before its run has ended" }
    }

    /// Of a line that was not checked before the run began.
    fn mistake(what: String) -> Self {
        Self { what, hint: "the lines before this one were taken: correct it, and run the rest" }
    }
}

/// A list that has been checked.
#[derive(Debug)]
pub(super) struct List {
    source: Source,
    doer: Doer,
    surroundings: Surroundings,
    /// By task: the checksum of its line when it was checked, and whether it is to be done.
    checked: Vec<(u32, bool)>,
    /// Tasks taken so far.
    taken: u64,
    /// The earlier results, and whether failed tasks are to be done again; needed until the list is checked.
    before: Rc<Done>,
    retry_failed: bool,
    pub(super) facts: Facts,
}

/// What all tasks have in common beside the command.
#[derive(Debug, Default)]
pub(super) struct Surroundings {
    /// The directory for tasks without a `cwd` of their own; `None` for the directory of the fleet.
    pub(super) cwd: Option<String>,
    /// Gets two files per task: its whole stdout, and its whole stderr.
    pub(super) output_dir: Option<String>,
    /// How tasks are ended that do not say it themselves; by default as the fleet does it.
    pub(super) stop: OwnStop,
}

impl Surroundings {
    /// The hash of a task does not include its surroundings.
    fn job(&self, spec: Spec) -> Result<Job, String> {
        let hash = spec.hash();
        Ok(Job { hash, ..self.around(spec).job()? })
    }

    fn around(&self, mut spec: Spec) -> Spec {
        if spec.cwd.is_none() {
            spec.cwd.clone_from(&self.cwd);
        }
        spec.stop = spec.stop.or(self.stop);
        spec.files = self.output_dir.as_ref().map(|dir| {
            let name = file_name(&spec.id);
            ENDS.map(|stream| Some(format!("{dir}/{name}.{stream}")))
        });
        spec
    }
}

/// What is known about a list before anything starts; less if it still comes through a pipe.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) total: u64,
    /// Tasks to be done now.
    pub(super) wanted: u64,
    /// Tasks done before.
    pub(super) done: u64,
    /// Tasks done before that had failed, and are not done again.
    pub(super) failed_before: u64,
    /// Tasks that had failed and are done again.
    pub(super) failed_again: u64,
    /// Tasks that have changed since they were done.
    pub(super) changed: u64,
    /// The id of the first changed task.
    pub(super) changed_first: Option<String>,
    /// Bytes of the largest message.
    pub(super) largest: usize,
    /// More tasks may come; the other figures are of those so far.
    pub(super) open: bool,
}

#[derive(Debug)]
enum Source {
    Agents(u32),
    /// `file` if other programs can change it.
    Lines {
        lines: Lines,
        json: bool,
        file: Option<Whence>,
    },
    Live {
        name: String,
        live: Live,
        line: u64,
    },
}

/// What comes next.
#[derive(Debug)]
pub(super) enum Next<T> {
    Task(T),
    /// Nothing yet.
    Later,
    End,
}

impl List {
    /// Reads and checks the whole list. `before` holds the earlier results.
    pub(super) fn check(
        from: &From,
        (doer, surroundings): (Doer, Surroundings),
        before: Rc<Done>,
        retry_failed: bool,
    ) -> Result<Self, Refusal> {
        let source = match from {
            From::Agents(count) => Source::Agents(*count),
            From::Inputs { path, null, whole } => {
                let end = if *null { 0 } else { b'\n' };
                Source::open(path, end, false, *whole)?
            }
            From::Tasks(path) => Source::open(path, b'\n', true, true)?,
        };
        let open = matches!(source, Source::Live { .. });
        let facts = Facts { open, ..Facts::default() };
        let checked = Vec::new();
        let mut list = Self { source, doer, surroundings, checked, taken: 0, before, retry_failed, facts };
        if open {
            return Ok(list);
        }
        list.look_through()?;
        list.before = Rc::default();
        list.rewind().map_err(|error| Refusal::Io(format!("cannot read it again: {error}")))?;
        Ok(list)
    }

    fn look_through(&mut self) -> Result<(), Refusal> {
        let mut mistakes = Mistakes { name: self.source.name(), shown: Vec::new(), more: 0 };
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
                mistakes.add(line, &format!("the id {:?} is already used in line {first}", spec.id));
            }
            let is_done = self.is_done(&spec);
            match self.surroundings.job(spec) {
                Ok(job) => self.facts.largest = self.facts.largest.max(job.size()),
                Err(wrong) => mistakes.add(line, &wrong),
            }
            self.checked.push((mark, !is_done));
        }
        mistakes.into_result()
    }

    /// Counts a task; true if it was done by an earlier run.
    fn is_done(&mut self, spec: &Spec) -> bool {
        let facts = &mut self.facts;
        let is_done = match self.before.get(&spec.id) {
            Some((_, was)) if was != spec.hash() => {
                facts.changed += 1;
                facts.changed_first.get_or_insert_with(|| spec.id.clone());
                false
            }
            Some((ok, _)) => {
                let is_done = ok || !self.retry_failed;
                facts.done += u64::from(is_done);
                facts.failed_before += u64::from(is_done && !ok);
                facts.failed_again += u64::from(!is_done);
                is_done
            }
            None => false,
        };
        facts.wanted += u64::from(!is_done);
        is_done
    }

    /// The next task to be done, of the lines that have come.
    fn next_live(&mut self) -> Result<Next<Spec>, Unlisted> {
        loop {
            let Source::Live { name, live, line } = &mut self.source else { return Ok(Next::End) };
            let unread = |error| Unlisted::unread(format!("cannot read {name}: {error}"));
            let text = match live.next().map_err(unread)? {
                Piece::Line(text) => text,
                Piece::Later => return Ok(Next::Later),
                Piece::End => {
                    self.facts.open = false;
                    return Ok(Next::End);
                }
            };
            *line += 1;
            if text.is_empty() {
                continue;
            }
            let (line, number) = (*line, self.facts.total + 1);
            let spec = plain(&text, line, number, &self.doer);
            let spec = spec.map_err(|all| Unlisted::mistake(self.source.in_line(&all.join("; "))))?;
            self.facts.total += 1;
            if !self.is_done(&spec) {
                return Ok(Next::Task(spec));
            }
        }
    }

    fn rewind(&mut self) -> io::Result<()> {
        match &mut self.source {
            Source::Agents(_) | Source::Live { .. } => Ok(()),
            Source::Lines { lines, .. } => lines.rewind(),
        }
    }

    /// The next task to be done; an error if the list has changed since it was checked.
    fn next(&mut self) -> Result<Next<Spec>, Unlisted> {
        if self.facts.open {
            return self.next_live();
        }
        while let Some((mark, wanted)) = self.checked.get(self.taken as usize).copied() {
            let found = self.next_line(self.taken + 1).map_err(Unlisted::unread)?;
            self.taken += 1;
            let changed = |line| Unlisted::changed(self.changed(line));
            match found {
                None => return Err(changed(None)),
                Some(found) if found.mark != mark => return Err(changed(Some(found.line))),
                Some(Found { line, spec, .. }) if wanted => {
                    return spec.map(Next::Task).map_err(|_| changed(Some(line)));
                }
                Some(_) => {}
            }
        }
        Ok(Next::End)
    }

    /// After the last task: whether the list is still the one that was checked. A file that was written anew or replaced may
    /// say the same, and one that was removed says nothing else.
    ///
    /// # Errors
    /// It says something else, or cannot be read; in words.
    pub(super) fn check_again(&mut self) -> Result<(), String> {
        let Source::Lines { lines, file: Some(file), .. } = &mut self.source else { return Ok(()) };
        let Some(now) = file.changed()? else { return Ok(()) };
        lines.read_from(now).map_err(|error| format!("cannot read {} again: {error}", lines.name))?;
        for (at, (mark, _)) in std::mem::take(&mut self.checked).into_iter().enumerate() {
            match self.next_line(at as u64 + 1)? {
                Some(found) if found.mark == mark => {}
                found => return Err(self.changed(found.map(|found| found.line))),
            }
        }
        match self.next_line(self.facts.total + 1)? {
            None => Ok(()),
            Some(found) => Err(self.changed(Some(found.line))),
        }
    }

    fn changed(&self, line: Option<u64>) -> String {
        let at = line.map_or_else(|| "its end".to_owned(), |line| format!("line {line}"));
        format!("{} was changed after it had been checked: {at} is different", self.source.name())
    }

    fn next_line(&mut self, number: u64) -> Result<Option<Found>, String> {
        let (lines, json) = match &mut self.source {
            Source::Agents(count) => {
                let found = || Found { line: number, mark: 0, spec: Ok(of_agent(number, &self.doer)) };
                return Ok((number <= u64::from(*count)).then(found));
            }
            Source::Lines { lines, json, .. } => (lines, *json),
            Source::Live { .. } => return Ok(None),
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

/// The task of one agent: its input and its id are the number of the agent, counted from 0.
fn of_agent(number: u64, doer: &Doer) -> Spec {
    let id = (number - 1).to_string();
    match doer {
        Doer::Command(template) => {
            let argv = template.fill(&Values { input: Some(id.as_bytes()), number, id: &id });
            Spec::plain(id.clone(), number, id.as_bytes(), argv)
        }
        Doer::Agent(_) => {
            let mut spec = Spec::plain(id.clone(), number, id.as_bytes(), Vec::new());
            spec.ask(&id, doer);
            spec
        }
    }
}

/// A line of input: for a command, an argument; without a command, a shell command; for an agent, a string.
fn plain(text: &[u8], line: u64, number: u64, doer: &Doer) -> Result<Spec, Vec<String>> {
    let id = line.to_string();
    let argv = match doer {
        Doer::Command(template) if template.is_empty() => {
            vec![b"sh".to_vec(), b"-c".to_vec(), text.to_vec()]
        }
        Doer::Command(template) => template.fill_or_append(&Values { input: Some(text), number, id: &id }),
        Doer::Agent(_) => {
            let text_of = std::str::from_utf8(text).ok().and_then(|text| serde_json::to_string(text).ok());
            let question =
                text_of.ok_or_else(|| vec!["the line must be UTF-8, since it is sent as JSON".to_owned()])?;
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
    shown: Vec<String>,
    more: u64,
}

impl Mistakes {
    fn add(&mut self, line: u64, what: &str) {
        if self.shown.len() < MISTAKES_SHOWN {
            self.shown.push(format!("{}:{line}: {what}", self.name));
        } else {
            self.more += 1;
        }
    }

    fn into_result(mut self) -> Result<(), Refusal> {
        if self.shown.is_empty() {
            return Ok(());
        }
        if self.more > 0 {
            self.shown.push(format!("{}: and {} more mistakes", self.name, self.more));
        }
        Err(Refusal::Mistakes(self.shown))
    }
}

impl Source {
    fn open(path: &Path, end: u8, json: bool, whole: bool) -> Result<Self, Refusal> {
        let is_stdin = path.as_os_str() == "-";
        let name = if is_stdin { "standard input".to_owned() } else { path.display().to_string() };
        match pipe::open(path, whole) {
            Ok(Input::File(from)) => {
                let file = Whence::of(path, &from);
                let lines = Lines::new(name, from, end);
                Ok(Self::Lines { lines, json, file })
            }
            Ok(Input::Pipe(begun, rest)) => {
                Ok(Self::Live { name, live: Live::new(begun, rest, end, LINE_MAX), line: 0 })
            }
            Err(error) if pipe::is_of_copy(&error) => {
                let dir = std::env::temp_dir();
                Err(Refusal::Copy(format!(
                    "cannot copy {name} to {}: {}",
                    dir.display(),
                    ungrown(&dir, &error)
                )))
            }
            Err(error) => Err(Refusal::Io(format!("cannot read {name}: {error}"))),
        }
    }

    /// What is wrong, and where: of a list that was checked it was said before.
    fn in_line(&self, what: &str) -> String {
        match self {
            Self::Live { name, line, .. } => format!("{name}:{line}: {what}"),
            Self::Agents(_) | Self::Lines { .. } => what.to_owned(),
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Agents(_) => "the command".to_owned(),
            Self::Lines { lines, .. } => lines.name.clone(),
            Self::Live { name, .. } => name.clone(),
        }
    }
}

/// Prints what a run would do, one line per task.
pub(super) fn print(list: &mut List, out: &mut impl Write) -> Result<io::Result<()>, String> {
    while let Next::Task(spec) = list.next().map_err(|unlisted| unlisted.what)? {
        if let Err(error) = writeln!(out, "{}", spec.in_shell()) {
            return Ok(Err(error));
        }
    }
    Ok(out.flush())
}

/// The next task that is to be done, ready to be sent.
pub(super) fn next_job(list: &mut List) -> Result<Next<Job>, Unlisted> {
    Ok(match list.next()? {
        Next::Task(spec) => {
            // No line has one if each ends with it.
            let has_nul = spec.argv.iter().any(|argument| argument.contains(&0));
            let mistake = |what: String| {
                let found = Unlisted::mistake(list.source.in_line(&what));
                if has_nul {
                    Unlisted {
                        hint: "with `--null`, each input ends with a NUL instead of a newline",
                        ..found
                    }
                } else {
                    found
                }
            };
            Next::Task(list.surroundings.job(spec).map_err(mistake)?)
        }
        Next::Later => Next::Later,
        Next::End => Next::End,
    })
}
