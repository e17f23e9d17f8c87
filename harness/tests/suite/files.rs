//! One file for several scenarios: `[matrix]`, and `extends`.

use harness::scenario::{Base, Plan, PlanOptions, Scenario, Selection, Source};

const FILE: &str = r#"schema = 1
name = "load"
asks = "Do {workers} workers answer every task?"

[matrix]
workers = [4, 8]
load.every = ["50ms", "100ms"]

[fleet]
topology = "flat"
coordinators = 1
workers = 2

[workload]
kind = "echo"
payload = "256B"

[load]
model = "open"
every = "20ms"
duration = "6s"

[sampling]
every = "500ms"

[[criterion]]
name = "all-there"
pass = "agents.live min >= {workers}"

[[criterion]]
name = "delivery"
pass = "delivery.rate >= 100%"

[profile.ci]
load.duration = "3s"
"#;

fn read(text: &str, sets: &[&str]) -> Result<Vec<Plan>, String> {
    plans(&Source::new("load.toml", text), sets)
}

fn plans(source: &Source, sets: &[&str]) -> Result<Vec<Plan>, String> {
    let selection = Selection { profile: None, sets: sets.iter().map(|&set| set.to_owned()).collect() };
    let options = PlanOptions { seed: None, fallback_seed: 1, rehearsal: None };
    Scenario::parse_all(source, &selection)
        .map(|all| all.into_iter().map(|scenario| Plan::new(scenario, &options)).collect())
        .map_err(|found| found.to_string())
}

#[test]
fn a_matrix_makes_a_scenario_of_each_combination() {
    let plans = read(FILE, &[]).unwrap();
    let seen: Vec<(String, u32, Option<u128>)> = plans
        .iter()
        .map(|plan| {
            let every = plan.load().every().map(|every| every.as_millis());
            (plan.name().to_owned(), plan.shape().workers_per_coordinator(), every)
        })
        .collect();
    let wanted =
        [("load-50ms-4", 4, 50), ("load-50ms-8", 8, 50), ("load-100ms-4", 4, 100), ("load-100ms-8", 8, 100)];
    assert_eq!(seen, wanted.map(|(name, workers, every)| (name.to_owned(), workers, Some(every))));
    assert_eq!(plans[1].asks(), "Do 8 workers answer every task?");
    assert_eq!(plans[1].criteria()[0].pass, "agents.live min >= 8");
    assert_eq!(plans[3].scenario_facts().matrix, ["load.every=100ms", "fleet.workers=8"]);
    // The file's own bytes are what was asked, whichever combination is run.
    assert_eq!(plans[0].scenario_facts().sha256, plans[3].scenario_facts().sha256);
}

#[test]
fn the_example_of_a_matrix_names_one_of_its_scenarios() {
    let read = |name: &str| {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../scenarios/examples");
        std::fs::read_to_string(format!("{directory}/{name}.toml")).unwrap()
    };
    let bases = vec![Base { name: "base.toml".into(), text: read("base") }];
    let source = Source { bases, ..Source::new("matrix.toml", read("matrix")) };
    let named = source.text.split("--filter ").nth(1).unwrap().split('`').next().unwrap().to_owned();
    let names: Vec<String> = plans(&source, &[]).unwrap().iter().map(|plan| plan.name().to_owned()).collect();
    assert!(names.contains(&named), "{named} in {names:?}");
}

/// A run of three workers is not called one of eight.
#[test]
fn an_override_of_a_key_of_the_matrix_names_what_is_run() {
    let plans = read(FILE, &["fleet.workers=3"]).unwrap();
    let seen: Vec<_> =
        plans.iter().map(|plan| (plan.name(), plan.shape().workers_per_coordinator())).collect();
    assert_eq!(seen, [("load-50ms-3", 3), ("load-100ms-3", 3)]);
    assert_eq!(plans[0].criteria()[0].pass, "agents.live min >= 3");
    assert_eq!(plans[0].asks(), "Do 3 workers answer every task?");
    assert_eq!(plans[0].scenario_facts().matrix, ["load.every=50ms", "fleet.workers=3"]);
    assert_eq!(plans[0].scenario_facts().overrides, ["fleet.workers=3"]);
}

#[test]
fn a_name_in_braces_that_stands_for_nothing_is_a_mistake() {
    for (from, to, said) in [
        ("Do {workers} workers", "Do {wrokers} workers", "did you mean `{workers}`?"),
        ("Do {workers} workers", "Do {nope} workers", "the names of the matrix are load.every, workers"),
        (">= {workers}", ">= {worker}", "`{worker}` stands for nothing: [matrix] has no `worker`"),
    ] {
        assert!(FILE.contains(from));
        let found = read(&FILE.replacen(from, to, 1), &[]).expect_err(to);
        assert!(found.contains(said), "{to}: {found}");
    }
    let exec = |command: &str| {
        let kind = FILE.find("kind = \"").unwrap();
        let end = FILE.find("[load]").unwrap();
        format!(
            "{}kind = \"exec\"\ncommand = [\"sh\", \"-c\", \"{command}\"]\n{}",
            &FILE[..kind],
            &FILE[end..]
        )
    };
    // Shells and other programs have braces of their own.
    for command in ["echo ${HOME} {} {workers}", "awk '{print}'", "echo {a,b} {other}"] {
        assert!(read(&exec(command), &[]).is_ok(), "{command}");
    }
    assert!(read(&exec("echo {wrokers}"), &[]).expect_err("a typo").contains("did you mean `{workers}`?"));
    let plain = FILE.replacen("[matrix]\nworkers = [4, 8]\nload.every = [\"50ms\", \"100ms\"]\n", "", 1);
    let found = read(&plain, &[]).expect_err("no matrix");
    assert!(found.contains("add `workers = […]` under [matrix]"), "{found}");
}

#[test]
fn a_matrix_that_cannot_be_is_refused() {
    let with = |axes: &str| {
        let refused =
            read(&FILE.replacen("workers = [4, 8]\nload.every = [\"50ms\", \"100ms\"]", axes, 1), &[]);
        refused.expect_err("it was taken")
    };
    for (axes, said) in [
        ("every = [\"1s\"]", "could be a key of load or sampling"),
        ("wrokers = [1]", "no table has a key `wrokers`"),
        ("wrokers = [1]", "hint: did you mean `workers`?"),
        ("zzz = [1]", "hint: write a key of a table: `workers = [100, 300]`"),
        ("workers = 4", "must be an array of values"),
        ("workers = []", "has no value"),
        ("workers = [[1]]", "not a single value"),
        ("workers = [4, 4]", "`matrix.workers` has one value twice: 4 here, and 4 at load.toml:"),
        ("workers = [4, 0x4]", "`matrix.workers` has one value twice"),
        (
            "fault.x.cpus = [1, 1.0]",
            "`matrix.fault.x.cpus` has one value twice: 1.0 here, and 1 at load.toml:",
        ),
        (
            "load.every = [\"1s\", \"2s\", \"1000ms\"]",
            "has one value twice: \"1000ms\" here, and \"1s\" at load.toml:",
        ),
        ("workload.payload = [\"1KiB\", \"1024B\"]", "`matrix.workload.payload` has one value twice"),
        (
            "criterion.delivery.pass = [\"delivery.rate>=95%\", \"delivery.rate >= 95.0%\"]",
            "`matrix.criterion.delivery.pass` has one value twice",
        ),
        ("load.every = [\"1s/\", \"1s-\"]", "two scenarios whose names end in `-1s-`"),
        ("workers = [0]", "`fleet.workers` must be from 1"),
        ("", "[matrix] has no axis"),
    ] {
        let found = with(axes);
        assert!(found.contains(said), "{axes}: {found}");
        assert!(found.contains("at load.toml:"), "{axes}: {found}");
    }
    let many: Vec<String> = (1..=101).map(|n| n.to_string()).collect();
    assert!(with(&format!("workers = [{}]", many.join(", "))).contains("makes 101 scenarios"));
}

/// What a run is called by is what it was.
#[test]
fn a_value_of_the_matrix_reaches_a_key_that_the_scenario_reads() {
    for (axis, said) in [
        ("fleet.workers.of = [708]", "`fleet.workers` must be an integer, not a table"),
        ("load.duration.is = [\"1s\"]", "`load.duration` must be a duration, not a table"),
        ("fleet.topology.a.b.c = [1]", "`fleet.topology` must be"),
        ("criterion.delivery.pass.x = [1]", "`criterion.delivery.pass` must be a string, not a table"),
        ("fleet.wrokers = [4]", "`wrokers` is not a key of [fleet]"),
        ("nope.x = [4]", "`nope` is not a key of this file"),
        ("schema.x = [1]", "`matrix.schema.x`: a matrix cannot change `schema`"),
        ("name.x = [1]", "`matrix.name.x`: a matrix cannot change `name`"),
        ("name = [\"a\", \"b\"]", "`matrix.name`: a matrix cannot change `name`"),
        ("extends.x = [1]", "a matrix cannot change `extends`"),
        ("matrix.workers = [1]", "a matrix cannot change `matrix`"),
        ("unset.x = [1]", "`unset` is not a key of this file"),
        ("profile.ci.load.duration = [\"zzz\"]", "a matrix cannot change `profile`"),
        ("profile.ci.fleet.workers = [3]", "a matrix cannot change `profile`"),
    ] {
        let text = FILE
            .replacen("workers = [4, 8]\nload.every = [\"50ms\", \"100ms\"]", axis, 1)
            .replace("{workers}", "2");
        let found = read(&text, &[]).expect_err(axis);
        assert!(found.contains(said), "{axis}: {found}");
    }
    // A table that is one value may have a key of its own in the matrix.
    let exec = FILE
        .replacen("load.every = [\"50ms\", \"100ms\"]", "workload.env.SIZE = [\"1\", \"2\"]", 1)
        .replacen("kind = \"echo\"\npayload = \"256B\"", "kind = \"exec\"\ncommand = [\"true\"]", 1);
    assert_eq!(read(&exec, &[]).unwrap().len(), 4);
    // What a program reads may differ by how it is written.
    let written = exec.replacen("[\"1\", \"2\"]", "[\"1s\", \"1000ms\"]", 1);
    assert_eq!(read(&written, &[]).unwrap().len(), 4);
}

#[test]
fn a_value_of_the_matrix_that_is_taken_out_again_is_a_mistake() {
    const LARGE: &str = "\n[profile.large]\nunset = [\"load.every\"]\nload.model = \"closed\"\n";
    let profile = FILE.to_owned() + LARGE;
    let selection = Selection { profile: Some("large".into()), sets: Vec::new() };
    let found = Scenario::parse_all(&Source::new("load.toml", profile), &selection).unwrap_err().to_string();
    assert!(
        found.contains("`matrix.load.every` is \"50ms\", and the profile or `--set` takes that out"),
        "{found}"
    );
    // Also if another profile is chosen, or none.
    let others = read(&(FILE.to_owned() + LARGE), &[]).unwrap_err();
    assert!(others.contains("takes that out") && others.contains("--profile large"), "{others}");
    let found = read(FILE, &["!load.every", "load.model=closed"]).unwrap_err();
    assert!(found.contains("`--set` takes that out of the scenario"), "{found}");
    // A table that holds another value is that value.
    let plans = read(FILE, &["load={every=\"70ms\"}"]).unwrap();
    let names: Vec<&str> = plans.iter().map(Plan::name).collect();
    assert_eq!(names, ["load-70ms-4", "load-70ms-8"]);
}

/// Each is checked with each combination, whichever is chosen.
#[test]
fn profiles_have_a_bound_with_the_matrix_and_without() {
    let one = |n: u32| format!("[profile.p{n}]\nseed = {n}\n");
    let profiles = |count: u32| (0..count).map(one).collect::<Vec<_>>().concat();
    let found = read(&(FILE.to_owned() + &profiles(250)), &[]).unwrap_err();
    assert!(found.contains("251 profiles and a matrix of 4 make too many scenarios"), "{found}");
    let plain = FILE
        .replacen("[matrix]\nworkers = [4, 8]\nload.every = [\"50ms\", \"100ms\"]\n", "", 1)
        .replace("{workers}", "2");
    let found = read(&(plain.clone() + &profiles(20_000)), &[]).unwrap_err();
    assert!(found.contains("20001 profiles make too many scenarios"), "{found}");
    assert!(found.contains("a file may make 1000"), "{found}");
    assert_eq!(read(&(plain + &profiles(20)), &[]).unwrap().len(), 1);
}

fn extending(text: &str) -> Source {
    let base = FILE
        .replacen("[matrix]\nworkers = [4, 8]\nload.every = [\"50ms\", \"100ms\"]\n", "", 1)
        .replace("{workers}", "2");
    let bases = vec![Base { name: "base.toml".into(), text: base }];
    Source { bases, ..Source::new("child.toml", text) }
}

#[test]
fn a_base_that_is_not_named_is_the_one_mistake_of_a_file() {
    let source = Source::new("child.toml", "extends = [\"base.toml\"]\nname = \"child\"\n".to_owned());
    let mistakes = Scenario::parse(&source, &Selection::default()).unwrap_err().to_string();
    assert!(mistakes.contains("`extends`") && mistakes.matches("is missing").count() == 0, "{mistakes}");
}

#[test]
fn a_file_that_extends_another_cannot_name_no_entry() {
    let found =
        plans(&extending("extends = \"base.toml\"\nname = \"child\"\ncriterion = []\n"), &[]).unwrap_err();
    assert!(found.contains("an array without an entry changes nothing"), "{found}");
}

#[test]
fn a_file_that_extends_another_has_its_keys_where_it_has_none() {
    let text = "extends = \"base.toml\"\nname = \"child\"\nunset = [\"criterion.all-there\"]\n[fleet]\nworkers = 5\n\
                [[criterion]]\nname = \"delivery\"\npass = \"delivery.rate >= 95%\"\n[[criterion]]\nname = \"quiet\"\npass = \"incidents == 0\"\n";
    let source = extending(text);
    let plan = plans(&source, &[]).unwrap().swap_remove(0);
    assert_eq!((plan.name(), plan.shape().workers_per_coordinator()), ("child", 5));
    assert_eq!(plan.load().duration().as_secs(), 6);
    let asked: Vec<(&str, &str, &str)> =
        plan.criteria().iter().map(|spec| (&*spec.name, &*spec.pass, &*spec.source)).collect();
    assert_eq!(
        asked,
        [("delivery", "delivery.rate >= 95%", "child.toml:8"), ("quiet", "incidents == 0", "child.toml:11")]
    );
    assert_eq!(plan.scenario_facts().extends, ["base.toml"]);
    let mut other = extending(text);
    other.bases[0].text.push_str("# a comment\n");
    let changed = plans(&other, &[]).unwrap().swap_remove(0);
    assert_ne!(
        plan.scenario_facts().sha256,
        changed.scenario_facts().sha256,
        "the base is part of what was asked"
    );
}

#[test]
fn a_mistake_in_the_base_points_into_the_base() {
    let mut source = extending("extends = \"base.toml\"\nname = \"child\"\n");
    source.bases[0].text = source.bases[0].text.replacen("duration = \"6s\"", "duration = \"6\"", 1);
    let found = plans(&source, &[]).unwrap_err();
    assert!(found.contains("has no unit") && found.contains("at base.toml:18:12"), "{found}");
    let unnamed = plans(&extending("extends = \"base.toml\"\n"), &[]).unwrap_err();
    assert!(unnamed.contains("has a name of its own"), "{unnamed}");
}

#[test]
fn another_file_stands_in_extends_however_it_is_written() {
    for text in [
        "extends = \"a.toml\"\nname = \"a.toml\"\n",
        "extends = 'a.toml'\nname = \"a.toml\"\n",
        "name = \"a.toml\"\n\"extends\"   =   \"\"\"a.toml\"\"\" # \"a.toml\"\n",
        "# extends = \"a.toml\"\n'extends' = \"\\u0061.toml\"\nname = \"a.toml\"\n",
    ] {
        assert_eq!(Source::extends(text).as_deref(), Some("a.toml"), "{text}");
        let other = Source::extending(text, "/b \"c\"/d.toml");
        assert_eq!(Source::extends(&other).as_deref(), Some("/b \"c\"/d.toml"), "{other}");
        let name = |text: &str| text.parse::<toml::Table>().unwrap()["name"].clone();
        assert_eq!(name(&other), name(text));
    }
    assert_eq!(Source::extending("name = \"a\"\n", "b.toml"), "name = \"a\"\n");
}
