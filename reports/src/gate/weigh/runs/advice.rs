//! What to do about runs that do not pass a gate.
//!
//! All runs in the window count, so that another run beside one that failed decides nothing. The advice is what the rules allow: a newer
//! build, another environment, newer runs where only the latest count, or to wait, and until when. A waiver is for a person to give.

use jiff::{SignedDuration, Timestamp};
use notation::shell::quoted;

use super::{Counted, Wanted, lost};
use crate::gate::decision::{Step, Weighed};
use crate::gate::exhibit::Inputs;
use crate::gate::plan::{Select, Whose};
use crate::units;
use crate::verdict::Verdict;

/// Why evidence does not pass.
pub(super) struct Open<'a> {
    /// Runs; where the gate asks for several environments, these.
    pub(super) missing: u32,
    /// Runs are gone, or cannot be judged.
    pub(super) blocked: bool,
    /// When the newest of the runs that count began which did not pass.
    pub(super) stuck: Option<Timestamp>,
    /// The directories of runs that would count if a key of the gate had signed a seal with them.
    pub(super) unsealed: Vec<&'a str>,
}

/// The newest of those that count and did not pass.
pub(super) fn newest(counted: &[Counted<'_>]) -> Option<Timestamp> {
    let open = counted.iter().filter(|run| run.verdict >= Verdict::Inconclusive);
    open.filter_map(|run| run.run.started()).max()
}

pub(super) fn step(wanted: Wanted<'_>, weighed: &Weighed, open: &Open<'_>) -> Option<Step> {
    if weighed.verdict < Verdict::Inconclusive {
        return None;
    }
    let (recipe, inputs) = (wanted.recipe, wanted.question.inputs);
    let is_elsewhere = wanted.runs.environments.is_some();
    let need = wanted.runs.runs;
    let here = || inputs.caller.out.clone();
    let (what, runs, out) = match (weighed.verdict, open.stuck) {
        (Verdict::Fail, _) if is_elsewhere && wanted.runs.build == Whose::Any => {
            (format!("mend what fails, and {}{}", elsewhere(open.missing), and_seal(wanted)), need, here())
        }
        (Verdict::Fail, stuck) => {
            (format!("mend what fails, and {}", anew(wanted, Verdict::Fail, stuck)), need, here())
        }
        _ if open.blocked && is_index_in_doubt(inputs) => (
            "bring the index of runs back as it was, or make the runs again in a new directory".to_owned(),
            need,
            inputs.caller.out_anew(),
        ),
        _ if open.blocked => (back(wanted), need, here()),
        _ if wanted.runs.build == Whose::This && wanted.question.commit.is_none() => {
            let (then, runs) = if is_elsewhere {
                (elsewhere(open.missing) + &and_seal(wanted), need)
            } else {
                (run(wanted, open.missing), open.missing.max(1))
            };
            let what = "commit the changes and build again: no run of a build without a commit counts";
            (format!("{what}; then {then}"), runs, here())
        }
        (verdict, Some(stuck)) if !is_elsewhere => {
            let anew = anew(wanted, verdict, Some(stuck));
            (format!("find out why a run that counts is INCONCLUSIVE, and {anew}"), need, here())
        }
        _ if !open.unsealed.is_empty() && (is_elsewhere || open.unsealed.len() >= open.missing as usize) => {
            return Some(seal(wanted, &open.unsealed));
        }
        _ if is_elsewhere => (elsewhere(open.missing) + &and_seal(wanted), need, here()),
        _ => {
            let runs = open.missing.saturating_sub(open.unsealed.len() as u32).max(1);
            (run(wanted, runs), runs, here())
        }
    };
    let times = if runs > 1 { format!(" --runs {runs}") } else { String::new() };
    Some(Step {
        evidence: wanted.evidence.name.clone(),
        what,
        command: format!("{}{times}{out}", recipe.command),
        takes_ns: Some(recipe.takes_ns.saturating_mul(u64::from(runs))),
    })
}

fn run(wanted: Wanted<'_>, times: u32) -> String {
    let times = if times > 1 { format!("{times} times") } else { "once".to_owned() };
    format!("run it {times}{}", and_seal(wanted))
}

/// Where a signature is asked, a new run is in no seal either.
fn and_seal(wanted: Wanted<'_>) -> String {
    let keys = &wanted.runs.signed_by;
    if keys.is_empty() {
        return String::new();
    }
    format!(", seal the runs with the private key of {}, and give the archive with --seal", keys.join(" or "))
}

/// Runs that are there, and that no key has signed.
fn seal(wanted: Wanted<'_>, unsealed: &[&str]) -> Step {
    let directories: Vec<String> = unsealed.iter().map(|directory| quoted(directory)).collect();
    let what = format!(
        "seal the runs that are there with the private key of {} (its file in place of `key.pem`), and give the archive with --seal",
        wanted.runs.signed_by.join(" or ")
    );
    let name = quoted(&format!("{}.seal.tar", wanted.recipe.name));
    Step {
        evidence: wanted.evidence.name.clone(),
        what,
        command: format!("harness seal {} --key key.pem --out {name}", directories.join(" ")),
        takes_ns: None,
    }
}

fn elsewhere(missing: u32) -> String {
    match missing {
        0 | 1 => "run it in another environment".to_owned(),
        _ => format!("run it in {missing} environments where it was not tried"),
    }
}

/// How runs come to decide that a run which counts does not: `began` is when the newest of these did. What fails is mended in a newer
/// commit, and can be waived; what is INCONCLUSIVE may say more when it runs again as it is.
fn anew(wanted: Wanted<'_>, verdict: Verdict, began: Option<Timestamp>) -> String {
    let is_failed = verdict == Verdict::Fail;
    let sealed = and_seal(wanted);
    match (wanted.runs.build, wanted.runs.select) {
        (Whose::This, select) if is_failed || select == Select::All => {
            return format!(
                "run it with a build of a newer commit{sealed}: what this build has run counts against it"
            );
        }
        (_, Select::Latest(n)) => {
            return format!("run it {}{sealed}: the latest {n} count", units::things(n.into(), "time"));
        }
        (_, Select::All) => {}
    }
    if let Some(until) = began.and_then(|began| leaves(wanted, began)) {
        return format!("run it again after {until}{sealed}: until then, the run that does not pass counts");
    }
    let waived = if is_failed { "the failure waived, or " } else { "" };
    format!(
        "have {waived}`fresh` or `build = \"this\"` agreed on in the plan: without them, the run that does not pass counts for ever"
    )
}

/// Runs that are gone, or that cannot be read.
fn back(wanted: Wanted<'_>) -> String {
    let lost::Lost { newest, is_of_build, is_unreadable } = lost::lost(wanted);
    if is_unreadable {
        return "bring back the logs that cannot be read, from a copy".to_owned();
    }
    if is_of_build {
        return format!(
            "bring back the runs that are gone, or run it with a build of a newer commit{}",
            and_seal(wanted)
        );
    }
    match newest.and_then(|began| leaves(wanted, began)) {
        Some(until) => {
            format!(
                "bring back the runs that are gone, or run it again after {until}{}: until then, they count",
                and_seal(wanted)
            )
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
