//! Words that only this process writes, and that another one has overwritten.
//!
//! Any program of the same user may write into the region. A wrong word in the table would make an answer look like that of
//! another task, and its own task would wait without end. So this process remembers what it wrote, compares, puts the words
//! back, and fails the task: its worker may have acted on the wrong ones.

use super::{Coordinator, SELF, add};
use crate::bus::events::EventKind;
use crate::bus::slot::{CoordinatorEntry, Life};
use crate::bus::sync::Ordering;
use crate::bus::written::{Foreign, OwnWord, put_back, put_back_wide};
use crate::os::clock::now_ns;
use crate::plan::lease::State;
use crate::process::damage::{Damaged, end_by};
use crate::wire::AnswerStatus;

/// What this process, or the one before it, has written about it into the control file, and does not change while it serves.
#[derive(Debug, Clone, Copy)]
pub(super) struct OwnWords {
    attached_ns: u64,
    recovered_ns: u64,
    left_until: u64,
}

impl OwnWords {
    pub(super) fn of(entry: &CoordinatorEntry) -> Self {
        Self {
            attached_ns: entry.process.attached_ns.load(Ordering::Relaxed),
            recovered_ns: entry.process.recovered_ns.load(Ordering::Relaxed),
            left_until: entry.own.left_until.load(Ordering::Relaxed),
        }
    }

    fn put_back(self, entry: &CoordinatorEntry) -> impl Iterator<Item = Foreign> {
        let (cell, own) = (&entry.process, &entry.own);
        let found = [
            put_back_wide(OwnWord::Attached, &cell.attached_ns, self.attached_ns),
            put_back_wide(OwnWord::Recovered, &cell.recovered_ns, self.recovered_ns),
            put_back_wide(OwnWord::LeftUntil, &own.left_until, self.left_until),
            // It closes when it has ended.
            put_back(OwnWord::Closed, &own.closed, 0),
        ];
        found.into_iter().flatten()
    }
}

impl Coordinator {
    /// Compares all of them: once a tick.
    pub(super) fn check_words(&mut self) {
        self.check_state();
        self.check_rings();
        self.check_own_place();
        for number in 0..self.links.len() as u32 {
            self.check_place(number);
        }
        for entry in 0..self.table.len() {
            self.check_entry(entry);
        }
    }

    /// Compares the words that a worker obeys as soon as it sees them, and puts them back. To be called while this process
    /// starts workers, and before it judges why one of them ended.
    ///
    /// Which workers have obeyed a wrong word is not known, nor what they will do: a serving coordinator leaves all of them to
    /// its successor, which finds the words as they were.
    pub(super) fn check_state(&mut self) {
        let state = self.region.state();
        let mut damaged = false;
        for (word, at, written) in
            [(OwnWord::Stopping, &state.stopping, 0), (OwnWord::Epoch, &state.epoch, self.epoch)]
        {
            let foreign = put_back(word, at, written);
            damaged |= foreign.is_some();
            self.name(SELF, foreign);
        }
        if damaged && self.serving {
            end_by(Damaged::State);
        }
    }

    /// Puts back the words about a worker, by which every reader finds out who is alive. Only of places where this process
    /// has started one: what a predecessor wrote is not known.
    pub(super) fn check_place(&mut self, number: u32) {
        let (link, cell) = (&mut self.links[number as usize], &self.region.worker(number).process);
        let Some(written) = link.written else { return };
        let mut foreign = written.put_back(cell);
        let orders = &self.region.worker(number).orders;
        foreign.extend(put_back_wide(OwnWord::Suspected, &orders.suspected_ns, link.suspected_ns));
        let raw = cell.life.load(Ordering::Relaxed);
        let life = Life::from_raw(raw);
        link.lived |= life == Some(Life::Live);
        let can_be = life == Some(Life::Live) || life == Some(Life::Starting) && !link.lived;
        if link.pid.is_some() && !can_be {
            cell.set_life(Life::Live);
            foreign.push(Foreign::new(OwnWord::Life, raw));
        }
        self.name(number, foreign);
    }

    /// The same of this process, which has written who it is; and of the region's stamp, which no process writes.
    fn check_own_place(&mut self) {
        let entry = self.control.coordinator(self.index);
        let cell = &entry.process;
        let mut foreign = self.region.put_back_stamp(&self.stamp);
        foreign.extend(put_back_wide(OwnWord::OwnDeaths, &entry.own.deaths, self.deaths));
        foreign.extend(self.own_words.into_iter().flat_map(|words| words.put_back(entry)));
        if let Some(own) = self.own {
            foreign.extend(put_back(OwnWord::Pid, &cell.pid, own.pid));
            let found = cell.start_ticks.load(Ordering::Relaxed);
            if found != own.start_ticks {
                cell.start_ticks.store(own.start_ticks, Ordering::Release);
                foreign.push(Foreign::new(OwnWord::StartTicks, found));
            }
        }
        if self.serving {
            foreign.extend(put_back(OwnWord::Life, &cell.life, Life::Live as u32));
        }
        self.name(SELF, foreign);
    }

    fn name(&mut self, place: u32, foreign: impl IntoIterator<Item = Foreign>) {
        for foreign in foreign {
            add(&self.region.counters().damaged);
            self.events.write(now_ns(), EventKind::Overwritten, place, &foreign.details());
        }
    }

    /// Puts back the positions of this process's ends of all rings. Nothing is lost by a wrong one: the other end waits.
    fn check_rings(&self) {
        let client = [
            self.from_client.reassert(),
            self.to_client.reassert(),
            self.from_client_control.reassert(),
            self.from_operator.reassert(),
        ];
        let rings = self.links.iter().filter_map(|link| link.rings.as_ref());
        let workers = rings.flat_map(|rings| [rings.tasks.reassert(), rings.answers.reassert()]);
        for _ in client.into_iter().chain(workers).filter(|wrong| *wrong) {
            add(&self.region.counters().damaged);
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
