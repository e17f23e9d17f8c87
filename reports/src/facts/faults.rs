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

mod firing;
mod pool;
mod recovery;
mod taken;

use std::collections::{BTreeMap, BTreeSet};

pub use firing::Firing;
use firing::outlasts;
use pool::Pool;
pub use recovery::STEADY_NS;
use recovery::{Calm, Ended, Open};
use taken::Taken;

use super::{Counts, Distribution};
use crate::runlog::event::{
    AgentExit, AgentId, AgentInfo, AgentReplaced, FaultKind, FaultStep, FaultStepKind, Header, Incident,
    IncidentKind, Resized, Role, Round, dependents,
};

/// After its last affected place is back, a firing excuses a sweep that has not heard of that for so long, and a
/// sweep's period beside it.
const HEARD_NS: u64 = 1_000_000_000;

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
    /// Rounds that are over, and how long they take while nothing is wrong.
    ended: Ended,
    calm: Calm,
    /// Places that the fleet has given up, those that are empty, and how many it wants.
    pool: Pool,
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
                    cut_ns: None,
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

    /// Of some firings: from each injection to the recovery from it, or to the end of its segment; without end if neither was
    /// seen. In order; those that touch
    /// are one.
    pub fn windows(&self, is_meant: impl Fn(&Firing) -> bool) -> Vec<(u64, u64)> {
        let meant = self.firings.iter().filter(|firing| is_meant(firing));
        let mut windows: Vec<(u64, u64)> = meant
            .filter_map(|firing| Some((firing.injected_ns?, firing.gone_ns().unwrap_or(u64::MAX))))
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
            // A place that the fleet has given up has no process to lose.
            let is_its = |a: &&AgentInfo| a.role == Role::Worker && a.name.starts_with(&prefix);
            let theirs = agents.values().filter(is_its).filter(|a| !self.pool.is_given_up(a.id));
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
        self.open.push(Open::new(index, hit, missing, step.at_ns));
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
    /// Has its place another process already, the log learns of the death late, and nothing more comes.
    pub(super) fn explains(&mut self, exit: &AgentExit, agent: Option<&AgentInfo>) -> bool {
        let role = agent.map(|agent| agent.role);
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
        let is_empty = agent.is_some_and(|agent| agent.pid == exit.pid);
        if is_empty {
            self.pool.lose(exit.agent);
        }
        let Some(index) = firings.into_iter().rev().find(is_its) else { return false };
        let firing = &mut self.firings[index];
        firing.deaths += 1;
        self.noticed(index, exit.seen_ns);
        let is_wanted = is_empty && !self.pool.is_given_up(exit.agent);
        for open in self.open.iter_mut().filter(|open| is_wanted && open.firing == index) {
            open.lose(exit.agent);
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
        self.pool.fill(new.agent);
        self.awaits_no_more(new.seen_ns, |agent| agent == new.agent);
    }

    /// The process has ended in order, and with a coordinator its workers: those of them that are dead have no successors.
    pub(super) fn retired(&mut self, exit: &AgentExit, agents: &BTreeMap<AgentId, AgentInfo>) {
        let mut gone = BTreeSet::from([exit.agent]);
        if let Some(prefix) = dependents(&exit.name) {
            gone.extend(
                agents.values().filter(|agent| agent.name.starts_with(&prefix)).map(|agent| agent.id),
            );
        }
        for agent in &gone {
            self.pool.give_up(*agent);
        }
        self.awaits_no_more(exit.seen_ns, |agent| gone.contains(&agent));
    }

    /// A fleet that follows its load has another size: see [`Pool::settled`].
    pub(super) fn resized(&mut self, resized: &Resized) {
        self.pool.resized(resized);
    }

    /// A round is over: what it shows of a fleet that has become smaller.
    pub(super) fn settle(&mut self, round: &Round, agents: &BTreeMap<AgentId, AgentInfo>) {
        for (at_ns, places) in self.pool.settled(round.started_ns, agents) {
            self.awaits_no_more(at_ns, |agent| places.contains(&agent));
        }
    }

    /// By a stage of the load the fleet is smaller, and as large as it is to be: what is empty stays so.
    pub(super) fn shrunk(&mut self, at_ns: u64, agents: &BTreeMap<AgentId, AgentInfo>) {
        let is_worker = |id| agents.get(&id).is_some_and(|agent| agent.role == Role::Worker);
        self.awaits_no_more(at_ns, is_worker);
    }

    fn awaits_no_more(&mut self, at_ns: u64, is_back: impl Fn(AgentId) -> bool) {
        for open in &mut self.open {
            if self.firings[open.firing].injected_ns.is_none_or(|injected_ns| at_ns < injected_ns) {
                continue;
            }
            let before = open.missing.len();
            open.missing.retain(|agent| !is_back(*agent));
            if open.missing.len() == before {
                continue;
            }
            open.unsteady_until(at_ns);
            if open.missing.is_empty() {
                let until = at_ns.saturating_add(HEARD_NS).saturating_add(self.sample_every_ns);
                self.settling.push((until, open.hit.clone()));
            }
        }
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
        for open in &self.open {
            self.firings[open.firing].cut_ns = Some(t_ns);
        }
        self.taken.resume(t_ns);
        self.ended.resume();
        self.pool = Pool::default();
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
