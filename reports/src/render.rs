//! The documents: one file a format, each drawn from a judgement and the facts, deciding nothing.

pub mod csv;
mod faults;
pub mod hlog;
pub mod html;
pub mod json;
pub mod junit;
pub mod markdown;
pub mod plot;
pub mod summary;
pub mod text;

use std::io;

use crate::facts::{Counts, Facts};
use crate::runlog::event::Record;

/// `3 timed out, 1 wrong answer`; empty without a failed task.
fn reasons(counts: &Counts) -> String {
    let one = |(reason, count): (&str, u64)| format!("{} {reason}", crate::units::count(count as f64));
    counts.reasons().into_iter().map(one).collect::<Vec<_>>().join(", ")
}

/// A document that grows with the log, and so is written while the log is read.
pub trait Table<W> {
    /// Writes the rows of one record, if it has any here. The facts have taken it already.
    fn push(&mut self, facts: &Facts, record: &Record) -> io::Result<()>;

    /// What it was written to, with every row in it.
    fn into_inner(self: Box<Self>) -> io::Result<W>;
}
