//! The lanes of a calendar.

use super::{Due, Step};
use crate::scenario::{SizeStep, Starts};
use reports::runlog::event::Phase;

/// Something that is due again and again, at equal distances.
#[derive(Debug)]
pub(super) struct Every {
    first_ns: u64,
    /// Never 0.
    distance_ns: u64,
    /// The number of the next one.
    next: u64,
}

impl Every {
    pub fn new(first_ns: u64, distance_ns: u64) -> Self {
        Self { first_ns, distance_ns: distance_ns.max(1), next: 0 }
    }

    pub fn due_ns(&self) -> u64 {
        self.first_ns.saturating_add(self.next.saturating_mul(self.distance_ns))
    }

    /// Number and time of the next one, if it is due.
    pub fn take(&mut self, now_ns: u64) -> Option<(u64, u64)> {
        let due_ns = self.due_ns();
        (due_ns <= now_ns).then(|| {
            self.next += 1;
            (self.next - 1, due_ns)
        })
    }

    /// How many are due.
    pub fn behind(&self, now_ns: u64) -> u64 {
        now_ns.checked_sub(self.due_ns()).map_or(0, |late_ns| late_ns / self.distance_ns + 1)
    }

    pub fn skip(&mut self, count: u64) {
        self.next += count;
    }
}

/// Faults that are due at times after the start of the load.
#[derive(Debug)]
pub(super) struct Firings {
    /// In order of time.
    after_ns: Vec<u64>,
    /// When the load began; nothing is due before that is known.
    load_ns: Option<u64>,
    next: usize,
}

impl Firings {
    /// Those that were due in the first `behind_ns` of the load are left out, and the first `begun`.
    pub fn new(after_ns: Vec<u64>, (behind_ns, begun): (u64, usize)) -> Self {
        let next = after_ns.partition_point(|after_ns| *after_ns < behind_ns).max(begun);
        Self { after_ns, load_ns: None, next }
    }

    pub fn load_began(&mut self, load_ns: u64) {
        self.load_ns = Some(load_ns);
    }

    /// No more are due.
    pub fn end(&mut self) {
        self.next = self.after_ns.len();
    }

    pub fn due_ns(&self) -> u64 {
        let after_ns = self.after_ns.get(self.next);
        self.load_ns.zip(after_ns).map_or(u64::MAX, |(load_ns, after_ns)| load_ns.saturating_add(*after_ns))
    }

    /// The number of the next one, if it is due.
    pub fn take(&mut self, now_ns: u64) -> Option<usize> {
        (self.due_ns() <= now_ns).then(|| {
            self.next += 1;
            self.next - 1
        })
    }
}

/// How many workers there are to be, from which time of the load on.
#[derive(Debug)]
pub(super) struct Sizes {
    /// When the whole load would have begun.
    zero_ns: u64,
    /// Before it, nothing is due.
    load_ns: u64,
    steps: std::vec::IntoIter<SizeStep>,
}

impl Sizes {
    /// Of the steps that were due before the load begins, the newest alone: a fleet that is new has to catch up.
    pub fn new((zero_ns, load_ns): (u64, u64), mut steps: Vec<SizeStep>) -> Self {
        let passed = steps.partition_point(|step| zero_ns.saturating_add(step.at_ns) < load_ns);
        steps.drain(..passed.saturating_sub(1));
        Self { zero_ns, load_ns, steps: steps.into_iter() }
    }

    pub fn due_ns(&self) -> u64 {
        let step = self.steps.as_slice().first();
        step.map_or(u64::MAX, |step| self.zero_ns.saturating_add(step.at_ns).max(self.load_ns))
    }

    /// The newest step that is due: those that it overtakes are left out, unless they end a stage.
    pub fn take(&mut self, now_ns: u64) -> Option<Due> {
        while self.due_ns() <= now_ns {
            let step = self.steps.next()?;
            let next = self.steps.as_slice().first();
            let overtaken = next.is_some_and(|next| next.stage == step.stage) && self.due_ns() <= now_ns;
            if !overtaken {
                return Some(Due::Scale { stage: step.stage, workers: step.workers });
            }
        }
        None
    }

    pub fn end(&mut self) {
        self.steps = Vec::new().into_iter();
    }
}

/// How far the load is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The warm-up has not been named yet.
    Before,
    WarmUp,
    Load,
    /// Its end has not been named yet.
    Ending,
    Over,
}

/// The phases and their rounds.
#[derive(Debug)]
pub(super) struct Rounds {
    stage: Stage,
    first_ns: u64,
    load_ns: u64,
    /// When the whole load would have begun: starts count from here.
    zero_ns: u64,
    end_ns: u64,
    /// The load lasts until here at least: its length counts from the record of its begin.
    stay_ns: u64,
    /// Later than this no round is made up.
    latest_ns: u64,
    /// Of an open loop, when the rounds of this phase start; `None` in a closed one.
    starts: Option<Starts>,
    /// Those of the load, until it begins.
    load_starts: Option<Starts>,
    in_flight_max: usize,
}

impl Rounds {
    /// `times`: the first round, the load, its end, and the end of the time for rounds that are late. `starts`: when the
    /// rounds of the warm-up and of the load start, from its beginning on; nothing in a closed loop.
    pub fn new(times: [u64; 4], zero_ns: u64, starts: Option<[Starts; 2]>, in_flight_max: usize) -> Self {
        let [first_ns, load_ns, end_ns, latest_ns] = times;
        let (starts, load_starts) = starts.map(|[warm_up, load]| (warm_up, load)).unzip();
        Self {
            stage: Stage::Before,
            first_ns,
            load_ns,
            zero_ns,
            end_ns,
            stay_ns: end_ns,
            latest_ns,
            starts,
            load_starts,
            in_flight_max,
        }
    }

    /// The begin of the load was recorded, and is late if the machine is busy. An open loop's rounds keep their
    /// times all the same; a closed loop's go on until the end.
    pub fn load_began(&mut self, recorded_ns: u64) {
        let late_ns = recorded_ns.saturating_sub(self.load_ns);
        self.stay_ns = self.end_ns.saturating_add(late_ns);
        if self.starts.is_none() {
            self.end_ns = self.stay_ns;
            self.latest_ns = self.latest_ns.saturating_add(late_ns);
        }
    }

    pub fn end(&mut self) {
        self.stage = Stage::Over;
    }

    pub fn step(&mut self, now_ns: u64, in_flight: usize) -> Step {
        match self.stage {
            Stage::Before => {
                self.stage = Stage::WarmUp;
                if self.load_ns > self.first_ns {
                    return Step::Due(Due::Phase(Phase::WarmUp));
                }
                self.step(now_ns, in_flight)
            }
            Stage::WarmUp if now_ns >= self.load_ns => {
                // Rounds of the warm-up that could not start are not made up.
                (self.stage, self.starts) = (Stage::Load, self.load_starts.take());
                Step::Due(Due::Phase(Phase::Load))
            }
            Stage::WarmUp => self.round(Phase::WarmUp, self.first_ns, self.load_ns, (now_ns, in_flight)),
            Stage::Load => self.round(Phase::Load, self.zero_ns, self.end_ns, (now_ns, in_flight)),
            Stage::Ending => {
                self.stage = Stage::Over;
                Step::Due(Due::LoadOver)
            }
            Stage::Over => Step::SleepUntil(u64::MAX),
        }
    }

    /// The next round of a phase, or when to ask for it.
    fn round(&mut self, phase: Phase, begin_ns: u64, end_ns: u64, (now_ns, in_flight): (u64, usize)) -> Step {
        let due_ns = match &self.starts {
            Some(starts) => starts.peek().map_or(u64::MAX, |start_ns| begin_ns.saturating_add(start_ns)),
            // A closed loop's next round is due when the last one is back.
            None => begin_ns.max(now_ns),
        };
        let has_more = due_ns < end_ns;
        let has_room = match self.starts {
            Some(_) => in_flight < self.in_flight_max,
            None => in_flight == 0,
        };
        if has_more && has_room && due_ns <= now_ns && now_ns < self.latest_ns {
            if let Some(starts) = &mut self.starts {
                starts.next();
            }
            return Step::Due(Due::Round { phase, due_ns });
        }
        if phase == Phase::Load && now_ns >= self.stay_ns && (!has_more || now_ns >= self.latest_ns) {
            self.stage = Stage::Ending;
            return self.step(now_ns, in_flight);
        }
        Step::SleepUntil(match phase {
            // The load begins on time, whatever the warm-up's rounds do.
            Phase::WarmUp if has_more && has_room => due_ns.min(end_ns),
            Phase::WarmUp => end_ns,
            _ if has_more && has_room => due_ns,
            // Only a round that ends makes room, or the time for late rounds is over.
            _ if has_more && self.starts.is_some() => self.latest_ns.max(self.stay_ns),
            _ => self.stay_ns,
        })
    }
}
