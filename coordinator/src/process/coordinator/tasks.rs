//! From the client's ring into the table, and on into the workers' rings.

use super::{Coordinator, add};
use crate::bus::ring::{HEADER, Record};
use crate::bus::sync::{Bug, Ordering, planted};
use crate::plan::lease::{State, Word};
use crate::plan::recover::Ending;
use crate::process::clock::now_ns;
use crate::wire::{ANSWER, AnswerHeader, AnswerStatus, TASK, TaskHeader, attempt_of, lease};
use zerocopy::{FromBytes, IntoBytes};

/// Given-up tasks remembered per worker, to tell a late answer from a second one.
const GIVEN_UP_MAX: usize = 64;

impl Coordinator {
    pub(super) fn take_tasks(&mut self, record: &mut Record) {
        let mut taken = false;
        while !self.client_broken
            && let Some(&entry) = self.free.last()
        {
            match self.from_client.pop(record) {
                Ok(true) => {}
                Ok(false) => break,
                Err(_) => {
                    self.client_broken = true;
                    break;
                }
            }
            let mut task = TaskHeader::read_from_bytes(&record.header).expect("headers have one size");
            let fits = record.body.len() <= self.region.shape().payload_max() as usize;
            let here = task.id.epoch == self.control.stamped().epoch;
            if record.kind != TASK || task.worker as usize >= self.links.len() || !fits || !here {
                self.client_broken = true;
                break;
            }
            self.free.pop();
            taken = true;
            if planted(Bug::AcknowledgeBeforeTable) {
                self.from_client.acknowledge();
            }
            task.entry = entry;
            task.lease = 0;
            self.table.accept(entry, &task, &record.body);
            self.earliest_ns = self.earliest_ns.min(task.deadline_ns);
            // Now that it is in the table. One by one: what is broken is never acknowledged, so a
            // successor finds it broken too, and the ring's count is that of the accepted.
            self.from_client.acknowledge();
            let link = &mut self.links[task.worker as usize];
            if link.rings.is_some() {
                link.waiting.push_back(entry);
                self.hand_over(task.worker as usize);
            } else {
                self.fail(entry, AnswerStatus::WorkerDead);
            }
        }
        if taken {
            self.region.counters().accepted.store(self.from_client.acknowledged(), Ordering::Relaxed);
            self.publish_tasks();
        }
    }

    /// From the table into the worker's ring, as far as there is room.
    pub(super) fn hand_over(&mut self, number: usize) {
        let link = &mut self.links[number];
        let Some(rings) = &mut link.rings else { return };
        while let Some(&entry) = link.waiting.front() {
            let word = self.table.word(entry);
            let Some(leased) = word.lease(number as u16) else {
                // It timed out while it waited here.
                link.waiting.pop_front();
                continue;
            };
            let task = TaskHeader { lease: lease(self.epoch, leased.attempt()), ..self.table.task(entry) };
            self.table.task_body(entry, &mut self.body);
            let mut header = [0; HEADER];
            header.copy_from_slice(task.as_bytes());
            if rings.tasks.push(TASK, &header, &self.body).is_err() {
                return;
            }
            self.table.lease(entry);
            link.waiting.pop_front();
            link.touched = true;
        }
    }

    pub(super) fn publish_tasks(&mut self) {
        for (number, link) in self.links.iter_mut().enumerate() {
            if std::mem::take(&mut link.touched)
                && let Some(rings) = &mut link.rings
            {
                rings.tasks.publish();
                self.region.worker(number as u32).bell.ring();
            }
        }
    }

    /// The answer that says that there will be none.
    pub(super) fn no_answer(&self, entry: u32, status: AnswerStatus) -> AnswerHeader {
        let (word, task) = (self.table.word(entry), self.table.task(entry));
        let process = &self.region.worker(task.worker.into()).process;
        AnswerHeader {
            id: task.id,
            started_ns: 0,
            finished_ns: now_ns(),
            worker: task.worker.into(),
            entry,
            lease: lease(self.epoch, word.attempt()),
            status: status as u32,
            code: process.dead_status.load(Ordering::Relaxed),
            stdout_len: 0,
        }
    }

    /// Gives an open entry up.
    pub(super) fn fail(&mut self, entry: u32, status: AnswerStatus) {
        let answer = self.no_answer(entry, status);
        let link = &mut self.links[answer.worker as usize];
        link.waiting.retain(|waiting| *waiting != entry);
        if link.given_up.len() == GIVEN_UP_MAX {
            link.given_up.pop_front();
        }
        link.given_up.push_back(answer.id);
        self.ending(Ending::Failed, |coordinator| coordinator.table.fail(entry, &answer));
        self.untold.push_back(entry);
    }

    /// Takes an entry to its last state and counts it. Said first what will be counted: see
    /// `Counters::ending`.
    pub(super) fn ending(&self, ending: Ending, step: impl FnOnce(&Self)) {
        let counters = self.region.counters();
        counters.ending.store(ending as u32, Ordering::Release);
        step(self);
        add(match ending {
            Ending::Answered => &counters.answered,
            Ending::Failed => &counters.failed,
            Ending::Returned => &counters.returned,
        });
    }

    pub(super) fn expire(&mut self, now: u64) {
        self.earliest_ns = u64::MAX;
        for (entry, _, task) in self.table.open() {
            if task.deadline_ns <= now {
                self.fail(entry, AnswerStatus::TimedOut);
            } else {
                self.earliest_ns = self.earliest_ns.min(task.deadline_ns);
            }
        }
    }

    /// Answers and failures into the client's ring, as far as there is room.
    pub(super) fn tell(&mut self) {
        while let Some(&entry) = self.untold.front() {
            self.table.answer_body(entry, &mut self.body);
            if self.to_client.push(ANSWER, &self.table.answer_bytes(entry), &self.body).is_err() {
                break;
            }
            self.untold.pop_front();
            self.told.push(entry);
        }
        if planted(Bug::FreeBeforeTold) {
            self.free_told();
        }
        if self.to_client.publish() {
            self.control.client_bell().ring();
        }
        // Published, so it cannot be lost any more.
        self.free_told();
    }

    fn free_told(&mut self) {
        for entry in self.told.drain(..) {
            self.table.free(entry);
            self.free.push(entry);
        }
    }

    /// True if the task was in the hands of its worker, which is dead, when that died.
    pub(super) fn was_in_hand(&self, word: Word, task: &TaskHeader) -> bool {
        word.state() == Some(State::Leased)
            && (task.worker as usize) < self.links.len()
            && self.region.worker(task.worker.into()).own.task.load(Ordering::Acquire)
                == task.id.sequence.wrapping_add(1)
    }
}

/// The attempt of an answer, for those who hold it against a word.
pub(super) fn attempt(answer: &AnswerHeader) -> u8 {
    attempt_of(answer.lease)
}
