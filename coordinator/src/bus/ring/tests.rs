use super::*;
use proptest::prelude::*;
use std::collections::VecDeque;

fn ring(slots: usize) -> Ring {
    let side = || Side { position: AtomicU64::new(0), claimed: AtomicU32::new(0) };
    let header = Box::leak(Box::new(RingHeader { tail: side(), head: side() }));
    let words: Vec<AtomicU64> = (0..slots * WORDS_PER_SLOT).map(|_| AtomicU64::new(0)).collect();
    Ring::new(header, Box::leak(words.into_boxed_slice()))
}

#[test]
fn each_end_is_taken_once() {
    let ring = ring(4);
    let (_producer, _consumer) = (ring.producer().unwrap(), ring.consumer().unwrap());
    assert!(ring.producer().is_none());
    assert!(ring.consumer().is_none());
}

#[test]
fn what_is_not_published_is_not_seen() {
    let ring = ring(4);
    let (mut producer, mut consumer) = (ring.producer().unwrap(), ring.consumer().unwrap());
    producer.push(1, &[7; HEADER], b"staged").unwrap();
    let mut record = Record::empty();
    assert_eq!(consumer.pop(&mut record), Ok(false));
    assert!(producer.publish());
    assert_eq!(consumer.pop(&mut record), Ok(true));
    assert_eq!((record.kind, &record.body[..]), (1, &b"staged"[..]));
}

#[test]
fn room_comes_back_only_with_the_acknowledgement() {
    let ring = ring(2);
    let (mut producer, mut consumer) = (ring.producer().unwrap(), ring.consumer().unwrap());
    producer.push(1, &[0; HEADER], b"").unwrap();
    producer.push(2, &[0; HEADER], b"").unwrap();
    producer.publish();
    let mut record = Record::empty();
    assert_eq!(consumer.pop(&mut record), Ok(true));
    assert_eq!(producer.push(3, &[0; HEADER], b""), Err(Full));
    consumer.acknowledge();
    assert_eq!(producer.push(3, &[0; HEADER], b""), Ok(()));
}

#[test]
fn a_producer_that_writes_nonsense_is_told_apart() {
    let mut record = Record::empty();

    let lying_tail = ring(4);
    let mut consumer = lying_tail.consumer().unwrap();
    lying_tail.header.tail.position.store(99, Ordering::Release);
    assert!(matches!(consumer.pop(&mut record), Err(RingError::Positions { tail: 99, .. })));

    for len in [0, 1, HEADER as u32 - 1, 4 * SLOT as u32, u32::MAX] {
        let lying_length = ring(4);
        let mut consumer = lying_length.consumer().unwrap();
        lying_length.slots[0].store(pack(len, 1), Ordering::Relaxed);
        lying_length.header.tail.position.store(1, Ordering::Release);
        assert!(matches!(consumer.pop(&mut record), Err(RingError::Length { .. })), "length {len}");
    }
}

#[derive(Debug, Clone)]
enum Step {
    Push(usize),
    Publish,
    Pop,
    Acknowledge,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0_usize..300).prop_map(Step::Push),
        2 => Just(Step::Publish),
        3 => Just(Step::Pop),
        2 => Just(Step::Acknowledge),
    ]
}

proptest! {
    /// Whatever the order of writes, publications, reads and acknowledgements, the reader gets
    /// what was published, in order, whole, once.
    #[test]
    fn behaves_like_a_queue(steps in prop::collection::vec(step(), 1..400)) {
        let ring = ring(16);
        let (mut producer, mut consumer) = (ring.producer().unwrap(), ring.consumer().unwrap());
        let (mut staged, mut published) = (VecDeque::new(), VecDeque::new());
        let mut sent = 0_u32;
        let mut record = Record::empty();
        for step in steps {
            match step {
                Step::Push(len) => {
                    let body: Vec<u8> = (0..len).map(|i| (i as u32 ^ sent) as u8).collect();
                    if producer.push(sent, &[sent as u8; HEADER], &body).is_ok() {
                        staged.push_back((sent, body));
                        sent += 1;
                    }
                }
                Step::Publish => {
                    producer.publish();
                    published.append(&mut staged);
                }
                Step::Pop => {
                    let got = consumer.pop(&mut record).expect("an honest producer is never refused");
                    prop_assert_eq!(got, !published.is_empty());
                    if let Some((kind, body)) = published.pop_front() {
                        prop_assert_eq!(record.kind, kind);
                        prop_assert_eq!(record.header, [kind as u8; HEADER]);
                        prop_assert_eq!(&record.body, &body);
                    }
                }
                Step::Acknowledge => consumer.acknowledge(),
            }
        }
    }
}

#[test]
fn two_threads_agree_on_content_and_order() {
    let ring = ring(64);
    let (mut producer, mut consumer) = (ring.producer().unwrap(), ring.consumer().unwrap());
    let last = 50_000_u32;
    let writer = std::thread::spawn(move || {
        for n in 0..last {
            let body = vec![n as u8; (n % 200) as usize];
            while producer.push(n, &[n as u8; HEADER], &body).is_err() {
                producer.publish();
                std::thread::yield_now();
            }
            if n % 7 == 0 {
                producer.publish();
            }
        }
        producer.publish();
    });
    let mut record = Record::empty();
    for n in 0..last {
        while !consumer.pop(&mut record).unwrap() {
            consumer.acknowledge();
            std::thread::yield_now();
        }
        assert_eq!(record.kind, n);
        assert!(record.body.len() == (n % 200) as usize && record.body.iter().all(|b| *b == n as u8));
    }
    writer.join().unwrap();
}
