//! `verdict.json`: for programs.

use crate::verdict::Verdict;

/// Pretty, with a newline at the end.
pub fn render(verdict: &Verdict) -> String {
    let mut text = serde_json::to_string_pretty(verdict).expect("a verdict has string keys only and no map");
    text.push('\n');
    text
}
