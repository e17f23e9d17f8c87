//! The committed scenarios: each can be read, planned in all its variants, and decided.

use harness::scenario::{Plan, PlanOptions, Rehearsal, Scenario, Selection, Source, schema_json};
use reports::criterion::HostLimits;
use serde_json::Value;
use std::path::{Path, PathBuf};

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios")
}

fn sources() -> Vec<Source> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(directory())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .filter(|path| path.file_stem().is_some_and(|stem| !stem.to_string_lossy().starts_with("phases")))
        .collect();
    files.sort();
    assert!(files.len() >= 7, "{files:?}");
    files
        .into_iter()
        .map(|path| {
            let name = format!("scenarios/{}", path.file_name().unwrap().to_str().unwrap());
            Source::new(name, std::fs::read_to_string(path).unwrap())
        })
        .collect()
}

fn source(name: &str) -> Source {
    sources().into_iter().find(|source| source.name == format!("scenarios/{name}.toml")).unwrap()
}

fn plan(source: &Source, profile: Option<&str>, rehearse: Option<&str>) -> Plan {
    let selection = Selection { profile: profile.map(str::to_owned), sets: Vec::new() };
    let scenario = Scenario::parse(source, &selection).unwrap_or_else(|found| panic!("{found}"));
    let rehearsal = rehearse.map(|factor| factor.parse::<Rehearsal>().unwrap());
    Plan::new(scenario, &PlanOptions { seed: None, fallback_seed: 1, rehearsal })
}

fn profiles(source: &Source) -> Vec<String> {
    let table: toml::Table = source.text.parse().unwrap();
    table
        .get("profile")
        .and_then(toml::Value::as_table)
        .map(|profiles| profiles.keys().cloned().collect())
        .unwrap_or_default()
}

#[test]
fn every_scenario_is_named_after_its_file_and_plans_without_a_note() {
    for source in sources() {
        let plan = plan(&source, None, None);
        assert_eq!(source.name, format!("scenarios/{}.toml", plan.name()));
        assert_eq!(plan.notes(), [] as [String; 0], "{}", source.name);
        assert!(source.text.starts_with("#:schema scenario.schema.json\n"), "{}", source.name);
    }
}

#[test]
fn every_profile_plans_without_a_note_and_is_shorter() {
    for source in sources() {
        for profile in profiles(&source) {
            let (full, short) = (plan(&source, None, None), plan(&source, Some(&profile), None));
            assert_eq!(short.notes(), [] as [String; 0], "{} {profile}", source.name);
            assert!(short.expected_duration() < full.expected_duration(), "{} {profile}", source.name);
        }
    }
}

#[test]
fn the_fleets_are_those_of_the_requirements() {
    for (name, coordinators, workers, processes) in [
        ("load-100", 1, 100, 102),
        ("load-300", 1, 300, 302),
        ("load-500", 10, 50, 511),
        ("load-708", 7, 100, 708),
        ("bench-spawn-708", 7, 100, 708),
        ("bench-repeat-500x10", 10, 50, 511),
        ("bench-combined", 7, 100, 708),
        ("gate1-24h", 10, 50, 511),
        ("sprint0-8h", 5, 50, 256),
    ] {
        let facts = plan(&source(name), None, None).facts();
        let found = (facts.coordinators, facts.workers_per_coordinator, facts.processes);
        assert_eq!(found, (coordinators, workers, processes), "{name}");
    }
}

#[test]
fn every_scenario_watches_all_of_its_processes_and_asks_for_every_task() {
    for source in sources() {
        let plan = plan(&source, None, None);
        let asks = |pass: &str| plan.criteria().iter().any(|spec| spec.pass == pass);
        // Those that a fault ends are missed until their successors are there.
        let all_there = format!("agents.live min >= {}", plan.processes_least());
        // To the base of a swarm, such faults are added.
        let has_faults = !plan.faults().is_empty() || plan.name() == "chaos-swarm";
        assert!(asks(&all_there) || has_faults, "{}", source.name);
        // Workers that are to lose tasks lose these, and no others.
        let loses = plan.sabotage().iter().any(Option::is_some)
            && ["failures.deaths", "failures.refused", "failures.other", "delivery.corrupt"]
                .iter()
                .all(|metric| asks(&format!("{metric} == 0")));
        let whole = asks("delivery.rate >= 100%") || asks("delivery.rate >= 100% every 15m");
        // So do tasks whose memory is overwritten.
        let scribbles = plan.faults().iter().any(|fault| fault.action().kind().is_of_segments())
            && ["failures.deaths", "failures.refused", "timeouts", "delivery.corrupt"]
                .iter()
                .all(|metric| asks(&format!("{metric} == 0")));
        assert!(whole || loses || scribbles, "{}", source.name);
        assert!(asks("delivery.duplicates == 0") && asks("incidents == 0"), "{}", source.name);
    }
}

#[test]
fn a_scenario_may_ask_for_no_bigger_leak_than_a_worker_makes() {
    for (defect, most, more) in [
        ("leak-memory", "workload.bytes=1GiB", "workload.bytes=1025MiB"),
        ("leak-descriptors", "workload.descriptors=65536", "workload.descriptors=65537"),
    ] {
        let parse = |amount: &str| {
            let sets = vec![format!("workload.defect={defect}"), amount.to_owned()];
            Scenario::parse(&source("chaos-timeout-all"), &Selection { profile: None, sets })
        };
        assert!(parse(most).is_ok(), "{:?}", parse(most).err());
        let key = more.split('=').next().unwrap_or_default();
        assert!(parse(more).is_err_and(|found| found.to_string().contains(key)), "{more}");
    }
}

#[test]
fn a_day_is_rehearsed_in_a_minute_and_says_what_it_does_not_compress() {
    let plan = plan(&source("gate1-24h"), None, Some("1440x"));
    assert_eq!(plan.load().duration().as_secs(), 60);
    assert_eq!(plan.rounds_planned(), Some(1440));
    assert_eq!(plan.load().task_timeout().as_secs(), 30);
    assert_eq!(plan.sampling().every().as_millis(), 250);
    assert_eq!(plan.notes().len(), 2, "{:?}", plan.notes());
    assert!(plan.notes()[0].contains("sampling.every"), "{:?}", plan.notes());
    assert_eq!(plan.criteria()[0].grace_ns, 1_250_000_000);
    assert_eq!(plan.criteria()[0].pass, "delivery.rate >= 95% every 15m");
}

#[test]
fn the_seed_is_the_command_lines_then_the_files_then_the_callers() {
    let with = |text: &str, seed| {
        let source = Source::new("x.toml", text.to_owned());
        let scenario = Scenario::parse(&source, &Selection::default()).unwrap();
        Plan::new(scenario, &PlanOptions { seed, fallback_seed: 3, rehearsal: None }).seed()
    };
    let text = source("smoke").text;
    let seeded = text.replacen("schema = 1", "schema = 1\nseed = 2", 1);
    assert_eq!((with(&seeded, Some(1)), with(&seeded, None), with(&text, None)), (1, 2, 3));
}

#[test]
fn a_percentile_of_too_few_rounds_is_noted_before_the_run() {
    let selection = Selection { profile: None, sets: vec!["load.every=1s".into()] };
    let scenario = Scenario::parse(&source("load-100"), &selection).unwrap();
    let plan = Plan::new(scenario, &PlanOptions { seed: None, fallback_seed: 1, rehearsal: None });
    let about_rounds = plan.notes().iter().filter(|note| note.contains("p99 of 60 rounds")).count();
    assert_eq!(about_rounds, 2, "{:?}", plan.notes());
}

#[test]
fn a_window_longer_than_the_load_is_noted_before_the_run() {
    let with = |duration: &str, rehearsal: Option<&str>| {
        let sets = vec![
            format!("load.duration={duration}"),
            "criterion.delivery.pass=delivery.rate >= 95% every 15m".into(),
        ];
        let scenario = Scenario::parse(&source("smoke"), &Selection { profile: None, sets }).unwrap();
        let rehearsal = rehearsal.map(|factor| factor.parse::<Rehearsal>().unwrap());
        let plan = Plan::new(scenario, &PlanOptions { seed: None, fallback_seed: 1, rehearsal });
        plan.notes().iter().filter(|note| note.contains("windows of 15m")).cloned().collect::<Vec<_>>()
    };
    insta::assert_snapshot!(with("5m", None).join("\n"));
    assert_eq!(with("15m", None), [] as [String; 0]);
    // Windows are of the scenario's time, as its duration is: a rehearsal shortens both.
    assert_eq!(with("1h", Some("60x")), [] as [String; 0]);
    assert_eq!(with("5m", Some("60x")).len(), 1);
}

#[test]
fn a_percentile_of_windows_with_too_few_rounds_is_noted_before_the_run() {
    let notes = |every: &str| {
        let sets = vec![
            "load.every=1s".into(),
            "load.duration=10m".into(),
            format!("criterion.delivery.pass=coordination.time p99 < 5s{every}"),
        ];
        let scenario = Scenario::parse(&source("smoke"), &Selection { profile: None, sets }).unwrap();
        let plan = Plan::new(scenario, &PlanOptions { seed: None, fallback_seed: 1, rehearsal: None });
        let about = |note: &&String| note.contains("`delivery`");
        plan.notes().iter().filter(about).cloned().collect::<Vec<_>>()
    };
    assert_eq!(notes(""), [] as [String; 0]);
    assert_eq!(notes(" every 5m"), [] as [String; 0]);
    let [note] = notes(" every 1m").try_into().unwrap();
    assert!(note.contains("asks for p99 of 60 rounds a window and needs at least 299"), "{note}");
}

/// What is said of the criterion `delivery` of the smoke test, asked something else.
fn open(pass: &str, sets: &[&str], more: &str) -> (Vec<String>, bool) {
    let mut source = source("smoke");
    source.text = source.text.replacen("[[criterion]]", &format!("{more}\n[[criterion]]"), 1);
    let asked = format!("criterion.delivery.pass={pass}");
    let sets = sets.iter().map(|set| (*set).to_owned()).chain([asked]).collect();
    let scenario = Scenario::parse(&source, &Selection { profile: None, sets }).unwrap();
    let plan = Plan::new(scenario, &PlanOptions { seed: None, fallback_seed: 1, rehearsal: None });
    let of = plan.undecidable().iter().filter(|found| found.criterion == "delivery");
    let notes: Vec<String> = of.map(|found| found.note.clone()).collect();
    assert!(notes.iter().all(|note| plan.notes().contains(note)), "{notes:?}");
    (notes, plan.is_undecidable())
}

#[test]
fn what_no_run_of_the_plan_can_decide_is_known_before_it() {
    let kill =
        |at: &str| format!("[[fault]]\nname = \"kill\"\nkind = \"kill\"\nrole = \"worker\"\nat = \"{at}\"");
    let hog = "[[fault]]\nname = \"hog\"\nkind = \"cpu-hogs\"\nhogs = 1\nat = \"1s\"\nfor = \"1s\"";
    let few = ["load.every=500ms", "load.duration=2s", "sampling.every=1s", "!load.warm_up"];
    let ten = ["load.every=1s", "load.duration=10s", "!load.warm_up"];
    for (pass, sets, more, words) in [
        ("coordination.time drift < 20%", &few[..], "", "asks for a trend of 4 rounds and needs at least 8"),
        ("memory.rss growth < 10%", &few, "", "asks for a trend of 2 sweeps and needs at least 8"),
        (
            "coordination.time p95 < 1s every 1s",
            &ten,
            "",
            "asks for p95 of 1 rounds a window and needs at least 59",
        ),
        ("task.time p99.9 < 1s", &few, "", "asks for p99.9 of"),
        ("delivery.rate >= 99.9%", &few, "", "asks for 99.9% of"),
        ("death.detection max < 1s", &ten, "", "has no fault that ends a process"),
        ("death.detection max < 1s", &ten, hog, "has no fault that ends a process"),
        (
            "recovery.time max < 1s",
            &ten,
            &kill("80%"),
            "asks for the recovery from `kill`, which ends 8s after",
        ),
        ("fault.loss == 0", &ten, &kill("60%"), "that needs 5s of load after it"),
        ("delivery.rate >= 100% after kill", &ten, &kill("60%"), "which needs a recovery from `kill`"),
        ("delivery.rate >= 100% outside faults", &ten, &kill("60%"), "that needs 5s of load after it"),
    ] {
        let (notes, _) = open(pass, sets, more);
        assert!(notes.len() == 1 && notes[0].contains(words), "{pass}: {notes:?}");
    }
    for (pass, more) in [
        ("recovery.time max < 1s", kill("40%")),
        ("delivery.rate >= 100% after kill", kill("40%")),
        ("delivery.rate >= 100% before kill", kill("80%")),
        ("death.detection max < 1s", kill("80%")),
        ("delivery.rate >= 90%", String::new()),
        ("delivery.rate >= 100%", String::new()),
        ("coordination.time drift < 20%", String::new()),
    ] {
        assert_eq!(open(pass, &ten, &more).0, [] as [String; 0], "{pass}");
    }
}

#[test]
fn an_abort_that_can_end_no_run_is_noted() {
    let without_effect = |pass: &str, sets: &[&str]| {
        let pass = format!("criterion.delivery.pass={pass}");
        let sets = sets.iter().copied().chain([&*pass, "criterion.delivery.abort=true"]);
        let sets = sets.map(str::to_owned).collect();
        let scenario = Scenario::parse(&source("smoke"), &Selection { profile: None, sets }).unwrap();
        let plan = Plan::new(scenario, &PlanOptions { seed: None, fallback_seed: 1, rehearsal: None });
        let noted =
            plan.notes().iter().filter(|note| note.contains("it will not end the run before its time"));
        noted.count() == 1
    };
    let closed = ["load.model=closed"];
    for pass in ["delivery.rate >= 100%", "coordination.time p95 < 1s"] {
        assert!(!without_effect(pass, &[]), "{pass}");
        assert!(without_effect(pass, &closed), "{pass}: nothing says how many rounds are to come");
    }
    for pass in ["incidents == 0", "silence < 2s", "coordination.time max < 1s", "memory.rss max < 1GiB"] {
        assert!(!without_effect(pass, &closed), "{pass}");
    }
    for pass in
        ["balance < 20%", "coordination.time mean < 1s", "memory.rss mean < 1GiB", "task.time p95 < 1s"]
    {
        assert!(without_effect(pass, &[]), "{pass}");
    }
}

#[test]
fn a_conditional_that_few_tasks_can_show_leaves_a_criterion_decidable() {
    let few = ["load.every=500ms", "load.duration=2s", "!load.warm_up", "sampling.every=1s"];
    let with = |conditional: &str| {
        let set = format!("criterion.delivery.conditional={conditional}");
        open("delivery.rate >= 99.9%", &[&few[..], &[&*set]].concat(), "").0
    };
    assert_eq!(with("delivery.rate >= 50%"), [] as [String; 0]);
    assert_eq!(with("delivery.rate >= 99.8%").len(), 1);
}

/// The plan knows no host: a machine's own bounds are notes.
#[test]
fn what_a_host_alone_decides_is_said_of_that_host() {
    let settled = |pass: &str, processors| {
        let sets = vec![format!("criterion.delivery.pass={pass}")];
        let scenario = Scenario::parse(&source("smoke"), &Selection { profile: None, sets }).unwrap();
        let plan = Plan::new(scenario, &PlanOptions { seed: None, fallback_seed: 1, rehearsal: None });
        plan.settled_by(&HostLimits {
            processors,
            memory_bytes: 8 << 30,
            threads: Some(1 << 15),
            descriptors: Some(1 << 20),
            address_bytes: Some(1 << 47),
        })
    };
    let [note] = settled("cpu max < 3 cores", 2).try_into().unwrap();
    assert!(note.contains("holds of every run: this host has 2 processors"), "{note}");
    assert_eq!(settled("cpu max < 3 cores", 4), [] as [String; 0]);
    assert_eq!(settled("memory.pss max < 9GiB", 4).len(), 1);
    assert_eq!(settled("memory.pss max < 7GiB", 4), [] as [String; 0]);
    for pass in [
        "fds max < 20000000",
        "threads max < 40000",
        "memory.vsz max < 100000TiB",
        "shm.used max < 100GiB",
        "harness.cpu mean < 100000%",
        "harness.rss max < 1000GiB",
        "switches.voluntary max < 1000000000/s",
        "host.load max < 100000",
        "memory.rss max < 1TiB",
    ] {
        let [note] = settled(pass, 4).try_into().expect(pass);
        assert!(note.contains("holds of every run: ") && note.contains("this host"), "{pass}: {note}");
    }
}

#[test]
fn a_criterion_remembers_its_line() {
    let source = source("smoke");
    let plan = plan(&source, None, None);
    for spec in plan.criteria() {
        let (file, line) = spec.source.rsplit_once(':').unwrap();
        assert_eq!(file, "scenarios/smoke.toml");
        let line = source.text.lines().nth(line.parse::<usize>().unwrap() - 1).unwrap();
        assert!(line.contains(&spec.pass), "{spec:?}: {line}");
    }
}

#[test]
fn every_key_of_every_scenario_is_in_the_schema() {
    let schema: Value = serde_json::from_str(&schema_json()).unwrap();
    let examples = std::fs::read_dir(directory().join("examples")).unwrap().map(|entry| {
        let path = entry.unwrap().path();
        Source::new(path.display().to_string(), std::fs::read_to_string(path).unwrap())
    });
    let axes = "[matrix]\nworkers = [4, 8]\nload.every = [\"1s\"]\n[fleet]\n";
    let with_matrix = Source::new("matrix", source("smoke").text.replacen("[fleet]\n", axes, 1));
    for source in sources().into_iter().chain(examples).chain([with_matrix]) {
        let table: toml::Table = source.text.parse().unwrap();
        let instance = serde_json::to_value(table).unwrap();
        let mut strangers = Vec::new();
        compare(&schema, &schema, &instance, "", &mut strangers);
        assert_eq!(strangers, [] as [String; 0], "{}", source.name);
    }
}

/// Walks instance and schema side by side; what the schema has no place for is a stranger, and what it
/// requires and the instance lacks is one too.
fn compare(root: &Value, schema: &Value, instance: &Value, path: &str, strangers: &mut Vec<String>) {
    let mut schema = schema;
    loop {
        let target = schema.get("$ref").or_else(|| schema.pointer("/allOf/0/$ref")).and_then(Value::as_str);
        schema = if let Some(target) = target {
            root.pointer(target.trim_start_matches('#')).unwrap()
        } else if let Some(forms) = schema.get("anyOf").and_then(Value::as_array) {
            // A table that may stand alone, or several of it.
            let is_array = |form: &&Value| form.get("type").is_some_and(|kind| kind == "array");
            forms.iter().find(|form| is_array(form) == instance.is_array()).unwrap()
        } else {
            break;
        };
    }
    match instance {
        Value::Object(object) => {
            for key in schema.get("required").and_then(Value::as_array).into_iter().flatten() {
                if !object.contains_key(key.as_str().unwrap()) {
                    strangers.push(format!("{path}: lacks {key}"));
                }
            }
            for (key, value) in object {
                let place = schema
                    .pointer(&format!("/properties/{key}"))
                    .or_else(|| schema.get("additionalProperties").filter(|more| more.is_object()));
                match place {
                    Some(place) => compare(root, place, value, &format!("{path}.{key}"), strangers),
                    None => strangers.push(format!("{path}.{key}")),
                }
            }
        }
        Value::Array(items) => {
            let place = schema.get("items").unwrap_or(&Value::Null);
            for (index, item) in items.iter().enumerate() {
                compare(root, place, item, &format!("{path}[{index}]"), strangers);
            }
        }
        leaf => {
            let kinds = match schema.get("type") {
                None => vec!["string"],
                Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).collect(),
                Some(kind) => kind.as_str().into_iter().collect(),
            };
            let is_of = |kind| kinds.contains(&kind);
            let fits = match leaf {
                Value::String(_) => is_of("string"),
                Value::Number(number) => is_of("number") || (is_of("integer") && !number.is_f64()),
                Value::Bool(_) => is_of("boolean"),
                _ => false,
            };
            if !fits {
                strangers.push(format!("{path} is not {kinds:?}"));
            }
        }
    }
}

#[test]
fn memory_that_faults_hold_is_summed_as_far_as_they_overlap() {
    let held = |mib: u32, at: &str, lasts: &str| {
        format!(
            "[[fault]]\nname = \"m{mib}\"\nkind = \"memory\"\nmemory = \"{mib}MiB\"\nat = \"{at}\"\nfor = \"{lasts}\"\n"
        )
    };
    let most = |faults: &[String]| {
        let mut source = Source::new("smoke.toml", include_str!("../../../scenarios/smoke.toml").to_owned());
        source.text = source.text.replacen("[[criterion]]", &format!("{}[[criterion]]", faults.concat()), 1);
        source.text = source.text.replacen("duration = \"6s\"", "duration = \"60s\"", 1);
        let scenario = Scenario::parse(&source, &Selection::default()).unwrap();
        let plan = Plan::new(scenario, &PlanOptions { seed: None, fallback_seed: 1, rehearsal: None });
        harness::host::Need::of(&plan).held_bytes >> 20
    };
    let (long, early, late) = (held(100, "5s", "20s"), held(30, "1s", "5s"), held(7, "24s", "5s"));
    assert_eq!(most(&[early.clone(), late.clone()]), 30, "one after the other");
    assert_eq!(most(&[late.clone(), long.clone(), early.clone()]), 130);
    // What ends as another begins may not be gone yet.
    assert_eq!(most(&[held(1, "1s", "5s"), held(2, "6s", "5s"), held(4, "12s", "1s")]), 4);
    assert_eq!(most(&[held(1, "1s", "5s"), held(2, "6s", "5s"), held(4, "11s", "1s")]), 6);
    let again = held(50, "10s", "3s") + "every = \"10s\"\ntimes = 4\n";
    assert_eq!(most(&[long, late, again]), 150);
}
