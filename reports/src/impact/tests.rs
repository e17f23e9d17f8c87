use super::*;
use crate::compare::Terms;
use crate::runlog::event::{LoadModel, Topology};
use std::collections::BTreeMap;

fn two() -> Design {
    let factors = ["pooling=fleet.recycle_after:default,1", "batching=fleet.batch_max:default,1"];
    Design::new(factors.map(|text| Factor::parse(text).unwrap()).to_vec()).unwrap()
}

fn terms(overrides: Vec<String>) -> Terms {
    Terms {
        scenario: "smoke".into(),
        sha256: "1a2b".into(),
        profile: None,
        overrides,
        rehearsal: None,
        topology: Topology::Flat,
        coordinators: 1,
        workers_per_coordinator: 8,
        workload: "echo".into(),
        load: LoadModel::Closed,
        round_every_ns: 0,
        duration_ns: 1_000_000_000,
        machine: "m1".into(),
        fingerprint: "f1".into(),
        cpu_model: "a processor".into(),
        cpus: 2,
        build_profile: "release".into(),
    }
}

/// Of a fleet whose tasks take half as long with pooling, and whose launch nothing changes.
fn run(design: &Design, block: u32, cell: Cell) -> ImpactRun {
    let noise = 1.0 + f64::from((block * 7 + cell * 5) % 11) * 0.004;
    let pooling = if cell & 1 == 1 { 0.5 } else { 1.0 };
    let figures = [
        ("task.time p50", 2e-3 * pooling * noise),
        ("launch.time", 0.1 * noise),
        ("processes.started", if cell & 1 == 1 { 10.0 } else { 90.0 }),
    ];
    ImpactRun {
        name: format!("run-{block}-{cell}"),
        block,
        cell,
        run_id: format!("{block}-{cell}"),
        commit: "c0ffee".into(),
        verdict: Verdict::Pass,
        terms: terms(design.sets(cell)),
        figures: figures.into_iter().map(|(name, value)| (name, (value, 0.0))).collect::<BTreeMap<_, _>>(),
    }
}

fn all(design: &Design, blocks: u32) -> Vec<ImpactRun> {
    (1..=blocks)
        .flat_map(|block| design.cells().map(move |cell| (block, cell)))
        .map(|(b, c)| run(design, b, c))
        .collect()
}

fn asked() -> ImpactAsked {
    ImpactAsked { figures: Vec::new(), limit: 0.05 }
}

fn answer<'a>(found: &'a Impact, figure: &str, effect: &str) -> &'a FactorAnswer {
    let figure = found.figures.iter().find(|f| f.name == figure).unwrap();
    figure.effects.iter().find(|e| e.name == effect).unwrap()
}

#[test]
fn an_effect_that_is_there_is_shown_and_one_that_is_not_is_none_or_undecided() {
    let design = two();
    let found = Impact::of(&design, &all(&design, 3), Vec::new(), &asked()).unwrap();
    let pooling = answer(&found, "task.time p50", "pooling");
    assert_eq!(pooling.word, Word::Better);
    assert!(pooling.low < -0.5 + 0.01 && pooling.high > -0.5 - 0.01, "{pooling:?}");
    for (figure, effect) in
        [("task.time p50", "batching"), ("task.time p50", "pooling × batching"), ("launch.time", "pooling")]
    {
        assert_eq!(answer(&found, figure, effect).word, Word::None, "{figure}, {effect}");
    }
    // Without noise, what there is is certain, and what there is not is none.
    let started = answer(&found, "processes.started", "pooling");
    assert!(
        (started.change - (10.0 / 90.0 - 1.0)).abs() < 1e-6 && started.word == Word::Better,
        "{started:?}"
    );
    assert_eq!(answer(&found, "processes.started", "batching").word, Word::None);
    assert_eq!((found.exit.code, found.blocks), (0, 3));
    assert!(
        found.shown.iter().any(|line| line.starts_with("pooling: task.time p50 −50")),
        "{:?}",
        found.shown
    );
    let small =
        Impact::of(&design, &all(&design, 3), Vec::new(), &ImpactAsked { limit: 1e-4, ..asked() }).unwrap();
    let undecided = answer(&small, "launch.time", "pooling");
    assert_eq!(undecided.word, Word::Undecided);
    assert!(undecided.detectable > 1e-4, "{undecided:?}");
}

#[test]
fn fewer_questions_are_answered_more_surely() {
    let design = two();
    let runs = all(&design, 3);
    let every = Impact::of(&design, &runs, Vec::new(), &asked()).unwrap();
    let only = ImpactAsked { figures: vec!["launch.time".into()], ..asked() };
    let one = Impact::of(&design, &runs, Vec::new(), &only).unwrap();
    assert_eq!(one.figures.len(), 1);
    let chance = |found: &Impact| answer(found, "launch.time", "pooling").chance;
    assert!(chance(&one) < chance(&every), "{} {}", chance(&one), chance(&every));
}

#[test]
fn a_missing_run_is_named_and_a_missing_cell_leaves_everything_open() {
    let design = two();
    let missing =
        || vec![Missing { run: "pooling on, batching on, block 2".into(), why: "it was lost".into() }];
    let mut runs = all(&design, 3);
    runs.retain(|run| (run.block, run.cell) != (2, 3));
    let found = Impact::of(&design, &runs, missing(), &asked()).unwrap();
    assert_eq!((found.exit.code, found.missing.len(), found.cells[3].runs), (0, 1, 2));
    assert_eq!(answer(&found, "task.time p50", "pooling").word, Word::Better);
    runs.retain(|run| run.cell != 3);
    let found = Impact::of(&design, &runs, missing(), &asked()).unwrap();
    assert_eq!(found.exit.code, 12);
    for text in [
        crate::render::impact::text(&found),
        crate::render::impact::markdown(&found),
        crate::render::impact::html(&found),
    ] {
        for words in ["INCONCLUSIVE", "it was lost", "no run with pooling on, batching on has this figure"] {
            assert!(text.contains(words), "{words}: {text}");
        }
    }
    let error = Impact::of(&design, &[], missing(), &asked()).unwrap_err();
    assert!(error.is_missing_runs() && error.to_string().contains("it was lost"), "{error}");
    assert!(!Impact::of(&design, &[], Vec::new(), &asked()).unwrap_err().is_missing_runs());
}

#[test]
fn runs_that_differ_in_more_than_the_factors_are_refused() {
    let design = two();
    let bent = |bend: fn(&mut ImpactRun)| {
        let mut runs = all(&design, 2);
        bend(&mut runs[5]);
        Impact::of(&design, &runs, Vec::new(), &asked()).map(|_| ()).map_err(|error| error.to_string())
    };
    assert_eq!(bent(|_| ()), Ok(()));
    for (bend, words) in [
        ((|run| run.terms.sha256 = "9".into()) as fn(&mut ImpactRun), "the scenario file"),
        (|run| run.terms.machine = "m2".into(), "the machine"),
        (|run| run.terms.overrides.push("load.duration=9s".into()), "what --set changed"),
        (|run| run.commit = "decaf".into(), "the commit of the build"),
        (|run| run.terms.rehearsal = Some(10.0), "is a rehearsal"),
        (|run| run.run_id = "1-0".into(), "more than once"),
    ] {
        let error = bent(bend).unwrap_err();
        assert!(error.contains(words), "{error}");
    }
    // What follows from a factor is not a difference.
    assert_eq!(bent(|run| run.terms.coordinators = 2), Ok(()));
    // Blocks have seeds of their own, and a scenario that names one has it laid over.
    assert_eq!(bent(|run| run.terms.overrides.push("seed=7".into())), Ok(()));
}

#[test]
fn a_factor_says_what_is_wrong_with_it() {
    for (text, words) in [
        ("fleet.batch_max", "has no name"),
        ("Batching=fleet.batch_max:2,1", "lower-case"),
        ("=fleet.batch_max:2,1", "lower-case"),
        ("batching=fleet.batch_max", "names no key"),
        ("batching=:2,1", "names no key"),
        ("batching=fleet.batch_max:1", "two values"),
        ("batching=fleet.batch_max:1,2,3", "two values"),
        ("batching=fleet.batch_max:1,1", "must differ"),
        ("batching=fleet.batch_max:1,", "must differ"),
    ] {
        let error = Factor::parse(text).unwrap_err();
        assert!(error.contains(words) && error.contains("name=key:on,off"), "{text}: {error}");
    }
    let text = "batching=fleet.batch_max:default,1";
    assert_eq!(Factor::parse(text).unwrap().to_string(), text);
    let factor = |name: &str, key: &str| Factor::parse(&format!("{name}={key}:2,1")).unwrap();
    let twice = Design::new(vec![factor("a", "fleet.x"), factor("a", "fleet.y")]).unwrap_err();
    assert!(twice.to_string().contains("the name `a`"), "{twice}");
    let twice = Design::new(vec![factor("a", "fleet.x"), factor("b", "fleet.x")]).unwrap_err();
    assert!(twice.to_string().contains("the key `fleet.x`"), "{twice}");
    let many = (0..6).map(|at| factor(&format!("f{at}"), &format!("fleet.k{at}"))).collect();
    assert!(Design::new(many).unwrap_err().to_string().contains("6 factors are too many"));
}

#[test]
fn a_run_belongs_to_the_cell_that_its_overrides_say() {
    let design = two();
    for cell in design.cells() {
        assert_eq!(design.cell_of(&design.sets(cell)), Ok(cell));
    }
    let set = |sets: &[&str]| design.cell_of(&sets.iter().map(|set| (*set).to_owned()).collect::<Vec<_>>());
    assert_eq!(set(&["fleet.batch_max=1", "load.duration=1s", "!fleet.batch_max"]), Ok(3));
    assert!(set(&["fleet.batch_max=4"]).unwrap_err().contains("`fleet.batch_max` is 4 in it"));
    assert_eq!(design.name_of(2), "pooling off, batching on");
    assert_eq!(design.directory_of(2), "pooling-off_batching-on");
}

#[test]
fn documents_show_effects_intervals_and_how_factors_depend_on_each_other() {
    let design = two();
    let found = Impact::of(&design, &all(&design, 3), Vec::new(), &asked()).unwrap();
    let html = crate::render::impact::html(&found);
    assert_eq!(
        html.matches("pooling by batching").count(),
        3,
        "a drawing for each figure with runs in all cells"
    );
    assert!(
        !html.contains("<script")
            && html.matches("http").count() == html.matches("http://www.w3.org/2000/svg").count()
    );
    insta::assert_snapshot!(crate::render::impact::markdown(&found));
    let json: Impact = serde_json::from_str(&crate::render::impact::json(&found)).unwrap();
    assert_eq!(json.figures.len(), found.figures.len());
}

#[test]
fn the_list_of_runs_is_read_back_and_held_to_what_was_asked_for() {
    let design = two();
    let ordered = Ordered::new(
        "smoke.toml".as_ref(),
        ("1a2b", "c0ffee"),
        (None, vec!["load.duration=1s".into()]),
        (7, 2),
        &design,
    );
    assert_eq!(Ordered::parse(&ordered.text()), Ok((ordered.clone(), design)));
    // Documents draw these as they are.
    let marked = ordered.text().replace("\"pooling\"", "\"<b>\"");
    assert!(Ordered::parse(&marked).unwrap_err().contains("is not a factor"));
    let same = ordered.text().replace("\"off\": \"1\"", "\"off\": \"default\"");
    assert!(Ordered::parse(&same).unwrap_err().contains("is not a factor"));
    let newer = ordered.text().replace("\"format\": 1", "\"format\": 9");
    assert!(Ordered::parse(&newer).unwrap_err().contains("format 9"));
    let over = |block: u32, cell: Cell| Over {
        block,
        cell,
        levels: String::new(),
        run: None,
        said: "exit status: 20".into(),
    };
    let some = vec![over(1, 3), over(2, 0)];
    assert_eq!(Over::parse(&Over::lines(&some), &ordered), Ok(some));
    for (wrong, words) in [
        (vec![over(1, 4)], "line 1: cell 4 of block 1 was not asked for"),
        (vec![over(1, 0), over(3, 0)], "line 2: cell 0 of block 3"),
        (vec![over(1, 0), over(1, 0)], "comes twice"),
        (vec![Over { run: Some("../elsewhere".into()), ..over(1, 0) }], "is not below"),
        (vec![Over { run: Some("/elsewhere".into()), ..over(1, 0) }], "is not below"),
        (vec![Over { run: Some("".into()), ..over(1, 0) }], "is not below"),
    ] {
        let error = Over::parse(&Over::lines(&wrong), &ordered).unwrap_err();
        assert!(error.contains(words), "{error}");
    }
    assert!(Over::parse("{\n", &ordered).unwrap_err().starts_with("line 1: "));
}
