//! How slow each worker was: a curve that ends in a peak on its left has a few that are slower than all others.

use std::fmt::Write;

use super::Plot;
use super::draw::Figure;
use super::model::{Axis, Band, Line, Point};
use super::palette::Colour;
use crate::facts::{Facts, Slow, median_ns};
use crate::units;

/// Points of a line: more are closer together than what a reader sees apart.
const POINTS_MAX: usize = 400;
/// Workers that are named.
const NAMED_MAX: usize = 5;

/// Absent where the log does not say what each worker did, and where there is one.
pub(super) fn slowest(facts: &Facts) -> Option<Plot> {
    let all = facts.workers.slowest_first();
    let median_ns = median_ns(&all)?;
    let lines = vec![
        line("greatest", Colour::Two, &all, |slow| slow.max_ns as f64),
        line("mean of its tasks", Colour::One, &all, |slow| slow.mean_ns),
    ];
    Figure::over_ranks("workers", "Workers, the slowest first", Axis::seconds("time of a task"), lines)
        .with_log()
        .caption(&caption(facts, &all, median_ns))
        .plot(facts)
}

/// Of workers that share a point the slowest is shown.
fn line(label: &str, colour: Colour, all: &[Slow], of: fn(&Slow) -> f64) -> Line {
    let step = all.len().div_ceil(POINTS_MAX).max(1);
    let point = |(at, group): (usize, &[Slow])| {
        let seconds = group.iter().map(of).fold(0.0, f64::max) / 1e9;
        Point { t_ns: (1 + at * step) as f64, mean: seconds, low: seconds, high: seconds }
    };
    let points = all.chunks(step).enumerate().map(point).collect();
    Line { label: label.to_owned(), colour, points, band: Band::Hidden }
}

fn caption(facts: &Facts, all: &[Slow], median_ns: f64) -> String {
    let named: Vec<String> = all.iter().take(NAMED_MAX).map(|slow| named(slow, median_ns)).collect();
    let mut text = format!(
        "Tasks of the load, from the scheduled start of their round, by the worker that answered them; by its mean, the worker in the middle of {} takes {}. The slowest: {}.",
        units::count(all.len() as f64),
        units::seconds(median_ns / 1e9),
        named.join("; ")
    );
    let (known, answered) = (facts.workers.answered(), facts.load.counts.answered);
    if known < answered {
        let (known, answered) = (units::count(known as f64), units::count(answered as f64));
        let _ = write!(
            text,
            " These are {known} of {answered} answered tasks: a segment that was killed does not say who answered."
        );
    }
    text
}

/// `worker/3.17 with 41 ms (5.12× the middle, at most 1.2 s)`.
fn named(slow: &Slow, median_ns: f64) -> String {
    let (mean, most) = (units::seconds(slow.mean_ns / 1e9), units::nanos(slow.max_ns));
    match slow.mean_ns / median_ns {
        ratio if ratio.is_finite() => {
            let ratio = if ratio < 10.0 { format!("{ratio:.2}") } else { units::count(ratio.round()) };
            format!("{} with {mean} ({ratio}× the middle, at most {most})", slow.name)
        }
        _ => format!("{} with {mean} (at most {most})", slow.name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workers(means: &[u64]) -> Vec<Slow> {
        let slow = |(at, mean): (usize, &u64)| Slow {
            name: format!("worker/0.{at}"),
            answered: 1,
            mean_ns: *mean as f64,
            max_ns: *mean,
        };
        means.iter().enumerate().map(slow).collect()
    }

    #[test]
    fn however_many_workers_there_are_a_line_has_few_points_and_keeps_the_slowest() {
        let means: Vec<u64> = (0..10_001).rev().map(|n| n * 1_000_000_000).collect();
        let line = line("mean", Colour::One, &workers(&means), |slow| slow.mean_ns);
        assert!(line.points.len() <= POINTS_MAX, "{}", line.points.len());
        assert_eq!((line.points[0].t_ns, line.points[0].mean), (1.0, 10_000.0));
    }

    #[test]
    fn a_worker_is_named_with_its_figures_and_its_distance_from_the_middle() {
        let slow = Slow { name: "worker/3.17".into(), answered: 2, mean_ns: 41e6, max_ns: 1_200_000_000 };
        assert_eq!(named(&slow, 8e6), "worker/3.17 with 41 ms (5.12× the middle, at most 1.2 s)");
        assert_eq!(named(&slow, 1e6), "worker/3.17 with 41 ms (41× the middle, at most 1.2 s)");
        assert_eq!(named(&slow, 0.0), "worker/3.17 with 41 ms (at most 1.2 s)");
    }
}
