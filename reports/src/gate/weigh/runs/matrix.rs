//! Evidence that is runs of a file with a matrix: each combination is a scenario of its own, and all of them must hold.

use super::{Wanted, asked, weigh_known};
use crate::gate::decision::{Step, Weighed};
use crate::gate::exhibit::Recipe;
use crate::gate::plan::{Evidence, Runs};
use crate::gate::weigh::{Answer, Question};
use crate::units;
use crate::verdict::Verdict;

/// How many combinations that do not pass are named in the sentence; each has its notes and its step beside it.
const NAMED_MAX: usize = 3;

/// The worst combination decides; one without a run is missing, whatever the others have.
pub(super) fn weigh(evidence: &Evidence, runs: &Runs, cells: &[Recipe], question: Question<'_>) -> Answer {
    let answers: Vec<(&Recipe, Answer)> = cells
        .iter()
        .map(|recipe| (recipe, weigh_known(Wanted { evidence, runs, recipe, question })))
        .collect();
    let mut weighed =
        Weighed::open(evidence, format!("of each of {}: {}", all(cells), asked(evidence, runs)));
    weighed.found = found(&answers);
    weighed.verdict =
        answers.iter().map(|(_, answer)| answer.weighed.verdict).max().unwrap_or(Verdict::Inconclusive);
    let (mut steps, mut is_closed) = (Vec::new(), false);
    for (recipe, answer) in answers {
        let named = |text: &str| format!("{}: {text}", recipe.name);
        let cell = answer.weighed;
        weighed.notes.extend(cell.notes.iter().map(|note| named(note)));
        weighed.findings.extend(cell.findings);
        weighed.runs.extend(cell.runs);
        weighed.runs_beside += cell.runs_beside;
        weighed.going.extend(cell.going);
        if let Some(qualified) = cell.qualifies {
            let before = weighed.qualifies.take().map_or_else(String::new, |before| before + ", ");
            weighed.qualifies = Some(format!("{before}{} {qualified}", recipe.name));
        }
        steps.extend(answer.steps.into_iter().map(|step| Step { what: named(&step.what), ..step }));
        is_closed |= answer.is_closed;
    }
    Answer { weighed, steps, is_closed }
}

fn all(cells: &[Recipe]) -> String {
    format!("{} of the matrix", units::things(cells.len() as u64, "scenario"))
}

/// `2 of 3 scenarios of the matrix pass; load-300 is INCONCLUSIVE: no run counts, of 1 asked for`
fn found(answers: &[(&Recipe, Answer)]) -> String {
    let mut open: Vec<&(&Recipe, Answer)> =
        answers.iter().filter(|(_, answer)| answer.weighed.verdict != Verdict::Pass).collect();
    open.sort_by_key(|(_, answer)| std::cmp::Reverse(answer.weighed.verdict));
    let pass = answers.len() - open.len();
    let mut said =
        format!("{pass} of {} of the matrix pass", units::things(answers.len() as u64, "scenario"));
    for (recipe, Answer { weighed, .. }) in open.iter().take(NAMED_MAX) {
        said.extend(["; ", &recipe.name, " is ", weighed.verdict.word(), ": ", &weighed.found]);
    }
    if open.len() > NAMED_MAX {
        said.extend(["; and ", &(open.len() - NAMED_MAX).to_string(), " more"]);
    }
    said
}
