//! Figures of single processes over time, where a criterion asks for them: the sum over a fleet hides a process that
//! leaks among hundreds that do not.

use std::collections::BTreeMap;

use super::figure::{Figure, Part, SUMMED};
use super::series::Medians;
use crate::runlog::event::{AgentId, AgentSample, Role};
use crate::scope::Scope;

/// Processes that have ended and were replaced: of so many the series is kept, those that rose the most.
const ENDED_MAX: usize = 256;
/// A process with fewer medians says nothing about a trend.
const POINTS_MIN: usize = crate::stats::TREND_POINTS_MIN;

/// A figure of each process of a scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EachSpec {
    pub figure: Figure,
    pub whose: Scope,
}

/// One process: a place's, until it is replaced.
#[derive(Debug, Clone)]
pub struct Process {
    pub agent: AgentId,
    pub incarnation: u32,
    /// Of the load phase, since its start.
    pub medians: Medians,
    pub max: f64,
    /// Time of its newest value, since the start of the load.
    pub last_ns: u64,
}

#[derive(Debug, Clone)]
pub struct Each {
    pub spec: EachSpec,
    at: usize,
    living: BTreeMap<AgentId, Process>,
    ended: Vec<Process>,
    bucket_ns: u64,
}

impl Each {
    pub(super) fn new(spec: EachSpec, bucket_ns: u64) -> Option<Self> {
        let level = |part: &Part| matches!(part, Part::Level(..));
        let at = SUMMED.iter().position(|(figure, part)| *figure == spec.figure && level(part))?;
        Some(Self { spec, at, living: BTreeMap::new(), ended: Vec::new(), bucket_ns })
    }

    /// A row of a sweep of the load. Of commands, those of each worker together.
    pub(super) fn push(&mut self, row: &AgentSample, role: Role, since_ns: u64) {
        let Part::Level(of_process, of_commands) = &SUMMED[self.at].1 else { return };
        let value = match (self.spec.whose, &row.commands) {
            (Scope::Commands, Some(commands)) => of_commands(commands),
            (Scope::Commands, None) => None,
            (whose, _) if whose.includes(role) => of_process(row),
            _ => None,
        };
        let Some(value) = value else { return };
        let bucket = self.bucket_ns;
        let fresh = || Process {
            agent: row.agent,
            incarnation: row.incarnation,
            medians: Medians::new(bucket),
            max: value,
            last_ns: since_ns,
        };
        let process = self.living.entry(row.agent).or_insert_with(fresh);
        if process.incarnation != row.incarnation {
            let before = std::mem::replace(process, fresh());
            keep(&mut self.ended, before);
        }
        let process = self.living.entry(row.agent).or_insert_with(fresh);
        process.medians.push(since_ns, value);
        process.max = process.max.max(value);
        process.last_ns = since_ns;
    }

    /// Those that live, and those that have ended and were long enough there.
    pub fn processes(&self) -> impl Iterator<Item = &Process> {
        self.living.values().chain(&self.ended)
    }
}

fn keep(ended: &mut Vec<Process>, process: Process) {
    let points = process.medians.points(process.last_ns);
    if points.len() < POINTS_MIN {
        return;
    }
    ended.push(process);
    if ended.len() > ENDED_MAX {
        let least = ended.iter().enumerate().min_by(|a, b| rise(a.1).total_cmp(&rise(b.1)));
        if let Some((at, _)) = least {
            ended.swap_remove(at);
        }
    }
}

fn rise(process: &Process) -> f64 {
    let points = process.medians.points(process.last_ns);
    match (points.first(), points.last()) {
        (Some(first), Some(last)) => last.1 - first.1,
        _ => 0.0,
    }
}
