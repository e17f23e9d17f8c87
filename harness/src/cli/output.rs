//! What the program writes: data to standard output; reports, warnings and errors to standard error.
//!
//! On a terminal, a mistake is shown in its line of the file; in a pipe it is three plain lines with
//! `file:line:column`, which editors and `grep` understand.

use crate::exit::ExitCode;
use crate::host::PreflightError;
use crate::scenario::Mistakes;
use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use anstream::adapter::strip_str;
use anstream::stream::RawStream;
use anstream::{AutoStream, ColorChoice};
use coordinator::cli::console;
use coordinator::cli::fit;
use coordinator::cli::outlet::{self, Outlet, Stream};
use notation::visible;
use serde_json::{Value, json};
use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Of a terminal that does not say how wide it is.
const WIDE: usize = 140;

/// To be called first by a verb that makes runs: they do not wait for those who read what is written here, from the first
/// warning on.
pub(crate) fn begin_runs() {
    outlet::hurry();
    start_tracing();
}

/// Shows what the engine does, to find a fault in it: `HARNESS_LOG=debug harness run …`.
fn start_tracing() {
    let Some(level) = std::env::var_os("HARNESS_LOG") else { return };
    match level.to_str().and_then(|level| level.parse::<tracing::Level>().ok()) {
        // Refused if this process has a subscriber already, as tests in one process do.
        Some(level) => {
            let _ = tracing_subscriber::fmt().with_max_level(level).with_writer(|| Trace).try_init();
        }
        None => warn("HARNESS_LOG is not a level: use error, warn, info, debug or trace"),
    }
}

/// The engine's threads must not wait for a reader either.
struct Trace;

impl io::Write for Trace {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        console::bytes(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes data to stdout. A reader that has gone away (`| head`) is not an error. If the data could not be
/// written for another reason, an error has been written when this returns the exit code for it.
pub(crate) fn data(text: &str) -> Result<(), ExitCode> {
    styled(&visible::text(text))
}

/// As [`data`], for text that has styles of its own.
pub(crate) fn styled(text: &str) -> Result<(), ExitCode> {
    unless_lost(written(text))
}

fn unless_lost(written: io::Result<()>) -> Result<(), ExitCode> {
    match written {
        Err(found) if found.kind() != io::ErrorKind::BrokenPipe => Err(lost(&found)),
        _ => Ok(()),
    }
}

/// As [`styled`], for a verdict: a reader that has gone away has not read it.
pub(crate) fn verdict(text: &str) -> Result<(), ExitCode> {
    written(text).map_err(|found| lost(&found))
}

/// What was reported as an error, for a caller that reads JSON.
#[derive(Debug, Default)]
struct Errors {
    /// Only then are they kept.
    collected: bool,
    /// Data has gone out: it says itself what is wrong.
    has_data: bool,
    /// Each with its hint.
    list: Vec<(String, Option<String>)>,
}

static ERRORS: Mutex<Errors> = Mutex::new(Errors { collected: false, has_data: false, list: Vec::new() });

fn errors() -> MutexGuard<'static, Errors> {
    // What a thread that panicked has left is whole: it is only ever added to.
    ERRORS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From here on errors are kept for [`error_object`].
pub(crate) fn collect_errors() {
    *errors() = Errors { collected: true, ..Errors::default() };
}

/// Keeps an error that was written in some other way.
pub(crate) fn note_error(message: &str, hint: Option<&str>) {
    let mut errors = errors();
    if errors.collected {
        errors.list.push((message.to_owned(), hint.map(str::to_owned)));
    }
}

/// If nothing but errors has been written, one JSON object with them on standard output: a caller that reads JSON gets
/// some. Returns the exit code that they end with.
pub(crate) fn error_object(code: ExitCode) -> ExitCode {
    let Errors { has_data, list: found, .. } = std::mem::take(&mut *errors());
    let [(message, hint), more @ ..] = &found[..] else { return code };
    if has_data || code == ExitCode::Pass {
        return code;
    }
    let one = |(message, hint): &(String, Option<String>)| json!({ "message": message, "hint": hint });
    let more: Vec<Value> = more.iter().map(one).collect();
    let object =
        json!({ "error": { "message": message, "hint": hint, "exit_code": code.code(), "more": more } });
    data(&format!("{object:#}\n")).err().unwrap_or(code)
}

fn written(text: &str) -> io::Result<()> {
    written_as_it_is(&fit::for_stream(Stream::Stdout, shown(&io::stdout(), text).into_owned()))
}

fn written_as_it_is(text: &str) -> io::Result<()> {
    errors().has_data = true;
    Outlet::open(Stream::Stdout).write_in_time(text.as_bytes())
}

fn lost(found: &io::Error) -> ExitCode {
    let hint = match found.kind() {
        io::ErrorKind::BrokenPipe => "the reader has gone; do not rely on what it has read",
        _ => "is the disk full, or the terminal gone? do not rely on what was written",
    };
    error(&format!("cannot write to standard output: {found}"), Some(hint));
    ExitCode::HostUnfit
}

/// For verbs that do nothing but write data: [`ExitCode::Pass`] if it could be written.
pub(crate) fn data_only(text: &str) -> ExitCode {
    data(text).err().unwrap_or(ExitCode::Pass)
}

/// As [`data_only`], of a script or a page that belongs into a file: its lines stay as they are, however wide.
pub(crate) fn file_only(text: &str) -> ExitCode {
    unless_lost(written_as_it_is(text)).err().unwrap_or(ExitCode::Pass)
}

/// Prints help or a version that was asked for.
pub(crate) fn help(help: &clap::Error) -> ExitCode {
    errors().has_data = true;
    outlet::print_help(help).map_or_else(|found| lost(&found), |()| ExitCode::Pass)
}

/// As [`data_only`], and writes documents: `document` is what belongs into a file of that name.
pub(crate) fn with_documents(text: &str, files: &[PathBuf], document: impl Fn(&Path) -> String) -> ExitCode {
    documents(data_only(text), files, document)
}

/// Writes documents beside what `shown` became of; they do not undo each other.
pub(crate) fn documents(shown: ExitCode, files: &[PathBuf], document: impl Fn(&Path) -> String) -> ExitCode {
    let mut written = shown;
    for path in files {
        if let Err(found) = reports::write_whole(path, document(path).as_bytes()) {
            error(&found.to_string(), Some("free some space, or name a file that you may write"));
            written = ExitCode::HostUnfit;
        } else {
            report(&path.display().to_string());
        }
    }
    written
}

/// A document in the form that the ending of its file names; the ending has been looked at when the command line was read.
pub(crate) fn by_ending(path: &Path, [html, json, markdown, text]: [&dyn Fn() -> String; 4]) -> String {
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("html") => html(),
        Some("json") => json(),
        Some("md") => markdown(),
        _ => text(),
    }
}

/// The words of a verdict in their colours, each time they begin a line. Colour repeats what the word
/// says and never replaces it. Nothing else in the text can colour it.
pub(crate) fn coloured_verdict(text: &str) -> String {
    use anstyle::{AnsiColor, Style};
    let style = |colour: AnsiColor| Style::new().fg_color(Some(colour.into())).bold();
    let words = [
        ("PASS", style(AnsiColor::Green)),
        ("CONDITIONAL", style(AnsiColor::Yellow)),
        ("INCONCLUSIVE", style(AnsiColor::Magenta)),
        ("FAIL", style(AnsiColor::Red)),
        ("NO-GO", style(AnsiColor::Red)),
        ("PIVOT", style(AnsiColor::Yellow)),
        ("GO", style(AnsiColor::Green)),
    ];
    let text = visible::text(text);
    let mut out = String::with_capacity(text.len() + 256);
    for line in text.split_inclusive('\n') {
        let bare = line.trim_start();
        match words.iter().find(|(word, _)| bare.starts_with(word)) {
            Some((word, style)) => {
                let indent = &line[..line.len() - bare.len()];
                let _ = write!(out, "{indent}{style}{word}{style:#}{}", &bare[word.len()..]);
            }
            None => out.push_str(line),
        }
    }
    out
}

/// Without its colours where they are not wanted.
fn shown<'a>(stream: &impl RawStream, text: &'a str) -> Cow<'a, str> {
    if wants_colours(stream) { text.into() } else { strip_str(text).to_string().into() }
}

/// Environments of CI count as terminals with colours, whatever they say of theirs: one that obeys no escapes gets none, unless
/// colours are forced.
fn wants_colours(stream: &impl RawStream) -> bool {
    let is_forced = || std::env::var_os("CLICOLOR_FORCE").is_some_and(|value| value != "0");
    AutoStream::choice(stream) != ColorChoice::Never && (console::obeys_escapes() || is_forced())
}

/// Writes one line to stderr. What commands or files put into it is shown, and does nothing to the terminal.
pub(crate) fn report(text: &str) {
    console::line(&visible::text(text));
}

/// `warning: …`.
pub(crate) fn warn(message: &str) {
    report(&format!("warning: {message}"));
}

/// `error: …` and a hint.
pub(crate) fn error(message: &str, hint: Option<&str>) {
    note_error(message, hint);
    let mut text = format!("error: {message}");
    if let Some(hint) = hint {
        let _ = write!(text, "\nhint: {hint}");
    }
    report(&text);
}

/// All mistakes of a file, in the order of the file.
pub(crate) fn mistakes(found: &Mistakes) {
    for mistake in found.iter() {
        let place = found.place_of(mistake).map_or_else(String::new, |place| format!("{place}: "));
        note_error(&format!("{place}{}", mistake.message()), mistake.hint());
    }
    if io::stderr().is_terminal() {
        let coloured = wants_colours(&io::stderr());
        let columns = fit::columns(Stream::Stderr).unwrap_or(WIDE);
        console::line(graphical(found, coloured, columns).trim_end());
    } else {
        report(found.to_string().trim_end());
    }
}

pub(crate) fn unfit(error: &PreflightError) {
    for capability in &error.missing {
        note_error(&format!("{}: {}", capability.name, capability.found), capability.remedy.as_deref());
    }
    report("error: this host cannot run the scenario; nothing was started");
    for capability in &error.missing {
        report(&format!("  {}: {}", capability.name, capability.found));
        if let Some(remedy) = &capability.remedy {
            report(&format!("  hint: {remedy}"));
        }
    }
}

/// Lines of the file are cut to so many columns: marks stay below what they mean.
fn graphical(found: &Mistakes, coloured: bool, columns: usize) -> String {
    let renderer = if coloured { Renderer::styled() } else { Renderer::plain() };
    let renderer = renderer.term_width(columns);
    let mut text = String::new();
    for mistake in found.iter() {
        let place = found.text_of(mistake);
        let mut group =
            Level::ERROR.primary_title(mistake.message()).elements(place.map(|(name, source, span)| {
                Snippet::source(source).path(name).annotation(AnnotationKind::Primary.span(span))
            }));
        if let Some(hint) = mistake.hint() {
            group = group.element(Level::HELP.with_name("hint").message(hint));
        }
        text.push_str(&renderer.render(&[group]));
        text.push_str("\n\n");
    }
    text
}

/// A panic is a bug of ours, whatever caused it: the message says so, and the process ends with 70.
pub(crate) fn explain_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place =
            panic.location().map_or_else(String::new, |at| format!(" at {}:{}", at.file(), at.line()));
        let payload = panic.payload();
        let message = payload
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("no message");
        report(&format!(
            "error: this is a bug in harness {}, not in your scenario: {message}{place}\n\
             hint: please report it with the command line and the scenario; RUST_BACKTRACE=1 says more",
            env!("CARGO_PKG_VERSION"),
        ));
        if std::env::var_os("RUST_BACKTRACE").is_some_and(|value| value != "0") {
            report(&std::backtrace::Backtrace::force_capture().to_string());
        }
    }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{Scenario, Selection, Source};

    #[test]
    fn only_our_own_words_are_coloured() {
        let text = coloured_verdict("FAIL  x\n  \u{1b}[32mPASS\u{1b}[0m\u{1b}[2J\n");
        let (word, rest) = text.split_once("  ").unwrap();
        assert!(word.contains("FAIL") && word.contains('\u{1b}') && !rest.contains('\u{1b}'), "{text:?}");
        assert!(text.contains("\\u001b[32mPASS"), "{text:?}");
    }

    #[test]
    fn a_mistake_is_shown_in_its_line() {
        let text = include_str!("../../../scenarios/smoke.toml").replacen("duration = ", "duratoin = ", 1);
        let source = Source::new("scenarios/broken.toml", text);
        let found = Scenario::parse(&source, &Selection::default()).unwrap_err();
        insta::assert_snapshot!(graphical(&found, false, WIDE));
    }
}
