//! The workers: their start, their deaths, their replacement, and what becomes of their tasks.

use super::{Coordinator, Link, Rings, add};
use crate::bus::events::EventKind;
use crate::bus::ring::{Consumer, Producer, Record, Ring, RingError};
use crate::bus::slot::Life;
use crate::bus::sync::Ordering;
use crate::bus::written::WrittenCell;
use crate::os::clock::now_ns;
use crate::os::identity::Identity;
use crate::plan::lease::{Attempt, State};
use crate::plan::recover::abandoned;
use crate::plan::restart::Restart;
use crate::plan::retry::Cause;
use crate::process::descent;
use crate::process::offspring::children;
use crate::process::reap::HowEnded;
use crate::process::reap::reap_any;
use crate::process::worker;
use crate::process::{fork, inherited};
use crate::wire::AnswerStatus;
use crate::wire::place::PlaceId;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use std::time::Duration;

/// A fork that the kernel refuses is tried again after this long,
const FORK_AGAIN: Duration = Duration::from_millis(100);
/// and then twice as long each time, up to this.
const FORK_AGAIN_MAX: Duration = Duration::from_secs(10);

/// How a worker left its place.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Departure {
    /// It was not asked to.
    Died,
    /// It had done enough tasks, had grown, or could not be reset.
    Recycled,
    /// It was surplus.
    Retired,
}

/// The producing end, whether it was never taken or its holder is dead.
pub(crate) fn take_producer(ring: Ring) -> Result<Producer, RingError> {
    match ring.take_over_producer() {
        Err(RingError::NeverHeld) => ring.producer().ok_or(RingError::NeverHeld),
        taken => taken,
    }
}

/// As [`take_producer`].
pub(crate) fn take_consumer(ring: Ring) -> Result<Consumer, RingError> {
    match ring.take_over_consumer() {
        Err(RingError::NeverHeld) => ring.consumer().ok_or(RingError::NeverHeld),
        taken => taken,
    }
}

impl Coordinator {
    /// Forks a worker for place `number`; only it and this process use the rings of that place.
    pub(super) fn start_worker(&mut self, number: u32) -> nix::Result<()> {
        let (control, region, index, epoch) = (self.control, self.region, self.index, self.epoch);
        self.check_state();
        // Before the fork: the worker writes there, too.
        self.check_place(number);
        let slot = region.worker(number);
        // Written by the dead worker; no process writes it now.
        slot.own.command_pid.store(0, Ordering::Release);
        slot.orders.retire.store(0, Ordering::Relaxed);
        slot.orders.suspected_ns.store(0, Ordering::Release);
        self.links[number as usize].suspected_ns = 0;
        let policy = self.policy;
        #[cfg(feature = "kill-points")]
        let (kill, before) = (self.policy.kill, slot.process.incarnation.load(Ordering::Relaxed));
        let pid = fork::spawn(&PlaceId::worker(index, number).to_string(), None, || {
            #[cfg(feature = "kill-points")]
            fork::end_at_step(kill == Some(crate::config::KillAtEachStep::Workers), before);
            if inherited::child_signals().is_err() {
                return 70;
            }
            worker::run(&control, region, index, number, epoch, &policy)
        })?;
        let start_ticks = Identity::of(pid.as_raw() as u32).map_or(0, |identity| identity.start_ticks);
        slot.process.record_fork(pid.as_raw() as u32, start_ticks);
        let link = &mut self.links[number as usize];
        (link.pid, link.retiring, link.hung, link.lived) = (Some(pid), false, false, false);
        link.written = Some(WrittenCell::of_worker(&slot.process));
        self.by_pid.insert(pid, number);
        let incarnation = slot.process.incarnation.load(Ordering::Relaxed);
        if incarnation > 1 {
            add(&self.region.counters().refills);
        }
        let details = [pid.as_raw() as u64, incarnation.into()];
        self.events.write(now_ns(), EventKind::Started, number, &details);
        self.note_idle(number as usize);
        Ok(())
    }

    /// Schedules a fork for this place, unless a worker is there or due already.
    pub(super) fn want_worker(&mut self, number: u32) {
        let link = &self.links[number as usize];
        if link.pid.is_none() && link.rings.is_some() && !self.due.iter().any(|(_, due)| *due == number) {
            self.due.push_front((0, number));
        }
    }

    /// Starts one of the workers that are due: a round of the loop lies between two forks, so that no task waits for a
    /// hundred of them.
    pub(super) fn start_due(&mut self, now: u64) {
        let Some(&(at_ns, number)) = self.due.front() else { return };
        // If more workers have died, their tasks come first.
        if at_ns > now || fork::child_ended_pending() {
            return;
        }
        self.due.pop_front();
        if self.links[number as usize].pid.is_some() {
            return;
        }
        match self.start_worker(number) {
            Ok(()) => self.refused = 0,
            Err(errno) => {
                let again = FORK_AGAIN_MAX.min(FORK_AGAIN * 2_u32.saturating_pow(self.refused));
                self.refused = (self.refused + 1).min(16);
                add(&self.region.counters().refused);
                let details = [errno as u64, again.as_nanos() as u64];
                self.events.write(now, EventKind::Refused, number, &details);
                self.due.push_back((now + again.as_nanos() as u64, number));
            }
        }
        self.assign();
        self.publish_tasks();
    }

    /// Records every child that has ended. A serving coordinator replaces its workers, except surplus ones.
    pub(super) fn reap(&mut self) {
        let mut gone = Vec::new();
        let mut orphans = false;
        // They may have ended because of it.
        if self.serving {
            self.check_state();
        }
        while let Some((pid, how)) = reap_any() {
            let Some(number) = self.by_pid.remove(&pid) else {
                // Children of its own come here next.
                orphans = true;
                continue;
            };
            orphans |= !how.is_orderly();
            let stopping = super::is_stopping(self.control) || self.stopping;
            let replaced = self.serving && !stopping;
            let departure = self.record_departure(number, pid, how, stopping);
            self.links[number as usize].pid = None;
            self.end_command(number);
            if replaced {
                gone.push((number, departure));
            }
        }
        if orphans {
            self.end_orphans();
        }
        if !gone.is_empty() {
            self.recover_places(&gone);
            if gone.iter().any(|(_, departure)| *departure == Departure::Died) {
                self.control.client_bell().wake();
            }
        }
    }

    /// Writes down how the worker at a place ended, and what its place is now.
    fn record_departure(&mut self, number: u32, pid: Pid, how: HowEnded, stopping: bool) -> Departure {
        self.check_place(number);
        let slot = self.region.worker(number);
        let details = [pid.as_raw() as u64, i64::from(how.raw()) as u64];
        let retired = slot.orders.retire.load(Ordering::Relaxed) != 0;
        let departure = match how {
            HowEnded::Exited(worker::STATUS_WORN | worker::STATUS_GROWN | worker::STATUS_POISONED) => {
                Departure::Recycled
            }
            how if how.is_orderly() && (retired || stopping) => Departure::Retired,
            _ => Departure::Died,
        };
        let replaced = self.serving && !stopping;
        match departure {
            Departure::Died => {
                slot.process.record_death(how.raw(), now_ns());
                slot.process.set_life(if replaced { Life::Replacing } else { Life::Dead });
                // After the life: a reader that sees the count finds that the worker is not live.
                self.deaths = self.deaths.wrapping_add(1);
                self.control.coordinator(self.index).own.deaths.store(self.deaths, Ordering::Release);
                self.events.write(now_ns(), EventKind::Died, number, &details);
            }
            Departure::Recycled => {
                slot.process.wait_status.store(how.raw(), Ordering::Relaxed);
                slot.process.set_life(if replaced { Life::Replacing } else { Life::Stopped });
                let counters = self.region.counters();
                let (counter, why) = match how.raw() {
                    worker::STATUS_WORN => (&counters.recycled, 1),
                    worker::STATUS_GROWN => (&counters.recycled, 2),
                    _ => (&counters.poisoned, 3),
                };
                add(counter);
                self.events.write(now_ns(), EventKind::Recycled, number, &[details[0], why]);
            }
            Departure::Retired => {
                slot.process.wait_status.store(how.raw(), Ordering::Relaxed);
                slot.process.set_life(if replaced { Life::Absent } else { Life::Stopped });
                self.events.write(now_ns(), EventKind::Stopped, number, &details);
            }
        }
        self.links[number as usize].written = Some(WrittenCell::of_worker(&slot.process));
        departure
    }

    /// Kills what tasks of dead workers have daemonised: children of this process that are not workers. All of them descend
    /// from it, as it is a fork that had no children. True if there were any.
    pub(super) fn end_orphans(&self) -> bool {
        let mut any = false;
        for pid in children().into_iter().map(Pid::from_raw) {
            if !self.by_pid.contains_key(&pid) {
                let _ = kill(pid, Signal::SIGKILL);
                any = true;
            }
        }
        any
    }

    /// Ends what a dead worker was running.
    pub(super) fn end_command(&self, number: u32) {
        let own = &self.region.worker(number).own;
        let pid = own.command_pid.load(Ordering::Acquire);
        let command = Identity { pid, start_ticks: own.command_start.load(Ordering::Relaxed) };
        // The worker wrote it, or any other process: 0, 1 and what the kernel takes for several processes is no group.
        let Some(group) = i32::try_from(pid).ok().filter(|group| *group > 1).map(Pid::from_raw) else {
            return;
        };
        match Identity::of(command.pid) {
            Some(found) if found == command && descent::is_of_fleet(command.pid) => {
                let _ = killpg(group, Signal::SIGKILL);
            }
            // Another process has its pid now, so no group of the command's is left; or the words name a process that the fleet
            // has not started, which they cannot unless another program wrote them. What the task left is found as orphans.
            Some(_) => {}
            // A group outlives its leader; but one with that number may be another's by now.
            None => descent::end_group(command.pid),
        }
    }

    /// Takes what departed workers had published, queues their other tasks again, and makes their places ready for
    /// successors. The tasks come first: a client is waiting for them.
    fn recover_places(&mut self, gone: &[(u32, Departure)]) {
        let now = now_ns();
        let mut record = Record::empty();
        let mut back = vec![None; self.links.len()];
        for &(number, departure) in gone {
            self.drain(number as usize, &mut record);
            let link = &mut self.links[number as usize];
            let again = match departure {
                Departure::Died => link.restarts.died(now, &self.policy),
                Departure::Recycled | Departure::Retired => Restart::Again,
            };
            back[number as usize] = Some((again, departure, Vec::new()));
        }
        for (entry, word, task) in self.table.open() {
            let Some(Some((again, _, queued))) = back.get_mut(usize::from(word.worker())) else { continue };
            let in_hand = self.was_in_hand(word, &task);
            if *again == Restart::GiveUp && task.place().is_some() {
                self.fail(entry, abandoned(word, in_hand));
                continue;
            }
            if word.state() == Some(State::Queued) {
                continue;
            }
            if !in_hand {
                self.table.requeue(entry, Attempt::NotBegun);
                add(&self.region.counters().requeued);
                queued.push((task.id, entry));
                continue;
            }
            let (cause, status) = if self.links[usize::from(word.worker())].hung {
                (Cause::Hung, AnswerStatus::WorkerHung)
            } else {
                (Cause::Died, AnswerStatus::WorkerDied)
            };
            match self.try_again(entry, cause, status) {
                Some(()) => add(&self.region.counters().requeued),
                None => self.fail(entry, status),
            }
        }
        for (number, back) in back.into_iter().enumerate() {
            let Some((again, departure, queued)) = back else { continue };
            let requeued = queued.len() as u64;
            self.put_back(queued);
            if again == Restart::Again && self.renew_rings(number) {
                let wanted = departure != Departure::Retired || !self.links[number].waiting.is_empty();
                if wanted {
                    self.want_worker(number as u32);
                }
                self.hand_over(number);
            } else {
                self.abandon(number);
            }
            if departure == Departure::Died {
                self.record_recovery(number as u32, requeued);
            }
        }
        self.assign();
        self.publish_tasks();
    }

    /// The tasks of a dead worker are queued again, `requeued` of them without a lost attempt.
    fn record_recovery(&mut self, number: u32, requeued: u64) {
        let cell = &self.region.worker(number).process;
        let recovered = now_ns();
        cell.recovered_ns.store(recovered, Ordering::Release);
        self.links[number as usize].written = Some(WrittenCell::of_worker(cell));
        let seen = cell.dead_seen_ns.load(Ordering::Relaxed);
        let details = [recovered.saturating_sub(seen), requeued];
        self.events.write(recovered, EventKind::Recovered, number, &details);
    }

    /// Queues tasks again before those that have not been handed over yet, in the order in which they came.
    pub(super) fn put_back<Id: Ord>(&mut self, mut queued: Vec<(Id, u32)>) {
        queued.sort_by(|a, b| b.0.cmp(&a.0));
        for (_, entry) in queued {
            self.line_up(entry);
        }
    }

    /// Empties both rings of a place whose worker is dead, and takes this process's ends again. False if they are damaged.
    pub(super) fn renew_rings(&mut self, number: usize) -> bool {
        let (down, up) = (self.region.worker_down(number as u32), self.region.worker_up(number as u32));
        // The ends that this process had are not used after this.
        let link = &mut self.links[number];
        (link.rings, link.touched, link.outstanding) = (None, false, 0);
        // Written by the dead worker; no process writes it now. Its task is queued again, and what is leased from here
        // on has not been begun until a worker is here, for a successor as well.
        self.region.worker(number as u32).own.task.store(0, Ordering::Release);
        let renew = || -> Result<Rings, RingError> {
            down.reset()?;
            up.reset()?;
            Ok(Rings { tasks: take_producer(down)?, answers: take_consumer(up)? })
        };
        self.links[number].rings = renew().ok();
        self.links[number].rings.is_some()
    }

    /// Closes a place: no worker is started here any more, and tasks for its worker fail, waiting and later ones. Tasks
    /// for any worker go to the others, if there are any.
    pub(super) fn abandon(&mut self, number: usize) {
        self.links[number].rings = None;
        // A task that waited for the dead worker may have wanted another one.
        self.due.retain(|(_, due)| *due as usize != number);
        let cell = &self.region.worker(number as u32).process;
        cell.set_life(Life::Dead);
        let deaths = cell.deaths.load(Ordering::Relaxed);
        self.events.write(now_ns(), EventKind::GivenUp, number as u32, &[deaths.into()]);
        let others = self.has_workers();
        let mut back = Vec::new();
        for (entry, word, task) in self.table.open() {
            let here = usize::from(word.worker()) == number;
            let in_hand = self.was_in_hand(word, &task);
            match task.place() {
                Some(_) if here => self.fail(entry, abandoned(word, in_hand)),
                None if !others => self.fail(entry, abandoned(word, in_hand)),
                None if here && word.state() == Some(State::Leased) => {
                    let hand = if in_hand { Attempt::Begun } else { Attempt::NotBegun };
                    self.table.requeue(entry, hand);
                    back.push((task.id, entry));
                }
                _ => {}
            }
        }
        self.put_back(back);
    }

    /// True if at least one place has a worker, or will have one.
    pub(super) fn has_workers(&self) -> bool {
        self.links.iter().any(|link| link.rings.is_some())
    }
}

impl Link {
    pub(super) fn new(rings: Option<Rings>) -> Self {
        Self {
            rings,
            pid: None,
            written: None,
            suspected_ns: 0,
            lived: false,
            waiting: std::collections::VecDeque::new(),
            given_up: std::collections::VecDeque::new(),
            touched: false,
            restarts: crate::plan::restart::Restarts::default(),
            outstanding: 0,
            listed: false,
            retiring: false,
            hung: false,
            watch: crate::plan::health::Watch::default(),
        }
    }

    /// A worker is here, and has nothing to do.
    pub(super) fn is_idle(&self) -> bool {
        self.pid.is_some()
            && self.rings.is_some()
            && !self.retiring
            && self.outstanding == 0
            && self.waiting.is_empty()
    }
}
