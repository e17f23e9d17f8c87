//! What optimisations do to a fleet, alone and together, from runs with each of them on and off.
//!
//! A *factor* is a key of the scenario with two values; a *cell* is one combination of all factors; a *block* has a run of every cell. Each
//! figure is analysed on the scale of logarithms, so that an effect is a ratio ([`crate::stats::factor_effects`]). Deliberately absent: making
//! and reading runs, and a judgement whether a fleet is good enough.

mod answer;
mod design;
mod figures;
mod listing;
mod runs;
#[cfg(test)]
mod tests;

pub(crate) use answer::signed;
pub use answer::{Answered, CellMean, FactorAnswer, Word};
pub use design::{Cell, Design, DesignError, Factor, Level};
pub use figures::{FIGURES, ImpactFigure};
pub use listing::{Ordered, Over};
pub use runs::{ImpactRun, Mismatch, Missing};

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::stats::holm;
use crate::verdict::{Exit, Verdict};

/// The version of an analysis in JSON.
pub const IMPACT_VERSION: u32 = 1;

/// What is asked of the runs.
#[derive(Debug, Clone, PartialEq)]
pub struct ImpactAsked {
    /// Names of figures; all of them, if empty.
    pub figures: Vec<String>,
    /// As a share: an effect whose whole interval lies within it counts as none.
    pub limit: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Impact {
    pub version: u32,
    pub exit: Exit,
    pub scenario: String,
    pub commits: Vec<String>,
    pub machine: String,
    pub fingerprint: String,
    pub cpu_model: String,
    pub cpus: u32,
    pub factors: Vec<Factor>,
    /// Each combination, and how many of its runs are analysed.
    pub cells: Vec<CellRuns>,
    pub blocks: u32,
    /// As a share: an effect whose whole interval lies within it counts as none.
    pub limit: f64,
    pub warnings: Vec<String>,
    /// Planned runs that are not analysed. No values are imputed.
    pub missing: Vec<Missing>,
    /// In sentences: the effects that are shown.
    pub shown: Vec<String>,
    pub figures: Vec<Answered>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CellRuns {
    pub cell: String,
    pub runs: usize,
}

impl Impact {
    /// # Errors
    /// The runs differ in more than the factors, or there is none.
    pub fn of(
        design: &Design,
        runs: &[ImpactRun],
        missing: Vec<Missing>,
        asked: &ImpactAsked,
    ) -> Result<Self, Mismatch> {
        let first = runs.first().ok_or_else(|| Mismatch::Nothing { missing: missing.clone() })?;
        runs::agree(design, runs)?;
        let mut figures: Vec<Answered> = FIGURES
            .iter()
            .filter(|figure| asked.figures.is_empty() || asked.figures.iter().any(|name| name == figure.name))
            .map(|figure| answer::ask(design, figure, runs))
            .collect();
        let effects = figures.iter().flat_map(|figure| &figure.effects);
        let mut adjusted = holm(&effects.map(|effect| effect.chance).collect::<Vec<_>>()).into_iter();
        for figure in &mut figures {
            for (effect, chance) in figure.effects.iter_mut().zip(&mut adjusted) {
                effect.decide(chance, asked.limit, &figure.better);
            }
        }
        let is_answered = figures.iter().any(|figure| !figure.effects.is_empty());
        let (code, name) = if is_answered { (0, "pass") } else { (12, "inconclusive") };
        let cells = design.cells().map(|cell| CellRuns {
            cell: design.name_of(cell),
            runs: runs.iter().filter(|run| run.cell == cell).count(),
        });
        Ok(Self {
            version: IMPACT_VERSION,
            exit: Exit { code, name: name.into() },
            scenario: first.terms.scenario.clone(),
            // They have one in common.
            commits: vec![first.commit.clone()],
            machine: first.terms.machine.clone(),
            fingerprint: first.terms.fingerprint.clone(),
            cpu_model: first.terms.cpu_model.clone(),
            cpus: first.terms.cpus,
            factors: design.factors().to_vec(),
            cells: cells.collect(),
            blocks: runs.iter().map(|run| run.block).collect::<BTreeSet<_>>().len() as u32,
            limit: asked.limit,
            warnings: doubts(runs),
            missing,
            shown: figures.iter().flat_map(Answered::sentences).collect(),
            figures,
        })
    }
}

fn doubts(runs: &[ImpactRun]) -> Vec<String> {
    let failed = runs.iter().filter(|run| run.verdict == Verdict::Fail).count();
    let mut found = Vec::new();
    if failed > 0 {
        found.push(format!(
            "{failed} of {} runs have the verdict FAIL: see what failed before you rely on their figures",
            runs.len()
        ));
    }
    if runs.iter().any(|run| run.terms.build_profile != "release") {
        found.push("the harness is a debug build: its times are not those of a release".into());
    }
    found
}
