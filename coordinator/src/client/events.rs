//! What happened lately in a fleet, in order of time: the supervisor's ring and those of all its coordinators.
//!
//! A follower only reads. It keeps its position in each ring, and reports how many events it has missed where they were
//! overwritten before it could read them. What an event can be is in [`what`].

mod what;

use super::status::Watch;
use crate::bus::error::BusError;
use crate::bus::events::{Event, EventCell, EventKind, PEER, SELF, SUPERVISOR, read};
use crate::os::clock::{now_ns, unix_ns};
use crate::wire::ANY;
use crate::wire::place::PlaceId;
use serde::{Serialize, Serializer};
use std::fmt;
use std::path::Path;
use std::time::Duration;
pub use what::{RecycleReason, ScaledBy, TaskReason, What};

/// An event is given out when it is this old: a writer takes the time first, and another source may be faster.
const SETTLED: Duration = Duration::from_millis(50);
/// No ring counts so far: a larger number was not written by a fleet.
const NUMBER_MAX: u64 = u64::MAX / 2;

/// An event, with the process that wrote it and what it is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Seen {
    pub unix_ns: u64,
    /// CLOCK_MONOTONIC.
    pub at_ns: u64,
    /// The process that wrote it: the supervisor or a coordinator.
    pub source: PlaceId,
    /// Counts the events of this source from 1.
    pub number: u64,
    pub subject: Subject,
    #[serde(flatten)]
    pub what: What,
}

/// What an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// Spelled `fleet`.
    Fleet,
    Place(PlaceId),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fleet => f.write_str("fleet"),
            Self::Place(place) => place.fmt(f),
        }
    }
}

impl Serialize for Subject {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

struct Source {
    /// The supervisor or a coordinator.
    place: PlaceId,
    cells: &'static [EventCell],
    /// The number of the last event that was taken.
    last: u64,
}

/// Reads the events of a fleet as they come.
pub struct Follower {
    watch: Watch,
    sources: Vec<Source>,
    /// Events that are too new to be given out in order of time.
    held: Vec<Seen>,
    /// CLOCK_REALTIME minus CLOCK_MONOTONIC, when the follower was attached.
    offset_ns: u64,
    epoch: u32,
}

impl std::fmt::Debug for Follower {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Follower").field("watch", &self.watch).finish_non_exhaustive()
    }
}

impl Follower {
    /// Begins with the oldest event that each ring still holds.
    pub fn attach(dir: &Path) -> Result<Self, BusError> {
        let watch = Watch::attach(dir)?;
        let control = watch.control();
        let sources = vec![Source { place: PlaceId::Supervisor, cells: control.events(), last: 0 }];
        let epoch = control.stamped().epoch;
        Ok(Self { watch, sources, held: Vec::new(), offset_ns: offset_ns(), epoch })
    }

    /// The events since the last call, in order of time. Each event comes once, a moment after it happened.
    pub fn poll(&mut self) -> Result<Vec<Seen>, BusError> {
        let until = now_ns().saturating_sub(SETTLED.as_nanos() as u64);
        self.look()?;
        let rest = self.held.partition_point(|seen| seen.at_ns < until);
        let later = self.held.split_off(rest);
        Ok(std::mem::replace(&mut self.held, later))
    }

    /// As [`Follower::poll`], including what has just happened: for the last call, or the only one.
    pub fn rest(&mut self) -> Result<Vec<Seen>, BusError> {
        self.look()?;
        Ok(std::mem::take(&mut self.held))
    }

    fn look(&mut self) -> Result<(), BusError> {
        // A region that its fleet has just removed has no new events.
        let looked = if self.watch.has_ended() { Ok(()) } else { self.watch.look() };
        for (index, region) in self.watch.regions() {
            let place = PlaceId::Coordinator(index);
            if !self.sources.iter().any(|source| source.place == place) {
                self.sources.push(Source { place, cells: region.events(), last: 0 });
            }
        }
        let before = self.held.len();
        let seen = &mut self.held;
        for source in &mut self.sources {
            let (missed, events) = source.take();
            if missed > 0 {
                // At the time of the first event that is there, and before it.
                let at_ns = events.first().map_or_else(now_ns, |event| event.at_ns);
                let number = events.first().map_or(source.last, |event| event.number).saturating_sub(missed);
                let what = What::Missed { count: missed };
                let unix_ns = self.offset_ns.saturating_add(at_ns);
                let subject = Subject::Place(source.place);
                seen.push(Seen { unix_ns, at_ns, source: source.place, number, subject, what });
            }
            seen.extend(events.iter().map(|event| Seen {
                unix_ns: self.offset_ns.saturating_add(event.at_ns),
                at_ns: event.at_ns,
                source: source.place,
                number: event.number,
                subject: source.subject(event),
                what: What::of(event, self.epoch),
            }));
        }
        // Stable: events of one source at the same instant stay in their order.
        seen.sort_by_key(|seen| seen.at_ns);
        if seen.len() == before {
            looked?;
        }
        Ok(())
    }

    /// No more events will come, apart from what a last [`Follower::rest`] finds.
    pub fn has_ended(&self) -> bool {
        self.watch.has_ended()
    }
}

/// CLOCK_REALTIME minus CLOCK_MONOTONIC, from the pair of readings that were closest together.
fn offset_ns() -> u64 {
    let look = || {
        let before = now_ns();
        let unix = unix_ns();
        let apart = now_ns().saturating_sub(before);
        (apart, unix.saturating_sub(before + apart / 2))
    };
    (0..8).map(|_| look()).min().map_or(0, |(_, offset)| offset)
}

impl Source {
    fn subject(&self, event: &Event) -> Subject {
        let own = self.place;
        Subject::Place(match (event.place, own) {
            (SELF, _) if event.kind == EventKind::Stage => return Subject::Fleet,
            (SELF, _) => own,
            (SUPERVISOR, _) => PlaceId::Supervisor,
            // About a task that no worker has had yet.
            (place, PlaceId::Coordinator(_)) if place == u32::from(ANY) => own,
            (place, PlaceId::Coordinator(_)) if place & PEER != 0 => PlaceId::Coordinator(place & !PEER),
            (place, PlaceId::Coordinator(index)) => PlaceId::worker(index, place),
            (index, _) => PlaceId::Coordinator(index),
        })
    }

    /// How many events were overwritten, and those that are there.
    fn take(&mut self) -> (u64, Vec<Event>) {
        let Some(newest) = read(self.cells, self.last)
            .iter()
            .map(|event| event.number)
            .filter(|number| *number <= NUMBER_MAX)
            .max()
        else {
            return (0, Vec::new());
        };
        // An event that was written while the first reading passed its cell is there at the second one; what is
        // missing then has been overwritten.
        let mut events = read(self.cells, self.last);
        events.retain(|event| event.number <= newest);
        let missed = (newest - self.last).saturating_sub(events.len() as u64);
        self.last = newest;
        (missed, events)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::events::{EventLog, tests::cells};
    use crate::bus::layout::EVENTS;

    const ALL: u64 = 300_000;

    fn source() -> (Source, EventLog) {
        let cells = cells(EVENTS as usize);
        (Source { place: PlaceId::Coordinator(1), cells, last: 0 }, EventLog::new(cells))
    }

    #[test]
    fn a_reader_that_keeps_up_misses_nothing_and_a_slow_one_knows_how_much() {
        let (mut source, mut log) = source();
        for at in 0..10 {
            log.write(at, EventKind::Died, 17, &[at]);
        }
        let (missed, events) = source.take();
        assert_eq!((missed, events.len()), (0, 10));
        assert_eq!(source.take(), (0, Vec::new()));
        for at in 0..EVENTS + 5 {
            log.write(at, EventKind::Died, 17, &[at]);
        }
        let (missed, events) = source.take();
        assert_eq!((missed, events.len() as u64, events[0].number), (5, EVENTS, 16));
        assert_eq!(source.take(), (0, Vec::new()));
    }

    #[test]
    fn a_reader_beside_a_writer_has_or_misses_each_event_once() {
        let (mut source, mut log) = source();
        std::thread::scope(|scope| {
            let writer = scope.spawn(move || {
                for at in 1..=ALL {
                    log.write(at, EventKind::Late, SELF, &[at]);
                }
            });
            let (mut seen, mut last) = (0, 0);
            while last < ALL {
                let done = writer.is_finished();
                let (missed, events) = source.take();
                seen += missed + events.len() as u64;
                let mut missing = None;
                for event in &events {
                    assert!(event.number > last && event.details[0] == event.number);
                    missing = (event.number > last + 1).then_some(event.number - 1).or(missing);
                    last = event.number;
                }
                // Only overwritten events are missed: the writer has come round to them, or is just there.
                let newest = read(source.cells, 0).last().map_or(0, |event| event.number);
                assert!(missing.is_none_or(|missing| missing + EVENTS <= newest + 1), "{missing:?} {newest}");
                assert_eq!(seen, source.last);
                assert!(!done || last == ALL);
            }
        });
    }

    #[test]
    fn an_event_is_about_its_place() {
        let (source, _) = source();
        let subject = |place, kind| {
            source.subject(&Event { number: 1, at_ns: 1, kind, place, details: [0; 4] }).to_string()
        };
        let places = [17, SELF, SUPERVISOR, PEER | 3, ANY.into()];
        let wanted = ["worker/1.17", "coord/1", "supervisor", "coord/3", "coord/1"];
        assert_eq!(places.map(|place| subject(place, EventKind::Suspected)), wanted);
        assert_eq!(subject(SELF, EventKind::Stage), "fleet");
        let supervisor = Source { place: PlaceId::Supervisor, ..source };
        let event = Event { number: 1, at_ns: 1, kind: EventKind::Died, place: 3, details: [0; 4] };
        assert_eq!(supervisor.subject(&event).to_string(), "coord/3");
    }
}
