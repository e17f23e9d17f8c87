//! Whose late and second answers were.

use crate::runlog::event::{Phase, PlanFacts, Round, StrayAnswers};

/// Late and second answers of the load phase, by workload and by coordinator.
#[derive(Debug, Clone)]
pub struct Strays {
    workloads: Vec<Stray>,
    coordinators: Vec<Stray>,
    /// Those whose workload, or coordinator, the log does not say.
    of_no_workload: Stray,
    of_no_coordinator: Stray,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stray {
    pub late: u64,
    pub duplicates: u64,
}

impl Stray {
    fn add(&mut self, late: u32, duplicates: u32) {
        self.late = self.late.saturating_add(late.into());
        self.duplicates = self.duplicates.saturating_add(duplicates.into());
    }
}

impl Strays {
    pub(super) fn new(plan: &PlanFacts) -> Self {
        Self {
            workloads: vec![Stray::default(); plan.workloads.len()],
            coordinators: vec![Stray::default(); plan.coordinators as usize],
            of_no_workload: Stray::default(),
            of_no_coordinator: Stray::default(),
        }
    }

    pub(super) fn round(&mut self, round: &Round) {
        if round.phase != Phase::Load {
            return;
        }
        // Before 2.5 a round only says how many.
        let unsaid =
            StrayAnswers { late: round.late, duplicates: round.duplicates, ..StrayAnswers::default() };
        let said = if round.strays.is_empty() { &[unsaid][..] } else { &round.strays };
        for StrayAnswers { workload, coordinator, late, duplicates } in said {
            let place = workload.and_then(|at| self.workloads.get_mut(at as usize));
            place.unwrap_or(&mut self.of_no_workload).add(*late, *duplicates);
            let place = coordinator.and_then(|at| self.coordinators.get_mut(at as usize));
            place.unwrap_or(&mut self.of_no_coordinator).add(*late, *duplicates);
        }
    }

    /// Of the workload at this place of the plan; with those that may be of any.
    pub fn of_workload(&self, at: usize) -> (Stray, Stray) {
        (self.workloads.get(at).copied().unwrap_or_default(), self.of_no_workload)
    }

    /// Of the coordinator with this number; with those that may be of any. Nothing if there was none with it.
    pub fn of_coordinator(&self, number: u32) -> Option<(Stray, Stray)> {
        Some((*self.coordinators.get(number as usize)?, self.of_no_coordinator))
    }
}
