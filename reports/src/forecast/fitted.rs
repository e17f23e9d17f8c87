//! A figure over the size of a fleet: the runs, the models through them, and what they say of other sizes.

use serde::{Deserialize, Serialize};

use super::asked::{Expected, Held};
use crate::criterion::Unit;
use crate::stats::{Growth, Interval, Parameter, Predicted, Scaling, median};

/// Agents and value, one a run.
pub(super) type Runs = Vec<(u32, f64)>;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fitted {
    pub name: String,
    pub unit: Unit,
    /// Agents and value, one a run.
    pub runs: Vec<(u32, f64)>,
    /// The one that predicts sizes best from the others is the first; empty if there is no answer.
    pub models: Vec<Model>,
    pub held: Vec<Held>,
    /// Why there is no model, or what to know of these.
    pub notes: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// `law` or `line`.
    pub name: String,
    pub parameters: Vec<Parameter>,
    /// Where the throughput is greatest, if the runs show that there is such a size.
    pub peak: Option<f64>,
    /// How far its predictions of sizes that were left out in turn are off, as a share, typically. Absent if they have no sense.
    pub misses_by: Option<f64>,
    pub expected: Vec<Expected>,
    #[serde(skip)]
    pub(super) scaling: Option<Scaling>,
}

impl Model {
    pub fn title(&self) -> &'static str {
        if self.name == "law" { "Universal Scalability Law" } else { "straight line" }
    }
}

/// The sizes that a figure is asked of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Range<'a> {
    pub(super) predict: &'a [u32],
    pub(super) least: u32,
    pub(super) largest: u32,
}

impl Fitted {
    pub(super) fn new(
        (name, unit): (&str, Unit),
        growth: Option<Growth>,
        (runs, held): (Runs, Runs),
        range: Range<'_>,
    ) -> Self {
        let mut fitted = Self {
            name: name.to_owned(),
            unit,
            runs,
            models: Vec::new(),
            held: Vec::new(),
            notes: Vec::new(),
        };
        if growth.is_some() && fitted.runs.iter().any(|(_, value)| *value <= 0.0) {
            fitted.notes.push("a run has the value 0, so no law can be fitted".into());
        }
        fitted
            .models
            .extend(growth.and_then(|growth| model(&fitted.runs, range, |runs| Scaling::law(growth, runs))));
        fitted.models.extend(model(&fitted.runs, range, Scaling::line));
        let missed = |model: &Model| model.misses_by.unwrap_or(f64::INFINITY);
        fitted.models.sort_by(|a, b| missed(a).total_cmp(&missed(b)));
        if fitted.models.is_empty() {
            fitted.notes.push("no model can be fitted to these values".into());
        }
        fitted.notes.extend(outliers(&fitted.runs));
        fitted.notes.extend(apart(&fitted.models));
        fitted.hold(&held);
        fitted
    }

    /// Compares what the first model says with runs that it has not seen.
    fn hold(&mut self, held: &[(u32, f64)]) {
        let Some(scaling) = self.models.first().and_then(|model| model.scaling.as_ref()) else { return };
        let mut sizes: Vec<u32> = held.iter().map(|(agents, _)| *agents).collect();
        sizes.sort_unstable();
        sizes.dedup();
        for agents in sizes {
            let measured: Vec<f64> = held.iter().filter(|run| run.0 == agents).map(|run| run.1).collect();
            let (Some(predicted), Some(median)) = (run(scaling, agents), median(&mut measured.clone()))
            else {
                continue;
            };
            let inside = predicted.interval.low <= median && median <= predicted.interval.high;
            self.held.push(Held { agents, predicted, measured, median, inside });
        }
    }
}

fn model(
    runs: &[(u32, f64)],
    range: Range<'_>,
    fit: impl Fn(&[(f64, f64)]) -> Option<Scaling>,
) -> Option<Model> {
    let all: Vec<(f64, f64)> = runs.iter().map(|(agents, value)| (f64::from(*agents), *value)).collect();
    let scaling = fit(&all)?;
    let expected = |agents: &u32| Expected {
        agents: *agents,
        run: run(&scaling, *agents),
        is_extrapolated: *agents < range.least || *agents > range.largest,
    };
    Some(Model {
        name: if scaling.is_law() { "law" } else { "line" }.to_owned(),
        parameters: scaling.parameters(),
        peak: scaling.peak(),
        misses_by: misses_by(&all, fit),
        expected: range.predict.iter().map(expected).collect(),
        scaling: Some(scaling),
    })
}

/// No interval is narrower than this share of its figure, either way: memory comes in pages and tables grow in steps, which no
/// smooth curve has.
const STEP: f64 = 1e-2;

/// What one more run of this size would have.
pub(super) fn run(scaling: &Scaling, agents: u32) -> Option<Predicted> {
    let Predicted { value, interval } = scaling.at(f64::from(agents))?;
    let (low, high) = (interval.low.min(value * (1.0 - STEP)), interval.high.max(value * (1.0 + STEP)));
    Some(Predicted { value, interval: Interval { low, high } })
}

/// The typical error of a size that is predicted from the others, as a share of what it is.
fn misses_by(runs: &[(f64, f64)], fit: impl Fn(&[(f64, f64)]) -> Option<Scaling>) -> Option<f64> {
    let mut sizes: Vec<f64> = runs.iter().map(|run| run.0).collect();
    sizes.sort_by(f64::total_cmp);
    sizes.dedup();
    let mut squares = 0.0;
    for size in &sizes {
        let is_own = |run: &&(f64, f64)| run.0.total_cmp(size).is_eq();
        let others: Vec<(f64, f64)> = runs.iter().filter(|run| !is_own(run)).copied().collect();
        let middle = median(&mut runs.iter().filter(is_own).map(|run| run.1).collect::<Vec<f64>>())?;
        let predicted = fit(&others)?.at(*size)?.value;
        if !(middle > 0.0 && predicted > 0.0) {
            return None;
        }
        squares += (predicted / middle).ln().powi(2);
    }
    Some((squares / sizes.len() as f64).sqrt().exp_m1())
}

/// How many times as far from the middle of its size a run lies as runs usually do, before it is named.
const FAR: f64 = 6.0;
/// And at least by this share.
const FAR_SHARE: f64 = 0.1;

/// Runs far from the others of their size. They are not left out: a run that is slow for a reason that is not known can come again.
fn outliers(runs: &[(u32, f64)]) -> Vec<String> {
    let middle = |agents: u32| {
        let mut own: Vec<f64> = runs.iter().filter(|run| run.0 == agents).map(|run| run.1).collect();
        median(&mut own).filter(|middle| *middle > 0.0)
    };
    let off: Vec<(u32, f64)> =
        runs.iter().filter_map(|(agents, value)| Some((*agents, value / middle(*agents)? - 1.0))).collect();
    let Some(usual) = median(&mut off.iter().map(|(_, off)| off.abs()).collect::<Vec<f64>>()) else {
        return Vec::new();
    };
    let is_far = |off: f64| off.abs() > FAR_SHARE.max(FAR * 1.4826 * usual);
    off.iter()
        .filter(|(_, off)| is_far(*off))
        .map(|(agents, off)| {
            let way = if *off > 0.0 { "more" } else { "less" };
            format!(
                "a run of {agents} agents has {} {way} than the others of its size, which makes every interval wider: see its report, and make it again if the host was disturbed",
                crate::units::percent(off.abs())
            )
        })
        .collect()
}

/// Says where the two models do not agree: then the form of the growth is not known, and the interval of one is too narrow.
fn apart(models: &[Model]) -> Option<String> {
    let [one, other] = models else { return None };
    let apart = one.expected.iter().zip(&other.expected).find(|(a, b)| match (a.run, b.run) {
        (Some(a), Some(b)) => a.interval.high < b.interval.low || b.interval.high < a.interval.low,
        _ => false,
    })?;
    Some(format!(
        "from {} agents on the two models say different things: only larger runs can show which is right",
        apart.0.agents
    ))
}
