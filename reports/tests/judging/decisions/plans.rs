//! Several gates one after the other, and the calendar.

use insta::assert_snapshot;
use reports::gate::decide::{decide, decide_all};
use reports::gate::decision::Decision;
use reports::gate::exhibit::{Exhibit, Inputs};
use reports::gate::plan::*;
use reports::gate::schedule::{State, schedule};
use reports::render::gate::{documents, phases_svg, phases_text};

use super::{DAY_NS, History, coverage, evidence, gate, green, ran, red, runs, waiver};
use crate::synthetic::Run;

pub(super) fn alone(gate: &Gate, inputs: &Inputs) -> Decision {
    let plan = plan(vec![gate.clone()]);
    decide(&plan, gate, inputs)
}

pub(super) fn plan(gates: Vec<Gate>) -> Plan {
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

pub(super) fn later() -> Gate {
    Gate { name: "later".into(), phase: "later".into(), ..gate(Outcomes::Pass, vec![coverage()]) }
}

const COVERED: &str = "SF:a.rs\nLF:100\nLH:80\nend_of_record\n";

fn two(exhibits: Vec<Exhibit>) -> (Plan, Inputs) {
    let mut history = History::of(exhibits);
    history.lcov = Some(COVERED);
    (plan(vec![history.gate.clone(), later()]), history.inputs())
}

/// A director reads the top box and the next step, and no more.
#[test]
fn a_gate_before_it_that_is_not_passed_is_the_first_reason_and_the_next_step() {
    let (plan, inputs) = two(vec![red(20)]);
    let mut gate = plan.gates[1].clone();
    for number in 0..5 {
        let missing =
            Evidence { name: format!("missing-{number}"), ..super::evidence(Source::Runs(super::runs())) };
        gate.evidence.push(missing);
    }
    let mut plan = Plan { gates: vec![plan.gates[0].clone(), gate.clone()], ..plan };
    plan.gates[0].evidence[0].fresh_ns = None;
    let decision = decide(&plan, &gate, &inputs);
    let failed = decision.reasons.iter().filter(|reason| reason.contains("is FAIL: ")).count();
    assert!(decision.reasons[failed].contains("`gate` comes before this gate and is FAIL"), "{decision:#?}");
    assert_eq!(decision.first_step().map(|step| &*step.command), Some("harness gate gate"));
    // Without one, it is the quickest.
    assert_eq!(alone(&gate, &inputs).first_step().map(|step| &*step.evidence), Some("missing-0"));
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

fn of_build(day: u32, run: &Run, commit: &str) -> Exhibit {
    ran(day, run, |header| header.build.git = commit.into())
}

/// Two pieces of evidence of one build, and a gate after it.
#[test]
fn a_gate_that_one_build_has_passed_stays_so_under_a_newer_build() {
    let lossy = || Run { failed: |_| 3, ..Run::default() };
    let (a, b) = ("aaaaaaa", "bbbbbbb");
    let decide_by = |exhibits: Vec<Exhibit>, commit: Option<&str>, needed: u32| {
        let mut history = History::of(exhibits).asking(|runs| {
            runs.build = Whose::This;
            runs.runs = needed;
        });
        history.lcov = Some(COVERED);
        let plan = plan(vec![history.gate.clone(), later()]);
        let mut inputs = history.inputs();
        inputs.circumstances.commit = commit.map(str::to_owned);
        let own = decide(&plan, &plan.gates[0], &inputs);
        let next = decide(&plan, &plan.gates[1], &inputs);
        let state = schedule(&plan, &decide_all(&plan, &inputs)).phases[0].state;
        (own.outcome, next, state)
    };
    let both = || vec![of_build(20, &Run::default(), a), of_build(21, &Run::default(), a)];
    // By another build, or by one without a commit: the phase stays done, and the page says by which build.
    for commit in [Some(b), None] {
        let (own, next, state) = decide_by(both(), commit, 2);
        assert_eq!((own, next.outcome, state), ("INCONCLUSIVE", "PASS", State::Done), "{commit:?}");
        assert_eq!(next.before[0].of_build.as_deref(), Some(a));
        for (name, text) in documents(&next) {
            let is_shown = ["junit.xml", "evidence.csv"].contains(&name) || text.contains(a);
            assert!(is_shown, "{name} does not say by which build: {text}");
        }
    }
    // A first run of the newer build says nothing yet; one that fails closes it.
    let begun = [both(), vec![of_build(25, &Run::default(), b)]].concat();
    let (own, next, state) = decide_by(begun, Some(b), 2);
    assert_eq!((own, next.outcome, state), ("INCONCLUSIVE", "PASS", State::Done));
    let failed = [both(), vec![of_build(25, &lossy(), b)]].concat();
    for commit in [Some(b), Some("ccccccc")] {
        let (_, next, state) = decide_by(failed.clone(), commit, 2);
        assert_eq!((next.outcome, state), ("INCONCLUSIVE", State::Open), "{commit:?}");
        assert_eq!(next.before[0].outcome, "FAIL", "{commit:?}");
    }
    // Runs of several builds never add up to one.
    let mixed = vec![of_build(20, &Run::default(), a), of_build(21, &Run::default(), b)];
    let (_, next, state) = decide_by(mixed, Some("ccccccc"), 2);
    assert_eq!((next.before[0].outcome, state), ("INCONCLUSIVE", State::Open));
}

/// What a newer build has failed is asked of the newer build: no run of an older one answers for it.
#[test]
fn a_newer_build_that_fails_is_not_hidden_by_another_run_of_an_older_one() {
    let lossy = || Run { failed: |_| 3, ..Run::default() };
    let (a, b, c) = ("aaaaaaa", "bbbbbbb", "ccccccc");
    let good = |day, commit| of_build(day, &Run::default(), commit);
    let history = |exhibits: Vec<Exhibit>, indexed: Vec<Exhibit>| {
        let mut history = History::of(exhibits).asking(|runs| runs.build = Whose::This).indexed(&indexed);
        for (entry, exhibit) in history.index.entries.iter_mut().zip(&indexed) {
            entry.commit = exhibit.judged.as_ref().unwrap().build.commit().map(str::to_owned);
        }
        history.lcov = Some(COVERED);
        history
    };
    let decide_by = |history: &History, commit: &str, now: &str| {
        let plan = plan(vec![history.gate.clone(), later()]);
        let mut inputs = history.inputs();
        inputs.circumstances.commit = Some(commit.into());
        inputs.circumstances.now = now.parse().unwrap();
        inputs.files.get_mut(&super::lcov()).unwrap().changed = inputs.circumstances.now;
        (decide(&plan, &plan.gates[0], &inputs), decide(&plan, &plan.gates[1], &inputs))
    };
    let failed_between = vec![good(20, a), of_build(25, &lossy(), b), good(27, a)];
    let again = history(failed_between.clone(), Vec::new());
    // By a build that has run nothing yet, soon and much later.
    for now in ["2026-02-01T12:00:00Z", "2026-06-01T12:00:00Z"] {
        let (own, next) = decide_by(&again, c, now);
        assert_eq!((own.outcome, next.outcome), ("INCONCLUSIVE", "INCONCLUSIVE"), "{now}");
        let before = &next.before[0];
        assert_eq!((before.outcome, before.of_build.as_deref()), ("FAIL", Some(b)), "{now}");
    }
    let (own, next) = decide_by(&again, b, "2026-02-01T12:00:00Z");
    assert_eq!((own.outcome, next.before[0].outcome), ("FAIL", "FAIL"));
    // The older build itself passes, and every document says that there is a newer one.
    let (own, _) = decide_by(&again, a, "2026-02-01T12:00:00Z");
    assert_eq!(own.headline(), "PASS, with 1 run beside it that did not pass");
    let note = "1 of them is of a newer build than aaaaaaa: bbbbbbb";
    assert!(own.evidence[0].notes.iter().any(|said| said.contains(note)), "{:?}", own.evidence[0].notes);
    // It does not open the next gate by that, and the next gate says by which build.
    let (_, next) = decide_by(&again, a, "2026-02-01T12:00:00Z");
    let before = &next.before[0];
    assert_eq!((next.outcome, before.outcome, before.of_build.as_deref()), ("INCONCLUSIVE", "FAIL", Some(b)));
    assert!(next.reasons.iter().any(|said| said.contains("is FAIL, by build bbbbbbb")), "{:?}", next.reasons);
    assert!(next.next[0].what.contains("when that build or a newer one passes it"), "{:?}", next.next);
    // The older build is as old as its first run, also where that is gone.
    let gone = history(failed_between[1..].to_vec(), failed_between.clone());
    assert_eq!(decide_by(&gone, c, "2026-02-01T12:00:00Z").1.before[0].outcome, "FAIL");
    // What mends it opens it.
    let mended = [failed_between, vec![good(28, c)]].concat();
    let (own, next) = decide_by(&history(mended, Vec::new()), "ddddddd", "2026-02-01T12:00:00Z");
    assert_eq!((own.outcome, next.outcome), ("INCONCLUSIVE", "PASS"));
    assert_eq!(next.before[0].of_build.as_deref(), Some(c));
}

#[test]
fn a_phase_stays_done_in_the_calendar_while_its_runs_grow_old() {
    let (plan, mut inputs) = two(vec![green(20)]);
    inputs.circumstances.now = "2026-06-01T12:00:00Z".parse().unwrap();
    inputs.files.get_mut(&super::lcov()).unwrap().changed = inputs.circumstances.now;
    let schedule = schedule(&plan, &decide_all(&plan, &inputs));
    let states: Vec<State> = schedule.phases.iter().map(|phase| phase.state).collect();
    assert_eq!(states, [State::Done, State::Done]);
}

/// As the gate before it decides by itself, so the next one sees it.
#[test]
fn runs_that_are_gone_close_the_next_gate_as_they_close_their_own() {
    let (good, bad) = (green(20), red(25));
    for now in ["2026-02-01T12:00:00Z", "2026-06-01T12:00:00Z"] {
        for select in [Select::All, Select::Latest(1)] {
            let mut history = History::of(vec![good.clone()]).asking(|runs| runs.select = select);
            history = history.indexed(&[good.clone(), bad.clone(), red(26)]);
            history.lcov = Some(COVERED);
            let plan = plan(vec![history.gate.clone(), later()]);
            let mut inputs = history.inputs();
            inputs.circumstances.now = now.parse().unwrap();
            inputs.files.get_mut(&super::lcov()).unwrap().changed = inputs.circumstances.now;
            let own = decide(&plan, &plan.gates[0], &inputs);
            let next = decide(&plan, &plan.gates[1], &inputs);
            assert_eq!((own.outcome, next.outcome), ("INCONCLUSIVE", "INCONCLUSIVE"), "{now} {select:?}");
            assert_eq!(next.before[0].outcome, "INCONCLUSIVE", "{now} {select:?}");
        }
    }
}

#[test]
fn a_run_that_passed_and_is_gone_closes_no_gate() {
    let mut history = History::of(vec![green(20)]).indexed(&[green(20), green(25)]);
    history.lcov = Some(COVERED);
    let plan = plan(vec![history.gate.clone(), later()]);
    assert_eq!(decide(&plan, &plan.gates[1], &history.inputs()).outcome, "PASS");
}

#[test]
fn a_later_run_that_does_not_say_closes_the_next_gate_as_well() {
    let cut = ran(25, &Run { end: None, ..Run::default() }, |_| ());
    let (plan, inputs) = two(vec![green(20), cut]);
    assert_eq!(decide(&plan, &plan.gates[0], &inputs).outcome, "INCONCLUSIVE");
    assert_eq!(decide(&plan, &plan.gates[1], &inputs).before[0].outcome, "INCONCLUSIVE");
}

#[test]
fn a_waiver_of_the_gate_before_ends_on_its_last_day_and_is_shown() {
    let mut history = History::of(vec![red(20)]);
    history.lcov = Some(COVERED);
    history.gate.waivers = vec![waiver("all delivered", "2026-02-03")];
    let plan = plan(vec![history.gate.clone(), later()]);
    for (now, before, outcome, state) in [
        ("2026-02-03T12:00:00Z", "CONDITIONAL", "PASS", "applied"),
        ("2026-02-04T12:00:00Z", "FAIL", "INCONCLUSIVE", "expired"),
        ("2026-06-01T12:00:00Z", "FAIL", "INCONCLUSIVE", "expired"),
    ] {
        let mut inputs = history.inputs();
        inputs.circumstances.now = now.parse().unwrap();
        inputs.files.get_mut(&super::lcov()).unwrap().changed = inputs.circumstances.now;
        let decision = decide(&plan, &plan.gates[1], &inputs);
        assert_eq!((decision.before[0].outcome, decision.outcome), (before, outcome), "{now}");
        assert_eq!((decision.waivers[0].gate.as_str(), decision.waivers[0].state), ("gate", state), "{now}");
        for (name, text) in documents(&decision) {
            let is_shown = name == "evidence.csv" || (text.contains("Jane Doe") && text.contains(state));
            assert!(is_shown, "{name} does not show the waiver: {text}");
        }
    }
}

#[test]
fn a_file_that_misses_its_target_by_little_is_conditional_as_a_run_is() {
    let mut gate = later();
    let Source::File(file) = &mut gate.evidence[0].source else { unreachable!("it asks for a file") };
    file.conditional = None;
    gate.conditional_from = Some(0.8);
    let mut history = History::of(Vec::new());
    for (lcov, outcome) in [
        ("SF:a.rs\nLF:100\nLH:75\nend_of_record\n", "PASS"),
        ("SF:a.rs\nLF:100\nLH:74\nend_of_record\n", "CONDITIONAL"),
        ("SF:a.rs\nLF:100\nLH:60\nend_of_record\n", "CONDITIONAL"),
        ("SF:a.rs\nLF:100\nLH:59\nend_of_record\n", "FAIL"),
    ] {
        history.lcov = Some(lcov);
        assert_eq!(alone(&gate, &history.inputs()).outcome, outcome, "{lcov}");
    }
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

#[test]
fn a_headline_says_what_qualifies_it() {
    let greens = [green(20), red(10), red(11)];
    let mut history = History::of(greens.to_vec()).asking(|runs| runs.select = Select::Latest(1));
    assert_eq!(history.decide().headline(), "PASS, with 2 runs beside it that did not pass");
    history = History::of(vec![red(20)]);
    assert_eq!(history.decide().headline(), "FAIL");
    history.gate.waivers = vec![waiver("all delivered", "2026-02-03")];
    let waived = history.decide();
    assert_eq!(waived.headline(), "CONDITIONAL by a waiver");
    for (name, text) in documents(&waived) {
        assert!(text.contains("FAIL"), "{name} hides that the criterion failed: {text}");
    }
    history.lcov = Some(COVERED);
    let plan = plan(vec![history.gate.clone(), later()]);
    let next = decide(&plan, &plan.gates[1], &history.inputs());
    assert_eq!(next.headline(), "PASS, after gate was CONDITIONAL");
}

#[test]
fn every_outcome_has_a_next_step_on_its_page() {
    let mut conditional = History::of(vec![red(20)]);
    conditional.gate.waivers = vec![waiver("all delivered", "2026-02-03")];
    let histories =
        [History::of(vec![green(20)]), conditional, History::of(vec![red(20)]), History::of(vec![])];
    for (history, outcome) in histories.iter().zip(["PASS", "CONDITIONAL", "FAIL", "INCONCLUSIVE"]) {
        let decision = history.decide();
        assert_eq!(decision.outcome, outcome);
        let documents = documents(&decision);
        let (_, html) = documents.iter().find(|(name, _)| *name == "decision.html").unwrap();
        assert_eq!(html.matches("<b>Next step</b>").count(), 1, "{outcome}");
    }
}
