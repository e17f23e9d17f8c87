//! Which runs `harness compare` and `run --baseline` hold against each other, over runs that never happened.

use crate::compare::{code, harness, run, side, slowed, smoke, stand_in, stored, words};
use harness::synthetic::Synthetic;
use std::path::Path;

#[test]
fn a_run_that_is_named_twice_on_a_side_counts_once_and_that_is_said() {
    let whole = tempfile::tempdir().unwrap();
    let at = whole.path();
    let (before, now) = (side(at, "before", 6, 1.0), side(at, "now", 1, 1.3));
    assert_eq!(code(&harness(at, &["baseline", "set", "smoke", &before])), 0);
    let own = format!("{now}/now-0");
    let latest = format!("{now}/latest");
    std::os::unix::fs::symlink("now-0", &latest).unwrap();
    let log = format!("{own}/run.log");
    // Another id in its header, and the same records.
    let renamed = run(&at.join("renamed"), "now-0", 1.3, |run| run.header().run_id = "another".into());
    let renamed = renamed.to_str().unwrap();
    for again in [&latest, &own, &log, renamed] {
        let output = harness(at, &["compare", "--baseline", "smoke", &own, again, "--json"]);
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let found = &json["against"][0]["side"];
        assert_eq!(found["runs"], serde_json::json!(["now-0"]), "{again}: {found}");
        let left = &found["left_out"][0];
        assert!(left["why"].as_str().unwrap().contains("it is the run now-0"), "{again}: {left}");
    }
    // Of a baseline and its own runs, on one side; and of a run that is on both.
    let mixed = harness(at, &["compare", "baselines/smoke.json", &before, "--new", &now, "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&mixed.stdout).unwrap();
    assert_eq!(json["first"]["runs"].as_array().unwrap().len(), 6, "{json}");
    let both = harness(at, &["compare", &own, renamed]);
    assert_eq!(code(&both), 64, "{}", words(&both));
    assert!(words(&both).contains("both sides"), "{}", words(&both));
    let glob = harness(at, &["baseline", "set", "now", &own, &latest]);
    assert_eq!(code(&glob), 0, "{}", words(&glob));
    assert!(words(&glob).contains("it is the run now-0, which counts once"), "{}", words(&glob));
}

type Bend = fn(&mut Synthetic);

/// A baseline of runs that this build could have made here, except for what `bend` changes.
fn baseline_here(at: &Path, sets: &[&str], bend: impl Fn(&mut Synthetic)) {
    let facts = harness::host::facts(Path::new(harness::host::SHM_DIR));
    let build = harness::conduct::build();
    for number in 0..3 {
        let name = format!("before-{number}");
        let mut run = smoke(&name, sets, None);
        run.header().host.machine.clone_from(&facts.machine);
        run.header().host.fingerprint.clone_from(&facts.fingerprint);
        run.header().build = build.clone();
        slowed(&mut run, &name, 1.0);
        bend(&mut run);
        stored(run, &at.join("before"), &name);
    }
    let set = harness(at, &["baseline", "set", "smoke", "before"]);
    assert_eq!(code(&set), 0, "{}", words(&set));
    std::fs::remove_dir_all(at.join("before")).unwrap();
}

#[test]
fn what_a_baseline_cannot_be_compared_with_is_known_before_anything_starts() {
    let whole = tempfile::tempdir().unwrap();
    let at = whole.path();
    let smoke = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios/smoke.toml");
    let smoke = smoke.to_str().unwrap();
    // It would have to end here at once: the directory of its runs cannot be made.
    let start = |more: &[&str]| {
        std::fs::write(at.join("file"), "").unwrap();
        harness(at, &[&["run", smoke, "--baseline", "smoke", "--out", "file"], more].concat())
    };
    let same: Bend = |_| ();
    let cases: [(Bend, &[&str], &str); 5] = [
        (|run| run.header().host.machine = "m1-9999".into(), &[], "the machine: m1-9999 and"),
        (|run| run.header().host.fingerprint = "f1-9999".into(), &[], "the class of host"),
        (|run| run.header().build.profile = "other".into(), &[], "the build profile"),
        (same, &["--rehearse", "2x"], "the rehearsal"),
        (same, &["--set", "load.every=30ms"], "what --set changed"),
    ];
    for (bend, more, said) in cases {
        baseline_here(at, &[], bend);
        let output = start(more);
        assert_eq!(code(&output), 64, "{said}: {}", words(&output));
        assert!(words(&output).contains(said), "{said}: {}", words(&output));
        assert!(words(&output).contains("nothing was started"), "{said}: {}", words(&output));
    }
    // A seed is no difference: this goes on until it needs its directory.
    baseline_here(at, &["seed=1"], |_| ());
    let output = start(&["--seed", "8"]);
    assert_eq!(code(&output), 20, "{}", words(&output));
}

#[test]
fn programs_whose_runs_cannot_be_compared_make_no_more_than_one_pair() {
    let whole = tempfile::tempdir().unwrap();
    let at = whole.path();
    for (name, machine) in [("old", "m1-0123"), ("new", "m1-4567")] {
        for pair in 1..=3 {
            run(&at.join("made").join(name), &format!("{pair:03}"), 1.0, |made| {
                made.header().run_id = format!("{name}-{pair}");
                made.header().host.machine = machine.into();
            });
        }
    }
    let copy = |name: &str| {
        let made = at.join("made").join(name);
        let script = format!(
            "mkdir -p \"$out/smoke\" && cp -r {}/$(basename \"$out\") \"$out/smoke/\"",
            made.display()
        );
        stand_in(at, &format!("{name}.sh"), &script)
    };
    let output =
        harness(at, &["compare", "--interleave", &copy("old"), &copy("new"), "-n", "3", "smoke.toml"]);
    let said = words(&output);
    assert_eq!(code(&output), 64, "{said}");
    assert!(said.contains("--across-hosts"), "{said}");
    assert_eq!(said.lines().filter(|line| line.starts_with("run ")).count(), 2, "{said}");
}
