//! `latency.hlog`: a HdrHistogram log, version 1.3, for other people's tools.
//!
//! Written as HdrHistogram's own `HistogramLogWriter` does: three decimals, seconds since the start,
//! the maximum in milliseconds, the histogram as the run log carries it. Not through the log writer of
//! `hdrhistogram`: that one takes the maximum from the histogram, which has three digits of it and not the
//! exact one of the run log, adds a line `#[MaxValueDivisor]`, has no date in `#[StartTime]` and no line of
//! column names, and would decode and pack again what the run log has packed already. Its reader takes ours. Tags are the names of
//! the run log, `warm-up-` before them for what no criterion counts; `task-NAME` is the workload of that name.

use std::io::{self, Write};

use super::Table;
use super::csv::Clock;
use crate::facts::Facts;
use crate::runlog::event::{Event, Header, LatencyInterval, LatencyTag, Phase, Record, WorkloadLatency};
use crate::verdict::Variant;

/// Nanoseconds to milliseconds: the ratio that readers of the format assume.
const MAX_VALUE_UNIT: f64 = 1_000_000.0;

#[derive(Debug)]
pub struct Log<W: Write> {
    out: W,
}

impl<W: Write> Log<W> {
    pub fn new(mut out: W, header: &Header) -> io::Result<Self> {
        writeln!(out, "#[Latency of run {}, in nanoseconds]", one_line(&header.run_id))?;
        for banner in Variant::of(header).banners() {
            writeln!(out, "#[{}]", one_line(&banner))?;
        }
        writeln!(out, "#[Histogram log format version 1.3]")?;
        if let Some(start) = Clock::new(header).start() {
            let seconds = start.as_millisecond() as f64 / 1e3;
            let date = start.strftime("%Y-%m-%dT%H:%M:%SZ");
            writeln!(out, "#[StartTime: {seconds:.3} (seconds since epoch), {date}]")?;
        }
        writeln!(
            out,
            "\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\""
        )?;
        Ok(Self { out })
    }

    fn write(&mut self, interval: &LatencyInterval) -> io::Result<()> {
        let tag = match interval.tag {
            LatencyTag::Coordination => "coordination",
            LatencyTag::Task => "task",
            LatencyTag::TaskFromSend => "task-from-send",
        };
        self.line(interval.phase, tag, interval)
    }

    fn write_workload(&mut self, of: &WorkloadLatency) -> io::Result<()> {
        let interval = LatencyInterval {
            tag: LatencyTag::Task,
            phase: of.phase,
            start_ns: of.start_ns,
            length_ns: of.length_ns,
            max_ns: of.max_ns,
            count: of.count,
            histogram: of.histogram.clone(),
        };
        // A comma would end the tag.
        let name = one_line(&of.workload).replace(',', "");
        self.line(of.phase, &format!("task-{name}"), &interval)
    }

    fn line(&mut self, phase: Phase, tag: &str, interval: &LatencyInterval) -> io::Result<()> {
        let phase = if phase == Phase::Load { "" } else { "warm-up-" };
        writeln!(
            self.out,
            "Tag={phase}{tag},{:.3},{:.3},{:.3},{}",
            interval.start_ns as f64 / 1e9,
            interval.length_ns as f64 / 1e9,
            interval.max_ns as f64 / MAX_VALUE_UNIT,
            one_line(&interval.histogram),
        )
    }
}

impl<W: Write> Table<W> for Log<W> {
    fn push(&mut self, facts: &Facts, record: &Record) -> io::Result<()> {
        if facts.is_past_checkpoint() {
            return Ok(());
        }
        if let Event::Latency(interval) = &record.event {
            self.write(interval)?;
        }
        if let Event::WorkloadLatency(interval) = &record.event {
            self.write_workload(interval)?;
        }
        Ok(())
    }

    fn into_inner(self: Box<Self>) -> io::Result<W> {
        Ok(self.out)
    }
}

fn one_line(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}
