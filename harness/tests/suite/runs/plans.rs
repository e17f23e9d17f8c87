//! Plans on real files: what they name has to be there, and the scenarios that they pin.

use super::gates::{SCENARIOS, small_plan};
use super::*;

/// In the plan below, what is replaced by what, and then said, with which hint.
const NAMES: [(&str, &str, &str, &str); 17] = [
    ("scenario = \"small", "scenario = \"smal", "cannot read `smal.toml`", "did you mean small.toml?"),
    ("about = \"small", "about = \"smal", "cannot read `smal.toml`", "did you mean small.toml?"),
    ("profile = \"ci\"", "profile = \"cj\"", "has no profile `cj`", "did you mean `ci`?"),
    (
        "criteria = [\"delivery",
        "criteria = [\"delivry",
        "judged by no criterion `delivry`",
        "did you mean `delivery`?",
    ),
    (
        "criterion = \"delivery",
        "criterion = \"delivry",
        "judged by no criterion `delivry`",
        "did you mean `delivery`?",
    ),
    ("evidence = \"e\"", "evidence = \"ee\"", "no evidence of this gate `ee`", "did you mean `e`?"),
    (
        "low\"\nmitigation = \"M\"\nevidence = [\"e\"",
        "low\"\nmitigation = \"M\"\nevidence = [\"ee\"",
        "no evidence of this gate `ee`",
        "did you mean `e`?",
    ),
    (
        "\"O\"\nevidence = [\"e\"",
        "\"O\"\nevidence = [\"ee\"",
        "no evidence of this gate `ee`",
        "did you mean `e`?",
    ),
    ("[[waiver]]\ngate = \"g\"", "[[waiver]]\ngate = \"gg\"", "there is no gate `gg`", "did you mean `g`?"),
    ("[[risk]]\ngate = \"g\"", "[[risk]]\ngate = \"gg\"", "there is no gate `gg`", "did you mean `g`?"),
    (
        "[[evidence]]\ngate = \"g\"\nname = \"x",
        "[[evidence]]\ngate = \"gg\"\nname = \"x",
        "there is no gate `gg`",
        "did you mean `g`?",
    ),
    (
        "title = \"S\"\nphase = \"p\"",
        "title = \"S\"\nphase = \"pp\"",
        "there is no phase `pp`",
        "did you mean `p`?",
    ),
    (
        "asks = \"Works?\"\nphase = \"p\"",
        "asks = \"Works?\"\nphase = \"pp\"",
        "there is no phase `pp`",
        "did you mean `p`?",
    ),
    ("title = \"P\"", "title = \"P\"\nafter = [\"pp\"]", "there is no phase `pp`", "did you mean `p`?"),
    ("takes = \"1d\"", "takes = \"1d\"\nafter = [\"ss\"]", "there is no sprint `ss`", "did you mean `s`?"),
    (
        "pass = \"statement.approved",
        "pass = \"statement.aproved",
        "no figure `statement.aproved`",
        "did you mean `statement.approved`?",
    ),
    (
        "criteria = [",
        "signed_by = [\"key.pem\"]\ncriteria = [",
        "cannot read the key `key.pem`",
        "openssl genpkey",
    ),
];

/// Whatever a plan names and is not there is a mistake of the plan: exit code 64, the line, what it is, and the nearest name.
#[test]
fn a_plan_that_names_what_is_not_there_is_refused_with_line_and_nearest_name() {
    let bench = Bench::new(&(scenario(1) + "\n[profile.ci.load]\nduration = \"2s\"\n"));
    let more = "scenario = \"small.toml\"\nprofile = \"ci\"\ncriteria = [\"delivery\"]";
    let belonging = |table: &str, rest: &str| format!("[[{table}]]\ngate = \"g\"\nname = \"x\"\n{rest}\n");
    let stated =
        "file = \"s.txt\"\nformat = \"statement\"\npass = \"statement.approved == 1\"\ncommand = \"x\"\n";
    let plan = small_plan(more)
        + "[[waiver]]\ngate = \"g\"\nevidence = \"e\"\ncriterion = \"delivery\"\nauthor = \"J\"\nreason = \"R\"\nexpires = 2020-01-01\n"
        + &belonging(
            "risk",
            "says = \"R\"\nlikelihood = \"low\"\nimpact = \"low\"\nmitigation = \"M\"\nevidence = [\"e\"]",
        )
        + &belonging("option", "says = \"O\"\nevidence = [\"e\"]")
        + "[[sprint]]\nname = \"s\"\ntitle = \"S\"\nphase = \"p\"\ntakes = \"1d\"\n"
        + &belonging("evidence", &format!("says = \"S\"\n{stated}about = \"small.toml\""));
    let (exit, stdout, stderr) = bench.gate_of(&plan, &[]);
    assert_eq!(exit, Some(12), "{stderr}");
    assert!(stdout.contains("renew it with its author, or take it out of the plan"), "{stdout}");
    for (from, to, what, near) in NAMES {
        assert!(plan.contains(from), "{from}");
        let (exit, stdout, stderr) = bench.gate_of(&plan.replacen(from, to, 1), &[]);
        assert_eq!(exit, Some(64), "{to}: {stdout}");
        assert!(
            stderr.contains(what) && stderr.contains(near) && stderr.contains("plan.toml:"),
            "{to}: {stderr}"
        );
    }
    // Of a gate that is not there, nothing else is said.
    let (_, _, stderr) =
        bench.gate_of(&plan.replacen("[[waiver]]\ngate = \"g\"", "[[waiver]]\ngate = \"gg\"", 1), &[]);
    assert_eq!(stderr.matches("error: ").count(), 1, "{stderr}");
}

fn copy_scenarios(to: &Path) {
    for folder in ["", "examples"] {
        std::fs::create_dir_all(to.join(folder)).unwrap();
        for entry in std::fs::read_dir(Path::new(SCENARIOS).join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "toml") {
                std::fs::copy(&path, to.join(folder).join(path.file_name().unwrap())).unwrap();
            }
        }
    }
}

#[test]
fn every_scenario_that_a_plan_names_is_pinned_as_it_stands() {
    for plan in ["phases.toml", "phases-demo.toml"] {
        let bench = Bench::new("");
        let copy = bench.dir.path().join("scenarios");
        copy_scenarios(&copy);
        let file = format!("scenarios/{plan}");
        let pin = || bench.start_by(bench.command().args(["phases", "--pin", "--phases", &file])).end();
        let done = pin();
        assert_eq!(done.status.code(), Some(0), "{}", done.stderr);
        let committed = std::fs::read_to_string(Path::new(SCENARIOS).join(plan)).unwrap();
        assert!(
            std::fs::read_to_string(copy.join(plan)).unwrap() == committed,
            "a scenario was changed and its pin was not. If the change is what the gates shall ask for, run\n    \
             cargo run -- phases --pin --phases {file}\n{}",
            done.stdout
        );
        // And no pin is left out.
        assert!(!done.stdout.contains("of 0 pins"), "{}", done.stdout);
    }
}

#[test]
fn pins_are_written_and_nothing_else_of_the_plan_is() {
    let bench = Bench::new(&scenario(1));
    let at = bench.dir.path().join("plan.toml");
    let plan = small_plan("  scenario = \"small.toml\"  # what is asked").replace('\n', "\r\n") + "# the end";
    std::fs::write(&at, &plan).unwrap();
    let pin = |more: &[&str]| {
        let done = bench
            .start_by(bench.command().args(["phases", "--pin", "--phases", "plan.toml"]).args(more))
            .end();
        assert_eq!(done.status.code(), Some(0), "{}", done.stderr);
        done.stdout
    };
    let said = pin(&[]);
    let planned = bench.start_by(bench.command().args(["plan", "small.toml", "--json"])).end();
    let planned: serde_json::Value = serde_json::from_str(&planned.stdout).expect(&planned.stderr);
    let sha256 = planned["scenario"]["sha256"].as_str().unwrap();
    assert_eq!(said, format!("e of g: small.toml is {sha256}\nplan.toml: 1 of 1 pin written\n"));
    let pinned = std::fs::read_to_string(&at).unwrap();
    let line = format!("\r\n  sha256 = \"{sha256}\"");
    assert_eq!(pinned, plan.replace("  # what is asked", &format!("  # what is asked{line}")));
    assert_eq!(pin(&[]), "plan.toml: 0 of 1 pin written\n");
    // The scenario changes, and the pin with it.
    std::fs::write(bench.dir.path().join("small.toml"), scenario(1) + "# other\n").unwrap();
    let object: serde_json::Value = serde_json::from_str(&pin(&["--json"])).unwrap();
    let (new, was) = (&object["pins"][0]["sha256"], &object["pins"][0]["was"]);
    assert!(was == sha256 && new != sha256, "{object:#}");
    assert_eq!(std::fs::read_to_string(&at).unwrap(), pinned.replace(sha256, new.as_str().unwrap()));
    // A link stays one, and a plan in `scenarios/` is found by its name, with what lies beside it.
    let within = bench.dir.path().join("scenarios");
    std::fs::create_dir(&within).unwrap();
    std::fs::copy(bench.dir.path().join("small.toml"), within.join("small.toml")).unwrap();
    std::fs::write(bench.dir.path().join("kept.toml"), &plan).unwrap();
    std::os::unix::fs::symlink("../kept.toml", within.join("linked.toml")).unwrap();
    let done = bench.start_by(bench.command().args(["phases", "--pin", "--phases", "linked"])).end();
    assert_eq!(done.status.code(), Some(0), "{}", done.stderr);
    assert!(within.join("linked.toml").is_symlink());
    assert!(std::fs::read_to_string(bench.dir.path().join("kept.toml")).unwrap().contains("sha256"));
    let done = bench.start_by(bench.command().args(["gate", "g", "--phases", "linked"])).end();
    assert_eq!(done.status.code(), Some(12), "{}", done.stderr);
    // What is not a file cannot be written.
    let done = bench.start_by(bench.command().args(["phases", "--pin", "--phases", "/dev/null"])).end();
    assert_eq!(done.status.code(), Some(64), "{}", done.stderr);
}
