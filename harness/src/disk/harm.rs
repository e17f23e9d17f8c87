//! What is done to the calls in a directory: how much longer each takes, and which of them fail. Pure, for one set of draws.

use crate::failing::Turns;
use crate::scenario::fault::{CallError, DiskFault};
use std::time::Duration;

/// A call that a disk has to answer. Names, attributes, listings and removals are not among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    Open,
    /// Of a file, directory, link or other name.
    Create,
    Read,
    /// Also what makes a file longer, or reserves space for it.
    Write,
    /// A change that takes no space: a rename, or a file that gets shorter.
    Alter,
    Sync,
}

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Answer {
    /// It is carried out, or fails, so much later.
    pub(super) delay: Duration,
    pub(super) error: Option<CallError>,
}

#[derive(Debug)]
struct Armed {
    id: u32,
    what: DiskFault,
    /// Of one by which calls fail.
    turns: Option<Turns>,
    /// Calls since it was armed that it could have befallen, and those that it has.
    calls: u64,
    hit: u64,
}

/// All that is armed in one directory.
#[derive(Debug, Default)]
pub(super) struct Harms(Vec<Armed>);

impl Harms {
    pub(super) fn arm(&mut self, id: u32, what: DiskFault, seed: u64) {
        let turns = match what {
            DiskFault::Fail { calls, .. } => Some(Turns::new(calls, seed, 0)),
            DiskFault::Slow(_) | DiskFault::Full => None,
        };
        self.0.push(Armed { id, what, turns, calls: 0, hit: 0 });
    }

    /// How many calls there were meanwhile, and how many of them it befell; nothing if it is not armed.
    pub(super) fn disarm(&mut self, id: u32) -> Option<(u64, u64)> {
        let at = self.0.iter().position(|armed| armed.id == id)?;
        let armed = self.0.remove(at);
        Some((armed.calls, armed.hit))
    }

    /// Whether there is no space left.
    pub(super) fn is_full(&self) -> bool {
        self.0.iter().any(|armed| armed.what == DiskFault::Full)
    }

    /// What becomes of the next call.
    pub(super) fn next(&mut self, call: Call) -> Answer {
        let mut answer = Answer::default();
        for armed in &mut self.0 {
            let (delay, error) = armed.next(call);
            answer.delay += delay;
            answer.error = answer.error.or(error);
        }
        answer
    }
}

impl Armed {
    fn next(&mut self, call: Call) -> (Duration, Option<CallError>) {
        let takes_space = matches!(call, Call::Create | Call::Write);
        if self.what == DiskFault::Full && !takes_space {
            return (Duration::ZERO, None);
        }
        self.calls += 1;
        let (delay, error) = match self.what {
            DiskFault::Slow(delay) => (delay, None),
            DiskFault::Full => (Duration::ZERO, Some(CallError::NoSpace)),
            DiskFault::Fail { error, .. } => {
                let fails = self.turns.as_mut().is_some_and(Turns::fails);
                (Duration::ZERO, fails.then_some(error))
            }
        };
        self.hit += u64::from(!delay.is_zero() || error.is_some());
        (delay, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::fault::Which;

    const EVERY: [Call; 6] = [Call::Open, Call::Create, Call::Read, Call::Write, Call::Alter, Call::Sync];

    fn fail(calls: Which) -> DiskFault {
        DiskFault::Fail { error: CallError::Io, calls }
    }

    #[test]
    fn nothing_befalls_a_call_before_and_after() {
        let mut harms = Harms::default();
        assert!(EVERY.iter().all(|call| harms.next(*call) == Answer::default()));
        harms.arm(1, DiskFault::Slow(Duration::from_millis(20)), 0);
        let slow = Answer { delay: Duration::from_millis(20), error: None };
        assert!(EVERY.iter().all(|call| harms.next(*call) == slow));
        assert_eq!((harms.disarm(1), harms.disarm(1)), (Some((6, 6)), None));
        assert!(EVERY.iter().all(|call| harms.next(*call) == Answer::default()));
    }

    #[test]
    fn every_call_takes_its_turn_and_those_that_fail_are_counted() {
        let mut harms = Harms::default();
        harms.arm(1, fail(Which::Nth(3)), 0);
        let found: Vec<bool> = EVERY.iter().map(|call| harms.next(*call).error.is_some()).collect();
        assert_eq!(found, [false, false, true, false, false, true]);
        assert_eq!(harms.disarm(1), Some((6, 2)));
    }

    #[test]
    fn a_full_disk_refuses_what_takes_space_and_nothing_else() {
        let mut harms = Harms::default();
        harms.arm(1, DiskFault::Full, 0);
        let refused: Vec<Call> =
            EVERY.into_iter().filter(|call| harms.next(*call).error == Some(CallError::NoSpace)).collect();
        assert_eq!(refused, [Call::Create, Call::Write]);
        assert!(harms.is_full());
        // One that is slow as well is both.
        harms.arm(2, DiskFault::Slow(Duration::from_millis(1)), 0);
        let both = Answer { delay: Duration::from_millis(1), error: Some(CallError::NoSpace) };
        assert_eq!(harms.next(Call::Write), both);
        assert_eq!(harms.disarm(1), Some((3, 3)));
        assert!(!harms.is_full());
    }
}
