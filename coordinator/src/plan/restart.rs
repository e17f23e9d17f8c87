//! Whether a process that died is started again.
//!
//! One that dies again and again, at its start or of its tasks, must not keep its parent busy with
//! forks for ever: within a window there is a bound, and after that its place stays empty.

use crate::config::Policy;
use std::collections::VecDeque;

/// The deaths at one place, as far back as they matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Restarts {
    deaths_ns: VecDeque<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restart {
    Again,
    GiveUp,
}

impl Restarts {
    /// A process died here at `now_ns`.
    pub fn died(&mut self, now_ns: u64, policy: &Policy) -> Restart {
        let window_ns = policy.restart_window.as_nanos() as u64;
        while self.deaths_ns.front().is_some_and(|death_ns| now_ns.saturating_sub(*death_ns) > window_ns) {
            self.deaths_ns.pop_front();
        }
        if self.deaths_ns.len() >= policy.restarts_max as usize {
            return Restart::GiveUp;
        }
        self.deaths_ns.push_back(now_ns);
        assert!(self.deaths_ns.len() <= policy.restarts_max as usize, "no window has more restarts");
        Restart::Again
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    fn policy(restarts_max: u32) -> Policy {
        Policy { restarts_max, restart_window: Duration::from_nanos(100), ..Policy::default() }
    }

    #[test]
    fn a_place_whose_processes_die_at_every_start_is_given_up() {
        let mut restarts = Restarts::default();
        let verdicts: Vec<_> = (0..4).map(|now| restarts.died(now, &policy(3))).collect();
        assert_eq!(verdicts, [Restart::Again, Restart::Again, Restart::Again, Restart::GiveUp]);
    }

    #[test]
    fn a_place_with_rare_deaths_is_never_given_up() {
        let mut restarts = Restarts::default();
        for death in 0..1000 {
            assert_eq!(restarts.died(death * 60, &policy(2)), Restart::Again);
        }
    }

    #[test]
    fn a_death_counts_until_the_window_is_over() {
        let after = |gap: u64| {
            let mut restarts = Restarts::default();
            assert_eq!(restarts.died(1, &policy(1)), Restart::Again);
            restarts.died(1 + gap, &policy(1))
        };
        assert_eq!((after(100), after(101)), (Restart::GiveUp, Restart::Again));
    }

    proptest! {
        /// However deaths come, no window has more restarts in it than the policy says.
        #[test]
        fn no_window_has_more_than_its_share(gaps in prop::collection::vec(0_u64..80, 1..300), max in 0_u32..6) {
            let mut restarts = Restarts::default();
            let (mut now, mut again) = (0, Vec::new());
            for gap in gaps {
                now += gap;
                if restarts.died(now, &policy(max)) == Restart::Again {
                    again.push(now);
                }
            }
            for from in &again {
                let within = again.iter().filter(|at| (*from..=from + 100).contains(at)).count();
                prop_assert!(within <= max as usize);
            }
        }
    }
}
