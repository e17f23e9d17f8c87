//! What to do about runs that do not pass a gate.
//!
//! All runs in the window count, so that another run beside one that failed decides nothing. The advice is what the rules allow: a newer
//! build, another environment, newer runs where only the latest count, or to wait, and until when. A waiver is for a person to give.

use jiff::{SignedDuration, Timestamp};

use super::{Counted, Wanted, lost};
use crate::gate::decision::{Step, Weighed};
use crate::gate::exhibit::Inputs;
use crate::gate::plan::{Select, Whose};
use crate::units;
use crate::verdict::Verdict;

/// Why evidence does not pass.
#[derive(Clone, Copy)]
pub(super) struct Open {
    /// Runs; where the gate asks for several environments, these.
    pub(super) missing: u32,
    /// Runs are gone, or cannot be judged.
    pub(super) blocked: bool,
    /// When the newest of the runs that count began which did not pass.
    pub(super) stuck: Option<Timestamp>,
}

/// The newest of those that count and did not pass.
pub(super) fn newest(counted: &[Counted<'_>]) -> Option<Timestamp> {
    let open = counted.iter().filter(|run| run.verdict >= Verdict::Inconclusive);
    open.filter_map(|run| run.run.started()).max()
}

pub(super) fn step(wanted: Wanted<'_>, weighed: &Weighed, open: Open) -> Option<Step> {
    if weighed.verdict < Verdict::Inconclusive {
        return None;
    }
    let (recipe, inputs) = (wanted.recipe, wanted.question.inputs);
    let is_in_doubt = is_index_in_doubt(inputs);
    let is_elsewhere = wanted.runs.environments.is_some();
    let need = wanted.runs.runs;
    let (what, runs) = match (weighed.verdict, open.stuck) {
        (Verdict::Fail, _) if is_elsewhere && wanted.runs.build == Whose::Any => {
            (format!("mend what fails, and {}", elsewhere(open.missing)), need)
        }
        (Verdict::Fail, stuck) => (format!("mend what fails, and {}", anew(wanted, stuck)), need),
        _ if open.blocked && is_in_doubt => (
            "bring the index of runs back as it was, or make the runs again in a new directory".to_owned(),
            need,
        ),
        _ if open.blocked => (back(wanted), need),
        _ if is_elsewhere => (elsewhere(open.missing), need),
        (_, Some(stuck)) => {
            let what =
                format!("find out why a run that counts is INCONCLUSIVE, and {}", anew(wanted, Some(stuck)));
            (what, need)
        }
        _ if open.missing <= 1 => ("run it once".to_owned(), 1),
        _ => (format!("run it {} times", open.missing), open.missing),
    };
    let times = if runs > 1 { format!(" --runs {runs}") } else { String::new() };
    let out = if open.blocked && is_in_doubt { inputs.caller.out_anew() } else { inputs.caller.out.clone() };
    Some(Step {
        evidence: wanted.evidence.name.clone(),
        what,
        command: format!("{}{times}{out}", recipe.command),
        takes_ns: Some(recipe.takes_ns.saturating_mul(u64::from(runs))),
    })
}

fn elsewhere(missing: u32) -> String {
    match missing {
        0 | 1 => "run it in another environment".to_owned(),
        _ => format!("run it in {missing} environments where it was not tried"),
    }
}

/// How runs come to decide that a run which counts does not: `began` is when the newest of these did.
fn anew(wanted: Wanted<'_>, began: Option<Timestamp>) -> String {
    let runs = wanted.runs;
    if runs.build == Whose::This {
        return "run it with a build of a newer commit: what this build has run counts against it".to_owned();
    }
    if let Select::Latest(n) = runs.select {
        return format!("run it {}: the latest {n} count", units::things(n.into(), "time"));
    }
    match began.and_then(|began| leaves(wanted, began)) {
        Some(until) => format!("run it again after {until}: until then, the run that does not pass counts"),
        None => "have the failure waived, or `fresh` or `build = \"this\"` agreed on in the plan: without them, the run that does not pass \
                 counts for ever"
            .to_owned(),
    }
}

/// Runs that are gone, or that cannot be read.
fn back(wanted: Wanted<'_>) -> String {
    let lost::Lost { newest, is_of_build, is_unreadable } = lost::lost(wanted);
    if is_unreadable {
        return "bring back the logs that cannot be read, from a copy".to_owned();
    }
    if is_of_build {
        return "bring back the runs that are gone, or run it with a build of a newer commit".to_owned();
    }
    match newest.and_then(|began| leaves(wanted, began)) {
        Some(until) => {
            format!("bring back the runs that are gone, or run it again after {until}: until then, they count")
        }
        None => "bring back the runs that are gone, or have `fresh` agreed on in the plan: without it, they count for ever".to_owned(),
    }
}

/// When a run leaves the window, to the second.
fn leaves(wanted: Wanted<'_>, began: Timestamp) -> Option<Timestamp> {
    let fresh_ns = i64::try_from(wanted.evidence.fresh_ns?).ok()?;
    let left = began.checked_add(SignedDuration::from_nanos(fresh_ns)).ok()?;
    // Rounded up: at that second it has left.
    Timestamp::from_second(left.as_second().saturating_add(1)).ok()
}

fn is_index_in_doubt(inputs: &Inputs) -> bool {
    inputs.index.damaged.is_some() || lost::unlisted(inputs).is_some()
}
