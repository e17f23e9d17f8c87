//! Runs within runs: a task that has a fleet of its own.

use super::{Desk, signal, spools, wait_until};
use crate::support::up::PROGRAM;
use nix::sys::signal::Signal;

/// A run whose task is a run.
fn outer<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let inner = ["--", PROGRAM, "run", "--agents", "1", "--", "sh", "-c", "echo >> begun; exec sleep 60"];
    [&["--agents", "1"], more, &inner].concat()
}

#[test]
fn a_run_within_a_run_that_times_out_leaves_nothing() {
    for grace in ["1ms", "1s"] {
        for number in ["TERM", "HUP", "KILL"] {
            let desk = Desk::new();
            desk.run(&outer(&["--timeout", "1s", "--grace", grace, "--stop-signal", number])).with(10);
            assert_eq!(spools(&desk), 0);
        }
    }
}

#[test]
fn a_run_within_a_run_that_is_interrupted_or_killed_leaves_nothing() {
    for number in [Signal::SIGINT, Signal::SIGKILL] {
        let desk = Desk::new();
        let child = desk.start(&outer(&["--drain", "100ms", "--grace", "100ms"]));
        wait_until("the inner task has begun", || desk.lines("begun").len() == 1);
        signal(&child, number);
        child.wait_with_output().unwrap();
        wait_until("nothing is left", || super::is_empty(desk.shm.path()));
    }
}
