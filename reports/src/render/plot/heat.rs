//! How many rounds took how long, and when: what a line of percentiles flattens is seen here, two groups of rounds among it.

use std::collections::BTreeMap;

use super::draw::Figure;
use super::model::{Axis, Band, Line, Point};
use super::palette::Colour;
use super::{Plot, limits};
use crate::criterion::MetricId;
use crate::facts::Facts;
use crate::units;

/// Columns: more are narrower than what a reader sees apart.
const COLUMNS_MAX: usize = 60;
/// Rows to a factor of ten.
const ROWS: f64 = 8.0;

pub(super) fn rounds(facts: &Facts) -> Option<Plot> {
    let bins = &facts.load.coordination_bins;
    let all: Vec<_> = bins.bins().collect();
    let (first, last) = (all.first()?.0, all.last()?.0);
    let columns = (last - first) / bins.width_ns() + 1;
    let width_ns = bins.width_ns() * columns.div_ceil(COLUMNS_MAX as u64);
    let greatest = all.iter().map(|(_, bin)| bin.max_ns()).max()?;
    let mut cells: BTreeMap<(u64, i64), u64> = BTreeMap::new();
    for (start_ns, bin) in all {
        for (ns, count) in bin.steps() {
            let row = ((ns.max(1) as f64 / 1e9).log10() * ROWS).floor() as i64;
            *cells.entry(((start_ns - first) / width_ns, row)).or_default() += count;
        }
    }
    let bound = |row: i64| 10f64.powf(row as f64 / ROWS);
    let cell = |((column, row), count): (&(u64, i64), &u64)| Point {
        t_ns: (first + column * width_ns) as f64,
        mean: *count as f64,
        low: bound(*row),
        high: bound(row + 1),
    };
    let label = format!("darker: more rounds (of {})", units::count(cells.values().sum::<u64>() as f64));
    let points = cells.iter().map(cell).collect();
    let line = Line { label, colour: Colour::One, points, band: Band::Hidden };
    let title = "How many rounds took how long";
    Figure::heat("heat", title, Axis::seconds("coordination time"), line, (width_ns, greatest as f64 / 1e9))
        .limits(limits::of(facts, MetricId::CoordinationTime))
        .caption(&format!(
            "A column is {}. Two dark bands are two kinds of rounds, of which a percentile shows one.",
            units::nanos(width_ns)
        ))
        .plot(facts)
}
