//! From the workers' rings into the table.

use super::tasks::attempt;
use super::{Coordinator, add};
use crate::bus::events::EventKind;
use crate::bus::ring::{HEADER, Record};
use crate::bus::sync::{Bug, planted};
use crate::os::clock::now_ns;
use crate::plan::lease::{Claim, State};
use crate::plan::recover::Ending;
use crate::plan::retry::Cause;
use crate::wire::{
    ANSWER, AnswerHeader, AnswerStatus, FAILED, FINAL, REVIVED, TaskHeader, TaskKind, USAGE_LEN, WITH_USAGE,
    epoch_of, output_len,
};
use nix::sys::signal::{Signal, kill};
use zerocopy::{FromBytes, IntoBytes};

/// What a worker may report.
const FROM_A_WORKER: [AnswerStatus; 6] = [
    AnswerStatus::Ok,
    AnswerStatus::Refused,
    AnswerStatus::TimedOut,
    AnswerStatus::AgentFailed,
    AnswerStatus::AgentDied,
    AnswerStatus::Cancelled,
];

/// How an answer is handled.
enum AnswerClass {
    /// The one answer that counts.
    Accepted,
    /// Of a task that was given up, or of a lease that is over.
    Late,
    /// Its task has an answer already.
    Duplicate,
    /// A predecessor had recorded it, and died before it acknowledged it.
    AlreadyTaken,
    /// Made under a coordinator that is dead.
    Fenced,
    /// No working worker writes it: its worker is not trusted any more.
    Invalid,
}

impl Coordinator {
    pub(super) fn take_answers(&mut self, record: &mut Record) {
        let mut ready = std::mem::take(&mut self.ready);
        self.region.ready().take(|number| ready.push(number));
        let workers = self.links.len();
        for number in ready.drain(..).filter(|number| *number < workers) {
            self.drain(number, record);
        }
        self.ready = ready;
        // Who has answered has time for a task that waits for any worker.
        self.assign();
        self.publish_tasks();
    }

    /// Everything that worker `number` has published.
    pub(super) fn drain(&mut self, number: usize, record: &mut Record) {
        // No more than an honest worker can have published: one that writes into its ring without
        // waiting for room must not keep its coordinator here.
        let most = self.region.worker_up(number as u32).geometry().capacity();
        for taken in 0.. {
            if taken == most {
                self.region.ready().set(number);
                break;
            }
            let Some(rings) = &mut self.links[number].rings else { return };
            let popped = rings.answers.pop(record);
            match popped {
                Ok(false) => break,
                Ok(true) if record.kind == ANSWER && self.answer(number, record) => {}
                Ok(true) | Err(_) => {
                    // It writes invalid records: kill it, and handle its death as any other.
                    if let Some(pid) = self.links[number].pid {
                        let _ = kill(pid, Signal::SIGKILL);
                    }
                    break;
                }
            }
        }
        let link = &mut self.links[number];
        // The answers are in the table; only now may the worker use the room again.
        if let Some(rings) = &mut link.rings {
            rings.answers.acknowledge();
        }
        if !link.waiting.is_empty() {
            self.hand_over(number);
        }
        self.note_idle(number);
    }

    /// False if the answer is invalid.
    fn answer(&mut self, number: usize, record: &Record) -> bool {
        let answer = AnswerHeader::read_from_bytes(&record.header)
            .expect("`wire` asserts that every header has `HEADER` bytes");
        if !self.taking_over && self.table.has(answer.entry) {
            self.check_entry(answer.entry);
        }
        let counters = self.region.counters();
        let status = match self.classify(number, &answer, record.body.len()) {
            AnswerClass::Accepted => {
                self.count(&answer, &record.body);
                return true;
            }
            AnswerClass::AlreadyTaken => return true,
            AnswerClass::Invalid => return false,
            AnswerClass::Fenced => {
                add(&counters.fenced);
                return true;
            }
            AnswerClass::Late => {
                add(&counters.late);
                let details = [answer.id.sequence, answer.id.sender.into()];
                self.events.write(now_ns(), EventKind::Late, number as u32, &details);
                AnswerStatus::Late
            }
            AnswerClass::Duplicate => {
                add(&counters.duplicates);
                AnswerStatus::Duplicate
            }
        };
        let notice = AnswerHeader { status: status as u32, ..answer };
        let mut header = [0; HEADER];
        header.copy_from_slice(notice.as_bytes());
        // The count is what matters; a client that is behind does not need each notice.
        let _ = self.to_client.push(ANSWER, &header, &[]);
        true
    }

    /// The one answer that counts: it ends its task, or is an attempt that failed.
    fn count(&mut self, answer: &AnswerHeader, body: &[u8]) {
        let (entry, task) = (answer.entry, self.table.task(answer.entry));
        let status = AnswerStatus::from_raw(answer.status).unwrap_or(AnswerStatus::Damaged);
        let failed = failure(answer, &task);
        if let Some(cause) = failed {
            if self.try_again(entry, cause, status).is_some() {
                return;
            }
            self.write_dead_letter(entry, answer, failure_text(answer, body));
        }
        let ending = ending(answer, &task);
        if ending == Ending::FailedTask {
            let (attempt, code) = (attempt(answer), i64::from(answer.code) as u64);
            let details = [task.id.sequence, task.id.sender.into(), attempt.into(), code];
            self.events.write(now_ns(), EventKind::TaskFailed, answer.worker, &details);
        }
        if status == AnswerStatus::Cancelled {
            add(&self.region.counters().cancelled);
        }
        let mut reported = *answer;
        if task.was_dead_letter() {
            reported.status |= REVIVED;
        }
        if status == AnswerStatus::Ok && failed.is_some() {
            reported.status |= FAILED;
        }
        self.ending(ending, |c| c.table.finish(entry, &reported, body));
        self.unreported.push_back(entry);
    }

    fn classify(&mut self, number: usize, answer: &AnswerHeader, body_len: usize) -> AnswerClass {
        let status = FROM_A_WORKER.into_iter().find(|status| *status as u32 == answer.status & !FINAL);
        let fits = body_len <= self.region.shape().payload_max() as usize;
        if status.is_none() || !fits || !self.table.has(answer.entry) || answer.worker != number as u32 {
            return AnswerClass::Invalid;
        }
        // Answers that are in the rings at a takeover were made under a predecessor, and count. Later none can come:
        // their workers are dead and their rings were emptied.
        let current = epoch_of(answer.lease) == epoch_of(crate::wire::lease(self.epoch, 0));
        if current == self.taking_over && !planted(Bug::ObeysTheDead) {
            return AnswerClass::Fenced;
        }
        if current {
            // One answer to each record that was put into its ring.
            let link = &mut self.links[number];
            link.outstanding = link.outstanding.saturating_sub(1);
        }
        let (word, task) = (self.table.word(answer.entry), self.table.task(answer.entry));
        let here = word.state() != Some(State::Free)
            && task.id == answer.id
            && task.place().is_none_or(|place| place == answer.worker)
            // Not from its time before it became a dead letter.
            && !(task.was_dead_letter() && answer.started_ns < task.sent_ns);
        let obeys = planted(Bug::ObeysTheDead) && word.state() == Some(State::Leased);
        if here && (obeys || word.claim(number as u16, attempt(answer)) == Claim::Accept) {
            if status == Some(AnswerStatus::Cancelled) && !task.is_ending() {
                return AnswerClass::Invalid;
            }
            // Finished after its deadline is too late, even if the coordinator was too busy to time it out first.
            if answer.finished_ns <= task.deadline_ns {
                return AnswerClass::Accepted;
            }
            self.fail(answer.entry, AnswerStatus::TimedOut);
        } else if here
            && self.taking_over
            && word.state() == Some(State::Queued)
            && word.attempt() == attempt(answer)
        {
            // It failed, and is to be tried again.
            return AnswerClass::AlreadyTaken;
        } else if here && word.state() == Some(State::Done) {
            let recorded = self.table.answer(answer.entry);
            let recorded = AnswerHeader { status: recorded.status & !(REVIVED | FAILED), ..recorded };
            return if self.taking_over && recorded == *answer {
                AnswerClass::AlreadyTaken
            } else {
                AnswerClass::Duplicate
            };
        }
        let given_up = &mut self.links[number].given_up;
        if let Some(at) = given_up.iter().position(|id| *id == answer.id) {
            given_up.remove(at);
            // The worker reports as well that the deadline passed before it began: nothing was delivered late.
            let unbegun = status == Some(AnswerStatus::TimedOut) && answer.started_ns == answer.finished_ns;
            return if unbegun { AnswerClass::AlreadyTaken } else { AnswerClass::Late };
        }
        // A successor cannot know which tasks its predecessor had given up; a worker that answers twice would have
        // been found above.
        if here || self.taking_over { AnswerClass::Late } else { AnswerClass::Duplicate }
    }
}

/// Why an attempt failed, as the worker reports it: the reason of a refusal, or what a command wrote to stderr.
fn failure_text<'b>(answer: &AnswerHeader, body: &'b [u8]) -> &'b [u8] {
    let usage = if answer.stdout_len & WITH_USAGE == 0 { 0 } else { USAGE_LEN };
    let output = &body[..body.len().saturating_sub(usage)];
    output.get(output_len(answer.stdout_len)..).unwrap_or_default()
}

fn is_command(task: &TaskHeader) -> bool {
    matches!(TaskKind::from_raw(task.kind), Some(TaskKind::Exec | TaskKind::Command))
}

/// How the last answer to a task is counted. A command that ends badly has answered all the same.
fn ending(answer: &AnswerHeader, task: &TaskHeader) -> Ending {
    match AnswerStatus::from_raw(answer.status) {
        Some(AnswerStatus::Ok) if is_command(task) && answer.code != 0 => Ending::FailedTask,
        Some(AnswerStatus::Ok) => Ending::Answered,
        Some(AnswerStatus::AgentFailed) => Ending::FailedTask,
        _ => Ending::Failed,
    }
}

/// Why the attempt behind an answer failed; `None` if it succeeded, or if its task does not count this as a failure.
fn failure(answer: &AnswerHeader, task: &TaskHeader) -> Option<Cause> {
    match AnswerStatus::from_raw(answer.status) {
        Some(AnswerStatus::TimedOut) => Some(Cause::TimedOut),
        Some(AnswerStatus::Refused) => Some(Cause::Refused),
        Some(AnswerStatus::AgentFailed) if answer.status & FINAL != 0 => Some(Cause::Final),
        Some(AnswerStatus::AgentFailed) => Some(Cause::ExitedBadly),
        Some(AnswerStatus::AgentDied) => Some(Cause::Died),
        Some(AnswerStatus::Ok) if is_command(task) && task.retries_failures() && answer.code != 0 => {
            Some(Cause::ExitedBadly)
        }
        _ => None,
    }
}
