//! What each worker did in the load, against the rounds and the histograms of that load.

use std::collections::BTreeSet;

use super::load::Counts;
use super::{Validator, plan};
use crate::runlog::event::{LatencyTag, Phase, PlanFacts, Role, WorkerTimes, Workers};

impl Validator {
    /// The error is a sentence fragment.
    pub(super) fn workers(&mut self, event: &Workers, plan: Option<&PlanFacts>) -> Result<(), String> {
        if !matches!(self.phase(), Some(Phase::Drain)) || self.ledger {
            return Err(
                "the tasks of each worker were added up before the load was over, or after the ledger".into(),
            );
        }
        // Places that an operator has added are in no plan.
        let by_hand = self.census.is_scaled_by_hand();
        let is_place =
            |name: &str| by_hand || plan.is_none_or(|plan| plan::has_place(plan, Role::Worker, name));
        let mut names = BTreeSet::new();
        for row in &event.workers {
            if !names.insert(&row.name) {
                return Err(format!("the tasks of {} were added up twice", row.name));
            }
            if !is_place(&row.name) {
                return Err(format!("{} has answered tasks, and the plan has no such worker", row.name));
            }
            possible(row)?;
        }
        let Some(load) = self.rounds.tell_workers() else {
            return Err("the tasks of each worker were added up twice".into());
        };
        let one_a_round = plan.is_some_and(|plan| plan.tasks_per_round.is_none());
        agrees(&event.workers, load, one_a_round)
    }
}

/// Whether tasks can add up to that.
fn possible(row: &WorkerTimes) -> Result<(), String> {
    let WorkerTimes { name, answered, sum_ns, max_ns } = row;
    let most = u128::from(*answered) * u128::from(*max_ns);
    if *answered > 0 && max_ns <= sum_ns && u128::from(*sum_ns) <= most {
        return Ok(());
    }
    Err(format!("{answered} tasks of {name} took {sum_ns} ns together, and the slowest of them {max_ns} ns"))
}

fn agrees(rows: &[WorkerTimes], load: &Counts, one_a_round: bool) -> Result<(), String> {
    let answered = rows.iter().map(|row| u128::from(row.answered)).sum::<u128>();
    if answered != u128::from(load.answered) {
        return Err(format!(
            "the workers have answered {answered} tasks, and the rounds of the load {}",
            load.answered
        ));
    }
    let max_ns = rows.iter().map(|row| row.max_ns).max();
    if max_ns != load.task_max_ns {
        return Err(format!(
            "the slowest task of the workers took {} ns, and that of the rounds {} ns",
            max_ns.unwrap_or(0),
            load.task_max_ns.unwrap_or(0)
        ));
    }
    if let Some(row) = rows.iter().find(|row| one_a_round && row.answered > load.rounds) {
        return Err(format!("{} has answered {} tasks in {} rounds", row.name, row.answered, load.rounds));
    }
    shared(rows, load)?;
    timed(rows, load)
}

/// Where there are several coordinators, the rounds say how many tasks were answered under each.
fn shared(rows: &[WorkerTimes], load: &Counts) -> Result<(), String> {
    for (number, answered) in load.shared.iter().enumerate() {
        let under = format!("worker/{number}.");
        let own: u64 = rows.iter().filter(|row| row.name.starts_with(&under)).map(|row| row.answered).sum();
        if own != *answered {
            return Err(format!(
                "the workers under coord/{number} have answered {own} tasks, and by the rounds it was {answered}"
            ));
        }
    }
    Ok(())
}

/// Histograms of all tasks hold the slowest of each worker, and add up to as much.
fn timed(rows: &[WorkerTimes], load: &Counts) -> Result<(), String> {
    let ranks = &load.ranks[LatencyTag::Task as usize];
    // Whether histograms may be missing is asked elsewhere.
    if ranks.count() != load.answered {
        return Ok(());
    }
    let sum_ns: u128 = rows.iter().map(|row| u128::from(row.sum_ns)).sum();
    let (least, most) = ranks.sum();
    if !(least..=most).contains(&sum_ns) {
        return Err(format!(
            "the tasks of all workers took {sum_ns} ns together, and by the histograms {least} ns to {most} ns"
        ));
    }
    match ranks.missing(rows.iter().map(|row| row.max_ns)) {
        Some(ns) => Err(format!("the slowest task of a worker took {ns} ns, and no histogram has it")),
        None => Ok(()),
    }
}
