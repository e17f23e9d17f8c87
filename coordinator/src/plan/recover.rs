//! What becomes of a table entry whose worker, or whose coordinator, has died.
//!
//! Everything here was written by somebody who is dead, and may have been killed at any instruction or
//! have written nonsense: what does not fit is failed with a reason or cleared, never trusted. By the
//! time anything is decided here, every answer that the dead workers had published is in the table.

use super::lease::{Hand, State, Word};
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
    Requeue(Hand),
    /// Leased to a dead worker too often.
    Fail(AnswerStatus),
    /// Done or failed; its client may have been told or not, and is told once more.
    Tell,
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
        && task.worker < limits.workers
        && TaskKind::from_raw(task.kind).is_some()
        && found.task_len <= limits.payload_max;
    if !known {
        return Action::Clear;
    }
    let attempts = word.attempt();
    let placed = u32::from(word.worker()) == task.worker && attempts <= limits.attempts_max;
    match word.state() {
        Some(State::Queued) if placed && attempts < limits.attempts_max => Action::Wait,
        Some(State::Leased) if placed && attempts > 0 => {
            let hand = if found.in_hand { Hand::Begun } else { Hand::Waiting };
            after_death(*word, hand, limits.attempts_max)
        }
        Some(State::Done | State::Failed) if placed && tells(found, answer, limits) => Action::Tell,
        _ => Action::Condemn,
    }
}

fn tells(found: &Found, answer: &AnswerHeader, limits: &Limits) -> bool {
    use AnswerStatus::{Damaged, Duplicate, Late, Ok, Refused, TimedOut, WorkerDead, WorkerDied};
    let fits = match (found.word.state(), AnswerStatus::from_raw(answer.status)) {
        (Some(State::Done), Some(Ok | Refused)) => true,
        (Some(State::Failed), Some(status)) => match status {
            TimedOut | WorkerDied | WorkerDead | Damaged => found.answer_len == 0,
            Ok | Refused | Late | Duplicate => false,
        },
        _ => false,
    };
    fits && answer.id == found.task.id
        && answer.entry == found.entry
        && answer.worker == found.task.worker
        && found.answer_len <= limits.payload_max
}

/// What becomes of a leased task whose worker died; somebody will take the worker's place.
pub fn after_death(word: Word, hand: Hand, attempts_max: u8) -> Action {
    if hand == Hand::Begun && word.attempt() >= attempts_max {
        Action::Fail(AnswerStatus::WorkerDied)
    } else {
        Action::Requeue(hand)
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

/// How a task ended, for the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Ending {
    Answered = 1,
    Failed = 2,
}

impl Ending {
    pub fn from_raw(raw: u32) -> Option<Self> {
        [Self::Answered, Self::Failed].into_iter().find(|ending| *ending as u32 == raw)
    }
}

/// Answered and failed so that they balance: a coordinator killed between an entry's last state and
/// its count leaves one ending uncounted, and `under_way` says which it was.
pub fn balanced(
    accepted: u64,
    in_flight: u64,
    answered: u64,
    failed: u64,
    under_way: Option<Ending>,
) -> (u64, u64) {
    let ended = accepted.saturating_sub(in_flight);
    match (ended.checked_sub(answered.saturating_add(failed)), under_way) {
        (Some(1), Some(Ending::Answered)) => (answered + 1, failed),
        // Entries that were cleared, or counts that somebody scribbled over: not answered.
        _ => (answered.min(ended), ended.saturating_sub(answered)),
    }
}

#[cfg(test)]
mod tests;
