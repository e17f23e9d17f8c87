//! Coordinators that ended without a death, and were followed by another one before their end was noted.

use super::{RETIRED, Watch};
use crate::system::{Identity, Life, Presence, Process, Role, System};
use reports::runlog::event::{AgentExit, KEPT_OUT};

impl Watch {
    /// Coordinators that have ended in order, and whose place has another process by now: those that could not open their
    /// memory when they started, which no parent counts as deaths, and those that were too many and are wanted again. Workers
    /// that are recycled come and go like that with each task, and the ledger counts them.
    pub(super) fn followed(
        &mut self,
        system: &dyn System,
        processes: &[Process],
        seen_ns: u64,
    ) -> Vec<AgentExit> {
        let mut exits = Vec::new();
        for process in processes.iter().filter(|process| process.place.role() == Role::Coordinator) {
            let Some(id) = self.by_place.get(&process.place) else { continue };
            let (agent, noted) = (&self.agents[*id as usize], &mut self.noted[*id as usize]);
            let known = Identity { pid: agent.pid, start_ticks: agent.start_ticks };
            if process.identity() == known {
                noted.served |= process.life == Life::Live;
                continue;
            }
            // What an operator scales away may have ended in either way.
            let is_told = noted.exits > 0 || noted.ended || process.life == Life::Dead || self.scaled;
            if is_told
                || noted.served && self.elastic.is_none()
                || system.presence(known) != Presence::Gone
                || system.presence(process.identity()) != Presence::Alive
            {
                continue;
            }
            let how = if noted.served { RETIRED } else { KEPT_OUT };
            let exit = self.exit(process.place, how.to_owned(), seen_ns);
            exits.extend(exit.map(|exit| AgentExit { expected: true, ..exit }));
        }
        exits
    }
}
