//! Whether the run is fit to be judged at all, and what no scenario needs to ask for.
//!
//! One function a check. Data that is missing or short makes a run INCONCLUSIVE; what proves that the
//! fleet did wrong (a death, a leftover, a difference between the two ends' ledgers) makes it FAIL.

mod believed;
mod faults;
mod incidents;
mod own;
mod setup;
mod stages;
mod work;

pub(super) use believed::believed;

use std::fmt::Write;

use super::{Case, Check, EvidenceResult, LogState, Verdict};
use crate::facts::Facts;
use crate::runlog::event::{Arrivals, EndReason, Ledger, LedgerEvidence, LedgerRow, LoadModel};
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
    out.extend([counted_once(facts), ledger(facts), incidents::no_deaths(facts)]);
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
    // The ledgers also have what came in no round: during the warm-up, or after the last round.
    let booked = facts.ledger.as_ref().map_or(0, |ledger| {
        let theirs = ledger.coordinators.iter().filter_map(|row| row.coordinator.map(|own| own.duplicates));
        ledger.client.duplicates.max(theirs.sum())
    });
    let duplicates = c.duplicates.max(booked);
    if duplicates > 0 {
        result.note = Some(format!("{} second answers came, and none was counted", n(duplicates)));
        // On a bus that leases each task once, a second answer is a fault, counted or not.
        result.verdict = result.verdict.max(Verdict::Fail);
    }
    result
}

fn ledger(facts: &Facts) -> EvidenceResult {
    let Some(ledger) = &facts.ledger else {
        return check(
            Check::Ledger,
            Verdict::Inconclusive,
            "both ends count the same",
            "no ledger in the log",
        );
    };
    let wanted = match ledger.evidence {
        LedgerEvidence::Client => {
            "the client counts what the rounds hold; the system has no ledger of its own"
        }
        LedgerEvidence::Coordinators | LedgerEvidence::Workers => "both ends count the same",
    };
    let (mut wrong, mut unread) = (Vec::new(), Vec::new());
    for (counts, moment) in moments(facts) {
        wrong.extend(unbalanced("client", &counts.client, moment));
        if ledger.evidence > LedgerEvidence::Client {
            against_coordinators((facts, moment), counts, &mut wrong, &mut unread);
        }
    }
    // Rounds of a segment that was killed before its first checkpoint are in no ledger.
    if !facts.lacks_a_ledger() {
        wrong.extend(against_rounds(facts, ledger));
    }
    let lost = facts.lost_tasks();
    let is_whole = unread.is_empty() && !facts.lacks_a_ledger() && lost == 0;
    let verdict = match (wrong.is_empty(), is_whole) {
        (false, _) => Verdict::Fail,
        (true, false) => Verdict::Inconclusive,
        (true, true) => Verdict::Pass,
    };
    let mut result = check(Check::Ledger, verdict, wanted, counted(facts, ledger));
    if !wrong.is_empty() {
        result.note = Some(shorten(&wrong));
    } else if !unread.is_empty() {
        result.note = Some(format!("could not be read: {}", shorten(&unread)));
    } else if facts.lacks_a_ledger() {
        result.note = Some(format!("{} of {} segments have a ledger", facts.ledgers, facts.segments));
    } else if lost > 0 {
        result.note = Some(format!(
            "{} failed in rounds that do not count: under way at the last checkpoint, or later",
            units::things(lost, "task")
        ));
    } else if !facts.cuts.is_empty() {
        result.note = Some(cut_off(facts));
    }
    result
}

/// When counts were read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Moment {
    /// All tasks had ended.
    Drained,
    /// So many had not.
    UnderLoad { in_hand: u64 },
}

/// The counts of all segments, those that have drained first.
fn moments(facts: &Facts) -> impl Iterator<Item = (&Ledger, Moment)> {
    let cuts = facts.cuts.iter();
    let cuts = cuts.map(|cut| (&cut.checkpoint.ledger, Moment::UnderLoad { in_hand: cut.in_hand() }));
    facts.drained.iter().map(|ledger| (ledger, Moment::Drained)).chain(cuts)
}

/// Which segments count up to a checkpoint, and what that leaves out, in words.
fn cut_off(facts: &Facts) -> String {
    let (cuts, in_hand) = (&facts.cuts, facts.in_hand());
    let rounds = cuts.iter().map(|cut| cut.rounds_after).sum();
    let mut text = format!(
        "{} to the last checkpoint before it was cut off, with {} in hand that count neither as answered nor as lost",
        if cuts.len() == 1 {
            "one segment counts".to_owned()
        } else {
            format!("{} segments count", cuts.len())
        },
        units::things(in_hand, "task")
    );
    if rounds > 0 {
        let _ = write!(
            text,
            "; {} ended after it and count only where they are bad",
            units::things(rounds, "round")
        );
    }
    text
}

/// What the client counts, in words.
fn counted(facts: &Facts, ledger: &Ledger) -> String {
    let in_hand = facts.in_hand();
    let mut found = format!(
        "{} accepted, {} answered, {} failed, {} in flight",
        n(ledger.client.accepted),
        n(ledger.client.answered),
        n(ledger.client.failed),
        n(ledger.client.in_flight.saturating_sub(in_hand))
    );
    if !facts.cuts.is_empty() {
        let _ = write!(found, ", {} in hand when the run was cut off", n(in_hand));
    }
    for (count, how) in [(ledger.refused, "refused"), (ledger.rejected, "answered incorrectly")] {
        if count > 0 {
            let _ = write!(found, ", {} {how}", n(count));
        }
    }
    found
}

/// Holds the client's counts against those of each coordinator, and of its workers where they are declared.
fn against_coordinators(
    (facts, moment): (&Facts, Moment),
    ledger: &Ledger,
    wrong: &mut Vec<String>,
    unread: &mut Vec<String>,
) {
    let mut total = LedgerRow::default();
    let retried = ledger.pool.map_or(0, |pool| pool.retried);
    for row in &ledger.coordinators {
        total = total.plus(row.client);
        match &row.coordinator {
            None => unread.push(row.name.clone()),
            Some(own) => {
                let (name, corrupt) = (&row.name, facts.load.counts.corrupt);
                match moment {
                    Moment::Drained => {
                        wrong.extend(unbalanced(name, own, moment));
                        wrong.extend(difference(name, &row.client, own, corrupt));
                    }
                    Moment::UnderLoad { .. } => wrong.extend(apart(name, &row.client, own, corrupt)),
                }
            }
        }
        match row.executed_by_workers {
            Some(executed) if executed < row.client.answered => {
                wrong.push(format!("{}: more answers than its workers have executed tasks", row.name));
            }
            // A worker begins a task again whose agent program or process has died.
            Some(executed) if executed > row.client.accepted.saturating_add(retried) => {
                wrong.push(format!("{}: its workers have executed more tasks than there were", row.name));
            }
            None if ledger.evidence >= LedgerEvidence::Workers && row.coordinator.is_some() => {
                unread.push(format!("what the workers of {} have executed", row.name));
            }
            Some(_) | None => {}
        }
    }
    if ledger.coordinators.is_empty() {
        unread.push("the count of every coordinator".into());
    }
    // Under load, some tasks may be with no coordinator.
    let ended = |row: &LedgerRow| match moment {
        Moment::Drained => row.accepted,
        Moment::UnderLoad { .. } => row.accepted.saturating_sub(row.in_flight),
    };
    if ended(&total) != ended(&ledger.client) || total.answered != ledger.client.answered {
        wrong.push("the client's rows do not add up to its total".into());
    }
}

fn unbalanced(name: &str, row: &LedgerRow, moment: Moment) -> Option<String> {
    if row.accepted != row.answered.saturating_add(row.failed).saturating_add(row.in_flight) {
        return Some(format!("{name}: accepted is not answered + failed + in flight"));
    }
    match moment {
        Moment::Drained => (row.in_flight > 0)
            .then(|| format!("{name}: {} tasks still in flight after the drain", n(row.in_flight))),
        // The harness waits for no others: these it had given up, and the system has never ended them.
        Moment::UnderLoad { in_hand } => {
            row.in_flight.checked_sub(in_hand).filter(|rest| *rest > 0).map(|rest| {
                format!("{name}: {} tasks given up and still in flight at the last checkpoint", n(rest))
            })
        }
    }
}

/// As [`difference`], while tasks are on their way: the ends are no further apart than that explains. Tasks that the client has given
/// up may be on their way as well.
fn apart(name: &str, client: &LedgerRow, own: &LedgerRow, corrupt: u64) -> Option<String> {
    let under_way = client.in_flight.saturating_add(client.failed);
    let explained = under_way.saturating_add(client.late).saturating_add(corrupt);
    let accepted = client.accepted.checked_sub(own.accepted).is_some_and(|behind| behind <= under_way);
    let answered = own.answered.checked_sub(client.answered).is_some_and(|ahead| ahead <= explained);
    (!(accepted && answered)).then(|| {
        format!(
            "{name}: at the last checkpoint the client counts {} accepted and {} answered, with {} in flight; it counts {} and {}",
            n(client.accepted),
            n(client.answered),
            n(client.in_flight),
            n(own.accepted),
            n(own.answered)
        )
    })
}

/// A coordinator may have had an answer that came to the client too late, or with the wrong content:
/// the client calls these failed.
fn difference(name: &str, client: &LedgerRow, own: &LedgerRow, corrupt: u64) -> Option<String> {
    if client.accepted != own.accepted {
        return Some(format!(
            "{name}: the client counts {} accepted, it counts {}",
            n(client.accepted),
            n(own.accepted)
        ));
    }
    let explained = client.late.saturating_add(corrupt);
    let good = own.answered >= client.answered && own.answered - client.answered <= explained;
    (!good).then(|| {
        format!("{name}: the client counts {} answered, it counts {}", n(client.answered), n(own.answered))
    })
}

/// What the bus refused is in the rounds and in no ledger; what was answered incorrectly is an answer in
/// the ledgers alone.
fn against_rounds(facts: &Facts, ledger: &Ledger) -> Option<String> {
    let (load, warm) = (&facts.load.counts, &facts.load.warm_up);
    // Of rounds that were on their way at a checkpoint, the ledgers have the tasks so far; of failures after it they have none.
    let open = facts.cuts.iter().map(|cut| cut.checkpoint.open);
    let (tasks, answered) = open.fold((0, 0), |(tasks, answered): (u64, u64), open| {
        (tasks.saturating_add(open.tasks), answered.saturating_add(open.answered))
    });
    let rounds =
        ((load.tasks + warm.tasks).saturating_sub(facts.lost_tasks()), load.answered + warm.answered);
    let booked = (
        ledger.client.accepted.saturating_add(ledger.refused).saturating_sub(tasks),
        ledger.client.answered.saturating_sub(ledger.rejected).saturating_sub(answered),
    );
    (rounds != booked).then(|| {
        format!(
            "the rounds hold {} tasks and {} answers, the ledgers {} ({} never accepted) and {} ({} not right)",
            n(rounds.0),
            n(rounds.1),
            n(booked.0),
            n(ledger.refused),
            n(booked.1),
            n(ledger.rejected)
        )
    })
}

fn nothing_left(facts: &Facts) -> EvidenceResult {
    let wanted = "no process and no file of the run";
    let Some(verify) = &facts.verify else {
        return check(Check::NothingLeft, Verdict::Inconclusive, wanted, "not checked");
    };
    let left: Vec<_> = verify.processes_left.iter().chain(&verify.files_left).cloned().collect();
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
    result.note = (!names.is_empty()).then(|| shorten(&names));
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
