//! Whole runs on a fake system and a virtual clock: each takes milliseconds, and is read back from its log.

mod checkpoints;
mod ends;
pub(crate) mod fake;
mod faults;
mod incidents;
mod moments;
mod runs;
mod workers;

use super::clock::Clock;
use super::live::Live;
use super::sink::MemorySink;
use super::stop::Stop;
use super::{Ended, Request, header, run_by};
use crate::disk::Covers;
use crate::scenario::{Plan, PlanOptions, Scenario, Selection, Source};
use fake::{Fake, FakeLauncher};
use reports::facts::{Facts, LiveView};
use reports::runlog::codec::Reader;
use reports::runlog::event::{
    AgentExit, AgentReplaced, BuildFacts, Event, Ledger, Record, Round, Severity, TaskFailed, Verify,
};
use std::path::Path;

/// One coordinator, three workers, a round every 50 ms for a second, a task time-out of 3 s.
const SCENARIO: &str = r#"
schema = 1
name = "fake"
asks = "What does the engine make of a scripted system?"
[fleet]
topology = "hybrid"
coordinators = 1
workers = 3
[workload]
kind = "echo"
payload = "64B"
[load]
model = "open"
every = "50ms"
duration = "1s"
task_timeout = "3s"
[sampling]
every = "1s"
[[criterion]]
name = "delivery"
pass = "delivery.rate >= 100%"
"#;

fn request(text: &str) -> Request {
    let source = Source::new("fake.toml", text.to_owned());
    let scenario = Scenario::parse(&source, &Selection::default()).unwrap();
    let options = PlanOptions { seed: Some(7), fallback_seed: 7, rehearsal: None };
    let unknown = String::new;
    Request {
        plan: Plan::new(scenario, &options),
        host: crate::host::facts(Path::new(crate::host::SHM_DIR)),
        build: BuildFacts {
            version: unknown(),
            git: unknown(),
            dirty: false,
            profile: unknown(),
            rustc: unknown(),
        },
        command: unknown(),
        started_utc: "2026-11-22T10:00:00Z".to_owned(),
        run_id: "fake-1".to_owned(),
        shm_dir: std::env::temp_dir(),
        undo_dir: std::env::temp_dir().join("none"),
        commands_output: std::env::temp_dir().join("none"),
        covers: Covers::default(),
        follows: None,
    }
}

/// The view of a run that has only begun.
pub(super) fn nothing_to_show() -> LiveView {
    Facts::new(&header(&request(SCENARIO)), &[], &[], &[]).live()
}

/// A run that has ended, and what its log holds.
struct Done {
    ended: Ended,
    records: Vec<Record>,
}

/// Runs the fake that `script` makes, on a clock that begins at zero.
fn run(script: impl FnOnce(&Clock, &Stop) -> Fake) -> Done {
    run_scenario(SCENARIO, script)
}

fn run_scenario(text: &str, script: impl FnOnce(&Clock, &Stop) -> Fake) -> Done {
    run_into(&MemorySink::default(), text, script)
}

fn run_into(sink: &MemorySink, text: &str, script: impl FnOnce(&Clock, &Stop) -> Fake) -> Done {
    run_request(sink, &request(text), script)
}

fn run_request(sink: &MemorySink, request: &Request, script: impl FnOnce(&Clock, &Stop) -> Fake) -> Done {
    let (clock, stop) = (Clock::virtual_at_zero(), Stop::default());
    let launcher = FakeLauncher::new(script(&clock, &stop));
    let boxed = Box::new(sink.clone());
    let (ended, _) = run_by(clock, request, &launcher, boxed, (&stop, &Live::default())).unwrap();
    let records = Reader::new(&sink.bytes()[..]).map(Result::unwrap).collect();
    Done { ended, records }
}

impl Done {
    fn all<T>(&self, pick: impl Fn(&Event) -> Option<&T>) -> Vec<&T> {
        self.records.iter().filter_map(|record| pick(&record.event)).collect()
    }

    fn rounds(&self) -> Vec<&Round> {
        self.all(|event| if let Event::Round(round) = event { Some(round) } else { None })
    }

    fn exits(&self) -> Vec<&AgentExit> {
        self.all(|event| if let Event::AgentExit(exit) = event { Some(exit) } else { None })
    }

    /// Exits that the run had not asked for.
    fn crashes(&self) -> Vec<&AgentExit> {
        self.exits().into_iter().filter(|exit| !exit.expected).collect()
    }

    fn replaced(&self) -> Vec<&AgentReplaced> {
        self.all(|event| if let Event::AgentReplaced(replaced) = event { Some(replaced) } else { None })
    }

    fn failures(&self) -> Vec<&TaskFailed> {
        self.all(|event| if let Event::TaskFailed(failed) = event { Some(failed) } else { None })
    }

    fn alerts(&self) -> Vec<&str> {
        let alerts = self.all(|event| if let Event::Alert(alert) = event { Some(alert) } else { None });
        alerts.into_iter().map(|alert| alert.text.as_str()).collect()
    }

    /// How grave the alerts with such a text are.
    fn severities(&self, text: &str) -> Vec<Severity> {
        let alerts = self.all(|event| if let Event::Alert(alert) = event { Some(alert) } else { None });
        alerts.into_iter().filter(|alert| alert.text.contains(text)).map(|alert| alert.severity).collect()
    }

    fn ledger(&self) -> &Ledger {
        self.all(|event| if let Event::Ledger(ledger) = event { Some(ledger) } else { None })[0]
    }

    fn verify(&self) -> &Verify {
        self.all(|event| if let Event::Verify(verify) = event { Some(verify) } else { None })[0]
    }

    /// The sums over all rounds: tasks, answered, failed, late, duplicates, corrupt.
    fn sums(&self) -> [u32; 6] {
        let mut sums = [0; 6];
        for round in self.rounds() {
            assert_eq!(round.tasks, round.answered + round.failed, "{round:?}");
            let of_round =
                [round.tasks, round.answered, round.failed, round.late, round.duplicates, round.corrupt];
            for (sum, more) in sums.iter_mut().zip(of_round) {
                *sum += more;
            }
        }
        sums
    }
}
