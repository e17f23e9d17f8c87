//! Whole runs through the real program: to a verdict, and to every end that is not one.

mod alerts;
mod another;
mod benchmarks;
mod cgroups;
mod clean;
mod commands;
mod cpus;
mod disk;
mod endings;
mod examples;
mod gates;
mod held;
mod hogs;
mod impact;
mod inherited;
mod limits;
mod lost;
mod metrics;
mod ongoing;
mod outlived;
mod pasted;
mod plans;
mod pool;
mod reported;
mod restored;
mod resumed;
mod resumes;
mod sabotage;
mod saboteur;
mod scribbled;
mod segments;
mod setup;
mod several;
mod shm;
mod shm_errors;
mod stages;
mod stalled;
mod supervisor;
mod swarm;
mod terminal;
mod verdicts;
mod workloads;

use coordinator::client::Identity;
use reports::runlog::Record;
use reports::runlog::codec;
use reports::runlog::event::{AgentInfo, Event, FaultStep, FaultStepKind, Phase, Role};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

const HARNESS: &str = env!("CARGO_BIN_EXE_harness");

/// What may hang carries a watchdog. Far above anything that is waited for here.
const WATCHDOG: Duration = Duration::from_secs(120);

pub(crate) fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < WATCHDOG, "waited in vain: {what}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// A small fleet, asked for everything that a run can be asked for in `seconds`.
fn scenario(seconds: u32) -> String {
    format!(
        r#"
schema = 1
name = "small"
asks = "Does a small fleet answer?"
[fleet]
topology = "hybrid"
coordinators = 2
workers = 3
[workload]
kind = "echo"
payload = "256B"
[load]
model = "open"
every = "50ms"
duration = "{seconds}s"
warm_up = "200ms"
task_timeout = "3s"
[sampling]
every = "100ms"
pss_every = "1s"
[[criterion]]
name = "delivery"
pass = "delivery.rate >= 100%"
[[criterion]]
name = "exactly-once"
pass = "delivery.duplicates == 0"
[[criterion]]
name = "deaths"
pass = "incidents == 0"
[[criterion]]
name = "coordination"
pass = "coordination.time max < 3s"
"#
    )
}

/// The steps of a firing that lasts, if all goes well.
const WHOLE: [FaultStepKind; 4] =
    [FaultStepKind::Injected, FaultStepKind::Proven, FaultStepKind::Healed, FaultStepKind::HealProven];

fn of_faults(records: impl Iterator<Item = Record>) -> Vec<FaultStep> {
    records
        .filter_map(|record| if let Event::Fault(step) = record.event { Some(step) } else { None })
        .collect()
}

/// A directory with a scenario, a place for runs, and a shared-memory directory of its own.
struct Bench {
    dir: tempfile::TempDir,
    shm: tempfile::TempDir,
}

impl Bench {
    fn new(scenario: &str) -> Self {
        let bench =
            Self { dir: tempfile::tempdir().unwrap(), shm: tempfile::tempdir_in("/dev/shm").unwrap() };
        std::fs::write(bench.file(), scenario).unwrap();
        bench
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("small.toml")
    }

    fn out(&self) -> PathBuf {
        self.dir.path().join("runs")
    }

    /// Where journals of faults are.
    fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    fn command(&self) -> Command {
        let mut command = Command::new(HARNESS);
        self.within(&mut command);
        command
    }

    /// Where all that it makes is in directories of this bench.
    fn within<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.env("COORDINATOR_SHM_DIR", self.shm.path()).env("HARNESS_STATE_DIR", self.state());
        command.current_dir(self.dir.path())
    }

    /// Another command, to its end.
    fn ask(&self, arguments: &[&str]) -> Done {
        self.start_by(self.command().args(arguments)).end()
    }

    fn start(&self, extra: &[&str]) -> Run<'_> {
        self.start_by(self.command().args(["run", "small.toml", "--out", "runs"]).args(extra))
    }

    /// With so many KiB of addresses for each process: an allocation beyond is refused, and ends it.
    fn start_within(&self, addresses: u32) -> Run<'_> {
        let mut command = Command::new("sh");
        self.within(&mut command)
            .args(["-c", &format!("ulimit -v {addresses}; exec \"$0\" \"$@\""), HARNESS])
            .args(["run", "small.toml", "--out", "runs", "--quiet"])
            .env("RUST_BACKTRACE", "0");
        self.start_by(&mut command)
    }

    fn start_by(&self, command: &mut Command) -> Run<'_> {
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        Run { bench: self, child }
    }

    /// The log of the newest run as far as it is written; nothing before there is one.
    fn log_so_far(&self) -> String {
        std::fs::read_to_string(self.out().join("small/latest/run.log")).unwrap_or_default()
    }

    /// What the declared faults of the newest run did, which is over.
    fn fault_steps(&self) -> Vec<FaultStep> {
        of_faults(codec::open(&self.latest().join("run.log")).unwrap().map(Result::unwrap))
    }

    /// As [`Self::fault_steps`], of a run that may go on: as far as its log is written.
    fn steps_so_far(&self) -> Vec<FaultStep> {
        of_faults(codec::open(&self.latest().join("run.log")).unwrap().map_while(Result::ok))
    }

    /// The newest run's directory.
    fn latest(&self) -> PathBuf {
        std::fs::canonicalize(self.out().join("small/latest")).unwrap()
    }

    fn assert_nothing_left(&self, agents: &[AgentInfo]) {
        let left: Vec<_> = agents
            .iter()
            .filter(|agent| Identity { pid: agent.pid, start_ticks: agent.start_ticks }.is_alive())
            .collect();
        assert!(left.is_empty(), "{left:?}");
        let files: Vec<_> =
            std::fs::read_dir(self.shm.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(files.is_empty(), "{files:?}");
    }
}

/// A run under way.
struct Run<'a> {
    bench: &'a Bench,
    child: Child,
}

/// A run, or another command, that has ended.
#[derive(Debug)]
struct Done {
    status: ExitStatus,
    stdout: String,
    stderr: String,
}

impl Run<'_> {
    /// Waits for the load phase; the fleet's processes.
    fn agents_under_load(&self) -> Vec<AgentInfo> {
        let mut agents = Vec::new();
        wait_until("the load has begun", || {
            let log = self.bench.out().join("small/latest/run.log");
            let Ok(reader) = codec::open(&log) else { return false };
            let mut under_load = false;
            for record in reader.map_while(Result::ok) {
                match record.event {
                    Event::Agents(event) => agents = event.agents,
                    Event::Phase(began) => under_load = began.phase == Phase::Load,
                    _ => {}
                }
            }
            under_load
        });
        agents.into_iter().filter(|agent| agent.role != Role::Harness).collect()
    }

    fn signal(&self, signal: nix::sys::signal::Signal) {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.child.id() as i32), signal).unwrap();
    }

    /// Reads its standard error up to a line that contains `words`.
    fn reports(&mut self, words: &str) {
        let stderr = BufReader::new(self.child.stderr.as_mut().unwrap());
        assert!(stderr.lines().any(|line| line.unwrap().contains(words)), "{words:?} was not reported");
    }

    fn end(self) -> Done {
        let output = self.child.wait_with_output().unwrap();
        Done {
            status: output.status,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

fn verdict(run: &Path) -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(run.join("verdict.json")).unwrap()).unwrap()
}

/// Every file of a run that is made from its log, with its bytes.
fn documents(run: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut all = Vec::new();
    for dir in [run.to_owned(), run.join("plots")] {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_file() && name != "run.log" && name != "fleet.stderr" {
                all.push((path.clone(), std::fs::read(&path).unwrap()));
            }
        }
    }
    all.sort();
    all
}
