//! The benchmark scenarios do what they say, in their short profile.

use super::*;

#[test]
fn every_benchmark_passes_in_its_short_profile() {
    let names = [
        "bench-spawn-708",
        "bench-messages-10k",
        "bench-messages-10k-100",
        "bench-messages-10k-1000",
        "bench-repeat-500x10",
        "bench-combined",
        "pool-reuse",
    ];
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios");
    let files = names.map(|name| directory.join(format!("{name}.toml")));
    let bench = Bench::new("");
    let arguments = ["--profile", "ci", "--json", "--out", "runs"];
    let done = bench.start_by(bench.command().arg("run").args(&files).args(arguments)).end();
    let recap: serde_json::Value = serde_json::from_str(&done.stdout).unwrap_or_default();
    let runs = recap["runs"].as_array().expect(&done.stderr);
    assert_eq!(runs.len(), names.len(), "{recap:#}");
    for run in runs {
        assert_eq!(run["verdict"], "PASS", "{}: {:#}", run["scenario"], run["judgement"]["reasons"]);
    }
    bench.assert_nothing_left(&[]);
}

#[test]
fn figures_that_no_other_run_has_are_in_the_log_and_measured() {
    let criteria = "[[criterion]]\nname = \"ratio\"\npass = \"launch.ratio < 100000%\"\n\
                    [[criterion]]\nname = \"first\"\npass = \"first.answer max < 1m\"\n\
                    [[criterion]]\nname = \"complete\"\npass = \"completion.time max < 1m\"\n\
                    [[criterion]]\nname = \"shared\"\npass = \"balance < 100%\"\n";
    let bench = Bench::new(&(scenario(1) + criteria));
    let done = bench.start(&["--quiet"]).end();
    assert_eq!(done.status.code(), Some(0), "{}{}", done.stdout, done.stderr);
    let log = std::fs::read_to_string(bench.latest().join("run.log")).unwrap();
    assert!(log.contains("\"bare_forks_ns\":"), "{log}");
    assert!(log.contains("\"coordinators\":[3,3]"), "a round has a task for each of three workers:\n{log}");
    let verdict = verdict(&bench.latest());
    let of = |name: &str| {
        let criteria = verdict["criteria"].as_array().unwrap();
        let criterion = criteria.iter().find(|criterion| criterion["name"] == name).unwrap();
        criterion["value"].as_f64().unwrap_or_else(|| panic!("{name}: {criterion:#}"))
    };
    assert!(of("ratio") > 0.0 && of("first") > 0.0 && of("complete") >= 0.0, "{verdict:#}");
    assert!(of("shared").abs() < 1e-9, "each worker has a task of each round: {verdict:#}");
    let coordination = of("coordination");
    assert!(of("first") <= coordination && of("complete") <= coordination, "{verdict:#}");
}
