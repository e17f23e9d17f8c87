//! `coordinator run`: a fleet for one command, a task for each agent or each line of input.

use super::{FAILED, INTERRUPTED, OK, Place, UNFIT, USAGE, complain, hand_out, warn};
use crate::bus::layout::RegionLayout;
use crate::bus::sync::{AtomicU32, Ordering};
use crate::client::launch::{LaunchError, Program, launch};
use crate::client::{Answer, Client, Event, Task, WorkerRef};
use crate::config::{FleetShape, Policy};
use crate::process::reap::HowEnded;
use crate::wire::command_body;
use std::collections::VecDeque;
use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::time::Duration;

/// A coordinator with more workers than this is the bottleneck of its fleet.
const WORKERS_WISHED: u32 = 100;

#[derive(Debug, clap::Args)]
#[command(
    before_help = "Example: coordinator run --agents 50 -- sh -c 'echo agent {}'\n         \
                   ls *.log | coordinator run --agents 8 --inputs - -- gzip -k {}",
    after_help = "A command whose agent is killed is ended and run again, three times in all."
)]
pub(super) struct Args {
    /// Agents that work at the same time
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=5_000))]
    agents: u32,
    /// A task for each line of this file (`-` is standard input) instead of one for each agent
    #[arg(long, value_name = "FILE")]
    inputs: Option<PathBuf>,
    /// Time that a task may take, such as 500ms, 30s, 10m, 2h
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = time)]
    timeout: Duration,
    /// Output kept of each task, in bytes; what is more is cut off, with a word
    #[arg(long, value_name = "BYTES", default_value_t = 16 * 1024)]
    output_max: u32,
    /// Coordinators; by default as many as keep each at 100 agents or fewer
    #[arg(long, value_name = "N")]
    coordinators: Option<u32>,
    #[command(flatten)]
    place: Place,
    /// The command; every `{}` becomes the number of the agent, or the line of input
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<String>,
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

struct Job {
    name: String,
    body: Vec<u8>,
}

pub(super) fn main(args: &Args, program: &[&str]) -> u8 {
    let jobs = match jobs(args) {
        Ok(jobs) => jobs,
        Err(status) => return status,
    };
    let coordinators = args.coordinators.unwrap_or_else(|| args.agents.div_ceil(WORKERS_WISHED));
    let workers = args.agents.div_ceil(coordinators.max(1));
    let largest = jobs.iter().map(|job| job.body.len() as u32).max().unwrap_or(0);
    let shape = match FleetShape::new(coordinators, workers, args.output_max.max(largest), 1) {
        Ok(shape) => shape,
        Err(error) => {
            complain(error, "");
            return USAGE;
        }
    };
    if let Err(errno) = watch_signals() {
        complain(format!("cannot watch for signals: {errno}"), "");
        return UNFIT;
    }
    serve(args, program, &shape, &jobs)
}

fn serve(args: &Args, program: &[&str], shape: &FleetShape, jobs: &[Job]) -> u8 {
    let id = super::up::made_up_name();
    let errors = std::env::temp_dir().join(format!("coordinator-{id}.stderr"));
    let stopped = || STOPS.load(Ordering::Relaxed) > 0;
    let launched = launch(
        &Program::own(program),
        &args.place.shm_dir,
        &id,
        (shape, &Policy::default()),
        &errors,
        stopped,
    );
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
    let status = match Client::attach(fleet.dir()) {
        Ok(client) => work(args, client, jobs),
        Err(error) => {
            complain(error, "");
            UNFIT
        }
    };
    let down = if STOPS.load(Ordering::Relaxed) > 1 { fleet.kill() } else { fleet.stop() };
    let _ = std::fs::remove_file(&errors);
    if let Some(how) = down.how {
        complain(how, "");
        return if status == OK { FAILED } else { status };
    }
    status
}

/// A task for each agent, or for each line of input.
fn jobs(args: &Args) -> Result<Vec<Job>, u8> {
    let names: Vec<String> = match &args.inputs {
        None => (0..args.agents).map(|number| number.to_string()).collect(),
        Some(path) => {
            let lines = if path.as_os_str() == "-" {
                std::io::stdin().lock().lines().collect::<Result<Vec<_>, _>>()
            } else {
                std::fs::File::open(path)
                    .and_then(|file| std::io::BufReader::new(file).lines().collect::<Result<Vec<_>, _>>())
            };
            lines.map_err(|error| {
                complain(format!("{}: {error}", path.display()), "a line of text for each task is expected");
                USAGE
            })?
        }
    };
    names
        .into_iter()
        .map(|name| {
            let arguments: Vec<String> = args.command.iter().map(|part| part.replace("{}", &name)).collect();
            let Some(body) = command_body(&arguments) else {
                complain(format!("the task {name:?} has a NUL in an argument"), "");
                return Err(USAGE);
            };
            Ok(Job { name, body })
        })
        .collect()
}

pub(super) fn watch_signals() -> nix::Result<()> {
    use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
    let mut mask = SigSet::empty();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        mask.add(signal);
    }
    sigprocmask(SigmaskHow::SIG_BLOCK, Some(&mask), None)?;
    std::thread::spawn(move || {
        while mask.wait().is_ok() {
            STOPS.fetch_add(1, Ordering::Relaxed);
        }
    });
    Ok(())
}

fn work(args: &Args, mut client: Client, jobs: &[Job]) -> u8 {
    let timeout = args.timeout;
    let shape = *client.shape();
    let total = jobs.len();
    let mut waiting: VecDeque<(usize, &Job)> = jobs.iter().enumerate().collect();
    let mut idle: VecDeque<WorkerRef> = (0..args.agents).map(|n| WorkerRef::nth(&shape, n)).collect();
    let (mut ended, mut failed, mut interrupted) = (0, 0, false);
    let mut unwritten = None;
    while ended < total {
        if STOPS.load(Ordering::Relaxed) > 0 {
            interrupted = true;
            break;
        }
        while let Some(worker) = idle.pop_front() {
            let Some((number, job)) = waiting.pop_front() else { break };
            if let Err(error) = client.send(worker, Task::Exec(&job.body), timeout, number as u64) {
                // This worker is not asked again; the task is given to another one.
                waiting.push_front((number, job));
                if idle.is_empty() && client.in_flight() == 0 {
                    complain(format!("{worker}: {error}"), "");
                    return FAILED;
                }
            }
        }
        client.flush();
        let events = client.poll(|event| {
            let Event::Outcome(outcome) = event else { return };
            let name = &jobs[outcome.tag as usize].name;
            ended += 1;
            let fine = match outcome.result {
                Ok(answer) => show(name, &answer, timeout, &mut unwritten),
                Err(why) => {
                    complain(format!("task {name:?}: {why}"), "");
                    false
                }
            };
            failed += usize::from(!fine);
            idle.push_back(outcome.worker);
        });
        if let Some(status) = unwritten {
            // The output is what was asked for: going on would only lose more of it.
            return status;
        }
        if events == 0 {
            client.wait(Duration::from_millis(100));
        }
    }
    if interrupted {
        complain(format!("interrupted: {ended} of {total} tasks had ended, {failed} of them failed"), "");
        INTERRUPTED
    } else if failed > 0 {
        complain(format!("{failed} of {total} tasks failed"), "");
        FAILED
    } else {
        OK
    }
}

/// Hands on what a command said; true if it ended well. `unwritten` becomes the exit status if that is
/// not possible.
fn show(name: &str, answer: &Answer<'_>, timeout: Duration, unwritten: &mut Option<u8>) -> bool {
    let (stdout, stderr) = answer.body.split_at(answer.stdout_len);
    if unwritten.is_none() {
        *unwritten = hand_out(stdout).err();
    }
    let _ = std::io::stderr().write_all(stderr);
    if answer.truncated {
        warn(format!("task {name:?}: output cut off; --output-max keeps more"));
    }
    if answer.code == 0 {
        return true;
    }
    let took = Duration::from_nanos(answer.finished_ns.saturating_sub(answer.started_ns));
    let when = if took >= timeout { " at its time-out" } else { "" };
    complain(format!("task {name:?}: {}{when}", HowEnded::from_raw(answer.code)), "");
    false
}
