//! From the client's ring into the table, and on into the workers' rings.

use super::{Coordinator, add, table};
use crate::bus::events::EventKind;
use crate::bus::ring::{HEADER, Record};
use crate::bus::slot::Life;
use crate::bus::sync::{Bug, Ordering, planted};
use crate::os::clock::now_ns;
use crate::plan::lease::{Attempt, NO_WORKER, State, Word};
use crate::plan::recover::Ending;
use crate::plan::retry::{Backoff, Cause, Next, after_failure};
use crate::wire::{
    ANSWER, AnswerHeader, AnswerStatus, ENDING, REVIVED, TASK, TaskHeader, TaskId, WAS_DEAD_LETTER,
    attempt_of, lease,
};
use std::cmp::Reverse;
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
            let mut task = TaskHeader::read_from_bytes(&record.header)
                .expect("`wire` asserts that every header has `HEADER` bytes");
            let fits = record.body.len() <= self.region.shape().payload_max() as usize;
            let here = task.id.epoch == self.control.stamped().epoch;
            let known = task.place().is_none_or(|place| (place as usize) < self.links.len());
            if record.kind != TASK || !known || !fits || !here {
                self.client_broken = true;
                break;
            }
            self.free.pop();
            self.forget_returned(task.id);
            taken = true;
            if planted(Bug::AcknowledgeBeforeTable) {
                self.from_client.acknowledge();
            }
            task.entry = entry;
            task.lease = 0;
            task.kind &= !(WAS_DEAD_LETTER | ENDING);
            self.table.accept(entry, &task, &record.body);
            // Now that it is in the table. One by one: an invalid record is never acknowledged, so a successor
            // finds it invalid too, and the ring counts exactly the accepted tasks.
            self.from_client.acknowledge();
            self.enter(entry, &task);
        }
        if taken {
            self.count_accepted();
            self.publish_tasks();
        }
    }

    /// A task that the client sends again has been reported as returned, and one id has one entry.
    fn forget_returned(&mut self, id: TaskId) {
        let Some(at) = self.returned.iter().position(|(returned, _)| *returned == id) else { return };
        let (_, entry) = self.returned.swap_remove(at);
        self.unreported.retain(|unreported| *unreported != entry);
        self.table.free(entry);
        self.free.push(entry);
    }

    /// Accepted are the records of the client's ring, each once, but for those that no coordinator took, and the revived
    /// dead letters.
    pub(super) fn count_accepted(&self) {
        let counters = self.region.counters();
        let taken = self.from_client.acknowledged().saturating_add(counters.revived.load(Ordering::Relaxed));
        let accepted = taken.saturating_sub(counters.left.load(Ordering::Relaxed));
        counters.accepted.store(accepted, Ordering::Relaxed);
    }

    /// Queues a task that has just come into the table where it waits for its worker.
    pub(super) fn enter(&mut self, entry: u32, task: &TaskHeader) {
        self.earliest_ns = self.earliest_ns.min(task.deadline_ns);
        match task.place() {
            Some(place) if self.links[place as usize].rings.is_some() => {
                self.links[place as usize].waiting.push_back(entry);
                self.hand_over(place as usize);
            }
            None if self.has_workers() => {
                self.for_any_worker.push_back(entry);
                self.assign();
            }
            Some(_) | None => self.fail(entry, AnswerStatus::WorkerDead),
        }
    }

    /// Queues a task again, before the others, since it came before them.
    pub(super) fn line_up(&mut self, entry: u32) {
        match self.table.task(entry).place() {
            Some(place) => match self.links.get_mut(place as usize) {
                Some(link) => link.waiting.push_front(entry),
                None => table::damaged(entry),
            },
            None => self.for_any_worker.push_front(entry),
        }
    }

    /// Moves waiting tasks from the table into the worker's ring, as far as there is room.
    pub(super) fn hand_over(&mut self, number: usize) {
        while let Some(&entry) = self.links[number].waiting.front() {
            if self.table.word(entry).state() == Some(State::Queued) && !self.stage(entry, number) {
                return;
            }
            // If it is not queued, it has ended while it waited here.
            self.links[number].waiting.pop_front();
        }
    }

    /// Gives tasks for any worker to idle workers.
    pub(super) fn assign(&mut self) {
        while let Some(&entry) = self.for_any_worker.front() {
            if self.table.word(entry).state() != Some(State::Queued) {
                self.for_any_worker.pop_front();
                continue;
            }
            let Some(number) = self.next_idle() else { break };
            if !self.stage(entry, number) {
                break;
            }
            self.for_any_worker.pop_front();
        }
    }

    fn next_idle(&mut self) -> Option<usize> {
        loop {
            let number = self.idle.pop_front()? as usize;
            let link = &mut self.links[number];
            link.listed = false;
            if link.is_idle() {
                return Some(number);
            }
        }
    }

    /// Lists the worker for [`Self::assign`] if it is idle.
    pub(super) fn note_idle(&mut self, number: usize) {
        let link = &mut self.links[number];
        if link.is_idle() && !link.listed {
            link.listed = true;
            self.idle.push_back(number as u32);
        }
    }

    /// Leases a queued task to a worker and writes it into its ring; false if that has no room.
    fn stage(&mut self, entry: u32, number: usize) -> bool {
        let link = &mut self.links[number];
        let Some(rings) = &mut link.rings else { return false };
        let Some(leased) = self.table.word(entry).lease(number as u16) else { return true };
        let task = TaskHeader { lease: lease(self.epoch, leased.attempt()), ..self.table.task(entry) };
        self.table.task_body(entry, &mut self.body);
        let mut header = [0; HEADER];
        header.copy_from_slice(task.as_bytes());
        if rings.tasks.push(TASK, &header, &self.body).is_err() {
            return false;
        }
        self.table.lease(entry, number as u16);
        link.outstanding += 1;
        if !std::mem::replace(&mut link.touched, true) {
            self.touched.push(number as u32);
        }
        self.staged += 1;
        let counters = self.region.counters();
        let there = self.region.worker(number as u32).process.life() == Life::Live;
        add(if there { &counters.hits } else { &counters.misses });
        if link.pid.is_none() {
            self.want_worker(number as u32);
        }
        if self.policy.batch_max.is_some_and(|max| self.staged >= max.get()) {
            self.publish_tasks();
        }
        true
    }

    pub(super) fn publish_tasks(&mut self) {
        self.staged = 0;
        self.touched.sort_unstable();
        for number in self.touched.drain(..) {
            let link = &mut self.links[number as usize];
            // Not if the worker has died since: its new rings have nothing staged. A place may then be listed twice.
            if std::mem::take(&mut link.touched)
                && let Some(rings) = &mut link.rings
            {
                rings.tasks.publish();
                self.region.worker(number).bell.ring();
            }
        }
    }

    /// How many more attempts the task has.
    pub(super) fn attempts_left(&self, word: Word, task: &TaskHeader) -> u8 {
        task.attempts(self.policy.attempts_max).saturating_sub(word.attempt())
    }

    /// The answer that reports that the task will not be answered.
    pub(super) fn no_answer(&self, entry: u32, status: AnswerStatus) -> AnswerHeader {
        let (word, task) = (self.table.word(entry), self.table.task(entry));
        let worker = u32::from(word.worker());
        let died =
            matches!(status, AnswerStatus::WorkerDied | AnswerStatus::WorkerDead | AnswerStatus::WorkerHung);
        let code = if died && (worker as usize) < self.links.len() {
            self.region.worker(worker).process.dead_status.load(Ordering::Relaxed)
        } else if status == AnswerStatus::Returned {
            self.attempts_left(word, &task).into()
        } else {
            0
        };
        AnswerHeader {
            id: task.id,
            started_ns: 0,
            finished_ns: now_ns(),
            worker,
            entry,
            lease: lease(self.epoch, word.attempt()),
            status: status as u32 | if task.was_dead_letter() { REVIVED } else { 0 },
            code,
            stdout_len: 0,
        }
    }

    /// Gives an open entry up.
    pub(super) fn fail(&mut self, entry: u32, status: AnswerStatus) {
        let answer = self.no_answer(entry, status);
        self.fail_with(entry, status, &answer);
    }

    /// As [`Self::fail`], with an answer of [`Self::no_answer`].
    pub(super) fn fail_with(&mut self, entry: u32, status: AnswerStatus, answer: &AnswerHeader) {
        if let Some(link) = self.links.get_mut(answer.worker as usize) {
            link.waiting.retain(|waiting| *waiting != entry);
        }
        if answer.worker == u32::from(NO_WORKER) {
            self.for_any_worker.retain(|waiting| *waiting != entry);
        }
        if let Some(link) = self.links.get_mut(answer.worker as usize)
            && self.table.word(entry).state() == Some(State::Leased)
        {
            if link.given_up.len() == GIVEN_UP_MAX {
                link.given_up.pop_front();
            }
            link.given_up.push_back(answer.id);
        }
        let ending = match status {
            AnswerStatus::Returned => Ending::Returned,
            AnswerStatus::Cancelled => {
                add(&self.region.counters().cancelled);
                Ending::Failed
            }
            _ => {
                self.write_dead_letter(entry, answer, &[]);
                Ending::Failed
            }
        };
        self.ending(ending, |coordinator| coordinator.table.fail(entry, answer));
        self.unreported.push_back(entry);
    }

    /// An attempt at a leased entry has failed: queues its task again, or returns `None` if the task has failed for good.
    /// The attempt that was begun is lost.
    pub(super) fn try_again(&mut self, entry: u32, cause: Cause, status: AnswerStatus) -> Option<()> {
        let (word, task) = (self.table.word(entry), self.table.task(entry));
        if cause == Cause::TimedOut && task.retries_deaths_only() {
            return None;
        }
        let now = now_ns();
        let policy = &self.policy;
        let backoff = Backoff {
            first_ns: policy.backoff_first.as_nanos() as u64,
            max_ns: policy.backoff_max.as_nanos() as u64,
        };
        let most = task.attempts(policy.attempts_max);
        let retries = task.retries_failures();
        let next = after_failure(cause, word.attempt(), most, retries, now, task.deadline_ns, &backoff);
        let Next::Again { at_ns } = next else { return None };
        self.table.requeue(entry, Attempt::Begun);
        add(&self.region.counters().retried);
        let worker = u32::from(word.worker());
        self.events.write(
            now,
            EventKind::Retried,
            worker,
            &task_details(&task, word.attempt(), status as u32),
        );
        self.later.push(Reverse((at_ns, entry, word.generation())));
        Some(())
    }

    /// Queues tasks whose pause before the next attempt is over.
    pub(super) fn resume(&mut self, now: u64) {
        while let Some(&Reverse((at_ns, entry, generation))) = self.later.peek()
            && at_ns <= now
        {
            self.later.pop();
            let word = self.table.word(entry);
            // If not, it has ended meanwhile.
            if word.state() != Some(State::Queued) || word.generation() != generation {
                continue;
            }
            let task = self.table.task(entry);
            let here = |place: u32| self.links.get(place as usize);
            match task.place() {
                Some(place) if here(place).is_none_or(|link| link.rings.is_some()) => {
                    self.line_up(entry);
                    self.hand_over(place as usize);
                }
                None if self.has_workers() => self.line_up(entry),
                Some(_) | None => self.fail(entry, AnswerStatus::WorkerDead),
            }
        }
        self.assign();
        self.publish_tasks();
    }

    /// Takes an entry to its last state and counts it. What will be counted is written first: see
    /// `Counters::ending`.
    pub(super) fn ending(&self, ending: Ending, step: impl FnOnce(&Self)) {
        let counters = self.region.counters();
        counters.ending.store(ending as u32, Ordering::Release);
        step(self);
        add(match ending {
            Ending::Answered => &counters.answered,
            Ending::FailedTask => &counters.failed_tasks,
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

    /// Puts answers and failures into the client's ring, as far as there is room.
    pub(super) fn report_outcomes(&mut self) {
        while self.report_batch() {}
    }

    /// As many as are published at once. True if more can follow.
    fn report_batch(&mut self) -> bool {
        let most = self.policy.batch_max.map_or(usize::MAX, |max| max.get() as usize);
        let mut room = true;
        while self.reported.len() < most
            && let Some(&entry) = self.unreported.front()
        {
            self.table.answer_body(entry, &mut self.body);
            if self.to_client.push(ANSWER, &self.table.answer_bytes(entry), &self.body).is_err() {
                room = false;
                break;
            }
            self.unreported.pop_front();
            self.reported.push(entry);
        }
        if planted(Bug::FreeBeforeTold) {
            self.free_reported();
        }
        if self.to_client.publish() {
            self.control.client_bell().ring();
        }
        if !self.reported.is_empty() {
            let counters = self.region.counters();
            add(&counters.batches);
            let batched = counters.batched.load(Ordering::Relaxed);
            counters.batched.store(batched.wrapping_add(self.reported.len() as u64), Ordering::Relaxed);
        }
        // Published, so it cannot be lost any more.
        self.free_reported();
        room && !self.unreported.is_empty()
    }

    fn free_reported(&mut self) {
        for entry in self.reported.drain(..) {
            self.returned.retain(|(_, returned)| *returned != entry);
            self.table.free(entry);
            self.free.push(entry);
        }
    }

    /// True if the dead worker had begun this task when it died.
    pub(super) fn was_in_hand(&self, word: Word, task: &TaskHeader) -> bool {
        word.state() == Some(State::Leased)
            && usize::from(word.worker()) < self.links.len()
            && self.region.worker(word.worker().into()).own.task.load(Ordering::Acquire)
                == task.id.sequence.wrapping_add(1)
    }
}

/// The details of an event about a task.
pub(super) fn task_details(task: &TaskHeader, attempt: u8, status: u32) -> [u64; 4] {
    [task.id.sequence, task.id.sender.into(), attempt.into(), status.into()]
}

/// The attempt that an answer is of, to be compared with an entry's word.
pub(super) fn attempt(answer: &AnswerHeader) -> u8 {
    attempt_of(answer.lease)
}
