//! When a fleet has recovered from a fault: every place has its process, and delivery is in its band.
//!
//! Delivery is in its band while every task is answered and no round takes much longer than rounds do while no
//! fault is under way. Rounds end in any order: what is over is known when all rounds that were begun by then are.

use std::collections::BTreeSet;

use super::{FaultFacts, Firing};
use crate::runlog::event::{AgentId, Phase, Round};

/// Delivery must be whole for so long before the fleet counts as recovered.
pub const STEADY_NS: u64 = 5_000_000_000;
/// A round is out of the band that takes longer than this, and longer than so many times the longest while no fault was under way.
const SLOW_NS: u64 = 1_000_000_000;
const SLOW_TIMES: u64 = 3;
/// So many rounds show how long one takes.
const CALM_ROUNDS: u32 = 5;

/// A firing whose effect is not over.
#[derive(Debug, Clone)]
pub(super) struct Open {
    pub(super) firing: usize,
    /// Everything that it reaches.
    pub(super) hit: BTreeSet<AgentId>,
    /// Of these, what is not back.
    pub(super) missing: BTreeSet<AgentId>,
    /// Since when all of it is back and delivery is in its band.
    pub(super) steady_ns: u64,
    /// The number of a round that began since then and was well, so late that it shows the recovery.
    shown: Option<u64>,
}

impl Open {
    pub(super) fn new(firing: usize, hit: BTreeSet<AgentId>, missing: BTreeSet<AgentId>, at_ns: u64) -> Self {
        Self { firing, hit, missing, steady_ns: at_ns, shown: None }
    }

    /// A place has no process any more.
    pub(super) fn lose(&mut self, agent: AgentId) {
        self.missing.insert(agent);
        self.shown = None;
    }

    /// Not all was well until then.
    pub(super) fn unsteady_until(&mut self, at_ns: u64) {
        if at_ns > self.steady_ns {
            (self.steady_ns, self.shown) = (at_ns, None);
        }
    }
}

/// Which rounds are over. Their numbers are in the order of their beginnings.
#[derive(Debug, Clone)]
pub(super) struct Ended {
    /// All before this one; absent until the first round of a later segment.
    next: Option<u64>,
    beyond: BTreeSet<u64>,
}

impl Default for Ended {
    fn default() -> Self {
        Self { next: Some(0), beyond: BTreeSet::new() }
    }
}

impl Ended {
    fn take(&mut self, number: u64) {
        let next = self.next.get_or_insert(number);
        if number > *next {
            self.beyond.insert(number);
        } else if number == *next {
            *next += 1;
            while self.beyond.remove(next) {
                *next += 1;
            }
        }
    }

    fn all_before(&self, number: u64) -> bool {
        self.next.is_some_and(|next| next >= number)
    }

    /// Another segment begins: with which round, its first one says.
    pub(super) fn resume(&mut self) {
        (self.next, self.beyond) = (None, BTreeSet::new());
    }
}

/// How long rounds take while nothing is wrong: of the load, or of the warm-up where there are too few others.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Calm {
    load: Longest,
    warm_up: Longest,
}

#[derive(Debug, Clone, Copy, Default)]
struct Longest {
    ns: u64,
    rounds: u32,
}

impl Longest {
    fn is_known(self) -> bool {
        self.rounds >= CALM_ROUNDS
    }
}

fn took_ns(round: &Round) -> u64 {
    round.finished_ns.saturating_sub(round.started_ns)
}

impl Calm {
    /// A round while no fault is under way.
    fn take(&mut self, round: &Round) {
        let longest = match round.phase {
            Phase::Load => &mut self.load,
            Phase::Launch | Phase::WarmUp | Phase::Drain | Phase::Verify => &mut self.warm_up,
        };
        longest.ns = longest.ns.max(took_ns(round));
        longest.rounds = longest.rounds.saturating_add(1);
    }

    /// Where too few rounds show how long one takes, none is too long.
    fn is_slow(&self, round: &Round) -> bool {
        let known = if self.load.is_known() { self.load } else { self.warm_up };
        known.is_known() && took_ns(round) > SLOW_NS.max(known.ns.saturating_mul(SLOW_TIMES))
    }
}

/// Whether a round ended after the injection.
fn is_under(firing: &Firing, round: &Round) -> bool {
    firing.injected_ns.is_some_and(|at_ns| round.finished_ns >= at_ns)
}

impl FaultFacts {
    /// A round that is over.
    pub(in crate::facts) fn round(&mut self, round: &Round) {
        self.ended.take(round.round);
        let is_bad = round.failed > 0 || round.answered < round.tasks;
        if self.open.is_empty() && !is_bad {
            self.calm.take(round);
        }
        let is_out = is_bad || self.calm.is_slow(round);
        self.count(round);
        if is_out {
            let under = self.open.iter_mut().filter(|open| is_under(&self.firings[open.firing], round));
            under.for_each(|open| open.unsteady_until(round.finished_ns));
        }
        self.close(round, is_out);
    }

    /// What became of the tasks of a round counts, also of one that is carried out again.
    pub(in crate::facts) fn count(&mut self, round: &Round) {
        let mut counted = false;
        for open in &self.open {
            let firing = &mut self.firings[open.firing];
            if !is_under(firing, round) {
                continue;
            }
            firing.hit += u64::from(round.failed) + u64::from(round.retried);
            firing.lost += u64::from(round.failed);
            if !std::mem::replace(&mut counted, true) {
                self.lost += u64::from(round.failed);
                self.hit += u64::from(round.failed) + u64::from(round.retried);
                self.duplicates += u64::from(round.duplicates);
            }
        }
    }

    /// Those that are shown to be over: a round began when all was well again, and was well itself when that had lasted for long
    /// enough; and no round is under way that began before it.
    fn close(&mut self, round: &Round, is_out: bool) {
        let (firings, recovery, ended) = (&mut self.firings, &mut self.recovery, &self.ended);
        self.open.retain_mut(|open| {
            let firing = &mut firings[open.firing];
            let Some(over_ns) = firing.over_ns().filter(|_| open.missing.is_empty()) else { return true };
            let well_ns = open.steady_ns.max(over_ns);
            let shows = !is_out
                && round.started_ns >= well_ns
                && round.finished_ns >= well_ns.saturating_add(STEADY_NS);
            if shows && open.shown.is_none() {
                open.shown = Some(round.round);
            }
            let is_over = open.shown.is_some_and(|number| ended.all_before(number));
            if is_over {
                firing.recovery_ns = Some(well_ns - over_ns);
                recovery.record(well_ns - over_ns);
            }
            !is_over
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_that_end_in_any_order_are_over_when_all_before_are() {
        let mut ended = Ended::default();
        for number in [0, 2, 3, 5] {
            ended.take(number);
        }
        assert!(ended.all_before(1) && !ended.all_before(2) && !ended.all_before(4));
        ended.take(1);
        assert!(ended.all_before(4) && !ended.all_before(5));
        ended.take(4);
        assert!(ended.all_before(6) && ended.beyond.is_empty());
        ended.resume();
        assert!(!ended.all_before(1));
        ended.take(40);
        assert!(ended.all_before(41) && !ended.all_before(42));
    }
}
