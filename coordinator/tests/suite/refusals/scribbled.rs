//! Nonsense in the memory of a fleet at work.
//!
//! A process that may write a file of the fleet's (a worker, any program of the same user) may write anything at
//! any time. Nothing can be promised about the tasks of that coordinator then, but three things: each
//! has one outcome, the other coordinators' tasks are answered, and the fleet ends when it is told to.

use crate::support::up::{Up, is_empty, shm, wait_until};
use coordinator::bus::directory::region_path;
use coordinator::client::{Client, Event, Task, WorkerRef};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::Duration;

const WORKERS: u32 = 3;

/// xorshift: a seed is a test.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

/// Words as they tempt a reader: all bits, none, one too many, any.
fn word(random: &mut Random) -> u64 {
    match random.below(5) {
        0 => 0,
        1 => u64::MAX,
        2 => 1 << random.below(64),
        3 => random.below(300),
        _ => random.next(),
    }
}

fn scribble(seed: u64) {
    let mut random = Random(0x9e37_79b9_7f4a_7c15 ^ seed);
    let shm = shm();
    let up = Up::start(shm.path(), 2, WORKERS, &["--payload-max", "64", "--restarts-max", "1000"]);
    let mut client = Client::attach(&up.dir).unwrap();
    let region = File::options().write(true).open(region_path(&up.dir, 0)).unwrap();
    let bytes = region.metadata().unwrap().len();
    let (mut sent, mut outcomes, mut unharmed) = ([0_u64; 2], [0_u64; 2], 0_u64);
    let deadline = Duration::from_secs(1);
    for round in 0..40_u64 {
        for place in 0..2 * WORKERS {
            let worker = WorkerRef { coordinator: place % 2, worker: place / 2 };
            let body = (round * 100 + u64::from(place)).to_le_bytes();
            // The broken one's ring may be full, or its end be known.
            if client.send(worker, Task::Echo(&body), deadline, round).is_ok() {
                sent[worker.coordinator as usize] += 1;
            } else {
                assert_eq!(worker.coordinator, 0);
            }
        }
        client.flush();
        for _ in 0..random.below(6) {
            // Behind the stamp, which is read when a process attaches.
            let at = 128 + random.below(bytes / 8 - 16) * 8;
            region.write_all_at(&word(&mut random).to_ne_bytes(), at).unwrap();
        }
        wait_until("the other coordinator's answers", || {
            client.poll(|event| {
                if let Event::Outcome(outcome) = event {
                    outcomes[outcome.worker.coordinator as usize] += 1;
                    if outcome.worker.coordinator == 1 {
                        assert!(outcome.result.is_ok(), "seed {seed}: {:?}", outcome.result);
                        unharmed += 1;
                    }
                }
            });
            unharmed == sent[1]
        });
    }
    wait_until("an outcome for each task", || {
        client.wait(Duration::from_millis(20));
        client.poll(|event| {
            if let Event::Outcome(outcome) = event {
                outcomes[outcome.worker.coordinator as usize] += 1;
            }
        });
        client.in_flight() == 0
    });
    assert_eq!(outcomes, sent, "seed {seed}");
    let ledger = client.ledger();
    assert_eq!(ledger.accepted, ledger.answered + ledger.failed);
    assert_eq!(ledger.accepted, sent[0] + sent[1]);
    // In order, or with what it had to kill; never not at all.
    assert!(up.stop().is_some(), "seed {seed}");
    assert!(is_empty(shm.path()), "seed {seed}");
}

#[test]
fn nonsense_in_one_region_costs_no_other_tasks_and_no_end_is_missed() {
    for seed in 1..=6 {
        scribble(seed);
    }
}
