//! Runs of what the scenario was before its text or its name was changed.
//!
//! They answer another question, so they count neither way. One that did not pass is beside the decision all the same: a comment in a
//! file is a change as well, and so is another name.

use super::lost::{is_at, is_shown, is_there, would_answer};
use super::{Wanted, admit};
use crate::gate::decision::Weighed;
use crate::gate::exhibit::{Exhibit, Inputs};
use crate::gate::index::Entry;
use crate::gate::weigh::runs::admit::Admitted;
use crate::units;
use crate::verdict::Verdict;

/// Adds a note for runs of another text of the scenario that are in the index and not there any more: those that are there are
/// shown among the runs.
pub(super) fn other_texts(wanted: Wanted<'_>, found: &[Admitted<'_>], weighed: &mut Weighed) {
    let (recipe, inputs) = (wanted.recipe, wanted.question.inputs);
    let exhibits: Vec<&Exhibit> = found.iter().map(|one| one.exhibit).collect();
    let is_beside = |entry: &&Entry| {
        entry.scenario == recipe.name
            && entry.scenario_sha256 != recipe.sha256
            && is_gone_without_a_pass(wanted, &exhibits, entry)
            && !is_shown(wanted, found, entry)
    };
    let gone = inputs.index.entries.iter().filter(is_beside).count();
    note(weighed, gone, "of another text of the scenario", "in the index of runs, and not there any more");
}

/// Adds notes for runs of the same file under a name that it has no more: those that are there, and those that are only in the index. `wanted`
/// is of any of the scenarios that the file has.
pub(super) fn other_names(wanted: Wanted<'_>, weighed: &mut Weighed) {
    let inputs = wanted.question.inputs;
    let is_of_file = |file: &String| wanted.recipe.files.contains(file);
    let renamed: Vec<&Exhibit> = inputs
        .exhibits
        .iter()
        .filter(|exhibit| !is_known(inputs, &exhibit.scenario))
        .filter(|exhibit| {
            exhibit
                .judged
                .as_ref()
                .is_ok_and(|run| run.judgement.file.as_ref().is_some_and(|file| is_of_file(&file.path)))
        })
        .collect();
    let there = renamed.iter().filter(|exhibit| did_not_answer(wanted, exhibit));
    let names: Vec<&str> = there.clone().map(|exhibit| &*exhibit.scenario).collect();
    note(weighed, names.len(), &under(&names), "there");
    let is_gone = |entry: &&Entry| {
        !is_known(inputs, &entry.scenario)
            && entry.file.as_ref().is_some_and(is_of_file)
            && is_gone_without_a_pass(wanted, &renamed, entry)
            && !there.clone().any(|exhibit| is_at(&exhibit.directory, entry))
    };
    let names: Vec<&str> =
        inputs.index.entries.iter().filter(is_gone).map(|entry| &*entry.scenario).collect();
    note(weighed, names.len(), &under(&names), "in the index of runs, and not there any more");
}

fn under(names: &[&str]) -> String {
    format!("of the same file, under the name {},", names.first().copied().unwrap_or_default())
}

fn note(weighed: &mut Weighed, count: usize, what: &str, place: &str) {
    if count > 0 {
        weighed.runs_beside += count;
        weighed.notes.push(format!(
            "{} {what} did not pass in the window, and {} {place}",
            units::things(count as u64, "run"),
            if count == 1 { "is" } else { "are" },
        ));
    }
}

/// Whether the plan has a scenario of this name: its runs are weighed there.
fn is_known(inputs: &Inputs, name: &str) -> bool {
    inputs.recipes.values().flatten().any(|recipe| recipe.name == name)
}

fn is_gone_without_a_pass(wanted: Wanted<'_>, found: &[&Exhibit], entry: &Entry) -> bool {
    !entry.has_passed() && would_answer(wanted, entry) && !is_there(wanted.question.inputs, found, entry)
}

/// It was asked as the gate asks, in its window, and did not pass.
fn did_not_answer(wanted: Wanted<'_>, exhibit: &Exhibit) -> bool {
    exhibit.judged.as_ref().is_ok_and(|run| {
        run.judgement.verdict != Verdict::Pass
            && run.judgement.variant.profile == wanted.runs.profile
            && Entry::of(&run.judgement, String::new(), String::new()).as_asked
            && admit::out_of_window(wanted, run.started()).is_none()
    })
}
