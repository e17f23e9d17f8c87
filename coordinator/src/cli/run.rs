//! `coordinator run`: a fleet of its own for a command, a task for each agent, each line of input, or each line of a
//! list.

mod args;
mod halt;
mod kept;
mod list;
mod output;
mod pipe;
mod progress;
pub(super) mod results;
pub(super) mod submit;
mod task;
mod template;
mod work;

use super::{FAILED, INTERRUPTED, OK, Place, UNFIT, USAGE, complain, tell, warn};
use crate::bus::error::BusError;
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
use progress::Progress;
use results::{Done, Results, Resume};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;
use task::Doer;
use template::Template;
use work::{Rules, Work};

/// A coordinator with more workers than this is the bottleneck of its fleet.
const WORKERS_WISHED: u32 = 100;

#[derive(Debug, clap::Args)]
#[command(
    before_help = "Example: coordinator run --agents 50 -- echo agent {}\n         \
                   ls *.log | coordinator run --agents 8 --inputs - -- gzip -k {}\n         \
                   coordinator run --agents 200 --tasks tasks.jsonl --results out.jsonl",
    after_help = HELP
)]
pub(super) struct Args {
    /// Agents that work at the same time
    #[arg(short = 'j', long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=5_000))]
    agents: u32,
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    how: How,
    #[command(flatten)]
    place_of: Where,
    /// Output kept of each task, in bytes; what is more is cut off, with a word
    #[arg(long, value_name = "BYTES", default_value_t = 16 * 1024)]
    output_max: u32,
    /// Coordinators; by default as many as keep each at 100 agents or fewer
    #[arg(long, value_name = "N")]
    coordinators: Option<u32>,
    /// Tasks after which an agent makes room for a new one
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    recycle_after: Option<u32>,
    /// Bytes by which an agent may grow before it makes room for a new one
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u64).range(1..))]
    recycle_growth: Option<u64>,
    #[command(flatten)]
    place: Place,
    /// The command, with places for what differs; by default each line of --inputs is one
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// Signals that asked to stop so far.
pub(super) static STOPS: AtomicU32 = AtomicU32::new(0);

pub(super) fn time(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no time; write 500ms, 30s, 10m or 2h");
    let split = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
    let number: u64 = text[..split].parse().map_err(|_| wrong())?;
    let unit = match text[split..].trim_start() {
        "ms" => Duration::from_millis(1),
        "s" => Duration::from_secs(1),
        "m" => Duration::from_secs(60),
        "h" => Duration::from_secs(3600),
        _ => return Err(wrong()),
    };
    let count = u32::try_from(number).ok().filter(|count| *count > 0).ok_or_else(wrong)?;
    unit.checked_mul(count).ok_or_else(wrong)
}

pub(super) fn main(args: &Args, program: &[&str]) -> u8 {
    let from = args.which.from().unwrap_or(From::Agents(args.agents));
    if args.command.is_empty() && matches!(from, From::Agents(_)) {
        complain("there is nothing to run", "write it behind `--`, or give --inputs or --tasks a file");
        return USAGE;
    }
    let all = (&args.which, &args.how, &args.place_of);
    let prepared = match doer(&args.which, &args.command).and_then(|doer| prepare(all, &from, doer, None)) {
        Ok(prepared) => prepared,
        Err(status) => return status,
    };
    let wanted = prepared.list.facts.wanted;
    let open = prepared.list.facts.open;
    let most = if open { u32::MAX } else { u32::try_from(wanted).unwrap_or(u32::MAX) };
    let agents = args.agents.min(most).max(1);
    let coordinators = args.coordinators.unwrap_or_else(|| agents.div_ceil(WORKERS_WISHED)).clamp(1, agents);
    let payload = args.output_max.saturating_add(USAGE_LEN as u32).max(prepared.list.facts.largest as u32);
    let shape = FleetShape::new(coordinators, agents.div_ceil(coordinators), payload, 1);
    let shape = match shape {
        Ok(shape) => shape,
        Err(error) => {
            complain(error, "");
            return USAGE;
        }
    };
    if args.which.dry_run {
        return dry_run(prepared);
    }
    let work = match begin(prepared, agents, Host::Own) {
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
    if let Err(errno) = watch_signals() {
        complain(format!("cannot watch for signals: {errno}"), "");
        return UNFIT;
    }
    serve(args, program, &shape, work)
}

/// Says that the host has no room, before anything takes what there is; `None` if it is to be tried all the same.
fn too_large(shape: &FleetShape, agents: u32, room: &Capacity, shm: &Path) -> Option<u8> {
    match room.limited_by {
        // To the byte, and with the size that would do.
        Limit::Shm(free) if shape.shm_bytes() > free => {
            let (path, wanted) = (shm.to_owned(), shape.shm_bytes());
            complain(
                BusError::NoSpace { path, wanted, free: Some(free) },
                "fewer --agents, or a smaller --output-max, need less",
            );
        }
        // Some room is lost to rounding in the estimate; files are counted as they are made.
        Limit::Shm(_) | Limit::ShmInodes(_) => return None,
        _ => complain(format!("{agents} agents do not fit here: {room}"), ""),
    }
    Some(UNFIT)
}

fn serve(args: &Args, program: &[&str], shape: &FleetShape, mut work: Work) -> u8 {
    let id = super::up::made_up_name();
    let errors = std::env::temp_dir().join(format!("coordinator-{id}.stderr"));
    let stopped = || STOPS.load(Ordering::Relaxed) > 0;
    let policy = Policy {
        recycle_after: args.recycle_after,
        recycle_growth: args.recycle_growth,
        agent: agent(args),
        ..Policy::default()
    };
    let launched =
        launch(&Program::own(program), &args.place.shm_dir, &id, (shape, &policy), &errors, stopped);
    let mut fleet = match launched {
        Ok(fleet) => fleet,
        Err(error) => {
            let _ = std::fs::remove_file(&errors);
            let status = if matches!(error, LaunchError::Cancelled) { INTERRUPTED } else { UNFIT };
            let bytes = RegionLayout::new(shape).bytes() * u64::from(shape.coordinators());
            let hint = format!(
                "this fleet asks for {} processes and {bytes} bytes of shared memory",
                shape.processes()
            );
            complain(error, &hint);
            return status;
        }
    };
    // It was for the start; killed now, nobody would remove it.
    let _ = std::fs::remove_file(&errors);
    let begun = keep(&args.place_of, fleet.dir(), &id).and_then(|journal| {
        work.journal = journal;
        Client::attach(fleet.dir()).map_err(|error| {
            complain(error, "");
            UNFIT
        })
    });
    let status = match begun {
        Ok(mut client) => work::all(work, &mut client),
        Err(status) => status,
    };
    // At a second signal that is what was asked for.
    let at_once = STOPS.load(Ordering::Relaxed) > 1;
    let down = if at_once { fleet.kill() } else { fleet.stop() };
    if let Some(how) = down.how
        && !at_once
    {
        complain(how, "");
        return if status == OK { FAILED } else { status };
    }
    status
}

/// The journal that is wanted, of the fleet in `dir`. What is wrong has been said.
fn keep(place: &Where, dir: &Path, name: &str) -> Result<Option<Kept>, u8> {
    let create = |path: &PathBuf| {
        Kept::create(path, dir, name).map_err(|error| {
            complain(error, "");
            UNFIT
        })
    };
    place.journal.as_ref().map(create).transpose()
}

/// What each worker keeps running. As long as the process.
fn agent(args: &Args) -> Option<&'static Agent> {
    let jsonl = args.which.protocol == Protocol::Jsonl;
    let command =
        jsonl.then(|| args.command.iter().map(|word| word.to_string_lossy().into_owned()).collect());
    command.map(|command| &*Box::leak(Box::new(Agent { command })))
}

/// What COMMAND is.
fn doer(which: &Which, command: &[OsString]) -> Result<Doer, u8> {
    if which.protocol == Protocol::Command {
        return Ok(Doer::Command(Template::new(command)));
    }
    let words: Option<Vec<String>> = command.iter().map(|word| word.to_str().map(str::to_owned)).collect();
    words
        .filter(|words| words.first().is_some_and(|program| !program.is_empty()))
        .map(Doer::Agent)
        .ok_or_else(|| {
            complain("--protocol jsonl wants an agent", "write its program behind `--`, in UTF-8");
            USAGE
        })
}

/// Whose the fleet is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Host {
    Own,
    Other,
}

/// All that can be decided before anything starts.
struct Prepared<'a> {
    list: List,
    /// `None` if the file is made only now that the list is known to be good.
    results: Option<Results>,
    how: &'a How,
    place: &'a Where,
}

type All<'a> = (&'a Which, &'a How, &'a Where);

/// Reads results that are there, and checks the list. What is wrong has been said.
fn prepare<'a>(
    (which, how, place): All<'a>,
    from: &From,
    doer: Doer,
    cwd: Option<String>,
) -> Result<Prepared<'a>, u8> {
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
        complain(
            "--output-dir is for commands, and --protocol jsonl for an agent's answers",
            "--results keeps those",
        );
        return Err(USAGE);
    }
    let output_dir = place.output_dir.as_deref().map(directory).transpose()?;
    let rest = (doer, Surroundings { cwd, output_dir });
    let known = before.len() as u64;
    let list = List::check(from, rest, before, place.retry_failed).map_err(refused)?;
    if place.resumes() && !list.facts.open {
        let facts = &list.facts;
        if let Some(first) = &facts.changed_first {
            warn(format!(
                "{} tasks are not what was run before, {first:?} the first, and are done again",
                facts.changed
            ));
        }
        tell(format_args!("{} of {} tasks are done; {} to do", facts.done, facts.total, facts.wanted));
        let strange = known.saturating_sub(facts.done + facts.changed + facts.failed_again);
        if strange > 0 {
            warn(format!("{strange} results belong to tasks that are not in the list"));
        }
    }
    Ok(Prepared { list, results, how, place })
}

fn open(path: &Path, resume: Resume) -> Result<(Results, Done), u8> {
    Results::open(path, resume, warn).map_err(|unusable| {
        complain(unusable.what, unusable.hint);
        if unusable.usage { USAGE } else { UNFIT }
    })
}

fn directory(path: &Path) -> Result<String, u8> {
    let text = path.to_str().ok_or_else(|| "its name is no UTF-8".to_owned());
    text.and_then(task::absolute).map_err(|error| {
        complain(format!("{}: {error}", path.display()), "");
        USAGE
    })
}

fn refused(refusal: Refusal) -> u8 {
    match refusal {
        Refusal::Mistakes(mistakes) => {
            for mistake in mistakes {
                complain(mistake, "");
            }
            tell("hint: nothing was started; `coordinator run --help` says what a task is");
            USAGE
        }
        Refusal::Io(error) => {
            complain(error, "");
            USAGE
        }
    }
}

/// Opens what is written to.
fn begin(prepared: Prepared<'_>, window: u32, host: Host) -> Result<Work, u8> {
    let Prepared { list, results, how, place } = prepared;
    if let Some(dir) = &place.output_dir
        && let Err(error) = std::fs::create_dir_all(dir)
    {
        complain(format!("cannot make {}: {error}", dir.display()), "");
        return Err(UNFIT);
    }
    if let Some(path) = &place.journal {
        kept::check(path, place.resumes() && !list.facts.open)?;
    }
    let results = match (results, place.results.as_deref()) {
        (Some(results), _) => results,
        (None, None) => Results::Nowhere,
        (None, Some(path)) if path.as_os_str() == "-" => Results::Stdout,
        (None, Some(path)) => open(path, Resume::No)?.0,
    };
    let rules = Rules {
        window: window as usize,
        timeout: how.timeout,
        deadline: how.deadline,
        retries: how.retries,
        delay: how.delay.unwrap_or_default(),
        halt: how.halt,
        grace: how.grace,
        is_guest: host == Host::Other,
    };
    let again = results.is_file().then(args::again);
    let printer = Printer::new(place.is_printed(), place.tag, place.keep_order);
    Ok(Work { list, results, printer, progress: Progress::new(place.progress), rules, journal: None, again })
}

fn dry_run(prepared: Prepared<'_>) -> u8 {
    let mut list = prepared.list;
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    match list::print(&mut list, &mut out) {
        Ok(Err(error)) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            complain(format!("cannot write to standard output: {error}"), "");
            UNFIT
        }
        Ok(_) => OK,
        Err(error) => {
            complain(error, "");
            FAILED
        }
    }
}

/// Blocks the signals that ask to stop, and counts them; and that of a file that may not grow, since the write says
/// so too.
pub(super) fn watch_signals() -> nix::Result<()> {
    use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
    let mut stops = SigSet::empty();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        stops.add(signal);
    }
    let mut blocked = stops;
    blocked.add(Signal::SIGXFSZ);
    sigprocmask(SigmaskHow::SIG_BLOCK, Some(&blocked), None)?;
    std::thread::spawn(move || {
        while stops.wait().is_ok() {
            STOPS.fetch_add(1, Ordering::Relaxed);
        }
    });
    Ok(())
}
