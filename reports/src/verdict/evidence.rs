//! Whether the run is fit to be judged at all, and what no scenario needs to ask for.
//!
//! One function a check. Data that is missing or short makes a run INCONCLUSIVE; what proves that the
//! fleet did wrong (a death, a leftover, a difference between the two ends' ledgers) makes it FAIL.

mod believed;
mod faults;
mod incidents;
mod ledger;
mod own;
mod setup;
mod stages;
mod work;

pub(super) use believed::believed;

use std::fmt::Write;

use super::{Case, Check, EvidenceResult, LogState, Verdict};
use crate::facts::Facts;
use crate::runlog::event::{Arrivals, EndReason, LoadModel};
use crate::units;

/// Of the declared load duration.
const DURATION_SHARE_MIN: f64 = 0.99;
/// Of the sweeps that were due.
const COVERAGE_MIN: f64 = 0.95;
/// Longest time without a sweep, in periods.
const GAP_PERIODS_MAX: u64 = 5;

pub(super) fn all(case: &Case, log: &LogState) -> Vec<EvidenceResult> {
    let facts = case.facts();
    let mut out = vec![
        log_complete(facts, log),
        log_consistent(facts, log),
        criteria_given(case),
        load_duration(facts),
        rounds_done(facts),
        work_done(facts),
    ];
    out.extend(work::proven(facts));
    out.extend(faults::proven(facts));
    out.extend(stages::done(facts));
    out.extend([agents_live(facts), sampling_coverage(facts), sampler_on_time(facts)]);
    out.extend(pss_read(case));
    out.extend(own::grows_not(facts));
    out.extend([counted_once(facts), ledger::ledger(facts), incidents::no_deaths(facts)]);
    out.extend(incidents::no_incidents(case));
    out.extend(incidents::no_alerts(facts));
    out.push(nothing_left(facts));
    out.extend(files_altered(facts));
    out.extend(setup::all(facts));
    out
}

fn check(
    name: Check,
    verdict: Verdict,
    wanted: impl Into<String>,
    found: impl Into<String>,
) -> EvidenceResult {
    EvidenceResult {
        name: name.name().into(),
        verdict,
        wanted: wanted.into(),
        found: found.into(),
        note: None,
    }
}

fn pass_or(bad: Verdict, good: bool) -> Verdict {
    if good { Verdict::Pass } else { bad }
}

fn n(count: u64) -> String {
    units::count(count as f64)
}

fn log_complete(facts: &Facts, log: &LogState) -> EvidenceResult {
    let wanted = "a run carried out to its end";
    let Some(end) = &facts.end else {
        return check(Check::RunComplete, Verdict::Inconclusive, wanted, "a log without an end");
    };
    let (verdict, found) = match end.reason {
        EndReason::Completed => (Verdict::Pass, "completed"),
        EndReason::Interrupted => (Verdict::Inconclusive, "interrupted on request"),
        EndReason::Aborted => (Verdict::Fail, "aborted: a criterion could not pass any more"),
        EndReason::FleetLost => (Verdict::Fail, "the fleet was lost"),
        EndReason::LaunchFailed if facts.setup_failed() => {
            (Verdict::Inconclusive, "the set-up failed, and nothing was started")
        }
        EndReason::LaunchFailed if facts.segments > 1 => {
            (Verdict::Inconclusive, "the run could not go on: the fleet did not start again")
        }
        EndReason::LaunchFailed => (Verdict::Fail, "the fleet never came up"),
        EndReason::RecordingFailed => (Verdict::Inconclusive, "the run could not be recorded"),
    };
    let mut result = check(Check::RunComplete, verdict, wanted, found);
    result.note.clone_from(&end.detail);
    if let Some((line, _)) = log.torn {
        // What was written after the end changed the log, and more of it may have been changed.
        result.verdict = result.verdict.max(Verdict::Inconclusive);
        result.note = Some(format!("after its end the log goes on, and breaks off in line {line}"));
    }
    result
}

fn log_consistent(facts: &Facts, log: &LogState) -> EvidenceResult {
    let wanted = "records that agree with each other";
    let unknown = &log.unknown;
    let (verdict, found) = match &log.contradiction {
        Some(what) => (Verdict::Inconclusive, what.clone()),
        None if unknown.needed > 0 => (
            Verdict::Inconclusive,
            format!(
                "{} {} that judging needs and this program does not know ({})",
                n(unknown.needed),
                if unknown.needed == 1 { "record" } else { "records" },
                unknown.needed_kinds.join(", ")
            ),
        ),
        None => (Verdict::Pass, format!("{} records, no contradiction", n(log.lines))),
    };
    let mut result = check(Check::LogConsistent, verdict, wanted, found);
    let mut notes: Vec<String> = believed(facts).into_iter().collect();
    if unknown.skipped > 0 {
        notes.push(format!(
            "{} {} of a newer format {} skipped, and judging does not need {}: {}",
            n(unknown.skipped),
            if unknown.skipped == 1 { "event" } else { "events" },
            if unknown.skipped == 1 { "was" } else { "were" },
            if unknown.skipped == 1 { "it" } else { "them" },
            unknown.skipped_kinds.join(", ")
        ));
    }
    result.note = (!notes.is_empty()).then(|| notes.join("; "));
    result
}

fn criteria_given(case: &Case) -> EvidenceResult {
    let given = case.criteria().iter().filter(|asked| !asked.spec.informational).count() as u64;
    check(Check::CriteriaGiven, pass_or(Verdict::Inconclusive, given > 0), "at least 1", n(given))
}

fn load_duration(facts: &Facts) -> EvidenceResult {
    let plan = &facts.header.plan;
    let declared = plan.duration_ns;
    let mut observed = facts.load_ns();
    // A schedule that was carried out covers its last slot, even if the run went on before its end.
    if let (LoadModel::Open, Some(_), Some(last)) =
        (plan.load, facts.load_start_ns(), facts.load.last_scheduled_ns)
        && plan.arrivals == Arrivals::Constant
        && plan.rounds_planned > 0
        && facts.load.counts.rounds >= plan.rounds_planned
    {
        observed = observed.max(facts.spans.load_time(last.saturating_add(plan.round_every_ns)));
    }
    let enough = observed > 0 && observed as f64 >= declared as f64 * DURATION_SHARE_MIN;
    let mut result = check(
        Check::LoadDuration,
        pass_or(Verdict::Inconclusive, enough),
        format!("99 % of {} at least", units::nanos(declared)),
        units::nanos(observed),
    );
    if facts.segments > 1 {
        let count = n(u64::from(facts.segments));
        result.note =
            Some(format!("in {count} segments, and {} between them", units::nanos(facts.gaps_ns())));
    }
    result
}

fn rounds_done(facts: &Facts) -> EvidenceResult {
    let planned = facts.header.plan.rounds_planned;
    let done = facts.load.counts.rounds;
    let recorded = done + facts.load.warm_up.rounds;
    let wanted = if planned == 0 { "at least 1 (closed loop)".into() } else { n(planned) };
    let verdict = pass_or(Verdict::Inconclusive, done >= planned.max(1));
    let mut result = check(Check::RoundsDone, verdict, wanted, n(done));
    if let Some(end) = &facts.end
        && end.rounds != recorded
        && end.rounds != done
    {
        result.verdict = result.verdict.max(Verdict::Inconclusive);
        result.note =
            Some(format!("the end counts {} rounds, and {} are recorded", n(end.rounds), n(recorded)));
    }
    result
}

/// A run that did nothing proves nothing.
fn work_done(facts: &Facts) -> EvidenceResult {
    let counts = &facts.load.counts;
    let verdict = match (counts.tasks, counts.answered) {
        (0, _) => Verdict::Inconclusive,
        (_, 0) => Verdict::Fail,
        _ => Verdict::Pass,
    };
    let found = format!("{} of {} tasks", n(counts.answered), n(counts.tasks));
    check(Check::WorkDone, verdict, "answered tasks in the load phase", found)
}

fn agents_live(facts: &Facts) -> EvidenceResult {
    let plan = &facts.header.plan;
    let samples = &facts.samples;
    let wanted = match plan.workers_least {
        None => format!("{} processes in every sweep", n(u64::from(plan.processes))),
        Some(_) if plan.stages.is_empty() => {
            format!("{} processes in every sweep at least", n(u64::from(samples.scaling.least_at(u64::MAX))))
        }
        Some(_) => "in every sweep as many processes as its stage has".to_owned(),
    };
    let Some(least) = samples.live_min else {
        return check(Check::AgentsSeen, Verdict::Inconclusive, wanted, "no sweep in the load phase");
    };
    let mut result = check(
        Check::AgentsSeen,
        pass_or(Verdict::Inconclusive, samples.sweeps_short == 0),
        wanted,
        format!("{} at least, over {}", n(u64::from(least)), units::things(samples.sweeps, "sweep")),
    );
    if samples.sweeps_short > 0 {
        result.note =
            Some(format!("{} saw fewer than planned", units::things(samples.sweeps_short, "sweep")));
    } else if facts.faults.sweeps_excused > 0 {
        let excused = units::things(facts.faults.sweeps_excused, "sweep");
        result.note =
            Some(format!("{excused} saw fewer while a declared fault lasted, and no fewer than it explains"));
    } else if samples.sweeps_in_turn > 0 {
        let came = units::things(samples.sweeps_in_turn, "sweep");
        result.note = Some(format!(
            "{came} came when workers were being recycled: their successors were seen alive before the sweep was over"
        ));
    }
    result
}

fn sampling_coverage(facts: &Facts) -> EvidenceResult {
    let every = facts.header.plan.sample_every_ns;
    let samples = &facts.samples;
    // Each interruption costs the part of a period that was under way.
    let cut = u64::from(facts.segments.saturating_sub(1));
    // Sweeps of a segment that was killed go on after its last checkpoint.
    let swept_ns = facts.load_ns().saturating_add(facts.tail_ns);
    let due = swept_ns.checked_div(every).unwrap_or(0).saturating_sub(cut);
    let needed = ((due as f64 * COVERAGE_MIN).floor() as u64).max(1);
    let gap_max = every.saturating_mul(GAP_PERIODS_MAX);
    let good = samples.sweeps >= needed && samples.gap_max_ns <= gap_max;
    let mut result = check(
        Check::SamplingCoverage,
        pass_or(Verdict::Inconclusive, good),
        format!("{} of {}, no gap over {}", n(needed), units::things(due, "sweep"), units::nanos(gap_max)),
        format!(
            "{}, longest gap {}",
            units::things(samples.sweeps, "sweep"),
            units::nanos(samples.gap_max_ns)
        ),
    );
    if samples.missed > 0 {
        result.note = Some(format!(
            "{} missed: {}",
            units::things(samples.missed, "sweep"),
            samples.missed_why.join("; ")
        ));
    }
    result
}

fn sampler_on_time(facts: &Facts) -> EvidenceResult {
    let every = facts.header.plan.sample_every_ns;
    let wanted = format!("p99 of the lateness within {}", units::nanos(every));
    let lateness = &facts.samples.lateness;
    let Some(p99) = lateness.quantile_ns(0.99) else {
        return check(Check::SamplerOnTime, Verdict::Inconclusive, wanted, "no sweep in the load phase");
    };
    check(Check::SamplerOnTime, pass_or(Verdict::Inconclusive, p99 <= every), wanted, units::nanos(p99))
}

/// Only where a criterion rests on it.
fn pss_read(case: &Case) -> Option<EvidenceResult> {
    let facts = case.facts();
    if !case.readable().any(|(_, pair)| pair.pass().metric().needs_pss()) {
        return None;
    }
    let due = facts.load_ns().checked_div(facts.header.plan.pss_every_ns).unwrap_or(0);
    let wanted = ((due as f64 * COVERAGE_MIN).floor() as u64).max(1);
    let found = facts.samples.sweeps_with_pss;
    Some(check(
        Check::PssRead,
        pass_or(Verdict::Inconclusive, found >= wanted),
        format!("{} that read it from every process", units::things(wanted, "sweep")),
        n(found),
    ))
}

/// Each accepted task is answered or failed, once.
fn counted_once(facts: &Facts) -> EvidenceResult {
    let c = &facts.load.counts;
    let good = c.answered + c.failed == c.tasks;
    let mut result = check(
        Check::CountedOnce,
        pass_or(Verdict::Fail, good),
        "accepted = answered + failed",
        format!("{} = {} + {}", n(c.tasks), n(c.answered), n(c.failed)),
    );
    // The ledgers also have what came in no round: after the last one. Only the rounds have what came after a checkpoint.
    let booked = facts.ledger.as_ref().map_or(0, |ledger| {
        let theirs = ledger.coordinators.iter().filter_map(|row| row.coordinator.map(|own| own.duplicates));
        ledger.client.duplicates.max(theirs.sum())
    });
    let duplicates = (c.duplicates + facts.load.warm_up.duplicates).max(booked);
    if duplicates > 0 {
        result.note = Some(format!("{} second answers came, and none was counted", n(duplicates)));
        // On a bus that leases each task once, a second answer is a fault, counted or not.
        result.verdict = result.verdict.max(Verdict::Fail);
    }
    result
}

fn nothing_left(facts: &Facts) -> EvidenceResult {
    let wanted = "no process and no file of the run";
    let Some(verify) = &facts.verify else {
        return check(Check::NothingLeft, Verdict::Inconclusive, wanted, "not checked");
    };
    let ended =
        facts.outlived.iter().map(|name| format!("{name}, which outlived the harness of its segment"));
    let left = verify.processes_left.iter().chain(&verify.files_left).cloned();
    let left: Vec<_> = left.chain(ended).collect();
    // The harness cleared up what the fleet should have: nothing stays, and yet it is a finding.
    let (verdict, names) = match (left.is_empty(), verify.cleaned.is_empty()) {
        (false, _) => (Verdict::Fail, left),
        (true, false) => (Verdict::Conditional, verify.cleaned.clone()),
        (true, true) => (Verdict::Pass, Vec::new()),
    };
    let found = match verdict {
        Verdict::Fail => format!("{} left", n(names.len() as u64)),
        Verdict::Conditional => {
            format!("nothing, after the harness had cleaned up {}", n(names.len() as u64))
        }
        Verdict::Pass | Verdict::Inconclusive => "nothing".into(),
    };
    let mut result = check(Check::NothingLeft, verdict, wanted, found);
    let mut notes = Vec::new();
    if !names.is_empty() {
        notes.push(shorten(&names));
    }
    if facts.verified < facts.segments {
        // A harness that was killed does not look, and only since 2.11 does the one that goes on.
        if facts.has(11) {
            result.verdict = result.verdict.max(Verdict::Inconclusive);
        }
        notes.push(format!(
            "looked for after {} of {} segments only",
            n(facts.verified.into()),
            n(facts.segments.into())
        ));
    }
    result.note = (!notes.is_empty()).then(|| notes.join("; "));
    result
}

/// Only where others did something: the files of most runs are left alone.
fn files_altered(facts: &Facts) -> Option<EvidenceResult> {
    let altered = &facts.verify.as_ref()?.altered;
    if altered.is_empty() {
        return None;
    }
    let found = format!("{} altered by others", n(altered.len() as u64));
    let wanted = "files that only the fleet alters";
    let mut result = check(Check::MemoryUntouched, Verdict::Fail, wanted, found);
    result.note = Some(shorten(altered));
    Some(result)
}

/// The first few of a list.
pub(super) fn shorten(items: &[String]) -> String {
    const SHOWN: usize = 5;
    let mut text = items.iter().take(SHOWN).cloned().collect::<Vec<_>>().join("; ");
    if items.len() > SHOWN {
        let _ = write!(text, "; and {} more", items.len() - SHOWN);
    }
    text
}
