//! Figures that other figures bound: no record contradicts itself here, but two of them together do.
//!
//! Times against the wall clock, CPU time against the time that has passed, latencies of rounds against the histograms, late and
//! second answers against failures and the ledger. Bounds are wide: a clock may be set, and a kernel rounds. They are there
//! to part a run from what cannot have been one.

mod sweeps;

use jiff::Timestamp;
use std::collections::HashMap;

use super::READ_NS;
use super::histogram::Extent;
use super::ledger::Losses;
use super::plan::{utc, workers};
use crate::runlog::event::{
    AgentId, AgentInfo, AgentSample, Clock, End, Header, HostSample, LatencyInterval, LatencyTag, Ledger,
    LoadModel, Phase, PlanFacts, Role, Round, Sample, WorkloadLatency,
};

const SECOND_NS: u64 = 1_000_000_000;
/// `/proc` counts the start of a process in these, on every machine.
const TICK_NS: u64 = 10_000_000;
/// By how much the wall clock may be set during a run, beside a hundredth of its length.
const CLOCK_SET_NS: u64 = 60 * SECOND_NS;
/// Two readings of the clock are further apart than this.
const CLOCKS_APART_NS: u64 = 55 * SECOND_NS;
/// What is seen and the moment it is dated with may be as far apart.
const SEEN_NS: u64 = SECOND_NS;
/// Nothing that is not in the log takes longer at its end.
const END_NS: u64 = 600 * SECOND_NS;
/// Sweeps that take so long together use CPU time: the kernel counts that of a thread by the nanosecond.
const SWEPT_NS: u64 = 10_000_000;
/// Switches of a processor between processes in this time take longer.
const SWITCHES_A_US: u64 = 20;
/// 57 bits of them are the most that a process can have.
const ADDRESSES_KIB: u64 = 1 << 47;
/// No process is started earlier after the start of its host, in ticks.
const BOOT_TICKS: u64 = 10;

/// What rounds and histograms of one phase say about the time that tasks took.
#[derive(Debug, Default)]
struct Times {
    p50_least: Option<u64>,
    task_most: Option<u64>,
    round_most: Option<u64>,
    histograms: [Option<Extent>; 3],
}

/// The last that a sweep saw of an agent.
#[derive(Debug, Clone, Copy)]
struct Row {
    incarnation: u32,
    cpu_us: u64,
    started_ns: u64,
}

/// Of one segment.
#[derive(Debug, Default)]
pub(super) struct Bounds {
    /// Logs of version 1 say less, and some of it in other words.
    old: bool,
    started: Option<Timestamp>,
    processors: u64,
    memory_kib: u64,
    /// Bytes and inodes of /dev/shm; absent if they are not known, or if the run had a file system of its own.
    shm: Option<(u64, u64)>,
    clock_ns: Option<u64>,
    supervisor_ticks: Option<u64>,
    /// By how much the harness is older than the fleet.
    older_ns: u64,
    rows: HashMap<AgentId, Row>,
    /// The newest exit of each agent: incarnation, and when it was seen.
    exits: HashMap<AgentId, (u32, u64)>,
    harness_rss_kib: u64,
    /// CPU time of the harness in the first sweep and in the last, and when that was over.
    harness_cpu: Option<(u64, u64, u64)>,
    /// When the newest sweep was over, and what it said of the host.
    last: Option<(u64, HostSample)>,
    /// Sweeps, and those that saw something of the fleet in shared memory.
    sweeps: u64,
    in_memory: u64,
    /// How long all sweeps took together, and the CPU time that they used.
    swept_ns: (u64, u64),
    late: u64,
    duplicates: u64,
    failed: u64,
    /// A process of the fleet was lost, and its tasks were done again.
    replaced: bool,
    /// A coordinator or the supervisor was lost, and perhaps counts with it.
    lost_counts: bool,
    warm_up: Times,
    load: Times,
    /// Where the newest interval began and ended: all histograms of a moment are of the same one.
    interval: (u64, u64),
    /// Of all rounds: the least that their answers have cost, when the first was begun, and when the last was over.
    work_ns: u128,
    begun_ns: Option<u64>,
    over_ns: u64,
    load_due_ns: Option<u64>,
    /// When the log says that the load began.
    load_begun_ns: Option<u64>,
    drain_ns: Option<u64>,
}

impl Bounds {
    pub(super) fn of_segment(header: &Header) -> Self {
        Self {
            old: header.format.major == 1,
            started: utc(&header.started_utc).ok(),
            processors: header.host.cpus.into(),
            memory_kib: header.host.memory_bytes / 1024,
            shm: header.plan.private_shm.is_none().then_some((header.host.shm_bytes, header.host.shm_inodes)),
            ..Self::default()
        }
    }

    pub(super) fn phase(&mut self, phase: Phase, t_ns: u64) {
        match phase {
            Phase::Load => self.load_begun_ns = Some(t_ns),
            Phase::Drain => self.drain_ns = Some(t_ns),
            Phase::Launch | Phase::WarmUp | Phase::Verify => {}
        }
    }

    pub(super) fn clock(&mut self, clock: &Clock, t_ns: u64) -> Result<(), String> {
        let last_ns = self.clock_ns.replace(t_ns);
        if last_ns.is_some_and(|last_ns| t_ns - last_ns < CLOCKS_APART_NS) {
            return Err("the clock was read twice within a minute".into());
        }
        self.utc(&clock.utc, t_ns)
    }

    /// The wall clock says that as much time has passed as the run's own.
    fn utc(&self, text: &str, t_ns: u64) -> Result<(), String> {
        let at = utc(text)?;
        let Some(started) = self.started else { return Ok(()) };
        let passed_ns = at.as_nanosecond() - started.as_nanosecond();
        let apart = (passed_ns - i128::from(t_ns)).unsigned_abs();
        if apart > u128::from(CLOCK_SET_NS + t_ns / 100) {
            return Err(format!(
                "it is {text} after {} s of a run that began at {started}",
                t_ns / SECOND_NS
            ));
        }
        Ok(())
    }

    pub(super) fn introduced(&mut self, agents: &[AgentInfo], t_ns: u64) -> Result<(), String> {
        if let Some(supervisor) = agents.iter().find(|agent| agent.role == Role::Supervisor) {
            self.supervisor_ticks.get_or_insert(supervisor.start_ticks);
        }
        if let (Some(supervisor), Some(harness)) =
            (self.supervisor_ticks, agents.iter().find(|agent| agent.role == Role::Harness))
        {
            self.older_ns = supervisor.saturating_sub(harness.start_ticks).saturating_mul(TICK_NS);
        }
        for agent in agents {
            let is_harness = agent.role == Role::Harness;
            self.started(&agent.name, agent.start_ticks, (is_harness, t_ns))?;
        }
        Ok(())
    }

    pub(super) fn replaced(&mut self, name: &str, start_ticks: u64, seen_ns: u64) -> Result<(), String> {
        self.replaced = true;
        self.lost_counts |= !is_worker(name);
        self.started(name, start_ticks, (false, seen_ns))
    }

    /// A process of the fleet is no older than its first supervisor, which the run has started; the harness is no younger.
    fn started(&self, name: &str, ticks: u64, (is_harness, by_ns): (bool, u64)) -> Result<(), String> {
        if self.old {
            return Ok(());
        }
        let at_s = self.started.map_or(u64::MAX, |at| u64::try_from(at.as_second()).unwrap_or(0));
        let uptime_max = at_s.saturating_mul(SECOND_NS / TICK_NS).saturating_add(by_ns / TICK_NS);
        let supervisor = self.supervisor_ticks.unwrap_or(ticks);
        let latest = supervisor.saturating_add(by_ns.saturating_add(SEEN_NS) / TICK_NS);
        let fits = if is_harness { ticks <= supervisor } else { (supervisor..=latest).contains(&ticks) };
        if !fits || !(BOOT_TICKS..=uptime_max).contains(&ticks) {
            return Err(format!(
                "{name} began at tick {ticks} of its host, which no process of this run can"
            ));
        }
        Ok(())
    }

    pub(super) fn exit(
        &mut self,
        (agent, name): (AgentId, &str),
        (incarnation, expected): (u32, bool),
        seen_ns: u64,
    ) -> Result<(), String> {
        self.replaced |= !expected;
        self.lost_counts |= !expected && !is_worker(name);
        self.exits.insert(agent, (incarnation, seen_ns));
        let shown = self.rows.get(&agent).filter(|row| row.incarnation == incarnation);
        match shown {
            Some(row) if row.started_ns > seen_ns.saturating_add(SEEN_NS) && !self.old => {
                Err(format!("{name} had ended, and a later sweep shows it"))
            }
            _ => Ok(()),
        }
    }

    /// No task takes less than `least_ns`.
    pub(super) fn round(&mut self, r: &Round, least_ns: Option<u64>) -> Result<(), String> {
        self.late += u64::from(r.late);
        self.duplicates += u64::from(r.duplicates);
        self.failed += u64::from(r.failed);
        self.work_ns += u128::from(r.answered) * u128::from(least_ns.unwrap_or(0));
        self.begun_ns = least(self.begun_ns, Some(r.started_ns));
        self.over_ns = self.over_ns.max(r.finished_ns);
        let is_load = r.phase == Phase::Load;
        if is_load {
            self.load_due_ns = Some(self.load_due_ns.map_or(r.scheduled_ns, |ns| ns.min(r.scheduled_ns)));
        }
        let times = if is_load { &mut self.load } else { &mut self.warm_up };
        times.p50_least = least(times.p50_least, r.task_p50_ns);
        times.task_most = times.task_most.max(r.task_max_ns);
        times.round_most = times.round_most.max(Some(r.finished_ns.saturating_sub(r.scheduled_ns)));
        match (r.task_p50_ns, least_ns) {
            (Some(p50), Some(least)) if p50.saturating_add(READ_NS) < least => {
                Err(format!("round {}: tasks took {p50} ns, and need {least} ns", r.round))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn latency(&mut self, interval: &LatencyInterval, extent: Extent) -> Result<(), String> {
        let own = (interval.start_ns, interval.start_ns.saturating_add(interval.length_ns));
        let last = std::mem::replace(&mut self.interval, own);
        if interval.length_ns == 0 || own != last && own.0 < last.1 {
            return Err(format!(
                "an interval of {:?} without length, or within the one before",
                interval.tag
            ));
        }
        let times = if interval.phase == Phase::Load { &mut self.load } else { &mut self.warm_up };
        let all = &mut times.histograms[interval.tag as usize];
        *all = Some(all.map_or(extent, |all| all.with(extent)));
        Ok(())
    }

    /// The tasks of a workload are among those of all, in the same interval.
    pub(super) fn workload_latency(&self, interval: &WorkloadLatency) -> Result<(), String> {
        if (interval.start_ns, interval.start_ns.saturating_add(interval.length_ns)) == self.interval {
            return Ok(());
        }
        Err(format!("latencies of workload {} over another interval than all have", interval.workload))
    }

    pub(super) fn sample(&mut self, sample: &Sample) -> Result<(), String> {
        let (sweep, host) = (sample.sweep, &sample.host);
        self.sweeps += 1;
        let (took_ns, cpu_ns) = self.swept_ns;
        self.swept_ns = (took_ns.saturating_add(sample.took_ns), cpu_ns.saturating_add(sample.cpu_ns));
        self.in_memory += u64::from(host.fleet_shm_bytes > 0 && host.fleet_shm_files > 0);
        if self.memory_kib > 0 && host.mem_available_kib > self.memory_kib {
            return Err(format!("sweep {sweep}: more memory is available than the host has"));
        }
        if host.steal_ticks.zip(host.cpu_ticks).is_some_and(|(stolen, all)| stolen > all) {
            return Err(format!("sweep {sweep}: more processor time was stolen than there was"));
        }
        self.memory(host).map_err(|what| format!("sweep {sweep}: {what}"))?;
        self.after_the_last(sample)?;
        for row in &sample.agents {
            self.row(row, sample).map_err(|what| format!("sweep {sweep}: agent {} {what}", row.agent))?;
        }
        Ok(())
    }

    fn row(&mut self, row: &AgentSample, sample: &Sample) -> Result<(), &'static str> {
        let until_ns = sample.started_ns.saturating_add(sample.took_ns);
        let (incarnation, started_ns) = (row.incarnation, sample.started_ns);
        if row.agent == 0 {
            self.harness_rss_kib = self.harness_rss_kib.max(row.rss_kib);
            let first_us = self.harness_cpu.map_or(row.cpu_us, |(first_us, ..)| first_us);
            self.harness_cpu = Some((first_us, row.cpu_us, until_ns));
        }
        if self.old {
            return Ok(());
        }
        if self.memory_kib > 0 && row.rss_kib > self.memory_kib {
            return Err("has more memory than the host");
        }
        if row.vsz_kib > ADDRESSES_KIB {
            return Err("has more addresses than any processor knows");
        }
        let ended = self.exits.get(&row.agent).filter(|(ended, _)| *ended == incarnation);
        if ended.is_some_and(|(_, seen_ns)| started_ns > seen_ns.saturating_add(SEEN_NS)) {
            return Err("had ended");
        }
        let last = self.rows.insert(row.agent, Row { incarnation, cpu_us: row.cpu_us, started_ns });
        // The harness may be older than the run.
        let age_ns = if row.agent == 0 { until_ns.saturating_add(self.older_ns) } else { until_ns };
        let used_us = match last.filter(|last| last.incarnation == incarnation) {
            Some(last) => {
                let since_ns = until_ns.saturating_sub(last.started_ns);
                (row.cpu_us.saturating_sub(last.cpu_us), since_ns)
            }
            None => (row.cpu_us, age_ns),
        };
        let more = |(us, ns): (u64, u64)| us > self.cpu_most_us(ns);
        let by_commands = row.commands.is_some_and(|commands| more((commands.cpu_us, until_ns)));
        if more(used_us) || by_commands {
            return Err("has used more CPU time than has passed");
        }
        let switches_most = self.cpu_most_us(age_ns).saturating_mul(SWITCHES_A_US);
        if row.voluntary_switches.max(row.involuntary_switches) > switches_most {
            return Err("was switched more often than there was time for");
        }
        Ok(())
    }

    /// What all processors have to give in that time, with what may be rounded.
    fn cpu_most_us(&self, ns: u64) -> u64 {
        // A quota of one and a half processors is shown as one.
        let all_us = (ns / 1_000).saturating_mul(self.processors.saturating_add(1));
        all_us.saturating_add(all_us / 10).saturating_add(SECOND_NS / 1_000)
    }

    pub(super) fn losses(&self) -> Losses {
        Losses { processes: self.replaced, counts: self.lost_counts }
    }

    pub(super) fn ledger(&self, ledger: &Ledger) -> Result<(), String> {
        let retried = ledger.pool.map_or(0, |pool| pool.retried);
        if self.late > self.failed.saturating_add(retried) && !self.old && !self.replaced {
            return Err(format!(
                "{} late answers, and {} tasks failed or were tried again",
                self.late,
                self.failed.saturating_add(retried)
            ));
        }
        if self.duplicates > ledger.client.duplicates && !ledger.coordinators.is_empty() {
            return Err(format!(
                "the rounds have {} second answers, and the ledger {}",
                self.duplicates, ledger.client.duplicates
            ));
        }
        Ok(())
    }

    pub(super) fn end(&self, end: &End, (t_ns, last_ns): (u64, u64)) -> Result<(), String> {
        if let Some(text) = &end.ended_utc {
            self.utc(text, t_ns)?;
        }
        if t_ns - last_ns > END_NS {
            return Err(format!("the run ended {} s after all else was over", (t_ns - last_ns) / SECOND_NS));
        }
        if end.harness_cpu_ns / 1_000 > self.cpu_most_us(t_ns) {
            return Err("the harness has used more CPU time than has passed".into());
        }
        self.harness_used(end.harness_cpu_ns / 1_000, t_ns)?;
        if self.memory_kib > 0 && end.harness_rss_max_kib > self.memory_kib {
            return Err("the harness had more memory than the host".into());
        }
        // The kernel adds up the memory in use in strides.
        if end.harness_rss_max_kib < self.harness_rss_kib - self.harness_rss_kib / 4 {
            return Err("the harness had more memory than the most it had".into());
        }
        Ok(())
    }

    /// At the end of a run that was carried out in one segment. `excused`: the log says that something could not be read.
    pub(super) fn complete(&self, header: &Header, excused: bool) -> Result<(), String> {
        let plan = &header.plan;
        if plan.shm_bytes > 0 && self.sweeps > 0 && self.in_memory == 0 && !excused && !self.old {
            return Err("no sweep saw anything of the fleet in shared memory".into());
        }
        if self.in_memory > 0 && self.in_memory < self.sweeps && !excused && !self.old {
            return Err("a sweep saw nothing of the fleet in shared memory, and others did".into());
        }
        if matches!(self.swept_ns, (SWEPT_NS.., 0)) && !self.old {
            return Err("no sweep used any CPU time".into());
        }
        self.in_time(plan.task_timeout_ns)?;
        if let (LoadModel::Open, Some(due_ns), Some(drain_ns)) = (plan.load, self.load_due_ns, self.drain_ns)
            && drain_ns < due_ns.saturating_add(plan.duration_ns - plan.duration_ns / 100)
        {
            return Err("the load was over before its time".into());
        }
        self.within_time(workers(plan))?;
        self.warm_up.agree().and(self.load.agree())
    }

    /// When the first round of an open loop's load was due, which is when the load began.
    pub(super) fn load_due_ns(&self) -> Option<u64> {
        self.load_due_ns
    }

    /// When a load that went on for its whole time was over, at the earliest. That of a closed loop is counted from where it
    /// was recorded, and its first round may be due later than that by as long as the machine was busy with others.
    pub(super) fn load_over_ns(&self, plan: &PlanFacts) -> Option<u64> {
        let from_ns = self.load_due_ns.filter(|_| !self.old)?;
        let from_ns = self.load_begun_ns.map_or(from_ns, |begun_ns| from_ns.min(begun_ns));
        Some(from_ns.saturating_add(plan.duration_ns))
    }

    /// A task without an answer within its time-out has failed: not every answer came later than that.
    fn in_time(&self, timeout_ns: u64) -> Result<(), String> {
        let of = |tag: LatencyTag| self.load.histograms[tag as usize];
        match of(LatencyTag::TaskFromSend).or(of(LatencyTag::Task)) {
            Some(extent) if extent.least > timeout_ns && !self.old => Err(format!(
                "tasks fail without an answer within {timeout_ns} ns, and each answer took {} ns or more",
                extent.least
            )),
            _ => Ok(()),
        }
    }

    /// A worker does one task at a time: all of them together have no more time than has passed for each.
    fn within_time(&self, workers: u64) -> Result<(), String> {
        let passed_ns = self.over_ns.saturating_sub(self.begun_ns.unwrap_or(0)).saturating_add(READ_NS);
        if self.work_ns > u128::from(passed_ns) * u128::from(workers) {
            return Err(format!(
                "{workers} workers have done tasks of {} s in {} s, and each does one at a time",
                self.work_ns / u128::from(SECOND_NS),
                passed_ns / SECOND_NS
            ));
        }
        Ok(())
    }
}

impl Times {
    fn agree(&self) -> Result<(), String> {
        let of = |tag: LatencyTag| self.histograms[tag as usize];
        let beyond = |what: Option<u64>, extent: Option<Extent>, within: fn(u64, Extent) -> bool| {
            what.zip(extent).is_some_and(|(ns, extent)| !within(ns, extent))
        };
        if beyond(self.p50_least, of(LatencyTag::Task), |ns, extent| ns >= extent.least)
            || beyond(self.task_most, of(LatencyTag::Task), |ns, extent| ns <= extent.most)
            || beyond(self.round_most, of(LatencyTag::Coordination), |ns, extent| ns <= extent.most)
        {
            return Err("rounds took another time than the histograms of the run have".into());
        }
        let send = of(LatencyTag::TaskFromSend).map(|extent| extent.most_from);
        if beyond(send, of(LatencyTag::Task), |ns, extent| ns <= extent.most) {
            return Err("a task took longer from its sending than from when it was due".into());
        }
        Ok(())
    }
}

fn is_worker(name: &str) -> bool {
    name.starts_with("worker/")
}

fn least(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_have_no_more_time_than_passes_for_each() {
        let worked = |work_s: u64| {
            let work_ns = u128::from(work_s * SECOND_NS);
            Bounds { work_ns, begun_ns: Some(5 * SECOND_NS), over_ns: 15 * SECOND_NS, ..Bounds::default() }
        };
        assert_eq!(worked(20).within_time(2), Ok(()));
        let found = worked(21).within_time(2).unwrap_err();
        assert!(found.starts_with("2 workers have done tasks of 21 s in 10 s"), "{found}");
        assert_eq!(Bounds::default().within_time(2), Ok(()), "a run without rounds");
    }
}
