//! `harness calibrate FILE`: how often a scenario's criteria notice a defect, and how often they cry wolf.

use super::args::CalibrateArgs;
use super::{load, output};
use crate::calibrate::{self, Calibration, Clean, Count, Fired, Found, Question, SIZES};
use crate::exit::ExitCode;
use crate::scenario::Plan;
use crate::synthetic;
use reports::runlog::event::{Arrivals, LoadModel};
use reports::stats::Interval;
use serde_json::{Value, json};
use std::fmt::Write as _;

pub(super) fn calibrate(args: &CalibrateArgs) -> ExitCode {
    let plans = match load::plans(&args.file, &args.variant) {
        Ok(plans) => plans,
        Err(code) => return code,
    };
    let mut objects = Vec::new();
    let mut holds = true;
    for plan in &plans {
        if let Some(why) = unfit(plan) {
            output::error(&format!("runs of {} cannot be made up: {why}", plan.name()), Some(CAN_BE));
            return ExitCode::Usage;
        }
        let question = Question {
            header: synthetic::header_of(plan),
            runs: args.runs,
            seed: plan.seed(),
            processes: usize::try_from(args.processes).unwrap_or(usize::MAX),
        };
        output::report(&format!(
            "judging {} runs of {} that are made up",
            calibrate::runs(&question),
            plan.name()
        ));
        let found = calibrate::calibrate(&question);
        holds &= found.holds();
        if args.json {
            objects.push(json(plan, &question, &found));
        } else if let Err(code) = output::data(&text(plan, &question, &found)) {
            return code;
        }
    }
    if args.json {
        let whole = if let [one] = &objects[..] { one.clone() } else { Value::Array(objects) };
        if let Err(code) = output::data(&format!("{whole:#}\n")) {
            return code;
        }
    }
    if holds { ExitCode::Pass } else { ExitCode::Fail }
}

const CAN_BE: &str =
    "give a scenario with an open loop of rounds at one pace, without stages, faults and commands";

const HOLDS: &str = "\nEvery defect of twice its limit was found by its own criteria and checks, and by no others; clean runs passed.\n";
const MISSED: &str = "\nNot every row is at its bar: clean runs PASS in 99 % and never FAIL; twice the limit is always a FAIL, by\n\
                      its own criteria and checks alone; and there is a criterion that can be tried.\n";

/// Why there is no model of such runs.
fn unfit(plan: &Plan) -> Option<&'static str> {
    let facts = plan.facts();
    if facts.load != LoadModel::Open || facts.arrivals != Arrivals::Constant {
        Some("its rounds do not start at one pace")
    } else if !facts.stages.is_empty() || facts.workers_least.is_some() {
        Some("the number of its workers changes")
    } else if !facts.faults.is_empty() {
        Some("it has faults")
    } else if !facts.workloads.is_empty() || facts.cpu_per_task_ns.is_some() {
        Some("its tasks are not all echoes of one kind")
    } else if !facts.setup.is_empty() || !facts.teardown.is_empty() {
        Some("it runs commands")
    } else {
        None
    }
}

fn text(plan: &Plan, question: &Question, found: &Calibration) -> String {
    let mut text =
        format!("{}: {} runs of each kind, seed {}\n\n", plan.name(), question.runs, question.seed);
    // Writing to a String cannot fail.
    let _ =
        writeln!(text, "{:<28}{:>6}{:>6}{:>6}{:>6}  PASS in", "clean runs", "PASS", "COND", "INC", "FAIL");
    for clean in &found.clean {
        let Clean { shape, verdicts, fired } = clean;
        let row = format!("  {:<26}{}  {}", shape.name(), counts(*verdicts), share(verdicts.passed()));
        let _ = write!(text, "{row}{}\n{}", bar(clean.holds()), said(fired));
    }
    let passed = found.clean_passed();
    let _ =
        writeln!(text, "  {:<26}{}  {}", "all but the slow sawtooth", counts(passed), share(passed.passed()));
    let sizes = SIZES.map(|size| format!("at {size}× the limit")).map(|head| format!("{head:<26}")).concat();
    let _ = writeln!(text, "\n{:<28}{sizes}FAIL at 2×", "defect, noticed by");
    for row in &found.found {
        let Found { criterion, pass, defect, verdicts, missed, fired } = row;
        let shown = verdicts.map(|count| format!("{}  ", counts(count))).concat();
        let _ = writeln!(text, "  {}: {} (`{pass}`)", defect.name(), criterion);
        let [.., twice] = verdicts;
        let failed = format!("  {:<26}{shown}{}", "", share(twice.failed()));
        let _ = write!(text, "{failed}{}\n{}{}", bar(row.holds()), said(missed), said(fired));
    }
    for (name, why) in &found.left_out {
        let _ = writeln!(text, "  {name}: not tried, {why}");
    }
    text.push_str(if found.holds() { HOLDS } else { MISSED });
    text
}

fn counts(count: Count) -> String {
    let Count { pass, conditional, inconclusive, fail } = count;
    format!("{pass:>6}{conditional:>6}{inconclusive:>6}{fail:>6}")
}

fn share(Interval { low, high }: Interval) -> String {
    format!("{:.1} to {:.1} %", low * 100.0, high * 100.0)
}

fn bar(holds: bool) -> &'static str {
    if holds { "" } else { "  MISSED" }
}

/// One line for each, of what it said first.
fn said(fired: &[Fired]) -> String {
    let line =
        |fired: &Fired| format!("      {} in {} runs, first: {}\n", fired.name, fired.runs, fired.first);
    fired.iter().take(5).map(line).collect()
}

fn json(plan: &Plan, question: &Question, found: &Calibration) -> Value {
    let of = |count: Count| {
        let Count { pass, conditional, inconclusive, fail } = count;
        json!({ "pass": pass, "conditional": conditional, "inconclusive": inconclusive, "fail": fail })
    };
    let fired = |all: &[Fired]| -> Value {
        all.iter().map(|of| json!({ "name": of.name, "runs": of.runs, "first": of.first })).collect()
    };
    let clean: Value = found
        .clean
        .iter()
        .map(|row| {
            let shape = row.shape.name();
            json!({ "shape": shape, "verdicts": of(row.verdicts), "fired": fired(&row.fired), "holds": row.holds() })
        })
        .collect();
    let defects: Value = found
        .found
        .iter()
        .map(|row| {
            let sizes: Value = SIZES
                .iter()
                .zip(row.verdicts)
                .map(|(size, count)| json!({ "size": size, "verdicts": of(count) }))
                .collect();
            json!({
                "criterion": row.criterion, "pass": row.pass, "defect": row.defect.name(), "sizes": sizes,
                "missed": fired(&row.missed), "fired": fired(&row.fired), "holds": row.holds(),
            })
        })
        .collect();
    let left_out: Value =
        found.left_out.iter().map(|(name, why)| json!({ "criterion": name, "why": why })).collect();
    json!({
        "scenario": plan.name(), "runs": question.runs, "seed": question.seed, "processes": question.processes,
        "holds": found.holds(), "clean": clean, "defects": defects, "left_out": left_out,
    })
}
