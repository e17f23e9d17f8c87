//! From the workers' rings into the table.

use super::tasks::attempt;
use super::{Coordinator, add};
use crate::bus::events::EventKind;
use crate::bus::ring::{HEADER, Record};
use crate::os::clock::now_ns;
use crate::plan::lease::{Claim, State};
use crate::plan::recover::Ending;
use crate::plan::retry::Cause;
use crate::wire::{
    ANSWER, AnswerHeader, AnswerStatus, FAILED, REVIVED, TRUNCATED, TaskHeader, TaskKind, USAGE_LEN,
    WITH_USAGE, epoch_of,
};
use nix::sys::signal::{Signal, kill};
use zerocopy::{FromBytes, IntoBytes};

/// What an answer is worth.
enum Worth {
    /// The one that counts.
    Counts,
    /// Of a task that was given up, or of a lease that is over.
    Late,
    /// The second one of a task that has one.
    Second,
    /// Taken by a predecessor already, who did not live to acknowledge it.
    Seen,
    /// Made under a coordinator that is dead.
    Fenced,
    /// Cannot be: whoever wrote it is not to be trusted any more.
    Nonsense,
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
                    // It writes nonsense: cut it off, and let its death take the usual way.
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

    /// False if the answer cannot be.
    fn answer(&mut self, number: usize, record: &Record) -> bool {
        let answer = AnswerHeader::read_from_bytes(&record.header).expect("headers have one size");
        let counters = self.region.counters();
        let status = match self.worth(number, &answer, record.body.len()) {
            Worth::Counts => {
                self.count(&answer, &record.body);
                return true;
            }
            Worth::Seen => return true,
            Worth::Nonsense => return false,
            Worth::Fenced => {
                add(&counters.fenced);
                return true;
            }
            Worth::Late => {
                add(&counters.late);
                let said = [answer.id.sequence, answer.id.sender.into()];
                self.events.write(now_ns(), EventKind::Late, number as u32, &said);
                AnswerStatus::Late
            }
            Worth::Second => {
                add(&counters.duplicates);
                AnswerStatus::Duplicate
            }
        };
        let notice = AnswerHeader { status: status as u32, ..answer };
        let mut header = [0; HEADER];
        header.copy_from_slice(notice.as_bytes());
        // The count is what matters; a client that is behind need not hear of each.
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
            self.write_letter(entry, answer, said(answer, body));
        }
        // A command that ends badly has answered all the same, unless its task says that this is a failure.
        let ending =
            if status == AnswerStatus::Ok && failed.is_none() { Ending::Answered } else { Ending::Failed };
        let mut told = *answer;
        if task.was_dead_letter() {
            told.status |= REVIVED;
        }
        if status == AnswerStatus::Ok && failed.is_some() {
            told.status |= FAILED;
        }
        self.ending(ending, |c| c.table.finish(entry, &told, body));
        self.untold.push_back(entry);
    }

    fn worth(&mut self, number: usize, answer: &AnswerHeader, body_len: usize) -> Worth {
        let status = [AnswerStatus::Ok, AnswerStatus::Refused, AnswerStatus::TimedOut]
            .into_iter()
            .find(|status| *status as u32 == answer.status);
        let fits = body_len <= self.region.shape().payload_max() as usize;
        if status.is_none() || !fits || !self.table.has(answer.entry) || answer.worker != number as u32 {
            return Worth::Nonsense;
        }
        // What lies in the rings at a takeover was made under a predecessor, and counts; later nothing
        // of that kind can come, since its maker is dead and its ring was emptied.
        let current = epoch_of(answer.lease) == epoch_of(crate::wire::lease(self.epoch, 0));
        if current == self.taking_over {
            return Worth::Fenced;
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
            // Of its life before it was a letter.
            && !(task.was_dead_letter() && answer.started_ns < task.sent_ns);
        if here && word.claim(number as u16, attempt(answer)) == Claim::Accept {
            // Too late at the worker is too late, also if the coordinator was too busy to say so first.
            if answer.finished_ns <= task.deadline_ns {
                return Worth::Counts;
            }
            self.fail(answer.entry, AnswerStatus::TimedOut);
        } else if here
            && self.taking_over
            && word.state() == Some(State::Queued)
            && word.attempt() == attempt(answer)
        {
            // It failed, and is to be tried again.
            return Worth::Seen;
        } else if here && word.state() == Some(State::Done) {
            let told = self.table.answer(answer.entry);
            let told = AnswerHeader { status: told.status & !(REVIVED | FAILED), ..told };
            return if self.taking_over && told == *answer { Worth::Seen } else { Worth::Second };
        }
        let given_up = &mut self.links[number].given_up;
        if let Some(at) = given_up.iter().position(|id| *id == answer.id) {
            given_up.remove(at);
            // The worker says too that its time was over before it began: nothing was delivered late.
            let unbegun = status == Some(AnswerStatus::TimedOut) && answer.started_ns == answer.finished_ns;
            return if unbegun { Worth::Seen } else { Worth::Late };
        }
        // Whom its predecessor had given up a successor cannot know; but a worker that answers twice it
        // would not find here first.
        if here || self.taking_over { Worth::Late } else { Worth::Second }
    }
}

/// Why an attempt failed, in words of others: the reason of a refusal, what a command wrote to stderr.
fn said<'b>(answer: &AnswerHeader, body: &'b [u8]) -> &'b [u8] {
    let usage = if answer.stdout_len & WITH_USAGE == 0 { 0 } else { USAGE_LEN };
    let output = &body[..body.len().saturating_sub(usage)];
    output.get((answer.stdout_len & !(TRUNCATED | WITH_USAGE)) as usize..).unwrap_or_default()
}

/// What an answer says of the attempt; `None` if it was a success, or if nobody asked.
fn failure(answer: &AnswerHeader, task: &TaskHeader) -> Option<Cause> {
    let command = matches!(TaskKind::from_raw(task.kind), Some(TaskKind::Exec | TaskKind::Command));
    match AnswerStatus::from_raw(answer.status) {
        Some(AnswerStatus::TimedOut) => Some(Cause::TimedOut),
        Some(AnswerStatus::Refused) => Some(Cause::Refused),
        Some(AnswerStatus::Ok) if command && task.retries_failures() && answer.code != 0 => {
            Some(Cause::ExitedBadly)
        }
        _ => None,
    }
}
