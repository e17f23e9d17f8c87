//! Effects of factors, against the figures that `reports/oracle/factorial.py` has written down.

use serde::Deserialize;

use super::near;
use crate::stats::{NoEffects, Observed, factor_effects};

#[derive(Deserialize)]
struct Fitted {
    factors: usize,
    /// Cell, block and value.
    rows: Vec<(u32, usize, f64)>,
    freedom: f64,
    terms: Vec<Term>,
}

#[derive(Debug, Deserialize)]
struct Term {
    factors: u32,
    estimate: f64,
    error: f64,
    low: f64,
    high: f64,
    chance: f64,
}

fn runs(rows: &[(u32, usize, f64)]) -> Vec<Observed> {
    rows.iter().map(|(cell, block, value)| Observed { cell: *cell, block: *block, value: *value }).collect()
}

#[test]
fn effects_of_factors_are_those_of_statsmodels_also_where_runs_are_missing() {
    let all: Vec<Fitted> = serde_json::from_str(include_str!("../../../oracle/factorial.json")).unwrap();
    for wanted in all {
        let found = factor_effects(wanted.factors, &runs(&wanted.rows)).unwrap();
        assert_eq!(found.len(), wanted.terms.len());
        for term in wanted.terms {
            let effect = found.iter().find(|effect| effect.factors == term.factors).unwrap();
            assert!((effect.freedom - wanted.freedom).abs() < 0.5, "{effect:?}");
            let interval = effect.interval();
            let pairs = [
                (effect.estimate, term.estimate),
                (effect.error, term.error),
                (interval.low, term.low),
                (interval.high, term.high),
                (effect.chance_of_none(), term.chance),
            ];
            assert!(pairs.iter().all(|(found, wanted)| near(*found, *wanted, 1e-7)), "{term:?}: {effect:?}");
        }
    }
}

#[test]
fn runs_that_say_nothing_of_a_factor_say_why() {
    let all = |cells: &[u32]| -> Vec<Observed> {
        runs(&cells.iter().enumerate().map(|(at, cell)| (*cell, at / 4, 1.0)).collect::<Vec<_>>())
    };
    assert_eq!(factor_effects(2, &all(&[0, 1, 2, 0, 0, 1, 2, 0])), Err(NoEffects::EmptyCell(3)));
    assert_eq!(factor_effects(2, &all(&[0, 1, 2, 3, 0, 2, 3])), Err(NoEffects::OneRun(1)));
    let alone = [(0, 0, 1.0), (0, 1, 2.0), (1, 2, 3.0), (1, 3, 4.0)];
    assert_eq!(factor_effects(1, &runs(&alone)), Err(NoEffects::NoNoise));
    let apart = [(0, 0, 1.0), (0, 0, 2.0), (1, 1, 3.0), (1, 1, 4.0)];
    assert_eq!(factor_effects(1, &runs(&apart)), Err(NoEffects::Apart));
}

#[test]
fn an_effect_without_any_noise_is_certain_and_none_is_none() {
    let rows = [(0, 0, 1.0), (1, 0, 3.0), (0, 1, 1.0), (1, 1, 3.0)];
    let found = factor_effects(1, &runs(&rows)).unwrap();
    assert!((found[0].estimate - 2.0).abs() < 1e-12, "{found:?}");
    assert!(found[0].chance_of_none() < 1e-9, "{found:?}");
    let same = [(0, 0, 1.0), (1, 0, 1.0), (0, 1, 1.0), (1, 1, 1.0)];
    let none = factor_effects(1, &runs(&same)).unwrap();
    assert!(none[0].with_error_of_at_least(1e-9).chance_of_none() > 0.99, "{none:?}");
}
