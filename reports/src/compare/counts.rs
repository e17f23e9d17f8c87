//! Figures that are 0 in nearly every run: failures, duplicates, deaths.
//!
//! A ratio to nothing says nothing, and medians of such counts are 0 however many there are now and then. So the runs'
//! shares are ranked, ties included, by the exact test; with too few runs for ranks, Student's t is asked of the shares after
//! the transformation that makes their spread alike (Anscombe 1948), with at least the spread that chance alone
//! gives so many tasks.

use super::compared::{Compared, blank};
use super::figures::FigureKind;
use crate::stats::{self, Effect};
use crate::units;

/// What the counts of two sides say.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Counted {
    /// 1 if it is not beyond the limit.
    pub(super) chance_not_worse: f64,
    pub(super) chance_not_better: f64,
    /// None happened on the second side, or no more than the limit allows for sure.
    pub(super) is_within: bool,
    /// Something happens that did not happen before, or more often for sure.
    pub(super) is_doubtful: bool,
}

type Counts = Vec<(u64, u64)>;

/// Count and whole of each run. Without counts on a side there is no question, only a remark.
pub(super) fn ask(
    kind: &FigureKind,
    name: String,
    limit: f64,
    (first, second): (Counts, Counts),
    convincing: f64,
) -> (Compared, Option<Counted>) {
    let mut compared = blank(kind, name, limit, (first.len(), second.len()));
    let (a, b) = (sum(&first), sum(&second));
    let text = |runs: &Counts, (count, among): (u64, u64)| match runs.len() {
        0 => "—".to_owned(),
        _ => format!("{} of {}", units::count(count as f64), units::count(among as f64)),
    };
    (compared.first_text, compared.second_text) = (text(&first, a), text(&second, b));
    if first.is_empty() || second.is_empty() {
        compared.note = Some("one side has no run with this figure; what is missing is not 0".into());
        return (compared, None);
    }
    (compared.first, compared.second) = (Some(share(a)), Some(share(b)));
    if a.0 > 0 {
        compared.change = Some(share(b) / share(a) - 1.0);
    }
    let chances = if (a.0, b.0) == (0, 0) {
        Some((1.0, 1.0))
    } else if stats::least_chance(first.len(), second.len()) <= convincing {
        let (of_first, of_second) = (shares(&first), shares(&second));
        let higher = stats::higher_by_chance(&of_first, &of_second);
        higher.zip(stats::higher_by_chance(&of_second, &of_first))
    } else {
        by_means(&first, &second)
    };
    let (higher, lower) = chances.unwrap_or((1.0, 1.0));
    if chances.is_none() && b.0 > a.0 {
        compared.note = Some("one run on each side: what happened once may not be the build's doing".into());
    }
    let beyond = share(b) > share(a) * (1.0 + limit);
    let counted = Counted {
        chance_not_worse: if beyond { higher } else { 1.0 },
        chance_not_better: if share(b) < share(a) { lower } else { 1.0 },
        is_within: b.0 == 0,
        is_doubtful: beyond && (a.0 == 0 || higher <= stats::MISS_TWO / 2.0),
    };
    (compared, Some(counted))
}

fn sum(runs: &Counts) -> (u64, u64) {
    runs.iter().fold((0, 0), |all, run| (all.0 + run.0, all.1 + run.1))
}

fn share((count, among): (u64, u64)) -> f64 {
    count as f64 / among.max(1) as f64
}

fn shares(runs: &Counts) -> Vec<f64> {
    runs.iter().map(|run| share(*run)).collect()
}

/// That the second side is higher, and that it is lower, by chance.
fn by_means(first: &Counts, second: &Counts) -> Option<(f64, f64)> {
    let angles =
        |runs: &Counts| -> Vec<f64> { runs.iter().map(|run| share(*run).min(1.0).sqrt().asin()).collect() };
    let among = |runs: &Counts| sum(runs).1.max(1) as f64;
    let by_chance = (0.25 / among(first) + 0.25 / among(second)).sqrt();
    let effect =
        Effect::between(&angles(first), &angles(second), 0.0, 0.0)?.with_error_of_at_least(by_chance);
    Some((effect.chance_of_at_most(0.0), effect.chance_of_at_least(0.0)))
}
