//! A dead coordinator's region, and the successor that goes on with it.
//!
//! By the time this runs the predecessor has been reaped, and so has every process that it had forked: the
//! supervisor has waited for their process group, and each identity in the worker slots is checked once more here.
//! Nothing in the region changes but the client's ends. The order:
//!
//! 1. raise the epoch: a process of the old epoch is refused from now on;
//! 2. acknowledge the client's records that are in the table already, and recount the ledger;
//! 3. take what the dead workers had published, once more where the predecessor had begun to;
//! 4. for every entry, do what `plan::recover` decides;
//! 5. empty the workers' rings, hand out the queued tasks, serve, and fork a worker between two rounds.
//!
//! If it is killed anywhere in here, the next successor begins again: each step may be repeated.

use super::workers::{take_consumer, take_producer};
use super::{Coordinator, Rings, SELF, add};
use crate::bus::events::EventKind;
use crate::bus::ring::{Record, RingError};
use crate::bus::slot::Life;
use crate::bus::sync::{Bug, Ordering, planted};
use crate::bus::view::{Control, Region};
use crate::config::Policy;
use crate::os::clock::now_ns;
use crate::os::identity::Identity;
use crate::plan::lease::{State, Word};
use crate::plan::recover::{Action, Ending, Endings, Limits, balanced, decide};
use crate::process::fork;
use crate::wire::{AnswerStatus, TASK, TaskHeader, TaskId};
use std::cmp::Reverse;
use std::collections::HashMap;
use std::time::Duration;
use zerocopy::FromBytes;

/// How long a client has to take the outcomes of its tasks.
const REPORT_MAX: Duration = Duration::from_secs(5);
/// A worker that is still there although its coordinator is dead is checked again after this long.
const LOOK_AGAIN: Duration = Duration::from_micros(200);
/// The rings to the client cannot be read: exit status.
const STATUS_BAD_RING: i32 = 71;

/// Runs the successor of a dead coordinator `index`. Returns the exit status.
pub fn run_successor(control: Control, region: Region, index: u32, policy: Policy) -> i32 {
    let cell = &control.coordinator(index).process;
    if fork::ring_on_child(&control.coordinator(index).bell).is_err() {
        return 70;
    }
    wait_for_predecessors_workers(region);
    let state = region.state();
    let epoch = state.epoch.load(Ordering::Relaxed).wrapping_add(1);
    // Pairs with the Acquire in `Worker::is_fenced`.
    state.epoch.store(epoch, Ordering::Release);
    state.stopping.store(0, Ordering::Release);
    cell.attached_ns.store(now_ns(), Ordering::Relaxed);
    let requeued = region.counters().requeued.load(Ordering::Relaxed);
    let Ok(mut coordinator) = take_over(control, region, index, policy) else {
        return STATUS_BAD_RING;
    };
    coordinator.open_for_workers();
    coordinator.publish_status(coordinator.census());
    coordinator.control.coordinator(index).suspected_ns.store(0, Ordering::Release);
    let recovered = now_ns();
    cell.recovered_ns.store(recovered, Ordering::Release);
    let details = [
        recovered.saturating_sub(cell.dead_seen_ns.load(Ordering::Relaxed)),
        region.counters().requeued.load(Ordering::Relaxed).saturating_sub(requeued),
    ];
    coordinator.events.write(recovered, EventKind::Recovered, SELF, &details);
    match Identity::of(std::process::id()) {
        Some(own) => cell.mark_live(own.pid, own.start_ticks),
        // Its parent has written who it is.
        None => cell.set_life(Life::Live),
    }
    control.client_bell().wake();
    coordinator.serve();
    coordinator.stop();
    coordinator.end_in_order();
    0
}

/// Ends the tasks of a dead coordinator `index` that gets no successor: outcomes are reported, and open tasks are handed
/// back to the client, which sends them to other coordinators. Returns the exit status.
pub fn hand_back(control: Control, region: Region, index: u32, policy: Policy) -> i32 {
    wait_for_predecessors_workers(region);
    let state = region.state();
    state.epoch.store(state.epoch.load(Ordering::Relaxed).wrapping_add(1), Ordering::Release);
    let Ok(mut coordinator) = take_over(control, region, index, policy) else {
        return STATUS_BAD_RING;
    };
    let mut record = Record::empty();
    coordinator.take_tasks(&mut record);
    coordinator.take_orders(&mut record);
    let (mut returned, mut reported) = (0, coordinator.unreported.len() as u64);
    for (entry, word, task) in coordinator.table.open() {
        // A task without an attempt left ends here, and so does one that is found only by this coordinator's dead
        // letter.
        let left = coordinator.attempts_left(word, &task);
        if task.place().is_some() || task.was_dead_letter() || left == 0 {
            coordinator.fail(entry, AnswerStatus::WorkerDead);
            reported += 1;
        } else {
            coordinator.fail(entry, AnswerStatus::Returned);
            returned += 1;
        }
    }
    for number in 0..coordinator.links.len() as u32 {
        region.worker(number).process.set_life(Life::Dead);
    }
    coordinator.events.write(now_ns(), EventKind::Settled, SELF, &[returned, reported]);
    let deadline = now_ns() + REPORT_MAX.as_nanos() as u64;
    // A client that has gone is not waited for: its own ledger has all of this.
    let has_client = || {
        let state = control.state();
        let pid = state.client_pid.load(Ordering::Acquire);
        let client = Identity { pid, start_ticks: state.client_start.load(Ordering::Acquire) };
        pid != 0 && client.is_alive()
    };
    while !coordinator.unreported.is_empty()
        && !super::is_stopping(coordinator.control)
        && (now_ns() < deadline || has_client())
    {
        coordinator.report_outcomes();
        coordinator.bell.wait(super::BLOCKED, || false);
    }
    // All that it had accepted has ended, reported or not.
    control.coordinator(index).own.closed.store(1, Ordering::Release);
    0
}

/// The supervisor has waited for them by their process group; this checks the identities in the slots as well. Now that
/// the predecessor is dead, only a child of the supervisor can be one of its workers: whatever a worker has scribbled
/// into its slot, no other process is waited for.
fn wait_for_predecessors_workers(region: Region) {
    let supervisor = nix::unistd::getppid().as_raw();
    for number in 0..region.shape().workers_per_coordinator() {
        let cell = &region.worker(number).process;
        let worker = Identity {
            pid: cell.pid.load(Ordering::Acquire),
            start_ticks: cell.start_ticks.load(Ordering::Relaxed),
        };
        while !planted(Bug::ObeysTheDead)
            && worker.pid != 0
            && !worker.is_gone()
            && worker.parent() == Some(supervisor)
        {
            std::thread::sleep(LOOK_AGAIN);
        }
    }
}

fn take_over(control: Control, region: Region, index: u32, policy: Policy) -> Result<Coordinator, RingError> {
    reopen(control, region, index)?;
    // Which records a predecessor had taken and not acknowledged is found out first, with a second consumer that
    // reads ahead and is not used for anything else.
    let mut ahead = take_consumer(region.client_down())?;
    let mut coordinator = Coordinator::new(control, region, index, policy)?;
    let mut record = Record::empty();

    // In the table, and no worker can have had it: any other record with this id was sent again after a return.
    let mut known = coordinator.ids(|word| word.state() == Some(State::Queued) && word.attempt() == 0);
    let mut accepted_already = 0;
    while let Ok(true) = ahead.pop(&mut record)
        && record.kind == TASK
        // Each once: a client that writes without waiting for room must not keep this process here.
        && TaskHeader::read_from_bytes(&record.header).is_ok_and(|task| known.remove(&task.id).is_some())
    {
        accepted_already += 1;
    }
    for _ in 0..accepted_already {
        coordinator.from_client.pop(&mut record)?;
    }
    coordinator.from_client.acknowledge();
    let known = coordinator.ids(|_| true);
    coordinator.repair_dead_letters(&known);
    coordinator.recount();

    coordinator.taking_over = true;
    for number in 0..coordinator.links.len() {
        let (down, up) = (region.worker_down(number as u32), region.worker_up(number as u32));
        let rings = take_producer(down).and_then(|tasks| Ok(Rings { tasks, answers: take_consumer(up)? }));
        coordinator.links[number].rings = rings.ok();
        if !planted(Bug::LeasesBeforeAnswers) {
            coordinator.drain(number, &mut record);
        }
        coordinator.end_command(number as u32);
    }
    coordinator.taking_over = false;
    coordinator.recover_entries(&known);
    Ok(coordinator)
}

/// After a predecessor that ended with everything that it had accepted: what its client sent too late was never taken,
/// and the client sends it elsewhere as soon as it sees that this coordinator closed. If the process is killed in
/// between, its successor does this again.
fn reopen(control: Control, region: Region, index: u32) -> Result<(), RingError> {
    let (own, counters) = (&control.coordinator(index).own, region.counters());
    if own.closed.load(Ordering::Acquire) == 0 {
        return Ok(());
    }
    let mut from_client = take_consumer(region.client_down())?;
    let mut record = Record::empty();
    let mut until = from_client.acknowledged();
    // At most what the ring holds: a client that goes on sending finds out in time.
    for _ in 0..region.client_down().geometry().capacity() {
        if !from_client.pop(&mut record)? {
            break;
        }
        until += 1;
    }
    own.left_until.store(until, Ordering::Release);
    from_client.acknowledge();
    let relaxed = Ordering::Relaxed;
    let ended = [&counters.answered, &counters.failed_tasks, &counters.failed, &counters.returned]
        .into_iter()
        .fold(0_u64, |sum, count| sum.saturating_add(count.load(relaxed)));
    let taken = until.saturating_add(counters.revived.load(relaxed));
    counters.left.store(taken.saturating_sub(ended), relaxed);
    counters.accepted.store(ended, relaxed);
    own.closed.store(0, Ordering::Release);
    control.client_bell().wake();
    Ok(())
}

impl Coordinator {
    /// The tasks of the entries whose word `matches`, and where they are in the table.
    fn ids(&self, matches: impl Fn(Word) -> bool) -> HashMap<TaskId, u32> {
        (0..self.table.len())
            .filter(|entry| self.table.word(*entry).state() != Some(State::Free))
            .filter(|entry| matches(self.table.word(*entry)))
            .map(|entry| (self.table.task(entry).id, entry))
            .collect()
    }

    /// Recounts the ledger, which the predecessor may have been killed in the middle of changing. To be called before any
    /// task ends here.
    fn recount(&self) {
        let counters = self.region.counters();
        let relaxed = Ordering::Relaxed;
        self.count_accepted();
        let accepted = counters.accepted.load(relaxed);
        let ended = |entry: &u32| {
            matches!(self.table.word(*entry).state(), Some(State::Free | State::Done | State::Failed))
        };
        let in_flight = (0..self.table.len()).filter(|entry| !ended(entry)).count() as u64;
        let counted = Endings {
            answered: counters.answered.load(relaxed),
            failed_tasks: counters.failed_tasks.load(relaxed),
            failed: counters.failed.load(relaxed),
            returned: counters.returned.load(relaxed),
        };
        let under_way = Ending::from_raw(counters.ending.load(Ordering::Acquire));
        let Endings { answered, failed_tasks, failed, returned } =
            balanced(accepted, in_flight, counted, under_way);
        counters.answered.store(answered, relaxed);
        counters.failed_tasks.store(failed_tasks, relaxed);
        counters.failed.store(failed, relaxed);
        counters.returned.store(returned, relaxed);
        counters.ending.store(0, Ordering::Release);
    }

    /// Does for every entry what the plan decides; `known` maps each task to its entry.
    fn recover_entries(&mut self, known: &HashMap<TaskId, u32>) {
        let shape = self.region.shape();
        let limits = Limits {
            workers: shape.workers_per_coordinator(),
            payload_max: shape.payload_max(),
            attempts_max: self.policy.attempts_max,
            epoch: self.control.stamped().epoch,
        };
        // Found again below, together with those of the predecessor.
        self.unreported.clear();
        let mut unreported = Vec::new();
        let mut waiting: Vec<(TaskId, u32)> = Vec::new();
        for entry in 0..self.table.len() {
            let found = self.table.found(entry, |word, task| self.was_in_hand(word, task));
            let task = found.task;
            let mut action = decide(&found, &limits);
            // The same task twice: one of them cannot be, and its client has one outcome.
            if action != Action::Leave && known.get(&task.id).is_some_and(|first| *first != entry) {
                action = Action::Clear;
            }
            match action {
                Action::Leave => {}
                // It may be waiting for its next attempt already: an answer that was taken just now has failed it.
                Action::Wait if self.later.iter().any(|Reverse((_, later, _))| *later == entry) => {}
                Action::Wait => waiting.push((task.id, entry)),
                Action::Requeue(hand) => {
                    self.table.requeue(entry, hand);
                    add(&self.region.counters().requeued);
                    waiting.push((task.id, entry));
                }
                Action::Fail(status) => {
                    self.fail(entry, status);
                    unreported.push((task.id, entry));
                }
                Action::Report => {
                    unreported.push((task.id, entry));
                    if AnswerStatus::from_raw(found.answer.status) == Some(AnswerStatus::Returned) {
                        self.returned.push((task.id, entry));
                    }
                }
                Action::Condemn => {
                    self.condemn(entry, found.word.state());
                    unreported.push((task.id, entry));
                }
                Action::Clear => self.clear(entry, found.word.state()),
            }
            if matches!(self.table.word(entry).state(), Some(State::Queued)) {
                self.earliest_ns = self.earliest_ns.min(task.deadline_ns);
            }
        }
        unreported.sort_unstable();
        self.unreported = unreported.into_iter().map(|(_, entry)| entry).collect();
        self.rebuild_queues(waiting);
    }

    /// Queues the waiting tasks in the order of their ids, and lists the free entries.
    fn rebuild_queues(&mut self, waiting: Vec<(TaskId, u32)>) {
        for link in &mut self.links {
            link.waiting.clear();
        }
        self.for_any_worker.clear();
        self.put_back(waiting);
        self.free = (0..self.table.len())
            .rev()
            .filter(|entry| self.table.word(*entry).state() == Some(State::Free))
            .collect();
    }

    /// Frees an entry whose task cannot be told, or is in the table twice.
    fn clear(&self, entry: u32, state: Option<State>) {
        let counters = self.region.counters();
        add(&counters.damaged);
        if !matches!(state, Some(State::Done | State::Failed)) {
            add(&counters.failed);
        }
        self.table.clear(entry);
    }

    /// Fails a damaged entry.
    fn condemn(&mut self, entry: u32, state: Option<State>) {
        let answer = self.no_answer(entry, AnswerStatus::Damaged);
        let counters = self.region.counters();
        // First, so that a successor of this one finds it done: it may then count too little, and never twice.
        self.table.condemn(entry, &answer);
        add(&counters.damaged);
        match state {
            // It was counted as answered, and its client is sent a failure.
            Some(State::Done) => {
                // Or as a failed task, which its words do not say any more.
                let counted = [&counters.answered, &counters.failed_tasks];
                let one = counted.into_iter().find(|count| count.load(Ordering::Relaxed) > 0);
                if let Some(count) = one {
                    count.store(count.load(Ordering::Relaxed).saturating_sub(1), Ordering::Relaxed);
                }
                add(&counters.failed);
            }
            Some(State::Failed) => {}
            _ => add(&counters.failed),
        }
    }

    /// Empties the rings, hands out waiting tasks, and schedules a fork for each place: places with waiting tasks first.
    fn open_for_workers(&mut self) {
        for number in 0..self.links.len() {
            let damaged = self.links[number].rings.is_none();
            let cell = &self.region.worker(number as u32).process;
            cell.set_life(Life::Replacing);
            if damaged || !self.renew_rings(number) {
                self.abandon(number);
                continue;
            }
            self.hand_over(number);
            if (number as u32) < self.wanted {
                // Places with waiting tasks come first: they are in this list already.
                if !self.due.iter().any(|(_, due)| *due == number as u32) {
                    self.due.push_back((0, number as u32));
                }
            } else if self.links[number].outstanding == 0 {
                cell.set_life(Life::Absent);
            }
        }
        self.publish_tasks();
    }
}
