//! What a log says of itself, and nothing else does.

use crate::facts::Facts;
use crate::runlog::event::Header;

/// Why nothing holds the header to what the scenario asked; nothing if its text is beside it.
pub(in crate::verdict) fn believed(facts: &Facts) -> Option<String> {
    let Header { format, sources, .. } = &facts.header;
    sources.is_empty().then(|| {
        format!(
            "the header could not be held against the scenario's text, which a log of format {}.{} does not hold: its criteria and its plan are believed",
            format.major, format.minor
        )
    })
}
