//! How many workers there are, whether they make progress, and whether another coordinator has more of them idle:
//! checked once a tick.

use super::{Coordinator, SELF, TICK, add};
use crate::bus::events::EventKind;
use crate::bus::slot::Life;
use crate::bus::sync::Ordering;
use crate::os::clock::now_ns;
use crate::plan::health::{HealthEvent, Limits, Progress};
use crate::plan::lease::State;
use crate::plan::scaling::{Decision, Load, Marks};
use crate::wire::AnswerStatus;
use nix::sys::signal::{Signal, kill};

/// How many workers and tasks there are at one moment.
#[derive(Clone, Copy, Default)]
pub(super) struct Census {
    live: u32,
    busy: u32,
    queued: u32,
}

impl Coordinator {
    pub(super) fn census(&self) -> Census {
        let mut census = Census { queued: self.for_any_worker.len() as u32, ..Census::default() };
        for link in &self.links {
            if link.pid.is_some() && !link.retiring {
                census.live += 1;
                census.busy += u32::from(link.outstanding > 0);
            }
            census.queued += link.waiting.len() as u32;
        }
        census
    }

    /// Writes this coordinator's figures where the supervisor, its peers and `status` read them.
    pub(super) fn publish_status(&self, census: Census) {
        let own = &self.control.coordinator(self.index).own;
        own.live.store(census.live, Ordering::Relaxed);
        own.busy.store(census.busy, Ordering::Relaxed);
        own.queued.store(census.queued, Ordering::Relaxed);
        own.wanted.store(self.wanted, Ordering::Relaxed);
        // If it is killed before this, its successor follows the order once more.
        own.scaled.store(self.scaled, Ordering::Release);
        add(&own.beat);
    }

    /// Decides how many workers are wanted, by an operator's order or by load, and starts or retires towards that.
    pub(super) fn resize(&mut self, now: u64, census: Census) {
        let places = self.links.iter().filter(|link| link.rings.is_some()).count() as u32;
        let orders = self.control.orders();
        let scaled = orders.scaled.load(Ordering::Acquire);
        let by_hand = self.control.workers_ordered();
        let before = self.wanted;
        let mut how = 1;
        if scaled != self.scaled && by_hand != 0 {
            self.wanted = by_hand;
            how = 2;
        } else if self.span.by_load {
            let load = Load { busy: census.busy + census.queued.min(u32::from(u16::MAX)), live: self.wanted };
            let marks = Marks::between(self.span.min, places.max(self.span.min), &self.policy.scaling);
            match self.scaler.step(load, now, &marks) {
                Decision::Stay => {}
                Decision::Grow(more) => self.wanted += more,
                Decision::Shrink(fewer) => self.wanted -= fewer.min(self.wanted),
            }
        }
        self.scaled = scaled;
        self.wanted = self.wanted.clamp(1, places.max(1));
        if self.wanted != before {
            let details = [before.into(), self.wanted.into(), how];
            self.events.write(now, EventKind::Scaled, SELF, &details);
        }
        self.start_or_retire();
    }

    /// Starts missing workers, at the lowest places first, and retires surplus ones, at the highest places first.
    fn start_or_retire(&mut self) {
        let comes = |c: &Self, number: u32| c.due.iter().any(|(_, due)| *due == number);
        let stays = |c: &Self, number: usize| {
            let link = &c.links[number];
            !link.retiring && link.rings.is_some() && (link.pid.is_some() || comes(c, number as u32))
        };
        let mut there = (0..self.links.len()).filter(|number| stays(self, *number)).count() as u32;
        for number in 0..self.links.len() {
            if there >= self.wanted {
                break;
            }
            let link = &mut self.links[number];
            if link.rings.is_none() || !link.retiring && link.pid.is_some() || comes(self, number as u32) {
                continue;
            }
            let ordered = self.region.worker(number as u32).orders.retire.load(Ordering::Relaxed) != 0;
            let link = &mut self.links[number];
            if link.retiring && !ordered {
                // It has not been ordered to end yet: it stays.
                link.retiring = false;
                self.note_idle(number);
            } else if link.pid.is_none() {
                self.due.push_back((0, number as u32));
            } else {
                continue;
            }
            there += 1;
        }
        // Idle workers retire first; a busy one ends when its tasks are done.
        for busy in [false, true] {
            for number in (0..self.links.len()).rev() {
                let link = &self.links[number];
                if there <= self.wanted {
                    break;
                }
                let idle = link.outstanding == 0 && link.waiting.is_empty();
                if link.retiring || link.pid.is_none() || link.rings.is_none() || idle == busy {
                    continue;
                }
                self.links[number].retiring = true;
                there -= 1;
            }
        }
        for number in 0..self.links.len() {
            let link = &self.links[number];
            let orders = &self.region.worker(number as u32).orders;
            if link.retiring && link.outstanding == 0 && link.waiting.is_empty() && link.pid.is_some() {
                orders.retire.store(1, Ordering::Release);
                self.region.worker(number as u32).bell.wake();
            }
        }
    }

    /// A worker that shows no progress is suspected, and then killed: its death is handled as any other.
    pub(super) fn watch(&mut self, now: u64) {
        let Some(hang) = self.policy.hang_after else { return };
        let half = (hang.as_nanos() as u64 / 2).max(1);
        let limits = Limits { suspect_ns: half, confirm_ns: half };
        let counters = self.region.counters();
        for (number, link) in self.links.iter_mut().enumerate() {
            let slot = self.region.worker(number as u32);
            let progress = link.pid.map(|_| Progress {
                incarnation: slot.process.incarnation.load(Ordering::Relaxed),
                counter: slot.own.heartbeat.load(Ordering::Relaxed)
                    ^ slot.own.executed.load(Ordering::Relaxed).rotate_left(32),
            });
            let Some(event) = link.watch.observe(progress, now, &limits) else { continue };
            let pid = slot.process.pid.load(Ordering::Relaxed);
            let (kind, ns) = match event {
                HealthEvent::Suspected { since_ns } => {
                    link.suspected_ns = since_ns;
                    slot.orders.suspected_ns.store(since_ns, Ordering::Release);
                    (EventKind::Suspected, now.saturating_sub(since_ns))
                }
                HealthEvent::Healed { suspected_for_ns } => {
                    link.suspected_ns = 0;
                    slot.orders.suspected_ns.store(0, Ordering::Release);
                    add(&counters.healed);
                    (EventKind::Healed, suspected_for_ns)
                }
                HealthEvent::Confirmed { since_ns } => {
                    add(&counters.hung);
                    link.hung = true;
                    // SIGKILL ends a stopped process too.
                    if let Some(pid) = link.pid {
                        let _ = kill(pid, Signal::SIGKILL);
                    }
                    (EventKind::Hung, now.saturating_sub(since_ns))
                }
            };
            self.events.write(now, kind, number as u32, &[ns, pid.into()]);
        }
    }

    /// Hands tasks for any worker that wait here back to the client if another coordinator has idle workers: the client
    /// sends them there.
    pub(super) fn return_surplus(&mut self, census: Census) {
        let spare_here = census.live.saturating_sub(census.busy);
        let waiting = self.for_any_worker.len() as u32;
        if waiting <= spare_here || self.control.state().client_pid.load(Ordering::Acquire) == 0 {
            return;
        }
        let mut spare_there = 0;
        for index in (0..self.control.shape().coordinators()).filter(|index| *index != self.index) {
            let other = self.control.coordinator(index);
            if other.process.life() != Life::Live || other.retire.load(Ordering::Acquire) != 0 {
                continue;
            }
            let own = &other.own;
            // Another process writes these: they may be anything.
            let taken = own.busy.load(Ordering::Relaxed).saturating_add(own.queued.load(Ordering::Relaxed));
            spare_there =
                u32::saturating_add(spare_there, self.control.workers_alive(index).saturating_sub(taken));
        }
        // Other coordinators see the same idle workers: at most half of what those could take.
        let many = (waiting - spare_here).min(spare_there.div_ceil(2));
        // The last to come would be the last to be served here. A task that a worker has begun stays, and so does one
        // that is found by a dead letter of this coordinator.
        let may_go = |entry: &u32| {
            let word = self.table.word(*entry);
            let begun = word.state() != Some(State::Queued) || word.attempt() > 0;
            !begun && !self.table.task(*entry).was_dead_letter()
        };
        let others: Vec<u32> =
            self.for_any_worker.iter().rev().copied().filter(may_go).take(many as usize).collect();
        for entry in others {
            self.fail(entry, AnswerStatus::Returned);
        }
    }

    /// Everything that is done once a tick.
    pub(super) fn tick(&mut self, now: u64) {
        let census = self.census();
        self.publish_status(census);
        self.check_words();
        self.watch(now);
        self.resize(now, census);
        self.return_surplus(census);
        self.peers.check(now, &mut self.events);
        self.assign();
        self.publish_tasks();
    }

    /// No task is left, and none is coming. A record that is not a task stays in the ring and is not waited for.
    pub(super) fn is_drained(&mut self) -> bool {
        let open = self.table.open().next().is_some();
        !open && self.unreported.is_empty() && (self.client_broken || !self.from_client.is_ready())
    }

    pub(super) fn tick_after(now: u64) -> u64 {
        now.max(now_ns()) + TICK.as_nanos() as u64
    }
}
