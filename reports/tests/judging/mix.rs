//! A mix of workloads: each has its figures, in the judgement and in every document.

use crate::synthetic::{Run, criterion, judge, latency, log_of, read, report, run_dir};
use hdrhistogram::Histogram;
use reports::runlog::event::{
    Event, Phase, Round, StrayAnswers, WorkloadFacts, WorkloadLatency, WorkloadRound,
};
use reports::{Judgement, Verdict};

/// CPU time of a task of `compile`.
const CPU_NS: u64 = 10_000_000;

/// Of the six tasks of a round two are of `compile`, which take half as long as the round; four are of `quick`, which
/// has all failures.
pub(crate) fn parts(round: &Round) -> Vec<WorkloadRound> {
    let took = round.finished_ns - round.scheduled_ns;
    let part = |tasks, failed, took_ns: u64| WorkloadRound {
        tasks,
        answered: tasks - failed,
        failed,
        corrupt: 0,
        task_p50_ns: Some(took_ns),
        task_p99_ns: Some(took_ns),
        task_max_ns: Some(took_ns),
    };
    vec![part(2, 0, took / 2), part(4, round.failed, took)]
}

fn events_of(run: &Run, cpu_ns: u64) -> Vec<(u64, Event)> {
    let mut events = run.events();
    let mut timed = [Histogram::<u64>::new(3).unwrap(), Histogram::<u64>::new(3).unwrap()];
    for (_, event) in &mut events {
        match event {
            Event::Header(header) => {
                let facts = |name: &str, weight, cpu_per_task_ns| WorkloadFacts {
                    name: name.into(),
                    weight,
                    workload: format!("what {name} does"),
                    cpu_per_task_ns,
                };
                header.plan.workload =
                    "1 of 3 compile (what compile does), 2 of 3 quick (what quick does)".into();
                header.plan.workloads = vec![facts("compile", 1, Some(cpu_ns)), facts("quick", 2, None)];
            }
            Event::TaskFailed(failed) => failed.workload = Some("quick".into()),
            Event::Round(round) => {
                round.workloads = parts(round);
                for (part, histogram) in round.workloads.iter().zip(&mut timed) {
                    if round.phase == Phase::Load {
                        histogram.record_n(part.task_max_ns.unwrap(), part.answered.into()).unwrap();
                    }
                }
            }
            _ => {}
        }
    }
    let at = events.iter().position(|(_, event)| matches!(event, Event::Latency(_))).unwrap();
    let t_ns = events[at].0;
    for (histogram, name) in timed.iter().zip(["compile", "quick"]) {
        let Event::Latency(all) = &events[at].1 else { unreachable!("the position of one") };
        let whole = latency(histogram, all.start_ns, all.length_ns);
        let interval = WorkloadLatency {
            workload: name.into(),
            phase: whole.phase,
            start_ns: whole.start_ns,
            length_ns: whole.length_ns,
            max_ns: whole.max_ns,
            count: whole.count,
            histogram: whole.histogram,
        };
        events.insert(at + 1, (t_ns, Event::WorkloadLatency(interval)));
    }
    events
}

fn asked(criteria: &[&str], failed: fn(u64) -> u32) -> Run {
    let criteria = criteria.iter().map(|pass| criterion(pass, pass, None)).collect();
    Run { criteria, failed, ..Run::default() }
}

fn judged(run: &Run) -> Judgement {
    judge(&log_of(events_of(run, CPU_NS)))
}

#[test]
fn late_and_second_answers_are_counted_by_workload() {
    let of = |workload, late, duplicates| StrayAnswers { workload, late, duplicates, coordinator: Some(0) };
    let asks = [
        "delivery.late{workload=compile} == 0",
        "delivery.late{workload=quick} == 0",
        "delivery.duplicates{workload=quick} == 0",
    ];
    let failed = |n| if n == 0 { 3 } else { 0 };
    let strays = vec![of(Some(0), 1, 0), of(Some(1), 2, 4)];
    let run = Run { late: 3, duplicates: 4, strays, ..asked(&asks, failed) };
    let found: Vec<Option<f64>> = judged(&run).criteria.iter().map(|c| c.value).collect();
    assert_eq!(found, [Some(1.0), Some(2.0), Some(4.0)]);
    let open = Run { strays: vec![of(Some(0), 1, 0), of(None, 2, 4)], ..run };
    let found: Vec<Option<f64>> = judged(&open).criteria.iter().map(|c| c.value).collect();
    assert_eq!(found, [None, None, None], "of some it is not known whose they are");
}

#[test]
fn each_workload_is_judged_by_its_own_tasks() {
    // 120 rounds in 60 s, of which the fourth loses two of 480 tasks of `quick`.
    let run = asked(
        &[
            r#"task.time{workload="compile"} max < 8ms"#,
            r#"task.time{workload="quick"} max < 8ms"#,
            r#"delivery.rate{workload="compile"} >= 100%"#,
            r#"delivery.rate{workload="quick"} >= 100%"#,
            r#"delivery.rate{workload="quick"} >= 90% every 10s"#,
            r#"delivery.failed{workload="quick"} <= 2"#,
            r#"throughput.tasks{workload="compile"} > 3.9/s"#,
        ],
        |n| if n == 3 { 2 } else { 0 },
    );
    let judgement = judged(&run);
    let found: Vec<_> = judgement.criteria.iter().map(|c| (c.verdict, c.value.unwrap())).collect();
    let wanted = [
        // Rounds take 5 to 15 ms.
        (Verdict::Pass, 0.0075),
        (Verdict::Fail, 0.015),
        (Verdict::Pass, 1.0),
        (Verdict::Fail, 478.0 / 480.0),
        // 20 rounds of four tasks in a window.
        (Verdict::Pass, 78.0 / 80.0),
        (Verdict::Pass, 2.0),
        (Verdict::Pass, 240.0 / 60.0),
    ];
    for ((found, value), (verdict, wanted)) in found.iter().zip(wanted) {
        assert!(
            *found == verdict && (value - wanted).abs() < wanted * 2e-3,
            "{value} for {wanted}: {found:?}"
        );
    }
    assert_eq!(judgement.criteria[0].metric, r#"task.time{workload="compile"}"#);
    assert_eq!(
        judgement.evidence.iter().find(|e| e.name == "log consistent").unwrap().verdict,
        Verdict::Pass
    );
}

#[test]
fn a_workload_that_the_run_does_not_have_is_not_judged() {
    let judgement = judged(&asked(&[r#"delivery.rate{workload="link"} >= 95%"#], |_| 0));
    assert_eq!(judgement.criteria[0].verdict, Verdict::Inconclusive);
    assert_eq!(judgement.criteria[0].note.as_deref(), Some("the run has no workload `link`"));
}

#[test]
fn every_document_shows_the_figures_of_each_workload() {
    let dir = run_dir(&log_of(events_of(&asked(&["delivery.rate >= 95%"], |_| 0), CPU_NS)));
    let (judgement, _) = report(dir.path());
    assert_eq!(judgement.verdict, Verdict::Pass, "{:?}", judgement.reasons);
    for name in ["report.md", "report.html"] {
        let text = read(dir.path(), name);
        for part in ["what compile does", "what quick does", "240 of 240", "480 of 480"] {
            assert!(text.contains(part), "{part} is not in {name}");
        }
    }
    let rounds = read(dir.path(), "rounds.csv");
    let mut rows = rounds.lines().map(|line| line.split(',').map(str::to_owned).collect::<Vec<_>>());
    let header = rows.next().unwrap();
    let first = rows.next().unwrap();
    let at = |name: &str| first[header.iter().position(|column| column == name).expect(name)].as_str();
    assert_eq!((at("compile_tasks"), at("quick_tasks"), at("compile_task_max_s")), ("2", "4", "0.004500"));
    let hlog = read(dir.path(), "latency.hlog");
    assert!(hlog.contains("Tag=task-compile,") && hlog.contains("Tag=task-quick,"), "{hlog}");
    let summary: reports::summary::Summary = serde_json::from_str(&read(dir.path(), "summary.json")).unwrap();
    let counts: Vec<_> = summary.workloads.iter().map(|w| (w.name.as_str(), w.counts.tasks)).collect();
    assert_eq!(counts, [("compile", 240), ("quick", 480)]);
    let text = reports::render::text::render(
        &judgement,
        &crate::synthetic::facts(&std::fs::read(dir.path().join("run.log")).unwrap()),
    );
    assert!(text.contains("compile: 240 of 240 answered (100 %)"), "{text}");
}

#[test]
fn the_kernel_must_show_the_cpu_time_that_the_answers_of_a_mix_claim() {
    // The workers use 120 ms a second together; two tasks in each of two rounds a second.
    for (cpu_ns, verdict) in [(CPU_NS, Verdict::Pass), (4 * CPU_NS, Verdict::Fail)] {
        let judgement = judge(&log_of(events_of(&asked(&["delivery.rate >= 95%"], |_| 0), cpu_ns)));
        let check = judgement.evidence.iter().find(|e| e.name == "work proven").unwrap();
        assert_eq!(check.verdict, verdict, "{check:?}");
    }
}

#[test]
fn parts_that_do_not_add_up_contradict_the_log() {
    fn round_of(events: &mut [(u64, Event)]) -> &mut Round {
        events
            .iter_mut()
            .find_map(|(_, e)| if let Event::Round(round) = e { Some(round) } else { None })
            .unwrap()
    }
    type Bend = fn(&mut Vec<(u64, Event)>);
    let bends: [(Bend, &str); 5] = [
        (|events| round_of(events).workloads[0].tasks = 3, "6 tasks, and its workloads have 7"),
        (|events| round_of(events).workloads.truncate(1), "divided among 1 workloads, and 2 are planned"),
        (
            |events| round_of(events).workloads[1].task_max_ns = None,
            "the part of workload quick contradicts itself",
        ),
        (
            |events| events.retain(|(_, e)| !matches!(e, Event::WorkloadLatency(l) if l.workload == "quick")),
            "480 answered tasks of workload quick in the load, and 0 latencies",
        ),
        (
            |events| {
                for (_, event) in events {
                    if let Event::WorkloadLatency(interval) = event {
                        interval.workload = "link".into();
                    }
                }
            },
            "latencies of workload link, which is not planned",
        ),
    ];
    for (bend, said) in bends {
        let mut events = events_of(&asked(&["delivery.rate >= 95%"], |_| 0), CPU_NS);
        bend(&mut events);
        let judgement = judge(&log_of(events));
        let check = judgement.evidence.iter().find(|e| e.name == "log consistent").unwrap();
        assert_eq!(check.verdict, Verdict::Inconclusive, "{said}");
        assert!(check.found.contains(said), "{said}: {}", check.found);
    }
}
