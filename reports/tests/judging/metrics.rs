//! Figures of single metrics, against what was computed by hand.

use reports::runlog::event::*;
use reports::verdict::CriterionResult;
use reports::{Judgement, Verdict};

use crate::synthetic::{Run, criterion, judge};

const MS: u64 = 1_000_000;

pub(crate) const POOL: Pool = Pool { hits: 950, misses: 50, recycled: 3, poisoned: 2, retried: 7 };

fn asked(run: &Run, passes: &[&str]) -> Vec<CriterionResult> {
    let criteria = passes.iter().map(|pass| criterion(pass, pass, None)).collect();
    let judgement: Judgement = judge(&Run { criteria, ..run.clone() }.log());
    judgement.criteria
}

#[track_caller]
fn values(run: &Run, wanted: &[(&str, f64)]) {
    let passes: Vec<&str> = wanted.iter().map(|(pass, _)| *pass).collect();
    for (found, (pass, wanted)) in asked(run, &passes).iter().zip(wanted) {
        let value = found.value.unwrap_or_else(|| panic!("{pass}: {found:#?}"));
        assert!((value - wanted).abs() < 1e-9, "{pass}: {value}, and not {wanted}");
    }
}

#[track_caller]
fn has_none(run: &Run, pass: &str, why: &str) {
    let [found] = asked(run, &[pass]).try_into().unwrap();
    no_value(&found, why);
}

#[track_caller]
fn no_value(found: &CriterionResult, why: &str) {
    assert_eq!((found.verdict, found.value), (Verdict::Inconclusive, None), "{found:#?}");
    assert!(found.note.as_deref().is_some_and(|note| note.contains(why)), "{found:#?}");
}

#[test]
fn balance_is_the_coefficient_of_variation_of_what_coordinators_have_done() {
    // 360 tasks each; the first has lost 39 of its own: 321 and 360, mean 340.5, each 19.5 away from it.
    let run = Run { failed: |n| u32::from(n < 39), ..Run::default() };
    values(&run, &[("balance < 15%", 19.5 / 340.5), ("delivery.failed <= 50", 39.0)]);
    values(&Run::default(), &[("balance < 15%", 0.0)]);
    has_none(&Run { coordinators: 1, ..Run::default() }, "balance < 15%", "one coordinator");
}

#[test]
fn failures_are_counted_by_their_reasons() {
    let run = Run {
        failed: |n| if n < 5 { 6 } else { 0 },
        causes: |failed| match failed {
            0 => Causes::default(),
            _ => Causes { timed_out: 2, exited: 1, died: 1, refused: 1 },
        },
        ..Run::default()
    };
    values(
        &run,
        &[
            ("timeouts == 0", 10.0),
            ("exits.nonzero == 0", 5.0),
            ("failures.deaths == 0", 5.0),
            ("failures.refused == 0", 5.0),
            ("failures.other == 0", 5.0),
            ("delivery.failed == 0", 30.0),
        ],
    );
    let criteria = vec![criterion("timeouts", "timeouts == 0", None)];
    let (judgement, facts) = reports::judge_log(Run { criteria, ..run }.log().as_slice()).unwrap();
    let text = reports::render::text::render(&judgement, &facts);
    let reasons = "10 timed out, 5 command failed, 5 process died or hung, 5 not taken, 5 other";
    assert!(text.contains(&format!("failed: {reasons}")), "{text}");
    for document in [
        reports::render::markdown::render(&judgement, &facts),
        reports::render::html::render(&judgement, &facts),
    ] {
        assert!(document.contains(reasons), "{document}");
    }
}

#[test]
fn more_reasons_than_failed_tasks_are_a_contradiction() {
    let run = Run {
        failed: |n| u32::from(n == 3),
        causes: |failed| Causes { timed_out: failed, exited: failed, ..Causes::default() },
        ..Run::default()
    };
    let judgement = judge(&run.log());
    let consistent = judgement.evidence.iter().find(|e| e.name == "log consistent").unwrap();
    assert_ne!(consistent.verdict, Verdict::Pass);
    assert!(consistent.found.contains("more reasons than failed tasks"), "{consistent:#?}");
}

#[test]
fn the_host_and_the_workers_use_are_figures_like_others() {
    let run = Run { pool: Some(POOL), ..Run::default() };
    values(
        &run,
        &[
            // 3 of 200 ticks between any two sweeps.
            ("host.steal max < 5%", 0.015),
            ("host.steal mean < 5%", 0.015),
            ("host.load max < 4", 0.5),
            // 100 a second each of nine processes, which are swept every second.
            ("switches.voluntary max < 1000/s", 900.0),
            ("switches.voluntary.workers mean < 1000/s", 600.0),
            ("switches.involuntary max < 1000/s", 9.0),
            ("pool.reuse > 90%", 0.95),
            ("pool.poisoned == 0", 2.0),
            ("retries == 0", 7.0),
        ],
    );
    // Of a system that does not count it.
    for (pass, why) in [
        ("pool.reuse > 90%", "no counts of the workers' use"),
        ("pool.poisoned == 0", "nothing was there to count"),
    ] {
        let judgement = crate::gates::bent(&Run::asking(pass), |event| {
            if let Event::Ledger(ledger) = event {
                ledger.pool = None;
            }
            true
        });
        no_value(&judgement.criteria[0], why);
    }
}

#[test]
fn the_worst_window_of_times_is_judged() {
    // Every half second for a minute: windows of 20 rounds, which slide by five. Four of them have a slow round.
    let run = Run { round_ns: |n| if n == 50 { 90 * MS } else { 10 * MS }, ..Run::default() };
    values(
        &run,
        &[
            ("coordination.time max < 1s every 10s", 0.090),
            ("coordination.time min < 1s every 10s", 0.010),
            ("coordination.time mean < 1s every 10s", (19.0 * 0.010 + 0.090) / 20.0),
            ("coordination.time mean < 1s", (119.0 * 0.010 + 0.090) / 120.0),
        ],
    );
    let [mean] = asked(&run, &["coordination.time mean < 12ms every 10s"]).try_into().unwrap();
    assert_eq!((mean.verdict, mean.note.as_deref()), (Verdict::Fail, Some("the worst of 21 windows")));
    // The whole run would pass.
    let [mean] = asked(&run, &["coordination.time mean < 12ms"]).try_into().unwrap();
    assert_eq!(mean.verdict, Verdict::Pass);
    has_none(
        &run,
        "coordination.time p99 < 1s every 10s",
        "p99 needs 100 values in each window, and one has 20",
    );
}

/// Two processes, which hold nothing that others share.
pub(crate) fn commands(rss_kib: u64, cpu_us: u64) -> CommandsSample {
    CommandsSample {
        processes: 2,
        rss_kib,
        anon_kib: rss_kib,
        vsz_kib: 2 * rss_kib,
        fds: 7,
        threads: 3,
        cpu_us,
        pss_kib: Some(rss_kib),
    }
}

#[test]
fn what_workers_run_is_part_of_the_fleet_and_can_be_asked_for_alone() {
    let figures = |criteria: &[&str]| -> Vec<f64> {
        let criteria = criteria.iter().map(|pass| criterion(pass, pass, None)).collect();
        let run = Run {
            criteria,
            worker_pss_kib: |_| 2_000,
            commands: |n| Some(commands(100 * 1024, n * 300_000)),
            ..Run::default()
        };
        judge(&run.log()).criteria.iter().map(|c| c.value.unwrap()).collect()
    };
    let kib = |kib: u64| kib as f64 * 1024.0;
    let found = figures(&[
        "memory.pss max < 64MiB",
        "memory.pss.workers max < 64MiB",
        "memory.pss.commands max < 64MiB",
        "memory.rss.commands max < 64MiB",
        "fds max < 1000",
        "fds.commands max < 1000",
        "threads max < 100",
        "memory.vsz.coordinators max < 1GiB",
    ]);
    // Six workers, two coordinators and a supervisor.
    let (workers, all) = (kib(6 * 2_000), kib(6 * 2_000 + 3 * 4_000 + 6 * 102_400));
    let held = kib(6 * 102_400);
    let wanted =
        [all, workers, held, held, f64::from(9 * 12 + 6 * 7), 42.0, f64::from(9 + 6 * 3), kib(40_000)];
    assert_eq!(found, wanted);
    // 300 ms a sweep of a second each, beside the workers' own 10 to 30 ms.
    let cpu =
        figures(&["cpu.commands max < 100 cores", "cpu mean < 100 cores", "cpu.workers mean < 100 cores"]);
    assert!((cpu[0] - 6.0 * 0.3).abs() < 1e-6, "{cpu:?}");
    let own = cpu[1] - 6.0 * 0.3;
    assert!(own > cpu[2] && own < 9.0 * 0.03 + 1e-6, "{cpu:?}");
}

#[test]
fn a_sum_that_lacks_a_command_is_no_sum() {
    let run = Run {
        commands: |_| Some(CommandsSample { pss_kib: None, ..commands(1, 0) }),
        ..Run::asking("memory.pss max < 64MiB")
    };
    let judgement = judge(&run.log());
    assert_eq!(judgement.criteria[0].verdict, Verdict::Inconclusive);
    // What was read of all stands.
    let run = Run { criteria: vec![criterion("rss", "memory.rss max < 64MiB", None)], ..run };
    assert_eq!(judge(&run.log()).criteria[0].verdict, Verdict::Pass);
}

#[test]
fn messages_that_went_together_are_batches() {
    let tasks = Batch { messages: 780, batches: 78 };
    let answers = Batch { messages: 780, batches: 260 };
    let run = Run { batches: Some(Batches { tasks, answers }), ..Run::default() };
    values(
        &run,
        &[
            ("batch.tasks >= 10", 10.0),
            ("batch.answers > 2", 3.0),
            ("batch.efficiency > 70%", 1.0 - (78.0 + 260.0) / 1560.0),
        ],
    );
    has_none(&Run::default(), "batch.tasks >= 10", "no counts of batches");
    let none = Run { batches: Some(Batches::default()), ..Run::default() };
    has_none(&none, "batch.efficiency > 70%", "no message was sent");
    let impossible = Batches { tasks: Batch { messages: 7, batches: 8 }, answers };
    let judgement = judge(&Run { batches: Some(impossible), ..Run::default() }.log());
    let consistent = judgement.evidence.iter().find(|e| e.name == "log consistent").unwrap();
    assert!(consistent.found.contains("more batches of messages than messages"), "{consistent:#?}");
}

#[test]
fn late_and_second_answers_are_counted_by_coordinator() {
    let of = |coordinator, late, duplicates| StrayAnswers { coordinator, late, duplicates, workload: None };
    let run = Run {
        failed: |n| if n == 0 { 5 } else { 0 },
        late: 3,
        duplicates: 4,
        strays: vec![of(Some(0), 1, 4), of(Some(1), 2, 0)],
        ..Run::default()
    };
    values(
        &run,
        &[
            ("delivery.late == 0", 3.0),
            ("delivery.late{coordinator=0} == 0", 1.0),
            ("delivery.late{coordinator=1} == 0", 2.0),
            ("delivery.duplicates{coordinator=0} == 0", 4.0),
            ("delivery.duplicates{coordinator=1} == 0", 0.0),
        ],
    );
    // Of some it is not known whose they are.
    let open = Run { strays: vec![of(Some(0), 1, 4), of(None, 2, 0)], ..run.clone() };
    values(&open, &[("delivery.duplicates{coordinator=1} == 0", 0.0)]);
    has_none(&open, "delivery.late{coordinator=1} == 0", "does not say whose 2 of these answers were");
    let unsaid = Run { strays: Vec::new(), ..run.clone() };
    has_none(&unsaid, "delivery.duplicates{coordinator=0} == 0", "does not say whose 4");
    has_none(&run, "delivery.late{coordinator=7} == 0", "no coordinator 7");
    for wrong in [vec![of(Some(0), 1, 4)], vec![of(Some(2), 3, 4)]] {
        let judgement = judge(&Run { strays: wrong, ..run.clone() }.log());
        let consistent = judgement.evidence.iter().find(|e| e.name == "log consistent").unwrap();
        assert!(consistent.found.contains("late and second answers"), "{consistent:#?}");
    }
}

/// With these events in the middle of the load, of a fleet that follows its load.
fn with_events(pass: &str, events: Vec<Event>) -> Judgement {
    let run = Run { failed: |_| 0, ..Run::asking(pass) };
    let mut all = run.events();
    for (_, event) in &mut all {
        if let Event::Header(header) = event {
            header.plan.workers_least = Some(2);
            header.plan.workers_at_start = Some(6);
        }
    }
    let middle = all.len() / 2;
    let t_ns = all[middle - 1].0;
    all.splice(middle..middle, events.into_iter().map(|event| (t_ns, event)));
    judge(&crate::synthetic::log_of(all))
}

#[test]
fn a_change_of_size_and_a_death_have_their_times() {
    let resized = |from, decided_ns, reached_ns| {
        Event::Resized(Resized { name: "coord/1".into(), from, to: from - 1, decided_ns, reached_ns })
    };
    let changes = vec![resized(3, 100, 2_000_100), resized(2, 2_000_100, 7_000_100)];
    let found = with_events("scaling.time max < 5s", changes).criteria.remove(0);
    assert_eq!((found.verdict, found.value, found.samples), (Verdict::Pass, Some(0.005), 2), "{found:#?}");
    let dead = |noticed_ns| DeathNoticed { name: "worker/0.1".into(), pid: 1_004, ended_ns: 500, noticed_ns };
    // What the fleet knew before the harness took no time.
    let deaths = vec![Event::DeathNoticed(dead(3_000_500)), Event::DeathNoticed(dead(400))];
    let found = with_events("death.detection max < 100ms", deaths).criteria.remove(0);
    assert_eq!((found.value, found.samples), (Some(0.003), 2), "{found:#?}");
    has_none(&Run::default(), "death.detection max < 100ms", "no death was noticed");
    has_none(&Run::default(), "scaling.time max < 5s", "never changed");
}

#[test]
fn a_change_of_size_that_the_plan_has_no_room_for_is_a_contradiction() {
    let resized = |name: &str, to, reached_ns| {
        Event::Resized(Resized { name: name.into(), from: 1, to, decided_ns: 100, reached_ns })
    };
    for (event, said) in [
        (resized("coord/1", 4, 200), "has room for 3"),
        (resized("coord/1", 1, 200), "has room for 3"),
        (resized("supervisor", 3, 200), "has room for 2"),
        (resized("worker/0.0", 2, 200), "was not planned"),
        (resized("coord/0", 2, 99), "before it wanted them"),
    ] {
        let judgement = with_events("scaling.time max < 5s", vec![event]);
        let consistent = judgement.evidence.iter().find(|e| e.name == "log consistent").unwrap();
        assert!(consistent.found.contains(said), "{said}: {consistent:#?}");
    }
}

/// A run in which coord/1 ends in order in the middle of the load. Coordinators at least, if their number follows the load.
fn with_a_retired_coordinator(least: Option<u32>) -> Judgement {
    let mut all = Run { failed: |_| 0, ..Run::asking("delivery.failed == 0") }.events();
    let mut of = None;
    for (_, event) in &mut all {
        match event {
            Event::Header(header) => {
                let plan = &mut header.plan;
                (plan.workers_least, plan.workers_at_start) = (Some(3), Some(6));
                (plan.coordinators_least, plan.coordinators_at_start) = (least, least.map(|_| 2));
            }
            Event::Agents(agents) => of = agents.agents.iter().find(|agent| agent.name == "coord/1").cloned(),
            _ => {}
        }
    }
    let agent = of.unwrap();
    all.retain(|(_, event)| !matches!(event, Event::AgentExit(exit) if exit.agent == agent.id));
    let middle = all.len() / 2;
    let seen_ns = all[middle - 1].0;
    let how = "retired when the fleet was scaled".to_owned();
    let (name, pid) = (agent.name, agent.pid);
    let exit = AgentExit { agent: agent.id, incarnation: 1, name, pid, how, expected: true, seen_ns };
    for (_, event) in &mut all[middle..] {
        if let Event::Sample(sample) = event {
            sample.agents.retain(|row| row.agent != agent.id);
            sample.live -= 1;
        }
    }
    all.insert(middle, (seen_ns, Event::AgentExit(exit)));
    judge(&crate::synthetic::log_of(all))
}

#[test]
fn coordinators_may_retire_where_the_plan_says_that_their_number_follows_the_load() {
    let consistent = |judgement: &Judgement| {
        judgement.evidence.iter().find(|check| check.name == "log consistent").unwrap().clone()
    };
    let judgement = with_a_retired_coordinator(Some(1));
    assert_eq!(judgement.verdict, Verdict::Pass, "{:#?}", judgement.reasons);
    let seen = judgement.evidence.iter().find(|check| check.name == "agents seen").unwrap();
    assert_eq!(
        seen.wanted, "5 processes in every sweep at least",
        "a supervisor, a coordinator, three workers"
    );
    let found = consistent(&with_a_retired_coordinator(None)).found;
    assert!(found.contains("coord/1 ended on request"), "{found}");
    for least in [0, 2, 3] {
        let found = consistent(&with_a_retired_coordinator(Some(least))).found;
        assert!(found.contains("2 coordinators at the start"), "{least}: {found}");
    }
}
