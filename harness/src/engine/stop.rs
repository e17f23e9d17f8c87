//! The one switch that ends a run: how soon, and why. The first reason stays.

pub use crate::system::StopMode;

use reports::runlog::event::EndReason;
use std::sync::{Arc, Mutex, PoisonError};

#[derive(Debug)]
struct State {
    mode: StopMode,
    reason: EndReason,
    detail: Option<String>,
}

/// Shared by all that may end a run: the terminal, the recorder, a criterion that cannot pass any more.
#[derive(Debug, Clone)]
pub struct Stop(Arc<Mutex<State>>);

impl Default for Stop {
    fn default() -> Self {
        let state = State { mode: StopMode::Run, reason: EndReason::Completed, detail: None };
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
            state.mode = state.mode.max(mode);
        });
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
}
