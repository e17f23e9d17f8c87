//! The criteria of another scenario file, laid over those that a run was asked.
//!
//! A judgement by them says so ([`crate::verdict::Variant::judged_by`]) and satisfies no gate. The file that ran is
//! known by its digest: by that one it is judged as ever.

use std::path::Path;

use super::JudgeError;
use crate::runlog::event::{CriterionSpec, Header, JudgedBy};
use crate::verdict::Judgement;

/// What a scenario file asks, whatever it would run.
#[derive(Debug, Clone, PartialEq)]
pub struct Another {
    pub criteria: Vec<CriterionSpec>,
    pub by: JudgedBy,
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

/// An error that names every criterion of another file for which the run has no figure at all: a run is not
/// INCONCLUSIVE because it was asked later what it could not know.
pub(super) fn applies(run_dir: &Path, judgement: &Judgement) -> Result<(), JudgeError> {
    let Some(by) = &judgement.variant.judged_by else { return Ok(()) };
    let what: Vec<String> = judgement
        .criteria
        .iter()
        .filter(|c| !c.informational && c.value.is_none())
        .map(|c| {
            let why = c.note.as_deref().unwrap_or("the log has no figure for it");
            format!("criterion `{}` ({}) asks `{}`, and {why}", c.name, c.source, c.pass)
        })
        .collect();
    if what.is_empty() {
        return Ok(());
    }
    Err(JudgeError::CannotApply { path: run_dir.to_owned(), file: by.file.clone(), what })
}
