//! Commands that are printed work when they are pasted: each is one that the program takes, and acts on what the one acted on that
//! printed it.

use super::gates::{SCENARIOS, small_plan};
use super::*;
use clap::Parser as _;
use harness::cli::args::Cli;

/// The commands of the steps of `harness gate NAME` with these options.
fn steps(bench: &Bench, name: &str, options: &[&str]) -> Vec<String> {
    let done = bench.ask(&[&["gate", name, "--json"], options].concat());
    let decision: serde_json::Value = serde_json::from_str(&done.stdout).expect(&done.stderr);
    let steps = decision["next"].as_array().unwrap();
    steps.iter().map(|step| step["command"].as_str().unwrap().to_owned()).collect()
}

/// The words of a command, as a shell reads them; its output goes nowhere.
fn words(command: &str) -> Vec<String> {
    let command = command.split(" > ").next().unwrap();
    let shell = Command::new("sh").args(["-c", &format!("printf '%s\\0' {command}")]).output().unwrap();
    assert!(shell.status.success(), "{command}: {}", String::from_utf8_lossy(&shell.stderr));
    let text = String::from_utf8(shell.stdout).unwrap();
    text.trim_end_matches('\0').split('\0').map(str::to_owned).collect()
}

#[track_caller]
fn is_taken(command: &str) {
    if let Err(error) = Cli::try_parse_from(words(command)) {
        panic!("{command}: {error}");
    }
}

/// As a user pastes it into a shell.
fn pasted(bench: &Bench, command: &str) -> Done {
    let programs = Path::new(HARNESS).parent().unwrap().display();
    let path = format!("{programs}:{}", std::env::var("PATH").unwrap());
    let mut shell = Command::new("sh");
    bench.within(&mut shell).args(["-c", command]).env("PATH", path);
    bench.start_by(&mut shell).end()
}

#[test]
fn the_commands_of_a_decision_act_on_its_plan_and_its_runs() {
    let bench = Bench::new("");
    let at = |name: &str| bench.dir.path().join(name);
    std::fs::create_dir(at("the plan")).unwrap();
    std::fs::write(at("the plan/small.toml"), scenario(1)).unwrap();
    let gate = "scenario = \"small.toml\"\n[[phase]]\nname = \"q\"\ntitle = \"Q\"\nafter = [\"p\"]\n[[gate]]\nname = \"later\"\ntitle = \"L\"\n\
                asks = \"Works?\"\nphase = \"q\"\non_pass = \"Go.\"\non_conditional = \"Mend.\"\non_fail = \"Stop.\"\n[[evidence]]\n\
                gate = \"later\"\nname = \"e\"\nsays = \"It works.\"\nscenario = \"small.toml\"";
    std::fs::write(at("the plan/plan.toml"), small_plan(gate)).unwrap();
    let of_plan = ["--phases", "the plan/plan.toml", "--runs", "my runs"];
    let options = [&of_plan[..], &["--output", "decided here"]].concat();
    let commands = steps(&bench, "later", &options);
    for command in &commands {
        is_taken(command);
    }
    let [closed, run] = &commands[..] else { panic!("{commands:?}") };
    assert_eq!(pasted(&bench, closed).status.code(), Some(12));
    assert!(at("decided here/g/decision.html").is_file() && !at("gates").exists(), "{closed}");
    let done = pasted(&bench, run);
    assert_eq!(done.status.code(), Some(0), "{run}: {}", done.stderr);
    assert!(at("my runs/small/latest").exists() && !at("runs").exists(), "{run}");
    assert!(steps(&bench, "later", &options).is_empty());
    // `phases` ends with one of them, and the run itself says how it is repeated.
    std::fs::remove_dir_all(at("my runs")).unwrap();
    let done = bench.ask(&[&["phases"], &of_plan[..]].concat());
    let last = done.stdout.trim_end().lines().last().unwrap().trim();
    assert_eq!(last, run);
    assert_eq!(pasted(&bench, last).status.code(), Some(0));
    let log = std::fs::read_to_string(at("my runs/small/latest/run.log")).unwrap();
    let header: serde_json::Value = serde_json::from_str(log.lines().next().unwrap()).unwrap();
    let repeats = header["command"].as_str().unwrap();
    is_taken(repeats);
    assert_eq!(pasted(&bench, repeats).status.code(), Some(0), "{repeats}");
    let runs = std::fs::read_dir(at("my runs/small")).unwrap();
    assert_eq!(runs.filter(|run| !run.as_ref().unwrap().path().is_symlink()).count(), 2, "{repeats}");
}

/// Those of the plan as well: none is prose, and none reads runs that are not there.
#[test]
fn every_command_of_the_plans_is_one() {
    let bench = Bench::new("");
    for (plan, gates) in [
        ("phases.toml", &["sprint-0", "gate-1", "gate-2", "gate-3", "gate-4"][..]),
        ("phases-demo.toml", &["demo-go", "demo-pivot", "demo-inconclusive"]),
    ] {
        let plan = format!("{SCENARIOS}/{plan}");
        for gate in gates {
            let commands = steps(&bench, gate, &["--phases", &plan]);
            assert!(!commands.is_empty(), "{gate}");
            for command in commands {
                let syntax = Command::new("sh").args(["-n", "-c", &command]).status().unwrap();
                assert!(syntax.success(), "{gate}: {command}");
                match command.split(' ').next() {
                    Some("harness") => is_taken(&command),
                    Some("cargo" | "mkdir") => {}
                    _ => panic!("{gate}: this is no command: {command}"),
                }
                assert!(!command.starts_with("harness compare"), "{gate}: there are no runs: {command}");
            }
        }
    }
}

/// A seal that is given and is not there, or holds nothing, is not ignored.
#[test]
fn a_seal_that_is_given_is_read_also_where_no_evidence_asks_for_one() {
    let bench = Bench::new(&scenario(1));
    let plan = small_plan("scenario = \"small.toml\"");
    std::fs::write(bench.dir.path().join("empty.tar"), "").unwrap();
    for seal in ["nofile", "empty.tar", "."] {
        let (exit, _, stderr) = bench.gate_of(&plan, &["--seal", seal]);
        assert_eq!(exit, Some(64), "{seal}: {stderr}");
        assert!(stderr.contains("hint"), "{seal}: {stderr}");
    }
    for key in ["signed_by", "criteria"] {
        let (exit, _, stderr) =
            bench.gate_of(&small_plan(&format!("scenario = \"small.toml\"\n{key} = []")), &[]);
        assert_eq!(exit, Some(64), "{key}");
        assert!(
            stderr.contains(&format!("{key}` must not be empty")) && stderr.contains("plan.toml:19:"),
            "{stderr}"
        );
    }
}

/// Its header says that it was a run of something else; the text in it does not.
#[test]
fn a_red_run_under_another_name_is_no_less_there_without_an_index() {
    use harness::scenario::{Plan, PlanOptions, Scenario, Selection, Source};
    let bench = Bench::new(&scenario(1));
    let scenario = Scenario::parse(&Source::new("small.toml", scenario(1)), &Selection::default()).unwrap();
    let options = PlanOptions { seed: Some(7), fallback_seed: 7, rehearsal: None };
    let place = |name: &str, header: &str| {
        let mut run = harness::synthetic::Synthetic::of(&Plan::new(scenario.clone(), &options));
        run.header().run_id = name.to_owned();
        run.header().scenario.name = header.to_owned();
        let at = bench.out().join(header).join(name);
        std::fs::create_dir_all(&at).unwrap();
        std::fs::write(at.join("run.log"), run.log().unwrap()).unwrap();
    };
    let plan = small_plan("scenario = \"small.toml\"");
    place("a", "small");
    assert_eq!(bench.gate_of(&plan, &[]).0, Some(0));
    place("b", "other");
    let (exit, stdout, _) = bench.gate_of(&plan, &[]);
    assert_eq!(exit, Some(12), "{stdout}");
    assert!(
        stdout.contains("the scenario text in the header is that of small, and not of other"),
        "{stdout}"
    );
}
