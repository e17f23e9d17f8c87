//! What is not the fleet's doing: a load that was late by itself, and a host that others were busy on.

use super::Measured;
use crate::facts::{Facts, Figure};
use crate::scope::Scope;
use crate::stats;
use crate::units;

/// A change of the share of the processors' time that others use, from the first tenth of the load to the last, beyond
/// which times are not comparable.
const BUSY_CHANGE_MAX: f64 = 0.1;
/// The same of what the hypervisor gives to others.
const STEAL_CHANGE_MAX: f64 = 0.02;

/// Beside the times as they were planned, those that the fleet is answerable for.
pub(super) fn of_the_load(measured: Measured, fleets: Measured, facts: &Facts) -> Measured {
    let own = &facts.load.fleet_time;
    if measured.fleets_own.is_some()
        || own.late_max_ns == 0
        || own.times.count() != facts.load.coordination.count()
    {
        return measured;
    }
    let (Some(all), Some(alone)) = (measured.value, fleets.value) else { return measured };
    // Microseconds between schedule and start are no lateness.
    if alone >= 0.9 * all {
        return Measured { fleets_own: Some(Box::new(fleets)), ..measured };
    }
    let note = format!(
        "the load itself was late, by up to {}: without that {}",
        units::nanos(own.late_max_ns),
        units::seconds(alone)
    );
    Measured { fleets_own: Some(Box::new(fleets)), ..measured }.noting(note)
}

/// A drift while others used more of the host than before is not known to be the fleet's; nor is there none, if they used
/// more of it at the beginning.
pub(super) fn of_the_host(measured: Measured, facts: &Facts) -> Measured {
    let busy = change(Figure::OthersBusy, facts).unwrap_or(0.0);
    let steal = change(Figure::Steal, facts).unwrap_or(0.0);
    let (more, less) = (
        busy > BUSY_CHANGE_MAX || steal > STEAL_CHANGE_MAX,
        busy < -BUSY_CHANGE_MAX || steal < -STEAL_CHANGE_MAX,
    );
    if !more && !less {
        return measured;
    }
    let note = format!(
        "over the same time other processes' share of the host changed by {} and stolen time by {}",
        points(busy),
        points(steal)
    );
    let blamed = more.then(|| Box::new(Measured::nothing(0, "the host")));
    Measured { open: measured.open || less, fleets_own: blamed, ..measured }.noting(note)
}

fn points(share: f64) -> String {
    format!("{:+.1} points", share * 100.0)
}

/// From the median of the first tenth of the load to that of the last.
fn change(figure: Figure, facts: &Facts) -> Option<f64> {
    let gauge = facts.samples.gauge(figure, Scope::Fleet)?;
    let points: Vec<f64> = gauge.medians.points(facts.load_extent_ns()).iter().map(|p| p.1).collect();
    let size = stats::tenth(points.len());
    if points.len() < 2 * size {
        return None;
    }
    let median = |part: &[f64]| stats::median(&mut part.to_vec());
    Some(median(&points[points.len() - size..])? - median(&points[..size])?)
}
