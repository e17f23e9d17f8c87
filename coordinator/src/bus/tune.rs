//! What suits this machine's caches and processors, measured once per process.
//!
//! Three figures: how long a `spin_loop` hint takes (from 9 to 45 ns on the machines seen), whether
//! writing into lines that were read makes the next transfer cheaper (three times on some AMD
//! machines; nothing, or a loss, on others), and what a sleep and a wake cost. They change how fast
//! the bus is and never what it does, so a process that was moved to another processor since, or that
//! measured while others were busy, is merely slower.

use super::doorbell::Doorbell;
use super::ring::{Geometry, Ring, RingHeader};
use super::sync::{AtomicU64, Ordering, spin_loop};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// A step of a consumer's pause.
const STEP: Duration = Duration::from_nanos(26);
/// Records of a sample, and samples of each kind: about ten milliseconds in all.
const RECORDS: u64 = 20_000;
const SAMPLES: usize = 3;
/// Touching must gain this much to be chosen: what is written for nothing is not free elsewhere.
const GAIN: f64 = 1.5;
/// Wakes that are timed.
const WAKES: u64 = 16;
const SPIN_MAX: Duration = Duration::from_micros(200);
/// With more processes per processor than this, none spins. (Measured with 2 processors: 16 workers do twice
/// as many rounds if they spin, 708 do more if they do not.)
const CROWD: usize = 16;
/// The longest wait of a measurement whose other thread does not answer.
const WATCHDOG: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tuning {
    /// Consumers write a word into every line they have read.
    pub touch: bool,
    /// `spin_loop` hints of a step of pause.
    pub step: u32,
    /// How long to look before going to sleep; zero where there is one processor.
    pub spin: Duration,
}

impl Tuning {
    /// For callers that do not measure.
    pub const PLAIN: Self = Self { touch: false, step: 1, spin: Duration::ZERO };

    /// How long to spin where `processes` of the same bus share this machine: with many more of them than
    /// processors, a process that spins takes that time from the ones it waits for.
    pub fn spin_among(&self, processes: usize) -> Duration {
        if processes > CROWD * allowed().len() { Duration::ZERO } else { self.spin }
    }

    /// Of this process, measured at the first call.
    pub fn get() -> Self {
        static TUNING: OnceLock<Tuning> = OnceLock::new();
        *TUNING.get_or_init(measure)
    }
}

fn measure() -> Tuning {
    let step = step();
    let processors = allowed();
    let [.., first, second] = processors[..] else {
        return Tuning { step, ..Tuning::PLAIN };
    };
    let mut samples: [Vec<f64>; 2] = [Vec::new(), Vec::new()];
    for _ in 0..SAMPLES {
        for touch in [false, true] {
            samples[usize::from(touch)].push(one_way(touch, step, first, second));
        }
    }
    let [plain, touching] = samples.map(median);
    let spin = Duration::from_nanos((0..3).map(|_| wake(first, second).as_nanos() as u64).min().unwrap_or(0));
    Tuning { touch: plain > touching * GAIN, step, spin: (spin * 2).min(SPIN_MAX) }
}

fn step() -> u32 {
    const HINTS: u32 = 2_000;
    let began = Instant::now();
    for _ in 0..HINTS {
        spin_loop();
    }
    let hint = began.elapsed().as_secs_f64() / f64::from(HINTS);
    ((STEP.as_secs_f64() / hint).round() as u32).clamp(1, 64)
}

/// The processors this process may run on.
fn allowed() -> Vec<usize> {
    let Ok(set) = rustix::thread::sched_getaffinity(None) else { return Vec::new() };
    (0..rustix::thread::CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu)).collect()
}

/// For a thread of ours that ends soon. Not getting it costs accuracy only.
fn pin(cpu: usize) {
    let mut set = rustix::thread::CpuSet::new();
    set.set(cpu);
    let _ = rustix::thread::sched_setaffinity(None, &set);
}

/// Nanoseconds a record, from one thread to another.
fn one_way(touch: bool, step: u32, first: usize, second: usize) -> f64 {
    let geometry = Geometry::new(1024, 64);
    // Small, and once a process: it stays.
    let header = Box::leak(Box::new(RingHeader::new()));
    let slots: Vec<AtomicU64> = (0..geometry.bytes() / 8).map(|_| AtomicU64::new(0)).collect();
    let ring = Ring::new(header, Box::leak(slots.into_boxed_slice()), geometry);
    let (Some(mut producer), Some(consumer)) = (ring.producer(), ring.consumer()) else { return 0.0 };
    let mut consumer = consumer.tuned(touch, step);
    let reader = std::thread::spawn(move || {
        pin(second);
        let (mut taken, mut out) = (0, [0; 64]);
        let began = Instant::now();
        while taken < RECORDS && began.elapsed() < WATCHDOG {
            let each = |message: super::ring::Message<'_>| {
                std::hint::black_box(message.copy_to(&mut out));
            };
            taken += consumer.poll(256, each).unwrap_or(0) as u64;
        }
        began.elapsed()
    });
    let writer = std::thread::spawn(move || {
        pin(first);
        let began = Instant::now();
        for _ in 0..RECORDS {
            while producer.put(1, std::hint::black_box(&[7; 64])).is_err() {
                if began.elapsed() >= WATCHDOG {
                    return;
                }
                spin_loop();
            }
            producer.publish();
        }
    });
    let _ = writer.join();
    reader.join().map_or(0.0, |took| took.as_secs_f64() * 1e9 / RECORDS as f64)
}

/// From the ring of a bell to the sleeper's next step.
fn wake(first: usize, second: usize) -> Duration {
    let bells: &'static [Doorbell; 2] = Box::leak(Box::new([Doorbell::new(), Doorbell::new()]));
    let turn: &'static AtomicU64 = Box::leak(Box::new(AtomicU64::new(0)));
    let play = move |mine: u64, cpu: usize| {
        pin(cpu);
        let began = Instant::now();
        for round in 0..WAKES {
            let my_turn = || turn.load(Ordering::Acquire) >= 2 * round + mine;
            while !my_turn() {
                if began.elapsed() >= WATCHDOG {
                    return WATCHDOG;
                }
                bells[mine as usize].wait(WATCHDOG, my_turn);
            }
            turn.fetch_add(1, Ordering::AcqRel);
            bells[1 - mine as usize].ring();
        }
        began.elapsed() / (2 * WAKES as u32)
    };
    let other = std::thread::spawn(move || play(1, second));
    let took = std::thread::spawn(move || play(0, first)).join().unwrap_or(WATCHDOG);
    let _ = other.join();
    took
}

fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_in_a_crowd_do_not_spin() {
        let tuning = Tuning { spin: Duration::from_micros(50), ..Tuning::PLAIN };
        assert_eq!(tuning.spin_among(2), tuning.spin);
        assert_eq!(tuning.spin_among(1_000_000), Duration::ZERO);
    }

    #[test]
    fn what_is_measured_is_within_bounds() {
        let tuning = Tuning::get();
        assert!((1..=64).contains(&tuning.step));
        assert!(tuning.spin <= SPIN_MAX);
        assert_eq!(tuning.spin.is_zero(), allowed().len() < 2);
        assert_eq!(tuning, Tuning::get(), "measured once");
    }
}
