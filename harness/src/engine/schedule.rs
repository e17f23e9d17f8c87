//! When what is due, as one calendar. Pure: time is a parameter.
//!
//! A calendar merges lanes: the phases with their rounds, the sizes of the fleet, the faults, the sweeps of the sampler,
//! the readings of the wall clock. [`Calendar::step`] names one due item at a time, the earliest first, or when to ask
//! again. What a run is to do at other times is another lane and another [`Due`]: what obeys
//! the calendar matches on [`Due`] without a wildcard, so that the compiler names every place to extend.

mod lanes;

use crate::scenario::Plan;
use lanes::{Every, Firings, Rounds, Sizes};
use reports::runlog::event::Phase;
use std::time::Duration;

/// From the end of the launch to the first round.
const LEAD: Duration = Duration::from_millis(20);
/// How often the wall clock is read.
const CLOCK_EVERY: Duration = Duration::from_secs(60);
/// Sweeps that may be due at once. A machine that was suspended for a day owes more than anyone wants to read.
const SWEEPS_BEHIND_MAX: u64 = 1_000;

/// Something to do now. `due_ns` is when it was to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// A phase begins.
    Phase(Phase),
    /// A round starts.
    Round { phase: Phase, due_ns: u64 },
    /// A fault is injected: the firing's number in the plan's calendar.
    Fault { firing: usize },
    /// The fleet is to have another number of workers under each coordinator.
    Scale { stage: usize, workers: u32 },
    /// The sampler sweeps.
    Sweep { sweep: u64, due_ns: u64 },
    /// So many sweeps are too long overdue to be listed one by one; the next one follows them.
    SweepsSkipped { count: u64 },
    /// The wall clock is read.
    Clock,
    /// No more rounds come. Named once.
    LoadOver,
}

/// How far earlier segments of a run have come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Position {
    /// Rounds of the load that are over.
    pub rounds: u64,
    /// How long the load has lasted.
    pub load_ns: u64,
    /// Firings that were begun.
    pub firings: usize,
}

/// What [`Calendar::step`] answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Due(Due),
    /// Nothing is due before then; `u64::MAX` if only a round that ends can change that.
    SleepUntil(u64),
}

#[derive(Debug)]
pub struct Calendar {
    rounds: Rounds,
    firings: Firings,
    sizes: Sizes,
    sweeps: Every,
    clock: Every,
    /// How much of the load lies behind the run.
    behind_ns: u64,
}

impl Calendar {
    /// A calendar that begins at `now_ns`: the first sweep and the first reading of the wall clock are due at once, the
    /// first round a moment later. What lies before `from` is left out; the warm-up, which is of the fleet, is not.
    pub fn new(plan: &Plan, now_ns: u64, from: Position) -> Self {
        let load = plan.load();
        let first_ns = now_ns + ns(LEAD);
        let load_ns = first_ns + ns(load.warm_up());
        let starts = plan.starts().map(|starts| starts.after(from.rounds));
        let behind_ns = match &starts {
            None => from.load_ns,
            // Not all that was recorded of the load, if rounds of it are to be started again.
            Some(starts) => starts.peek().unwrap_or(u64::MAX).min(from.load_ns),
        }
        .min(ns(load.duration()));
        let end_ns = load_ns + ns(load.duration()) - behind_ns;
        // When the whole load would have begun.
        let zero_ns = load_ns.saturating_sub(behind_ns);
        let overrun = load.overrun();
        Self {
            rounds: Rounds::new(
                [first_ns, load_ns, end_ns, end_ns + ns(overrun)],
                zero_ns,
                plan.warm_up_starts().zip(starts).map(|(warm_up, load)| [warm_up, load]),
                load.rounds_in_flight_max() as usize,
            ),
            firings: Firings::new(
                plan.calendar().firings().iter().map(|firing| ns(firing.at)).collect(),
                (behind_ns, from.firings),
            ),
            sizes: Sizes::new((zero_ns, load_ns), plan.size_steps()),
            sweeps: Every::new(now_ns, ns(plan.sampling().every())),
            clock: Every::new(now_ns, ns(CLOCK_EVERY)),
            behind_ns,
        }
    }

    /// The next thing that is due at `now_ns` while `in_flight` rounds have not ended. Each is named once: ask
    /// until the answer is [`Step::SleepUntil`].
    pub fn step(&mut self, now_ns: u64, in_flight: usize) -> Step {
        let behind = self.sweeps.behind(now_ns);
        if behind > SWEEPS_BEHIND_MAX {
            let count = behind - 1;
            self.sweeps.skip(count);
            return Step::Due(Due::SweepsSkipped { count });
        }
        if self.clock.take(now_ns).is_some() {
            // A machine that was suspended owes several readings, and one is as good as all of them.
            self.clock.skip(self.clock.behind(now_ns));
            return Step::Due(Due::Clock);
        }
        if let Some((sweep, due_ns)) = self.sweeps.take(now_ns) {
            return Step::Due(Due::Sweep { sweep, due_ns });
        }
        if let Some(firing) = self.firings.take(now_ns) {
            return Step::Due(Due::Fault { firing });
        }
        match self.rounds.step(now_ns, in_flight) {
            Step::Due(due) => Step::Due(due),
            Step::SleepUntil(at_ns) => {
                // After the rounds that are due: the load has begun.
                if let Some(due) = self.sizes.take(now_ns) {
                    return Step::Due(due);
                }
                let others_ns = self.sweeps.due_ns().min(self.clock.due_ns()).min(self.firings.due_ns());
                Step::SleepUntil(at_ns.min(self.sizes.due_ns()).min(others_ns))
            }
        }
    }

    /// The log says from `recorded_ns` on that the load is on: it lasts the whole length that is left from there. When all of
    /// it would have begun.
    pub fn load_began(&mut self, recorded_ns: u64) -> u64 {
        self.rounds.load_began(recorded_ns);
        let zero_ns = recorded_ns.saturating_sub(self.behind_ns);
        self.firings.load_began(zero_ns);
        zero_ns
    }

    /// No more rounds and faults from now on; everything else goes on.
    pub fn end_load(&mut self) {
        self.rounds.end();
        self.firings.end();
        self.sizes.end();
    }
}

fn ns(time: Duration) -> u64 {
    time.as_nanos() as u64
}

#[cfg(test)]
mod tests;
