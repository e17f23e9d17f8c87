//! The documents: one file a format, each drawn from a judgement and the facts, deciding nothing.

mod columns;
pub mod compare;
pub mod csv;
mod faults;
pub mod forecast;
pub mod gate;
pub mod history;
pub mod hlog;
pub mod html;
pub mod impact;
pub mod json;
pub mod junit;
pub mod markdown;
mod next;
pub mod plot;
pub mod side_by_side;
pub mod summary;
pub mod text;

use std::io;

use crate::facts::{Counts, Facts, WorkloadLoad};
use crate::runlog::event::{CommandDone, Record};
use crate::units;
use notation::visible;

/// `3 timed out, 1 wrong answer`; empty without a failed task.
fn reasons(counts: &Counts) -> String {
    let one = |(reason, count): (&str, u64)| format!("{} {reason}", crate::units::count(count as f64));
    counts.reasons().into_iter().map(one).collect::<Vec<_>>().join(", ")
}

/// A page in HTML, with what hides in its texts shown.
fn page(page: &impl askama::Template) -> String {
    // Rendering into a string fails only if a value's own formatting does, and these are strings.
    visible::text(&page.render().unwrap_or_default()).into_owned()
}

/// A document that grows with the log, and so is written while the log is read.
pub trait Table<W> {
    /// Writes the rows of one record, if it has any here. The facts have taken it already.
    fn push(&mut self, facts: &Facts, record: &Record) -> io::Result<()>;

    /// What it was written to, with every row in it.
    fn into_inner(self: Box<Self>) -> io::Result<W>;
}

/// What the documents show of a workload, in words: `answered of tasks`, delivery, and p50, p99 and maximum of the times of
/// its tasks.
fn workload_figures(workload: &WorkloadLoad) -> [String; 5] {
    let (counts, task) = (&workload.counts, &workload.task);
    let show = |ns: Option<u64>| ns.map_or_else(|| "—".to_owned(), units::nanos);
    [
        format!("{} of {}", units::count(counts.answered as f64), units::count(counts.tasks as f64)),
        counts.delivery().map_or_else(|| "—".to_owned(), units::percent),
        show(task.quantile_ns(0.5)),
        show(task.supported_quantile_ns(0.99)),
        show(task.max_ns()),
    ]
}

/// The commands before the launch and after the end, a sentence each.
fn commands(facts: &Facts) -> Vec<String> {
    let line = |command: &CommandDone| {
        let took = units::nanos(command.finished_ns.saturating_sub(command.started_ns));
        let output = command.output.join(" | ");
        let output = if output.is_empty() { output } else { format!("; its last lines: {output}") };
        format!("{}: {} {} after {took}{output}", command.when.name(), command.command, command.how)
    };
    facts.commands.items.iter().map(line).collect()
}
