//! What the engine makes of deaths, silence, late, second and wrong answers.

use super::fake::{Fake, Reply};
use super::{Done, SCENARIO, run, run_into, run_scenario};
use crate::engine::sink::MemorySink;
use crate::engine::stop::StopMode;
use crate::system::{Noticed, PlaceId};
use reports::runlog::event::{EndReason, Event, Severity, StrayAnswers};
use std::time::Duration;

const ROUNDS: u32 = 20;
const TASKS: u32 = ROUNDS * 3;

fn worker(index: u32) -> PlaceId {
    PlaceId::worker(0, index)
}

/// One reply to the task of worker 1 in round 3; every other task is answered right.
fn with_one(reply: Reply) -> Done {
    run(|clock, _| {
        Fake::new(clock, 3).replies(
            move |round, place| {
                if (round, place) == (3, worker(1)) { reply } else { Reply::Right }
            },
        )
    })
}

fn events(done: &Done) -> Vec<&'static str> {
    let name = |event: &Event| match event {
        Event::Header(_) => "header",
        Event::Phase(_) => "phase",
        Event::Agents(_) => "agents",
        Event::Clock(_) => "clock",
        Event::Ledger(_) => "ledger",
        Event::Verify(_) => "verify",
        Event::End(_) => "end",
        _ => "",
    };
    let mut names: Vec<_> = done.records.iter().map(|record| name(&record.event)).collect();
    names.retain(|name| !name.is_empty());
    names
}

#[test]
fn a_system_without_ledgers_of_its_own_is_held_to_what_it_declares() {
    let sink = MemorySink::default();
    run_into(&sink, SCENARIO, |clock, _| Fake::new(clock, 3));
    let (judgement, _) = reports::judge_log(&sink.bytes()[..]).unwrap();
    let ledger = judgement.evidence.iter().find(|check| check.name == "ledger").unwrap();
    assert_eq!(ledger.verdict, reports::Verdict::Pass, "{ledger:?}");
    assert!(ledger.wanted.contains("no ledger of its own"), "{ledger:?}");
}

#[test]
fn a_run_without_incidents_is_whole_from_header_to_end() {
    let done = run(|clock, _| Fake::new(clock, 3));
    assert_eq!(
        events(&done),
        ["header", "phase", "agents", "clock", "phase", "phase", "ledger", "phase", "verify", "end"]
    );
    assert_eq!(done.sums(), [TASKS, TASKS, 0, 0, 0, 0]);
    let starts: Vec<_> = done.rounds().iter().map(|round| round.started_ns / 1_000_000).collect();
    assert_eq!(starts, (0..20).map(|n| 20 + 50 * n).collect::<Vec<_>>());
    assert!(done.rounds().iter().all(|round| round.task_max_ns == Some(1_000_000)));
    assert_eq!((done.exits().len(), done.crashes().len()), (5, 0));
    assert_eq!(done.ended.reason, EndReason::Completed);
    assert!(done.verify().processes_left.is_empty());
    let Event::End(end) = &done.records.last().unwrap().event else { panic!("no end") };
    assert!(end.ended_utc.as_deref().is_some_and(|utc| utc.starts_with("1970-01-01T00:00:0")), "{end:?}");
}

#[test]
fn a_long_run_reads_the_wall_clock_once_a_minute() {
    let text = SCENARIO.replace("\"50ms\"", "\"10s\"").replace("duration = \"1s\"", "duration = \"5m\"");
    let done = run_scenario(&text, |clock, _| Fake::new(clock, 3));
    let clocks = done.all(|event| if let Event::Clock(clock) = event { Some(&clock.utc) } else { None });
    assert_eq!(clocks.len(), 6);
    let times = ["1970-01-01T00:00:00Z", "1970-01-01T00:01:00Z"];
    assert_eq!(clocks[..2], [&times[0].to_owned(), &times[1].to_owned()]);
    assert_eq!(done.rounds().len(), 30);
}

#[test]
fn a_death_in_a_round_fails_its_task_and_the_round_closes() {
    let done = run(|clock, _| {
        Fake::new(clock, 3)
            .replies(|_, _| Reply::After(Duration::from_millis(10)))
            .at(175, |fake| fake.kill(worker(1)))
            .at(190, |fake| fake.replace(worker(1)))
    });
    // Sent at 170 ms, due at 180 ms.
    assert_eq!(done.sums(), [TASKS, TASKS - 1, 1, 0, 0, 0]);
    let [failed] = done.failures()[..] else { panic!("{:?}", done.failures()) };
    assert_eq!((failed.round, failed.worker), (3, 4));
    assert_eq!(failed.reason, "worker/0.1 died with the task in hand");
    let [crash] = done.crashes()[..] else { panic!("{:?}", done.crashes()) };
    assert_eq!((crash.name.as_str(), crash.incarnation), ("worker/0.1", 1));
    assert_eq!((crash.how.as_str(), crash.seen_ns / 1_000_000), ("killed by SIGKILL", 175));
    let [replaced] = done.replaced()[..] else { panic!("{:?}", done.replaced()) };
    assert_eq!((replaced.name.as_str(), replaced.incarnation, replaced.agent), ("worker/0.1", 2, 4));
    assert!(done.alerts().iter().any(|text| text.ends_with("killed by SIGKILL")), "{:?}", done.alerts());
    // Of the second process.
    let last = done.exits().into_iter().rfind(|exit| exit.agent == 4).unwrap();
    assert_eq!((last.expected, last.incarnation, last.pid), (true, 2, replaced.pid));
}

#[test]
fn a_replaced_process_that_dies_again_is_another_incarnation() {
    let done = run(|clock, _| {
        let mut fake = Fake::new(clock, 3);
        for at in [100, 300, 500] {
            fake = fake.at(at, |fake| fake.kill(worker(0))).at(at + 30, |fake| fake.replace(worker(0)));
        }
        fake
    });
    let crashes: Vec<_> = done.crashes().iter().map(|exit| exit.incarnation).collect();
    let replaced: Vec<_> = done.replaced().iter().map(|replaced| replaced.incarnation).collect();
    assert_eq!((crashes, replaced), (vec![1, 2, 3], vec![2, 3, 4]));
    let mut pids: Vec<_> = done.crashes().iter().map(|exit| exit.pid).collect();
    pids.dedup();
    assert_eq!(pids.len(), 3, "each death is another process's");
}

#[test]
fn deaths_that_follow_each_other_between_two_looks_are_all_exits() {
    let done = run(|clock, _| {
        Fake::new(clock, 3).at(310, |fake| {
            for _ in 0..3 {
                fake.kill(worker(2));
                fake.replace(worker(2));
            }
        })
    });
    let crashes: Vec<_> = done.crashes().iter().map(|exit| (exit.incarnation, exit.how.as_str())).collect();
    let also = "died, and so did its successor";
    assert_eq!(crashes, [(1, also), (2, also), (3, "killed by SIGKILL")]);
    assert_eq!(done.replaced()[0].incarnation, 4);
}

#[test]
fn a_task_that_is_never_answered_fails_and_the_run_drains() {
    let done = with_one(Reply::Never);
    assert_eq!(done.sums(), [TASKS, TASKS - 1, 1, 0, 0, 0]);
    assert_eq!(done.failures()[0].reason, "worker/0.1: neither an answer nor a failure within 3s");
    assert_eq!(done.ended.reason, EndReason::Completed);
    let silent = done.rounds().into_iter().find(|round| round.round == 3).unwrap();
    // Sent at 170 ms; 3 s of its own, half a second for its stop, 5 s of grace, and noticed with the next look.
    assert!((8_670..=8_770).contains(&(silent.finished_ns / 1_000_000)), "{silent:?}");
}

#[test]
fn an_answer_after_its_task_was_given_up_is_late_and_never_answered() {
    let done = run(|clock, _| {
        Fake::new(clock, 3).replies(|round, place| match (round, place == worker(1)) {
            // Given up at 8,670 ms, while round 19 is still waited for.
            (3, true) => Reply::After(Duration::from_millis(8_600)),
            (19, true) => Reply::After(Duration::from_millis(8_400)),
            _ => Reply::Right,
        })
    });
    assert_eq!(done.sums(), [TASKS, TASKS - 1, 1, 1, 0, 0]);
}

#[test]
fn what_the_system_calls_late_is_counted_late() {
    let done = with_one(Reply::FailedThenLate);
    assert_eq!(done.sums(), [TASKS, TASKS - 1, 1, 1, 0, 0]);
    let strays: Vec<_> = done.rounds().into_iter().flat_map(|round| round.strays.clone()).collect();
    // The scenario names no workload.
    let of = StrayAnswers { workload: None, coordinator: Some(0), late: 1, duplicates: 0 };
    assert_eq!(strays, [of]);
}

#[test]
fn a_second_answer_is_counted_and_never_answered_twice() {
    for reply in [Reply::Twice, Reply::ThenDuplicate] {
        assert_eq!(with_one(reply).sums(), [TASKS, TASKS, 0, 0, 1, 0], "{reply:?}");
    }
}

#[test]
fn wrong_content_is_corrupt_and_no_answer() {
    let done = with_one(Reply::Wrong);
    assert_eq!(done.sums(), [TASKS, TASKS - 1, 1, 0, 0, 1]);
    assert_eq!(done.failures()[0].reason, "worker/0.1: the answer is not what was sent");
    // Delivered, and both ends count it: only the harness does not.
    assert_eq!((done.ledger().client.answered, done.ledger().rejected), (60, 1));
}

/// As an agent program that answers `"ok": false`: the criterion judges it, and the ledgers agree.
#[test]
fn an_answer_that_reports_a_failure_is_judged_by_the_criterion_alone() {
    let sink = MemorySink::default();
    let done = run_into(&sink, &SCENARIO.replace(">= 100%", ">= 80%"), |clock, _| {
        Fake::new(clock, 3).replies(|round, place| {
            if (round, place) == (3, worker(1)) { Reply::Failed } else { Reply::Right }
        })
    });
    assert_eq!(done.sums(), [TASKS, TASKS - 1, 1, 0, 0, 0]);
    assert_eq!((done.ledger().client.answered, done.ledger().rejected), (60, 1));
    assert_eq!(done.failures()[0].reason, "worker/0.1 failed the task");
    let (judgement, _) = reports::judge_log(&sink.bytes()[..]).unwrap();
    let check = judgement.evidence.iter().find(|check| check.name == "ledger").unwrap();
    assert_eq!(check.verdict, reports::Verdict::Pass, "{check:?}");
    assert_eq!(judgement.criteria[0].verdict, reports::Verdict::Pass, "{:?}", judgement.criteria[0]);
}

/// A worker that does nothing, and says that it began long ago: its word was all there was.
#[test]
fn an_answer_that_says_it_began_before_its_task_was_sent_is_contradicted() {
    let asked = Duration::from_millis(40);
    for (kind, workload) in
        [("sleep", "kind = \"sleep\"\ntime = \"40ms\""), ("compute", "kind = \"compute\"\ncpu = \"40ms\"")]
    {
        let text =
            SCENARIO.replace("kind = \"echo\"\npayload = \"64B\"", workload).replace(">= 100%", ">= 50%");
        let sink = MemorySink::default();
        let done = run_into(&sink, &text, |clock, _| {
            Fake::new(clock, 3).replies(move |round, place| match (round, place == worker(1)) {
                (3, true) => Reply::Backdated(asked),
                (4, true) => Reply::Postdated(asked),
                _ => Reply::After(asked),
            })
        });
        assert_eq!(done.sums(), [TASKS, TASKS - 2, 2, 0, 0, 0], "{kind}");
        let contradicted: u32 = done.rounds().iter().map(|round| round.contradicted).sum();
        let reasons: Vec<_> = done.failures().iter().map(|failed| failed.reason.as_str()).collect();
        let told = [
            "worker/0.1: it says it began 39ms before the task was sent",
            "worker/0.1: it says it ended 40ms after its answer was here",
        ];
        assert_eq!((contradicted, reasons), (2, told.to_vec()), "{kind}");
        assert_eq!(done.ledger().rejected, 2);
        // No criterion excuses it.
        let (judgement, _) = reports::judge_log(&sink.bytes()[..]).unwrap();
        let check = judgement.evidence.iter().find(|check| check.name == "work proven").unwrap();
        assert_eq!(check.verdict, reports::Verdict::Fail, "{check:?}");
        assert!(check.note.as_ref().is_some_and(|note| note.contains(told[0])), "{check:?}");
    }
}

/// Both answers are right, and a worker does one task at a time.
#[test]
fn an_answer_whose_worker_was_at_another_task_by_its_own_word_is_contradicted() {
    let done = run(|clock, _| {
        Fake::new(clock, 3).replies(|round, place| match (round, place == worker(1)) {
            (3, true) => Reply::Overlapping(Duration::from_millis(7)),
            _ => Reply::Right,
        })
    });
    let contradicted: u32 = done.rounds().iter().map(|round| round.contradicted).sum();
    let reasons: Vec<_> = done.failures().iter().map(|failed| failed.reason.as_str()).collect();
    let told = "worker/0.1: it says it spent 7ms of the time on another task, and it does one at a time";
    assert_eq!((contradicted, reasons), (1, vec![told]));
}

#[test]
fn an_answer_that_took_less_than_was_asked_for_is_wrong_by_its_own_word() {
    let text = SCENARIO.replace("kind = \"echo\"\npayload = \"64B\"", "kind = \"sleep\"\ntime = \"20ms\"");
    let done = run_scenario(&text, |clock, _| Fake::new(clock, 3));
    assert_eq!(done.sums(), [TASKS, 0, TASKS, 0, 0, TASKS]);
}

#[test]
fn a_dead_worker_is_not_sent_to_and_its_tasks_fail() {
    let done = run(|clock, _| Fake::new(clock, 3).at(900, |fake| fake.kill(worker(1))));
    // Rounds at 920 and 970 ms.
    assert_eq!(done.sums(), [TASKS, TASKS - 2, 2, 0, 0, 0]);
    assert_eq!(done.failures()[0].reason, "not sent to worker/0.1: the worker is dead");
    assert_eq!(done.ledger().refused, 2);
}

#[test]
fn a_lost_system_ends_the_run_at_once_and_every_process_has_an_exit() {
    let done = run(|clock, _| Fake::new(clock, 3).at(333, Fake::lose));
    assert_eq!(done.ended.reason, EndReason::FleetLost);
    assert_eq!(done.ended.detail.as_deref(), Some("the supervisor died"));
    let hows: Vec<_> = done.crashes().iter().map(|exit| (exit.name.as_str(), exit.how.as_str())).collect();
    assert_eq!(hows[0], ("supervisor", "gone from /proc"));
    assert_eq!(hows[1], ("coord/0", "ended when the supervisor died"));
    assert_eq!(hows[2], ("worker/0.0", "ended when its coordinator died"));
    assert_eq!((hows.len(), done.exits().len()), (5, 5));
    assert_eq!(done.rounds().len(), 7);
}

/// The coordinator's successor comes first; until it has seen to its workers, their places name those that have ended.
#[test]
fn the_successors_of_workers_that_ended_with_their_coordinator_are_awaited() {
    let done = run(|clock, _| {
        let fake = Fake::new(clock, 1).at(300, |fake| {
            fake.hide(worker(0));
            fake.kill(PlaceId::Coordinator(0));
            fake.replace(PlaceId::Coordinator(0));
        });
        fake.at(600, |fake| fake.replace(worker(0)))
    });
    let seen = done.all(|event| if let Event::AgentReplaced(new) = event { Some(new) } else { None });
    let seen: Vec<_> = seen.iter().map(|new| (new.name.as_str(), new.seen_ns / 100_000_000)).collect();
    assert_eq!(seen, [("coord/0", 3), ("worker/0.0", 6)]);
}

#[test]
fn an_interrupt_drains_and_a_second_one_kills() {
    let interrupted = |second: Option<u64>| {
        run(|clock, stop| {
            let ask = |mode, stop: &super::Stop| {
                let stop = stop.clone();
                move |_: &mut Fake| stop.ask(mode, EndReason::Interrupted, "SIGINT".to_owned())
            };
            let slow = |_, _| Reply::After(Duration::from_secs(2));
            let fake = Fake::new(clock, 3).replies(slow).at(130, ask(StopMode::Drain, stop));
            match second {
                Some(at) => fake.at(at, ask(StopMode::Kill, stop)),
                None => fake,
            }
        })
    };
    // Rounds at 20, 70 and 120 ms are in flight, and waited for.
    let drained = interrupted(None);
    assert_eq!(drained.ended.reason, EndReason::Interrupted);
    assert_eq!(drained.sums(), [9, 9, 0, 0, 0, 0]);
    assert!(drained.exits().iter().all(|exit| exit.how == "stopped on request"));
    let killed = interrupted(Some(500));
    assert_eq!(killed.rounds().len(), 0);
    assert!(killed.exits().iter().all(|exit| exit.how == "killed by the harness" && exit.expected));
    assert!(!events(&killed).contains(&"ledger"));
}

#[test]
fn a_process_that_ends_because_an_operator_scaled_the_system_has_not_died() {
    let done = run(|clock, _| {
        Fake::new(clock, 3)
            .at(200, |fake| {
                fake.notice(PlaceId::Coordinator(0), Noticed::Scaled { from: 3, to: 1 });
                fake.retire(worker(1));
                fake.retire(worker(2));
            })
            // A task to that place brings another one, and no death is counted.
            .at(700, |fake| fake.replace(worker(1)))
    });
    let incidents =
        done.all(|event| if let Event::Incident(incident) = event { Some(incident) } else { None });
    let [incident] = incidents[..] else { panic!("{incidents:?}") };
    assert_eq!(incident.how, "was scaled by hand: coord/0 from 3 to 1");
    assert_eq!(done.crashes().len(), 0);
    assert_eq!(done.exits().len(), 5, "each place has an end");
}

#[test]
fn an_absurd_death_count_is_an_alert_and_not_a_flood() {
    let done = run(|clock, _| Fake::new(clock, 3).at(200, |fake| fake.claim_deaths(worker(1), 1 << 31)));
    assert_eq!(done.crashes().len(), 1);
    let alerts = done.alerts();
    let told = "worker/0.1 counts 2147483648 new deaths at once, which is impossible: 2147483647 of them are not listed";
    assert!(alerts.contains(&told), "{alerts:?}");
    assert_eq!(done.severities(told), [Severity::Critical]);
    assert_eq!(done.ended.reason, EndReason::Completed);
}

#[test]
fn a_place_that_names_the_process_of_another_while_its_own_lives_is_an_alert_and_no_replacement() {
    let done = run(|clock, _| {
        Fake::new(clock, 3).at(200, |fake| {
            fake.claim_process(worker(1), worker(2));
            // A look has a reason.
            fake.kill(worker(0));
            fake.replace(worker(0));
        })
    });
    let misnamed: Vec<_> =
        done.alerts().into_iter().filter(|alert| alert.starts_with("worker/0.1 names process ")).collect();
    assert_eq!(misnamed.len(), 1, "{misnamed:?}");
    assert!(misnamed[0].ends_with("lives there, which cannot be"), "{misnamed:?}");
    assert_eq!(done.severities("names process"), [Severity::Critical]);
    assert_eq!(done.severities("worker/0.0 (pid "), [Severity::Info], "the exit is judged");
    let replaced: Vec<_> = done.replaced().into_iter().map(|it| it.name.as_str()).collect();
    assert_eq!(replaced, ["worker/0.0"]);
}

#[test]
fn a_death_in_the_last_moment_is_in_the_log() {
    let done = run(|clock, _| {
        Fake::new(clock, 3).at(971, |fake| {
            fake.kill(worker(0));
            fake.replace(worker(0));
        })
    });
    assert_eq!(done.crashes().len(), 1);
}

#[test]
fn a_process_that_the_kernel_does_not_show_is_no_launch() {
    let done = run(|clock, _| {
        let mut fake = Fake::new(clock, 3);
        fake.hide(worker(2));
        fake
    });
    assert_eq!(done.ended.reason, EndReason::LaunchFailed);
    let detail = done.ended.detail.clone().unwrap();
    assert!(detail.starts_with("worker/0.2 (pid ") && detail.contains("is not in /proc"), "{detail}");
    assert_eq!(done.rounds().len(), 0);
}

#[test]
fn a_sink_that_is_full_ends_the_run_and_says_so() {
    let sink = MemorySink::of_size(8_192);
    let text = SCENARIO.replace("duration = \"1s\"", "duration = \"1h\"");
    let done = run_into(&sink, &text, |clock, _| Fake::new(clock, 3));
    assert_eq!(done.ended.reason, EndReason::RecordingFailed);
    assert!(done.ended.recording_error.is_some());
    assert!(!matches!(done.records.last().unwrap().event, Event::End(_)));
    assert!(done.rounds().len() < 72_000);
}

#[test]
fn rounds_at_random_come_when_the_plan_has_drawn_them() {
    let text =
        SCENARIO.replace("every = \"50ms\"", "every = \"50ms\"\narrivals = \"poisson\"\nwarm_up = \"1s\"");
    let sink = MemorySink::default();
    let done = run_into(&sink, &text, |clock, _| Fake::new(clock, 3));
    let plan = super::request(&text).plan;
    let second = Duration::from_secs(1).as_nanos() as u64;
    // The first round comes 20 ms after the launch, which took no time here.
    let first_ns = 20_000_000;
    let drawn = plan.warm_up_starts().unwrap().map(|start_ns| first_ns + start_ns);
    let drawn: Vec<u64> =
        drawn.chain(plan.starts().unwrap().map(|start_ns| first_ns + second + start_ns)).collect();
    let scheduled: Vec<u64> = done.rounds().iter().map(|round| round.scheduled_ns).collect();
    assert_eq!(scheduled, drawn);
    assert!(scheduled.len() > 10, "{scheduled:?}");
    let (judgement, _) = reports::judge_log(&sink.bytes()[..]).unwrap();
    for name in ["rounds done", "load duration"] {
        let check = judgement.evidence.iter().find(|check| check.name == name).unwrap();
        assert_eq!(check.verdict, reports::Verdict::Pass, "{check:?}");
    }
}

#[test]
fn a_round_for_any_worker_has_the_tasks_that_are_asked_for() {
    let text = SCENARIO.replace("every = \"50ms\"", "every = \"50ms\"\ntasks_per_round = 7");
    let done = run_scenario(&text, |clock, _| {
        Fake::new(clock, 3).replies(|round, _| match round {
            // Of all seven, no worker is known to have had one.
            3 => Reply::Never,
            _ => Reply::Right,
        })
    });
    assert_eq!(done.sums(), [7 * ROUNDS, 7 * (ROUNDS - 1), 7, 0, 0, 0]);
    assert!(done.rounds().iter().all(|round| round.tasks == 7));
    let failed = done.failures();
    assert_eq!(failed.len(), 7);
    assert!(failed.iter().all(|failed| failed.worker == 0), "{failed:?}");
    assert_eq!(failed[0].reason, "any worker: neither an answer nor a failure within 3s");
}

#[test]
fn rounds_go_to_the_workers_that_are_there_while_the_fleet_is_scaled() {
    let stages = "[[stage]]\nname = \"up\"\nat = \"200ms\"\nworkers = 5\n\n\
                  [[stage]]\nname = \"down\"\nat = \"600ms\"\nworkers = 2\n\n[sampling]";
    let text = SCENARIO.replace("[sampling]", stages);
    let done = run_scenario(&text, |clock, _| Fake::new(clock, 3));
    let sizes: Vec<u32> = done.rounds().iter().map(|round| round.tasks).collect();
    // The orders come at 220 and 620 ms, after the rounds that are due then, and are followed 10 ms later.
    assert_eq!(sizes, [vec![3; 5], vec![5; 8], vec![2; 7]].concat());
    let [_, answered, failed, ..] = done.sums();
    assert_eq!((answered, failed), (sizes.iter().sum(), 0));
    let scaled = done.all(|event| if let Event::Scaled(scaled) = event { Some(scaled) } else { None });
    let told: Vec<_> = scaled.iter().map(|s| (&s.stage[..], s.from, s.to, s.reached_ns.is_some())).collect();
    assert_eq!(told, [("up", 3, 5, false), ("up", 3, 5, true), ("down", 5, 2, false), ("down", 5, 2, true)]);
    let agents = done.all(|event| if let Event::Agents(agents) = event { Some(agents) } else { None });
    let named = |at: usize| agents[at].agents.iter().map(|agent| &agent.name[..]).collect::<Vec<_>>();
    assert_eq!((agents.len(), named(1)), (2, vec!["worker/0.3", "worker/0.4"]));
    // Three retire, and the others are stopped at the end.
    assert_eq!((done.exits().len(), done.crashes().len()), (7, 0));
    let retired = done.exits().iter().filter(|exit| exit.how.starts_with("retired")).count();
    assert_eq!(retired, 3);
    assert!(done.alerts().is_empty(), "{:?}", done.alerts());
}
