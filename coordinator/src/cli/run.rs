//! `coordinator run`: starts a fleet for a command, with one task for each agent, each line of input, or each line of a
//! list.

mod args;
pub(super) mod distinct;
mod halt;
pub(super) mod kept;
mod list;
mod output;
mod outputs;
mod pipe;
mod progress;
pub(super) mod results;
mod source;
pub(super) mod submit;
mod task;
mod template;
mod work;

use super::number::{bytes, number, some_bytes};
use super::outlet::{Outlet, Stream, WAIT_MAX};
use super::policy::Startup;
use super::{FAILED, INTERRUPTED, OK, Place, UNFIT, USAGE, console, print};
use crate::bus::error::{BusError, in_words_at};
use crate::bus::layout::RegionLayout;
use crate::bus::sync::{AtomicU32, Ordering};

use crate::client::Client;
use crate::client::launch::{LaunchError, Program, launch};
use crate::config::{Agent, FleetShape, Policy};
use crate::plan::capacity::{Capacity, Limit};
use crate::wire::USAGE_LEN;
use args::{HELP, How, Protocol, Where, Which};
use kept::Kept;
use list::{From, List, Refusal, Surroundings};
use output::Printer;
use outputs::Outputs;
use progress::Progress;
use results::{Done, Results, Resume, Standing};
use std::ffi::OsString;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};
use task::{Doer, OwnStop};
use template::Template;
use work::{Rules, Work};

/// Workers per coordinator by default: with more of them, the coordinator becomes the bottleneck of the fleet.
const WORKERS_EACH: u32 = 100;
/// Bytes of a task's output that travel through shared memory; more goes through a file.
const OUTPUT_IN_MEMORY: u32 = 16 * 1024;

#[derive(Debug, clap::Args)]
#[command(
    before_help = "Example: coordinator run --agents 50 -- echo agent {}\n         \
                   ls *.log | coordinator run --agents 8 --inputs - -- gzip -k {}\n         \
                   coordinator run --agents 200 --tasks tasks.jsonl --results out.jsonl",
    after_help = HELP
)]
pub(super) struct Args {
    /// Number of agents that work at the same time
    #[arg(short = 'j', long, value_name = "N", value_parser = number(1_u32, 5_000), allow_negative_numbers = true)]
    agents: u32,
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    how: How,
    #[command(flatten)]
    place_of: Where,
    /// Cut off the output of each task after this size, such as 64KiB, or in bytes, with a warning; by default all of it is
    /// kept
    #[arg(long, value_name = "SIZE", value_parser = bytes::<u32>)]
    output_max: Option<u32>,
    /// Number of coordinators; by default one for every 100 agents
    #[arg(long, value_name = "N", value_parser = number(0, u32::MAX), allow_negative_numbers = true)]
    coordinators: Option<u32>,
    /// Replace an agent after this many tasks
    #[arg(long, value_name = "N", value_parser = number(1, u32::MAX), allow_negative_numbers = true)]
    recycle_after: Option<u32>,
    /// Replace an agent when its memory has grown by this size, such as 64MiB, or in bytes
    #[arg(long, value_name = "SIZE", value_parser = some_bytes)]
    recycle_growth: Option<u64>,
    #[command(flatten)]
    startup: Startup,
    #[command(flatten)]
    place: Place,
    /// The command, with placeholders for what differs between tasks; by default each line of --inputs is one
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// How many signals have asked this process to stop.
static STOPS: AtomicU32 = AtomicU32::new(0);
/// How many of them the main thread has seen.
static HEARD: AtomicU32 = AtomicU32::new(0);
/// A main thread that does not hang looks far more often.
const HEARD_MAX: Duration = Duration::from_secs(5);

pub(super) fn main(args: &Args, program: &[&str]) -> u8 {
    // Of what a person reads, nothing is waited for, from the first warning on.
    super::outlet::hurry();
    let from = args.which.from().unwrap_or(From::Agents(args.agents));
    if args.command.is_empty() && matches!(from, From::Agents(_)) {
        print::error(
            "there is nothing to run",
            "write a command after `--`, or give a file with `--inputs` or `--tasks`",
        );
        return USAGE;
    }
    let all = (&args.which, &args.how, &args.place_of);
    let prepared = match doer(&args.which, &args.command)
        .and_then(|doer| prepare(all, &from, doer, (None, OwnStop::default())))
    {
        Ok(prepared) => prepared,
        Err(status) => return status,
    };
    let wanted = prepared.list.facts.wanted;
    let open = prepared.list.facts.open;
    let most = if open { u32::MAX } else { u32::try_from(wanted).unwrap_or(u32::MAX) };
    let agents = args.agents.min(most).max(1);
    let coordinators = args.coordinators.unwrap_or_else(|| agents.div_ceil(WORKERS_EACH)).clamp(1, agents);
    let output_max = args.output_max.unwrap_or(OUTPUT_IN_MEMORY);
    let payload = output_max.saturating_add(USAGE_LEN as u32).max(prepared.list.facts.largest as u32);
    let shape = FleetShape::new(coordinators, agents.div_ceil(coordinators), payload, 1);
    let shape = match shape {
        Ok(shape) => shape,
        Err(error) => {
            print::error(error, &super::policy::hint(error));
            return USAGE;
        }
    };
    if args.which.dry_run {
        return dry_run(prepared);
    }
    let work = match begin(prepared, agents, FleetOf::ThisRun, args.output_max.is_none()) {
        Ok(work) => work,
        Err(status) => return status,
    };
    if wanted == 0 && !open {
        return work.nothing();
    }
    let room = super::capacity::of(&shape, &args.place.shm_dir);
    if room.workers < u64::from(agents)
        && let Some(status) = too_large(&shape, agents, &room, &args.place.shm_dir)
    {
        return status;
    }
    if let Err(status) = watch_signals() {
        return status;
    }
    serve(args, program, &shape, work)
}

/// Reports that the host has no room, before anything is started; `None` if the launch is to be tried all the same.
fn too_large(shape: &FleetShape, agents: u32, room: &Capacity, shm: &Path) -> Option<u8> {
    match room.limited_by {
        // Exact to the byte, with the size that is needed.
        Limit::Shm(free) if shape.shm_bytes() > free => {
            let (path, wanted) = (shm.to_owned(), shape.shm_bytes());
            print::error(
                BusError::NoSpace { path, wanted, free: Some(free) },
                "fewer `--agents` or a smaller `--output-max` need less",
            );
        }
        // The estimate rounds up, and files are counted as they are created.
        Limit::Shm(_) | Limit::ShmInodes(_) => return None,
        _ => print::error(format!("{agents} agents do not fit: {room}"), ""),
    }
    Some(UNFIT)
}

fn serve(args: &Args, program: &[&str], shape: &FleetShape, mut work: Work) -> u8 {
    let id = super::up::generated_name();
    let stopped = || stops() > 0;
    let policy = Policy {
        recycle_after: args.recycle_after,
        recycle_growth: args.recycle_growth,
        agent: agent(args),
        agent_startup: args.startup.agent_startup,
        stop: args.how.stop.stop(),
        ..Policy::default()
    };
    let launched = launch(&Program::own(program), &args.place.shm_dir, &id, (shape, &policy), None, stopped);
    let mut fleet = match launched {
        Ok(fleet) => fleet,
        Err(error) => {
            let status = if matches!(error, LaunchError::Cancelled) { INTERRUPTED } else { UNFIT };
            let bytes = RegionLayout::new(shape).bytes() * u64::from(shape.coordinators());
            let hint = format!(
                "this fleet needs {} processes and {bytes} bytes of shared memory",
                shape.processes()
            );
            print::error(error, &hint);
            return status;
        }
    };
    let begun = keep(&args.place_of, fleet.dir(), &id, &work.results).and_then(|journal| {
        work.journal = journal;
        Client::attach(fleet.dir()).map_err(|error| {
            print::error(error, "");
            UNFIT
        })
    });
    let status = match begun {
        Ok(mut client) => work::all(work, &mut client),
        Err(status) => status,
    };
    // A second signal asks for that.
    let at_once = stops() > 1;
    let stopped = if at_once { fleet.kill() } else { fleet.stop() };
    for stranger in &stopped.strangers {
        print::warn(stranger);
    }
    if let Some(how) = stopped.how
        && !at_once
    {
        print::error(how, "");
        return if status == OK { FAILED } else { status };
    }
    status
}

/// Opens the journal, if one is asked for, of the fleet in `dir`. Errors are already printed.
fn keep(place: &Where, dir: &Path, name: &str, results: &Results) -> Result<Option<Kept>, u8> {
    let create = |path: &PathBuf| {
        Kept::open(path, dir, name, results.regular()).map_err(|error| {
            let hint = error.hint();
            print::error(error, hint);
            UNFIT
        })
    };
    place.journal.as_ref().map(create).transpose()
}

/// The agent program that each worker keeps running. Lives as long as the process.
fn agent(args: &Args) -> Option<&'static Agent> {
    let jsonl = args.which.protocol == Protocol::Jsonl;
    let command =
        jsonl.then(|| args.command.iter().map(|word| word.to_string_lossy().into_owned()).collect());
    command.map(|command| &*Box::leak(Box::new(Agent { command, ..Agent::default() })))
}

/// What does the tasks, from COMMAND and --protocol.
fn doer(which: &Which, command: &[OsString]) -> Result<Doer, u8> {
    if which.protocol == Protocol::Command {
        return Ok(Doer::Command(Template::new(command)));
    }
    let words: Option<Vec<String>> = command.iter().map(|word| word.to_str().map(str::to_owned)).collect();
    words
        .filter(|words| words.first().is_some_and(|program| !program.is_empty()))
        .map(Doer::Agent)
        .ok_or_else(|| {
            print::error(
                "--protocol jsonl needs an agent program",
                "write the program and its arguments after `--`, in UTF-8",
            );
            USAGE
        })
}

/// Whether the fleet belongs to this run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FleetOf {
    ThisRun,
    /// It was there before, and keeps running.
    Others,
}

/// Everything that can be decided before anything starts.
struct Prepared<'a> {
    list: List,
    /// `None` if the file does not exist yet: it is created once the list is known to be good.
    results: Option<Results>,
    /// What the results hold so far.
    before: Rc<Done>,
    how: &'a How,
    place: &'a Where,
}

type All<'a> = (&'a Which, &'a How, &'a Where);

/// Reads existing results, and checks the list. Errors are already printed.
fn prepare<'a>(
    (which, how, place): All<'a>,
    from: &From,
    doer: Doer,
    (cwd, stop): (Option<String>, OwnStop),
) -> Result<Prepared<'a>, u8> {
    if let Some(clash) = distinct::clash(place) {
        print::error(clash, "give each of them a file of its own");
        return Err(USAGE);
    }
    let resume = match (which.dry_run, place.resumes()) {
        (true, true) => Resume::LookOnly,
        (_, true) => Resume::Add,
        (_, false) => Resume::No,
    };
    let mut results = None;
    let mut before = Done::default();
    if let Some(path) = place.results.as_deref().filter(|path| path.as_os_str() != "-" && path.exists()) {
        let (opened, done) = open(path, resume)?;
        (results, before) = (Some(opened), done);
    }
    if place.output_dir.is_some() && which.protocol == Protocol::Jsonl {
        print::error(
            "--output-dir cannot be used with --protocol jsonl",
            "it is for the output of commands; `--results` keeps the answers of agents",
        );
        return Err(USAGE);
    }
    let output_dir = place.output_dir.as_deref().map(directory).transpose()?;
    let rest = (doer, Surroundings { cwd, output_dir, stop });
    let before = Rc::new(before);
    let known = before.len() as u64;
    let list = List::check(from, rest, Rc::clone(&before), place.retry_failed).map_err(refused)?;
    if place.resumes() && !list.facts.open {
        let facts = &list.facts;
        if let Some(first) = &facts.changed_first {
            print::warn(format!(
                "{} tasks have changed since they were done, {first:?} first, and are done again",
                facts.changed
            ));
        }
        print::report(format_args!(
            "{} of {} tasks are done; {} to do",
            facts.done, facts.total, facts.wanted
        ));
        let unlisted = known.saturating_sub(facts.done + facts.changed + facts.failed_again);
        if unlisted > 0 {
            print::warn(format!("{unlisted} results belong to tasks that are not in the list"));
        }
    }
    Ok(Prepared { list, results, before, how, place })
}

fn open(path: &Path, resume: Resume) -> Result<(Results, Done), u8> {
    Results::open(path, resume, print::warn).map_err(|unusable| {
        print::error(unusable.what, unusable.hint);
        if unusable.usage { USAGE } else { UNFIT }
    })
}

fn directory(path: &Path) -> Result<String, u8> {
    let text = path.to_str().ok_or_else(|| "the name is not UTF-8".to_owned());
    text.and_then(task::absolute).map_err(|error| {
        print::error(format!("{}: {error}", path.display()), "");
        USAGE
    })
}

fn refused(refusal: Refusal) -> u8 {
    match refusal {
        Refusal::Mistakes(mistakes) => {
            for mistake in mistakes {
                print::error(mistake, "");
            }
            print::report("hint: nothing was started; `coordinator run --help` describes the list of tasks");
            USAGE
        }
        Refusal::Copy(error) => {
            print::error(error, "TMPDIR names another directory for temporary files");
            UNFIT
        }
        Refusal::Io(error) => {
            print::error(error, "name a file that you may read, or write `-` for standard input");
            USAGE
        }
    }
}

/// Opens the files that the run writes to. `whole` is whether no output is cut off.
fn begin(prepared: Prepared<'_>, window: u32, fleet: FleetOf, whole: bool) -> Result<Work, u8> {
    let Prepared { list, results, before, how, place } = prepared;
    let to_stdout =
        place.is_printed() || place.results.as_deref().is_some_and(|path| path.as_os_str() == "-");
    if to_stdout && Stream::Stdout.is_missing() {
        print::error(
            "standard output is closed, and the output of the tasks would be lost; nothing was started",
            "direct it to a file, or to /dev/null if it is not wanted",
        );
        return Err(UNFIT);
    }
    if let Some(dir) = &place.output_dir
        && let Err(error) = std::fs::create_dir_all(dir)
    {
        print::error(format!("cannot create {}: {}", dir.display(), in_words_at(dir, &error)), "");
        return Err(UNFIT);
    }
    if let Some(path) = &place.journal {
        kept::check(path, place.resumes() && !list.facts.open)?;
    }
    let results = match (results, place.results.as_deref()) {
        (Some(results), _) => results,
        (None, None) => Results::Nowhere,
        (None, Some(path)) if path.as_os_str() == "-" => Results::Stdout(Standing::now()),
        (None, Some(path)) => open(path, Resume::No)?.0,
    };
    let rules = Rules {
        window: window as usize,
        timeout: how.timeout,
        grace: how.stop.stop().grace,
        deadline: how.deadline,
        retries: how.retries,
        delay: how.delay.unwrap_or_default(),
        halt: how.halt,
        drain: how.drain,
        whole,
        fleet,
        resumes: place.resumes(),
    };
    let resume_command = results.regular().map(|_| args::resume_command());
    let outputs = Outputs::new(place.output_dir.as_deref());
    let printer = Printer::new(place.is_printed(), place.tag, place.keep_order);
    Ok(Work {
        list,
        results,
        printer,
        outputs,
        progress: Progress::new(place.progress),
        rules,
        journal: None,
        clients: None,
        // Only journals ask for it.
        before: if fleet == FleetOf::Others || place.journal.is_some() { before } else { Rc::default() },
        resume_command,
    })
}

fn dry_run(prepared: Prepared<'_>) -> u8 {
    let mut list = prepared.list;
    // A reader such as a pager may take its time.
    let mut out = BufWriter::new(Outlet::open(Stream::Stdout).patient(|| || true));
    let printed = list::print(&mut list, &mut out);
    // Without another try to write what is left.
    drop(out.into_parts());
    match printed {
        Ok(Err(error)) if error.kind() != std::io::ErrorKind::BrokenPipe => print::unwritable(&error),
        Ok(_) => OK,
        Err(error) => {
            print::error(error, "");
            FAILED
        }
    }
}

/// Blocks the signals that ask to stop, and counts them. For a process in a [`hurry`](super::outlet::hurry).
/// Errors are already printed.
pub(super) fn watch_signals() -> Result<(), u8> {
    let watched = super::signals::watch(|_| {
        let number = STOPS.fetch_add(1, Ordering::Relaxed) + 1;
        // More of them ask for nothing new.
        if number <= 2 {
            let _ = std::thread::Builder::new().spawn(move || end_if_unheard(number));
        }
    });
    watched.map_err(|error| {
        let hint = "see `ulimit -u` and `ulimit -v`, and `pids.max` of the control group";
        print::error(format!("cannot start the thread that watches for signals: {error}"), hint);
        UNFIT
    })
}

/// How many signals have asked this process to stop. Shows that it hears them.
pub(super) fn stops() -> u32 {
    let number = STOPS.load(Ordering::Relaxed);
    HEARD.store(number, Ordering::Relaxed);
    number
}

/// Ends the process if it hangs, such as in a write to a pipe that is not read: its fleet ends with it.
#[expect(clippy::exit, reason = "the thread that would end the process in an orderly way hangs")]
fn end_if_unheard(number: u32) {
    std::thread::sleep(HEARD_MAX);
    if HEARD.load(Ordering::Relaxed) < number {
        print::error("stopped by a signal while something could not be written", "");
        console::finish();
        std::process::exit(INTERRUPTED.into());
    }
}

/// For a write: waits for the reader without end, but not long once a signal has asked to stop.
fn patience() -> impl FnMut() -> bool {
    let mut asked: Option<Instant> = None;
    move || match stops() {
        0 => true,
        1 => asked.get_or_insert_with(Instant::now).elapsed() < WAIT_MAX,
        _ => false,
    }
}
