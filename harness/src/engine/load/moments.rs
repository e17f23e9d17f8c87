//! Holds injections back until the load is at what they ask for, and shows afterwards that it was.
//!
//! That tasks were in flight is not this end's word alone: of those that had no outcome at the injection, one at least
//! must have ended after it, by the time that its own worker names, or by the death of the target that had it in hand. Any
//! other failure names no time, and shows nothing.
//! Deliberately absent: the injection itself, which is of [`crate::engine::faults`].

use super::{INDEX_BITS, Loader};
use crate::engine::faults::Faults;
use crate::fault::Look;
use crate::scenario::fault::Hold;
use crate::scenario::unit::{duration_text, nanos};
use crate::system::PlaceId;
use reports::runlog::event::{FaultMoment, MomentSeen};
use std::collections::HashSet;

/// Between two looks for a moment, which may be as short as a task.
const LOOK_NS: u64 = 1_000_000;

/// How a task came to its end.
#[derive(Debug, Clone, Copy)]
pub(super) enum Ending {
    /// Its worker says that it had the answer then, ns.
    Made(u64),
    /// A process died with it.
    Died,
    /// At a time that is not known.
    Unknown,
}

/// A firing that is due.
#[derive(Debug, Clone, Copy)]
struct Waiting {
    firing: usize,
    hold: Hold,
    since_ns: u64,
}

/// Tasks that were in flight when a fault was injected: of a round, or in the hands of one target.
#[derive(Debug)]
struct Group {
    /// In words, whose.
    whose: String,
    tasks: u32,
    open: HashSet<u64>,
    /// They were in the hands of one that the fault was done to, which lived then.
    is_targets: bool,
    /// Of those that were open, how many ended later.
    later: u32,
}

/// A firing that was injected, until its moment is shown.
#[derive(Debug)]
struct Witness {
    firing: usize,
    injected_ns: u64,
    groups: Vec<Group>,
}

/// Bounded by the plan's firings.
#[derive(Debug, Default)]
pub(super) struct Moments {
    waiting: Vec<Waiting>,
    witnesses: Vec<Witness>,
    looked_ns: u64,
}

impl Moments {
    /// When to look next; `u64::MAX` if nothing waits.
    pub(super) fn next_ns(&self) -> u64 {
        if self.waiting.is_empty() { u64::MAX } else { self.looked_ns.saturating_add(LOOK_NS) }
    }

    /// A task has an outcome.
    pub(super) fn ended(&mut self, tag: u64, ending: Ending, faults: &Faults<'_>, now_ns: u64) {
        self.witnesses.retain_mut(|witness| {
            for group in witness.groups.iter_mut().filter(|group| group.open.contains(&tag)) {
                group.open.remove(&tag);
                group.later += u32::from(match ending {
                    Ending::Made(made_ns) => made_ns > witness.injected_ns,
                    Ending::Died => group.is_targets,
                    Ending::Unknown => false,
                });
            }
            let shown = witness.look();
            if let Some(shown) = shown.clone() {
                faults.moment(witness.firing, now_ns, shown);
            }
            shown.is_none()
        });
    }
}

impl Witness {
    /// Once it is decided, which is when every group has shown itself, or one of them cannot any more.
    fn look(&self) -> Option<Look> {
        if let Some(group) = self.groups.iter().find(|group| group.later == 0 && group.open.is_empty()) {
            let how = format!("no task of {} is known to have ended after the injection", group.whose);
            return Some(Look::NotYet(how));
        }
        self.groups.iter().all(|group| group.later > 0).then(|| {
            let Group { whose, tasks, .. } = &self.groups[0];
            let more = match self.groups.len() - 1 {
                0 => String::new(),
                more => format!(", and so for {more} more"),
            };
            Look::Shown(format!("a task of {tasks} of {whose} ended after the injection{more}"))
        })
    }
}

impl Loader<'_> {
    /// A fault is to be injected, now or when its moment comes.
    pub(super) fn due(&mut self, firing: usize) {
        let hold = self.tools.plan.calendar().firings()[firing].hold;
        let since_ns = self.now_ns();
        if let Some(hold) = hold {
            return self.moments.waiting.push(Waiting { firing, hold, since_ns });
        }
        self.look_who_lives();
        let now = self.now_ns();
        self.faults.inject((firing, None), self.system, self.watch, now);
    }

    /// The newest process of each place is known, or it is not hit.
    fn look_who_lives(&mut self) {
        let seen = self.watch.look(self.system, self.now_ns());
        self.report(seen);
    }

    /// Injects what has waited for what the load is at now. Why nothing more can come, if the system is lost meanwhile.
    pub(super) fn inject_at_moments(&mut self) -> Option<String> {
        let now = self.now_ns();
        if now < self.moments.next_ns() || self.moments.waiting.is_empty() {
            return None;
        }
        self.moments.looked_ns = now;
        let waiting = std::mem::take(&mut self.moments.waiting);
        let at_moment = |waiting: &Waiting| self.groups(waiting).is_some();
        if waiting.iter().any(at_moment) {
            // Looking takes time, in which tasks end: what is still in flight after it counts.
            self.look_who_lives();
            if let Some(why) = self.take_in() {
                return Some(why);
            }
        }
        for one in waiting {
            match self.groups(&one) {
                Some(groups) => self.inject_at(one, groups),
                None if now >= one.since_ns.saturating_add(nanos(one.hold.within)) => {
                    let within = duration_text(one.hold.within);
                    let why = format!("{} within {within}", self.lacks(&one));
                    self.faults.not_injected(one.firing, now, why);
                }
                None => self.moments.waiting.push(one),
            }
        }
        None
    }

    fn inject_at(&mut self, one: Waiting, groups: Vec<Group>) {
        let now = self.now_ns();
        let count = |of: fn(&Group) -> u32| groups.iter().map(of).sum();
        let round = groups.first().and_then(|group| group.open.iter().next()).map(|tag| tag >> INDEX_BITS);
        let seen = MomentSeen {
            moment: one.hold.moment,
            waited_ns: now.saturating_sub(one.since_ns),
            round: round.filter(|_| one.hold.moment == FaultMoment::MidRound),
            tasks: count(|group| group.tasks),
            open: count(|group| group.open.len() as u32),
        };
        if self.faults.inject((one.firing, Some(seen)), self.system, self.watch, now) {
            // What ended while it was being injected may have ended before.
            let injected_ns = self.now_ns();
            self.moments.witnesses.push(Witness { firing: one.firing, injected_ns, groups });
        }
    }

    /// The tasks that make it the moment that a firing waits for; nothing if it is not.
    fn groups(&self, waiting: &Waiting) -> Option<Vec<Group>> {
        match waiting.hold.moment {
            FaultMoment::MidRound => {
                let round = self.in_flight.iter().rev().find(|round| !round.is_finished())?;
                let open = round.open().map(|index| round.number << INDEX_BITS | index as u64).collect();
                let tasks = round.to.count() as u32;
                let whose = format!("round {}", round.number);
                Some(vec![Group { whose, tasks, open, is_targets: false, later: 0 }])
            }
            FaultMoment::TaskInFlight => {
                let targets = self.tools.plan.calendar().firings()[waiting.firing].targets.iter();
                targets.map(|place| self.in_hand(*place)).collect()
            }
        }
    }

    /// What a target has in hand and this end has no outcome of.
    fn in_hand(&self, place: PlaceId) -> Option<Group> {
        let mut open: HashSet<u64> = self.system.in_hand(place).into_iter().collect();
        open.retain(|tag| {
            let (number, index) = (tag >> INDEX_BITS, (tag & ((1 << INDEX_BITS) - 1)) as usize);
            self.in_flight.iter().any(|round| round.number == number && round.is_open(index))
        });
        let tasks = open.len() as u32;
        (tasks > 0).then(|| Group { whose: place.to_string(), tasks, open, is_targets: true, later: 0 })
    }

    /// In words, what the moment of a firing lacks.
    fn lacks(&self, waiting: &Waiting) -> String {
        match waiting.hold.moment {
            FaultMoment::MidRound => "no round was on its way".to_owned(),
            FaultMoment::TaskInFlight => {
                let targets = &self.tools.plan.calendar().firings()[waiting.firing].targets;
                let idle = targets.iter().find(|place| self.in_hand(**place).is_none());
                let idle =
                    idle.or(targets.first()).map_or_else(|| "no target".to_owned(), ToString::to_string);
                format!("{idle} had no task in hand together with the other targets")
            }
        }
    }

    /// The load is over, and no moment of it comes any more.
    pub(super) fn wait_no_longer(&mut self) {
        let now = self.now_ns();
        for one in std::mem::take(&mut self.moments.waiting) {
            let why = format!("{} before the load ended", self.lacks(&one));
            self.faults.not_injected(one.firing, now, why);
        }
    }
}
