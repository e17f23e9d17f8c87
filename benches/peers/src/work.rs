//! The works that every link is put to: one way as fast as it goes, back and forth, and at a fixed rate.
//!
//! All of them write, read and check every message whole. Nothing here knows which peer it drives.

use crate::link::{Link, Side};
use crate::pair::{Clock, Figures};
use crate::payload::{Checker, Stamped};
use anyhow::Result;
use hdrhistogram::Histogram;

/// Messages taken at a time where many may have come.
const LIMIT: usize = 256;

pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 100_000_000_000, 3).expect("the bounds are constants")
}

pub fn percentiles(messages: u64, histogram: &Histogram<u64>, divisor: f64) -> Figures {
    let at = |quantile: f64| Some(histogram.value_at_quantile(quantile) as f64 / divisor);
    Figures { messages, p50_ns: at(0.5), p99_ns: at(0.99), p999_ns: at(0.999), ..Figures::default() }
}

/// Near sends, far receives; the rate is the receiver's, after the first fifth.
pub fn one_way<L: Link, const SIZE: usize>(
    side: Side,
    link: &mut L,
    clock: &Clock,
    messages: u64,
) -> Result<Option<Figures>> {
    if side == Side::Near {
        for number in 0..messages {
            link.send(SIZE, Stamped::<SIZE> { number, stamp: 0 })?;
        }
        link.flush()?;
        return Ok(None);
    }
    let mut checker = Checker::<SIZE, _>::new(|_, _| ());
    let mut until = |goal: u64| -> Result<(u64, u64)> {
        while checker.seen() < goal {
            let most = (messages - checker.seen()).min(LIMIT as u64) as usize;
            link.take(most, &mut checker)?;
            checker.verdict()?;
        }
        Ok((clock.now(), checker.seen()))
    };
    let (start, warm) = until(messages / 5)?;
    let (end, _) = until(messages)?;
    let seconds = clock.ns(start, end) as f64 / 1e9;
    let rate_per_s = Some((messages - warm) as f64 / seconds);
    Ok(Some(Figures { messages, rate_per_s, ..Figures::default() }))
}

/// A message there and one back; latency is half the round trip, after the first eighth of the trips.
pub fn ping_pong<L: Link, const SIZE: usize>(
    side: Side,
    link: &mut L,
    clock: &Clock,
    trips: u64,
) -> Result<Option<Figures>> {
    let mut checker = Checker::<SIZE, _>::new(|_, _| ());
    let mut answer = |link: &mut L| -> Result<()> {
        while link.take(1, &mut checker)? == 0 {}
        checker.verdict()
    };
    let send = |link: &mut L, number: u64| -> Result<()> {
        link.send(SIZE, Stamped::<SIZE> { number, stamp: 0 })?;
        link.flush()
    };
    match side {
        Side::Far => {
            for number in 0..trips {
                answer(link)?;
                send(link, number)?;
            }
            Ok(None)
        }
        Side::Near => {
            let mut trip_ns = histogram();
            let mut last = clock.now();
            for number in 0..trips {
                send(link, number)?;
                answer(link)?;
                let now = clock.now();
                if number >= trips / 8 {
                    trip_ns.saturating_record(clock.ns(last, now));
                }
                last = now;
            }
            let mut figures = percentiles(2 * trips, &trip_ns, 2.0);
            figures.rate_per_s = Some(1e9 / trip_ns.mean());
            Ok(Some(figures))
        }
    }
}

/// Messages due at fixed times; latency is receipt minus due time, so that what waits for a slow sender counts.
pub fn open_loop<L: Link, const SIZE: usize>(
    side: Side,
    link: &mut L,
    clock: &Clock,
    messages: u64,
    per_second: f64,
) -> Result<Option<Figures>> {
    if side == Side::Near {
        let period = clock.ticks(1e9 / per_second);
        let start = clock.now() + clock.ticks(1e6) as u64;
        for number in 0..messages {
            let due = start + (number as f64 * period) as u64;
            while clock.now() < due {}
            link.send(SIZE, Stamped::<SIZE> { number, stamp: due })?;
            link.flush()?;
        }
        return Ok(None);
    }
    arrivals::<L, SIZE>(link, clock, messages, LIMIT).map(|(figures, _)| Some(figures))
}

/// Takes messages that carry the time at which they were due, `most` at a time; how late they came, after the first
/// eighth, and in how many takes.
pub fn arrivals<L: Link, const SIZE: usize>(
    link: &mut L,
    clock: &Clock,
    messages: u64,
    most: usize,
) -> Result<(Figures, u64)> {
    let mut latency_ns = histogram();
    let skip = messages / 8;
    let mut ends = (0, 0);
    let mut checker = Checker::<SIZE, _>::new(|number, due| {
        let now = clock.now();
        if number == skip {
            ends.0 = now;
        }
        ends.1 = now;
        if number >= skip {
            latency_ns.saturating_record(clock.ns(due, now).max(1));
        }
    });
    let mut takes = 0_u64;
    while checker.seen() < messages {
        link.take(most, &mut checker)?;
        takes += 1;
        checker.verdict()?;
    }
    let mut figures = percentiles(messages, &latency_ns, 1.0);
    figures.rate_per_s = Some((messages - skip) as f64 / (clock.ns(ends.0, ends.1) as f64 / 1e9));
    Ok((figures, takes))
}
