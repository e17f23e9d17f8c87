//! The history of runs, in words and in HTML.

use std::fmt::Write as _;

use askama::Template;
use plotters::prelude::*;

use super::plot;
use crate::compare::{History, Source, Subject, Terms, Tracked};
use crate::units;
use notation::visible;

const WIDTH: u32 = 480;
const HEIGHT: u32 = 120;

pub fn text(histories: &[History]) -> String {
    let mut out = String::new();
    for history in histories {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{}", visible::line(&headline(history)));
        for figure in &history.figures {
            let _ = writeln!(out, "  {:<26}  {}", visible::line(&figure.name), figure.summary());
            for change in &figure.changes {
                let _ = writeln!(out, "    {}", visible::line(&change.sentence()));
            }
        }
        if history.figures.iter().all(|figure| figure.changes.is_empty()) {
            out.push_str("  no figure has changed its level\n");
        }
        out.push('\n');
    }
    out
}

fn headline(history: &History) -> String {
    let count = history.runs.len() as u64;
    match &history.subject {
        Subject::Runs { terms } => of_runs(terms, count),
        Subject::Measured(Source::Criterion { machine, fingerprint }) => {
            format!("Criterion: {} on {machine} ({fingerprint})", units::things(count, "measurement"))
        }
        Subject::Measured(Source::Coverage { format }) => {
            format!("coverage ({}): {}", format.word(), units::things(count, "measurement"))
        }
    }
}

fn of_runs(terms: &Terms, count: u64) -> String {
    let profile = terms.profile.as_ref().map(|name| format!(", profile {name}")).unwrap_or_default();
    let changed = match terms.changed() {
        none if none.is_empty() => none,
        some => format!(", with {some}"),
    };
    let runs = units::things(count, "run");
    format!("{}{profile}{changed}: {runs} on {} ({})", terms.scenario, terms.machine, terms.fingerprint)
}

struct Part<'a> {
    headline: String,
    history: &'a History,
    drawn: Vec<(&'a Tracked, String)>,
}

#[derive(Template)]
#[template(path = "history.html")]
struct Page<'a> {
    parts: Vec<Part<'a>>,
}

pub fn html(histories: &[History]) -> String {
    let part = |history| Part {
        headline: headline(history),
        history,
        drawn: history.figures.iter().map(|figure| (figure, draw(figure).unwrap_or_default())).collect(),
    };
    let page = Page { parts: histories.iter().map(part).collect() };
    super::page(&page)
}

/// The values over the runs, from zero; a stroke is the interval of a value.
fn draw(figure: &Tracked) -> Result<String, Box<dyn std::error::Error>> {
    let points: Vec<(f64, f64)> =
        (0..).zip(&figure.values).filter_map(|(at, value)| Some((f64::from(at), (*value)?))).collect();
    let intervals: Vec<(f64, (f64, f64))> =
        (0..).zip(&figure.intervals).filter_map(|(at, ends)| Some((f64::from(at), (*ends)?))).collect();
    let tops = intervals.iter().map(|(_, ends)| ends.1);
    let most = points.iter().map(|point| point.1).chain(tops).fold(0.0, f64::max);
    let scale = if most > 0.0 { most } else { 1.0 };
    let end = (figure.values.len() as f64 - 1.0).max(1.0);
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (WIDTH, HEIGHT)).into_drawing_area();
        let mut chart = ChartBuilder::on(&root).margin(6).build_cartesian_2d(0.0..end, 0.0..1.08)?;
        let line = plot::series_colour();
        chart.draw_series(LineSeries::new(
            points.iter().map(|(x, y)| (*x, y / scale)),
            line.stroke_width(2),
        ))?;
        chart.draw_series(intervals.iter().map(|(x, (low, high))| {
            PathElement::new(vec![(*x, low / scale), (*x, high / scale)], line.stroke_width(1))
        }))?;
        chart.draw_series(points.iter().map(|(x, y)| Circle::new((*x, y / scale), 2, line.filled())))?;
        root.present()?;
    }
    Ok(plot::inline(&svg))
}
