//! The criteria of another scenario file, laid over those that a run was asked.
//!
//! A judgement by them says so ([`crate::verdict::Variant::judged_by`]) and satisfies no gate. The file that ran is
//! known by its digest: by that one it is judged as ever.

use std::path::Path;

use super::JudgeError;
use crate::runlog::event::{CriterionSpec, Header, JudgedBy};
use crate::verdict::{CriterionResult, Judgement};

/// Which criteria cannot distinguish a good run from a bad one, by the plan of the run that a header states: the name of each, and
/// why, as the end of a sentence that begins `criterion … asks …, and`. Not a matter of this crate, which knows no plans.
pub type PlanCheck = fn(&Header, &[CriterionSpec]) -> Vec<(String, String)>;

/// What a scenario file asks, whatever it would run.
#[derive(Debug, Clone)]
pub struct Another {
    pub criteria: Vec<CriterionSpec>,
    pub by: JudgedBy,
    /// Names of criteria, each with the reason.
    pub settled: PlanCheck,
}

impl Another {
    /// The header of a run as if it had been asked this. Unchanged if it was.
    pub(super) fn over(&self, header: &Header) -> Header {
        let mut header = header.clone();
        if header.scenario.sha256 != self.by.sha256 {
            header.criteria.clone_from(&self.criteria);
            header.scenario.judged_by = Some(self.by.clone());
        }
        header
    }
}

/// An error that names every criterion of another file for which the run has no figure at all, or which the run's own plan
/// decides: a run is not INCONCLUSIVE because it was asked later what it could not know, and not PASS because it was asked what
/// no run of its size could fail.
pub(super) fn applies(
    run_dir: &Path,
    judgement: &Judgement,
    header: &Header,
    another: Option<&Another>,
) -> Result<(), JudgeError> {
    let (Some(by), Some(another)) = (&judgement.variant.judged_by, another) else { return Ok(()) };
    let asks = |name: &str, why: &str| {
        let spec = another.criteria.iter().find(|spec| spec.name == name)?;
        Some(format!("criterion `{}` ({}) asks `{}`, and {why}", spec.name, spec.source, spec.pass))
    };
    let settled = (another.settled)(header, &another.criteria);
    let is_settled = |name: &str| settled.iter().any(|(settled, _)| settled == name);
    let is_unknown = |c: &&CriterionResult| !c.informational && c.value.is_none() && !is_settled(&c.name);
    let unknown = judgement.criteria.iter().filter(is_unknown);
    let mut what: Vec<String> = unknown
        .filter_map(|c| asks(&c.name, c.note.as_deref().unwrap_or("the log has no figure for it")))
        .collect();
    what.extend(settled.iter().filter_map(|(name, why)| asks(name, why)));
    if what.is_empty() {
        return Ok(());
    }
    Err(JudgeError::CannotApply { path: run_dir.to_owned(), file: by.file.clone(), what })
}
