use super::*;
use proptest::prelude::*;
use std::collections::VecDeque;

fn ring(records: u64, payload_max: usize) -> Ring {
    let geometry = Geometry::new(records, payload_max);
    let header = Box::leak(Box::new(RingHeader::new()));
    let words: Vec<AtomicU64> = (0..geometry.bytes() / 8).map(|_| AtomicU64::new(0)).collect();
    Ring::new(header, Box::leak(words.into_boxed_slice()), geometry)
}

/// Everything that there is, without acknowledging more than `poll` does by itself.
fn taken(consumer: &mut Consumer) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    let mut record = Record::empty();
    while consumer.pop(&mut record).unwrap() {
        all.push(record.body.clone());
    }
    all
}

#[test]
fn the_header_has_two_pairs_of_lines() {
    assert_eq!(size_of::<RingHeader>(), 256);
}

#[test]
fn each_end_is_taken_once() {
    let ring = ring(4, 64);
    let (_producer, _consumer) = (ring.producer().unwrap(), ring.consumer().unwrap());
    assert!(ring.producer().is_none());
    assert!(ring.consumer().is_none());
}

#[test]
fn what_is_not_published_is_not_seen() {
    let ring = ring(4, 100);
    let (mut producer, mut consumer) = (ring.producer().unwrap(), ring.consumer().unwrap());
    producer.push(1, &[7; HEADER], b"staged").unwrap();
    producer.push(2, &[7; HEADER], b"too").unwrap();
    assert!(taken(&mut consumer).is_empty());
    assert!(producer.publish());
    assert_eq!(taken(&mut consumer), [&b"staged"[..], b"too"]);
    assert!(!producer.publish());
}

#[test]
fn room_comes_back_only_with_the_acknowledgement() {
    let ring = ring(2, 64);
    let (mut producer, mut consumer) = (ring.producer().unwrap(), ring.consumer().unwrap());
    producer.put(1, b"1").unwrap();
    producer.put(1, b"2").unwrap();
    producer.publish();
    assert_eq!(consumer.take(&mut |_| {}), Ok(true));
    assert_eq!(producer.put(1, b"3"), Err(Full));
    consumer.acknowledge();
    assert_eq!(producer.put(1, b"3"), Ok(()));
}

#[test]
fn a_claim_that_is_dropped_never_was() {
    let ring = ring(2, 64);
    let (mut producer, mut consumer) = (ring.producer().unwrap(), ring.consumer().unwrap());
    let _ = producer.claim().unwrap();
    let claim = producer.claim().unwrap();
    claim.words()[0].store(0x0102_0304, Ordering::Relaxed);
    claim.commit(3, 4);
    producer.publish();
    let mut got = Vec::new();
    let each = |message: Message<'_>| {
        assert_eq!((message.kind(), message.len()), (3, 4));
        got.extend_from_slice(message.copy_to(&mut [0; 64]));
    };
    assert_eq!(consumer.poll(9, each), Ok(1));
    assert_eq!(got, 0x0102_0304_u32.to_ne_bytes());
}

#[test]
fn a_producer_that_writes_nonsense_is_told_apart() {
    let lying_tail = ring(4, 64);
    let (mut producer, mut consumer) = (lying_tail.producer().unwrap(), lying_tail.consumer().unwrap());
    for _ in 0..4 {
        producer.put(1, b"").unwrap();
    }
    producer.publish();
    // it streams after a look that found four, and only then reads the tail
    assert_eq!(consumer.poll(256, |_| {}), Ok(4));
    lying_tail.header.tail.position.store(99, Ordering::Release);
    assert!(matches!(consumer.poll(256, |_| {}), Err(RingError::Positions { tail: 99, .. })));
    consumer.acknowledge();
    lying_tail.header.tail.position.store(5, Ordering::Release);
    let unwritten = RingError::Unwritten { position: 4, tail: 5 };
    assert_eq!(consumer.poll(256, |_| {}), Err(unwritten));

    for len in [65, 100, LEN_MAX] {
        let lying = ring(4, 64);
        let mut consumer = lying.consumer().unwrap();
        lying.slots[0].store(Word::new(0, 1, 1, len).0, Ordering::Release);
        assert_eq!(consumer.poll(1, |_| {}), Err(RingError::Length { position: 0, len, max: 64 }));
        assert!(matches!(lying.backlog(), Err(RingError::Length { .. })));
    }
    let no_kind = ring(4, 64);
    let mut consumer = no_kind.consumer().unwrap();
    no_kind.slots[0].store(Word::new(0, 1, 0, 1).0, Ordering::Release);
    assert_eq!(consumer.poll(1, |_| {}), Err(RingError::Kind { position: 0 }));
}

#[test]
fn a_consumer_that_lies_about_its_head_frees_nothing() {
    let ring = ring(2, 8);
    let mut producer = ring.producer().unwrap();
    producer.put(1, b"1").unwrap();
    producer.put(1, b"2").unwrap();
    producer.publish();
    for lie in [3, 99, u64::MAX] {
        ring.header.head.position.store(lie, Ordering::Release);
        assert_eq!(producer.put(1, b"3"), Err(Full), "head {lie}");
    }
}

#[test]
fn a_head_at_the_end_of_all_positions_is_survived() {
    let ring = ring(4, 64);
    let last = (1_u64 << POSITION_BITS) - 1;
    ring.header.head.position.store(pack_head(last, 1), Ordering::Release);
    let mut producer = ring.producer().unwrap();
    let mut consumer = ring.consumer().unwrap();
    for _ in 0..9 {
        let _ = producer.put(1, b"beyond");
        producer.publish();
        let _ = consumer.poll(4, |_| {});
        consumer.acknowledge();
    }
}

#[test]
fn what_a_dead_producer_had_staged_is_not_its_successors() {
    let ring = ring(8, 64);
    let mut consumer = ring.consumer().unwrap();
    let mut dead = ring.producer().unwrap();
    dead.push(1, &[0; HEADER], b"a").unwrap();
    dead.publish();
    // Died with three staged: the words of the second and third are in the slots already.
    for body in [b"x", b"y", b"z"] {
        dead.push(1, &[0; HEADER], body).unwrap();
    }
    let mut heir = ring.take_over_producer().unwrap();
    assert!(dead.is_fenced() && !heir.is_fenced());
    heir.push(1, &[0; HEADER], b"b").unwrap();
    heir.publish();
    assert_eq!(taken(&mut consumer), [b"a", b"b"]);
    // And a second successor, of which the consumer has not seen the first.
    heir.push(1, &[0; HEADER], b"p").unwrap();
    heir.push(1, &[0; HEADER], b"q").unwrap();
    let mut second = ring.take_over_producer().unwrap();
    second.push(1, &[0; HEADER], b"c").unwrap();
    second.publish();
    assert_eq!(taken(&mut consumer), [b"c"]);
    let holders = |side: &Side| side.holder.load(Ordering::Acquire) & HOLDERS;
    assert_eq!((holders(&ring.header.tail), holders(&ring.header.head)), (3, 1));
}

#[test]
fn what_a_dead_producer_had_staged_stays_dead_whatever_number_its_successor_has() {
    let ring = ring(8, 64);
    let mut consumer = ring.consumer().unwrap();
    let mut dead = ring.producer().unwrap();
    for body in [b"x", b"y", b"z"] {
        dead.push(1, &[0; HEADER], body).unwrap();
    }
    // Epochs come round; and a consumer that heard of none of these goes on with the last.
    for successors in 1..1000 {
        let mut heir = ring.take_over_producer().unwrap();
        if successors % 127 == 0 || successors % 255 == 0 {
            heir.push(1, &[0; HEADER], b"a").unwrap();
            heir.publish();
            assert_eq!(taken(&mut consumer), [b"a"], "successor {successors}");
            consumer.acknowledge();
        }
        heir.push(1, &[0; HEADER], b"p").unwrap();
        heir.push(1, &[0; HEADER], b"q").unwrap();
    }
}

/// One record `body`, shown.
fn show(producer: &mut Producer, body: &[u8]) {
    producer.put(1, body).unwrap();
    producer.publish();
}

fn heard(consumer: &mut Consumer) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    let mut out = [0; 64];
    while consumer.poll(256, |message| all.push(message.copy_to(&mut out).to_vec())).unwrap() > 0 {}
    all
}

#[test]
fn what_a_sealed_producer_writes_after_the_last_was_heard_is_refused_for_good() {
    for streaming in [false, true] {
        let ring = ring(16, 64);
        let mut consumer = ring.consumer().unwrap();
        let mut sealed = ring.producer().unwrap();
        if streaming {
            (0..8).for_each(|_| show(&mut sealed, b"load"));
            assert_eq!(consumer.poll(256, |_| {}), Ok(8));
        }
        show(&mut sealed, b"heard");
        consumer.seal();
        assert!(sealed.is_fenced() && sealed.is_sealed());
        assert_eq!(heard(&mut consumer), [b"heard"]);
        show(&mut sealed, b"late");
        assert!(heard(&mut consumer).is_empty());
        assert!(!consumer.is_ready());
        // A successor of the consumer refuses it as well.
        let mut consumer = ring.take_over_consumer().unwrap();
        assert!(heard(&mut consumer).is_empty());
        show(&mut sealed, b"later");
        let mut heir = ring.take_over_producer().unwrap();
        assert!(heard(&mut consumer).is_empty());
        show(&mut heir, b"heir");
        assert_eq!(heard(&mut consumer), [b"heir"]);
        assert!(!consumer.is_sealed());
    }
}

#[test]
fn a_successor_that_comes_before_the_last_was_heard_leaves_it_to_be_heard() {
    let ring = ring(16, 64);
    let mut consumer = ring.consumer().unwrap();
    let mut sealed = ring.producer().unwrap();
    show(&mut sealed, b"a");
    consumer.seal();
    show(&mut sealed, b"b");
    let mut heir = ring.take_over_producer().unwrap();
    show(&mut heir, b"c");
    assert_eq!(heard(&mut consumer), [b"a", b"b", b"c"]);
    show(&mut heir, b"d");
    assert_eq!(heard(&mut consumer), [b"d"]);
}

#[test]
fn a_ring_without_a_producer_is_not_sealed() {
    let ring = ring(16, 64);
    let mut consumer = ring.consumer().unwrap();
    consumer.seal();
    let mut producer = ring.producer().unwrap();
    assert!(!producer.is_fenced());
    show(&mut producer, b"a");
    assert_eq!(heard(&mut consumer), [b"a"]);
}

#[test]
fn a_dead_consumers_successor_begins_at_what_was_not_acknowledged() {
    let ring = ring(8, 64);
    let mut producer = ring.producer().unwrap();
    let mut dead = ring.consumer().unwrap();
    for body in [b"a", b"b", b"c"] {
        producer.push(1, &[0; HEADER], body).unwrap();
    }
    producer.publish();
    let mut record = Record::empty();
    assert_eq!(dead.pop(&mut record), Ok(true));
    dead.acknowledge();
    assert_eq!(dead.pop(&mut record), Ok(true));
    let mut heir = ring.take_over_consumer().unwrap();
    assert_eq!(taken(&mut heir), [b"b", b"c"]);
}

#[test]
fn an_end_without_a_holder_has_no_successor() {
    let ring = ring(8, 64);
    assert!(matches!(ring.take_over_producer(), Err(RingError::NeverHeld)));
    assert!(matches!(ring.take_over_consumer(), Err(RingError::NeverHeld)));
}

#[derive(Debug, Clone)]
enum Step {
    Put(usize),
    Publish,
    Poll(usize),
    Pop,
    Acknowledge,
    ProducerDies,
    ConsumerDies,
    BothDieAndReset,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        60 => (0_usize..200).prop_map(Step::Put),
        30 => Just(Step::Publish),
        20 => (1_usize..20).prop_map(Step::Poll),
        30 => Just(Step::Pop),
        20 => Just(Step::Acknowledge),
        3 => Just(Step::ProducerDies),
        3 => Just(Step::ConsumerDies),
        1 => Just(Step::BothDieAndReset),
    ]
}

/// Records from the last acknowledged on, as a queue would hold them.
#[derive(Default)]
struct Model {
    staged: Vec<Vec<u8>>,
    published: VecDeque<Vec<u8>>,
    /// Of `published`, taken and not acknowledged.
    taken: usize,
}

impl Model {
    /// The ring acknowledges by itself at times: its count is checked against what was taken.
    fn acknowledge(&mut self, count: u64) {
        for _ in 0..count {
            assert!(self.taken > 0, "acknowledged what was never taken");
            self.published.pop_front();
            self.taken -= 1;
        }
    }
}

proptest! {
    /// Whatever the order of writes, publications, reads, acknowledgements and deaths: every reader
    /// gets what was published and not acknowledged, in order, whole, and nothing else.
    #[test]
    fn behaves_like_a_queue(
        steps in prop::collection::vec(step(), 1..500),
        records in 1_u64..20,
        touch: bool,
    ) {
        let ring = ring(records, 200);
        let capacity = ring.geometry().capacity();
        let mut producer = ring.producer().unwrap();
        let mut consumer = ring.consumer().unwrap().tuned(touch, 0);
        let mut model = Model::default();
        let (mut sent, mut acknowledged) = (0_u32, 0);
        for step in steps {
            match step {
                Step::Put(len) => {
                    let body: Vec<u8> = (0..len).map(|i| (i as u32 ^ sent) as u8).collect();
                    let full = (model.staged.len() + model.published.len()) as u64 == capacity;
                    prop_assert_eq!(producer.put(1 + sent % 7, &body).is_err(), full);
                    if !full {
                        model.staged.push(body);
                        sent += 1;
                    }
                }
                Step::Publish => {
                    prop_assert_eq!(producer.publish(), !model.staged.is_empty());
                    model.published.extend(model.staged.drain(..));
                }
                Step::Poll(limit) => {
                    let mut got = Vec::new();
                    let mut out = [0; 200];
                    let each = |message: Message<'_>| got.push(message.copy_to(&mut out).to_vec());
                    let count = consumer.poll(limit, each).unwrap();
                    prop_assert_eq!(count, got.len());
                    let expected: Vec<_> = model.published.iter().skip(model.taken).take(count).cloned().collect();
                    prop_assert_eq!(got, expected);
                    model.taken += count;
                }
                Step::Pop => {
                    let mut got = None;
                    let mut out = [0; 200];
                    let there = consumer.take(&mut |message| got = Some(message.copy_to(&mut out).to_vec()));
                    let expected = model.published.get(model.taken).cloned();
                    prop_assert_eq!(there, Ok(expected.is_some()));
                    prop_assert_eq!(got, expected.clone());
                    model.taken += usize::from(expected.is_some());
                    prop_assert_eq!(consumer.is_ready(), model.published.len() > model.taken);
                }
                Step::Acknowledge => {
                    consumer.acknowledge();
                    prop_assert_eq!(consumer.acknowledged() - acknowledged, model.taken as u64);
                }
                Step::ProducerDies => {
                    model.staged.clear();
                    producer = ring.take_over_producer().unwrap();
                }
                Step::ConsumerDies => {
                    model.taken = 0;
                    consumer = ring.take_over_consumer().unwrap().tuned(touch, 0);
                }
                Step::BothDieAndReset => {
                    ring.reset().unwrap();
                    model = Model::default();
                    producer = ring.take_over_producer().unwrap();
                    consumer = ring.take_over_consumer().unwrap().tuned(touch, 0);
                    acknowledged = consumer.acknowledged();
                }
            }
            model.acknowledge(consumer.acknowledged() - acknowledged);
            acknowledged = consumer.acknowledged();
            prop_assert_eq!(ring.backlog(), Ok(model.published.len() as u64));
        }
    }

    /// Arbitrary bytes as header and slots: everything ends, nothing panics, nothing longer than a
    /// slot comes out.
    #[test]
    fn arbitrary_memory_is_survived(
        words in prop::collection::vec(any::<u64>(), 8 * 16),
        near in prop::collection::vec((0_u64..12, 0_u8..4, 0_u32..8, 0_usize..80), 8),
        tail: u64, head: u64, holders: (u32, u32),
    ) {
        let ring = ring(8, 64);
        for (slot, word) in ring.slots.iter().zip(&words) {
            slot.store(*word, Ordering::Relaxed);
        }
        for (slot, (index, epoch, kind, len)) in near.iter().enumerate() {
            ring.slots[slot * 16].store(Word::new(*index, *epoch, *kind, *len).0, Ordering::Relaxed);
        }
        for head in [head, head % 9] {
            ring.header.tail.position.store(tail, Ordering::Relaxed);
            ring.header.head.position.store(head, Ordering::Relaxed);
            ring.header.tail.holder.store(holders.0, Ordering::Relaxed);
            ring.header.head.holder.store(holders.1, Ordering::Relaxed);
            let mut out = [0; 64];
            let mut bound = 0;
            if let Ok(mut consumer) = ring.take_over_consumer() {
                while let Ok(1..) = consumer.poll(4, |message| { message.copy_to(&mut out); }) {
                    bound += 1;
                    prop_assert!(bound < 100);
                }
                let _ = consumer.pop(&mut Record::empty());
            }
            let _ = ring.backlog();
            let _ = ring.unread();
            if let Ok(mut producer) = ring.take_over_producer() {
                for _ in 0..9 {
                    let _ = producer.put(1, b"after");
                    producer.publish();
                }
            }
            let _ = ring.reset();
        }
    }
}

#[test]
fn a_stranger_reads_what_the_consumer_has_not_acknowledged() {
    let ring = ring(4, HEADER + 40);
    let (mut producer, mut consumer) = (ring.producer().unwrap(), ring.consumer().unwrap());
    let mut taken = Record::empty();
    for round in 0..20_u8 {
        for n in 0..3 {
            producer.push(2, &[round; HEADER], &vec![n; usize::from(n) * 20]).unwrap();
        }
        assert!(ring.unread().unwrap().is_empty(), "staged is not published");
        producer.publish();
        assert!(consumer.pop(&mut taken).unwrap());
        let seen = ring.unread().unwrap();
        assert_eq!((seen.len(), &seen[0]), (3, &taken), "taken is not acknowledged");
        for record in &seen[1..] {
            assert!(consumer.pop(&mut taken).unwrap());
            assert_eq!(record, &taken);
        }
        consumer.acknowledge();
        assert!(ring.unread().unwrap().is_empty());
    }
}

#[test]
fn two_threads_agree_on_content_and_order() {
    for touch in [false, true] {
        let ring = ring(64, 200);
        let (mut producer, consumer) = (ring.producer().unwrap(), ring.consumer().unwrap());
        let mut consumer = consumer.tuned(touch, 1);
        let last = 50_000_u32;
        let writer = std::thread::spawn(move || {
            for n in 0..last {
                let body = vec![n as u8; (n % 200) as usize];
                while producer.put(1 + n % 7, &body).is_err() {
                    producer.publish();
                    std::thread::yield_now();
                }
                if n % 7 == 0 {
                    producer.publish();
                }
            }
            producer.publish();
        });
        let mut n = 0;
        let mut out = [0; 200];
        while n < last {
            let each = |message: Message<'_>| {
                assert_eq!((message.kind(), message.len()), (1 + n % 7, (n % 200) as usize));
                assert!(message.copy_to(&mut out).iter().all(|byte| *byte == n as u8));
                n += 1;
            };
            if consumer.poll(256, each).unwrap() == 0 {
                std::thread::yield_now();
            }
        }
        writer.join().unwrap();
    }
}
