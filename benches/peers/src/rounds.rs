//! A row's samples in order: A B A B …, a sample in which the machine changed repeated, all of them kept.

use crate::catalogue::Who;
use crate::pair::{Clock, Plan};
use crate::rows::{Row, run};
use crate::store::{RowResult, Sample};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

/// A dropped sample is repeated so often.
const REPEATS: usize = 2;
/// No sample takes nearly so long: who does not end by then hangs.
const LIMIT: Duration = Duration::from_secs(30);

pub struct Rounds<'a> {
    pub count: usize,
    /// Work of a sample is divided by this.
    pub fraction: u64,
    pub absent: &'a [Who],
    pub rooms: &'a Path,
    pub clock: &'a Clock,
}

impl Rounds<'_> {
    pub fn of(&self, row: &Row, mut tell: impl FnMut(&str)) -> RowResult {
        let plan =
            Plan { size: row.size, placing: row.placing, limit: LIMIT, rooms: self.rooms, clock: self.clock };
        let mut samples = Vec::new();
        let mut failed = BTreeMap::new();
        for round in 0..self.count {
            for who in &row.who {
                if self.absent.contains(who) || failed.contains_key(who) {
                    continue;
                }
                for _ in 0..=REPEATS {
                    match run(*who, row, &plan, self.fraction) {
                        Ok(measured) => {
                            let sample = Sample::new(*who, round, measured);
                            let dropped = sample.dropped;
                            tell(&format!("{} {}: {}", row.key, who.name(), short(&sample)));
                            samples.push(sample);
                            if !dropped {
                                break;
                            }
                        }
                        Err(error) => {
                            tell(&format!("{} {}: FAILED: {error:#}", row.key, who.name()));
                            failed.insert(*who, format!("{error:#}"));
                            break;
                        }
                    }
                }
            }
        }
        RowResult {
            key: row.key.clone(),
            title: row.title.clone(),
            table: row.table,
            work: row.work,
            samples,
            failed,
        }
    }
}

fn short(sample: &Sample) -> String {
    let figures = &sample.measured.figures;
    let mut text =
        format!("bounce {:.0}/{:.0} ns", sample.measured.bounce_before_ns, sample.measured.bounce_after_ns);
    if let Some(rate) = figures.rate_per_s {
        let _ = write!(text, ", {rate:.4e}/s");
    }
    if let (Some(p50), Some(p99)) = (figures.p50_ns, figures.p99_ns) {
        let _ = write!(text, ", p50 {p50:.0} ns, p99 {p99:.0} ns");
    }
    if sample.measured.disturbed > 0.01 {
        let _ = write!(text, ", disturbed {:.0} %", sample.measured.disturbed * 100.0);
    }
    if sample.dropped {
        text += ", dropped";
    }
    text
}
