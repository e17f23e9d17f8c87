//! Who takes part, who follows whom, who has ended: against the plan, and against each other.

use std::collections::{HashMap, HashSet, VecDeque};

mod ends;

pub(super) use ends::Deaths;

use super::plan;
use super::since::ALL_ENDS_SINCE;
use crate::runlog::event::{
    AgentExit, AgentId, AgentReplaced, AgentSample, Agents, FaultStep, Header, Incident, IncidentKind,
    KEPT_OUT, Phase, PlanFacts, Role, Sample, WITH_ITS_COORDINATOR,
};

/// What the log says of a process that ended in order: because the run asked it to, or to try its start again.
const IN_ORDER: [&str; 4] =
    ["stopped on request", "killed by the harness", "retired when the fleet was scaled", KEPT_OUT];
/// Processes of a place that are remembered: more deaths than this are not waiting to be noticed.
const PIDS_MAX: usize = 64;
/// The harness, which some logs do not introduce.
const HARNESS: AgentId = 0;

#[derive(Debug)]
struct Agent {
    name: String,
    role: Role,
    pid: u32,
    start_ticks: u64,
    incarnation: u32,
    /// The newest incarnation whose end is in the log; 0 before the first.
    ended: u32,
    /// The last row of a sweep.
    last: Option<AgentSample>,
    /// Figures that no live process has. A process that is about to end has them for a moment.
    dubious: Option<String>,
    /// The first sweep that saw it stopped, and when it began, until an incident says so.
    stopped: Option<(u64, u64)>,
    /// The log says that it stayed stopped for as long as anyone looked: this incarnation.
    stopped_for_good: Option<u32>,
    /// The newest processes that have had this place, the last one too.
    pids: VecDeque<u32>,
    /// Processes that ended and had not been asked to.
    deaths: u32,
    /// Ends that the log has, and processes that came after another one.
    exits: u64,
    successors: u64,
    /// It ended as one that is started again, and the next has not come yet.
    kept_out: bool,
    /// Pid of the process that ended last, and when that was seen.
    last_exit: Option<(u32, u64)>,
    /// Its coordinator died, and the log has not said yet how this incarnation ended, which did so, too.
    owes_end: Option<u32>,
    /// One of its processes ended with its coordinator.
    follows_coordinator: bool,
    /// Pid of the process that a fault has killed last, and the instant before.
    killed: Option<(u32, u64)>,
    /// Pid and end of the process whose death the fleet has noticed last.
    noticed: Option<(u32, u64)>,
}

/// Everyone who was introduced in this segment.
#[derive(Debug, Default)]
pub(super) struct Census {
    /// The log does not count incarnations.
    old: bool,
    /// It has the end of each coordinator, also of one that could not start.
    has_all_ends: bool,
    /// The fleet that is planned for the start was complete.
    began: bool,
    /// What the log says that the launch took: of processes that come later, it says it again.
    launch_ns: Option<u64>,
    /// An operator has changed the number of processes: those that went left no end.
    scaled_by_hand: bool,
    /// Ends of processes that may have had tasks: all but those after the load, where the run asked for them.
    ends: u64,
    agents: HashMap<AgentId, Agent>,
    names: HashSet<String>,
    pids: HashSet<u32>,
}

impl Census {
    pub(super) fn of_log(header: &Header) -> Self {
        Self {
            old: header.format.major == 1,
            has_all_ends: header.format.has(ALL_ENDS_SINCE),
            ..Self::default()
        }
    }

    pub(super) fn introduce(&mut self, event: &Agents, plan: Option<&PlanFacts>) -> Result<(), String> {
        if event.launch_ns == 0 {
            return Err("a fleet that was there in no time".into());
        }
        if event.bare_forks_ns == Some(0) {
            return Err("bare forks that took no time".into());
        }
        let launch_ns = *self.launch_ns.get_or_insert(event.launch_ns);
        if launch_ns != event.launch_ns {
            return Err(format!(
                "the launch took {} ns by the processes that came later, and {launch_ns} ns by the first",
                event.launch_ns
            ));
        }
        for info in &event.agents {
            let name = &info.name;
            if (info.id == HARNESS) != (info.role == Role::Harness) {
                return Err(format!("agent {} cannot be the {:?}", info.id, info.role));
            }
            if plan.is_some_and(|plan| !plan::has_place(plan, info.role, name)) {
                return Err(format!("agent {} is {name}, and the plan has no such place", info.id));
            }
            if info.pid == 0 || info.start_ticks == 0 || info.incarnation == 0 {
                return Err(format!("agent {} ({name}) has no identity", info.id));
            }
            if !self.names.insert(name.clone()) {
                return Err(format!("{name} is introduced twice"));
            }
            if !self.pids.insert(info.pid) {
                return Err(format!("{name} has pid {}, as another agent has", info.pid));
            }
            let agent = Agent {
                name: name.clone(),
                role: info.role,
                pid: info.pid,
                start_ticks: info.start_ticks,
                incarnation: info.incarnation,
                ended: 0,
                last: None,
                dubious: None,
                stopped: None,
                stopped_for_good: None,
                pids: VecDeque::from([info.pid]),
                deaths: 0,
                exits: 0,
                successors: 0,
                kept_out: false,
                last_exit: None,
                owes_end: None,
                follows_coordinator: false,
                killed: None,
                noticed: None,
            };
            if self.agents.insert(info.id, agent).is_some() {
                return Err(format!("agent {} is introduced twice", info.id));
            }
        }
        Ok(())
    }

    /// Before the first round every process that is planned has been introduced.
    pub(super) fn all_there(&self, plan: &PlanFacts) -> Result<(), String> {
        let there = self.agents.values().filter(|agent| agent.role != Role::Harness).count();
        let planned = u64::from(plan.processes_at_start());
        // Where the number changes, more come later.
        let more = plan.workers_least.is_some() && self.began;
        let there = there as u64;
        let follows_load = plan::fewest_at_start(plan)..planned;
        if there == planned || more && there > planned || follows_load.contains(&there) {
            return Ok(());
        }
        Err(format!("{planned} processes are planned, and {there} are introduced"))
    }

    /// As [`Self::all_there`]; from now on they have been.
    pub(super) fn begin(&mut self, plan: &PlanFacts) -> Result<(), String> {
        self.all_there(plan)?;
        self.began = true;
        Ok(())
    }

    /// The harness is known without an introduction.
    pub(super) fn knows(&self, agent: AgentId) -> Result<(), String> {
        if agent == HARNESS || self.agents.contains_key(&agent) {
            Ok(())
        } else {
            Err(format!("agent {agent} was never introduced"))
        }
    }

    pub(super) fn is_scaled_by_hand(&self) -> bool {
        self.scaled_by_hand
    }

    pub(super) fn is_worker(&self, agent: AgentId) -> bool {
        self.agents.get(&agent).is_some_and(|agent| agent.role == Role::Worker)
    }

    fn fleet(&mut self, id: AgentId) -> Result<&mut Agent, String> {
        self.agents
            .get_mut(&id)
            .filter(|agent| agent.role != Role::Harness)
            .ok_or_else(|| format!("agent {id} was never introduced as a process of the fleet"))
    }

    pub(super) fn replace(&mut self, new: &AgentReplaced) -> Result<(), String> {
        let agent = self.fleet(new.agent)?;
        if agent.name != new.name {
            return Err(format!("agent {} is {}, and not {}", new.agent, agent.name, new.name));
        }
        if new.incarnation <= agent.incarnation {
            return Err(format!(
                "incarnation {} of {} follows {}",
                new.incarnation, new.name, agent.incarnation
            ));
        }
        if new.pid == 0
            || new.start_ticks == 0
            || (agent.pid, agent.start_ticks) == (new.pid, new.start_ticks)
        {
            return Err(format!("the process that follows {} is no other process", new.name));
        }
        let before = std::mem::replace(&mut agent.pid, new.pid);
        agent.start_ticks = new.start_ticks;
        (agent.incarnation, agent.last, agent.kept_out) = (new.incarnation, None, false);
        agent.successors += 1;
        if agent.pids.len() >= PIDS_MAX {
            agent.pids.pop_front();
        }
        agent.pids.push_back(new.pid);
        self.pids.remove(&before);
        if !self.pids.insert(new.pid) {
            return Err(format!("{} has pid {}, as another agent has", new.name, new.pid));
        }
        Ok(())
    }

    pub(super) fn exit(
        &mut self,
        exit: &AgentExit,
        phase: Option<Phase>,
        plan: Option<&PlanFacts>,
    ) -> Result<(), String> {
        let old = self.old;
        // From here on another process may have its pid.
        self.pids.remove(&exit.pid);
        self.ends += u64::from(!exit.expected || phase < Some(Phase::Drain));
        let agent = self.fleet(exit.agent)?;
        if agent.name != exit.name {
            return Err(format!("agent {} is {}, and not {}", exit.agent, agent.name, exit.name));
        }
        if exit.pid == 0 || exit.how.is_empty() {
            return Err(format!("{} ended, and the log does not say how or which process", exit.name));
        }
        agent.kept_out = exit.how == KEPT_OUT;
        agent.ends_in_order(exit, phase, plan, old)?;
        if !exit.expected {
            agent.dubious = None;
            agent.deaths = agent.deaths.saturating_add(1);
        }
        if !old {
            if exit.incarnation <= agent.ended {
                return Err(format!("incarnation {} of {} ended twice", exit.incarnation, exit.name));
            }
            if exit.incarnation > agent.incarnation.max(agent.ended.saturating_add(1)) {
                return Err(format!(
                    "incarnation {} of {} ended, and never began",
                    exit.incarnation, exit.name
                ));
            }
            if exit.incarnation < agent.incarnation {
                return Err(format!("{} ended, and its successor was there already", exit.name));
            }
            if exit.expected && exit.incarnation == agent.incarnation && exit.pid != agent.pid {
                return Err(format!("{} ended as pid {}, and was pid {}", exit.name, exit.pid, agent.pid));
            }
        }
        agent.ended = agent.ended.max(exit.incarnation);
        (agent.exits, agent.last_exit) = (agent.exits + 1, Some((exit.pid, exit.seen_ns)));
        agent.owes_end = agent.owes_end.filter(|owed| *owed < exit.incarnation);
        agent.follows_coordinator |= exit.how == WITH_ITS_COORDINATOR;
        if !exit.expected && agent.role == Role::Coordinator {
            self.left_alone(&exit.name);
        }
        Ok(())
    }

    pub(super) fn is_death_of_coordinator(&self, exit: &AgentExit) -> bool {
        let is_one = |agent: &Agent| agent.role == Role::Coordinator;
        !exit.expected && self.agents.get(&exit.agent).is_some_and(is_one)
    }

    /// One process alone has had this place, and no operator has scaled the fleet.
    pub(super) fn is_one_process(&self, name: &str) -> bool {
        let is_one = |agent: &Agent| agent.name == name && agent.successors == 0 && agent.deaths == 0;
        !self.scaled_by_hand && self.agents.values().any(is_one)
    }

    /// The sweep found each coordinator that was introduced.
    pub(super) fn has_all_coordinators(&self, sample: &Sample) -> bool {
        let found: HashSet<AgentId> = sample.agents.iter().map(|row| row.agent).collect();
        let mut coordinators = self.agents.iter().filter(|(_, agent)| agent.role == Role::Coordinator);
        coordinators.all(|(id, _)| found.contains(id))
    }

    pub(super) fn incident(&mut self, incident: &Incident) -> Result<(), String> {
        self.scaled_by_hand |= incident.kind == IncidentKind::Scaled;
        let agent = self.fleet(incident.agent)?;
        let Incident { kind, name, from_ns, .. } = incident;
        if agent.name != *name {
            return Err(format!("agent {} is {}, and not {name}", incident.agent, agent.name));
        }
        if *kind == IncidentKind::Exit && agent.role != Role::Supervisor {
            return Err(format!("{name} has ended, and not as an exit"));
        }
        if incident.pid == 0 || incident.how.is_empty() {
            return Err(format!("an incident of {name}, and the log does not say which process or what"));
        }
        if incident.incarnation == 0 || incident.incarnation > agent.incarnation.max(agent.ended) {
            return Err(format!("incarnation {} of {name} never began", incident.incarnation));
        }
        if incident.incarnation == agent.incarnation && incident.pid != agent.pid {
            return Err(format!(
                "an incident of {name} as pid {}, and it is pid {}",
                incident.pid, agent.pid
            ));
        }
        if incident.to_ns.is_some_and(|to_ns| to_ns < *from_ns) {
            return Err(format!("an incident of {name} was over before it began"));
        }
        if *kind == IncidentKind::Stopped && incident.incarnation == agent.incarnation {
            // The supervisor's row says nothing of its guard and its spare.
            let is_own = agent.role != Role::Supervisor;
            if agent.stopped.is_some_and(|(_, seen_ns)| is_own && seen_ns < *from_ns) {
                return Err(format!("a sweep saw {name} stopped, and the incident came later"));
            }
            if is_own && incident.to_ns.is_none() {
                agent.stopped_for_good = Some(incident.incarnation);
            }
        }
        // What the sweep saw was known when it began or soon after.
        if matches!(kind, IncidentKind::Stopped | IncidentKind::Hung)
            && incident.to_ns.is_none_or(|to_ns| agent.stopped.is_some_and(|(_, seen_ns)| seen_ns <= to_ns))
        {
            agent.stopped = None;
        }
        Ok(())
    }

    /// A fault was injected into processes that are there; `is_deadly` if it ends them.
    pub(super) fn faulted(&mut self, step: &FaultStep, is_deadly: bool) -> Result<(), String> {
        for target in &step.targets {
            let agent = self.fleet(target.agent)?;
            if agent.name != target.name {
                return Err(format!("agent {} is {}, and not {}", target.agent, agent.name, target.name));
            }
            let own = (agent.incarnation, agent.pid, agent.start_ticks);
            if own != (target.incarnation, target.pid, target.start_ticks) {
                return Err(format!(
                    "a fault was injected into {} as pid {}, and it is pid {}",
                    target.name, target.pid, agent.pid
                ));
            }
            if is_deadly {
                agent.killed = Some((target.pid, step.at_ns));
            }
        }
        Ok(())
    }

    pub(super) fn sample(&mut self, sample: &Sample) -> Result<(), String> {
        let mut rows = HashSet::new();
        for row in &sample.agents {
            if !rows.insert(row.agent) {
                return Err(format!("agent {} is twice in sweep {}", row.agent, sample.sweep));
            }
            self.knows(row.agent)?;
            if let Some(agent) = self.agents.get_mut(&row.agent) {
                agent.figures(row, sample, self.old)?;
            } else {
                plausible(row).map_err(|what| format!("sweep {}: the harness has {what}", sample.sweep))?;
            }
        }
        let fleet = rows.iter().filter(|id| **id != HARNESS).count();
        if fleet as u64 != u64::from(sample.live) {
            return Err(format!(
                "sweep {}: {} processes are live, and it has {fleet} rows of them",
                sample.sweep, sample.live
            ));
        }
        Ok(())
    }

    /// At the end of a run that was carried out: everyone has ended, or is listed as a leftover.
    pub(super) fn complete(&self, plan: &PlanFacts, left: bool) -> Result<(), String> {
        self.all_there(plan)?;
        let mut agents: Vec<_> = self.agents.iter().collect();
        agents.sort_by_key(|(id, _)| **id);
        for (id, agent) in agents {
            if let Some(what) = &agent.dubious {
                return Err(what.clone());
            }
            if agent.kept_out {
                return Err(format!("{} {KEPT_OUT}, and the log has none that came", agent.name));
            }
            if let Some((sweep, _)) = agent.stopped {
                return Err(format!("sweep {sweep} saw {} stopped, and no incident says so", agent.name));
            }
            let wanted = if self.old { 1 } else { agent.incarnation };
            if *id != HARNESS && agent.ended < wanted && !left {
                return Err(format!("the log does not say how {} ended", agent.name));
            }
        }
        Ok(())
    }
}

impl Agent {
    /// Whether an end that is said to have been asked for can have been, and the other way round.
    fn ends_in_order(
        &self,
        exit: &AgentExit,
        phase: Option<Phase>,
        plan: Option<&PlanFacts>,
        old: bool,
    ) -> Result<(), String> {
        let retires = plan.is_some_and(|plan| match self.role {
            Role::Worker => plan.workers_least.is_some(),
            Role::Coordinator => plan.coordinators_least.is_some(),
            Role::Harness | Role::Supervisor => false,
        });
        // The first process of a place that cannot start is the end of the launch.
        if self.kept_out && (self.role != Role::Coordinator || self.exits == 0) {
            return Err(format!(
                "{} {KEPT_OUT}, and it is no coordinator that follows another one",
                exit.name
            ));
        }
        if exit.expected && phase < Some(Phase::Drain) && !retires && !self.kept_out {
            return Err(format!("{} ended on request in phase {phase:?}", exit.name));
        }
        if exit.expected && !old && !IN_ORDER.contains(&exit.how.as_str()) {
            return Err(format!("{} ended on request, and the log says how: {}", exit.name, exit.how));
        }
        if !exit.expected && IN_ORDER.contains(&exit.how.as_str()) {
            return Err(format!("{} {}, and its end was not expected", exit.name, exit.how));
        }
        Ok(())
    }

    fn figures(&mut self, row: &AgentSample, sample: &Sample, old: bool) -> Result<(), String> {
        let (name, sweep) = (&self.name, sample.sweep);
        if row.is_stopped() && self.role == Role::Harness {
            return Err(format!("sweep {sweep}: the harness is stopped, and it sweeps"));
        }
        // A sweep may be told after the end of a process that it saw.
        if row.is_stopped() && row.incarnation > self.ended {
            self.stopped.get_or_insert((sweep, sample.started_ns));
        } else if !row.is_stopped() && self.stopped_for_good == Some(row.incarnation) {
            return Err(format!("sweep {sweep}: {name} stayed stopped for good, and is not stopped"));
        }
        if row.incarnation == 0 || row.incarnation > self.incarnation {
            return Err(format!(
                "sweep {sweep}: incarnation {} of {name}, and {} is the newest",
                row.incarnation, self.incarnation
            ));
        }
        if let Err(what) = plausible(row) {
            self.dubious.get_or_insert_with(|| format!("sweep {sweep}: {name} has {what}"));
        }
        if let Some(last) = self.last.replace(*row)
            && last.incarnation == row.incarnation
            && !old
        {
            // Of several threads the kernel adds up differently than of one.
            let single = last.threads == 1 && row.threads == 1;
            if single && row.cpu_us < last.cpu_us
                || row.voluntary_switches < last.voluntary_switches
                || row.involuntary_switches < last.involuntary_switches
            {
                return Err(format!("sweep {sweep}: a count of {name} went back"));
            }
        }
        Ok(())
    }
}

/// What holds for every live process.
fn plausible(row: &AgentSample) -> Result<(), &'static str> {
    if row.rss_kib == 0 || row.vsz_kib == 0 || row.pss_kib == Some(0) {
        return Err("no memory");
    }
    if row.threads == 0 {
        return Err("no thread");
    }
    if row.fds == 0 {
        return Err("no descriptor");
    }
    if row.rss_kib > row.vsz_kib || row.anon_kib > row.rss_kib || row.pss_kib > Some(row.vsz_kib) {
        return Err("more memory in use than it has");
    }
    Ok(())
}
