//! Recent events: cells of one size, written round and round by one process, read by any other.
//!
//! No count depends on them: which processes are alive, and what became of a task, is in the words that the
//! fleet itself works with. A slow reader misses the oldest events, and the numbers show how many.

use super::shared::Shared;
use super::sync::{AtomicU32, AtomicU64, Ordering, full_fence};
use crate::raw::raw_enum;
use serde::Serialize;

#[derive(Debug)]
#[repr(C, align(64))]
pub struct EventCell {
    /// Counts the events from 1; 0 while the cell is written.
    pub(super) number: AtomicU64,
    /// CLOCK_MONOTONIC.
    pub(super) at_ns: AtomicU64,
    /// An [`EventKind`].
    pub(super) kind: AtomicU32,
    /// See [`Event::place`].
    pub(super) place: AtomicU32,
    pub(super) details: [AtomicU64; 4],
}
const _: () = assert!(size_of::<EventCell>() == 64);

// SAFETY: atomics only.
unsafe impl Shared for EventCell {}

raw_enum! {
    /// What an event is about, and what its details say. A death's status is as in `ProcessCell::wait_status`.
    #[derive(Serialize)]
    #[serde(rename_all = "kebab-case")]
    pub enum EventKind: u32 {
        /// Of the fleet. Details: a `Stage`.
        Stage = 1,
        /// Forked. Details: pid, incarnation.
        Started = 2,
        /// Ended unrequested. Details: pid, status.
        Died = 3,
        /// Ended as asked. Details: pid, status.
        Stopped = 4,
        /// A successor has all that its predecessor left. Details: ns since the death was seen, tasks queued again.
        Recovered = 5,
        /// No process is started at this place any more. Details: deaths there.
        GivenUp = 6,
        /// Its progress has stopped. Details: ns since when, pid.
        Suspected = 7,
        /// It went on after all. Details: ns that it was suspected, pid.
        Healed = 8,
        /// Its progress had stopped for too long, and it was ended. Details: ns since when, pid.
        Hung = 9,
        /// A fork was refused. Details: errno, ns until the next try.
        Refused = 10,
        /// A worker was replaced. Details: pid, 1 after its number of tasks, 2 because it had grown, 3 because its state could not be reset.
        Recycled = 11,
        /// More or fewer are wanted. Details: before, now, 1 if by load or 2 by hand.
        Scaled = 12,
        /// An attempt failed and is followed by another. Details: sequence, sender, attempt, status.
        Retried = 13,
        /// A task failed for good. Details: sequence, sender, attempt, status.
        DeadLetter = 14,
        /// Details: sequence, sender.
        Cancelled = 15,
        /// An answer came too late. Details: sequence, sender.
        Late = 16,
        /// A dead letter became a task again. Details: sequence, sender.
        Revived = 17,
        /// Stood still for a backup. Details: ns.
        Paused = 18,
        /// A region's tasks were reported or returned, and the place stays vacant. Details: returned, reported.
        Settled = 19,
        /// A supervisor took over from a dead one. Details: its pid, the dead one's.
        Adopted = 20,
        /// A task was answered with a failure. Details: sequence, sender, attempt, how a command ended (0 of an agent
        /// program).
        TaskFailed = 21,
        /// A word that only its writer may write was not what it had written, and was put back. Details: an
        /// `OwnWord`, the value found, and of a stamp which word of four bytes.
        Overwritten = 22,
        /// A process without a place ended unrequested; another one follows. Details: pid (0 if it is not known), status,
        /// a [`Helper`].
        HelperDied = 23,
    }
}

raw_enum! {
    /// A process of a fleet that has no place in it.
    pub enum Helper: u64 {
        Guard = 1,
        Spare = 2,
    }
}

impl Helper {
    /// As in `ps`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Guard => "guard",
            Self::Spare => "spare",
        }
    }
}

/// Of an event's place: the writer itself, a coordinator or the supervisor.
pub const SELF: u32 = u32::MAX;

/// Of an event's place in a region: the rest of the number is not a worker but another coordinator, as the writer
/// sees it.
pub const PEER: u32 = 1 << 31;
/// Of an event's place in a region: the supervisor, as the writer sees it.
pub const SUPERVISOR: u32 = u32::MAX - 1;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// Counts the writer's events from 1.
    pub number: u64,
    /// CLOCK_MONOTONIC.
    pub at_ns: u64,
    pub kind: EventKind,
    /// In a region: the number of a worker, [`PEER`] and that of a coordinator, or [`SUPERVISOR`]. In the control
    /// file: the number of a coordinator. Or [`SELF`].
    pub place: u32,
    pub details: [u64; 4],
}

/// Writes into a ring of events.
#[derive(Debug)]
pub struct EventLog {
    cells: &'static [EventCell],
    next: u64,
}

impl EventLog {
    /// Continues after the last event that a predecessor wrote.
    pub fn new(cells: &'static [EventCell]) -> Self {
        let last = cells.iter().map(|cell| cell.number.load(Ordering::Acquire)).max().unwrap_or(0);
        // Damaged, perhaps: a number that cannot be continued.
        Self { cells, next: if last > u64::MAX / 2 { 1 } else { last + 1 } }
    }

    pub fn write(&mut self, at_ns: u64, kind: EventKind, place: u32, details: &[u64]) {
        let cell = &self.cells[(self.next % self.cells.len() as u64) as usize];
        cell.number.store(0, Ordering::Relaxed);
        full_fence();
        cell.at_ns.store(at_ns, Ordering::Relaxed);
        cell.kind.store(kind as u32, Ordering::Relaxed);
        cell.place.store(place, Ordering::Relaxed);
        for (at, word) in cell.details.iter().enumerate() {
            word.store(details.get(at).copied().unwrap_or(0), Ordering::Relaxed);
        }
        cell.number.store(self.next, Ordering::Release);
        self.next += 1;
    }
}

/// Every event with a number above `after` that is still there, oldest first. What is just being written
/// comes with the next look.
pub fn read(cells: &[EventCell], after: u64) -> Vec<Event> {
    let mut events: Vec<Event> = cells.iter().filter_map(|cell| cell.read(after)).collect();
    events.sort_by_key(|event| event.number);
    events
}

impl EventCell {
    fn read(&self, after: u64) -> Option<Event> {
        let number = self.number.load(Ordering::Acquire);
        if number <= after {
            return None;
        }
        let at_ns = self.at_ns.load(Ordering::Relaxed);
        let kind = self.kind.load(Ordering::Relaxed);
        let place = self.place.load(Ordering::Relaxed);
        let details = [0, 1, 2, 3].map(|at: usize| self.details[at].load(Ordering::Relaxed));
        full_fence();
        let unchanged = self.number.load(Ordering::Relaxed) == number;
        unchanged.then_some(Event { number, at_ns, kind: EventKind::from_raw(kind)?, place, details })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn cells(count: usize) -> &'static [EventCell] {
        let cell = || EventCell {
            number: AtomicU64::new(0),
            at_ns: AtomicU64::new(0),
            kind: AtomicU32::new(0),
            place: AtomicU32::new(0),
            details: [0; 4].map(AtomicU64::new),
        };
        Vec::leak((0..count).map(|_| cell()).collect())
    }

    #[test]
    fn the_oldest_make_room_and_their_number_tells() {
        let cells = cells(4);
        let mut log = EventLog::new(cells);
        for at in 1..=6 {
            log.write(at * 10, EventKind::Died, at as u32, &[at, 9]);
        }
        let seen: Vec<_> = read(cells, 0).iter().map(|event| (event.number, event.details[0])).collect();
        assert_eq!(seen, [(3, 3), (4, 4), (5, 5), (6, 6)]);
        assert_eq!(read(cells, 5).len(), 1);
    }

    #[test]
    fn a_successor_counts_on() {
        let cells = cells(4);
        EventLog::new(cells).write(1, EventKind::Started, 0, &[]);
        EventLog::new(cells).write(2, EventKind::Died, 0, &[]);
        assert_eq!(read(cells, 0).iter().map(|event| event.number).collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn no_reader_sees_half_an_event() {
        let cells = cells(2);
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                let mut log = EventLog::new(cells);
                for at in 1..200_000_u64 {
                    log.write(at, EventKind::Died, at as u32, &[at, at, at, at]);
                }
            });
            while !writer.is_finished() {
                for event in read(cells, 0) {
                    assert_eq!((event.at_ns, event.details), (event.number, [event.number; 4]));
                }
            }
        });
    }
}
