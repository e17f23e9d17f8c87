//! Records pass from one thread to another.

use super::{check, check_within, put, ring, take, take_all, value};
use loom::thread;

/// One record, then two at once.
pub fn publish_and_take() {
    let ring = ring(4);
    let (mut producer, mut consumer) = (ring.producer().unwrap(), ring.consumer().unwrap());
    let writer = thread::spawn(move || {
        assert!(put(&mut producer, 1));
        producer.publish();
        assert!(put(&mut producer, 2) && put(&mut producer, 3));
        producer.publish();
    });
    assert_eq!(take_all(&mut consumer, 3), [1, 2, 3]);
    assert_eq!(take(&mut consumer), None);
    writer.join().unwrap();
}

#[test]
fn what_is_published_comes_whole_in_order_and_once() {
    check(publish_and_take);
}

fn wrap(touch: bool) {
    let ring = ring(2);
    let (mut producer, consumer) = (ring.producer().unwrap(), ring.consumer().unwrap());
    let mut consumer = consumer.tuned(touch, 0);
    let writer = thread::spawn(move || {
        for n in 1..=4 {
            while !put(&mut producer, n) {
                thread::yield_now();
            }
            producer.publish();
        }
    });
    for n in 1..=4 {
        assert_eq!(take_all(&mut consumer, 1), [n]);
        consumer.acknowledge();
    }
    writer.join().unwrap();
}

#[test]
fn a_slot_is_written_again_only_when_its_record_has_been_copied() {
    check_within(5, || wrap(false));
}

#[test]
fn touching_what_was_read_never_touches_what_is_written() {
    check_within(5, || wrap(true));
}

/// Taken by the producer's hint.
pub fn stream() {
    let ring = ring(8);
    let (mut producer, consumer) = (ring.producer().unwrap(), ring.consumer().unwrap());
    let mut consumer = consumer.tuned(false, 0);
    for n in 0..4 {
        assert!(put(&mut producer, n));
    }
    producer.publish();
    assert_eq!(consumer.poll(16, |_| {}), Ok(4), "it streams from here on");
    let writer = thread::spawn(move || {
        assert!(put(&mut producer, 4) && put(&mut producer, 5));
        producer.publish();
        assert!(put(&mut producer, 6));
        producer.publish();
    });
    let mut got = Vec::new();
    while got.len() < 3 {
        if consumer.poll(16, |message| got.push(value(&message))).unwrap() == 0 {
            thread::yield_now();
        }
    }
    assert_eq!(got, [4, 5, 6]);
    writer.join().unwrap();
}

#[test]
fn the_hint_never_counts_what_is_not_there() {
    check(stream);
}
