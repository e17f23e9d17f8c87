//! Every example under `scenarios/examples` does what it says.

use super::*;

#[test]
fn every_example_passes() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios/examples");
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    if !disk::has_disks() {
        files.retain(|file| !file.ends_with("disk.toml"));
    }
    files.sort();
    assert!(files.len() >= 5, "{files:?}");
    if !cgroups::can_be_made() {
        files.retain(|file| !file.ends_with("cgroups.toml"));
    }
    // They mostly wait: two at a time take half as long.
    let bench = Bench::new("");
    let half = |files: &[PathBuf]| {
        bench.start_by(bench.command().arg("run").args(files).args(["--json", "--out", "runs"]))
    };
    let (first, second) = files.split_at(files.len() / 2);
    let mut runs = Vec::new();
    // Read side by side: a harness whose output is not read for long gives up on it.
    let both = std::thread::scope(|scope| {
        [half(first), half(second)].map(|run| scope.spawn(|| run.end())).map(|run| run.join().unwrap())
    });
    for done in both {
        let recap: serde_json::Value = serde_json::from_str(&done.stdout).unwrap_or_default();
        runs.extend(recap["runs"].as_array().expect(&done.stderr).clone());
    }
    let names: Vec<&str> = runs.iter().filter_map(|run| run["scenario"].as_str()).collect();
    let cells = ["matrix-256b-2", "matrix-256b-10", "matrix-4kib-2", "matrix-4kib-10"];
    assert!(cells.iter().all(|cell| names.contains(cell)), "{names:?}");
    for run in runs {
        assert_eq!(run["verdict"], "PASS", "{}: {:#}", run["scenario"], run["judgement"]["reasons"]);
    }
}
