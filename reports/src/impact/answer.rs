//! What the runs say of one figure: the mean of each cell, and each effect with its interval and a word.

use serde::{Deserialize, Serialize};

use super::design::Design;
use super::figures::{CPU_PER_TASK, ImpactFigure};
use super::runs::ImpactRun;
use crate::criterion::{Better, Unit};
use crate::stats::{FactorEffect, Interval, MISS, NoEffects, Observed, factor_effects};
use crate::units;

/// Logarithms of the same value may differ by so much, by the way they are added up.
const ROUNDING: f64 = 1e-9;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Word {
    Better,
    Worse,
    /// The whole interval is within the limit.
    None,
    Undecided,
}

/// One figure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answered {
    pub name: String,
    pub unit: Unit,
    /// `lower` or `higher`.
    pub better: String,
    /// Empty if no run has the figure.
    pub cells: Vec<CellMean>,
    /// Of single factors first; empty if nothing can be said.
    pub effects: Vec<FactorAnswer>,
    /// Why not, or what to know.
    pub note: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CellMean {
    pub cell: String,
    /// That have the figure.
    pub runs: usize,
    /// Geometric, in base units.
    pub mean: Option<f64>,
}

/// What a factor does to a figure, or several do together. Changes are shares: 0.1 is a tenth more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FactorAnswer {
    pub name: String,
    /// A bit for each factor that is part of it.
    pub factors: u32,
    /// Of one factor: by how much the figure changes when it is turned on, on the average over the others. Of two: by how much
    /// the ratio of one of them changes when the other is on.
    pub change: f64,
    /// The true change is between these 95 times in 100.
    pub low: f64,
    pub high: f64,
    /// How probable runs like these are if there is no such effect; after the decision adjusted for all that is asked (Holm).
    pub chance: f64,
    /// The least change that runs like these show, four times in five.
    pub detectable: f64,
    pub word: Word,
}

/// Of all runs that have the figure.
pub(super) fn ask(design: &Design, figure: &ImpactFigure, runs: &[ImpactRun]) -> Answered {
    let with: Vec<(&ImpactRun, (f64, f64))> =
        runs.iter().filter_map(|run| Some((run, *run.figures.get(figure.name)?))).collect();
    let observed: Vec<Observed> = with
        .iter()
        .map(|(run, (value, _))| Observed { cell: run.cell, block: run.block as usize, value: value.ln() })
        .collect();
    let step = with.iter().map(|(_, (value, step))| step / value).fold(ROUNDING, f64::max);
    let mut answered = Answered {
        name: figure.name.to_owned(),
        unit: figure.unit,
        better: figure.better.name().into(),
        cells: if observed.is_empty() { Vec::new() } else { means(design, &observed) },
        effects: Vec::new(),
        note: lacking(figure, runs.len() - with.len(), runs.len()),
    };
    match factor_effects(design.factors().len(), &observed) {
        Ok(effects) => {
            let answer = |effect: FactorEffect| FactorAnswer::of(design, effect.with_error_of_at_least(step));
            answered.effects = effects.into_iter().map(answer).collect();
        }
        Err(_) if observed.is_empty() => {}
        Err(why) => {
            let why = unsaid(design, why);
            answered.note = Some(match answered.note {
                Some(lacking) => format!("{why}. {lacking}"),
                None => why,
            });
        }
    }
    answered
}

fn means(design: &Design, observed: &[Observed]) -> Vec<CellMean> {
    let mean = |cell| {
        let values: Vec<f64> = observed.iter().filter(|run| run.cell == cell).map(|run| run.value).collect();
        let mean = (!values.is_empty()).then(|| (values.iter().sum::<f64>() / values.len() as f64).exp());
        CellMean { cell: design.name_of(cell), runs: values.len(), mean }
    };
    design.cells().map(mean).collect()
}

fn lacking(figure: &ImpactFigure, without: usize, all: usize) -> Option<String> {
    (without > 0).then(|| {
        let why = if figure.name == CPU_PER_TASK {
            "; where workers are replaced, what they used after the last sweep that saw them is not in the log"
        } else {
            ""
        };
        format!("{without} of {} have no such figure{why}", units::things(all as u64, "run"))
    })
}

fn unsaid(design: &Design, why: NoEffects) -> String {
    match why {
        NoEffects::EmptyCell(cell) => {
            format!("Nothing can be said: no run with {} has this figure", design.name_of(cell))
        }
        NoEffects::OneRun(cell) => format!(
            "Nothing can be said: only one run with {} has this figure, and how far such runs differ is open",
            design.name_of(cell)
        ),
        NoEffects::NoNoise => {
            "Nothing can be said: too few runs show how far runs of one cell differ".to_owned()
        }
        NoEffects::Apart => "Nothing can be said: the blocks have too few cells in common".to_owned(),
    }
}

impl FactorAnswer {
    fn of(design: &Design, effect: FactorEffect) -> Self {
        let Interval { low, high } = effect.interval();
        Self {
            name: design.term(effect.factors),
            factors: effect.factors,
            change: effect.estimate.exp_m1(),
            low: low.exp_m1(),
            high: high.exp_m1(),
            chance: effect.chance_of_none(),
            detectable: effect.detectable().exp_m1(),
            word: Word::Undecided,
        }
    }

    /// `chance` is adjusted for all that is asked; `better` is that of the figure.
    pub(super) fn decide(&mut self, chance: f64, limit: f64, better: &str) {
        self.chance = chance;
        let is_better = if better == Better::Lower.name() { self.change < 0.0 } else { self.change > 0.0 };
        let most = limit.ln_1p();
        self.word = match () {
            () if chance <= MISS && is_better => Word::Better,
            () if chance <= MISS => Word::Worse,
            () if self.low.ln_1p() >= -most && self.high.ln_1p() <= most => Word::None,
            () => Word::Undecided,
        };
    }

    fn is_of_several(&self) -> bool {
        self.factors.count_ones() > 1
    }

    pub fn word_text(&self) -> &'static str {
        match (self.word, self.is_of_several()) {
            (Word::Better, false) => "better",
            (Word::Better, true) => "better together",
            (Word::Worse, false) => "worse",
            (Word::Worse, true) => "worse together",
            (Word::None, _) => "none",
            (Word::Undecided, _) => "undecided",
        }
    }

    /// Adjusted for all that is asked.
    pub fn chance_text(&self) -> String {
        if self.chance < 1e-4 { "< 0.0001".to_owned() } else { format!("{:.4}", self.chance) }
    }

    pub fn detectable_text(&self) -> String {
        signed(self.detectable)
    }

    pub fn change_text(&self) -> String {
        format!("{} ({} to {})", signed(self.change), signed(self.low), signed(self.high))
    }
}

/// From ten times as much on, a multiple reads better than percent.
const TIMES_FROM: f64 = 9.0;

/// A change with its sign: up or down.
pub(crate) fn signed(share: f64) -> String {
    match share {
        _ if share >= TIMES_FROM => format!("{} times", units::count(1.0 + share)),
        _ if share > 0.0 => format!("+{}", units::percent(share)),
        _ => units::percent(share),
    }
}

impl Answered {
    /// What is shown, a sentence each.
    pub(super) fn sentences(&self) -> Vec<String> {
        let is_shown = |effect: &&FactorAnswer| matches!(effect.word, Word::Better | Word::Worse);
        self.effects
            .iter()
            .filter(is_shown)
            .map(|effect| {
                format!("{}: {} {}, {}", effect.name, self.name, effect.change_text(), effect.word_text())
            })
            .collect()
    }

    /// Mean of the cells that have these levels of two factors; on the scale of logarithms. `None` if one has no run.
    pub(crate) fn level(&self, mask: u32, on: u32) -> Option<f64> {
        let cells = self.cells.iter().zip(0_u32..).filter(|(_, cell)| cell & mask == on);
        let logs: Option<Vec<f64>> = cells.map(|(cell, _)| Some(cell.mean?.ln())).collect();
        let logs = logs.filter(|logs| !logs.is_empty())?;
        Some(logs.iter().sum::<f64>() / logs.len() as f64)
    }
}
