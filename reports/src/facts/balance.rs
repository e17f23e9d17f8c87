//! How the coordinators shared the work, while all of them were there.

use std::collections::BTreeSet;

use crate::runlog::event::{AgentExit, AgentId, AgentReplaced, Phase, PlanFacts, Round};

/// Tasks answered under each coordinator, over the rounds of the load in which all were up.
#[derive(Debug, Clone)]
pub struct Balance {
    answered: Vec<u64>,
    /// Rounds that are counted, and those that are not: a coordinator was missing while they went on.
    rounds: u64,
    left_out: u64,
    /// Coordinators whose process has ended, and that have no other yet.
    down: BTreeSet<AgentId>,
    /// Since when all are up.
    up_ns: u64,
}

impl Balance {
    pub(super) fn new(plan: &PlanFacts) -> Self {
        Self {
            answered: vec![0; plan.coordinators as usize],
            rounds: 0,
            left_out: 0,
            down: BTreeSet::new(),
            up_ns: 0,
        }
    }

    /// Of a coordinator.
    pub(super) fn exit(&mut self, exit: &AgentExit) {
        self.down.insert(exit.agent);
    }

    pub(super) fn replaced(&mut self, new: &AgentReplaced) {
        if self.down.remove(&new.agent) {
            self.up_ns = self.up_ns.max(new.seen_ns);
        }
    }

    /// Another segment begins, with a fleet of its own.
    pub(super) fn resume(&mut self, t_ns: u64) {
        self.down.clear();
        self.up_ns = t_ns;
    }

    pub(super) fn round(&mut self, round: &Round) {
        if round.phase != Phase::Load || round.coordinators.len() != self.answered.len() {
            return;
        }
        if !self.down.is_empty() || round.started_ns < self.up_ns {
            self.left_out += 1;
            return;
        }
        self.rounds += 1;
        for (sum, more) in self.answered.iter_mut().zip(&round.coordinators) {
            *sum += u64::from(*more);
        }
    }

    /// Of each coordinator, in order; nothing if no round says it.
    pub fn answered(&self) -> Option<&[u64]> {
        (self.rounds + self.left_out > 0).then_some(&self.answered)
    }

    /// Rounds during which all coordinators were up.
    pub fn rounds(&self) -> u64 {
        self.rounds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn balance(coordinators: u64) -> Balance {
        let answered = vec![0; coordinators as usize];
        Balance { answered, rounds: 0, left_out: 0, down: BTreeSet::new(), up_ns: 0 }
    }

    fn round(started_ns: u64, phase: Phase, coordinators: &[u32]) -> Round {
        let text = r#"{"round":0,"phase":"load","scheduled_ns":0,"started_ns":0,"finished_ns":0,"tasks":0,"answered":0,
            "failed":0,"late":0,"duplicates":0,"corrupt":0,"task_p50_ns":null,"task_p99_ns":null,"task_max_ns":null}"#;
        let empty: Round = serde_json::from_str(text).unwrap();
        Round { started_ns, phase, coordinators: coordinators.to_vec(), ..empty }
    }

    fn exit(agent: AgentId) -> AgentExit {
        let (name, how) = (format!("coord/{agent}"), "killed by SIGKILL".to_owned());
        AgentExit { agent, incarnation: 1, name, pid: 7, how, expected: false, seen_ns: 15 }
    }

    fn replaced(agent: AgentId, seen_ns: u64) -> AgentReplaced {
        AgentReplaced {
            agent,
            incarnation: 2,
            name: format!("coord/{agent}"),
            pid: 8,
            start_ticks: 9,
            seen_ns,
        }
    }

    #[test]
    fn rounds_count_while_all_coordinators_are_up() {
        let mut balance = balance(2);
        assert_eq!(balance.answered(), None);
        balance.round(&round(5, Phase::WarmUp, &[100, 0]));
        balance.round(&round(10, Phase::Load, &[3, 2]));
        balance.exit(&exit(1));
        balance.round(&round(12, Phase::Load, &[0, 5]));
        balance.replaced(&replaced(1, 20));
        // It began when one was missing.
        balance.round(&round(19, Phase::Load, &[1, 4]));
        balance.round(&round(20, Phase::Load, &[2, 3]));
        assert_eq!((balance.answered(), balance.rounds()), (Some(&[5, 5][..]), 2));
        balance.resume(40);
        balance.round(&round(41, Phase::Load, &[1, 0]));
        assert_eq!(balance.answered(), Some(&[6, 5][..]));
    }
}
