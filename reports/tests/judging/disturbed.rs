//! Runs whose work is not proven, whose processes were disturbed, or whose harness leaks.

use reports::runlog::event::*;
use reports::{Judgement, Verdict};

use crate::gates::{bent, evidence};
use crate::synthetic::{Run, judge, log_of};

const MS: u64 = 1_000_000;

/// What the synthetic worker with the least CPU time uses in a round.
const CPU_A_ROUND: u64 = 5 * MS;

#[test]
fn cpu_time_that_the_kernel_did_not_see_is_a_failure() {
    let claims = |per_task_ns| {
        let judgement = bent(&Run::default(), |event| {
            if let Event::Header(header) = event {
                header.plan.cpu_per_task_ns = Some(per_task_ns);
            }
            true
        });
        judgement.evidence.into_iter().find(|e| e.name == "work proven").unwrap()
    };
    assert_eq!(claims(CPU_A_ROUND).verdict, Verdict::Pass, "{:?}", claims(CPU_A_ROUND));
    // Rounded by the kernel: within a tenth.
    assert_eq!(claims(CPU_A_ROUND * 11 / 10).verdict, Verdict::Pass);
    let more = claims(CPU_A_ROUND * 12 / 10);
    assert_eq!(more.verdict, Verdict::Fail, "{more:?}");
    // Of those that used the least, and of no others.
    assert!(more.note.as_ref().unwrap().starts_with("worker/"), "{more:?}");
}

#[test]
fn a_single_worker_that_computes_nothing_is_found_among_honest_ones() {
    let judgement = bent(&Run::default(), |event| {
        if let Event::Header(header) = event {
            header.plan.cpu_per_task_ns = Some(CPU_A_ROUND);
        }
        if let Event::Sample(sample) = event {
            sample.agents.iter_mut().filter(|row| row.agent == 4).for_each(|row| row.cpu_us /= 100);
        }
        true
    });
    evidence(&judgement, "work proven", Verdict::Fail);
    let check = judgement.evidence.iter().find(|e| e.name == "work proven").unwrap();
    let note = check.note.as_ref().unwrap();
    assert!(note.starts_with("worker/0.1: ") && !note.contains(';'), "{note}");
}

#[test]
fn computing_that_no_sweep_witnessed_is_inconclusive() {
    let judgement = bent(&Run::default(), |event| {
        if let Event::Header(header) = event {
            header.plan.cpu_per_task_ns = Some(1);
        }
        !matches!(event, Event::Sample(s) if s.sweep > 0)
    });
    evidence(&judgement, "work proven", Verdict::Inconclusive);
}

#[test]
fn times_that_the_harness_contradicts_are_a_failure_whatever_is_asked() {
    let run = Run { failed: |n| u32::from(n == 5), ..Run::asking("delivery.rate >= 90%") };
    let judgement = bent(&run, |event| {
        if let Event::Round(round) = event {
            round.contradicted = round.failed;
        }
        true
    });
    assert_eq!(judgement.criteria[0].verdict, Verdict::Pass);
    evidence(&judgement, "work proven", Verdict::Fail);
}

/// The run with incidents of worker/0.1, one for each kind.
fn with_incidents(run: &Run, kinds: &[IncidentKind]) -> Judgement {
    let mut events = run.events();
    let at = events.iter().position(|(_, e)| matches!(e, Event::Ledger(_))).unwrap();
    let t_ns = events[at].0;
    for kind in kinds {
        let incident = Incident {
            kind: *kind,
            agent: 4,
            incarnation: 1,
            name: "worker/0.1".into(),
            pid: 1_004,
            how: "was stopped for about 3.0s".into(),
            from_ns: t_ns - 3_000 * MS,
            to_ns: Some(t_ns),
        };
        events.insert(at, (t_ns, Event::Incident(incident)));
    }
    judge(&log_of(events))
}

#[test]
fn a_minor_incident_costs_the_pass_and_a_critical_one_is_a_failure() {
    use IncidentKind::{Hung, Scaled, Stopped, Suspected};
    for kind in [Stopped, Suspected, Scaled] {
        let judgement = with_incidents(&Run::default(), &[kind]);
        evidence(&judgement, "no undeclared incident", Verdict::Inconclusive);
        assert_eq!(judgement.verdict, Verdict::Inconclusive);
        assert!(judgement.reasons[0].contains("worker/0.1 (pid 1004) was stopped"), "{judgement:?}");
    }
    evidence(&with_incidents(&Run::default(), &[Stopped, Hung]), "no undeclared incident", Verdict::Fail);
}

#[test]
fn a_criterion_says_how_many_minor_incidents_there_may_be() {
    use IncidentKind::{Hung, Stopped};
    let run = Run::asking("incidents.minor < 3");
    assert_eq!(with_incidents(&run, &[Stopped; 2]).verdict, Verdict::Pass);
    assert_eq!(with_incidents(&run, &[Stopped; 3]).verdict, Verdict::Fail);
    // It allows no critical ones,
    assert_eq!(with_incidents(&run, &[Hung]).verdict, Verdict::Fail);
    // and a criterion that asks for more of them allows nothing.
    let run = Run::asking("incidents.minor >= 1");
    assert_eq!(with_incidents(&run, &[Stopped]).verdict, Verdict::Inconclusive);
}

#[test]
fn a_sweep_that_saw_a_stop_is_contradicted_by_a_log_without_the_incident() {
    let judgement = bent(&Run::default(), |event| {
        if let Event::Sample(s) = event {
            s.agents[3].state = (s.sweep == 7).then_some('T');
        }
        true
    });
    evidence(&judgement, "log consistent", Verdict::Inconclusive);
    assert!(judgement.reasons[0].contains("sweep 7 saw worker/0.1 stopped"), "{:?}", judgement.reasons);
}

#[test]
fn an_incident_that_cannot_be_is_inconclusive() {
    for bend in [
        (|i| i.agent = 0) as fn(&mut Incident),
        |i| i.kind = IncidentKind::Exit,
        |i| i.name = "worker/0.0".into(),
        |i| i.incarnation = 2,
        |i| i.pid = 7,
        |i| i.from_ns = 3,
        |i| i.to_ns = Some(i.from_ns - 1),
        |i| i.to_ns = Some(u64::MAX),
    ] {
        let run = Run::asking("incidents.minor < 3");
        let mut events = run.events();
        let at = events.iter().position(|(_, e)| matches!(e, Event::Ledger(_))).unwrap();
        let (from_ns, to_ns) = (events[at].0 - MS, Some(events[at].0));
        let (name, how) = ("worker/0.1".to_owned(), "was stopped".to_owned());
        let (kind, agent, incarnation, pid) = (IncidentKind::Stopped, 4, 1, 1_004);
        let mut incident = Incident { kind, agent, incarnation, name, pid, how, from_ns, to_ns };
        bend(&mut incident);
        events.insert(at, (events[at].0, Event::Incident(incident.clone())));
        let judgement = judge(&log_of(events));
        assert_ne!(judgement.verdict, Verdict::Pass, "{incident:?}");
        evidence(&judgement, "log consistent", Verdict::Inconclusive);
    }
}

/// The harness's row of each sweep, bent.
fn harness(bend: fn(u64, &mut AgentSample)) -> Judgement {
    bent(&Run::default(), |event| {
        if let Event::Sample(s) = event {
            let sweep = s.sweep;
            s.agents.iter_mut().filter(|row| row.agent == 0).for_each(|row| bend(sweep, row));
        }
        true
    })
}

#[test]
fn a_harness_that_leaks_makes_its_run_inconclusive() {
    let name = "harness does not grow";
    let fds = harness(|sweep, row| row.fds += sweep as u32 / 4);
    evidence(&fds, name, Verdict::Inconclusive);
    assert_eq!(fds.verdict, Verdict::Inconclusive, "its own fault, and not the fleet's");
    assert!(fds.reasons[0].contains("more descriptors late in the load than early"), "{:?}", fds.reasons);
    let memory = harness(|sweep, row| {
        row.anon_kib += sweep * 400;
        (row.rss_kib, row.vsz_kib) = (row.rss_kib + sweep * 400, row.vsz_kib + sweep * 400);
    });
    evidence(&memory, name, Verdict::Inconclusive);
    let threads = harness(|sweep, row| row.threads += sweep as u32 / 8);
    evidence(&threads, name, Verdict::Inconclusive);
    assert!(threads.reasons[0].contains("more threads late in the load than early"), "{:?}", threads.reasons);
    let unseen = bent(&Run::default(), |event| {
        if let Event::Sample(s) = event {
            s.agents.retain(|row| row.agent != 0);
        }
        true
    });
    evidence(&unseen, name, Verdict::Inconclusive);
}

#[test]
fn what_the_harness_holds_for_a_moment_or_fills_once_is_no_leak() {
    for bend in [
        (|sweep, row| row.fds += if sweep % 7 == 3 { 30 } else { 0 }) as fn(u64, &mut AgentSample),
        |sweep, row| row.fds += if sweep > 30 { 3 } else { 0 },
        |sweep, row| row.threads += if sweep > 30 { 2 } else { 0 },
        |sweep, row| row.anon_kib += sweep.min(30) * 50,
    ] {
        let judgement = harness(bend);
        assert_eq!(judgement.verdict, Verdict::Pass, "{:#?}", judgement.reasons);
    }
}

#[test]
fn an_alert_costs_the_pass_by_its_severity() {
    for (severity, verdict) in [
        (Severity::Info, Verdict::Pass),
        (Severity::Minor, Verdict::Inconclusive),
        (Severity::Critical, Verdict::Fail),
    ] {
        for minor in [3, 4] {
            let mut events = Run::default().events();
            let text = "worker/0.1 names process 7 while 8 lives there, which cannot be".to_owned();
            events.insert(3, (events[3].0, Event::Alert(Alert { severity, text: text.clone() })));
            let Event::Header(header) = &mut events[0].1 else { panic!("a log begins with its header") };
            header.format.minor = minor;
            // These came later.
            header.sources.clear();
            let judgement = judge(&log_of(events));
            let check = judgement.evidence.iter().find(|check| check.name == "no alert");
            if minor == 3 {
                assert_eq!((check, judgement.verdict), (None, Verdict::Pass));
                continue;
            }
            let check = check.unwrap();
            assert_eq!((check.verdict, judgement.verdict), (verdict, verdict), "{check:?}");
            assert_eq!(check.note, (severity != Severity::Info).then_some(text));
        }
    }
}

/// A closed loop whose first round was due so long after the log has said that the load began, without one of its sweeps.
fn closed(held_up_ns: u64, without: Option<u64>) -> Judgement {
    let run = Run { warm_up_rounds: 0, ..Run::default() };
    let mut events = run.events();
    for (t_ns, event) in &mut events {
        match event {
            Event::Header(header) => {
                (header.plan.load, header.plan.rounds_planned) = (LoadModel::Closed, 0);
                (header.plan.round_every_ns, header.plan.rounds_in_flight_max) = (0, 1);
            }
            Event::Round(round) if round.scheduled_ns == run.load_ns() => {
                let times = [&mut round.scheduled_ns, &mut round.started_ns, &mut round.finished_ns];
                let answers = [&mut round.first_ns, &mut round.made_ns].into_iter().flatten();
                for ns in times.into_iter().chain(answers).chain([t_ns]) {
                    *ns += held_up_ns;
                }
            }
            _ => {}
        }
    }
    events.retain(|(_, event)| !matches!(event, Event::Sample(sample) if Some(sample.sweep) == without));
    events.sort_by_key(|event| event.0);
    judge(&log_of(events))
}

#[test]
fn a_first_round_that_was_held_up_makes_no_sweep_due_after_the_load() {
    for held_up_ns in [0, 40 * MS] {
        let whole = closed(held_up_ns, None);
        assert_eq!(whole.verdict, Verdict::Pass, "held up for {held_up_ns} ns: {:?}", whole.reasons);
    }
    // The last of 60, a second apart.
    let cut = closed(40 * MS, Some(59));
    evidence(&cut, "log consistent", Verdict::Inconclusive);
    assert!(cut.reasons[0].contains("was due before the load was over"), "{:?}", cut.reasons);
}
