//! Facts of parts of the load: before, during, after or outside a declared fault.
//!
//! When a firing is over is seen only when all has been well for a while. What may still belong to it waits that long, and
//! what is not known at the end to be after it counts as during it.

use std::collections::VecDeque;

use super::faults::FaultFacts;
use super::spans::{Span, Spans};
use super::{Facts, workloads};
use crate::runlog::event::{Event, Header, Phase, Record, Role, Round, Severity};
use crate::stretch::{Side, Stretch};

/// A step of a fault is in the log so long after it at most.
const LOGGED_NS: u64 = 1_000_000_000;
/// Records that wait at most: what stays undecided for longer is during the fault.
const WAITING_MAX: usize = 1 << 14;

#[derive(Debug, Clone)]
struct Waiting {
    record: Record,
    /// A fault explains it.
    declared: bool,
}

#[derive(Debug, Clone)]
struct Part {
    stretch: Stretch,
    /// Numbers of its faults in the plan.
    faults: Vec<usize>,
    facts: Box<Facts>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Stretches {
    parts: Vec<Part>,
    waiting: VecDeque<Waiting>,
}

impl Stretches {
    pub(super) fn new(header: &Header, stretches: &[Stretch]) -> Self {
        let faults = &header.plan.faults;
        let is_meant =
            |stretch: &Stretch, name: &str| stretch.fault.as_ref().is_none_or(|fault| fault == name);
        let part = |stretch: &Stretch| Part {
            stretch: stretch.clone(),
            faults: (0..faults.len()).filter(|at| is_meant(stretch, &faults[*at].name)).collect(),
            facts: Box::new(Facts::new(header, &[], &[], &[])),
        };
        Self { parts: stretches.iter().map(part).collect(), waiting: VecDeque::new() }
    }
}

/// Where a time lies beside the firings of some faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lies {
    Within,
    /// Within them, or after one: that is not known yet.
    Open,
    Without,
}

/// Of the time from `from_ns` to `to_ns`. All steps of the log up to then are known.
fn lies(faults: &FaultFacts, of: &[usize], (from_ns, to_ns): (u64, u64)) -> Lies {
    let mut found = Lies::Without;
    for (at, firing) in faults.firings.iter().enumerate().filter(|(_, firing)| of.contains(&firing.fault)) {
        let Some(injected_ns) = firing.injected_ns.filter(|injected_ns| *injected_ns <= to_ns) else {
            continue;
        };
        let over_ns = firing.ended_ns().or_else(|| faults.seems_over_ns(at)).unwrap_or(u64::MAX);
        if from_ns < over_ns.max(injected_ns.saturating_add(1)) {
            return Lies::Within;
        }
        if firing.ended_ns().is_none() {
            found = Lies::Open;
        }
    }
    found
}

impl Part {
    /// Whether the time is part of it; unknown yet, if absent.
    fn holds(&self, faults: &FaultFacts, time: (u64, u64)) -> Option<bool> {
        let lies = lies(faults, &self.faults, time);
        if lies == Lies::Open {
            return None;
        }
        let of = || faults.firings.iter().filter(|firing| self.faults.contains(&firing.fault));
        let without = lies == Lies::Without;
        Some(match self.stretch.side {
            Side::During => !without,
            Side::Outside => without,
            Side::Before => without && of().all(|f| f.injected_ns.is_none_or(|at_ns| time.1 < at_ns)),
            Side::After => without && of().all(|f| f.injected_ns.is_some_and(|at_ns| at_ns < time.0)),
        })
    }

    /// Whether all that is planned was injected before the end of a window without any.
    fn is_after(&self, faults: &FaultFacts, from_ns: u64) -> bool {
        let mut of = faults.firings.iter().filter(|firing| self.faults.contains(&firing.fault));
        of.all(|firing| firing.injected_ns.is_some_and(|at_ns| at_ns <= from_ns))
    }

    /// On the run's clock.
    fn spans(&self, faults: &FaultFacts, load: &Spans, now_ns: u64) -> Spans {
        let mut windows: Vec<(u64, u64)> = faults
            .firings
            .iter()
            .filter(|firing| self.faults.contains(&firing.fault))
            .filter_map(|firing| Some((firing.injected_ns?, firing.ended_ns().unwrap_or(u64::MAX))))
            .collect();
        windows.sort_unstable();
        let mut edges = vec![0];
        for (from_ns, to_ns) in windows {
            // Windows that touch are one.
            let begun = edges.len() > 1;
            match edges.last_mut() {
                Some(last) if begun && from_ns <= *last => *last = to_ns.max(*last),
                Some(_) | None => edges.extend([from_ns, to_ns]),
            }
        }
        edges.push(u64::MAX);
        // Without, within, without, …: from the first moment to the last.
        let pieces = edges.windows(2).map(|edge| (edge[0], edge[1])).enumerate();
        let mut out = Spans::default();
        for span in load.iter() {
            for (at, (from_ns, to_ns)) in pieces.clone() {
                let middle = (from_ns.max(span.start_ns), to_ns.min(span.end_ns.unwrap_or(now_ns)));
                let wanted = match self.stretch.side {
                    Side::During => at % 2 == 1,
                    Side::Outside => at % 2 == 0,
                    Side::Before => at == 0,
                    Side::After => at % 2 == 0 && self.is_after(faults, from_ns),
                };
                if wanted && middle.0 < middle.1 {
                    out.add(Span { start_ns: middle.0, end_ns: Some(middle.1) });
                }
            }
        }
        out
    }
}

/// When what a record is about began and ended; absent for what is not divided.
fn time(record: &Record) -> Option<(u64, u64)> {
    match &record.event {
        Event::Round(round) => Some((round.scheduled_ns.min(round.started_ns), round.finished_ns)),
        Event::Latency(interval) => {
            Some((interval.start_ns, interval.start_ns.saturating_add(interval.length_ns)))
        }
        Event::WorkloadLatency(interval) => {
            Some((interval.start_ns, interval.start_ns.saturating_add(interval.length_ns)))
        }
        Event::Sample(sample) => Some((sample.started_ns, sample.started_ns)),
        Event::AgentExit(exit) => Some((exit.seen_ns, exit.seen_ns)),
        Event::Incident(incident) => {
            Some((incident.from_ns, incident.to_ns.unwrap_or(incident.from_ns).max(incident.from_ns)))
        }
        // Needed by the others, and divided with them in the order of the log.
        Event::Agents(_) | Event::AgentReplaced(_) | Event::Scaled(_) => Some((record.t_ns, record.t_ns)),
        Event::Header(_)
        | Event::Clock(_)
        | Event::Phase(_)
        | Event::Fault(_)
        | Event::DeathNoticed(_)
        | Event::Resized(_)
        | Event::Command(_)
        | Event::TaskFailed(_)
        | Event::SampleMissed(_)
        | Event::Alert(_)
        | Event::Ledger(_)
        | Event::Verify(_)
        | Event::End(_) => None,
    }
}

/// What is not inside stands as if it were of the warm-up: the next figures of the same processes follow on it.
fn take(facts: &mut Facts, waiting: &Waiting, inside: bool, load: &Spans) {
    let nowhere = Spans::default();
    match &waiting.record.event {
        Event::Agents(event) => facts.introduce(event),
        Event::AgentReplaced(new) => facts.replaced(new, waiting.record.t_ns),
        Event::Scaled(scaled) => facts.samples.scaling.push(scaled),
        Event::Round(round) => {
            let phase = if inside { round.phase } else { Phase::WarmUp };
            let round = Round { phase, ..round.clone() };
            facts.balance.round(&round);
            if round.phase == Phase::Load {
                facts.strays.round(&round);
            }
            facts.load.push_round(&round, load);
            workloads::push_round(&mut facts.workloads, &round, load);
        }
        Event::Latency(interval) if inside => facts.load.push_latency(interval, load),
        Event::WorkloadLatency(interval) if inside => {
            let merged = workloads::push_latency(&mut facts.workloads, interval, load);
            facts.load.unreadable(merged);
        }
        Event::Sample(sample) => {
            facts.samples.push(sample, if inside { load } else { &nowhere }, u32::MAX);
        }
        Event::AgentExit(exit) => {
            if facts.role_of(exit.agent) == Some(Role::Coordinator) {
                facts.balance.exit(exit);
            }
            if inside && !waiting.declared && !exit.expected {
                facts.exits_unexpected.push(exit.clone());
            }
        }
        Event::Incident(incident) if inside && !waiting.declared => {
            facts.incidents_minor += u64::from(incident.kind.severity() == Severity::Minor);
        }
        Event::Header(_)
        | Event::Clock(_)
        | Event::Phase(_)
        | Event::Fault(_)
        | Event::DeathNoticed(_)
        | Event::Resized(_)
        | Event::Command(_)
        | Event::Latency(_)
        | Event::WorkloadLatency(_)
        | Event::Incident(_)
        | Event::TaskFailed(_)
        | Event::SampleMissed(_)
        | Event::Alert(_)
        | Event::Ledger(_)
        | Event::Verify(_)
        | Event::End(_) => {}
    }
}

impl Facts {
    /// Takes a record into the parts of the load, as far as it is known to which it belongs.
    pub(super) fn divide(&mut self, record: &Record, declared: bool) {
        if self.stretches.parts.is_empty() {
            return;
        }
        if time(record).is_some() {
            self.stretches.waiting.push_back(Waiting { record: record.clone(), declared });
        }
        while let Some(first) = self.stretches.waiting.front() {
            let when = time(&first.record).unwrap_or_default();
            let forced = self.stretches.waiting.len() > WAITING_MAX;
            let Some(inside) = self.belongs(when, forced) else { return };
            let Some(first) = self.stretches.waiting.pop_front() else { return };
            for (part, inside) in self.stretches.parts.iter_mut().zip(inside) {
                take(&mut part.facts, &first, inside, &self.spans);
            }
        }
    }

    /// To which of the parts a time belongs; absent as long as that is open and not `forced`.
    fn belongs(&self, when: (u64, u64), forced: bool) -> Option<Vec<bool>> {
        if !forced && self.last_ns < when.1.saturating_add(LOGGED_NS) {
            return None;
        }
        let of = |part: &Part| {
            let open = forced.then_some(part.stretch.side == Side::During);
            part.holds(&self.faults, when).or(open)
        };
        self.stretches.parts.iter().map(of).collect()
    }

    /// The facts of a part of the load; or, in words, why there are none. The part was asked for from the start.
    pub(crate) fn within(&self, stretch: &Stretch) -> Result<Self, String> {
        let name = stretch.fault_name();
        let part = self.stretches.parts.iter().find(|part| part.stretch == *stretch);
        let at = self.stretches.parts.iter().position(|part| part.stretch == *stretch);
        let (Some(part), Some(at)) = (part.filter(|part| !part.faults.is_empty()), at) else {
            return Err(format!("the run declares no fault `{name}`"));
        };
        let mut facts = (*part.facts).clone();
        for waiting in &self.stretches.waiting {
            let inside = self.belongs(time(&waiting.record).unwrap_or_default(), true);
            take(&mut facts, waiting, inside.is_some_and(|inside| inside[at]), &self.spans);
        }
        facts.spans = part.spans(&self.faults, &self.spans, self.last_ns);
        facts.last_ns = self.last_ns;
        facts.faults = self.faults.only(&part.faults, &facts.load.counts);
        if facts.load_ns() > 0 {
            return Ok(facts);
        }
        let injected = facts.faults.firings.iter().all(|firing| firing.injected_ns.is_some());
        Err(match stretch.side {
            Side::Before | Side::Outside => format!("no part of the load is {stretch}"),
            Side::During | Side::After if !injected => {
                format!("`{name}` was not injected as often as planned")
            }
            Side::During | Side::After => {
                format!("the load ended before the fleet was seen to have recovered from `{name}`")
            }
        })
    }
}
