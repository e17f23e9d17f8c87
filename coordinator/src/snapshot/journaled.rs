//! A client that keeps a journal: what it sends is on the disk before a coordinator sees it.

use super::SnapshotError;
use super::journal::{Ended, Entry, Journal};
use super::record::{Body, LINE_BYTES_MAX, OpenTask, Progress};
use crate::client::{Address, Client, Event, Failure, SendError, Task, Terms, WorkerRef};
use crate::config::PAYLOAD_MAX;
use crate::wire::TaskId;
use std::collections::HashMap;
use std::time::Duration;
use thiserror::Error;

/// Bytes of the name of a task. With the largest body, the record of such a task has room in a line.
const NAME_MAX: usize = 1 << 16;

const _: () = assert!(6 * (PAYLOAD_MAX as usize + NAME_MAX) + (1 << 16) < LINE_BYTES_MAX);

#[derive(Debug, Error)]
pub enum SubmitError {
    #[error(transparent)]
    Send(#[from] SendError),
    #[error(transparent)]
    Journal(#[from] SnapshotError),
}

/// A client and its journal.
#[derive(Debug)]
pub struct Journaled {
    client: Client,
    journal: Journal,
    /// Tasks in flight, by their ids in this fleet.
    entries: HashMap<TaskId, Entry>,
}

impl Journaled {
    pub fn new(client: Client, journal: Journal) -> Self {
        Self { client, journal, entries: HashMap::new() }
    }

    /// As [`Client::submit`]. `name` is what its sender calls the task, and what a restore calls it.
    pub fn submit(
        &mut self,
        address: Address,
        task: Task<'_>,
        terms: &Terms,
        tag: u64,
        name: Option<&str>,
    ) -> Result<TaskId, SubmitError> {
        if name.is_some_and(|name| name.len() > NAME_MAX) {
            let why = format!("a name has more than {NAME_MAX} bytes");
            let path = self.journal.path().to_owned();
            return Err(SnapshotError::Refused { path, what: "note a task", why }.into());
        }
        // Once it is submitted, the next flush publishes it: it must be noted by then.
        let id = self.client.submit(address, task, terms, tag)?;
        let entry = self.journal.accepted(&OpenTask::of(id, address, task, terms, name))?;
        self.entries.insert(id, entry);
        Ok(id)
    }

    /// Flushes to the disk what was sent and what has ended, then publishes what was sent to the coordinators. On an error
    /// nothing is published; it may be tried again.
    pub fn flush(&mut self) -> Result<(), SnapshotError> {
        self.journal.commit()?;
        self.client.flush();
        Ok(())
    }

    /// As [`Client::poll`]. When `each` has returned from an outcome, its task counts as ended, from the next
    /// [`Journaled::flush`] on: by then its result must be stored.
    pub fn poll(&mut self, mut each: impl FnMut(Event<'_>)) -> Result<usize, SnapshotError> {
        // Handing a task on to another coordinator publishes everything that was sent there meanwhile.
        self.journal.commit()?;
        let (journal, entries) = (&mut self.journal, &mut self.entries);
        Ok(self.client.poll(|event| {
            let ended = match &event {
                Event::Outcome(outcome) => entries.remove(&outcome.id).and_then(|entry| {
                    let how = match &outcome.result {
                        Ok(_) => Ended::Answered,
                        Err(Failure::Cancelled | Failure::Ended(_)) => Ended::Cancelled,
                        // It stays open, for the next fleet.
                        Err(failure) if !failure.is_of_task() => return None,
                        Err(_) => Ended::Failed,
                    };
                    Some((entry, how))
                }),
                _ => None,
            };
            each(event);
            if let Some((entry, how)) = ended {
                journal.ended(entry, how);
            }
        }))
    }

    /// As [`Client::wait`].
    pub fn wait(&mut self, timeout: Duration) {
        self.client.wait(timeout);
    }

    pub fn client(&self) -> &Client {
        &self.client
    }

    pub fn journal(&self) -> &Journal {
        &self.journal
    }
}

impl OpenTask {
    /// The record of a task that has just been sent. `name` is what its sender calls it.
    pub fn of(id: TaskId, address: Address, task: Task<'_>, terms: &Terms, name: Option<&str>) -> Self {
        let (kind, parameter, body) = task.parts();
        let place = match address {
            Address::Worker(place) => Some(place),
            Address::Any => None,
        };
        Self {
            id,
            coordinator: place.map_or(0, |WorkerRef { coordinator, .. }| coordinator),
            worker: place.map(|place| place.worker),
            kind,
            parameter,
            timeout_ns: terms.timeout.map_or(0, |time| time.as_nanos() as u64),
            lifetime_ns: terms.deadline.as_nanos() as u64,
            attempts: 0,
            attempts_max: terms.attempts_max.unwrap_or(0),
            retry_failures: terms.retry_failures,
            deaths_only: terms.deaths_only,
            whole: terms.whole,
            state: Progress::Queued,
            name: name.map(str::to_owned),
            listed: None,
            body: Body(body.to_vec()),
        }
    }
}
