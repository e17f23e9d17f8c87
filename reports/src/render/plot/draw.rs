//! One figure: axes with units, a legend above the plot, bands, phases, and what the run changed of its scenario.

use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::Plot;
use super::frame::Frame;
use super::limits::Limit;
use super::model::{Axis, Band, Legend, Line, Over, Point};
use super::palette::Colour;
use crate::facts::{Facts, Gap};
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
/// Half the width of a bar, of places.
const BAR: f64 = 0.4;
/// The height of a tick that marks a death, of the plot's.
const TICK: f64 = 0.06;
/// Slanted lines across the figure, if all of it were a gap.
const HATCHES: f64 = 60.0;

#[derive(Debug, Clone)]
pub(super) struct Figure {
    name: &'static str,
    title: String,
    caption: String,
    axis: Axis,
    lines: Vec<Line>,
    limits: Vec<Limit>,
    /// Of what is shown, where the lines hold something else; in the axis's own unit.
    greatest: Option<f64>,
    over: Over,
    scale: Scale,
}

/// Of the vertical axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scale {
    Linear,
    Log,
    /// One drawing of each, of which the reader chooses.
    Both,
}

impl Figure {
    pub(super) fn over_time(name: &'static str, title: &str, axis: Axis, lines: Vec<Line>) -> Self {
        let (title, caption) = (title.to_owned(), String::new());
        let (limits, greatest) = (Vec::new(), None);
        Self { name, title, caption, axis, lines, limits, greatest, over: Over::Time, scale: Scale::Linear }
    }

    /// What criteria allow of what the lines show.
    pub(super) fn limits(mut self, limits: Vec<Limit>) -> Self {
        self.limits = limits;
        self
    }

    pub(super) fn over_percentiles(name: &'static str, title: &str, axis: Axis, lines: Vec<Line>) -> Self {
        Self { over: Over::Percentiles, ..Self::over_time(name, title, axis, lines) }
    }

    pub(super) fn over_places(name: &'static str, title: &str, axis: Axis, lines: Vec<Line>) -> Self {
        Self { over: Over::Places, ..Self::over_time(name, title, axis, lines) }
    }

    pub(super) fn over_ranks(name: &'static str, title: &str, axis: Axis, lines: Vec<Line>) -> Self {
        Self { over: Over::Ranks, ..Self::over_time(name, title, axis, lines) }
    }

    /// How many values lie where: `line` has cells, each as wide as `width_ns`, and `greatest` is the greatest value itself.
    pub(super) fn heat(
        name: &'static str,
        title: &str,
        axis: Axis,
        line: Line,
        (width_ns, greatest): (u64, f64),
    ) -> Self {
        let over = Over::Heat { width_ns };
        let all = Self::over_time(name, title, axis, vec![line]);
        Self { over, scale: Scale::Log, greatest: Some(greatest), ..all }
    }

    /// The reader may choose powers of ten.
    pub(super) fn with_log(self) -> Self {
        Self { scale: Scale::Both, ..self }
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
        let axes = (self.axis, self.over);
        let linear = || Frame::of(axes, &self.lines, &self.limits, facts);
        let log = || Frame::log(axes, &self.lines, &self.limits, facts);
        let (frame, twin) = match self.scale {
            Scale::Linear => (linear(), None),
            Scale::Log => (log().unwrap_or_else(linear), None),
            Scale::Both => (linear(), log()),
        };
        let svg = self.drawn(facts, &frame)?;
        let log = twin.and_then(|frame| self.drawn(facts, &frame));
        Some(Plot { name: self.name, title: self.title, caption: self.caption, svg, log })
    }

    fn drawn(&self, facts: &Facts, frame: &Frame) -> Option<String> {
        let mut svg = String::new();
        // Drawing into a string fails only for a coordinate that is no number, which no series holds.
        self.draw(facts, frame, &mut svg).ok()?;
        Some(svg)
    }

    fn draw(&self, facts: &Facts, frame: &Frame, svg: &mut String) -> Result<(), Box<dyn std::error::Error>> {
        let root = SVGBackend::with_string(svg, (WIDTH, HEIGHT)).into_drawing_area();
        let legend_bottom = self.head(&root, frame, facts)?;
        let mut chart = ChartBuilder::on(&root)
            .margin_top(legend_bottom + 8)
            .margin_left(8)
            .margin_right(20)
            .margin_bottom(4)
            .x_label_area_size(46)
            .y_label_area_size(if frame.is_log { 78 } else { 64 })
            .build_cartesian_2d(frame.x.0..frame.x.1, frame.y.0..frame.y.1)?;
        self.shade(&mut chart, frame, facts)?;
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
            .y_label_formatter(&|y| frame.y_label(*y, self.axis.show))
            .draw()?;
        for line in &self.lines {
            self.draw_line(&mut chart, frame, line, &facts.gaps)?;
        }
        self.draw_limits(&mut chart, frame)?;
        self.mark_deaths(&mut chart, frame, facts)?;
        root.present()?;
        Ok(())
    }

    /// What was not recorded is not drawn: the line ends before a gap, and begins again after it.
    fn draw_line(&self, chart: &mut Chart<'_, '_>, frame: &Frame, line: &Line, gaps: &[Gap]) -> Drawn {
        let at = |p: &Point, v: f64| (p.t_ns / frame.x_scale, frame.y_at(v));
        let apart = |a: &Point, b: &Point| {
            let lies_between = |gap: &Gap| a.t_ns < gap.to_ns as f64 && b.t_ns >= gap.to_ns as f64;
            self.over == Over::Time && gaps.iter().any(lies_between)
        };
        let colour = line.colour.marker();
        if self.over == Over::Places {
            let bar = |p: &Point| {
                let (x, y) = at(p, p.mean);
                Rectangle::new([(x - BAR, 0.0), (x + BAR, y)], colour.filled())
            };
            chart.draw_series(line.points.iter().map(bar))?;
            return Ok(());
        }
        if let Over::Heat { width_ns } = self.over {
            let most = line.points.iter().map(|p| p.mean).fold(1.0, f64::max);
            let cell = |p: &Point| {
                let right = (p.t_ns + width_ns as f64) / frame.x_scale;
                let corners = [at(p, p.low), (right.min(frame.x.1), frame.y_at(p.high))];
                // A single value among thousands is still seen.
                Rectangle::new(corners, colour.mix(0.12 + 0.88 * (p.mean / most).sqrt()).filled())
            };
            chart.draw_series(line.points.iter().map(cell))?;
            return Ok(());
        }
        let dotted = line.points.len() <= 60 && matches!(self.over, Over::Time | Over::Ranks);
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
        if !self.over.is_time() {
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
        Self::hatch(chart, frame, facts)
    }

    /// Slanted lines where there is nothing to see because nothing was recorded.
    fn hatch(chart: &mut Chart<'_, '_>, frame: &Frame, facts: &Facts) -> Drawn {
        let (width, height) = (frame.x.1 - frame.x.0, frame.y.1 - frame.y.0);
        // As far to the right as it rises, in shares of the figure: about 45 degrees.
        let slant = width / 2.0;
        // A narrower one would be ink alone.
        for (from, to) in frame.gaps(facts).into_iter().filter(|(from, to)| to - from >= width / HATCHES) {
            let mut foot = from - slant;
            while foot < to {
                let y = |x: f64| frame.y.0 + (x - foot) / slant * height;
                let (left, right) = (foot.max(from), (foot + slant).min(to));
                if right > left {
                    let line = [(left, y(left)), (right, y(right))];
                    chart.draw_series(LineSeries::new(line, Colour::Shade.marker().mix(0.5)))?;
                }
                foot += width / HATCHES;
            }
        }
        Ok(())
    }

    /// Ticks on the axis of time.
    fn mark_deaths(&self, chart: &mut Chart<'_, '_>, frame: &Frame, facts: &Facts) -> Drawn {
        if self.over.is_time() {
            let top = frame.y.0 + (frame.y.1 - frame.y.0) * TICK;
            for x in frame.deaths(facts) {
                let tick = [(x, frame.y.0), (x, top)];
                chart.draw_series(LineSeries::new(tick, Colour::Fault.marker().stroke_width(2)))?;
            }
        }
        Ok(())
    }

    fn draw_limits(&self, chart: &mut Chart<'_, '_>, frame: &Frame) -> Drawn {
        let right = label_style(Colour::Limit).pos(Pos::new(HPos::Right, VPos::Bottom));
        let mut shown: Vec<(f64, String)> = Vec::new();
        for limit in self.limits.iter().filter(|limit| frame.shows(limit)) {
            // Two on one line would be written over each other.
            match shown.iter_mut().find(|(value, _)| value.total_cmp(&limit.value).is_eq()) {
                Some((_, labels)) => *labels = format!("{labels}, {}", limit.label),
                None => shown.push((limit.value, limit.label.clone())),
            }
        }
        for (value, labels) in shown {
            let y = frame.y_at(value);
            let ends = [(frame.x.0, y), (frame.x.1, y)];
            let style = Colour::Limit.marker().stroke_width(1);
            chart.draw_series(DashedLineSeries::new(ends, 6, 4, style))?;
            chart.draw_series(std::iter::once(Text::new(labels, (frame.x.1, y), right.clone())))?;
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
            let text = limit.beyond(self.greatest.unwrap_or(frame.greatest), self.axis.show);
            root.draw(&Text::new(text, (12, y), label_style(Colour::Limit)))?;
        }
        let variant = Variant::of(&facts.header);
        if let Some(factor) = variant.rehearsal.filter(|_| self.over.is_time()) {
            y += LEGEND_ROW;
            let text = format!("1 s of the run is {} of the scenario", units::seconds(factor));
            root.draw(&Text::new(text, (12, y), label_style(Colour::Four)))?;
        }
        let tag = variant.tag();
        if !tag.is_empty() {
            let mark = ("sans-serif", LABEL)
                .into_font()
                .color(&Colour::Four.marker())
                .pos(Pos::new(HPos::Right, VPos::Top));
            root.draw(&Text::new(tag, (WIDTH as i32 - 12, 10), mark))?;
        }
        Ok(y + LEGEND_ROW)
    }

    /// Where lines end that go on to the end, some of which have fewer points than others: in the last tenth.
    fn ends_at(&self) -> f64 {
        let ends = self.lines.iter().filter_map(|line| line.points.last());
        0.9 * ends.map(|last| last.t_ns).fold(0.0, f64::max)
    }

    /// With a value, where several lines share an axis: the small ones lie on its bottom.
    fn legend(&self, line: &Line) -> String {
        match line.points.last() {
            // A line that ends before the others has no value where they end.
            Some(last) if self.lines.len() > 1 && self.over == Over::Time && last.t_ns >= self.ends_at() => {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        let log = std::fs::File::open("tests/fixtures/v1/death/run.log").unwrap();
        crate::run_dir::judge_log(std::io::BufReader::new(log)).unwrap().1
    }

    fn line(label: &str, points: &[(f64, f64)]) -> Line {
        let point =
            |(t_ns, value): &(f64, f64)| Point { t_ns: *t_ns, mean: *value, low: *value, high: *value };
        let points = points.iter().map(point).collect();
        Line { label: label.into(), colour: Colour::One, points, band: Band::Hidden }
    }

    fn times(lines: Vec<Line>) -> Figure {
        Figure::over_time("times", "Times", Axis::seconds("time"), lines)
    }

    #[test]
    fn a_line_that_ends_before_the_others_has_no_value_where_they_end() {
        let lines = vec![line("max", &[(1e9, 0.5), (2e9, 0.1)]), line("p99", &[(1e9, 0.4)])];
        let svg = times(lines).plot(&facts()).unwrap().standalone();
        assert!(svg.contains("max: ") && svg.matches(" at the end").count() == 1, "{svg}");
    }

    #[test]
    fn a_limit_below_a_logarithmic_axis_is_told_and_not_drawn_on_its_bottom() {
        let limit = Limit { label: "max < 10us".into(), value: 1e-5 };
        let figure = times(vec![line("all", &[(1e9, 3e-4), (2e9, 5e-4)])]).limits(vec![limit]).with_log();
        let svg = figure.plot(&facts()).unwrap().inline_log().unwrap();
        assert!(svg.contains("below what is shown"), "{svg}");
    }

    #[test]
    fn powers_of_ten_are_offered_only_where_a_value_is_above_zero() {
        let facts = facts();
        let plot = |value: f64| times(vec![line("all", &[(1e9, value)])]).with_log().plot(&facts).unwrap();
        assert!(plot(0.5).inline_log().is_some_and(|svg| svg.contains("(log)")));
        assert!(plot(0.0).inline_log().is_none());
    }
}
