//! What each declared fault did: proven or not, healed or not, which deaths it explains, how long until the fleet had
//! recovered.
//!
//! A death is declared if it is of a process that a firing was injected into, or of a worker of such a coordinator:
//! those very processes, by pid, and each once, if they ended as the fault ends processes, and soon enough. Everything
//! else stays undeclared, also within the time of a fault.
//!
//! Recovery counts from the proof of the effect, or of the heal of a fault that lasts, to the first moment from which
//! every affected place is attached and delivery is whole for [`STEADY_NS`]; that time itself is not counted. What is
//! lost until then is lost to the fault.

mod taken;

use std::collections::{BTreeMap, BTreeSet};

use taken::Taken;

use super::{Counts, Distribution, Gap};
use crate::runlog::event::{
    AgentExit, AgentId, AgentInfo, AgentReplaced, FaultKind, FaultStep, FaultStepKind, Header, Incident,
    IncidentKind, Met, Role, Round, dependents,
};

/// Delivery must be whole for so long before the fleet counts as recovered.
pub const STEADY_NS: u64 = 5_000_000_000;
/// What a fault makes the fleet do to its targets, the fleet has done so long after the fault is over.
const ENDS_WITHIN_NS: u64 = 5_000_000_000;
/// A process that goes on is seen by the next sweep, and so long after it at most.
const SEEN_NS: u64 = 700_000_000;
/// After its last affected place is back, a firing excuses a sweep that has not heard of that for so long, and a
/// sweep's period beside it.
const HEARD_NS: u64 = 1_000_000_000;

/// What became of one firing.
#[derive(Debug, Clone)]
pub struct Firing {
    /// Of the fault in the plan.
    pub fault: usize,
    pub kind: FaultKind,
    /// When it is due at the latest, from the start of the load.
    pub due_ns: u64,
    pub injected_ns: Option<u64>,
    /// By what its effect was shown, and when.
    pub proven: Option<(u64, String)>,
    pub healed_ns: Option<u64>,
    pub heal_proven_ns: Option<u64>,
    /// What stood against it: it could not be injected, proven or healed.
    pub failed: Option<String>,
    /// How often its effect has met the fleet, if that is counted.
    pub met: Option<Met>,
    /// Processes that it was injected into.
    pub targets: u32,
    /// When the log first has a death or a suspicion that it explains.
    pub noticed_ns: Option<u64>,
    /// Deaths that it explains.
    pub deaths: u64,
    /// Tasks that failed in rounds that ended between the injection and the recovery.
    pub lost: u64,
    /// Tasks of these rounds that failed or needed another attempt.
    pub hit: u64,
    /// From the proof of the effect, or of the heal if it lasts.
    pub recovery_ns: Option<u64>,
    lasts: bool,
    may_meet_nothing: bool,
    /// It was to wait for a moment of the load, and that it did so is not shown.
    moment_lacks: bool,
}

impl Firing {
    /// When the fleet had recovered from it; absent as long as that was not seen.
    pub fn ended_ns(&self) -> Option<u64> {
        Some(self.over_ns()?.saturating_add(self.recovery_ns?))
    }

    /// Whether it was under way in one of these gaps: rounds that it met there are carried out again without it.
    pub fn reaches_into(&self, gaps: &[Gap]) -> bool {
        let Some(injected_ns) = self.injected_ns else { return false };
        let over_ns = self.over_ns().unwrap_or(injected_ns);
        gaps.iter()
            .any(|gap| injected_ns < gap.to_ns && (gap.from_ns <= injected_ns || gap.from_ns < over_ns))
    }

    /// Whether everything that it has to show was shown.
    pub fn is_whole(&self) -> bool {
        self.over_ns().is_some() && !self.moment_lacks && self.met_nothing().is_none()
    }

    /// What its effect has met, in words, if that is nothing and the scenario asks for more.
    pub fn met_nothing(&self) -> Option<String> {
        let met = self.met.filter(|met| !self.kind.is_effect(*met) && !self.may_meet_nothing)?;
        self.kind.met_words(met)
    }

    /// Whether its heal is still to be shown.
    pub fn needs_heal(&self) -> bool {
        self.lasts && self.heal_proven_ns.is_none()
    }

    /// Until when what befalls its targets may be its effect. One that ends them itself ends them once: what dies then
    /// is not there any more.
    fn explains_until_ns(&self) -> u64 {
        let over_ns = if self.lasts { self.healed_ns } else { self.injected_ns };
        over_ns.filter(|_| !self.kind.ends_targets()).map_or(u64::MAX, |ns| ns.saturating_add(ENDS_WITHIN_NS))
    }

    /// From when on the fleet can recover: nothing is done to it any more, and all of that was shown.
    fn over_ns(&self) -> Option<u64> {
        let (proven_ns, _) = self.proven.as_ref().filter(|_| self.failed.is_none())?;
        if self.lasts { self.heal_proven_ns } else { Some(*proven_ns) }
    }
}

/// Whether a process stood still for longer than a pause held it: another has stopped it again.
fn outlasts(firing: &Firing, incident: &Incident, sample_every_ns: u64) -> bool {
    let stood = matches!(incident.kind, IncidentKind::Stopped | IncidentKind::Silent);
    let ended = firing.healed_ns.zip(incident.to_ns);
    let seen_ns = SEEN_NS.saturating_add(sample_every_ns);
    let is_long = ended.is_some_and(|(healed_ns, to_ns)| to_ns > healed_ns.saturating_add(seen_ns));
    stood && firing.kind == FaultKind::Pause && is_long
}

/// A firing whose effect is not over.
#[derive(Debug, Clone)]
struct Open {
    firing: usize,
    /// Everything that it reaches.
    hit: BTreeSet<AgentId>,
    /// Of these, what is not back.
    missing: BTreeSet<AgentId>,
    /// Since when all of it is back and every task is answered.
    steady_ns: u64,
}

#[derive(Debug, Clone, Default)]
pub struct FaultFacts {
    /// In the order of their numbers.
    pub firings: Vec<Firing>,
    /// Of the firings that were seen to their end.
    pub recovery: Distribution,
    /// From the injection to the first notice of it.
    pub detection: Distribution,
    pub lost: u64,
    pub hit: u64,
    pub duplicates: u64,
    /// Sweeps that saw no fewer processes than a firing explains.
    pub sweeps_excused: u64,
    open: Vec<Open>,
    /// Processes whose end is explained, and by which firings, in their order.
    explains: BTreeMap<(AgentId, u32), Vec<usize>>,
    /// Whose stop, suspicion or hang is explained.
    disturbs: BTreeMap<(AgentId, u32), usize>,
    /// Those of them that the fleet has found to be hung.
    hung: BTreeSet<(AgentId, u32)>,
    /// Processes that were killed, and the instant before; until their death is noticed.
    killed: BTreeMap<u32, u64>,
    /// Those of them whose death is to be noticed, by name.
    unnoticed: BTreeMap<u32, String>,
    /// Firings that have all their places back: until when sweeps may not have heard of it.
    settling: Vec<(u64, BTreeSet<AgentId>)>,
    taken: Taken,
    sample_every_ns: u64,
}

impl FaultFacts {
    pub(super) fn new(header: &Header) -> Self {
        let mut firings: Vec<(u32, Firing)> = Vec::new();
        for (fault, facts) in header.plan.faults.iter().enumerate() {
            for planned in &facts.firings {
                let firing = Firing {
                    fault,
                    kind: facts.kind,
                    due_ns: planned.at_ns.saturating_add(planned.moment.map_or(0, |moment| moment.within_ns)),
                    injected_ns: None,
                    proven: None,
                    healed_ns: None,
                    heal_proven_ns: None,
                    failed: None,
                    met: None,
                    targets: 0,
                    noticed_ns: None,
                    deaths: 0,
                    lost: 0,
                    hit: 0,
                    recovery_ns: None,
                    lasts: planned.lasts_ns.is_some(),
                    may_meet_nothing: facts.may_meet_nothing,
                    moment_lacks: planned.moment.is_some(),
                };
                firings.push((planned.firing, firing));
            }
        }
        firings.sort_by_key(|(number, _)| *number);
        Self {
            firings: firings.into_iter().map(|(_, firing)| firing).collect(),
            sample_every_ns: header.plan.sample_every_ns,
            ..Self::default()
        }
    }

    /// Firings that were not seen to the end of their recovery.
    pub fn unrecovered(&self) -> usize {
        self.firings.iter().filter(|firing| firing.recovery_ns.is_none()).count()
    }

    /// Of some firings: from each injection to the recovery from it, without end if none was seen. In order; those that touch
    /// are one.
    pub fn windows(&self, is_meant: impl Fn(&Firing) -> bool) -> Vec<(u64, u64)> {
        let meant = self.firings.iter().filter(|firing| is_meant(firing));
        let mut windows: Vec<(u64, u64)> = meant
            .filter_map(|firing| Some((firing.injected_ns?, firing.ended_ns().unwrap_or(u64::MAX))))
            .collect();
        windows.sort_unstable();
        joined(&windows, 0)
    }

    /// From when on the fleet seems to have recovered from a firing, which is open until that has held for [`STEADY_NS`].
    pub(super) fn seems_over_ns(&self, firing: usize) -> Option<u64> {
        let open = self.open.iter().find(|open| open.firing == firing && open.missing.is_empty())?;
        Some(open.steady_ns.max(self.firings[firing].over_ns()?))
    }

    /// Those of the faults with these numbers alone, with what became of the tasks while they lasted.
    pub(super) fn only(&self, faults: &[usize], tasks: &Counts) -> Self {
        let firings: Vec<Firing> =
            self.firings.iter().filter(|firing| faults.contains(&firing.fault)).cloned().collect();
        let (mut recovery, mut detection) = (Distribution::default(), Distribution::default());
        for firing in &firings {
            if let Some(ns) = firing.recovery_ns {
                recovery.record(ns);
            }
            let noticed = firing.noticed_ns.zip(firing.injected_ns);
            if let Some((seen_ns, injected_ns)) = noticed {
                detection.record(seen_ns.saturating_sub(injected_ns));
            }
        }
        let (lost, hit) = (tasks.failed, tasks.failed + tasks.retried);
        Self { firings, recovery, detection, lost, hit, duplicates: tasks.duplicates, ..Self::default() }
    }

    pub(super) fn step(&mut self, step: &FaultStep, agents: &BTreeMap<AgentId, AgentInfo>) {
        let index = step.firing as usize;
        let Some(firing) = self.firings.get_mut(index) else { return };
        let at_ns = step.at_ns;
        self.taken.step(firing.kind, step);
        match step.step {
            FaultStepKind::NotInjected
            | FaultStepKind::Unproven
            | FaultStepKind::Unhealed
            | FaultStepKind::MomentMissed => {
                firing.failed.get_or_insert_with(|| format!("{}: {}", step.step.name(), step.how));
                if step.step == FaultStepKind::NotInjected {
                    self.forget(index);
                }
            }
            FaultStepKind::Injected => self.injected(index, step, agents),
            FaultStepKind::Proven => firing.proven = Some((at_ns, step.how.clone())),
            FaultStepKind::Healed => firing.healed_ns = Some(at_ns),
            FaultStepKind::HealProven => {
                firing.heal_proven_ns = Some(at_ns);
                firing.met = step.met;
            }
            FaultStepKind::MomentShown => firing.moment_lacks = false,
        }
    }

    fn injected(&mut self, index: usize, step: &FaultStep, agents: &BTreeMap<AgentId, AgentInfo>) {
        let firing = &mut self.firings[index];
        firing.injected_ns = Some(step.at_ns);
        firing.targets = u32::try_from(step.targets.len()).unwrap_or(u32::MAX);
        let mut hit: BTreeMap<AgentId, u32> = step.targets.iter().map(|t| (t.agent, t.pid)).collect();
        for target in &step.targets {
            let Some(prefix) = dependents(&target.name) else { continue };
            let theirs = agents.values().filter(|a| a.role == Role::Worker && a.name.starts_with(&prefix));
            hit.extend(theirs.map(|agent| (agent.id, agent.pid)));
        }
        let kind = firing.kind;
        let explains = kind.explains_deaths();
        for (agent, pid) in &hit {
            if explains {
                let firings = &self.firings;
                let of = self.explains.entry((*agent, *pid)).or_default();
                of.retain(|earlier| step.at_ns <= firings[*earlier].explains_until_ns());
                of.push(index);
                self.disturbs.insert((*agent, *pid), index);
            }
        }
        if kind.ends_targets() {
            self.killed.extend(step.targets.iter().map(|target| (target.pid, step.at_ns)));
        }
        if kind == FaultKind::Kill {
            // Of a supervisor's end its adopters learn otherwise.
            let told = step.targets.iter().filter(|target| target.name != "supervisor");
            self.unnoticed.extend(told.map(|target| (target.pid, target.name.clone())));
        }
        let hit: BTreeSet<AgentId> = hit.into_keys().collect();
        let missing = if kind.ends_targets() { hit.clone() } else { BTreeSet::new() };
        self.open.push(Open { firing: index, hit, missing, steady_ns: step.at_ns });
    }

    /// The instant before the run killed the process with this pid, if it has.
    pub(super) fn killed(&mut self, pid: u32) -> Option<u64> {
        self.unnoticed.remove(&pid);
        self.killed.remove(&pid)
    }

    /// Processes that the run has killed, and whose death the fleet does not say to have noticed.
    pub(crate) fn unnoticed(&self) -> usize {
        self.unnoticed.len()
    }

    /// Nothing was done: nothing is explained.
    fn forget(&mut self, index: usize) {
        self.open.retain(|open| open.firing != index);
        self.explains.values_mut().for_each(|firings| firings.retain(|firing| *firing != index));
        self.disturbs.retain(|_, firing| *firing != index);
    }

    /// Whether a firing explains a death that was not asked for otherwise.
    pub(super) fn explains(&mut self, exit: &AgentExit, role: Option<Role>) -> bool {
        if let Some(number) = exit.name.strip_prefix("coord/") {
            // The deaths of its workers are part of its own.
            let is_of = |name: &str| {
                name.strip_prefix("worker/").and_then(|w| w.split_once('.')).is_some_and(|(c, _)| c == number)
            };
            self.unnoticed.retain(|_, name| !is_of(name));
        }
        let key = (exit.agent, exit.pid);
        let is_hung = self.hung.remove(&key);
        let firings = self.explains.remove(&key).unwrap_or_default();
        let is_its = |index: &usize| {
            let firing = &self.firings[*index];
            exit.seen_ns <= firing.explains_until_ns()
                && role.is_some_and(|role| firing.kind.ends_by(role, &exit.how, is_hung))
        };
        let Some(index) = firings.into_iter().rev().find(is_its) else { return false };
        let firing = &mut self.firings[index];
        firing.deaths += 1;
        self.noticed(index, exit.seen_ns);
        for open in self.open.iter_mut().filter(|open| open.firing == index) {
            open.missing.insert(exit.agent);
        }
        true
    }

    /// Whether a firing explains what befell a living process.
    pub(super) fn disturbs(&mut self, incident: &Incident) -> bool {
        let key = (incident.agent, incident.pid);
        let Some(index) = self.disturbs.get(&key).copied() else { return false };
        let firing = &self.firings[index];
        // What was over before the injection has another cause. A look dates what it sees with its own begin, which
        // may be before that.
        let begins_ns = incident.from_ns.saturating_add(self.sample_every_ns.max(HEARD_NS));
        let other = firing
            .injected_ns
            .is_none_or(|at_ns| begins_ns < at_ns || incident.to_ns.is_some_and(|to_ns| to_ns < at_ns));
        let is_late =
            incident.from_ns > firing.explains_until_ns() || outlasts(firing, incident, self.sample_every_ns);
        if other || is_late || matches!(incident.kind, IncidentKind::Scaled | IncidentKind::Exit) {
            return false;
        }
        self.disturbs.remove(&key);
        if incident.kind == IncidentKind::Hung {
            self.hung.insert(key);
        }
        let injected_ns = firing.injected_ns.unwrap_or_default();
        self.noticed(index, incident.from_ns.max(injected_ns));
        true
    }

    fn noticed(&mut self, index: usize, at_ns: u64) {
        let firing = &mut self.firings[index];
        let Some(injected_ns) = firing.injected_ns else { return };
        if firing.noticed_ns.is_none() {
            firing.noticed_ns = Some(at_ns);
            self.detection.record(at_ns.saturating_sub(injected_ns));
        }
    }

    pub(super) fn replaced(&mut self, new: &AgentReplaced) {
        for open in self.open.iter_mut().filter(|open| open.missing.contains(&new.agent)) {
            open.missing.remove(&new.agent);
            open.steady_ns = open.steady_ns.max(new.seen_ns);
            if open.missing.is_empty() {
                let until = new.seen_ns.saturating_add(HEARD_NS).saturating_add(self.sample_every_ns);
                self.settling.push((until, open.hit.clone()));
            }
        }
    }

    /// A round that is over.
    pub(super) fn round(&mut self, round: &Round) {
        let bad = round.failed > 0 || round.answered < round.tasks;
        let mut counted = false;
        for open in &mut self.open {
            let firing = &mut self.firings[open.firing];
            if firing.injected_ns.is_none_or(|at_ns| round.finished_ns < at_ns) {
                continue;
            }
            firing.hit += u64::from(round.failed) + u64::from(round.retried);
            if bad {
                open.steady_ns = open.steady_ns.max(round.finished_ns);
                firing.lost += u64::from(round.failed);
            }
            if !std::mem::replace(&mut counted, true) {
                self.lost += u64::from(round.failed);
                self.hit += u64::from(round.failed) + u64::from(round.retried);
                self.duplicates += u64::from(round.duplicates);
            }
        }
        self.close(round);
    }

    /// Those that this round shows to be over: it began when all was well again, and has been well for long enough.
    fn close(&mut self, round: &Round) {
        let (firings, recovery) = (&mut self.firings, &mut self.recovery);
        self.open.retain(|open| {
            let firing = &mut firings[open.firing];
            let Some(over_ns) = firing.over_ns() else { return true };
            let well_ns = open.steady_ns.max(over_ns);
            let steady = open.missing.is_empty()
                && round.failed == 0
                && round.finished_ns >= well_ns.saturating_add(STEADY_NS);
            if steady {
                firing.recovery_ns = Some(well_ns - over_ns);
                recovery.record(well_ns - over_ns);
            }
            !steady
        });
    }

    /// How many processes a sweep may lack.
    pub(super) fn excused(&mut self, started_ns: u64) -> u32 {
        self.settling.retain(|(until_ns, _)| started_ns <= *until_ns);
        let mut absent: BTreeSet<AgentId> =
            self.settling.iter().flat_map(|(_, hit)| hit.iter().copied()).collect();
        for open in self.open.iter().filter(|open| !open.missing.is_empty()) {
            absent.extend(open.hit.iter().copied());
        }
        // A process that a fault made end by other means is gone before its end is in the log.
        for open in self.open.iter().filter(|open| self.firings[open.firing].kind.may_end_targets()) {
            absent.extend(open.hit.iter().copied());
        }
        u32::try_from(absent.len()).unwrap_or(u32::MAX)
    }

    /// Whether a firing took processors or memory from the host at any time since the sweep before.
    pub(super) fn take_host(&self, swept_ns: Option<u64>, started_ns: u64) -> bool {
        self.taken.during(swept_ns.unwrap_or(0), started_ns)
    }

    /// Another segment begins: what was open stays as it was seen.
    pub(super) fn resume(&mut self, t_ns: u64) {
        self.taken.resume(t_ns);
        self.open.clear();
        self.explains.clear();
        self.killed.clear();
        self.disturbs.clear();
        self.hung.clear();
        self.settling.clear();
    }
}

/// Windows in order, those no more than `apart_ns` apart as one.
pub(crate) fn joined(windows: &[(u64, u64)], apart_ns: u64) -> Vec<(u64, u64)> {
    let mut out: Vec<(u64, u64)> = Vec::new();
    for &(from_ns, to_ns) in windows {
        match out.last_mut() {
            Some(last) if from_ns <= last.1.saturating_add(apart_ns) => last.1 = last.1.max(to_ns),
            Some(_) | None => out.push((from_ns, to_ns)),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_that_touch_are_one() {
        assert_eq!(joined(&[(1, 3), (3, 5), (7, 9), (8, 8)], 0), [(1, 5), (7, 9)]);
        assert_eq!(joined(&[(1, 3), (5, 6)], 2), [(1, 6)]);
    }
}
