//! The documents of a decision, one file a format, and those of a schedule. They decide nothing.

mod csv;
mod explain;
mod html;
mod junit;
mod markdown;
mod phases;
mod strip;
mod text;

pub use explain::{Explained, explained, text as explain};
pub use phases::{svg as phases_svg, text as phases_text};
pub use text::render as text;

use crate::gate::decision::Decision;
use serde::Serialize;

/// Every document of a decision: its file's name, and its text.
pub fn documents(decision: &Decision) -> Vec<(&'static str, String)> {
    vec![
        ("decision.json", json(decision)),
        ("decision.html", html::render(decision)),
        ("decision.md", markdown::render(decision)),
        ("junit.xml", junit::render(decision)),
        ("evidence.csv", csv::render(decision)),
    ]
}

/// Of a decision or a schedule.
pub fn json(value: &impl Serialize) -> String {
    super::json::pretty(value)
}

/// That it decides nothing.
const DEMO: &str = "DEMO: this plan shows how gates work. It decides nothing.";

/// `24 h 3 min`, or that it is not known.
fn takes(ns: Option<u64>) -> String {
    ns.map_or_else(|| "not known".to_owned(), crate::units::nanos)
}
