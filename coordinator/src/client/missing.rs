//! Own tasks that have left the fleet without an outcome: their memory was overwritten.

use super::{Client, Event, Failure, Outcome, TaskId, WorkerRef, now_ns};
use crate::bus::slot::Life;
use std::collections::HashSet;
use std::time::Duration;

/// A task is looked for once it has been in flight for this long,
const AFTER: Duration = Duration::from_secs(1);
/// and again after this long: what is nowhere found both times is missing.
const AGAIN: Duration = Duration::from_millis(500);

impl Client {
    /// Fails the tasks of living coordinators that are neither in the rings nor in the tables. A coordinator frees an entry
    /// only when the outcome is in the ring of answers, so no task that it still knows is missing.
    pub(super) fn look_for_missing(&mut self, now: u64, each: &mut impl FnMut(Event<'_>)) -> usize {
        if now.saturating_sub(self.searched_ns) < AGAIN.as_nanos() as u64 {
            return 0;
        }
        self.searched_ns = now;
        let old: Vec<(u64, u32)> = self
            .in_flight
            .iter()
            .filter(|(_, task)| now.saturating_sub(task.sent_ns) >= AFTER.as_nanos() as u64)
            .filter_map(|(sequence, task)| Some((*sequence, task.coordinator?)))
            .filter(|(_, index)| self.is_serving(*index))
            .collect();
        let before = std::mem::take(&mut self.missing);
        if old.is_empty() {
            return 0;
        }
        let (held, epoch) = (self.held(), self.control.stamped().epoch);
        let id = |sequence| TaskId { epoch, sender: self.sender, sequence };
        let missing: HashSet<u64> =
            old.iter().map(|(sequence, _)| *sequence).filter(|it| !held.contains(&id(*it))).collect();
        // Answers that were read above are taken before the next look.
        let mut lost: Vec<u64> = missing.intersection(&before).copied().collect();
        lost.sort_unstable();
        self.missing = missing;
        self.fail(&lost, |task| Failure::Missing(task.coordinator.unwrap_or(0)), each)
    }

    fn is_serving(&self, index: u32) -> bool {
        let link = self.links[index as usize].as_ref();
        link.is_some_and(|link| link.lost.is_none())
            && self.control.coordinator(index).process.life() == Life::Live
    }

    /// Gives a task up whose outcome has not come within `time`, an earlier client's too.
    pub fn give_up(&mut self, id: TaskId, time: Duration, mut each: impl FnMut(Event<'_>)) {
        // If the coordinator has it after all, it is not to go on.
        let _ = self.cancel(id);
        if id.sender != self.sender {
            // Its number may be that of an own task as well, and which coordinator has it is not known.
            return each(Event::Inherited(Outcome {
                id,
                worker: WorkerRef::none(0),
                attempt: None,
                tag: 0,
                sent_ns: 0,
                received_ns: now_ns(),
                result: Err(Failure::TimedOut(time)),
            }));
        }
        let why = |task: &super::InFlight| match task.coordinator {
            Some(index) => Failure::CoordinatorSilent(index, time),
            None => Failure::Unassigned(time),
        };
        self.fail(&[id.sequence], why, &mut each);
    }
}
