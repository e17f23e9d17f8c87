//! A word of the fleet's shared memory that another program changes under load.
//!
//! Whatever it says: the run ends with a verdict, no process panics or takes memory by the word, and nothing is left.
//! `SCRIBBLE_ALL=1` takes every word of the layout, `SCRIBBLE_ONLY` those with a part of a name.

use super::{Bench, verdict};
use coordinator::client::fields::{Field, of_control, of_region};
use coordinator::config::FleetShape;
use std::os::unix::fs::FileExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

const SCENARIO: &str = r#"
schema = 1
name = "small"
asks = "Does a small fleet answer?"
[fleet]
topology = "hybrid"
coordinators = 1
workers = 2
[workload]
kind = "echo"
payload = "64B"
[load]
model = "open"
every = "50ms"
duration = "1500ms"
task_timeout = "1s"
[sampling]
every = "100ms"
[[criterion]]
name = "delivery"
pass = "delivery.rate >= 100%"
"#;

/// In KiB, as in the test of the fleets.
const ADDRESSES: u32 = 8 << 20;

/// File, field, value, and whether any other verdict than FAIL would be a false one.
type Case = (&'static str, Field, u64, bool);

/// The end of such a run, and what is wrong with it.
fn hold((file, field, value, fails): &Case) -> Result<(), String> {
    let bench = Bench::new(SCENARIO);
    let run = bench.start_within(ADDRESSES);
    let agents = run.agents_under_load();
    let fleet = std::fs::read_dir(bench.shm.path()).unwrap().next().unwrap().unwrap().path();
    let memory = std::fs::File::options().write(true).open(fleet.join(file)).unwrap();
    memory.write_all_at(&value.to_ne_bytes()[..field.bytes as usize], field.at).unwrap();
    let done = run.end();
    let mut said = [done.stdout, done.stderr].concat();
    for entry in std::fs::read_dir(bench.latest()).unwrap().flatten() {
        let is_text = entry.path().extension().is_some_and(|kind| kind == "stderr");
        if is_text {
            said += &std::fs::read_to_string(entry.path()).unwrap();
        }
    }
    for word in ["this is a bug", "panicked", "memory allocation"] {
        if said.contains(word) {
            return Err(format!("`{word}` in: {said}"));
        }
    }
    match done.status.code() {
        Some(0) if *fails => return Err("the verdict is PASS".to_owned()),
        Some(0 | 10 | 11 | 12) => {}
        code => return Err(format!("the harness ended with {code:?}: {said}")),
    }
    if *fails && verdict(&bench.latest())["verdict"] != "FAIL" {
        return Err(format!("the verdict is {}", verdict(&bench.latest())["verdict"]));
    }
    bench.assert_nothing_left(&agents);
    Ok(())
}

fn cases() -> Vec<Case> {
    // Payloads and depths are the harness's choice: what lies behind them is found by the coordinator's own test.
    let shape = FleetShape::new(1, 2, 64, 4).unwrap();
    let region = |name: &str| of_region(&shape).into_iter().find(|field| field.name == name).unwrap();
    let max = u64::from(u32::MAX);
    let known = [
        ("c0", region("workers[0].process.deaths"), max / 2, true),
        ("c0", region("workers[1].process.deaths"), max, true),
        ("c0", region("workers[0].own.executed"), u64::MAX, true),
        ("c0", region("workers[1].own.executed"), u64::MAX / 2, true),
        ("c0", region("counters.answered"), 0, false),
    ];
    let only = std::env::var("SCRIBBLE_ONLY").unwrap_or_default();
    if std::env::var_os("SCRIBBLE_ALL").is_none() && only.is_empty() {
        return known.into();
    }
    let mut all: Vec<Case> = known.into();
    for (file, fields) in [("control", of_control(&shape)), ("c0", of_region(&shape))] {
        for field in fields {
            // The rest of a region begins where the size of a payload decides.
            if file == "c0"
                && field.at > region("workers[1].orders.suspected_ns").at
                && !field.name.starts_with("workers")
            {
                continue;
            }
            let max = if field.bytes == 4 { max } else { u64::MAX };
            all.extend([0, 1, max / 2, max].map(|value| (file, field.clone(), value, false)));
        }
    }
    all.retain(|(file, field, ..)| format!("{file} {}", field.name).contains(&only));
    all
}

#[test]
fn whatever_one_word_of_a_fleet_says_a_run_ends_with_a_verdict_and_never_passes_over_nonsense() {
    let (cases, next, wrong) = (cases(), AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let held = catch_unwind(AssertUnwindSafe(|| hold(case)));
                    let why = match held {
                        Ok(Ok(())) => continue,
                        Ok(Err(why)) => why,
                        Err(panic) => format!("this process panicked: {:?}", panic.downcast_ref::<String>()),
                    };
                    println!("{} {} := {:#x}: {why}", case.0, case.1.name, case.2);
                    wrong.lock().unwrap().push(format!("{} {} := {:#x}: {why}", case.0, case.1.name, case.2));
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    println!("{} words held, {} did not", cases.len() - wrong.len(), wrong.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
