//! Criteria that are right by themselves, and do not fit the scenario that they stand in.

use crate::bad_input::{GOOD, said};
use harness::scenario::{Plan, PlanOptions, Rehearsal, Scenario, Selection, Source};

/// The plan of a file without a mistake.
#[track_caller]
pub(crate) fn planned(text: &str, rehearsal: Option<Rehearsal>) -> Plan {
    let source = Source::new("probe.toml", text.to_owned());
    let scenario = Scenario::parse(&source, &Selection::default()).unwrap_or_else(|found| panic!("{found}"));
    Plan::new(scenario, &PlanOptions { seed: Some(7), fallback_seed: 7, rehearsal })
}

#[test]
fn a_part_of_the_load_lies_beside_a_fault_of_the_scenario() {
    let with = |name: &str, criterion: &str| {
        let text = GOOD.replacen("delivery.rate >= 100%", criterion, 1);
        let fault =
            format!("\n[[fault]]\nname = \"{name}\"\nkind = \"kill\"\nrole = \"worker\"\nat = \"10%\"\n");
        said(&(text + &fault), &Selection::default())
    };
    for criterion in ["delivery.rate >= 100% after kill-1", "delivery.rate >= 100% outside faults"] {
        assert_eq!(with("kill-1", criterion), "no mistake\n");
    }
    let says = |said: String, words: &[&str]| {
        assert!(words.iter().all(|words| said.contains(words)), "{words:?}: {said}");
    };
    says(
        with("kill-1", "delivery.rate >= 100% after kil-1"),
        &["the scenario has no fault `kil-1`", "did you mean `kill-1`?"],
    );
    says(with("faults", "delivery.rate >= 100%"), &["`faults` means all faults of a scenario together"]);
    let none = GOOD.replacen("delivery.rate >= 100%", "delivery.rate >= 100% outside faults", 1);
    says(
        said(&none, &Selection::default()),
        &["the scenario declares no fault", "leave `outside faults` out"],
    );
    says(
        with("kill-1", "delivery.rate >= 100% after kill-1\"\nabort = true\n# \""),
        &["has no effect on a criterion of a part of the load"],
    );
}

fn asking(pass: &str) -> String {
    said(&GOOD.replacen("delivery.rate >= 100%", pass, 1), &Selection::default())
}

/// Eight workers under two coordinators, for six seconds; 120 rounds of eight tasks, or 60 in the profile.
#[test]
fn what_the_plan_alone_decides_is_no_bar() {
    for pass in [
        "timeouts <= 960",
        "failures.deaths < 961",
        "failures.refused <= 5000",
        "failures.other <= 960",
        "exits.nonzero == 0",
        "delivery.duplicates <= 1000000000",
        "retries <= 1000000000",
        "incidents <= 1000000000",
        "incidents.minor < 1000000000000",
        "pool.poisoned <= 1000000",
        "coordination.time max < 100d",
        "task.time p99 < 1d",
        "silence < 1d",
        "launch.time < 30d",
        "load.lateness max < 1w",
        "balance <= 100%",
        "memory.vsz max < 16000000TiB",
        "memory.rss.commands max < 1GiB",
        "memory.anon.commands slope < 1MiB/h",
        "threads.commands max < 10",
        "sampler.cost max <= 100%",
        "incidents <= 100000000",
        "delivery.rate >= 0.001%",
        "delivery.rate > 0%",
        "delivery.failed <= 959",
        "timeouts < 960",
        "throughput.tasks > 0/s",
        "throughput.messages > 0/s",
        "agents.live min > 0",
        "agents.live max >= 1",
        "fds max < 1000000000000",
        "launch.ratio < 100000000000%",
    ] {
        assert!(asking(pass).contains("holds of every run: "), "{pass}: {}", asking(pass));
    }
}

#[test]
fn what_the_plan_alone_rules_out_is_no_question() {
    for pass in [
        "agents.live max == 0",
        "agents.live min == 10",
        "fds max == 0",
        "fds max < 11",
        "threads max < 11",
        "threads.workers max < 8",
        "threads max < 1 each",
        "shm.used max <= 0B",
        "shm.used max < 1B",
        "memory.rss max < 1B",
        "memory.rss max < 44KiB",
        "memory.pss.workers max <= 31KiB",
        "memory.vsz max < 1B each",
        "harness.rss max < 1B",
        "throughput.tasks >= 170/s",
        "throughput.messages > 660/s",
        "throughput.tasks >= 250/s every 2s",
        "batch.tasks >= 33",
        "batch.efficiency >= 99.99%",
        "cpu max <= 0 cores",
        "cpu mean == 0 cores",
        "cpu.workers max <= 0 cores",
        "switches.voluntary max <= 0/s",
        "harness.cpu max <= 0%",
        "sampler.cost max <= 0%",
    ] {
        assert!(asking(pass).contains("can never hold"), "{pass}: {}", asking(pass));
    }
    let slow = GOOD.replacen("kind = \"echo\"\npayload = \"256B\"", "kind = \"sleep\"\ntime = \"10ms\"", 1);
    for pass in ["task.time p50 < 10ms", "first.answer min < 5ms"] {
        let found = said(&slow.replacen("delivery.rate >= 100%", pass, 1), &Selection::default());
        assert!(found.contains("no task of it takes its worker less than 10 ms"), "{pass}: {found}");
    }
}

#[test]
fn what_the_plan_leaves_open_is_asked() {
    for pass in [
        "timeouts < 479",
        "delivery.rate >= 0.3%",
        "delivery.rate > 0% every 1s",
        "throughput.tasks > 0/s every 1s",
        "switches.involuntary max <= 0/s",
        "cpu.supervisor max <= 0 cores",
        "incidents == 0",
        "retries <= 10",
        "coordination.time max < 30s",
        "balance < 99%",
        "memory.vsz max < 1TiB",
        "memory.rss max < 45KiB",
        "memory.anon max < 1B",
        "memory.rss min < 1KiB",
        "agents.live min >= 11",
        "agents.live max == 11",
        "threads max < 12",
        "threads.workers max <= 8",
        "fds max < 1000",
        "throughput.tasks >= 159/s",
        "throughput.messages > 630/s",
        "throughput.tasks >= 159/s every 2s",
        "batch.tasks >= 4",
        "cpu max < 3 cores",
    ] {
        assert_eq!(asking(pass), "no mistake\n", "{pass}");
    }
    // A worker that runs commands has figures of them.
    let exec =
        GOOD.replacen("kind = \"echo\"\npayload = \"256B\"", "kind = \"exec\"\ncommand = [\"true\"]", 1);
    for pass in ["exits.nonzero == 0", "memory.rss.commands max < 1GiB"] {
        let found = said(&exec.replacen("delivery.rate >= 100%", pass, 1), &Selection::default());
        assert_eq!(found, "no mistake\n", "{pass}");
    }
}

/// A closed loop is as fast as the machine, a Poisson process has as many rounds as it draws, and a stage has its own pace.
#[test]
fn loads_whose_tasks_are_not_counted_before_are_bounded_as_well() {
    let closed = GOOD.replacen("model = \"open\"\nevery = \"50ms\"", "model = \"closed\"", 1);
    let random = GOOD.replacen("every = \"50ms\"", "every = \"50ms\"\narrivals = \"poisson\"", 1);
    for (text, always, open) in [
        (closed, "timeouts <= 1000000000000", "timeouts <= 100000"),
        (random, "timeouts <= 1000000", "timeouts <= 1000"),
    ] {
        let asking =
            |pass: &str| said(&text.replacen("delivery.rate >= 100%", pass, 1), &Selection::default());
        assert!(asking(always).contains("holds of every run"), "{always}: {}", asking(always));
        assert_eq!(asking(open), "no mistake\n");
    }
    let stage = "[[stage]]\nname = \"fast\"\nat = \"3s\"\nevery = \"10ms\"\n\n[sampling]";
    let staged =
        GOOD.replacen("[sampling]", stage, 1).replacen("[profile.ci]\nload.duration = \"3s\"\n", "", 1);
    let asking = |pass: &str| said(&staged.replacen("delivery.rate >= 100%", pass, 1), &Selection::default());
    // 60 and 300 rounds of eight tasks.
    assert!(asking("timeouts <= 2880").contains("holds of every run"));
    assert_eq!(asking("timeouts < 2879"), "no mistake\n");
    assert!(asking("throughput.tasks >= 500/s").contains("can never hold"));
}

#[test]
fn what_no_retry_is_configured_for_is_never_retried() {
    let once = GOOD.replacen("workers = 4", "workers = 4\nattempts_max = 1", 1);
    for pass in ["retries == 0", "retries <= 0"] {
        assert_eq!(asking(pass), "no mistake\n", "{pass}");
        let found = said(&once.replacen("delivery.rate >= 100%", pass, 1), &Selection::default());
        assert!(found.contains("holds of every run"), "{pass}: {found}");
    }
}

/// A round that never waits for another is over when its tasks have timed out.
#[test]
fn a_round_is_no_longer_than_the_time_out_of_its_tasks_unless_it_waits() {
    let open = GOOD.replacen("every = \"50ms\"", "every = \"50ms\"\ntask_timeout = \"3s\"", 1);
    let closed = open.replacen("model = \"open\"\nevery = \"50ms\"", "model = \"closed\"", 1);
    let sparse = open.replacen("every = \"50ms\"", "every = \"2s\"\nrounds_in_flight_max = 64", 1);
    let asking = |text: &str, pass: &str| {
        said(&text.replacen("delivery.rate >= 100%", pass, 1), &Selection::default())
    };
    for metric in ["task.time", "coordination.time", "first.answer", "completion.time"] {
        let (far, near) = (format!("{metric} max < 2m"), format!("{metric} max < 1m"));
        for text in [&closed, &sparse] {
            assert!(asking(text, &far).contains("no round of it takes longer than"), "{far}");
            assert_eq!(asking(text, &near), "no mistake\n", "{near}");
        }
        assert_eq!(asking(&open, &far), "no mistake\n", "{far}");
    }
}

#[test]
fn tasks_that_can_only_time_out_are_no_work() {
    let with = |workload: &str| {
        said(&GOOD.replacen("kind = \"echo\"\npayload = \"256B\"", workload, 1), &Selection::default())
    };
    let found = with("kind = \"sleep\"\ntime = \"40s\"");
    assert!(found.contains("no task can be answered"), "{found}");
    assert!(with("kind = \"compute\"\ncpu = \"30s\"").contains("times out after 30s"));
    assert_eq!(with("kind = \"sleep\"\ntime = \"29s\""), "no mistake\n");
    let mixed = GOOD.replacen(
        "[workload]\n",
        "[[workload]]\nname = \"a\"\nkind = \"sleep\"\ntime = \"40s\"\n[[workload]]\nname = \"b\"\n",
        1,
    );
    assert_eq!(said(&mixed, &Selection::default()), "no mistake\n");
}

#[test]
fn a_stage_changes_something() {
    let with = |stage: &str| {
        let staged = GOOD.replacen(
            "[sampling]",
            &format!("[[stage]]\nname = \"s\"\nat = \"1s\"\n{stage}[sampling]"),
            1,
        );
        said(&staged, &Selection::default())
    };
    for idle in ["", "workers = 8\n", "every = \"50ms\"\n", "workers = 8\nevery = \"50ms\"\n"] {
        let found = with(idle);
        assert!(
            found.contains("the stage `s` changes nothing: the fleet has 8 workers then"),
            "{idle}: {found}"
        );
    }
    for busy in ["workers = 6\n", "every = \"60ms\"\n", "workers = 8\nevery = \"60ms\"\n"] {
        assert_eq!(with(busy), "no mistake\n", "{busy}");
    }
}

/// What a run would be asked of a part of its load that has no length.
#[test]
fn a_part_of_the_load_that_is_empty_is_named_before_the_launch() {
    let notes = |criterion: &str, at: &str, lasts: &str| {
        let text = GOOD.replacen("delivery.rate >= 100%", criterion, 1);
        let fault = format!(
            "\n[[fault]]\nname = \"x\"\nkind = \"pause\"\nrole = \"worker\"\nat = \"{at}\"\nfor = \"{lasts}\"\n"
        );
        let text = (text + &fault).replacen("[profile.ci]\nload.duration = \"3s\"\n", "", 1);
        planned(&text, None)
            .undecidable()
            .iter()
            .map(|found| found.note.clone())
            .collect::<Vec<_>>()
            .join("\n")
    };
    for criterion in ["incidents == 0 before x", "incidents == 0 before faults"] {
        let notes = notes(criterion, "0s", "1s");
        assert!(notes.contains("which is empty"), "{criterion}: {notes}");
    }
    for (criterion, at, lasts) in [
        ("incidents == 0 before x", "1s", "1s"),
        ("incidents == 0 after x", "0s", "1s"),
        ("incidents == 0 outside faults", "0s", "5s"),
        ("incidents == 0 during x", "0s", "5s"),
    ] {
        let notes = notes(criterion, at, lasts);
        assert!(!notes.contains("which is empty"), "{criterion}: {notes}");
    }
}
