//! When the scenario disturbed its fleet, as areas of a plot.

use crate::facts::{Facts, joined};

/// More would be one area: those that follow closely are drawn together.
const WINDOWS_MAX: usize = 200;

/// From each injection to the recovery from it, or to the end of the load if none was seen.
pub(super) fn of_faults(facts: &Facts) -> Vec<(u64, u64)> {
    let end_ns = facts.load_end_ns().unwrap_or(facts.last_ns);
    let windows = facts.faults.windows(|_| true);
    let ended = windows.into_iter().map(|(from_ns, to_ns)| {
        let to_ns = if to_ns == u64::MAX { end_ns } else { to_ns };
        (from_ns, to_ns.max(from_ns))
    });
    let mut windows: Vec<(u64, u64)> = ended.collect();
    let mut apart_ns = 1_000_000;
    while windows.len() > WINDOWS_MAX {
        windows = joined(&windows, apart_ns);
        apart_ns *= 2;
    }
    windows
}
