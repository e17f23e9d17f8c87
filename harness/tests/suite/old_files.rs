//! Files that users wrote for earlier versions of this program load unchanged. Those of `tests/fixtures/scenarios` are early versions
//! of the shipped ones: none is ever edited, and a new one is added when a key of the format gets another meaning or name.

use serde_json::Value;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/scenarios")
}

/// With those below `examples`.
fn files() -> Vec<PathBuf> {
    let listed =
        |directory: PathBuf| std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let all = listed(directory()).chain(listed(directory().join("examples")));
    let mut files: Vec<PathBuf> =
        all.filter(|path| path.extension().is_some_and(|extension| extension == "toml")).collect();
    files.sort();
    files
}

/// What a plan says that depends on the file alone.
fn described(plan: &Value) -> String {
    let facts = &plan["plan"];
    let mut text = format!("{}\n", plan["scenario"]["name"].as_str().unwrap());
    for key in [
        "topology",
        "coordinators",
        "workers_per_coordinator",
        "workload",
        "load",
        "round_every_ns",
        "duration_ns",
        "warm_up_ns",
        "task_timeout_ns",
        "rounds_planned",
        "tasks_per_round",
        "workers_least",
        "sample_every_ns",
        "stages",
    ] {
        if !facts[key].is_null() {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "  {key}: {}", facts[key]);
        }
    }
    for fault in facts["faults"].as_array().into_iter().flatten() {
        let _ = writeln!(text, "  fault: {} {}", fault["name"], fault["kind"]);
    }
    for criterion in plan["criteria"].as_array().unwrap() {
        let _ = writeln!(text, "  {}: {}", criterion["pass"], criterion["conditional"]);
    }
    text
}

#[test]
fn files_for_earlier_versions_say_what_they_said() {
    let files = files();
    assert!(files.len() >= 20, "{files:?}");
    let mut text = String::new();
    for file in &files {
        let mut command = Command::new(env!("CARGO_BIN_EXE_harness"));
        let output = command.arg("plan").arg(file).args(["--json", "--seed", "1"]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{}: {said}", file.display());
        let plan: Value = serde_json::from_slice(&output.stdout).unwrap();
        let plans = plan.as_array().cloned().unwrap_or_else(|| vec![plan]);
        text.extend(plans.iter().map(described));
    }
    insta::assert_snapshot!(text);
}
