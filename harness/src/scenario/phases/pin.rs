//! Pins: the SHA-256 of each scenario that a plan asks runs of, written below its name. Every other byte of the plan stays.

use super::evidence::{EVIDENCE, SCENARIO, SHA256};
use super::keys::{NAME, OF};
use super::{entries, place, reread};
use crate::scenario::Source as File;
use crate::scenario::mistake::Origin;
use crate::scenario::tree::Node;
use std::collections::BTreeMap;

/// What one piece of evidence pins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    pub gate: String,
    pub evidence: String,
    pub scenario: String,
    pub sha256: String,
    /// What it had pinned before; absent if it had nothing.
    pub was: Option<String>,
    /// `file:line` of the evidence in the plan as it was.
    pub place: String,
}

impl Pin {
    pub fn is_changed(&self) -> bool {
        self.was.as_ref() != Some(&self.sha256)
    }
}

/// The text of a plan with a pin for all its scenarios, and the pins in the order of the text. `sha256` is that of each scenario, by the
/// name that the plan has for it; one that is not there keeps what it has.
pub fn pinned(source: &File, sha256: &BTreeMap<String, String>) -> (String, Vec<Pin>) {
    let (mut text, mut pins, mut edits) = (source.text.clone(), Vec::new(), Vec::new());
    reread(source, |root| {
        // The values of a plan are right: what this reports has been looked for before.
        let mut read = Vec::new();
        for fields in entries(root, &EVIDENCE, &mut read) {
            let (gate, name) = (fields.value(&OF, &mut read), fields.value(&NAME, &mut read));
            let (Some(gate), Some(name), Some(scenario)) = (gate, name, fields.value(&SCENARIO, &mut read))
            else {
                continue;
            };
            let Some(sha256) = sha256.get(&scenario.value) else { continue };
            let was = fields.value(&SHA256, &mut read);
            let edit = match &was {
                Some(was) => span(was.origin).map(|(start, end)| (start, end, format!("\"{sha256}\""))),
                None => {
                    fields.node(SCENARIO.name).and_then(|(node, key)| inserted(source, node, key, sha256))
                }
            };
            edits.extend(edit);
            pins.push(Pin {
                place: place(name.origin, source),
                gate: gate.value,
                evidence: name.value,
                scenario: scenario.value,
                sha256: sha256.clone(),
                was: was.map(|at| at.value),
            });
        }
    });
    edits.sort_unstable_by_key(|(start, ..)| std::cmp::Reverse(*start));
    for (start, end, new) in edits {
        text.replace_range(start..end, &new);
    }
    (text, pins)
}

fn span(origin: Origin) -> Option<(usize, usize)> {
    match origin {
        Origin::File { start, end } => Some((start, end)),
        Origin::Base { .. } | Origin::Set { .. } | Origin::CommandLine => None,
    }
}

/// A line of its own below that of the scenario, or an entry beside it if the evidence is written in braces.
fn inserted(source: &File, scenario: &Node, key: Origin, sha256: &str) -> Option<(usize, usize, String)> {
    let ((key, _), (_, end)) = (span(key)?, span(scenario.origin)?);
    let (before, after) = (source.text.get(..key)?, source.text.get(end..)?);
    let indent = before.rsplit('\n').next()?;
    if !indent.trim().is_empty() {
        return Some((end, end, format!(", sha256 = \"{sha256}\"")));
    }
    let rest = after.split('\n').next()?;
    let line = rest.trim_end_matches('\r');
    let newline = if line.len() < rest.len() { "\r\n" } else { "\n" };
    let at = end + line.len();
    // Braces may hold a line for each entry.
    if line.trim_start().starts_with(',') {
        return Some((at, at, format!("{newline}{indent}sha256 = \"{sha256}\",")));
    }
    Some((at, at, format!("{newline}{indent}sha256 = \"{sha256}\"")))
}
