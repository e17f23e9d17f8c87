//! The life of a task, packed into one word: every step is one compare-and-swap.
//!
//! free → queued → leased {worker, attempt} → done | failed → free; leased → queued when its worker is
//! dead. The generation counts how often the entry was used, so that an answer to an earlier task is
//! recognised.

use crate::raw::raw_enum;
pub use crate::wire::place::NO_WORKER;

raw_enum! {
    /// Where a task stands.
    pub enum State: u8 {
        Free = 0,
        /// Accepted, waits for its worker's ring.
        Queued = 1,
        /// Given to the worker.
        Leased = 2,
        /// Answered; the answer waits for the client's ring.
        Done = 3,
        /// Will not be answered; the reason waits for the client's ring.
        Failed = 4,
    }
}

/// {generation: 32, worker: 16, attempt: 8, state: 8}.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Word(u64);

/// An answer, held against the entry that it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// The one answer that counts.
    Accept,
    /// The entry is not, or no longer, leased to this worker at this attempt.
    Stale,
}

/// Whether a worker had begun a task that was leased to it when it died or failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt {
    /// It had: that was an attempt.
    Begun,
    /// The task waited in the ring behind another one, or had not been published: no answer to it can
    /// exist, and the next lease may have the same number.
    NotBegun,
}

impl Word {
    pub fn from_raw(raw: u64) -> Self {
        Self(raw)
    }

    pub fn raw(self) -> u64 {
        self.0
    }

    fn new(generation: u32, worker: u16, attempt: u8, state: State) -> Self {
        assert!(state != State::Leased || worker != NO_WORKER, "a leased task has a worker");
        Self(
            u64::from(generation) << 32
                | u64::from(worker) << 16
                | u64::from(attempt) << 8
                | u64::from(state as u8),
        )
    }

    /// `None` if the byte is not a state: the table is damaged.
    pub fn state(self) -> Option<State> {
        State::from_raw(self.0 as u8)
    }

    pub fn attempt(self) -> u8 {
        (self.0 >> 8) as u8
    }

    /// Number of the worker within its coordinator.
    pub fn worker(self) -> u16 {
        (self.0 >> 16) as u16
    }

    pub fn generation(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// A free entry takes a task for `worker`, or for [`NO_WORKER`] yet.
    pub fn queue(self, worker: u16) -> Option<Self> {
        (self.state()? == State::Free)
            .then(|| Self::new(self.generation().wrapping_add(1), worker, 0, State::Queued))
    }

    /// The task goes into the ring of `worker`; one that has a worker goes to no other.
    pub fn lease(self, worker: u16) -> Option<Self> {
        let here = self.worker() == worker || self.worker() == NO_WORKER;
        (self.state()? == State::Queued && here && worker != NO_WORKER)
            .then(|| Self::new(self.generation(), worker, self.attempt().wrapping_add(1), State::Leased))
    }

    /// Holds an answer against the entry.
    pub fn claim(self, worker: u16, attempt: u8) -> Claim {
        if self.state() == Some(State::Leased) && self.worker() == worker && self.attempt() == attempt {
            Claim::Accept
        } else {
            Claim::Stale
        }
    }

    /// The answer is in.
    pub fn finish(self) -> Option<Self> {
        (self.state()? == State::Leased)
            .then(|| Self::new(self.generation(), self.worker(), self.attempt(), State::Done))
    }

    /// There will be no answer that counts.
    pub fn fail(self) -> Option<Self> {
        matches!(self.state()?, State::Queued | State::Leased)
            .then(|| Self::new(self.generation(), self.worker(), self.attempt(), State::Failed))
    }

    /// Its worker is dead or has failed, and everything that it had published has been taken: back into the queue
    /// of `worker`, or of [`NO_WORKER`] where any will do.
    pub fn requeue(self, attempt: Attempt, worker: u16) -> Option<Self> {
        let number = match attempt {
            Attempt::Begun => self.attempt(),
            Attempt::NotBegun => self.attempt().checked_sub(1)?,
        };
        let here = self.worker() == worker || worker == NO_WORKER;
        (self.state()? == State::Leased && here)
            .then(|| Self::new(self.generation(), worker, number, State::Queued))
    }

    /// For any word: the entry cannot be trusted, and its client gets a failure.
    #[must_use]
    pub fn condemn(self, worker: u16) -> Self {
        Self::new(self.generation(), worker, self.attempt(), State::Failed)
    }

    /// For any word: not even the task's client is known, so no outcome can be reported.
    #[must_use]
    pub fn clear(self) -> Self {
        Self::new(self.generation(), 0, 0, State::Free)
    }

    /// The outcome has been reported to the client.
    pub fn free(self) -> Option<Self> {
        matches!(self.state()?, State::Done | State::Failed)
            .then(|| Self::new(self.generation(), 0, 0, State::Free))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_task_is_answered_once() {
        let leased = Word::from_raw(0).queue(7).unwrap().lease(7).unwrap();
        assert_eq!(leased.claim(7, 1), Claim::Accept);
        let done = leased.finish().unwrap();
        assert_eq!(done.claim(7, 1), Claim::Stale);
        assert_eq!(done.finish(), None);
        assert_eq!(done.fail(), None);
    }

    #[test]
    fn an_answer_after_the_time_out_is_stale() {
        let failed = Word::from_raw(0).queue(7).unwrap().lease(7).unwrap().fail().unwrap();
        assert_eq!(failed.claim(7, 1), Claim::Stale);
    }

    #[test]
    fn another_worker_or_attempt_cannot_answer() {
        let leased = Word::from_raw(0).queue(7).unwrap().lease(7).unwrap();
        assert_eq!(leased.claim(8, 1), Claim::Stale);
        assert_eq!(leased.claim(7, 2), Claim::Stale);
    }

    #[test]
    fn a_task_that_was_begun_has_another_number_at_its_next_worker() {
        let leased = Word::from_raw(0).queue(7).unwrap().lease(7).unwrap();
        let again = leased.requeue(Attempt::Begun, 7).unwrap();
        assert_eq!(again.claim(7, 1), Claim::Stale);
        let again = again.lease(7).unwrap();
        assert_eq!((again.attempt(), again.claim(7, 1), again.claim(7, 2)), (2, Claim::Stale, Claim::Accept));
    }

    #[test]
    fn a_task_that_no_worker_began_has_lost_no_attempt() {
        let leased = Word::from_raw(0).queue(7).unwrap().lease(7).unwrap();
        assert_eq!(leased.requeue(Attempt::NotBegun, 7).unwrap().lease(7), Some(leased));
    }

    #[test]
    fn what_has_ended_does_not_go_back_into_the_queue() {
        let leased = Word::from_raw(0).queue(7).unwrap().lease(7).unwrap();
        for ended in [leased.finish().unwrap(), leased.fail().unwrap()] {
            assert_eq!(ended.requeue(Attempt::Begun, 7), None);
        }
    }

    #[test]
    fn a_task_for_any_worker_is_leased_to_one_and_goes_back_to_all() {
        let queued = Word::from_raw(0).queue(NO_WORKER).unwrap();
        assert_eq!(queued.lease(NO_WORKER), None);
        let leased = queued.lease(3).unwrap();
        assert_eq!((leased.claim(3, 1), leased.claim(NO_WORKER, 1)), (Claim::Accept, Claim::Stale));
        let again = leased.requeue(Attempt::Begun, NO_WORKER).unwrap().lease(4).unwrap();
        assert_eq!(
            (again.claim(3, 1), again.claim(3, 2), again.claim(4, 2)),
            (Claim::Stale, Claim::Stale, Claim::Accept)
        );
    }

    #[test]
    fn a_task_of_one_worker_goes_to_no_other() {
        let queued = Word::from_raw(0).queue(7).unwrap();
        assert_eq!(queued.lease(8), None);
        assert_eq!(queued.lease(7).unwrap().requeue(Attempt::Begun, 8), None);
    }

    #[test]
    fn a_word_is_what_it_was_read_from() {
        let raw = 0x0000_0009_0007_0302;
        let word = Word::from_raw(raw);
        assert_eq!(
            (word.generation(), word.worker(), word.attempt(), word.state(), word.raw()),
            (9, 7, 3, Some(State::Leased), raw)
        );
    }

    proptest! {
        /// Every step keeps the word readable, and only `queue` begins a new generation.
        #[test]
        fn no_step_leaves_the_states(raw: u64, worker: u16) {
            let word = Word::from_raw(raw);
            let steps = [
                word.queue(worker),
                word.lease(worker),
                word.finish(),
                word.fail(),
                word.free(),
                word.requeue(Attempt::Begun, worker),
                word.requeue(Attempt::NotBegun, NO_WORKER),
            ];
            for next in steps.into_iter().flatten() {
                prop_assert!(word.state().is_some() && next.state().is_some());
                let begun = word.state() == Some(State::Free);
                prop_assert_eq!(next.generation(), word.generation().wrapping_add(u32::from(begun)));
            }
        }
    }
}
