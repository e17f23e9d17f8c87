//! Commands before the launch and after the end: those of the plan, in its order, one after the other.

use crate::runlog::event::{CommandDone, Phase, PlanFacts, When};

/// Of this segment.
#[derive(Debug, Default)]
pub(super) struct Commands {
    set_up: usize,
    tear_down: usize,
    /// The segment before may have been killed: its tear-down is run first, and the own one at the end.
    is_resumed: bool,
    /// When the newest of them was over.
    over_ns: u64,
}

impl Commands {
    pub(super) fn of_resumed_segment() -> Self {
        Self { is_resumed: true, ..Self::default() }
    }

    /// `since_ns`: when the phase began that the command is of.
    pub(super) fn done(
        &mut self,
        command: &CommandDone,
        (phase, since_ns): (Option<Phase>, u64),
        plan: &PlanFacts,
    ) -> Result<(), String> {
        let CommandDone { when, command: words, started_ns, finished_ns, how, .. } = command;
        if finished_ns < started_ns {
            return Err(format!("{words} was over before it began"));
        }
        if *started_ns < since_ns.max(self.over_ns) {
            return Err(format!("{words} began before all was over that comes before it"));
        }
        if how.is_empty() {
            return Err(format!("{words} has ended, and the log does not say how"));
        }
        self.over_ns = *finished_ns;
        match (when, phase) {
            (When::SetUp, None) | (When::TearDown, None | Some(Phase::Launch | Phase::Verify)) => {}
            (stage, phase) => return Err(format!("a command of the {} in phase {phase:?}", stage.name())),
        }
        let (planned, done) = match when {
            When::SetUp => (&plan.setup, &mut self.set_up),
            When::TearDown => (&plan.teardown, &mut self.tear_down),
        };
        let place = std::mem::replace(done, *done + 1);
        let is_second = self.is_resumed && when == &When::TearDown && place >= planned.len();
        let own = if is_second { place - planned.len() } else { place };
        match planned.get(own) {
            Some(own) if own == words => Ok(()),
            Some(own) => Err(format!("{words} was run in the {}, and {own} is planned", when.name())),
            None => Err(format!("{words} was run in the {}, which has {place} commands", when.name())),
        }
    }

    /// Of a run that was carried out to its end.
    pub(super) fn complete(&self, plan: &PlanFacts) -> Result<(), String> {
        for (when, planned, done) in
            [(When::SetUp, &plan.setup, self.set_up), (When::TearDown, &plan.teardown, self.tear_down)]
        {
            if done < planned.len() {
                return Err(format!("{done} of {} commands of the {}", planned.len(), when.name()));
            }
        }
        Ok(())
    }
}
