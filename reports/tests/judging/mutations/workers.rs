//! One change of what a genuine log says of each worker: it costs the PASS, or is harmless for a reason that stands here.

use std::collections::{BTreeMap, BTreeSet};

use reports::runlog::event::{Event, Record};

use super::changes::{Others, spelt, texts};
use super::harmless::Reviewed;
use super::{GENUINE_WORKERS, allowed, passes, records, swap_events};

const PRECISION: &str = "the same time, to the precision of the histograms that it is held against";

const HARMLESS: &[Reviewed] = &[
    ("workers.workers.max_ns", "less", PRECISION),
    ("workers.workers.max_ns", "more", PRECISION),
    ("workers.workers.sum_ns", "less", PRECISION),
    ("workers.workers.sum_ns", "more", PRECISION),
];

fn genuine() -> (Vec<Record>, usize) {
    let genuine = records(GENUINE_WORKERS);
    let at = genuine.iter().position(|record| matches!(record.event, Event::Workers(_)));
    (genuine, at.expect("the log says what each worker did"))
}

#[test]
fn no_single_change_of_what_workers_did_passes_unless_it_is_harmless() {
    let (mut records, at) = genuine();
    let (name, json) = spelt(&records[at].event);
    let list: Vec<&Reviewed> = HARMLESS.iter().collect();
    let (mut missed, mut used, mut tried) = (BTreeMap::new(), BTreeSet::new(), 0);
    let others = Others { beside: None, texts: texts(&records) };
    for (path, how, changed) in others.changes(&name, &json) {
        let Ok(event) = serde_json::from_value::<Event>(changed) else { continue };
        if event == records[at].event {
            continue;
        }
        tried += 1;
        let own = std::mem::replace(&mut records[at].event, event);
        if passes(&records) {
            match allowed(&list, &path, how) {
                Some(entry) => drop(used.insert(entry)),
                None => *missed.entry((path, how)).or_insert(0) += 1,
            }
        }
        records[at].event = own;
    }
    assert!(missed.is_empty(), "of {tried} changes pass: {missed:#?}");
    let idle: Vec<_> = (0..HARMLESS.len()).filter(|at| !used.contains(at)).map(|at| HARMLESS[at]).collect();
    assert!(idle.is_empty(), "no change needs these entries: {idle:#?}");
    assert!(tried > 100, "{tried}");
}

#[test]
fn what_workers_did_is_said_once_and_may_be_left_out() {
    let (genuine, at) = genuine();
    assert!(passes(&genuine));
    let changed = |change: &dyn Fn(&mut Vec<Record>)| {
        let mut records = genuine.clone();
        change(&mut records);
        passes(&records)
    };
    // For people, who miss a plot.
    assert!(changed(&|records| drop(records.remove(at))));
    assert!(!changed(&|records| records.insert(at, records[at].clone())));
    // Histograms and ledger come at the same moment: the ledger comes after both.
    assert!(changed(&|records| swap_events(records, at - 1)));
    assert!(!changed(&|records| {
        let ledger = records.iter().position(|record| matches!(record.event, Event::Ledger(_))).unwrap();
        (at..ledger).for_each(|at| swap_events(records, at));
    }));
}
