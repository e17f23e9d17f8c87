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
        (random.clone(), "timeouts <= 1000000", "timeouts <= 1000"),
    ] {
        let asking =
            |pass: &str| said(&text.replacen("delivery.rate >= 100%", pass, 1), &Selection::default());
        assert!(asking(always).contains("holds of every run"), "{always}: {}", asking(always));
        assert_eq!(asking(open), "no mistake\n");
    }
    // An hour of 20 rounds of eight tasks a second, at random: some more, but no multiple of it.
    let long = random.replacen("duration = \"6s\"", "duration = \"1h\"", 1);
    let asking = |pass: &str| said(&long.replacen("delivery.rate >= 100%", pass, 1), &Selection::default());
    assert_eq!(asking("throughput.tasks >= 160/s"), "no mistake\n");
    assert!(asking("throughput.tasks >= 320/s").contains("can never hold"));
    let stage = "[[stage]]\nname = \"fast\"\nat = \"3s\"\nevery = \"10ms\"\n\n[sampling]";
    let staged =
        GOOD.replacen("[sampling]", stage, 1).replacen("[profile.ci]\nload.duration = \"3s\"\n", "", 1);
    let asking = |pass: &str| said(&staged.replacen("delivery.rate >= 100%", pass, 1), &Selection::default());
    // 60 and 300 rounds of eight tasks.
    assert!(asking("timeouts <= 2880").contains("holds of every run"));
    assert_eq!(asking("timeouts < 2879"), "no mistake\n");
    assert!(asking("throughput.tasks >= 500/s").contains("can never hold"));
}

/// Of two workloads and two coordinators, for six seconds: 120 rounds of eight tasks.
fn mixed() -> String {
    let workloads = "[[workload]]\nname = \"compile\"\nweight = 3\nkind = \"sleep\"\ntime = \"20ms\"\n\
                     [[workload]]\nname = \"message\"\nkind = \"echo\"\npayload = \"256B\"";
    let good = GOOD.split("[profile").next().unwrap_or_default();
    good.replacen("[workload]\nkind = \"echo\"\npayload = \"256B\"", workloads, 1)
}

fn asked_of(text: &str, pass: &str) -> String {
    said(&text.replacen("delivery.rate >= 100%", pass, 1), &Selection::default())
}

#[test]
fn a_label_is_bounded_by_its_part_of_the_work() {
    let mixed = mixed();
    let any = mixed.replacen("model = \"open\"", "model = \"open\"\nto = \"any\"", 1);
    for (text, decided, open) in [
        // A quarter of 960 tasks on average, as they are drawn.
        (&mixed, "delivery.failed{workload='message'} <= 569", "delivery.failed{workload='message'} <= 568"),
        (&mixed, "delivery.failed <= 959", "delivery.failed <= 569"),
        (&mixed, "throughput.tasks{workload='message'} >= 97/s", "throughput.tasks >= 97/s"),
        (&mixed, "task.time{workload='compile'} max < 20ms", "task.time{workload='message'} max < 20ms"),
        (&mixed, "delivery.late{coordinator=1} <= 480", "delivery.late{coordinator=1} <= 479"),
        (&any, "delivery.late{coordinator=1} <= 960", "delivery.late{coordinator=1} <= 480"),
        (&mixed, "delivery.duplicates{coordinator=0} <= 2880", "delivery.duplicates <= 2880"),
        // A part may have no answer.
        (&mixed, "delivery.rate >= 0.1%", "delivery.rate{workload='message'} >= 0.1%"),
        (&mixed, "throughput.tasks >= 0.01/s", "throughput.tasks{workload='message'} >= 0.01/s"),
    ] {
        let found = asked_of(text, decided);
        assert!(
            found.contains("holds of every run") || found.contains("can never hold"),
            "{decided}: {found}"
        );
        assert_eq!(asked_of(text, open), "no mistake\n", "{open}");
    }
    // One workload with a name is all there is.
    let one = GOOD.replacen("[workload]\n", "[workload]\nname = \"all\"\n", 1);
    let found = asked_of(&one, "delivery.failed{workload='all'} <= 959");
    assert!(found.contains("holds of every run"), "{found}");
}

#[test]
fn a_label_of_no_part_of_the_run_is_refused_wherever_the_criterion_stands() {
    let found = asked_of(&mixed(), "delivery.failed{workload='compil'} <= 3");
    assert!(found.contains("the scenario has no workload `compil`"), "{found}");
    assert!(found.contains("hint: did you mean `compile`?"), "{found}");
    assert_eq!(found.matches("error: ").count(), 1, "{found}");
    let found = asked_of(&mixed(), "delivery.late{coordinator=2} <= 3");
    assert!(
        found.contains("the scenario has no coordinator 2") && found.contains("numbered 0 to 1"),
        "{found}"
    );
    assert_eq!(found.matches("error: ").count(), 1, "{found}");
    // The criteria of a file that has them, of a run that has them not.
    let run = planned(&mixed(), None);
    let asks = |pass: &str| {
        let other =
            mixed().replacen("compile", "compiler", 1).replacen("coordinators = 2", "coordinators = 3", 1);
        let asked = planned(&other.replacen("delivery.rate >= 100%", pass, 1), None);
        run.settles(asked.criteria())
    };
    let says = |why: &str| vec![("delivery".to_owned(), why.to_owned())];
    assert_eq!(
        asks("delivery.failed{workload='compiler'} == 0"),
        says("the run has no workload `compiler`; did you mean `compile`?")
    );
    assert_eq!(
        asks("delivery.late{coordinator=2} == 0"),
        says("the run has no coordinator 2; they are numbered 0 to 1")
    );
    assert_eq!(asks("delivery.failed{workload='message'} == 0"), []);
    let [(_, why)] = &asks("delivery.failed{workload='message'} <= 600")[..] else {
        panic!("one is settled")
    };
    assert!(why.contains("569, the most tasks of the workload `message` in its load"), "{why}");
}

const SHARED_PAGES: &str =
    "a page counts once for each process that has it, so no size that can be written is too much";

/// What the plan of [`bounded`] makes impossible on either side: a limit that no run can miss, and one that none can meet.
/// Where there is no such limit, the reason why.
const FAR_SIDES: [(&str, Result<&str, &str>, &str); 55] = [
    ("coordination.time", Ok("max < 2m"), "max < 20ms"),
    ("task.time", Ok("p99 < 2m"), "p50 < 20ms"),
    ("silence", Ok("< 2m"), "<= 0s"),
    ("gap.time", Err("a run may be resumed whenever its owner likes"), "< 0s"),
    ("delivery.rate", Ok(">= 0.1%"), "> 100%"),
    ("delivery.late", Ok("<= 959"), "< 0"),
    ("delivery.duplicates", Ok("<= 5760"), "< 0"),
    ("delivery.corrupt", Ok("<= 959"), "< 0"),
    ("delivery.failed", Ok("<= 959"), "< 0"),
    ("timeouts", Ok("<= 959"), "< 0"),
    ("exits.nonzero", Ok("<= 0"), "< 0"),
    ("failures.deaths", Ok("<= 959"), "< 0"),
    ("failures.refused", Ok("<= 959"), "< 0"),
    ("failures.other", Ok("<= 959"), "< 0"),
    ("balance", Ok("<= 100%"), "< 0%"),
    ("pool.reuse", Ok(">= 0%"), "> 100%"),
    ("pool.poisoned", Ok("<= 2880"), "< 0"),
    ("retries", Ok("<= 1920"), "< 0"),
    ("batch.tasks", Ok(">= 1"), "> 32"),
    ("batch.answers", Ok(">= 1"), "> 96"),
    ("batch.efficiency", Ok(">= 0%"), "> 99%"),
    ("throughput.tasks", Ok(">= 0.01/s"), ">= 161/s"),
    ("throughput.messages", Ok(">= 0.04/s"), ">= 644/s"),
    ("memory.pss", Ok("max < 5000TiB"), "max < 1B"),
    ("memory.rss", Err(SHARED_PAGES), "max < 1B"),
    ("memory.anon", Err(SHARED_PAGES), "max < 0B"),
    ("memory.vsz", Ok("max < 16000000TiB"), "max < 1B"),
    ("fds", Ok("max < 100000000000"), "max < 9"),
    ("fds.use", Ok("max <= 100%"), "max <= 0%"),
    ("threads", Ok("max < 9999999"), "max < 9"),
    ("cpu", Ok("max < 10000 cores"), "max <= 0 cores"),
    ("switches.voluntary", Ok("max < 99999999999999/s"), "max <= 0/s"),
    ("switches.involuntary", Ok("max < 99999999999999/s"), "max < 0/s"),
    ("shm.used", Ok("max <= 64MiB"), "max < 4KiB"),
    ("host.load", Ok("max < 100000000"), "max < 0"),
    ("host.steal", Ok("max <= 100%"), "max < 0%"),
    ("incidents", Ok("<= 100000000"), "< 0"),
    ("incidents.minor", Ok("<= 100000000"), "< 0"),
    ("recovery.time", Ok("max < 2h"), "max < 0s"),
    ("detection.time", Ok("max < 2h"), "max < 0s"),
    ("death.detection", Ok("max < 2h"), "max < 0s"),
    ("scaling.time", Ok("max < 2h"), "max < 0s"),
    ("fault.loss", Ok("<= 960"), "< 0"),
    ("fault.duplicates", Ok("<= 5760"), "< 0"),
    ("fault.tasks_hit", Ok("<= 960"), "< 0"),
    ("agents.live", Ok("min >= 1"), "min >= 10"),
    ("first.answer", Ok("max < 2m"), "min < 20ms"),
    ("completion.time", Ok("max < 2m"), "max < 0s"),
    ("load.lateness", Ok("max < 2h"), "max < 0s"),
    ("sampler.lateness", Ok("max < 2h"), "max < 0s"),
    ("sampler.cost", Ok("max <= 100%"), "max <= 0%"),
    ("harness.cpu", Ok("max < 900000%"), "max <= 0%"),
    ("harness.rss", Ok("max < 5000TiB"), "max < 4KiB"),
    ("launch.time", Ok("< 1h"), "< 10us"),
    ("launch.ratio", Ok("<= 200000000%"), "<= 0%"),
];

/// Six to eight workers that wait for 20 ms, a fault, and shared memory of its own.
fn bounded() -> String {
    let more = "[[stage]]\nname = \"less\"\nat = \"3s\"\nworkers = 6\n\
                [[fault]]\nname = \"kill\"\nkind = \"kill\"\nrole = \"worker\"\nat = \"1s\"\n\
                [shm]\nsize = \"64MiB\"\n[sampling]\npss_every = \"1s\"";
    let good = GOOD.split("[profile").next().unwrap_or_default();
    let slow = good.replacen("kind = \"echo\"\npayload = \"256B\"", "kind = \"sleep\"\ntime = \"20ms\"", 1);
    slow.replacen("[sampling]", more, 1)
}

#[test]
fn every_metric_is_bounded_on_both_sides_or_is_known_not_to_be() {
    let named: Vec<&str> = FAR_SIDES.iter().map(|(metric, ..)| *metric).collect();
    for metric in reports::criterion::catalogue() {
        assert!(named.contains(&metric.name), "{}: say what no run can miss, and none can meet", metric.name);
    }
    let text = bounded();
    assert_eq!(asked_of(&text, "delivery.rate >= 100%"), "no mistake\n");
    for (metric, always, never) in FAR_SIDES {
        if let Ok(always) = always {
            let found = asked_of(&text, &format!("{metric} {always}"));
            assert!(found.contains("holds of every run: "), "{metric} {always}: {found}");
        }
        let found = asked_of(&text, &format!("{metric} {never}"));
        assert!(found.contains("can never hold: "), "{metric} {never}: {found}");
    }
    // On the near side, each can be met and missed.
    for pass in [
        "coordination.time max < 1m",
        "coordination.time min < 21ms",
        "silence < 1m",
        "throughput.tasks >= 0.011/s",
        "throughput.tasks >= 160/s",
        "shm.used max < 64MiB",
        "launch.time < 2m",
        "launch.ratio <= 100000000%",
        "agents.live min >= 9",
    ] {
        assert_eq!(asked_of(&text, pass), "no mistake\n", "{pass}");
    }
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
    // Without its profile, whose load is short.
    let open = GOOD.split("[profile").next().unwrap_or_default();
    let open = open.replacen("every = \"50ms\"", "every = \"50ms\"\ntask_timeout = \"3s\"", 1);
    let open = open.replacen("duration = \"6s\"", "duration = \"10m\"", 1);
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
