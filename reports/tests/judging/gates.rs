//! For each check and each kind of criterion, a run that must not pass.

use reports::runlog::event::*;
use reports::{Judgement, Verdict};

use crate::synthetic::{Run, criterion, judge, log_of};

const MS: u64 = 1_000_000;

pub(crate) fn judged(run: &Run) -> Judgement {
    judge(&run.log())
}

/// The run with one of its events bent, or taken out (`false`).
pub(crate) fn bent(run: &Run, mut bend: impl FnMut(&mut Event) -> bool) -> Judgement {
    let mut events = run.events();
    events.retain_mut(|(_, event)| bend(event));
    judge(&log_of(events))
}

#[track_caller]
pub(crate) fn evidence(judgement: &Judgement, name: &str, verdict: Verdict) {
    let check = judgement.evidence.iter().find(|e| e.name == name).unwrap();
    assert_eq!(check.verdict, verdict, "{check:?}");
    assert!(judgement.verdict >= verdict, "{judgement:?}");
    assert!(judgement.verdict != Verdict::Pass && judgement.exit.code != 0);
}

#[track_caller]
pub(crate) fn asked(run: impl std::borrow::Borrow<Run>, verdict: Verdict) -> Judgement {
    let judgement = judged(run.borrow());
    assert_eq!(judgement.criteria[0].verdict, verdict, "{:#?}", judgement.criteria[0]);
    judgement
}

#[test]
fn a_good_run_passes() {
    let judgement = judged(&Run::default());
    assert_eq!((judgement.verdict, judgement.exit.code), (Verdict::Pass, 0), "{:#?}", judgement.reasons);
    assert!(judgement.satisfies_gate);
}

#[test]
fn a_log_without_an_end_is_inconclusive() {
    let judgement = judged(&Run { end: None, ..Run::default() });
    evidence(&judgement, "run complete", Verdict::Inconclusive);
    assert!(judgement.criteria.iter().all(|c| c.verdict == Verdict::Inconclusive));
}

#[test]
fn every_other_end_is_no_pass() {
    for (reason, verdict, code) in [
        (EndReason::Interrupted, Verdict::Inconclusive, 21),
        (EndReason::Aborted, Verdict::Fail, 10),
        (EndReason::FleetLost, Verdict::Fail, 10),
        (EndReason::LaunchFailed, Verdict::Fail, 10),
        (EndReason::RecordingFailed, Verdict::Inconclusive, 12),
    ] {
        let judgement = judged(&Run { end: Some(reason), ..Run::default() });
        evidence(&judgement, "run complete", verdict);
        assert_eq!((judgement.verdict, judgement.exit.code), (verdict, code));
        assert!(
            judgement.criteria.iter().all(|c| c.verdict == Verdict::Inconclusive),
            "nothing holds so far"
        );
    }
}

#[test]
fn an_interrupted_run_is_inconclusive_whatever_it_shows() {
    let judgement = judged(&Run { end: Some(EndReason::Interrupted), failed: |_| 3, ..Run::default() });
    assert_eq!((judgement.verdict, judgement.exit.name.as_str()), (Verdict::Inconclusive, "interrupted"));
    assert_eq!(
        judgement.reasons,
        [
            "Interrupted after 1 min of 1 min of load: the partial run was not judged."
                .replace("1 min", "60 s"),
            "1 criterion held as far as the run went, 1 failed as far as the run went (all delivered)."
                .into(),
        ]
    );
}

#[test]
fn a_cut_run_tells_in_one_line_what_its_criteria_were_so_far() {
    let criteria = ["delivery.rate >= 99%", "coordination.time p50 < 1s", "coordination.time p99.9 < 1s"];
    let run = Run {
        end: None,
        criteria: criteria.map(|text| criterion(text, text, None)).to_vec(),
        ..Run::default()
    };
    let mut exits = 0;
    let judgement = bent(&run, |event| {
        if let Event::AgentExit(exit) = event {
            exits += 1;
            exit.expected = exits != 1;
        }
        true
    });
    let reasons = &judgement.reasons;
    assert!(reasons[0].contains("without an end, after 60 s of 60 s of load"), "{reasons:#?}");
    assert!(reasons[1].starts_with("FAIL: no undeclared death"), "{reasons:#?}");
    assert_eq!(reasons[2], "2 criteria held as far as the run went, 1 could not be measured.");
    assert_eq!(reasons.len(), 3, "{reasons:#?}");
}

#[test]
fn a_loss_names_the_first_task_of_the_load_that_failed() {
    let run = Run { failed: |n| if n == 7 { 6 } else { 0 }, ..Run::asking("delivery.rate >= 100%") };
    let mut events = run.events();
    events.retain(|(_, event)| !matches!(event, Event::TaskFailed(_)));
    let at = events.iter().position(|(_, e)| matches!(e, Event::Round(r) if r.round == 17)).unwrap();
    let task = |round, reason: &str| {
        let failed =
            TaskFailed { round, task: "1:2".into(), worker: 5, workload: None, reason: reason.into() };
        (events[at].0, Event::TaskFailed(failed))
    };
    let told = [task(3, "of the warm-up"), task(17, "no answer within 3s"), task(17, "another")];
    events.splice(at..at, told);
    let judgement = judge(&log_of(events));
    let reason = judgement.reasons.iter().find(|r| r.contains("asked `delivery.rate")).unwrap();
    assert!(reason.ends_with("; first failed task: worker/0.2, round 17: no answer within 3s."), "{reason}");
    assert_eq!(judgement.reasons.iter().filter(|r| r.contains("first failed task")).count(), 1);
}

#[test]
fn a_failure_says_whether_what_was_asked_failed_or_the_evidence() {
    let asked = "What was asked does not hold";
    let fault = "run shows a fault that no criterion excuses.";
    for (pass, dies, says) in [
        ("delivery.rate >= 100%", true, (false, true)),
        ("coordination.time max < 1ms", false, (true, false)),
        ("coordination.time max < 1ms", true, (true, true)),
    ] {
        let mut events = Run::asking(pass).events();
        for (_, event) in &mut events {
            if let Event::AgentExit(exit) = event {
                exit.expected = !dies;
            }
        }
        let log = log_of(events);
        let html = reports::render::html::render(&judge(&log), &crate::synthetic::facts(&log));
        assert_eq!((html.contains(asked), html.contains(fault)), says, "{pass} {dies}");
    }
}

#[test]
fn records_that_contradict_each_other_are_inconclusive() {
    let judgement = bent(&Run::default(), |event| {
        if let Event::Round(r) = event {
            r.answered += u32::from(r.round == 20);
        }
        true
    });
    evidence(&judgement, "log consistent", Verdict::Inconclusive);
    evidence(&judgement, "each task counted once", Verdict::Fail);
}

#[test]
fn a_scenario_without_criteria_proves_nothing() {
    evidence(&judged(&Run { criteria: vec![], ..Run::default() }), "criteria given", Verdict::Inconclusive);
}

/// Thirty minutes declared, and one minute done: the mistake this project began with.
#[test]
fn a_run_shorter_than_declared_is_inconclusive() {
    let judgement = bent(&Run::default(), |event| {
        if let Event::Header(h) = event {
            h.plan.duration_ns *= 30;
            h.plan.rounds_planned *= 30;
        }
        true
    });
    evidence(&judgement, "load duration", Verdict::Inconclusive);
    evidence(&judgement, "rounds done", Verdict::Inconclusive);
}

#[test]
fn missing_rounds_are_inconclusive() {
    let judgement = bent(&Run::default(), |event| !matches!(event, Event::Round(r) if r.round == 50));
    evidence(&judgement, "rounds done", Verdict::Inconclusive);
    // And the two ledgers differ.
    evidence(&judgement, "ledger", Verdict::Fail);
}

#[test]
fn a_run_that_did_nothing_does_not_pass() {
    let judgement = bent(&Run::default(), |event| !matches!(event, Event::Round(_)));
    evidence(&judgement, "work done", Verdict::Inconclusive);
    evidence(&judged(&Run { failed: |_| 6, ..Run::default() }), "work done", Verdict::Fail);
}

#[test]
fn fewer_processes_than_declared_are_inconclusive() {
    let mut sweeps = 0;
    let judgement = bent(&Run::default(), |event| {
        if let Event::Sample(s) = event {
            sweeps += 1;
            s.live -= u32::from(sweeps == 30);
        }
        true
    });
    evidence(&judgement, "agents seen", Verdict::Inconclusive);
    let judgement = bent(&Run::default(), |event| !matches!(event, Event::Sample(_)));
    evidence(&judgement, "agents seen", Verdict::Inconclusive);
}

#[test]
fn missed_sweeps_and_gaps_are_inconclusive() {
    let judgement = bent(&Run::default(), |e| !matches!(e, Event::Sample(s) if s.sweep % 10 == 9));
    evidence(&judgement, "sampling coverage", Verdict::Inconclusive);
    let long = Run { rounds: 600, ..Run::default() };
    let judgement = bent(&long, |e| !matches!(e, Event::Sample(s) if (100..106).contains(&s.sweep)));
    evidence(&judgement, "sampling coverage", Verdict::Inconclusive);
    let judgement = bent(&long, |e| !matches!(e, Event::Sample(s) if s.sweep > 298));
    evidence(&judgement, "sampling coverage", Verdict::Inconclusive);
}

#[test]
fn a_sampler_that_is_late_is_inconclusive() {
    let judgement = bent(&Run::default(), |event| {
        if let Event::Sample(s) = event {
            s.due_ns = s.started_ns.saturating_sub(1_100 * MS);
        }
        true
    });
    evidence(&judgement, "sampler on time", Verdict::Inconclusive);
}

#[test]
fn pss_that_was_not_read_is_missed_by_the_criterion_that_needs_it() {
    let run = Run { pss_every_ns: 1_000_000_000, ..Run::asking("memory.pss max < 1GiB") };
    let judgement = bent(&run, |event| {
        if let Event::Sample(s) = event {
            s.agents[2].pss_kib = None;
        }
        true
    });
    evidence(&judgement, "PSS read", Verdict::Inconclusive);
    assert_eq!(judgement.criteria[0].verdict, Verdict::Inconclusive);
}

#[test]
fn an_undeclared_death_is_a_failure() {
    let mut exits = 0;
    let judgement = bent(&Run::default(), |event| {
        if let Event::AgentExit(exit) = event {
            exits += 1;
            if exits == 3 {
                exit.expected = false;
                exit.how = "killed by SIGKILL".into();
            }
        }
        true
    });
    evidence(&judgement, "no undeclared death", Verdict::Fail);
    assert!(judgement.reasons[0].contains("killed by SIGKILL"), "{:?}", judgement.reasons);
}

#[test]
fn what_is_left_behind_is_a_failure_and_what_had_to_be_cleaned_is_a_finding() {
    let left = |bend: fn(&mut Verify)| {
        bent(&Run::default(), |event| {
            if let Event::Verify(v) = event {
                bend(v);
            }
            true
        })
    };
    let processes = left(|v| v.processes_left.push("1234 worker/0.1".into()));
    evidence(&processes, "nothing left behind", Verdict::Fail);
    evidence(&left(|v| v.files_left.push("/dev/shm/x".into())), "nothing left behind", Verdict::Fail);
    let cleaned = left(|v| v.cleaned.push("/dev/shm/x".into()));
    evidence(&cleaned, "nothing left behind", Verdict::Conditional);
    assert_eq!(cleaned.verdict, Verdict::Conditional);
    let unseen = bent(&Run::default(), |event| !matches!(event, Event::Verify(_)));
    evidence(&unseen, "nothing left behind", Verdict::Inconclusive);
    assert!(unseen.reasons[0].ends_with("found: not checked."), "{:?}", unseen.reasons);
}

#[test]
fn ledgers_that_differ_are_a_failure_and_unread_ones_are_inconclusive() {
    let ledger = |bend: fn(&mut Ledger)| {
        let judgement = bent(&Run::default(), |event| {
            if let Event::Ledger(l) = event {
                bend(l);
            }
            true
        });
        judgement.evidence.into_iter().find(|e| e.name == "ledger").unwrap().verdict
    };
    let own = |l: &mut Ledger| l.coordinators[1].coordinator.as_mut().unwrap().accepted;
    assert_eq!(ledger(|_| ()), Verdict::Pass);
    assert_eq!(ledger(|l| l.coordinators[0].coordinator = None), Verdict::Inconclusive);
    assert_eq!(ledger(|l| l.coordinators.clear()), Verdict::Fail);
    assert_eq!(ledger(|l| l.client.in_flight = 1), Verdict::Fail);
    assert_eq!(ledger(|l| l.client.answered -= 1), Verdict::Fail);
    assert_eq!(ledger(|l| l.coordinators[1].executed_by_workers = Some(3)), Verdict::Fail);
    assert_eq!(ledger(|l| l.coordinators[1].coordinator = Some(LedgerRow::default())), Verdict::Fail);
    assert_ne!(own(&mut ledger_of(&Run::default())), 0);
    let judgement = bent(&Run::default(), |event| !matches!(event, Event::Ledger(_)));
    evidence(&judgement, "ledger", Verdict::Inconclusive);
}

/// A coordinator that died takes no more tasks: the rounds hold them as failed, and no ledger does.
#[test]
fn refused_tasks_close_the_gap_between_the_rounds_and_the_ledgers() {
    let booked = |refused: u64| {
        let run = Run { failed: |n| u32::from(n < 20), ..Run::default() };
        let mut events = run.events();
        for (_, event) in &mut events {
            if let Event::Ledger(l) = event {
                let row = &mut l.coordinators[0];
                for row in [&mut l.client, &mut row.client, row.coordinator.as_mut().unwrap()] {
                    row.accepted -= 20;
                    row.failed -= 20;
                }
                l.refused = refused;
            }
        }
        let log = log_of(events);
        let judgement = judge(&log);
        let html = reports::render::html::render(&judgement, &crate::synthetic::facts(&log));
        (judgement.evidence.into_iter().find(|e| e.name == "ledger").unwrap(), html)
    };
    let (told, html) = booked(20);
    assert_eq!(told.verdict, Verdict::Pass, "{told:?}");
    assert!(told.found.ends_with("20 refused"), "{told:?}");
    assert!(html.contains("refused by the bus"));
    let (untold, html) = booked(0);
    assert_eq!(untold.verdict, Verdict::Fail);
    assert!(!untold.found.contains("refused") && !html.contains("refused by the bus"), "{untold:?}");
    assert_eq!(booked(19).0.verdict, Verdict::Fail);
}

/// The bus did its part: an answer that is not right is one in the ledgers, and none in the rounds.
#[test]
fn rejected_answers_close_the_gap_between_the_rounds_and_the_ledgers() {
    let booked = |rejected: u64| {
        let judgement = bent(&Run { failed: |n| u32::from(n < 20), ..Run::default() }, |event| {
            if let Event::Ledger(l) = event {
                let row = &mut l.coordinators[0];
                row.executed_by_workers = Some(row.client.accepted);
                for row in [&mut l.client, &mut row.client, row.coordinator.as_mut().unwrap()] {
                    row.answered += 20;
                    row.failed -= 20;
                }
                l.rejected = rejected;
            }
            true
        });
        judgement.evidence.into_iter().find(|e| e.name == "ledger").unwrap()
    };
    assert_eq!(booked(20).verdict, Verdict::Pass, "{:?}", booked(20));
    assert!(booked(20).found.ends_with("20 answered incorrectly"));
    assert_eq!(booked(0).verdict, Verdict::Fail);
}

#[test]
fn a_ledger_is_held_to_what_its_system_declares() {
    let ledger = |bend: fn(&mut Ledger)| {
        let judgement = bent(&Run::default(), |event| {
            if let Event::Ledger(l) = event {
                bend(l);
            }
            true
        });
        judgement.evidence.into_iter().find(|e| e.name == "ledger").unwrap().verdict
    };
    let by_coordinators = |l: &mut Ledger| {
        l.evidence = LedgerEvidence::Coordinators;
        l.coordinators.iter_mut().for_each(|row| row.executed_by_workers = None);
    };
    assert_eq!(ledger(by_coordinators), Verdict::Pass);
    assert_eq!(ledger(|l| l.coordinators[0].executed_by_workers = None), Verdict::Inconclusive);
    // Of a system whose coordinators count nothing, the client's ledger is all there is.
    let by_client = |l: &mut Ledger| {
        l.evidence = LedgerEvidence::Client;
        l.coordinators.clear();
    };
    assert_eq!(ledger(by_client), Verdict::Pass);
    let lost = |l: &mut Ledger| {
        l.evidence = LedgerEvidence::Client;
        l.coordinators.clear();
        l.client.answered -= 1;
    };
    assert_eq!(ledger(lost), Verdict::Fail);
}

fn ledger_of(run: &Run) -> Ledger {
    run.events()
        .into_iter()
        .find_map(|(_, event)| if let Event::Ledger(l) = event { Some(l) } else { None })
        .unwrap()
}

#[test]
fn a_criterion_that_cannot_be_read_is_inconclusive() {
    asked(Run::asking("latency.future p99 < 1s"), Verdict::Inconclusive);
}

#[test]
fn an_incomplete_criterion_pair_never_rescues() {
    let run =
        Run { criteria: vec![criterion("x", "incidents == 0", Some("incidents <= 3"))], ..Run::default() };
    assert_eq!(judged(&run).criteria[0].verdict, Verdict::Pass);
}

#[test]
fn a_stopped_run_keeps_its_failures() {
    let judgement = judged(&Run { end: Some(EndReason::Aborted), failed: |_| 1, ..Run::default() });
    let verdicts: Vec<_> = judgement.criteria.iter().map(|c| c.verdict).collect();
    assert_eq!(verdicts, [Verdict::Fail, Verdict::Inconclusive]);
    // What failed ended the run: it is said before that.
    let reasons = &judgement.reasons;
    let at = |words: &str| reasons.iter().position(|reason| reason.contains(words));
    let (why, end) = (at("asked `delivery.rate"), at("run complete"));
    assert!(why.is_some() && why < end, "{reasons:?}");
}

/// No name in the catalogue is an empty promise.
#[test]
fn every_metric_with_every_aggregation_has_a_value_in_a_good_run() {
    use reports::criterion::{Aggregation, MetricId, Scope, Unit, catalogue};
    let mut criteria = Vec::new();
    for metric in catalogue() {
        if metric.id.is_of_faults() || matches!(metric.id, MetricId::DeathDetection | MetricId::ScalingTime) {
            // In a good run without faults no process dies, and its fleet keeps its size.
            continue;
        }
        for aggregation in metric.aggregations {
            let threshold = match (aggregation, metric.unit) {
                (Aggregation::Growth | Aggregation::Drift, _) => "5%",
                (Aggregation::Slope, _) => "5%/h",
                (_, Unit::Seconds) => "5s",
                (_, Unit::Bytes) => "5MiB",
                (_, Unit::Share | Unit::OfOneCore | Unit::OfMean) => "5%",
                (_, Unit::Count) => "5",
                (_, Unit::Cores) => "5 cores",
                (_, Unit::PerSecond) => "5/s",
            };
            for scope in std::iter::once(Scope::Fleet).chain(metric.scopes()) {
                let whose = if scope == Scope::Fleet { String::new() } else { format!(".{}", scope.name()) };
                let text = format!("{}{whose} {} < {threshold}", metric.name, aggregation.name());
                criteria.push(criterion(&text, &text, None));
            }
        }
    }
    assert!(criteria.len() > 200);
    let run = Run {
        rounds: 1_000,
        round_every_ns: 100 * MS,
        sample_every_ns: 100 * MS,
        round_ns: |n| (1 + n % 50) * MS,
        commands: |n| Some(crate::metrics::commands(90_000 + n % 3, n * 50_000)),
        pool: Some(crate::metrics::POOL),
        batches: Some(Batches {
            tasks: Batch { messages: 40, batches: 4 },
            answers: Batch { messages: 40, batches: 7 },
        }),
        criteria,
        ..Run::default()
    };
    let judgement = bent(&run, |event| {
        match event {
            Event::Agents(agents) => agents.bare_forks_ns = Some(20 * MS),
            Event::Round(round) => {
                let took = round.finished_ns - round.scheduled_ns;
                round.first_ns = Some(round.started_ns + took / 4);
                round.made_ns = Some(round.started_ns + took / 2);
            }
            _ => {}
        }
        true
    });
    for c in judgement.criteria {
        assert!(c.value.is_some_and(f64::is_finite), "{c:#?}");
    }
}
