//! Every kind of mistake in a scenario: what is said about it, word for word.

use harness::scenario::{Plan, PlanOptions, Scenario, Selection, Source};
use proptest::prelude::*;

pub(crate) const GOOD: &str = r#"schema = 1
name = "probe"
asks = "Does it work?"

[fleet]
topology = "hybrid"
coordinators = 2
workers = 4

[workload]
kind = "echo"
payload = "256B"

[load]
model = "open"
every = "50ms"
duration = "6s"

[sampling]
every = "500ms"

[[criterion]]
name = "delivery"
pass = "delivery.rate >= 100%"

[profile.ci]
load.duration = "3s"
"#;

#[test]
fn faults_on_shared_memory_take_keys_and_sizes_that_apply() {
    let fault = |keys: &str| format!("[[fault]]\nname = \"x\"\nat = \"1s\"\n{keys}\n[sampling]");
    let large = GOOD.replacen("workers = 4", "workers = 400", 1);
    let with = |keys: &str| said(&large.replacen("[sampling]", &fault(keys), 1), &Selection::default());
    assert_eq!(with("kind = \"shm-fill\"\nfill = \"90%\"\nfor = \"1s\""), "no mistake\n");
    insta::assert_snapshot!(with("kind = \"shm-fill\"\nrole = \"worker\"\ncount = 2"));
    insta::assert_snapshot!(with("kind = \"shm-limit\"\nfor = \"1s\"\nsize = \"1MiB\""));
    insta::assert_snapshot!(with(
        "kind = \"shm-limit\"\nfor = \"1s\"\nsize = \"65MiB\"\n[shm]\nsize = \"64MiB\""
    ));
    insta::assert_snapshot!(with("kind = \"kill\"\nfill = \"1%\"\n[shm]\nsize = \"1MiB\"\ninodes = 3"));
}

pub(crate) fn said(text: &str, selection: &Selection) -> String {
    let source = Source::new("probe.toml", text.to_owned());
    match Scenario::parse(&source, selection) {
        Ok(_) => "no mistake\n".into(),
        Err(found) => found.to_string(),
    }
}

/// What is said when `from` stands as `to` in a good file.
#[track_caller]
pub(crate) fn changed(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "{from}");
    said(&GOOD.replacen(from, to, 1), &Selection::default())
}

pub(crate) fn with_set(sets: &[&str]) -> String {
    let sets = sets.iter().map(|&set| set.to_owned()).collect();
    said(GOOD, &Selection { profile: None, sets })
}

#[test]
fn a_good_file_has_no_mistake() {
    assert_eq!(said(GOOD, &Selection::default()), "no mistake\n");
    let ci = Selection { profile: Some("ci".into()), sets: vec!["load.every=10ms".into(), "seed=7".into()] };
    assert_eq!(said(GOOD, &ci), "no mistake\n");
}

#[test]
fn an_unknown_key_is_met_with_the_nearest_known_one() {
    insta::assert_snapshot!(changed("duration = \"6s\"", "duration = \"6s\"\nwarmup = \"1s\""));
    insta::assert_snapshot!(changed("[sampling]", "[samplign]"));
}

#[test]
fn what_is_misspelt_is_not_missing_as_well() {
    for (from, to) in [
        ("[sampling]", "[samplin]"),
        ("[[criterion]]", "[[criteria]]"),
        ("asks =", "ask ="),
        ("workers = 4", "worker = 4"),
        ("payload =", "paylod ="),
        ("every = \"50ms\"", "evry = \"50ms\""),
        ("kind = \"echo\"\npayload = \"256B\"", "kind = \"sleep\"\ntme = \"1ms\""),
        (
            "kind = \"echo\"\npayload = \"256B\"",
            "kind = \"sleep\"\ndistribution = \"exponential\"\nmeen = \"1ms\"",
        ),
    ] {
        let said = changed(from, to);
        assert_eq!(said.matches("error: ").count(), 1, "{to}: {said}");
        assert!(said.contains("hint: did you mean `"), "{to}: {said}");
    }
}

#[test]
fn a_wrong_type_is_named_with_the_right_one() {
    insta::assert_snapshot!(changed("coordinators = 2", "coordinators = \"two\""));
    insta::assert_snapshot!(changed("[fleet]", "fleet = 3\n[other]"));
}

#[test]
fn a_missing_unit_is_asked_for() {
    insta::assert_snapshot!(changed("\"6s\"", "6"));
    insta::assert_snapshot!(changed("\"6s\"", "\"6\""));
    insta::assert_snapshot!(changed("\"6s\"", "\"6M\""));
    insta::assert_snapshot!(changed("\"6s\"", "6s"));
    insta::assert_snapshot!(changed("\"256B\"", "256"));
    insta::assert_snapshot!(changed("\"256B\"", "\"256KB\""));
}

#[test]
fn a_ratio_over_one_is_refused() {
    insta::assert_snapshot!(changed(">= 100%", ">= 120%"));
}

#[test]
fn zero_workers_and_impossible_topologies_are_refused() {
    insta::assert_snapshot!(changed("workers = 4", "workers = 0"));
    insta::assert_snapshot!(changed("\"hybrid\"", "\"flat\""));
    insta::assert_snapshot!(changed("\"hybrid\"", "\"hybird\""));
    insta::assert_snapshot!(changed("workers = 4", "workers = 100000"));
}

#[test]
fn what_is_there_twice_is_named() {
    insta::assert_snapshot!(changed("workers = 4", "workers = 4\nworkers = 5"));
    insta::assert_snapshot!(changed("[sampling]", "[fleet]\nworkers = 5\n\n[sampling]"));
}

#[test]
fn a_criterion_with_one_pair_of_brackets_is_told_of_the_other() {
    insta::assert_snapshot!(changed("[[criterion]]", "[criterion]"));
    let two = "[criterion]\nname = \"first\"\npass = \"incidents == 0\"\n\n[criterion]";
    insta::assert_snapshot!(changed("[[criterion]]", two));
}

#[test]
fn a_hint_can_be_followed() {
    for (from, to, said) in [
        ("schema = 1", "schema = \"1\"", "hint: write 1\n"),
        ("duration = \"6s\"", "duration = inf", "must be a duration, not a float (inf)"),
        ("payload = \"256B\"", "payload = nan", "must be a size, not a float (nan)"),
    ] {
        let found = format!("{}\n", changed(from, to));
        assert!(found.contains(said), "{to}: {found}");
    }
}

#[test]
fn a_number_that_cannot_be_is_met_with_the_range_of_its_key() {
    insta::assert_snapshot!(changed("workers = 4", "workers = -4"));
    insta::assert_snapshot!(changed("workers = 4", "workers = \"2\""));
    insta::assert_snapshot!(changed("coordinators = 2", "coordinators = 99999999999999999999999"));
    insta::assert_snapshot!(with_set(&["fleet.workers=-1", "load.rounds_in_flight_max=65"]));
}

#[test]
fn a_criterion_is_held_to_the_catalogue_of_metrics() {
    insta::assert_snapshot!(changed("delivery.rate", "delivery.rat"));
    insta::assert_snapshot!(changed("delivery.rate", "delivery.rate p99"));
    insta::assert_snapshot!(changed("delivery.rate >= 100%", "coordination.time < 1s"));
    insta::assert_snapshot!(changed("delivery.rate >= 100%", "memory.pss slope < 10%/h"));
    insta::assert_snapshot!(changed(">= 100%\"", ">= 95%\"\nconditional = \"delivery.rate >= 99%\""));
}

#[test]
fn criteria_are_there_and_have_names_of_their_own() {
    insta::assert_snapshot!(changed(
        "[[criterion]]\nname = \"delivery\"\npass = \"delivery.rate >= 100%\"\n",
        ""
    ));
    let twice = "[[criterion]]\nname = \"delivery\"\npass = \"incidents == 0\"\n\n[profile.ci]";
    insta::assert_snapshot!(changed("[profile.ci]", twice));
    insta::assert_snapshot!(changed(">= 100%\"", ">= 100%\"\ngrace = \"1s\""));
}

#[test]
fn a_load_that_cannot_be_is_refused() {
    insta::assert_snapshot!(changed("every = \"50ms\"\n", ""));
    insta::assert_snapshot!(changed("\"open\"", "\"closed\""));
    insta::assert_snapshot!(changed("\"6s\"", "\"0s\"\nwarm_up = \"9s\"\ntask_timeout = \"0s\""));
    insta::assert_snapshot!(changed("\"50ms\"", "\"7s\"\nrounds_in_flight_max = 65"));
}

#[test]
fn rounds_and_tasks_that_contradict_the_model_are_refused() {
    let closed = changed("\"open\"\nevery = \"50ms\"", "\"closed\"\narrivals = \"poisson\"");
    assert!(closed.contains("`load.arrivals` does not apply to a closed loop"), "{closed}");
    let many = changed("\"50ms\"\nduration = \"6s\"", "\"1ms\"\nduration = \"30d\"\narrivals = \"poisson\"");
    assert!(many.contains("`load.arrivals` would draw 2592000000 rounds before the start"), "{many}");
    let each = changed("\"50ms\"", "\"50ms\"\nto = \"each\"\ntasks_per_round = 5");
    assert!(each.contains("`load.tasks_per_round` has no effect"), "{each}");
    let none = changed("\"50ms\"", "\"50ms\"\ntasks_per_round = 0");
    assert!(none.contains("`load.tasks_per_round` must be from 1 to 1000000, not 0"), "{none}");
    let deep = changed("\"50ms\"", "\"50ms\"\ntasks_per_round = 1000");
    assert!(deep.contains("and 64 tasks may wait for each of 8 workers"), "{deep}");
    assert!(deep.contains("load.tasks_per_round"), "{deep}");
    let near = changed("\"50ms\"", "\"50ms\"\narrivals = \"poison\"");
    assert!(near.contains("did you mean \"poisson\"?"), "{near}");
    for right in [
        "tasks_per_round = 5",
        "to = \"any\"",
        "to = \"any\"\ntasks_per_round = 64",
        "arrivals = \"poisson\"",
    ] {
        assert_eq!(changed("\"50ms\"", &format!("\"50ms\"\n{right}")), "no mistake\n", "{right}");
    }
}

#[test]
fn stages_that_cannot_be_carried_out_are_refused() {
    let with = |stages: &str| changed("[sampling]", &format!("{stages}\n[sampling]"));
    let one = |keys: &str| with(&format!("[[stage]]\nname = \"peak\"\n{keys}"));
    for (keys, words) in [
        ("workers = 8", "`stage.peak.at` is missing"),
        ("at = \"6s\"\nworkers = 8", "`stage.peak.at` (6s) is not before the end of the load"),
        ("at = \"1s\"\nworkers = 9", "is 9, which 2 coordinators cannot have in equal parts"),
        ("at = \"1s\"\nworkers = 9", "write 8 or 10"),
        ("at = \"1s\"\nworkers = 1", "it is the number of the whole fleet: write 2"),
        ("at = \"1s\"\nworkers = 10000", "would be 5000 workers under each coordinator"),
        ("at = \"1s\"\nworkers = 0", "`stage.peak.workers` must be from 1"),
        ("at = \"1s\"\nover = \"1s\"", "`stage.peak.over` has no effect without `workers`"),
        ("at = \"1s\"\nworkers = 8\nover = \"6s\"", "`stage.peak.over` (6s) is longer than its stage"),
        ("at = \"1s\"\nevery = \"10us\"", "`stage.peak.every` is 10us, which is too short"),
        ("at = \"1s\"\nworker = 8", "did you mean `workers`?"),
    ] {
        let found = one(keys);
        assert!(found.contains(words), "{keys}: {found}");
    }
    let unordered = with("[[stage]]\nname = \"b\"\nat = \"2s\"\n[[stage]]\nname = \"a\"\nat = \"1s\"\n");
    assert!(
        unordered.contains("`stage.a.at` (1s) is not after the stage before it, `b` (2s)"),
        "{unordered}"
    );
    let twice = with("[[stage]]\nname = \"b\"\nat = \"1s\"\n[[stage]]\nname = \"b\"\nat = \"2s\"\n");
    assert!(twice.contains("the stage name `b` is duplicated"), "{twice}");
    let closed = said(
        &GOOD.replacen("\"open\"\nevery = \"50ms\"", "\"closed\"", 1).replacen(
            "[sampling]",
            "[[stage]]\nname = \"a\"\nat = \"1s\"\nevery = \"1s\"\n[sampling]",
            1,
        ),
        &Selection::default(),
    );
    assert!(closed.contains("`stage.a.every` does not apply to a closed loop"), "{closed}");
    // Eight at the start, six in the stage.
    let live = changed(
        "delivery.rate >= 100%\"",
        "agents.live min >= 10\"\n[[stage]]\nname = \"a\"\nat = \"1s\"\nworkers = 6",
    );
    assert!(live.contains("can never hold: this scenario starts 9 processes"), "{live}");
    assert_eq!(one("at = \"0s\"\nworkers = 16\nover = \"3s\"\nevery = \"10ms\"\n"), "no mistake\n");
}

#[test]
fn a_schedule_that_no_fleet_can_keep_is_met_with_the_closed_loop() {
    insta::assert_snapshot!(changed("every = \"50ms\"", "every = \"100us\""));
}

#[test]
fn a_criterion_that_can_never_hold_is_refused() {
    let asking = |pass: &str| changed("delivery.rate >= 100%", pass);
    assert_eq!(asking("agents.live min >= 11"), "no mistake\n");
    insta::assert_snapshot!(asking("agents.live min >= 12"));
    assert!(asking("agents.live min > 11").contains("can never hold"));
    let smaller = said(
        &GOOD.replacen("delivery.rate >= 100%", "agents.live min >= 11", 1),
        &Selection { profile: None, sets: vec!["fleet.workers=2".into()] },
    );
    insta::assert_snapshot!(smaller);
}

#[test]
fn a_criterion_that_no_run_can_fail_is_refused() {
    let asking = |pass: &str| changed("delivery.rate >= 100%", pass);
    insta::assert_snapshot!(asking("delivery.rate >= 0%"));
    insta::assert_snapshot!(asking("delivery.failed <= 960")); // 120 rounds of 8 tasks.
    // In the profile, 60 rounds of 8 tasks, of which one at least must be answered anyhow.
    assert!(asking("delivery.failed < 480").contains("holds of every run"));
    assert_eq!(asking("delivery.failed < 479"), "no mistake\n");
    for pass in ["delivery.failed >= 0", "coordination.time p50 >= 0ms", "agents.live min >= 0"] {
        assert!(asking(pass).contains("holds of every run"), "{pass}: {}", asking(pass));
    }
    assert!(asking("incidents < 0").contains("can never hold"));
    // The weaker half is a bar as well.
    let pair = asking("delivery.rate >= 95%\"\nconditional = \"delivery.rate >= 0%");
    assert!(pair.contains("conditional") && pair.contains("holds of every run"), "{pair}");
    // An override is held to the same.
    let forged = with_set(&["criterion.delivery.pass=delivery.rate >= 0%"]);
    assert!(forged.contains("holds of every run"), "{forged}");
}

#[test]
fn a_criterion_that_asks_for_the_worse_is_refused() {
    let asking = |pass: &str| changed("delivery.rate >= 100%", pass);
    insta::assert_snapshot!(asking("delivery.rate <= 95%"));
    for pass in ["coordination.time p99 > 1s", "incidents > 3", "delivery.failed == 5", "cpu mean >= 1 cores"]
    {
        let said = asking(pass);
        assert!(
            said.contains("wrong way") || said.contains("better than what it asks for"),
            "{pass}: {said}"
        );
    }
    let shown = "cpu mean > 1 cores\"\ninformational = true\n[[criterion]]\nname = \"judged\"\npass = \"incidents == 0";
    assert_eq!(asking(shown), "no mistake\n");
}

#[test]
fn a_scenario_that_judges_nothing_is_refused() {
    let asking =
        |rest: &str| changed("\"delivery.rate >= 100%\"", &format!("\"delivery.rate >= 100%\"\n{rest}"));
    insta::assert_snapshot!(asking("informational = true"));
    assert_eq!(asking("informational = false"), "no mistake\n");
    let aborting = asking("informational = true\nabort = true");
    assert!(aborting.contains("no effect on a criterion that is not judged"), "{aborting}");
}

#[test]
fn a_workload_takes_the_keys_of_its_kind() {
    insta::assert_snapshot!(changed("\"echo\"", "\"sleep\""));
    insta::assert_snapshot!(changed("\"256B\"", "\"2MiB\""));
    insta::assert_snapshot!(changed("kind = \"echo\"\npayload = \"256B\"", "kind = \"exec\"\ncommand = []"));
    let uniform = "kind = \"sleep\"\ndistribution = \"uniform\"\nmin = \"9ms\"\nmean = \"5ms\"";
    insta::assert_snapshot!(changed("kind = \"echo\"\npayload = \"256B\"", uniform));
}

#[test]
fn several_workloads_have_names_and_criteria_name_one_of_them() {
    let two = |first: &str, second: &str, criterion: &str| {
        let workloads =
            format!("[[workload]]\n{first}kind = \"echo\"\npayload = \"1B\"\n[[workload]]\n{second}");
        GOOD.replacen("[workload]\nkind = \"echo\"\npayload = \"256B\"", &workloads, 1).replacen(
            "delivery.rate >= 100%",
            criterion,
            1,
        )
    };
    let second = "name = \"burn\"\nkind = \"compute\"\ncpu = \"1ms\"";
    let tagged = "delivery.rate{workload='burn'} >= 100%";
    assert_eq!(said(&two("name = \"small\"\n", second, tagged), &Selection::default()), "no mistake\n");
    let says = |text: &str, words: &[&str]| {
        let said = said(text, &Selection::default());
        assert!(words.iter().all(|words| said.contains(words)), "{words:?}: {said}");
    };
    let misspelt = two("name = \"small\"\n", second, "delivery.rate{workload='brun'} >= 100%");
    says(&misspelt, &["the scenario has no workload `brun`", "did you mean `burn`?"]);
    let wrong = two("", &second.replace("burn\"", "burn\"\nweight = 0\npaylod = \"1B\""), tagged);
    says(
        &wrong,
        &[
            "`workload[0].name` is missing: each of several workloads has one",
            "`workload.burn.weight` must be from 1 to 1000000, not 0",
            "`paylod` is not a key of [workload.burn]",
        ],
    );
    let unnamed = GOOD.replacen("delivery.rate >= 100%", tagged, 1);
    says(&unnamed, &["the scenario has no workload `burn`", "give [workload] a `name`"]);
    let agent = "name = \"a\"\nkind = \"agent\"\ncommand = [\"x\"]\nquestion = '{'";
    says(
        &two("name = \"a\"\n", agent, "incidents == 0"),
        &["the workload name `a` is duplicated", "`workload.a.question` is not JSON once `{}` is a number"],
    );
}

#[test]
fn all_mistakes_are_told_at_once_in_the_order_of_the_file() {
    let text = GOOD
        .replacen("schema = 1", "schema = 2", 1)
        .replacen("\"probe\"", "\"Probe One\"", 1)
        .replacen("workers = 4", "workers = 0\ntoplogy = \"flat\"", 1)
        .replacen("\"256B\"", "256", 1)
        .replacen("\"500ms\"", "\"1ms\"", 1)
        .replacen("100%", "120%", 1)
        .replacen("load.duration = \"3s\"", "load.duration = \"3\"", 1);
    insta::assert_snapshot!(said(&text, &Selection::default()));
}

#[test]
fn profiles_are_checked_though_none_is_chosen() {
    insta::assert_snapshot!(changed(
        "load.duration = \"3s\"",
        "load.duration = \"3ms\"\nlaod.every = \"1s\""
    ));
    // A whole criterion of another name is one more; a part of one is a misspelt name.
    let conditional = "criterion.deliver.conditional = \"delivery.rate >= 90%\"";
    insta::assert_snapshot!(changed("load.duration = \"3s\"", conditional));
    insta::assert_snapshot!(with_set(&["criterion.deliver.pass=incidents == 0"]));
}

#[test]
fn an_unknown_profile_is_met_with_the_nearest_known_one() {
    let selection = Selection { profile: Some("cl".into()), sets: Vec::new() };
    insta::assert_snapshot!(said(GOOD, &selection));
}

#[test]
fn mistakes_in_set_arguments_point_at_the_argument() {
    insta::assert_snapshot!(with_set(&[
        "load.duration=10",
        "load.durations=10s",
        "novalue",
        "profile.ci.x=1"
    ]));
    insta::assert_snapshot!(with_set(&["criterion.delivery.pass=delivery.rate >= 120%"]));
}

#[test]
fn set_arguments_replace_values_and_a_new_kind_begins_anew() {
    for sets in [
        &["load.duration=10s"][..],
        &["load.model=closed"],
        &["workload.kind=sleep", "workload.time=10ms"],
        &["workload={ kind = \"compute\", cpu = \"2ms\" }"],
        &["criterion.delivery.pass=delivery.rate >= 95%"],
    ] {
        assert_eq!(with_set(sets), "no mistake\n", "{sets:?}");
    }
}

#[test]
fn a_profile_changes_adds_and_takes_out_entries_by_their_names() {
    let ci = |keys: &str| {
        let text = GOOD.replacen("load.duration = \"3s\"", keys, 1);
        let source = Source::new("probe.toml", text);
        let selection = Selection { profile: Some("ci".into()), sets: Vec::new() };
        let scenario = Scenario::parse(&source, &selection).map_err(|found| found.to_string())?;
        let options = PlanOptions { seed: None, fallback_seed: 1, rehearsal: None };
        let plan = Plan::new(scenario, &options);
        Ok::<_, String>(
            plan.criteria().iter().map(|spec| format!("{}: {}", spec.name, spec.pass)).collect::<Vec<_>>(),
        )
    };
    let delivery = "delivery: delivery.rate >= 100%".to_owned();
    assert_eq!(
        ci("criterion.delivery.pass = \"incidents == 0\""),
        Ok(vec!["delivery: incidents == 0".into()])
    );
    let deaths = "deaths: incidents == 0".to_owned();
    for added in [
        "criterion.deaths.pass = \"incidents == 0\"",
        "[[profile.ci.criterion]]\nname = \"deaths\"\npass = \"incidents == 0\"",
    ] {
        assert_eq!(ci(added), Ok(vec![delivery.clone(), deaths.clone()]), "{added}");
    }
    let replaced = "unset = [\"criterion.delivery\"]\ncriterion.deaths.pass = \"incidents == 0\"";
    assert_eq!(ci(replaced), Ok(vec![deaths]));
    insta::assert_snapshot!(ci("criterion.pass = \"incidents == 0\"").unwrap_err());
}

#[test]
fn keys_can_be_unset_and_only_those_that_are_set() {
    assert_eq!(with_set(&["load.warm_up=1s", "!load.warm_up"]), "no mistake\n");
    assert_eq!(with_set(&["!load.every", "load.model=closed"]), "no mistake\n");
    insta::assert_snapshot!(with_set(&[
        "!load.duration",
        "!load.evry",
        "!load.every=1s",
        "!schema",
        "!load..x"
    ]));
    insta::assert_snapshot!(changed(
        "load.duration = \"3s\"",
        "unset = [\"load.warm_up\", \"criterion.deliver\", 3, \"name\"]"
    ));
    insta::assert_snapshot!(changed("load.duration = \"3s\"", "unset = \"load.every\""));
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "\\PC{0,200}") {
        said(&text, &Selection::default());
    }

    /// Every half-typed file that an editor might validate.
    #[test]
    fn no_mutation_of_a_good_file_makes_the_reader_panic(
        start in 0..GOOD.len(),
        length in 0..40_usize,
        inserted in prop_oneof!["\\PC{0,12}", "[\\[\\]{}=\"',.0-9a-z\n#-]{0,12}"],
    ) {
        let end = (start + length).min(GOOD.len());
        let text = format!("{}{inserted}{}", &GOOD[..start], &GOOD[end..]);
        let found = said(&text, &Selection::default());
        prop_assert!(found == "no mistake\n" || found.starts_with("error: "), "{found}");
    }

    #[test]
    fn no_set_argument_makes_the_reader_panic(set in "!?[a-z.]{0,20}=?\\PC{0,20}") {
        with_set(&[&set]);
    }
}
