//! When each fault fires, and into which places: decided from the run's seed, before anything starts.

use super::keys::{FaultRole, Pick};
use super::words::{self, Overwrite};
use super::{Action, Fault, SegmentFault};
use crate::scenario::seed;
use crate::scenario::unit::nanos;
use crate::system::PlaceId;
use coordinator::config::FleetShape;
use rand::SeedableRng as _;
use rand::seq::index::sample;
use rand_chacha::ChaCha8Rng;
use reports::runlog::event::{FaultFacts, FaultMoment, FiringFacts, MomentFacts};
use std::time::Duration;

/// Of one fault, over the whole load: targets of its injections, or words that are overwritten. All of them are in memory
/// before the first, and in the log's header.
pub(super) const DRAWN_MAX: u64 = 1 << 18;

/// What an injection waits for, once it is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hold {
    pub moment: FaultMoment,
    /// For so long; then it is not injected.
    pub within: Duration,
}

impl Hold {
    /// In words, after what is done.
    pub fn words(self) -> &'static str {
        match self.moment {
            FaultMoment::MidRound => "in the middle of a round",
            FaultMoment::TaskInFlight => "with a task in hand",
        }
    }
}

/// One injection: everything about it is decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Firing {
    /// The fault's place in the scenario.
    pub fault: usize,
    /// After the start of the load.
    pub at: Duration,
    pub hold: Option<Hold>,
    /// Until it is healed; absent if it needs no heal.
    pub lasts: Option<Duration>,
    /// Each once; none if it is not done to processes.
    pub targets: Vec<PlaceId>,
    /// What is written into their memory.
    pub words: Vec<Overwrite>,
    /// Of what is drawn while it lasts.
    pub seed: u64,
}

impl Firing {
    /// When it is healed, or was injected if it needs no heal, at the latest.
    pub fn ends(&self) -> Duration {
        self.at + self.hold.map(|hold| hold.within).unwrap_or_default() + self.lasts.unwrap_or_default()
    }
}

/// The firings of a run, in order of time; a firing's place here is its number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Calendar {
    firings: Vec<Firing>,
}

impl Calendar {
    pub(in crate::scenario) fn new(faults: &[Fault], shape: &FleetShape, load: Duration, root: u64) -> Self {
        let mut firings = Vec::new();
        for (index, fault) in faults.iter().enumerate() {
            let mut random = ChaCha8Rng::seed_from_u64(seed::child(root, &format!("fault/{}", fault.name)));
            let mut drawn =
                ChaCha8Rng::seed_from_u64(seed::child(root, &format!("fault/{}/words", fault.name)));
            let mut turn = 0;
            let first = fault.starts(load);
            for number in 0..times(fault, load) {
                let at = first + fault.every.unwrap_or_default() * number;
                let targets = choose(fault, shape, &mut random, &mut turn);
                let mut fire = |at: Duration, targets: Vec<PlaceId>| {
                    let words = overwrites(fault, shape, &targets, &mut drawn);
                    let seed = seed::child(root, &format!("fault/{}/{}", fault.name, at.as_nanos()));
                    let (hold, lasts) = (fault.hold, fault.lasts);
                    firings.push(Firing { fault: index, at, hold, lasts, targets, words, seed });
                };
                if fault.apart.is_zero() {
                    fire(at, targets);
                } else {
                    let rolling = (0..).zip(targets);
                    rolling.for_each(|(step, place)| fire(at + fault.apart * step, vec![place]));
                }
            }
        }
        // Stable: what is due together keeps the order of the file.
        firings.sort_by_key(|firing| firing.at);
        Self { firings }
    }

    pub fn firings(&self) -> &[Firing] {
        &self.firings
    }

    /// What faults hold of the host's memory at once, at most; in bytes.
    pub fn most_held(&self, faults: &[Fault]) -> u64 {
        let holds = |firing: &Firing| faults[firing.fault].action.holds();
        let holding = self.firings.iter().filter(|firing| holds(firing) > 0);
        let mut ends: Vec<(Duration, u64)> =
            holding.clone().map(|firing| (firing.ends(), holds(firing))).collect();
        ends.sort_unstable();
        let (mut held, mut most, mut ended) = (0_u64, 0, ends.iter().peekable());
        for firing in holding {
            // What ends just then may not be gone yet.
            while let Some((_, bytes)) = ended.next_if(|(end, _)| *end < firing.at) {
                held -= bytes;
            }
            held += holds(firing);
            most = most.max(held);
        }
        most
    }

    /// For the log's header.
    pub fn facts(&self, faults: &[Fault], shape: &FleetShape) -> Vec<FaultFacts> {
        let of = |index: usize| {
            (0..)
                .zip(&self.firings)
                .filter(|(_, firing)| firing.fault == index)
                .map(|(number, firing)| FiringFacts {
                    firing: number,
                    at_ns: nanos(firing.at),
                    lasts_ns: firing.lasts.map(nanos),
                    targets: firing.targets.iter().map(ToString::to_string).collect(),
                    words: firing.words.iter().map(ToString::to_string).collect(),
                    moment: firing
                        .hold
                        .map(|hold| MomentFacts { moment: hold.moment, within_ns: nanos(hold.within) }),
                })
                .collect()
        };
        faults
            .iter()
            .enumerate()
            .map(|(index, fault)| FaultFacts {
                name: fault.name.clone(),
                kind: fault.action.kind(),
                words: fault.words(shape),
                firings: of(index),
                may_meet_nothing: fault.may_meet_nothing,
            })
            .collect()
    }
}

/// How often it is injected; in a rolling one, into all of its targets each time.
pub(super) fn times(fault: &Fault, load: Duration) -> u32 {
    match (fault.every, fault.times) {
        (None, _) => 1,
        (Some(_), Some(times)) => times,
        (Some(every), None) => {
            let held = fault.hold.map(|hold| hold.within).unwrap_or_default();
            until(load.saturating_sub(fault.starts(load)), every, held + fault.lasts.unwrap_or_default())
        }
    }
}

/// How many firings fit, the last one healed before the load ends.
fn until(rest: Duration, every: Duration, lasts: Duration) -> u32 {
    let room = rest.saturating_sub(lasts).as_nanos();
    u32::try_from(room.div_ceil(every.as_nanos().max(1))).unwrap_or(u32::MAX).max(1)
}

fn overwrites(
    fault: &Fault,
    shape: &FleetShape,
    targets: &[PlaceId],
    random: &mut ChaCha8Rng,
) -> Vec<Overwrite> {
    let Action::Segment(SegmentFault::Scribble { part, words }) = fault.action else { return Vec::new() };
    let coordinators = targets.iter().filter_map(|place| match place {
        PlaceId::Coordinator(number) => Some(*number),
        PlaceId::Worker(_) | PlaceId::Supervisor => None,
    });
    words::draw(shape, coordinators, (part, words), random)
}

fn choose(fault: &Fault, shape: &FleetShape, random: &mut ChaCha8Rng, turn: &mut u32) -> Vec<PlaceId> {
    let Some(role) = fault.role else { return Vec::new() };
    let all = fault.all(shape);
    let many = fault.many.of(all);
    let indices: Vec<u32> = match fault.pick {
        Pick::Random => {
            sample(random, all as usize, many as usize).into_iter().map(|index| index as u32).collect()
        }
        Pick::Spread => {
            let step = u64::from(all) / u64::from(many.max(1));
            let base = u64::from(std::mem::replace(turn, turn.wrapping_add(1)));
            let place = |nth: u32| ((base + u64::from(nth) * step) % u64::from(all)) as u32;
            (0..many).map(place).collect()
        }
    };
    let workers = shape.workers_per_coordinator();
    let place = |index: u32| match role {
        FaultRole::Supervisor => PlaceId::Supervisor,
        FaultRole::Coordinator => PlaceId::Coordinator(index),
        FaultRole::Worker => PlaceId::worker(index / workers, index % workers),
    };
    indices.into_iter().map(place).collect()
}
