//! From sides to words: each figure's effect held against its limit, and what all of them amount to.
//!
//! A figure has *regressed* if its effect is beyond the limit for sure, and is an effect at all even though so many figures are
//! asked at once (Holm). It is *the same* if it is within the limit for sure, and *improved* if it is better for sure.
//! Otherwise these runs leave it *undecided*.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::agree::agree;
use super::compared::{Compared, Word, blank};
use super::counts::{self, Counted};
use super::figures::{FigureKind, Part, RUNS_FAILED, figure_names, show};
use super::side::{LeftOut, Pair, Side, SideError};
use super::terms::{Across, Terms};
use crate::criterion::Better;
use crate::stats::{self, Effect, Interval};
use crate::units::things;
use crate::verdict::Exit;

/// The version of the comparison in JSON.
pub const COMPARISON_VERSION: u32 = 1;
/// How often a word that is sure may be wrong.
const MISS: f64 = stats::MISS_TWO / 2.0;
/// From this rank correlation on, runs that were made in turn are compared in pairs: below it, what the two of a pair have in common is less
/// than what pairs cost.
const PAIRED_FROM: f64 = 0.5;

/// Why one run on each side leaves everything open.
const ALONE: &str =
    "one run on each side does not show how far runs of one build differ: make three or more of each";

/// How much worse a figure may be, as a share of what it was.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    pub all: f64,
    /// By the name of a figure.
    pub single: BTreeMap<String, f64>,
    /// Only these figures; all, if empty.
    pub only: Vec<String>,
    pub across: Across,
}

/// What a comparison amounts to. From best to worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING-KEBAB-CASE")]
pub enum Outcome {
    NoRegression,
    Inconclusive,
    Regression,
}

impl Outcome {
    pub fn word(self) -> &'static str {
        match self {
            Self::NoRegression => "NO REGRESSION",
            Self::Inconclusive => "INCONCLUSIVE",
            Self::Regression => "REGRESSION",
        }
    }

    fn exit(self) -> Exit {
        let (code, name) = match self {
            Self::NoRegression => (0, "pass"),
            Self::Inconclusive => (12, "inconclusive"),
            Self::Regression => (13, "regression"),
        };
        Exit { code, name: name.into() }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    pub version: u32,
    pub outcome: Outcome,
    pub exit: Exit,
    /// In words, the gravest first.
    pub reasons: Vec<String>,
    /// What the caller allowed to differ, and does.
    pub warnings: Vec<String>,
    /// As a share.
    pub limit: f64,
    pub first: SideFacts,
    /// Of the first run; absent without one.
    pub terms: Option<Terms>,
    /// Each other side, held against the first.
    pub against: Vec<Against>,
}

/// What documents say of a side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SideFacts {
    pub label: String,
    pub commits: Vec<String>,
    pub runs: Vec<String>,
    pub left_out: Vec<LeftOut>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Against {
    pub side: SideFacts,
    /// Runs of both sides were made in turn.
    pub pairs: Option<usize>,
    pub figures: Vec<Compared>,
}

impl Against {
    /// How many runs there are on each side, in a sentence.
    pub fn runs_text(&self, first: &SideFacts) -> String {
        let runs = |side: &SideFacts| things(side.runs.len() as u64, "run");
        let turns = if self.pairs.is_some() { ", made in turn" } else { "" };
        format!("{} before and {} now{turns}.", runs(first), runs(&self.side))
    }
}

/// Holds every other side against the first. With `pairs`, there are two sides, whose runs were made in turn.
pub fn compare(sides: &[Side], pairs: Option<&[Pair]>, limits: &Limits) -> Result<Comparison, SideError> {
    let Some((first, others)) = sides.split_first().filter(|(_, others)| !others.is_empty()) else {
        let label = sides.first().map_or("this", |side| side.label.as_str());
        return Err(SideError::Alone { label: label.to_owned() });
    };
    let warnings = agree(sides, limits.across)?;
    let mut asked: Vec<Vec<Question>> =
        others.iter().map(|side| questions(first, side, pairs, limits, others.len())).collect();
    let (apart, many): (Vec<&mut Question>, Vec<&mut Question>) =
        asked.iter_mut().flatten().partition(|question| question.is_apart());
    adjust(many);
    adjust(apart);
    let against: Vec<Against> = others
        .iter()
        .zip(asked)
        .map(|(side, asked)| Against {
            side: facts(side),
            pairs: pairs.map(<[Pair]>::len),
            figures: asked.into_iter().map(Question::answer).collect(),
        })
        .collect();
    let (outcome, reasons) = whole(first, others, &against);
    Ok(Comparison {
        version: COMPARISON_VERSION,
        outcome,
        exit: outcome.exit(),
        reasons,
        warnings,
        limit: limits.all,
        first: facts(first),
        terms: sides.iter().find_map(|side| side.runs.first()).map(|run| run.0.clone()),
        against,
    })
}

fn facts(side: &Side) -> SideFacts {
    let commits: BTreeSet<&str> = side.runs.iter().map(|(_, run)| run.commit.as_str()).collect();
    SideFacts {
        label: side.label.clone(),
        commits: commits.into_iter().map(str::to_owned).collect(),
        runs: side.runs.iter().map(|(_, run)| run.run_id.clone()).collect(),
        left_out: side.not_counted().cloned().collect(),
    }
}

/// A figure before the adjustment for all of them.
struct Question {
    compared: Compared,
    asked: Asked,
}

enum Asked {
    /// Answered already.
    Nothing,
    /// In logarithms, turned so that more is worse; and how much worse is the limit.
    Effect(Effect, f64),
    Counts(Counted),
}

fn questions(
    first: &Side,
    second: &Side,
    pairs: Option<&[Pair]>,
    limits: &Limits,
    sides: usize,
) -> Vec<Question> {
    let names = names(first, second, limits);
    // So many figures are asked at once: ranks that cannot be as sure as the first step of Holm asks convince of nothing.
    let family = names.iter().filter(|(kind, _)| kind.name != RUNS_FAILED).count();
    let ask = |(kind, name): (&'static FigureKind, String)| {
        // Where each run has one or none, nothing but the exact test is to be had.
        let convincing = if kind.name == RUNS_FAILED { 1.0 } else { MISS / (family * sides).max(1) as f64 };
        let limit =
            limits.single.get(&name).or_else(|| limits.single.get(kind.name)).copied().unwrap_or(limits.all);
        let is_count = [first, second].iter().any(|side| !side.counts(&name).is_empty());
        if is_count {
            let sides = (first.counts(&name), second.counts(&name));
            let (compared, counted) = counts::ask(kind, name, limit, sides, convincing);
            let asked = counted.map_or(Asked::Nothing, Asked::Counts);
            return Question { compared, asked };
        }
        let is_named = limits.only.contains(&name) || limits.single.contains_key(&name);
        let mut question = levels(kind, name, limit, (first, second, pairs), convincing);
        if is_named {
            question.compared.part = Part::Judged;
        }
        question
    };
    names.into_iter().map(ask).collect()
}

/// Figures that a side has and that are asked, in the order of the documents.
fn names(first: &Side, second: &Side, limits: &Limits) -> Vec<(&'static FigureKind, String)> {
    let runs = first.runs.iter().chain(&second.runs).map(|(_, run)| run);
    let is_asked = |(kind, name): &(&FigureKind, String)| {
        limits.only.is_empty() || limits.only.iter().any(|only| only == name || only == kind.name)
    };
    figure_names(runs).filter(is_asked).collect()
}

fn levels(
    kind: &'static FigureKind,
    name: String,
    limit: f64,
    (first, second, pairs): (&Side, &Side, Option<&[Pair]>),
    convincing: f64,
) -> Question {
    let (a, b) = (first.levels(&name), second.levels(&name));
    let mut compared = blank(kind, name, limit, (a.len(), b.len()));
    let middle = |of: &[(f64, f64)]| stats::median(&mut of.iter().map(|v| v.0).collect::<Vec<_>>());
    (compared.first, compared.second) = (middle(&a), middle(&b));
    let text = |value: Option<f64>| value.map_or_else(|| "—".into(), |value| show(kind.unit, value));
    (compared.first_text, compared.second_text) = (text(compared.first), text(compared.second));
    let nothing = |mut compared: Compared, word: Word, note: &str| {
        compared.word = word;
        compared.counts = word == Word::Undecided;
        compared.note = Some(note.to_owned());
        Question { compared, asked: Asked::Nothing }
    };
    if a.is_empty() || b.is_empty() {
        return nothing(
            compared,
            Word::Undecided,
            "one side has no run with this figure; what is missing is not 0",
        );
    }
    let all = || a.iter().chain(&b);
    if all().all(|v| v.0 == 0.0) {
        compared.change = Some(0.0);
        return nothing(compared, Word::Same, "0 in every run");
    }
    if all().any(|v| v.0 <= 0.0) {
        return nothing(compared, Word::Undecided, "it is 0 in some runs: there is no ratio to it");
    }
    let turn = match kind.better {
        Better::Lower => 1.0,
        Better::Higher => -1.0,
    };
    let step = kind.step(all());
    let worse = |v: &(f64, f64)| turn * v.0.ln();
    let both = paired(&compared.name, first, second, pairs, worse);
    let effect = match both {
        Some(pairs) => Effect::paired(&pairs, convincing, step),
        None => Effect::between(
            &a.iter().map(worse).collect::<Vec<_>>(),
            &b.iter().map(worse).collect::<Vec<_>>(),
            convincing,
            step,
        ),
    };
    let Some(effect) = effect else {
        compared.change = compared.first.zip(compared.second).map(|(a, b)| b / a - 1.0);
        return nothing(compared, Word::Undecided, ALONE);
    };
    let allowed = turn * (turn * limit).ln_1p();
    describe(&mut compared, &effect, turn);
    Question { compared, asked: Asked::Effect(effect, allowed) }
}

/// The values of runs that were made in turn, where both have one. `None` if there are no pairs, or if the two of a pair
/// have little in common. That does not depend on how far the sides differ.
fn paired(
    name: &str,
    first: &Side,
    second: &Side,
    pairs: Option<&[Pair]>,
    worse: impl Fn(&(f64, f64)) -> f64,
) -> Option<Vec<(f64, f64)>> {
    let value = |side: &Side, at: usize| side.runs.get(at).and_then(|(_, run)| run.level(name));
    let of = |(a, b): &Pair| Some((worse(&value(first, *a)?), worse(&value(second, *b)?)));
    let found: Vec<(f64, f64)> = pairs?.iter().filter_map(of).collect();
    (stats::rank_correlation(&found)? >= PAIRED_FROM).then_some(found)
}

/// Effects are shown as changes of the figure itself, whichever way is worse.
fn describe(compared: &mut Compared, effect: &Effect, turn: f64) {
    let change = |worse: f64| Some((turn * worse).exp_m1()).filter(|change| change.is_finite());
    let Interval { low, high } = effect.interval();
    let (low, high) = if turn > 0.0 { (low, high) } else { (high, low) };
    let bounded = |end: f64| if end.is_finite() { change(end) } else { None };
    compared.change = change(effect.estimate());
    (compared.low, compared.high) = (bounded(low), bounded(high));
    let detectable = effect.detectable();
    compared.detectable = if detectable.is_finite() { change(detectable) } else { None };
    compared.method = Some(effect.method());
}

/// The words of a family of figures, each with its chance among all of them.
fn adjust(mut all: Vec<&mut Question>) {
    let worse: Vec<f64> = all.iter().filter_map(|question| question.chance_not_worse()).collect();
    let better: Vec<f64> = all.iter().filter_map(|question| question.chance_not_better()).collect();
    let mut adjusted = stats::holm(&worse).into_iter().zip(stats::holm(&better));
    for question in &mut all {
        if question.chance_not_worse().is_some()
            && let Some((worse, better)) = adjusted.next()
        {
            question.decide(worse, better);
        }
    }
}

impl Question {
    /// Whether runs fail is a question of its own, and no other one makes its answer less sure: three runs of each side, of which only the
    /// new ones fail, could not show it among twenty figures.
    fn is_apart(&self) -> bool {
        self.compared.name == RUNS_FAILED
    }

    /// How probable these runs are if the figure is no worse than it was.
    fn chance_not_worse(&self) -> Option<f64> {
        match &self.asked {
            Asked::Nothing => None,
            Asked::Effect(effect, _) => Some(effect.chance_of_at_most(0.0)),
            Asked::Counts(counted) => Some(counted.chance_not_worse),
        }
    }

    /// How probable these runs are if the figure is no better than it was.
    fn chance_not_better(&self) -> Option<f64> {
        match &self.asked {
            Asked::Nothing => None,
            Asked::Effect(effect, _) => Some(effect.chance_of_at_least(0.0)),
            Asked::Counts(counted) => Some(counted.chance_not_better),
        }
    }

    fn decide(&mut self, worse: f64, better: f64) {
        let (is_within, is_worse, is_beyond) = match &self.asked {
            Asked::Nothing => return,
            Asked::Effect(effect, allowed) => (
                effect.chance_of_at_least(*allowed) <= MISS,
                effect.chance_of_at_most(0.0) <= MISS,
                effect.chance_of_at_most(*allowed) <= MISS,
            ),
            Asked::Counts(counted) => {
                (counted.chance_not_within <= MISS, counted.is_doubtful, counted.chance_not_beyond <= MISS)
            }
        };
        self.compared.chance = Some(worse);
        self.compared.word = match () {
            () if is_beyond && worse <= MISS => Word::Regressed,
            () if better <= MISS => Word::Improved,
            () if is_within => Word::Same,
            () => Word::Undecided,
        };
        let is_judged = self.compared.part == Part::Judged && !matches!(self.asked, Asked::Counts(_));
        self.compared.counts = match self.compared.word {
            Word::Regressed => true,
            Word::Undecided => is_judged || is_worse,
            Word::Same | Word::Improved => false,
        };
    }

    fn answer(self) -> Compared {
        self.compared
    }
}

fn whole(first: &Side, others: &[Side], against: &[Against]) -> (Outcome, Vec<String>) {
    let mut found: Vec<(Outcome, String)> = Vec::new();
    for side in std::iter::once(first).chain(others) {
        if side.runs.is_empty() {
            found.push((Outcome::Inconclusive, format!("{} has no run that can be compared", side.label)));
        }
    }
    let figures = || against.iter().flat_map(|side| &side.figures);
    let is_alone = |figure: &Compared| figure.note.as_deref() == Some(ALONE);
    if figures().any(is_alone) {
        found.push((Outcome::Inconclusive, ALONE.to_owned()));
    }
    for (side, figure) in against.iter().flat_map(|a| a.figures.iter().map(move |figure| (&a.side, figure))) {
        let outcome = match figure.word {
            Word::Regressed => Outcome::Regression,
            Word::Undecided if figure.counts && !is_alone(figure) => Outcome::Inconclusive,
            Word::Undecided | Word::Same | Word::Improved => continue,
        };
        let of = if others.len() > 1 { format!("{}: ", side.label) } else { String::new() };
        found.push((outcome, format!("{of}{}", figure.sentence())));
    }
    if against.iter().all(|side| side.figures.is_empty()) && found.is_empty() {
        found.push((Outcome::Inconclusive, "there is no figure to compare".into()));
    }
    found.sort_by_key(|found| std::cmp::Reverse(found.0));
    let outcome = found.first().map_or(Outcome::NoRegression, |worst| worst.0);
    (outcome, found.into_iter().map(|(_, reason)| reason).collect())
}
