//! Whether the harness itself leaks: what measures must not grow with what it measures.

use super::{check, pass_or};
use crate::facts::{Facts, Held};
use crate::units;
use crate::verdict::{Check, EvidenceResult, Verdict};

/// Files that are open for a moment, or opened late.
const FDS_GROWTH_MAX: u64 = 4;
/// A thread is started before the load, or for as long as it has something to do.
const THREADS_GROWTH_MAX: u64 = 2;
/// What fills up in the course of a run and then stays: 80 series of 1,200 bins of 40 bytes each, and as much for
/// histograms, windows and the allocator.
const BYTES_GROWTH_MAX: u64 = 8 << 20;
/// Or so much of what it held.
const SHARE_GROWTH_MAX: u64 = 10;

/// The run's fault, and never the fleet's: INCONCLUSIVE. Not of logs of versions that were judged without it.
pub(super) fn grows_not(facts: &Facts) -> Option<EvidenceResult> {
    if !facts.has(1) {
        return None;
    }
    let wanted = format!(
        "over the load no more than {FDS_GROWTH_MAX} descriptors, {THREADS_GROWTH_MAX} threads, and {} or {SHARE_GROWTH_MAX} % of its memory, that stay",
        units::bytes(BYTES_GROWTH_MAX as f64)
    );
    let name = Check::HarnessDoesNotGrow;
    let Some(shown) = facts.own.shown() else {
        return Some(check(name, Verdict::Inconclusive, wanted, "no sweep in the load phase read it"));
    };
    let grown: Vec<String> =
        facts.own.early_and_late().flat_map(|(early, late)| growth(early, late)).collect();
    let mut result = check(name, pass_or(Verdict::Inconclusive, grown.is_empty()), wanted, in_words(shown));
    result.note = (!grown.is_empty()).then(|| grown.join("; "));
    Some(result)
}

/// What stays, and is more than a run may need.
fn growth(early: Held, late: Held) -> Vec<String> {
    let allowed = BYTES_GROWTH_MAX.max(early.anon_bytes / 100 * SHARE_GROWTH_MAX);
    let fds = late.fds.saturating_sub(early.fds);
    let bytes = late.anon_bytes.saturating_sub(early.anon_bytes);
    let mut grown = Vec::new();
    if fds > FDS_GROWTH_MAX {
        grown.push(format!("{fds} more descriptors late in the load than early"));
    }
    let threads = late.threads.saturating_sub(early.threads);
    if threads > THREADS_GROWTH_MAX {
        grown.push(format!("{threads} more threads late in the load than early"));
    }
    if bytes > allowed {
        grown.push(format!("{} more memory late in the load than early", units::bytes(bytes as f64)));
    }
    grown
}

fn in_words([start, warm, end]: [Held; 3]) -> String {
    let held = |held: Held| {
        let bytes = units::bytes(held.anon_bytes as f64);
        format!("{} descriptors, {} threads and {bytes}", held.fds, held.threads)
    };
    format!("{} at the start, {} after the warm-up, {} at the end", held(start), held(warm), held(end))
}
