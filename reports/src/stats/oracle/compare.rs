//! Comparisons of runs, against the figures that `reports/oracle/compare.py` has written down.

use serde::Deserialize;

use super::near;
use crate::stats::{Effect, Method, Noise, Step, change, higher_by_chance, holm, rank_correlation};

/// As SciPy takes values.
const EXACT: Step = Step::Rounded(0.0);

#[derive(Deserialize)]
struct Oracle {
    ranks: Vec<Two>,
    paired_ranks: Vec<Two>,
    means: Vec<Two>,
    paired_means: Vec<Two>,
    higher: Vec<Higher>,
    correlations: Vec<Correlation>,
    changes: Vec<Changed>,
    counted_changes: Vec<Changed>,
    holm: Holm,
}

#[derive(Deserialize)]
struct Two {
    first: Vec<f64>,
    second: Vec<f64>,
    estimate: f64,
    low: f64,
    high: f64,
    /// A limit, and the chances that the difference is no greater, and no less.
    chances: Vec<(f64, f64, f64)>,
}

impl Two {
    fn pairs(&self) -> Vec<(f64, f64)> {
        self.first.iter().copied().zip(self.second.iter().copied()).collect()
    }

    fn is_that_of(&self, effect: &Effect, method: Method) {
        assert_eq!(effect.method(), method);
        let interval = effect.interval();
        let mut found =
            vec![(effect.estimate(), self.estimate), (interval.low, self.low), (interval.high, self.high)];
        for (limit, greater, less) in &self.chances {
            found.push((effect.chance_of_at_most(*limit), *greater));
            found.push((effect.chance_of_at_least(*limit), *less));
        }
        assert!(found.iter().all(|(found, wanted)| near(*found, *wanted, 1e-9)), "{found:?}");
    }
}

#[derive(Debug, Deserialize)]
struct Higher {
    first: Vec<f64>,
    second: Vec<f64>,
    chance: f64,
}

#[derive(Deserialize)]
struct Correlation {
    pairs: Vec<(f64, f64)>,
    correlation: f64,
}

#[derive(Deserialize)]
struct Changed {
    values: Vec<f64>,
    at: usize,
    by: f64,
    chance: f64,
}

#[derive(Deserialize)]
struct Holm {
    chances: Vec<f64>,
    adjusted: Vec<f64>,
}

fn oracle() -> Oracle {
    serde_json::from_str(include_str!("../../../oracle/compare.json")).unwrap()
}

#[test]
fn differences_by_ranks_are_those_of_scipy() {
    for wanted in oracle().ranks {
        let found = Effect::between(&wanted.first, &wanted.second, 0.05, EXACT).unwrap();
        wanted.is_that_of(&found, Method::Ranks);
    }
    for wanted in oracle().paired_ranks {
        let found = Effect::paired(&wanted.pairs(), 0.05, EXACT).unwrap();
        wanted.is_that_of(&found, Method::PairedRanks);
    }
}

#[test]
fn differences_of_means_are_those_of_scipy() {
    for wanted in oracle().means {
        let found = Effect::between(&wanted.first, &wanted.second, 0.0, EXACT).unwrap();
        wanted.is_that_of(&found, Method::Means);
    }
    for wanted in oracle().paired_means {
        let found = Effect::paired(&wanted.pairs(), 0.0, EXACT).unwrap();
        wanted.is_that_of(&found, Method::PairedMeans);
    }
}

#[test]
fn counts_with_many_zeros_have_the_exact_chances_of_scipy() {
    for wanted in oracle().higher {
        let found = higher_by_chance(&wanted.first, &wanted.second).unwrap();
        assert!(near(found, wanted.chance, 1e-9), "{wanted:?}: {found}");
    }
}

#[test]
fn chances_of_many_questions_are_adjusted_as_statsmodels_does() {
    let Holm { chances, adjusted } = oracle().holm;
    for (found, wanted) in holm(&chances).iter().zip(&adjusted) {
        assert!(near(*found, *wanted, 1e-12), "{found} {wanted}");
    }
}

#[test]
fn rank_correlations_are_those_of_scipy() {
    for wanted in oracle().correlations {
        let found = rank_correlation(&wanted.pairs).unwrap();
        assert!(near(found, wanted.correlation, 1e-12), "{found} {}", wanted.correlation);
    }
}

#[test]
fn the_likeliest_change_is_where_scipys_t_is_greatest() {
    for wanted in oracle().changes {
        let found = change::likeliest(&wanted.values, Noise::Steps(0.0)).unwrap();
        assert_eq!(found.at, wanted.at);
        assert!(near(found.by(), wanted.by, 1e-9) && near(found.chance, wanted.chance, 1e-9), "{found:?}");
    }
}

#[test]
fn a_change_of_few_steps_is_where_scipys_exact_test_is_least() {
    for wanted in oracle().counted_changes {
        let found = change::likeliest(&wanted.values, Noise::Steps(1.0)).unwrap();
        assert_eq!(found.at, wanted.at, "{:?}", wanted.values);
        assert!(near(found.by(), wanted.by, 1e-9) && near(found.chance, wanted.chance, 1e-9), "{found:?}");
    }
}
