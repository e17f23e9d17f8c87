//! The tasks, answers and dead letters of a region, read while its coordinator is paused.

use super::DeadLetter;
use crate::bus::copy::copy_out;
use crate::bus::ring::{HEADER, Record};
use crate::bus::slot::{DeadLetterState, TableEntry};
use crate::bus::sync::{AtomicU64, Ordering};
use crate::bus::view::Region;
use crate::client::dead_letters;
use crate::plan::lease::{State, Word};
use crate::snapshot::record::{AnswerRecord, Body, OpenTask, Progress, Untold, Used};
use crate::wire::{
    ANSWER, AnswerHeader, AnswerStatus, SPOOLED, TASK, TRUNCATED, TaskHeader, TaskId, TaskKind, USAGE_LEN,
    Usage, WITH_USAGE, attempt_of, output_len,
};
use std::collections::{HashMap, HashSet};
use zerocopy::FromBytes;

/// Of all regions, one after the other.
#[derive(Debug, Default)]
pub(super) struct Contents {
    open: Vec<OpenTask>,
    untold: Vec<Untold>,
    dead: Vec<DeadLetter>,
    pub(super) damaged: u32,
    /// Tasks that only the client has: they were handed back to it, and it has not sent them on yet.
    pub(super) with_client: u32,
}

impl Contents {
    pub(super) fn region(&mut self, index: u32, region: &Region) {
        let mut freed = HashMap::new();
        for (entry, number) in region.table().iter().zip(0..) {
            self.entry(index, region, number, entry, &mut freed);
        }
        // Sent by the client, and not in the table yet because that is full.
        for record in self.unread(region.client_down().unread()) {
            let task = (record.kind == TASK).then(|| task_of(&record.header));
            let open = task.and_then(|task| open_task(index, &task, record.body, Progress::Queued, 0));
            self.keep(open);
        }
        for record in self.unread(region.client_up().unread()) {
            if record.kind == ANSWER {
                self.answer(index, region, answer_of(&record.header), record.body, &freed);
            }
        }
        self.letters(index, region);
    }

    fn unread<E>(&mut self, records: Result<Vec<Record>, E>) -> Vec<Record> {
        self.damaged += u32::from(records.is_err());
        records.unwrap_or_default()
    }

    fn keep(&mut self, open: Option<OpenTask>) {
        self.damaged += u32::from(open.is_none());
        self.open.extend(open);
    }

    fn entry(
        &mut self,
        index: u32,
        region: &Region,
        number: u32,
        entry: &TableEntry,
        freed: &mut HashMap<TaskId, u32>,
    ) {
        // Pairs with the Release in `Table::change`: the entry is complete before its word.
        let word = Word::from_raw(entry.word.load(Ordering::Acquire));
        let task = task_of(&words(&entry.task));
        let body = |len: u32| bytes(region.body(number), len, region);
        let (task_len, answer_len) =
            (entry.task_len.load(Ordering::Relaxed), entry.answer_len.load(Ordering::Relaxed));
        let answer = || answer_of(&words(&entry.answer));
        let progress = match word.state() {
            None => {
                self.damaged += 1;
                return;
            }
            Some(State::Free) => {
                freed.insert(task.id, number);
                return;
            }
            Some(State::Queued) => Progress::Queued,
            Some(State::Leased) => Progress::Leased,
            // On its way to another coordinator through the client: its body is still the task's.
            Some(State::Failed)
                if AnswerStatus::from_raw(answer().status) == Some(AnswerStatus::Returned) =>
            {
                Progress::Queued
            }
            Some(state @ (State::Done | State::Failed)) => {
                let (answer, body) = (answer(), body(answer_len));
                let kind = TaskKind::from_raw(task.kind);
                self.add_untold((index, kind), &answer, body, state == State::Failed);
                return;
            }
        };
        self.keep(open_task(index, &task, body(task_len), progress, word.attempt()));
    }

    /// An answer that the client has not acknowledged.
    fn answer(
        &mut self,
        index: u32,
        region: &Region,
        answer: AnswerHeader,
        body: Vec<u8>,
        freed: &HashMap<TaskId, u32>,
    ) {
        match AnswerStatus::from_raw(answer.status) {
            // Only counted.
            Some(AnswerStatus::Late | AnswerStatus::Duplicate) => {}
            Some(AnswerStatus::Returned) => {
                // The client has the task. Here its entry still holds it, until another task gets the entry.
                let open = freed.get(&answer.id).and_then(|number| {
                    let entry = &region.table()[*number as usize];
                    let body = bytes(region.body(*number), entry.task_len.load(Ordering::Relaxed), region);
                    open_task(index, &task_of(&words(&entry.task)), body, Progress::Queued, 0)
                });
                self.with_client += u32::from(open.is_none());
                self.open.extend(open);
            }
            status => {
                let entry = freed.get(&answer.id).map(|number| &region.table()[*number as usize]);
                let kind = entry.and_then(|entry| TaskKind::from_raw(task_of(&words(&entry.task)).kind));
                self.add_untold((index, kind), &answer, body, status != Some(AnswerStatus::Ok));
            }
        }
    }

    fn add_untold(
        &mut self,
        (coordinator, kind): (u32, Option<TaskKind>),
        answer: &AnswerHeader,
        body: Vec<u8>,
        failed: bool,
    ) {
        match answer_record(answer, body, failed) {
            Some(record) => self.untold.push(Untold {
                id: answer.id,
                coordinator,
                kind,
                name: None,
                listed: None,
                answer: record,
            }),
            None => self.damaged += 1,
        }
    }

    fn letters(&mut self, index: u32, region: &Region) {
        let entries = region.dead_letters();
        for letter in dead_letters::of_region(index, region) {
            let entry = &entries[letter.index as usize];
            if DeadLetterState::from_raw(entry.state.load(Ordering::Acquire)) != Some(DeadLetterState::Dead) {
                // In the table again.
                continue;
            }
            let reason = letter.message();
            let answer = answer_of(&words(&entry.answer));
            match open_task(
                index,
                &task_of(&words(&entry.task)),
                letter.body,
                Progress::Queued,
                letter.attempts,
            ) {
                Some(task) => {
                    self.dead.push(DeadLetter {
                        task,
                        reason,
                        answer: answer_record(&answer, Vec::new(), true),
                    });
                }
                None => self.damaged += 1,
            }
        }
    }

    /// Each task once: an answered one is not done again, and one that was handed on is done by one coordinator.
    pub(super) fn deduplicated(self) -> (Vec<OpenTask>, Vec<Untold>, Vec<DeadLetter>) {
        let mut told = HashSet::new();
        let untold: Vec<_> = self.untold.into_iter().filter(|one| told.insert(one.id)).collect();
        let answered: HashSet<_> = untold.iter().filter(|one| !one.answer.failed).map(|one| one.id).collect();
        let mut known = HashSet::new();
        let open: Vec<_> =
            self.open.into_iter().filter(|one| !answered.contains(&one.id) && known.insert(one.id)).collect();
        let dead = self.dead.into_iter().filter(|one| !known.contains(&one.task.id)).collect();
        (open, untold, dead)
    }
}

fn words(words: &[AtomicU64]) -> [u8; HEADER] {
    let mut bytes = [0; HEADER];
    copy_out(words, &mut bytes);
    bytes
}

fn task_of(bytes: &[u8; HEADER]) -> TaskHeader {
    TaskHeader::read_from_bytes(bytes).expect("`wire` asserts that every header has `HEADER` bytes")
}

fn answer_of(bytes: &[u8; HEADER]) -> AnswerHeader {
    AnswerHeader::read_from_bytes(bytes).expect("`wire` asserts that every header has `HEADER` bytes")
}

/// A length in shared memory is not trusted.
fn bytes(words: &[AtomicU64], len: u32, region: &Region) -> Vec<u8> {
    let mut body = vec![0; len.min(region.shape().payload_max()) as usize];
    copy_out(words, &mut body);
    body
}

/// `None` if its kind is invalid.
fn open_task(
    coordinator: u32,
    task: &TaskHeader,
    body: Vec<u8>,
    state: Progress,
    attempts: u8,
) -> Option<OpenTask> {
    Some(OpenTask {
        id: task.id,
        coordinator,
        worker: task.place(),
        kind: TaskKind::from_raw(task.kind)?,
        parameter: task.parameter,
        timeout_ns: u64::from(task.timeout_ms) * 1_000_000,
        lifetime_ns: task.lifetime_ns(),
        attempts,
        attempts_max: task.attempts_max,
        retry_failures: task.retries_failures(),
        deaths_only: task.retries_deaths_only(),
        whole: task.wants_whole_output(),
        state,
        name: None,
        listed: None,
        body: Body(body),
    })
}

/// `None` if its status is invalid.
fn answer_record(answer: &AnswerHeader, mut body: Vec<u8>, failed: bool) -> Option<AnswerRecord> {
    let mut usage = None;
    if answer.stdout_len & WITH_USAGE != 0
        && let Some(at) = body.len().checked_sub(USAGE_LEN)
    {
        usage = Usage::read_from_bytes(&body[at..]).ok().map(Used::of);
        body.truncate(at);
    }
    Some(AnswerRecord {
        worker: answer.worker,
        status: AnswerStatus::from_raw(answer.status)?,
        failed,
        code: answer.code,
        attempt: attempt_of(answer.lease),
        took_ns: answer.finished_ns.saturating_sub(answer.started_ns),
        stdout_len: output_len(answer.stdout_len).min(body.len()) as u32,
        truncated: answer.stdout_len & TRUNCATED != 0,
        spooled: answer.stdout_len & SPOOLED != 0,
        usage,
        body: Body(body),
    })
}
