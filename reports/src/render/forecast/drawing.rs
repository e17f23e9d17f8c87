//! A figure over the size of the fleet: runs as points, the first model as a line, its interval as thin lines.

use plotters::prelude::*;

use super::super::plot;
use crate::forecast::Fitted;

const WIDTH: u32 = 480;
const HEIGHT: u32 = 200;

/// From zero; the axis has the agents, and values are shares of the largest one.
pub(super) fn draw(figure: &Fitted) -> Result<String, Box<dyn std::error::Error>> {
    let runs: Vec<(f64, f64)> = figure
        .runs
        .iter()
        .map(|(agents, value)| (f64::from(*agents), *value))
        .chain(
            figure
                .held
                .iter()
                .flat_map(|held| held.measured.iter().map(|value| (f64::from(held.agents), *value))),
        )
        .collect();
    let expected = figure.models.first().map_or(&[][..], |model| &model.expected);
    let of = |pick: fn(crate::stats::Predicted) -> f64| -> Vec<(f64, f64)> {
        expected
            .iter()
            .filter_map(|e| Some((f64::from(e.agents), pick(e.run?))))
            .filter(|point| point.1.is_finite())
            .collect()
    };
    let (middle, low, high) = (of(|run| run.value), of(|run| run.interval.low), of(|run| run.interval.high));
    let greatest = |points: &[(f64, f64)]| points.iter().map(|point| point.1).fold(0.0, f64::max);
    // An interval that is wide beyond all measure leaves the drawing instead of flattening it.
    let most = greatest(&runs).max(greatest(&middle)).max(f64::MIN_POSITIVE);
    let top = greatest(&high).clamp(most, 2.0 * most);
    let end = runs.iter().chain(&middle).map(|point| point.0).fold(1.0, f64::max);
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (WIDTH, HEIGHT)).into_drawing_area();
        let mut chart = ChartBuilder::on(&root).margin(6).build_cartesian_2d(0.0..end * 1.02, 0.0..1.05)?;
        let scaled =
            |points: &[(f64, f64)]| points.iter().map(|(x, y)| (*x, (y / top).min(1.05))).collect::<Vec<_>>();
        let colour = plot::series_colour();
        for (points, width) in [(&middle, 2), (&low, 1), (&high, 1)] {
            chart.draw_series(LineSeries::new(scaled(points), colour.stroke_width(width)))?;
        }
        chart.draw_series(scaled(&runs).into_iter().map(|at| Circle::new(at, 3, colour.filled())))?;
        root.present()?;
    }
    Ok(plot::inline(&svg))
}
