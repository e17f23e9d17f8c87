//! The floor: a word a worker, a futex wake each, and one wake back when the last of a round has answered.
//!
//! No payload moves and no particular worker is waited for, so nothing that wakes as many processes is faster.

use super::{Book, Star};
use crate::payload::{See, Stamped};
use crate::shared::{Half, Shared};
use anyhow::{Result, bail};
use rustix::thread::futex;
use std::path::Path;
use std::sync::atomic::Ordering;

pub struct Futexes {
    /// A round's number, by worker.
    asked: Shared<Half>,
    /// How many have answered this round, and the number of the last round that all have.
    answered: Shared<Half>,
    workers: u32,
}

const COUNT: usize = 0;
const ROUND: usize = 1;

impl Star for Futexes {
    fn prepare(workers: usize, window: usize, _room: &Path) -> Result<Self> {
        if window != 1 {
            bail!("the bare futex asks one question at a time");
        }
        Ok(Self { asked: Shared::new(workers)?, answered: Shared::new(2)?, workers: workers as u32 })
    }

    fn answer(&self, worker: usize) -> Result<()> {
        let word = &self.asked[worker].0;
        let mut last = 0;
        loop {
            let now = word.load(Ordering::Acquire);
            if now == last {
                let _ = futex::wait(word, futex::Flags::empty(), last, None);
                continue;
            }
            if now != last + 1 {
                bail!("asked {now} after {last}");
            }
            last = now;
            if self.answered[COUNT].0.fetch_add(1, Ordering::AcqRel) + 1 == self.workers {
                let round = &self.answered[ROUND].0;
                round.store(now, Ordering::Release);
                futex::wake(round, futex::Flags::empty(), 1)?;
            }
        }
    }

    fn ask(&self, book: &mut Book) -> Result<()> {
        let mut round = 0;
        while !book.is_done() {
            self.answered[COUNT].0.store(0, Ordering::Release);
            for asked in self.asked.iter() {
                asked.0.store(round + 1, Ordering::Release);
                futex::wake(&asked.0, futex::Flags::empty(), 1)?;
            }
            let all = &self.answered[ROUND].0;
            while all.load(Ordering::Acquire) == round {
                let _ = futex::wait(all, futex::Flags::empty(), round, None);
            }
            for worker in 0..book.workers {
                // no payload moved: the round's number is the answer
                let mut message = [0; super::SIZE];
                crate::payload::Fill::bytes(
                    Stamped::<{ super::SIZE }> { number: round.into(), stamp: 0 },
                    &mut message,
                );
                book.checks[worker].bytes(&message);
                book.answers(worker, 1)?;
            }
            round += 1;
        }
        Ok(())
    }
}
