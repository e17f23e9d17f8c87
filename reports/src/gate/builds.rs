//! Which build is which, and which is newer.
//!
//! A log names the commit that its build was made of, and nothing of what that commit comes after. So a build is as old as its first
//! run: it grows no newer by running again.

use jiff::Timestamp;

use super::exhibit::Inputs;
use super::outside::COMMIT_DIGITS_MIN;

/// Whether two commits are one, of which one may be written with more digits.
pub(super) fn is_same_commit(a: &str, b: &str) -> bool {
    a.len().min(b.len()) >= COMMIT_DIGITS_MIN && (a.starts_with(b) || b.starts_with(a))
}

/// When a build of this commit ran first, whatever it ran, also if that run is gone. Absent if it never did.
pub(super) fn began(inputs: &Inputs, commit: &str) -> Option<Timestamp> {
    let runs = inputs.exhibits.iter().filter_map(|exhibit| exhibit.judged.as_ref().ok());
    let there = runs.filter_map(|run| Some((run.build.commit()?, run.started()?)));
    let entries = inputs.index.entries.iter();
    let indexed =
        entries.filter_map(|entry| Some((entry.commit.as_deref()?, entry.started_utc.parse().ok()?)));
    let of_build = there.chain(indexed).filter(|(other, _)| is_same_commit(other, commit));
    of_build.map(|(_, started)| started).min()
}

/// Whether a build of one commit ran first after one of another did.
pub(super) fn is_newer(inputs: &Inputs, commit: &str, than: &str) -> bool {
    !is_same_commit(commit, than)
        && began(inputs, than).is_some_and(|than| began(inputs, commit).is_some_and(|began| began > than))
}
