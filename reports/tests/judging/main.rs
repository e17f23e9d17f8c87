//! What a run log leads to: one verdict, the same in every document, and never a better one than the
//! log supports.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod browser;
mod contention;
mod damage;
mod decisions;
mod declared;
mod disturbed;
mod documents;
mod ends;
mod faults;
mod figures;
mod gates;
mod killed;
mod live;
mod metrics;
mod mix;
mod mutations;
mod next;
mod recoveries;
mod segments;
mod shares;
mod side_by_side;
#[path = "../../../coordinator/tests/suite/support/skips.rs"]
mod skips;
mod stretches;
mod summary;
mod synthetic;
mod trends;
mod turnover;
mod variants;
mod versions;
mod workers;
