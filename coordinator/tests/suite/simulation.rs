//! A fleet in a model, in storms of events: the decisions are those of `coordinator::plan`, the processes are not.
//!
//! **What it models.** One client, coordinators with their task tables, workers with their rings, the supervisor, an
//! operator. Each event is one act of one of them; an act is made of stores in the order of the program's, and any
//! of the acts of coordinators, successors and workers may be cut short by a SIGKILL between two stores. What lies in shared memory stays, what
//! a process knew for itself is lost. The words of the table are `plan::lease`'s, take-overs do what
//! `plan::recover` says, deaths and failures go through `plan::{restart, retry}`, hangs through
//! `plan::health`, the number of workers through `plan::scaling`. Time is a number.
//!
//! **What it leaves out.** Bytes, lengths and scribbled words (the tests of `plan::recover` and the fuzz targets have those);
//! the bus below whole records and the order of memory (`coordinator/model/`); doorbells: everybody looks often
//! enough; two processes in the middle of their acts at the same time (each word has one writer, each ring one
//! producer and one consumer); forks that are refused; the supervisor's own death. A coordinator that is started in
//! a place where another has ended waits until the client has seen that end.
//!
//! **Its rules** are in `invariants` and, for what no process can see, in `ghost`. A storm that breaks one is made
//! short and printed as a list for `races`. `SIM_STEPS` and `SIM_SEED` say how much and which.

mod client;
mod event;
mod ghost;
mod invariants;
mod planted;
mod processes;
mod races;
mod run;
mod tasks;
mod world;

use run::{Passed, as_test, run, shrink, storm};
use std::collections::BTreeMap;

/// Events of a storm.
const STORM: usize = 1000;

/// What the storms of a run meet, each often.
const SIGHTS: [&str; 31] = [
    "a backup",
    "a coordinator ended because it hung",
    "a coordinator killed between two stores",
    "a coordinator suspected and healed",
    "a coordinator's end in order",
    "a coordinator's place given up",
    "a dead letter",
    "a failure",
    "a late answer",
    "a letter revived",
    "a restored fleet",
    "a revival cut short",
    "a settlement",
    "a silent coordinator given up",
    "a successor killed half-way",
    "a take-over",
    "a task cancelled",
    "a task spilt",
    "a task sent elsewhere",
    "a task taken back",
    "a worker ended because it hung",
    "a worker killed between two stores",
    "a worker suspected and healed",
    "an answer",
    "an answer taken by a predecessor",
    "an answer told twice",
    "an escaped worker fenced",
    "another attempt",
    "the end of a revived task",
    "two deaths in one pass",
    "workers started by load",
];

fn number(name: &str, otherwise: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")),
        Err(_) => otherwise,
    }
}

#[test]
fn no_storm_breaks_a_rule() {
    let (steps, first) = (number("SIM_STEPS", 2_000_000), number("SIM_SEED", 1));
    let mut sights: BTreeMap<&str, u64> = BTreeMap::new();
    for seed in first..first + steps.div_ceil(STORM as u64) {
        let Passed { setup, events, broken, sights: seen } = storm(seed, STORM, None);
        for (what, times) in seen {
            *sights.entry(what).or_default() += times;
        }
        if let Some(broken) = broken {
            let short = shrink(setup, &events);
            let why = run(setup, &short).map_or_else(String::new, |broken| broken.why);
            panic!(
                "seed {seed} breaks a rule after {} events: {}\nin short ({why}):\n{}\nagain: SIM_SEED={seed} SIM_STEPS=1",
                broken.after,
                broken.why,
                as_test(setup, &short)
            );
        }
    }
    for (what, times) in &sights {
        eprintln!("{times:>9} {what}");
    }
    // A storm that meets nothing proves nothing.
    let missed: Vec<_> = SIGHTS.iter().filter(|what| !sights.contains_key(**what)).collect();
    assert!(steps < 1_000_000 || missed.is_empty(), "no storm has met {missed:?}");
}
