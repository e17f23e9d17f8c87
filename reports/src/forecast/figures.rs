//! Which figures are forecast, and where the value of a run comes from.

use super::family::Sized;
use super::fitted::{Fitted, Range};
use crate::compare::{FigureValue, figure_kinds};
use crate::criterion::Unit;
use crate::stats::Growth;

/// A figure that runs are compared by, with the law that it may follow.
const MEASURED: [(&str, Option<Growth>); 10] = [
    ("throughput.tasks", Some(Growth::Throughput)),
    ("coordination.time p50", Some(Growth::Time)),
    ("coordination.time p99", Some(Growth::Time)),
    ("task.time p50", Some(Growth::Time)),
    ("launch.time", Some(Growth::Time)),
    (MEMORY, None),
    (CPU, None),
    ("fds max", None),
    (THREADS, None),
    ("shm.used max", None),
];
pub(super) const MEMORY: &str = "memory.pss mean";
pub(super) const CPU: &str = "cpu mean";
pub(super) const THREADS: &str = "threads max";
/// Bytes that the fleet reserves in /dev/shm.
pub(super) const RESERVED: &str = "shm.reserved";
/// Descriptors of the process with the most of them.
pub(super) const DESCRIPTORS: &str = "fds of one process";

type OfPlan = fn(&Sized) -> f64;
/// What the plan of a run says, measured or not.
const PLANNED: [(&str, Unit, OfPlan); 2] = [
    (RESERVED, Unit::Bytes, |run| run.plan.shm_bytes as f64),
    (DESCRIPTORS, Unit::Count, |run| run.plan.fds_max as f64),
];

/// All of them, and what to know of the forecast as a whole.
pub(super) fn all(
    runs: &[&Sized],
    held: &[&Sized],
    predict: &[u32],
    largest: u32,
) -> (Vec<Fitted>, Vec<String>) {
    let least = runs.iter().map(|run| run.agents).min().unwrap_or(1);
    let range = Range { predict, least, largest };
    let (mut figures, mut warnings) = (Vec::new(), Vec::new());
    for (name, growth) in MEASURED {
        let Some(kind) = figure_kinds().iter().find(|kind| kind.name == name) else { continue };
        let values = |runs: &[&Sized]| -> Vec<(u32, f64)> {
            runs.iter().filter_map(|run| Some((run.agents, level(run, name)?))).collect()
        };
        let own = values(runs);
        if own.len() < runs.len() {
            warnings.push(format!(
                "there is no forecast of `{name}`: {} of {} runs have no such figure",
                runs.len() - own.len(),
                runs.len()
            ));
            continue;
        }
        figures.push(Fitted::new((name, kind.unit), growth, (own, values(held)), range));
    }
    for (name, unit, of) in PLANNED {
        let values = |runs: &[&Sized]| runs.iter().map(|run| (run.agents, of(run))).collect();
        figures.push(Fitted::new((name, unit), None, (values(runs), values(held)), range));
    }
    (figures, warnings)
}

fn level(run: &Sized, name: &str) -> Option<f64> {
    match run.figures.figures.get(name)? {
        FigureValue::Level { value, .. } => Some(*value),
        FigureValue::Count { .. } => None,
    }
}
