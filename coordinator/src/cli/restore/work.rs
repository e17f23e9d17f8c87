//! The restored fleet's client: hands in what was open, and takes what comes of it.

use super::results::{Line, Results};
use super::{FAILED, INTERRUPTED, Load, OK, STOPS, complain};
use crate::bus::sync::Ordering;
use crate::client::{Address, Client, Event, SendError, Task, Terms, WorkerRef};
use crate::snapshot::Ended;
use crate::snapshot::record::OpenTask;
use crate::wire::TaskKind;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How long the client sleeps if nothing comes.
const LOOK: Duration = Duration::from_millis(100);

/// Tells what was untold, and sees to all that was open; the exit status.
pub(super) fn all(client: Client, load: &mut Load, results: &mut Results, begun: Instant) -> u8 {
    let (before, total) = (load.untold.len(), load.open.len());
    let mut work = Work { client, load, results, begun, ended: 0, failed: 0, handed_in: 0 };
    let status = work.tell().and_then(|()| work.do_all()).err();
    let (ended, failed) = (work.ended, work.failed);
    let seconds = begun.elapsed().as_secs_f64();
    super::super::tell(format_args!(
        "{before} answers told and {ended} of {total} open tasks done after {seconds:.2} s, {failed} failed"
    ));
    status.unwrap_or(if failed > 0 { FAILED } else { OK })
}

struct Work<'a> {
    client: Client,
    load: &'a mut Load,
    results: &'a mut Results,
    begun: Instant,
    ended: usize,
    failed: usize,
    handed_in: usize,
}

impl Work<'_> {
    fn tell(&mut self) -> Result<(), u8> {
        for untold in &self.load.untold {
            let line = Line::before(untold.id, untold.coordinator, &untold.answer);
            self.failed += usize::from(!line.ok);
            self.results.line(&line)?;
        }
        self.results.flush()
    }

    fn do_all(&mut self) -> Result<(), u8> {
        let total = self.load.open.len();
        let mut waiting: VecDeque<usize> = (0..total).collect();
        let mut has_room = true;
        while self.ended < total {
            if STOPS.load(Ordering::Relaxed) > 0 {
                complain(format!("interrupted: {} of {total} tasks had ended", self.ended), "");
                return Err(INTERRUPTED);
            }
            if has_room {
                self.hand_in(&mut waiting)?;
            }
            let ended = self.take()?;
            has_room = ended > 0 && !waiting.is_empty();
            if self.client.is_lost() {
                complain(format!("the fleet is lost: {} of {total} tasks had ended", self.ended), "");
                return Err(FAILED);
            }
            if ended == 0 {
                self.client.wait(LOOK);
            }
        }
        Ok(())
    }

    /// As many as there is room for; the others come when somebody has done.
    fn hand_in(&mut self, waiting: &mut VecDeque<usize>) -> Result<(), u8> {
        for _ in 0..waiting.len() {
            let Some(number) = waiting.pop_front() else { break };
            let task = &self.load.open[number].1;
            let refused = match submit(&mut self.client, task, number) {
                Ok(()) => {
                    self.handed_in += 1;
                    continue;
                }
                Err(SendError::Backpressure) => {
                    waiting.push_back(number);
                    continue;
                }
                Err(error) => error,
            };
            self.results.line(&Line::refused(task, refused))?;
            self.end(number, Ended::Failed);
        }
        self.client.flush();
        if waiting.is_empty() {
            let seconds = self.begun.elapsed().as_secs_f64();
            super::super::tell(format_args!("{} tasks handed in after {seconds:.2} s", self.handed_in));
        }
        Ok(())
    }

    fn take(&mut self) -> Result<usize, u8> {
        let mut unwritten = None;
        let mut ended = Vec::new();
        let (results, open) = (&mut *self.results, &self.load.open);
        self.client.poll(|event| {
            let Event::Outcome(outcome) = event else { return };
            let number = outcome.tag as usize;
            let line = Line::of(&open[number].1, &outcome);
            ended.push((number, line.ok));
            unwritten = unwritten.or(results.line(&line).err());
        });
        if let Some(status) = unwritten {
            return Err(status);
        }
        if self.load.journal.is_some() && !ended.is_empty() {
            // What the journal forgets must be where it was asked for.
            self.results.sync()?;
        } else {
            self.results.flush()?;
        }
        for (number, ok) in &ended {
            self.end(*number, if *ok { Ended::Answered } else { Ended::Failed });
        }
        if let Some(journal) = &mut self.load.journal {
            journal.commit().map_err(|error| {
                let hint = error.hint();
                complain(error, hint);
                FAILED
            })?;
        }
        Ok(ended.len())
    }

    fn end(&mut self, number: usize, how: Ended) {
        self.ended += 1;
        self.failed += usize::from(how != Ended::Answered);
        if let (Some(journal), Some(entry)) = (&mut self.load.journal, self.load.open[number].0) {
            journal.ended(entry, how);
        }
    }
}

/// To the worker that it was for, if there is one; otherwise to any.
fn submit(client: &mut Client, open: &OpenTask, number: usize) -> Result<(), SendError> {
    let time = Duration::from_nanos;
    let terms = Terms {
        deadline: time(open.lifetime_ns),
        timeout: (open.timeout_ns > 0).then(|| time(open.timeout_ns)),
        attempts_max: (open.attempts_max > 0).then_some(open.attempts_max),
        retry_failures: open.retry_failures,
        deaths_only: open.deaths_only,
    };
    let body = &open.body.0;
    let task = match open.kind {
        TaskKind::Echo => Task::Echo(body),
        TaskKind::Sleep => Task::Sleep(time(open.parameter)),
        TaskKind::Compute => Task::Compute(time(open.parameter)),
        TaskKind::Exec => Task::Exec(body),
        TaskKind::Command => Task::Command(body),
        TaskKind::Agent => Task::Agent(body),
        TaskKind::Canary => Task::Canary(body),
    };
    if let Some(worker) = open.worker {
        let address = Address::Worker(WorkerRef { coordinator: open.coordinator, worker });
        match client.submit(address, task, &terms, number as u64) {
            Err(SendError::NoSuchRecipient | SendError::DeadRecipient) => {}
            done => return done.map(|_| ()),
        }
    }
    client.submit(Address::Any, task, &terms, number as u64).map(|_| ())
}
