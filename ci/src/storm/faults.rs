//! `cargo xtask storm faults`: a fleet of 500 whose commands write files, killed and paused at 1,000 kills an hour while
//! its shared memory fills up, and an account of the files themselves.
//!
//! The harness runs and judges a scenario that is written here. Beside its verdict, the files say what happened: each attempt
//! at a task makes a file of its own, waits, and gives it the task's name by link(2), which only the first can. So each task
//! that was counted has one file with its name, made whole by one attempt; attempts that were killed have made files without
//! such a name. Deliberately absent: any word of the fleet or the harness in this account but the number of tasks.

mod account;

use crate::workspace::{Outcome, Workspace};
use account::{Files, Log};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// A cycle of the storm: five kills, so that 200 cycles make 1,000 in an hour.
const CYCLE_S: u64 = 18;
/// Before the first, so that all processes have begun to work.
const LEAD_S: u64 = 4;
/// What the last recovery needs to be judged by.
const REST_S: u64 = 20;
/// Every so many cycles /dev/shm is full when a coordinator dies, and every so many a coordinator stands still.
const FULL_EVERY: u64 = 2;

/// What each task runs: `$1` is its number, `$$` the attempt's process.
const SCRIPT: &str =
    "set -C; t=tries/$1.$$; echo $1 > $t && sleep 2 && { ln $t out/$1 2> /dev/null || test -e out/$1; }";

/// Runs the storm for so many minutes of load, and accounts for what it leaves.
pub(super) fn storm(workspace: &Workspace, seed: u64, minutes: u64) -> Outcome {
    if minutes < 2 {
        return Err("a storm takes two minutes at least: write `--minutes 2`".to_owned());
    }
    let dir = workspace.metadata.target_directory.as_std_path().join("storm-faults");
    let failed = |what: &str, error: std::io::Error| format!("cannot {what} `{}`: {error}", dir.display());
    if dir.exists() {
        fs::remove_dir_all(&dir).map_err(|error| failed("empty", error))?;
    }
    for part in ["out", "tries"] {
        fs::create_dir_all(dir.join(part)).map_err(|error| failed("make", error))?;
    }
    let scenario = dir.join("storm-faults.toml");
    fs::write(&scenario, text(&dir, minutes)).map_err(|error| failed("write into", error))?;
    workspace.run(&["cargo", "build", "--package", "harness"])?;
    let program = workspace.metadata.target_directory.as_std_path().join("debug/harness");
    let (runs, seed) = (path(&dir.join("runs"))?, seed.to_string());
    let words = [&path(&program)?, "run", &path(&scenario)?, "--out", &runs, "--seed", &seed];
    let judged = workspace.run(&words);
    let log = Log::read(&the_log(Path::new(&runs))?)?;
    let files = Files::read(&dir)?;
    let mut wrong = account::wrong(&log, &files);
    wrong.extend(judged.err());
    wrong.extend(account::survivors(&dir));
    eprintln!("{}", account::figures(&log, &files));
    if wrong.is_empty() {
        for part in ["out", "tries"] {
            fs::remove_dir_all(dir.join(part)).map_err(|error| failed("clear", error))?;
        }
        return Ok(());
    }
    let shown = wrong.iter().take(20).fold(String::new(), |mut all, one| {
        // Writing to a String cannot fail.
        let _ = write!(all, "\n  {one}");
        all
    });
    Err(format!("the storm left {} things wrong; the files are in `{}`:{shown}", wrong.len(), dir.display()))
}

fn path(path: &Path) -> Outcome<String> {
    path.to_str().map(str::to_owned).ok_or_else(|| format!("`{}` is not UTF-8", path.display()))
}

/// Of the only run below `runs`.
fn the_log(runs: &Path) -> Outcome<PathBuf> {
    let directories = |of: &Path| -> Vec<PathBuf> {
        fs::read_dir(of).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
    };
    let mut logs =
        directories(runs).into_iter().flat_map(|one| directories(&one)).map(|run| run.join("run.log"));
    logs.find(|log| log.is_file()).ok_or_else(|| format!("no run was begun in `{}`", runs.display()))
}

/// The scenario, for a load of so many minutes.
fn text(dir: &Path, minutes: u64) -> String {
    let load_s = minutes * 60;
    let cycles = (load_s - LEAD_S - REST_S) / CYCLE_S;
    let mut text = format!(
        r#"# Written by `cargo xtask storm faults`.
schema = 1
name = "storm-faults"
asks = "Is each file written once by a counted task, and all else exact, while 500 agents are killed 1,000 times an hour?"

[fleet]
topology = "hybrid"
coordinators = 10
workers = 50
attempts_max = 10 # no task is to be lost to several kills
restarts_max = 1000

[workload]
kind = "exec"
command = ["sh", "-c", {script:?}, "storm", "{{}}"]
cwd = {dir:?}

[load]
model = "open"
every = "5s"
duration = "{load_s}s"
warm_up = "10s"
task_timeout = "2m"
rounds_in_flight_max = 64

[sampling]
every = "2s"

[shm]
size = "800MiB" # little more than the fleet needs: to fill it takes no more memory than that
"#,
        script = SCRIPT,
        dir = dir.display().to_string(),
    );
    faults(&mut text, cycles);
    criteria(&mut text, minutes);
    text
}

/// Five kills a cycle: of a coordinator at its beginning, of workers when its successors are long there.
fn faults(text: &mut String, cycles: u64) {
    let mut fault = |name: &str, keys: &str, at_ms: u64, every: u64| {
        let (every_s, times) = (every * CYCLE_S, cycles.div_ceil(every));
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "\n[[fault]]\nname = \"{name}\"\n{keys}\nat = \"{at_ms}ms\"\nevery = \"{every_s}s\"\ntimes = {times}\n"
        );
    };
    let lead = LEAD_S * 1000;
    let kill = |role: &str| format!("kind = \"kill\"\nrole = \"{role}\"");
    fault("kill-coordinators", &kill("coordinator"), lead + 2_000, 1);
    for (number, after) in [7_100, 9_700, 12_400, 15_300].into_iter().enumerate() {
        fault(&format!("kill-workers-{number}"), &kill("worker"), lead + after, 1);
    }
    fault("pause-workers", "kind = \"pause\"\nrole = \"worker\"\ncount = 3\nfor = \"2s\"", lead + 10_500, 1);
    fault(
        "pause-coordinators",
        "kind = \"pause\"\nrole = \"coordinator\"\nfor = \"1s\"",
        lead + 16_500,
        FULL_EVERY,
    );
    fault("full", "kind = \"shm-fill\"\nfill = \"100%\"\nfor = \"3s\"", lead + 1_000, FULL_EVERY);
}

/// As the committed scenarios have them. A slope takes an hour of load.
fn criteria(text: &mut String, minutes: u64) {
    let mut all = vec![
        ("delivery", "delivery.rate >= 100%"),
        ("exactly-once", "delivery.duplicates == 0"),
        ("nothing-lost", "fault.loss == 0"),
        ("no-other-deaths", "incidents == 0"),
        ("recovery", "recovery.time max < 30s"),
        ("memory-growth", "memory.anon growth < 20%"),
    ];
    if minutes > 60 {
        all.push(("memory-leak-of-one", "memory.anon slope < 1MiB/h each"));
        all.push(("descriptors", "fds slope < 1/h each"));
    }
    for (name, pass) in all {
        // Writing to a String cannot fail.
        let _ = write!(text, "\n[[criterion]]\nname = \"{name}\"\npass = \"{pass}\"\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::made_up::Tree;

    /// A harness that leaves a log of two tasks, and their files.
    const RUNS: &str = "\
        mkdir -p \"$4/storm-faults/1\"\n\
        echo '{\"ev\":\"round\",\"tasks\":2,\"answered\":2}' > \"$4/storm-faults/1/run.log\"\n\
        cd \"${4%/runs}\"\n\
        for task in 0 1; do echo $task > tries/$task.7; ln tries/$task.7 out/$task; done\n";
    const DIR: &str = "../target/storm-faults";

    fn after(runs: &str, minutes: u64) -> (Tree, Outcome) {
        let tree = Tree::new(&[]);
        tree.program("cargo", "");
        tree.program_at("../target/debug/harness", runs);
        // Of a storm before.
        tree.write(&format!("{DIR}/out/9"), "9\n");
        let outcome = storm(&tree.workspace, 7, minutes);
        (tree, outcome)
    }

    #[test]
    fn a_storm_whose_files_and_log_agree_leaves_the_run_and_no_files_of_its_tasks() {
        let (tree, outcome) = after(RUNS, 2);
        assert_eq!(outcome, Ok(()));
        assert_eq!(tree.calls(), ["cargo build --package harness"]);
        let called = tree.read("../target/debug/calls");
        assert!(called.trim_end().ends_with("/storm-faults/runs --seed 7"), "{called}");
        let left = |part: &str| tree.path(&format!("{DIR}/{part}")).exists();
        assert!(left("storm-faults.toml") && left("runs") && !left("out") && !left("tries"));
    }

    #[test]
    fn a_storm_that_lost_a_file_or_was_judged_to_fail_keeps_all_of_them() {
        let (tree, outcome) = after(&format!("{RUNS}rm out/1\nexit 10\n"), 2);
        let error = outcome.unwrap_err();
        assert!(error.starts_with("the storm left 2 things wrong; the files are in `"), "{error}");
        assert!(error.contains("\n  task 1 was counted, and has no file\n"), "{error}");
        assert!(error.ends_with("failed: exit status: 10"), "{error}");
        assert_eq!(tree.read(&format!("{DIR}/out/0")), "0\n");
        assert!(!tree.path(&format!("{DIR}/out/9")).exists(), "what was there before is gone");
    }

    #[test]
    fn a_storm_that_is_too_short_or_begins_no_run_is_an_error() {
        assert!(after(RUNS, 1).1.unwrap_err().contains("write `--minutes 2`"));
        assert!(after("", 2).1.unwrap_err().starts_with("no run was begun in `"));
        assert!(after(&RUNS.replace("'{", "'["), 2).1.unwrap_err().contains("run.log`: expected"));
    }

    #[test]
    fn an_hour_has_close_to_a_thousand_kills_and_the_same_scenario_each_time() {
        let one = text(Path::new("/nowhere"), 60);
        assert_eq!(one, text(Path::new("/nowhere"), 60));
        let table: toml::Table = one.parse().unwrap();
        let kills: i64 = table["fault"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|fault| fault["kind"].as_str() == Some("kill"))
            .map(|fault| fault["times"].as_integer().unwrap())
            .sum();
        assert!((990..=1_000).contains(&kills), "{kills}");
        // Its last recovery can be judged, and a slope asks for more than an hour.
        assert!(!one.contains("slope"));
        assert!(text(Path::new("/nowhere"), 61).contains("slope"));
    }
}
