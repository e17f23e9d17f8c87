//! A consumer seals its producer off, which may be anywhere in the middle of a record.

use super::{bell, check, check_within, heard, put, ring, value};
use bus_model::doorbell::Doorbell;
use bus_model::ring::Producer;
use bus_model::sync::dies_at;
use loom::thread;

/// What a channel's sender does: true if it was told that the record is sent.
fn send(producer: &mut Producer, bell: &Doorbell, value: u64) -> bool {
    if producer.is_fenced() {
        return false;
    }
    assert!(put(producer, value));
    producer.publish();
    bell.ring();
    !producer.is_fenced()
}

pub fn seal() {
    let ring = ring(8);
    let (mut producer, mut consumer) = (ring.producer().unwrap(), ring.consumer().unwrap());
    let bell = bell();
    let writer = thread::spawn(move || {
        let sent: Vec<u64> = (1..=2).take_while(|n| send(&mut producer, bell, *n)).collect();
        sent.len()
    });
    consumer.seal();
    let first = heard(&mut consumer);
    let late = heard(&mut consumer);
    assert!(late.is_empty(), "heard {late:?} after the last");
    let sent = writer.join().unwrap();
    assert!(first.len() >= sent, "told {sent} were sent, heard {first:?}");
    assert_eq!(first, (1..=first.len() as u64).collect::<Vec<_>>());
    // It is dead now.
    let mut heir = ring.take_over_producer().unwrap();
    assert!(heard(&mut consumer).is_empty(), "what it wrote late is refused for good");
    assert!(put(&mut heir, 100));
    heir.publish();
    assert_eq!(heard(&mut consumer), [100]);
}

#[test]
fn what_a_sealed_producer_was_told_is_sent_is_heard_and_nothing_later() {
    check(seal);
}

#[test]
fn a_seal_and_a_successor_at_the_same_moment_lose_nothing() {
    check_within(4, || {
        let ring = ring(8);
        let (mut dead, mut consumer) = (ring.producer().unwrap(), ring.consumer().unwrap());
        assert!(put(&mut dead, 1));
        dead.publish();
        assert!(put(&mut dead, 8) && put(&mut dead, 9));
        let bell = bell();
        let heir = thread::spawn(move || {
            let mut heir = ring.take_over_producer().unwrap();
            send(&mut heir, bell, 2)
        });
        consumer.seal();
        let mut got = heard(&mut consumer);
        let told = heir.join().unwrap();
        got.extend(heard(&mut consumer));
        // If it was the heir who was sealed off, then its own heir goes on.
        let mut second = ring.take_over_producer().unwrap();
        got.extend(heard(&mut consumer));
        assert!(got == [1, 2] || (!told && got == [1]), "told {told}, heard {got:?}");
        assert!(put(&mut second, 3));
        second.publish();
        assert_eq!(heard(&mut consumer), [3]);
    });
}

/// A consumer that dies while it closes its ear, its heir, and the producer's heir.
#[test]
fn a_successor_of_a_sealing_consumer_refuses_the_same() {
    for at in 0..6 {
        check_within(4, move || {
            let ring = ring(8);
            let (mut producer, mut consumer) = (ring.producer().unwrap(), ring.consumer().unwrap());
            assert!(put(&mut producer, 1));
            producer.publish();
            let late = thread::spawn(move || send(&mut producer, bell(), 2));
            let mut got = Vec::new();
            dies_at(at, || {
                consumer.seal();
                while consumer.poll(16, |message| got.push(value(&message))).unwrap() > 0 {}
            });
            let told = late.join().unwrap();
            let producers = thread::spawn(move || {
                let mut heir = ring.take_over_producer().unwrap();
                assert!(put(&mut heir, 3));
                heir.publish();
            });
            let mut heir = ring.take_over_consumer().unwrap();
            let begins = heir.acknowledged() as usize;
            let mut again = heard(&mut heir);
            producers.join().unwrap();
            again.extend(heard(&mut heir));
            got.truncate(begins);
            got.extend(again);
            assert!(got == [1, 2, 3] || (!told && got == [1, 3]), "told {told}, heard {got:?}");
        });
    }
}
