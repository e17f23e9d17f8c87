//! How many workers there are, whether they get on, and who has more to do than others: looked at once a tick.

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

/// What one look says.
#[derive(Clone, Copy, Default)]
pub(super) struct Census {
    live: u32,
    busy: u32,
    queued: u32,
}

impl Coordinator {
    pub(super) fn census(&self) -> Census {
        let mut census = Census { queued: self.anyone.len() as u32, ..Census::default() };
        for link in &self.links {
            if link.pid.is_some() && !link.retiring {
                census.live += 1;
                census.busy += u32::from(link.outstanding > 0);
            }
            census.queued += link.waiting.len() as u32;
        }
        census
    }

    /// Says how it is here, to whoever looks.
    pub(super) fn show(&self, census: Census) {
        let own = &self.control.coordinator(self.index).own;
        own.live.store(census.live, Ordering::Relaxed);
        own.busy.store(census.busy, Ordering::Relaxed);
        own.queued.store(census.queued, Ordering::Relaxed);
        own.wanted.store(self.wanted, Ordering::Relaxed);
        // Killed in between, its successor follows the order once more.
        own.scaled.store(self.scaled, Ordering::Release);
        add(&own.beat);
    }

    /// As many as are wanted: by hand, or by load.
    pub(super) fn size(&mut self, now: u64, census: Census) {
        let places = self.links.iter().filter(|link| link.rings.is_some()).count() as u32;
        let orders = self.control.orders();
        let scaled = orders.scaled.load(Ordering::Acquire);
        let by_hand = orders.workers.load(Ordering::Relaxed);
        let before = self.wanted;
        let mut how = 1;
        if scaled != self.scaled && by_hand != 0 {
            self.wanted = by_hand;
            how = 2;
        } else if self.span.by_load {
            let load = Load { busy: census.busy + census.queued.min(u32::from(u16::MAX)), live: self.wanted };
            match self.scaler.step(load, now, &Marks::between(self.span.min, places.max(self.span.min))) {
                Decision::Stay => {}
                Decision::Grow(more) => self.wanted += more,
                Decision::Shrink(fewer) => self.wanted -= fewer.min(self.wanted),
            }
        }
        self.scaled = scaled;
        self.wanted = self.wanted.clamp(1, places.max(1));
        if self.wanted != before {
            let said = [before.into(), self.wanted.into(), how];
            self.events.write(now, EventKind::Scaled, SELF, &said);
        }
        self.fill();
    }

    /// Starts those who are missing, the lowest places first, and lets those go who are too many, the highest first.
    fn fill(&mut self) {
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
            let told = self.region.worker(number as u32).orders.retire.load(Ordering::Relaxed) != 0;
            let link = &mut self.links[number];
            if link.retiring && !told {
                // Not gone yet: it stays.
                link.retiring = false;
                self.note_idle(number);
            } else if link.pid.is_none() {
                self.due.push_back((0, number as u32));
            } else {
                continue;
            }
            there += 1;
        }
        // One who has something to do goes when that is done; those who have not go first.
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

    /// Who shows no progress is suspected, and then ended: its death takes the usual way.
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
                    slot.orders.suspected_ns.store(since_ns, Ordering::Release);
                    (EventKind::Suspected, now.saturating_sub(since_ns))
                }
                HealthEvent::Healed { suspected_for_ns } => {
                    slot.orders.suspected_ns.store(0, Ordering::Release);
                    add(&counters.healed);
                    (EventKind::Healed, suspected_for_ns)
                }
                HealthEvent::Confirmed { since_ns } => {
                    add(&counters.hung);
                    link.hung = true;
                    // A stopped process dies of this all the same.
                    if let Some(pid) = link.pid {
                        let _ = kill(pid, Signal::SIGKILL);
                    }
                    (EventKind::Hung, now.saturating_sub(since_ns))
                }
            };
            self.events.write(now, kind, number as u32, &[ns, pid.into()]);
        }
    }

    /// Hands tasks that wait here for anybody back to the client where another coordinator has workers without any: it
    /// sends them there.
    pub(super) fn share(&mut self, census: Census) {
        let spare_here = census.live.saturating_sub(census.busy);
        let waiting = self.anyone.len() as u32;
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
            // Others write these.
            let taken = own.busy.load(Ordering::Relaxed).saturating_add(own.queued.load(Ordering::Relaxed));
            spare_there =
                u32::saturating_add(spare_there, own.live.load(Ordering::Relaxed).saturating_sub(taken));
        }
        // Others see them as well: no more than half of what they could take.
        let many = (waiting - spare_here).min(spare_there.div_ceil(2));
        // The last to come are the last to be served here. What somebody has begun stays, and so does what is found
        // by a letter of this coordinator's.
        let goes = |entry: &u32| {
            let word = self.table.word(*entry);
            let begun = word.state() != Some(State::Queued) || word.attempt() > 0;
            !begun && !self.table.task(*entry).was_dead_letter()
        };
        let others: Vec<u32> = self.anyone.iter().rev().copied().filter(goes).take(many as usize).collect();
        for entry in others {
            self.fail(entry, AnswerStatus::Returned);
        }
    }

    /// All that a tick has to look at.
    pub(super) fn look_around(&mut self, now: u64) {
        let census = self.census();
        self.show(census);
        self.watch(now);
        self.size(now, census);
        self.share(census);
        self.peers.look(now, &mut self.events);
        self.assign();
        self.publish_tasks();
    }

    /// No task is left, and none comes.
    pub(super) fn is_drained(&mut self) -> bool {
        let open = self.table.open().next().is_some();
        !open && self.untold.is_empty() && !self.from_client.is_ready()
    }

    pub(super) fn tick_after(now: u64) -> u64 {
        now.max(now_ns()) + TICK.as_nanos() as u64
    }
}
