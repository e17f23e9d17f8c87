//! Whether the header of a run's log agrees with the text of the scenario that it holds.
//!
//! A gate holds the hash in the header against that of the file. That is worth something only if the hash is that of the text
//! that ran, and if the load and the criteria of the header follow from that text.

use crate::scenario::{Plan, PlanOptions, Rehearsal, Scenario, Selection, Source};
use reports::runlog::event::{CriterionSpec, FormatVersion, Header, PlanFacts};

/// The first format whose headers hold the text.
const WITH_TEXT: FormatVersion = FormatVersion { major: 2, minor: 7 };

/// Why it does not; nothing if it does, and of a log that is too old to hold the text.
pub(super) fn contradiction(header: &Header) -> Option<String> {
    let facts = &header.scenario;
    let Some(source) = Source::of_log(&header.sources) else {
        return (header.format >= WITH_TEXT)
            .then(|| "its header does not hold the text of the scenario".to_owned());
    };
    if source.sha256() != facts.sha256 {
        return Some("the SHA-256 in its header is not that of the text beside it".to_owned());
    }
    // A text that this build cannot plan is not that of any gate, which could not be planned either.
    let plans = plans(&source, header)?;
    let Some(plan) = plans.iter().find(|plan| plan.scenario_facts().name == facts.name) else {
        return Some(format!("the text in its header is of no scenario {}", facts.name));
    };
    if !plan.criteria().iter().map(asked).eq(header.criteria.iter().map(asked)) {
        return Some("the criteria in its header are not those of the text beside them".to_owned());
    }
    // That it was partial is said elsewhere: such a run does not count.
    let is_whole = header.plan.workers_asked.is_none();
    (is_whole && load(&plan.facts()) != load(&header.plan))
        .then(|| "the load in its header is not that of the text beside it".to_owned())
}

fn plans(source: &Source, header: &Header) -> Option<Vec<Plan>> {
    let facts = &header.scenario;
    // The plan adds the seed by itself.
    let sets = facts.overrides.iter().filter(|set| !set.starts_with("seed=")).cloned().collect();
    let selection = Selection { profile: facts.profile.clone(), sets };
    let scenarios = Scenario::parse_all(source, &selection).ok()?;
    let rehearsal = header.rehearsal.and_then(Rehearsal::of_factor);
    let options = PlanOptions { seed: Some(header.seed), fallback_seed: header.seed, rehearsal };
    Some(scenarios.into_iter().map(|scenario| Plan::new(scenario, &options)).collect())
}

fn asked(criterion: &CriterionSpec) -> (&str, &str, Option<&str>, bool) {
    let CriterionSpec { name, pass, conditional, informational, .. } = criterion;
    (name, pass, conditional.as_deref(), *informational)
}

/// What every version of this program plans alike.
fn load(plan: &PlanFacts) -> [u64; 6] {
    [
        plan.coordinators.into(),
        plan.workers_per_coordinator.into(),
        plan.round_every_ns,
        plan.warm_up_ns,
        plan.duration_ns,
        plan.task_timeout_ns,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Base;
    use crate::synthetic::Synthetic;

    type Bend = fn(&mut Header);

    const TEXT: &str = include_str!("../../../../scenarios/examples/gates.toml");
    const BASE: &str = include_str!("../../../../scenarios/examples/base.toml");

    fn header(profile: Option<&str>) -> Header {
        let selection = Selection { profile: profile.map(str::to_owned), sets: Vec::new() };
        let base = Base { name: "base.toml".to_owned(), text: BASE.to_owned() };
        let source = Source { bases: vec![base], ..Source::new("gates.toml", TEXT) };
        let scenario = Scenario::parse(&source, &selection).unwrap();
        let options = PlanOptions { seed: Some(7), fallback_seed: 7, rehearsal: None };
        Synthetic::of(&Plan::new(scenario, &options)).header().clone()
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
    fn a_header_that_was_bent_contradicts_its_text() {
        let bends: [(&str, Bend); 6] = [
            ("SHA-256", |header| header.scenario.sha256 = "0".repeat(64)),
            ("SHA-256", |header| header.sources[0].text.push_str("# weaker\n")),
            ("does not hold the text", |header| header.sources.clear()),
            ("of no scenario", |header| header.scenario.name = "another".to_owned()),
            ("criteria", |header| header.criteria.truncate(1)),
            ("load", |header| header.plan.duration_ns /= 2),
        ];
        for (why, bend) in bends {
            let mut header = header(Some("ci"));
            bend(&mut header);
            let found = contradiction(&header).unwrap_or_default();
            assert!(found.contains(why), "{why}: {found}");
        }
    }

    #[test]
    fn a_profile_that_was_taken_out_of_a_header_contradicts_what_it_asked() {
        let mut header = header(Some("ci-fail"));
        header.scenario.profile = None;
        assert!(contradiction(&header).is_some());
    }
}
