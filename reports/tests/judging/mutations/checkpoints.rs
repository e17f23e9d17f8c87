//! One change of a checkpoint in the log of a run that was killed and resumed: it costs the PASS, or is harmless for a reason that
//! stands here.

use std::collections::{BTreeMap, BTreeSet};

use reports::Verdict;
use reports::runlog::event::Event;

use super::allowed;
use super::changes::{Texts, changes, spelt};
use super::harmless::Reviewed;
use crate::killed::{judge, killed};
use crate::segments::run;

const UNUSED: &str = "of a checkpoint that others follow: it bounds them, and no verdict rests on it";
const ON_ITS_WAY: &str = "the ends are no further apart than what was on its way";
const NOT_HELD: &str =
    "a coordinator's own view of how tasks ended; the client's counts and the rounds are judged";
const NOT_JUDGED: &str = "shown, and judged by no criterion of this run";

const HARMLESS: &[Reviewed] = &[
    ("earlier.*", "*", UNUSED),
    ("last.ledger.coordinators.coordinator.accepted", "*", ON_ITS_WAY),
    ("last.ledger.coordinators.coordinator.answered", "*", ON_ITS_WAY),
    ("last.ledger.coordinators.coordinator.failed", "*", NOT_HELD),
    ("last.ledger.coordinators.coordinator.in_flight", "*", NOT_HELD),
    ("last.ledger.coordinators.coordinator.late", "*", NOT_HELD),
    ("last.ledger.coordinators.executed_by_workers", "*", ON_ITS_WAY),
    ("last.ledger.pool.*", "*", NOT_JUDGED),
];

#[test]
fn no_single_change_of_a_checkpoint_passes_unless_it_is_harmless() {
    let run = run();
    let genuine = killed(&run);
    let passes = |events| judge(&run, events).0.verdict <= Verdict::Conditional;
    assert!(passes(genuine.clone()));
    let list: Vec<&Reviewed> = HARMLESS.iter().collect();
    let all: Vec<usize> = genuine
        .iter()
        .enumerate()
        .filter(|(_, (_, event))| matches!(event, Event::Checkpoint(_)))
        .map(|(at, _)| at)
        .collect();
    let (mut missed, mut used, mut tried) = (BTreeMap::new(), BTreeSet::new(), 0);
    for at in &all {
        let (_, json) = spelt(&genuine[*at].1);
        let name = if Some(at) == all.last() { "last" } else { "earlier" };
        for (path, how, changed) in changes(name, &json, &Texts::new()) {
            let Ok(event) = serde_json::from_value::<Event>(changed) else { continue };
            if event == genuine[*at].1 {
                continue;
            }
            let mut events = genuine.clone();
            events[*at].1 = event;
            tried += 1;
            if passes(events) {
                match allowed(&list, &path, how) {
                    Some(entry) => drop(used.insert(entry)),
                    None => *missed.entry((path, how)).or_insert(0) += 1,
                }
            }
        }
    }
    let missed: Vec<String> = missed.iter().map(|((path, how), n)| format!("{path} {how} ({n})")).collect();
    assert!(missed.is_empty(), "{} of {tried} changes pass:\n{}", missed.len(), missed.join("\n"));
    let idle: Vec<_> = (0..HARMLESS.len()).filter(|at| !used.contains(at)).map(|at| HARMLESS[at]).collect();
    assert!(idle.is_empty(), "no change is allowed by {idle:?}");
    assert!(tried > 800, "{tried}");
}

#[test]
fn a_checkpoint_that_was_removed_or_moved_costs_the_pass_if_it_is_the_last() {
    let run = run();
    let genuine = killed(&run);
    let at = genuine.iter().rposition(|(_, event)| matches!(event, Event::Checkpoint(_))).unwrap();
    let mut without = genuine.clone();
    without.remove(at);
    let mut twice = genuine.clone();
    twice.insert(at, genuine[at].clone());
    let mut later = genuine;
    let (_, event) = later.remove(at);
    let end = later.last().unwrap().0;
    later.push((end, event));
    for (what, events, passes) in
        [("removed", without, false), ("moved to the end", later, false), ("duplicated", twice, true)]
    {
        assert_eq!(judge(&run, events).0.verdict <= Verdict::Conditional, passes, "{what}");
    }
}
