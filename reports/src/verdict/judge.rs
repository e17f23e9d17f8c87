//! One criterion against its figure, and the words for the whole.

use std::fmt::Write;

use super::case::Asked;
use super::evidence::{believed, shorten};
use super::measure::{Measured, measure};
use super::{Check, CriterionResult, EvidenceResult, LogState, Ran, Variant, Verdict};
use crate::criterion::{Aggregation, Criterion, CriterionPair, Kind, MetricId, Scale, Unit};
use crate::facts::Facts;
use crate::runlog::event::EndReason;
use crate::units;

/// How much of the declared run the facts hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    Whole,
    /// The run itself ended early: what has failed has failed, what holds so far need not have.
    Stopped,
    /// How the run would have gone on is not known: nothing is settled.
    Cut,
}

impl Reach {
    pub(super) fn of(facts: &Facts) -> Self {
        match facts.end.as_ref().map(|e| e.reason) {
            Some(EndReason::Completed) => Self::Whole,
            Some(EndReason::Aborted | EndReason::FleetLost | EndReason::LaunchFailed) => Self::Stopped,
            None | Some(EndReason::Interrupted | EndReason::RecordingFailed) => Self::Cut,
        }
    }

    fn settles(self, verdict: Verdict) -> bool {
        match self {
            Self::Whole => true,
            Self::Stopped => verdict == Verdict::Fail,
            Self::Cut => false,
        }
    }
}

pub(super) fn criterion(asked: &Asked, facts: &Facts, reach: Reach) -> CriterionResult {
    let spec = &asked.spec;
    let pair = match &asked.pair {
        Ok(pair) => pair,
        Err(why) => return unreadable(asked, why),
    };
    let pass = pair.pass();
    let measured = measure(pass, facts);
    let so_far = compare(pair, &measured);
    let mut verdict = so_far;
    let mut note = measured.note.clone();
    if !reach.settles(verdict) && verdict != Verdict::Inconclusive {
        let words = format!("{} as far as the run went", verdict.word());
        note = Some(note.map_or(words.clone(), |note| format!("{words}; {note}")));
        verdict = Verdict::Inconclusive;
    }
    let show = |value: f64| show(pass, value);
    let worst = measured
        .interval
        .map_or(measured.value, |i| Some(if pass.comparator().is_floor() { i.low } else { i.high }));
    let threshold = pass.threshold().value();
    let margin = worst.map(|v| margin(pass, v, threshold));
    CriterionResult {
        name: spec.name.clone(),
        requirement: spec.requirement.clone(),
        source: spec.source.clone(),
        metric: pass.metric_name(),
        aggregation: pass.aggregation().name().to_owned(),
        pass: pass.to_string(),
        conditional: pair.conditional().map(ToString::to_string),
        informational: spec.informational,
        verdict,
        value: measured.value,
        unit: unit(pass).to_owned(),
        value_text: measured.value.map_or_else(|| "no value".into(), show),
        comparator: pass.comparator().symbol().to_owned(),
        threshold,
        threshold_text: pass.threshold().to_string(),
        interval: measured.interval,
        interval_text: measured.interval.map(|i| format!("{} to {}", show(i.low), show(i.high))),
        samples: measured.samples,
        margin,
        margin_text: margin.map_or_else(|| "—".into(), |m| margin_text(pass, m, threshold)),
        note,
        so_far: Some(so_far),
    }
}

fn unreadable(asked: &Asked, why: &str) -> CriterionResult {
    let spec = &asked.spec;
    CriterionResult {
        name: spec.name.clone(),
        requirement: spec.requirement.clone(),
        source: spec.source.clone(),
        metric: String::new(),
        aggregation: String::new(),
        pass: spec.pass.clone(),
        conditional: spec.conditional.clone(),
        informational: spec.informational,
        verdict: Verdict::Inconclusive,
        value: None,
        unit: String::new(),
        value_text: "no value".into(),
        comparator: String::new(),
        threshold: 0.0,
        threshold_text: String::new(),
        interval: None,
        interval_text: None,
        samples: 0,
        margin: None,
        margin_text: "—".into(),
        note: Some(format!("the criterion cannot be read: {why}")),
        so_far: Some(Verdict::Inconclusive),
    }
}

/// With an interval: PASS if its bad end still holds, FAIL if not even its good end does. A miss that the fleet is not
/// answerable for is open.
pub(super) fn compare(pair: &CriterionPair, measured: &Measured) -> Verdict {
    let verdict = held_against(pair, measured);
    let mut others = std::iter::successors(measured.fleets_own.as_deref(), |own| own.fleets_own.as_deref());
    let is_excused = verdict == Verdict::Fail && others.any(|own| held_against(pair, own) != Verdict::Fail);
    if is_excused { Verdict::Inconclusive } else { verdict }
}

fn held_against(pair: &CriterionPair, measured: &Measured) -> Verdict {
    let Some(value) = measured.value.filter(|v| v.is_finite()) else { return Verdict::Inconclusive };
    let (low, high) = measured.interval.map_or((value, value), |i| (i.low, i.high));
    let ends = |c: &Criterion| {
        let limit = c.threshold().value();
        let holds = |v| c.comparator().holds(v, limit);
        if c.comparator().is_floor() {
            (holds(low), holds(high))
        } else if c.comparator().is_ceiling() {
            (holds(high), holds(low))
        } else {
            let inside = low <= limit && limit <= high;
            (inside, inside)
        }
    };
    let (bad, good) = ends(pair.pass());
    if bad {
        return if measured.open { Verdict::Inconclusive } else { Verdict::Pass };
    }
    let Some((weak_bad, weak_good)) = pair.conditional().map(ends) else {
        return if good { Verdict::Inconclusive } else { Verdict::Fail };
    };
    match (weak_bad, weak_good) {
        // Whether it passes is open, but no worse than conditional.
        (true, _) if !measured.open => Verdict::Conditional,
        (_, true) => Verdict::Inconclusive,
        (_, false) => Verdict::Fail,
    }
}

fn margin(c: &Criterion, value: f64, threshold: f64) -> f64 {
    if c.comparator().is_floor() {
        value - threshold
    } else if c.comparator().is_ceiling() {
        threshold - value
    } else {
        -(value - threshold).abs()
    }
}

fn margin_text(c: &Criterion, margin: f64, threshold: f64) -> String {
    let sign = match margin {
        m if m > 0.0 => "+",
        m if m < 0.0 => "−",
        _ => "±",
    };
    let amount = show(c, margin.abs());
    let relative = margin / threshold.abs();
    let is_share = amount.ends_with(['%', '×']) || amount.contains("%/") || amount.contains("×/");
    if is_share || !relative.is_finite() || margin == 0.0 {
        format!("{sign}{}", amount.replace(" %", " points"))
    } else {
        // Rounded down: 99.9 % of a limit is not all of it.
        let relative = (relative.abs() * 100.0).floor() / 100.0;
        format!("{sign}{amount} ({sign}{})", units::percent(relative))
    }
}

/// The value in words, with its unit.
pub fn show(c: &Criterion, value: f64) -> String {
    match c.aggregation().scale() {
        Scale::Relative => return units::percent(value),
        Scale::Slope if c.threshold().is_relative() => return format!("{}/h", units::percent(value)),
        Scale::Level | Scale::Slope => {}
    }
    let text = match c.metric().unit {
        Unit::Seconds => units::seconds(value),
        Unit::Bytes => units::bytes(value),
        Unit::Share | Unit::OfOneCore | Unit::OfMean => units::percent(value),
        Unit::Count => units::count(value),
        Unit::Cores => units::cores(value),
        Unit::PerSecond => format!("{}/s", units::count(whole(value))),
    };
    if c.aggregation() == Aggregation::Slope { format!("{text}/h") } else { text }
}

/// From ten on; a rate below, or its slope, has digits after the point.
fn whole(rate: f64) -> f64 {
    if rate.abs() < 10.0 { rate } else { rate.round() }
}

fn unit(c: &Criterion) -> &'static str {
    match (c.aggregation(), c.metric().unit) {
        (Aggregation::Growth | Aggregation::Drift, _) => "ratio",
        (Aggregation::Slope, _) if c.threshold().is_relative() => "ratio per hour",
        (Aggregation::Slope, Unit::Bytes) => "bytes per hour",
        (Aggregation::Slope, _) => "per hour",
        (_, Unit::Seconds) => "seconds",
        (_, Unit::Bytes) => "bytes",
        (_, Unit::Share | Unit::OfMean) => "ratio",
        (_, Unit::OfOneCore) => "ratio of one core",
        (_, Unit::Count) => "count",
        (_, Unit::Cores) => "cores",
        (_, Unit::PerSecond) => "per second",
    }
}

/// Why the verdict is what it is, the gravest first, in sentences that need no glossary.
pub(super) fn reasons(
    verdict: Verdict,
    reach: Reach,
    criteria: &[CriterionResult],
    evidence: &[EvidenceResult],
    facts: &Facts,
    log: &LogState,
) -> Vec<String> {
    let mut out = Vec::new();
    out.extend(cut_short(facts, log));
    if reach == Reach::Cut {
        // What is missing because the run is cut needs no line each.
        out.extend(evidence.iter().filter(|e| e.verdict == Verdict::Fail).map(evidence_reason));
        out.extend(so_far(criteria));
    } else {
        let whole = reach == Reach::Whole;
        out.extend(open_questions(whole, criteria, evidence, facts));
        if !whole {
            out.extend(so_far(criteria));
        }
    }
    if verdict == Verdict::Pass {
        out.push(praise(criteria.iter().filter(|c| !c.informational).count(), evidence.len(), facts));
    }
    if let Some(factor) = facts.header.rehearsal {
        out.push(format!(
            "This is a rehearsal: the schedule was compressed {factor} times. It shows that the scenario works, and satisfies no gate."
        ));
    }
    if let Some(believed) = believed(facts) {
        out.push(format!("Not all of the log was checked: {believed}."));
    }
    let variant = Variant::of(&facts.header);
    if let Some(by) = &variant.judged_by {
        out.push(format!(
            "It was judged by the criteria of `{}`, and not by those that it was asked.",
            by.file
        ));
    }
    let variant = Variant { rehearsal: None, judged_by: None, ..variant };
    if !variant.is_plain() {
        out.push(format!(
            "Not what the scenario file states was run, but {}: {}.",
            Ran::of(facts).title,
            variant.tag()
        ));
    }
    out
}

/// What does not hold, the gravest first. Of a run that ended itself early, what has failed is the news; the rest is a line.
fn open_questions(
    whole: bool,
    criteria: &[CriterionResult],
    evidence: &[EvidenceResult],
    facts: &Facts,
) -> Vec<String> {
    let told: &[Verdict] =
        if whole { &[Verdict::Fail, Verdict::Inconclusive, Verdict::Conditional] } else { &[Verdict::Fail] };
    // Where a criterion ended the run, that it ended is what follows from the rest.
    let aborted = facts.end.as_ref().is_some_and(|end| end.reason == EndReason::Aborted);
    let follows = |e: &&EvidenceResult| aborted && e.name == Check::RunComplete.name();
    let mut first_failed = first_failed_task(facts);
    let mut out = Vec::new();
    for &verdict in told {
        let (last, first): (Vec<_>, Vec<_>) =
            evidence.iter().filter(|e| e.verdict == verdict).partition(follows);
        for e in first {
            let tasks = verdict == Verdict::Fail && e.name == Check::WorkDone.name();
            out.push(with(evidence_reason(e), tasks.then(|| first_failed.take()).flatten()));
        }
        for c in criteria.iter().filter(|c| c.verdict == verdict && !c.informational) {
            let tasks = verdict != Verdict::Inconclusive && c.metric.starts_with("delivery.");
            out.push(with(criterion_reason(c), tasks.then(|| first_failed.take()).flatten()));
        }
        out.extend(last.into_iter().map(evidence_reason));
    }
    out
}

/// Why there is less than a whole run, and how much there is.
fn cut_short(facts: &Facts, log: &LogState) -> Option<String> {
    let went = match facts.load_ns() {
        0 => "before the load".into(),
        ns => {
            format!("after {} of {} of load", units::nanos(ns), units::nanos(facts.header.plan.duration_ns))
        }
    };
    if let Some((line, byte)) = log.torn {
        return Some(format!(
            "The run log ends in the middle of line {line} (byte {byte}), {went}; what stands before it was judged as far as it goes."
        ));
    }
    let Some(end) = &facts.end else {
        return Some(format!(
            "The run log stops after line {} without an end, {went}; what it holds was judged as far as it goes.",
            log.lines
        ));
    };
    let what = match end.reason {
        EndReason::Interrupted => "Interrupted",
        EndReason::RecordingFailed => "The recording failed",
        EndReason::Completed | EndReason::Aborted | EndReason::FleetLost | EndReason::LaunchFailed => {
            return None;
        }
    };
    let why = end.detail.as_ref().map(|d| format!(" ({d})")).unwrap_or_default();
    Some(format!("{what} {went}{why}: the partial run was not judged."))
}

/// One line for all criteria of a run that did not come to its end.
fn so_far(criteria: &[CriterionResult]) -> Option<String> {
    let those = |verdict| criteria.iter().filter(move |c| c.so_far == Some(verdict) && !c.informational);
    let mut parts = Vec::new();
    for (verdict, words) in [
        (Verdict::Pass, "held as far as the run went"),
        (Verdict::Conditional, "would have been conditional"),
        (Verdict::Fail, "failed as far as the run went"),
        (Verdict::Inconclusive, "could not be measured"),
    ] {
        let count = those(verdict).count();
        if count == 0 {
            continue;
        }
        let noun = match (parts.is_empty(), count) {
            (false, _) => "",
            (true, 1) => " criterion",
            (true, _) => " criteria",
        };
        let mut part = format!("{count}{noun} {words}");
        if verdict == Verdict::Fail {
            let names: Vec<String> = those(verdict).map(|c| c.name.clone()).collect();
            let _ = write!(part, " ({})", shorten(&names));
        }
        parts.push(part);
    }
    (!parts.is_empty()).then(|| format!("{}.", parts.join(", ")))
}

/// Of the load phase, as the log names it.
fn first_failed_task(facts: &Facts) -> Option<String> {
    let warm_up = facts.load.warm_up.rounds;
    let task = facts.task_failures.items.iter().find(|t| t.round >= warm_up)?;
    Some(format!(
        "first failed task: {}, round {}: {}",
        facts.agent_name(task.worker),
        task.round,
        task.reason
    ))
}

/// A sentence with one thing more at its end.
fn with(mut sentence: String, more: Option<String>) -> String {
    if let Some(more) = more {
        sentence.pop();
        let _ = write!(sentence, "; {more}.");
    }
    sentence
}

fn evidence_reason(e: &EvidenceResult) -> String {
    let note = e.note.as_ref().map(|n| format!(" ({n})")).unwrap_or_default();
    format!("{}: {}: {}{note}.", e.verdict.word(), e.name, e.wanted_and_found())
}

fn criterion_reason(c: &CriterionResult) -> String {
    let measured = match c.value {
        Some(_) => format!("measured {}", c.value_text),
        None => "not measured".into(),
    };
    let mut text = format!("{}: {}: asked `{}`, {measured}", c.verdict.word(), c.name, c.pass);
    if let Some(interval) = &c.interval_text {
        let _ = write!(text, " (interval {interval})");
    }
    if let (Verdict::Conditional, Some(weaker)) = (c.verdict, &c.conditional) {
        let _ = write!(text, ", which still meets `{weaker}`");
    }
    if let Some(note) = &c.note {
        let _ = write!(text, " ({note})");
    }
    text + "."
}

fn praise(criteria: usize, evidence: usize, facts: &Facts) -> String {
    let counts = &facts.load.counts;
    let judged = match criteria {
        1 => "The criterion".to_owned(),
        all => format!("All {all} criteria"),
    };
    format!(
        "{judged} and all {evidence} checks of the evidence hold: {} of {} answered in {} by {} over {}.",
        units::count(counts.answered as f64),
        units::things(counts.tasks, "task"),
        units::things(counts.rounds, "round"),
        units::counted(facts.header.plan.processes.into(), "process", "processes"),
        units::nanos(facts.load_ns()),
    )
}

/// Used for aborts: whether more of the run could still change a figure for the better.
pub(super) fn is_monotone(c: &Criterion) -> bool {
    match c.metric().kind {
        // Of more than none, so many may still come.
        Kind::Count => {
            c.comparator().is_ceiling()
                || c.comparator() == crate::criterion::Comparator::Equal && c.threshold().value() <= 0.0
        }
        Kind::Value => only_grows(c.metric().id) && c.comparator().is_ceiling(),
        Kind::Ratio | Kind::Rate => c.every_ns().is_some() && c.comparator().is_floor(),
        Kind::Distribution | Kind::Gauge => match c.aggregation() {
            Aggregation::Max => c.comparator().is_ceiling(),
            Aggregation::Min => c.comparator().is_floor(),
            Aggregation::Whole
            | Aggregation::P50
            | Aggregation::P90
            | Aggregation::P95
            | Aggregation::P99
            | Aggregation::P999
            | Aggregation::Mean
            | Aggregation::Slope
            | Aggregation::Growth
            | Aggregation::Drift => false,
        },
    }
}

/// Of the figures that a run has once: the longest silence and the longest gap, and what the launch took. Shares even out, and
/// batches and pools have other figures in the rounds to come.
fn only_grows(id: MetricId) -> bool {
    matches!(id, MetricId::Silence | MetricId::GapTime | MetricId::LaunchTime | MetricId::LaunchRatio)
}
