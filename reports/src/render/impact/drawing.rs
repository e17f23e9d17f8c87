//! Effects as intervals, and pairs of factors as lines that are parallel where the two do not depend on each other.
//!
//! Written as text, since names stand beside every mark. They have letters, digits and `-` only, so that nothing needs escaping.

use crate::compare::show;
use crate::impact::{Answered, Factor, signed};

/// Of the part with the intervals.
const SPAN: f64 = 230.0;
/// A character of a label, roughly: drawings are laid out without a font.
const CHARACTER: f64 = 6.6;
const MARGIN: f64 = 36.0;
const ROW: f64 = 24.0;
/// Of one pair of factors.
const PANEL: (f64, f64) = (360.0, 220.0);
const GRID: &str = "--plot-grid";
const TEXT: &str = "--plot-text";
/// Of what is on, and what is off.
const COLOURS: [&str; 2] = ["--plot-1", "--plot-2"];

/// A row for each effect: its interval on the scale of logarithms, and a point for the estimate. Empty without effects.
pub(super) fn intervals(figure: &Answered) -> String {
    let effects = &figure.effects;
    let Some(longest) = effects.iter().map(|effect| effect.name.chars().count()).max() else {
        return String::new();
    };
    let log = |share: f64| share.max(-1.0 + f64::EPSILON).ln_1p();
    let greatest =
        |values: &mut dyn Iterator<Item = f64>| values.fold(0.0, |most: f64, v| most.max(log(v).abs()));
    let estimates = greatest(&mut effects.iter().map(|effect| effect.change));
    let ends = greatest(&mut effects.iter().flat_map(|effect| [effect.low, effect.high]));
    // An interval that is wide beyond all measure leaves the drawing instead of flattening it.
    let most = ends.min(3.0 * estimates.max(0.05)).max(0.01);
    let labels = longest as f64 * CHARACTER + 24.0;
    let at = |value: f64| labels + SPAN * (value.clamp(-most, most) / most + 1.0) / 2.0;
    let bottom = 10.0 + effects.len() as f64 * ROW;
    let mut svg = begin(labels + SPAN + MARGIN, bottom + 24.0);
    for value in [-most, 0.0, most] {
        let x = at(value);
        svg += &line((x, 6.0), (x, bottom), GRID, "stroke-width=\"1\"");
        svg += &text((x, bottom + 16.0), "middle", TEXT, &signed(rounded(value.exp_m1())));
    }
    for (row, effect) in effects.iter().enumerate() {
        let y = 10.0 + (row as f64 + 0.5) * ROW;
        let [low, middle, high] = [effect.low, effect.change, effect.high].map(|share| at(log(share)));
        svg += &text((labels - 14.0, y + 4.0), "end", TEXT, &effect.name);
        svg += &line((low, y), (high, y), COLOURS[0], "stroke-width=\"3\"");
        svg += &dot((middle, y), COLOURS[0]);
    }
    svg + "</svg>"
}

/// A drawing for each pair of factors whose cells all have runs.
pub(super) fn interactions(figure: &Answered, factors: &[Factor]) -> Vec<String> {
    let pairs = (0..factors.len()).flat_map(|a| (a + 1..factors.len()).map(move |b| (a, b)));
    pairs.filter_map(|(a, b)| panel(figure, (a, &factors[a]), (b, &factors[b]))).collect()
}

/// From left to right the first factor is turned on; a line for each level of the second.
fn panel(figure: &Answered, (a, first): (usize, &Factor), (b, second): (usize, &Factor)) -> Option<String> {
    let (a, b) = (1_u32 << a, 1_u32 << b);
    let level = |on: u32| figure.level(a | b, on);
    // The one above is broken, so that both can be seen where they coincide.
    let lines = [
        ("on", [level(b)?, level(a | b)?], COLOURS[0], "stroke-width=\"3\""),
        ("off", [level(0)?, level(a)?], COLOURS[1], "stroke-width=\"2\" stroke-dasharray=\"7 5\""),
    ];
    let values = || lines.iter().flat_map(|line| line.1);
    let (low, high) = (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max));
    // Values that hardly differ are not drawn as if they did.
    let (middle, half) = (f64::midpoint(low, high), ((high - low) / 2.0).max(0.01));
    let (width, height) = PANEL;
    let (top, bottom, left, right) = (62.0, height - 36.0, 110.0, width - 70.0);
    let y = |value: f64| f64::midpoint(top, bottom) - (value - middle) / half * (bottom - top) / 2.0;
    let mut svg = begin(width, height);
    svg += &text((width / 2.0, 18.0), "middle", TEXT, &format!("{} by {}", first.name, second.name));
    for (x, word) in [(left, "off"), (right, "on")] {
        svg += &text((x, height - 10.0), "middle", TEXT, &format!("{} {word}", first.name));
    }
    for value in [low, high] {
        svg += &text((left - 14.0, y(value) + 4.0), "end", TEXT, &show(figure.unit, rounded(value.exp())));
    }
    for ((word, [off, on], colour, style), x) in lines.into_iter().zip([0.3, 0.7]) {
        svg += &text((width * x, 40.0), "middle", colour, &format!("{} {word}", second.name));
        svg += &line((left, y(off)), (right, y(on)), colour, style);
        svg += &dot((left, y(off)), colour);
        svg += &dot((right, y(on)), colour);
    }
    Some(svg + "</svg>")
}

fn begin(width: f64, height: f64) -> String {
    format!("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\">")
}

fn line(from: (f64, f64), to: (f64, f64), colour: &str, style: &str) -> String {
    let ((x1, y1), (x2, y2)) = (from, to);
    format!(
        "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"var({colour})\" {style}/>"
    )
}

fn dot((x, y): (f64, f64), colour: &str) -> String {
    format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"var({colour})\"/>")
}

fn text((x, y): (f64, f64), anchor: &str, colour: &str, words: &str) -> String {
    format!(
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" font-size=\"12\" fill=\"var({colour})\">{words}</text>"
    )
}

/// To three digits.
fn rounded(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    let scale = 10_f64.powi(2 - value.abs().log10().floor() as i32);
    (value * scale).round() / scale
}
