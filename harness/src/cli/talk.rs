//! How things are said: mistakes, refusals, and our own bugs.
//!
//! To a terminal, a mistake is shown in its line of the file; to a pipe it is three plain lines with
//! `file:line:column`, which editors and `grep` understand.

use crate::exit::ExitCode;
use crate::host::PreflightError;
use crate::scenario::Mistakes;
use anstream::{AutoStream, ColorChoice};
use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteDiagnostic, NamedSource, Report};
use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};

/// What the engine has to tell to whoever looks for a fault in it: `HARNESS_LOG=debug harness run …`.
pub(crate) fn trace() {
    if let Ok(filter) = tracing_subscriber::EnvFilter::try_from_env("HARNESS_LOG") {
        // Refused if somebody has set one already, as tests in one process do.
        let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).try_init();
    }
}

/// Writes data to stdout. A reader that has gone away (`| head`) is not an error; data that could not
/// be written for another reason is, has been said, and is the exit code's to tell.
pub(crate) fn data(text: &str) -> Result<(), ExitCode> {
    let mut out = anstream::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(found) if found.kind() != io::ErrorKind::BrokenPipe => {
            let hint = "is the disk full, or the terminal gone? nothing that was written can be relied on";
            error(&format!("cannot write to standard output: {found}"), Some(hint));
            Err(ExitCode::HostUnfit)
        }
        _ => Ok(()),
    }
}

/// For verbs whose whole work is what they write: [`ExitCode::Pass`] if it could be written.
pub(crate) fn data_is_all(text: &str) -> ExitCode {
    data(text).err().unwrap_or(ExitCode::Pass)
}

/// The words of a verdict in their colours, each time they begin a line. Colour repeats what the word
/// says and never replaces it.
pub(crate) fn coloured_verdict(text: &str) -> String {
    use anstyle::{AnsiColor, Style};
    let style = |colour: AnsiColor| Style::new().fg_color(Some(colour.into())).bold();
    let words = [
        ("PASS", style(AnsiColor::Green)),
        ("CONDITIONAL", style(AnsiColor::Yellow)),
        ("INCONCLUSIVE", style(AnsiColor::Magenta)),
        ("FAIL", style(AnsiColor::Red)),
    ];
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

/// Writes one line of talk to stderr.
pub(crate) fn say(text: &str) {
    let _ = writeln!(anstream::stderr().lock(), "{text}");
}

/// `error: …` and a hint.
pub(crate) fn error(message: &str, hint: Option<&str>) {
    let mut text = format!("error: {message}");
    if let Some(hint) = hint {
        let _ = write!(text, "\nhint: {hint}");
    }
    say(&text);
}

/// All mistakes of a file, in the order of the file.
pub(crate) fn mistakes(found: &Mistakes) {
    if io::stderr().is_terminal() {
        let coloured = AutoStream::choice(&io::stderr()) != ColorChoice::Never;
        say(graphical(found, coloured).trim_end());
    } else {
        say(found.to_string().trim_end());
    }
}

pub(crate) fn unfit(error: &PreflightError) {
    say("error: this host cannot run it; nothing was started");
    for capability in &error.missing {
        say(&format!("  {}: {}", capability.name, capability.found));
        if let Some(remedy) = &capability.remedy {
            say(&format!("  hint: {remedy}"));
        }
    }
}

fn graphical(found: &Mistakes, coloured: bool) -> String {
    let theme = if coloured { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    let handler = GraphicalReportHandler::new_themed(theme);
    let mut text = String::new();
    for mistake in found.iter() {
        let mut diagnostic = MietteDiagnostic::new(mistake.message());
        if let Some(hint) = mistake.hint() {
            diagnostic = diagnostic.with_help(hint);
        }
        let report = match found.text_of(mistake) {
            Some((name, source, span)) => {
                let label = LabeledSpan::underline(span);
                Report::new(diagnostic.with_label(label))
                    .with_source_code(NamedSource::new(name, source.to_owned()).with_language("toml"))
            }
            None => Report::new(diagnostic),
        };
        // What cannot be drawn can still be said.
        if handler.render_report(&mut text, report.as_ref()).is_err() {
            let _ = writeln!(text, "error: {}", mistake.message());
        }
        text.push('\n');
    }
    text
}

/// A panic is our bug, whatever brought it about: it is said so, and the process ends with 70.
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
        say(&format!(
            "error: this is a bug in harness {}, not in your scenario: {message}{place}\n\
             hint: please report it with the command line and the scenario; RUST_BACKTRACE=1 says more",
            env!("CARGO_PKG_VERSION"),
        ));
        if std::env::var_os("RUST_BACKTRACE").is_some_and(|value| value != "0") {
            say(&std::backtrace::Backtrace::force_capture().to_string());
        }
    }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{Scenario, Selection, Source};

    #[test]
    fn a_mistake_is_shown_in_its_line() {
        let text = include_str!("../../../scenarios/smoke.toml").replacen("duration = ", "duratoin = ", 1);
        let source = Source { name: "scenarios/broken.toml".into(), text };
        let found = Scenario::parse(&source, &Selection::default()).unwrap_err();
        insta::assert_snapshot!(graphical(&found, false));
    }
}
