//! What a run shows of itself while it goes on, for any number of readers.
//!
//! The recorder publishes; each reader has its own position and holds nothing up. A reader that comes late, or looks
//! rarely, gets the newest snapshot and every alert since its last look, as far as [`ALERTS_KEPT`] reaches.

use reports::facts::LiveView;
use reports::runlog::event::Alert;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// Alerts that wait for readers. More than a terminal shows between two looks, and bounded for a reader that
/// never looks.
pub const ALERTS_KEPT: usize = 256;

/// How the run is at one moment.
#[derive(Debug)]
pub struct Snapshot {
    /// From 1, without gaps.
    pub sequence: u64,
    pub view: LiveView,
}

/// Shared by the recorder and all readers.
#[derive(Debug, Clone, Default)]
pub struct Live(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    newest: Option<Arc<Snapshot>>,
    /// The newest alerts, the newest last.
    alerts: VecDeque<Arc<Alert>>,
    /// Over the whole run.
    alerts_total: u64,
}

impl Live {
    fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        // A thread that panicked with the lock held left a whole state: nothing in here is half done between two lines.
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Makes a new snapshot the newest.
    pub fn publish(&self, view: LiveView) {
        self.with(|state| {
            let sequence = state.newest.as_ref().map_or(1, |newest| newest.sequence + 1);
            state.newest = Some(Arc::new(Snapshot { sequence, view }));
        });
    }

    pub fn alert(&self, alert: &Alert) {
        self.with(|state| {
            if state.alerts.len() == ALERTS_KEPT {
                state.alerts.pop_front();
            }
            state.alerts.push_back(Arc::new(alert.clone()));
            state.alerts_total += 1;
        });
    }

    /// A reader that has seen nothing yet.
    pub fn reader(&self) -> Reader {
        Reader { live: self.clone(), sequence: 0, alerts_seen: 0 }
    }
}

/// One reader's position.
#[derive(Debug)]
pub struct Reader {
    live: Live,
    sequence: u64,
    alerts_seen: u64,
}

/// What is new to a reader.
#[derive(Debug)]
pub struct Look {
    pub snapshot: Arc<Snapshot>,
    /// Since its last look, the newest last.
    pub alerts: Vec<Arc<Alert>>,
    /// Alerts since its last look that are not kept any more.
    pub alerts_missed: u64,
}

impl Reader {
    /// `None` if nothing was published since the last look.
    pub fn look(&mut self) -> Option<Look> {
        let live = self.live.clone();
        live.with(|state| {
            let snapshot = state.newest.clone().filter(|newest| newest.sequence > self.sequence)?;
            let new = state.alerts_total - self.alerts_seen;
            let kept = state.alerts.len().min(usize::try_from(new).unwrap_or(usize::MAX));
            let alerts = state.alerts.range(state.alerts.len() - kept..).cloned().collect();
            (self.sequence, self.alerts_seen) = (snapshot.sequence, state.alerts_total);
            Some(Look { snapshot, alerts, alerts_missed: new - kept as u64 })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::tests::nothing_to_show;
    use reports::runlog::event::Severity;

    fn live_with(alerts: usize) -> Live {
        let live = Live::default();
        for n in 0..alerts {
            live.alert(&Alert { severity: Severity::Minor, text: n.to_string() });
        }
        live.publish(nothing_to_show());
        live
    }

    fn texts(look: &Look) -> Vec<&str> {
        look.alerts.iter().map(|alert| alert.text.as_str()).collect()
    }

    #[test]
    fn each_reader_sees_every_alert_once() {
        let live = live_with(2);
        let (mut early, mut late) = (live.reader(), live.reader());
        assert_eq!(texts(&early.look().unwrap()), ["0", "1"]);
        assert!(early.look().is_none(), "nothing is new");
        live.alert(&Alert { severity: Severity::Critical, text: "2".to_owned() });
        live.publish(nothing_to_show());
        let seen = early.look().unwrap();
        assert_eq!((texts(&seen), seen.snapshot.sequence), (vec!["2"], 2));
        assert_eq!(texts(&late.look().unwrap()), ["0", "1", "2"]);
    }

    #[test]
    fn a_reader_that_looks_rarely_hears_how_many_alerts_it_missed() {
        let live = live_with(ALERTS_KEPT + 7);
        let look = live.reader().look().unwrap();
        assert_eq!((look.alerts.len(), look.alerts_missed), (ALERTS_KEPT, 7));
        assert_eq!(look.alerts[0].text, "7");
    }

    #[test]
    fn there_is_nothing_to_see_before_the_first_snapshot() {
        assert!(Live::default().reader().look().is_none());
    }
}
