//! The rings of a fleet: many producers, one bitmap that says which may have something, one bell; killed
//! at each step of a producer's and of the consumer's work.

use super::ledger::{Journal, counts_from_one, demand, note};
use super::{End, Victim, arm, shm, was_killed};
use coordinator::bus::bitmap::ReadyBitmap;
use coordinator::bus::doorbell::Doorbell;
use coordinator::bus::mapping::Mapping;
use coordinator::bus::ring::{Consumer, Geometry, HEADER, Producer, Record, Ring, RingHeader};
use coordinator::bus::sync::call;
use std::path::Path;
use std::time::Duration;

const BODY: usize = 100;
const GEOMETRY: Geometry = Geometry::new(8, HEADER + BODY);
/// Two workers, in two words of the bitmap.
const INDICES: [usize; 2] = [3, 64];
const BELL_AT: u64 = 16 * 1024;
const HEADERS_AT: u64 = 20 * 1024;
const SLOTS_AT: u64 = 24 * 1024;

struct Parts {
    bitmap: &'static ReadyBitmap,
    bell: &'static Doorbell,
    rings: [Ring; 2],
}

fn parts(map: Mapping) -> Parts {
    const { assert!(size_of::<ReadyBitmap>() as u64 <= BELL_AT) };
    let map = map.leak();
    let rings = [0, 1].map(|number| {
        let words = map.slice(SLOTS_AT + number * GEOMETRY.bytes(), GEOMETRY.bytes() as usize / 8);
        Ring::new(map.at(HEADERS_AT + number * size_of::<RingHeader>() as u64), words, GEOMETRY)
    });
    Parts { bitmap: map.at(0), bell: map.at(BELL_AT), rings }
}

fn attach(dir: &Path) -> Parts {
    parts(Mapping::attach(&dir.join("fleet")).unwrap())
}

fn create(dir: &Path) -> Parts {
    parts(Mapping::create(&dir.join("fleet"), SLOTS_AT + 2 * GEOMETRY.bytes()).unwrap())
}

fn push(producer: &mut Producer, number: u64) {
    let mut header = [0; HEADER];
    header[..8].copy_from_slice(&number.to_ne_bytes());
    producer.push(1, &header, &vec![number as u8; BODY - number as usize]).unwrap();
}

fn check(record: &Record) -> Result<u64, String> {
    let number = record.header.first_chunk().map_or(0, |number| u64::from_ne_bytes(*number));
    let whole = record.body == vec![number as u8; BODY.saturating_sub(number as usize)];
    demand(whole, || format!("half a record: {record:?}"))?;
    Ok(number)
}

fn pop_all(consumer: &mut Consumer, heard: &mut Vec<u64>) -> Result<(), String> {
    let mut record = Record::empty();
    while consumer.pop(&mut record).map_err(|error| error.to_string())? {
        heard.push(check(&record)?);
        consumer.acknowledge();
    }
    Ok(())
}

/// Answers once, then twice at once.
pub fn worker(dir: &Path) {
    let parts = attach(dir);
    let mut producer = parts.rings[1].producer().unwrap();
    let mut told = Journal::told(dir).open();
    arm();
    for batch in [1..=1, 2..=3] {
        for number in batch.clone() {
            push(&mut producer, number);
        }
        producer.publish();
        parts.bitmap.set(INDICES[1]);
        parts.bell.ring();
        for number in batch {
            note(&mut told, number);
        }
    }
}

/// Waits, takes the bits, takes the records of each ring, records and acknowledges each.
pub fn coordinator(dir: &Path) {
    let parts = attach(dir);
    let mut consumers = parts.rings.map(|ring| ring.consumer().unwrap());
    let mut recorded = Journal::recorded(dir).open();
    arm();
    for _ in 0..2 {
        parts.bell.wait(Duration::from_millis(5), || !parts.bitmap.is_clear());
        parts.bitmap.take(|index| {
            let consumer = &mut consumers[index / 64];
            let mut record = Record::empty();
            while consumer.pop(&mut record).unwrap() {
                call();
                note(&mut recorded, check(&record).unwrap());
                consumer.acknowledge();
            }
        });
    }
}

fn worker_killed_at(at: u64) -> Result<bool, String> {
    let dir = shm();
    let parts = create(dir.path());
    let mut consumers = parts.rings.map(|ring| ring.consumer().unwrap());
    let mut neighbour = parts.rings[0].producer().unwrap();
    let killed = was_killed(Victim::start("worker", dir.path(), End::Killed, at, None).wait())?;

    // What its bit did not tell, the look at a dead one's ring finds.
    let mut heard = Vec::new();
    parts.bitmap.take(|_| {});
    pop_all(&mut consumers[1], &mut heard)?;
    let heard = counts_from_one("heard", &heard)?;
    let told = counts_from_one("told", &Journal::told(dir.path()).read())?;
    demand(heard >= told && heard != 2, || format!("told {told} were sent, heard {heard}"))?;

    // The neighbour and the successor are heard through bit and bell.
    let mut heir = parts.rings[1].take_over_producer().map_err(|error| error.to_string())?;
    for (producer, index) in [(&mut neighbour, INDICES[0]), (&mut heir, INDICES[1])] {
        push(producer, 7);
        producer.publish();
        parts.bitmap.set(index);
        parts.bell.ring();
        parts.bell.wait(super::WATCHDOG, || !parts.bitmap.is_clear());
        let mut ready = Vec::new();
        parts.bitmap.take(|index| ready.push(index));
        demand(ready == [index], || format!("ready: {ready:?}"))?;
        let mut heard = Vec::new();
        pop_all(&mut consumers[index / 64], &mut heard)?;
        demand(heard == [7], || format!("heard {heard:?}"))?;
    }
    Ok(killed)
}

fn coordinator_killed_at(at: u64) -> Result<bool, String> {
    const WAITING: u64 = 3;
    let dir = shm();
    let parts = create(dir.path());
    let mut producers = parts.rings.map(|ring| ring.producer().unwrap());
    for number in 1..=WAITING {
        push(&mut producers[1], number);
    }
    producers[1].publish();
    parts.bitmap.set(INDICES[1]);
    let killed = was_killed(Victim::start("coordinator", dir.path(), End::Killed, at, None).wait())?;

    let recorded = counts_from_one("recorded", &Journal::recorded(dir.path()).read())?;
    let mut heir = parts.rings[1].take_over_consumer().map_err(|error| error.to_string())?;
    let mut again = Vec::new();
    pop_all(&mut heir, &mut again)?;
    let first = again.first().copied().unwrap_or(WAITING + 1);
    let expected = again.iter().copied().eq(first..=WAITING) && first <= recorded + 1;
    demand(expected && first + 1 > recorded, || format!("recorded {recorded}, then {again:?}"))?;

    push(&mut producers[1], 8);
    producers[1].publish();
    parts.bitmap.set(INDICES[1]);
    parts.bell.ring();
    parts.bell.wait(super::WATCHDOG, || !parts.bitmap.is_clear());
    let mut heard = Vec::new();
    pop_all(&mut heir, &mut heard)?;
    demand(heard == [8], || format!("heard {heard:?}"))?;
    Ok(killed)
}

/// How many steps there were.
fn at_every_step(killed_at: fn(u64) -> Result<bool, String>) -> u64 {
    let mut at = 0;
    while killed_at(at).unwrap_or_else(|why| panic!("killed at step {at}: {why}")) {
        at += 1;
    }
    at
}

#[test]
fn a_worker_killed_at_any_step_is_heard_as_far_as_it_came_and_hides_no_neighbour() {
    println!("{} steps", at_every_step(worker_killed_at));
}

#[test]
fn a_coordinator_killed_at_any_step_leaves_its_successor_everything_it_had_not_recorded() {
    println!("{} steps", at_every_step(coordinator_killed_at));
}
