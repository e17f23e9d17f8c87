//! Evidence that is a file of another program.

use std::path::Path;

use super::{Answer, Question, bands, is_signed, waive, worst};
use crate::gate::builds::is_same_commit;
use crate::gate::decision::{Finding, Step, Weighed};
use crate::gate::exhibit::{Found, RUNS_HERE, Recipe};
use crate::gate::outside::Reading;
use crate::gate::plan::{Evidence, Format, OutsideFile, Whose};
use crate::units;
use crate::verdict::Verdict;

pub(super) fn weigh(evidence: &Evidence, file: &OutsideFile, question: Question<'_>) -> Answer {
    let fresh =
        evidence.fresh_ns.map_or_else(String::new, |ns| format!(", at most {} old", units::nanos(ns)));
    let mut weighed =
        Weighed::open(evidence, format!("`{}` of {}{}{fresh}", file.pass, file.path, bonds(file)));
    match question.inputs.files.get(&(file.path.clone(), file.format)) {
        None => weighed.found = absent(&file.path),
        Some(Found { reading: Err(why), .. }) => {
            weighed.found = format!("{} cannot be read: {why}", file.path);
        }
        Some(found @ Found { reading: Ok(reading), signers, .. }) => {
            weighed.notes.extend(reading.remarks.iter().cloned());
            weighed.notes.extend(stated(reading));
            let unheld = || unsigned(file, signers).or_else(|| unbound(file, question, reading));
            match found.dated().and_then(|dated| out_of_time(evidence, question, dated)).or_else(unheld) {
                Some(why) => weighed.found = format!("{} {why}", file.path),
                None => judge(evidence, file, question, reading, &mut weighed),
            }
        }
    }
    let step = (weighed.verdict >= Verdict::Inconclusive).then(|| step(evidence, file, question, &weighed));
    Answer { weighed, steps: step.into_iter().collect(), is_closed: false }
}

fn step(evidence: &Evidence, file: &OutsideFile, question: Question<'_>, weighed: &Weighed) -> Step {
    let (inputs, path) = (question.inputs, &file.path);
    let step = |what: String, command: String, takes_ns: Option<u64>| Step {
        evidence: evidence.name.clone(),
        what,
        command,
        takes_ns,
    };
    // It compares runs that are not there.
    if let Some(missing) = unrun(file, question) {
        let what = format!("run {} first: {path} is made of its runs", missing.name);
        return step(what, format!("{}{}", missing.command, inputs.caller.out), Some(missing.takes_ns));
    }
    let what = match (weighed.verdict, file.format) {
        (Verdict::Fail, Format::Statement) => {
            format!("mend what is not approved, and have {path} stated again")
        }
        (Verdict::Fail, _) => "mend what fails, and make the file again".to_owned(),
        (_, Format::Statement) => format!("have {path} stated, in the lines that docs/gates.md shows"),
        (_, Format::Comparison) => format!("make {path}{}", baseline(file, question)),
        _ => format!("make {path}"),
    };
    step(what, inputs.caller.command(&file.command), file.takes_ns)
}

/// Its command makes a file where it is started, so that is where it is looked for.
fn absent(path: &str) -> String {
    let place = if Path::new(path).is_absolute() { "" } else { " in the working directory" };
    format!("there is no file {path}{place}")
}

/// How the baseline is kept that the command compares with, for it may not be there yet.
fn baseline(file: &OutsideFile, question: Question<'_>) -> String {
    let words = || file.command.split_whitespace();
    let name = words().skip_while(|word| *word != "--baseline").nth(1);
    let (Some(name), Some(runs)) = (name, words().find(|word| word.starts_with(RUNS_HERE))) else {
        return String::new();
    };
    let set = question.inputs.caller.command(&format!("harness baseline set {name} {runs}"));
    format!(
        "; if the baseline {name} was not kept yet, keep it first, of the runs that passed the gate before: `{set}`"
    )
}

/// The scenario whose runs the command reads, `{runs}/NAME`, and that has none: one of this gate, or of those before it.
fn unrun<'a>(file: &OutsideFile, question: Question<'a>) -> Option<&'a Recipe> {
    let inputs = question.inputs;
    let read = file.command.split(RUNS_HERE).skip(1).filter_map(|after| {
        let name = after.strip_prefix('/')?;
        name.split(|c: char| c.is_whitespace() || c == '/').next()
    });
    let is_there = |name: &str| inputs.exhibits.iter().any(|exhibit| exhibit.scenario == name);
    let missing: Vec<&str> = read.filter(|name| !is_there(name)).collect();
    let mut recipes = inputs.recipes.values().flatten();
    recipes.find(|recipe| missing.contains(&recipe.name.as_str()))
}

/// `, for this build, about load-500.toml, signed by keys/lead.pub.pem`
fn bonds(file: &OutsideFile) -> String {
    let mut said = String::new();
    if file.build == Whose::This {
        said.push_str(", for this build");
    }
    if let Some(about) = &file.about {
        said.extend([", about ", about]);
    }
    if !file.signed_by.is_empty() {
        said.extend([", signed by ", &file.signed_by.join(" or ")]);
    }
    said
}

/// `stated by Jane Doe, for build 1234567, until 2026-12-31`
fn stated(reading: &Reading) -> Option<String> {
    let mut said = format!("stated by {}", reading.by.as_ref()?);
    if let Some(build) = &reading.build {
        said.extend([", for build ", build]);
    }
    if let Some(sha256) = &reading.scenario_sha256 {
        said.extend([", about the scenario with SHA-256 ", sha256]);
    }
    if let Some(expires) = &reading.expires {
        said.extend([", until ", &expires.to_string()]);
    }
    Some(said)
}

fn unsigned(file: &OutsideFile, signers: &[String]) -> Option<String> {
    (!is_signed(&file.signed_by, signers)).then(|| {
        format!(
            "is not signed by {}: {} has no signature of its text",
            file.signed_by.join(" or "),
            file.signature()
        )
    })
}

/// Why a statement does not hold here and now: it has expired, or it is for another build or about another scenario than the gate
/// asks. The last day counts by the day of the decision, also where the evidence is that of an earlier one.
fn unbound(file: &OutsideFile, question: Question<'_>, reading: &Reading) -> Option<String> {
    let day = question.inputs.circumstances.day();
    if let Some(expires) = reading.expires.filter(|last| *last < day) {
        return Some(format!("expired at the end of {expires}: have it stated again"));
    }
    other_build(file, question, reading).or_else(|| {
        let about = file.about.as_ref()?;
        let recipes = question.inputs.recipes.get(&(about.clone(), None));
        let Some(recipe) = recipes.and_then(|cells| cells.first()) else {
            return Some(format!("is to be about {about}, which was not read"));
        };
        match &reading.scenario_sha256 {
            Some(sha256) if *sha256 == recipe.sha256 => None,
            Some(sha256) => Some(format!(
                "is about another scenario: its `Scenario` is {sha256}, and the SHA-256 of {about} is {}",
                recipe.sha256
            )),
            None => Some(format!(
                "does not say which text of {about} it is about: have `Scenario: {}` stated in it",
                recipe.sha256
            )),
        }
    })
}

fn other_build(file: &OutsideFile, question: Question<'_>, reading: &Reading) -> Option<String> {
    if file.build == Whose::Any {
        return None;
    }
    let Some(commit) = question.commit else {
        return Some("cannot be held against this build, which has no commit".to_owned());
    };
    match &reading.build {
        Some(build) if is_same_commit(build, commit) => None,
        Some(build) => {
            Some(format!("is for another build: its `Build` is {build}, and this one is {commit}"))
        }
        None => Some(format!("does not say for which build it is: have `Build: {commit}` stated in it")),
    }
}

/// Why the age of a file is not right. It may be newer than the runs that a gate was decided from.
fn out_of_time(evidence: &Evidence, question: Question<'_>, dated: jiff::Timestamp) -> Option<String> {
    if dated > question.inputs.circumstances.now {
        return Some(format!("is dated {dated}, which is in the future"));
    }
    let age_ns = question.at.duration_since(dated).as_nanos();
    let most_ns = evidence.fresh_ns?;
    (age_ns > i128::from(most_ns)).then(|| {
        let age = u64::try_from(age_ns).unwrap_or(u64::MAX);
        format!("is {} old, and may be {}", units::nanos(age), units::nanos(most_ns))
    })
}

fn judge(
    evidence: &Evidence,
    file: &OutsideFile,
    question: Question<'_>,
    reading: &Reading,
    weighed: &mut Weighed,
) {
    let asked = file.pass;
    let Some(value) = reading.figures.get(asked.figure.name).copied() else {
        weighed.found = format!("{} has no `{}`", file.path, asked.figure.name);
        return;
    };
    let fallback = file.conditional.filter(|weaker| weaker.holds(value));
    let verdict = match (asked.holds(value), fallback) {
        (true, _) => Verdict::Pass,
        (false, Some(_)) => Verdict::Conditional,
        (false, None) => Verdict::Fail,
    };
    let mut finding = Finding {
        criterion: asked.figure.name.to_owned(),
        source: file.path.clone(),
        asked: asked.to_string(),
        measured: asked.figure.show(value),
        verdict,
        value: Some(value),
        threshold: Some(asked.threshold),
        comparator: Some(asked.comparator.symbol().to_owned()),
        interval: None,
        samples: None,
        margin: None,
        note: fallback
            .filter(|_| verdict == Verdict::Conditional)
            .map(|weaker| format!("it still meets `{weaker}`")),
        strictly: None,
        is_waived: false,
    };
    bands::band(&mut finding, question.gate.conditional_from);
    waive(evidence, question, &mut finding);
    weighed.found = format!("{} {}", asked.figure.name, finding.measured);
    weighed.findings.push(finding);
    weighed.verdict = worst(&weighed.findings).unwrap_or(Verdict::Inconclusive);
}
