//! What earlier clients have left in a fleet that outlives its clients, and what this one leaves.
//!
//! Before the fleet sees a task, it is in the journal of the fleet's clients; it is noted there as ended when its result is
//! written. A run that resumes another one takes over the tasks of its list that are in between: an answer that is kept is
//! written at once, and for a task that the fleet still has it waits.

use super::super::results::End;
use super::super::{UNFIT, kept};
use super::{Run, Started};
use crate::client::{Client, Failure, Outcome, TaskId, Terms, WorkerRef};
use crate::snapshot::clients::Clients;
use crate::snapshot::record::AnswerRecord;
use crate::snapshot::{self, Ended, SnapshotError};
use crate::wire::AnswerStatus;
use std::time::{Duration, Instant};

/// How often it is checked whether the fleet still has the tasks that were taken over.
const LOOK_FOR_ADOPTED: Duration = Duration::from_secs(1);

impl Run {
    /// Takes the task over from an earlier client, if that has left it, and this run resumes that one's; otherwise gives it
    /// back, to be submitted.
    pub(super) fn claim(&mut self, mut task: Started) -> Option<Started> {
        let Some(clients) = self.work.clients.as_mut().filter(|_| self.work.rules.resumes) else {
            return Some(task);
        };
        let Some(left) = clients.claim(&task.job.id, &task.job.hash_text()) else { return Some(task) };
        task.noted = Some(left.entry);
        let Some(outcome) = left.outcome else {
            self.adopt(task, left.task.id);
            return None;
        };
        // Neither is an answer, nor says anything about the task.
        if matches!(outcome.answer.status, AnswerStatus::Cancelled | AnswerStatus::WorkerDead) {
            return Some(task);
        }
        let end = End::before(left.task.id, &outcome.answer, Some(task.job.task().parts().0));
        let worker = WorkerRef { coordinator: outcome.coordinator, worker: outcome.answer.worker };
        if !self.end(&task, Some(worker), &end) {
            self.hold_noted(&task, left.entry);
        } else if let Some(clients) = &mut self.work.clients {
            clients.ended(left.entry, Ended::Answered);
        }
        None
    }

    /// Waits for the outcome of a task that an earlier client has sent.
    fn adopt(&mut self, mut task: Started, id: TaskId) {
        task.sent = Some((id, 0));
        let terms = self.terms(&task);
        if let Some(journal) = &mut self.work.journal {
            match journal.accepted(id, &task.job, &terms, self.work.before.ends(&task.job.id)) {
                Ok(entry) => task.entry = Some(entry),
                Err(error) => self.broken(UNFIT, &error.to_string(), error.hint()),
            }
        }
        self.adopted.insert(id, task.turn);
        self.in_flight.insert(task.turn, task);
    }

    /// The outcome of a task of an earlier client.
    pub(super) fn inherit(&mut self, outcome: &Outcome<'_>) {
        let adopted = self.adopted.remove(&outcome.id).and_then(|turn| self.in_flight.remove(&turn));
        match adopted {
            // A coordinator has given it back: it was for its client to send it on.
            Some(task) if matches!(outcome.result, Err(Failure::Unassigned(_))) => self.again.push_back(task),
            Some(task) => self.settle(task, outcome),
            None => {
                let kept = self.work.clients.as_mut().map_or(Ok(()), |clients| clients.inherited(outcome));
                self.hold(&kept);
            }
        }
    }

    /// Notes a task before the fleet sees it. What it was noted as before has left the fleet.
    pub(super) fn note_accepted(&mut self, id: TaskId, task: &mut Started, terms: &Terms) {
        let Some(clients) = &mut self.work.clients else { return };
        if let Some(before) = task.noted.take() {
            clients.ended(before, Ended::Cancelled);
        }
        let before = self.work.before.ends(&task.job.id);
        match clients.accepted(kept::open_task(id, &task.job, terms, before)) {
            Ok(entry) => task.noted = Some(entry),
            Err(error) => {
                self.hold(&Err(error));
            }
        }
    }

    /// Notes the end of a task. If its result is not written, the next client gets its answer.
    pub(super) fn note_end(&mut self, task: &Started, is_written: bool, outcome: &Outcome<'_>) {
        let Some(entry) = task.noted else { return };
        self.hold_noted(task, entry);
        let Some(clients) = &mut self.work.clients else { return };
        if is_written {
            return clients.ended(entry, Ended::Answered);
        }
        let Some(answer) = AnswerRecord::of(outcome) else { return };
        let coordinator = outcome.worker.coordinator;
        let kept = clients.keep(entry, &snapshot::Outcome { coordinator, answer });
        self.hold(&kept);
    }

    /// False, and the run ends, if the journal of the fleet's clients cannot be written.
    pub(super) fn commit_clients(&mut self) -> bool {
        let committed = self.work.clients.as_mut().map_or(Ok(()), Clients::commit);
        self.hold(&committed)
    }

    fn hold(&mut self, kept: &Result<(), SnapshotError>) -> bool {
        if let Err(error) = kept {
            self.broken(
                UNFIT,
                &error.to_string(),
                "free some shared memory: the fleet keeps there what its clients have not written",
            );
        }
        kept.is_ok()
    }

    /// Submits the tasks that were taken over and have left the fleet without an outcome, as when their coordinator is lost
    /// for good.
    pub(super) fn look_for_adopted(&mut self, client: &Client) {
        if self.adopted.is_empty() || self.looked.elapsed() < LOOK_FOR_ADOPTED {
            return;
        }
        self.looked = Instant::now();
        let there = client.left();
        let missing = self.adopted.keys().filter(|id| !there.contains(id)).copied().collect();
        // Twice, with a look at the answers in between.
        let before = std::mem::replace(&mut self.missed, missing);
        for id in self.missed.intersection(&before) {
            self.again.extend(self.adopted.remove(id).and_then(|turn| self.in_flight.remove(&turn)));
        }
    }

    /// How many answers of earlier clients the fleet still keeps.
    pub(super) fn report_left(&self) {
        let (kept, _) = self.work.clients.as_ref().map_or((0, 0), Clients::left);
        if kept > 0 {
            super::print::report(format_args!(
                "the fleet keeps {} to earlier clients: the same command with `--resume` writes them down",
                super::counted(kept as u64, "answer")
            ));
        }
    }
}
