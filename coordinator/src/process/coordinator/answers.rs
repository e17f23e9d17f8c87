//! From the workers' rings into the table.

use super::tasks::attempt;
use super::{Coordinator, add};
use crate::bus::ring::{HEADER, Record};
use crate::plan::lease::{Claim, State};
use crate::plan::recover::Ending;
use crate::wire::{ANSWER, AnswerHeader, AnswerStatus, epoch_of};
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
    }

    /// False if the answer cannot be.
    fn answer(&mut self, number: usize, record: &Record) -> bool {
        let answer = AnswerHeader::read_from_bytes(&record.header).expect("headers have one size");
        let counters = self.region.counters();
        let status = match self.worth(number, &answer, record.body.len()) {
            Worth::Counts => {
                let ending =
                    if answer.status == AnswerStatus::Ok as u32 { Ending::Answered } else { Ending::Failed };
                self.ending(ending, |c| c.table.finish(answer.entry, &answer, &record.body));
                self.untold.push_back(answer.entry);
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

    fn worth(&mut self, number: usize, answer: &AnswerHeader, body_len: usize) -> Worth {
        let known =
            matches!(AnswerStatus::from_raw(answer.status), Some(AnswerStatus::Ok | AnswerStatus::Refused));
        let fits = body_len <= self.region.shape().payload_max() as usize;
        if !known || !fits || !self.table.has(answer.entry) || answer.worker != number as u32 {
            return Worth::Nonsense;
        }
        // What lies in the rings at a takeover was made under a predecessor, and counts; later nothing
        // of that kind can come, since its maker is dead and its ring was emptied.
        let current = epoch_of(answer.lease) == epoch_of(crate::wire::lease(self.epoch, 0));
        if current == self.taking_over {
            return Worth::Fenced;
        }
        let (word, task) = (self.table.word(answer.entry), self.table.task(answer.entry));
        let here = word.state() != Some(State::Free)
            && task.id == answer.id
            && u32::from(task.worker) == answer.worker;
        if here && word.claim(number as u16, attempt(answer)) == Claim::Accept {
            // Too late at the worker is too late, also if the coordinator was too busy to say so first.
            if answer.finished_ns <= task.deadline_ns {
                return Worth::Counts;
            }
            self.fail(answer.entry, AnswerStatus::TimedOut);
        } else if here && word.state() == Some(State::Done) {
            return if self.taking_over && self.table.answer(answer.entry) == *answer {
                Worth::Seen
            } else {
                Worth::Second
            };
        }
        let given_up = &mut self.links[number].given_up;
        if let Some(at) = given_up.iter().position(|id| *id == answer.id) {
            given_up.remove(at);
            return Worth::Late;
        }
        // Whom its predecessor had given up a successor cannot know; but a worker that answers twice it
        // would not find here first.
        if here || self.taking_over { Worth::Late } else { Worth::Second }
    }
}
