//! Two processes that flood each other, killed and stopped at random for as long as it takes; successors
//! take over each time, and at the end every record is accounted for.
//!
//! `KILLS` and `SEED` in the environment say how many and which; `cargo xtask storm` sets them.

use super::ledger::{PAYLOAD_MAX, Who, demand, number, payload};
use super::victim::{attach, path};
use super::{End, Victim, arm, shm, was_killed};
use coordinator::bus::channel::{Channel, Receiver, SendError, Sender, Side};
use coordinator::bus::copy::copy_in;
use coordinator::bus::mapping::Mapping;
use coordinator::bus::ring::Message;
use coordinator::bus::sync::{AtomicU64, Ordering};
use coordinator::bus::tune::Tuning;
use nix::sys::signal::Signal;
use nix::sys::wait::WaitStatus;
use std::path::Path;
use std::time::{Duration, Instant};

const SIDES: [Side; 2] = [Side::First, Side::Second];
/// A record's number: {generation of its writer: 24, count: 40}.
const COUNT_BITS: u32 = 40;
const STEPS_MAX: u64 = 20_000;

/// SplitMix64.
#[derive(Debug)]
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

fn who(side: Side) -> Who {
    if side == Side::First { Who::Victim } else { Who::Peer }
}

/// What both sides write down of the records from one of them, in shared memory of its own.
#[derive(Clone, Copy)]
struct Account {
    /// The last number that was recorded, how many came again, how often something was wrong.
    last: &'static AtomicU64,
    again: &'static AtomicU64,
    wrong: &'static AtomicU64,
    /// The generation that is at work on this side.
    serving: &'static AtomicU64,
    /// By generation: how many it may have sent, was told are sent, and are recorded; and how many
    /// nanoseconds it took to take over.
    tried: &'static [AtomicU64],
    told: &'static [AtomicU64],
    recorded: &'static [AtomicU64],
    took_ns: &'static [AtomicU64],
}

struct Books {
    stop: &'static AtomicU64,
    sides: [Account; 2],
}

impl Books {
    const HEAD: usize = 8;

    fn bytes(generations: usize) -> u64 {
        8 * (Self::HEAD + 2 * (Self::HEAD + 4 * generations)) as u64
    }

    fn open(map: Mapping) -> Self {
        let map = map.leak();
        let words: &[AtomicU64] = map.slice(0, map.bytes() as usize / 8);
        let (head, rest) = words.split_at(Self::HEAD);
        let account = |words: &'static [AtomicU64]| {
            let (head, rest) = words.split_at(Self::HEAD);
            let mut parts = rest.chunks(rest.len() / 4);
            let mut part = || parts.next().unwrap();
            Account {
                last: &head[0],
                again: &head[1],
                wrong: &head[2],
                serving: &head[3],
                tried: part(),
                told: part(),
                recorded: part(),
                took_ns: part(),
            }
        };
        let (first, second) = rest.split_at(rest.len() / 2);
        Self { stop: &head[0], sides: [account(first), account(second)] }
    }
}

/// Hears the records of `who`, each after the one before.
struct Ear {
    who: Who,
    account: Account,
    /// The last that this process heard.
    before: Option<u64>,
}

/// True if `number` comes next after `before`: the next of the same writer, or the first of a later one.
fn follows(before: u64, number: u64) -> bool {
    let count = number & ((1 << COUNT_BITS) - 1);
    number == before + 1 && before != 0 || (number >> COUNT_BITS > before >> COUNT_BITS && count == 1)
}

impl Ear {
    fn hear(&mut self, message: &Message<'_>) {
        let account = self.account;
        let last = account.last.load(Ordering::Relaxed);
        let Ok(number) = number(message, self.who) else {
            account.wrong.fetch_add(1, Ordering::Relaxed);
            return;
        };
        // What a predecessor recorded and did not acknowledge comes again, in order, and once.
        let in_order = match self.before {
            Some(before) => follows(before, number),
            None => number <= last || follows(last, number),
        };
        if !in_order || (number > last && !follows(last, number)) {
            account.wrong.fetch_add(1, Ordering::Relaxed);
        }
        self.before = Some(number);
        if number <= last {
            account.again.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let (generation, count) = (number >> COUNT_BITS, number & ((1 << COUNT_BITS) - 1));
        account.recorded[generation as usize].store(count, Ordering::Relaxed);
        account.last.store(number, Ordering::Release);
    }
}

/// One side, as its `role` says: "storm", the side, its generation, its seed.
pub fn side(dir: &Path, role: &str) {
    let mut words = role.split(' ').skip(1).map(|word| word.parse::<u64>().unwrap());
    let mut word = || words.next().unwrap();
    let (side, generation, seed) = (SIDES[word() as usize], word(), word());
    let books = Books::open(Mapping::attach(&dir.join("books")).unwrap());
    let channel = attach(dir);
    let (own, other) = (books.sides[side as usize], books.sides[side.other() as usize]);

    let begun = Instant::now();
    let ends = if generation == 1 { channel.ends(side) } else { channel.take_over(side) };
    let (sender, receiver) = ends.unwrap();
    own.took_ns[generation as usize].store(begun.elapsed().as_nanos() as u64, Ordering::Relaxed);
    own.serving.store(generation, Ordering::Release);
    arm();
    let ear = Ear { who: who(side.other()), account: other, before: None };
    Flood { sender, receiver, ear, own, who: who(side), generation, sent: 0, dice: Dice(seed) }
        .until(|| books.stop.load(Ordering::Acquire) != 0);
}

struct Flood {
    sender: Sender,
    receiver: Receiver,
    ear: Ear,
    own: Account,
    who: Who,
    generation: u64,
    /// Records sent.
    sent: u64,
    dice: Dice,
}

impl Flood {
    fn until(mut self, is_over: impl Fn() -> bool) {
        while !is_over() {
            let rounds = self.dice.below(8);
            for _ in 0..rounds {
                self.send();
            }
            let limit = 1 + self.dice.below(64) as usize;
            let ear = &mut self.ear;
            let taken = self.receiver.poll(limit, |message| ear.hear(&message)).unwrap();
            if taken == 0 && self.dice.below(16) == 0 {
                self.receiver.wait(Duration::from_millis(1));
            }
        }
    }

    fn payload(&self, ahead: u64) -> Vec<u8> {
        payload(self.who, self.generation << COUNT_BITS | (self.sent + ahead))
    }

    fn send(&mut self) {
        let index = self.generation as usize;
        let batch = 1 + self.dice.below(6);
        self.own.tried[index].store(self.sent + batch, Ordering::Relaxed);
        let bytes = self.payload(1);
        let (records, sent) = match self.dice.below(5) {
            0 => (1, self.sender.try_send(1, &bytes)),
            1 => (1, self.sender.try_send_control(2, &bytes)),
            2 => (1, self.sender.send(1, &bytes, Duration::from_micros(100))),
            3 => {
                let claimed = self.sender.claim().map(|claim| {
                    copy_in(claim.words(), &bytes);
                    claim.commit(1, bytes.len());
                });
                (1, claimed.and_then(|()| self.sender.flush()))
            }
            _ => {
                let staged = (1..=batch)
                    .take_while(|ahead| self.sender.stage(1, &self.payload(*ahead)).is_ok())
                    .count();
                (staged as u64, self.sender.flush())
            }
        };
        match sent {
            Ok(()) => {
                self.sent += records;
                self.own.told[index].store(self.sent, Ordering::Release);
            }
            Err(SendError::Full | SendError::TimedOut(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

/// A side as the storm sees it.
struct Target {
    side: Side,
    generation: u64,
    victim: Victim,
    /// It ends by itself, at a step that was chosen for it.
    doomed: bool,
    started: Instant,
}

struct Storm<'a> {
    dir: &'a Path,
    channel: Channel,
    books: Books,
    dice: Dice,
    /// From the start of a successor until it serves.
    served: Vec<Duration>,
    stops: u64,
}

impl Storm<'_> {
    fn start(&mut self, side: Side, generation: u64, doomed: bool) -> Target {
        let role = format!("storm {} {generation} {}", side as usize, self.dice.next());
        let at = if doomed { self.dice.below(STEPS_MAX) } else { u64::MAX };
        let started = Instant::now();
        let victim = Victim::start(&role, self.dir, End::Killed, at, None);
        Target { side, generation, victim, doomed, started }
    }

    fn serves(&self, target: &Target) -> bool {
        self.books.sides[target.side as usize].serving.load(Ordering::Acquire) == target.generation
    }

    fn until_it_serves(&mut self, target: &Target) {
        while !self.serves(target) {
            assert!(target.started.elapsed() < super::WATCHDOG, "a successor never serves");
            std::thread::park_timeout(Duration::from_micros(100));
        }
        self.served.push(target.started.elapsed());
    }

    /// Stands still for a while, and is not taken for dead.
    fn stop(&mut self, target: &Target) -> Result<(), String> {
        target.victim.signal(Signal::SIGSTOP);
        let status = target.victim.wait();
        demand(matches!(status, WaitStatus::Stopped(..)), || format!("{status:?}"))?;
        let refused = self.channel.take_over(target.side).err().map(|error| error.to_string());
        demand(refused.as_ref().is_some_and(|why| why.contains("is alive")), || format!("{refused:?}"))?;
        std::thread::park_timeout(Duration::from_micros(self.dice.below(2000)));
        self.stops += 1;
        if self.dice.below(2) == 0 {
            target.victim.signal(Signal::SIGCONT);
        }
        Ok(())
    }

    /// Ends it, in one of the ways there are, and starts its successor.
    fn replace(&mut self, target: &mut Target) -> Result<(), String> {
        if !target.doomed {
            if self.dice.below(8) == 0 {
                self.stop(target)?;
            }
            target.victim.signal(Signal::SIGKILL);
        }
        let killed = was_killed(target.victim.wait())?;
        demand(killed, || "a side came to its end by itself".to_owned())?;
        let doomed = self.dice.below(3) == 0;
        *target = self.start(target.side, target.generation + 1, doomed);
        Ok(())
    }

    /// After the last: what is in the rings is heard, and everything adds up.
    fn settle(&self, targets: &[Target]) -> Result<(u64, u64), String> {
        self.books.stop.store(1, Ordering::Release);
        for target in targets {
            // One that was to end at a step may or may not have come to it.
            was_killed(target.victim.wait())?;
        }
        let mut records = (0, 0);
        for side in SIDES {
            let account = self.books.sides[side.other() as usize];
            let (_sender, mut receiver) = self.channel.take_over(side).map_err(|error| error.to_string())?;
            let mut ear = Ear { who: who(side.other()), account, before: None };
            while receiver.poll(256, |message| ear.hear(&message)).map_err(|error| error.to_string())? > 0 {}
        }
        for (side, account) in SIDES.iter().zip(self.books.sides) {
            let wrong = account.wrong.load(Ordering::Acquire);
            demand(wrong == 0, || format!("{wrong} records of {side:?} were torn, missing or out of order"))?;
            for generation in 0..account.tried.len() {
                let [tried, told, recorded] = [account.tried, account.told, account.recorded]
                    .map(|part| part[generation].load(Ordering::Acquire));
                demand(told <= recorded && recorded <= tried, || {
                    format!("{side:?}, generation {generation}: {told} told, {recorded} heard, {tried} tried")
                })?;
                records.0 += recorded;
            }
            records.1 += account.again.load(Ordering::Acquire);
        }
        Ok(records)
    }
}

fn quantiles(mut times: Vec<Duration>) -> String {
    times.sort();
    let at = |share: usize| times[(times.len() - 1) * share / 100];
    format!("p50 {:?}, p99 {:?}, max {:?}", at(50), at(99), at(100))
}

fn from_environment(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap())
}

#[test]
fn a_storm_of_kills_loses_nothing_repeats_nothing_and_reorders_nothing() {
    let (kills, seed) = (from_environment("KILLS", 60), from_environment("SEED", 1));
    let dir = shm();
    let begun = Instant::now();
    let tuning = Tuning { touch: seed % 2 == 0, ..Tuning::PLAIN };
    let channel = Channel::create_tuned(&path(dir.path()), 64, PAYLOAD_MAX, tuning).unwrap();
    let books = Mapping::create(&dir.path().join("books"), Books::bytes(kills as usize + 8)).unwrap();
    let (books, dice) = (Books::open(books), Dice(seed));
    let mut storm = Storm { dir: dir.path(), channel, books, dice, served: Vec::new(), stops: 0 };

    let mut targets = SIDES.map(|side| storm.start(side, 1, false));
    let mut left = kills;
    while left > 0 {
        for target in &targets {
            if !target.doomed {
                storm.until_it_serves(target);
            }
        }
        std::thread::park_timeout(Duration::from_micros(storm.dice.below(3000)));
        // One of them, or both at once.
        let chosen = 1 + storm.dice.below(3);
        for (bit, target) in [1, 2].into_iter().zip(&mut targets) {
            if chosen & bit != 0 && left > 0 {
                storm.replace(target).unwrap_or_else(|why| panic!("seed {seed}, {left} left: {why}"));
                left -= 1;
            }
        }
    }
    for target in &targets {
        if !target.doomed {
            storm.until_it_serves(target);
        }
    }
    let (records, again) = storm.settle(&targets).unwrap_or_else(|why| panic!("seed {seed}: {why}"));
    let took = storm.books.sides.iter().flat_map(|account| account.took_ns.iter().skip(2));
    let took = took.map(|ns| Duration::from_nanos(ns.load(Ordering::Relaxed))).filter(|took| !took.is_zero());
    println!(
        "seed {seed}: {kills} kills, {} stops, {records} records heard once, {again} again by successors, in {:?}\n\
         take-over: {}\nprocess started to serving: {}",
        storm.stops,
        begun.elapsed(),
        quantiles(took.collect()),
        quantiles(storm.served),
    );
}
