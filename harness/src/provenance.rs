//! Whether the header of a run's log follows from the text of the scenario that it holds.
//!
//! A header says what was asked and planned. All of that can be planned again from the text beside it, so it is: whatever judges
//! a log holds it to this ([`reports::HeaderCheck`]). Deliberately absent: the log's other records, which
//! `reports::runlog::validate` holds against the header.

use crate::scenario::mistake::Mistakes;
use crate::scenario::{Plan, PlanOptions, Rehearsal, Scenario, Selection, Source};
use reports::runlog::event::{CriterionSpec, FormatVersion, Header, PlanFacts, ScenarioFacts};
use serde_json::{Value, json};
use thiserror::Error;

/// The first format whose headers hold the text.
const WITH_TEXT: FormatVersion = FormatVersion { major: 2, minor: 7 };
/// Figures of the host's needs, which another build may estimate otherwise.
const ESTIMATES: [&str; 2] = ["shm_bytes", "fds_max"];
/// A value that is quoted in a sentence has no more characters.
const QUOTED_MAX: usize = 80;

/// Why a run cannot be planned again from its header.
#[derive(Debug, Error)]
pub enum Unplanned {
    #[error("the log does not hold the text of its scenario, as those of format 2.7 and later do")]
    NoText,
    #[error("the scenario text in the header is refused: {}", first(.0))]
    Refused(Box<Mistakes>),
    #[error("the scenario text in the header is that of {found}, and not of {named}")]
    Named { found: String, named: String },
    #[error(
        "the header says that the run is a rehearsal, {0} times as fast, which is outside the range of --rehearse"
    )]
    Rehearsal(f64),
    #[error(
        "the header says that the fleet was smaller than asked for, and the scenario text does not allow that"
    )]
    Whole,
}

fn first(mistakes: &Mistakes) -> String {
    let Some(mistake) = mistakes.iter().next() else { return "it has a mistake".to_owned() };
    match mistakes.place_of(mistake) {
        Some(place) => format!("{} (at {place})", mistake.message()),
        None => mistake.message().to_owned(),
    }
}

/// How a header differs from the text in it; nothing if all of it follows from the text, or if the log is too old to hold one.
pub fn contradiction(header: &Header) -> Option<String> {
    match replan(header) {
        Ok(plan) => difference(header, &plan),
        Err(Unplanned::NoText) if header.format < WITH_TEXT => None,
        Err(error) => Some(error.to_string()),
    }
}

/// The plan of a run, made again from the text in its header: the one that the header agrees with, if there is one.
pub fn replan(header: &Header) -> Result<Plan, Unplanned> {
    let source = Source::of_log(&header.sources).ok_or(Unplanned::NoText)?;
    let rehearsal = header
        .rehearsal
        .map(|factor| Rehearsal::of_factor(factor).ok_or(Unplanned::Rehearsal(factor)))
        .transpose()?;
    let facts = &header.scenario;
    let options = PlanOptions { seed: Some(header.seed), fallback_seed: header.seed, rehearsal };
    let mut plans = Vec::new();
    let mut refused = None;
    for sets in sets(header) {
        let selection = Selection { profile: facts.profile.clone(), sets };
        match Scenario::parse_all(&source, &selection) {
            Ok(all) => plans.extend(all.into_iter().map(|scenario| Plan::new(scenario, &options))),
            Err(mistakes) => refused = refused.or(Some(mistakes)),
        }
    }
    if let (true, Some(mistakes)) = (plans.is_empty(), refused) {
        return Err(Unplanned::Refused(Box::new(mistakes)));
    }
    let named = || plans.iter().find(|plan| plan.name() == facts.name);
    let Some(plan) = plans.iter().find(|plan| plan.scenario_facts() == facts).or_else(named) else {
        let mut found: Vec<&str> = plans.iter().map(Plan::name).collect();
        found.dedup();
        return Err(Unplanned::Named { found: found.join(", "), named: facts.name.clone() });
    };
    as_large(plan, header)
}

/// The scenarios that a header is of: the one that it names, and where the text in it has no scenario of that name, those of the text. Which of
/// them ran cannot be known then.
pub fn scenarios_of(header: &Header) -> Vec<String> {
    let named = &header.scenario.name;
    let mut names = vec![named.clone()];
    let Some(source) = Source::of_log(&header.sources) else { return names };
    let mut of_text = Vec::new();
    for sets in sets(header) {
        let selection = Selection { profile: header.scenario.profile.clone(), sets };
        let scenarios = Scenario::parse_all(&source, &selection).unwrap_or_default();
        of_text.extend(scenarios.iter().map(|scenario| scenario.name().to_owned()));
    }
    if !of_text.contains(named) {
        names.extend(of_text);
        names.sort();
        names.dedup();
    }
    names
}

/// Which of other criteria the plan of a run decides, whatever happened in it. None where the log has no text to plan by.
pub fn settled(header: &Header, criteria: &[CriterionSpec]) -> Vec<(String, String)> {
    replan(header).map(|plan| plan.settles(criteria)).unwrap_or_default()
}

/// What the command line may have laid over the file. A seed that the header names may have been given as an override, or
/// have been added by the plan.
fn sets(header: &Header) -> Vec<Vec<String>> {
    let all = header.scenario.overrides.clone();
    match all.split_last() {
        Some((last, before)) if *last == format!("seed={}", header.seed) => {
            vec![before.to_vec(), all.clone()]
        }
        _ => vec![all],
    }
}

/// With no more workers than the host had room for.
fn as_large(plan: &Plan, header: &Header) -> Result<Plan, Unplanned> {
    if header.plan.workers_asked.is_none() {
        return Ok(plan.clone());
    }
    let workers = header.plan.workers_per_coordinator;
    let is_smaller = plan.is_partial() && (1..plan.shape().workers_per_coordinator()).contains(&workers);
    is_smaller.then(|| plan.with_room_for(workers)).flatten().ok_or(Unplanned::Whole)
}

/// What of a header is planned.
fn planned(scenario: &ScenarioFacts, plan: &PlanFacts, criteria: &[CriterionSpec]) -> Value {
    let mut values = json!({ "criteria": criteria, "plan": plan, "scenario": scenario });
    if let Some(plan) = values["plan"].as_object_mut() {
        plan.retain(|key, _| !ESTIMATES.contains(&&**key));
    }
    values
}

fn difference(header: &Header, plan: &Plan) -> Option<String> {
    let logged = planned(&header.scenario, &header.plan, &header.criteria);
    let again = planned(plan.scenario_facts(), &plan.facts(), plan.criteria());
    let (place, logged, again) = unlike(String::new(), &logged, &again)?;
    Some(format!("the header has {logged} for {place}, and the scenario text beside it {again}"))
}

/// The first place where two values differ, and what they have there.
fn unlike(place: String, logged: &Value, again: &Value) -> Option<(String, String, String)> {
    match (logged, again) {
        (Value::Object(logged), Value::Object(again)) => {
            let mut keys = logged.keys().chain(again.keys().filter(|key| !logged.contains_key(*key)));
            keys.find_map(|key| {
                let place = if place.is_empty() { key.clone() } else { format!("{place}.{key}") };
                let of =
                    |values: &serde_json::Map<String, Value>| values.get(key).cloned().unwrap_or_default();
                unlike(place, &of(logged), &of(again))
            })
        }
        (Value::Array(logged), Value::Array(again)) if logged.len() == again.len() => (0..)
            .zip(logged.iter().zip(again))
            .find_map(|(at, (logged, again))| unlike(format!("{place}[{at}]"), logged, again)),
        (Value::Array(logged), Value::Array(again)) => {
            Some((format!("the length of {place}"), logged.len().to_string(), again.len().to_string()))
        }
        _ if logged == again => None,
        _ => Some((place, quoted(logged), quoted(again))),
    }
}

fn quoted(value: &Value) -> String {
    let text = match value {
        Value::Null => "nothing".to_owned(),
        value => value.to_string(),
    };
    if text.chars().count() <= QUOTED_MAX {
        return text;
    }
    text.chars().take(QUOTED_MAX).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Base;
    use crate::synthetic;

    type Bend = fn(&mut Header);

    const TEXT: &str = include_str!("../../scenarios/examples/gates.toml");
    const BASE: &str = include_str!("../../scenarios/examples/base.toml");

    fn source(name: &str, text: &str) -> Source {
        let base = Base { name: "base.toml".to_owned(), text: BASE.to_owned() };
        let bases = if Source::extends(text).is_some() { vec![base] } else { Vec::new() };
        Source { bases, ..Source::new(name, text) }
    }

    /// As a log has it: written and read again.
    fn logged(plan: &Plan) -> Header {
        let header = synthetic::header_of(plan);
        serde_json::from_str(&serde_json::to_string(&header).unwrap()).unwrap()
    }

    fn headers(source: &Source, selection: &Selection, options: &PlanOptions) -> Vec<Header> {
        let scenarios = Scenario::parse_all(source, selection).unwrap();
        scenarios.into_iter().map(|scenario| logged(&Plan::new(scenario, options))).collect()
    }

    const PLAIN: PlanOptions = PlanOptions { seed: None, fallback_seed: 7, rehearsal: None };

    fn header(profile: Option<&str>) -> Header {
        let selection = Selection { profile: profile.map(str::to_owned), sets: Vec::new() };
        headers(&source("gates.toml", TEXT), &selection, &PLAIN).swap_remove(0)
    }

    #[test]
    fn the_header_of_a_run_agrees_with_the_text_in_it() {
        for profile in [None, Some("ci"), Some("ci-fail")] {
            assert_eq!(contradiction(&header(profile)), None, "{profile:?}");
        }
        let mut old = header(None);
        old.format = FormatVersion { minor: 6, ..WITH_TEXT };
        old.sources.clear();
        assert_eq!(contradiction(&old), None, "an older log holds no text");
    }

    #[test]
    fn a_seed_is_found_again_however_it_was_given() {
        let without = TEXT.replace("schema = 1", "schema = 1\nseed = 3");
        for text in [TEXT, &without] {
            for sets in
                [&[][..], &["seed=5"], &["seed=5", "load.duration=2s"], &["load.duration=2s", "seed=5"]]
            {
                for seed in [None, Some(5), Some(6)] {
                    let sets = sets.iter().map(|set| (*set).to_owned()).collect();
                    let selection = Selection { profile: None, sets };
                    let options = PlanOptions { seed, ..PLAIN };
                    for header in headers(&source("gates.toml", text), &selection, &options) {
                        assert_eq!(contradiction(&header), None, "{selection:?} {seed:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn every_shipped_scenario_is_planned_again_from_its_text_rehearsed_or_not() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios");
        let mut planned = 0;
        for directory in [folder.clone(), folder.join("examples")] {
            for entry in std::fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                let is_scenario = path.extension().is_some_and(|ending| ending == "toml");
                let text = if is_scenario { std::fs::read_to_string(&path).unwrap() } else { continue };
                // Neither is a scenario: a file that others extend, and a plan of phases.
                if path.ends_with("base.toml") || text.contains("phases.schema.json") {
                    continue;
                }
                let Ok(source) = crate::cli::load::source(&path) else { panic!("{}", path.display()) };
                let parsed = Scenario::parse_all(&source, &Selection::default());
                let Ok(scenarios) = parsed else { panic!("{}: {parsed:?}", path.display()) };
                for rehearsal in [None, Rehearsal::of_factor(7.3)] {
                    for scenario in scenarios.clone() {
                        let options = PlanOptions { rehearsal, ..PLAIN };
                        let header = header_of(&Plan::new(scenario, &options));
                        assert_eq!(contradiction(&header), None, "{} {rehearsal:?}", path.display());
                        planned += 1;
                    }
                }
            }
        }
        assert!(planned > 60, "{planned}");
    }

    /// Without the rounds and sweeps of a run of days.
    fn header_of(plan: &Plan) -> Header {
        let mut header = header(None);
        header.scenario = plan.scenario_facts().clone();
        header.sources = plan.sources().to_vec();
        (header.seed, header.rehearsal) = (plan.seed(), plan.rehearsal().map(Rehearsal::factor));
        (header.plan, header.criteria) = (plan.facts(), plan.criteria().to_vec());
        serde_json::from_str(&serde_json::to_string(&header).unwrap()).unwrap()
    }

    #[test]
    fn a_fleet_that_the_host_had_no_room_for_is_planned_again_as_small_as_it_was() {
        let text = TEXT.replace("extends =", "fleet.partial = true\nextends =");
        let scenario = Scenario::parse(&source("gates.toml", &text), &Selection::default());
        let Ok(scenario) = scenario else { panic!("{scenario:?}") };
        let plan = Plan::new(scenario, &PLAIN);
        let smaller = header_of(&plan.with_room_for(1).unwrap());
        assert_eq!(smaller.plan.workers_per_coordinator, 1);
        assert_eq!(contradiction(&smaller), None);
        let mut larger = smaller.clone();
        larger.plan.workers_per_coordinator = 1_000;
        let found = contradiction(&larger).unwrap_or_default();
        assert!(found.contains("does not allow"), "{found}");
        let mut whole = header(None);
        whole.plan.workers_asked = Some(1_000);
        assert!(contradiction(&whole).is_some(), "a scenario that is not partial");
    }

    #[test]
    fn a_header_that_was_bent_contradicts_its_text_and_the_sentence_says_where() {
        let bends: [(&str, Bend); 12] = [
            ("for scenario.sha256", |header| header.scenario.sha256 = "0".repeat(64)),
            ("for scenario.sha256", |header| header.sources[0].text.push_str("# weaker\n")),
            ("does not hold the text", |header| header.sources.clear()),
            ("and not of another", |header| header.scenario.name = "another".to_owned()),
            ("the length of criteria", |header| header.criteria.truncate(1)),
            ("for criteria[0].pass", |header| header.criteria[0].pass = "launch.time < 1h".to_owned()),
            ("for criteria[0].informational", |header| header.criteria[0].informational = true),
            ("for plan.duration_ns", |header| header.plan.duration_ns /= 2),
            ("for plan.rounds_planned", |header| header.plan.rounds_planned -= 1),
            ("for plan.workers_least", |header| header.plan.workers_least = Some(1)),
            ("is refused", |header| header.sources[0].text = "schema = 1".to_owned()),
            ("outside the range of --rehearse", |header| header.rehearsal = Some(1e9)),
        ];
        for (why, bend) in bends {
            let mut header = header(Some("ci"));
            bend(&mut header);
            let found = contradiction(&header).unwrap_or_default();
            assert!(found.contains(why), "{why}: {found}");
        }
    }

    #[test]
    fn a_header_that_names_another_scenario_than_its_text_is_of_both() {
        let mut header = header(Some("ci"));
        assert_eq!(scenarios_of(&header), ["gates"]);
        header.scenario.name = "another".to_owned();
        assert_eq!(scenarios_of(&header), ["another", "gates"]);
        header.sources.clear();
        assert_eq!(scenarios_of(&header), ["another"]);
    }

    #[test]
    fn a_profile_that_was_taken_out_of_a_header_contradicts_what_it_asked() {
        let mut header = header(Some("ci-fail"));
        header.scenario.profile = None;
        assert!(contradiction(&header).is_some());
    }

    #[test]
    fn a_genuine_log_of_an_earlier_version_agrees_with_its_text() {
        let log = include_bytes!("../../reports/tests/fixtures/v2/rich/run.log");
        let first = reports::runlog::Reader::new(&log[..]).next().unwrap().unwrap();
        let reports::runlog::event::Event::Header(header) = first.event else { panic!("no header") };
        assert_eq!(contradiction(&header), None);
    }
}
