//! What optimisations do, in words, in Markdown, in HTML and in JSON; analyses nothing.

mod drawing;

use std::fmt::Write as _;

use askama::Template;

use super::columns;
use super::markdown::{cell, prose, table};
use crate::compare::show;
use crate::impact::{Answered, CellMean, Impact, Missing};
use crate::units::{percent, things};
use notation::visible;

const HEAD: [&str; 5] = ["effect", "change (95 % interval)", "answer", "detectable", "chance of none"];

pub fn json(found: &Impact) -> String {
    super::json::pretty(found)
}

pub fn text(found: &Impact) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{}", visible::line(&title(found)));
    for line in found.warnings.iter().chain(&missing_lines(found)) {
        let _ = writeln!(out, "  {}", visible::line(line));
    }
    let _ = writeln!(out, "\n{}", lead(found));
    for line in &found.shown {
        let _ = writeln!(out, "  {}", visible::line(line));
    }
    out.push_str("\nfactors\n");
    for factor in &found.factors {
        let line =
            format!("{}: {} is {} when on, {} when off", factor.name, factor.key, factor.on, factor.off);
        let _ = writeln!(out, "  {}", visible::line(&line));
    }
    for figure in &found.figures {
        let _ = writeln!(out, "\n{} ({} is better)", figure.name, figure.better);
        if let Some(note) = &figure.note {
            let _ = writeln!(out, "  {}", visible::line(note));
        }
        for rows in [effects(figure), cells(figure)] {
            for line in columns::lines(&rows, 1) {
                let _ = writeln!(out, "    {line}");
            }
        }
    }
    let _ = writeln!(out, "\n{}", explained(found));
    out
}

pub fn markdown(found: &Impact) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "# {}\n", prose(&title(found)));
    for line in found.warnings.iter().chain(&missing_lines(found)) {
        let _ = writeln!(out, "**{}**\n", prose(line));
    }
    let _ = writeln!(out, "{}\n", prose(&lead(found)));
    for line in &found.shown {
        let _ = writeln!(out, "- {}", prose(line));
    }
    out.push_str("\n| factor | key | on | off |\n|---|---|---|---|\n");
    for factor in &found.factors {
        let cells = [&factor.name, &factor.key, &factor.on.to_string(), &factor.off.to_string()]
            .map(|text| cell(text));
        let _ = writeln!(out, "| {} |", cells.join(" | "));
    }
    for figure in &found.figures {
        let _ = writeln!(out, "\n## {} ({} is better)", prose(&figure.name), figure.better);
        if let Some(note) = &figure.note {
            let _ = writeln!(out, "\n{}", prose(note));
        }
        table(&mut out, &effects(figure));
        table(&mut out, &cells(figure));
    }
    let _ = writeln!(out, "\n{}", prose(&explained(found)));
    out
}

struct Part<'a> {
    figure: &'a Answered,
    effects: Vec<Vec<String>>,
    cells: Vec<Vec<String>>,
    intervals: String,
    interactions: Vec<String>,
}

#[derive(Template)]
#[template(path = "impact.html")]
struct Page<'a> {
    found: &'a Impact,
    title: String,
    lead: String,
    explained: String,
    missing: Vec<String>,
    parts: Vec<Part<'a>>,
}

pub fn html(found: &Impact) -> String {
    let part = |figure| Part {
        figure,
        effects: effects(figure),
        cells: cells(figure),
        intervals: drawing::intervals(figure),
        interactions: drawing::interactions(figure, &found.factors),
    };
    super::page(&Page {
        found,
        title: title(found),
        lead: lead(found),
        explained: explained(found),
        missing: missing_lines(found),
        parts: found.figures.iter().map(part).collect(),
    })
}

fn title(found: &Impact) -> String {
    let runs: usize = found.cells.iter().map(|cell| cell.runs).sum();
    let factors: Vec<&str> = found.factors.iter().map(|factor| factor.name.as_str()).collect();
    format!(
        "Impact of {} on {}: {} of {} in {}, on {} × {}, commit {}",
        factors.join(", "),
        found.scenario,
        things(runs as u64, "run"),
        things(found.cells.len() as u64, "cell"),
        things(u64::from(found.blocks), "block"),
        found.cpus,
        found.cpu_model,
        found.commits.join(", ")
    )
}

fn lead(found: &Impact) -> String {
    if found.figures.iter().all(|figure| figure.effects.is_empty()) {
        return "INCONCLUSIVE: too many runs are missing for anything to be said.".to_owned();
    }
    if found.shown.is_empty() {
        return "No effect is shown: the smallest effect that each figure could have shown is under “detectable”.".to_owned();
    }
    "These effects are shown, among all that were asked:".to_owned()
}

fn missing_lines(found: &Impact) -> Vec<String> {
    let line = |Missing { run, why }: &Missing| format!("missing: {run}: {why}");
    found.missing.iter().map(line).collect()
}

fn explained(found: &Impact) -> String {
    format!(
        "A change is what turning a factor on does to the figure, on the average over the others; of factors together (×) it is by how much the ratio of one \
         changes where the other is on. An effect is shown if it is significant after correcting for the number of effects tested (Holm, 5 %), and none if its whole interval is \
         within {}. “Detectable” is the least change that such runs show four times in five.",
        percent(found.limit)
    )
}

/// Empty without effects.
fn effects(figure: &Answered) -> Vec<Vec<String>> {
    if figure.effects.is_empty() {
        return Vec::new();
    }
    let row = |effect: &crate::impact::FactorAnswer| {
        vec![
            effect.name.clone(),
            effect.change_text(),
            effect.word_text().to_owned(),
            effect.detectable_text(),
            effect.chance_text(),
        ]
    };
    let head = HEAD.map(str::to_owned).to_vec();
    std::iter::once(head).chain(figure.effects.iter().map(row)).collect()
}

fn cells(figure: &Answered) -> Vec<Vec<String>> {
    if figure.cells.is_empty() {
        return Vec::new();
    }
    let head = ["cell", "mean", "runs"].map(str::to_owned).to_vec();
    let row = |CellMean { cell, runs, mean }: &CellMean| {
        let mean = mean.map_or_else(|| "—".to_owned(), |mean| show(figure.unit, mean));
        vec![cell.clone(), mean, runs.to_string()]
    };
    std::iter::once(head).chain(figure.cells.iter().map(row)).collect()
}
