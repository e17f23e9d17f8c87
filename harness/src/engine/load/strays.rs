//! Answers to tasks that have an outcome already: late ones, and second ones.

use super::Loader;
use super::check::{Checked, Wrong};
use crate::system::{PlaceId, Stray};
use reports::runlog::event::{Round, StrayAnswers};
use std::collections::BTreeMap;

/// Since the last round that ended, by workload and coordinator. Bounded by the number of both.
#[derive(Debug, Default)]
pub(super) struct Strays {
    late: u32,
    second: u32,
    /// By workload and coordinator, as far as they are known.
    of: BTreeMap<(Option<u32>, Option<u32>), (u32, u32)>,
}

impl Strays {
    /// `part` finds of which workload the task with a tag is.
    pub fn late(&mut self, stray: Stray, part: impl Fn(u64) -> usize) {
        self.late = self.late.saturating_add(1);
        let of = self.of(stray, part);
        of.0 = of.0.saturating_add(1);
    }

    pub fn second(&mut self, stray: Stray, part: impl Fn(u64) -> usize) {
        self.second = self.second.saturating_add(1);
        let of = self.of(stray, part);
        of.1 = of.1.saturating_add(1);
    }

    fn of(&mut self, stray: Stray, part: impl Fn(u64) -> usize) -> &mut (u32, u32) {
        let workload = stray.tag.map(part).and_then(|part| u32::try_from(part).ok());
        self.of.entry((workload, stray.coordinator)).or_default()
    }

    /// They are counted with the round that ends next.
    pub fn take_into(&mut self, round: &mut Round) {
        let Self { late, second, of } = std::mem::take(self);
        (round.late, round.duplicates) = (late, second);
        let one = |((workload, coordinator), (late, duplicates))| StrayAnswers {
            workload,
            coordinator,
            late,
            duplicates,
        };
        round.strays = of.into_iter().map(one).collect();
    }
}

impl Loader<'_> {
    /// An outcome of a task that has one already: late if this end gave the task up, else a second one. Never
    /// counted as answered.
    pub(super) fn surplus(&mut self, outcome: &Checked) {
        if matches!(outcome.wrong, Some(Wrong::Undelivered(..))) {
            return;
        }
        let (mix, mix_seed) = (self.tools.plan.mix(), self.mix_seed);
        let part = |tag| mix.of_task(mix_seed, tag);
        let stray = Stray { tag: Some(outcome.tag), coordinator: coordinator_of(outcome.place) };
        if let Some(at) = self.given_up.iter().position(|tag| *tag == outcome.tag) {
            self.given_up.remove(at);
            self.strays.late(stray, part);
        } else {
            self.strays.second(stray, part);
        }
    }
}

/// Of a worker.
fn coordinator_of(place: PlaceId) -> Option<u32> {
    match place {
        PlaceId::Worker(worker) => Some(worker.coordinator),
        PlaceId::Coordinator(number) => Some(number),
        PlaceId::Supervisor => None,
    }
}
