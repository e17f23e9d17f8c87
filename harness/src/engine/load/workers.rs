//! What each worker does in the load: for people, who look for the slow ones.

use crate::system::PlaceId;
use reports::runlog::event::{Event, WorkerTimes, Workers};
use std::collections::BTreeMap;

/// Of the rounds of the load that are over, by place. Bounded by the number of places.
#[derive(Debug, Default)]
pub(super) struct ByWorker(BTreeMap<PlaceId, Times>);

#[derive(Debug, Default)]
struct Times {
    answered: u64,
    sum_ns: u64,
    max_ns: u64,
}

impl ByWorker {
    /// Who has answered the tasks of a round, each with its latency.
    pub fn add(&mut self, answers: &[(PlaceId, u64)]) {
        for (place, latency_ns) in answers {
            let times = self.0.entry(*place).or_default();
            times.answered += 1;
            times.sum_ns = times.sum_ns.saturating_add(*latency_ns);
            times.max_ns = times.max_ns.max(*latency_ns);
        }
    }

    /// For the log; nothing if nothing was answered.
    pub fn event(&self) -> Option<Event> {
        let row = |(place, times): (&PlaceId, &Times)| WorkerTimes {
            name: place.to_string(),
            answered: times.answered,
            sum_ns: times.sum_ns,
            max_ns: times.max_ns,
        };
        (!self.0.is_empty()).then(|| Event::Workers(Workers { workers: self.0.iter().map(row).collect() }))
    }
}
