//! The sizes that a fleet which follows its load has had, one after the other.

use std::collections::BTreeMap;

use super::{READ_NS, plan};
use crate::runlog::event::{PlanFacts, Resized, Role};

/// What each process that decides had reached last: no more than coordinators, and the supervisor.
#[derive(Debug, Default)]
pub(super) struct Sizes {
    /// When the launch began: nothing decides before it.
    launch_ns: u64,
    /// How many there were, and since when.
    reached: BTreeMap<String, (u32, u64)>,
    /// The first decision of each that does not fit the plan, or the one before it.
    gaps: BTreeMap<String, String>,
}

/// What a process that decides begins with, and the fewest that it may want.
#[derive(Debug, Clone, Copy)]
struct Span {
    start: u32,
    least: u32,
}

impl Span {
    /// Of the process that has this name; absent if it has nothing to decide.
    fn of(name: &str, plan: &PlanFacts) -> Option<Self> {
        if plan::has_place(plan, Role::Supervisor, name) {
            return Some(Self { start: plan.coordinators_at_start?, least: plan.coordinators_least? });
        }
        let start = plan.coordinators_at_start.unwrap_or(plan.coordinators);
        let least = plan.coordinators_least.unwrap_or(plan.coordinators);
        Some(Self {
            start: plan.workers_at_start?.checked_div(start)?,
            least: plan.workers_least?.checked_div(least)?,
        })
    }
}

impl Sizes {
    pub(super) fn since(launch_ns: u64) -> Self {
        Self { launch_ns, ..Self::default() }
    }

    pub(super) fn resized(&mut self, resized: &Resized, plan: &PlanFacts) -> Result<(), String> {
        plan::resized(resized, plan)?;
        self.follow(resized, Span::of(&resized.name, plan))
    }

    fn follow(&mut self, resized: &Resized, span: Option<Span>) -> Result<(), String> {
        let Resized { name, from, to, decided_ns, reached_ns } = resized;
        if *decided_ns < self.launch_ns {
            return Err(format!("{name} decided how many processes there are before it was launched"));
        }
        let before = self.reached.insert(name.clone(), (*to, *reached_ns));
        // One decision at a time; its clock is compared with the run's anew for each look at it.
        if let Some((_, since_ns)) =
            before.filter(|(_, since_ns)| decided_ns.saturating_add(READ_NS) < *since_ns)
        {
            return Err(format!(
                "{name} wanted {to} processes at {decided_ns} ns, and reached what it had wanted before at {since_ns} ns"
            ));
        }
        let size = before.map(|(size, _)| size);
        let gap = match span {
            None => Some(format!("{name} went from {from} to {to} processes, and has nothing to decide")),
            Some(Span { least, .. }) if *to < least => {
                Some(format!("{name} went to {to} processes, and keeps {least} at least"))
            }
            Some(Span { start, .. }) => Some(size.unwrap_or(start))
                .filter(|size| size != from)
                .map(|size| format!("{name} went from {from} to {to} processes, and had {size} before")),
        };
        if let Some(gap) = gap {
            self.gaps.entry(name.clone()).or_insert(gap);
        }
        Ok(())
    }

    /// At the end of a run that was carried out. `is_one`: the same process has decided all the while.
    pub(super) fn complete(&self, is_one: impl Fn(&str) -> bool) -> Result<(), String> {
        self.gaps.iter().find(|(name, _)| is_one(name)).map_or(Ok(()), |(_, what)| Err(what.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn went(name: &str, (from, to): (u32, u32), (decided_ns, reached_ns): (u64, u64)) -> Resized {
        Resized { name: name.to_owned(), from, to, decided_ns, reached_ns }
    }

    const SPAN: Option<Span> = Some(Span { start: 2, least: 1 });
    const MS: u64 = 1_000_000;

    fn followed(sizes: &mut Sizes, all: &[Resized]) -> Result<(), String> {
        all.iter().try_for_each(|resized| sizes.follow(resized, SPAN))
    }

    /// What is wrong with these, one after the other, and at the end.
    fn wrong(all: &[Resized]) -> Option<String> {
        let mut sizes = Sizes::since(5 * MS);
        let found = followed(&mut sizes, all);
        found.and_then(|()| sizes.complete(|_| true)).err()
    }

    #[test]
    fn each_size_follows_the_one_before_it_of_the_same_process() {
        let one = went("coord/0", (2, 3), (10 * MS, 20 * MS));
        let other = went("coord/1", (2, 1), (10 * MS, 30 * MS));
        // Its time is that of another reading.
        let next = went("coord/0", (3, 4), (19_500_000, 25 * MS));
        assert_eq!(wrong(&[one.clone(), other, next]), None);
        let gap = "coord/0 went from 4 to 5 processes, and had 3 before";
        assert_eq!(wrong(&[one.clone(), went("coord/0", (4, 5), (21 * MS, 30 * MS))]).as_deref(), Some(gap));
        let twice =
            "coord/0 wanted 3 processes at 10000000 ns, and reached what it had wanted before at 20000000 ns";
        assert_eq!(wrong(&[one.clone(), one]).as_deref(), Some(twice));
        let early = "coord/0 decided how many processes there are before it was launched";
        assert_eq!(wrong(&[went("coord/0", (2, 3), (4 * MS, 11 * MS))]).as_deref(), Some(early));
    }

    #[test]
    fn the_first_size_is_that_of_the_plan_and_none_is_smaller_than_it_allows() {
        let begins = went("coord/0", (3, 4), (10 * MS, 20 * MS));
        let gap = "coord/0 went from 3 to 4 processes, and had 2 before";
        assert_eq!(wrong(&[begins]).as_deref(), Some(gap));
        let shrinks = went("coord/0", (2, 0), (10 * MS, 20 * MS));
        let below = "coord/0 went to 0 processes, and keeps 1 at least";
        assert_eq!(wrong(std::slice::from_ref(&shrinks)).as_deref(), Some(below));
        let mut sizes = Sizes::default();
        assert_eq!(sizes.follow(&shrinks, None), Ok(()));
        let idle = "coord/0 went from 2 to 0 processes, and has nothing to decide";
        assert_eq!(sizes.complete(|_| true).unwrap_err(), idle);
    }

    #[test]
    fn another_process_in_the_place_may_begin_anew() {
        let mut sizes = Sizes::default();
        let all = [went("coord/0", (2, 3), (10, 11)), went("coord/0", (2, 4), (12, 20))];
        assert_eq!(followed(&mut sizes, &all), Ok(()));
        assert_eq!(sizes.complete(|name| name != "coord/0"), Ok(()));
        assert!(sizes.complete(|_| true).is_err());
    }
}
