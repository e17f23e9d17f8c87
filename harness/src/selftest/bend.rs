//! What can be wrong with a run, in the words that canaries use.

use crate::synthetic::overlay::WORKER;
use crate::synthetic::{SECOND_NS, Synthetic};
use reports::runlog::event::{AgentSample, Event, Incident, IncidentKind, Ledger, PlanFacts, Round, Sample};

/// Every round of the load, with its number.
pub(super) fn rounds(run: &mut Synthetic, bend: impl Fn(u64, &mut Round, &PlanFacts)) {
    let plan = run.header().plan.clone();
    for (number, round) in run.load_rounds() {
        bend(number, round, &plan);
    }
    run.settle();
}

/// The first round of the load.
pub(super) fn first_round(run: &mut Synthetic, bend: impl Fn(&mut Round, &PlanFacts)) {
    rounds(run, |number, round, plan| {
        if number == 0 {
            bend(round, plan);
        }
    });
}

/// Every sweep.
pub(super) fn sweeps(run: &mut Synthetic, bend: impl Fn(&mut Sample)) {
    run.sweeps().for_each(bend);
}

/// Every process of the fleet in every sweep, with the number of the sweep.
pub(super) fn rows(run: &mut Synthetic, bend: impl Fn(u64, &mut AgentSample)) {
    sweeps(run, |sample| {
        for row in sample.agents.iter_mut().filter(|row| row.agent != 0) {
            bend(sample.sweep, row);
        }
    });
}

/// The harness's own process.
pub(super) fn own(run: &mut Synthetic, bend: impl Fn(u64, &mut AgentSample)) {
    sweeps(run, |sample| {
        for row in sample.agents.iter_mut().filter(|row| row.agent == 0) {
            bend(sample.sweep, row);
        }
    });
}

pub(super) fn ledger(run: &mut Synthetic, bend: impl Fn(&mut Ledger)) {
    run.each(|event| {
        if let Event::Ledger(ledger) = event {
            bend(ledger);
        }
    });
}

/// An incident of the first worker.
pub(super) fn stopped(run: &mut Synthetic, kind: IncidentKind) {
    let from_ns = run.middle_ns();
    let Some(worker) = run.agents().iter().find(|agent| agent.name == WORKER).cloned() else { return };
    let to_ns = from_ns + 3 * SECOND_NS;
    let incident = Incident {
        kind,
        agent: worker.id,
        incarnation: 1,
        name: worker.name,
        pid: worker.pid,
        how: "stopped by a signal for 3 s, and went on".to_owned(),
        from_ns,
        to_ns: Some(to_ns),
    };
    run.add(to_ns, Event::Incident(incident));
}
