//! The tests of the tests: each mistake that is put in on purpose is found by one of the models, and
//! for what it does.

use super::{check, check_within, passing, sealing, sleeping, succession};
use bus_model::sync::{Bug, plant};
use std::panic::catch_unwind;

/// The model fails with `bug`, and with these words.
fn finds(bug: Bug, words: &str, model: impl FnOnce() + std::panic::UnwindSafe) {
    plant(bug);
    let cause = catch_unwind(model).expect_err("the bug was not found");
    let text = cause.downcast_ref::<String>().map(String::as_str).or(cause.downcast_ref::<&str>().copied());
    assert!(text.is_some_and(|text| text.contains(words)), "{text:?}");
}

#[test]
fn a_record_shown_without_ordering_is_found() {
    finds(Bug::PublishRelaxed, "left == right", || check(passing::publish_and_take));
}

#[test]
fn a_record_shown_before_its_bytes_is_found() {
    finds(Bug::PublishBeforeBytes, "left == right", || check(passing::publish_and_take));
}

#[test]
fn a_hint_before_what_it_counts_is_found() {
    finds(Bug::TailBeforeWord, "Unwritten", || check(passing::stream));
}

#[test]
fn a_bell_without_a_fence_is_found() {
    finds(Bug::RingWithoutFence, "deadlock", || check_within(5, sleeping::sleep_and_wake));
}

#[test]
fn a_bell_disarmed_too_early_is_found() {
    finds(Bug::DisarmFirst, "deadlock", sleeping::ringers_die);
}

#[test]
fn a_seal_that_is_not_checked_is_found() {
    finds(Bug::NoFence, "told", || check(sealing::seal));
}

#[test]
fn a_successor_that_inherits_what_was_staged_is_found() {
    finds(Bug::SameEpoch, "left: Some(3)", succession::producers_die);
}

#[test]
fn an_acknowledgement_before_the_record_is_found() {
    finds(Bug::AcknowledgeFirst, "left == right", succession::consumers_die);
}
