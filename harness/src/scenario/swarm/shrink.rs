//! From a list of faults that fails to a short one that still does: delta debugging, first over the list, then over what is
//! left of each fault.
//!
//! Zeller and Hildebrandt, *Simplifying and Isolating Failure-Inducing Input* (2002), chapter 4: subsets before complements, and
//! finer parts if neither fails. Pure: whether a list fails is for the caller to find out, as often as it likes.

use super::{Drawn, FIRST_MS, SHORTEST_MS};

/// How often a list of faults was tried, and failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    pub tried: u32,
    pub failed: u32,
}

/// One list that was tried on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    pub faults: Vec<Drawn>,
    pub tally: Tally,
}

/// What may be tried: so many lists, by a caller who may end it.
struct Search<'a> {
    steps: Vec<Step>,
    steps_max: usize,
    attempt: &'a mut dyn FnMut(&[Drawn]) -> Option<Tally>,
    is_over: bool,
}

impl Search<'_> {
    /// Whether a list fails in one of its tries; nothing fails once the search is over.
    fn fails(&mut self, faults: &[Drawn]) -> bool {
        if self.is_over || self.steps.len() >= self.steps_max {
            self.is_over = true;
            return false;
        }
        if let Some(known) = self.steps.iter().find(|step| step.faults == faults) {
            return known.tally.failed > 0;
        }
        let Some(tally) = (self.attempt)(faults) else {
            self.is_over = true;
            return false;
        };
        self.steps.push(Step { faults: faults.to_vec(), tally });
        tally.failed > 0
    }
}

/// A short list that fails, made from one that does, and every list that was tried for it; at most `steps_max`. `attempt` says how
/// often a list failed, or nothing to end the search. An empty list means that the scenario fails without any of them.
pub fn shrink(
    failing: &[Drawn],
    steps_max: usize,
    attempt: &mut dyn FnMut(&[Drawn]) -> Option<Tally>,
) -> (Vec<Drawn>, Vec<Step>) {
    let mut search = Search { steps: Vec::new(), steps_max, attempt, is_over: false };
    if search.fails(&[]) {
        return (Vec::new(), search.steps);
    }
    let mut faults = fewer(failing.to_vec(), &mut search);
    smaller(&mut faults, &mut search);
    (faults, search.steps)
}

/// No part of the list that it ends with fails without the rest, as far as it was tried.
fn fewer(mut faults: Vec<Drawn>, search: &mut Search<'_>) -> Vec<Drawn> {
    let mut parts = 2;
    while faults.len() > 1 && !search.is_over {
        let size = faults.len().div_ceil(parts);
        let subsets: Vec<Vec<Drawn>> = faults.chunks(size).map(<[Drawn]>::to_vec).collect();
        if let Some(found) = subsets.iter().find(|subset| search.fails(subset)) {
            (faults, parts) = (found.clone(), 2);
            continue;
        }
        let without = |subset: &Vec<Drawn>| {
            faults.iter().filter(|one| !subset.contains(one)).cloned().collect::<Vec<_>>()
        };
        let complements: Vec<Vec<Drawn>> = subsets.iter().map(without).collect();
        if let Some(found) = complements.iter().find(|complement| search.fails(complement)) {
            (faults, parts) = (found.clone(), (parts - 1).max(2));
            continue;
        }
        if parts >= faults.len() {
            break;
        }
        parts = (parts * 2).min(faults.len());
    }
    faults
}

/// Each fault hits one process, lasts as short and comes as early as it can, one after the other.
fn smaller(faults: &mut [Drawn], search: &mut Search<'_>) {
    // As long as they are in order, the earliest place of each is that of its distance to the first.
    let lead_ms = faults.first().map_or(0, |first| first.at_ms.saturating_sub(FIRST_MS));
    let changes: [&dyn Fn(&mut Drawn); 3] = [
        &|fault| fault.count = 1,
        &|fault| fault.for_ms = fault.for_ms.map(|ms| ms.min(SHORTEST_MS)),
        &|fault| {
            fault.at_ms = fault.at_ms.saturating_sub(lead_ms);
        },
    ];
    for (nth, change) in changes.iter().enumerate() {
        // An earlier time keeps the distances, so that all of them move at once.
        let groups: Vec<Vec<usize>> = if nth == 2 {
            vec![(0..faults.len()).collect()]
        } else {
            (0..faults.len()).map(|at| vec![at]).collect()
        };
        for group in groups {
            let mut changed = faults.to_vec();
            for at in group {
                change(&mut changed[at]);
            }
            if changed != faults && search.fails(&changed) {
                faults.clone_from_slice(&changed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reports::runlog::event::FaultKind;

    fn faults(count: u64) -> Vec<Drawn> {
        (0..count)
            .map(|nth| Drawn {
                name: format!("swarm-{nth}"),
                kind: if nth == 5 { FaultKind::Kill } else { FaultKind::Pause },
                role: Some("worker"),
                count: 3,
                at_ms: 3_000 + 1_000 * nth,
                for_ms: (nth != 5).then_some(900),
                keys: String::new(),
            })
            .collect()
    }

    fn shrunk(steps_max: usize, fails: impl Fn(&[Drawn]) -> bool) -> (Vec<Drawn>, Vec<Step>) {
        shrink(&faults(8), steps_max, &mut |list| Some(Tally { tried: 1, failed: u32::from(fails(list)) }))
    }

    #[test]
    fn one_fault_that_fails_alone_is_what_is_left_small_and_early() {
        let (left, steps) = shrunk(100, |list| list.iter().any(|fault| fault.kind == FaultKind::Kill));
        assert_eq!(left.len(), 1);
        assert_eq!((left[0].name(), left[0].count, left[0].at_ms), ("swarm-5", 1, FIRST_MS));
        assert!(steps.len() < 20, "{}", steps.len());
        assert!(steps[0].faults.is_empty(), "the scenario alone is tried first");
    }

    #[test]
    fn two_faults_that_fail_together_are_both_left_at_their_distance() {
        let has = |list: &[Drawn], name: &str| list.iter().any(|fault| fault.name() == name);
        let (left, _) = shrunk(100, |list| has(list, "swarm-1") && has(list, "swarm-6"));
        let found: Vec<_> = left.iter().map(|fault| (fault.name(), fault.at_ms, fault.for_ms)).collect();
        assert_eq!(found, [("swarm-1", 1_000, Some(SHORTEST_MS)), ("swarm-6", 6_000, Some(SHORTEST_MS))]);
    }

    #[test]
    fn what_is_needed_to_fail_is_kept_as_it_was() {
        let (left, _) = shrunk(100, |list| list.iter().any(|fault| fault.count == 3 && fault.at_ms > 4_000));
        assert_eq!((left.len(), left[0].count), (1, 3));
        assert!(left[0].at_ms > 4_000);
    }

    #[test]
    fn a_scenario_that_fails_without_faults_is_told_so() {
        assert_eq!(shrunk(100, |_| true).0, []);
    }

    #[test]
    fn a_search_that_is_over_ends_with_what_it_has() {
        let kill = |list: &[Drawn]| list.iter().any(|fault| fault.kind == FaultKind::Kill);
        let (left, steps) = shrunk(3, kill);
        assert!(kill(&left) && steps.len() == 3, "{left:?}");
        let (left, steps) = shrink(&faults(8), 100, &mut |_| None);
        assert_eq!((left.len(), steps.len()), (8, 0));
    }
}
