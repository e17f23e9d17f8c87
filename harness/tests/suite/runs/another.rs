//! An old run, judged by the criteria of a new scenario file.

use super::{Bench, documents, scenario, verdict};

/// The scenario that ran, for longer, with one more criterion.
fn with(pass: &str) -> String {
    format!("{}\n[[criterion]]\nname = \"new\"\npass = \"{pass}\"\n", scenario(100))
}

#[test]
fn an_old_run_is_judged_by_a_new_file_and_every_document_says_so() {
    let bench = Bench::new(&scenario(1));
    let done = bench.start(&["--quiet"]).end();
    assert_eq!(done.status.code(), Some(0), "{}{}", done.stdout, done.stderr);
    let run = bench.latest();
    let path = run.to_str().unwrap();
    let before = documents(&run);
    std::fs::write(bench.dir.path().join("new.toml"), with("coordination.time max < 1us")).unwrap();

    let judged = bench.ask(&["judge", path, "--scenario", "new.toml"]);
    assert_eq!(judged.status.code(), Some(10), "{judged:?}");
    let found = verdict(&run);
    assert_eq!((&found["verdict"], &found["satisfies_gate"]), (&"FAIL".into(), &false.into()));
    assert_eq!(
        (&found["judged_by"]["file"], &found["judged_by"]["scenario"]),
        (&"new.toml".into(), &"small".into())
    );
    assert_eq!(found["judged_by"]["sha256"].as_str().unwrap().len(), 64);
    assert_eq!(found["criteria"].as_array().unwrap().len(), 5);

    // A pass by other criteria is no pass of the scenario that ran.
    std::fs::write(bench.dir.path().join("new.toml"), with("coordination.time max < 50s")).unwrap();
    let reported = bench.ask(&["report", path, "--scenario", "new.toml"]);
    assert_eq!(reported.status.code(), Some(0), "{reported:?}");
    assert!(reported.stdout.contains("criteria of `new.toml`"), "{reported:?}");
    // It was the run of its own file.
    assert!(!reported.stdout.contains("Not what the scenario file states"), "{reported:?}");
    let found = verdict(&run);
    assert_eq!((&found["verdict"], &found["satisfies_gate"]), (&"PASS".into(), &false.into()));
    for name in ["report.html", "report.md", "junit.xml", "verdict.json"] {
        let text = std::fs::read_to_string(run.join(name)).unwrap();
        assert!(text.contains("new.toml"), "{name}");
    }
    let listed = bench.ask(&["list", "--runs"]);
    assert!(listed.stdout.contains("PASS (criteria of new.toml)"), "{listed:?}");
    let listed = bench.ask(&["list", "--runs", "--json"]);
    let listed: serde_json::Value = serde_json::from_str(&listed.stdout).unwrap();
    let run_listed = (&listed[0]["verdict"], &listed[0]["variant"]);
    assert_eq!(run_listed, (&"PASS".into(), &"criteria of new.toml".into()), "{listed:#}");

    // By the file that ran it is the run that it was.
    let plain = bench.ask(&["report", path, "--scenario", "small.toml"]);
    assert_eq!(plain.status.code(), Some(0), "{plain:?}");
    assert_eq!(verdict(&run)["satisfies_gate"], true);
    assert!(documents(&run) == before, "the file that ran made other documents");
}

/// By a new file that asks for this, a run is neither judged nor reported, and the refusal says so.
fn assert_refused(bench: &Bench, run: &str, pass: &str, words: &[&str]) {
    std::fs::write(bench.dir.path().join("new.toml"), with(pass)).unwrap();
    for verb in ["judge", "report"] {
        let refused = bench.ask(&[verb, run, "--scenario", "new.toml"]);
        let said = refused.stderr;
        assert_eq!(refused.status.code(), Some(64), "{said}");
        for words in words.iter().chain([&"criterion `new` (new.toml:"]) {
            assert!(said.contains(words), "{words}: {said}");
        }
    }
}

/// What the new file would run may be of another size.
#[test]
fn criteria_that_the_run_itself_could_not_fail_are_refused() {
    let bench = Bench::new(&scenario(1));
    assert_eq!(bench.start(&["--quiet"]).end().status.code(), Some(0));
    let run = bench.latest();
    let path = run.to_str().unwrap();
    let before = documents(&run);
    assert_refused(
        &bench,
        path,
        "delivery.failed <= 500",
        &["asks `delivery.failed <= 500`", "holds of every run"],
    );
    assert!(documents(&run) == before);
}

#[test]
fn criteria_that_cannot_apply_are_named_and_nothing_is_written() {
    let bench = Bench::new(&scenario(1));
    assert_eq!(bench.start(&["--quiet"]).end().status.code(), Some(0));
    let run = bench.latest();
    let path = run.to_str().unwrap();
    let before = documents(&run);
    assert_refused(
        &bench,
        path,
        "coordination.time p99.9 < 50s",
        &["p99.9 needs 1000 values", "`informational`"],
    );
    let missing = bench.ask(&["judge", path, "--scenario", "none.toml"]);
    assert_eq!(missing.status.code(), Some(64), "{missing:?}");
    assert!(documents(&run) == before);
}
