//! What a round says of itself: whether it can be true of any round of its plan.

use super::super::histogram::occurred;
use crate::runlog::event::{PlanFacts, Round, StrayAnswers};

/// A round with answers says when the first came, when the last was made and who shared it; its first answer is no later than
/// the median.
pub(super) fn answers(r: &Round, plan: &PlanFacts) -> Result<(), String> {
    let is_shared = r.answered > 0 && plan.coordinators > 1;
    for (what, is_there, is_due) in [
        ("first_ns", r.first_ns.is_some(), r.answered > 0),
        ("made_ns", r.made_ns.is_some(), r.failed == 0),
        ("coordinators", !r.coordinators.is_empty(), is_shared),
    ] {
        if is_there != is_due {
            let word = if is_there { "there" } else { "left out" };
            return Err(format!(
                "round {}: `{what}` is {word}, and {} of {} tasks were answered",
                r.round, r.answered, r.tasks
            ));
        }
    }
    let Some((first_ns, p50_ns)) = r.first_ns.zip(r.task_p50_ns) else { return Ok(()) };
    // Of one or two answers the median is the first.
    let took_ns = first_ns.saturating_sub(r.scheduled_ns);
    if took_ns > p50_ns || r.answered <= 2 && took_ns != p50_ns {
        return Err(format!(
            "round {}: `first_ns` is {took_ns} ns after its start, and `task_p50_ns` of {} answers is {p50_ns}",
            r.round, r.answered
        ));
    }
    Ok(())
}

/// What a round says of its first answer, of the making of its last, and of who shared it.
pub(super) fn shares(r: &Round, plan: &PlanFacts) -> Result<(), String> {
    let within = |ns: u64| (r.started_ns..=r.finished_ns).contains(&ns);
    if r.first_ns.is_some_and(|first| !within(first) || r.answered == 0) {
        return Err(format!("round {}: its first answer came before it began, or after its end", r.round));
    }
    if r.made_ns.is_some_and(|made| !within(made) || r.failed > 0) {
        return Err(format!("round {}: its last answer was made before it began, or after its end", r.round));
    }
    if r.retried > r.answered {
        return Err(format!(
            "round {}: more tasks were answered by a later attempt than were answered",
            r.round
        ));
    }
    let each = &r.coordinators;
    let sum: u64 = each.iter().copied().map(u64::from).sum();
    if !each.is_empty() && (each.len() != plan.coordinators as usize || sum != u64::from(r.answered)) {
        return Err(format!(
            "round {}: what its coordinators have answered is not what was answered",
            r.round
        ));
    }
    Ok(())
}

/// Whose late and second answers were adds up to how many there were.
pub(super) fn strays(r: &Round, plan: &PlanFacts, are_named: bool) -> Result<(), String> {
    let sum = |of: fn(&StrayAnswers) -> u32| r.strays.iter().map(|s| u64::from(of(s))).sum::<u64>();
    let is_planned = |s: &StrayAnswers| {
        s.workload.is_none_or(|at| (at as usize) < plan.workloads.len())
            && s.coordinator.is_none_or(|number| number < plan.coordinators)
    };
    let all = (sum(|s| s.late), sum(|s| s.duplicates)) == (r.late.into(), r.duplicates.into());
    if r.strays.is_empty() && !are_named || all && r.strays.iter().all(is_planned) {
        return Ok(());
    }
    Err(format!(
        "round {}: its late and second answers are not those of the workloads and coordinators",
        r.round
    ))
}

/// A round's own latencies: there if something was answered, in order, and not longer than the round.
pub(super) fn latencies(r: &Round) -> Result<(), String> {
    let (p50, p99, max) = match (r.task_p50_ns, r.task_p99_ns, r.task_max_ns) {
        (None, None, None) if r.answered == 0 => return Ok(()),
        (Some(p50), Some(p99), Some(max)) if r.answered > 0 => (p50, p99, max),
        _ => return Err(format!("round {}: its answers and its latencies do not agree", r.round)),
    };
    let took = r.finished_ns.saturating_sub(r.scheduled_ns);
    let whole = r.failed > 0 || max == took;
    let occurred = occurred(r.answered, [Some(p50), Some(p99), Some(max)]);
    if !(p50 <= p99 && p99 <= max && max <= took && whole && occurred) {
        return Err(format!("round {}: latencies that cannot be those of a round of {took} ns", r.round));
    }
    Ok(())
}
