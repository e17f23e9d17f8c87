//! `verdict.json`: for programs.

use serde::Serialize;

use crate::verdict::Judgement;

/// Pretty, with a newline at the end.
pub fn render(judgement: &Judgement) -> String {
    pretty(judgement)
}

/// The same of any of our types: in each, the keys of a map are strings.
pub(super) fn pretty(value: &impl Serialize) -> String {
    let mut text = serde_json::to_string_pretty(value).expect("the keys of its maps are strings");
    text.push('\n');
    text
}
