//! Deaths of coordinators, and what follows: a successor, or the return of what they had.

use super::Supervisor;
use super::places::{Duty, PlaceState};
use crate::bus::events::{EventKind, Helper, SELF};
use crate::bus::fault;
use crate::bus::slot::Life;
use crate::bus::sync::{Bug, Ordering, planted};
use crate::client::operator::OperatorLock;
use crate::config::Failover;
use crate::os::clock::now_ns;
use crate::plan::restart::Restart;
use crate::process::fork;
use crate::process::reap::{HowEnded, reap_any};
use nix::unistd::Pid;
use std::os::fd::AsFd;
use std::time::Duration;

impl Supervisor {
    /// Records every child and every adopted coordinator that has ended.
    pub(super) fn reap(&mut self, stopping: bool) {
        let mut orphans = false;
        while let Some((pid, how)) = reap_any() {
            if self.spare.as_ref().is_some_and(|spare| spare.pid == pid) {
                self.spare = None;
                self.helper_ended(Helper::Spare, pid, how, stopping);
                continue;
            }
            if self.guarded.by == Some(pid) {
                self.guarded.by = None;
                self.guarded.is_due = false;
                self.helper_ended(Helper::Guard, pid, how, stopping);
                continue;
            }
            // Any other process is an orphan of the fleet that has ended; its children become orphans next.
            let Some(at) = self.places.iter().position(|place| place.is_here(pid)) else {
                orphans = true;
                continue;
            };
            orphans |= !how.is_orderly();
            self.ended(at, how, stopping);
        }
        if orphans && !stopping && !planted(Bug::ObeysTheDead) {
            self.end_orphans();
        }
        for at in 0..self.places.len() {
            let Some(process) = &self.places[at].process else { continue };
            if process.is_child || self.places[at].state != PlaceState::Alive || !process.identity.is_gone() {
                continue;
            }
            // Its parent gets its status; only recent kernels give it to other processes.
            let status = process.pidfd.as_ref().and_then(|fd| fork::exit_of(fd.as_fd()));
            self.expect_strays(now_ns());
            self.ended(at, status.map_or(HowEnded::Unseen, HowEnded::from_wait), stopping);
        }
    }

    /// Both only ever end when the fleet does.
    fn helper_ended(&mut self, helper: Helper, pid: Pid, how: HowEnded, stopping: bool) {
        if !stopping {
            self.helper_died(helper, pid.as_raw() as u32, how);
        }
    }

    /// The guard or the spare has ended, and nothing had asked it to. A pid of 0: it is not known.
    pub(super) fn helper_died(&mut self, helper: Helper, pid: u32, how: HowEnded) {
        self.event(EventKind::HelperDied, SELF, &[pid.into(), how.raw() as u64, helper as u64]);
        let name = helper.name();
        let which = if pid == 0 { String::new() } else { format!(" (process {pid})") };
        self.report(&format!("the fleet's {name}{which} has died: {}; another one follows", how.in_fleet()));
    }

    fn ended(&mut self, at: usize, how: HowEnded, stopping: bool) {
        let now = now_ns();
        self.check_place(at);
        let place = &mut self.places[at];
        let index = place.index;
        let was_handing_back = place.state == PlaceState::HandingBack;
        // The kernel tells its parent alone; its own last word is that it ends in order.
        let is_in_order = self.control.coordinator(index).process.life() == Life::Stopped;
        let how = if how == HowEnded::Unseen && is_in_order { HowEnded::Exited(0) } else { how };
        let pid = place.process.as_mut().map_or(0, |process| {
            process.pidfd = None;
            process.identity.pid
        });
        let entry = self.control.coordinator(index);
        entry.suspected_ns.store(0, Ordering::Release);
        if how == HowEnded::Exited(fault::KEPT_OUT) && self.serving && !stopping {
            return self.kept_out(at, now);
        }
        self.places[at].kept_out = 0;
        if was_handing_back {
            return self.hand_back_ended(at, (pid, how), now, stopping);
        }
        let place = &mut self.places[at];
        let retiring = entry.retire.load(Ordering::Acquire) != 0;
        place.state = PlaceState::Closed;
        if (stopping || retiring) && how.is_orderly() {
            entry.process.wait_status.store(how.raw(), Ordering::Relaxed);
            if retiring && !stopping {
                place.state = PlaceState::Vacant;
            }
            entry.process.set_life(Life::Stopped);
            self.note_place(at);
            self.event(EventKind::Stopped, index, &[pid.into(), how.raw() as u64]);
            if !stopping {
                self.control.client_bell().wake();
            }
            return;
        }
        entry.process.record_death(how.raw(), now);
        self.note_place(at);
        let place = &mut self.places[at];
        // A region whose memory is gone is of no use to a successor.
        let lost = how == HowEnded::Exited(fault::STATUS);
        let restart = if lost || !self.serving || stopping {
            Restart::GiveUp
        } else {
            place.restarts.died(now, &self.launch.policy)
        };
        place.due_ns = now;
        self.event(EventKind::Died, index, &[pid.into(), how.raw() as u64]);
        self.apply_restart(at, restart, stopping);
        self.count_death();
        if !stopping {
            self.control.client_bell().wake();
        }
    }

    /// The tasks of a dead coordinator have been handed back; or the process that did it has died, and another one tries.
    fn hand_back_ended(&mut self, at: usize, (pid, how): (u32, HowEnded), now: u64, stopping: bool) {
        let index = self.places[at].index;
        let process = &self.control.coordinator(index).process;
        if !how.is_orderly() && !stopping {
            process.record_death(how.raw(), now);
            self.note_place(at);
            self.event(EventKind::Died, index, &[pid.into(), how.raw() as u64]);
            self.count_death();
            let place = &mut self.places[at];
            if place.restarts.died(now, &self.launch.policy) == Restart::Again {
                place.state = PlaceState::Replacing;
                place.due_ns = now;
                return;
            }
        }
        self.places[at].state = PlaceState::Closed;
        process.recovered_ns.store(now, Ordering::Release);
        process.set_life(Life::Dead);
        // The others do its work, so none is missing.
        self.scaling.wanted = (self.scaling.wanted - 1).max(1);
        self.event(EventKind::Settled, index, &[]);
        self.control.client_bell().wake();
        if !stopping {
            self.redistribute_workers(index);
        }
    }

    /// The surviving coordinators get as many more workers as the dead one had, as far as they have room.
    fn redistribute_workers(&mut self, dead: u32) {
        let serving = self.serving_places();
        let survivors = serving.len() as u32;
        if survivors == 0 {
            return;
        }
        // An order after an earlier death may not have been followed yet.
        let ordered = self.control.workers_ordered();
        let before =
            serving.iter().map(|index| self.control.workers_wanted(*index)).max().unwrap_or(0).max(ordered);
        let max = self.control.shape().workers_per_coordinator();
        let lost = self.control.workers_wanted(dead);
        let after = (before + lost.div_ceil(survivors)).min(max);
        if after <= before {
            return;
        }
        // An operator who is giving orders goes first.
        let Ok(lock) = OperatorLock::take(&self.dir, Duration::ZERO) else { return };
        let orders = self.control.orders();
        orders.workers.store(after, Ordering::Relaxed);
        orders.scaled.fetch_add(1, Ordering::AcqRel);
        lock.wake_fleet();
    }

    /// Coordinators that are alive and not retiring.
    pub(super) fn serving_places(&self) -> Vec<u32> {
        self.places
            .iter()
            .filter(|place| {
                let retire = &self.control.coordinator(place.index).retire;
                place.state == PlaceState::Alive && retire.load(Ordering::Acquire) == 0
            })
            .map(|place| place.index)
            .collect()
    }

    /// Starts successors of dead coordinators whose workers have all ended. Workers die with their coordinator; as this
    /// process adopts orphans they are its children, and the kernel reports when the last one of their group has been
    /// reaped. Before that they could still write. What they were running is killed as soon as it is orphaned, and again
    /// by the successor, which finds it in the slots.
    pub(super) fn replace(&mut self, now: u64) {
        let survivors = !self.serving_places().is_empty();
        for at in 0..self.places.len() {
            let place = &self.places[at];
            if place.state != PlaceState::Replacing || place.due_ns > now || !self.is_vacant(at) {
                continue;
            }
            let retiring = self.control.coordinator(place.index).retire.load(Ordering::Acquire) != 0;
            let had_one = place.process.is_some();
            // A retiring coordinator hands nothing to others: a successor ends what it had. And where none survives, one
            // must be started.
            let hand_back =
                self.launch.policy.failover == Failover::Survivors && survivors && !retiring && had_one;
            self.try_start_at(at, if hand_back { Duty::HandBack } else { Duty::Serve }, now);
        }
    }

    /// No process of the last coordinator here is left.
    fn is_vacant(&self, at: usize) -> bool {
        let Some(process) = &self.places[at].process else { return true };
        planted(Bug::ObeysTheDead) || process.group_is_gone()
    }
}
