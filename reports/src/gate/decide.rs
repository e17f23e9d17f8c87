//! From a plan, runs and files to a decision.
//!
//! The worst piece of evidence decides: FAIL before INCONCLUSIVE before CONDITIONAL before PASS. A gate opens only when those before
//! it are passed; these are decided as of the newest time at which their own evidence was complete, by the build of that time, so
//! that a decision does not lapse because the project went on.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::civil::Date;

use super::builds;
use super::decision::{
    APPLIED, Before, DECISION_VERSION, Decision, EXPIRED, Finding, MeasuredRisk, OpenOption, Step, WaiverUse,
    Weighed, opens, word,
};
use super::exhibit::{Circumstances, Found, Inputs};
use super::plan::{Evidence, Gate, Likelihood, Plan, Risk, Runs, Source, Whose};
use super::weigh::{Answer, Question, weigh};
use crate::verdict::{Exit, Verdict};

/// Decides one gate.
pub fn decide(plan: &Plan, gate: &Gate, inputs: &Inputs) -> Decision {
    decide_after(plan, gate, inputs, &mut Vec::new())
}

/// Decides all gates of a plan, in their order.
pub fn decide_all(plan: &Plan, inputs: &Inputs) -> Vec<Decision> {
    let mut decided = Vec::new();
    plan.gates.iter().map(|gate| decide_after(plan, gate, inputs, &mut decided)).collect()
}

/// `decided` keeps the gates that others wait for: each is weighed once, however many wait for it.
fn decide_after(plan: &Plan, gate: &Gate, inputs: &Inputs, decided: &mut Vec<Before>) -> Decision {
    for earlier in plan.chain(gate) {
        if earlier.name != gate.name && !decided.iter().any(|done| done.gate == earlier.name) {
            decided.push(settled(plan, earlier, inputs, decided));
        }
    }
    let before = plan.before(gate);
    let before = before
        .iter()
        .filter_map(|earlier| decided.iter().find(|done| done.gate == earlier.name).cloned())
        .collect();
    decision(plan, gate, inputs, before)
}

/// A gate that others wait for: the newest answer that its evidence gives.
fn settled(plan: &Plan, gate: &Gate, inputs: &Inputs, decided: &[Before]) -> Before {
    let day = inputs.circumstances.day();
    let is_open = plan
        .before(gate)
        .iter()
        .all(|earlier| decided.iter().any(|done| done.gate == earlier.name && opens(done.verdict)));
    let answer = |Moment { at, commit }: Moment<'_>| {
        let question = Question { gate, inputs, at, commit };
        let answers = gate.evidence.iter().map(|evidence| weigh(evidence, question));
        let (weighed, closed): (Vec<Weighed>, Vec<bool>) =
            answers.map(|answer| (answer.weighed, answer.is_closed)).unzip();
        (weighed, closed.contains(&true))
    };
    let mut basis = by_now(gate, inputs);
    let (weighed, mut is_closed) = answer(basis);
    let mut verdict = merged(&weighed);
    let mut used = waivers(gate, &weighed, day);
    for earlier in moments(gate, inputs) {
        if verdict != Verdict::Inconclusive || is_closed {
            break;
        }
        let (weighed, closes) = answer(earlier);
        is_closed = closes;
        if merged(&weighed) != Verdict::Inconclusive || closes {
            (basis, verdict, used) = (earlier, merged(&weighed), waivers(gate, &weighed, day));
        }
    }
    let verdict = if is_open { verdict } else { verdict.max(Verdict::Inconclusive) };
    let of_build = asks_for_a_build(gate).then(|| basis.commit.map(str::to_owned)).flatten();
    Before::of(gate, verdict, basis.at.to_string(), of_build, used)
}

/// When a gate was or may have been decided, and by the build of which commit.
#[derive(Clone, Copy)]
struct Moment<'a> {
    at: Timestamp,
    commit: Option<&'a str>,
}

fn asks_for_a_build(gate: &Gate) -> bool {
    gate.evidence.iter().any(|evidence| evidence.build() == Whose::This)
}

/// Now, and by the build that decides; unless it is older than the newest one that this gate has seen. So what an old build has passed and a
/// newer one has failed opens no gate, whichever of the two looks at it.
fn by_now<'a>(gate: &'a Gate, inputs: &'a Inputs) -> Moment<'a> {
    let Circumstances { now, commit, .. } = &inputs.circumstances;
    let here = commit.as_deref();
    let newest = newest_builds(gate, inputs).range(..=*now).next_back().map(|(_, commit)| *commit);
    let is_older = |newest: &&str| here.is_some_and(|here| builds::is_newer(inputs, newest, here));
    Moment { at: *now, commit: newest.filter(is_older).or(here) }
}

/// The times at which something of a gate's evidence was made, the newest first, each with the build that was current then: the newest
/// one so far that has made any of it, where the gate asks for this build. So a gate that was passed by one build does not open again
/// because there is a newer one, it is never passed by runs of several, and what a newer build has failed is not passed because an
/// older one ran again.
fn moments<'a>(gate: &'a Gate, inputs: &'a Inputs) -> Vec<Moment<'a>> {
    let here = inputs.circumstances.commit.as_deref();
    let builds = newest_builds(gate, inputs);
    let current = |at: Timestamp| builds.range(..=at).next_back().map_or(here, |(_, commit)| Some(*commit));
    let times = anchors(gate, inputs);
    times.into_iter().rev().map(|at| Moment { at, commit: current(at) }).collect()
}

/// The commits of the runs and statements of which a gate asks that they are of one build: each by the time from which on it is the
/// newest of them.
fn newest_builds<'a>(gate: &'a Gate, inputs: &'a Inputs) -> BTreeMap<Timestamp, &'a str> {
    let names = scenarios(gate, inputs, |runs| runs.build == Whose::This);
    let of_gate = inputs.exhibits.iter().filter(|exhibit| names.contains(exhibit.scenario.as_str()));
    let of_runs = of_gate.filter_map(|exhibit| {
        let run = exhibit.judged.as_ref().ok()?;
        run.build.commit().and_then(|commit| Some((run.started()?, commit)))
    });
    let of_files = files(gate, inputs).filter(|(evidence, _)| evidence.build() == Whose::This);
    let of_files = of_files.filter_map(|(_, found)| {
        let reading = found.reading.as_ref().ok()?;
        let commit = reading.build.as_deref()?;
        Some((reading.dated?, commit))
    });
    // A run that is gone is none the less of its build.
    let entries = inputs.index.entries.iter().filter(|entry| names.contains(entry.scenario.as_str()));
    let of_index =
        entries.filter_map(|entry| Some((entry.started_utc.parse().ok()?, entry.commit.as_deref()?)));
    // Of a statement and a run of the same time, the run tells.
    let made: BTreeMap<Timestamp, &str> = of_files.chain(of_index).chain(of_runs).collect();
    // A statement alone does not make a build older: its date is what a person writes.
    let mut first: BTreeMap<&str, Option<Timestamp>> = BTreeMap::new();
    let mut began = |at: Timestamp, commit: &'a str| {
        let first = *first.entry(commit).or_insert_with(|| builds::began(inputs, commit));
        first.map_or(at, |first| first.min(at))
    };
    let mut newest: Option<Timestamp> = None;
    let is_newest = |(at, commit): &(Timestamp, &'a str)| {
        let began = began(*at, commit);
        let is_newest = newest.is_none_or(|newest| began >= newest);
        if is_newest {
            newest = Some(began);
        }
        is_newest
    };
    made.into_iter().filter(is_newest).collect()
}

/// The files of a gate that are there.
fn files<'a>(gate: &'a Gate, inputs: &'a Inputs) -> impl Iterator<Item = (&'a Evidence, &'a Found)> {
    gate.evidence.iter().filter_map(|evidence| match &evidence.source {
        Source::File(file) => Some((evidence, inputs.files.get(&(file.path.clone(), file.format))?)),
        Source::Runs(_) => None,
    })
}

/// Names of the scenarios of those runs of a gate that are asked for in this way.
fn scenarios<'a>(gate: &Gate, inputs: &'a Inputs, is_asked: impl Fn(&Runs) -> bool) -> BTreeSet<&'a str> {
    let mut names = BTreeSet::new();
    for evidence in &gate.evidence {
        match &evidence.source {
            Source::Runs(runs) if is_asked(runs) => {
                let recipes = inputs.recipes.get(&runs.recipe());
                names.extend(recipes.into_iter().flatten().map(|recipe| recipe.name.as_str()));
            }
            Source::Runs(_) | Source::File(_) => {}
        }
    }
    names
}

/// The times at which something of a gate's evidence was made; also of runs that are gone.
fn anchors(gate: &Gate, inputs: &Inputs) -> BTreeSet<Timestamp> {
    let names = scenarios(gate, inputs, |_| true);
    let there = inputs
        .exhibits
        .iter()
        .filter(|exhibit| names.contains(exhibit.scenario.as_str()))
        .filter_map(|exhibit| exhibit.judged.as_ref().ok()?.started());
    let indexed = inputs
        .index
        .entries
        .iter()
        .filter(|entry| names.contains(entry.scenario.as_str()))
        .filter_map(|entry| entry.started_utc.parse().ok());
    let of_files = files(gate, inputs).filter_map(|(_, found)| found.dated());
    there.chain(indexed).chain(of_files).filter(|started| *started <= inputs.circumstances.now).collect()
}

fn merged(evidence: &[Weighed]) -> Verdict {
    evidence.iter().map(|weighed| weighed.verdict).max().unwrap_or(Verdict::Inconclusive)
}

fn decision(plan: &Plan, gate: &Gate, inputs: &Inputs, before: Vec<Before>) -> Decision {
    let now = inputs.circumstances.now;
    let question = Question { gate, inputs, at: now, commit: inputs.circumstances.commit.as_deref() };
    let answers: Vec<Answer> = gate.evidence.iter().map(|evidence| weigh(evidence, question)).collect();
    let (mut evidence, mut steps) = (Vec::new(), Vec::new());
    for Answer { weighed, steps: missing, .. } in answers {
        evidence.push(weighed);
        steps.extend(missing);
    }
    let mut verdict = merged(&evidence);
    for closed in before.iter().filter(|done| !opens(done.verdict)) {
        verdict = verdict.max(Verdict::Inconclusive);
        let what = match closed.by_other_build(question.commit) {
            Some(build) => format!(
                "{} is {} by build {build}: this gate opens when that build or a newer one passes it",
                closed.gate, closed.outcome
            ),
            None => format!("{} is {}: this gate opens when it is passed", closed.gate, closed.outcome),
        };
        let command = format!("harness gate {}{}", closed.gate, inputs.caller.gate);
        steps.insert(0, Step { evidence: closed.gate.clone(), what, command, takes_ns: None });
    }
    Decision {
        version: DECISION_VERSION,
        gate: gate.name.clone(),
        title: gate.title.clone(),
        asks: gate.asks.clone(),
        phase: gate.phase.clone(),
        requirements: gate.requirements.clone(),
        demo: plan.demo,
        plan: plan.file.clone(),
        decided_utc: now.to_string(),
        outcome: word(gate.outcomes, verdict),
        verdict,
        exit: Exit::of(verdict),
        recommendation: recommendation(gate, verdict),
        reasons: reasons(gate, &evidence, &before, question.commit),
        conditions: conditions(gate, &evidence),
        waivers: waivers(gate, &evidence, inputs.circumstances.day())
            .into_iter()
            .chain(before.iter().flat_map(|done| done.waivers.clone()))
            .collect(),
        risks: gate.risks.iter().map(|risk| measured(risk, &evidence)).collect(),
        options: options(gate, &evidence),
        before,
        evidence,
        next: steps,
    }
}

fn recommendation(gate: &Gate, verdict: Verdict) -> String {
    match verdict {
        Verdict::Pass => gate.on_pass.clone(),
        Verdict::Conditional => gate.on_conditional.clone(),
        Verdict::Fail => gate.on_fail.clone(),
        Verdict::Inconclusive => "Do not decide yet: produce the evidence that is missing.".to_owned(),
    }
}

/// A sentence for each piece of evidence that does not pass, and for each gate before it that is not passed; the gravest first. What a gate
/// waits for comes before what it lacks itself.
fn reasons(gate: &Gate, evidence: &[Weighed], before: &[Before], here: Option<&str>) -> Vec<String> {
    let mut open: Vec<&Weighed> =
        evidence.iter().filter(|weighed| weighed.verdict != Verdict::Pass).collect();
    open.sort_by_key(|weighed| std::cmp::Reverse(weighed.verdict));
    let mut reasons: Vec<String> = open
        .iter()
        .map(|weighed| {
            let bad = weighed.findings.iter().filter(|finding| finding.verdict == weighed.verdict);
            // Of a run that was cut, the criteria say how they stood, and the checks why that decides nothing.
            let is_open = weighed.verdict == Verdict::Inconclusive;
            let has_checks = is_open && bad.clone().any(Finding::is_check);
            let bad = bad.filter(|finding| !has_checks || finding.is_check());
            let mut said: Vec<String> = bad
                .map(|finding| {
                    let waived = if finding.is_waived { " (FAIL, waived)" } else { "" };
                    format!(
                        "{}: asked `{}`, found {}{waived}",
                        finding.criterion, finding.asked, finding.measured
                    )
                })
                .collect();
            said.dedup();
            said.truncate(2);
            if said.is_empty() && weighed.verdict == Verdict::Inconclusive && weighed.findings.len() > 1 {
                // The figures are good: what stands beside them is why they do not decide.
                said.extend(weighed.notes.first().cloned());
            }
            let why = if said.is_empty() { String::new() } else { format!(" ({})", said.join("; ")) };
            format!("`{}` is {}: {}{why}.", weighed.name, weighed.verdict.word(), weighed.found)
        })
        .collect();
    let failed = open.iter().take_while(|weighed| weighed.verdict == Verdict::Fail).count();
    let closed = before.iter().filter(|done| !opens(done.verdict)).map(|closed| {
        let by = closed.by_other_build(here).map_or_else(String::new, |build| format!(", by build {build}"));
        format!("`{}` comes before this gate and is {}{by}.", closed.gate, closed.outcome)
    });
    reasons.splice(failed..failed, closed);
    if evidence.is_empty() {
        reasons.push(format!("`{}` asks for no evidence.", gate.name));
    } else if reasons.is_empty() {
        reasons.push(format!("All that is asked holds: {} of {}.", evidence.len(), evidence.len()));
        let qualified =
            evidence.iter().filter_map(|weighed| Some((&weighed.name, weighed.qualifies.as_ref()?)));
        reasons.extend(qualified.map(|(name, qualifies)| format!("`{name}` holds {qualifies}.")));
    }
    reasons
}

fn conditions(gate: &Gate, evidence: &[Weighed]) -> Vec<String> {
    let conditional = evidence.iter().filter(|weighed| weighed.verdict == Verdict::Conditional);
    let mut conditions: Vec<String> = conditional
        .flat_map(|weighed| {
            let mut met: Vec<String> = weighed
                .findings
                .iter()
                .filter(|finding| finding.verdict == Verdict::Conditional)
                .map(|finding| {
                    let note = finding.note.as_ref().map_or_else(String::new, |note| format!(" ({note})"));
                    format!(
                        "{}: bring `{}` to `{}`, from {}{note}",
                        weighed.name, finding.criterion, finding.asked, finding.measured
                    )
                })
                .collect();
            if met.is_empty() {
                met.push(format!("{}: {}", weighed.name, weighed.found));
            }
            met
        })
        .collect();
    conditions.dedup();
    if !gate.options.is_empty() && !conditions.is_empty() {
        conditions.push("Choose one of the options, and change the plan by it.".to_owned());
    }
    conditions
}

fn waivers(gate: &Gate, evidence: &[Weighed], day: Date) -> Vec<WaiverUse> {
    let is_applied = |name: &str, criterion: &str| {
        let of = evidence.iter().filter(|weighed| weighed.name == name);
        of.flat_map(|weighed| &weighed.findings)
            .any(|finding| finding.criterion == criterion && finding.is_waived)
    };
    let used = |waiver: &super::plan::Waiver| WaiverUse {
        gate: gate.name.clone(),
        evidence: waiver.evidence.clone(),
        criterion: waiver.criterion.clone(),
        author: waiver.author.clone(),
        reason: waiver.reason.clone(),
        expires: waiver.expires.to_string(),
        place: waiver.place.clone(),
        state: if waiver.expires < day {
            EXPIRED
        } else if is_applied(&waiver.evidence, &waiver.criterion) {
            APPLIED
        } else {
            "not needed"
        },
    };
    gate.waivers.iter().map(used).collect()
}

/// A risk whose evidence passes is less likely than it was thought; one whose evidence fails is there.
fn measured(risk: &Risk, evidence: &[Weighed]) -> MeasuredRisk {
    let of: Vec<&Weighed> = evidence.iter().filter(|weighed| risk.evidence.contains(&weighed.name)).collect();
    let lower = match risk.likelihood {
        Likelihood::Low | Likelihood::Medium => Likelihood::Low,
        Likelihood::High => Likelihood::Medium,
    };
    let higher = match risk.likelihood {
        Likelihood::Low => Likelihood::Medium,
        Likelihood::Medium | Likelihood::High => Likelihood::High,
    };
    let names = |verdict| {
        let named: Vec<&str> = of
            .iter()
            .filter(|weighed| weighed.verdict == verdict)
            .map(|weighed| weighed.name.as_str())
            .collect();
        named.join(", ")
    };
    let worst = of.iter().map(|weighed| weighed.verdict).max();
    let (now, why) = match worst {
        None => (risk.likelihood.word(), "nothing measures it".to_owned()),
        Some(Verdict::Pass) => (lower.word(), format!("{} passes", names(Verdict::Pass))),
        Some(Verdict::Conditional) => {
            (higher.word(), format!("{} is CONDITIONAL", names(Verdict::Conditional)))
        }
        Some(Verdict::Inconclusive) => {
            (risk.likelihood.word(), format!("{} does not say", names(Verdict::Inconclusive)))
        }
        Some(Verdict::Fail) => ("has occurred", format!("{} fails", names(Verdict::Fail))),
    };
    MeasuredRisk {
        name: risk.name.clone(),
        says: risk.says.clone(),
        likelihood: risk.likelihood.word(),
        impact: risk.impact.word(),
        mitigation: risk.mitigation.clone(),
        now,
        why,
    }
}

/// Those that most speaks for come first.
fn options(gate: &Gate, evidence: &[Weighed]) -> Vec<OpenOption> {
    let speaks = |names: &[String]| -> Vec<String> {
        let named = evidence.iter().filter(|weighed| names.contains(&weighed.name));
        named
            .filter(|weighed| matches!(weighed.verdict, Verdict::Conditional | Verdict::Fail))
            .map(|weighed| format!("{} is {}: {}", weighed.name, weighed.verdict.word(), weighed.found))
            .collect()
    };
    let mut options: Vec<OpenOption> = gate
        .options
        .iter()
        .map(|option| OpenOption {
            name: option.name.clone(),
            says: option.says.clone(),
            speaks: speaks(&option.evidence),
        })
        .collect();
    options.sort_by_key(|option| std::cmp::Reverse(option.speaks.len()));
    options
}
