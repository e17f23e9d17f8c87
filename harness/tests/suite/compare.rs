//! `harness compare` and `harness baseline`, over runs that never happened: their true difference is known.

use harness::scenario::{Plan, PlanOptions, Rehearsal, Scenario, Selection, Source};
use harness::synthetic::{MS_NS, Synthetic, settle};
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A run of `smoke` that never happened.
pub(crate) fn smoke(name: &str, sets: &[&str], rehearsal: Option<Rehearsal>) -> Synthetic {
    let text = include_str!("../../../scenarios/smoke.toml").to_owned();
    let source = Source::new("scenarios/smoke.toml", text);
    let selection = Selection { profile: None, sets: sets.iter().map(|set| (*set).to_owned()).collect() };
    let scenario = Scenario::parse(&source, &selection).unwrap();
    let plan = Plan::new(scenario, &PlanOptions { seed: Some(1), fallback_seed: 1, rehearsal });
    let mut run = Synthetic::of(&plan);
    name.clone_into(&mut run.header().run_id);
    run
}

/// Its rounds take `slow` times as long, and 0 to 3 % more, by its name. No two names have the same times.
pub(crate) fn slowed(run: &mut Synthetic, name: &str, slow: f64) {
    let own = 1.0 + f64::from(name.bytes().map(u32::from).sum::<u32>() % 7) * 0.005;
    let apart = name.bytes().fold(0, |sum: u64, byte| (sum * 31 + u64::from(byte)) % 9973);
    for (number, round) in run.load_rounds() {
        let took = (5 * MS_NS + number * 7 % 11 * (MS_NS / 10)) as f64 * slow * own;
        settle::took(round, took as u64 + apart);
    }
}

/// Its log in a directory of its own.
pub(crate) fn stored(mut run: Synthetic, directory: &Path, name: &str) -> PathBuf {
    run.settle();
    let path = directory.join(name);
    std::fs::create_dir_all(&path).unwrap();
    std::fs::write(path.join("run.log"), run.log().unwrap()).unwrap();
    path
}

/// Of `smoke`, whose rounds take `slow` times as long in a run, and a little more or less in each run.
pub(crate) fn run(directory: &Path, name: &str, slow: f64, bend: impl FnOnce(&mut Synthetic)) -> PathBuf {
    let mut run = smoke(name, &[], None);
    slowed(&mut run, name, slow);
    bend(&mut run);
    stored(run, directory, name)
}

/// So many runs in a directory of their own.
pub(crate) fn side(directory: &Path, name: &str, runs: usize, slow: f64) -> String {
    for number in 0..runs {
        run(&directory.join(name), &format!("{name}-{number}"), slow, |_| ());
    }
    directory.join(name).to_str().unwrap().to_owned()
}

pub(crate) fn harness(directory: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_harness")).current_dir(directory).args(arguments).output().unwrap()
}

pub(crate) fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

pub(crate) fn words(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap() + &String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn exit_codes_say_whether_runs_have_become_worse() {
    let whole = tempfile::tempdir().unwrap();
    let at = whole.path();
    let (before, same, slower) =
        (side(at, "before", 6, 1.0), side(at, "same", 6, 1.0), side(at, "slower", 6, 1.3));
    for (now, wanted, word) in [(&same, 0, "NO REGRESSION"), (&slower, 13, "REGRESSION")] {
        let output = harness(at, &["compare", &before, now]);
        assert_eq!(code(&output), wanted, "{}", words(&output));
        assert!(words(&output).starts_with(word), "{}", words(&output));
    }
    let one = harness(at, &["compare", &format!("{before}/before-0"), &format!("{same}/same-0")]);
    assert_eq!(code(&one), 12, "{}", words(&one));
    let three = harness(at, &["compare", &before, &same, &slower, "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&three.stdout).unwrap();
    assert_eq!((code(&three), &json["exit"]["code"]), (13, &serde_json::json!(13)));
    assert_eq!(json["against"].as_array().unwrap().len(), 2);
    let logs: Vec<String> = (0..6).map(|n| format!("{slower}/slower-{n}/run.log")).collect();
    let mut arguments = vec!["compare", before.as_str(), "--new"];
    arguments.extend(logs.iter().map(String::as_str));
    assert_eq!(code(&harness(at, &arguments)), 13);
}

#[test]
fn documents_are_written_by_the_ending_of_their_name_and_agree() {
    let whole = tempfile::tempdir().unwrap();
    let at = whole.path();
    let (before, slower) = (side(at, "before", 3, 1.0), side(at, "slower", 3, 1.3));
    let documents = ["--report", "a.html", "--report", "a.md", "--report", "a.json"];
    let output = harness(at, &[&["compare", &before, &slower][..], &documents].concat());
    assert_eq!(code(&output), 13, "{}", words(&output));
    for name in ["a.html", "a.md", "a.json"] {
        let text = std::fs::read_to_string(at.join(name)).unwrap();
        assert!(text.contains("REGRESSION") && text.contains("task.time p50"), "{name}: {text}");
    }
    let html = std::fs::read_to_string(at.join("a.html")).unwrap();
    assert!(!html.contains("http") && !html.contains("<script"), "it works offline");
}

#[test]
fn runs_that_do_not_belong_together_are_refused() {
    let whole = tempfile::tempdir().unwrap();
    let at = whole.path();
    let before = side(at, "before", 3, 1.0);
    let elsewhere = at.join("elsewhere");
    for number in 0..3 {
        run(&elsewhere, &format!("elsewhere-{number}"), 1.0, |run| {
            run.header().host.machine = "m1-9999".into();
        });
    }
    let other = elsewhere.to_str().unwrap();
    for (arguments, word) in [
        (&["compare", &before, other][..], "--across-hosts"),
        (&["compare", &before, &before], "both sides"),
        (&["compare", &before], "nothing to compare"),
        (&["compare", &before, "nowhere"], "cannot read"),
        (&["compare", &before, other, "--limit", "200%"], "between 0% and 100%"),
        (&["compare", &before, other, "--figure", "task.time p5"], "task.time p50"),
        (&["compare", &before, other, "--profile", "ci"], "--interleave"),
        (&["compare", "--interleave", "/nowhere/old", "/nowhere/new", "smoke"], "cannot start"),
    ] {
        let output = harness(at, arguments);
        assert_eq!(code(&output), 64, "{arguments:?}: {}", words(&output));
        assert!(words(&output).contains(word), "{arguments:?}: {}", words(&output));
    }
    let allowed = harness(at, &["compare", &before, other, "--across-hosts"]);
    assert_eq!(code(&allowed), 0, "{}", words(&allowed));
    assert!(words(&allowed).contains("although they differ in the machine"), "{}", words(&allowed));
}

#[test]
fn a_run_with_a_torn_or_damaged_log_is_left_out_and_named() {
    let whole = tempfile::tempdir().unwrap();
    let at = whole.path();
    let (before, now) = (side(at, "before", 4, 1.0), side(at, "now", 4, 1.0));
    for (run, at_byte) in [("now-1", None), ("now-2", Some(300))] {
        let log = at.join("now").join(run).join("run.log");
        let mut bytes = std::fs::read(&log).unwrap();
        match at_byte {
            None => bytes.truncate(bytes.len() - 10),
            Some(byte) => bytes[byte] ^= 1,
        }
        std::fs::write(&log, bytes).unwrap();
    }
    let output = harness(at, &["compare", &before, &now, "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let side = &json["against"][0]["side"];
    assert_eq!(side["runs"].as_array().unwrap().len(), 2, "{side}");
    assert_eq!(side["left_out"].as_array().unwrap().len(), 2, "{side}");
}

#[test]
fn a_baseline_is_the_same_file_for_the_same_runs_and_holds_later_runs_to_itself() {
    let whole = tempfile::tempdir().unwrap();
    let at = whole.path();
    let (before, same, slower) =
        (side(at, "before", 6, 1.0), side(at, "same", 3, 1.0), side(at, "slower", 3, 1.3));
    let set = harness(at, &["baseline", "set", "smoke", &before]);
    assert_eq!(code(&set), 0, "{}", words(&set));
    let file = at.join("baselines/smoke.json");
    let first = std::fs::read(&file).unwrap();
    assert!(first.len() < 64 << 10, "{} bytes", first.len());
    harness(at, &["baseline", "set", "smoke", &format!("{before}/before-5"), &before]);
    assert_eq!(std::fs::read(&file).unwrap(), first, "whatever the order of the runs");
    for (runs, wanted) in [(&same, 0), (&slower, 13), (&before, 64)] {
        let output = harness(at, &["compare", "--baseline", "smoke", runs]);
        assert_eq!(code(&output), wanted, "{}", words(&output));
    }
    assert_eq!(code(&harness(at, &["compare", "baselines/smoke.json", &same])), 0);
    assert!(words(&harness(at, &["baseline", "list"])).contains("scenario smoke, 6 runs"));
    assert!(words(&harness(at, &["baseline", "show", "smoke"])).contains("coordination.time p50"));
    std::fs::write(&file, String::from_utf8(first).unwrap().replacen("\"format\": 1", "\"format\": 9", 1))
        .unwrap();
    let newer = harness(at, &["compare", "--baseline", "smoke", &same]);
    assert_eq!(code(&newer), 64);
    assert!(words(&newer).contains("format 9"), "{}", words(&newer));
    assert_eq!(code(&harness(at, &["baseline", "set", "../smoke", &before])), 64);
}

#[test]
fn a_baseline_that_is_not_of_the_scenario_is_refused_before_anything_starts() {
    let whole = tempfile::tempdir().unwrap();
    let at = whole.path();
    let before = side(at, "before", 3, 1.0);
    harness(at, &["baseline", "set", "smoke", &before]);
    let smoke = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios/smoke.toml");
    let output =
        harness(at, &["run", smoke.to_str().unwrap(), "--set", "load.duration=3s", "--baseline", "smoke"]);
    assert_eq!(code(&output), 64, "{}", words(&output));
    assert!(words(&output).contains("nothing was started"), "{}", words(&output));
    assert!(!at.join("runs").exists());
}

/// A program that takes what a harness takes, and runs `script` with the directory that its run belongs in as `$out`.
pub(crate) fn stand_in(at: &Path, name: &str, script: &str) -> String {
    let path = at.join(name);
    let head = "#!/bin/sh\nwhile [ \"$1\" != --out ]; do shift; done\nout=$2\n";
    std::fs::write(&path, format!("{head}{script}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn two_programs_run_in_turn_and_one_failed_run_is_named() {
    let whole = tempfile::tempdir().unwrap();
    let at = whole.path();
    for (name, slow) in [("old", 1.0), ("new", 1.3)] {
        for pair in (1..=10).filter(|pair| (name, *pair) != ("new", 4)) {
            run(&at.join("made").join(name), &format!("{pair:03}"), slow, |made| {
                made.header().run_id = format!("{name}-{pair}");
            });
        }
    }
    let copy = |name: &str| {
        let made = at.join("made").join(name);
        let script = format!(
            "from={}/$(basename \"$out\")\n[ -d \"$from\" ] || {{ echo 'error: no memory' >&2; exit 20; }}\n\
             mkdir -p \"$out/smoke\" && cp -r \"$from\" \"$out/smoke/\"",
            made.display()
        );
        stand_in(at, &format!("{name}.sh"), &script)
    };
    let (old, new) = (copy("old"), copy("new"));
    let arguments = ["compare", "--interleave", &old, &new, "-n", "10", "--seed", "7", "smoke.toml"];
    let output = harness(at, &arguments);
    let said = words(&output);
    assert_eq!(code(&output), 13, "{said}");
    assert!(said.contains("new/004 made no run") && said.contains("error: no memory"), "{said}");
    assert!(said.contains("10 runs before and 9 runs now, made in turn"), "{said}");
    let order = |said: &str| -> Vec<String> {
        said.lines().filter(|line| line.starts_with("run ")).map(str::to_owned).collect()
    };
    let mixed = order(&said);
    assert_eq!(mixed.len(), 20);
    assert!(mixed.iter().step_by(2).any(|line| line.contains("old")), "{mixed:?}");
    assert!(mixed.iter().step_by(2).any(|line| line.contains("new")), "{mixed:?}");
}

#[test]
fn a_signal_ends_the_run_that_goes_on_and_begins_no_other() {
    let whole = tempfile::tempdir().unwrap();
    let at = whole.path();
    let program = env!("CARGO_BIN_EXE_harness");
    let smoke = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios/smoke.toml");
    let mut child = Command::new(program)
        .current_dir(at)
        .args(["compare", "--interleave", program, program, "-n", "2", smoke.to_str().unwrap()])
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let begun = lines.by_ref().map_while(Result::ok).find(|line| line.starts_with("run 1 of 4"));
    assert!(begun.is_some());
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let rest: Vec<String> = lines.map_while(Result::ok).collect();
    assert_eq!(child.wait().unwrap().code(), Some(21), "{rest:?}");
    assert!(!rest.iter().any(|line| line.starts_with("run 2 of 4")), "{rest:?}");
}

#[test]
fn a_history_names_the_commits_between_which_a_figure_changed_also_from_kept_lines() {
    let whole = tempfile::tempdir().unwrap();
    let at = whole.path();
    for number in 0..12 {
        run(&at.join("runs"), &format!("run-{number:02}"), if number < 7 { 1.0 } else { 1.3 }, |run| {
            let header = run.header();
            header.build.git = format!("c{number:02}");
            header.started_utc = format!("2026-01-02T03:{number:02}:00Z");
        });
    }
    let shown = harness(at, &["history", "runs", "--html", "history.html"]);
    assert_eq!(code(&shown), 0, "{}", words(&shown));
    assert!(words(&shown).contains("between commits c06 and c07"), "{}", words(&shown));
    let html = std::fs::read_to_string(at.join("history.html")).unwrap();
    assert!(html.contains("<svg") && html.contains("between commits c06 and c07"));
    let lines = harness(at, &["history", "runs", "--lines"]);
    std::fs::write(at.join("kept.jsonl"), &lines.stdout).unwrap();
    std::fs::remove_dir_all(at.join("runs")).unwrap();
    let kept = harness(at, &["history", "kept.jsonl", "kept.jsonl"]);
    assert_eq!(kept.stdout, shown.stdout, "{}", words(&kept));
    std::fs::write(at.join("bad.jsonl"), "{}\n").unwrap();
    assert_eq!(code(&harness(at, &["history", "bad.jsonl"])), 64);
}

/// As Criterion leaves it: a benchmark of `ns` nanoseconds.
fn benchmark(at: &Path, directory: &str, id: &str, ns: f64) {
    let new = at.join("criterion").join(directory).join("new");
    std::fs::create_dir_all(&new).unwrap();
    let (low, high) = (ns * 0.98, ns * 1.02);
    let estimates = serde_json::json!({"mean": {
        "confidence_interval": {"confidence_level": 0.95, "lower_bound": low, "upper_bound": high},
        "point_estimate": ns, "standard_error": 1.0,
    }});
    std::fs::write(new.join("estimates.json"), estimates.to_string()).unwrap();
    std::fs::write(new.join("benchmark.json"), serde_json::json!({"full_id": id}).to_string()).unwrap();
}

#[test]
fn benchmarks_and_coverage_are_in_the_same_history_as_runs() {
    let whole = tempfile::tempdir().unwrap();
    let at = whole.path();
    run(&at.join("runs"), "run-1", 1.0, |_| {});
    let mut kept = harness(at, &["history", "runs", "--lines"]).stdout;
    for day in 0..12 {
        let slow = if day < 6 { 1.0 } else { 1.4 };
        benchmark(at, "ring/one", "ring/one by one", (1000.0 + f64::from(day * 5 % 7)) * slow);
        benchmark(at, "ring/base", "ring/two copies", 50.0 + f64::from(day * 3 % 5) * 0.1);
        let hit = if day < 8 { 90 } else { 70 };
        std::fs::write(at.join("lcov.info"), format!("SF:a.rs\nLF:100\nLH:{hit}\nend_of_record\n")).unwrap();
        let (commit, time) = (format!("c{day:02}"), format!("2026-12-{:02}T10:00:00Z", day + 1));
        let lines = harness(
            at,
            &[
                "history",
                "--criterion",
                "criterion",
                "--coverage",
                "lcov.info",
                "--commit",
                &commit,
                "--at",
                &time,
                "--lines",
            ],
        );
        assert_eq!(
            (code(&lines), String::from_utf8_lossy(&lines.stdout).lines().count()),
            (0, 2),
            "{}",
            words(&lines)
        );
        kept.extend(lines.stdout);
    }
    std::fs::write(at.join("kept.jsonl"), kept).unwrap();
    let shown = harness(at, &["history", "kept.jsonl", "--html", "history.html"]);
    let said = words(&shown);
    for words in [
        "Criterion: 12 measurements on m1-",
        "coverage (lcov): 12 measurements",
        "(worse) between commits c05 and c06 (runs criterion-20261206T100000Z-c05 and criterion-20261207T100000Z-c06)",
        "(worse) between commits c07 and c08 (runs lcov-20261208T100000Z-c07 and lcov-20261209T100000Z-c08)",
        "smoke: 1 run on",
        "ring/two copies             50.2 ns",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert_eq!(said.matches("between commits").count(), 2, "{said}");
    let html = std::fs::read_to_string(at.join("history.html")).unwrap();
    assert!(html.contains("<b>ring/one by one</b>") && html.contains("<b>coverage.lines</b>"));
    let smoke = words(&harness(at, &["history", "kept.jsonl", "--scenario", "smoke"]));
    assert!(smoke.contains("smoke: 1 run on") && !smoke.contains("Criterion"), "{smoke}");
}

#[test]
fn results_of_benchmarks_that_did_not_run_again_are_left_out_and_named() {
    let whole = tempfile::tempdir().unwrap();
    let at = whole.path();
    benchmark(at, "ring/new", "ring/new", 10.0);
    benchmark(at, "ring/old", "ring/old", 20.0);
    let old = std::fs::File::open(at.join("criterion/ring/old/new/estimates.json")).unwrap();
    old.set_modified(std::time::SystemTime::now() - std::time::Duration::from_hours(48)).unwrap();
    let output = harness(at, &["history", "--criterion", "criterion", "--commit", "abc", "--lines"]);
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(lines.contains("ring/new") && !lines.contains("ring/old"), "{lines}");
    assert!(words(&output).contains("`ring/old` is left out: it was measured on"), "{}", words(&output));
}

#[test]
fn the_format_of_a_coverage_report_is_seen_in_it() {
    let whole = tempfile::tempdir().unwrap();
    let at = whole.path();
    let lines = r#"{"lines":{"count":8,"covered":4}}"#;
    let export =
        format!(r#" {{"data":[{{"files":[{{"filename":"a.rs","summary":{lines}}}],"totals":{lines}}}]}}"#);
    std::fs::write(at.join("cov.json"), export).unwrap();
    let shown = words(&harness(at, &["history", "--coverage", "cov.json", "--commit", "abc"]));
    assert!(shown.contains("coverage (llvm-cov): 1 measurement"), "{shown}");
    assert!(shown.contains("coverage.lines") && shown.contains("50 %"), "{shown}");
}

#[test]
fn a_measurement_that_cannot_be_read_is_refused_with_its_file_and_what_to_do() {
    let whole = tempfile::tempdir().unwrap();
    let at = whole.path();
    benchmark(at, "ring/one", "ring/one", 1000.0);
    std::fs::create_dir_all(at.join("empty")).unwrap();
    std::fs::write(at.join("cut.info"), "SF:a.rs\nLF:100\n").unwrap();
    let refused = |arguments: &[&str], wanted: &[&str]| {
        let output = harness(at, &[&["history"], arguments].concat());
        assert_eq!(code(&output), 64, "{}", words(&output));
        for part in wanted {
            assert!(words(&output).contains(part), "{part}: {}", words(&output));
        }
    };
    refused(&["--criterion", "criterion"], &["--commit"]);
    refused(&["--commit", "abc"], &["--criterion", "--coverage"]);
    refused(
        &["--criterion", "empty", "--commit", "abc"],
        &["`empty`", "no `new/estimates.json`", "target/criterion"],
    );
    refused(
        &["--coverage", "cut.info", "--commit", "abc"],
        &["`cut.info`", "ends within the record", "cargo llvm-cov"],
    );
    refused(&["--coverage", "cut.info", "--commit", "a b"], &["letters, digits"]);
    refused(&["--coverage", "cut.info", "--commit", "abc", "--at", "today"], &["2026-12-01T10:00:00Z"]);
    std::fs::write(at.join("criterion/ring/one/new/estimates.json"), "{\"mean\":{").unwrap();
    refused(
        &["--criterion", "criterion", "--commit", "abc"],
        &[
            "criterion/ring/one/new/estimates.json",
            "not what Criterion writes",
            "line 1 column",
            "cargo bench",
        ],
    );
}
