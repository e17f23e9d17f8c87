//! The workers: started, seen to die, started again; and what becomes of their tasks.

use super::{Coordinator, Link, Rings, add};
use crate::bus::ring::{Consumer, Producer, Record, Ring, RingError};
use crate::bus::slot::Life;
use crate::bus::sync::Ordering;
use crate::plan::lease::{Hand, State};
use crate::plan::recover::{Action, abandoned, after_death};
use crate::plan::restart::Restart;
use crate::process::clock::now_ns;
use crate::process::fork;
use crate::process::identity::Identity;
use crate::process::reap::reap_any;
use crate::process::worker;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::time::Duration;

/// A fork that the kernel refuses is tried again after this long.
const FORK_AGAIN: Duration = Duration::from_millis(100);

/// The producing end, whoever had it: nobody, or one who is dead.
pub(in crate::process) fn take_producer(ring: Ring) -> Result<Producer, RingError> {
    match ring.take_over_producer() {
        Err(RingError::NeverHeld) => ring.producer().ok_or(RingError::NeverHeld),
        taken => taken,
    }
}

/// As [`take_producer`].
pub(in crate::process) fn take_consumer(ring: Ring) -> Result<Consumer, RingError> {
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
        #[cfg(feature = "kill-points")]
        let (kill, before) = (self.policy.kill, slot.process.incarnation.load(Ordering::Relaxed));
        let pid = fork::spawn(&format!("worker/{index}.{number}"), None, || {
            #[cfg(feature = "kill-points")]
            fork::end_at_step(kill == Some(crate::config::KillAtEachStep::Workers), before);
            if fork::child_signals().is_err() {
                return 70;
            }
            worker::run(&control, region, index, number, epoch)
        })?;
        let start_ticks = Identity::of(pid.as_raw() as u32).map_or(0, |identity| identity.start_ticks);
        slot.process.born(pid.as_raw() as u32, start_ticks);
        self.links[number as usize].pid = Some(pid);
        self.by_pid.insert(pid, number);
        Ok(())
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
        if self.start_worker(number).is_err() {
            self.due.push_back((now + FORK_AGAIN.as_nanos() as u64, number));
        }
    }

    /// Notes every child that has ended. Those of a serving coordinator are replaced.
    pub(super) fn reap(&mut self) {
        let mut dead = Vec::new();
        while let Some((pid, how)) = reap_any() {
            let Some(number) = self.by_pid.remove(&pid) else { continue };
            let stopping = self.is_stopping() || self.region.state().stopping.load(Ordering::Relaxed) != 0;
            let slot = self.region.worker(number);
            // Asked to end and ended in order; killed after its grace it is as dead as any other.
            if stopping && how.is_orderly() {
                slot.process.wait_status.store(how.raw(), Ordering::Relaxed);
                slot.process.set_life(Life::Stopped);
            } else {
                slot.process.died(how.raw(), now_ns());
                let replaced = self.serving && !stopping;
                slot.process.set_life(if replaced { Life::Replacing } else { Life::Dead });
                // Who looks because of it finds nobody living there.
                self.control.state().deaths.fetch_add(1, Ordering::AcqRel);
            }
            self.links[number as usize].pid = None;
            self.end_command(number);
            if self.serving && !stopping {
                dead.push(number);
            }
        }
        if !dead.is_empty() {
            self.bury(&dead);
            self.control.client_bell().shout();
        }
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

    /// Takes what the dead had published, queues again what they had not, and makes their places ready
    /// for others. Their tasks first: somebody waits for those.
    fn bury(&mut self, dead: &[u32]) {
        let now = now_ns();
        let mut record = Record::empty();
        let mut back = vec![None; self.links.len()];
        for &number in dead {
            self.drain(number as usize, &mut record);
            let again = self.links[number as usize].restarts.died(now, &self.policy);
            back[number as usize] = Some((again, Vec::new()));
        }
        for (entry, word, task) in self.table.open() {
            let Some((again, queued)) = &mut back[task.worker as usize] else { continue };
            let in_hand = self.was_in_hand(word, &task);
            if *again == Restart::GiveUp {
                self.fail(entry, abandoned(word, in_hand));
                continue;
            }
            if word.state() == Some(State::Queued) {
                continue;
            }
            let hand = if in_hand { Hand::Begun } else { Hand::Waiting };
            match after_death(word, hand, self.policy.attempts_max) {
                Action::Requeue(hand) => {
                    self.table.requeue(entry, hand);
                    add(&self.region.counters().requeued);
                    queued.push((task.id, entry));
                }
                _ => self.fail(entry, abandoned(word, in_hand)),
            }
        }
        for (number, back) in back.into_iter().enumerate() {
            let Some((again, queued)) = back else { continue };
            self.put_back(number, queued);
            if again == Restart::Again && self.renew_rings(number) {
                self.due.push_back((now, number as u32));
                self.hand_over(number);
            } else {
                self.abandon(number);
            }
            self.region.worker(number as u32).process.recovered_ns.store(now_ns(), Ordering::Release);
        }
        self.publish_tasks();
    }

    /// Before those that have not been handed over yet, in the order in which they came.
    pub(super) fn put_back<Id: Ord>(&mut self, number: usize, mut queued: Vec<(Id, u32)>) {
        queued.sort_by(|a, b| b.0.cmp(&a.0));
        for (_, entry) in queued {
            self.links[number].waiting.push_front(entry);
        }
    }

    /// Empties both rings of a place whose process is dead, and takes this process's ends anew.
    pub(super) fn renew_rings(&mut self, number: usize) -> bool {
        let (down, up) = (self.region.worker_down(number as u32), self.region.worker_up(number as u32));
        // The ends that this process has are not used after this.
        self.links[number].rings = None;
        self.links[number].touched = false;
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

    /// Nobody comes to this place any more; what waits for it, and what comes later, fails.
    pub(super) fn abandon(&mut self, number: usize) {
        self.links[number].rings = None;
        self.region.worker(number as u32).process.set_life(Life::Dead);
        for (entry, word, task) in self.table.open() {
            if task.worker as usize == number {
                self.fail(entry, abandoned(word, self.was_in_hand(word, &task)));
            }
        }
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
        }
    }
}
