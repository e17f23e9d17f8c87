//! The workers: started, seen to die, started again; and what becomes of their tasks.

use super::{Coordinator, Link, Rings, add};
use crate::bus::events::EventKind;
use crate::bus::ring::{Consumer, Producer, Record, Ring, RingError};
use crate::bus::slot::Life;
use crate::bus::sync::Ordering;
use crate::os::clock::now_ns;
use crate::os::identity::Identity;
use crate::plan::lease::{Attempt, State};
use crate::plan::recover::abandoned;
use crate::plan::restart::Restart;
use crate::plan::retry::Cause;
use crate::process::fork;
use crate::process::reap::HowEnded;
use crate::process::reap::reap_any;
use crate::process::reset::children::children;
use crate::process::worker;
use crate::wire::AnswerStatus;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use std::time::Duration;

/// A fork that the kernel refuses is tried again after this long,
const FORK_AGAIN: Duration = Duration::from_millis(100);
/// and then twice as long each time, up to this.
const FORK_AGAIN_MAX: Duration = Duration::from_secs(10);

/// How a worker left its place.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Left {
    /// Nobody had asked it to.
    Died,
    /// It had worked enough, had grown, or could not be made clean again.
    ThrownAway,
    /// It was one too many.
    Retired,
}

/// The producing end, whoever had it: nobody, or one who is dead.
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
    /// Forks the process of place `number`, whose rings are its and ours alone.
    pub(super) fn start_worker(&mut self, number: u32) -> nix::Result<()> {
        let (control, region, index, epoch) = (self.control, self.region, self.index, self.epoch);
        let slot = region.worker(number);
        // The dead one's word, which nobody writes any more.
        slot.own.command_pid.store(0, Ordering::Release);
        slot.orders.retire.store(0, Ordering::Relaxed);
        slot.orders.suspected_ns.store(0, Ordering::Release);
        let policy = self.policy;
        #[cfg(feature = "kill-points")]
        let (kill, before) = (self.policy.kill, slot.process.incarnation.load(Ordering::Relaxed));
        let pid = fork::spawn(&format!("worker/{index}.{number}"), None, || {
            #[cfg(feature = "kill-points")]
            fork::end_at_step(kill == Some(crate::config::KillAtEachStep::Workers), before);
            if fork::child_signals().is_err() {
                return 70;
            }
            worker::run(&control, region, index, number, epoch, &policy)
        })?;
        let start_ticks = Identity::of(pid.as_raw() as u32).map_or(0, |identity| identity.start_ticks);
        slot.process.record_fork(pid.as_raw() as u32, start_ticks);
        let link = &mut self.links[number as usize];
        (link.pid, link.retiring, link.hung) = (Some(pid), false, false);
        self.by_pid.insert(pid, number);
        let incarnation = slot.process.incarnation.load(Ordering::Relaxed);
        if incarnation > 1 {
            add(&self.region.counters().refills);
        }
        let said = [pid.as_raw() as u64, incarnation.into()];
        self.events.write(now_ns(), EventKind::Started, number, &said);
        self.note_idle(number as usize);
        Ok(())
    }

    /// Somebody is to live here, if nobody does and nobody comes already.
    pub(super) fn want_worker(&mut self, number: u32) {
        let link = &self.links[number as usize];
        if link.pid.is_none() && link.rings.is_some() && !self.due.iter().any(|(_, due)| *due == number) {
            self.due.push_front((0, number));
        }
    }

    /// Starts one of those that are due: a round of the loop lies between two forks, so that nobody
    /// waits for a hundred of them.
    pub(super) fn start_due(&mut self, now: u64) {
        let Some(&(at_ns, number)) = self.due.front() else { return };
        // Where more have died the tasks of those come first.
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
                let said = [errno as u64, again.as_nanos() as u64];
                self.events.write(now, EventKind::Refused, number, &said);
                self.due.push_back((now + again.as_nanos() as u64, number));
            }
        }
        self.assign();
        self.publish_tasks();
    }

    /// Notes every child that has ended. Those of a serving coordinator are replaced, but for those who
    /// were one too many.
    pub(super) fn reap(&mut self) {
        let mut gone = Vec::new();
        let mut orphans = false;
        while let Some((pid, how)) = reap_any() {
            let Some(number) = self.by_pid.remove(&pid) else {
                // Children of its own come here next.
                orphans = true;
                continue;
            };
            orphans |= !how.is_orderly();
            let stopping =
                super::is_stopping(self.control) || self.region.state().stopping.load(Ordering::Relaxed) != 0;
            let slot = self.region.worker(number);
            let said = [pid.as_raw() as u64, i64::from(how.raw()) as u64];
            let retired = slot.orders.retire.load(Ordering::Relaxed) != 0;
            let left = match how {
                HowEnded::Exited(worker::STATUS_WORN | worker::STATUS_GROWN | worker::STATUS_POISONED) => {
                    Left::ThrownAway
                }
                how if how.is_orderly() && (retired || stopping) => Left::Retired,
                _ => Left::Died,
            };
            let replaced = self.serving && !stopping;
            match left {
                Left::Died => {
                    slot.process.record_death(how.raw(), now_ns());
                    slot.process.set_life(if replaced { Life::Replacing } else { Life::Dead });
                    // Who looks because of it finds nobody living there.
                    self.control.state().deaths.fetch_add(1, Ordering::AcqRel);
                    self.events.write(now_ns(), EventKind::Died, number, &said);
                }
                Left::ThrownAway => {
                    slot.process.wait_status.store(how.raw(), Ordering::Relaxed);
                    slot.process.set_life(if replaced { Life::Replacing } else { Life::Stopped });
                    let counters = self.region.counters();
                    let (counter, why) = match how.raw() {
                        worker::STATUS_WORN => (&counters.recycled, 1),
                        worker::STATUS_GROWN => (&counters.recycled, 2),
                        _ => (&counters.poisoned, 3),
                    };
                    add(counter);
                    self.events.write(now_ns(), EventKind::Recycled, number, &[said[0], why]);
                }
                Left::Retired => {
                    slot.process.wait_status.store(how.raw(), Ordering::Relaxed);
                    slot.process.set_life(if replaced { Life::Absent } else { Life::Stopped });
                    self.events.write(now_ns(), EventKind::Stopped, number, &said);
                }
            }
            self.links[number as usize].pid = None;
            self.end_command(number);
            if replaced {
                gone.push((number, left));
            }
        }
        if orphans {
            self.end_orphans();
        }
        if !gone.is_empty() {
            self.bury(&gone);
            if gone.iter().any(|(_, left)| *left == Left::Died) {
                self.control.client_bell().wake();
            }
        }
    }

    /// Ends what tasks of dead workers have daemonised: children here that are no workers. True if there was anybody.
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
        let command = Identity {
            pid: own.command_pid.load(Ordering::Acquire),
            start_ticks: own.command_start.load(Ordering::Relaxed),
        };
        // The group outlives its leader, so a leader that is gone proves nothing about it; but a
        // pid that is somebody else's now must not be touched.
        if command.pid > 1 && Identity::of(command.pid).is_none_or(|found| found == command) {
            let _ = killpg(Pid::from_raw(command.pid as i32), Signal::SIGKILL);
        }
    }

    /// Takes what those who have left had published, queues again what they had not, and makes their places ready
    /// for others. Their tasks first: somebody waits for those.
    fn bury(&mut self, gone: &[(u32, Left)]) {
        let now = now_ns();
        let mut record = Record::empty();
        let mut back = vec![None; self.links.len()];
        for &(number, left) in gone {
            self.drain(number as usize, &mut record);
            let link = &mut self.links[number as usize];
            let again = match left {
                Left::Died => link.restarts.died(now, &self.policy),
                Left::ThrownAway | Left::Retired => Restart::Again,
            };
            back[number as usize] = Some((again, left, Vec::new()));
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
            let Some((again, left, queued)) = back else { continue };
            let requeued = queued.len() as u64;
            self.put_back(queued);
            if again == Restart::Again && self.renew_rings(number) {
                let wanted = left != Left::Retired || !self.links[number].waiting.is_empty();
                if wanted {
                    self.want_worker(number as u32);
                }
                self.hand_over(number);
            } else {
                self.abandon(number);
            }
            if left == Left::Died {
                let cell = &self.region.worker(number as u32).process;
                let recovered = now_ns();
                cell.recovered_ns.store(recovered, Ordering::Release);
                let seen = cell.dead_seen_ns.load(Ordering::Relaxed);
                let said = [recovered.saturating_sub(seen), requeued];
                self.events.write(recovered, EventKind::Recovered, number as u32, &said);
            }
        }
        self.assign();
        self.publish_tasks();
    }

    /// Before those that have not been handed over yet, in the order in which they came.
    pub(super) fn put_back<Id: Ord>(&mut self, mut queued: Vec<(Id, u32)>) {
        queued.sort_by(|a, b| b.0.cmp(&a.0));
        for (_, entry) in queued {
            self.line_up(entry);
        }
    }

    /// Empties both rings of a place whose process is dead, and takes this process's ends anew.
    pub(super) fn renew_rings(&mut self, number: usize) -> bool {
        let (down, up) = (self.region.worker_down(number as u32), self.region.worker_up(number as u32));
        // The ends that this process has are not used after this.
        let link = &mut self.links[number];
        (link.rings, link.touched, link.outstanding) = (None, false, 0);
        // The dead one's word, which nobody writes any more. Its task is in the queue again; what is leased
        // from here on is in nobody's hand until somebody lives here, also for whoever takes this over.
        self.region.worker(number as u32).own.task.store(0, Ordering::Release);
        let renew = || -> Result<Rings, RingError> {
            down.reset()?;
            up.reset()?;
            Ok(Rings { tasks: take_producer(down)?, answers: take_consumer(up)? })
        };
        self.links[number].rings = renew().ok();
        self.links[number].rings.is_some()
    }

    /// Nobody comes to this place any more; what waits for it, and what comes later, fails. What anybody may do
    /// others do, if there are any.
    pub(super) fn abandon(&mut self, number: usize) {
        self.links[number].rings = None;
        let cell = &self.region.worker(number as u32).process;
        cell.set_life(Life::Dead);
        let deaths = cell.deaths.load(Ordering::Relaxed);
        self.events.write(now_ns(), EventKind::GivenUp, number as u32, &[deaths.into()]);
        let anybody = self.has_anybody();
        let mut back = Vec::new();
        for (entry, word, task) in self.table.open() {
            let here = usize::from(word.worker()) == number;
            let in_hand = self.was_in_hand(word, &task);
            match task.place() {
                Some(_) if here => self.fail(entry, abandoned(word, in_hand)),
                None if !anybody => self.fail(entry, abandoned(word, in_hand)),
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

    /// There is a place where somebody lives, or will.
    pub(super) fn has_anybody(&self) -> bool {
        self.links.iter().any(|link| link.rings.is_some())
    }
}

impl Link {
    pub(super) fn new(rings: Option<Rings>) -> Self {
        Self {
            rings,
            pid: None,
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

    /// Somebody lives here, and has nothing to do.
    pub(super) fn is_idle(&self) -> bool {
        self.pid.is_some()
            && self.rings.is_some()
            && !self.retiring
            && self.outstanding == 0
            && self.waiting.is_empty()
    }
}
