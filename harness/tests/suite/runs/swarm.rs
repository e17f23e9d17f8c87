//! Swarms: the same seed is the same calendar, and a failing one is shrunk to the fault that it takes.

use super::*;
use reports::gate::index;
use serde_json::Value;

/// Each worker always has a task in hand, as one takes longer than the time between two rounds, and a task whose worker dies
/// is not tried again: the defect that only kills bring out.
fn fragile(attempts: u32) -> String {
    scenario(4)
        .replace("workers = 3", &format!("workers = 3\nattempts_max = {attempts}"))
        .replace("kind = \"echo\"\npayload = \"256B\"", "kind = \"sleep\"\ntime = \"55ms\"")
        .replace("task_timeout = \"3s\"", "task_timeout = \"60s\"\nrounds_in_flight_max = 64")
        .replace("coordination.time max < 3s", "coordination.time max < 60s")
}

const BUDGET: [&str; 10] =
    ["--faults", "4", "--apart", "500ms", "--longest", "300ms", "--share", "20%", "--kinds", "pause,kill"];

fn swarm(bench: &Bench, extra: &[&str]) -> (Value, Done) {
    let mut command = bench.command();
    command
        .arg("swarm")
        .arg(bench.file())
        .args(BUDGET)
        .args(["--json", "--quiet", "--out", "runs"])
        .args(extra);
    let done = bench.start_by(&mut command).end();
    (serde_json::from_str(&done.stdout).unwrap_or_else(|_| panic!("{}{}", done.stdout, done.stderr)), done)
}

/// The first seed from 1 on that draws kills and others, and how often each.
fn seed_with_kills(bench: &Bench) -> u64 {
    let (plan, _) = swarm(bench, &["--seed", "1", "--runs", "40", "--plan"]);
    let kinds = |run: &Value| -> Vec<String> {
        run["faults"]
            .as_array()
            .unwrap()
            .iter()
            .map(|fault| fault["kind"].as_str().unwrap().to_owned())
            .collect()
    };
    let has_one_kill = |run: &&Value| kinds(run).iter().filter(|kind| *kind == "kill").count() == 1;
    plan["runs"].as_array().unwrap().iter().find(has_one_kill).unwrap()["seed"].as_u64().unwrap()
}

#[test]
fn the_same_seed_draws_the_same_faults_and_runs_nothing_with_plan() {
    let bench = Bench::new(&fragile(1));
    let first = swarm(&bench, &["--seed", "7", "--runs", "3", "--plan"]).0;
    assert_eq!(first, swarm(&bench, &["--seed", "7", "--runs", "3", "--plan"]).0);
    assert_ne!(first["runs"][0]["faults"], first["runs"][1]["faults"]);
    // A seed is the same one wherever a swarm begins.
    assert_eq!(first["runs"][1], swarm(&bench, &["--seed", "8", "--plan"]).0["runs"][0]);
    assert!(!bench.out().exists());
}

#[test]
fn a_defect_that_only_kills_bring_out_is_shrunk_to_a_kill_that_an_ordinary_run_repeats() {
    let bench = Bench::new(&fragile(1));
    let seed = seed_with_kills(&bench).to_string();
    let (found, done) = swarm(&bench, &["--seed", &seed, "--tries", "1", "--steps", "12"]);
    assert_eq!(done.status.code(), Some(10), "{found:#} {}", done.stderr);
    let shrunk = &found["shrunk"];
    let left = shrunk["faults"].as_array().unwrap();
    assert_eq!((left.len(), left[0]["kind"].as_str()), (1, Some("kill")), "{shrunk:#}");
    assert_eq!(
        (shrunk["faults_before"].as_u64(), shrunk["failed"].as_u64()),
        (Some(4), Some(1)),
        "{shrunk:#}"
    );
    assert_eq!(shrunk["steps"][0]["failed"], 0, "the scenario alone does not fail");
    // Every run is kept, and in the index.
    let runs = found["runs"].as_array().unwrap().iter().chain(found["tries"].as_array().unwrap());
    let kept = runs.map(|run| bench.dir.path().join(run["directory"].as_str().unwrap()).join("verdict.json"));
    assert!(kept.clone().all(|verdict| verdict.is_file()));
    let index = std::fs::read(bench.out().join(index::FILE)).unwrap();
    let ended = index::read(&index[..]).entries.iter().filter(|entry| !entry.is_unfinished()).count();
    assert!(ended >= kept.count(), "{}", String::from_utf8_lossy(&index));
    // What was written is an ordinary scenario.
    let words: Vec<&str> = shrunk["command"].as_str().unwrap().split(' ').collect();
    assert_eq!(words[..2], ["harness", "run"]);
    let again = bench.start_by(bench.command().args(&words[1..]).args(["--quiet", "--out", "again"])).end();
    assert_eq!(again.status.code(), Some(10), "{}", again.stdout);
}

#[test]
fn a_sound_fleet_passes_the_same_faults() {
    let bench = Bench::new(&fragile(5));
    let seed = seed_with_kills(&bench).to_string();
    let (found, done) = swarm(&bench, &["--seed", &seed]);
    assert_eq!(done.status.code(), Some(0), "{found:#} {}", done.stderr);
    assert_eq!((&found["shrunk"], found["runs"].as_array().unwrap().len()), (&Value::Null, 1));
}

#[test]
fn a_budget_that_the_load_or_the_fleet_has_no_room_for_is_refused() {
    let bench = Bench::new(&fragile(1));
    for (share, why) in [("20%", "100 faults, 3000 ms apart"), ("10%", "is less than one process")] {
        let mut command = bench.command();
        command.arg("swarm").arg(bench.file());
        command.args(["--faults", "100", "--kinds", "kill", "--share", share]);
        let done = bench.start_by(&mut command).end();
        assert_eq!(done.status.code(), Some(64));
        assert!(done.stderr.contains(why), "{}", done.stderr);
    }
}
