//! Records of a header and a body, what a third process finds in a ring, and what no peer may make of it.

use super::{check, check_within, put, take, take_all};
use bus_model::ring::{Consumer, Full, Geometry, HEADER, Producer, Record, Ring, RingError};
use bus_model::sync::{AtomicU64, Ordering};
use loom::thread;

/// A new ring, and the words of its slots.
fn wide(records: u64, payload_max: usize) -> (Ring, &'static [AtomicU64]) {
    let geometry = Geometry::new(records, payload_max);
    let words: Vec<AtomicU64> = (0..geometry.bytes() / 8).map(|_| AtomicU64::new(0)).collect();
    let words: &[AtomicU64] = Box::leak(words.into_boxed_slice());
    let ring = Ring::new(Box::leak(Box::default()), words, geometry);
    assert_eq!((ring.geometry(), geometry.payload_max()), (geometry, payload_max));
    (ring, words)
}

fn ends(ring: Ring) -> (Producer, Consumer) {
    (ring.producer().unwrap(), ring.consumer().unwrap())
}

/// A record with a body of `len` bytes, and none of its bytes the same as those of the one before.
fn record(len: u8) -> Record {
    Record {
        kind: 1 + u32::from(len % 7),
        header: [0x40 | len; HEADER],
        body: (0..len).map(|n| !n).collect(),
    }
}

fn push(producer: &mut Producer, record: &Record) -> Result<(), Full> {
    producer.push(record.kind, &record.header, &record.body)
}

/// Bodies that end in a word and with one, and none; each slot is used twice.
fn passing(touch: bool) {
    let (ring, _) = wide(2, HEADER + 16);
    let (mut producer, consumer) = ends(ring);
    let mut consumer = consumer.tuned(touch, 0);
    let wanted = [0, 9, 16].map(record);
    let sent = wanted.clone();
    let writer = thread::spawn(move || {
        for record in &sent {
            while push(&mut producer, record).is_err() {
                thread::yield_now();
            }
            producer.publish();
        }
    });
    let mut found = Record::empty();
    for wanted in wanted {
        while !consumer.pop(&mut found).unwrap() {
            thread::yield_now();
        }
        assert_eq!(found, wanted);
        consumer.acknowledge();
    }
    assert_eq!((consumer.pop(&mut found), consumer.acknowledged()), (Ok(false), 3));
    writer.join().unwrap();
}

#[test]
fn bodies_of_any_length_come_whole_and_their_slots_are_used_again() {
    check_within(2, || passing(false));
    check_within(2, || passing(true));
}

/// A process that holds neither end looks while a producer is at work.
#[test]
fn what_is_unread_at_any_moment_is_a_beginning_of_what_was_published() {
    check(|| {
        let (ring, _) = wide(4, HEADER + 8);
        let mut producer = ring.producer().unwrap();
        let all = [3, 0].map(record);
        push(&mut producer, &all[0]).unwrap();
        producer.publish();
        let sent = all.clone();
        let writer = thread::spawn(move || {
            push(&mut producer, &sent[1]).unwrap();
            producer.publish();
        });
        let (found, counted) = (ring.unread().unwrap(), ring.backlog().unwrap());
        assert!(found == all[..1] || found == all, "{found:?}");
        assert!((found.len() as u64..=2).contains(&counted), "{counted} after {}", found.len());
        writer.join().unwrap();
        assert_eq!((ring.unread().unwrap(), ring.backlog()), (all.to_vec(), Ok(2)));
    });
}

#[test]
fn a_ring_that_was_reset_has_nothing_of_the_dead_for_those_who_follow_them() {
    check(|| {
        let (ring, _) = wide(4, 8);
        assert_eq!(ring.take_over_producer().unwrap_err(), RingError::NeverHeld);
        assert_eq!(ring.take_over_consumer().unwrap_err(), RingError::NeverHeld);
        let (mut producer, mut consumer) = ends(ring);
        assert!(ring.producer().is_none() && ring.consumer().is_none(), "both ends have their holders");
        for n in 1..=3 {
            assert!(put(&mut producer, n));
        }
        producer.publish();
        assert_eq!(take_all(&mut consumer, 1), [1]);
        // Staged, and never published.
        assert!(put(&mut producer, 4));
        ring.reset().unwrap();
        assert_eq!(ring.backlog(), Ok(0));
        let (mut heir, mut reader) = (ring.take_over_producer().unwrap(), ring.take_over_consumer().unwrap());
        assert_eq!((take(&mut reader), heir.position()), (None, 3));
        assert!(producer.is_fenced() && !heir.is_fenced());
        assert!(put(&mut heir, 5));
        heir.publish();
        assert_eq!(take_all(&mut reader, 1), [5]);
    });
}

#[test]
fn slots_that_are_kept_for_control_are_free_when_no_other_is() {
    check(|| {
        let (ring, _) = wide(4, 8);
        let (producer, mut consumer) = ends(ring);
        let mut producer = producer.reserving(2);
        // Lent, and not committed: nothing is staged.
        assert!(producer.claim().is_ok() && !producer.publish());
        let claim = producer.claim().unwrap();
        claim.words()[0].store(1, Ordering::Relaxed);
        claim.commit(1, 8);
        assert!(put(&mut producer, 2) && !put(&mut producer, 3));
        assert!(producer.is_full());
        for n in [4_u64, 5] {
            producer.control(1, &n.to_ne_bytes()).unwrap();
        }
        assert_eq!(producer.control(1, &[]), Err(Full));
        assert!(producer.publish() && !producer.publish());
        assert_eq!(take_all(&mut consumer, 4), [1, 2, 4, 5]);
        assert!(producer.is_full(), "nothing is acknowledged");
        consumer.acknowledge();
        assert!(!producer.is_full() && put(&mut producer, 6));
    });
}

/// What no producer writes: found where it is read, by any reader.
#[test]
fn a_word_that_cannot_be_is_an_error_and_no_record() {
    const LEN: u64 = (1 << 21) - 1;
    const KIND: u64 = 7 << 21;
    check(|| {
        let (ring, words) = wide(2, HEADER + 8);
        let (mut producer, mut consumer) = ends(ring);
        push(&mut producer, &record(8)).unwrap();
        producer.publish();
        let word = words[0].load(Ordering::Relaxed);
        words[0].store(word | LEN, Ordering::Relaxed);
        let too_long = RingError::Length { position: 0, len: LEN as usize, max: HEADER + 8 };
        assert_eq!(consumer.pop(&mut Record::empty()), Err(too_long));
        assert_eq!(consumer.poll(1, |_| panic!("that is not a record")), Err(too_long));
        assert_eq!((ring.unread(), ring.backlog()), (Err(too_long), Err(too_long)));
        assert_eq!(ring.reset(), Err(too_long));
        words[0].store(word & !KIND, Ordering::Relaxed);
        assert_eq!(consumer.pop(&mut Record::empty()), Err(RingError::Kind { position: 0 }));
        words[0].store(word, Ordering::Relaxed);
        let mut found = Record::empty();
        assert_eq!((consumer.pop(&mut found), found), (Ok(true), record(8)));
        // Shorter than a header: a reader that wants one does not get it.
        producer.put(1, &[1; 3]).unwrap();
        producer.publish();
        let too_short = RingError::Length { position: 1, len: 3, max: HEADER + 8 };
        assert_eq!(ring.unread(), Err(too_short));
        assert_eq!(consumer.pop(&mut Record::empty()), Err(too_short));
    });
}

#[test]
fn a_message_is_as_long_as_what_was_put() {
    check(|| {
        let (ring, _) = wide(4, HEADER + 8);
        let (mut producer, mut consumer) = ends(ring);
        for len in [0, 3, HEADER + 2] {
            producer.put(7, &vec![9; len]).unwrap();
        }
        producer.publish();
        let mut found = Vec::new();
        let took = consumer.poll(4, |message| {
            let bytes = message.copy_to(&mut [0; HEADER + 8]).to_vec();
            assert_eq!(bytes, vec![9; message.len()]);
            assert_eq!(message.is_empty(), message.words().is_empty());
            found.push((message.kind(), message.len(), message.words().len()));
        });
        assert_eq!(took, Ok(3));
        assert_eq!(found, [(7, 0, 0), (7, 3, 1), (7, HEADER + 2, 8)]);
    });
}

/// By how much it finds, a reader looks at the slots or at the hint: no record is passed over on the way between the two.
#[test]
fn a_flood_comes_in_order_whatever_the_reader_takes_at_once() {
    check(|| {
        let (ring, _) = wide(64, 8);
        let (mut producer, consumer) = ends(ring);
        let mut consumer = consumer.tuned(false, 0);
        let (mut put_next, mut got) = (0, Vec::new());
        let flood = |producer: &mut Producer, next: &mut u64, count: u64| {
            for _ in 0..count {
                assert!(put(producer, *next));
                *next += 1;
            }
            producer.publish();
        };
        // So many come, at most so many are taken, and so many are: closely at first, and then all at once.
        for (come, limit, taken) in
            [(8, 16, 8), (16, 4, 4), (0, 16, 12), (9, 16, 9), (3, 16, 3), (2, 16, 2), (0, 16, 0), (1, 16, 1)]
        {
            flood(&mut producer, &mut put_next, come);
            let took = consumer.poll(limit, |message| got.push(super::value(&message)));
            assert_eq!(took, Ok(taken), "{come} came, of which at most {limit}");
        }
        assert!(!consumer.is_ready());
        assert_eq!(got, (0..put_next).collect::<Vec<_>>());
    });
}
