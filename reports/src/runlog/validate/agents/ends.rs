//! Who died, who noticed it, and who came after.

use std::collections::{BTreeMap, BTreeSet};

use super::{Agent, Census};
use crate::runlog::event::{DeathNoticed, PlanFacts, Role, WITH_ITS_COORDINATOR, dependents};

/// What the fleet notices of a process, and what the harness sees of it, may come as far apart in the wrong order.
const LATE_NS: u64 = 1_000_000_000;
/// What is seen and the moment it is dated with may be as far apart.
const SEEN_NS: u64 = 10_000_000;

/// Processes of a fleet that ended and had not been asked to.
#[derive(Debug, Clone, Copy)]
pub(in crate::runlog::validate) struct Deaths {
    pub(in crate::runlog::validate) coordinators: u64,
    pub(in crate::runlog::validate) workers: u64,
}

impl Census {
    /// A death that the fleet has noticed is of a process that was introduced, and came after that.
    pub(in crate::runlog::validate) fn noticed(
        &mut self,
        death: &DeathNoticed,
        began_ns: u64,
    ) -> Result<(), String> {
        let DeathNoticed { name, pid, ended_ns, noticed_ns } = death;
        let Some(agent) = self.agents.values_mut().find(|agent| agent.name == *name) else {
            return Err(format!("the fleet noticed the death of {name}, which was not introduced"));
        };
        if !agent.pids.contains(pid) {
            return Err(format!("the fleet noticed the death of {name} as pid {pid}, which it never was"));
        }
        // What the fleet knows, the harness sees soon after; and no one is dead before it was killed.
        if let Some((_, seen_ns)) = agent.last_exit.filter(|(ended, _)| ended == pid)
            && *noticed_ns > seen_ns.saturating_add(LATE_NS)
        {
            return Err(format!(
                "`noticed_ns` of {name} (pid {pid}) is {noticed_ns}, and its end was seen at {seen_ns} ns"
            ));
        }
        if let Some((_, killed_ns)) = agent.killed.filter(|(killed, _)| killed == pid)
            && ended_ns.min(noticed_ns).saturating_add(SEEN_NS) < killed_ns
        {
            return Err(format!(
                "{name} (pid {pid}) was killed at {killed_ns} ns, and had ended at {ended_ns} ns and been noticed at {noticed_ns} ns"
            ));
        }
        if agent.noticed.replace((*pid, *ended_ns)) == Some((*pid, *ended_ns)) {
            return Err(format!("the fleet noticed the death of {name} (pid {pid}) twice"));
        }
        if ended_ns.min(noticed_ns).saturating_add(SEEN_NS) < began_ns {
            return Err(format!("{name} had died before the fleet was there"));
        }
        Ok(())
    }

    /// Processes that a fault killed have ended, so many in each place.
    pub(in crate::runlog::validate) fn killed(&self, killed: &BTreeMap<&str, u32>) -> Result<(), String> {
        let short =
            |agent: &&Agent| killed.get(agent.name.as_str()).is_some_and(|least| agent.deaths < *least);
        match self.agents.values().filter(|_| !killed.is_empty()).find(short) {
            Some(Agent { name, .. }) => {
                Err(format!("{name} was killed, and the log does not say how each of its processes ended"))
            }
            None => Ok(()),
        }
    }

    /// Deaths of coordinators and of workers.
    pub(in crate::runlog::validate) fn deaths(&self) -> Deaths {
        let of = |role| {
            let agents = self.agents.values().filter(|agent| agent.role == role);
            agents.map(|agent| u64::from(agent.deaths)).sum()
        };
        Deaths { coordinators: of(Role::Coordinator), workers: of(Role::Worker) }
    }

    /// A coordinator has died: the kernel ends its workers with it.
    pub(super) fn left_alone(&mut self, coordinator: &str) {
        let Some(prefix) = dependents(coordinator) else { return };
        for agent in self.agents.values_mut().filter(|agent| agent.role == Role::Worker) {
            if agent.name.starts_with(&prefix) && agent.ended < agent.incarnation {
                agent.owes_end = Some(agent.incarnation);
            }
        }
    }

    /// At the end of a run that was carried out: processes come after one that has ended, or after a worker that was to be
    /// replaced. `renewed` says how many were, if that is known.
    pub(in crate::runlog::validate) fn succeeded(
        &self,
        plan: &PlanFacts,
        renewed: Option<u64>,
    ) -> Result<(), String> {
        // Who writes over a region writes over its counts, too; and what an operator scales away leaves no end.
        if self.old || self.scaled_by_hand || plan.faults.iter().any(|fault| fault.kind.is_of_segments()) {
            return Ok(());
        }
        // Before 2.9, a coordinator that had come no further than its start, such as under a fault that fails its calls, was
        // followed by the next without a word; and so is a worker that is recycled. So a place needs one end, and only that of a
        // coordinator as many as it had successors.
        let is_explained = |agent: &Agent| {
            let own = u64::from(agent.ended >= agent.incarnation);
            let is_each_told = self.has_all_ends && agent.role == Role::Coordinator;
            agent.successors == 0
                || agent.exits > own && (!is_each_told || agent.exits >= agent.successors.saturating_add(own))
        };
        let mut workers = 0;
        for agent in self.agents.values().filter(|agent| !is_explained(agent)) {
            if agent.role == Role::Worker {
                workers += 1;
                continue;
            }
            return Err(format!(
                "{} had {} successors, and the log does not say how each process before them ended",
                agent.name, agent.successors
            ));
        }
        if let Some(agent) = self.agents.values().find(|agent| agent.owes_end.is_some()) {
            return Err(format!(
                "the coordinator of {} died, and the log does not say how that ended",
                agent.name
            ));
        }
        let died: BTreeSet<&str> = self
            .agents
            .values()
            .filter(|agent| agent.deaths > 0)
            .filter_map(|agent| agent.name.strip_prefix("coord/"))
            .collect();
        for agent in self.agents.values().filter(|agent| agent.follows_coordinator) {
            if agent.coordinator().is_some_and(|coordinator| !died.contains(coordinator)) {
                return Err(format!(
                    "{} {WITH_ITS_COORDINATOR}, and the log has no death of that",
                    agent.name
                ));
            }
        }
        match renewed {
            Some(renewed) if workers > renewed => Err(format!(
                "{workers} workers were followed by others without an end in the log, and `recycled` and `poisoned` of the ledger are {renewed} together"
            )),
            _ => Ok(()),
        }
    }

    /// At the end of a run that was carried out: `again` attempts at tasks are accounted for by no task and no failed attempt.
    /// They were given back unbegun, or taken over: when a worker or a coordinator ends, at most what is on its way there.
    pub(in crate::runlog::validate) fn gave_again(
        &self,
        plan: &PlanFacts,
        again: u64,
        renewed: Option<u64>,
    ) -> Result<(), String> {
        // Who writes over a region writes over its counts, too; and what an operator scales away leaves no end.
        if self.scaled_by_hand || plan.faults.iter().any(|fault| fault.kind.is_of_segments()) {
            return Ok(());
        }
        let a_round = u64::from(plan.workers_per_coordinator.max(plan.tasks_per_round.unwrap_or(0)));
        let open = a_round.saturating_mul(plan.rounds_in_flight_max.into());
        let ended = self.ends.saturating_add(renewed.unwrap_or(0));
        if again > ended.saturating_mul(open) {
            return Err(format!(
                "workers were used {again} times more than tasks were tried, and {ended} processes ended with at most {open} tasks each"
            ));
        }
        Ok(())
    }
}

impl Agent {
    /// The number of a worker's coordinator.
    fn coordinator(&self) -> Option<&str> {
        self.name.strip_prefix("worker/")?.split_once('.').map(|(coordinator, _)| coordinator)
    }
}
