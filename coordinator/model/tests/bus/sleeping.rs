//! Nothing times out here: a wake-up that is lost is a deadlock.

use super::{bell, check, check_within, put, ring, take, value};
use bus_model::bitmap::ReadyBitmap;
use bus_model::doorbell::Doorbell;
use bus_model::ring::Consumer;
use bus_model::sync::dies_at;
use loom::thread;
use std::time::Duration;

const FOR_EVER: Duration = Duration::MAX;

fn sleep_until(bell: &Doorbell, consumer: &mut Consumer, count: usize) -> Vec<u64> {
    let mut got = Vec::new();
    while got.len() < count {
        match take(consumer) {
            Some(value) => got.push(value),
            None => bell.wait(FOR_EVER, || consumer.is_ready()),
        }
    }
    got
}

pub fn sleep_and_wake() {
    let ring = ring(4);
    let (mut producer, mut consumer) = (ring.producer().unwrap(), ring.consumer().unwrap());
    let bell = bell();
    let writer = thread::spawn(move || {
        for n in 1..=2 {
            assert!(put(&mut producer, n));
            producer.publish();
            bell.ring();
        }
    });
    assert_eq!(sleep_until(bell, &mut consumer, 2), [1, 2]);
    writer.join().unwrap();
}

#[test]
fn no_consumer_sleeps_over_a_record() {
    check_within(5, sleep_and_wake);
}

/// Both wait for each other in turn: for a record, and for its room.
#[test]
fn no_producer_sleeps_over_a_free_slot() {
    check_within(3, || {
        let ring = ring(1);
        let (mut producer, mut consumer) = (ring.producer().unwrap(), ring.consumer().unwrap());
        let (bell, room) = (bell(), bell());
        let writer = thread::spawn(move || {
            for n in 1..=2 {
                while !put(&mut producer, n) {
                    room.wait(FOR_EVER, || !producer.is_full());
                }
                producer.publish();
                bell.ring();
            }
        });
        let mut got = Vec::new();
        while got.len() < 2 {
            // As a channel's receiver does.
            if consumer.poll(4, |message| got.push(value(&message))).unwrap() == 0 {
                room.ring();
                bell.wait(FOR_EVER, || consumer.is_ready());
            }
            room.ring_relaxed();
        }
        assert_eq!(got, [1, 2]);
        writer.join().unwrap();
    });
}

/// Two producers of a fleet, one bitmap and one bell.
#[test]
fn a_ready_bit_and_its_bell_are_never_missed() {
    check_within(3, || {
        let rings = [ring(2), ring(2)];
        let (bitmap, bell): (&ReadyBitmap, _) = (Box::leak(Box::default()), bell());
        // One index a word: both levels are in play.
        let writers = [(0, 3), (1, 64)].map(|(number, index)| {
            let mut producer = rings[number].producer().unwrap();
            thread::spawn(move || {
                assert!(put(&mut producer, index as u64));
                producer.publish();
                bitmap.set(index);
                bell.ring();
            })
        });
        let mut consumers = rings.map(|ring| ring.consumer().unwrap());
        let mut got = 0;
        while got < 2 {
            bell.wait(FOR_EVER, || !bitmap.is_clear());
            bitmap.take(|index| {
                let consumer = &mut consumers[index / 64];
                while let Some(value) = take(consumer) {
                    assert_eq!(value, index as u64);
                    got += 1;
                }
            });
        }
        for writer in writers {
            writer.join().unwrap();
        }
    });
}

/// A ringer dies at step `at`; the next one wakes the sleeper.
fn ringer_dies(at: u32) {
    let ring = ring(4);
    let (mut producer, mut consumer) = (ring.producer().unwrap(), ring.consumer().unwrap());
    let bell = bell();
    let sleeper = thread::spawn(move || assert_eq!(sleep_until(bell, &mut consumer, 1), [1]));
    assert!(put(&mut producer, 1));
    producer.publish();
    dies_at(at, || {
        bell.ring();
    });
    bell.ring();
    sleeper.join().unwrap();
}

/// A ring of an armed bell: the count, the call, the disarming.
const RING_STEPS: u32 = 4;

pub fn ringers_die() {
    for at in 0..RING_STEPS {
        check(move || ringer_dies(at));
    }
}

#[test]
fn one_who_dies_ringing_does_not_silence_the_bell() {
    ringers_die();
}
