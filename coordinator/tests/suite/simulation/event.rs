//! What can happen, one event a step; and storms of it.
//!
//! An event that does not apply is passed over, so a list stays a list when some of it is taken out.

/// In `cut`: who does this is killed after so many of its stores. `None`: it lives.
pub type Cut = Option<u8>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    Well,
    /// A command that ends with another status than 0.
    Badly,
    Refused,
    /// The attempt has had its time.
    Overtime,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// Time goes on.
    Tick {
        ms: u16,
    },

    // The client.
    /// `worker`: `None` for any. `life_ms`: until the deadline. `retry`: failures are tried again.
    Send {
        task: u64,
        coord: usize,
        worker: Option<u16>,
        life_ms: u16,
        retry: bool,
    },
    /// What was returned, or never taken by one who is gone, goes to another coordinator.
    Resend {
        coord: usize,
    },
    Cancel {
        task: u64,
    },
    Poll {
        coord: usize,
    },
    /// Whom no coordinator has told of is given up.
    GiveUp,
    /// Looks whether coordinators are gone for good.
    Look,

    // A coordinator.
    Accept {
        coord: usize,
        cut: Cut,
    },
    Obey {
        coord: usize,
        cut: Cut,
    },
    /// From the queues into the workers' rings.
    HandOver {
        coord: usize,
        cut: Cut,
    },
    Drain {
        coord: usize,
        worker: u16,
        cut: Cut,
    },
    Tell {
        coord: usize,
        cut: Cut,
    },
    Expire {
        coord: usize,
        cut: Cut,
    },
    /// Pauses between attempts are over.
    Resume {
        coord: usize,
    },
    /// All workers that have died since, in one pass.
    Reap {
        coord: usize,
        cut: Cut,
    },
    Fork {
        coord: usize,
    },
    /// Others have more capacity: what waits here for any worker goes back to the client.
    Spill {
        coord: usize,
        cut: Cut,
    },
    /// Looks at its workers' progress, and ends who hangs.
    Watch {
        coord: usize,
    },
    /// By its load: starts workers, or has some retire.
    Scale {
        coord: usize,
    },
    /// Everything sent is in the table; stands still for a backup.
    Pause {
        coord: usize,
        cut: Cut,
    },
    KillCoordinator {
        coord: usize,
    },
    StallCoordinator {
        coord: usize,
    },
    WakeCoordinator {
        coord: usize,
    },

    // A worker.
    Begin {
        coord: usize,
        worker: u16,
    },
    Answer {
        coord: usize,
        worker: u16,
        how: How,
        cut: Cut,
    },
    Beat {
        coord: usize,
        worker: u16,
    },
    KillWorker {
        coord: usize,
        worker: u16,
    },
    StallWorker {
        coord: usize,
        worker: u16,
    },
    WakeWorker {
        coord: usize,
        worker: u16,
    },
    /// Its coordinator is dead, and it is not seen by who waits for its end.
    Escape {
        coord: usize,
        worker: u16,
    },
    /// Such a one publishes an answer to what it had.
    Haunt {
        coord: usize,
    },

    // The supervisor.
    /// The dead one's region gets a successor, or is settled.
    Succeed {
        coord: usize,
        cut: Cut,
    },
    /// Looks at the coordinators' progress, and ends who hangs.
    WatchAll,
    Retire {
        coord: usize,
    },
    Start {
        coord: usize,
    },

    // An operator.
    Revive {
        coord: usize,
        task: u64,
    },
    DropLetter {
        coord: usize,
        task: u64,
    },
    /// All coordinators have paused: their tables are copied.
    Backup,
    /// They go on.
    Go,
    /// The host is lost; another fleet begins with what the last backup says.
    Restore,
}

pub use crate::support::random::Random;

/// What a storm is made of, with weights that differ from storm to storm: some are calm, some deadly.
#[derive(Debug)]
pub struct Storm {
    random: Random,
    coordinators: u64,
    workers: u64,
    /// One in so many actions is cut short.
    cuts: u64,
    /// Kills, stalls and what an operator does, of a thousand events.
    trouble: u64,
    /// One in so many events concerns a dead letter, or makes a worker late.
    letters: u64,
    /// A client sends once where another one would so many times.
    quiet: u64,
    /// What tasks have until their deadlines, ms.
    lives: [u16; 4],
    sent: u64,
}

impl Storm {
    pub fn new(seed: u64, coordinators: usize, workers: u16) -> Self {
        let mut random = Random(seed);
        random.next();
        let cuts = [12, 25, 60, 400][random.below(4) as usize];
        let trouble = [3, 10, 25, 60][random.below(4) as usize];
        let (letters, lives) =
            if random.one_in(2) { (20, [4, 8, 15, 400]) } else { (1000, [15, 60, 400, 5000]) };
        let quiet = [1, 1, 10][random.below(3) as usize];
        let (coordinators, workers) = (coordinators as u64, workers.into());
        Self { random, coordinators, workers, cuts, trouble, letters, quiet, lives, sent: 0 }
    }

    /// The next event for which `applies` says so; some other after a few tries.
    pub fn next(&mut self, applies: impl Fn(&Event) -> bool) -> Event {
        let mut event = self.any();
        for _ in 0..12 {
            if applies(&event) {
                break;
            }
            event = self.any();
        }
        event
    }

    fn any(&mut self) -> Event {
        let coord = self.random.below(self.coordinators) as usize;
        let worker = self.random.below(self.workers) as u16;
        let cut = self.random.one_in(self.cuts).then(|| self.random.below(14) as u8);
        if self.random.one_in(self.letters) {
            let task = self.some_task();
            return if self.random.one_in(4) {
                Event::StallWorker { coord, worker }
            } else {
                Event::Revive { coord, task }
            };
        }
        if self.random.below(1000) < self.trouble {
            return self.trouble(coord, worker, cut);
        }
        match self.random.below(120) {
            0..=15 if self.random.one_in(self.quiet) => self.send(coord, worker),
            0..=17 | 117 => Event::Resend { coord },
            18 => Event::Cancel { task: self.some_task() },
            19..=25 => Event::Poll { coord },
            26..=37 => Event::Accept { coord, cut },
            38 | 108..=112 => {
                let cut = self.random.one_in(self.cuts / 3).then(|| self.random.below(12) as u8);
                Event::Obey { coord, cut }
            }
            39..=48 => Event::HandOver { coord, cut },
            49..=62 => Event::Begin { coord, worker },
            63..=76 => {
                let how = match self.random.below(12) {
                    0 => How::Badly,
                    1 => How::Refused,
                    2 => How::Overtime,
                    _ => How::Well,
                };
                Event::Answer { coord, worker, how, cut }
            }
            77..=84 => Event::Drain { coord, worker, cut },
            85..=90 => Event::Tell { coord, cut },
            91 => Event::Resume { coord },
            92..=93 => Event::Reap { coord, cut },
            94..=95 => Event::Fork { coord },
            96..=97 => Event::Succeed { coord, cut },
            98 | 113..=116 => Event::Expire { coord, cut },
            99 => Event::Tick { ms: 1 + self.random.below(3) as u16 },
            100 if self.random.one_in(6) => Event::WakeCoordinator { coord },
            101 if self.random.one_in(6) => Event::WakeWorker { coord, worker },
            102 => Event::Watch { coord },
            103 if self.random.one_in(4) => Event::WatchAll,
            103 if self.random.one_in(3) => Event::Scale { coord },
            104 => Event::Spill { coord, cut },
            105 => Event::Go,
            106 => Event::Start { coord },
            107 => Event::Look,
            _ => Event::Beat { coord, worker },
        }
    }

    fn send(&mut self, coord: usize, worker: u16) -> Event {
        self.sent += 1;
        Event::Send {
            task: self.sent,
            coord,
            worker: self.random.one_in(2).then_some(worker),
            life_ms: self.lives[self.random.below(4) as usize],
            retry: self.random.one_in(3),
        }
    }

    /// Mostly one of the last.
    fn some_task(&mut self) -> u64 {
        let back = if self.random.one_in(4) { self.sent } else { 16 };
        self.sent.saturating_sub(self.random.below(back.max(1)))
    }

    fn trouble(&mut self, coord: usize, worker: u16, cut: Cut) -> Event {
        match self.random.below(52) {
            0..=8 => Event::KillWorker { coord, worker },
            9..=11 => Event::KillCoordinator { coord },
            12..=16 => Event::StallWorker { coord, worker },
            17..=18 => Event::StallCoordinator { coord },
            19..=23 => Event::Escape { coord, worker },
            24..=28 => Event::Haunt { coord },
            29..=30 => Event::Scale { coord },
            31..=33 => Event::Spill { coord, cut },
            34..=35 => Event::Retire { coord },
            36..=40 => Event::Revive { coord, task: self.some_task() },
            41 => Event::DropLetter { coord, task: self.some_task() },
            42..=43 => Event::Pause { coord, cut },
            44 => Event::Backup,
            45 if self.random.one_in(4) => Event::Restore,
            46..=47 => Event::GiveUp,
            _ => Event::Tick { ms: 5 + self.random.below(40) as u16 },
        }
    }
}
