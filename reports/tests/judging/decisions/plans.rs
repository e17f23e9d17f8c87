//! Several gates one after the other, and the calendar.

use insta::assert_snapshot;
use reports::gate::decide::{decide, decide_all};
use reports::gate::decision::Decision;
use reports::gate::exhibit::Inputs;
use reports::gate::plan::*;
use reports::gate::schedule::{State, schedule};
use reports::render::gate::{documents, phases_svg, phases_text};

use super::{DAY_NS, History, coverage, evidence, gate, green, red, runs};

pub(super) fn alone(gate: &Gate, inputs: &Inputs) -> Decision {
    let plan = plan(vec![gate.clone()]);
    decide(&plan, gate, inputs)
}

fn plan(gates: Vec<Gate>) -> Plan {
    let mut before: Option<String> = None;
    let phases = gates
        .iter()
        .map(|gate| {
            let after = before.replace(gate.phase.clone()).into_iter().collect();
            Phase { name: gate.phase.clone(), title: format!("Phase of {}", gate.name), after }
        })
        .collect();
    let sprint = |name: &str, phase: &str, after: &[&str], days: u64, overlap: u64| Sprint {
        name: name.into(),
        title: name.into(),
        phase: phase.into(),
        after: after.iter().map(|name| (*name).into()).collect(),
        takes_ns: days * DAY_NS,
        overlap_ns: overlap * DAY_NS,
    };
    Plan {
        title: "A project".into(),
        demo: false,
        file: PlanFile { path: "scenarios/phases.toml".into(), sha256: "11".repeat(32) },
        phases,
        sprints: vec![
            sprint("tests", "phase", &[], 14, 0),
            sprint("load", "phase", &["tests"], 14, 7),
            sprint("pool", "later", &[], 14, 0),
            sprint("batch", "later", &[], 10, 0),
            sprint("bench", "later", &["pool", "batch"], 7, 0),
        ],
        gates,
    }
}

fn later() -> Gate {
    Gate { name: "later".into(), phase: "later".into(), ..gate(Outcomes::Pass, vec![coverage()]) }
}

const COVERED: &str = "SF:a.rs\nLF:100\nLH:80\nend_of_record\n";

fn two(exhibits: Vec<reports::gate::exhibit::Exhibit>) -> (Plan, Inputs) {
    let mut history = History::of(exhibits);
    history.lcov = Some(COVERED);
    (plan(vec![history.gate.clone(), later()]), history.inputs())
}

#[test]
fn a_gate_opens_only_when_the_one_before_it_is_passed() {
    for (exhibits, outcome) in
        [(vec![green(20)], "PASS"), (vec![red(20)], "INCONCLUSIVE"), (vec![], "INCONCLUSIVE")]
    {
        let (plan, inputs) = two(exhibits);
        let decision = decide(&plan, &plan.gates[1], &inputs);
        assert_eq!(decision.outcome, outcome, "{:#?}", decision.before);
        assert_eq!(decision.before[0].gate, "gate");
    }
}

#[test]
fn a_gate_that_was_passed_stays_so_while_its_evidence_grows_old_and_falls_by_what_fails_later() {
    let (plan, mut inputs) = two(vec![green(20)]);
    inputs.circumstances.now = "2026-06-01T12:00:00Z".parse().unwrap();
    inputs.files.get_mut(&super::lcov()).unwrap().changed = inputs.circumstances.now;
    assert_eq!(decide(&plan, &plan.gates[0], &inputs).outcome, "INCONCLUSIVE", "alone it is stale");
    let decision = decide(&plan, &plan.gates[1], &inputs);
    assert_eq!((decision.outcome, decision.before[0].outcome), ("PASS", "PASS"));
    assert_eq!(decision.before[0].as_of_utc, "2026-01-20T12:00:00Z");
    let (plan, mut inputs) = two(vec![green(20), red(25)]);
    inputs.circumstances.now = "2026-06-01T12:00:00Z".parse().unwrap();
    let decision = decide(&plan, &plan.gates[1], &inputs);
    assert_eq!((decision.outcome, decision.before[0].outcome), ("INCONCLUSIVE", "FAIL"));
}

#[test]
fn the_calendar_has_the_critical_path_and_what_may_run_at_once() {
    let (plan, inputs) = two(vec![green(20)]);
    let schedule = schedule(&plan, &decide_all(&plan, &inputs));
    let at = |name: &str| schedule.sprints.iter().find(|slot| slot.name == name).unwrap();
    assert_eq!((at("load").from_ns, at("load").to_ns), (7 * DAY_NS, 21 * DAY_NS));
    assert_eq!((at("pool").from_ns, at("bench").from_ns), (21 * DAY_NS, 35 * DAY_NS));
    assert_eq!(schedule.takes_ns, 42 * DAY_NS);
    assert_eq!(schedule.critical_path, ["tests", "load", "pool", "bench"]);
    assert_eq!(schedule.phases[1].state, State::Done);
    assert_snapshot!(phases_text(&schedule));
    let svg = phases_svg(&schedule);
    assert_eq!(svg.matches("<rect x=").count(), 5, "a bar for each sprint");
}

#[test]
fn the_next_step_is_of_the_open_phase() {
    let (plan, inputs) = two(Vec::new());
    let schedule = schedule(&plan, &decide_all(&plan, &inputs));
    let states: Vec<State> = schedule.phases.iter().map(|phase| phase.state).collect();
    assert_eq!(states, [State::Open, State::Blocked]);
    assert_eq!(schedule.next.clone().unwrap().command, "harness run scenarios/synthetic.toml");
    assert!(phases_text(&schedule).trim_end().ends_with("harness run scenarios/synthetic.toml"));
}

#[test]
fn every_document_says_the_same_and_marks_a_demonstration() {
    let history = History::of(vec![red(20)]);
    let mut plan = plan(vec![history.gate.clone()]);
    plan.demo = true;
    let decision = decide(&plan, &history.gate, &history.inputs());
    for (name, text) in documents(&decision) {
        assert!(text.contains("FAIL"), "{name}: {text}");
        let marked = text.contains("DEMO") || text.contains("\"demo\": true") || text.contains(",true,");
        assert!(marked, "{name} does not say that it decides nothing: {text}");
        assert!(text.contains("all delivered"), "{name} does not say why: {text}");
    }
}

#[test]
fn names_of_a_plan_are_no_markup() {
    let mut history = History::of(vec![red(20)]);
    history.gate.title = "<script>alert(1)</script> | x".into();
    history.gate.evidence = vec![Evidence { name: "<b>".into(), ..evidence(Source::Runs(runs())) }];
    let decision = history.decide();
    for (name, text) in documents(&decision) {
        if ["decision.html", "decision.md", "junit.xml"].contains(&name) {
            assert!(!text.contains("<script>") && !text.contains("<b>&lt;"), "{name}: {text}");
        }
    }
}
