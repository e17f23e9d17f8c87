//! Evidence that is runs of a scenario.
//!
//! All runs of the scenario in the window count, and the worst of them decides: none can be picked out. What does not
//! count is shown with its reason.

mod admit;
mod advice;
mod formerly;
mod lost;
mod matrix;

use std::collections::{BTreeMap, BTreeSet};

use admit::{Admitted, Doubt};

use super::{Answer, Question, bands, worst};
use crate::gate::builds::is_newer;
use crate::gate::decision::{Finding, RunShown, Step, Weighed};
use crate::gate::exhibit::{Exhibit, JudgedRun, Recipe};
use crate::gate::plan::{Evidence, Quorum, Runs, Select, Whose};
use crate::units;
use crate::verdict::{Check, Verdict};
use notation::suggest;

/// How many environments that do not pass the headline of one that passes names.
const OTHERS_NAMED_MAX: usize = 3;

/// What a piece of evidence asks of runs.
#[derive(Clone, Copy)]
struct Wanted<'a> {
    evidence: &'a Evidence,
    runs: &'a Runs,
    recipe: &'a Recipe,
    question: Question<'a>,
}

/// A run that counts, and what it amounts to.
struct Counted<'a> {
    run: &'a JudgedRun,
    findings: Vec<Finding>,
    verdict: Verdict,
    /// It is one of the runs that are asked for, and does not only count against.
    is_asked: bool,
}

pub(super) fn weigh(evidence: &Evidence, runs: &Runs, question: Question<'_>) -> Answer {
    let recipes = question.inputs.recipes.get(&runs.recipe()).map(Vec::as_slice).unwrap_or_default();
    if let Some(unusable) = unusable(evidence, runs, recipes, question) {
        return unanswered(evidence, runs, unusable);
    }
    let mut answer = match recipes {
        [recipe] => weigh_known(Wanted { evidence, runs, recipe, question }),
        cells => matrix::weigh(evidence, runs, cells, question),
    };
    if let Some(recipe) = recipes.first() {
        formerly::other_names(Wanted { evidence, runs, recipe, question }, &mut answer.weighed);
    }
    answer
}

/// Why a piece of evidence has no answer whatever was run, and what to do.
struct Unusable {
    why: String,
    what: String,
    command: String,
}

fn unusable(
    evidence: &Evidence,
    runs: &Runs,
    recipes: &[Recipe],
    question: Question<'_>,
) -> Option<Unusable> {
    let caller = &question.inputs.caller;
    let validate = format!("harness validate {}", caller.file(&runs.scenario));
    if recipes.is_empty() {
        let why = format!("{} was not read", runs.scenario);
        return Some(Unusable { what: why.clone(), why, command: validate });
    }
    if let Some(pin) = &runs.sha256
        && let Some(other) = recipes.iter().find(|recipe| !runs.admits(&recipe.sha256))
    {
        return Some(Unusable {
            why: format!(
                "{} is not the text that the plan asks for: its SHA-256 is {}, and `sha256` of the evidence is {pin}",
                runs.scenario, other.sha256
            ),
            what: format!(
                "bring the asked text of {} back, or have the new one agreed on and pin it at {} (`harness phases --pin{}`)",
                runs.scenario, evidence.place, caller.phases
            ),
            command: format!("git log -p -- {}", caller.file(&runs.scenario)),
        });
    }
    let why = recipes.iter().find_map(|recipe| unknown_criterion(evidence, runs, recipe, question))?;
    Some(Unusable { what: why.clone(), why, command: validate })
}

fn unanswered(evidence: &Evidence, runs: &Runs, Unusable { why, what, command }: Unusable) -> Answer {
    let mut weighed = Weighed::open(evidence, asked(evidence, runs));
    weighed.found = why;
    let step = Step { evidence: evidence.name.clone(), what, command, takes_ns: None };
    Answer { weighed, steps: vec![step], is_closed: false }
}

/// A name that a gate or a waiver uses and the scenario does not have.
fn unknown_criterion(
    evidence: &Evidence,
    runs: &Runs,
    recipe: &Recipe,
    question: Question<'_>,
) -> Option<String> {
    let of_evidence = runs.criteria.iter().map(|name| (name, &evidence.place));
    let waivers = question.gate.waivers.iter().filter(|waiver| waiver.evidence == evidence.name);
    let mut used = of_evidence.chain(waivers.map(|waiver| (&waiver.criterion, &waiver.place)));
    let (unknown, place) = used.find(|(name, _)| !recipe.criteria.contains(name))?;
    let known: Vec<&str> = recipe.criteria.iter().map(String::as_str).collect();
    Some(format!(
        "{} has no criterion `{unknown}`, which the plan names at {place}: {}",
        runs.scenario,
        suggest::hint(unknown, &known)
    ))
}

/// In words.
fn asked(evidence: &Evidence, runs: &Runs) -> String {
    let profile = runs.profile.as_ref().map(|profile| format!(" with profile {profile}"));
    let environments = runs
        .environments
        .map(|quorum| format!(" in each of {}", units::things(quorum.pass.into(), "environment")));
    let pinned = runs.sha256.as_ref().map(|pin| format!(" with SHA-256 {}…", admit::start(pin)));
    let host = (runs.host == Whose::This).then(|| ", of a host like this one".to_owned());
    let build = (runs.build == Whose::This).then(|| ", of this build".to_owned());
    let signed = (!runs.signed_by.is_empty())
        .then(|| format!(", in a seal signed by {}", runs.signed_by.join(" or ")));
    let fresh = evidence.fresh_ns.map(|ns| format!(", at most {} old", units::nanos(ns)));
    let counts = match runs.select {
        Select::All => "; all in that time count, and the worst decides".to_owned(),
        Select::Latest(n) => format!("; the latest {n} count, and the worst decides"),
    };
    let asked = format!("{} of {}", units::things(runs.runs.into(), "run"), runs.scenario);
    let parts = [Some(asked), pinned, profile, environments, host, build, signed, fresh, Some(counts)];
    parts.into_iter().flatten().collect()
}

fn weigh_known(wanted: Wanted<'_>) -> Answer {
    let mut weighed = Weighed::open(wanted.evidence, asked(wanted.evidence, wanted.runs));
    let mut admitted = admit::all(wanted);
    let (mut counted, mut unsealed) = (Vec::new(), Vec::new());
    for Admitted { exhibit, why_not, doubt } in &mut admitted {
        if let (Ok(run), None) = (&exhibit.judged, &why_not) {
            let Wanted { evidence, runs, question, .. } = wanted;
            let findings = bands::findings(evidence, runs, question, &exhibit.directory, run);
            let verdict = worst(&findings).unwrap_or(Verdict::Inconclusive);
            // A signature is asked for what speaks for the gate. What speaks against it counts without one; so does what may be no copy.
            let why = doubt.as_ref().map(Doubt::why);
            if let (Verdict::Pass, Some(why)) = (verdict, why) {
                *why_not = Some(why.to_owned());
                unsealed.extend(matches!(doubt, Some(Doubt::Unsigned(_))).then_some(&*exhibit.directory));
            } else {
                weighed.notes.extend(why.map(|why| {
                    format!(
                        "{}: {why}; it did not pass, so it counts against all the same",
                        exhibit.directory
                    )
                }));
                weighed.notes.extend(remark(exhibit, run));
                counted.push(Counted { run, findings, verdict, is_asked: why.is_none() });
            }
        }
        let mut shown = show(exhibit, why_not.clone());
        shown.verdict = counted.last().filter(|_| shown.counts).map(|run| run.verdict);
        weighed.runs.push(shown);
    }
    let missing = settle(wanted, &counted, &mut weighed);
    let stuck = advice::newest(&counted);
    let blocked = lost::notes(wanted, &admitted, &mut weighed);
    if blocked {
        weighed.verdict = weighed.verdict.max(Verdict::Inconclusive);
    }
    history(wanted, &admitted, &counted, &mut weighed);
    formerly::other_texts(wanted, &admitted, &mut weighed);
    let is_closed = blocked || counted.iter().any(|run| run.verdict == Verdict::Inconclusive);
    weighed.findings = counted.into_iter().flat_map(|run| run.findings).collect();
    let step = advice::step(wanted, &weighed, &advice::Open { missing, blocked, stuck, unsealed });
    Answer { weighed, steps: step.into_iter().collect(), is_closed }
}

/// What a run's log does not show, although it does not contradict itself.
fn remark(exhibit: &Exhibit, run: &JudgedRun) -> Option<String> {
    let check = run.judgement.evidence.iter().find(|check| check.name == Check::LogConsistent.name())?;
    check.note.as_ref().map(|note| format!("{}: {note}", exhibit.directory))
}

fn show(exhibit: &Exhibit, why_not: Option<String>) -> RunShown {
    let counts = why_not.is_none() && exhibit.judged.is_ok();
    let Ok(run) = &exhibit.judged else {
        return RunShown {
            directory: exhibit.directory.clone(),
            run_id: String::new(),
            started_utc: String::new(),
            headline: "unreadable".to_owned(),
            verdict: None,
            environment: String::new(),
            host: String::new(),
            build: String::new(),
            counts,
            why_not,
        };
    };
    let judgement = &run.judgement;
    RunShown {
        directory: exhibit.directory.clone(),
        run_id: judgement.run_id.clone(),
        started_utc: judgement.started_utc.clone(),
        headline: judgement.headline(),
        verdict: None,
        environment: run.environment().to_owned(),
        host: run.host.fingerprint.clone(),
        build: format!("{}{}", run.build.git, if run.build.dirty { " (changed)" } else { "" }),
        counts,
        why_not,
    }
}

/// Verdict and words; how many runs are missing, or environments where the gate asks for several.
fn settle(wanted: Wanted<'_>, counted: &[Counted<'_>], weighed: &mut Weighed) -> u32 {
    match wanted.runs.environments {
        Some(quorum) => settle_quorum(wanted, quorum, counted, weighed),
        None => settle_plain(wanted, counted, weighed),
    }
}

fn settle_plain(wanted: Wanted<'_>, counted: &[Counted<'_>], weighed: &mut Weighed) -> u32 {
    let asked = counted.iter().filter(|run| run.is_asked).count() as u32;
    let (have, need) = (counted.len() as u32, wanted.runs.runs);
    let worst = counted.iter().map(|run| run.verdict).max();
    let missing = need.saturating_sub(asked);
    weighed.verdict = match worst {
        None => Verdict::Inconclusive,
        Some(worst) if missing > 0 => worst.max(Verdict::Inconclusive),
        Some(worst) => worst,
    };
    let others = weighed.runs.iter().filter(|run| !run.counts).count();
    weighed.found = match have {
        0 => format!("no run counts, of {need} asked for"),
        1 => format!("1 run counts, of {need} asked for: {}", tally(counted)),
        _ => format!("{have} runs count, of {need} asked for: {}", tally(counted)),
    };
    let others = match others {
        0 => String::new(),
        1 => "; 1 other does not count".to_owned(),
        _ => format!("; {others} others do not count"),
    };
    weighed.found.push_str(&others);
    missing
}

/// `1 PASS, 9 FAIL`
fn tally(counted: &[Counted<'_>]) -> String {
    let order = [Verdict::Pass, Verdict::Conditional, Verdict::Inconclusive, Verdict::Fail];
    let count = |verdict| counted.iter().filter(|run| run.verdict == verdict).count();
    let parts: Vec<String> = order
        .into_iter()
        .filter(|verdict| count(*verdict) > 0)
        .map(|verdict| format!("{} {}", count(verdict), verdict.word()))
        .collect();
    parts.join(", ")
}

/// By environment; each amounts to the worst of its runs, once it has enough of them.
fn settle_quorum(wanted: Wanted<'_>, quorum: Quorum, counted: &[Counted<'_>], weighed: &mut Weighed) -> u32 {
    let mut environments: BTreeMap<&str, Vec<&Counted<'_>>> = BTreeMap::new();
    for run in counted {
        environments.entry(run.run.environment()).or_default().push(run);
    }
    let need = wanted.runs.runs as usize;
    let of = |runs: &Vec<&Counted<'_>>| {
        let worst = runs.iter().map(|run| run.verdict).max().unwrap_or(Verdict::Inconclusive);
        let asked = runs.iter().filter(|run| run.is_asked).count();
        if asked < need { worst.max(Verdict::Inconclusive) } else { worst }
    };
    let verdicts: Vec<(&str, Verdict)> = environments.iter().map(|(name, all)| (*name, of(all))).collect();
    let count =
        |is: &dyn Fn(Verdict) -> bool| verdicts.iter().filter(|(_, verdict)| is(*verdict)).count() as u32;
    let (pass, works) = (count(&|v| v == Verdict::Pass), count(&|v| v <= Verdict::Conditional));
    let decided = works + count(&|v| v == Verdict::Fail);
    weighed.verdict = if pass >= quorum.pass {
        Verdict::Pass
    } else if works >= quorum.pass {
        Verdict::Conditional
    } else if decided < quorum.pass {
        Verdict::Inconclusive
    } else if quorum.conditional.is_some_and(|least| works >= least) {
        Verdict::Conditional
    } else {
        Verdict::Fail
    };
    let listed: Vec<String> =
        verdicts.iter().map(|(name, verdict)| format!("{name} {}", verdict.word())).collect();
    // It may pass by the others: a director has to see the one that did not.
    let others = verdicts.iter().filter(|(_, verdict)| *verdict >= Verdict::Inconclusive);
    let others: Vec<String> = others.map(|(name, verdict)| format!("{name} is {}", verdict.word())).collect();
    weighed.qualifies = (!others.is_empty()).then(|| {
        let named = others.iter().take(OTHERS_NAMED_MAX).map(String::as_str).collect::<Vec<_>>().join(", ");
        let more = others.len().saturating_sub(OTHERS_NAMED_MAX);
        let more = if more > 0 { format!(", and {more} more") } else { String::new() };
        format!("in {works} of {}, {named}{more}", units::things(verdicts.len() as u64, "environment"))
    });
    let listed = if listed.is_empty() { "none tried".to_owned() } else { listed.join(", ") };
    weighed.found =
        format!("works in {works} of {}: {listed}", units::things(quorum.pass.into(), "environment"));
    // Another environment may pass beside one that fails.
    let open = if weighed.verdict == Verdict::Inconclusive { decided } else { works };
    quorum.pass.saturating_sub(open)
}

/// One green after nine reds is said in so many words.
fn history(wanted: Wanted<'_>, admitted: &[Admitted<'_>], counted: &[Counted<'_>], weighed: &mut Weighed) {
    let newest = counted.iter().max_by_key(|run| run.run.judgement.started_utc.clone());
    let bad = counted.iter().filter(|run| run.verdict >= Verdict::Inconclusive).count();
    if let Some(newest) = newest.filter(|newest| newest.verdict <= Verdict::Conditional && bad > 0) {
        let word = newest.verdict.word();
        weighed.notes.push(format!("one {word} after {bad} that did not pass: all of them count"));
    }
    let beside = admitted.iter().filter(|one| is_hidden(wanted, one));
    let hidden: Vec<&JudgedRun> = beside.filter_map(|one| one.exhibit.judged.as_deref().ok()).collect();
    weighed.runs_beside += hidden.len();
    if !hidden.is_empty() {
        weighed.notes.push(format!(
            "{} among those that do not count did not pass by the scenario's own criteria{}",
            units::things(hidden.len() as u64, "run"),
            by_newer_builds(wanted, &hidden)
        ));
    }
}

/// Whether it does not count and did not pass by its own criteria. Runs of another profile answer another question.
fn is_hidden(wanted: Wanted<'_>, one: &Admitted<'_>) -> bool {
    let is_red = |run: &JudgedRun| {
        let judgement = &run.judgement;
        judgement.verdict != Verdict::Pass && judgement.variant.profile == wanted.runs.profile
    };
    one.why_not.is_some() && one.exhibit.judged.as_deref().is_ok_and(is_red)
}

/// A decision for an older build says that a newer one did not pass.
fn by_newer_builds(wanted: Wanted<'_>, hidden: &[&JudgedRun]) -> String {
    let question = wanted.question;
    let commit = question.commit.filter(|_| wanted.runs.build == Whose::This);
    let Some(commit) = commit else { return String::new() };
    let of_builds = hidden.iter().filter_map(|run| run.build.commit());
    let newer: Vec<&str> = of_builds.filter(|other| is_newer(question.inputs, other, commit)).collect();
    let names: BTreeSet<&str> = newer.iter().copied().collect();
    if newer.is_empty() {
        return String::new();
    }
    let names: Vec<&str> = names.into_iter().collect();
    format!(
        "; {} of them {} of a newer build than {commit}: {}",
        newer.len(),
        if newer.len() == 1 { "is" } else { "are" },
        names.join(", ")
    )
}
