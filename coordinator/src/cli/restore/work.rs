//! The restored fleet's client: submits the open tasks, and takes their outcomes.

use super::super::run::results::{End, Output, Results, Status, Whose};
use super::{FAILED, INTERRUPTED, Load, OK, print, stops, unwritten};
use crate::client::{Address, Client, Event, Failure, SendError, Task, Terms, WorkerRef, now_ns};
use crate::os::clock::unix_ns;
use crate::snapshot::Ended;
use crate::snapshot::record::OpenTask;
use crate::wire::TaskKind;
use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

/// How long the client sleeps at most while no event comes.
const LOOK: Duration = Duration::from_millis(100);

/// How often a task is submitted again because its coordinator died, which says nothing about the task.
const RETURNS_MAX: u32 = 2;

/// Reports the unreported answers, and does all open tasks; the exit status.
pub(super) fn all(client: Client, load: &mut Load, results: &mut Results, begun: Instant) -> u8 {
    let (before, total) = (load.untold.len(), load.open.len());
    let unix_ns = unix_ns().saturating_sub(now_ns());
    let mut work = Work {
        client,
        load,
        results,
        begun,
        ended: 0,
        failed: 0,
        submitted: 0,
        waiting: VecDeque::new(),
        returned: HashMap::new(),
        unix_ns,
    };
    let status = work.report_answers().and_then(|()| work.do_all()).err();
    let (ended, failed) = (work.ended, work.failed);
    let seconds = begun.elapsed().as_secs_f64();
    print::report(format_args!(
        "{before} answers reported and {ended} of {total} open tasks done after {seconds:.2} s, {failed} failed"
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
    submitted: usize,
    /// To be submitted: their numbers in `load.open`.
    waiting: VecDeque<usize>,
    /// How often a task came back because its coordinator had died.
    returned: HashMap<usize, u32>,
    /// CLOCK_REALTIME at 0 of the clock of `now_ns`.
    unix_ns: u64,
}

impl Work<'_> {
    fn report_answers(&mut self) -> Result<(), u8> {
        for (entry, untold) in &self.load.untold {
            let end = End::before(untold.id, &untold.answer, untold.kind);
            self.failed += usize::from(end.status != Status::Ok);
            let worker = WorkerRef { coordinator: untold.coordinator, worker: untold.answer.worker };
            let listed = untold.listed.as_ref();
            let whose = Whose {
                id: &untold.name.clone().unwrap_or_else(|| untold.id.to_string()),
                number: listed.map(|listed| listed.number),
                hash: listed.map(|listed| &*listed.task_hash),
                input: listed.and_then(|listed| listed.input.as_ref()).map(|input| &*input.0),
                worker: Some(worker),
                sent_ns: 0,
                attempts_before: 0,
                before: true,
            };
            self.results.put(&whose, &end, self.unix_ns).map_err(unwritten)?;
            end.output.remove();
            if let (Some(journal), Some(entry)) = (&mut self.load.journal, entry) {
                journal.ended(*entry, Ended::Answered);
            }
        }
        if !self.load.untold.is_empty() && self.load.journal.is_some() {
            self.results.sync().map_err(unwritten)?;
        }
        self.commit()
    }

    fn commit(&mut self) -> Result<(), u8> {
        let Some(journal) = &mut self.load.journal else { return Ok(()) };
        journal.commit().map_err(|error| {
            let hint = error.hint();
            print::error(error, hint);
            FAILED
        })
    }

    fn do_all(&mut self) -> Result<(), u8> {
        let total = self.load.open.len();
        self.waiting = (0..total).collect();
        let mut has_room = true;
        while self.ended < total {
            if stops() > 0 {
                print::error(format!("interrupted: {} of {total} tasks had ended", self.ended), "");
                return Err(INTERRUPTED);
            }
            if has_room {
                self.submit()?;
            }
            let ended = self.take()?;
            for what in self.client.overwritten() {
                print::warn(format_args!("in the memory of this run's fleet: {what}"));
            }
            has_room = ended > 0 && !self.waiting.is_empty();
            if self.client.is_lost() {
                print::error(format!("the fleet is lost: {} of {total} tasks had ended", self.ended), "");
                return Err(FAILED);
            }
            if ended == 0 {
                self.client.wait(LOOK);
            }
        }
        Ok(())
    }

    /// Submits as many tasks as there is room for; the others follow when a worker is free.
    fn submit(&mut self) -> Result<(), u8> {
        for _ in 0..self.waiting.len() {
            let Some(number) = self.waiting.pop_front() else { break };
            let task = &self.load.open[number].1;
            let refused = match submit(&mut self.client, task, number) {
                Ok(()) => {
                    self.submitted += 1;
                    continue;
                }
                Err(SendError::Backpressure) => {
                    self.waiting.push_back(number);
                    continue;
                }
                Err(error) => error,
            };
            let end =
                End { status: Status::Refused, output: Output::default(), error: Some(refused.to_string()) };
            put(self.results, task, None, &end, self.unix_ns).map_err(unwritten)?;
            self.end(number, Ended::Failed);
        }
        self.client.flush();
        if self.waiting.is_empty() {
            let seconds = self.begun.elapsed().as_secs_f64();
            print::report(format_args!("{} tasks submitted after {seconds:.2} s", self.submitted));
        }
        Ok(())
    }

    fn take(&mut self) -> Result<usize, u8> {
        let (mut failed, unix_ns) = (None, self.unix_ns);
        let mut ended = Vec::new();
        let (results, open) = (&mut *self.results, &self.load.open);
        let (waiting, returned) = (&mut self.waiting, &mut self.returned);
        let events = self.client.poll(|event| {
            let Event::Outcome(outcome) = event else { return };
            let number = outcome.tag as usize;
            let task = &open[number].1;
            match &outcome.result {
                // Not an end of the task: the journal still has it.
                Err(failure) if !failure.is_of_task() => return,
                Err(Failure::CoordinatorDied(..)) if *returned.entry(number).or_default() < RETURNS_MAX => {
                    *returned.entry(number).or_default() += 1;
                    return waiting.push_back(number);
                }
                _ => {}
            }
            let end = End::of(&outcome, task.kind);
            ended.push((number, end.status == Status::Ok));
            if failed.is_none() {
                let sent = Some((outcome.worker, outcome.sent_ns));
                failed = put(results, task, sent, &end, unix_ns).err();
            }
        });
        if let Some(error) = failed {
            return Err(unwritten(error));
        }
        if self.load.journal.is_some() && !ended.is_empty() {
            // A result must be on the disk before the journal drops its task.
            self.results.sync().map_err(unwritten)?;
        }
        for (number, ok) in &ended {
            self.end(*number, if *ok { Ended::Answered } else { Ended::Failed });
        }
        self.commit()?;
        Ok(events)
    }

    fn end(&mut self, number: usize, how: Ended) {
        self.ended += 1;
        self.failed += usize::from(how != Ended::Answered);
        if let (Some(journal), Some(entry)) = (&mut self.load.journal, self.load.open[number].0) {
            journal.ended(entry, how);
        }
    }
}

/// Writes a result, as a run does: with the id that its client gave the task, or with its id in the saved fleet.
fn put(
    results: &mut Results,
    task: &OpenTask,
    sent: Option<(WorkerRef, u64)>,
    end: &End<'_>,
    unix_ns: u64,
) -> Result<(), String> {
    let listed = task.listed.as_ref();
    let whose = Whose {
        id: &task.name.clone().unwrap_or_else(|| task.id.to_string()),
        number: listed.map(|listed| listed.number),
        hash: listed.map(|listed| &*listed.task_hash),
        input: listed.and_then(|listed| listed.input.as_ref()).map(|input| &*input.0),
        worker: sent.map(|(worker, _)| worker),
        sent_ns: sent.map_or(0, |(_, sent_ns)| sent_ns),
        attempts_before: 0,
        before: false,
    };
    results.put(&whose, end, unix_ns)?;
    end.output.remove();
    Ok(())
}

/// Submits a task to the worker that it was for, if there is one; otherwise to any worker.
fn submit(client: &mut Client, open: &OpenTask, number: usize) -> Result<(), SendError> {
    let time = Duration::from_nanos;
    let terms = Terms {
        deadline: time(open.lifetime_ns),
        timeout: (open.timeout_ns > 0).then(|| time(open.timeout_ns)),
        attempts_max: (open.attempts_max > 0).then_some(open.attempts_max),
        retry_failures: open.retry_failures,
        deaths_only: open.deaths_only,
        whole: open.whole,
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
