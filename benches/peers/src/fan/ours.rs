//! Our bus: a pair of rings and a doorbell a worker, one bitmap and one doorbell in the middle, all in one file.

use super::{Book, SIZE, Star, check};
use crate::payload::{Fill, See, Stamped};
use anyhow::{Context, Result, anyhow, bail};
use coordinator::bus::bitmap::ReadyBitmap;
use coordinator::bus::doorbell::Doorbell;
use coordinator::bus::mapping::Mapping;
use coordinator::bus::ring::{Consumer, Geometry, Message, Producer, Ring, RingHeader};
use coordinator::bus::spin::Spin;
use coordinator::bus::tune::Tuning;
use std::path::Path;
use std::time::Duration;

/// More than any window.
const RECORDS: u64 = 32;
const KIND: u32 = 1;
const WAIT: Duration = Duration::from_secs(1);
const LINES: u64 = 128;

#[derive(Clone, Copy)]
pub struct Region {
    map: &'static Mapping,
    tuning: Tuning,
    workers: usize,
}

const fn geometry() -> Geometry {
    Geometry::new(RECORDS, SIZE)
}

const BITMAP_AT: u64 = size_of::<Doorbell>() as u64;
const WORKERS_AT: u64 = (BITMAP_AT + size_of::<ReadyBitmap>() as u64).next_multiple_of(LINES);
/// A worker's bell and the headers of its two rings.
const BELL_BYTES: u64 = size_of::<Doorbell>() as u64;
const WORKER_BYTES: u64 = (BELL_BYTES + 2 * size_of::<RingHeader>() as u64).next_multiple_of(LINES);

/// From the middle to a worker, and back.
#[derive(Clone, Copy)]
enum Way {
    Down,
    Up,
}

impl Region {
    fn slots_at(self) -> u64 {
        (WORKERS_AT + self.workers as u64 * WORKER_BYTES).next_multiple_of(4096)
    }

    fn bell(self) -> &'static Doorbell {
        self.map.at(0)
    }

    fn ready(self) -> &'static ReadyBitmap {
        self.map.at(BITMAP_AT)
    }

    fn worker_bell(self, worker: usize) -> &'static Doorbell {
        self.map.at(WORKERS_AT + worker as u64 * WORKER_BYTES)
    }

    fn ring(self, worker: usize, way: Way) -> Ring {
        let header = WORKERS_AT
            + worker as u64 * WORKER_BYTES
            + BELL_BYTES
            + way as u64 * size_of::<RingHeader>() as u64;
        let slots = self.slots_at() + (2 * worker as u64 + way as u64) * geometry().bytes();
        Ring::new(self.map.at(header), self.map.slice(slots, geometry().bytes() as usize / 8), geometry())
    }

    /// The ends that send on the one way and hear on the other.
    fn ends(self, worker: usize, out: Way, back: Way) -> Result<(Producer, Consumer)> {
        let producer = self.ring(worker, out).producer().context("the ring has its producer")?;
        let consumer = self.ring(worker, back).consumer().context("the ring has its consumer")?;
        Ok((producer, consumer.tuned(self.tuning.touch, self.tuning.step)))
    }
}

fn put(producer: &mut Producer, message: Stamped<SIZE>) -> Result<()> {
    let mut bytes = [0; SIZE];
    message.bytes(&mut bytes);
    producer.put(KIND, &bytes).map_err(|_| anyhow!("a ring of {RECORDS} records is full"))
}

impl Star for Region {
    fn prepare(workers: usize, window: usize, room: &Path) -> Result<Self> {
        if window as u64 > RECORDS {
            bail!("a window of {window} in rings of {RECORDS} records");
        }
        let tuning = Tuning::get();
        let slots_at = (WORKERS_AT + workers as u64 * WORKER_BYTES).next_multiple_of(4096);
        let bytes = slots_at + 2 * workers as u64 * geometry().bytes();
        let map = Mapping::create(&room.join("region"), bytes)?;
        let tuning = Tuning { spin: tuning.spin_among(workers + 1), ..tuning };
        Ok(Self { map: map.leak(), tuning, workers })
    }

    fn answer(&self, worker: usize) -> Result<()> {
        let (mut producer, mut consumer) = self.ends(worker, Way::Up, Way::Down)?;
        let mut spin = Spin::new(self.tuning.spin);
        let mut check = check();
        let mut copy = [0; SIZE];
        loop {
            let mut failed = Ok(());
            let taken = consumer.poll(RECORDS as usize, |message: Message<'_>| {
                check.bytes(message.copy_to(&mut copy));
                if failed.is_ok() {
                    failed = put(&mut producer, Stamped { number: check.seen() - 1, stamp: 0 });
                }
            })?;
            failed?;
            check.verdict()?;
            if taken > 0 {
                consumer.acknowledge();
                producer.publish();
                self.ready().set(worker);
                self.bell().ring();
                continue;
            }
            if !spin.until(|| consumer.is_ready()) {
                consumer.acknowledge();
                self.worker_bell(worker).wait(WAIT, || consumer.is_ready());
            }
        }
    }

    fn ask(&self, book: &mut Book) -> Result<()> {
        let mut ends: Vec<(Producer, Consumer)> =
            (0..book.workers).map(|worker| self.ends(worker, Way::Down, Way::Up)).collect::<Result<_>>()?;
        let mut spin = Spin::new(self.tuning.spin);
        let mut copy = [0; SIZE];
        for (worker, (producer, _)) in ends.iter_mut().enumerate() {
            for _ in 0..book.window {
                if let Some(question) = book.next(worker) {
                    put(producer, question)?;
                }
            }
            producer.publish();
            self.worker_bell(worker).ring();
        }
        while !book.is_done() {
            let mut failed = Ok(());
            self.ready().take(|worker| {
                if failed.is_ok() {
                    failed = self.serve(worker, &mut ends[worker], book, &mut copy);
                }
            });
            failed?;
            if !spin.until(|| !self.ready().is_clear()) {
                self.bell().wait(WAIT, || !self.ready().is_clear());
            }
        }
        Ok(())
    }
}

impl Region {
    /// Takes a worker's answers and asks it as many questions again.
    fn serve(
        self,
        worker: usize,
        (producer, consumer): &mut (Producer, Consumer),
        book: &mut Book,
        copy: &mut [u8; SIZE],
    ) -> Result<()> {
        let mut served = 0;
        // One look need not find everything, and the bit is gone: go on, but not past what is the others' turn.
        while served < book.window {
            let check = &mut book.checks[worker];
            let taken =
                consumer.poll(RECORDS as usize, |message: Message<'_>| check.bytes(message.copy_to(copy)))?;
            consumer.acknowledge();
            book.answers(worker, taken)?;
            for _ in 0..taken {
                if let Some(question) = book.next(worker) {
                    put(producer, question)?;
                }
            }
            served += taken;
            if !consumer.is_ready() {
                break;
            }
        }
        if consumer.is_ready() {
            self.ready().set(worker);
        }
        producer.publish();
        self.worker_bell(worker).ring();
        Ok(())
    }
}
