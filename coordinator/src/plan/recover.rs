//! What becomes of a table entry whose worker, or whose coordinator, has died.
//!
//! Everything here was written by somebody who is dead, and may have been killed at any instruction or
//! have written nonsense: what does not fit is failed with a reason or cleared, never trusted. By the
//! time anything is decided here, every answer that the dead workers had published is in the table.

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

/// What an entry may say.
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
    /// Done or failed; its client may have been told or not, and is told once more.
    Report,
    /// The words cannot be; whose task it was is known, and the client is told.
    Condemn,
    /// The words cannot be, and nobody can be told.
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
    let somebodys = u32::from(word.worker()) < limits.workers;
    let nobodys = word.worker() == NO_WORKER;
    // Of one worker, and its own; of any, and had by one, or by none as long as nobody needs to have it.
    let (placed, waits) = match task.place() {
        Some(place) => (u32::from(word.worker()) == place, u32::from(word.worker()) == place),
        None => (somebodys, nobodys),
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
        Cancelled, Damaged, Duplicate, Late, Ok, Refused, Returned, TimedOut, WorkerDead, WorkerDied,
        WorkerHung,
    };
    let fits = match (found.word.state(), AnswerStatus::from_raw(answer.status)) {
        (Some(State::Done), Some(Ok | Refused | TimedOut)) => true,
        (Some(State::Failed), Some(status)) => match status {
            TimedOut | WorkerDied | WorkerDead | WorkerHung | Damaged | Returned | Cancelled => {
                found.answer_len == 0
            }
            Ok | Refused | Late | Duplicate => false,
        },
        _ => false,
    };
    fits && answer.id == found.task.id
        && answer.entry == found.entry
        && answer.worker == u32::from(found.word.worker())
        && found.answer_len <= limits.payload_max
}

/// What becomes of a leased task whose worker died; somebody will take the worker's place.
pub fn after_death(word: Word, attempt: Attempt, attempts_max: u8) -> Action {
    if attempt == Attempt::Begun && word.attempt() >= attempts_max {
        Action::Fail(AnswerStatus::WorkerDied)
    } else {
        Action::Requeue(attempt)
    }
}

/// What becomes of a task whose worker died, and nobody takes the worker's place.
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
        Answered = 1,
        Failed = 2,
        /// Here; its client sends it elsewhere.
        Returned = 3,
    }
}

/// How many tasks ended, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Endings {
    pub answered: u64,
    pub failed: u64,
    pub returned: u64,
}

/// The endings so that they balance: a coordinator killed between an entry's last state and
/// its count leaves one uncounted, and `under_way` says which it was.
pub fn balanced(accepted: u64, in_flight: u64, counted: Endings, under_way: Option<Ending>) -> Endings {
    let ended = accepted.saturating_sub(in_flight);
    let Endings { answered, failed, returned } = counted;
    // A sum that is too large for its number is no sum.
    let sum = answered.checked_add(failed).and_then(|sum| sum.checked_add(returned));
    match (sum.and_then(|sum| ended.checked_sub(sum)), under_way) {
        (Some(0), _) => counted,
        (Some(1), Some(Ending::Answered)) => Endings { answered: answered + 1, ..counted },
        (Some(1), Some(Ending::Returned)) => Endings { returned: returned + 1, ..counted },
        // Entries that were cleared, or counts that somebody scribbled over: not answered.
        _ => {
            let answered = answered.min(ended);
            let returned = returned.min(ended - answered);
            Endings { answered, returned, failed: ended - answered - returned }
        }
    }
}

#[cfg(test)]
mod tests;
