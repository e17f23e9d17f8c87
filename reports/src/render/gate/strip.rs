//! One criterion over all runs that count, on one scale: a line, the threshold on it, and a dot for each run.

use std::fmt::Write as _;

use crate::gate::decision::{Finding, Weighed};
use crate::verdict::Verdict;

pub(super) struct Strip {
    pub(super) criterion: String,
    pub(super) asked: String,
    pub(super) measured: String,
    pub(super) svg: String,
}

const WIDTH: f64 = 320.0;
const MARGIN: f64 = 10.0;

/// Of each criterion that has figures, in the order of the scenario. Scenarios of a matrix may ask different things under one name.
pub(super) fn strips(weighed: &Weighed) -> Vec<Strip> {
    let mut kinds: Vec<(&str, &str)> = Vec::new();
    for finding in weighed.findings.iter().filter(|finding| finding.value.is_some()) {
        let kind = (&*finding.criterion, &*finding.asked);
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    kinds.into_iter().filter_map(|kind| strip(kind, weighed)).collect()
}

fn strip((name, asked): (&str, &str), weighed: &Weighed) -> Option<Strip> {
    let is_of = |finding: &&Finding| finding.criterion == name && finding.asked == asked;
    let of: Vec<&Finding> = weighed.findings.iter().filter(is_of).collect();
    let values: Vec<(f64, Verdict)> = of
        .iter()
        .filter_map(|finding| Some((finding.value.filter(|v| v.is_finite())?, finding.verdict)))
        .collect();
    let first = of.first()?;
    let threshold = first.threshold.filter(|threshold| threshold.is_finite())?;
    let measured = range(&of);
    Some(Strip {
        criterion: name.to_owned(),
        asked: first.asked.clone(),
        measured,
        svg: draw(&values, threshold, first.comparator.as_deref().unwrap_or_default()),
    })
}

/// `least … most`, and how many runs have no figure.
fn range(of: &[&Finding]) -> String {
    let mut figures: Vec<(f64, &str)> =
        of.iter().filter_map(|finding| Some((finding.value?, &*finding.measured))).collect();
    figures.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    let mut range = match &figures[..] {
        [] => String::new(),
        [(_, least), .., (_, most)] if least != most => format!("{least} … {most}"),
        [(_, only), ..] => (*only).to_owned(),
    };
    match of.len() - figures.len() {
        0 => {}
        1 => range.push_str("; 1 run has no figure"),
        several => range.extend(["; ", &several.to_string(), " runs have no figure"]),
    }
    range
}

fn draw(values: &[(f64, Verdict)], threshold: f64, comparator: &str) -> String {
    let all = || values.iter().map(|(value, _)| *value).chain([threshold]);
    let (least, most) = (all().fold(f64::INFINITY, f64::min), all().fold(f64::NEG_INFINITY, f64::max));
    // A tenth at each end, so that a value at the end of the scale is not at the end of the line.
    let room = if most > least { (most - least) * 0.1 } else { threshold.abs().max(1.0) * 0.1 };
    let (from, to) = (least - room, most + room);
    let x = |value: f64| MARGIN + (value - from) / (to - from) * (WIDTH - 2.0 * MARGIN);
    let limit = x(threshold);
    let (good_from, good_to) = match comparator.get(..1) {
        Some("<") => (MARGIN, limit),
        Some(">") => (limit, WIDTH - MARGIN),
        _ => (limit, limit),
    };
    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} 28\" role=\"img\" aria-label=\"{} values beside the limit\"><rect x=\"{good_from:.1}\" y=\"10\" width=\"{:.1}\" height=\"8\" rx=\"2\" style=\"fill:var(--pass);opacity:.16\"/><line x1=\"{MARGIN}\" x2=\"{:.1}\" y1=\"14\" y2=\"14\" style=\"stroke:var(--line)\"/><line x1=\"{limit:.1}\" x2=\"{limit:.1}\" y1=\"3\" y2=\"25\" style=\"stroke:var(--plot-limit);stroke-width:2\"/>",
        values.len(),
        (good_to - good_from).max(0.0),
        WIDTH - MARGIN,
    );
    for (value, verdict) in values {
        let colour = match verdict {
            Verdict::Pass => "--pass",
            Verdict::Conditional => "--conditional",
            Verdict::Inconclusive => "--inconclusive",
            Verdict::Fail => "--fail",
        };
        // Writing to a String cannot fail.
        let _ = write!(
            svg,
            "<circle cx=\"{:.1}\" cy=\"14\" r=\"5\" style=\"fill:var({colour});fill-opacity:.75\"/>",
            x(*value)
        );
    }
    svg + "</svg>"
}
