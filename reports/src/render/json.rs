//! `verdict.json`: for programs.

use crate::verdict::Judgement;

/// Pretty, with a newline at the end.
pub fn render(judgement: &Judgement) -> String {
    let mut text =
        serde_json::to_string_pretty(judgement).expect("a verdict has string keys only and no map");
    text.push('\n');
    text
}
