//! What becomes of a table entry whose worker, or whose coordinator, has died.
//!
//! Everything here was written by a dead process, which may have been killed at any instruction or have
//! written nonsense: what does not fit is failed with a reason or cleared, never trusted. When a decision is
//! made here, every answer that the dead workers had published is already in the table.

use super::lease::{Attempt, NO_WORKER, State, Word};
use crate::raw::raw_enum;
use crate::wire::{AnswerHeader, AnswerStatus, TaskHeader, TaskKind};

/// An entry as it was found; each word read once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    pub entry: u32,
    pub word: Word,
    pub task: TaskHeader,
    pub task_len: u32,
    pub answer: AnswerHeader,
    pub answer_len: u32,
    /// The worker that the word names was at this very task when it died.
    pub in_hand: bool,
}

/// The limits that an entry must respect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Of the coordinator.
    pub workers: u32,
    /// Bytes.
    pub payload_max: u32,
    pub attempts_max: u8,
    /// Of the fleet: what every task's id begins with.
    pub epoch: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Free; a task may come here.
    Leave,
    /// Queued, and waits for its worker as before.
    Wait,
    /// Leased to a dead worker: queued again.
    Requeue(Attempt),
    /// Begun by workers that died too often.
    Fail(AnswerStatus),
    /// Done or failed; whether its client knows is uncertain, so the outcome is reported again.
    Report,
    /// The words are impossible; the task is known, and its client gets a failure.
    Condemn,
    /// The words are impossible, and the task is unknown.
    Clear,
}

/// What a successor does with `found`.
pub fn decide(found: &Found, limits: &Limits) -> Action {
    let Found { word, task, answer, .. } = found;
    if word.state() == Some(State::Free) {
        return Action::Leave;
    }
    let known = task.id.epoch == limits.epoch
        && task.place().is_none_or(|place| place < limits.workers)
        && TaskKind::from_raw(task.kind).is_some()
        && found.task_len <= limits.payload_max;
    if !known {
        return Action::Clear;
    }
    let (attempts, most) = (word.attempt(), task.attempts(limits.attempts_max));
    let is_leased_here = u32::from(word.worker()) < limits.workers;
    let is_unassigned = word.worker() == NO_WORKER;
    // A task for one worker must be at that worker. One for any worker is at some worker once it is leased, and
    // at none while it waits.
    let (placed, waits) = match task.place() {
        Some(place) => (u32::from(word.worker()) == place, u32::from(word.worker()) == place),
        None => (is_leased_here, is_unassigned),
    };
    match word.state() {
        Some(State::Queued) if waits && attempts < most => Action::Wait,
        Some(State::Leased) if placed && (1..=most).contains(&attempts) => {
            let attempt = if found.in_hand { Attempt::Begun } else { Attempt::NotBegun };
            after_death(*word, attempt, most)
        }
        Some(State::Done) if placed && attempts <= most && is_reportable(found, answer, limits) => {
            Action::Report
        }
        Some(State::Failed)
            if (placed || waits) && attempts <= most && is_reportable(found, answer, limits) =>
        {
            Action::Report
        }
        _ => Action::Condemn,
    }
}

fn is_reportable(found: &Found, answer: &AnswerHeader, limits: &Limits) -> bool {
    use AnswerStatus::{
        AgentDied, AgentFailed, Cancelled, Damaged, Duplicate, Late, Ok, Refused, Returned, TimedOut,
        WorkerDead, WorkerDied, WorkerHung,
    };
    let fits = match (found.word.state(), AnswerStatus::from_raw(answer.status)) {
        (Some(State::Done), Some(Ok | Refused | TimedOut | AgentFailed | AgentDied)) => true,
        (Some(State::Done), Some(Cancelled)) => found.task.is_ending(),
        (Some(State::Failed), Some(status)) => match status {
            TimedOut | WorkerDied | WorkerDead | WorkerHung | Damaged | Returned | Cancelled => {
                found.answer_len == 0
            }
            Ok | Refused | Late | Duplicate | AgentFailed | AgentDied => false,
        },
        _ => false,
    };
    fits && answer.id == found.task.id
        && answer.entry == found.entry
        && answer.worker == u32::from(found.word.worker())
        && found.answer_len <= limits.payload_max
}

/// What becomes of a leased task whose worker died and gets a successor.
pub fn after_death(word: Word, attempt: Attempt, attempts_max: u8) -> Action {
    if attempt == Attempt::Begun && word.attempt() >= attempts_max {
        Action::Fail(AnswerStatus::WorkerDied)
    } else {
        Action::Requeue(attempt)
    }
}

/// What becomes of a task whose worker died and gets no successor.
pub fn abandoned(word: Word, in_hand: bool) -> AnswerStatus {
    if word.state() == Some(State::Leased) && in_hand {
        AnswerStatus::WorkerDied
    } else {
        AnswerStatus::WorkerDead
    }
}

raw_enum! {
    /// How a task ended, for the ledger.
    pub enum Ending: u32 {
        /// With success.
        Answered = 1,
        /// Not answered.
        Failed = 2,
        /// Returned to its client, which sends it elsewhere.
        Returned = 3,
        /// Answered with a failure.
        FailedTask = 4,
    }
}

/// How many tasks ended, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Endings {
    pub answered: u64,
    pub failed_tasks: u64,
    pub failed: u64,
    pub returned: u64,
}

/// The endings so that they balance: a coordinator killed between an entry's last state and
/// its count leaves one uncounted, and `under_way` says which it was.
pub fn balanced(accepted: u64, in_flight: u64, counted: Endings, under_way: Option<Ending>) -> Endings {
    let ended = accepted.saturating_sub(in_flight);
    let Endings { answered, failed_tasks, failed, returned } = counted;
    // A sum that overflows does not balance.
    let sum = [failed_tasks, failed, returned].into_iter().try_fold(answered, u64::checked_add);
    let balanced = match (sum.and_then(|sum| ended.checked_sub(sum)), under_way) {
        (Some(1), Some(Ending::Answered)) => Endings { answered: answered + 1, ..counted },
        (Some(1), Some(Ending::FailedTask)) => Endings { failed_tasks: failed_tasks + 1, ..counted },
        (Some(1), Some(Ending::Returned)) => Endings { returned: returned + 1, ..counted },
        // Counts that balance stay as they are. Entries that were cleared, or damaged counts: not answered.
        _ => {
            let answered = answered.min(ended);
            let failed_tasks = failed_tasks.min(ended - answered);
            let returned = returned.min(ended - answered - failed_tasks);
            Endings { answered, failed_tasks, returned, failed: ended - answered - failed_tasks - returned }
        }
    };
    assert_eq!(
        balanced.answered + balanced.failed_tasks + balanced.failed + balanced.returned,
        ended,
        "every ended task is counted once"
    );
    balanced
}

#[cfg(test)]
mod tests;
