//! Whether a failed attempt is followed by another one, and when.
//!
//! A task has one deadline for all its attempts; between two of them is a pause that doubles each time. A
//! task without further attempts becomes a dead letter.

/// Pauses between the attempts of one task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// After the first failed attempt.
    pub first_ns: u64,
    /// No pause is longer.
    pub max_ns: u64,
}

impl Default for Backoff {
    /// Short enough that a worker's death is not felt, long enough that a task which kills its workers
    /// does not keep its coordinator forking.
    fn default() -> Self {
        Self { first_ns: 10_000_000, max_ns: 5_000_000_000 }
    }
}

impl Backoff {
    /// The pause after the failure of attempt `attempt`, counted from 1: `first_ns`, then twice as long
    /// each time, up to `max_ns`.
    pub fn delay_ns(&self, attempt: u8) -> u64 {
        let doubled = u32::from(attempt.saturating_sub(1));
        let delay_ns = 1_u64
            .checked_shl(doubled)
            .map_or(u64::MAX, |factor| self.first_ns.saturating_mul(factor))
            .min(self.max_ns);
        assert!(delay_ns >= self.first_ns.min(self.max_ns), "no pause is shorter than the first");
        delay_ns
    }
}

/// Why an attempt failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Its worker died with the task in hand.
    Died,
    /// It took longer than an attempt may.
    TimedOut,
    /// The worker could not begin it, and reported why.
    Refused,
    /// A command ended with another status than 0, or of a signal; or an agent program reported a failure.
    ExitedBadly,
    /// Its worker stood still and was ended for it.
    Hung,
    /// The agent program reported a failure, and that another attempt would fail as well.
    Final,
}

impl Cause {
    /// The worker has answered: such a failure is tried again only if the task asks for that.
    fn is_an_answer(self) -> bool {
        matches!(self, Self::Refused | Self::ExitedBadly | Self::Final)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Not before `at_ns`.
    Again { at_ns: u64 },
    /// No attempt is left, none is wanted, or none could begin in time.
    DeadLetter,
}

/// What follows the failure of attempt `attempt`, counted from 1, at `now_ns`.
///
/// `deadline_ns` is that of all attempts together: a retry that could only begin at it or later is none.
pub fn after_failure(
    cause: Cause,
    attempt: u8,
    attempts_max: u8,
    retry_failures: bool,
    now_ns: u64,
    deadline_ns: u64,
    backoff: &Backoff,
) -> Next {
    if attempt >= attempts_max || cause == Cause::Final || (cause.is_an_answer() && !retry_failures) {
        return Next::DeadLetter;
    }
    match now_ns.saturating_add(backoff.delay_ns(attempt)) {
        at_ns if at_ns < deadline_ns => Next::Again { at_ns },
        _ => Next::DeadLetter,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BACKOFF: Backoff = Backoff { first_ns: 10, max_ns: 100 };

    fn causes() -> impl Strategy<Value = Cause> {
        prop::sample::select(vec![
            Cause::Died,
            Cause::TimedOut,
            Cause::Refused,
            Cause::ExitedBadly,
            Cause::Hung,
            Cause::Final,
        ])
    }

    #[test]
    fn pauses_double_up_to_their_maximum() {
        let pauses: Vec<_> = (1..=6).map(|attempt| BACKOFF.delay_ns(attempt)).collect();
        assert_eq!(pauses, [10, 20, 40, 80, 100, 100]);
    }

    #[test]
    fn a_worker_that_dies_is_tried_again_until_the_attempts_are_used_up() {
        let next = |attempt| after_failure(Cause::Died, attempt, 3, false, 1000, u64::MAX, &BACKOFF);
        assert_eq!(next(1), Next::Again { at_ns: 1010 });
        assert_eq!(next(2), Next::Again { at_ns: 1020 });
        assert_eq!(next(3), Next::DeadLetter);
    }

    #[test]
    fn a_refusal_is_final_unless_failures_are_to_be_tried_again() {
        for cause in [Cause::Refused, Cause::ExitedBadly] {
            assert_eq!(after_failure(cause, 1, 3, false, 0, 1000, &BACKOFF), Next::DeadLetter);
            assert_eq!(after_failure(cause, 1, 3, true, 0, 1000, &BACKOFF), Next::Again { at_ns: 10 });
        }
    }

    #[test]
    fn what_would_fail_again_is_not_tried_again() {
        assert_eq!(after_failure(Cause::Final, 1, 3, true, 0, 1000, &BACKOFF), Next::DeadLetter);
    }

    #[test]
    fn a_retry_that_would_begin_at_the_deadline_is_none() {
        let next = |deadline| after_failure(Cause::TimedOut, 1, 3, false, 90, deadline, &BACKOFF);
        assert_eq!(next(100), Next::DeadLetter);
        assert_eq!(next(101), Next::Again { at_ns: 100 });
    }

    proptest! {
        /// Whatever the numbers: no pause shrinks, none overflows, none is longer than it may be.
        #[test]
        fn pauses_grow_within_their_bounds(first_ns: u64, max_ns: u64, attempt: u8) {
            let backoff = Backoff { first_ns, max_ns };
            let (pause, next) = (backoff.delay_ns(attempt), backoff.delay_ns(attempt.saturating_add(1)));
            prop_assert!(pause <= next && next <= max_ns);
            prop_assert!(pause >= first_ns.min(max_ns));
        }

        /// Failing for ever, a task has `attempts_max` attempts at most, each after the pause that is its
        /// own and before the deadline.
        #[test]
        fn a_task_ends(causes in prop::collection::vec(causes(), 256), attempts_max in 1_u8..,
                       retry_failures: bool, deadline_ns: u64, first_ns in 0_u64..1 << 40) {
            let backoff = Backoff { first_ns, max_ns: 1 << 45 };
            let (mut attempt, mut now_ns) = (1_u8, 0);
            for cause in causes {
                match after_failure(cause, attempt, attempts_max, retry_failures, now_ns, deadline_ns, &backoff) {
                    Next::Again { at_ns } => {
                        prop_assert_eq!(at_ns - now_ns, backoff.delay_ns(attempt));
                        prop_assert!(at_ns < deadline_ns && attempt < attempts_max);
                        prop_assert!(retry_failures || !cause.is_an_answer());
                        (attempt, now_ns) = (attempt + 1, at_ns);
                    }
                    Next::DeadLetter => return Ok(()),
                }
            }
            prop_assert!(false, "256 failures and no end");
        }
    }
}
