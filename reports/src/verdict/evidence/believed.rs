//! What only the log itself vouches for.

use crate::facts::Facts;
use crate::runlog::event::Header;

/// Why nothing holds the header to what the scenario asked; nothing if its text is beside it.
pub(in crate::verdict) fn believed(facts: &Facts) -> Option<String> {
    let Header { format, sources, .. } = &facts.header;
    sources.is_empty().then(|| {
        format!(
            "the header could not be checked against the scenario's text, which a log of format {}.{} does not contain: its criteria and plan are taken on trust",
            format.major, format.minor
        )
    })
}
