//! Who wants the run to end, how soon, and why. The first reason stays.

use reports::runlog::event::EndReason;
use std::sync::{Arc, Mutex, PoisonError};

/// How soon the run is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wish {
    GoOn,
    /// No more rounds; what is in flight is waited for.
    Drain,
    /// The fleet is killed.
    Now,
}

#[derive(Debug)]
struct State {
    wish: Wish,
    reason: EndReason,
    detail: Option<String>,
}

/// Shared by whoever may end a run: the terminal, the recorder, a criterion beyond hope.
#[derive(Debug, Clone)]
pub struct Stop(Arc<Mutex<State>>);

impl Default for Stop {
    fn default() -> Self {
        let state = State { wish: Wish::GoOn, reason: EndReason::Completed, detail: None };
        Self(Arc::new(Mutex::new(state)))
    }
}

impl Stop {
    fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        // A thread that panicked with the lock held left a whole state: each change is one assignment.
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn wish(&self) -> Wish {
        self.with(|state| state.wish)
    }

    /// Asks for the end; a later, milder wish does not take back an earlier one.
    pub fn ask(&self, wish: Wish, reason: EndReason, detail: String) {
        self.with(|state| {
            if state.wish == Wish::GoOn {
                state.reason = reason;
                state.detail = Some(detail);
            }
            state.wish = state.wish.max(wish);
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
    fn the_first_reason_stays_and_the_strongest_wish_counts() {
        let stop = Stop::default();
        assert_eq!(stop.wish(), Wish::GoOn);
        stop.ask(Wish::Drain, EndReason::Aborted, "delivery".to_owned());
        stop.ask(Wish::Now, EndReason::Interrupted, "Ctrl-C".to_owned());
        stop.ask(Wish::Drain, EndReason::Interrupted, "Ctrl-C".to_owned());
        assert_eq!(stop.wish(), Wish::Now);
        assert_eq!(stop.outcome(), (EndReason::Aborted, Some("delivery".to_owned())));
    }
}
