//! A defect of the whole fleet, for the tests of what judges it. Compiled in with the feature `sabotage` only.
//!
//! The environment names the bug, which every process of the fleet and its client commit: a bug of records with one in
//! [`ONE_IN`] that the process writes, any other always.

use super::{Bug, Ordering, Uncounted};
use std::sync::OnceLock;

/// Names the bug: as below.
const VARIABLE: &str = "COORDINATOR_SABOTAGE";
const BUGS: [(&str, Bug); 5] = [
    ("drop", Bug::LosesRecord),
    ("duplicate", Bug::DoublesRecord),
    ("delay", Bug::DelaysRecord),
    ("corrupt", Bug::ChangesRecord),
    ("unfenced", Bug::ObeysTheDead),
];
const ONE_IN: u64 = 1000;

/// Of this process, and of its parent before it was forked.
static RECORDS: Uncounted = Uncounted::new(0);

fn named() -> Option<Bug> {
    static NAMED: OnceLock<Option<Bug>> = OnceLock::new();
    *NAMED.get_or_init(|| {
        let name = std::env::var(VARIABLE).ok()?;
        BUGS.iter().find(|(bug, _)| *bug == name).map(|(_, bug)| *bug)
    })
}

pub fn planted(bug: Bug) -> bool {
    if named() != Some(bug) {
        return false;
    }
    bug == Bug::ObeysTheDead || RECORDS.fetch_add(1, Ordering::Relaxed) % ONE_IN == ONE_IN - 1
}
