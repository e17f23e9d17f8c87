//! What comes back from the coordinators: answers, and the end of tasks that will get none.

use super::coordinators::Reclaim;
use super::{
    ANSWER_GRACE, Answer, Client, Event, Failure, GIVEN_UP_MAX, InFlight, Outcome, Partial, Surplus, TaskId,
    Terms, Usage, WorkerRef, now_ns,
};
use crate::bus::ring::Record;
use crate::bus::slot::EntryWords;
use crate::process::reap::HowEnded;
use crate::wire::{
    AnswerHeader, AnswerStatus, FAILED, REVIVED, SPOOLED, TRUNCATED, USAGE_LEN, WITH_USAGE, attempt_of,
    output_len,
};
use std::time::Duration;
use zerocopy::FromBytes;

impl Client {
    pub(super) fn take(&mut self, index: usize, record: &Record, each: &mut impl FnMut(Event<'_>)) {
        let answer = AnswerHeader::read_from_bytes(&record.header)
            .expect("HEADER is the size of an AnswerHeader: asserted at compile time in wire.rs");
        let status = AnswerStatus::from_raw(answer.status);
        let Some(link) = &mut self.links[index] else { return };
        let surplus = Surplus { id: answer.id, coordinator: index as u32 };
        if status == Some(AnswerStatus::Late) {
            link.ledger.late += 1;
            return each(Event::Late(surplus));
        }
        if status != Some(AnswerStatus::Duplicate) && link.is_repeated(&answer) {
            link.repeated += 1;
            return each(Event::Repeated(answer.id));
        }
        let inherited = answer.id.sender != self.sender;
        if status != Some(AnswerStatus::Duplicate) && (inherited || answer.status & REVIVED != 0) {
            let outcome = foreign_outcome(index as u32, &answer, &record.body);
            return each(if inherited { Event::Inherited(outcome) } else { Event::Revived(outcome) });
        }
        let here = self
            .in_flight
            .get(&answer.id.sequence)
            .is_some_and(|task| task.coordinator == Some(index as u32));
        let given_up = self.given_up.contains(&answer.id.sequence);
        if !here && given_up {
            self.given_up.retain(|sequence| *sequence != answer.id.sequence);
            if matches!(status, Some(AnswerStatus::Ok | AnswerStatus::Refused)) {
                link.ledger.late += 1;
                each(Event::Late(surplus));
            }
            // Otherwise the coordinator has given it up too, which is not worth an event.
            return;
        }
        if status == Some(AnswerStatus::Duplicate) || !here {
            link.ledger.duplicates += 1;
            return each(Event::Duplicate(surplus));
        }
        if status == Some(AnswerStatus::Returned) {
            let left = u8::try_from(answer.code).unwrap_or(1).max(1);
            if self.take_back(answer.id.sequence, Reclaim::Returned(left)) {
                return;
            }
        }
        let Some(task) = self.in_flight.remove(&answer.id.sequence) else { return };
        let result = outcome_of(index as u32, &answer, &record.body, Some(&task));
        let worker = worker_of(index as u32, &answer, &task);
        self.settle(answer.id, &task, (worker, Some(attempt_of(answer.lease))), result, each);
    }

    fn settle(
        &mut self,
        id: TaskId,
        task: &InFlight,
        (worker, attempt): (WorkerRef, Option<u8>),
        result: Result<Answer<'_>, Failure>,
        each: &mut impl FnMut(Event<'_>),
    ) {
        if let Some(worker) = task.worker {
            let place = self.place(worker);
            self.waiting[place] -= 1;
        }
        let link = task.coordinator.and_then(|index| self.links[index as usize].as_mut());
        let ledger = link.map_or(&mut self.unassigned_ledger, |link| &mut link.ledger);
        ledger.in_flight -= 1;
        let (is_answer, is_failed_task) = match &result {
            Ok(answer) => (true, answer.code != 0),
            Err(failure) => (failure.is_an_answer(), failure.is_an_answer()),
        };
        ledger.answered += u64::from(is_answer);
        ledger.failed_tasks += u64::from(is_failed_task);
        ledger.failed += u64::from(!is_answer);
        each(Event::Outcome(Outcome {
            id,
            worker,
            attempt,
            tag: task.tag,
            sent_ns: task.sent_ns,
            received_ns: now_ns(),
            result,
        }));
    }

    pub(super) fn expire(&mut self, now: u64, each: &mut impl FnMut(Event<'_>)) -> usize {
        let grace = ANSWER_GRACE.as_nanos() as u64;
        let mut expired = Vec::new();
        self.earliest_ns = u64::MAX;
        for (sequence, task) in &self.in_flight {
            if task.deadline_ns.saturating_add(grace) <= now {
                expired.push(*sequence);
            } else {
                self.earliest_ns = self.earliest_ns.min(task.deadline_ns);
            }
        }
        expired.sort_unstable();
        let silent = |task: &InFlight| match task.coordinator {
            Some(index) => {
                Failure::CoordinatorSilent(index, task.terms.deadline.saturating_add(ANSWER_GRACE))
            }
            None => Failure::Unassigned(task.terms.deadline),
        };
        self.fail(&expired, silent, each)
    }

    pub(super) fn fail(
        &mut self,
        sequences: &[u64],
        why: impl Fn(&InFlight) -> Failure,
        each: &mut impl FnMut(Event<'_>),
    ) -> usize {
        for sequence in sequences {
            if let Some(task) = self.in_flight.remove(sequence) {
                let id =
                    TaskId { epoch: self.control.stamped().epoch, sender: self.sender, sequence: *sequence };
                let failure = why(&task);
                if self.given_up.len() == GIVEN_UP_MAX {
                    self.given_up.pop_front();
                }
                self.given_up.push_back(*sequence);
                self.unassigned.retain(|unassigned| unassigned != sequence);
                let worker = task.worker.unwrap_or(WorkerRef::none(task.coordinator.unwrap_or(0)));
                self.settle(id, &task, (worker, None), Err(failure), each);
            }
        }
        sequences.len()
    }
}

/// The outcome of a task that this client has not in flight.
fn foreign_outcome<'a>(index: u32, answer: &AnswerHeader, body: &'a [u8]) -> Outcome<'a> {
    Outcome {
        id: answer.id,
        worker: WorkerRef { coordinator: index, worker: answer.worker },
        attempt: Some(attempt_of(answer.lease)),
        tag: 0,
        sent_ns: 0,
        received_ns: now_ns(),
        result: outcome_of(index, answer, body, None),
    }
}

/// The worker that carried out the task, or the one it was addressed to.
fn worker_of(index: u32, answer: &AnswerHeader, task: &InFlight) -> WorkerRef {
    task.worker.unwrap_or(WorkerRef { coordinator: index, worker: answer.worker })
}

/// Puts an answer's body apart: the output, where stderr begins in it, and what the command used.
struct Body<'a> {
    output: &'a [u8],
    stdout_len: usize,
    truncated: bool,
    spooled: bool,
    usage: Option<Usage>,
}

impl<'a> Body<'a> {
    fn of(answer: &AnswerHeader, body: &'a [u8]) -> Self {
        let mut output = body;
        let mut usage = None;
        if answer.stdout_len & WITH_USAGE != 0
            && let Some((rest, last)) = body.split_last_chunk::<USAGE_LEN>()
        {
            (output, usage) = (rest, Usage::read_from_bytes(last).ok());
        }
        Self {
            output,
            stdout_len: output_len(answer.stdout_len).min(output.len()),
            truncated: answer.stdout_len & TRUNCATED != 0,
            spooled: answer.stdout_len & SPOOLED != 0,
            usage,
        }
    }
}

/// What was overwritten, as far as the coordinator knows: a successor knows the entry only.
fn overwritten(answer: &AnswerHeader) -> String {
    let entry = format!("table[{}]", answer.entry);
    let word = usize::try_from(answer.code.wrapping_sub(1)).ok().and_then(EntryWords::name);
    match word {
        Some(word) => format!("{entry}.{word}"),
        None => entry,
    }
}

/// A task that a worker had begun is answered by that worker.
fn cancelled(answer: &AnswerHeader, partial: impl FnOnce() -> Box<Partial>) -> Failure {
    let is_begun = (1..answer.finished_ns).contains(&answer.started_ns);
    if is_begun { Failure::Ended(partial()) } else { Failure::Cancelled }
}

/// The outcome that an answer reports.
fn outcome_of<'a>(
    index: u32,
    answer: &AnswerHeader,
    body: &'a [u8],
    task: Option<&InFlight>,
) -> Result<Answer<'a>, Failure> {
    let Body { output, stdout_len, truncated, spooled, usage } = Body::of(answer, body);
    let how = HowEnded::from_raw(answer.code);
    let worker = WorkerRef { coordinator: index, worker: answer.worker };
    let attempt = attempt_of(answer.lease);
    let words = || String::from_utf8_lossy(output).into_owned();
    let partial = || {
        Box::new(Partial {
            how,
            attempt,
            started_ns: answer.started_ns,
            finished_ns: answer.finished_ns,
            stdout: output[..stdout_len].to_vec(),
            stderr: output[stdout_len..].to_vec(),
            truncated,
            spooled,
            usage,
        })
    };
    match AnswerStatus::from_raw(answer.status) {
        Some(AnswerStatus::Ok) if answer.status & FAILED != 0 => Err(Failure::Failed(partial())),
        Some(AnswerStatus::Ok) => Ok(Answer {
            body: output,
            attempt,
            started_ns: answer.started_ns,
            finished_ns: answer.finished_ns,
            code: answer.code,
            stdout_len,
            truncated,
            spooled,
            usage,
        }),
        // A coordinator reports it at the deadline, a worker at the end of an attempt.
        Some(AnswerStatus::TimedOut) => Err(match task.map(|task| task.terms) {
            Some(Terms { timeout: Some(timeout), .. }) if answer.started_ns > 0 => {
                Failure::AttemptTimedOut(timeout, partial())
            }
            None if answer.started_ns > 0 => Failure::AttemptTimedOut(Duration::ZERO, partial()),
            terms => Failure::TimedOut(terms.map_or(Duration::ZERO, |terms| terms.deadline)),
        }),
        Some(AnswerStatus::WorkerDied) => Err(Failure::WorkerDied(worker, how)),
        Some(AnswerStatus::WorkerDead) => Err(Failure::WorkerDead(worker, how)),
        Some(AnswerStatus::WorkerHung) => Err(Failure::WorkerHung(worker, how)),
        Some(AnswerStatus::Cancelled) => Err(cancelled(answer, partial)),
        Some(AnswerStatus::Refused) => Err(Failure::Refused(worker, words())),
        Some(AnswerStatus::AgentFailed) => Err(Failure::AgentFailed(worker, words())),
        Some(AnswerStatus::AgentDied) => Err(Failure::AgentDied(worker, words())),
        Some(AnswerStatus::Damaged) => Err(Failure::Damaged(index, overwritten(answer))),
        Some(AnswerStatus::Returned) => Err(Failure::Unassigned(Duration::ZERO)),
        Some(AnswerStatus::Late | AnswerStatus::Duplicate) | None => {
            Err(Failure::CoordinatorBroken(index, format!("an answer with status {}", answer.status)))
        }
    }
}
