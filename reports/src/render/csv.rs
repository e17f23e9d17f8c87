//! `samples.csv`, `rounds.csv` and `workers.csv`: for spreadsheets. Units are the last word of a column's name; times
//! are given in UTC for people and in seconds since the start for sums. The first two are written row by row.

use std::io::{self, Write};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::Table;
use crate::facts::{Facts, Slow, median_ns};
use crate::runlog::event::{AgentSample, Event, Header, PlanFacts, Record, Role, Round, Sample};
use crate::verdict::Variant;

/// The run's own clock in UTC. If the header's start cannot be read, the column stays empty.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    start: Option<Timestamp>,
}

impl Clock {
    pub(super) fn new(header: &Header) -> Self {
        Self { start: header.started_utc.parse().ok() }
    }

    pub(super) fn start(&self) -> Option<Timestamp> {
        self.start
    }

    fn utc(self, t_ns: u64) -> String {
        let at = self.start.and_then(|s| {
            s.checked_add(SignedDuration::from_nanos(i64::try_from(t_ns).unwrap_or(i64::MAX))).ok()
        });
        // Milliseconds: what spreadsheets read.
        at.map_or_else(String::new, |t| t.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string())
    }
}

fn seconds(ns: u64) -> String {
    format!("{}.{:06}", ns / 1_000_000_000, ns / 1_000 % 1_000_000)
}

fn optional_seconds(ns: Option<u64>) -> String {
    ns.map_or_else(String::new, seconds)
}

fn role(role: Option<Role>) -> &'static str {
    match role {
        Some(Role::Harness) => "harness",
        Some(Role::Supervisor) => "supervisor",
        Some(Role::Coordinator) => "coordinator",
        Some(Role::Worker) => "worker",
        None => "",
    }
}

/// What the run changed of its scenario: in every row, so that a file taken out of its directory still says so.
#[derive(Debug)]
struct Variation([String; 3]);

impl Variation {
    const COLUMNS: [&str; 3] = ["rehearsal_factor", "profile", "overrides"];

    fn of(header: &Header) -> Self {
        // By what it is judged changes nothing of the records, and how many workers there were can be counted in them.
        let Variant { profile, overrides, rehearsal, judged_by: _, smaller: _ } = Variant::of(header);
        Self([
            rehearsal.map_or_else(String::new, |factor| factor.to_string()),
            profile.unwrap_or_default(),
            overrides.join(" "),
        ])
    }
}

/// `workers.csv`: a row for each worker that has answered tasks of the load, the slowest on average first. Nothing where the log
/// does not say who answered.
pub fn workers(facts: &Facts) -> Option<String> {
    let mut out = csv::Writer::from_writer(Vec::new());
    let variation = Variation::of(&facts.header);
    let names = ["worker", "answered", "mean_s", "max_s", "mean_of_median"];
    let all = facts.workers.slowest_first();
    if all.is_empty() {
        return None;
    }
    let median_ns = median_ns(&all).filter(|ns| *ns > 0.0);
    let row = |slow: &Slow| {
        [
            slow.name.clone(),
            slow.answered.to_string(),
            seconds(slow.mean_ns.round() as u64),
            seconds(slow.max_ns),
            median_ns.map_or_else(String::new, |median_ns| format!("{:.3}", slow.mean_ns / median_ns)),
        ]
    };
    let rows = all.iter().map(row).map(|row| row.into_iter().chain(variation.0.clone()).collect());
    let head = names.into_iter().chain(Variation::COLUMNS).map(str::to_owned).collect();
    for fields in std::iter::once(head).chain(rows) {
        let fields: Vec<String> = fields;
        out.write_record(&fields).expect("memory takes what it is given");
    }
    let bytes = out.into_inner().expect("memory takes what it is given");
    Some(String::from_utf8(bytes).expect("names and figures are text"))
}

/// What a spreadsheet loads, beside the names of the columns.
const ROWS_MAX: u64 = (1 << 20) - 1;

/// Which sweeps `samples.csv` shows: each n-th, those that are `wished` apart or a little more. Without a wish these are all, or as
/// many as a spreadsheet loads if that is fewer; then sweeps that read PSS are among them.
pub fn sweep_step(plan: &PlanFacts, wished: Option<Duration>) -> u64 {
    let every_ns = plan.sample_every_ns.max(1);
    if let Some(wished) = wished {
        return u64::try_from(wished.as_nanos().div_ceil(u128::from(every_ns))).unwrap_or(u64::MAX).max(1);
    }
    // With a tenth for a launch and a drain that take their time.
    let load_ns = plan.warm_up_ns.saturating_add(plan.duration_ns);
    let sweeps = load_ns.saturating_add(load_ns / 10).saturating_add(plan.task_timeout_ns) / every_ns + 1;
    // The harness has a row as well.
    least_step(sweeps, u64::from(plan.processes) + 1, (plan.pss_every_ns / every_ns).max(1))
}

/// That leaves no more than [`ROWS_MAX`] rows of so many sweeps, in step with each `pss`-th of them.
fn least_step(sweeps: u64, rows_of_each: u64, pss: u64) -> u64 {
    let least = sweeps.div_ceil((ROWS_MAX / rows_of_each).max(1)).max(1);
    if least > pss {
        return least.next_multiple_of(pss);
    }
    (least..=pss).find(|step| pss.is_multiple_of(*step)).unwrap_or(pss)
}

/// A row an agent and sweep, of each n-th sweep.
#[derive(Debug)]
pub struct Samples<W: Write> {
    step: u64,
    out: csv::Writer<W>,
    clock: Clock,
    variation: Variation,
}

impl<W: Write> Samples<W> {
    pub fn new(out: W, header: &Header, every: Option<Duration>) -> io::Result<Self> {
        let mut out = csv::Writer::from_writer(out);
        out.write_record([
            "time_utc",
            "since_start_s",
            "sweep",
            "agent",
            "name",
            "role",
            "rss_kib",
            "rss_anon_kib",
            "pss_kib",
            "vsz_kib",
            "fds",
            "threads",
            "cpu_total_us",
            "voluntary_switches",
            "involuntary_switches",
            "agents_live",
            "load1",
            "load5",
            "load15",
            "mem_available_kib",
            "shm_used_bytes",
            "shm_used_inodes",
            "fleet_shm_bytes",
            "fleet_shm_files",
            "commands",
            "commands_rss_kib",
            "commands_pss_kib",
            "commands_cpu_total_us",
            Variation::COLUMNS[0],
            Variation::COLUMNS[1],
            Variation::COLUMNS[2],
        ])?;
        let step = sweep_step(&header.plan, every);
        Ok(Self { step, out, clock: Clock::new(header), variation: Variation::of(header) })
    }

    fn write(&mut self, facts: &Facts, sample: &Sample) -> io::Result<()> {
        let h = &sample.host;
        let time = self.clock.utc(sample.started_ns);
        let since = seconds(sample.started_ns);
        let sweep = sample.sweep.to_string();
        let host = [
            sample.live.to_string(),
            h.load1.to_string(),
            h.load5.to_string(),
            h.load15.to_string(),
            h.mem_available_kib.to_string(),
            h.shm_used_bytes.to_string(),
            h.shm_used_inodes.to_string(),
            h.fleet_shm_bytes.to_string(),
            h.fleet_shm_files.to_string(),
        ];
        for a in &sample.agents {
            let own = [
                a.agent.to_string(),
                facts.agent_name(a.agent),
                role(facts.role_of(a.agent)).to_owned(),
                a.rss_kib.to_string(),
                a.anon_kib.to_string(),
                a.pss_kib.map_or_else(String::new, |p| p.to_string()),
                a.vsz_kib.to_string(),
                a.fds.to_string(),
                a.threads.to_string(),
                a.cpu_us.to_string(),
                a.voluntary_switches.to_string(),
                a.involuntary_switches.to_string(),
            ];
            let commands = commands(a);
            for field in [&time, &since, &sweep].into_iter().chain(&own).chain(&host).chain(&commands) {
                self.out.write_field(field)?;
            }
            for field in &self.variation.0 {
                self.out.write_field(field)?;
            }
            self.out.write_record(None::<&[u8]>)?;
        }
        Ok(())
    }
}

/// Empty for a process that runs none.
fn commands(agent: &AgentSample) -> [String; 4] {
    let text = |value: Option<u64>| value.map_or_else(String::new, |value| value.to_string());
    let commands = agent.commands;
    [
        text(commands.map(|c| u64::from(c.processes))),
        text(commands.map(|c| c.rss_kib)),
        text(commands.and_then(|c| c.pss_kib)),
        text(commands.map(|c| c.cpu_us)),
    ]
}

impl<W: Write> Table<W> for Samples<W> {
    fn push(&mut self, facts: &Facts, record: &Record) -> io::Result<()> {
        if let Event::Sample(sample) = &record.event
            && sample.sweep.is_multiple_of(self.step)
        {
            self.write(facts, sample)?;
        }
        Ok(())
    }

    fn into_inner(self: Box<Self>) -> io::Result<W> {
        self.out.into_inner().map_err(csv::IntoInnerError::into_error)
    }
}

/// Of each workload, in a row of a round.
const WORKLOAD_COLUMNS: [&str; 7] =
    ["tasks", "answered", "failed", "corrupt", "task_p50_s", "task_p99_s", "task_max_s"];

/// A row a round. For each workload that the scenario names, its figures follow in columns of their own.
#[derive(Debug)]
pub struct Rounds<W: Write> {
    out: csv::Writer<W>,
    clock: Clock,
    variation: Variation,
}

impl<W: Write> Rounds<W> {
    pub fn new(out: W, header: &Header) -> io::Result<Self> {
        let mut out = csv::Writer::from_writer(out);
        for column in [
            "scheduled_utc",
            "scheduled_since_start_s",
            "round",
            "phase",
            "lateness_s",
            "coordination_time_s",
            "tasks",
            "answered",
            "failed",
            "late",
            "duplicates",
            "corrupt",
            "task_p50_s",
            "task_p99_s",
            "task_max_s",
            Variation::COLUMNS[0],
            Variation::COLUMNS[1],
            Variation::COLUMNS[2],
        ] {
            out.write_field(column)?;
        }
        for workload in &header.plan.workloads {
            for column in WORKLOAD_COLUMNS {
                // `task_p50_s` of `compile`: `compile_task_p50_s`, so that the unit stays last.
                out.write_field(format!("{}_{column}", workload.name))?;
            }
        }
        out.write_record(None::<&[u8]>)?;
        Ok(Self { out, clock: Clock::new(header), variation: Variation::of(header) })
    }

    fn write(&mut self, r: &Round) -> io::Result<()> {
        let phase = if r.phase == crate::runlog::event::Phase::Load { "load" } else { "warm-up" };
        for field in [
            &self.clock.utc(r.scheduled_ns),
            &seconds(r.scheduled_ns),
            &r.round.to_string(),
            phase,
            &seconds(r.started_ns.saturating_sub(r.scheduled_ns)),
            &seconds(r.finished_ns.saturating_sub(r.scheduled_ns)),
            &r.tasks.to_string(),
            &r.answered.to_string(),
            &r.failed.to_string(),
            &r.late.to_string(),
            &r.duplicates.to_string(),
            &r.corrupt.to_string(),
            &optional_seconds(r.task_p50_ns),
            &optional_seconds(r.task_p99_ns),
            &optional_seconds(r.task_max_ns),
            &self.variation.0[0],
            &self.variation.0[1],
            &self.variation.0[2],
        ] {
            self.out.write_field(field)?;
        }
        for part in &r.workloads {
            for field in [
                part.tasks.to_string(),
                part.answered.to_string(),
                part.failed.to_string(),
                part.corrupt.to_string(),
                optional_seconds(part.task_p50_ns),
                optional_seconds(part.task_p99_ns),
                optional_seconds(part.task_max_ns),
            ] {
                self.out.write_field(field)?;
            }
        }
        self.out.write_record(None::<&[u8]>).map_err(Into::into)
    }
}

impl<W: Write> Table<W> for Rounds<W> {
    fn push(&mut self, facts: &Facts, record: &Record) -> io::Result<()> {
        if let Event::Round(round) = &record.event
            && !facts.is_past_checkpoint()
        {
            self.write(round)?;
        }
        Ok(())
    }

    fn into_inner(self: Box<Self>) -> io::Result<W> {
        self.out.into_inner().map_err(csv::IntoInnerError::into_error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_as_many_as_a_spreadsheet_loads_and_those_with_pss_are_among_them() {
        assert_eq!(least_step(ROWS_MAX / 711, 711, 12), 1);
        for (sweeps, rows) in
            [(2_949, 711), (17_281, 512), (518_401, 712), (10_000_000, 5_000), (3, 2_000_000)]
        {
            for pss in [1, 4, 12, 13, 60] {
                let step = least_step(sweeps, rows, pss);
                let what = format!("each {step}. of {sweeps} sweeps of {rows} rows, each {pss}. with PSS");
                assert!(pss.is_multiple_of(step) || step.is_multiple_of(pss), "{what}");
                let shown = sweeps.div_ceil(step);
                assert!(shown * rows <= ROWS_MAX || shown == 1, "{what}");
                // As many as can be, but for what PSS asks.
                assert!(step <= 2 * pss.max(sweeps.div_ceil((ROWS_MAX / rows).max(1))), "{what}");
            }
        }
    }
}
