//! `harness run`: plan, preflight, run, judge, render; and what the user sees meanwhile.

use super::args::RunArgs;
use super::progress::Progress;
use super::{load, talk, verdict};
use crate::engine::recorder::LiveSlot;
use crate::engine::run_dir::RunDir;
use crate::engine::stop::{Stop, Wish};
use crate::engine::{Ended, EngineError, Request, run as carry_out};
use crate::exit::ExitCode;
use crate::host::{self, Status};
use coordinator::client::launch::Program;
use jiff::{Timestamp, Unit};
use reports::runlog::event::{BuildFacts, EndReason};
use std::path::Path;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// How often what the user sees is made anew.
const SHOW_EVERY: std::time::Duration = std::time::Duration::from_millis(200);

pub(crate) fn run(args: &RunArgs) -> ExitCode {
    talk::trace();
    let plan = match load::plan(&args.file, &args.variant) {
        Ok(plan) => plan,
        Err(code) => return code,
    };
    let shm_dir = load::shm_dir();
    match host::preflight(&plan, &shm_dir) {
        Ok(found) => {
            for capability in found.iter().filter(|c| c.status == Status::Warn && !args.quiet) {
                talk::say(&format!("warning: {}: {}", capability.name, capability.found));
            }
        }
        Err(error) => {
            talk::unfit(&error);
            return ExitCode::HostUnfit;
        }
    }
    let now = Timestamp::now();
    let id = format!("{:08x}", rand::random::<u32>());
    let stamp = now.strftime("%Y%m%dT%H%M%SZ").to_string();
    let dir = match RunDir::create(&args.out, plan.name(), &stamp, &id) {
        Ok(dir) => dir,
        Err(error) => {
            talk::error(&error.to_string(), Some("choose a directory that you may write to with --out"));
            return ExitCode::HostUnfit;
        }
    };
    let request = Request {
        host: host::facts(&shm_dir),
        build: build(),
        command: command(args, plan.seed()),
        started_utc: now.round(Unit::Millisecond).unwrap_or(now).to_string(),
        run_id: format!("{}-{id}", plan.name()),
        shm_dir,
        program: Program::own(&["coordinator"]),
        plan,
    };
    if !args.quiet {
        let rehearsal =
            request.plan.rehearsal().map_or(String::new(), |factor| format!(", rehearsal {factor}"));
        talk::say(&format!("{}: {}", request.plan.name(), request.plan.asks()));
        talk::say(&format!(
            "{} processes, seed {}{rehearsal}; run log in {}",
            request.plan.shape().processes(),
            request.plan.seed(),
            dir.path().display()
        ));
    }
    match with_signals(request, &dir, args.quiet) {
        Ok((ended, signals)) => finish(&ended, &signals, &dir),
        Err(code) => code,
    }
}

/// Signals that asked for the end, in their order.
type Signals = Vec<i32>;

fn with_signals(request: Request, dir: &RunDir, quiet: bool) -> Result<(Ended, Signals), ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| {
        talk::error(&format!("cannot wait for signals: {error}"), None);
        ExitCode::HostUnfit
    })?;
    let (stop, live) = (Stop::default(), LiveSlot::default());
    let progress = Progress::new(&request.plan, quiet);
    let engine = {
        let (dir, stop, live) = (dir.clone(), stop.clone(), live.clone());
        move || carry_out(&request, &dir, &stop, &live)
    };
    let (ended, signals) = runtime.block_on(watch(engine, &stop, &live, progress)).map_err(|error| {
        talk::error(&format!("cannot wait for signals: {error}"), None);
        ExitCode::HostUnfit
    })?;
    match ended {
        Ok(ended) => Ok((ended, signals)),
        Err(error @ EngineError::Recording { .. }) => {
            talk::error(&error.to_string(), Some("is the disk full, or the directory gone?"));
            Err(ExitCode::Inconclusive)
        }
    }
}

async fn watch(
    engine: impl FnOnce() -> Result<Ended, EngineError> + Send + 'static,
    stop: &Stop,
    live: &LiveSlot,
    mut progress: Progress,
) -> std::io::Result<(Result<Ended, EngineError>, Signals)> {
    let mut listeners: Vec<(i32, Signal)> = Vec::new();
    for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()] {
        listeners.push((kind.as_raw_value(), signal(kind)?));
    }
    let [(int, on_int), (term, on_term), (hup, on_hup)] = &mut listeners[..] else {
        unreachable!("three were pushed");
    };
    let mut engine = tokio::task::spawn_blocking(engine);
    let mut ticks = tokio::time::interval(SHOW_EVERY);
    let mut signals = Signals::new();
    let ended = loop {
        let came = tokio::select! {
            ended = &mut engine => break ended,
            _ = ticks.tick() => {
                progress.show(live);
                continue;
            }
            _ = on_int.recv() => *int,
            _ = on_term.recv() => *term,
            _ = on_hup.recv() => *hup,
        };
        signals.push(came);
        let name = signal_name(came);
        if signals.len() == 1 {
            stop.ask(Wish::Drain, EndReason::Interrupted, format!("{name} from outside"));
            progress.say(&format!(
                "{name}: no more rounds, waiting for what is in flight; once more ends it now"
            ));
        } else {
            stop.ask(Wish::Now, EndReason::Interrupted, format!("{name} from outside"));
            progress.say(&format!("{name} again: ending now"));
        }
    };
    progress.finish();
    match ended {
        Ok(ended) => Ok((ended, signals)),
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}

fn signal_name(number: i32) -> &'static str {
    match number {
        2 => "SIGINT",
        15 => "SIGTERM",
        1 => "SIGHUP",
        _ => "a signal",
    }
}

/// Judges and renders what there is.
fn finish(ended: &Ended, signals: &Signals, dir: &RunDir) -> ExitCode {
    if let Some(error) = &ended.recording_error {
        talk::error(
            &format!("the run log could not be written to its end: {error}"),
            Some("is the disk full?"),
        );
    }
    if ended.reason == EndReason::LaunchFailed
        && let Some(detail) = &ended.detail
    {
        talk::error(detail, Some("`harness doctor` says what this host allows"));
    }
    if let [_, .., last] = signals[..] {
        // Ended by force: `harness judge` can still say what the log is worth.
        talk::say(&format!("ended at once; `harness report {}` draws what there is", dir.path().display()));
        return ExitCode::Signal(last as u8);
    }
    let code = verdict::report(dir.path());
    if ended.recording_error.is_some() { ExitCode::Inconclusive } else { code }
}

fn build() -> BuildFacts {
    BuildFacts {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        git: env!("HARNESS_GIT").to_owned(),
        dirty: env!("HARNESS_DIRTY") == "true",
        profile: env!("HARNESS_PROFILE").to_owned(),
        rustc: env!("HARNESS_RUSTC").to_owned(),
    }
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
