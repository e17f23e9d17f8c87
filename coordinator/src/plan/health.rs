//! Whether a process that lives gets anywhere: suspected, then confirmed, or healed.
//!
//! A death is seen by other means, and at once. Here somebody looks now and then at words that a process
//! writes while it gets on, and says when they have stood still for too long. Who suspects is wrong now
//! and then (a stopped process, a machine without a free processor): a suspicion has no consequence but an
//! event. What is confirmed is for its parent to end; then its death takes the usual way.

/// What a process shows of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Counts the processes at this place: another one starts anew.
    pub incarnation: u32,
    /// Moves whenever the process gets anywhere.
    pub counter: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Without progress for so long, and with no time left for the task in hand: suspected.
    pub suspect_ns: u64,
    /// Suspected for so long without any: confirmed.
    pub confirm_ns: u64,
}

impl Default for Limits {
    /// A worker shows once a second that it is there; five of them missing are no accident of the scheduler.
    fn default() -> Self {
        Self { suspect_ns: 5_000_000_000, confirm_ns: 5_000_000_000 }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HealthEvent {
    /// It has stood still since `since_ns`.
    Suspected { since_ns: u64 },
    /// It still does, and is not waited for any longer. The last word about this incarnation.
    Confirmed { since_ns: u64 },
    /// It goes on: the suspicion was false.
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

/// A look or two between suspicion and confirmation: a watcher that was itself stopped, and now sees that
/// much time has passed, gives the watched one a chance to go on.
const LOOKS_MIN: u32 = 2;

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
    /// A look at `now_ns`; `None` where nobody lives, or somebody who has nothing to show.
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
