//! A dead coordinator's region, and the one who goes on with it.
//!
//! By the time this runs the predecessor is reaped, and so is every process that it had forked: the
//! supervisor has waited for their process group, and each identity in the worker slots is looked for
//! once more here. Nothing in the region moves but the client's ends. The order:
//!
//! 1. raise the epoch: whoever still acts in the name of the old one is refused;
//! 2. the client's records that are in the table already: acknowledge them, and balance the ledger;
//! 3. take what the dead workers had published, once more where that was begun;
//! 4. look at every entry, and do what `plan::recover` says;
//! 5. empty the workers' rings, hand out what is queued, serve, and fork a worker between two rounds.
//!
//! Killed anywhere in here, the next successor begins again: each step finds done what was done.

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

/// A client gets so long to listen to what became of its tasks.
const TELL_MAX: Duration = Duration::from_secs(5);
/// A dead worker that is still seen is looked for again after this long.
const LOOK_AGAIN: Duration = Duration::from_micros(200);
/// The rings to the client cannot be read: exit status.
const STATUS_BAD_RING: i32 = 71;

/// Runs the successor of a dead coordinator `index`. Returns the exit status.
pub fn succeed(control: Control, region: Region, index: u32, policy: Policy) -> i32 {
    let cell = &control.coordinator(index).process;
    if fork::ring_on_child(&control.coordinator(index).bell).is_err() {
        return 70;
    }
    wait_for_the_end_of_all(region);
    let state = region.state();
    let epoch = state.epoch.load(Ordering::Relaxed).wrapping_add(1);
    // Pairs with the Acquire in `Worker::is_over`.
    state.epoch.store(epoch, Ordering::Release);
    state.stopping.store(0, Ordering::Release);
    cell.attached_ns.store(now_ns(), Ordering::Relaxed);
    let requeued = region.counters().requeued.load(Ordering::Relaxed);
    let Ok(mut coordinator) = take_over(control, region, index, policy) else {
        return STATUS_BAD_RING;
    };
    coordinator.open_for_workers();
    coordinator.show(coordinator.census());
    coordinator.control.coordinator(index).suspected_ns.store(0, Ordering::Release);
    let recovered = now_ns();
    cell.recovered_ns.store(recovered, Ordering::Release);
    let said = [
        recovered.saturating_sub(cell.dead_seen_ns.load(Ordering::Relaxed)),
        region.counters().requeued.load(Ordering::Relaxed).saturating_sub(requeued),
    ];
    coordinator.events.write(recovered, EventKind::Recovered, SELF, &said);
    match Identity::of(std::process::id()) {
        Some(own) => cell.mark_live(own.pid, own.start_ticks),
        // Its parent says so.
        None => cell.set_life(Life::Live),
    }
    control.client_bell().wake();
    coordinator.serve();
    coordinator.stop();
    0
}

/// Ends what a dead coordinator `index` had begun, where nobody takes its place: what is answered is told, what is not
/// goes back to the client, which sends it to the living. Returns the exit status.
pub fn settle(control: Control, region: Region, index: u32, policy: Policy) -> i32 {
    wait_for_the_end_of_all(region);
    let state = region.state();
    state.epoch.store(state.epoch.load(Ordering::Relaxed).wrapping_add(1), Ordering::Release);
    let Ok(mut coordinator) = take_over(control, region, index, policy) else {
        return STATUS_BAD_RING;
    };
    let mut record = Record::empty();
    coordinator.take_tasks(&mut record);
    coordinator.take_orders(&mut record);
    let (mut returned, mut told) = (0, coordinator.untold.len() as u64);
    for (entry, word, task) in coordinator.table.open() {
        // What has no attempt left, or only this coordinator's letter to be found by, ends here.
        let left = coordinator.attempts_left(word, &task);
        if task.place().is_some() || task.was_dead_letter() || left == 0 {
            coordinator.fail(entry, AnswerStatus::WorkerDead);
            told += 1;
        } else {
            coordinator.fail(entry, AnswerStatus::Returned);
            returned += 1;
        }
    }
    for number in 0..coordinator.links.len() as u32 {
        region.worker(number).process.set_life(Life::Dead);
    }
    coordinator.events.write(now_ns(), EventKind::Settled, SELF, &[returned, told]);
    let deadline = now_ns() + TELL_MAX.as_nanos() as u64;
    // A client that does not listen is not waited for: it has all of this in its own book.
    let listens = || {
        let state = control.state();
        let pid = state.client_pid.load(Ordering::Acquire);
        let client = Identity { pid, start_ticks: state.client_start.load(Ordering::Acquire) };
        pid != 0 && client.is_alive()
    };
    while !coordinator.untold.is_empty()
        && !super::is_stopping(coordinator.control)
        && (now_ns() < deadline || listens())
    {
        coordinator.tell();
        coordinator.bell.wait(super::BLOCKED, || false);
    }
    // All that it had accepted has ended, told or not.
    control.coordinator(index).own.closed.store(1, Ordering::Release);
    0
}

/// The supervisor has seen to it; this holds it against what the slots say. Only a child of the
/// supervisor's can be a predecessor's worker, now that that is dead: what a worker has scribbled into its
/// slot makes nobody wait for a stranger.
fn wait_for_the_end_of_all(region: Region) {
    let supervisor = nix::unistd::getppid().as_raw();
    for number in 0..region.shape().workers_per_coordinator() {
        let cell = &region.worker(number).process;
        let worker = Identity {
            pid: cell.pid.load(Ordering::Acquire),
            start_ticks: cell.start_ticks.load(Ordering::Relaxed),
        };
        while worker.pid != 0 && !worker.is_gone() && worker.parent() == Some(supervisor) {
            std::thread::sleep(LOOK_AGAIN);
        }
    }
}

fn take_over(control: Control, region: Region, index: u32, policy: Policy) -> Result<Coordinator, RingError> {
    reopen(control, region, index)?;
    // What a predecessor had taken and not acknowledged is looked at first: to see where it ends, an
    // end of its own goes ahead, and is not used any more.
    let mut ahead = take_consumer(region.client_down())?;
    let mut coordinator = Coordinator::new(control, region, index, policy)?;
    let mut record = Record::empty();

    // In the table, and nobody can have had it: whatever else has this id was sent again after it had been returned.
    let known = coordinator.ids(|word| word.state() == Some(State::Queued) && word.attempt() == 0);
    let mut accepted_already = 0;
    while let Ok(true) = ahead.pop(&mut record)
        && record.kind == TASK
        && TaskHeader::read_from_bytes(&record.header).is_ok_and(|task| known.contains_key(&task.id))
    {
        accepted_already += 1;
    }
    for _ in 0..accepted_already {
        coordinator.from_client.pop(&mut record)?;
    }
    coordinator.from_client.acknowledge();
    let known = coordinator.ids(|_| true);
    coordinator.settle_letters(&known);
    coordinator.balance();

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
    coordinator.sort_out(&known);
    Ok(coordinator)
}

/// After a predecessor that ended with all that it had accepted: what its client sent too late was never taken, and the
/// client sends it elsewhere as soon as it sees the end of it here. Killed in between, this is done again.
fn reopen(control: Control, region: Region, index: u32) -> Result<(), RingError> {
    let (own, counters) = (&control.coordinator(index).own, region.counters());
    if own.closed.load(Ordering::Acquire) == 0 {
        return Ok(());
    }
    let mut from_client = take_consumer(region.client_down())?;
    let mut record = Record::empty();
    let mut until = from_client.acknowledged();
    // No more than there was room for: a client that goes on sending finds out in time.
    for _ in 0..region.client_down().geometry().capacity() {
        if !from_client.pop(&mut record)? {
            break;
        }
        until += 1;
    }
    own.left_until.store(until, Ordering::Release);
    from_client.acknowledge();
    let relaxed = Ordering::Relaxed;
    let ended = [&counters.answered, &counters.failed, &counters.returned]
        .into_iter()
        .fold(0_u64, |sum, count| sum.saturating_add(count.load(relaxed)));
    let taken = until + counters.revived.load(relaxed);
    counters.left.store(taken.saturating_sub(ended), relaxed);
    counters.accepted.store(ended, relaxed);
    own.closed.store(0, Ordering::Release);
    control.client_bell().wake();
    Ok(())
}

impl Coordinator {
    /// Whose tasks are in the table, and where, of entries with such a word.
    fn ids(&self, such: impl Fn(Word) -> bool) -> HashMap<TaskId, u32> {
        (0..self.table.len())
            .filter(|entry| self.table.word(*entry).state() != Some(State::Free))
            .filter(|entry| such(self.table.word(*entry)))
            .map(|entry| (self.table.task(entry).id, entry))
            .collect()
    }

    /// Counts anew what the predecessor may have been killed over. Before anything ends here.
    fn balance(&self) {
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
            failed: counters.failed.load(relaxed),
            returned: counters.returned.load(relaxed),
        };
        let under_way = Ending::from_raw(counters.ending.load(Ordering::Acquire));
        let Endings { answered, failed, returned } = balanced(accepted, in_flight, counted, under_way);
        counters.answered.store(answered, relaxed);
        counters.failed.store(failed, relaxed);
        counters.returned.store(returned, relaxed);
        counters.ending.store(0, Ordering::Release);
    }

    /// Every entry gets what the plan says; `known` says which entry a task is in.
    fn sort_out(&mut self, known: &HashMap<TaskId, u32>) {
        let shape = self.region.shape();
        let limits = Limits {
            workers: shape.workers_per_coordinator(),
            payload_max: shape.payload_max(),
            attempts_max: self.policy.attempts_max,
            epoch: self.control.stamped().epoch,
        };
        // Found again below, with those of the predecessor.
        self.untold.clear();
        let mut untold = Vec::new();
        let mut waiting: Vec<(TaskId, u32)> = Vec::new();
        let counters = self.region.counters();
        for entry in 0..self.table.len() {
            let found = self.table.found(entry, |word, task| self.was_in_hand(word, task));
            let (word, task) = (found.word, found.task);
            let mut action = decide(&found, &limits);
            // The same task twice: one of them cannot be, and its client has one outcome.
            if action != Action::Leave && known.get(&task.id).is_some_and(|first| *first != entry) {
                action = Action::Clear;
            }
            match action {
                Action::Leave => {}
                // It may wait for its next attempt already: its last one failed by an answer taken just now.
                Action::Wait if self.later.iter().any(|Reverse((_, later, _))| *later == entry) => {}
                Action::Wait => waiting.push((task.id, entry)),
                Action::Requeue(hand) => {
                    self.table.requeue(entry, hand);
                    add(&counters.requeued);
                    waiting.push((task.id, entry));
                }
                Action::Fail(status) => {
                    self.fail(entry, status);
                    untold.push((task.id, entry));
                }
                Action::Report => {
                    untold.push((task.id, entry));
                    if AnswerStatus::from_raw(found.answer.status) == Some(AnswerStatus::Returned) {
                        self.returned.push((task.id, entry));
                    }
                }
                Action::Condemn => {
                    self.condemn(entry, word.state());
                    untold.push((task.id, entry));
                }
                Action::Clear => {
                    add(&counters.damaged);
                    if !matches!(word.state(), Some(State::Done | State::Failed)) {
                        add(&counters.failed);
                    }
                    self.table.clear(entry);
                }
            }
            if matches!(self.table.word(entry).state(), Some(State::Queued)) {
                self.earliest_ns = self.earliest_ns.min(task.deadline_ns);
            }
        }
        untold.sort_unstable();
        self.untold = untold.into_iter().map(|(_, entry)| entry).collect();
        for link in &mut self.links {
            link.waiting.clear();
        }
        self.anyone.clear();
        self.put_back(waiting);
        self.free = (0..self.table.len())
            .rev()
            .filter(|entry| self.table.word(*entry).state() == Some(State::Free))
            .collect();
    }

    fn condemn(&mut self, entry: u32, state: Option<State>) {
        let answer = self.no_answer(entry, crate::wire::AnswerStatus::Damaged);
        let counters = self.region.counters();
        // First, so that a successor of this one finds it done; then it has told less of it than it was,
        // and never twice.
        self.table.condemn(entry, &answer);
        add(&counters.damaged);
        match state {
            // Counted as answered; its client will hear otherwise.
            Some(State::Done) => {
                let answered = counters.answered.load(Ordering::Relaxed);
                counters.answered.store(answered.saturating_sub(1), Ordering::Relaxed);
                add(&counters.failed);
            }
            Some(State::Failed) => {}
            _ => add(&counters.failed),
        }
    }

    /// Empty rings, tasks in them, and a fork due for each place: those first whose tasks wait.
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
                // Those whose tasks wait are first: they are in this list already.
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
