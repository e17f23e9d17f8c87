//! Dead letters: tasks that failed for good, kept with their reason.
//!
//! A dead letter is written before its task's last state, so that none is lost if the coordinator is killed in between;
//! its successor overwrites it with the same one. A letter that becomes a task again is in the table before it is
//! removed here, and counted in between: [`DeadLetterState::Reviving`] shows a successor that this was under way.

use super::tasks::task_details;
use super::{Coordinator, add};
use crate::bus::copy::{copy_in, copy_out};
use crate::bus::events::EventKind;
use crate::bus::ring::HEADER;
use crate::bus::slot::{DeadLetterEntry, DeadLetterState};
use crate::bus::sync::{Ordering, full_fence};
use crate::os::clock::{now_ns, unix_ns};
use crate::plan::lease::State;
use crate::wire::{AnswerHeader, ENDING, TaskHeader, TaskId, TaskKind, WAS_DEAD_LETTER};
use std::collections::HashMap;
use zerocopy::{FromBytes, IntoBytes};

fn state(letter: &DeadLetterEntry) -> Option<DeadLetterState> {
    DeadLetterState::from_raw(letter.state.load(Ordering::Acquire))
}

fn set_state(letter: &DeadLetterEntry, state: DeadLetterState) {
    letter.state.store(state as u32, Ordering::Release);
}

fn task_of(letter: &DeadLetterEntry) -> TaskHeader {
    let mut header = [0; HEADER];
    copy_out(&letter.task, &mut header);
    TaskHeader::read_from_bytes(&header).expect("`wire` asserts that every header has `HEADER` bytes")
}

impl Coordinator {
    /// Keeps the task of an open entry with the answer that ends it; `why` is text, and is cut to the room behind the
    /// task's body.
    pub(super) fn write_dead_letter(&mut self, entry: u32, answer: &AnswerHeader, why: &[u8]) {
        // At a takeover the entry has not been checked yet. What cannot be its body is not kept.
        if !self.table.task_body_if_whole(entry, &mut self.body) {
            return;
        }
        let letters = self.region.dead_letters();
        let task = self.table.task(entry);
        let at = letters
            .iter()
            .position(|letter| state(letter) == Some(DeadLetterState::Dead) && task_of(letter).id == task.id)
            .or_else(|| letters.iter().position(|letter| state(letter) == Some(DeadLetterState::Empty)));
        let counters = self.region.counters();
        let at = at.unwrap_or_else(|| {
            add(&counters.dead_letters_lost);
            let oldest =
                letters.iter().enumerate().min_by_key(|(_, letter)| letter.stamp.load(Ordering::Relaxed));
            oldest.map_or(0, |(at, _)| at)
        });
        let letter = &letters[at];
        set_state(letter, DeadLetterState::Empty);
        // A reader of what is written from here on finds the state changed.
        full_fence();
        let task_len = self.body.len();
        let room = (self.region.shape().payload_max() as usize).saturating_sub(task_len);
        let why = &why[..why.len().min(room)];
        self.body.extend_from_slice(why);
        copy_in(self.region.dead_letter_body(at as u32), &self.body);
        copy_in(&letter.task, task.as_bytes());
        copy_in(&letter.answer, AnswerHeader { stdout_len: why.len() as u32, ..*answer }.as_bytes());
        letter.task_len.store(task_len as u32, Ordering::Relaxed);
        letter.stamp.store(unix_ns(), Ordering::Relaxed);
        set_state(letter, DeadLetterState::Dead);
        add(&counters.dead_letters);
        let attempt = super::tasks::attempt(answer);
        let details = task_details(&task, attempt, answer.status);
        self.events.write(now_ns(), EventKind::DeadLetter, answer.worker, &details);
    }

    /// The dead letters that an order is for.
    pub(super) fn matching_dead_letters(&self, id: TaskId, all: bool) -> Vec<u32> {
        let matches = |letter: &DeadLetterEntry| {
            state(letter) == Some(DeadLetterState::Dead) && (all || task_of(letter).id == id)
        };
        (0..)
            .zip(self.region.dead_letters())
            .filter(|(_, letter)| matches(letter))
            .map(|(at, _)| at)
            .collect()
    }

    pub(super) fn drop_dead_letter(&mut self, at: u32) {
        set_state(&self.region.dead_letters()[at as usize], DeadLetterState::Empty);
    }

    /// Turns a dead letter into a task again, with all its attempts and its whole time; false as long as the table is
    /// full.
    pub(super) fn revive(&mut self, at: u32) -> bool {
        let letter = &self.region.dead_letters()[at as usize];
        if state(letter) != Some(DeadLetterState::Dead) {
            return true;
        }
        let was = task_of(letter);
        // Another program may have written there since.
        let is_sound = was.id.epoch == self.control.stamped().epoch
            && was.place().is_none_or(|place| (place as usize) < self.links.len())
            && TaskKind::from_raw(was.kind).is_some();
        if !is_sound {
            add(&self.region.counters().damaged);
            set_state(letter, DeadLetterState::Empty);
            return true;
        }
        // Its failure has not been reported yet, and one id has one entry.
        let here = |entry: u32| {
            self.table.word(entry).state() != Some(State::Free) && self.table.task(entry).id == was.id
        };
        if (0..self.table.len()).any(here) {
            return false;
        }
        let Some(entry) = self.free.pop() else { return false };
        let now = now_ns();
        let deadline_ns = now.saturating_add(was.lifetime_ns());
        let kind = was.kind & !ENDING | WAS_DEAD_LETTER;
        let task = TaskHeader { deadline_ns, sent_ns: now, kind, entry, lease: 0, ..was };
        let most = self.region.shape().payload_max();
        let len = letter.task_len.load(Ordering::Relaxed).min(most);
        self.body.resize(len as usize, 0);
        copy_out(self.region.dead_letter_body(at), &mut self.body);
        let counters = self.region.counters();
        let revived = counters.revived.load(Ordering::Relaxed).saturating_add(1);
        letter.stamp.store(revived, Ordering::Relaxed);
        set_state(letter, DeadLetterState::Reviving);
        self.table.accept(entry, &task, &self.body);
        counters.revived.store(revived, Ordering::Relaxed);
        set_state(letter, DeadLetterState::Empty);
        self.count_accepted();
        self.events.write(now, EventKind::Revived, super::SELF, &task_details(&task, 0, 0));
        self.enter(entry, &task);
        true
    }

    /// Finishes or undoes what a predecessor was doing when it died. To be called before [`Self::recount`].
    pub(super) fn repair_dead_letters(&self, known: &HashMap<TaskId, u32>) {
        let counters = self.region.counters();
        for letter in self.region.dead_letters() {
            match state(letter) {
                Some(DeadLetterState::Reviving) => {
                    let task = task_of(letter);
                    if known.contains_key(&task.id) {
                        let counted = counters.revived.load(Ordering::Relaxed);
                        let wanted = letter.stamp.load(Ordering::Relaxed);
                        // It is the only one that can be under way.
                        counters
                            .revived
                            .store(counted.max(wanted.min(counted.saturating_add(1))), Ordering::Relaxed);
                        set_state(letter, DeadLetterState::Empty);
                    } else {
                        letter.stamp.store(unix_ns(), Ordering::Relaxed);
                        set_state(letter, DeadLetterState::Dead);
                    }
                }
                Some(DeadLetterState::Dead) => {
                    let len = letter.task_len.load(Ordering::Relaxed);
                    // Killed before its last state: it has not failed yet, and may still be answered.
                    let open = known.get(&task_of(letter).id).is_some_and(|entry| {
                        matches!(self.table.word(*entry).state(), Some(State::Queued | State::Leased))
                    });
                    if open || len > self.region.shape().payload_max() {
                        set_state(letter, DeadLetterState::Empty);
                    }
                }
                Some(DeadLetterState::Empty) => {}
                None => set_state(letter, DeadLetterState::Empty),
            }
        }
    }
}
