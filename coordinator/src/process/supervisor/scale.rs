//! How many coordinators there are: as an operator has ordered, or by load.

use super::Supervisor;
use super::places::{Duty, PlaceState};
use crate::bus::events::{EventKind, SELF};
use crate::bus::slot::Life;
use crate::bus::sync::Ordering;
use crate::config::Span;
use crate::plan::scaling::{Decision, Load, Marks, Scaler};

/// Load is counted in hundredths of a coordinator.
const WHOLE: u32 = 100;

#[derive(Debug)]
pub(super) struct Scaling {
    pub wanted: u32,
    pub span: Span,
    /// The last order that was followed.
    pub order: u32,
    scaler: Scaler,
}

impl Scaling {
    pub fn new(wanted: u32, span: Span, order: u32) -> Self {
        Self { wanted, span, order, scaler: Scaler::default() }
    }
}

impl Supervisor {
    /// Decides how many are wanted, and starts or retires towards that.
    pub(super) fn scale(&mut self, now: u64) {
        let orders = self.control.orders();
        let order = orders.scaled.load(Ordering::Acquire);
        let by_hand = orders.coordinators.load(Ordering::Relaxed);
        let before = self.scaling.wanted;
        let max = self.control.shape().coordinators();
        let how = if std::mem::replace(&mut self.scaling.order, order) != order && by_hand != 0 {
            self.scaling.wanted = by_hand.clamp(1, max);
            2
        } else {
            if self.scaling.span.by_load {
                self.scale_by_load(now, max);
            }
            1
        };
        let wanted = self.scaling.wanted;
        if wanted != before {
            self.event(EventKind::Scaled, SELF, &[before.into(), wanted.into(), how]);
        }
        self.start_or_retire(now);
        if self.scaling.wanted as usize == self.serving_places().len() {
            orders.followed.store(order, Ordering::Release);
        }
    }

    fn scale_by_load(&mut self, now: u64, max: u32) {
        let load = self.load();
        let scaling = &mut self.scaling;
        let thresholds = &self.launch.policy.scaling;
        let marks = Marks::between(scaling.span.min * WHOLE, max * WHOLE, thresholds);
        let load = Load { busy: load * scaling.wanted, live: WHOLE * scaling.wanted };
        scaling.wanted = match scaling.scaler.step(load, now, &marks) {
            Decision::Stay => scaling.wanted,
            Decision::Grow(more) => scaling.wanted + more.div_ceil(WHOLE),
            Decision::Shrink(fewer) => scaling.wanted - fewer.div_ceil(WHOLE),
        }
        .clamp(scaling.span.min, max);
    }

    /// Percent of the workers that are busy, queued tasks counted as busy workers, on the average of the serving
    /// coordinators. Where coordinators add workers by load too, of the workers that they may have: they are added first.
    fn load(&self) -> u32 {
        let serving = self.serving_places();
        let most = self.control.shape().workers_per_coordinator();
        let sum: u64 = serving
            .iter()
            .map(|index| {
                let own = &self.control.coordinator(*index).own;
                let live = self.control.workers_alive(*index);
                let places = if self.launch.policy.workers.by_load { most } else { live };
                let busy = u64::from(own.busy.load(Ordering::Relaxed))
                    + u64::from(own.queued.load(Ordering::Relaxed));
                // At most three times full: no more is needed to decide.
                (busy * 100 / u64::from(places.max(1))).min(300)
            })
            .sum();
        (sum / serving.len().max(1) as u64) as u32
    }

    /// Starts or retires coordinators until there are as many as wanted.
    fn start_or_retire(&mut self, now: u64) {
        let wanted = self.scaling.wanted as usize;
        // Places with a successor to come count: one is wanted there.
        let stays = |s: &Self, at: usize| {
            let place = &s.places[at];
            let retiring = s.control.coordinator(place.index).retire.load(Ordering::Acquire) != 0;
            !retiring
                && matches!(place.state, PlaceState::Alive | PlaceState::Replacing | PlaceState::HandingBack)
        };
        let mut there = (0..self.places.len()).filter(|at| stays(self, *at)).count();
        for at in 0..self.places.len() {
            if there >= wanted {
                break;
            }
            if self.places[at].state != PlaceState::Vacant {
                continue;
            }
            there += 1;
            let entry = self.control.coordinator(self.places[at].index);
            entry.retire.store(0, Ordering::Release);
            if self.places[at].due_ns <= now {
                entry.process.set_life(Life::Absent);
                // The number of workers that is wanted now, not that of the last coordinator here.
                entry.own.wanted.store(0, Ordering::Relaxed);
                self.try_start_at(at, Duty::Serve, now);
            }
        }
        if there >= wanted {
            // Coordinators that could not be started are not wanted any more.
            for place in self.places.iter_mut().filter(|place| place.state == PlaceState::Vacant) {
                place.refused = 0;
            }
        }
        for at in (0..self.places.len()).rev() {
            if there <= wanted {
                break;
            }
            if self.places[at].state == PlaceState::Alive && stays(self, at) {
                there -= 1;
                let entry = self.control.coordinator(self.places[at].index);
                entry.retire.store(1, Ordering::Release);
                entry.bell.wake();
                self.control.client_bell().wake();
            }
        }
    }
}
