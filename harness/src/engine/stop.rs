//! The one switch that ends a run: how soon, and why. The first reason stays.

pub use crate::system::StopMode;

use reports::runlog::event::EndReason;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A run that is interrupted waits so long for what is in flight. Runners of pipelines kill it within ten seconds, and its
/// documents are still to be written then.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug)]
struct State {
    mode: StopMode,
    reason: EndReason,
    detail: Option<String>,
    /// Until when what is in flight is waited for, if that has an end.
    until: Option<Instant>,
    hurried: bool,
}

/// Shared by all that may end a run: the terminal, the recorder, a criterion that cannot pass any more.
#[derive(Debug, Clone)]
pub struct Stop(Arc<Mutex<State>>);

impl Default for Stop {
    fn default() -> Self {
        let state = State {
            mode: StopMode::Run,
            reason: EndReason::Completed,
            detail: None,
            until: None,
            hurried: false,
        };
        Self(Arc::new(Mutex::new(state)))
    }
}

impl Stop {
    fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        // A thread that panicked with the lock held left a whole state: each change is one assignment.
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn mode(&self) -> StopMode {
        self.with(|state| state.mode)
    }

    /// Asks for the end; a later, milder mode does not take back an earlier one.
    pub fn ask(&self, mode: StopMode, reason: EndReason, detail: String) {
        self.with(|state| {
            if state.mode == StopMode::Run {
                state.reason = reason;
                state.detail = Some(detail);
            }
            if reason == EndReason::Interrupted {
                state.until.get_or_insert_with(|| Instant::now() + PATIENCE);
            }
            state.mode = state.mode.max(mode);
        });
    }

    /// What is in flight is not waited for any more.
    pub fn hurry(&self) {
        self.with(|state| (state.until, state.hurried) = (Some(Instant::now()), true));
    }

    /// Whether there is no time for anything but the verdict.
    pub fn is_hurried(&self) -> bool {
        self.with(|state| state.hurried)
    }

    /// Whether what is in flight was waited for long enough.
    pub fn is_out_of_patience(&self) -> bool {
        self.with(|state| state.until.is_some_and(|until| until <= Instant::now()))
    }

    /// Why, as the log's end says it.
    pub fn outcome(&self) -> (EndReason, Option<String>) {
        self.with(|state| (state.reason, state.detail.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_reason_stays_and_the_strongest_mode_counts() {
        let stop = Stop::default();
        assert_eq!(stop.mode(), StopMode::Run);
        stop.ask(StopMode::Drain, EndReason::Aborted, "delivery".to_owned());
        stop.ask(StopMode::Kill, EndReason::Interrupted, "Ctrl-C".to_owned());
        stop.ask(StopMode::Drain, EndReason::Interrupted, "Ctrl-C".to_owned());
        assert_eq!(stop.mode(), StopMode::Kill);
        assert_eq!(stop.outcome(), (EndReason::Aborted, Some("delivery".to_owned())));
    }

    #[test]
    fn what_is_in_flight_is_waited_for_without_an_end_unless_the_run_is_interrupted() {
        let stop = Stop::default();
        stop.ask(StopMode::Drain, EndReason::Aborted, "delivery".to_owned());
        assert_eq!(stop.with(|state| state.until), None);
        stop.ask(StopMode::Drain, EndReason::Interrupted, "SIGINT".to_owned());
        assert!(!stop.is_out_of_patience());
        assert!(!stop.is_hurried());
        stop.hurry();
        assert!(stop.is_out_of_patience() && stop.is_hurried());
    }
}
