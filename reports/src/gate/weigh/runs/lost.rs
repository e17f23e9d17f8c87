//! Runs of the scenario that cannot be judged any more: removed, changed, or damaged.
//!
//! If all runs count, one that is gone may have been the worst. What the index says that it was is not believed in its favour,
//! but for one thing: a run that passed has nothing to hide.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use jiff::Timestamp;

use super::Wanted;
use super::admit::{self, Admitted};
use crate::gate::builds::is_same_commit;
use crate::gate::decision::Weighed;
use crate::gate::exhibit::{Exhibit, Inputs, Ongoing};
use crate::gate::index::Entry;
use crate::gate::plan::Whose;
use crate::units;

/// Adds a note for what is gone. True if the evidence cannot be better than INCONCLUSIVE by it.
pub(super) fn notes(wanted: Wanted<'_>, found: &[Admitted<'_>], weighed: &mut Weighed) -> bool {
    let mut blocked = doubts(wanted, weighed);
    blocked |= contradicted(wanted, weighed);
    going(wanted, weighed);
    let exhibits: Vec<&Exhibit> = found.iter().map(|one| one.exhibit).collect();
    let (gone, elsewhere): (Vec<&Entry>, Vec<&Entry>) =
        gone(wanted, &exhibits).into_iter().partition(|entry| is_of_build(wanted, entry));
    let is_bad = |entry: &&Entry| !entry.has_passed();
    let bad = gone.iter().copied().filter(is_bad).count();
    let unfinished = gone.iter().filter(|entry| entry.is_unfinished()).count();
    // What is there and did not pass is counted among those that do not count.
    let beside =
        elsewhere.into_iter().filter(|entry| is_bad(entry) && !is_shown(wanted, found, entry)).count();
    if beside > 0 {
        weighed.runs_beside += beside;
        weighed.notes.push(format!(
            "{} of other builds in the window {} in the index of runs, did not pass, and {} there any more",
            units::things(beside as u64, "run"),
            if beside == 1 { "is" } else { "are" },
            if beside == 1 { "is not" } else { "are not" },
        ));
    }
    if !gone.is_empty() {
        let list: Vec<&str> = gone.iter().take(3).map(|entry| entry.directory.as_str()).collect();
        let more = if gone.len() > list.len() { ", …" } else { "" };
        weighed.notes.push(format!(
            "{} in the window {} in the index of runs and cannot be judged any more: {} of them {} not PASS when they ended{} ({}{more})",
            units::things(gone.len() as u64, "run"),
            if gone.len() == 1 { "is" } else { "are" },
            bad,
            if bad == 1 { "was" } else { "were" },
            match unfinished {
                0 => String::new(),
                count => format!(", {count} of these because they were killed before their end"),
            },
            list.join(", ")
        ));
        blocked |= bad > 0;
    }
    let damaged = found.iter().filter(|one| is_unreadable(wanted, one.exhibit)).count();
    if damaged > 0 {
        weighed.notes.push(format!(
            "{} of the scenario cannot be read: what it was cannot be known",
            units::things(damaged as u64, "run")
        ));
        blocked = true;
    }
    blocked
}

/// Entries of runs that would count, as far as the index says, and are not there; also those of other builds.
fn gone<'a>(wanted: Wanted<'a>, found: &[&Exhibit]) -> Vec<&'a Entry> {
    let in_question = wanted.question.inputs.index.entries.iter().filter(|entry| would_count(wanted, entry));
    in_question.filter(|entry| !is_there(wanted.question.inputs, found, entry)).collect()
}

/// Whether the run of an entry is shown as one that did not pass and does not count.
pub(super) fn is_shown(wanted: Wanted<'_>, found: &[Admitted<'_>], entry: &Entry) -> bool {
    found.iter().any(|one| super::is_hidden(wanted, one) && is_at(&one.exhibit.directory, entry))
}

/// Whether the run of an entry is among those that were found.
pub(super) fn is_there(inputs: &Inputs, found: &[&Exhibit], entry: &Entry) -> bool {
    // An unfinished entry has no hash, and neither has a log that cannot be read: the two are not the same run by that. A log that cannot be
    // judged keeps the evidence open by itself.
    let has_begun_as = |exhibit: &Exhibit| match &exhibit.judged {
        Ok(run) => admit::altered(entry, exhibit, run).is_none(),
        Err(_) => true,
    };
    // A run is there with the log that it ended with, and one that has not ended with its directory and the header that it began with.
    if entry.is_unfinished() {
        inputs.ongoing.iter().any(|run| is_at(&run.directory, entry))
            || found.iter().any(|exhibit| is_at(&exhibit.directory, entry) && has_begun_as(exhibit))
    } else {
        !entry.has_lost_its_log() && found.iter().any(|exhibit| exhibit.log_sha256 == entry.log_sha256)
    }
}

/// What a run that is still going will be is not known, and a lock on its log may be held by any process.
fn going(wanted: Wanted<'_>, weighed: &mut Weighed) {
    let is_of =
        |run: &&Ongoing| run.profile == wanted.runs.profile && run.scenarios.contains(&wanted.recipe.name);
    weighed
        .going
        .extend(wanted.question.inputs.ongoing.iter().filter(is_of).map(|run| run.directory.clone()));
    let (first, more) = match &weighed.going[..] {
        [] => return,
        [first] => (first, String::new()),
        [first, others @ ..] => (first, format!(", and {} more", others.len())),
    };
    weighed.notes.push(format!(
        "{} still going, and {} nothing so far: {first}{more}",
        if weighed.going.len() == 1 {
            "1 run is".to_owned()
        } else {
            format!("{} runs are", weighed.going.len())
        },
        if weighed.going.len() == 1 { "says" } else { "say" },
    ));
}

/// Runs of which a later line of the index contradicts what an earlier one has. What is there in the end may be what was left when the rest
/// had been taken away, and which of several attempts to go on was the run itself cannot be known: none of them may be hidden.
fn rivals(wanted: Wanted<'_>) -> Vec<(&Entry, &Entry)> {
    let index = &wanted.question.inputs.index;
    let first = |rival: &Entry| index.entries.iter().find(|entry| entry.run_id == rival.run_id);
    let pairs = index.rivals.iter().filter_map(|rival| Some((first(rival)?, rival)));
    let is_asked = |first: &Entry, rival: &Entry| would_count(wanted, first) || would_count(wanted, rival);
    pairs
        .filter(|(first, rival)| is_asked(first, rival) && is_of_build(wanted, first))
        .filter(|(first, rival)| !first.has_passed() || !rival.has_passed())
        .collect()
}

fn contradicted(wanted: Wanted<'_>, weighed: &mut Weighed) -> bool {
    let rivals = rivals(wanted);
    let mut verdicts: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (first, rival) in &rivals {
        verdicts.entry(&first.directory).or_insert_with(|| vec![&first.verdict]).push(&rival.verdict);
    }
    weighed.notes.extend(verdicts.iter().map(|(directory, verdicts)| {
        format!(
            "{directory} is in the index of runs as {}, each time with a log that does not begin with what was recorded before: \
             it was changed between, or was resumed from a copy",
            verdicts.join(", then ")
        )
    }));
    !rivals.is_empty()
}

/// What keeps evidence open although runs of it are there.
pub(super) struct Lost {
    /// When the newest of the runs began that are gone without a PASS.
    pub(super) newest: Option<Timestamp>,
    /// All of these are known to be of the build that decides.
    pub(super) is_of_build: bool,
    /// A run that is there cannot be read.
    pub(super) is_unreadable: bool,
}

pub(super) fn lost(wanted: Wanted<'_>) -> Lost {
    let exhibits = wanted.question.inputs.exhibits.iter();
    let found: Vec<&Exhibit> = exhibits.filter(|exhibit| exhibit.scenario == wanted.recipe.name).collect();
    let is_unreadable = found.iter().any(|exhibit| is_unreadable(wanted, exhibit));
    let bad = gone(wanted, &found).into_iter().filter(|entry| !entry.has_passed());
    let bad = bad.chain(rivals(wanted).into_iter().map(|(first, _)| first));
    let of_build: Vec<&Entry> = bad.filter(|entry| is_of_build(wanted, entry)).collect();
    Lost {
        newest: of_build.iter().filter_map(|entry| entry.started_utc.parse().ok()).max(),
        is_of_build: wanted.runs.build == Whose::This && of_build.iter().all(|entry| entry.commit.is_some()),
        is_unreadable,
    }
}

/// Its log cannot be judged, and nothing says that it was that of a PASS.
fn is_unreadable(wanted: Wanted<'_>, exhibit: &Exhibit) -> bool {
    exhibit.judged.is_err() && !is_known_pass(wanted, exhibit)
}

/// Whether a run would count by its build; one whose build is not known may.
fn is_of_build(wanted: Wanted<'_>, entry: &Entry) -> bool {
    match (wanted.runs.build, entry.commit.as_deref(), wanted.question.commit) {
        (Whose::This, Some(ran), Some(commit)) => is_same_commit(ran, commit),
        (Whose::This | Whose::Any, _, _) => true,
    }
}

/// Adds notes for what speaks against the index itself.
fn doubts(wanted: Wanted<'_>, weighed: &mut Weighed) -> bool {
    let index = &wanted.question.inputs.index;
    let mut blocked = false;
    if let Some(damaged) = &index.damaged {
        weighed.notes.push(format!(
            "the index of runs does not verify ({damaged}): which runs were removed cannot be seen"
        ));
        blocked = true;
    }
    if let Some(exhibit) = unlisted(wanted.question.inputs) {
        weighed.notes.push(format!(
            "{} is not in the index of runs, and earlier runs of its machine are: lines were cut off the end of the index, or the run was \
             brought here; which runs were removed cannot be seen",
            exhibit.directory
        ));
        blocked = true;
    }
    blocked
}

/// A run that the index must have if it is whole: one of a machine that had begun an earlier run here. Of other machines, runs are
/// brought from elsewhere. The first of them.
pub(super) fn unlisted(inputs: &Inputs) -> Option<&Exhibit> {
    let entries = &inputs.index.entries;
    let mut first: BTreeMap<&str, Timestamp> = BTreeMap::new();
    for entry in entries {
        if let (Some(machine), Ok(started)) =
            (entry.machine.as_deref(), entry.started_utc.parse::<Timestamp>())
        {
            first.entry(machine).and_modify(|first| *first = started.min(*first)).or_insert(started);
        }
    }
    let ids: BTreeSet<&str> = entries.iter().map(|entry| &*entry.run_id).collect();
    inputs.exhibits.iter().find(|exhibit| {
        exhibit.judged.as_ref().is_ok_and(|run| {
            let begun = first.get(&*run.host.machine);
            !ids.contains(&*run.judgement.run_id)
                && begun.is_some_and(|begun| run.started().is_some_and(|started| started > *begun))
        })
    })
}

/// As far as the index says.
fn would_count(wanted: Wanted<'_>, entry: &Entry) -> bool {
    entry.scenario == wanted.recipe.name
        && entry.scenario_sha256 == wanted.recipe.sha256
        && would_answer(wanted, entry)
}

/// Whether it was asked as the gate asks, and when it asks, whatever the text of the scenario was.
pub(super) fn would_answer(wanted: Wanted<'_>, entry: &Entry) -> bool {
    entry.as_asked
        && entry.profile == wanted.runs.profile
        && admit::out_of_window(wanted, entry.started_utc.parse().ok()).is_none()
}

/// The index says that a log that cannot be read now was that of a PASS: its directory is known by it.
fn is_known_pass(wanted: Wanted<'_>, exhibit: &Exhibit) -> bool {
    wanted
        .question
        .inputs
        .index
        .entries
        .iter()
        .any(|entry| is_at(&exhibit.directory, entry) && entry.has_passed())
}

/// Whether this is the directory that a run was begun in; the directory of runs may have moved.
pub(super) fn is_at(directory: &str, entry: &Entry) -> bool {
    Path::new(directory).ends_with(&entry.directory)
}
