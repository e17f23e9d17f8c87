//! Thresholds that were crossed: each is raised once, and again only after it held.

use crate::runlog::event::{Threshold, ThresholdKind, ThresholdState};
use std::collections::BTreeSet;

/// Of the segment.
#[derive(Debug, Default)]
pub(super) struct Thresholds(BTreeSet<ThresholdKind>);

impl Thresholds {
    /// The error is a sentence fragment.
    pub(super) fn step(&mut self, step: &Threshold) -> Result<(), String> {
        let name = step.kind.name();
        if step.text.is_empty() {
            return Err(format!("the threshold {name} was crossed, and the log does not say how"));
        }
        let is_figure = |value: f64| value.is_finite() && value >= 0.0;
        if !is_figure(step.limit) || !step.value.is_finite() {
            return Err(format!("the threshold {name} has {} for a limit of {}", step.value, step.limit));
        }
        let is_new = match step.state {
            ThresholdState::Raised => self.0.insert(step.kind),
            ThresholdState::Recovered => self.0.remove(&step.kind),
        };
        match (is_new, step.state) {
            (true, _) => Ok(()),
            (false, ThresholdState::Raised) => Err(format!("the threshold {name} was raised twice")),
            (false, ThresholdState::Recovered) => {
                Err(format!("the threshold {name} recovered, and was not raised"))
            }
        }
    }
}
