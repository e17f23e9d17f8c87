//! Batching over load, drawn: latency above, delivered rate against the best below.

use crate::catalogue::{Table, Who, Work};
use crate::store::Results;
use crate::table::Spread;
use anyhow::{Result, anyhow};
use plotters::prelude::*;
use plotters::series::DashedLineSeries;
use std::path::Path;

const SIZE: (u32, u32) = (900, 760);
/// Where "all due at once" is drawn, and how it is called.
const AT_ONCE: f64 = 2e7;

const LINES: [(Who, &str, RGBColor); 4] = [
    (Who::Ours, "adaptive", RGBColor(0x00, 0x72, 0xb2)),
    (Who::Batch1, "fixed 1", RGBColor(0x00, 0x9e, 0x73)),
    (Who::Batch10, "fixed 10", RGBColor(0xe6, 0x9f, 0x00)),
    (Who::Batch100, "fixed 100", RGBColor(0xcc, 0x79, 0xa7)),
];

/// One strategy's medians by offered rate.
struct Line {
    name: &'static str,
    colour: RGBColor,
    p50_us: Vec<(f64, f64)>,
    p99_us: Vec<(f64, f64)>,
    efficiency: Vec<(f64, f64)>,
}

pub fn batching(results: &Results, path: &Path) -> Result<()> {
    let lines = lines(results);
    if lines.iter().all(|line| line.p50_us.is_empty()) {
        return Ok(());
    }
    draw(&lines, path).map_err(|error| anyhow!("drawing {}: {error}", path.display()))
}

fn lines(results: &Results) -> Vec<Line> {
    let mut lines: Vec<Line> = LINES
        .iter()
        .map(|(_, name, colour)| Line {
            name,
            colour: *colour,
            p50_us: Vec::new(),
            p99_us: Vec::new(),
            efficiency: Vec::new(),
        })
        .collect();
    for row in results.rows.iter().filter(|row| row.table == Table::Batch) {
        let Work::Batch { per_second } = row.work else { continue };
        let offered = per_second.unwrap_or(AT_ONCE);
        let rate =
            |who: Who| Spread::of(row.valid(who).filter_map(|sample| sample.measured.figures.rate_per_s));
        let best =
            LINES.iter().filter_map(|(who, ..)| rate(*who)).map(|rate| rate.median).max_by(f64::total_cmp);
        for ((who, ..), line) in LINES.iter().zip(&mut lines) {
            let figures = || row.valid(*who).map(|sample| &sample.measured.figures);
            if let (Some(p50), Some(p99)) = (
                Spread::of(figures().filter_map(|f| f.p50_ns)),
                Spread::of(figures().filter_map(|f| f.p99_ns)),
            ) {
                line.p50_us.push((offered, p50.median / 1e3));
                line.p99_us.push((offered, p99.median / 1e3));
            }
            if let (Some(rate), Some(best)) = (rate(*who), best) {
                line.efficiency.push((offered, 100.0 * rate.median / best));
            }
        }
    }
    lines
}

fn draw(lines: &[Line], path: &Path) -> std::result::Result<(), Box<dyn std::error::Error>> {
    let root = SVGBackend::new(path, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let (above, below) = root.split_vertically(SIZE.1 * 3 / 5);
    let offered = (15e3..3e7).log_scale();
    let label = |rate: &f64| match *rate {
        rate if rate >= 0.9e6 => format!("{:.0} M/s", rate / 1e6),
        rate => format!("{:.0} k/s", rate / 1e3),
    };

    let mut chart = ChartBuilder::on(&above)
        .caption("Latency: p50 drawn through, p99 dashed (µs)", ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(64)
        .build_cartesian_2d(offered.clone(), (0.05..20_000.0).log_scale())?;
    chart.configure_mesh().x_label_formatter(&label).x_desc("offered; rightmost: all due at once").draw()?;
    for line in lines {
        let colour = line.colour;
        chart
            .draw_series(LineSeries::new(line.p50_us.iter().copied(), colour.stroke_width(2)).point_size(3))?
            .label(line.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
        chart.draw_series(DashedLineSeries::new(
            line.p99_us.iter().copied(),
            6,
            4,
            colour.stroke_width(1),
        ))?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerLeft)
        .background_style(WHITE.mix(0.9))
        .border_style(BLACK.mix(0.3))
        .draw()?;

    let mut chart = ChartBuilder::on(&below)
        .caption("Delivered rate, % of the best at that load", ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(64)
        .build_cartesian_2d(offered, 0.0..110.0)?;
    chart.configure_mesh().x_label_formatter(&label).x_desc("offered; rightmost: all due at once").draw()?;
    for line in lines {
        chart.draw_series(
            LineSeries::new(line.efficiency.iter().copied(), line.colour.stroke_width(2)).point_size(3),
        )?;
    }
    root.present()?;
    Ok(())
}
