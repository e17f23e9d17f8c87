//! What a plan names and only the files of its scenarios have: criteria, of evidence and of waivers.

use super::evidence::{CRITERIA, EVIDENCE};
use super::gate::{CRITERION, OF_EVIDENCE, WAIVER};
use super::keys::{NAME, OF};
use super::{entries, reread};
use crate::scenario::cursor::Sited;
use crate::scenario::mistake::{self, Mistake, Mistakes};
use crate::scenario::{Selection, Source as File};
use notation::suggest;
use reports::gate::exhibit::Recipes;
use reports::gate::plan::{Plan, Runs, Source};

/// Every criterion that the plan names is one by which its scenario is judged; of scenarios that are not among the recipes nothing is
/// said. `source` is the text of the plan.
pub fn check_criteria(source: &File, plan: &Plan, recipes: &Recipes) -> Result<(), Mistakes> {
    let mut found = Vec::new();
    reread(source, |root| {
        // The values of a plan are right: what this reports has been looked for before.
        let mut read = Vec::new();
        for fields in entries(root, &EVIDENCE, &mut read) {
            let (gate, name) = (fields.value(&OF, &mut read), fields.value(&NAME, &mut read));
            let (Some(runs), Some(names)) = (runs(plan, gate, name), fields.value(&CRITERIA, &mut read))
            else {
                continue;
            };
            names.value.iter().for_each(|name| reject_unknown(name, &names, runs, recipes, &mut found));
        }
        for fields in entries(root, &WAIVER, &mut read) {
            let (gate, evidence) = (fields.value(&OF, &mut read), fields.value(&OF_EVIDENCE, &mut read));
            let (Some(runs), Some(name)) = (runs(plan, gate, evidence), fields.value(&CRITERION, &mut read))
            else {
                continue;
            };
            reject_unknown(&name.value, &name, runs, recipes, &mut found);
        }
    });
    if found.is_empty() {
        return Ok(());
    }
    mistake::settle(&mut found);
    Err(Mistakes::new(source, &Selection::default(), found))
}

/// The runs that a piece of evidence asks for; nothing if it is a file.
fn runs(plan: &Plan, gate: Option<Sited<String>>, name: Option<Sited<String>>) -> Option<&Runs> {
    let (gate, name) = (plan.gate(&gate?.value)?, name?.value);
    let evidence = gate.evidence.iter().find(|evidence| evidence.name == name)?;
    match &evidence.source {
        Source::Runs(runs) => Some(runs),
        Source::File(_) => None,
    }
}

fn reject_unknown<T>(name: &String, at: &Sited<T>, runs: &Runs, recipes: &Recipes, found: &mut Vec<Mistake>) {
    let recipes = recipes.get(&runs.recipe()).map(Vec::as_slice).unwrap_or_default();
    // Another text than the one that is pinned may have other criteria: its hash is what has to be mended first.
    if recipes.iter().any(|recipe| !runs.admits(&recipe.sha256)) {
        return;
    }
    if let Some(recipe) = recipes.iter().find(|recipe| !recipe.criteria.contains(name)) {
        let known: Vec<&str> = recipe.criteria.iter().map(String::as_str).collect();
        let message = format!("{} is judged by no criterion `{name}`", runs.scenario);
        at.reject(found, message, suggest::hint(name, &known));
    }
}
