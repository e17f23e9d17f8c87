//! The tests of the tests: victims that commit a mistake on purpose are found out.

use super::steps::{Trial, killed_at_every_step, stopped_at_every_step, trial};
use coordinator::bus::sync::Bug;

fn is_found(bug: Bug, ended: fn(Trial) -> Result<u64, String>, trial: Trial, words: &str) {
    let found = ended(Trial { bug: Some(bug), ..trial }).expect_err("the bug was not found");
    assert!(found.contains(words), "{found}");
}

#[test]
fn a_record_shown_before_its_bytes_is_found() {
    is_found(Bug::PublishBeforeBytes, killed_at_every_step, trial("send"), "no record of");
}

#[test]
fn a_record_acknowledged_before_it_is_recorded_is_found() {
    let hear = Trial { waiting: 3, ..trial("hear") };
    is_found(Bug::AcknowledgeFirst, killed_at_every_step, hear, "the heir begins with");
}

#[test]
fn a_sender_that_is_not_fenced_is_found() {
    is_found(Bug::NoFence, stopped_at_every_step, trial("send"), "were sent, heard");
}

#[test]
fn an_heir_that_inherits_what_was_staged_is_found() {
    let take_over = Trial { waiting: 5, ..trial("take over") };
    is_found(Bug::SameEpoch, killed_at_every_step, take_over, "heard");
}
