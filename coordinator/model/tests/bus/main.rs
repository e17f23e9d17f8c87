//! Every order in which the steps of a few threads can come, and everything that each may see of the
//! others' memory, for models small enough to try them all.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod bugs;
mod passing;
mod records;
mod sealing;
mod sleeping;
mod succession;

use bus_model::doorbell::Doorbell;
use bus_model::ring::{Consumer, Geometry, Message, Producer, Ring, RingHeader};
use bus_model::sync::AtomicU64;
use loom::model::Builder;

fn check(model: impl Fn() + Sync + Send + 'static) {
    Builder::new().check(model);
}

/// All orders with at most so many switches away from a thread that could go on, for models with too
/// many to try them all: nearly all bugs of this kind need no more than two.
fn check_within(switches: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(switches);
    builder.check(model);
}

/// A new ring for `records` of 8 bytes.
fn ring(records: u64) -> Ring {
    let geometry = Geometry::new(records, 8);
    let words: Vec<AtomicU64> = (0..geometry.bytes() / 8).map(|_| AtomicU64::new(0)).collect();
    Ring::new(Box::leak(Box::new(RingHeader::new())), Box::leak(words.into_boxed_slice()), geometry)
}

fn bell() -> &'static Doorbell {
    Box::leak(Box::default())
}

fn put(producer: &mut Producer, value: u64) -> bool {
    producer.put(1, &value.to_ne_bytes()).is_ok()
}

fn value(message: &Message<'_>) -> u64 {
    u64::from_ne_bytes(message.copy_to(&mut [0; 8]).try_into().unwrap())
}

fn take(consumer: &mut Consumer) -> Option<u64> {
    let mut got = None;
    consumer.take(&mut |message| got = Some(value(&message))).unwrap();
    got
}

/// What there is at this moment, through `poll`.
fn heard(consumer: &mut Consumer) -> Vec<u64> {
    let mut got = Vec::new();
    while consumer.poll(16, |message| got.push(value(&message))).unwrap() > 0 {}
    got
}

/// Takes until `count` have come.
fn take_all(consumer: &mut Consumer, count: usize) -> Vec<u64> {
    let mut got = Vec::new();
    while got.len() < count {
        match take(consumer) {
            Some(value) => got.push(value),
            None => loom::thread::yield_now(),
        }
    }
    got
}
