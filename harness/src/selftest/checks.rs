//! A canary for every check of the evidence.

use super::bend::{first_round, ledger, own, rounds, rows, stopped, sweeps};
use super::{Canary, Kind};
use crate::synthetic::overlay;
use crate::synthetic::settle::lost;
use crate::synthetic::{LAUNCHED_NS, MS_NS, SECOND_NS, Synthetic};
use reports::Verdict;
use reports::runlog::event::{
    Alert, CommandDone, Event, FaultStepKind, IncidentKind, Phase, SampleMissed, Scaled, Severity,
    StageFacts, Verify, When,
};
use reports::verdict::Check;

/// What the sound run passes.
const ANY: &str = "delivery.rate >= 50%";
const CONTRADICTS: &[Check] = &[Check::LogConsistent];

/// One for each, or it does not compile.
pub(super) fn canary(check: Check) -> Canary {
    let of = |bend| Canary::new(Kind::Check(check), check.name(), ANY, bend);
    let open = |bend| of(bend).wants(Verdict::Inconclusive);
    match check {
        Check::RunComplete => open(|run| run.retain(|event| !matches!(event, Event::End(_)))),
        Check::LogConsistent => open(shown_twice),
        Check::CriteriaGiven => {
            open(|run| run.header().criteria.iter_mut().for_each(|c| c.informational = true))
        }
        Check::LoadDuration => open(|run| run.header().plan.duration_ns *= 2).also(CONTRADICTS),
        Check::RoundsDone => open(round_missing).also(CONTRADICTS),
        Check::WorkDone => of(|run| rounds(run, |_, r, plan| lost(r, r.tasks, plan))).also(&[Check::Ledger]),
        Check::WorkProven => of(contradicted),
        Check::FaultsProven => open(unproven).lay(overlay::killed_and_back),
        Check::StagesDone => open(never_reached).lay(stage),
        Check::AgentsSeen => open(overlay::one_unseen),
        Check::SamplingCoverage => open(sweeps_missing),
        Check::SamplerOnTime => open(sweeps_late),
        Check::PssRead => open(pss_missing).asking("memory.pss max < 64MiB"),
        Check::HarnessDoesNotGrow => open(|run| own(run, |sweep, row| row.fds += sweep as u32 / 10)),
        Check::CountedOnce => of(|run| first_round(run, |round, _| round.duplicates = 1)),
        Check::Ledger => of(one_more_answer),
        Check::NoDeath => of(overlay::die_in_the_middle),
        Check::NoIncident => of(|run| stopped(run, IncidentKind::Hung)),
        Check::NoAlert => of(alert),
        Check::NothingLeft => of(|run| verify(run, |verify| verify.files_left = vec!["/dev/shm/x".into()])),
        Check::MemoryUntouched => of(|run| verify(run, |verify| verify.altered = vec!["a word".into()])),
        Check::SetUp => open(|run| command(run, When::SetUp, true))
            .lay(|run| run.header().plan.setup = vec!["true".into()])
            .sound(|run| command(run, When::SetUp, false)),
        Check::TearDown => open(|run| command(run, When::TearDown, true))
            .lay(|run| run.header().plan.teardown = vec!["true".into()])
            .sound(|run| command(run, When::TearDown, false)),
    }
}

/// As a forger would: a sweep that shows a process twice.
fn shown_twice(run: &mut Synthetic) {
    for sample in run.sweeps().filter(|sample| sample.sweep == 100) {
        sample.agents.push(sample.agents[1]);
    }
}

fn round_missing(run: &mut Synthetic) {
    run.retain(|event| !matches!(event, Event::Round(round) if round.round == 100));
    run.settle();
}

fn contradicted(run: &mut Synthetic) {
    first_round(run, |round, plan| {
        lost(round, 1, plan);
        round.contradicted = 1;
    });
}

fn unproven(run: &mut Synthetic) {
    run.retain(|event| !matches!(event, Event::Fault(step) if step.step == FaultStepKind::Proven));
}

fn never_reached(run: &mut Synthetic) {
    run.retain(|event| !matches!(event, Event::Scaled(of) if of.reached_ns.is_some()));
}

fn sweeps_missing(run: &mut Synthetic) {
    run.each(|event| match event {
        Event::Sample(sample) if (100..200).contains(&sample.sweep) => {
            let (sweep, due_ns, reason) = (sample.sweep, sample.due_ns, "the disk is full".to_owned());
            *event = Event::SampleMissed(SampleMissed { sweep, due_ns, reason });
        }
        _ => {}
    });
}

fn sweeps_late(run: &mut Synthetic) {
    let last = run.sweeps().count() as u64 - 2;
    let dues: Vec<_> = run.sweeps().map(|sample| (sample.sweep, sample.due_ns)).collect();
    // So late, the last ones do not come any more.
    run.retain(|event| !matches!(event, Event::Sample(sample) if sample.sweep >= last));
    sweeps(run, |sample| sample.started_ns += 15 * SECOND_NS);
    run.settle();
    let over_ns = run.sweeps().last().map_or(0, |sample| sample.started_ns + sample.took_ns);
    for (sweep, due_ns) in dues.into_iter().filter(|(sweep, _)| *sweep >= last) {
        let reason = "the sweep before it took too long".to_owned();
        run.add(over_ns.max(due_ns), Event::SampleMissed(SampleMissed { sweep, due_ns, reason }));
    }
}

fn pss_missing(run: &mut Synthetic) {
    rows(run, |sweep, row| row.pss_kib = row.pss_kib.filter(|_| sweep % 2 == 0));
}

fn one_more_answer(run: &mut Synthetic) {
    ledger(run, |ledger| ledger.coordinators[0].coordinator.iter_mut().for_each(|row| row.answered -= 1));
}

fn alert(run: &mut Synthetic) {
    let (severity, text) = (Severity::Critical, "the disk is full".to_owned());
    run.add(LAUNCHED_NS, Event::Alert(Alert { severity, text }));
}

fn verify(run: &mut Synthetic, bend: impl Fn(&mut Verify)) {
    run.each(|event| {
        if let Event::Verify(verify) = event {
            bend(verify);
        }
    });
}

/// A number of workers that the scenario asks for in the middle of the load: ordered, and had.
fn stage(run: &mut Synthetic) {
    let middle_ns = run.middle_ns();
    let plan = &mut run.header().plan;
    let (from, to) = (plan.places(), plan.places());
    plan.workers_least = Some(to);
    plan.stages = vec![StageFacts {
        name: "later".into(),
        at_ns: plan.duration_ns / 2,
        over_ns: 0,
        workers: to,
        round_every_ns: plan.round_every_ns,
    }];
    let processes = plan.processes;
    let order =
        Scaled { stage: "later".into(), from, to, processes, ordered_ns: middle_ns, reached_ns: None };
    let reached_ns = middle_ns + 10 * MS_NS;
    run.add(middle_ns, Event::Scaled(order.clone()));
    run.add(reached_ns, Event::Scaled(Scaled { reached_ns: Some(reached_ns), ..order }));
}

/// A command before the launch, or after the end.
fn command(run: &mut Synthetic, when: When, failed: bool) {
    let at_ns = match when {
        When::SetUp => 0,
        When::TearDown => run.events().last().map_or(0, |(at_ns, _)| *at_ns),
    };
    let done = Event::Command(CommandDone {
        when,
        command: "true".into(),
        started_ns: at_ns,
        finished_ns: at_ns,
        how: if failed { "exited with status 3" } else { "exited with status 0" }.into(),
        failed,
        output: Vec::new(),
    });
    run.insert_beside(done, |event| match when {
        When::SetUp => matches!(event, Event::Phase(began) if began.phase == Phase::Launch),
        When::TearDown => matches!(event, Event::End(_)),
    });
}
