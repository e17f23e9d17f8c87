//! The results of a run or a restore: a line of JSON for each task, written at once when it ends, so that every line in
//! the file is complete. Also reads the results of an earlier run.

mod end;
mod past;
mod standing;
mod written;

use super::super::outlet::{Outlet, Stream, is_missing_stream};
use super::patience;
use super::source::{PIECE, Source};
use crate::bus::error::in_words_at;
use crate::client::{Usage, WorkerRef};
use crate::os::named::open_named;
use crate::snapshot::SnapshotError;
use crate::snapshot::durable::lock;
pub(in crate::cli) use end::{End, Output};
use past::read;
pub(in crate::cli) use past::{Done, digest};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
pub(in crate::cli) use standing::Standing;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::time::Duration;
use written::Written;
pub(in crate::cli) use written::is_elsewhere;

/// The outcome of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::cli) enum Status {
    Ok,
    /// Its command ended with an error, or its agent reported one.
    Failed,
    TimedOut,
    /// Its worker, agent program or coordinator died, and no attempt was left.
    Died,
    /// The run ended before it did.
    Cancelled,
    /// It could not be started (no such program, no such directory), or its output could not be kept.
    Refused,
}

impl Status {
    /// A later run need not do it again.
    fn is_final(self) -> bool {
        self != Self::Cancelled
    }
}

/// The task that a result is about.
#[derive(Debug)]
pub(in crate::cli) struct Whose<'a> {
    pub(in crate::cli) id: &'a str,
    /// Its number in its list, if it is from one; 1 for the first.
    pub(in crate::cli) number: Option<u64>,
    /// The hash of what it runs, if that is known: 16 hexadecimal digits.
    pub(in crate::cli) hash: Option<&'a str>,
    pub(in crate::cli) input: Option<&'a [u8]>,
    pub(in crate::cli) worker: Option<WorkerRef>,
    pub(in crate::cli) sent_ns: u64,
    /// Attempts that are not in the fleet's count.
    pub(in crate::cli) attempts_before: u32,
    /// It had ended before its fleet was backed up.
    pub(in crate::cli) before: bool,
}

#[derive(Debug, Serialize)]
struct Row<'a> {
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<u64>,
    #[serde(flatten)]
    input: Text<'a>,
    status: Status,
    exit: Option<i32>,
    signal: Option<i32>,
    attempt: Option<u32>,
    worker: Option<String>,
    started_unix_ms: Option<u64>,
    queued_ms: Option<f64>,
    run_ms: Option<f64>,
    user_cpu_ms: Option<f64>,
    system_cpu_ms: Option<f64>,
    max_rss_bytes: Option<u64>,
    #[serde(flatten)]
    stdout: Text<'a>,
    #[serde(flatten)]
    stderr: Text<'a>,
    truncated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'a RawValue>,
    error: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    before: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    task_hash: Option<&'a str>,
}

/// Bytes, with a key for text and a key for base64, which is used if they are not UTF-8.
#[derive(Debug)]
struct Text<'a>(&'static str, &'static str, Option<&'a Source<'a>>);

impl Serialize for Text<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(text, base64, Some(source)) = self else {
            return serializer.collect_map(std::iter::empty::<(&str, &str)>());
        };
        let written = source.written();
        serializer.collect_map([(if written.is_text() { *text } else { *base64 }, written)])
    }
}

fn ms(time: Duration) -> f64 {
    // Microseconds are precise enough, and short.
    time.as_micros() as f64 / 1e3
}

/// Writes the line of a result, including the newline. `unix_ns` is CLOCK_REALTIME at 0 of the clock of `now_ns`.
fn line(to: &mut dyn Write, whose: &Whose<'_>, end: &End<'_>, unix_ns: u64) -> io::Result<()> {
    let output = &end.output;
    let began = output.started_ns > 0;
    let between = |from: u64, to: u64| (to > 0).then(|| ms(Duration::from_nanos(to.saturating_sub(from))));
    let cpu = |us: fn(&Usage) -> u64| output.usage.as_ref().map(|usage| ms(Duration::from_micros(us(usage))));
    let input = whose.input.map(Source::Bytes);
    let row = Row {
        id: whose.id,
        number: whose.number,
        input: Text("input", "input_base64", input.as_ref()),
        status: end.status,
        exit: output.code.filter(|code| *code >= 0),
        signal: output.code.filter(|code| *code < 0).map(i32::saturating_neg),
        attempt: output.attempt.map(|attempt| attempt.saturating_add(whose.attempts_before)),
        worker: whose
            .worker
            .and_then(WorkerRef::known)
            .map(|worker| format!("{}.{}", worker.coordinator, worker.worker)),
        started_unix_ms: began.then(|| unix_ns.saturating_add(output.started_ns) / 1_000_000),
        queued_ms: (whose.sent_ns > 0).then(|| between(whose.sent_ns, output.started_ns)).flatten(),
        run_ms: between(output.started_ns, output.finished_ns),
        user_cpu_ms: cpu(|usage| usage.user_us),
        system_cpu_ms: cpu(|usage| usage.system_us),
        max_rss_bytes: output.usage.map(|usage| usage.max_rss),
        stdout: Text("stdout", "stdout_base64", Some(&output.stdout)),
        stderr: Text("stderr", "stderr_base64", Some(&output.stderr)),
        truncated: output.truncated,
        result: output.result.as_deref(),
        error: end.error.as_deref(),
        before: whose.before,
        task_hash: whose.hash,
    };
    serde_json::to_writer(&mut *to, &row)?;
    output.stdout.read_error()?;
    output.stderr.read_error()?;
    to.write_all(b"\n")
}

/// Where results go.
#[derive(Debug)]
pub(in crate::cli) enum Results {
    Nowhere,
    Stdout(Standing),
    File(Written),
}

/// What is done with existing results.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Resume {
    /// They are an error.
    No,
    /// New results are appended.
    Add,
    /// They are read, and nothing is changed.
    LookOnly,
}

/// Why a file cannot be used, and what to do.
#[derive(Debug)]
pub(in crate::cli) struct Unusable {
    pub(in crate::cli) what: String,
    pub(in crate::cli) hint: &'static str,
    /// The command line is wrong, not the host.
    pub(in crate::cli) usage: bool,
}

/// Locks a file that is written to, where the file system has locks.
pub(in crate::cli) fn claim(file: &File, path: &Path) -> Result<(), Unusable> {
    match lock(file, path) {
        Err(SnapshotError::Locked { .. }) => Err(Unusable {
            what: format!("another run is writing to {}", path.display()),
            hint: "wait until it has ended, or choose another file",
            usage: true,
        }),
        _ => Ok(()),
    }
}

fn closed(path: &Path) -> Unusable {
    Unusable {
        what: format!("{} is closed, and the results would be lost; nothing was started", path.display()),
        hint: "name a file, or /dev/null if they are not wanted",
        usage: false,
    }
}

impl Results {
    /// Opens `path` for more lines, and reads the existing ones. `warn` is called for what had to be repaired.
    pub(in crate::cli) fn open(
        path: &Path,
        resume: Resume,
        mut warn: impl FnMut(String),
    ) -> Result<(Self, Done), Unusable> {
        let io = |doing: &str, error: &io::Error| Unusable {
            what: format!("cannot {doing} {}: {}", path.display(), in_words_at(path, error)),
            hint: "",
            usage: false,
        };
        let look = resume == Resume::LookOnly;
        if !look && is_missing_stream(path) {
            return Err(closed(path));
        }
        // A process that can read from a pipe itself does not see that the reader has gone.
        let is_pipe = path.metadata().is_ok_and(|found| found.file_type().is_fifo());
        let mut file = match open_named(path, File::options().read(!is_pipe).append(!look).create(!look)) {
            Ok(file) => file,
            Err(error) if look && error.kind() == io::ErrorKind::NotFound => {
                return Ok((Self::Nowhere, Done::default()));
            }
            Err(error) => return Err(io("open", &error)),
        };
        let is_file = file.metadata().map_err(|error| io("look at", &error))?.is_file();
        let written = |file, len| Written::of(file, path, len).map_err(|error| io("look at", &error));
        if !is_file {
            if resume == Resume::Add {
                warn(format!("{} cannot be read again: `--resume` finds no results there", path.display()));
            }
            return Ok((Self::File(written(file, 0)?), Done::default()));
        }
        // A file that is only read needs no lock.
        if !look {
            claim(&file, path)?;
        }
        let mut done = Done::default();
        // With the lock: another run may have written until then.
        let found = file.metadata().map_err(|error| io("look at", &error))?.len();
        if found > 0 && resume == Resume::No {
            return Err(Unusable {
                what: format!("{} already holds results", path.display()),
                hint: "`--resume` does the tasks that are not done yet; or choose another file",
                usage: true,
            });
        }
        let mut len = if found > 0 { read(&file, path, &mut done, &mut warn)? } else { 0 };
        if !look {
            if len < found {
                file.set_len(len).map_err(|error| io("cut off the torn end of", &error))?;
            }
            if !ends_a_line(&file, len).map_err(|error| io("read", &error))? {
                file.write_all(b"\n").map_err(|error| io("write to", &error))?;
                len += 1;
            }
        }
        Ok((Self::File(written(file, len)?), done))
    }

    /// A new file, locked as in [`Results::open`], or standard output.
    pub(in crate::cli) fn create(path: Option<&Path>) -> Result<Self, Unusable> {
        let Some(path) = path.filter(|path| path.as_os_str() != "-") else {
            return Ok(Self::Stdout(Standing::now()));
        };
        let wrong = |error: &io::Error| {
            let is_there = error.kind() == io::ErrorKind::AlreadyExists;
            let hint = "existing files are not overwritten: `--resume` adds to this one what it does not have; or choose another name";
            let what = format!("{}: {}", path.display(), in_words_at(path, error));
            Unusable { what, hint: if is_there { hint } else { "" }, usage: true }
        };
        let file = File::options().append(true).create_new(true).open(path).map_err(|error| wrong(&error))?;
        claim(&file, path)?;
        Written::of(file, path, 0).map(Self::File).map_err(|error| wrong(&error))
    }

    /// A file of lines of another kind, which is [`claim`]ed, and of which the first `len` bytes are kept.
    pub(in crate::cli) fn go_on(file: File, path: &Path, len: u64) -> Result<Self, Unusable> {
        let written = file.set_len(len).and_then(|()| Written::of(file, path, len));
        written.map(Self::File).map_err(|error| Unusable {
            what: format!("cannot write to {}: {}", path.display(), in_words_at(path, &error)),
            hint: "",
            usage: false,
        })
    }

    /// Writes the line of a result, or leaves the file unchanged. `unix_ns` is CLOCK_REALTIME at 0 of the clock of `now_ns`.
    pub(in crate::cli) fn put(
        &mut self,
        whose: &Whose<'_>,
        end: &End<'_>,
        unix_ns: u64,
    ) -> Result<(), String> {
        self.fill(|to| line(to, whose, end, unix_ns))
    }

    /// Writes a whole line, or leaves the file unchanged.
    pub(in crate::cli) fn write(&mut self, line: &[u8]) -> Result<(), String> {
        self.fill(|to| to.write_all(line))
    }

    fn fill(&mut self, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), String> {
        match self {
            Self::Nowhere => Ok(()),
            Self::Stdout(standing) => {
                standing.check()?;
                standing.is_whole()?;
                let stalled = standing.is_stalled;
                let patience = move || {
                    let mut go_on = patience();
                    move || !stalled && go_on()
                };
                let mut to = BufWriter::with_capacity(PIECE, Outlet::open(Stream::Stdout).patient(patience));
                let written = fill(&mut to).and_then(|()| to.flush());
                // Without another try to write what is left.
                let taken = to.into_parts().0.taken;
                standing.note();
                standing.is_torn = written.is_err() && taken > 0;
                standing.is_stalled |=
                    written.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::TimedOut);
                written.map_err(|error| format!("cannot write to standard output: {error}"))
            }
            Self::File(written) => written.write(fill),
        }
    }

    /// Brings what was written to the disk.
    pub(in crate::cli) fn sync(&self) -> Result<(), String> {
        match self {
            Self::File(written) => written.sync(),
            Self::Stdout(standing) => standing.check(),
            Self::Nowhere => Ok(()),
        }
    }

    /// The file, if it can be read again.
    pub(in crate::cli) fn regular(&self) -> Option<&Path> {
        match self {
            Self::File(written) => written.regular(),
            Self::Nowhere | Self::Stdout(_) => None,
        }
    }

    /// A signal has asked to stop, and the reader of a pipe holds up the results.
    pub(in crate::cli) fn is_stalled(&self) -> bool {
        match self {
            Self::File(written) => written.is_stalled(),
            Self::Stdout(standing) => standing.is_stalled,
            Self::Nowhere => false,
        }
    }

    pub(super) fn is_file(&self) -> bool {
        matches!(self, Self::File(_))
    }
}

fn ends_a_line(file: &File, len: u64) -> io::Result<bool> {
    let mut last = [b'\n'];
    if len > 0 {
        std::os::unix::fs::FileExt::read_exact_at(file, &mut last, len - 1)?;
    }
    Ok(last == *b"\n")
}

#[cfg(test)]
mod tests;
