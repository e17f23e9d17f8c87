//! Gates: many runs, and facts from outside, become one decision.
//!
//! ```text
//! plan (phases, gates, evidence) ─┐
//! runs, judged from their logs ───┼─► weigh (what counts, and why not) ─► decide ─► Decision ─► render::gate
//! facts from outside, read ───────┘
//! ```
//!
//! Everything here is a function of its arguments: which runs there are, what files hold, what this host and this
//! build are and what time it is come in as values. A decision can be made again from the same values, byte for byte.
//! Deliberately absent: a threshold. They are in the scenario files and in the plan.

use jiff::civil::Date;

pub mod ask;
mod builds;
pub mod decide;
pub mod decision;
pub mod exhibit;
pub mod index;
pub mod outside;
pub mod plan;
pub mod schedule;
mod weigh;

/// A day of a plan or a statement, as `2026-12-31` and in no other form: a time or an offset beside it would be dropped in silence.
pub fn day(text: &str) -> Option<Date> {
    const FORM: &[u8; 10] = b"0000-00-00";
    let is_in_form =
        |(byte, form): (&u8, &u8)| if *form == b'0' { byte.is_ascii_digit() } else { byte == form };
    let is_day = text.len() == FORM.len() && text.as_bytes().iter().zip(FORM).all(is_in_form);
    is_day.then(|| text.parse().ok()).flatten()
}
