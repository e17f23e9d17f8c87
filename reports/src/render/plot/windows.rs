//! When the scenario disturbed its fleet, as areas of a plot.

use crate::facts::Facts;

/// More would be one area: those that follow closely are drawn together.
const WINDOWS_MAX: usize = 200;

/// From each injection to the recovery from it, or to the end of the load if none was seen. Those that touch are one.
pub(super) fn of_faults(facts: &Facts) -> Vec<(u64, u64)> {
    let end_ns = facts.load_end_ns().unwrap_or(facts.last_ns);
    let mut windows: Vec<(u64, u64)> = facts
        .faults
        .firings
        .iter()
        .filter_map(|firing| {
            let from_ns = firing.injected_ns?;
            Some((from_ns, firing.ended_ns().unwrap_or(end_ns).max(from_ns)))
        })
        .collect();
    windows.sort_unstable();
    let mut apart_ns = 0;
    loop {
        let joined = join(&windows, apart_ns);
        if joined.len() <= WINDOWS_MAX {
            return joined;
        }
        apart_ns = (apart_ns * 2).max(1_000_000);
    }
}

fn join(windows: &[(u64, u64)], apart_ns: u64) -> Vec<(u64, u64)> {
    let mut out: Vec<(u64, u64)> = Vec::new();
    for &(from_ns, to_ns) in windows {
        match out.last_mut() {
            Some(last) if from_ns <= last.1.saturating_add(apart_ns) => last.1 = last.1.max(to_ns),
            Some(_) | None => out.push((from_ns, to_ns)),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_that_touch_are_one() {
        assert_eq!(join(&[(1, 3), (3, 5), (7, 9), (8, 8)], 0), [(1, 5), (7, 9)]);
        assert_eq!(join(&[(1, 3), (5, 6)], 2), [(1, 6)]);
    }
}
