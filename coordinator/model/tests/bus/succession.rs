//! A thread dies at any of its steps, and a successor takes its end over while the other side is at
//! work. The successor begins when the death is known, as `waitpid` would tell it.

use super::{check_within, put, ring, take, take_all, value};
use bus_model::sync::{call, dies_at};
use loom::thread;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The successor's.
const LAST: u64 = 100;

/// Tries every step: `model(at)` is true if no thread had died by its end.
fn every_step(model: impl Fn(u32) -> bool + Copy + Send + Sync + 'static) {
    for at in 0.. {
        // The standard library's, which the model checker does not see.
        let lived = Arc::new(AtomicBool::new(true));
        let model = {
            let lived = lived.clone();
            move || {
                if !model(at) {
                    lived.store(false, Ordering::Relaxed);
                }
            }
        };
        check_within(4, model);
        if lived.load(Ordering::Relaxed) {
            assert!(at > 0);
            return;
        }
    }
}

/// One record, then two at once, then one staged and never shown; the heir shows one.
fn producer_dies(at: u32) -> bool {
    let ring = ring(8);
    let (mut producer, mut consumer) = (ring.producer().unwrap(), ring.consumer().unwrap());
    let reader = thread::spawn(move || {
        let mut got = Vec::new();
        while got.last() != Some(&LAST) {
            got.extend(take_all(&mut consumer, 1));
        }
        assert_eq!(take(&mut consumer), None);
        got
    });
    let writer = thread::spawn(move || {
        let mut told = 0;
        let lived = dies_at(at, || {
            assert!(put(&mut producer, 1));
            producer.publish();
            told = 1;
            assert!(put(&mut producer, 2) && put(&mut producer, 3));
            producer.publish();
            told = 3;
            assert!(put(&mut producer, 4) && put(&mut producer, 5));
        });
        (told, lived)
    });
    let (told, lived) = writer.join().unwrap();
    let mut heir = ring.take_over_producer().unwrap();
    assert!(put(&mut heir, LAST));
    heir.publish();
    let mut got = reader.join().unwrap();
    assert_eq!(got.pop(), Some(LAST));
    let whole: [&[u64]; 3] = [&[], &[1], &[1, 2, 3]];
    assert!(whole.contains(&got.as_slice()) && got.len() >= told, "told {told} were sent, heard {got:?}");
    lived
}

pub fn producers_die() {
    every_step(producer_dies);
}

#[test]
fn a_producer_dead_at_any_step_leaves_whole_records_and_a_working_ring() {
    producers_die();
}

/// The heir dies as well, at any step of taking over; the heir's heir goes on.
#[test]
fn an_heir_dead_at_any_step_leaves_no_more_than_its_predecessor_did() {
    every_step(|at| {
        let ring = ring(4);
        let (mut producer, mut consumer) = (ring.producer().unwrap(), ring.consumer().unwrap());
        assert!(put(&mut producer, 1));
        producer.publish();
        for lost in [7, 8, 9] {
            assert!(put(&mut producer, lost));
        }
        let reader = thread::spawn(move || {
            let got = take_all(&mut consumer, 2);
            assert_eq!(take(&mut consumer), None);
            got
        });
        let lived = dies_at(at, || {
            let _ = ring.take_over_producer().unwrap();
        });
        let mut heir = ring.take_over_producer().unwrap();
        assert!(put(&mut heir, LAST));
        heir.publish();
        assert_eq!(reader.join().unwrap(), [1, LAST]);
        lived
    });
}

/// Takes, records and acknowledges; dies somewhere; the heir goes on while the producer wraps.
fn consumer_dies(at: u32) -> bool {
    const COUNT: u64 = 3;
    let ring = ring(2);
    let (mut producer, mut consumer) = (ring.producer().unwrap(), ring.consumer().unwrap());
    let writer = thread::spawn(move || {
        for n in 0..COUNT {
            while !put(&mut producer, n) {
                thread::yield_now();
            }
            producer.publish();
        }
    });
    let reader = thread::spawn(move || {
        let mut recorded = Vec::new();
        let lived = dies_at(at, || {
            while recorded.len() < 2 {
                let mut each = |message: bus_model::ring::Message<'_>| {
                    let value = value(&message);
                    // Where the record is made to last.
                    call();
                    recorded.push(value);
                };
                if consumer.take(&mut each).unwrap() {
                    consumer.acknowledge();
                } else {
                    thread::yield_now();
                }
            }
        });
        (recorded, lived)
    });
    let (recorded, lived) = reader.join().unwrap();
    let mut heir = ring.take_over_consumer().unwrap();
    let first = heir.acknowledged();
    let mut again = Vec::new();
    while first + (again.len() as u64) < COUNT {
        again.extend(take_all(&mut heir, 1));
        heir.acknowledge();
    }
    writer.join().unwrap();
    let expected = |range: std::ops::Range<u64>| range.collect::<Vec<_>>();
    assert_eq!(recorded, expected(0..recorded.len() as u64));
    // Nothing acknowledged is lost; at most the one that was in hand comes again.
    assert!(first <= recorded.len() as u64 && recorded.len() as u64 <= first + 1, "{first} of {recorded:?}");
    assert_eq!(again, expected(first..COUNT));
    lived
}

pub fn consumers_die() {
    every_step(consumer_dies);
}

#[test]
fn a_consumer_dead_at_any_step_has_acknowledged_only_what_it_recorded() {
    consumers_die();
}
