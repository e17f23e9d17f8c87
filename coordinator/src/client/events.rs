//! What happened lately in a fleet, in order of time: the supervisor's ring and those of all its coordinators.
//!
//! A follower only reads. It keeps its place in each ring, and says how many events it has missed where they were
//! overwritten before it came to look.

use super::status::Watch;
use crate::bus::error::BusError;
use crate::bus::events::{Event, EventCell, EventKind, PEER, SELF, SUPERVISOR, read};
use crate::bus::slot::Stage;
use crate::os::clock::{now_ns, unix_ns};
use crate::process::reap::HowEnded;
use crate::wire::{ANY, AnswerStatus, TaskId};
use serde::Serialize;
use std::path::Path;
use std::time::Duration;

/// An event is told when it is so old: who writes takes the time first, and another source may be faster.
const SETTLED: Duration = Duration::from_millis(50);
/// No ring counts so far: such a number was written by somebody else.
const NUMBER_MAX: u64 = u64::MAX / 2;

/// Something that happened, or that some of it is not known any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Seen {
    pub unix_ns: u64,
    /// CLOCK_MONOTONIC.
    pub at_ns: u64,
    /// Who wrote it: `supervisor` or `coord/1`.
    pub source: String,
    /// Counts the events of this source from 1.
    pub number: u64,
    /// Whom it is about: `fleet`, `supervisor`, `coord/1`, `worker/1.17`.
    pub who: String,
    #[serde(flatten)]
    pub what: What,
}

/// What happened; its serialized name is `kind`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case", rename_all_fields = "snake_case")]
pub enum What {
    Stage {
        stage: &'static str,
    },
    Started {
        pid: u64,
        incarnation: u64,
    },
    Died {
        pid: u64,
        how: String,
    },
    Stopped {
        pid: u64,
        how: String,
    },
    Recovered {
        after_ns: u64,
        requeued: u64,
    },
    GivenUp {
        deaths: u64,
    },
    Suspected {
        since_ns: u64,
        pid: u64,
    },
    Healed {
        since_ns: u64,
        pid: u64,
    },
    Hung {
        since_ns: u64,
        pid: u64,
    },
    Refused {
        errno: u64,
        why: String,
        retry_ns: u64,
    },
    Recycled {
        pid: u64,
        why: &'static str,
    },
    Scaled {
        before: u64,
        now: u64,
        by: &'static str,
    },
    Retried {
        task: String,
        attempt: u64,
        why: &'static str,
    },
    DeadLetter {
        task: String,
        attempt: u64,
        why: &'static str,
    },
    Cancelled {
        task: String,
    },
    Late {
        task: String,
    },
    Revived {
        task: String,
    },
    Paused {
        for_ns: u64,
    },
    Settled {
        returned: u64,
        told: u64,
    },
    Adopted {
        pid: u64,
        dead_pid: u64,
    },
    /// Overwritten before they were read. The number is that of the first which is missing.
    Missed {
        count: u64,
    },
}

struct Source {
    /// `None`: the supervisor.
    coordinator: Option<u32>,
    cells: &'static [EventCell],
    /// The last number that was taken.
    last: u64,
}

/// Reads the events of a fleet as they come.
pub struct Follower {
    watch: Watch,
    sources: Vec<Source>,
    /// Too new to be told in the order of time.
    held: Vec<Seen>,
    /// CLOCK_REALTIME less CLOCK_MONOTONIC, when this began.
    offset_ns: u64,
    epoch: u32,
}

impl std::fmt::Debug for Follower {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Follower").field("watch", &self.watch).finish_non_exhaustive()
    }
}

impl Follower {
    /// Begins with the oldest event that each ring still has.
    pub fn attach(dir: &Path) -> Result<Self, BusError> {
        let watch = Watch::attach(dir)?;
        let control = watch.control();
        let sources = vec![Source { coordinator: None, cells: control.events(), last: 0 }];
        let epoch = control.stamped().epoch;
        Ok(Self { watch, sources, held: Vec::new(), offset_ns: offset_ns(), epoch })
    }

    /// What has come since the last call, in order of time. Each event comes once, a moment after it happened.
    pub fn poll(&mut self) -> Result<Vec<Seen>, BusError> {
        let until = now_ns().saturating_sub(SETTLED.as_nanos() as u64);
        self.look()?;
        let rest = self.held.partition_point(|seen| seen.at_ns < until);
        let later = self.held.split_off(rest);
        Ok(std::mem::replace(&mut self.held, later))
    }

    /// As [`Follower::poll`], with what has just happened: for the last call, or the only one.
    pub fn rest(&mut self) -> Result<Vec<Seen>, BusError> {
        self.look()?;
        Ok(std::mem::take(&mut self.held))
    }

    fn look(&mut self) -> Result<(), BusError> {
        // A region whose fleet has just removed it has nothing new to say.
        let looked = if self.watch.has_ended() { Ok(()) } else { self.watch.look() };
        for (index, region) in self.watch.regions() {
            if !self.sources.iter().any(|source| source.coordinator == Some(index)) {
                self.sources.push(Source { coordinator: Some(index), cells: region.events(), last: 0 });
            }
        }
        let before = self.held.len();
        let seen = &mut self.held;
        for source in &mut self.sources {
            let (missed, events) = source.take();
            if missed > 0 {
                // With the first that is there, and before it.
                let at_ns = events.first().map_or_else(now_ns, |event| event.at_ns);
                let number = events.first().map_or(source.last, |event| event.number).saturating_sub(missed);
                let who = source.name();
                let what = What::Missed { count: missed };
                let unix_ns = self.offset_ns.saturating_add(at_ns);
                seen.push(Seen { unix_ns, at_ns, source: source.name(), number, who, what });
            }
            seen.extend(events.iter().map(|event| Seen {
                unix_ns: self.offset_ns.saturating_add(event.at_ns),
                at_ns: event.at_ns,
                source: source.name(),
                number: event.number,
                who: source.who(event),
                what: what(event, self.epoch),
            }));
        }
        // Stable: what one source says of the same instant stays in its order.
        seen.sort_by_key(|seen| seen.at_ns);
        if seen.len() == before {
            looked?;
        }
        Ok(())
    }

    /// Nothing will come any more but what a last [`Follower::rest`] finds.
    pub fn has_ended(&self) -> bool {
        self.watch.has_ended()
    }
}

/// CLOCK_REALTIME less CLOCK_MONOTONIC, from the two looks of several that were closest together.
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
    fn name(&self) -> String {
        self.coordinator.map_or_else(|| "supervisor".to_owned(), |index| format!("coord/{index}"))
    }

    /// Whom an event is about.
    fn who(&self, event: &Event) -> String {
        match (event.place, self.coordinator) {
            (SELF, _) if event.kind == EventKind::Stage => "fleet".to_owned(),
            (SELF, _) => self.name(),
            (SUPERVISOR, _) => "supervisor".to_owned(),
            (index, None) => format!("coord/{index}"),
            // A task of nobody yet.
            (place, Some(_)) if place == u32::from(ANY) => self.name(),
            (place, Some(_)) if place & PEER != 0 => format!("coord/{}", place & !PEER),
            (place, Some(index)) => format!("worker/{index}.{place}"),
        }
    }

    /// How many are gone, and those that are there.
    fn take(&mut self) -> (u64, Vec<Event>) {
        let Some(newest) = read(self.cells, self.last)
            .iter()
            .map(|event| event.number)
            .filter(|number| *number <= NUMBER_MAX)
            .max()
        else {
            return (0, Vec::new());
        };
        // One that was written while the first look went by its cell is there at the second; what is missing then
        // has been overwritten.
        let mut events = read(self.cells, self.last);
        events.retain(|event| event.number <= newest);
        let missed = (newest - self.last).saturating_sub(events.len() as u64);
        self.last = newest;
        (missed, events)
    }
}

fn what(event: &Event, epoch: u32) -> What {
    let [first, second, third, fourth] = event.details;
    let how = || HowEnded::from_raw(second as i32).in_fleet().to_string();
    let task = || TaskId { epoch, sender: second as u32, sequence: first }.to_string();
    let why = || reason(fourth);
    match event.kind {
        EventKind::Stage => What::Stage { stage: stage(first) },
        EventKind::Started => What::Started { pid: first, incarnation: second },
        EventKind::Died => What::Died { pid: first, how: how() },
        EventKind::Stopped => What::Stopped { pid: first, how: how() },
        EventKind::Recovered => What::Recovered { after_ns: first, requeued: second },
        EventKind::GivenUp => What::GivenUp { deaths: first },
        EventKind::Suspected => What::Suspected { since_ns: first, pid: second },
        EventKind::Healed => What::Healed { since_ns: first, pid: second },
        EventKind::Hung => What::Hung { since_ns: first, pid: second },
        EventKind::Refused => What::Refused {
            errno: first,
            why: std::io::Error::from_raw_os_error(first as i32).to_string(),
            retry_ns: second,
        },
        EventKind::Recycled => What::Recycled {
            pid: first,
            why: match second {
                1 => "it had done its number of tasks",
                2 => "it had grown",
                3 => "its state could not be reset",
                _ => "it says no reason",
            },
        },
        EventKind::Scaled => What::Scaled {
            before: first,
            now: second,
            by: match third {
                1 => "load",
                2 => "hand",
                _ => "nobody knows whom",
            },
        },
        EventKind::Retried => What::Retried { task: task(), attempt: third, why: why() },
        EventKind::DeadLetter => What::DeadLetter { task: task(), attempt: third, why: why() },
        EventKind::Cancelled => What::Cancelled { task: task() },
        EventKind::Late => What::Late { task: task() },
        EventKind::Revived => What::Revived { task: task() },
        EventKind::Paused => What::Paused { for_ns: first },
        EventKind::Settled => What::Settled { returned: first, told: second },
        EventKind::Adopted => What::Adopted { pid: first, dead_pid: second },
    }
}

fn stage(raw: u64) -> &'static str {
    match u32::try_from(raw).ok().and_then(Stage::from_raw) {
        Some(Stage::Starting) => "starting",
        Some(Stage::Ready) => "ready",
        Some(Stage::Stopping) => "stopping",
        Some(Stage::Stopped) => "stopped",
        None => "unknown",
    }
}

/// Why an attempt or a task failed, by the status that ended it.
pub(super) fn reason(status: u64) -> &'static str {
    match u32::try_from(status).ok().and_then(AnswerStatus::from_raw) {
        // An answer, and the command that it tells of ended badly.
        Some(AnswerStatus::Ok) => "it failed",
        Some(AnswerStatus::Refused) => "its worker could not do it",
        Some(AnswerStatus::TimedOut) => "its time was over",
        Some(AnswerStatus::WorkerDied) => "its worker died with it in hand",
        Some(AnswerStatus::WorkerDead) => "its worker was dead already",
        Some(AnswerStatus::WorkerHung) => "its worker hung with it in hand, and was ended",
        Some(AnswerStatus::Late) => "its answer came too late",
        Some(AnswerStatus::Duplicate) => "it was answered before",
        Some(AnswerStatus::Damaged) => "its entry in the table was damaged",
        Some(AnswerStatus::Returned) => "its coordinator died, and nobody took over from it",
        Some(AnswerStatus::Cancelled) => "it was cancelled",
        None => "its coordinator says no reason",
    }
}

impl std::fmt::Display for What {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ms = |ns: &u64| std::time::Duration::from_nanos(*ns).as_secs_f64() * 1e3;
        match self {
            Self::Stage { stage } => write!(f, "{stage}"),
            Self::Started { pid, incarnation } => write!(f, "started pid {pid} incarnation {incarnation}"),
            Self::Died { pid, how } => write!(f, "died pid {pid} {how}"),
            Self::Stopped { pid, how } => write!(f, "stopped pid {pid} {how}"),
            Self::Recovered { after_ns, requeued } => {
                write!(f, "recovered after {:.3} ms, {requeued} tasks queued again", ms(after_ns))
            }
            Self::GivenUp { deaths } => write!(f, "given-up after {deaths} deaths"),
            Self::Suspected { since_ns, pid } => {
                write!(f, "suspected pid {pid} without progress for {:.3} ms", ms(since_ns))
            }
            Self::Healed { since_ns, pid } => {
                write!(f, "healed pid {pid} suspected for {:.3} ms", ms(since_ns))
            }
            Self::Hung { since_ns, pid } => {
                write!(f, "hung pid {pid} without progress for {:.3} ms", ms(since_ns))
            }
            Self::Refused { errno, why, retry_ns } => {
                write!(f, "fork-refused errno {errno} ({why}), next try in {:.3} ms", ms(retry_ns))
            }
            Self::Recycled { pid, why } => write!(f, "recycled pid {pid}: {why}"),
            Self::Scaled { before, now, by } => write!(f, "scaled from {before} to {now} by {by}"),
            Self::Retried { task, attempt, why } => write!(f, "retried task {task} attempt {attempt}: {why}"),
            Self::DeadLetter { task, attempt, why } => {
                write!(f, "dead-letter task {task} attempt {attempt}: {why}")
            }
            Self::Cancelled { task } => write!(f, "cancelled task {task}"),
            Self::Late { task } => write!(f, "late task {task}"),
            Self::Revived { task } => write!(f, "revived task {task}"),
            Self::Paused { for_ns } => write!(f, "paused for {:.3} ms", ms(for_ns)),
            Self::Settled { returned, told } => write!(f, "settled {returned} tasks returned, {told} told"),
            Self::Adopted { pid, dead_pid } => write!(f, "adopted by pid {pid}, pid {dead_pid} is dead"),
            Self::Missed { count } => write!(f, "missed {count} events, overwritten before they were read"),
        }
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
        (Source { coordinator: Some(1), cells, last: 0 }, EventLog::new(cells))
    }

    #[test]
    fn a_reader_that_keeps_up_misses_nothing_and_one_that_does_not_knows_how_much() {
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
                // Only what has made room is missed: the writer has come round to it, or is just there.
                let newest = read(source.cells, 0).last().map_or(0, |event| event.number);
                assert!(missing.is_none_or(|missing| missing + EVENTS <= newest + 1), "{missing:?} {newest}");
                assert_eq!(seen, source.last);
                assert!(!done || last == ALL);
            }
        });
    }

    #[test]
    fn whom_an_event_is_about_is_told_by_its_place() {
        let (source, _) = source();
        let who = |place, kind| source.who(&Event { number: 1, at_ns: 1, kind, place, details: [0; 4] });
        let places = [17, SELF, SUPERVISOR, PEER | 3, ANY.into()];
        let wanted = ["worker/1.17", "coord/1", "supervisor", "coord/3", "coord/1"];
        assert_eq!(places.map(|place| who(place, EventKind::Suspected)), wanted);
        assert_eq!(who(SELF, EventKind::Stage), "fleet");
        let supervisor = Source { coordinator: None, ..source };
        let event = Event { number: 1, at_ns: 1, kind: EventKind::Died, place: 3, details: [0; 4] };
        assert_eq!(supervisor.who(&event), "coord/3");
    }

    /// Each kind with its keys, as the documents have them.
    #[test]
    fn every_kind_is_documented_with_its_keys() {
        let documents = include_str!("../../../docs/status.md").split("| kind | keys").nth(1).unwrap();
        let mut kinds: Vec<What> = (1..=64)
            .filter_map(EventKind::from_raw)
            .map(|kind| what(&Event { number: 1, at_ns: 1, kind, place: 0, details: [1; 4] }, 1))
            .collect();
        kinds.push(What::Missed { count: 1 });
        assert_eq!(kinds.len(), 21);
        for kind in kinds {
            let serde_json::Value::Object(mut keys) = serde_json::to_value(&kind).unwrap() else { panic!() };
            let name = keys.remove("kind").unwrap();
            let row = format!("| `{}` | ", name.as_str().unwrap());
            let row = documents.lines().find_map(|line| line.strip_prefix(&row)).expect(&row);
            let mut listed: Vec<_> =
                row.split(" | ").next().unwrap().split(", ").map(|key| key.trim_matches('`')).collect();
            listed.sort_unstable();
            assert_eq!(keys.keys().collect::<Vec<_>>(), listed, "{row}");
        }
    }

    #[test]
    fn every_reason_has_words() {
        let all: std::collections::HashSet<_> = (1..=11).map(reason).collect();
        assert_eq!(all.len(), 11);
        assert_eq!(reason(u64::MAX), reason(0));
    }
}
