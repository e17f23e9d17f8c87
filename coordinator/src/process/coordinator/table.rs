//! The task table, and the order of its stores.
//!
//! A coordinator may be killed between any two instructions; its successor decides by what it finds
//! here and in the rings. So each change first writes what the next state needs, and the state word
//! last, with Release; the ring record that a change came from is acknowledged only afterwards:
//!
//! - *accept*: task, length, body, then `queued`. Killed before: the entry is free, and the client's
//!   record comes again.
//! - *lease*: staged in the worker's ring, then `leased`, then published. Killed in between: leased to a
//!   worker that never saw it, and it goes back.
//! - *ask to end*: one word of a leased task. Killed before: the order is still in its ring.
//! - *finish*: body, answer, length, then `done`. Killed before: still leased, with the task's body
//!   half overwritten. That is sound because the answer's record is still unacknowledged in the ring of
//!   its worker, and a successor applies what is in there once more before it decides about any lease.
//! - *fail*: answer, length, then `failed`. The task itself is not touched: killed before, it is as it was.
//! - *free*: only when the answer is published in the client's ring. Killed before: it is reported once more,
//!   and the client recognises it.

use crate::bus::copy::{copy_in, copy_out};
use crate::bus::ring::HEADER;
use crate::bus::slot::{EntryWords, TableEntry};
use crate::bus::sync::Ordering;
use crate::bus::view::Region;
use crate::plan::lease::{Attempt, State, Word};
use crate::plan::recover::Found;
use crate::process::damage::{Damaged, end_by};
use crate::wire::{AnswerHeader, ENDING, TaskHeader, attempt_of};
use std::cell::Cell;
use zerocopy::{FromBytes, IntoBytes};

#[derive(Clone, Copy)]
pub(super) struct Table {
    region: Region,
    entries: &'static [TableEntry],
    /// Of the process that writes the table: each entry as that process knows it. Empty in any other.
    kept: &'static [Cell<EntryWords>],
}

/// In a worker: the task that it was given is still its own.
pub fn is_leased(region: Region, task: &TaskHeader, worker: u32) -> bool {
    let table = Table::read_only(region);
    if !table.has(task.entry) {
        return false;
    }
    let word = table.word(task.entry);
    // The entry may have another task since, of the same worker and at the same attempt.
    word.state() == Some(State::Leased)
        && u32::from(word.worker()) == worker
        && word.attempt() == attempt_of(task.lease)
        && table.task(task.entry).id == task.id
}

/// In a worker: its task, which is leased to it, is to end with what it has output.
pub fn is_ending(region: Region, task: &TaskHeader) -> bool {
    Table::read_only(region).task(task.entry).is_ending()
}

/// This process wrote the entry's words, or has checked them at its takeover. If they are wrong all the same, another
/// process has scribbled over them; this one ends, and its successor condemns or clears the entry.
pub(super) fn damaged(entry: u32) -> ! {
    end_by(Damaged::Entry(entry))
}

impl Table {
    /// In the process that writes it. What that process knows of the entries lives as long as it does.
    pub(super) fn new(region: Region) -> Self {
        let entries = region.table();
        let kept: Vec<_> = entries.iter().map(|entry| Cell::new(EntryWords::of(entry))).collect();
        Self { region, entries, kept: kept.leak() }
    }

    fn read_only(region: Region) -> Self {
        Self { region, entries: region.table(), kept: &[] }
    }

    /// Notes what this process has written.
    fn keep(&self, entry: u32, note: impl FnOnce(&mut EntryWords)) {
        if let Some(kept) = self.kept.get(entry as usize) {
            let mut words = kept.get();
            note(&mut words);
            kept.set(words);
        }
    }

    /// The first word of the entry that is not what this process wrote, by its number in [`EntryWords`]. Words that mean
    /// nothing in the entry's state are not compared.
    pub(super) fn overwritten(&self, entry: u32) -> Option<usize> {
        let kept = self.kept.get(entry as usize)?.get();
        let used = match Word::from_raw(kept.0[0]).state() {
            Some(State::Free) => 1,
            Some(State::Queued | State::Leased) => EntryWords::OF_A_TASK,
            _ => EntryWords::COUNT,
        };
        kept.difference(&EntryWords::of(self.slot(entry)), used)
    }

    /// Makes the entry what this process wrote.
    pub(super) fn put_back(&self, entry: u32) {
        if let Some(kept) = self.kept.get(entry as usize) {
            kept.get().write_to(self.slot(entry));
        }
    }

    pub(super) fn len(&self) -> u32 {
        self.entries.len() as u32
    }

    pub(super) fn has(&self, entry: u32) -> bool {
        entry < self.len()
    }

    fn slot(&self, entry: u32) -> &'static TableEntry {
        &self.entries[entry as usize]
    }

    pub(super) fn word(&self, entry: u32) -> Word {
        // Pairs with the Release in `change`: what the word promises is there.
        Word::from_raw(self.slot(entry).word.load(Ordering::Acquire))
    }

    /// The task that the entry holds, unless it is free.
    pub(super) fn task(&self, entry: u32) -> TaskHeader {
        let mut header = [0; HEADER];
        copy_out(&self.slot(entry).task, &mut header);
        TaskHeader::read_from_bytes(&header).expect("`wire` asserts that every header has `HEADER` bytes")
    }

    pub(super) fn answer(&self, entry: u32) -> AnswerHeader {
        AnswerHeader::read_from_bytes(&self.answer_bytes(entry))
            .expect("`wire` asserts that every header has `HEADER` bytes")
    }

    pub(super) fn answer_bytes(&self, entry: u32) -> [u8; HEADER] {
        let mut header = [0; HEADER];
        copy_out(&self.slot(entry).answer, &mut header);
        header
    }

    pub(super) fn task_body(&self, entry: u32, body: &mut Vec<u8>) {
        if !self.task_body_if_whole(entry, body) {
            damaged(entry);
        }
    }

    /// As [`Table::task_body`], where the entry may not have been checked yet; false if its length cannot be.
    pub(super) fn task_body_if_whole(&self, entry: u32, body: &mut Vec<u8>) -> bool {
        self.body(entry, self.slot(entry).task_len.load(Ordering::Relaxed), body)
    }

    pub(super) fn answer_body(&self, entry: u32, body: &mut Vec<u8>) {
        if !self.body(entry, self.slot(entry).answer_len.load(Ordering::Relaxed), body) {
            damaged(entry);
        }
    }

    fn body(&self, entry: u32, len: u32, body: &mut Vec<u8>) -> bool {
        if len > self.region.shape().payload_max() {
            return false;
        }
        body.resize(len as usize, 0);
        copy_out(self.region.body(entry), body);
        true
    }

    /// Everything about an entry whose words have not been checked yet.
    pub(super) fn found(&self, entry: u32, in_hand: impl FnOnce(Word, &TaskHeader) -> bool) -> Found {
        let slot = self.slot(entry);
        let (word, task) = (self.word(entry), self.task(entry));
        Found {
            entry,
            word,
            task,
            task_len: slot.task_len.load(Ordering::Relaxed),
            answer: self.answer(entry),
            answer_len: slot.answer_len.load(Ordering::Relaxed),
            in_hand: in_hand(word, &task),
        }
    }

    /// Queued or leased, with their tasks.
    pub(super) fn open(&self) -> impl Iterator<Item = (u32, Word, TaskHeader)> + use<> {
        let table = *self;
        (0..table.len()).filter_map(move |entry| {
            let word = table.word(entry);
            matches!(word.state(), Some(State::Queued | State::Leased))
                .then(|| (entry, word, table.task(entry)))
        })
    }

    pub(super) fn accept(&self, entry: u32, task: &TaskHeader, body: &[u8]) {
        let slot = self.slot(entry);
        copy_in(&slot.task, task.as_bytes());
        slot.task_len.store(body.len() as u32, Ordering::Relaxed);
        copy_in(self.region.body(entry), body);
        self.keep(entry, |words| words.set_task(task, body.len() as u32));
        self.step(entry, |word| word.queue(task.worker));
    }

    /// The record is staged in the worker's ring, and not published yet.
    pub(super) fn lease(&self, entry: u32, worker: u16) {
        self.step(entry, |word| word.lease(worker));
    }

    /// Asks the worker that the task is leased to to end it, and to answer with what it has output.
    pub(super) fn ask_to_end(&self, entry: u32) {
        let slot = self.slot(entry);
        let was = self.task(entry);
        let task = TaskHeader { kind: was.kind | ENDING, ..was };
        copy_in(&slot.task, task.as_bytes());
        self.keep(entry, |words| words.set_task(&task, slot.task_len.load(Ordering::Relaxed)));
    }

    pub(super) fn finish(&self, entry: u32, answer: &AnswerHeader, body: &[u8]) {
        let slot = self.slot(entry);
        copy_in(self.region.body(entry), body);
        copy_in(&slot.answer, answer.as_bytes());
        slot.answer_len.store(body.len() as u32, Ordering::Relaxed);
        self.keep(entry, |words| words.set_answer(answer, body.len() as u32));
        self.step(entry, Word::finish);
    }

    pub(super) fn fail(&self, entry: u32, answer: &AnswerHeader) {
        self.no_answer(entry, answer);
        self.step(entry, Word::fail);
    }

    /// For its own worker again, or for any.
    pub(super) fn requeue(&self, entry: u32, attempt: Attempt) {
        let address = self.task(entry).worker;
        self.step(entry, |word| word.requeue(attempt, address));
    }

    /// The client's ring has published the answer.
    pub(super) fn free(&self, entry: u32) {
        self.step(entry, Word::free);
    }

    /// As [`Table::fail`], for an entry whose words are invalid.
    pub(super) fn condemn(&self, entry: u32, answer: &AnswerHeader) {
        self.no_answer(entry, answer);
        let word = self.word(entry);
        self.change(entry, word, word.condemn(answer.worker as u16));
    }

    pub(super) fn clear(&self, entry: u32) {
        let word = self.word(entry);
        self.change(entry, word, word.clear());
    }

    fn no_answer(&self, entry: u32, answer: &AnswerHeader) {
        let slot = self.slot(entry);
        copy_in(&slot.answer, answer.as_bytes());
        slot.answer_len.store(0, Ordering::Relaxed);
        self.keep(entry, |words| words.set_answer(answer, 0));
    }

    fn step(&self, entry: u32, step: impl Fn(Word) -> Option<Word>) {
        let word = self.word(entry);
        let Some(next) = step(word) else { damaged(entry) };
        self.change(entry, word, next);
    }

    fn change(&self, entry: u32, from: Word, to: Word) {
        // Pairs with the Acquire in `word`, also a successor's: the entry is whole before its state.
        let swapped =
            self.slot(entry).word.compare_exchange(from.raw(), to.raw(), Ordering::AcqRel, Ordering::Relaxed);
        // The table has one writer: it is not changed in between, but by a process that may not.
        if swapped.is_err() {
            damaged(entry);
        }
        self.keep(entry, |words| words.0[0] = to.raw());
    }
}
