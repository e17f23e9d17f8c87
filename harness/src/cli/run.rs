//! `harness run`: the words, the signals, the progress and the exit code of a run. What happens in it is in
//! [`conduct`].

use super::args::RunArgs;
use super::progress::Progress;
use super::{load, output, verdict};
use crate::conduct::{ConductError, Conducted, Controls, Notice, Options, conduct};
use crate::engine::stop::StopMode;
use crate::exit::ExitCode;
use crate::scenario::Plan;
use crate::system::own_program;
use reports::runlog::event::EndReason;
use std::io;
use std::path::Path;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// How often the progress is drawn anew.
const SHOW_EVERY: Duration = Duration::from_millis(200);

pub(crate) fn run(args: &RunArgs) -> ExitCode {
    output::start_tracing();
    let plan = match load::plan(&args.file, &args.variant) {
        Ok(plan) => plan,
        Err(code) => return code,
    };
    let options = Options {
        shm_dir: load::shm_dir(),
        out: args.out.clone(),
        command: command(args, plan.seed()),
        program: own_program(),
    };
    match with_signals(plan, options, args.quiet) {
        Ok((Ok(conducted), signals)) => finish(&conducted, &signals),
        Ok((Err(error), _)) => explain(&error),
        Err(error) => {
            output::error(&format!("cannot wait for signals: {error}"), None);
            ExitCode::HostUnfit
        }
    }
}

/// Signals that asked for the end, in their order.
type Signals = Vec<i32>;

type Done = Result<Conducted, ConductError>;

fn with_signals(plan: Plan, options: Options, quiet: bool) -> io::Result<(Done, Signals)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (sender, notices) = unbounded_channel();
    let controls = Controls::default();
    let progress = Progress::new(&plan, &controls.live, quiet);
    let view = View { plan: plan.clone(), quiet, progress: Some(progress) };
    let work = {
        let controls = controls.clone();
        // The receiver lives until the work is done.
        move || conduct(plan, options, &controls, |notice| drop(sender.send(notice)))
    };
    runtime.block_on(follow(work, notices, &controls, view))
}

async fn follow(
    work: impl FnOnce() -> Done + Send + 'static,
    mut notices: UnboundedReceiver<Notice>,
    controls: &Controls,
    mut view: View,
) -> io::Result<(Done, Signals)> {
    let mut listeners: Vec<(i32, Signal)> = Vec::new();
    for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()] {
        listeners.push((kind.as_raw_value(), signal(kind)?));
    }
    let [(int, on_int), (term, on_term), (hup, on_hup)] = &mut listeners[..] else {
        unreachable!("three were pushed");
    };
    let mut work = tokio::task::spawn_blocking(work);
    let mut ticks = tokio::time::interval(SHOW_EVERY);
    let mut signals = Signals::new();
    let done = loop {
        let came = tokio::select! {
            // In this order: a run is introduced before its progress is drawn.
            biased;
            Some(notice) = notices.recv() => {
                view.notice(&notice);
                continue;
            }
            done = &mut work => break done,
            _ = on_int.recv() => *int,
            _ = on_term.recv() => *term,
            _ = on_hup.recv() => *hup,
            _ = ticks.tick() => {
                view.tick();
                continue;
            }
        };
        // A run that has ended is judged, whatever comes.
        if view.is_under_way() {
            signals.push(came);
            ask_to_end(controls, &view, signal_name(came), signals.len() > 1);
        }
    };
    while let Ok(notice) = notices.try_recv() {
        view.notice(&notice);
    }
    view.finish();
    match done {
        Ok(done) => Ok((done, signals)),
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}

fn ask_to_end(controls: &Controls, view: &View, signal: &str, again: bool) {
    let (mode, text) = if again {
        (StopMode::Kill, format!("{signal} again: ending now"))
    } else {
        (
            StopMode::Drain,
            format!("{signal}: no more rounds, waiting for what is in flight; once more ends it now"),
        )
    };
    controls.stop.ask(mode, EndReason::Interrupted, format!("{signal} from outside"));
    view.report(&text);
}

fn signal_name(number: i32) -> &'static str {
    match number {
        2 => "SIGINT",
        15 => "SIGTERM",
        1 => "SIGHUP",
        _ => "a signal",
    }
}

/// What the user sees of a run.
struct View {
    plan: Plan,
    quiet: bool,
    /// Until the run has ended.
    progress: Option<Progress>,
}

impl View {
    fn is_under_way(&self) -> bool {
        self.progress.is_some()
    }

    fn report(&self, text: &str) {
        match &self.progress {
            Some(progress) => progress.report(text),
            None => output::report(text),
        }
    }

    fn tick(&mut self) {
        if let Some(progress) = &mut self.progress {
            progress.show();
        }
    }

    fn notice(&mut self, notice: &Notice) {
        match notice {
            Notice::Ended(_) => self.finish(),
            _ if self.quiet => {}
            Notice::Warnings(warnings) => {
                for warning in warnings {
                    output::warn(&format!("{}: {}", warning.name, warning.found));
                }
            }
            Notice::Starting { directory } => self.introduce(directory),
        }
    }

    fn introduce(&self, directory: &Path) {
        let plan = &self.plan;
        let rehearsal = plan.rehearsal().map_or(String::new(), |factor| format!(", rehearsal {factor}"));
        output::report(&format!("{}: {}", plan.name(), plan.asks()));
        output::report(&format!(
            "{} processes, seed {}{rehearsal}; run log in {}",
            plan.shape().processes(),
            plan.seed(),
            directory.display()
        ));
    }

    fn finish(&mut self) {
        if let Some(progress) = self.progress.take() {
            progress.finish();
        }
    }
}

fn finish(conducted: &Conducted, signals: &[i32]) -> ExitCode {
    let ended = &conducted.ended;
    if let Some(error) = &ended.recording_error {
        output::error(
            &format!("the run log could not be written to its end: {error}"),
            Some("is the disk full?"),
        );
    }
    if ended.reason == EndReason::LaunchFailed
        && let Some(detail) = &ended.detail
    {
        output::error(detail, Some("`harness doctor` says what this host allows"));
    }
    let Some(judged) = &conducted.judged else {
        output::report(&format!(
            "ended at once; `harness report {}` creates the documents",
            conducted.directory.display()
        ));
        return signals.last().map_or(conducted.exit(), |last| ExitCode::Signal(*last as u8));
    };
    verdict::show(judged, conducted.exit(), &conducted.directory, "report.html")
}

fn explain(error: &ConductError) -> ExitCode {
    match error {
        ConductError::Unfit(unfit) => output::unfit(unfit),
        ConductError::Directory(_) => {
            output::error(&error.to_string(), Some("choose a directory that you may write to with --out"));
        }
        ConductError::Engine(_) => {
            output::error(&error.to_string(), Some("is the disk full, or the directory gone?"));
        }
    }
    error.exit()
}

/// The command line that repeats the run, its seed named.
fn command(args: &RunArgs, seed: u64) -> String {
    let mut words = vec!["harness".to_owned(), "run".to_owned(), quoted(&path(&args.file))];
    if let Some(profile) = &args.variant.profile {
        words.extend(["--profile".to_owned(), quoted(profile)]);
    }
    for set in &args.variant.sets {
        words.extend(["--set".to_owned(), quoted(set)]);
    }
    if let Some(factor) = &args.variant.rehearse {
        words.extend(["--rehearse".to_owned(), factor.to_string()]);
    }
    words.extend(["--seed".to_owned(), seed.to_string()]);
    words.join(" ")
}

fn path(path: &Path) -> String {
    path.display().to_string()
}

/// As a shell reads it back.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_as_a_shell_reads_them() {
        assert_eq!(quoted("load.duration=10s"), "load.duration=10s");
        assert_eq!(quoted("asks=why not"), "'asks=why not'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
    }
}
