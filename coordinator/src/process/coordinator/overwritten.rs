//! Words that only this process writes, and that another one has overwritten.
//!
//! Any program of the same user may write into the region. A wrong word in the table would make an answer look like that of
//! another task, and its own task would wait without end. So this process remembers what it wrote, compares, puts the words
//! back, and fails the task: its worker may have acted on the wrong ones.

use super::{Coordinator, add};
use crate::bus::sync::Ordering;
use crate::plan::lease::State;
use crate::wire::AnswerStatus;

impl Coordinator {
    /// Compares all of them: once a tick.
    pub(super) fn check_words(&mut self) {
        self.check_state();
        for entry in 0..self.table.len() {
            self.check_entry(entry);
        }
    }

    /// Compares the words that a worker obeys as soon as it starts. To be called while this process starts workers.
    pub(super) fn check_state(&self) {
        let state = self.region.state();
        for (word, written) in [(&state.stopping, 0), (&state.epoch, self.epoch)] {
            if word.load(Ordering::Relaxed) != written {
                word.store(written, Ordering::Release);
                add(&self.region.counters().damaged);
            }
        }
    }

    /// Compares an entry of the table. If its task is open, it fails.
    pub(super) fn check_entry(&mut self, entry: u32) {
        let Some(number) = self.table.overwritten(entry) else { return };
        self.table.put_back(entry);
        add(&self.region.counters().damaged);
        let word = self.table.word(entry);
        if !matches!(word.state(), Some(State::Queued | State::Leased)) {
            return;
        }
        let mut answer = self.no_answer(entry, AnswerStatus::Damaged);
        answer.code = number as i32 + 1;
        self.fail_with(entry, AnswerStatus::Damaged, &answer);
        // Woken, it sees in the table that the task is not leased to it any more.
        if word.state() == Some(State::Leased) && usize::from(word.worker()) < self.links.len() {
            self.region.worker(word.worker().into()).bell.wake();
        }
    }
}
