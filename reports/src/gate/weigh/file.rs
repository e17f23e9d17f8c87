//! Evidence that is a file of another program.

use super::{Answer, Question, bands, waive, worst};
use crate::gate::decision::{Finding, Step, Weighed};
use crate::gate::exhibit::Found;
use crate::gate::outside::Reading;
use crate::gate::plan::{Evidence, OutsideFile};
use crate::units;
use crate::verdict::Verdict;

pub(super) fn weigh(evidence: &Evidence, file: &OutsideFile, question: Question<'_>) -> Answer {
    let fresh =
        evidence.fresh_ns.map_or_else(String::new, |ns| format!(", at most {} old", units::nanos(ns)));
    let mut weighed = Weighed::open(evidence, format!("`{}` of {}{fresh}", file.pass, file.path));
    match question.inputs.files.get(&(file.path.clone(), file.format)) {
        None => weighed.found = format!("there is no file {}", file.path),
        Some(Found { reading: Err(why), .. }) => {
            weighed.found = format!("{} cannot be read: {why}", file.path);
        }
        Some(Found { reading: Ok(reading), changed }) => {
            let dated = reading.dated.unwrap_or(*changed);
            weighed.notes.extend(reading.remarks.iter().cloned());
            if let Some(by) = &reading.by {
                weighed.notes.push(format!("stated by {by}"));
            }
            match out_of_time(evidence, question, dated) {
                Some(why) => weighed.found = format!("{} {why}", file.path),
                None => judge(evidence, file, question, reading, &mut weighed),
            }
        }
    }
    let step = (weighed.verdict >= Verdict::Inconclusive).then(|| Step {
        evidence: evidence.name.clone(),
        what: match weighed.verdict {
            Verdict::Fail => "mend what fails, and make the file again".to_owned(),
            Verdict::Pass | Verdict::Conditional | Verdict::Inconclusive => {
                format!("make {}", file.path)
            }
        },
        command: file.command.clone(),
        takes_ns: file.takes_ns,
    });
    Answer { weighed, step, is_closed: false }
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
