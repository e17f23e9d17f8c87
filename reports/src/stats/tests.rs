//! Series whose answer is known, with noise like that of real ones.

use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;

/// Normal noise whose neighbours are correlated.
struct Noise {
    random: ChaCha8Rng,
    dependence: f64,
    deviation: f64,
    last: Option<f64>,
}

impl Noise {
    fn new(seed: u64, dependence: f64, deviation: f64) -> Self {
        Self { random: ChaCha8Rng::seed_from_u64(seed), dependence, deviation, last: None }
    }

    fn next(&mut self) -> f64 {
        // Box and Muller.
        let (a, b): (f64, f64) = (self.random.random(), self.random.random());
        let normal = (-2.0 * (1.0 - a).ln()).sqrt() * (std::f64::consts::TAU * b).cos();
        let fresh = normal * self.deviation;
        let next = match self.last {
            None => fresh,
            Some(last) => self.dependence * last + (1.0 - self.dependence.powi(2)).sqrt() * fresh,
        };
        self.last = Some(next);
        next
    }
}

fn series(n: usize, hours: f64, mut noise: Noise, value: impl Fn(f64) -> f64) -> Vec<(f64, f64)> {
    (0..n)
        .map(|i| {
            let t = (i as f64 + 0.5) * hours / n as f64;
            (t, value(t) + noise.next())
        })
        .collect()
}

fn ask(points: &[(f64, f64)], asked: Asked, limit: f64) -> Trend {
    let question = Question {
        points,
        asked,
        relative: true,
        limit,
        falling: false,
        quantum: 4096.0,
        miss: MISS,
        restarts: &[],
    };
    trend(&question).unwrap()
}

#[derive(Debug, PartialEq, Eq, Clone, Copy)]
enum Says {
    Pass,
    Fail,
    Open,
}

fn says(t: &Trend, limit: f64) -> Says {
    if t.interval.low >= limit {
        Says::Fail
    } else if t.interval.high < limit && t.open.is_none() {
        Says::Pass
    } else {
        Says::Open
    }
}

fn tally(
    n: usize,
    hours: f64,
    rho: f64,
    share: f64,
    limit: f64,
    asked: Asked,
    value: impl Fn(f64) -> f64,
) -> [usize; 3] {
    let mut out = [0; 3];
    for seed in 0..200 {
        let points = series(n, hours, Noise::new(seed, rho, share * 1e8), |t| 1e8 * value(t));
        match says(&ask(&points, asked, limit), limit) {
            Says::Pass => out[0] += 1,
            Says::Fail => out[1] += 1,
            Says::Open => out[2] += 1,
        }
    }
    out
}

/// At most 7 % of the decided ones, and few undecided.
#[test]
fn intervals_cover_the_slope_of_dependent_noise() {
    for (n, rho, undecided_max) in [(96, 0.8, 0.05), (288, 0.9, 0.02), (96, 0.0, 0.01), (288, 0.5, 0.01)] {
        let (mut missed, mut decided) = (0, 0);
        let all = 1_000;
        for seed in 0..all {
            let points = series(n, 8.0, Noise::new(seed, rho, 1.0), |t| 3.0 * t);
            let line = line::fit(&points, 1e-9, MISS, 0.0).unwrap();
            if !line.wanders {
                decided += 1;
                missed += u64::from(line.interval.low > 3.0 || line.interval.high < 3.0);
            }
        }
        assert!(missed * 100 <= decided * 7, "n {n} rho {rho}: missed {missed} of {decided}");
        // The figures of docs/verdicts.md: run it with `--nocapture`.
        println!("n {n}, AR(1) {rho}: missed {missed} of {decided}, {} undecided", all - decided);
        let undecided = (all - decided) as f64 / all as f64;
        assert!(undecided <= undecided_max, "n {n} rho {rho}: {undecided} undecided");
    }
}

/// A year of clean runs, and as many with a slope of twice the limit; one at the limit is mostly left open.
#[test]
fn clean_runs_pass_twice_the_limit_fails_and_the_limit_itself_is_open() {
    let clean = tally(96, 8.0, 0.8, 0.005, 0.01, Asked::Slope, |_| 1.0);
    assert!(clean[0] >= 198 && clean[1] == 0, "{clean:?}");
    let clean = tally(288, 24.0, 0.8, 0.005, 0.1, Asked::Growth, |_| 1.0);
    assert!(clean[0] >= 198 && clean[1] == 0, "{clean:?}");
    let clean = tally(96, 8.0, 0.5, 0.01, 0.2, Asked::Drift, |_| 1.0);
    assert!(clean[0] >= 198 && clean[1] == 0, "{clean:?}");
    let leaking = tally(96, 8.0, 0.8, 0.005, 0.01, Asked::Slope, |t| 1.0 + 0.02 * t);
    assert!(leaking[1] >= 190 && leaking[0] == 0, "{leaking:?}");
    let wandering = tally(96, 8.0, 0.95, 0.01, 0.01, Asked::Slope, |t| 1.0 + 0.01 * t);
    assert!(wandering[2] >= 160 && wandering[1] <= 24, "{wandering:?}");
}

/// Of a series with a warm-up, a jump, or both, the answers are those of the shape, whatever the noise.
#[test]
fn shapes_are_told_apart_in_noise() {
    for rho in [0.0, 0.5, 0.8] {
        let late = tally(288, 24.0, rho, 0.005, 0.01, Asked::Slope, |t| 1.0 + 0.05 * (t - 16.8).max(0.0));
        assert!(late[1] >= 198, "{rho}: {late:?}");
        let jump = tally(288, 24.0, rho, 0.005, 0.1, Asked::Growth, |t| if t < 12.0 { 1.0 } else { 2.0 });
        assert!(jump[1] >= 198, "{rho}: {jump:?}");
        let warm = tally(96, 8.0, rho, 0.005, 0.01, Asked::Slope, |t| 2.0 - (-t / 0.5).exp());
        assert!(warm[0] >= 190 && warm[1] == 0, "{rho}: {warm:?}");
        let levelling = tally(96, 8.0, rho, 0.005, 0.01, Asked::Slope, |t| 2.0 - (-t / 2.0).exp());
        assert!(levelling[0] == 0 && levelling[1] <= 6, "{rho}: {levelling:?}");
        let teeth = tally(96, 8.0, rho, 0.005, 0.01, Asked::Slope, |t| 1.0 + 0.3 * (t % 5.0) / 5.0);
        assert!(teeth[2] == 200, "{rho}: {teeth:?}");
    }
}

#[test]
fn seven_points_say_nothing_and_a_share_of_nothing_is_none() {
    let points: Vec<(f64, f64)> = (0..7).map(|i| (f64::from(i), 1.0)).collect();
    let question = Question {
        points: &points,
        asked: Asked::Growth,
        relative: true,
        limit: 0.1,
        falling: false,
        quantum: 1.0,
        miss: MISS,
        restarts: &[],
    };
    assert_eq!(trend(&question), Err(NoTrend::Few(7)));
    let zeros: Vec<(f64, f64)> = (0..40).map(|i| (f64::from(i), 0.0)).collect();
    assert_eq!(trend(&Question { points: &zeros, ..question }), Err(NoTrend::NoLevel));
}

/// What falls is held to a floor as what rises is to a ceiling.
#[test]
fn a_fall_is_the_mirror_of_a_rise() {
    let rising = series(96, 8.0, Noise::new(3, 0.5, 0.5e6), |t| 1e8 + 3e6 * t);
    let falling: Vec<(f64, f64)> = rising.iter().map(|p| (p.0, 2e8 - p.1)).collect();
    let ask = |points, falling, limit| {
        let relative = false;
        let (quantum, miss) = (4096.0, MISS);
        let asked = Asked::Slope;
        trend(&Question { points, asked, relative, limit, falling, quantum, miss, restarts: &[] }).unwrap()
    };
    let (up, down) = (ask(&rising, false, 1e6), ask(&falling, true, -1e6));
    assert!((up.value + down.value).abs() < 1e-3 && (up.interval.low + down.interval.high).abs() < 1e-3);
    assert!(up.interval.low > 1e6 && down.interval.high < -1e6, "{up:?} {down:?}");
}

proptest! {
    #[test]
    fn the_median_slope_of_a_line_is_its_slope(slope in -1e6..1e6f64, level in -1e6..1e6f64, n in 2usize..60) {
        let points: Vec<_> = (0..n).map(|i| (i as f64, level + slope * i as f64)).collect();
        let found = line::theil_sen(&points).unwrap();
        prop_assert!((found - slope).abs() <= 1e-6 * (1.0 + slope.abs() + level.abs()));
    }

    /// Whatever the series, there is an answer with a width, and it is the same each time.
    #[test]
    fn any_series_has_an_interval_that_holds_its_figure(
        values in prop::collection::vec(prop_oneof![0.0..1e9f64, Just(5e8), Just(0.0)], 8..120),
        asked in prop::sample::select(vec![Asked::Slope, Asked::Growth, Asked::Drift]),
    ) {
        let points: Vec<_> = values.iter().enumerate().map(|(i, v)| (i as f64, *v)).collect();
        let question = Question {
            points: &points, asked, relative: true, limit: 0.1, falling: false, quantum: 1.0, miss: MISS,
            restarts: &[],
        };
        let found = trend(&question);
        prop_assert_eq!(&found, &trend(&question));
        if let Ok(t) = found {
            prop_assert!(t.interval.low < t.interval.high && t.interval.low.is_finite() && t.interval.high.is_finite(), "{:?}", t);
            prop_assert!((t.interval.low..=t.interval.high).contains(&t.value), "{:?}", t);
        }
    }

    #[test]
    fn one_spike_moves_nothing(at in 1usize..39, spike in prop_oneof![-1e9..-1e3, 1e3..1e9]) {
        let mut values = vec![100.0; 40];
        values[at] += spike;
        prop_assert_eq!(shape::without_spikes(&values, 1.0), vec![100.0; 40]);
    }
}

#[test]
fn a_median_is_the_middle() {
    assert_eq!(median(&mut []), None);
    assert_eq!(median(&mut [3.0, 1.0, 2.0]), Some(2.0));
    assert_eq!(median(&mut [4.0, 1.0, 2.0, 3.0]), Some(2.5));
}
