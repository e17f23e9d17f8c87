//! What an operator asks of a fleet at work: to cancel tasks, to try dead letters again or to forget them.
//!
//! An order goes into the ring of the coordinator that has the task, and is done when that has acknowledged it; what came
//! of it is then read where everybody reads it: in the task table, and among the letters.

use super::letters::{Letter, of_region};
use super::operator::{OperatorError, OperatorLock};
use super::status::{Watch, answer_of, open_tasks};
use crate::bus::error::BusError;
use crate::bus::ring::{HEADER, Producer, Ring, RingError};
use crate::bus::slot::Life;
use crate::bus::sync::Ordering;
use crate::bus::view::{Control, Region};
use crate::os::clock::now_ns;
use crate::os::identity::Identity;
use crate::plan::lease::{State, Word};
use crate::wire::{AnswerStatus, CONTROL, ControlHeader, Order, TaskId};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use thiserror::Error;
use zerocopy::IntoBytes;

/// How often an order is looked after.
const LOOK: Duration = Duration::from_millis(2);

/// Which tasks or letters an order means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    All,
    These(Vec<TaskId>),
}

/// What came of an order.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Became {
    /// As asked.
    #[error("done")]
    Done,
    /// The task had an end of another kind before the order came.
    #[error("it ended before: {0}")]
    Before(&'static str),
    /// The coordinator knows, and does it as soon as its table has room.
    #[error("its coordinator's table is full; it is tried as soon as there is room")]
    Waits,
    /// There is nothing of this name.
    #[error("there is no such {0}")]
    Unknown(&'static str),
    /// Nobody has acknowledged the order; it may be done later, or never.
    #[error("nobody has acknowledged it: {0}")]
    Unheard(String),
}

#[derive(Debug, Error)]
pub enum OrderError {
    #[error(transparent)]
    Operator(#[from] OperatorError),
    #[error(transparent)]
    Bus(#[from] BusError),
    #[error("{path}: its operator's ring cannot be used: {why}")]
    Ring { path: std::path::PathBuf, why: RingError },
}

/// The operator of a fleet, as long as this is held.
pub struct Operator {
    lock: OperatorLock,
    watch: Watch,
    rings: BTreeMap<u32, (Ring, Producer)>,
    patience: Duration,
}

impl std::fmt::Debug for Operator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Operator").field("watch", &self.watch).finish_non_exhaustive()
    }
}

impl Operator {
    /// `patience` is how long another operator is waited for, and then each coordinator.
    pub fn attach(dir: &Path, patience: Duration) -> Result<Self, OrderError> {
        let lock = OperatorLock::take(dir, patience)?;
        let watch = Watch::attach(dir)?;
        Ok(Self { lock, watch, rings: BTreeMap::new(), patience })
    }

    /// Cancels tasks that are queued or in hand. What `all` finds is told, and each that was named.
    pub fn cancel(&mut self, which: &Which) -> Result<Vec<(TaskId, Became)>, OrderError> {
        let mut open = BTreeMap::new();
        for (index, region) in self.watch.regions() {
            for (entry, task) in open_tasks(region) {
                open.insert(task.id, (index, region, entry));
            }
        }
        let (wanted, found) = meant(which, open);
        let told = self.order(Order::Cancel, which, found.iter().map(|(id, (index, ..))| (*id, *index)))?;
        Ok(wanted
            .into_iter()
            .map(|id| {
                let became = match (found.get(&id), told.get(&id)) {
                    (Some((_, region, entry)), Some(Ok(()))) => cancelled(region, *entry, id),
                    (_, Some(Err(why))) => Became::Unheard(why.clone()),
                    _ => Became::Unknown("task, queued or in hand"),
                };
                (id, became)
            })
            .collect())
    }

    /// Makes tasks of dead letters again: each has all its attempts and its whole time.
    pub fn requeue(&mut self, which: &Which) -> Result<Vec<(TaskId, Became)>, OrderError> {
        self.letters(Order::Revive, which)
    }

    /// Forgets dead letters.
    pub fn forget(&mut self, which: &Which) -> Result<Vec<(TaskId, Became)>, OrderError> {
        self.letters(Order::Drop, which)
    }

    fn letters(&mut self, order: Order, which: &Which) -> Result<Vec<(TaskId, Became)>, OrderError> {
        let all = self.watch.regions().flat_map(|(index, region)| of_region(index, &region));
        let (wanted, found) = meant(which, all.map(|letter| (letter.id, letter)).collect());
        let told = self.order(order, which, found.iter().map(|(id, letter)| (*id, letter.coordinator)))?;
        let until = now_ns().saturating_add(self.patience.as_nanos() as u64);
        let mut ends = Vec::new();
        for id in wanted {
            let became = match (found.get(&id), told.get(&id)) {
                (Some(letter), Some(Ok(()))) => self.letter(letter, until),
                (_, Some(Err(why))) => Became::Unheard(why.clone()),
                _ => Became::Unknown("dead letter"),
            };
            ends.push((id, became));
        }
        Ok(ends)
    }

    /// A letter is no more where it was, once its order is done. Another one of the same task is a later one.
    fn letter(&self, letter: &Letter, until: u64) -> Became {
        let is_there = || {
            let here = self.watch.regions().find(|(index, _)| *index == letter.coordinator);
            here.is_some_and(|(index, region)| of_region(index, &region).contains(letter))
        };
        while is_there() {
            if now_ns() >= until {
                return Became::Waits;
            }
            std::thread::sleep(LOOK);
        }
        Became::Done
    }

    /// Gives the order to everybody concerned; what each of the tasks' coordinators said to it.
    fn order(
        &mut self,
        order: Order,
        which: &Which,
        meant: impl Iterator<Item = (TaskId, u32)>,
    ) -> Result<BTreeMap<TaskId, Result<(), String>>, OrderError> {
        let mut by_coordinator: BTreeMap<u32, Vec<TaskId>> = BTreeMap::new();
        for (id, index) in meant {
            by_coordinator.entry(index).or_default().push(id);
        }
        let mut told = BTreeMap::new();
        for (index, ids) in by_coordinator {
            if *which == Which::All {
                let heard = self.tell(index, order, ids[0], true)?;
                told.extend(ids.into_iter().map(|id| (id, heard.clone())));
            } else {
                for id in ids {
                    told.insert(id, self.tell(index, order, id, false)?);
                }
            }
        }
        Ok(told)
    }

    /// One order to one coordinator, and its acknowledgement.
    fn tell(
        &mut self,
        index: u32,
        order: Order,
        id: TaskId,
        all: bool,
    ) -> Result<Result<(), String>, OrderError> {
        let Some((_, region)) = self.watch.regions().find(|(at, _)| *at == index) else {
            return Ok(Err(format!("coord/{index} has never lived")));
        };
        let refused = |why| OrderError::Ring { path: region.path().to_owned(), why };
        if let std::collections::btree_map::Entry::Vacant(place) = self.rings.entry(index) {
            let ring = region.operator_control();
            // Whoever had it before had the lock.
            let producer = match ring.producer() {
                Some(producer) => producer,
                None => region.operator_control().take_over_producer().map_err(refused)?,
            };
            place.insert((region.operator_control(), producer));
        }
        let header = ControlHeader { id, order: order as u32, all: all.into(), spare: [0; 4] };
        let mut bytes = [0; HEADER];
        bytes.copy_from_slice(header.as_bytes());
        let control = *self.lock.control();
        let (ring, producer) = self.rings.get_mut(&index).expect("it has just been put there");
        let until = now_ns().saturating_add(self.patience.as_nanos() as u64);
        let mut sent = false;
        loop {
            if !sent && producer.push(CONTROL, &bytes, &[]).is_ok() {
                producer.publish();
                sent = true;
            }
            if sent && ring.backlog().map_err(refused)? == 0 {
                return Ok(Ok(()));
            }
            if let Some(why) = silent(&control, index, now_ns() >= until, self.patience) {
                return Ok(Err(why));
            }
            control.coordinator(index).bell.wake();
            std::thread::sleep(LOOK);
        }
    }
}

/// Why a coordinator will not acknowledge; `None` if it still may.
fn silent(control: &Control, index: u32, is_over: bool, patience: Duration) -> Option<String> {
    let entry = control.coordinator(index);
    match entry.process.life() {
        Life::Dead => return Some(format!("coord/{index} is dead, and nobody comes in its place")),
        Life::Stopped => return Some(format!("coord/{index} was told to stop")),
        _ => {}
    }
    // Without a supervisor nobody says so of a coordinator that ended with it.
    let identity = Identity {
        pid: entry.process.pid.load(Ordering::Acquire),
        start_ticks: entry.process.start_ticks.load(Ordering::Acquire),
    };
    if control.owner().is_gone() && identity.is_gone() {
        return Some("the fleet's supervisor is dead, and its coordinators with it".to_owned());
    }
    if !is_over {
        return None;
    }
    let pid = identity.pid;
    Some(if entry.own.paused.load(Ordering::Acquire) > 0 {
        let operator = control.orders().pause_pid.load(Ordering::Relaxed);
        format!("coord/{index} stands still for the operator with pid {operator}")
    } else {
        format!("coord/{index} (pid {pid}) has not in {patience:?}; is it stopped, or overloaded?")
    })
}

/// The ids that were named, or all; and what is known by them.
fn meant<T>(which: &Which, known: BTreeMap<TaskId, T>) -> (Vec<TaskId>, BTreeMap<TaskId, T>) {
    match which {
        Which::All => (known.keys().copied().collect(), known),
        Which::These(ids) => {
            let mut wanted = ids.clone();
            wanted.sort_unstable();
            wanted.dedup();
            let found = known.into_iter().filter(|(id, _)| wanted.contains(id)).collect();
            (wanted, found)
        }
    }
}

/// What the table says of a task that was to be cancelled.
fn cancelled(region: &Region, entry: u32, id: TaskId) -> Became {
    let slot = &region.table()[entry as usize];
    let is_still_open = |word: Word| matches!(word.state(), Some(State::Queued | State::Leased));
    let answer = answer_of(slot);
    if answer.id != id {
        if is_still_open(Word::from_raw(slot.word.load(Ordering::Acquire))) {
            // Taken by another task already: whatever became of this one, it is over.
            return Became::Before("what its end was is not known any more");
        }
        return Became::Before("it has left the table");
    }
    match AnswerStatus::from_raw(answer.status) {
        Some(AnswerStatus::Cancelled) => Became::Done,
        Some(AnswerStatus::Ok) => Became::Before("it was answered"),
        _ => Became::Before("it failed"),
    }
}

/// Reads `EPOCH.SENDER.SEQUENCE`, as ids are written everywhere.
pub fn parse_id(text: &str) -> Option<TaskId> {
    let mut parts = text.split('.');
    let id = TaskId {
        epoch: parts.next()?.parse().ok()?,
        sender: parts.next()?.parse().ok()?,
        sequence: parts.next()?.parse().ok()?,
    };
    parts.next().is_none().then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_as_it_is_written() {
        let id = TaskId { epoch: 1, sender: 2, sequence: 1 << 40 };
        assert_eq!(parse_id(&id.to_string()), Some(id));
        for text in ["", "1", "1.2", "1.2.3.4", "a.b.c", "1.2.", "-1.2.3", "all"] {
            assert_eq!(parse_id(text), None, "{text}");
        }
    }
}
