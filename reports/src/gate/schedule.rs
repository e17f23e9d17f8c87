//! What is open, what waits for what, and how long the rest takes at least.
//!
//! The calendar is the critical path method (Kelley and Walker, *Critical-Path Planning and Scheduling*, 1959): each sprint begins as soon as
//! what it waits for has ended, and those whose delay delays the end are critical.

use std::collections::BTreeMap;

use serde::Serialize;

use super::decision::{Decision, Step, opens};
use super::plan::{Plan, PlanFile, Sprint};
use crate::verdict::Verdict;

/// Where a phase stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Its gate is passed.
    Done,
    /// What it waits for is passed, and its own gate is not.
    Open,
    Blocked,
}

impl State {
    pub fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Open => "open",
            Self::Blocked => "blocked",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Schedule {
    pub title: String,
    pub demo: bool,
    pub plan: PlanFile,
    pub decided_utc: String,
    pub phases: Vec<PhaseState>,
    pub sprints: Vec<Slot>,
    /// Names of sprints, from the first to the last.
    pub critical_path: Vec<String>,
    /// From the beginning of the first to the end of the last.
    pub takes_ns: u64,
    /// Sprints that may run at the same time, with what that saves.
    pub together: Vec<Together>,
    /// What moves the plan forward; absent when all is done.
    pub next: Option<Step>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PhaseState {
    pub name: String,
    pub title: String,
    pub state: State,
    /// Phases whose gates are not passed, and that it waits for.
    pub blocked_by: Vec<String>,
    /// Its own gate and that gate's outcome.
    pub gate: Option<(String, &'static str)>,
    pub from_ns: u64,
    pub to_ns: u64,
}

/// A sprint in the calendar.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Slot {
    pub name: String,
    pub title: String,
    pub phase: String,
    pub from_ns: u64,
    pub to_ns: u64,
    pub critical: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Together {
    pub sprints: Vec<String>,
    /// How long they overlap.
    pub overlap_ns: u64,
}

/// `decisions` are those of all gates of the plan.
pub fn schedule(plan: &Plan, decisions: &[Decision]) -> Schedule {
    let slots = calendar(plan);
    let phases: Vec<PhaseState> =
        plan.phases.iter().map(|phase| phase_state(plan, &phase.name, decisions, &slots)).collect();
    let next =
        phases.iter().find(|phase| phase.state == State::Open).and_then(|phase| next(phase, decisions));
    let critical_path = slots.iter().filter(|slot| slot.critical).map(|slot| slot.name.clone()).collect();
    Schedule {
        title: plan.title.clone(),
        demo: plan.demo,
        plan: plan.file.clone(),
        decided_utc: decisions.first().map(|decision| decision.decided_utc.clone()).unwrap_or_default(),
        together: together(&slots),
        takes_ns: slots.iter().map(|slot| slot.to_ns).max().unwrap_or(0),
        critical_path,
        phases,
        sprints: slots,
        next,
    }
}

fn phase_state(plan: &Plan, name: &str, decisions: &[Decision], slots: &[Slot]) -> PhaseState {
    let standing = |phase: &str| standing(plan, phase, decisions);
    let (title, after) =
        plan.phase(name).map(|phase| (phase.title.clone(), &phase.after[..])).unwrap_or_default();
    let is_open = |phase: &String| standing(phase).is_some_and(|(_, verdict, _)| opens(verdict));
    let blocked_by: Vec<String> = after.iter().filter(|phase| !is_open(phase)).cloned().collect();
    let own = standing(name);
    let state = match (blocked_by.is_empty(), own.is_some_and(|(_, verdict, _)| opens(verdict))) {
        (false, _) => State::Blocked,
        (true, true) => State::Done,
        (true, false) => State::Open,
    };
    let of_phase = || slots.iter().filter(|slot| slot.phase == name);
    PhaseState {
        name: name.to_owned(),
        title,
        state,
        blocked_by,
        gate: own.map(|(gate, _, outcome)| (gate.to_owned(), outcome)),
        from_ns: of_phase().map(|slot| slot.from_ns).min().unwrap_or(0),
        to_ns: of_phase().map(|slot| slot.to_ns).max().unwrap_or(0),
    }
}

/// The gate of a phase, its verdict and its outcome: as the gates after it see it, where there are any. As long as another gate
/// waits for it, a phase that is done stays done while its runs grow old, and when there is a newer build.
fn standing<'a>(
    plan: &'a Plan,
    phase: &str,
    decisions: &'a [Decision],
) -> Option<(&'a str, Verdict, &'static str)> {
    let gate = &*plan.gate_of(phase)?.name;
    let before = decisions.iter().flat_map(|decision| &decision.before).find(|before| before.gate == gate);
    if let Some(before) = before {
        return Some((gate, before.verdict, before.outcome));
    }
    let own = decisions.iter().find(|decision| decision.gate == gate)?;
    Some((gate, own.verdict, own.outcome))
}

fn next(phase: &PhaseState, decisions: &[Decision]) -> Option<Step> {
    let (gate, _) = phase.gate.as_ref()?;
    decisions.iter().find(|decision| decision.gate == *gate)?.first_step().cloned()
}

/// Each sprint as early as may be. In the order of the plan, whose sprints come after those that they wait for.
fn calendar(plan: &Plan) -> Vec<Slot> {
    let mut begins: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for sprint in in_order(plan) {
        let from = waits(plan, sprint)
            .into_iter()
            .filter_map(|(earlier, overlap)| Some((begins.get(earlier)?.1, overlap)))
            .map(|(end, overlap)| end.saturating_sub(overlap))
            .max()
            .unwrap_or(0);
        begins.insert(&sprint.name, (from, from.saturating_add(sprint.takes_ns)));
    }
    let critical = critical(plan, &begins);
    plan.sprints
        .iter()
        .map(|sprint| {
            let (from_ns, to_ns) = begins.get(sprint.name.as_str()).copied().unwrap_or_default();
            Slot {
                name: sprint.name.clone(),
                title: sprint.title.clone(),
                phase: sprint.phase.clone(),
                from_ns,
                to_ns,
                critical: critical.contains(&sprint.name.as_str()),
            }
        })
        .collect()
}

/// What a sprint waits for, and by how much it may begin earlier: its own, and all of the phases before.
fn waits<'a>(plan: &'a Plan, sprint: &'a Sprint) -> Vec<(&'a str, u64)> {
    let own = sprint.after.iter().map(|name| (name.as_str(), sprint.overlap_ns));
    let phases = plan.phase(&sprint.phase).map(|phase| &phase.after[..]).unwrap_or_default();
    let of_phases = plan.sprints.iter().filter(|other| phases.contains(&other.phase));
    own.chain(of_phases.map(|other| (other.name.as_str(), 0))).collect()
}

/// Each after those that it waits for.
fn in_order(plan: &Plan) -> Vec<&Sprint> {
    let mut done: Vec<&Sprint> = Vec::new();
    while done.len() < plan.sprints.len() {
        let is_done = |name: &str| done.iter().any(|sprint| sprint.name == name);
        let ready = plan.sprints.iter().find(|sprint| {
            !is_done(&sprint.name) && waits(plan, sprint).iter().all(|(earlier, _)| is_done(earlier))
        });
        // A plan that was checked has no circle; what is in one is left out of the calendar.
        let Some(sprint) = ready else { break };
        done.push(sprint);
    }
    done
}

/// Back from the end: those that end when the next critical one has to begin.
fn critical<'a>(plan: &'a Plan, begins: &BTreeMap<&'a str, (u64, u64)>) -> Vec<&'a str> {
    let end = begins.values().map(|(_, to)| *to).max().unwrap_or(0);
    let mut critical: Vec<&str> =
        begins.iter().filter(|(_, (_, to))| *to == end).map(|(name, _)| *name).collect();
    let mut index = 0;
    while let Some(name) = critical.get(index).copied() {
        index += 1;
        let Some(sprint) = plan.sprints.iter().find(|sprint| sprint.name == name) else { continue };
        let from = begins.get(name).map_or(0, |(from, _)| *from);
        for (earlier, overlap) in waits(plan, sprint) {
            let ends = begins.get(earlier).map_or(0, |(_, to)| to.saturating_sub(overlap));
            if ends == from && from > 0 && !critical.contains(&earlier) {
                critical.push(earlier);
            }
        }
    }
    critical
}

fn together(slots: &[Slot]) -> Vec<Together> {
    let mut found = Vec::new();
    for (index, a) in slots.iter().enumerate() {
        for b in &slots[index + 1..] {
            let overlap_ns = a.to_ns.min(b.to_ns).saturating_sub(a.from_ns.max(b.from_ns));
            if overlap_ns > 0 {
                found.push(Together { sprints: vec![a.name.clone(), b.name.clone()], overlap_ns });
            }
        }
    }
    found
}
