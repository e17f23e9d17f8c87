//! Whether a living process makes progress: suspected, then confirmed, or healed.
//!
//! A death is seen by other means, and at once. A watcher looks from time to time at words that a process
//! changes while it makes progress, and reports when they have stood still for too long. A suspicion can be
//! wrong (a stopped process, a machine without a free processor), so its only consequence is an event. A
//! confirmed hang is ended by the parent of the process; then its death is handled like any other.

/// What a process shows about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Counts the processes at this place: a successor is watched anew.
    pub incarnation: u32,
    /// Changes whenever the process makes progress.
    pub counter: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Without progress for so long: suspected.
    pub suspect_ns: u64,
    /// Suspected for so long without progress: confirmed.
    pub confirm_ns: u64,
}

impl Default for Limits {
    /// A worker shows progress once a second; five missing signs are not an accident of the scheduler.
    fn default() -> Self {
        Self { suspect_ns: 5_000_000_000, confirm_ns: 5_000_000_000 }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HealthEvent {
    /// It has stood still since `since_ns`.
    Suspected { since_ns: u64 },
    /// It still stands still, and is not waited for any longer. The last event of this incarnation.
    Confirmed { since_ns: u64 },
    /// It made progress: the suspicion was false.
    Healed { suspected_for_ns: u64 },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Well,
    /// `looks`: how often it has been looked at since.
    Suspected {
        at_ns: u64,
        looks: u32,
    },
    Confirmed,
}

/// Looks between suspicion and confirmation: a watcher that was stopped itself, and now sees that much time
/// has passed, gives the watched process a chance to continue.
const LOOKS_MIN: u32 = 2;
const _: () = assert!(LOOKS_MIN > 1, "the first look after a pause of the watcher confirms nothing");

/// Watches one place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Watch {
    seen: Option<Seen>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    progress: Progress,
    /// Since when `progress` has been the same.
    still_since_ns: u64,
    state: State,
}

impl Watch {
    /// A look at `now_ns`; `progress` is `None` where no process is alive, or one that shows no progress yet.
    pub fn observe(
        &mut self,
        progress: Option<Progress>,
        now_ns: u64,
        limits: &Limits,
    ) -> Option<HealthEvent> {
        let Some(progress) = progress else {
            let event = self.seen.and_then(|seen| seen.healed(now_ns));
            self.seen = None;
            return event;
        };
        let anew = Seen { progress, still_since_ns: now_ns, state: State::Well };
        match &mut self.seen {
            Some(seen) if seen.progress.incarnation == progress.incarnation => {
                if seen.progress == progress || seen.state == State::Confirmed {
                    return seen.stands_still(now_ns, limits);
                }
                let event = seen.healed(now_ns);
                *seen = anew;
                event
            }
            seen => {
                *seen = Some(anew);
                None
            }
        }
    }

    /// Suspected or confirmed, and since when it has stood still.
    pub fn stuck_since_ns(&self) -> Option<u64> {
        let seen = self.seen?;
        (seen.state != State::Well).then_some(seen.still_since_ns)
    }
}

impl Seen {
    fn healed(&self, now_ns: u64) -> Option<HealthEvent> {
        match self.state {
            State::Suspected { at_ns, .. } => {
                Some(HealthEvent::Healed { suspected_for_ns: now_ns.saturating_sub(at_ns) })
            }
            State::Well | State::Confirmed => None,
        }
    }

    fn stands_still(&mut self, now_ns: u64, limits: &Limits) -> Option<HealthEvent> {
        let since_ns = self.still_since_ns;
        debug_assert!(since_ns <= now_ns, "a watcher's clock never goes back");
        match &mut self.state {
            State::Well => {
                if now_ns < since_ns.saturating_add(limits.suspect_ns) {
                    return None;
                }
                self.state = State::Suspected { at_ns: now_ns, looks: 0 };
                Some(HealthEvent::Suspected { since_ns })
            }
            State::Suspected { at_ns, looks } => {
                *looks = looks.saturating_add(1);
                if *looks < LOOKS_MIN || now_ns < at_ns.saturating_add(limits.confirm_ns) {
                    return None;
                }
                self.state = State::Confirmed;
                Some(HealthEvent::Confirmed { since_ns })
            }
            State::Confirmed => None,
        }
    }
}

#[cfg(test)]
mod tests;
