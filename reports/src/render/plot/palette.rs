//! Colours: drawn as markers, then replaced, so that one drawing is right in light and in dark.
//!
//! The series colours are those of Okabe and Ito, which colour-blind readers can tell apart; lighter on
//! dark.

use std::fmt::Write;

use plotters::style::RGBColor;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Colour {
    Text,
    Grid,
    Shade,
    One,
    Two,
    Three,
    Four,
    Five,
    /// What a scenario does to its fleet.
    Fault,
    /// What a criterion allows.
    Limit,
}

struct Shade {
    colour: Colour,
    variable: &'static str,
    light: &'static str,
    dark: &'static str,
}

const fn shade(colour: Colour, variable: &'static str, light: &'static str, dark: &'static str) -> Shade {
    Shade { colour, variable, light, dark }
}

const SHADES: [Shade; 10] = [
    shade(Colour::Text, "--plot-text", "#3d444d", "#c3cad3"),
    shade(Colour::Grid, "--plot-grid", "#d8dde3", "#3a424c"),
    shade(Colour::Shade, "--plot-shade", "#8a939e", "#8a939e"),
    shade(Colour::One, "--plot-1", "#0072b2", "#56b4e9"),
    shade(Colour::Two, "--plot-2", "#b87700", "#f0b73c"),
    shade(Colour::Three, "--plot-3", "#00805d", "#2fc99a"),
    shade(Colour::Four, "--plot-4", "#c44d00", "#ff8f57"),
    shade(Colour::Five, "--plot-5", "#a8518a", "#e7a3cb"),
    shade(Colour::Fault, "--plot-fault", "#c9302c", "#ff7b72"),
    shade(Colour::Limit, "--plot-limit", "#5c2d91", "#c9a6ff"),
];

impl Colour {
    /// A colour that nothing else in a drawing has.
    pub(super) fn marker(self) -> RGBColor {
        RGBColor(1, 2, 0xa0 + self as u8)
    }
}

fn marker_text(colour: Colour) -> String {
    let RGBColor(r, g, b) = colour.marker();
    format!("\"#{r:02X}{g:02X}{b:02X}\"")
}

pub(super) fn with_variables(svg: &str) -> String {
    SHADES.iter().fold(svg.to_owned(), |svg, s| {
        svg.replace(&marker_text(s.colour), &format!("\"var({})\"", s.variable))
    })
}

pub(super) fn with_own_style(svg: &str) -> String {
    let mut style = String::from("<style>@media (prefers-color-scheme: dark){svg{background:#14181d}");
    for s in &SHADES {
        let (light, dark) = (s.light, s.dark);
        let _ = write!(style, "[stroke=\"{light}\"]{{stroke:{dark}}}[fill=\"{light}\"]{{fill:{dark}}}");
    }
    style += "}</style>";
    let svg = SHADES
        .iter()
        .fold(svg.to_owned(), |svg, s| svg.replace(&marker_text(s.colour), &format!("\"{}\"", s.light)));
    match svg.find('>') {
        Some(at) => format!("{}{style}{}", &svg[..=at], &svg[at + 1..]),
        None => svg,
    }
}

/// `(light, dark)` declarations for a page that holds inline plots.
pub fn css_variables() -> (String, String) {
    let list = |pick: fn(&Shade) -> &'static str| {
        SHADES.iter().fold(String::new(), |mut text, s| {
            let _ = write!(text, "{}:{};", s.variable, pick(s));
            text
        })
    };
    (list(|s| s.light), list(|s| s.dark))
}
