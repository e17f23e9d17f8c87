//! Which runs of the scenario count, and why the others do not.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::Wanted;
use crate::gate::builds::is_same_commit;
use crate::gate::exhibit::{Exhibit, JudgedRun};
use crate::gate::index::Entry;
use crate::gate::plan::{Select, Whose};
use crate::gate::weigh::is_signed;
use crate::units;

/// A run of the scenario, and what the gate makes of it.
pub(super) struct Admitted<'a> {
    pub(super) exhibit: &'a Exhibit,
    /// Why it does not count.
    pub(super) why_not: Option<String>,
    /// Why it is none of the runs that are asked for, and counts against all the same where it did not pass.
    pub(super) doubt: Option<Doubt>,
}

pub(super) enum Doubt {
    /// No key vouches for it, although the gate asks for that.
    Unsigned(String),
    /// It is a copy, and what it seems to be a copy of does not count.
    Copied(String),
}

impl Doubt {
    pub(super) fn why(&self) -> &str {
        let (Self::Unsigned(why) | Self::Copied(why)) = self;
        why
    }
}

/// Every run of the scenario, each with the reason why it does not count. In the order of their directories.
pub(super) fn all(wanted: Wanted<'_>) -> Vec<Admitted<'_>> {
    let index = &wanted.question.inputs.index.entries;
    let index: BTreeMap<&str, &Entry> = index.iter().map(|entry| (&*entry.run_id, entry)).collect();
    let exhibits = wanted.question.inputs.exhibits.iter();
    let of_scenario: Vec<&Exhibit> =
        exhibits.filter(|exhibit| exhibit.scenario == wanted.recipe.name).collect();
    let copies = copies(&of_scenario, &index);
    let mut admitted: Vec<_> = of_scenario
        .into_iter()
        .enumerate()
        .map(|(place, exhibit)| {
            let why_not = match &exhibit.judged {
                Err(why) => Some(format!("its log does not verify: {why}")),
                Ok(run) => index
                    .get(&*run.judgement.run_id)
                    .and_then(|entry| altered(entry, exhibit, run))
                    .or_else(|| refused(wanted, run)),
            };
            let copied = copies.get(&place).map(|copy| Doubt::Copied(copy.why.clone()));
            Admitted { exhibit, why_not, doubt: copied.or_else(|| unsigned(wanted, exhibit)) }
        })
        .collect();
    if let Select::Latest(n) = wanted.runs.select {
        keep_latest(&mut admitted, n as usize);
    }
    leave_out_copies(&mut admitted, &copies);
    admitted
}

/// A copy does not count beside what it is a copy of. Where that does not count either, the copy stays in doubt: it may be the run itself,
/// and the other one a copy that was given another date or build to hide it.
fn leave_out_copies(admitted: &mut [Admitted<'_>], copies: &BTreeMap<usize, Copied>) {
    let counts = |place: &usize| admitted[*place].why_not.is_none() && !copies.contains_key(place);
    let counting: BTreeSet<usize> = (0..admitted.len()).filter(counts).collect();
    for (place, one) in admitted.iter_mut().enumerate() {
        let copy = copies.get(&place).filter(|copy| counting.contains(&copy.of));
        one.why_not = copy.map(|copy| copy.why.clone()).or(one.why_not.take());
    }
}

/// A run that is there once more.
struct Copied {
    /// The place of what it is a copy of.
    of: usize,
    why: String,
}

/// A run counts once, however often it lies there: the places of the copies, each with what shows it. Of several that are one run,
/// that one is the original which is in the index as it is; else the one that was judged worse; else one that a key has signed; else the one
/// that says that it began first. So the name of a directory chooses nothing, and no copy is newer than what it was made of. Two runs that began at the same time are two.
///
/// A run is known by its place among the others: two directories whose names are no text may be shown alike.
fn copies(exhibits: &[&Exhibit], index: &BTreeMap<&str, &Entry>) -> BTreeMap<usize, Copied> {
    let judged = exhibits.iter().enumerate();
    let mut judged: Vec<(usize, &Exhibit, &JudgedRun)> = judged
        .filter_map(|(place, exhibit)| Some((place, *exhibit, exhibit.judged.as_deref().ok()?)))
        .collect();
    judged.sort_by_key(|(_, exhibit, run)| {
        let id = &*run.judgement.run_id;
        let is_indexed = index.get(id).is_some_and(|entry| altered(entry, exhibit, run).is_none());
        let is_unsigned = exhibit.signers.is_empty();
        (!is_indexed, Reverse(run.judgement.verdict), is_unsigned, run.started(), id, &*exhibit.directory)
    });
    let (mut ids, mut logs, mut records) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    let mut copies = BTreeMap::new();
    for (place, exhibit, run) in judged {
        let id = &*run.judgement.run_id;
        let of = |seen: &BTreeMap<&str, usize>, key: &str| {
            seen.get(key).map(|of| (*of, &*exhibits[*of].directory))
        };
        let log = of(&logs, &exhibit.log_sha256).map(|(of, name)| (of, format!("its log is that of {name}")));
        let recorded = of(&records, &exhibit.records_sha256).map(|(of, name)| {
            (of, format!("all that it recorded is what {name} recorded, under another header"))
        });
        let named =
            of(&ids, id).map(|(of, name)| (of, format!("it has the id of another run, {id} in {name}")));
        if let Some((of, what)) = log.or(recorded).or(named) {
            copies.insert(place, Copied { of, why: format!("{what}: it is a copy") });
        }
        ids.entry(id).or_insert(place);
        // What could not be read has no hash, and is not the same by that.
        for (seen, hash) in [(&mut logs, &*exhibit.log_sha256), (&mut records, &*exhibit.records_sha256)] {
            if !hash.is_empty() {
                seen.entry(hash).or_insert(place);
            }
        }
    }
    copies
}

/// The index has another log for it, or more of it; of a run that did not end, another header.
pub(super) fn altered(entry: &Entry, exhibit: &Exhibit, run: &JudgedRun) -> Option<String> {
    let logs = &exhibit.log_sha256;
    if entry.is_unfinished() {
        if let Some(other) = entry.contradicts(&run.judgement, &run.host, &run.build) {
            return Some(format!(
                "its header was changed after the run began: {other}, says the index of runs"
            ));
        }
        return (!entry.is_followed_by(logs)).then(|| {
            let what = if entry.is_begun_by(logs) {
                "the segment that had begun is gone"
            } else {
                "it does not begin with what it was when the run went on"
            };
            format!("its log was changed after the run: {what}, says the index of runs")
        });
    }
    (entry.log_sha256 != *logs || entry.has_lost_its_log()).then(|| {
        format!(
            "its log was changed after the run: it was {} when it ended, says the index of runs",
            entry.verdict
        )
    })
}

fn unsigned(wanted: Wanted<'_>, exhibit: &Exhibit) -> Option<Doubt> {
    let keys = &wanted.runs.signed_by;
    (!is_signed(keys, &exhibit.signers))
        .then(|| Doubt::Unsigned(format!("it is in no seal that is signed by {}", keys.join(" or "))))
}

fn refused(wanted: Wanted<'_>, run: &JudgedRun) -> Option<String> {
    let judgement = &run.judgement;
    let variant = &judgement.variant;
    if let Some(factor) = variant.rehearsal {
        return Some(format!("it is a rehearsal, compressed {factor} times"));
    }
    if !variant.overrides.is_empty() {
        return Some(format!("it ran with overrides: {}", variant.overrides.join(", ")));
    }
    if let Some(smaller) = variant.smaller {
        return Some(format!("its fleet was partial: {}", smaller.words()));
    }
    if let Some(by) = &variant.judged_by {
        return Some(format!("it was judged by the criteria of {}", by.file));
    }
    profile(wanted, variant.profile.as_deref())
        .or_else(|| {
            let sha256 = judgement.file.as_ref().map_or("", |file| &file.sha256);
            (sha256 != wanted.recipe.sha256).then(|| match &wanted.runs.sha256 {
                Some(pin) => {
                    format!("it ran another text of the scenario: its SHA-256 is {sha256}, and the plan asks for {pin}")
                }
                None => format!(
                    "it ran another text of the scenario: its SHA-256 begins with {}, that of {} with {}",
                    start(sha256),
                    wanted.runs.scenario,
                    start(&wanted.recipe.sha256)
                ),
            })
        })
        .or_else(|| foreign(wanted, run))
        .or_else(|| out_of_window(wanted, run.started()))
}

/// Enough digits for a reader to see which text it is.
pub(super) fn start(sha256: &str) -> &str {
    sha256.get(..12).unwrap_or(sha256)
}

fn profile(wanted: Wanted<'_>, ran: Option<&str>) -> Option<String> {
    match (ran, wanted.runs.profile.as_deref()) {
        (ran, asked) if ran == asked => None,
        (Some(ran), None) => Some(format!("it ran with profile {ran}, which this gate does not name")),
        (Some(ran), Some(asked)) => Some(format!("it ran with profile {ran}, and this gate names {asked}")),
        (None, asked) => Some(format!("it ran without profile {}", asked.unwrap_or_default())),
    }
}

fn foreign(wanted: Wanted<'_>, run: &JudgedRun) -> Option<String> {
    let here = &wanted.question.inputs.circumstances;
    if wanted.runs.host == Whose::This && run.host.fingerprint != here.fingerprint {
        return Some(format!(
            "it is of another host: its fingerprint is {}, this one's {}",
            run.host.fingerprint, here.fingerprint
        ));
    }
    if wanted.runs.build == Whose::Any {
        return None;
    }
    let Some(commit) = wanted.question.commit else {
        return Some("this build has no commit that a run could be held against".to_owned());
    };
    if run.build.dirty {
        return Some(format!("its build, of {}, had changes that are in no commit", run.build.git));
    }
    (!is_same_commit(&run.build.git, commit)).then(|| {
        let this = if here.commit.as_deref() == Some(commit) { "this one" } else { "the one that decided" };
        format!("it is of another build: {}, and {this} is {commit}", run.build.git)
    })
}

/// Stale, or from the future.
pub(super) fn out_of_window(wanted: Wanted<'_>, started: Option<Timestamp>) -> Option<String> {
    let Some(started) = started else { return Some("its start cannot be read".to_owned()) };
    let at = wanted.question.at;
    if started > at {
        return Some(format!("it started at {started}, after {at}"));
    }
    let age_ns = u64::try_from(at.duration_since(started).as_nanos()).unwrap_or(u64::MAX);
    let most_ns = wanted.evidence.fresh_ns?;
    (age_ns > most_ns).then(|| {
        format!(
            "it is stale: it started {} before, and may be {} old",
            units::nanos(age_ns),
            units::nanos(most_ns)
        )
    })
}

/// Those in doubt take no place among them, and none can push another one out.
fn keep_latest(admitted: &mut [Admitted<'_>], n: usize) {
    let started = |exhibit: &Exhibit| exhibit.judged.as_ref().ok().and_then(|run| run.started());
    let mut starts: Vec<_> = admitted
        .iter()
        .filter(|one| one.why_not.is_none() && one.doubt.is_none())
        .filter_map(|one| started(one.exhibit))
        .collect();
    starts.sort_unstable_by(|a, b| b.cmp(a));
    let Some(least) = starts.get(n.saturating_sub(1)).copied() else { return };
    for Admitted { exhibit, why_not, .. } in admitted.iter_mut().filter(|one| one.why_not.is_none()) {
        if started(exhibit).is_some_and(|at| at < least) {
            *why_not = Some(format!("it is not among the latest {n}"));
        }
    }
}
