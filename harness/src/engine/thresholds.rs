//! Thresholds that are watched while a run goes on, for people who are not there: raised once, held, and recovered.
//!
//! Pure: it is fed what the log records, in that order, and how much disk is free. It judges nothing. A run that is resumed is
//! watched anew, with its new fleet.

mod gate;
mod growth;
mod rate;

use crate::scenario::Alerts;
use gate::{Gate, Side};
use growth::{Descriptors, Memory};
use rate::Failures;
use reports::runlog::event::{
    AgentExit, AgentId, Event, Phase, Round, Sample, Threshold, ThresholdKind, ThresholdState,
};
use reports::units;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What grows is read in sweeps, one of which may fall into a moment of more: so many in a row must show it.
const SWEEPS_IN_A_ROW: u32 = 3;

/// What is watched, and what of it is crossed.
#[derive(Debug)]
pub struct Thresholds {
    limits: Alerts,
    memory: (Memory, Gate),
    descriptors: (Descriptors, Gate),
    failures: (Failures, Gate),
    silence: Gate,
    disk: Gate,
    names: BTreeMap<AgentId, String>,
    /// The load goes on, since then.
    load_ns: Option<u64>,
    /// The newest answer.
    answered_ns: u64,
}

impl Thresholds {
    /// `load` is how long the load takes.
    pub fn new(limits: Alerts, load: Duration) -> Self {
        let window = limits.error_window;
        Self {
            memory: (Memory::of(load), Gate::new(Side::Above, SWEEPS_IN_A_ROW)),
            descriptors: (Descriptors::default(), Gate::new(Side::Above, SWEEPS_IN_A_ROW)),
            failures: (Failures::within(window), Gate::new(Side::Above, 1)),
            silence: Gate::new(Side::Above, 1),
            disk: Gate::new(Side::Below, 1),
            names: BTreeMap::new(),
            load_ns: None,
            answered_ns: 0,
            limits,
        }
    }

    /// What was recorded at `t_ns`.
    pub fn event(&mut self, t_ns: u64, event: &Event) -> Vec<Threshold> {
        match event {
            Event::Phase(began) => {
                self.load_ns = (began.phase == Phase::Load).then_some(t_ns);
                self.answered_ns = self.answered_ns.max(t_ns);
                Vec::new()
            }
            Event::Agents(new) => {
                self.names.extend(new.agents.iter().map(|agent| (agent.id, agent.name.clone())));
                Vec::new()
            }
            Event::Round(round) => self.round(t_ns, round),
            Event::Sample(sample) => self.sweep(t_ns, sample),
            _ => Vec::new(),
        }
    }

    /// So many bytes are free where the run is written.
    pub fn disk(&mut self, t_ns: u64, free: u64) -> Vec<Threshold> {
        let Some(limit) = self.limits.disk_free else { return Vec::new() };
        let text = |value: f64| format!("{} of disk are free", units::bytes(value));
        let of = (ThresholdKind::DiskFree, free as f64, limit as f64);
        step(&mut self.disk, t_ns, of, units::bytes, text).into_iter().collect()
    }

    fn round(&mut self, t_ns: u64, round: &Round) -> Vec<Threshold> {
        if self.load_ns.is_none() {
            return Vec::new();
        }
        if round.answered > 0 {
            self.answered_ns = self.answered_ns.max(round.finished_ns);
        }
        self.failures.0.push(round.finished_ns, round.tasks.into(), round.failed.into());
        self.error_rate(t_ns).into_iter().chain(self.silence(t_ns)).collect()
    }

    fn sweep(&mut self, t_ns: u64, sample: &Sample) -> Vec<Threshold> {
        let Some(load_ns) = self.load_ns else { return Vec::new() };
        let since_ns = t_ns.saturating_sub(load_ns);
        let memory = self.memory_growth(t_ns, since_ns, sample);
        let descriptors = self.open_descriptors(t_ns, sample);
        let rate = self.error_rate(t_ns);
        memory.into_iter().chain(descriptors).chain(rate).chain(self.silence(t_ns)).collect()
    }

    fn memory_growth(&mut self, t_ns: u64, since_ns: u64, sample: &Sample) -> Option<Threshold> {
        let limit = self.limits.memory_growth?;
        let (memory, gate) = &mut self.memory;
        let value = memory.push(since_ns, sample)?;
        let text = |value: f64| {
            let (share, way) = (units::percent(value.abs()), if value < 0.0 { "below" } else { "above" });
            format!("the fleet's memory (RssAnon) is {share} {way} that of its first steady part")
        };
        step(gate, t_ns, (ThresholdKind::MemoryGrowth, value, limit), units::percent, text)
    }

    fn open_descriptors(&mut self, t_ns: u64, sample: &Sample) -> Option<Threshold> {
        let limit = self.limits.descriptors?;
        let (descriptors, gate) = &mut self.descriptors;
        let (worst, value) = descriptors.push(sample)?;
        let name = self.names.get(&worst).map_or("a process", |name| name);
        let text = |value: f64| format!("{name} has {} descriptors more than at first", units::count(value));
        let of = (ThresholdKind::Descriptors, f64::from(value), f64::from(limit));
        step(gate, t_ns, of, units::count, text)
    }

    fn error_rate(&mut self, t_ns: u64) -> Option<Threshold> {
        let limit = self.limits.error_rate?;
        let (failures, gate) = &mut self.failures;
        let value = failures.rate(t_ns)?;
        let window = units::seconds(self.limits.error_window.as_secs_f64());
        let text = |value: f64| format!("{} of the tasks of the last {window} failed", units::percent(value));
        step(gate, t_ns, (ThresholdKind::ErrorRate, value, limit), units::percent, text)
    }

    fn silence(&mut self, t_ns: u64) -> Option<Threshold> {
        let limit = self.limits.silence?.as_secs_f64();
        let value = t_ns.saturating_sub(self.answered_ns) as f64 / 1e9;
        let text = |value: f64| format!("no answer has come for {}", units::seconds(value));
        let step =
            step(&mut self.silence, t_ns, (ThresholdKind::Silence, value, limit), units::seconds, text)?;
        Some(match step.state {
            ThresholdState::Raised => Threshold { since_ns: self.answered_ns, ..step },
            ThresholdState::Recovered => Threshold { text: "answers come again".to_owned(), ..step },
        })
    }
}

/// Asks the gate, and says what it answers.
fn step(
    gate: &mut Gate,
    t_ns: u64,
    (kind, value, limit): (ThresholdKind, f64, f64),
    unit: impl Fn(f64) -> String,
    text: impl Fn(f64) -> String,
) -> Option<Threshold> {
    let (state, since_ns) = gate.step(t_ns, value, limit)?;
    let held = match state {
        ThresholdState::Raised => format!("(limit {})", unit(limit)),
        ThresholdState::Recovered => format!("(limit {}): recovered", unit(limit)),
    };
    Some(Threshold { kind, state, since_ns, value, limit, text: format!("{} {held}", text(value)) })
}

/// Another death after so long is told, also if a place is still without a successor: it may never have one.
const CRASH_AGAIN_NS: u64 = 60_000_000_000;

/// Deaths that the run has not asked for, by place, until each has a successor.
#[derive(Debug, Default)]
pub struct Crashes {
    places: BTreeSet<AgentId>,
    /// When the last one was that was told.
    told_ns: u64,
}

impl Crashes {
    /// An end that nothing explains; true if it is the first since all places had their processes, or for a while.
    pub fn died(&mut self, exit: &AgentExit) -> bool {
        let is_first = self.places.is_empty() || exit.seen_ns >= self.told_ns.saturating_add(CRASH_AGAIN_NS);
        let is_told = self.places.insert(exit.agent) && is_first;
        if is_told {
            self.told_ns = exit.seen_ns;
        }
        is_told
    }

    /// Another process is in the place of one; true if all that died have one.
    pub fn replaced(&mut self, agent: AgentId) -> bool {
        self.places.remove(&agent) && self.places.is_empty()
    }
}

#[cfg(test)]
mod tests;
