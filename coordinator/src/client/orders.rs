//! Orders of an operator to a running fleet: cancel tasks, requeue dead letters, drop dead letters.
//!
//! An order goes into the ring of the coordinator that has the task, and is done when the coordinator has acknowledged it.
//! Its result is then read from the task table and from the dead letters.

use super::dead_letters::{DeadLetter, of_region};
use super::operator::{OperatorError, OperatorLock};
use super::status::{Watch, answer_of, open_task, open_tasks};
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

/// How often the result of an order is looked up.
const LOOK: Duration = Duration::from_millis(2);

/// The tasks or dead letters that an order is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    All,
    These(Vec<TaskId>),
}

/// The result of an order for one task.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum OrderResult {
    #[error("done")]
    Done,
    /// The task had ended in another way before the order came.
    #[error("it had already ended: {0}")]
    AlreadyEnded(&'static str),
    /// The coordinator has the order, and carries it out as soon as its table has room.
    #[error("the task table of its coordinator is full; it is requeued as soon as there is room")]
    Pending,
    /// A dead letter that cannot have been one of a task of this fleet.
    #[error("another program has overwritten it in the fleet's memory, and it is dropped")]
    Damaged,
    /// There is no task or dead letter with this id.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// The coordinator has not acknowledged the order; it may be carried out later, or never.
    #[error("its coordinator has not acknowledged the order: {0}")]
    Unacknowledged(String),
}

/// Whether a coordinator has acknowledged an order; if not, why, in words.
type Acknowledged = Result<(), String>;

#[derive(Debug, Error)]
pub enum OrderError {
    #[error(transparent)]
    Operator(#[from] OperatorError),
    #[error(transparent)]
    Bus(#[from] BusError),
    #[error("{path}: the ring for orders cannot be used: {source}")]
    Ring { path: std::path::PathBuf, source: RingError },
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
    /// `patience` is how long to wait for another operator to finish, and then for each coordinator.
    pub fn attach(dir: &Path, patience: Duration) -> Result<Self, OrderError> {
        let lock = OperatorLock::take(dir, patience)?;
        let watch = Watch::attach(dir)?;
        Ok(Self { lock, watch, rings: BTreeMap::new(), patience })
    }

    /// Cancels tasks that are queued or in hand; a command that is running has its grace, and its outcome comes when it has
    /// ended. Returns a result for each task that was found or named.
    pub fn cancel(&mut self, which: &Which) -> Result<Vec<(TaskId, OrderResult)>, OrderError> {
        let mut open = BTreeMap::new();
        for (index, region) in self.watch.regions() {
            for (entry, task) in open_tasks(region) {
                open.insert(task.id, (index, region, entry));
            }
        }
        let (wanted, found) = meant(which, open);
        let acknowledged =
            self.order(Order::End, which, found.iter().map(|(id, (index, ..))| (*id, *index)))?;
        Ok(wanted
            .into_iter()
            .map(|id| {
                let result = match (found.get(&id), acknowledged.get(&id)) {
                    (Some((_, region, entry)), Some(Ok(()))) => cancelled(region, *entry, id),
                    (_, Some(Err(why))) => OrderResult::Unacknowledged(why.clone()),
                    _ => OrderResult::NotFound("task, queued or in hand"),
                };
                (id, result)
            })
            .collect())
    }

    /// Makes dead letters tasks again: each has all its attempts and its full time.
    pub fn requeue(&mut self, which: &Which) -> Result<Vec<(TaskId, OrderResult)>, OrderError> {
        self.dead_letters(Order::Revive, which)
    }

    /// Removes dead letters.
    pub fn drop_dead_letters(&mut self, which: &Which) -> Result<Vec<(TaskId, OrderResult)>, OrderError> {
        self.dead_letters(Order::Drop, which)
    }

    fn dead_letters(
        &mut self,
        order: Order,
        which: &Which,
    ) -> Result<Vec<(TaskId, OrderResult)>, OrderError> {
        let all = self.watch.regions().flat_map(|(index, region)| of_region(index, &region));
        let (wanted, found) = meant(which, all.map(|letter| (letter.id, letter)).collect());
        let acknowledged =
            self.order(order, which, found.iter().map(|(id, letter)| (*id, letter.coordinator)))?;
        let until = now_ns().saturating_add(self.patience.as_nanos() as u64);
        let mut results = Vec::new();
        for id in wanted {
            let result = match (found.get(&id), acknowledged.get(&id)) {
                (Some(letter), Some(Ok(()))) => match self.wait_until_removed(letter, until) {
                    OrderResult::Done if order == Order::Revive && !self.is_sound(letter) => {
                        OrderResult::Damaged
                    }
                    result => result,
                },
                (_, Some(Err(why))) => OrderResult::Unacknowledged(why.clone()),
                _ => OrderResult::NotFound("dead letter"),
            };
            results.push((id, result));
        }
        Ok(results)
    }

    /// As its coordinator finds out.
    fn is_sound(&self, letter: &DeadLetter) -> bool {
        let control = self.watch.control();
        let workers = control.shape().workers_per_coordinator();
        letter.id.epoch == control.stamped().epoch
            && letter.kind.is_some()
            && letter.worker.is_none_or(|worker| worker < workers)
    }

    /// Once its order is done, a dead letter is gone. Another one of the same task is a later one.
    fn wait_until_removed(&self, letter: &DeadLetter, until: u64) -> OrderResult {
        let is_there = || {
            let here = self.watch.regions().find(|(index, _)| *index == letter.coordinator);
            here.is_some_and(|(index, region)| of_region(index, &region).contains(letter))
        };
        while is_there() {
            if now_ns() >= until {
                return OrderResult::Pending;
            }
            std::thread::sleep(LOOK);
        }
        OrderResult::Done
    }

    /// Gives the order to the coordinators of the tasks; returns for each task whether it was acknowledged.
    fn order(
        &mut self,
        order: Order,
        which: &Which,
        meant: impl Iterator<Item = (TaskId, u32)>,
    ) -> Result<BTreeMap<TaskId, Acknowledged>, OrderError> {
        let mut by_coordinator: BTreeMap<u32, Vec<TaskId>> = BTreeMap::new();
        for (id, index) in meant {
            by_coordinator.entry(index).or_default().push(id);
        }
        let mut results = BTreeMap::new();
        for (index, ids) in by_coordinator {
            if *which == Which::All {
                let acknowledged = self.send(index, order, ids[0], true)?;
                results.extend(ids.into_iter().map(|id| (id, acknowledged.clone())));
            } else {
                for id in ids {
                    results.insert(id, self.send(index, order, id, false)?);
                }
            }
        }
        Ok(results)
    }

    /// Sends one order to one coordinator, and waits for its acknowledgement.
    fn send(&mut self, index: u32, order: Order, id: TaskId, all: bool) -> Result<Acknowledged, OrderError> {
        let Some((_, region)) = self.watch.regions().find(|(at, _)| *at == index) else {
            return Ok(Err(format!("coord/{index} has never run")));
        };
        let refused = |source| OrderError::Ring { path: region.path().to_owned(), source };
        if let std::collections::btree_map::Entry::Vacant(place) = self.rings.entry(index) {
            let ring = region.operator_control();
            // The previous producer was an operator that held the lock.
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
        let (ring, producer) = self
            .rings
            .get_mut(&index)
            .expect("the ring of this coordinator was inserted above if it was missing");
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
            if let Some(why) = unanswered(&control, index, now_ns() >= until, self.patience) {
                return Ok(Err(why));
            }
            control.coordinator(index).bell.wake();
            std::thread::sleep(LOOK);
        }
    }
}

/// Why a coordinator will not acknowledge; `None` if it still may.
fn unanswered(control: &Control, index: u32, is_over: bool, patience: Duration) -> Option<String> {
    let entry = control.coordinator(index);
    match entry.process.life() {
        Life::Dead => return Some(format!("coord/{index} is dead and will not be restarted")),
        Life::Stopped => return Some(format!("coord/{index} was stopped on request")),
        _ => {}
    }
    // Without a supervisor, no process records the end of a coordinator that ended with it.
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
        format!("coord/{index} is paused by the operator with pid {operator}")
    } else {
        format!(
            "coord/{index} (pid {pid}) did not answer within {patience:?}; it may be stopped or overloaded"
        )
    })
}

/// The ids that an order is about, and what is known about each.
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

/// The result of a cancellation, from the task table.
fn cancelled(region: &Region, entry: u32, id: TaskId) -> OrderResult {
    let slot = &region.table()[entry as usize];
    if open_task(slot).is_some_and(|task| task.id == id && task.is_ending()) {
        return OrderResult::Done;
    }
    let is_still_open = |word: Word| matches!(word.state(), Some(State::Queued | State::Leased));
    let answer = answer_of(slot);
    if answer.id != id {
        if is_still_open(Word::from_raw(slot.word.load(Ordering::Acquire))) {
            // The entry already belongs to another task: this one is over, in whatever way.
            return OrderResult::AlreadyEnded("its outcome is no longer known");
        }
        return OrderResult::AlreadyEnded("it has left the task table");
    }
    match AnswerStatus::from_raw(answer.status) {
        Some(AnswerStatus::Cancelled) => OrderResult::Done,
        Some(AnswerStatus::Ok) => OrderResult::AlreadyEnded("it was answered"),
        _ => OrderResult::AlreadyEnded("it failed"),
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
