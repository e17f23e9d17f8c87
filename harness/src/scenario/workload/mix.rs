//! Several workloads, among which the tasks of a run are divided by weight.

use super::Workload;
use super::agent::Program;
use crate::scenario::seed;
use crate::scenario::unit::nanos;
use rand::SeedableRng;
use rand::rand_core::Rng as _;
use rand_chacha::ChaCha8Rng;
use reports::runlog::event::WorkloadFacts;
use std::time::Duration;

/// One of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// Absent if it is the only one, and the scenario does not name it.
    pub name: Option<String>,
    pub weight: u32,
    pub workload: Workload,
}

/// What tasks can be. Checked: never empty; several have names, which differ, and at most one agent program.
#[derive(Debug, Clone, PartialEq)]
pub struct Mix(pub(super) Vec<Part>);

impl Mix {
    /// In the order of the file.
    pub fn parts(&self) -> &[Part] {
        &self.0
    }

    /// Which part the task `tag` is of: the same for the same seed, in whatever order tasks are asked for.
    pub fn of_task(&self, seed: u64, tag: u64) -> usize {
        if self.0.len() == 1 {
            return 0;
        }
        let total: u64 = self.0.iter().map(|part| u64::from(part.weight)).sum();
        // The odd factor spreads neighbouring tags over all seeds.
        let tag = tag.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let drawn = ChaCha8Rng::seed_from_u64(seed ^ tag).next_u64();
        // The product's upper half is below `total`, and as even as 64 bits can be.
        let mut at = ((u128::from(drawn) * u128::from(total)) >> 64) as u64;
        for (index, part) in self.0.iter().enumerate() {
            match at.checked_sub(u64::from(part.weight)) {
                Some(rest) => at = rest,
                None => return index,
            }
        }
        unreachable!("{at} is left of a draw below the sum of all weights")
    }

    /// Bytes that a task or its answer carries at most.
    pub fn payload_max_bytes(&self) -> u32 {
        self.0.iter().map(|part| part.workload.payload_max_bytes()).max().unwrap_or(0)
    }

    /// CPU time of a task, if all are of one workload and it says; of several, see [`Self::facts`].
    pub fn cpu_per_task(&self) -> Option<Duration> {
        match &self.0[..] {
            [only] => only.workload.cpu_per_task(),
            _ => None,
        }
    }

    /// The least time that any task takes its worker; `None` if one of them may take none.
    pub fn task_least(&self) -> Option<Duration> {
        self.0.iter().map(|part| part.workload.least()).min().flatten()
    }

    /// The agent program that each worker keeps running.
    pub fn agent(&self) -> Option<&Program> {
        self.0.iter().find_map(|part| match &part.workload {
            Workload::Agent(agent) => Some(agent.program()),
            Workload::Echo { .. }
            | Workload::Sleep(_)
            | Workload::Compute { .. }
            | Workload::Exec(_)
            | Workload::Saboteur(_) => None,
        })
    }

    /// Those that have one, in the order of the file.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| part.name.as_deref())
    }

    /// Of a rehearsal that is `factor` times as fast.
    pub(in crate::scenario) fn compress(&mut self, factor: f64) {
        for part in &mut self.0 {
            if let Workload::Saboteur(saboteur) = &mut part.workload {
                saboteur.compress(factor);
            }
        }
    }

    /// In words: `echo 256 B`, or `3 of 4 compile (compute 2 ms), 1 of 4 quick (echo 256 B)`.
    pub fn words(&self) -> String {
        let total: u64 = self.0.iter().map(|part| u64::from(part.weight)).sum();
        let named = |part: &Part| match &part.name {
            Some(name) if self.0.len() > 1 => {
                format!("{} of {total} {name} ({})", part.weight, part.workload.words())
            }
            Some(_) | None => part.workload.words(),
        };
        self.0.iter().map(named).collect::<Vec<_>>().join(", ")
    }

    /// For the log's header: those with a name.
    pub fn facts(&self) -> Vec<WorkloadFacts> {
        let fact = |part: &Part| {
            Some(WorkloadFacts {
                name: part.name.clone()?,
                weight: part.weight,
                workload: part.workload.words(),
                cpu_per_task_ns: part.workload.cpu_per_task().map(nanos),
            })
        };
        self.0.iter().filter_map(fact).collect()
    }
}

/// The seed of the draws, from the run's.
pub(in crate::scenario) fn seed_of(run: u64) -> u64 {
    seed::child(run, "workload")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mix(weights: &[u32]) -> Mix {
        let part = |(n, weight): (usize, &u32)| Part {
            name: Some(format!("w{n}")),
            weight: *weight,
            workload: Workload::Echo { payload_bytes: 1 },
        };
        Mix(weights.iter().enumerate().map(part).collect())
    }

    #[test]
    fn each_workload_gets_its_share_of_the_tasks() {
        let (mix, weights) = (mix(&[1, 6, 3]), [0.1, 0.6, 0.3]);
        let mut drawn = [0_u32; 3];
        // As tags are: round and index.
        for (round, index) in (0..200_u64).flat_map(|round| (0..100_u64).map(move |index| (round, index))) {
            drawn[mix.of_task(5, round << 24 | index)] += 1;
        }
        for (count, weight) in drawn.into_iter().zip(weights) {
            let share = f64::from(count) / 20_000.0;
            // Five standard deviations.
            assert!((share - weight).abs() < 5.0 * (weight * (1.0 - weight) / 20_000.0).sqrt(), "{drawn:?}");
        }
    }

    #[test]
    fn a_draw_repeats_with_its_seed_and_differs_with_another() {
        let mix = mix(&[1, 1]);
        let of = |seed| (0..64).map(|tag| mix.of_task(seed, tag)).collect::<Vec<_>>();
        assert_eq!(of(seed_of(1)), of(seed_of(1)));
        assert_ne!(of(seed_of(1)), of(seed_of(2)));
    }
}
