//! Runs whose harness is killed at any instant, from its start to its end, by the dozen: each is resumed and judged, and
//! nothing is left. `STORM_EPISODES` says how many, `STORM_SEED` chooses the instants.

use super::resumed::{evidence, logs, open, planned, rounds};
use super::{Bench, Done, Run, scenario, verdict, wait_until};
use crate::random::{Random, number};
use reports::runlog::{codec, event::Event};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

const LOAD_S: u32 = 10;
/// The load, with what comes before and after it.
const LIFE_MAX: Duration = Duration::from_millis(12_500);

/// Faults whose effects outlast a harness that is killed, unless the fleet and the next harness see to them.
const FAULTS: &str = r#"
[[fault]]
name = "kills"
kind = "kill"
role = "worker"
at = "1s"
every = "1500ms"
times = 5
[[fault]]
name = "pauses"
kind = "pause"
role = "coordinator"
at = "1500ms"
every = "2s"
times = 4
for = "300ms"
[[fault]]
name = "full"
kind = "shm-fill"
fill = "90%"
at = "2s"
every = "3s"
times = 2
for = "1s"
[shm]
size = "64MiB"
"#;

/// With faults or without; a gap is allowed.
fn asked(with_faults: bool) -> String {
    let gap = "[[criterion]]\nname = \"gap\"\npass = \"gap.time < 1h\"\n[[criterion]]";
    let scenario = scenario(LOAD_S).replacen("[[criterion]]", gap, 1);
    if with_faults { format!("{scenario}{FAULTS}") } else { scenario }
}

/// What a harness that was killed has left of its run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Left {
    /// No log, or one without a header: nothing had begun.
    Nothing,
    /// A log that has no end.
    Cut,
    /// A log with its end; of the documents, some or none.
    Whole,
}

fn left(bench: &Bench) -> Left {
    let Ok(run) = std::fs::canonicalize(bench.out().join("small/latest")) else { return Left::Nothing };
    let mut all = logs(&run);
    all.sort_by_key(|name| (name.len(), name.clone()));
    // One without a header had not begun, and is written again.
    let last =
        all.iter().rev().find_map(|name| codec::open(&run.join(name)).ok()?.map_while(Result::ok).last());
    match last.map(|record| record.event) {
        None => Left::Nothing,
        Some(Event::End(_)) => Left::Whole,
        Some(_) => Left::Cut,
    }
}

/// Kills it at some instant, unless it comes to its end before.
fn kill(mut run: Run<'_>, random: &mut Random) -> Result<(), Done> {
    // Not a wait for anything: its length is the input of the storm.
    let ends = Instant::now() + Duration::from_micros(random.below(LIFE_MAX.as_micros() as u64));
    while let Some(left) = ends.checked_duration_since(Instant::now()) {
        std::thread::park_timeout(left);
    }
    if run.child.try_wait().unwrap().is_some() {
        return Err(run.end());
    }
    run.child.kill().unwrap();
    run.child.wait().unwrap();
    Ok(())
}

/// Processes that have the directory of the bench in their environment: the harness, its fleet and its helpers.
fn at_work(bench: &Bench) -> Vec<String> {
    let mark = format!("COORDINATOR_SHM_DIR={}", bench.shm.path().display());
    let has_mark = |pid: &str| {
        std::fs::read(format!("/proc/{pid}/environ"))
            .is_ok_and(|text| text.split(|byte| *byte == 0).any(|one| one == mark.as_bytes()))
    };
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = all.filter_map(|entry| entry.file_name().into_string().ok());
    pids.filter(|pid| has_mark(pid))
        .map(|pid| {
            let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            format!("{} ({pid})", name.trim_end())
        })
        .collect()
}

/// Files below it, whatever directories there are.
fn files(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            found.extend(files(&entry.path()));
        } else {
            found.push(entry.path().display().to_string());
        }
    }
    found
}

/// A fleet whose harness was killed takes a moment to end.
fn assert_nothing_left(bench: &Bench, seed: u64) {
    wait_until(&format!("seed {seed}: all processes have ended"), || at_work(bench).is_empty());
    bench.assert_nothing_left(&[]);
    assert_eq!(files(&bench.state()), [""; 0], "seed {seed}");
}

/// Its run was judged, and by what it did before it was killed and after.
fn assert_judged(bench: &Bench, done: &Done, with_faults: bool, seed: u64) {
    let said = format!("seed {seed}: {:?}\n{}{}", done.status, done.stdout, done.stderr);
    let code = done.status.code();
    // A fault that the kill has cut off cannot be shown to have healed.
    assert!(code == Some(0) || with_faults && code == Some(12), "{said}");
    let verdict = verdict(&bench.latest());
    assert_eq!(verdict["exit"]["code"].as_i64(), code.map(i64::from), "{said}");
    for check in ["ledger", "log consistent", "run complete", "rounds done", "no undeclared death"] {
        assert_eq!(evidence(&verdict, check), "PASS", "{check}: {said}");
    }
    let open = open(&verdict);
    assert!(open.is_empty() || code == Some(12) && open == ["faults proven"], "{open:?}: {said}");
    for criterion in verdict["criteria"].as_array().unwrap() {
        assert_eq!(criterion["verdict"], "PASS", "{criterion:#}\n{said}");
    }
    assert!(rounds(&bench.latest()).len() >= planned(LOAD_S), "{said}");
}

/// Returns what the first kill left; `None` if the run came to its end before.
fn episode(seed: u64) -> Option<Left> {
    let mut random = Random(seed);
    let with_faults = random.one_in(3);
    let bench = Bench::new(&asked(with_faults));
    let mut kills = 0;
    let mut first = None;
    let mut ended = kill(bench.start(&["--quiet"]), &mut random);
    loop {
        if let Err(done) = ended {
            assert_judged(&bench, &done, with_faults, seed);
            break;
        }
        kills += 1;
        let left = left(&bench);
        first = first.or(Some(left));
        if left == Left::Nothing {
            let done = bench.ask(&["resume", "runs/small/latest"]);
            assert_eq!(done.status.code(), Some(64), "seed {seed}: {}", done.stderr);
            break;
        }
        if left == Left::Whole {
            let done = bench.ask(&["resume", "runs/small/latest"]);
            assert!(done.stderr.contains("it was carried out to its end"), "seed {seed}: {}", done.stderr);
            let done = bench.ask(&["judge", "runs/small/latest"]);
            assert_judged(&bench, &done, with_faults, seed);
            break;
        }
        let again = bench.start_by(bench.command().args(["resume", "runs/small/latest", "--quiet"]));
        // Some are killed again, and no run more than three times.
        ended = if kills < 3 && random.one_in(3) { kill(again, &mut random) } else { Err(again.end()) };
    }
    // As the next user of the host would.
    if bench.out().exists() {
        let cleaned = bench.ask(&["clean", "runs", "--keep", "1000", "--yes"]);
        assert!(cleaned.status.success(), "seed {seed}: {}", cleaned.stderr);
    }
    assert_nothing_left(&bench, seed);
    first
}

#[test]
fn a_run_that_is_killed_at_any_instant_is_resumed_and_judged_and_leaves_nothing() {
    let (episodes, seed) = (number("STORM_EPISODES", 2), number("STORM_SEED", 1));
    let mut found = BTreeMap::<Option<Left>, u64>::new();
    for seed in seed..seed + episodes {
        *found.entry(episode(seed)).or_default() += 1;
    }
    eprintln!("{episodes} runs, by what their first kill left: {found:?}");
}
