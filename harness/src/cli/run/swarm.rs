//! `harness swarm`: faults that are drawn, run, and shrunk if they fail.

mod host;
mod report;

use super::one::{self, Came, Show};
use super::{allowed, keep_from_others, watch};
use crate::cli::args::SwarmArgs;
use crate::cli::{load, output};
use crate::conduct::{Options, Place};
use crate::exit::ExitCode;
use crate::private_shm::Namespace;
use crate::scenario::swarm::{Drawn, Step, Tally, draw, shrink, with_faults, with_profile};
use crate::scenario::{Plan, PlanOptions, Source, seed};
use crate::system::own_program;
use coordinator::cli::limits::TooLow;
use host::Possible;
use notation::shell::quoted;
use reports::runlog::event::FaultKind;
use reports::units;
use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

/// Scenarios of one seed in a directory.
const FILES_MAX: u32 = 100_000;

/// One run, of the first or of a try.
struct Run {
    seed: u64,
    faults: Vec<Drawn>,
    exit: ExitCode,
    headline: String,
    directory: Option<PathBuf>,
}

/// What a failing seed was shrunk to.
struct Shrunk {
    seed: u64,
    before: usize,
    left: Vec<Drawn>,
    /// Of what is left, over all of its tries.
    tally: Tally,
    steps: Vec<Step>,
    file: PathBuf,
    command: String,
}

/// What the swarm goes by.
struct Swarm<'a> {
    args: &'a SwarmArgs,
    source: Source,
    base: Plan,
    possible: Possible,
    namespace: Option<Namespace>,
    /// Every run, in order.
    runs: Vec<Run>,
    /// How many of them were of the seeds; what follows are tries of the shrinking.
    of_seeds: usize,
}

pub(crate) fn swarm(args: &SwarmArgs) -> ExitCode {
    output::begin_runs();
    if let Err(TooLow { what, remedy }) = allowed() {
        output::error(&format!("{what}; nothing was started"), Some(remedy));
        return ExitCode::HostUnfit;
    }
    keep_from_others();
    match prepare(args).and_then(Swarm::carry_out) {
        Ok(code) | Err(code) => code,
    }
}

/// The scenario as it is without more faults, and what this host can do to it.
fn prepare(args: &SwarmArgs) -> Result<Swarm<'_>, ExitCode> {
    let mut source = free_standing(load::source(&args.file)?);
    // The whole file is checked before: a mistake in another profile is one.
    plan(args, &source, args.variant.seed)?;
    source.text = with_profile(&source.text, args.variant.profile.as_deref());
    let base = plan(args, &source, args.variant.seed)?;
    // Before this process has a second thread.
    let (namespace, possible) = host::look(args, &source, &base)?;
    Ok(Swarm { args, source, base, possible, namespace, runs: Vec::new(), of_seeds: 0 })
}

/// What it extends is found from any directory.
fn free_standing(source: Source) -> Source {
    let Some(extended) = Source::extends(&source.text) else { return source };
    let beside = Path::new(&source.name).parent().unwrap_or(Path::new("")).join(&extended);
    let Ok(absolute) = beside.canonicalize() else { return source };
    let text = Source::extending(&source.text, &absolute.display().to_string());
    Source { text, ..source }
}

/// The only plan of a scenario's text. An error has been explained when this returns its exit code.
fn plan(args: &SwarmArgs, source: &Source, root: Option<u64>) -> Result<Plan, ExitCode> {
    let mut scenarios = load::scenarios(source, &args.variant.selection())?;
    if scenarios.len() > 1 {
        output::error(
            &format!("`{}` has a matrix, and a swarm is of one scenario", source.name),
            Some("write the keys of one cell into a file of its own"),
        );
        return Err(ExitCode::Usage);
    }
    let fallback_seed = seed::child(0, &source.text);
    let options = PlanOptions { seed: root, fallback_seed, rehearsal: args.variant.rehearse };
    Ok(Plan::new(scenarios.swap_remove(0), &options))
}

impl Swarm<'_> {
    fn carry_out(mut self) -> Result<ExitCode, ExitCode> {
        // The same seed without a number in it: a swarm that names none is of its text, as a run is.
        let first = self.base.seed();
        let seeds = (0..u64::from(self.args.runs)).map(|nth| first.wrapping_add(nth));
        let calendars: Vec<(u64, Vec<Drawn>)> =
            seeds.map(|seed| Ok((seed, self.draw(seed)?))).collect::<Result<_, ExitCode>>()?;
        if self.args.plan {
            return Ok(report::plan(&self, &calendars));
        }
        std::fs::create_dir_all(&self.args.out).map_err(|error| {
            output::error(&format!("cannot make `{}`: {error}", self.args.out.display()), None);
            ExitCode::HostUnfit
        })?;
        let mut came = watch()?;
        for (seed, faults) in calendars {
            let exit = self.run(seed, &faults, &mut came)?;
            self.of_seeds = self.runs.len();
            self.show_newest();
            if is_final(exit) {
                break;
            }
            if self.fails(exit) {
                let shrunk = self.shrink(seed, &faults, &mut came)?;
                return Ok(report::show(&self, Some(&shrunk)));
            }
        }
        Ok(report::show(&self, None))
    }

    fn draw(&self, seed: u64) -> Result<Vec<Drawn>, ExitCode> {
        let kinds: &[FaultKind] = &self.possible.kinds;
        draw(&self.base, seed, &self.args.budget(), kinds).map_err(|(what, hint)| {
            output::error(&what, Some(&hint));
            ExitCode::Usage
        })
    }

    fn fails(&self, exit: ExitCode) -> bool {
        exit == ExitCode::Fail || exit == ExitCode::Inconclusive && self.args.also_inconclusive
    }

    /// Writes the scenario with these faults, and runs it.
    fn run(&mut self, seed: u64, faults: &[Drawn], came: &mut Came) -> Result<ExitCode, ExitCode> {
        let (file, source) = self.write(&format!("{}-swarm-{seed}", self.base.name()), faults)?;
        let plan = plan(self.args, &source, Some(seed))?;
        let options = Options {
            shm_dir: load::shm_dir(),
            undo_dir: load::undo_dir(),
            command: self.command(&file, seed),
            program: own_program(),
            namespace: self.namespace,
            place: Place::Below(self.args.out.clone()),
        };
        let ran = one::run(plan, options, Show { quiet: self.args.quiet, summary: false }, came);
        let headline = match &ran.judgement {
            Some(judgement) => judgement.headline(),
            None => format!("no verdict (exit {})", ran.exit.code()),
        };
        let exit = if ran.is_stopped { ExitCode::worst([ran.exit, ExitCode::Interrupted]) } else { ran.exit };
        self.runs.push(Run { seed, faults: faults.to_vec(), exit, headline, directory: ran.directory });
        Ok(exit)
    }

    /// What the newest run came to.
    fn show_newest(&self) {
        if let Some(run) = self.runs.last().filter(|_| !self.args.quiet) {
            let directory = run.directory.as_deref().unwrap_or(Path::new("-"));
            output::report(&format!(
                "seed {}, {}: {} ({})",
                run.seed,
                units::things(run.faults.len() as u64, "fault"),
                run.headline,
                directory.display()
            ));
        }
    }

    /// Into a new file, whose name has a number if that without one is taken.
    fn write(&self, stem: &str, faults: &[Drawn]) -> Result<(PathBuf, Source), ExitCode> {
        let text = with_faults(&self.source.text, faults);
        let paths = (1..=FILES_MAX).map(|number| match number {
            1 => self.args.out.join(format!("{stem}.toml")),
            number => self.args.out.join(format!("{stem}-{number}.toml")),
        });
        for path in paths {
            match File::create_new(&path).and_then(|mut file| file.write_all(text.as_bytes())) {
                Ok(()) => {
                    let name = path.display().to_string();
                    return Ok((path, Source { name, text, bases: self.source.bases.clone() }));
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => {
                    output::error(&format!("cannot write `{}`: {error}", path.display()), None);
                    return Err(ExitCode::HostUnfit);
                }
            }
        }
        let out = self.args.out.display();
        let message = format!("`{out}` has {FILES_MAX} scenarios called `{stem}` already");
        output::error(&message, Some("write to another directory with --out"));
        Err(ExitCode::HostUnfit)
    }

    /// The command line that repeats a run.
    fn command(&self, file: &Path, seed: u64) -> String {
        let mut words = vec!["harness run".to_owned(), quoted(&file.display().to_string())];
        if let Some(profile) = &self.args.variant.profile {
            words.extend(["--profile".to_owned(), quoted(profile)]);
        }
        for set in &self.args.variant.sets {
            words.extend(["--set".to_owned(), quoted(set)]);
        }
        if let Some(factor) = &self.args.variant.rehearse {
            words.extend(["--rehearse".to_owned(), factor.to_string()]);
        }
        words.extend(["--seed".to_owned(), seed.to_string()]);
        words.extend(super::out(&self.args.out));
        words.join(" ")
    }

    /// Shrinks the faults of a seed that has failed. An end that was asked for, or that has nothing to do with the faults, ends
    /// this, too, with what is known by then.
    fn shrink(&mut self, seed: u64, failing: &[Drawn], came: &mut Came) -> Result<Shrunk, ExitCode> {
        let mut refused = None;
        let (steps_max, tries) = (self.args.steps as usize, self.args.tries);
        let (left, steps) = shrink(failing, steps_max, &mut |faults| {
            let mut tally = Tally { tried: 0, failed: 0 };
            for _ in 0..tries {
                match self.run(seed, faults, came) {
                    Ok(exit) if is_final(exit) => return None,
                    Ok(exit) => {
                        tally.tried += 1;
                        tally.failed += u32::from(self.fails(exit));
                    }
                    Err(code) => {
                        refused = Some(code);
                        return None;
                    }
                }
            }
            if !self.args.quiet {
                let Tally { tried, failed } = tally;
                let faults = units::things(faults.len() as u64, "fault");
                output::report(&format!(
                    "{faults}: failed {failed} of {}",
                    units::things(tried.into(), "time")
                ));
            }
            Some(tally)
        });
        if let Some(code) = refused {
            return Err(code);
        }
        // Nothing shorter has failed: the run that was shrunk is all there is.
        let known = steps.iter().find(|step| step.faults == left).map(|step| step.tally);
        let tally = known.unwrap_or(Tally { tried: 1, failed: 1 });
        let (file, _) = self.write(&format!("{}-swarm-{seed}-shrunk", self.base.name()), &left)?;
        let command = self.command(&file, seed);
        Ok(Shrunk { seed, before: failing.len(), left, tally, steps, file, command })
    }
}

/// Whether no more runs are to follow: this host, or the user, does not allow them, or nothing can be said.
fn is_final(exit: ExitCode) -> bool {
    matches!(
        exit,
        ExitCode::Interrupted | ExitCode::Signal(_) | ExitCode::HostUnfit | ExitCode::Usage | ExitCode::Bug
    )
}
