//! What people are told of while a run goes on: in the log, on the terminal and by a command.

use super::*;
use serde_json::Value;

/// What the command was told, in order.
fn told(bench: &Bench) -> Vec<Value> {
    let text = std::fs::read_to_string(bench.dir.path().join("alerts.jsonl")).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn of<'a>(all: &'a [Value], alert: &str) -> Vec<&'a str> {
    all.iter().filter(|it| it["alert"] == alert).map(|it| it["state"].as_str().unwrap()).collect()
}

#[test]
fn a_leak_is_told_once_and_so_is_its_end_and_neither_costs_the_verdict() {
    let bench = Bench::new("");
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios/examples/alerts.toml");
    let done = bench.start_by(bench.command().args(["run", "--out", "runs"]).arg(example)).end();
    assert_eq!(done.status.code(), Some(0), "{}{}", done.stdout, done.stderr);
    let all = told(&bench);
    let states = of(&all, "descriptors");
    assert!(states.len() >= 2, "{all:#?}");
    let in_turn = ["raised", "recovered"].into_iter().cycle().take(states.len());
    assert_eq!(states, in_turn.collect::<Vec<_>>(), "{all:#?}");
    let first = &all[0];
    assert_eq!((&first["severity"], &first["scenario"]), (&"info".into(), &"alerts".into()), "{first}");
    assert!(first["value"].as_f64() > Some(40.0) && first["limit"] == 40.0, "{first}");
    let run = std::fs::canonicalize(bench.out().join("alerts/latest")).unwrap();
    assert_eq!(first["run"].as_str().unwrap(), run.to_str().unwrap());
    let text = first["text"].as_str().unwrap();
    assert!(text.starts_with("worker/") && text.contains(" descriptors more than at first"), "{first}");
    // The same on the terminal and in the log, whose reader knows what can be.
    assert!(done.stderr.contains(&format!("alert: {text}")), "{}", done.stderr);
    let records = codec::open(&run.join("run.log")).unwrap().map(Result::unwrap);
    let logged = records.filter(|record| matches!(record.event, Event::Threshold(_))).count();
    assert_eq!(logged, all.len());
    let html = std::fs::read_to_string(run.join("report.html")).unwrap();
    assert!(html.contains("descriptors more than at first"), "the report lists it");
}

#[test]
fn a_death_is_told_until_it_has_a_successor_and_a_command_that_fails_costs_nothing() {
    for (script, fails) in [("cat >> alerts.jsonl", false), ("cat >> alerts.jsonl; exit 3", true)] {
        let bench =
            Bench::new(&(scenario(3) + &format!("[alerts]\ncommand = [\"sh\", \"-c\", \"{script}\"]\n")));
        let run = bench.start(&["--quiet"]);
        let agents = run.agents_under_load();
        let worker = agents.iter().find(|agent| agent.name == "worker/0.1").unwrap();
        nix::sys::signal::kill(
            nix::unistd::Pid::from_raw(worker.pid as i32),
            nix::sys::signal::Signal::SIGKILL,
        )
        .unwrap();
        let done = run.end();
        assert_eq!(done.status.code(), Some(10), "{}{}", done.stdout, done.stderr);
        let all = told(&bench);
        assert_eq!(of(&all, "crash"), ["raised", "recovered"], "{all:#?}");
        assert!(all[0]["text"].as_str().unwrap().contains("killed by SIGKILL"), "{all:#?}");
        let log = bench.log_so_far();
        assert_eq!(log.matches("the command of the alerts").count(), usize::from(fails), "{log}");
        bench.assert_nothing_left(&agents);
    }
}
