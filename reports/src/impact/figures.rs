//! The figures whose change by a factor is asked: one value a run, mostly those that runs are compared by.

use crate::compare::{FigureValue, RunFigures};
use crate::criterion::{Better, Unit};
use crate::facts::Figure;
use crate::scope::Scope;
use crate::summary::Summary;

#[derive(Debug, Clone, Copy)]
pub struct ImpactFigure {
    pub name: &'static str,
    pub unit: Unit,
    pub better: Better,
    of: fn(&RunFigures, &Summary) -> Option<(f64, f64)>,
}

const fn figure(
    name: &'static str,
    (unit, better): (Unit, Better),
    of: fn(&RunFigures, &Summary) -> Option<(f64, f64)>,
) -> ImpactFigure {
    ImpactFigure { name, unit, better, of }
}

const TIME: (Unit, Better) = (Unit::Seconds, Better::Lower);

pub(super) const CPU_PER_TASK: &str = "cpu per task";

/// In the order of the documents.
#[rustfmt::skip]
pub const FIGURES: [ImpactFigure; 8] = [
    figure("coordination.time p50", TIME, |f, _| level(f, "coordination.time p50")),
    figure("coordination.time p99", TIME, |f, _| level(f, "coordination.time p99")),
    figure("task.time p50", TIME, |f, _| level(f, "task.time p50")),
    figure("throughput.tasks", (Unit::PerSecond, Better::Higher), |f, _| level(f, "throughput.tasks")),
    figure("launch.time", TIME, |f, _| level(f, "launch.time")),
    figure(CPU_PER_TASK, TIME, cpu_per_task),
    figure("memory.pss max", (Unit::Bytes, Better::Lower), |_, s| Some((s.gauge(Figure::Pss, Scope::Fleet)?.max, 4096.0))),
    figure("processes.started", (Unit::Count, Better::Lower), |_, s| started(s)),
];

impl ImpactFigure {
    /// The value and the step that it can differ by. `None` of what the run does not have, and of what has no ratio.
    pub(super) fn value(&self, figures: &RunFigures, summary: &Summary) -> Option<(f64, f64)> {
        (self.of)(figures, summary).filter(|(value, _)| *value > 0.0 && value.is_finite())
    }
}

fn level(figures: &RunFigures, name: &str) -> Option<(f64, f64)> {
    match figures.figures.get(name)? {
        FigureValue::Level { value, step } => Some((*value, *step)),
        FigureValue::Count { .. } => None,
    }
}

/// Nothing of a run whose workers were replaced: what a process used between the last sweep that saw it and its end is not in
/// the log, so that the fleet would look cheaper than it was.
fn cpu_per_task(figures: &RunFigures, summary: &Summary) -> Option<(f64, f64)> {
    let (cpu, tasks) = (level(figures, "cpu mean")?.0, level(figures, "throughput.tasks")?.0);
    (replaced(summary)? == 0).then_some((cpu / tasks, 0.0))
}

/// Those of the start, and those that have replaced others.
fn started(summary: &Summary) -> Option<(f64, f64)> {
    Some(((u64::from(summary.plan.processes) + replaced(summary)?) as f64, 0.0))
}

fn replaced(summary: &Summary) -> Option<u64> {
    let pool = summary.ledger.as_ref()?.pool?;
    Some(pool.recycled.saturating_add(pool.poisoned))
}
