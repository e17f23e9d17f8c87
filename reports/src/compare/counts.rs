//! Figures that are 0 in nearly every run: failures, duplicates, deaths.
//!
//! A ratio to nothing says nothing, and medians of such counts are 0 however many there are now and then. So the runs'
//! shares are ranked, ties included, by the exact test; with too few runs for ranks, Student's t is asked of the shares after
//! the transformation that makes their spread alike (Anscombe 1948), with at least the spread that chance alone
//! gives so many tasks.
//!
//! A limit is asked of the same way: the second side's shares are held against those of the first, made greater by the limit. That they
//! come no more often than that is asked of the transformed shares alone: between counts of one or two, ranks would take the
//! limit itself for a difference.

use super::compared::{Compared, blank};
use super::figures::FigureKind;
use crate::stats::{self, Effect, Step};
use crate::units;

/// What the counts of two sides say.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Counted {
    /// How probable such counts are if they come no more often than before, and if no less often.
    pub(super) chance_not_worse: f64,
    pub(super) chance_not_better: f64,
    /// The same if they come no more often than the limit allows, and if more often than that.
    pub(super) chance_not_beyond: f64,
    pub(super) chance_not_within: f64,
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
    if b.0 == 0 {
        let of_less = chances(&first, &second, 1.0, convincing).filter(|_| a.0 > 0);
        let counted = Counted {
            chance_not_worse: 1.0,
            chance_not_better: of_less.map_or(1.0, |(_, lower)| lower),
            chance_not_beyond: 1.0,
            chance_not_within: 0.0,
            is_doubtful: false,
        };
        return (compared, Some(counted));
    }
    let chances = |times: f64| chances(&first, &second, times, convincing);
    if first.len() + second.len() < 3 && b.0 > a.0 {
        compared.note = Some("one run on each side: what happened once may not be the build's doing".into());
    }
    let (higher, lower) = chances(1.0).unwrap_or((1.0, 1.0));
    let allowed = 1.0 + limit;
    let counted = Counted {
        chance_not_worse: higher,
        chance_not_better: lower,
        chance_not_beyond: chances(allowed).map_or(1.0, |(higher, _)| higher),
        chance_not_within: by_means(&first, &second, allowed).map_or(1.0, |(_, lower)| lower),
        is_doubtful: share(b) > share(a) * allowed && (a.0 == 0 || higher <= stats::MISS_TWO / 2.0),
    };
    (compared, Some(counted))
}

fn sum(runs: &Counts) -> (u64, u64) {
    runs.iter().fold((0, 0), |all, run| (all.0 + run.0, all.1 + run.1))
}

fn share((count, among): (u64, u64)) -> f64 {
    count as f64 / among.max(1) as f64
}

fn shares(runs: &Counts, times: f64) -> Vec<f64> {
    runs.iter().map(|run| share(*run) * times).collect()
}

/// That the second side is higher than so many times the first, and that it is lower, by chance: by ranks if these can convince.
/// `None` if nothing can.
fn chances(first: &Counts, second: &Counts, times: f64, convincing: f64) -> Option<(f64, f64)> {
    let ranked = || {
        let (first, second) = (shares(first, times), shares(second, 1.0));
        stats::higher_by_chance(&first, &second).zip(stats::higher_by_chance(&second, &first))
    };
    let can_convince = stats::least_chance(first.len(), second.len()) <= convincing;
    // Of very many runs, ranks are not counted.
    can_convince.then(ranked).flatten().or_else(|| by_means(first, second, times))
}

/// As [`chances`], by the means of the transformed shares.
fn by_means(first: &Counts, second: &Counts, times: f64) -> Option<(f64, f64)> {
    let angles = |runs: &Counts, times: f64| -> Vec<f64> {
        shares(runs, times).into_iter().map(|share| share.min(1.0).sqrt().asin()).collect()
    };
    let among = |runs: &Counts| sum(runs).1.max(1) as f64;
    let by_chance = (0.25 / among(first) + 0.25 / among(second)).sqrt();
    let effect = Effect::between(&angles(first, times), &angles(second, 1.0), 0.0, Step::Rounded(0.0))?
        .with_error_of_at_least(by_chance);
    Some((effect.chance_of_at_most(0.0), effect.chance_of_at_least(0.0)))
}
