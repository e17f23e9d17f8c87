//! The Universal Scalability Law and the line, against the figures that `reports/oracle/scaling.py` has written down.

use serde::Deserialize;

use super::near;
use crate::stats::{Growth, Scaling};

#[derive(Deserialize)]
struct Oracle {
    laws: Vec<Law>,
    lines: Vec<Line>,
}

#[derive(Deserialize)]
struct Law {
    growth: Growth,
    runs: Vec<(f64, f64)>,
    lambda: f64,
    sigma: f64,
    kappa: f64,
    fixed: Vec<String>,
    sigma_half: Option<f64>,
    predicted: Vec<(f64, f64, f64, f64)>,
}

#[derive(Deserialize)]
struct Line {
    runs: Vec<(f64, f64)>,
    any: f64,
    each: f64,
    predicted: Vec<(f64, f64, f64, f64)>,
}

fn predicts(found: &Scaling, wanted: &[(f64, f64, f64, f64)]) {
    for (size, low, value, high) in wanted {
        let run = found.at(*size).unwrap();
        let pairs = [(run.interval.low, *low), (run.value, *value), (run.interval.high, *high)];
        assert!(pairs.iter().all(|(found, wanted)| near(*found, *wanted, 1e-4)), "{size}: {pairs:?}");
    }
}

#[test]
fn the_law_and_its_intervals_are_those_of_scipy() {
    let oracle: Oracle = serde_json::from_str(include_str!("../../../oracle/scaling.json")).unwrap();
    for wanted in oracle.laws {
        let found = Scaling::law(wanted.growth, &wanted.runs).unwrap();
        let [lambda, sigma, kappa] = &found.parameters()[..] else { panic!("three parameters") };
        let pairs = [
            (lambda.value, wanted.lambda),
            (sigma.value, wanted.sigma),
            (kappa.value * 1e3, wanted.kappa * 1e3),
        ];
        assert!(pairs.iter().all(|(found, wanted)| near(*found, *wanted, 1e-4)), "{pairs:?}");
        for (name, parameter) in [("sigma", sigma), ("kappa", kappa)] {
            let is_fixed = wanted.fixed.iter().any(|fixed| fixed == name);
            assert_eq!(parameter.interval.is_none(), is_fixed, "{name}: {pairs:?}");
        }
        if let (Some(half), Some(interval)) = (wanted.sigma_half, sigma.interval) {
            assert!(near(interval.high.min(1.0), (sigma.value + half).min(1.0), 1e-4), "{interval:?}");
        }
        predicts(&found, &wanted.predicted);
    }
}

#[test]
fn the_line_and_its_intervals_are_those_of_statsmodels() {
    let oracle: Oracle = serde_json::from_str(include_str!("../../../oracle/scaling.json")).unwrap();
    for wanted in oracle.lines {
        let found = Scaling::line(&wanted.runs).unwrap();
        let [any, each] = &found.parameters()[..] else { panic!("two parameters") };
        assert!(near(any.value, wanted.any, 1e-6) && near(each.value, wanted.each, 1e-6), "{any:?} {each:?}");
        predicts(&found, &wanted.predicted);
    }
}
