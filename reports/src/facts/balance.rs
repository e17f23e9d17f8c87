//! How the coordinators shared the work, while none of them was missing.

use std::collections::{BTreeMap, BTreeSet};

use crate::runlog::event::{AgentExit, AgentId, AgentInfo, AgentReplaced, Phase, PlanFacts, Role, Round};

/// What a coordinator did, and what would have been its part.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Share {
    pub answered: u64,
    /// Of each round that it was there for, an equal part of what all had answered.
    pub equal: f64,
}

/// Tasks answered under each coordinator, over the rounds of the load in which none was missing, or came or went.
#[derive(Debug, Clone)]
pub struct Balance {
    /// By the coordinators' places.
    shares: Vec<Share>,
    /// Rounds that are counted, and those that are not.
    rounds: u64,
    left_out: u64,
    /// Their number follows the load: one that has ended in order is not missing.
    varies: bool,
    places: BTreeMap<AgentId, usize>,
    /// Places of those that are there.
    up: BTreeSet<usize>,
    /// Coordinators whose process has died, and that have no other yet.
    down: BTreeSet<AgentId>,
    /// Since when the same are there.
    since_ns: u64,
}

impl Balance {
    pub(super) fn new(plan: &PlanFacts) -> Self {
        Self {
            shares: vec![Share::default(); plan.coordinators as usize],
            rounds: 0,
            left_out: 0,
            varies: plan.coordinators_least.is_some(),
            places: BTreeMap::new(),
            up: BTreeSet::new(),
            down: BTreeSet::new(),
            since_ns: 0,
        }
    }

    pub(super) fn introduce(&mut self, agents: &[AgentInfo], t_ns: u64) {
        for agent in agents.iter().filter(|agent| agent.role == Role::Coordinator) {
            let number = agent.name.strip_prefix("coord/").and_then(|number| number.parse().ok());
            let Some(place) = number.filter(|place| *place < self.shares.len()) else { continue };
            self.places.insert(agent.id, place);
            self.up.insert(place);
            self.since_ns = self.since_ns.max(t_ns);
        }
    }

    /// Of any process.
    pub(super) fn exit(&mut self, exit: &AgentExit) {
        let Some(place) = self.places.get(&exit.agent) else { return };
        self.up.remove(place);
        if !(self.varies && exit.expected) {
            self.down.insert(exit.agent);
        }
        self.since_ns = self.since_ns.max(exit.seen_ns);
    }

    /// Of any process.
    pub(super) fn replaced(&mut self, new: &AgentReplaced) {
        let Some(place) = self.places.get(&new.agent) else { return };
        self.down.remove(&new.agent);
        if self.up.insert(*place) {
            self.since_ns = self.since_ns.max(new.seen_ns);
        }
    }

    /// Another segment begins, with a fleet of its own.
    pub(super) fn resume(&mut self, t_ns: u64) {
        self.places.clear();
        self.up.clear();
        self.down.clear();
        self.since_ns = t_ns;
    }

    pub(super) fn round(&mut self, round: &Round) {
        if round.phase != Phase::Load || round.coordinators.len() != self.shares.len() {
            return;
        }
        let by_others =
            round.coordinators.iter().enumerate().any(|(place, n)| *n > 0 && !self.up.contains(&place));
        if !self.down.is_empty() || by_others || self.up.len() < 2 || round.started_ns < self.since_ns {
            self.left_out += 1;
            return;
        }
        self.rounds += 1;
        let all: u64 = round.coordinators.iter().copied().map(u64::from).sum();
        let equal = all as f64 / self.up.len() as f64;
        for place in &self.up {
            let share = &mut self.shares[*place];
            share.answered += u64::from(round.coordinators[*place]);
            share.equal += equal;
        }
    }

    /// Of each coordinator, by its place; nothing if no round says it.
    pub fn shares(&self) -> Option<&[Share]> {
        (self.rounds + self.left_out > 0).then_some(&self.shares)
    }

    /// Rounds during which the same coordinators were there, at least two, and none was missing.
    pub fn rounds(&self) -> u64 {
        self.rounds
    }
}

/// The coefficient of variation of what coordinators have done; each counts for as much as its equal part is. Nothing if
/// nothing was done.
pub fn variation(shares: &[Share]) -> Option<f64> {
    let all: f64 = shares.iter().map(|share| share.equal).sum();
    let squares = shares.iter().filter(|share| share.equal > 0.0).map(|share| {
        let of_equal = share.answered as f64 / share.equal;
        share.equal * (of_equal - 1.0).powi(2)
    });
    (all > 0.0).then(|| (squares.sum::<f64>() / all).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn balance(coordinators: usize, varies: bool) -> Balance {
        Balance {
            shares: vec![Share::default(); coordinators],
            rounds: 0,
            left_out: 0,
            varies,
            places: BTreeMap::new(),
            up: BTreeSet::new(),
            down: BTreeSet::new(),
            since_ns: 0,
        }
    }

    /// Agents 1, 2, … are coordinators 0, 1, …
    fn introduce(balance: &mut Balance, places: std::ops::Range<u32>, t_ns: u64) {
        let agents: Vec<AgentInfo> = places
            .map(|place| AgentInfo {
                id: place + 1,
                role: Role::Coordinator,
                name: format!("coord/{place}"),
                pid: 7,
                start_ticks: 1,
                incarnation: 1,
            })
            .collect();
        balance.introduce(&agents, t_ns);
    }

    fn round(started_ns: u64, phase: Phase, coordinators: &[u32]) -> Round {
        let text = r#"{"round":0,"phase":"load","scheduled_ns":0,"started_ns":0,"finished_ns":0,"tasks":0,"answered":0,
            "failed":0,"late":0,"duplicates":0,"corrupt":0,"task_p50_ns":null,"task_p99_ns":null,"task_max_ns":null}"#;
        let empty: Round = serde_json::from_str(text).unwrap();
        Round { started_ns, phase, coordinators: coordinators.to_vec(), ..empty }
    }

    fn exit(agent: AgentId, expected: bool, seen_ns: u64) -> AgentExit {
        let (name, how) = (format!("coord/{}", agent - 1), "killed by SIGKILL".to_owned());
        AgentExit { agent, incarnation: 1, name, pid: 7, how, expected, seen_ns }
    }

    fn replaced(agent: AgentId, seen_ns: u64) -> AgentReplaced {
        AgentReplaced {
            agent,
            incarnation: 2,
            name: format!("coord/{}", agent - 1),
            pid: 8,
            start_ticks: 9,
            seen_ns,
        }
    }

    fn answered(balance: &Balance) -> Option<Vec<u64>> {
        Some(balance.shares()?.iter().map(|share| share.answered).collect())
    }

    #[test]
    fn rounds_count_while_all_coordinators_are_up() {
        let mut balance = balance(2, false);
        introduce(&mut balance, 0..2, 1);
        assert_eq!(answered(&balance), None);
        balance.round(&round(5, Phase::WarmUp, &[100, 0]));
        balance.round(&round(10, Phase::Load, &[3, 2]));
        balance.exit(&exit(2, false, 15));
        balance.round(&round(16, Phase::Load, &[5, 0]));
        balance.replaced(&replaced(2, 20));
        // It began when one was missing.
        balance.round(&round(19, Phase::Load, &[1, 4]));
        balance.round(&round(20, Phase::Load, &[2, 3]));
        assert_eq!((answered(&balance), balance.rounds()), (Some(vec![5, 5]), 2));
        balance.resume(40);
        introduce(&mut balance, 0..2, 41);
        balance.round(&round(41, Phase::Load, &[1, 0]));
        assert_eq!(answered(&balance), Some(vec![6, 5]));
    }

    #[test]
    fn one_that_comes_and_goes_is_held_against_the_rounds_that_it_was_there_for() {
        let mut balance = balance(3, true);
        introduce(&mut balance, 0..2, 1);
        balance.round(&round(5, Phase::Load, &[6, 6, 0]));
        // It serves before it was seen.
        balance.round(&round(8, Phase::Load, &[4, 4, 4]));
        introduce(&mut balance, 2..3, 10);
        balance.round(&round(9, Phase::Load, &[4, 4, 4]));
        balance.round(&round(11, Phase::Load, &[4, 4, 4]));
        balance.exit(&exit(3, true, 20));
        balance.round(&round(19, Phase::Load, &[5, 5, 2]));
        balance.round(&round(21, Phase::Load, &[6, 6, 0]));
        assert_eq!((answered(&balance), balance.rounds()), (Some(vec![16, 16, 4]), 3));
        assert_eq!(variation(balance.shares().unwrap()), Some(0.0), "each had its equal part");
        // One that has died is missing, and one that is left alone shares with no other.
        balance.exit(&exit(2, false, 30));
        balance.round(&round(31, Phase::Load, &[12, 0, 0]));
        balance.replaced(&replaced(2, 40));
        balance.exit(&exit(2, true, 50));
        balance.round(&round(51, Phase::Load, &[12, 0, 0]));
        assert_eq!(balance.rounds(), 3);
    }

    #[test]
    fn equal_parts_weigh_alike_and_others_by_their_size() {
        let share = |answered, equal| Share { answered, equal };
        // The oracle: standard deviation over mean of 3, 5 and 10.
        let variance: f64 = [3.0_f64, 5.0, 10.0].iter().map(|n| (n - 6.0).powi(2)).sum::<f64>() / 3.0;
        let found = variation(&[share(3, 6.0), share(5, 6.0), share(10, 6.0)]).unwrap();
        assert!((found - variance.sqrt() / 6.0).abs() < 1e-12, "{found}");
        let found = variation(&[share(12, 10.0), share(8, 10.0), share(0, 0.0)]).unwrap();
        assert!((found - 0.2).abs() < 1e-12, "{found}");
        assert_eq!(variation(&[share(0, 0.0)]), None);
    }
}
