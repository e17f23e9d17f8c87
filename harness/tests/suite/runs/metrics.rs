//! Metrics whose figures only a real fleet and a real host give.

use super::{Bench, verdict};
use std::collections::BTreeMap;

/// Of ten tasks one ends badly, and one takes longer than it may.
const SCENARIO: &str = r#"
schema = 1
name = "small"
asks = "Why do tasks fail?"
[fleet]
topology = "hybrid"
coordinators = 2
workers = 2
[workload]
kind = "exec"
command = ["sh", "-c", "case {} in *3) exit 3;; *7) sleep 60;; esac"]
[load]
model = "closed"
duration = "5s"
task_timeout = "500ms"
[sampling]
every = "100ms"
pss_every = "1s"
"#;

const PASSES: [&str; 18] = [
    "timeouts == 0",
    "exits.nonzero == 0",
    "failures.deaths == 0",
    "failures.refused == 0",
    "failures.other == 0",
    "delivery.failed == 0",
    "balance < 50%",
    "pool.reuse > 10%",
    "pool.poisoned == 0",
    "retries == 0",
    "host.load max < 100000",
    "host.steal max < 99%",
    "switches.voluntary max < 100000000/s",
    "coordination.time max < 60s every 2s",
    "batch.tasks >= 1.5",
    "batch.answers > 1.1",
    "batch.efficiency > 1%",
    "delivery.late{coordinator=1} == 0",
];

#[test]
fn failures_have_reasons_and_the_fleet_and_the_host_have_figures() {
    let criterion = |(at, pass)| format!("[[criterion]]\nname = \"asked-{at}\"\npass = \"{pass}\"\n");
    let criteria: Vec<String> = PASSES.iter().enumerate().map(criterion).collect();
    let bench = Bench::new(&format!("{SCENARIO}{}", criteria.concat()));
    let done = bench.start(&["--quiet"]).end();
    assert_eq!(done.status.code(), Some(10), "{}{}", done.stdout, done.stderr);
    let verdict = verdict(&bench.latest());
    let found = verdict["criteria"].as_array().unwrap().iter();
    let found = found.map(|criterion| criterion["value"].as_f64().unwrap_or(f64::NAN));
    let values: BTreeMap<&str, f64> = PASSES.into_iter().zip(found).collect();
    let value = |name: &str| values[PASSES.iter().find(|pass| pass.starts_with(name)).unwrap()];
    assert!(values.values().all(|value| value.is_finite()), "{values:?}");
    assert!(value("timeouts") >= 1.0 && value("exits.nonzero") >= 1.0, "{values:?}");
    let reasons = ["timeouts", "exits.nonzero", "failures.deaths", "failures.refused", "failures.other"];
    let left = value("delivery.failed") - reasons.map(value).iter().sum::<f64>();
    assert!(left.abs() < 0.5 && value("failures.other") < 0.5, "{values:?}");
    assert!(value("pool.reuse") > 0.1 && value("pool.reuse") <= 1.0, "{values:?}");
    assert!(value("host.load") >= 0.0 && (0.0..=1.0).contains(&value("host.steal")), "{values:?}");
    assert!(value("switches.voluntary") > 0.0 && value("balance") < 0.5, "{values:?}");
    // Of four tasks each coordinator gets two at once.
    assert!((value("batch.tasks") - 2.0).abs() < 0.01 && value("batch.answers") >= 1.0, "{values:?}");
    assert!((0.0..1.0).contains(&value("batch.efficiency")), "{values:?}");
    let report = std::fs::read_to_string(bench.latest().join("report.md")).unwrap();
    assert!(report.contains("- failed tasks: ") && report.contains(" timed out"), "{report}");
}
