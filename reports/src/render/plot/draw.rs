//! One figure: axes with units, a legend above the plot, bands, phases, and what the run changed of its scenario.

use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::Plot;
use super::limits::Limit;
use super::palette::Colour;
use super::windows;
use crate::facts::{Facts, Gap, Span};
use crate::runlog::event::Phase;
use crate::units;
use crate::verdict::Variant;

/// Two beside each other fill a page, and one is still readable on a phone.
const WIDTH: u32 = 480;
const HEIGHT: u32 = 290;
/// Where the legend begins, and the height of one row of it.
const LEGEND_TOP: i32 = 34;
const LEGEND_ROW: i32 = 18;
/// The library takes 1.24 times what comes out in the file.
const LABEL: f64 = 15.0;
const TITLE: f64 = 18.0;
/// A character of a label, roughly: the legend is laid out without a font.
const CHARACTER: i32 = 6;
/// Limits are drawn up to so many times the greatest value.
const NEAR: f64 = 2.0;

#[derive(Debug, Clone, Copy)]
pub(super) struct Point {
    /// Nanoseconds since the start; in a figure over percentiles, nines.
    pub(super) t_ns: f64,
    pub(super) mean: f64,
    pub(super) low: f64,
    pub(super) high: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Band {
    Shown,
    Hidden,
}

#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) label: String,
    pub(super) colour: Colour,
    pub(super) points: Vec<Point>,
    pub(super) band: Band,
}

/// Which value of a line stands beside its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Legend {
    Newest,
    Mean,
}

/// The vertical axis: what, and in which units it may be shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Axis {
    what: &'static str,
    units: &'static [(&'static str, f64)],
    /// 100 % is drawn even if nothing comes near.
    percent: bool,
    /// A value with its unit.
    show: fn(f64) -> String,
    legend: Legend,
}

impl Axis {
    pub(super) fn seconds(what: &'static str) -> Self {
        Self {
            what,
            units: &[("µs", 1e-6), ("ms", 1e-3), ("s", 1.0)],
            percent: false,
            show: units::seconds,
            legend: Legend::Newest,
        }
    }

    pub(super) fn bytes(what: &'static str) -> Self {
        const KIB: f64 = 1024.0;
        let units: &[_] = &[("KiB", KIB), ("MiB", KIB * KIB), ("GiB", KIB * KIB * KIB)];
        Self { what, units, percent: false, show: units::bytes, legend: Legend::Newest }
    }

    pub(super) fn percent(what: &'static str) -> Self {
        Self { what, units: &[("%", 0.01)], percent: true, show: units::percent, legend: Legend::Newest }
    }

    /// `what` says the unit itself.
    pub(super) fn count(what: &'static str) -> Self {
        Self { what, units: &[("", 1.0)], percent: false, show: units::count, legend: Legend::Newest }
    }

    /// Noisy: the newest value would say nothing.
    pub(super) fn cores(what: &'static str) -> Self {
        Self { show: |cores| format!("{cores:.3}"), legend: Legend::Mean, ..Self::count(what) }
    }

    /// The largest unit of which the greatest value has at least one and a half.
    fn unit(&self, max: f64) -> (&'static str, f64) {
        *self.units.iter().rev().find(|(_, scale)| max >= 1.5 * scale).unwrap_or(&self.units[0])
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Over {
    Time,
    Percentiles,
}

#[derive(Debug, Clone)]
pub(super) struct Figure {
    name: &'static str,
    title: String,
    caption: String,
    axis: Axis,
    lines: Vec<Line>,
    limits: Vec<Limit>,
    over: Over,
}

impl Figure {
    pub(super) fn over_time(name: &'static str, title: &str, axis: Axis, lines: Vec<Line>) -> Self {
        let (title, caption) = (title.to_owned(), String::new());
        Self { name, title, caption, axis, lines, limits: Vec::new(), over: Over::Time }
    }

    /// What criteria allow of what the lines show.
    pub(super) fn limits(mut self, limits: Vec<Limit>) -> Self {
        self.limits = limits;
        self
    }

    pub(super) fn over_percentiles(name: &'static str, title: &str, axis: Axis, lines: Vec<Line>) -> Self {
        Self { over: Over::Percentiles, ..Self::over_time(name, title, axis, lines) }
    }

    pub(super) fn caption(mut self, caption: &str) -> Self {
        caption.clone_into(&mut self.caption);
        self
    }

    /// `None` if there is nothing to show.
    pub(super) fn plot(mut self, facts: &Facts) -> Option<Plot> {
        self.lines.retain(|l| !l.points.is_empty());
        if self.lines.is_empty() {
            return None;
        }
        let mut svg = String::new();
        // Drawing into a string fails only for a coordinate that is no number, which no series holds.
        self.draw(facts, &mut svg).ok()?;
        Some(Plot { name: self.name, title: self.title, caption: self.caption, svg })
    }

    fn draw(&self, facts: &Facts, svg: &mut String) -> Result<(), Box<dyn std::error::Error>> {
        let frame = Frame::of(self, facts);
        let root = SVGBackend::with_string(svg, (WIDTH, HEIGHT)).into_drawing_area();
        let legend_bottom = self.head(&root, &frame, facts)?;
        let mut chart = ChartBuilder::on(&root)
            .margin_top(legend_bottom + 8)
            .margin_left(8)
            .margin_right(20)
            .margin_bottom(4)
            .x_label_area_size(46)
            .y_label_area_size(64)
            .build_cartesian_2d(frame.x.0..frame.x.1, frame.y.0..frame.y.1)?;
        self.shade(&mut chart, &frame, facts)?;
        let label = ("sans-serif", LABEL).into_font().color(&Colour::Text.marker());
        chart
            .configure_mesh()
            .axis_style(Colour::Grid.marker())
            .bold_line_style(Colour::Grid.marker())
            .light_line_style(TRANSPARENT)
            .label_style(label.clone())
            .axis_desc_style(label)
            .x_labels(frame.x_labels)
            .y_labels(7)
            .x_desc(frame.x_title.clone())
            .y_desc(frame.y_title.clone())
            .x_label_formatter(&|x| frame.x_label(*x, self.over))
            .y_label_formatter(&|y| number(*y, frame.y.1 - frame.y.0))
            .draw()?;
        for line in &self.lines {
            self.draw_line(&mut chart, &frame, line, &facts.gaps)?;
        }
        self.draw_limits(&mut chart, &frame)?;
        root.present()?;
        Ok(())
    }

    /// What was not recorded is not drawn: the line ends before a gap, and begins again after it.
    fn draw_line(&self, chart: &mut Chart<'_, '_>, frame: &Frame, line: &Line, gaps: &[Gap]) -> Drawn {
        let at = |p: &Point, v: f64| (p.t_ns / frame.x_scale, v / frame.y_scale);
        let apart = |a: &Point, b: &Point| {
            let lies_between = |gap: &Gap| a.t_ns < gap.to_ns as f64 && b.t_ns >= gap.to_ns as f64;
            self.over == Over::Time && gaps.iter().any(lies_between)
        };
        let colour = line.colour.marker();
        let dotted = line.points.len() <= 60 && self.over == Over::Time;
        for points in line.points.chunk_by(|a, b| !apart(a, b)) {
            if line.band == Band::Shown && points.len() > 1 {
                let upper = points.iter().map(|p| at(p, p.high));
                let lower = points.iter().rev().map(|p| at(p, p.low));
                let band =
                    Polygon::new(upper.chain(lower).collect::<Vec<_>>(), line.colour.marker().mix(0.22));
                chart.draw_series(std::iter::once(band))?;
            }
            let means: Vec<_> = points.iter().map(|p| at(p, p.mean)).collect();
            if dotted {
                chart.draw_series(means.iter().map(|m| Circle::new(*m, 2, colour.filled())))?;
            }
            chart.draw_series(LineSeries::new(means, colour.stroke_width(2)))?;
        }
        Ok(())
    }

    /// What is not judged, and while the scenario disturbs its fleet.
    fn shade(&self, chart: &mut Chart<'_, '_>, frame: &Frame, facts: &Facts) -> Drawn {
        if self.over == Over::Percentiles {
            return Ok(());
        }
        let unjudged = frame.unjudged(facts).into_iter().map(|area| (area, Colour::Shade, 0.16));
        let faults = frame.faults(facts).into_iter().map(|area| (area, Colour::Fault, 0.14));
        for ((from, to), colour, opacity) in unjudged.chain(faults) {
            let filled = colour.marker().mix(opacity).filled();
            let area = Rectangle::new([(from, frame.y.0), (to, frame.y.1)], filled);
            chart.draw_series(std::iter::once(area))?;
            if colour == Colour::Fault {
                let edge = [(from, frame.y.0), (from, frame.y.1)];
                chart.draw_series(LineSeries::new(edge, colour.marker().stroke_width(1)))?;
            }
        }
        Ok(())
    }

    fn draw_limits(&self, chart: &mut Chart<'_, '_>, frame: &Frame) -> Drawn {
        let right = label_style(Colour::Limit).pos(Pos::new(HPos::Right, VPos::Bottom));
        for limit in self.limits.iter().filter(|limit| frame.shows(limit)) {
            let y = limit.value / frame.y_scale;
            let ends = [(frame.x.0, y), (frame.x.1, y)];
            let style = Colour::Limit.marker().stroke_width(1);
            chart.draw_series(DashedLineSeries::new(ends, 6, 4, style))?;
            chart.draw_series(std::iter::once(Text::new(
                limit.label.clone(),
                (frame.x.1, y),
                right.clone(),
            )))?;
        }
        Ok(())
    }

    /// Title, legend, and what the run changed of its scenario.
    fn head(
        &self,
        root: &DrawingArea<SVGBackend<'_>, Shift>,
        frame: &Frame,
        facts: &Facts,
    ) -> Result<i32, Box<dyn std::error::Error>> {
        let text = Colour::Text.marker();
        let title = ("sans-serif", TITLE).into_font().color(&text);
        root.draw(&Text::new(self.title.clone(), (12, 8), title))?;
        let label = ("sans-serif", LABEL).into_font().color(&text);
        let (mut x, mut y) = (12, LEGEND_TOP);
        for line in &self.lines {
            let text = self.legend(line);
            let width = 24 + CHARACTER * text.chars().count() as i32;
            if x > 12 && x + width > WIDTH as i32 - 8 {
                (x, y) = (12, y + LEGEND_ROW);
            }
            let swatch = Rectangle::new([(x, y + 5), (x + 18, y + 9)], line.colour.marker().filled());
            root.draw(&swatch)?;
            root.draw(&Text::new(text, (x + 24, y), label.clone()))?;
            x += width + 18;
        }
        for limit in self.limits.iter().filter(|limit| !frame.shows(limit)) {
            y += LEGEND_ROW;
            let text = limit.beyond(frame.greatest, self.axis.show);
            root.draw(&Text::new(text, (12, y), label_style(Colour::Limit)))?;
        }
        let tag = Variant::of(&facts.header).tag();
        if !tag.is_empty() {
            let mark = ("sans-serif", LABEL)
                .into_font()
                .color(&Colour::Four.marker())
                .pos(Pos::new(HPos::Right, VPos::Top));
            root.draw(&Text::new(tag, (WIDTH as i32 - 12, 10), mark))?;
        }
        Ok(y + LEGEND_ROW)
    }

    /// With a value, where several lines share an axis: the small ones lie on its bottom.
    fn legend(&self, line: &Line) -> String {
        match line.points.last() {
            Some(last) if self.lines.len() > 1 && self.over == Over::Time => {
                let show = self.axis.show;
                match self.axis.legend {
                    Legend::Newest => format!("{}: {} at the end", line.label, show(last.mean)),
                    Legend::Mean => {
                        let sum: f64 = line.points.iter().map(|p| p.mean).sum();
                        format!("{}: mean {}", line.label, show(sum / line.points.len() as f64))
                    }
                }
            }
            _ => line.label.clone(),
        }
    }
}

fn label_style(colour: Colour) -> TextStyle<'static> {
    ("sans-serif", LABEL).into_font().color(&colour.marker())
}

type Chart<'c, 's> = ChartContext<'c, SVGBackend<'s>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;
type Drawn = Result<(), Box<dyn std::error::Error>>;

/// Ranges, units and titles of the axes.
struct Frame {
    x: (f64, f64),
    y: (f64, f64),
    x_scale: f64,
    y_scale: f64,
    x_title: String,
    y_title: String,
    x_labels: usize,
    /// Of the lines, in the axis's own unit.
    greatest: f64,
}

impl Frame {
    fn of(figure: &Figure, facts: &Facts) -> Self {
        let points = || figure.lines.iter().flat_map(|l| &l.points);
        let max = points().map(|p| p.high.max(p.mean)).fold(0.0, f64::max);
        let min = points().map(|p| p.low.min(p.mean)).fold(f64::INFINITY, f64::min);
        let greatest = max;
        // A limit that is near is part of the picture.
        let near = figure.limits.iter().map(|limit| limit.value).filter(|value| *value <= NEAR * max);
        let max = near.fold(max, f64::max);
        let (unit, y_scale) = figure.axis.unit(max);
        let y = if figure.axis.percent {
            let low = (min * 100.0).min(98.0);
            ((low - (100.0 - low) * 0.1).max(0.0), 100.0 + (100.0 - low) * 0.06)
        } else {
            // From zero: a axis that does not start there makes a mole-hill a mountain.
            (0.0, if max > 0.0 { max / y_scale * 1.08 } else { 1.0 })
        };
        let y_title = match unit {
            "" => figure.axis.what.to_owned(),
            unit => format!("{} [{unit}]", figure.axis.what),
        };
        let end = points().map(|p| p.t_ns).fold(0.0, f64::max);
        match figure.over {
            Over::Percentiles => Self {
                x: (0.0, end.max(0.5)),
                y,
                x_scale: 1.0,
                y_scale,
                x_title: "share of rounds or tasks".into(),
                y_title,
                x_labels: 6,
                greatest,
            },
            Over::Time => {
                let end = end.max(facts.load_end_ns().unwrap_or(0) as f64).max(1e6);
                let (unit, x_scale) = match end / 1e9 {
                    s if s < 240.0 => ("s", 1e9),
                    s if s < 4.0 * 3600.0 => ("min", 60e9),
                    s if s < 4.0 * 86_400.0 => ("h", 3600e9),
                    _ => ("d", 86_400e9),
                };
                Self {
                    x: (0.0, end / x_scale),
                    y,
                    x_scale,
                    y_scale,
                    x_title: format!("time since the start [{unit}]; {}", shades(facts)),
                    y_title,
                    x_labels: 9,
                    greatest,
                }
            }
        }
    }

    fn x_label(&self, x: f64, over: Over) -> String {
        match over {
            Over::Time => number(x, self.x.1 - self.x.0),
            // Between the nines a grid line says enough: no reader looks for 96.8377 %.
            Over::Percentiles if (x - x.round()).abs() > 1e-6 => String::new(),
            Over::Percentiles => {
                let share = 100.0 - 10f64.powf(2.0 - x);
                format!("{} %", (share * 1e4).round() / 1e4)
            }
        }
    }

    fn shows(&self, limit: &Limit) -> bool {
        let y = limit.value / self.y_scale;
        (self.y.0..=self.y.1).contains(&y)
    }

    /// While a declared fault lasts, or the fleet has not recovered from it.
    fn faults(&self, facts: &Facts) -> Vec<(f64, f64)> {
        let at = |ns: u64| (ns as f64 / self.x_scale).clamp(self.x.0, self.x.1);
        windows::of_faults(facts).into_iter().map(|(from, to)| (at(from), at(to))).collect()
    }

    /// What lies before and after the load phase, and between its spans: a gap, and the warm-up of another fleet.
    fn unjudged(&self, facts: &Facts) -> Vec<(f64, f64)> {
        let at = |ns: u64| (ns as f64 / self.x_scale).clamp(self.x.0, self.x.1);
        let has_load = facts.phases.iter().any(|p| p.0 == Phase::Load);
        let mut out = Vec::new();
        if let Some(start) = facts.load_start_ns() {
            out.push((self.x.0, at(start)));
        }
        if let (true, Some(end)) = (has_load, facts.load_end_ns()) {
            out.push((at(end), self.x.1));
        }
        let spans: Vec<Span> = facts.spans.iter().copied().collect();
        for pair in spans.windows(2) {
            out.extend(pair[0].end_ns.map(|end| (at(end), at(pair[1].start_ns))));
        }
        out.retain(|(from, to)| to > from);
        out
    }
}

/// What the shades mean.
fn shades(facts: &Facts) -> &'static str {
    match (facts.faults.firings.is_empty(), facts.gaps.is_empty()) {
        (true, true) => "shaded: not judged",
        (true, false) => "shaded: not judged, or the run was interrupted",
        (false, true) => "grey: not judged; red: faults",
        (false, false) => "grey: not judged, or interrupted; red: faults",
    }
}

/// As many decimals as the range needs.
fn number(value: f64, range: f64) -> String {
    let decimals = match range {
        r if r >= 8.0 => 0,
        r if r >= 0.8 => 1,
        r if r >= 0.08 => 2,
        _ => 3,
    };
    let text = format!("{value:.decimals$}");
    if text.trim_start_matches('-').chars().all(|c| c == '0' || c == '.') { "0".into() } else { text }
}
