//! The options of `up`: the size of a fleet, and what it does about deaths, failures, hangs and load.

use super::json;
use super::number::{bytes, number, some, some_bytes};
use super::time::time;
use crate::config::{
    ATTEMPTS_MAX, Agent, COORDINATORS_MAX, DEPTH_MAX, Failover, FleetShape, HANG_AFTER_MIN, PAYLOAD_MAX,
    Policy, RESTARTS_MAX, SCALE_UP_AT_MAX, ShapeError, Span, SupervisorDeath, Thresholds,
    WORKERS_PER_COORDINATOR_MAX,
};
use crate::os::stop::{GRACE_MAX, Stop, parse_signal, signal_name};
use nix::sys::signal::Signal;
use std::ffi::OsString;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug, clap::Args)]
// Two groups of arguments in one command must have different names.
#[group(id = "policy")]
pub(super) struct Args {
    /// Coordinators at the start
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = number(0, u32::MAX), allow_negative_numbers = true)]
    coordinators: u32,
    /// Most coordinators that the fleet has room for; by default those at the start
    #[arg(long, value_name = "N", value_parser = number(0, u32::MAX), allow_negative_numbers = true)]
    coordinators_max: Option<u32>,
    /// Fewest coordinators; by default 1
    #[arg(long, value_name = "N", value_parser = number(0, u32::MAX), allow_negative_numbers = true)]
    coordinators_min: Option<u32>,
    /// Workers of each coordinator, at the start
    #[arg(long, value_name = "N", value_parser = number(0, u32::MAX), allow_negative_numbers = true)]
    workers: u32,
    /// Most workers that each coordinator has room for; by default those at the start
    #[arg(long, value_name = "N", value_parser = number(0, u32::MAX), allow_negative_numbers = true)]
    workers_max: Option<u32>,
    /// Fewest workers of each coordinator; by default 1
    #[arg(long, value_name = "N", value_parser = number(0, u32::MAX), allow_negative_numbers = true)]
    workers_min: Option<u32>,
    /// Start and retire coordinators and workers by load, between these minima and maxima
    #[arg(long)]
    by_load: bool,
    /// With --by-load: above this share of busy processes, with what waits for them, more are started
    #[arg(long, value_name = "PERCENT", default_value_t = Thresholds::default().up_at, value_parser = number(1, SCALE_UP_AT_MAX), allow_negative_numbers = true)]
    scale_up_at: u32,
    /// With --by-load: below this share of busy processes, some are retired
    #[arg(long, value_name = "PERCENT", default_value_t = Thresholds::default().down_at, value_parser = number(0, SCALE_UP_AT_MAX), allow_negative_numbers = true)]
    scale_down_at: u32,
    /// With --by-load: for how long the load must have been beyond one of these
    #[arg(long, value_name = "TIME", default_value = "200ms", value_parser = time, allow_hyphen_values = true)]
    scale_hold: Duration,
    /// With --by-load: shortest time from one change to the next
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = time, allow_hyphen_values = true)]
    scale_pause: Duration,
    /// Largest task or answer, in bytes or as a size such as 64KiB
    #[arg(long, value_name = "SIZE", default_value_t = 4096, value_parser = bytes::<u32>)]
    payload_max: u32,
    /// Tasks that may wait for one worker
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = number(0, u32::MAX), allow_negative_numbers = true)]
    depth: u32,
    /// Attempts at a task before it fails
    #[arg(long, value_name = "N", default_value_t = ATTEMPTS_MAX, value_parser = number(1, u8::MAX), allow_negative_numbers = true)]
    attempts_max: u8,
    /// Pause after a failed attempt before the next one, doubled each time
    #[arg(long, value_name = "TIME", default_value = "10ms", value_parser = time, allow_hyphen_values = true)]
    backoff: Duration,
    /// Longest pause between two attempts
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = time, allow_hyphen_values = true)]
    backoff_max: Duration,
    /// Deaths within the restart window after which a worker or coordinator is not restarted
    #[arg(long, value_name = "N", default_value_t = RESTARTS_MAX, value_parser = number(0, u32::MAX), allow_negative_numbers = true)]
    restarts_max: u32,
    /// Time span in which --restarts-max counts deaths
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = time, allow_hyphen_values = true)]
    restart_window: Duration,
    /// Kill and replace a process that has made no progress for this long; `never` waits forever
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = time_or_never, allow_hyphen_values = true)]
    hang_after: Patience,
    /// What replaces a dead coordinator
    #[arg(long, value_enum, default_value_t)]
    failover: Failover,
    /// What the death of the supervisor means for the fleet: its end, or another supervisor
    #[arg(long, value_enum, default_value_t)]
    on_supervisor_death: SupervisorDeath,
    /// Start with as many processes as the host allows, and start the others as soon as it does
    #[arg(long)]
    partial: bool,
    /// Replace a worker after this many tasks
    #[arg(long, value_name = "N", value_parser = number(1, u32::MAX), allow_negative_numbers = true)]
    recycle_after: Option<u32>,
    /// Replace a worker when its memory has grown by this size, such as 64MiB, or in bytes
    #[arg(long, value_name = "SIZE", value_parser = some_bytes)]
    recycle_growth: Option<u64>,
    /// Publish at most so many messages at once, with one wake-up; by default as many as there are
    #[arg(long, value_name = "N", value_parser = some, allow_negative_numbers = true)]
    batch_max: Option<NonZeroU32>,
    /// Start at most so many coordinators, and so many workers of each, at the same time; by default all
    #[arg(long, value_name = "N", value_parser = some, allow_negative_numbers = true)]
    spawn_max: Option<NonZeroU32>,
    /// Agent program that each worker keeps running: a JSON array of the program and its arguments
    // The full path, or clap would take the words for repetitions of the option.
    #[arg(long, value_name = "JSON", value_parser = agent)]
    agent: Option<std::vec::Vec<String>>,
    /// Variable that is added to the environment of the agent program; may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = variable, requires = "agent", allow_hyphen_values = true)]
    agent_env: Vec<(String, String)>,
    /// Working directory of the agent program; by default the current one
    #[arg(long, value_name = "DIR", requires = "agent")]
    agent_cwd: Option<PathBuf>,
    #[command(flatten)]
    startup: Startup,
    #[command(flatten)]
    stop: HowToStop,
    #[cfg(feature = "kill-points")]
    #[arg(long, hide = true)]
    kill_at_each_step: Option<crate::config::KillAtEachStep>,
}

/// How long an agent program may take to start.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(super) struct Startup {
    /// Longest time from the start of an agent program until it reads its first task; it does not count against the
    /// task's time-out
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = time, allow_hyphen_values = true)]
    pub(super) agent_startup: Duration,
}

/// How a command or an agent program is ended before its time.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(super) struct HowToStop {
    /// Signal for what has to end before its time (by a time-out, by `cancel`, or with the fleet), such as INT; by default
    /// TERM
    #[arg(long, value_name = "SIGNAL", value_parser = parse_signal)]
    pub(super) stop_signal: Option<Signal>,
    /// Time from that signal until SIGKILL, at most 60s; by default 500ms
    #[arg(long, value_name = "TIME", value_parser = grace, allow_hyphen_values = true)]
    pub(super) grace: Option<Duration>,
}

impl HowToStop {
    /// With the defaults where nothing is said.
    pub(super) fn stop(&self) -> Stop {
        let Stop { signal, grace } = Stop::default();
        Stop { signal: self.stop_signal.unwrap_or(signal), grace: self.grace.unwrap_or(grace) }
    }
}

/// Reads a time from a signal until SIGKILL.
pub(super) fn grace(text: &str) -> Result<Duration, String> {
    match time(text)? {
        time if time > GRACE_MAX => Err(format!("`{text}` is too long; write at most 60s")),
        time => Ok(time),
    }
}

/// What to write instead of a shape that cannot be.
pub(super) fn hint(error: ShapeError) -> String {
    match error {
        ShapeError::Coordinators(_) => format!("write `--coordinators` from 1 to {COORDINATORS_MAX}"),
        ShapeError::Workers(_) => {
            format!("write from 1 to {WORKERS_PER_COORDINATOR_MAX} workers, or use more coordinators")
        }
        ShapeError::Payload(_) => {
            format!("the largest payload is {}", notation::size::exact(PAYLOAD_MAX.into()))
        }
        ShapeError::Depth(_) => format!("write `--depth` from 1 to {DEPTH_MAX}"),
    }
}

/// How long a process may make no progress; `None` is forever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Patience(Option<Duration>);

fn time_or_never(text: &str) -> Result<Patience, String> {
    if text == "never" {
        return Ok(Patience(None));
    }
    let time = time(text).map_err(|wrong| format!("{wrong}, or never"))?;
    if time < HANG_AFTER_MIN {
        let least = notation::duration::exact(HANG_AFTER_MIN.as_nanos() as u64);
        return Err(format!("`{text}` is too short; write at least {least}, or never"));
    }
    Ok(Patience(Some(time)))
}

/// Spelled so that [`time`] reads it.
fn text(time: Duration) -> String {
    format!("{}ms", time.as_millis().max(1))
}

fn agent(text: &str) -> Result<Vec<String>, String> {
    let command: Vec<String> = serde_json::from_str(text).map_err(|error| {
        format!("expected a JSON array of strings, the program and its arguments, such as [\"python3\", \"agent.py\"]; column {}: {}", error.column(), json::in_words(&error))
    })?;
    match command.first() {
        Some(program) if !program.is_empty() => Ok(command),
        _ => Err("the array is empty: its first string must be the program".to_owned()),
    }
}

fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write a name, `=` and a value, such as LANG=C".to_owned()),
    }
}

impl Args {
    /// What each worker keeps running. Lives as long as the process.
    fn agent(&self) -> Option<&'static Agent> {
        let command = self.agent.clone()?;
        let (env, cwd) = (self.agent_env.iter().cloned().collect(), self.agent_cwd.clone());
        Some(&*Box::leak(Box::new(Agent { command, env, cwd })))
    }

    /// The capacity of the fleet.
    pub(super) fn shape(&self) -> Result<FleetShape, ShapeError> {
        let coordinators = self.coordinators_max.unwrap_or(self.coordinators);
        let workers = self.workers_max.unwrap_or(self.workers);
        FleetShape::new(coordinators, workers, self.payload_max, self.depth)
    }

    /// Checks that the options do not contradict each other; the error says how they do, and what to write.
    pub(super) fn check(&self) -> Result<(), (String, String)> {
        let order = |what: &str, min: Option<u32>, (start, most): (u32, u32), max: Option<u32>| {
            if start == 0 {
                return Err((
                    format!("--{what} 0: a fleet needs at least one"),
                    format!("write `--{what}` from 1 to {most}"),
                ));
            }
            if max.is_some_and(|max| max < start) {
                return Err((
                    format!("--{what}-max is below --{what}, the number at the start"),
                    format!("write `--{what}-max` from {start} to {most}"),
                ));
            }
            if min.is_some_and(|min| min > start) {
                return Err((
                    format!("--{what}-min is above --{what}, the number at the start"),
                    format!("write `--{what}-min` from 1 to {start}"),
                ));
            }
            Ok(())
        };
        let coordinators = (self.coordinators, COORDINATORS_MAX);
        order("coordinators", self.coordinators_min, coordinators, self.coordinators_max)?;
        let workers = (self.workers, WORKERS_PER_COORDINATOR_MAX);
        order("workers", self.workers_min, workers, self.workers_max)?;
        if self.scale_down_at >= self.scale_up_at {
            return Err((
                "--scale-down-at is not below --scale-up-at: the fleet would grow and shrink in turn"
                    .to_owned(),
                format!("write `--scale-down-at` from 0 to {}", self.scale_up_at - 1),
            ));
        }
        Ok(())
    }

    /// Whether the fleet may start with fewer processes.
    pub(super) fn is_partial(&self) -> bool {
        self.partial
    }

    pub(super) fn workers_at_start(&self) -> u64 {
        u64::from(self.coordinators) * u64::from(self.workers)
    }

    pub(super) fn policy(&self) -> Policy {
        let span = |min: Option<u32>, start| Span { min: min.unwrap_or(1), start, by_load: self.by_load };
        Policy {
            attempts_max: self.attempts_max,
            restarts_max: self.restarts_max,
            restart_window: self.restart_window,
            backoff_first: self.backoff,
            backoff_max: self.backoff_max.max(self.backoff),
            hang_after: self.hang_after.0,
            failover: self.failover,
            supervisor_death: self.on_supervisor_death,
            coordinators: span(self.coordinators_min, self.coordinators),
            workers: span(self.workers_min, self.workers),
            scaling: Thresholds {
                up_at: self.scale_up_at,
                down_at: self.scale_down_at,
                hold: self.scale_hold,
                pause: self.scale_pause,
            },
            partial: self.partial,
            recycle_after: self.recycle_after,
            recycle_growth: self.recycle_growth,
            batch_max: self.batch_max,
            spawn_max: self.spawn_max,
            agent: self.agent(),
            agent_startup: self.startup.agent_startup,
            stop: self.stop.stop(),
            #[cfg(feature = "kill-points")]
            kill: self.kill_at_each_step,
        }
    }
}

/// The options that start a supervisor with this shape and policy, as [`Args`] reads them.
pub(crate) fn arguments(shape: &FleetShape, policy: &Policy) -> Vec<OsString> {
    let coordinators = policy.coordinators.within(shape.coordinators());
    let workers = policy.workers.within(shape.workers_per_coordinator());
    let never = || "never".to_owned();
    let mut all = vec![
        ("--coordinators", coordinators.start.to_string()),
        ("--coordinators-max", shape.coordinators().to_string()),
        ("--coordinators-min", coordinators.min.to_string()),
        ("--workers", workers.start.to_string()),
        ("--workers-max", shape.workers_per_coordinator().to_string()),
        ("--workers-min", workers.min.to_string()),
        ("--scale-up-at", policy.scaling.up_at.to_string()),
        ("--scale-down-at", policy.scaling.down_at.to_string()),
        ("--scale-hold", text(policy.scaling.hold)),
        ("--scale-pause", text(policy.scaling.pause)),
        ("--payload-max", shape.payload_max().to_string()),
        ("--depth", shape.depth().to_string()),
        ("--attempts-max", policy.attempts_max.to_string()),
        ("--restarts-max", policy.restarts_max.to_string()),
        ("--restart-window", text(policy.restart_window)),
        ("--backoff", text(policy.backoff_first)),
        ("--backoff-max", text(policy.backoff_max)),
        ("--hang-after", policy.hang_after.map_or_else(never, text)),
        ("--agent-startup", text(policy.agent_startup)),
        ("--stop-signal", signal_name(policy.stop.signal).to_owned()),
        ("--grace", text(policy.stop.grace)),
        ("--failover", name(&policy.failover)),
        ("--on-supervisor-death", name(&policy.supervisor_death)),
    ];
    let optional = [
        ("--recycle-after", policy.recycle_after.map(|tasks| tasks.to_string())),
        ("--recycle-growth", policy.recycle_growth.map(|bytes| bytes.to_string())),
        ("--batch-max", policy.batch_max.map(|messages| messages.to_string())),
        ("--spawn-max", policy.spawn_max.map(|processes| processes.to_string())),
        ("--agent", policy.agent.and_then(|agent| serde_json::to_string(&agent.command).ok())),
    ];
    all.extend(optional.into_iter().filter_map(|(option, value)| Some((option, value?))));
    let env = policy.agent.into_iter().flat_map(|agent| &agent.env);
    all.extend(env.map(|(name, value)| ("--agent-env", format!("{name}={value}"))));
    let cwd = policy.agent.and_then(|agent| agent.cwd.as_ref());
    let cwd = cwd.into_iter().flat_map(|cwd| [OsString::from("--agent-cwd"), cwd.into()]);
    let flags =
        [("--by-load", policy.coordinators.by_load || policy.workers.by_load), ("--partial", policy.partial)];
    all.into_iter()
        .flat_map(|(option, value)| [option.to_owned(), value])
        .chain(flags.into_iter().filter(|(_, on)| *on).map(|(flag, _)| flag.to_owned()))
        .map(OsString::from)
        .chain(cwd)
        .collect()
}

fn name(value: &impl clap::ValueEnum) -> String {
    value.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn parse(line: &[&str]) -> Result<Args, String> {
        let words = ["up"].iter().chain(line);
        Line::try_parse_from(words).map(|line| line.args).map_err(|error| error.to_string())
    }

    #[test]
    fn options_for_a_supervisor_are_read_back() {
        let shape = FleetShape::new(5, 7, 100, 2).unwrap();
        let within = |policy: Policy| Policy {
            coordinators: policy.coordinators.within(5),
            workers: policy.workers.within(7),
            ..policy
        };
        let others = Policy {
            attempts_max: 9,
            restarts_max: 0,
            restart_window: Duration::from_secs(3),
            backoff_first: Duration::from_millis(7),
            backoff_max: Duration::from_millis(70),
            hang_after: None,
            failover: Failover::Survivors,
            supervisor_death: SupervisorDeath::Adopt,
            coordinators: Span { min: 2, start: 3, by_load: true },
            workers: Span { min: 1, start: 4, by_load: true },
            scaling: Thresholds {
                up_at: 90,
                down_at: 10,
                hold: Duration::from_millis(50),
                pause: Duration::from_secs(2),
            },
            partial: true,
            recycle_after: Some(12),
            recycle_growth: Some(1 << 20),
            batch_max: NonZeroU32::new(10),
            spawn_max: NonZeroU32::new(1),
            agent: Some(Box::leak(Box::new(Agent {
                command: vec!["a b".to_owned(), "\"".to_owned()],
                env: [("A", "-x = y"), ("B", "")]
                    .map(|(name, value)| (name.to_owned(), value.to_owned()))
                    .into(),
                cwd: Some("/some where".into()),
            }))),
            agent_startup: Duration::from_secs(90),
            stop: Stop { signal: Signal::SIGUSR1, grace: Duration::from_secs(60) },
            #[cfg(feature = "kill-points")]
            kill: None,
        };
        for policy in [Policy::default(), others] {
            let line = arguments(&shape, &policy);
            let line: Vec<_> = line.iter().map(|word| word.to_str().unwrap()).collect();
            let read = parse(&line).unwrap();
            assert_eq!(read.check(), Ok(()));
            assert_eq!(read.shape().unwrap(), shape);
            assert_eq!(within(read.policy()), within(policy));
        }
    }

    #[test]
    fn options_that_are_not_given_have_defaults() {
        let read = parse(&["--workers", "3"]).unwrap().policy();
        let (coordinators, workers) = (read.coordinators, read.workers);
        assert_eq!(read, Policy { coordinators, workers, ..Policy::default() });
        assert_eq!((coordinators.start, workers.start), (1, 3));
    }

    #[test]
    fn a_wrong_option_is_refused_with_what_would_be_right() {
        for (line, words) in [
            (&["--hang-after", "5"][..], "has no unit; write `5s`, `5ms` or `5m`, or never"),
            (&["--agent", "python3"], "a JSON array of strings"),
            (&["--agent", "[]"], "its first string must be the program"),
            (&["--agent", "[\"a\"]", "--agent-env", "=x"], "a name, `=` and a value"),
            (&["--agent-cwd", "/"], "--agent <JSON>"),
            (&["--failover", "none"], "fresh, spare, survivors"),
            (&["--on-supervisor-death", "x"], "end, adopt"),
            (&["--attempts-max", "0"], "--attempts-max"),
            (&["--batch-max", "0"], "--batch-max"),
            (&["--spawn-max", "0"], "--spawn-max"),
            (&["--stop-signal", "STOP"], "SIGSTOP does not end a process; write a signal such as TERM"),
            (&["--grace", "61s"], "`61s` is too long; write at most 60s"),
            (&["--depth", "x"], "`x` is not a whole number; write a whole number from 0"),
            (&["--payload-max", "4M"], "`M` is not a unit of size; they are B, KiB"),
            (&["--backoff", "-1s"], "a duration cannot be negative"),
            (&["--hang-after", "1ms"], "`1ms` is too short; write at least 100ms, or never"),
            (&["--agent", "notjson"], "column 2: it is not valid JSON: write text in double quotes"),
        ] {
            let error = parse(&[&["--workers", "1"], line].concat()).unwrap_err();
            assert!(error.contains(words), "{line:?}: {error}");
        }
        for (line, words, instead) in [
            (&["--workers", "0"][..], "at least one", "`--workers` from 1 to 4096"),
            (&["--workers", "5", "--workers-max", "4"], "--workers-max is below --workers", "from 5 to 4096"),
            (&["--workers", "5", "--coordinators-min", "2"], "--coordinators-min is above", "from 1 to 1"),
            (&["--workers", "5", "--scale-down-at", "80"], "would grow and shrink", "from 0 to 79"),
        ] {
            let (error, hint) = parse(line).unwrap().check().unwrap_err();
            assert!(error.contains(words) && hint.contains(instead), "{line:?}: {error}; {hint}");
        }
        let many = parse(&["--workers", "1", "--coordinators", "999"]).unwrap().shape().unwrap_err();
        assert_eq!(hint(many), "write `--coordinators` from 1 to 256");
        assert_eq!(parse(&["--workers", "1", "--payload-max", "64KiB"]).unwrap().payload_max, 65_536);
    }
}
