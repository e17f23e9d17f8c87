//! Which places a fleet wants that is not always of one size. Those that were emptied by a fault and are not wanted any more stay
//! empty, and no recovery waits for them.

use std::collections::{BTreeMap, BTreeSet};

use crate::runlog::event::{AgentId, AgentInfo, Resized, Role, dependents};

/// The log has the ends of the processes that a decision ended so long after the decision itself.
const LOGGED_NS: u64 = 1_000_000_000;

#[derive(Debug, Clone, Default)]
pub(super) struct Pool {
    /// Ended in order, or with what did.
    given_up: BTreeSet<AgentId>,
    /// Ended otherwise, and not followed by another process yet.
    lost: BTreeSet<AgentId>,
    /// By who has decided so: how many there are to be, and since when there are.
    smaller: BTreeMap<String, (u32, u64)>,
}

impl Pool {
    pub(super) fn is_given_up(&self, agent: AgentId) -> bool {
        self.given_up.contains(&agent)
    }

    pub(super) fn give_up(&mut self, agent: AgentId) {
        self.given_up.insert(agent);
        self.lost.remove(&agent);
    }

    pub(super) fn lose(&mut self, agent: AgentId) {
        if !self.is_given_up(agent) {
            self.lost.insert(agent);
        }
    }

    pub(super) fn fill(&mut self, agent: AgentId) {
        self.given_up.remove(&agent);
        self.lost.remove(&agent);
    }

    /// What was decided before is void.
    pub(super) fn resized(&mut self, resized: &Resized) {
        if resized.to < resized.from {
            self.smaller.insert(resized.name.clone(), (resized.to, resized.reached_ns));
        } else {
            self.smaller.remove(&resized.name);
        }
    }

    /// The empty places that are not wanted: where a fleet has become smaller, and has all the processes that it wants without
    /// them. Each with the moment from which that was so. A fleet may also have become smaller and still start a process in an empty
    /// place: then it has one too few.
    pub(super) fn settled(
        &mut self,
        at_ns: u64,
        agents: &BTreeMap<AgentId, AgentInfo>,
    ) -> Vec<(u64, BTreeSet<AgentId>)> {
        let mut settled = Vec::new();
        let is_due = |since_ns: u64| at_ns >= since_ns.saturating_add(LOGGED_NS);
        let due: Vec<_> = self.smaller.extract_if(.., |_, (_, since_ns)| is_due(*since_ns)).collect();
        for (name, (wanted, since_ns)) in due {
            // A coordinator decides on its workers, and the supervisor on the coordinators.
            let below = dependents(&name);
            let is_its = |agent: &&AgentInfo| match &below {
                Some(prefix) => agent.role == Role::Worker && agent.name.starts_with(prefix),
                None => agent.role == Role::Coordinator,
            };
            let (empty, there): (Vec<_>, Vec<_>) =
                agents.values().filter(is_its).partition(|agent| self.is_empty(agent.id));
            if there.len() < wanted as usize {
                // Another one is still to come, or none of the empty places is wanted: the next round shows it.
                self.smaller.insert(name, (wanted, since_ns));
                continue;
            }
            let mut places: BTreeSet<AgentId> = empty.iter().map(|agent| agent.id).collect();
            for prefix in empty.iter().filter_map(|agent| dependents(&agent.name)) {
                places.extend(agents.values().filter(|a| a.name.starts_with(&prefix)).map(|agent| agent.id));
            }
            for agent in &places {
                self.give_up(*agent);
            }
            settled.push((since_ns, places));
        }
        settled
    }

    fn is_empty(&self, agent: AgentId) -> bool {
        self.given_up.contains(&agent) || self.lost.contains(&agent)
    }
}
