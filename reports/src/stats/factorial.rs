//! What each of several factors does, alone and together with the others, in runs of every combination.
//!
//! A full two-level factorial in randomised blocks (Yates 1937; Box, Hunter and Hunter, *Statistics for Experimenters*, 2nd edition, Wiley
//! 2005, chapters 4 and 5): least squares over all cells, with a level of its own for each block, and Student's t from what is
//! left. A cell has its runs in several blocks, so that what is left is the noise between runs and no interaction has to be
//! assumed away. Runs that are missing make it unbalanced, and the fit is then that of the runs that are there; nothing is filled in.

use statrs::distribution::{ContinuousCDF, StudentsT};

use super::effect::POWER;
use super::fit::{dot, inverse, times};
use super::line::quantile;
use super::{Interval, MISS};

/// Combinations of more factors are more runs than anyone makes.
pub const FACTORS_MAX: usize = 5;

/// One run: its cell has a bit for each factor that is on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Observed {
    pub cell: u32,
    pub block: usize,
    pub value: f64,
}

/// Why the runs say nothing of any factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoEffects {
    /// No run has this combination.
    EmptyCell(u32),
    /// A single one has it: how far runs of it differ does not show, and that of the others may be another.
    OneRun(u32),
    /// As many levels are sought as there are runs: the noise between runs does not show.
    NoNoise,
    /// Blocks have no cells in common.
    Apart,
}

/// Of one factor, or of several together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FactorEffect {
    /// A bit for each factor that is part of it.
    pub factors: u32,
    /// Of one factor: the value with it on, less that with it off, on the average over the others. Of two: by how much the
    /// first one's effect is greater with the second on. And so on.
    pub estimate: f64,
    /// Of the estimate.
    pub error: f64,
    pub freedom: f64,
}

/// The effects of all combinations of factors, single factors first. Blocks are levelled out.
///
/// # Errors
/// There are no runs of some cell, or too few of all.
pub fn factor_effects(factors: usize, runs: &[Observed]) -> Result<Vec<FactorEffect>, NoEffects> {
    let cells = 1_u32 << factors;
    let of = |cell: u32| runs.iter().filter(|run| run.cell == cell).count();
    if let Some(empty) = (0..cells).find(|cell| of(*cell) == 0) {
        return Err(NoEffects::EmptyCell(empty));
    }
    if let Some(single) = (0..cells).find(|cell| of(*cell) == 1) {
        return Err(NoEffects::OneRun(single));
    }
    let mut blocks: Vec<usize> = runs.iter().map(|run| run.block).collect();
    blocks.sort_unstable();
    blocks.dedup();
    let parameters = cells as usize + blocks.len() - 1;
    let freedom = runs.len().checked_sub(parameters).filter(|free| *free > 0).ok_or(NoEffects::NoNoise)?;
    // Coded as -1 and 1, columns of a balanced design are independent.
    let row = |run: &Observed| -> Vec<f64> {
        let of_blocks = blocks[1..].iter().map(|block| f64::from(u8::from(*block == run.block)));
        (0..cells).map(|term| sign(term, run.cell)).chain(of_blocks).collect()
    };
    let rows: Vec<Vec<f64>> = runs.iter().map(row).collect();
    let column = |at: usize| rows.iter().map(|row| row[at]).collect::<Vec<f64>>();
    let columns: Vec<Vec<f64>> = (0..parameters).map(column).collect();
    let normal: Vec<Vec<f64>> = columns.iter().map(|a| columns.iter().map(|b| dot(a, b)).collect()).collect();
    let values: Vec<f64> = runs.iter().map(|run| run.value).collect();
    let inverse = inverse(&normal).ok_or(NoEffects::Apart)?;
    let levels = times(&inverse, &times(&columns, &values));
    let left: f64 = rows.iter().zip(&values).map(|(row, value)| (value - dot(row, &levels)).powi(2)).sum();
    let variance = left / freedom as f64;
    let mut terms: Vec<u32> = (1..cells).collect();
    terms.sort_by_key(|term| (term.count_ones(), *term));
    let effect = |term: u32| {
        let (at, scale) = (term as usize, f64::from(1_u32 << term.count_ones()));
        FactorEffect {
            factors: term,
            estimate: scale * levels[at],
            error: scale * (variance * inverse[at][at]).sqrt(),
            freedom: freedom as f64,
        }
    };
    Ok(terms.into_iter().map(effect).collect())
}

/// Of the product of the factors of a term, each 1 where it is on and -1 where it is off.
fn sign(term: u32, cell: u32) -> f64 {
    if (term & !cell).count_ones().is_multiple_of(2) { 1.0 } else { -1.0 }
}

impl FactorEffect {
    /// No surer than values that may be off by so much, each, allow.
    #[must_use]
    pub fn with_error_of_at_least(self, least: f64) -> Self {
        Self { error: self.error.max(least), ..self }
    }

    /// It misses with [`MISS`].
    pub fn interval(&self) -> Interval {
        let half = quantile(self.freedom, MISS) * self.error;
        Interval { low: self.estimate - half, high: self.estimate + half }
    }

    /// How probable runs like these are if there is no effect at all.
    pub fn chance_of_none(&self) -> f64 {
        if self.error <= 0.0 {
            return f64::from(u8::from(self.estimate == 0.0));
        }
        let beyond = self.estimate.abs() / self.error;
        StudentsT::new(0.0, 1.0, self.freedom).map_or(1.0, |t| 2.0 * t.sf(beyond))
    }

    /// The least true effect that runs like these show, in four of five such analyses (Bloom 1995).
    pub fn detectable(&self) -> f64 {
        self.error * (quantile(self.freedom, MISS) + quantile(self.freedom, 2.0 * (1.0 - POWER)))
    }
}
