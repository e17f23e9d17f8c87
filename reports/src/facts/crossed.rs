//! Thresholds of the scenario that were crossed: told to people beside the alerts, and never judged.

use super::Facts;
use crate::runlog::event::{Alert, Severity, Threshold, ThresholdState};

impl Facts {
    pub(super) fn threshold(&mut self, t_ns: u64, step: &Threshold) {
        self.alerts.push((t_ns, Alert { severity: Severity::Info, text: step.text.clone() }));
        match step.state {
            ThresholdState::Raised => drop(self.crossed.insert(step.kind, step.clone())),
            ThresholdState::Recovered => drop(self.crossed.remove(&step.kind)),
        }
    }
}
