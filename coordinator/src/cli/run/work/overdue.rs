//! The client's own end of a wait: whatever shared memory says, tasks that have a time-out do not wait without end.

use super::Run;
use crate::client::Client;
use std::time::{Duration, Instant};

/// How long after their last possible moment outcomes may take to come. No grace of a command is longer.
const PATIENCE: Duration = Duration::from_secs(60);
/// A longer time between two looks is not counted whole: this process was stopped, or did not get to run.
const STEP_MAX: Duration = Duration::from_secs(1);

/// Since when no outcome has come, in time that this process has seen pass.
#[derive(Debug)]
pub(super) struct Silence {
    lasts: Duration,
    looked: Instant,
}

impl Silence {
    pub(super) fn new() -> Self {
        Self { lasts: Duration::ZERO, looked: Instant::now() }
    }

    /// Returns how long it lasts now.
    fn look(&mut self, is_broken: bool, now: Instant) -> Duration {
        let step = now.saturating_duration_since(self.looked).min(STEP_MAX);
        self.looked = now;
        self.lasts = if is_broken { Duration::ZERO } else { self.lasts + step };
        self.lasts
    }
}

impl Run {
    /// Gives all tasks up if no outcome has come for longer than the slowest of them can take. With outcomes in between,
    /// tasks may only be waiting for their turn. `events` came since the last look.
    pub(super) fn end_overdue(&mut self, client: &mut Client, events: usize) {
        let is_broken = events > 0 || self.in_flight.is_empty() || client.is_paused();
        let lasts = self.silence.look(is_broken, Instant::now());
        let Some(most) = self.longest().filter(|most| lasts > *most) else { return };
        let ids: Vec<_> = self.in_flight.values().filter_map(|task| Some(task.sent?.0)).collect();
        for id in ids {
            client.give_up(id, most, |event| self.handle(event));
        }
    }

    /// From the moment that a task is sent until its outcome must be there, of the slowest one; `None` if one may take any
    /// time.
    fn longest(&self) -> Option<Duration> {
        let mut most = Duration::ZERO;
        for task in self.in_flight.values() {
            let terms = self.terms(task);
            let attempts = u32::from(terms.attempts_max.unwrap_or(u8::MAX));
            let all = terms.timeout?.saturating_add(self.work.rules.grace).saturating_mul(attempts);
            most = most.max(all.min(terms.deadline).saturating_add(PATIENCE));
        }
        Some(most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_in_which_the_process_was_stopped_is_no_silence() {
        let begun = Instant::now();
        let mut silence = Silence { lasts: Duration::ZERO, looked: begun };
        let at = |seconds| begun + Duration::from_secs(seconds);
        assert_eq!(silence.look(false, at(1)), Duration::from_secs(1));
        assert_eq!(silence.look(false, at(1000)), Duration::from_secs(2));
        assert_eq!(silence.look(true, at(1001)), Duration::ZERO);
        assert_eq!(silence.look(false, at(1002)), Duration::from_secs(1));
    }
}
