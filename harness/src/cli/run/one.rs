//! One run: its signals, its progress and its exit code. What happens in it is in [`conduct`].

use super::detach::BEGUN;
use crate::cli::progress::Progress;
use crate::cli::{output, verdict};
use crate::conduct::{ConductError, Conducted, Controls, Notice, Options, Place, conduct};
use crate::engine::stop::StopMode;
use crate::exit::ExitCode;
use crate::fault::undo::Replayed;
use crate::scenario::{Plan, Rehearsal};
use coordinator::cli::signals;
use reports::Judgement;
use reports::runlog::event::EndReason;
use reports::verdict::{Variant, title_of};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::oneshot;

/// How often the progress is drawn anew.
const SHOW_EVERY: Duration = Duration::from_millis(200);
/// The first signal asks a run to drain and the second to end now. One more does not wait for that, and the fleet ends by
/// itself.
const ASKED_MAX: usize = 2;
const SIGTERM: i32 = 15;

/// Where the signals of this process arrive, whichever run is under way.
pub(super) type Came = UnboundedReceiver<i32>;

/// To be called before this process has a second thread.
pub(super) fn watch() -> io::Result<Came> {
    let (signal, came) = unbounded_channel();
    signals::watch(move |number| {
        let _ = signal.send(number);
    })?;
    Ok(came)
}

/// What a run amounts to.
pub(super) struct Ran {
    pub(super) exit: ExitCode,
    pub(super) directory: Option<PathBuf>,
    /// If it was judged.
    pub(super) judgement: Option<Judgement>,
    /// A signal came: no other run should begin.
    pub(super) is_stopped: bool,
}

impl Ran {
    fn without_verdict(exit: ExitCode) -> Self {
        Self { exit, directory: None, judgement: None, is_stopped: false }
    }
}

/// What a run shows of itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Show {
    /// No progress and no warnings.
    pub(super) quiet: bool,
    /// The summary of its verdict, on standard output.
    pub(super) summary: bool,
}

/// Carries `plan` out, follows it, and shows what it has come to.
pub(super) fn run(plan: Plan, options: Options, show: Show, came: &mut Came) -> Ran {
    let Followed { done, signals, directory } = match with_signals(plan, options, show.quiet, came) {
        Ok(followed) => followed,
        Err(error) => {
            let hint = "see `ulimit -u` and `ulimit -v`, and `pids.max` of the control group";
            output::error(&format!("cannot start the threads of a run: {error}"), Some(hint));
            return Ran::without_verdict(ExitCode::HostUnfit);
        }
    };
    let is_stopped = !signals.is_empty();
    let (exit, judgement) = match done {
        Some(Ok(conducted)) => {
            let exit = finish(&conducted, &signals, show);
            (exit, conducted.judged.and_then(Result::ok).map(|judged| judged.judgement))
        }
        Some(Err(error)) => (explain(&error), None),
        None => (at_once(directory.as_deref(), signals.last().copied()), None),
    };
    Ran { exit, directory, judgement, is_stopped }
}

/// Signals that asked for the end, in their order.
type Signals = Vec<i32>;

type Done = Result<Conducted, ConductError>;

/// What became of a run that was followed.
struct Followed {
    /// `None` if signals asked not to wait for it.
    done: Option<Done>,
    signals: Signals,
    /// Once there is one.
    directory: Option<PathBuf>,
}

fn with_signals(plan: Plan, options: Options, quiet: bool, came: &mut Came) -> io::Result<Followed> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (sender, notices) = unbounded_channel();
    let controls = Controls::default();
    let over = match &options.place {
        Place::Below(_) => Duration::ZERO,
        Place::Resumes(resumes) => Duration::from_nanos(resumes.run.case.facts().load_ns()),
    };
    let progress = Progress::new(&plan, over, &controls.live, quiet);
    let processes = plan.shape().processes();
    let view = View { plan: plan.clone(), processes, quiet, progress: Some(progress), directory: None };
    let work = {
        let controls = controls.clone();
        // The receiver lives until the work is done.
        move || conduct(plan, options, &controls, |notice| drop(sender.send(notice)))
    };
    runtime.block_on(follow(work, (notices, came), &controls, view))
}

/// Does `work` on a thread of its own, and sends what it returned, or with what it panicked.
fn start(
    work: impl FnOnce() -> Done + Send + 'static,
) -> io::Result<oneshot::Receiver<std::thread::Result<Done>>> {
    let (send, done) = oneshot::channel();
    std::thread::Builder::new().name("run".to_owned()).spawn(move || {
        // Without a receiver the process is about to end.
        let _ = send.send(catch_unwind(AssertUnwindSafe(work)));
    })?;
    Ok(done)
}

async fn follow(
    work: impl FnOnce() -> Done + Send + 'static,
    (mut notices, came): (UnboundedReceiver<Notice>, &mut Came),
    controls: &Controls,
    mut view: View,
) -> io::Result<Followed> {
    let mut work = start(work)?;
    let mut ticks = tokio::time::interval(SHOW_EVERY);
    let mut signals = Signals::new();
    let done = loop {
        tokio::select! {
            // In this order: a run is introduced before its progress is drawn.
            biased;
            Some(notice) = notices.recv() => view.notice(&notice),
            Some(signal) = came.recv() => {
                let before = times_asked(&signals);
                signals.push(signal);
                let (times, under_way) = (times_asked(&signals), view.is_under_way());
                if times > if under_way { ASKED_MAX } else { 1 } {
                    break None;
                }
                let asked = Asked { again: times > 1, hurries: times == before, under_way };
                ask_to_end(controls, signal_name(signal), &asked);
            }
            done = &mut work => break Some(done),
            _ = ticks.tick() => view.tick(),
        }
    };
    while let Ok(notice) = notices.try_recv() {
        view.notice(&notice);
    }
    view.finish();
    let done = match done {
        Some(Ok(Ok(done))) => Some(done),
        Some(Ok(Err(panic))) => resume_unwind(panic),
        Some(Err(_)) => unreachable!("the thread sends, whatever becomes of its work"),
        None => None,
    };
    Ok(Followed { done, signals, directory: view.directory })
}

/// How often they ask for the end. The runner of a pipeline that cancels a job sends SIGINT, and SIGTERM some seconds later: the
/// one who asked is the same, and what is wanted is the verdict, soon.
fn times_asked(signals: &[i32]) -> usize {
    let follows = signals.first().is_some_and(|first| *first != SIGTERM) && signals.contains(&SIGTERM);
    signals.len() - usize::from(follows)
}

/// A signal among those that asked for the end.
struct Asked {
    again: bool,
    /// It follows another of the same runner.
    hurries: bool,
    /// The fleet is still there: if not, the run is being judged.
    under_way: bool,
}

fn ask_to_end(controls: &Controls, signal: &str, asked: &Asked) {
    let (mode, text) = match asked {
        Asked { under_way: false, .. } => {
            return output::report(&format!(
                "{signal}: the run has ended and is judged; once more ends that"
            ));
        }
        Asked { hurries: true, .. } => {
            controls.stop.hurry();
            return output::report(&format!(
                "{signal}: what is in flight is cut off, and the run is judged; once more ends it now"
            ));
        }
        Asked { again: true, .. } => (StopMode::Kill, format!("{signal} again: ending now")),
        Asked { again: false, .. } => (
            StopMode::Drain,
            format!(
                "{signal}: no more rounds, waiting up to 5 s for what is in flight; once more ends it now"
            ),
        ),
    };
    controls.stop.ask(mode, EndReason::Interrupted, format!("{signal} from outside"));
    output::report(&text);
}

fn signal_name(number: i32) -> &'static str {
    match number {
        2 => "SIGINT",
        SIGTERM => "SIGTERM",
        1 => "SIGHUP",
        _ => "a signal",
    }
}

/// What the user sees of a run.
struct View {
    plan: Plan,
    /// Of the fleet, as the host has room for it.
    processes: u32,
    quiet: bool,
    /// Until the run has ended.
    progress: Option<Progress>,
    directory: Option<PathBuf>,
}

impl View {
    fn is_under_way(&self) -> bool {
        self.progress.is_some()
    }

    fn tick(&mut self) {
        if let Some(progress) = &mut self.progress {
            progress.show();
        }
    }

    fn notice(&mut self, notice: &Notice) {
        if let Notice::Starting { directory } = notice {
            self.directory = Some(directory.clone());
        }
        match notice {
            Notice::Ended(_) => self.finish(),
            _ if self.quiet => {}
            Notice::Undone(replayed) => undone(replayed),
            Notice::Left(left) => {
                for process in left {
                    output::warn(&format!(
                        "{process} of an earlier segment had outlived its harness, and was killed: the run FAILs by it"
                    ));
                }
            }
            Notice::Warnings(warnings) => {
                for warning in warnings {
                    output::warn(&format!("{}: {}", warning.name, warning.found));
                }
            }
            Notice::Smaller { fitted, asked } => {
                self.processes = fitted.shape().processes();
                let workers = fitted.workers_at_start();
                self.plan = (**fitted).clone();
                output::warn(&format!(
                    "the host has no room for all workers: {workers} of {asked}, as the scenario allows"
                ));
            }
            Notice::Starting { directory } => self.introduce(directory),
        }
    }

    fn introduce(&self, directory: &Path) {
        let plan = &self.plan;
        let rehearsal = plan.rehearsal().map_or(String::new(), |factor| format!(", rehearsal {factor}"));
        output::report(&subject(plan));
        output::report(&format!(
            "{} processes, seed {}{rehearsal}; {BEGUN}{}",
            self.processes,
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

/// A line that names the scenario, and the question of its file; what is run instead, where that differs from the file.
fn subject(plan: &Plan) -> String {
    let facts = plan.facts();
    let rehearsal = plan.rehearsal().map(Rehearsal::factor);
    let variant = Variant::planned(plan.scenario_facts(), rehearsal, &facts);
    if variant.is_plain() {
        format!("{}: {}", plan.name(), plan.asks())
    } else {
        format!("{}, {}: {}", plan.name(), variant.tag(), title_of(&facts))
    }
}

/// What faults of harnesses that were killed had left.
fn undone(replayed: &Replayed) {
    for group in &replayed.undone {
        output::report(&format!("removed {}, which the fault of a killed harness had left", group.display()));
    }
    for (journal, why) in &replayed.left {
        output::warn(&format!("{}: {why}", journal.display()));
    }
}

fn finish(conducted: &Conducted, signals: &[i32], show: Show) -> ExitCode {
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
        let hint = if ended.unprepared {
            "all that it wrote is in `commands.output` in the run's directory"
        } else {
            "`harness doctor` says what this host allows"
        };
        output::error(detail, Some(hint));
    }
    if let Some(why) = &conducted.unindexed {
        output::warn(&format!("the run is not in the index of runs, which gates look at: {why}"));
    }
    let Some(judged) = &conducted.judged else {
        return at_once(Some(&conducted.directory), signals.last().copied());
    };
    if show.summary || judged.is_err() {
        return verdict::show(judged, conducted.exit(), &conducted.directory, "report.html");
    }
    conducted.exit()
}

/// A run that its last signal has ended, unjudged.
fn at_once(directory: Option<&Path>, signal: Option<i32>) -> ExitCode {
    if let Some(directory) = directory {
        output::report(&format!(
            "ended at once; `harness report {}` creates the documents",
            directory.display()
        ));
    }
    signal.map_or(ExitCode::Interrupted, |signal| ExitCode::Signal(signal as u8))
}

fn explain(error: &ConductError) -> ExitCode {
    match error {
        ConductError::Unfit(unfit) => output::unfit(unfit),
        ConductError::Directory(_) => {
            output::error(&error.to_string(), Some("choose a directory that you may write to with --out"));
        }
        ConductError::Differs { .. } => {
            output::error(&error.to_string(), Some("nothing was started; `harness run` begins another run"));
        }
        ConductError::Engine(_) => {
            output::error(&error.to_string(), Some("is the disk full, or the directory gone?"));
        }
    }
    error.exit()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::PreflightError;
    use crate::scenario::{PlanOptions, Scenario, Selection, Source};

    fn smoke(sets: &[&str], rehearsal: Option<Rehearsal>) -> Plan {
        let text = include_str!("../../../../scenarios/smoke.toml").to_owned();
        let source = Source::new("scenarios/smoke.toml", text);
        let sets = sets.iter().map(|set| (*set).to_owned()).collect();
        let scenario = Scenario::parse(&source, &Selection { profile: None, sets }).unwrap();
        Plan::new(scenario, &PlanOptions { seed: None, fallback_seed: 1, rehearsal })
    }

    #[test]
    fn the_question_of_the_file_is_shown_only_where_the_file_is_run_as_it_stands() {
        let plain = smoke(&[], None);
        assert_eq!(subject(&plain), format!("smoke: {}", plain.asks()));
        let changed = smoke(&["load.duration=7s"], None);
        let said = subject(&changed);
        assert!(said.starts_with("smoke, 1 override: ") && said.ends_with(", for 7 s"), "{said}");
        assert!(!said.contains(changed.asks()), "{said}");
        let rehearsed = subject(&smoke(&[], Rehearsal::of_factor(2.0)));
        assert!(rehearsed.starts_with("smoke, rehearsal 2x: "), "{rehearsed}");
        assert!(!rehearsed.contains(plain.asks()), "{rehearsed}");
    }

    /// What becomes of a run that gets `signals` when it has ended, and that `judges` as the test says.
    fn judged(signals: &[i32], judges: impl FnOnce() + Send + 'static) -> Followed {
        let plan = smoke(&[], None);
        let (signal, mut came) = unbounded_channel();
        for number in signals {
            signal.send(*number).unwrap();
        }
        let (notice, notices) = unbounded_channel();
        notice.send(Notice::Starting { directory: PathBuf::from("runs/smoke/1") }).unwrap();
        let work = move || {
            judges();
            Err(ConductError::Unfit(PreflightError { missing: Vec::new() }))
        };
        // Without progress: it has ended.
        let view = View { plan, processes: 0, quiet: true, progress: None, directory: None };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(follow(work, (notices, &mut came), &Controls::default(), view)).unwrap()
    }

    #[test]
    fn one_signal_does_not_end_the_judging_and_two_do() {
        let one = judged(&[2], || ());
        assert!(one.done.is_some());
        let (release, held) = std::sync::mpsc::channel::<()>();
        let two = judged(&[15, 15], move || {
            let _ = held.recv();
        });
        drop(release);
        assert!(two.done.is_none());
        assert_eq!(two.directory.as_deref(), Some(Path::new("runs/smoke/1")));
        assert_eq!(at_once(two.directory.as_deref(), two.signals.last().copied()), ExitCode::Signal(15));
    }

    #[test]
    fn a_runner_that_cancels_a_job_asks_once() {
        assert!(judged(&[2, 15], || ()).done.is_some(), "the verdict is waited for");
        let times = |signals: &[i32]| times_asked(signals);
        assert_eq!([times(&[]), times(&[2]), times(&[15])], [0, 1, 1]);
        assert_eq!([times(&[2, 15]), times(&[1, 15])], [1, 1]);
        assert_eq!([times(&[2, 2]), times(&[15, 15]), times(&[2, 15, 15]), times(&[2, 2, 15])], [2, 2, 2, 2]);
    }
}
