//! Whether the work was done, by two witnesses that are not the worker: the harness's clock and the kernel.

use super::{check, n, shorten};
use crate::facts::{Facts, MixedWork, WorkFacts};
use crate::units;
use crate::verdict::{Check, EvidenceResult, Verdict};

/// Of the CPU time that the answers claim: the clock that the worker reads and the one that the kernel shows need not
/// count an interrupt alike.
const CPU_SHARE_MIN: f64 = 0.9;

/// Not of logs that were written before this was compared.
pub(super) fn proven(facts: &Facts) -> Option<EvidenceResult> {
    if !facts.has(1) {
        return None;
    }
    let contradicted = facts.load.counts.contradicted + facts.load.warm_up.contradicted;
    if contradicted > 0 {
        let found = format!("{} with times that the harness's clock contradicts", n(contradicted));
        let mut result = check(Check::WorkProven, Verdict::Fail, "answers whose times can be true", found);
        let rounds = facts.task_failures.items.iter();
        let first: Vec<_> =
            rounds.filter(|f| f.reason.contains(" it says it ")).map(|f| f.reason.clone()).collect();
        result.note = (!first.is_empty()).then(|| shorten(&first));
        return Some(result);
    }
    if facts.mixed.is_asked() {
        return Some(cpu_of_all(&facts.mixed));
    }
    let Some(per_task_ns) = facts.work.per_task_ns() else {
        let found = "no answer that the harness's clock contradicts";
        return Some(check(Check::WorkProven, Verdict::Pass, "answers whose times can be true", found));
    };
    Some(cpu(facts, &facts.work, per_task_ns))
}

/// Each worker has used what its answers claim, as the kernel counts.
fn cpu(facts: &Facts, work: &WorkFacts, per_task_ns: u64) -> EvidenceResult {
    let wanted =
        format!("90 % of {} of CPU time for each task, as the kernel counts", units::nanos(per_task_ns));
    let is_short =
        |used_us: u64, tasks: u64| (used_us as f64) * 1e3 < tasks as f64 * per_task_ns as f64 * CPU_SHARE_MIN;
    if let Some((tasks, used_us)) = work.together() {
        let found = format!("{} for {} tasks", units::nanos(used_us.saturating_mul(1_000)), n(tasks));
        let verdict = match tasks {
            0 => Verdict::Inconclusive,
            _ if is_short(used_us, tasks) => Verdict::Fail,
            _ => Verdict::Pass,
        };
        return check(Check::WorkProven, verdict, wanted, found);
    }
    let (mut used_us, mut rounds, mut lacking) = (0_u64, 0_u64, Vec::new());
    for (id, worked) in work.workers() {
        used_us = used_us.saturating_add(worked.cpu_us);
        rounds += worked.rounds;
        if is_short(worked.cpu_us, worked.rounds) {
            lacking.push(format!(
                "{}: {} for {} tasks",
                facts.agent_name(id),
                units::nanos(worked.cpu_us.saturating_mul(1_000)),
                n(worked.rounds)
            ));
        }
    }
    if rounds == 0 {
        let found = "no sweep saw a worker after a round that was answered whole";
        return check(Check::WorkProven, Verdict::Inconclusive, wanted, found);
    }
    let verdict = if lacking.is_empty() { Verdict::Pass } else { Verdict::Fail };
    let found = format!("{} for {} tasks", units::nanos(used_us.saturating_mul(1_000)), n(rounds));
    let mut result = check(Check::WorkProven, verdict, wanted, found);
    result.note = (!lacking.is_empty()).then(|| shorten(&lacking));
    result
}

/// All workers together have used what the answers of a mix claim, as the kernel counts.
fn cpu_of_all(work: &MixedWork) -> EvidenceResult {
    let wanted = "90 % of the CPU time that the answered tasks of all workloads claim, as the kernel counts";
    let Some(proof) = work.proof() else {
        let found = "no sweep saw a worker after a round with a task that claims CPU time";
        return check(Check::WorkProven, Verdict::Inconclusive, wanted, found);
    };
    let needed_ns = proof.claimed_ns as f64 * CPU_SHARE_MIN;
    let found = format!("{} of {}", units::nanos(proof.used_ns), units::nanos(proof.claimed_ns));
    let verdict = if proof.used_ns as f64 >= needed_ns {
        Verdict::Pass
    } else if proof.used_ns.saturating_add(proof.unseen_ns) as f64 >= needed_ns {
        Verdict::Inconclusive
    } else {
        Verdict::Fail
    };
    let mut result = check(Check::WorkProven, verdict, wanted, found);
    if verdict == Verdict::Inconclusive {
        let unseen = units::nanos(proof.unseen_ns);
        result.note =
            Some(format!("workers that were replaced may have used {unseen} after they were last seen"));
    }
    result
}
