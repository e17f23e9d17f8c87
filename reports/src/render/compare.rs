//! A comparison in words, in Markdown, in HTML and in JSON; decides nothing.

use std::fmt::Write as _;

use askama::Template;

use super::columns;
use super::markdown::{cell, prose};
use crate::compare::{Against, Compared, Comparison, Outcome, SideFacts, Word};
use notation::visible;

pub fn json(found: &Comparison) -> String {
    super::json::pretty(found)
}

pub fn text(found: &Comparison) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{}  {}", found.outcome.word(), visible::line(&title(found)));
    for warning in &found.warnings {
        let _ = writeln!(out, "  {}", visible::line(warning));
    }
    for side in &found.against {
        let _ = writeln!(
            out,
            "\n{} against {}: {}",
            visible::line(&side.side.label),
            visible::line(&found.first.label),
            side.runs_text(&found.first)
        );
        table(&mut out, side);
    }
    for (side, left) in all_sides(found).flat_map(|side| side.left_out.iter().map(move |left| (side, left))) {
        let line = format!("left out of {}: {}: {}", side.label, left.run, left.why);
        let _ = writeln!(out, "\n{}", visible::line(&line));
    }
    out.push('\n');
    for reason in &found.reasons {
        let _ = writeln!(out, "{}", visible::line(reason));
    }
    let _ = writeln!(out, "{}", explained(found.outcome));
    out
}

fn table(out: &mut String, side: &Against) {
    let head = ["", "figure", "before", "now", "change", "limit", "detectable"].map(str::to_owned);
    let rows: Vec<Vec<String>> = std::iter::once(head.to_vec())
        .chain(side.figures.iter().map(|f| {
            let watched = if f.is_watched() { " (watched)" } else { "" };
            vec![
                f.word.text().to_owned(),
                format!("{}{watched}", visible::line(&f.name)),
                f.first_text.clone(),
                f.second_text.clone(),
                f.change_text(),
                f.limit_text(),
                f.detectable_text(),
            ]
        }))
        .collect();
    for line in columns::lines(&rows, 2) {
        let _ = writeln!(out, "  {line}");
    }
}

pub fn markdown(found: &Comparison) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "# {}: {}\n", found.outcome.word(), prose(&title(found)));
    for warning in &found.warnings {
        let _ = writeln!(out, "**{}**\n", prose(warning));
    }
    let _ = writeln!(out, "{}\n", explained(found.outcome));
    for reason in &found.reasons {
        let _ = writeln!(out, "- {}", prose(reason));
    }
    for side in &found.against {
        let labels = format!("{} against {}", side.side.label, found.first.label);
        let _ = writeln!(out, "\n## {}\n\n{}\n", prose(&labels), prose(&side.runs_text(&found.first)));
        out.push_str("| answer | figure | before | now | change | limit | detectable |\n|---|---|---:|---:|---:|---:|---:|\n");
        for f in &side.figures {
            let cells = [
                f.word.text().to_owned(),
                cell(&f.name),
                cell(&f.first_text),
                cell(&f.second_text),
                cell(&f.change_text()),
                f.limit_text(),
                f.detectable_text(),
            ];
            let _ = writeln!(out, "| {} |", cells.join(" | "));
        }
    }
    for (side, left) in all_sides(found).flat_map(|side| side.left_out.iter().map(move |left| (side, left))) {
        let line = format!("Left out of {}: {}: {}", side.label, left.run, left.why);
        let _ = writeln!(out, "\n{}", prose(&line));
    }
    out
}

#[derive(Template)]
#[template(path = "compare.html")]
struct Page<'a> {
    found: &'a Comparison,
    title: String,
    class: &'static str,
    explained: &'static str,
    sides: Vec<&'a SideFacts>,
}

pub fn html(found: &Comparison) -> String {
    let page = Page {
        found,
        title: title(found),
        class: match found.outcome {
            Outcome::NoRegression => "PASS",
            Outcome::Inconclusive => "INCONCLUSIVE",
            Outcome::Regression => "FAIL",
        },
        explained: explained(found.outcome),
        sides: all_sides(found).collect(),
    };
    super::page(&page)
}

/// The colour of a word is that of the verdict that it leads to.
fn badge(figure: &Compared) -> &'static str {
    match figure.word {
        Word::Regressed => "FAIL",
        Word::Undecided if figure.counts => "INCONCLUSIVE",
        Word::Undecided => "INFO",
        Word::Same | Word::Improved => "PASS",
    }
}

fn title(found: &Comparison) -> String {
    let others: Vec<&str> = found.against.iter().map(|side| side.side.label.as_str()).collect();
    format!("{} against {}", others.join(", "), found.first.label)
}

fn all_sides(found: &Comparison) -> impl Iterator<Item = &SideFacts> {
    std::iter::once(&found.first).chain(found.against.iter().map(|side| &side.side))
}

fn explained(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::NoRegression => "No figure has become worse by more than its limit.",
        Outcome::Inconclusive => {
            "These runs do not show whether all figures are within their limits: make more of each, on a quiet host."
        }
        Outcome::Regression => "A figure has become worse by more than its limit.",
    }
}
