//! `cargo xtask storm`: kills by the thousand, and an exact account of what is left, said or lost.

mod faults;

use crate::workspace::{Outcome, Workspace};

#[derive(Debug, clap::Args)]
#[command(before_help = "Example: cargo xtask storm --kills 10000 --seed 7
         cargo xtask storm triple --kills 200
         cargo xtask storm faults --minutes 6")]
pub(crate) struct Args {
    /// What is killed
    #[arg(value_enum, default_value_t = Kind::Bus)]
    kind: Kind,
    /// How many processes, or runs, are killed
    #[arg(long, value_name = "N", default_value_t = 1000)]
    kills: u64,
    /// Chooses victims, instants, steps, batches and sizes
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Of `faults`: how long the storm lasts; its kills come at 1,000 an hour, whatever `--kills` says
    #[arg(long, value_name = "M", default_value_t = 60)]
    minutes: u64,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Kind {
    /// Both ends of a channel, at any of their steps: each record comes once, whole and in order (some seventy a second)
    Bus,
    /// Workers, coordinators and supervisors of a fleet under load: each task is answered once
    Fleet,
    /// Runs of which any processes are killed at any instant, from the start on: nothing is left
    Launches,
    /// The run of a list, which is started again each time: each result is there once
    Clients,
    /// Clients of one fleet, with two lists: each answer is written once, or kept for the next client (some ten a second)
    Answers,
    /// Runs with a journal, and the restores of it: each task has one result
    Journals,
    /// Client, supervisor and coordinators of a run in the same instant: nothing is left
    Triple,
    /// Harnesses, at any instant of a run of 10 s: each run is resumed and judged, and nothing is left (some four a minute)
    Resumes,
    /// Agents of a fleet of 500 that write files, with pauses and a full /dev/shm in between: each file is written once
    Faults,
}

impl Kind {
    /// The package whose tests it is among.
    fn package(self) -> &'static str {
        if matches!(self, Self::Resumes) { "harness" } else { "coordinator" }
    }

    /// The test, the program that it is in, and the names of its variables for how many and which.
    /// `None` if it is not a test.
    fn test(self) -> Option<(&'static str, &'static str, [&'static str; 2])> {
        const EPISODES: [&str; 2] = ["STORM_EPISODES", "STORM_SEED"];
        Some(match self {
            Self::Faults => return None,
            Self::Bus => (
                "kills",
                "storm::a_storm_of_kills_loses_nothing_repeats_nothing_and_reorders_nothing",
                ["KILLS", "SEED"],
            ),
            Self::Fleet => (
                "suite",
                "recovery::storm::a_storm_of_kills_and_stops_loses_nothing_and_answers_each_task_once",
                ["STORM_KILLS", "STORM_SEED"],
            ),
            Self::Launches => (
                "suite",
                "storms::launches::a_run_of_which_any_processes_are_killed_at_any_instant_leaves_nothing",
                EPISODES,
            ),
            Self::Clients => (
                "suite",
                "storms::clients::a_list_whose_client_is_killed_again_and_again_has_each_result_once",
                EPISODES,
            ),
            Self::Answers => (
                "suite",
                "run::storms::each_answer_is_written_once_however_many_clients_are_killed",
                ["CLIENTS", "SEED"],
            ),
            Self::Journals => (
                "suite",
                "run::storms::one_result_counts_however_often_a_run_with_a_journal_is_killed",
                ["RUNS", "SEED"],
            ),
            Self::Triple => (
                "suite",
                "storms::launches::a_run_whose_client_supervisor_and_coordinator_are_killed_in_one_instant_leaves_nothing",
                EPISODES,
            ),
            Self::Resumes => (
                "suite",
                "runs::resumes::a_run_that_is_killed_at_any_instant_is_resumed_and_judged_and_leaves_nothing",
                EPISODES,
            ),
        })
    }
}

pub(crate) fn storm(workspace: &Workspace, args: &Args) -> Outcome {
    let Some((program, test, [many, which])) = args.kind.test() else {
        return faults::storm(workspace, args.seed, args.minutes);
    };
    let (kills, seed) = (format!("{many}={}", args.kills), format!("{which}={}", args.seed));
    let mut words = vec!["env", &kills, &seed, "cargo", "test", "--release"];
    words.extend(["--package", args.kind.package()]);
    if program == "kills" {
        words.extend(["--features", "kill-points"]);
    }
    words.extend(["--test", program, "--", "--exact", "--nocapture", test]);
    workspace.run(&words)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::workspace::made_up::Tree;
    use clap::ValueEnum as _;
    use std::path::Path;

    /// Whether a file below `dir` has a test whose name begins so.
    pub(crate) fn has_test(dir: &Path, name: &str) -> bool {
        let below = std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
        below.into_iter().any(|path| {
            has_test(&path, name)
                || std::fs::read_to_string(&path).is_ok_and(|text| text.contains(&format!("fn {name}")))
        })
    }

    /// `--exact` with a name that no test has runs nothing, and passes.
    #[test]
    fn each_storm_is_a_test_that_reads_its_variables() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let tests = |package: &str| root.join(package).join("tests");
        let mut read = String::new();
        let mut dirs = vec![tests("coordinator"), tests("harness")];
        while let Some(dir) = dirs.pop() {
            for entry in std::fs::read_dir(dir).unwrap().flatten() {
                if entry.path().is_dir() {
                    dirs.push(entry.path());
                } else {
                    read.push_str(&std::fs::read_to_string(entry.path()).unwrap_or_default());
                }
            }
        }
        for kind in Kind::value_variants() {
            let Some((program, test, variables)) = kind.test() else { continue };
            let name = test.rsplit("::").next().unwrap();
            let dir = tests(kind.package()).join(program);
            assert!(dir.is_dir(), "{kind:?}: there is no test program {program}");
            assert!(has_test(&dir, &format!("{name}()")), "{kind:?}: {program} has no test {name}");
            for variable in variables {
                assert!(read.contains(&format!("\"{variable}\"")), "{kind:?}: no test reads {variable}");
            }
        }
    }

    #[test]
    fn a_storm_runs_its_one_test_with_its_seed_and_its_number_of_kills() {
        let tree = Tree::new(&[]);
        tree.program("env", "");
        let run = |kind| storm(&tree.workspace, &Args { kind, kills: 5, seed: 7, minutes: 60 });
        assert_eq!(run(Kind::Triple), Ok(()));
        assert_eq!(run(Kind::Bus), Ok(()));
        assert_eq!(run(Kind::Resumes), Ok(()));
        let [triple, bus, resumes] = &tree.calls()[..] else { panic!("three calls") };
        let start = "env STORM_EPISODES=5 STORM_SEED=7 cargo test --release --package harness --test suite -- --exact ";
        assert!(resumes.starts_with(start), "{resumes}");
        let start = "env STORM_EPISODES=5 STORM_SEED=7 cargo test --release --package coordinator --test suite -- --exact ";
        assert!(triple.starts_with(start), "{triple}");
        let start = "env KILLS=5 SEED=7 cargo test --release --package coordinator --features kill-points --test kills -- ";
        assert!(bus.starts_with(start), "{bus}");
        tree.program("env", "exit 101");
        assert!(run(Kind::Launches).unwrap_err().ends_with("failed: exit status: 101"));
    }
}
