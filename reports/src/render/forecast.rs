//! A forecast in words, in Markdown, in HTML and in JSON; fits nothing.

mod drawing;

use std::fmt::Write as _;

use askama::Template;

use super::columns;
use super::markdown::{cell, prose};
use crate::compare::show;
use crate::criterion::Unit;
use crate::forecast::{Expected, Fitted, Forecast, Held, Model, Resource};
use crate::stats::{Interval, Parameter, Predicted};
use crate::units;
use notation::visible;

pub fn json(found: &Forecast) -> String {
    super::json::pretty(found)
}

pub fn text(found: &Forecast) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{}", visible::line(&title(found)));
    for warning in &found.warnings {
        let _ = writeln!(out, "  {}", visible::line(warning));
    }
    let _ = writeln!(out, "\n{}", found.first);
    for resource in &found.resources {
        let _ = writeln!(out, "  {}: {}", resource.name, resource_text(resource, found));
    }
    for figure in &found.figures {
        let _ = writeln!(out, "\n{}", figure.name);
        for model in &figure.models {
            let _ = writeln!(out, "  {}", described(figure, model));
        }
        for note in &figure.notes {
            let _ = writeln!(out, "  {}", visible::line(note));
        }
        for line in columns::lines(&table(figure), 1 + figure.models.len()) {
            let _ = writeln!(out, "    {line}");
        }
        for held in &figure.held {
            let _ = writeln!(out, "    {}", held_text(figure.unit, held));
        }
    }
    let _ = writeln!(out, "\n{EXPLAINED}");
    if let Some(holds) = found.holds {
        let _ = writeln!(out, "{}", held_word(holds));
    }
    out
}

pub fn markdown(found: &Forecast) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "# {}\n", prose(&title(found)));
    for warning in &found.warnings {
        let _ = writeln!(out, "**{}**\n", prose(warning));
    }
    let _ = writeln!(out, "{}\n\n{EXPLAINED}\n", prose(&found.first));
    if let Some(holds) = found.holds {
        let _ = writeln!(out, "{}\n", held_word(holds));
    }
    out.push_str("| resource | what the host has, and when it ends |\n|---|---|\n");
    for resource in &found.resources {
        let _ = writeln!(out, "| {} | {} |", cell(&resource.name), cell(&resource_text(resource, found)));
    }
    for figure in &found.figures {
        let _ = writeln!(out, "\n## {}\n", prose(&figure.name));
        for line in
            figure.models.iter().map(|model| described(figure, model)).chain(figure.notes.iter().cloned())
        {
            let _ = writeln!(out, "- {}", prose(&line));
        }
        super::markdown::table(&mut out, &table(figure));
        for (at, held) in figure.held.iter().enumerate() {
            let before = if at == 0 { "\n" } else { "" };
            let _ = writeln!(out, "{before}- {}", prose(&held_text(figure.unit, held)));
        }
    }
    out
}

struct Part<'a> {
    figure: &'a Fitted,
    described: Vec<String>,
    rows: Vec<Vec<String>>,
    held: Vec<(bool, String)>,
    drawing: String,
}

#[derive(Template)]
#[template(path = "forecast.html")]
struct Page<'a> {
    found: &'a Forecast,
    title: String,
    explained: &'static str,
    held: Option<&'static str>,
    resources: Vec<(&'a Resource, String)>,
    parts: Vec<Part<'a>>,
}

pub fn html(found: &Forecast) -> String {
    let part = |figure| Part {
        figure,
        described: figure.models.iter().map(|model| described(figure, model)).collect(),
        rows: table(figure),
        held: figure.held.iter().map(|held| (held.inside, held_text(figure.unit, held))).collect(),
        // A figure that cannot be drawn still has its table.
        drawing: drawing::draw(figure).unwrap_or_default(),
    };
    super::page(&Page {
        found,
        title: title(found),
        explained: EXPLAINED,
        held: found.holds.map(held_word),
        resources: found
            .resources
            .iter()
            .map(|resource| (resource, resource_text(resource, found)))
            .collect(),
        parts: found.figures.iter().map(part).collect(),
    })
}

const EXPLAINED: &str = "If the figure goes on as it did, one more run lies between the two ends 95 times in 100. Sizes marked “beyond” were not measured.";

fn held_word(holds: bool) -> &'static str {
    if holds {
        "Every figure of the larger runs lies where it was predicted."
    } else {
        "INCONCLUSIVE: figures of the larger runs lie outside what was predicted, so the models do not hold there."
    }
}

fn title(found: &Forecast) -> String {
    let runs: usize = found.sizes.iter().map(|size| size.runs).sum();
    let least = found.sizes.first().map_or(0, |size| size.agents);
    format!(
        "Forecast of {}: {runs} runs of {} sizes from {least} to {} agents, on {} × {}, commit {}",
        found.scenario,
        found.sizes.len(),
        found.largest,
        found.cpus,
        found.cpu_model,
        found.commits.join(", ")
    )
}

fn resource_text(resource: &Resource, found: &Forecast) -> String {
    let has = show(resource.unit, resource.has);
    match (resource.ends, resource.at_reach) {
        (Some(ends), at_reach) => {
            let beyond = |agents: u32| if agents > found.largest { ", beyond what was measured" } else { "" };
            match (ends.agents, at_reach) {
                (Some(agents), _) => {
                    let (high, beyond) = (ends.high_text(found.reach), beyond(agents));
                    format!("{has}, ends at {agents} agents ({} to {high}{beyond})", ends.low)
                }
                (None, run) => {
                    let need = run.map(|run| ranged(resource.unit, run)).unwrap_or_default();
                    let (low, reach, beyond) = (ends.low, found.reach, beyond(ends.low));
                    format!("{has}, may end from {low} agents on{beyond}; {reach} agents need {need}")
                }
            }
        }
        (None, Some(run)) => {
            format!("{has}; {} agents need {}", found.reach, ranged(resource.unit, run))
        }
        (None, None) => format!("{has}; there is no model of `{}`", resource.figure),
    }
}

fn ranged(unit: Unit, run: Predicted) -> String {
    format!("{} ({})", show(unit, four_digits(run.value)), between(unit, run.interval))
}

fn between(unit: Unit, interval: Interval) -> String {
    format!("{} to {}", show(unit, four_digits(interval.low)), show(unit, four_digits(interval.high)))
}

/// As many as a prediction can be trusted in.
fn four_digits(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    let scale = 10_f64.powi(3 - value.abs().log10().floor() as i32);
    (value * scale).round() / scale
}

/// A row for each size, after the names of the models; empty without a model.
fn table(figure: &Fitted) -> Vec<Vec<String>> {
    let Some(first) = figure.models.first() else { return Vec::new() };
    let head = std::iter::once("agents".to_owned())
        .chain(figure.models.iter().map(|model| model.title().to_owned()));
    let row = |(at, expected): (usize, &Expected)| {
        let beyond = if expected.is_extrapolated { " (beyond)" } else { "" };
        let cells = figure.models.iter().map(|model| {
            let run = model.expected.get(at).and_then(|expected| expected.run);
            run.map_or_else(|| "—".to_owned(), |run| ranged(figure.unit, run))
        });
        std::iter::once(format!("{}{beyond}", expected.agents)).chain(cells).collect()
    };
    std::iter::once(head.collect()).chain(first.expected.iter().enumerate().map(row)).collect()
}

fn described(figure: &Fitted, model: &Model) -> String {
    let mut parts: Vec<String> =
        model.parameters.iter().map(|parameter| parameter_text(figure.unit, model, parameter)).collect();
    if let Some(peak) = model.peak {
        parts.push(format!("throughput is greatest at {} agents", units::count(peak.round())));
    }
    if let Some(by) = model.misses_by {
        parts.push(format!("misses a size that it has not seen by {}", units::percent(by)));
    }
    format!("{}: {}", model.title(), parts.join("; "))
}

fn parameter_text(unit: Unit, model: &Model, parameter: &Parameter) -> String {
    let value = |value: f64| if model.name == "law" { scientific(value) } else { show(unit, value) };
    match parameter.interval {
        Some(Interval { low, high }) => {
            format!("{} {} ({} to {})", parameter.name, value(parameter.value), value(low), value(high))
        }
        None => format!("{} {}, not shown", parameter.name, value(parameter.value)),
    }
}

/// Four digits; three and a power of ten of what is very small or very large.
fn scientific(value: f64) -> String {
    if value == 0.0 || (0.001..10_000.0).contains(&value.abs()) {
        format!("{}", four_digits(value))
    } else {
        format!("{value:.2e}")
    }
}

fn held_text(unit: Unit, held: &Held) -> String {
    let count = held.measured.len();
    let runs = units::things(count as u64, "run");
    let runs = if count == 1 { runs } else { format!("the median of {runs}") };
    format!(
        "{} agents: predicted {}, {runs} has {}: {}",
        held.agents,
        ranged(unit, held.predicted),
        show(unit, held.median),
        if held.inside { "inside" } else { "outside" }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_keeps_four_digits_however_small_it_is() {
        for (value, text) in [
            (0.0, "0"),
            (0.001_049, "0.001049"),
            (0.012_345_6, "0.01235"),
            (-1.5, "-1.5"),
            (1_234.56, "1235"),
            (2.046e-5, "2.05e-5"),
            (123_456.0, "1.23e5"),
        ] {
            assert_eq!(scientific(value), text);
        }
    }
}
