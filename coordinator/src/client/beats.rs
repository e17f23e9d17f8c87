//! The progress that the processes of a fleet show, for a client that looks for itself whether they make any.

use super::Client;
use super::status::Holder;
use crate::bus::slot::Life;
use crate::bus::sync::Ordering;
use crate::os::identity::Identity;
use crate::wire::place::PlaceId;
use std::time::Duration;

/// Idle or not, a supervisor and a worker show progress this often at least,
const SLOW: Duration = Duration::from_secs(1);
/// and a coordinator this often.
const FAST: Duration = Duration::from_millis(100);

/// How far a living process of the fleet has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beat {
    pub place: PlaceId,
    pub process: Identity,
    /// Rounds of its loop; any other number than at the last look is progress.
    pub count: u64,
    /// The longest time between two rounds of a process that nothing hinders.
    pub every: Duration,
}

impl Client {
    /// What the processes show that live and serve, a parent before its children. Cheap: a few words for each.
    pub fn beats(&self) -> Vec<Beat> {
        let (control, relaxed) = (&self.control, Ordering::Relaxed);
        let count = control.state().beat.load(relaxed);
        let mut beats =
            vec![Beat { place: PlaceId::Supervisor, process: control.owner(), count, every: SLOW }];
        for (link, index) in self.links.iter().zip(0..) {
            let entry = control.coordinator(index);
            if entry.process.life() != Life::Live {
                continue;
            }
            let (place, process) = (PlaceId::Coordinator(index), entry.process.identity());
            beats.push(Beat { place, process, count: entry.own.beat.load(relaxed), every: FAST });
            let Some(link) = link else { continue };
            for number in 0..control.shape().workers_per_coordinator() {
                let slot = link.region.worker(number);
                if slot.process.life() == Life::Live {
                    let (place, process) = (PlaceId::worker(index, number), slot.process.identity());
                    beats.push(Beat { place, process, count: slot.own.heartbeat.load(relaxed), every: SLOW });
                }
            }
        }
        beats
    }

    /// The numbers of the tasks that a worker has begun and not answered; of a coordinator, those of all its workers. A
    /// worker says so itself, in its slot. Cheap: two words for each.
    pub fn in_hand(&self, place: PlaceId) -> Vec<u64> {
        let (coordinator, workers) = match place {
            PlaceId::Supervisor => return Vec::new(),
            PlaceId::Coordinator(index) => (index, 0..self.shape().workers_per_coordinator()),
            PlaceId::Worker(worker) => (worker.coordinator, worker.worker..worker.worker + 1),
        };
        let Some(Some(link)) = self.links.get(coordinator as usize) else { return Vec::new() };
        let slots = workers.map(|number| link.region.worker(number));
        let live = slots.filter(|slot| slot.process.life() == Life::Live);
        live.filter_map(|slot| slot.own.task.load(Ordering::Acquire).checked_sub(1)).collect()
    }

    /// The operator that has paused the coordinators; `None` if they are not paused.
    pub fn paused_by(&self) -> Option<Holder> {
        super::status::paused_by(&self.control)
    }
}
