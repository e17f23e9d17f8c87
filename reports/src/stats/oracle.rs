//! Other people's statistics: SciPy and statsmodels, whose figures `reports/oracle/stats.py` has written down.

mod compare;
mod factorial;
mod scaling;

use serde::Deserialize;

use super::{line, rank_interval, share_interval};

#[derive(Deserialize)]
struct Oracle {
    shares: Vec<Share>,
    ranks: Vec<Ranks>,
    students_t: Vec<Student>,
    lines: Vec<Fitted>,
}

#[derive(Debug, Deserialize)]
struct Share {
    part: u64,
    whole: u64,
    miss: f64,
    low: f64,
    high: f64,
}

#[derive(Debug, Deserialize)]
struct Ranks {
    count: u64,
    quantile: f64,
    miss: f64,
    low: Option<u64>,
    high: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct Student {
    freedom: f64,
    miss: f64,
    quantile: f64,
}

#[derive(Debug, Deserialize)]
struct Fitted {
    times: Vec<f64>,
    values: Vec<f64>,
    dependence: f64,
    least_squares: f64,
    theil_sen: f64,
    /// Slope and its standard error.
    generalised: (f64, f64),
}

fn oracle() -> Oracle {
    serde_json::from_str(include_str!("../../oracle/stats.json")).unwrap()
}

fn near(found: f64, wanted: f64, share: f64) -> bool {
    (found - wanted).abs() <= share * wanted.abs().max(1e-3)
}

#[test]
fn intervals_of_shares_are_those_of_scipy() {
    for wanted in oracle().shares {
        let found = share_interval(wanted.part, wanted.whole, wanted.miss);
        let ends = [(found.low, wanted.low), (found.high, wanted.high)];
        assert!(ends.iter().all(|(found, wanted)| near(*found, *wanted, 1e-6)), "{wanted:?}: {found:?}");
    }
}

#[test]
fn ranks_of_percentiles_are_those_of_scipys_binomial_distribution() {
    for wanted in oracle().ranks {
        let found = rank_interval(wanted.count, wanted.quantile, wanted.miss);
        assert_eq!(found, (wanted.low, wanted.high), "{wanted:?}");
    }
}

#[test]
fn quantiles_of_students_t_are_those_of_scipy() {
    for wanted in oracle().students_t {
        let found = line::quantile(wanted.freedom, wanted.miss);
        assert!(near(found, wanted.quantile, 1e-6), "{wanted:?}: {found}");
    }
}

#[test]
fn slopes_and_their_errors_are_those_of_scipy_and_statsmodels() {
    for wanted in oracle().lines {
        let points: Vec<(f64, f64)> =
            wanted.times.iter().copied().zip(wanted.values.iter().copied()).collect();
        let (slope, error) = line::generalised(&points, wanted.dependence);
        let found = [
            (line::least_squares(&points).slope, wanted.least_squares),
            (line::theil_sen(&points).unwrap(), wanted.theil_sen),
            (slope, wanted.generalised.0),
            (error, wanted.generalised.1),
        ];
        assert!(found.iter().all(|(found, wanted)| near(*found, *wanted, 1e-8)), "{found:?}");
    }
}
