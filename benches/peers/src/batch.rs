//! Batching: messages due at fixed times, gathered by the sender and shown to the receiver together.
//!
//! A fixed size waits until so many are due. Adaptive sends what there is: whatever became due while it was busy
//! goes out with one flush, and nothing waits when nothing else is due. The receiver sleeps when it finds nothing,
//! so that every flush at a low rate costs a wake-up: what batches are for. It is our bus on both sides, in the
//! same configuration as everywhere; only who decides when to flush differs.

use crate::catalogue::Who;
use crate::link::Side;
use crate::pair::{Clock, Figures, Measured, Plan, sample};
use crate::payload::Stamped;
use crate::peers::ours;
use crate::work::arrivals;
use anyhow::{Result, bail};

/// Messages a second; none: all are due at once.
pub const RATES: [Option<f64>; 6] = [Some(20e3), Some(100e3), Some(500e3), Some(2e6), Some(5e6), None];

const SIZE: usize = 64;
/// More than any fixed size, less than the ring holds.
const MOST: u64 = 256;

type Bus = ours::Bus<true, false>;
type End = ours::End<true, false>;

pub fn run(who: Who, plan: &Plan<'_>, per_second: Option<f64>, messages: u64) -> Result<Measured> {
    let fixed = match who {
        Who::Ours => None,
        Who::Batch1 => Some(1),
        Who::Batch10 => Some(10),
        Who::Batch100 => Some(100),
        who => bail!("{} has no batches", who.name()),
    };
    sample::<Bus>(plan, |side, link, clock| match side {
        Side::Near => send(link, clock, fixed, per_second, messages),
        Side::Far => receive(link, clock, messages),
    })
}

fn send(
    link: &mut End,
    clock: &Clock,
    fixed: Option<u64>,
    per_second: Option<f64>,
    messages: u64,
) -> Result<Option<Figures>> {
    let period = clock.ticks(per_second.map_or(0.0, |rate| 1e9 / rate));
    let start = clock.now() + clock.ticks(1e6) as u64;
    let due = |number: u64| start + (number as f64 * period) as u64;
    let mut sent = 0;
    while sent < messages {
        let at_most = fixed.unwrap_or(MOST).min(messages - sent);
        // what the batch waits for: its last message, or any message at all
        let wanted = if fixed.is_some() { at_most } else { 1 };
        while clock.now() < due(sent + wanted - 1) {}
        let now = clock.now();
        let end = sent + at_most;
        while sent < end && due(sent) <= now {
            link.stage(Stamped::<SIZE> { number: sent, stamp: due(sent) })?;
            sent += 1;
        }
        link.show()?;
    }
    Ok(None)
}

fn receive(link: &mut End, clock: &Clock, messages: u64) -> Result<Option<Figures>> {
    let (mut figures, takes) = arrivals::<_, SIZE>(link, clock, messages, MOST as usize)?;
    figures.batch = Some(messages as f64 / takes as f64);
    Ok(Some(figures))
}
