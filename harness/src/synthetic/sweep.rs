//! What a sweep shows of a fleet that does well.

use super::host::CPUS;
use super::{LAUNCHED_NS, MS_NS, SECOND_NS};
use reports::runlog::event::{AgentInfo, AgentSample, HostSample, PlanFacts, Role, Sample};

/// In a second, of each processor.
const TICKS: u64 = 100;

pub(super) fn of(number: u64, due_ns: u64, plan: &PlanFacts, agents: &[AgentInfo]) -> Sample {
    let pss_every = (plan.pss_every_ns / plan.sample_every_ns.max(1)).max(1);
    let has_pss = plan.pss_every_ns > 0 && number.is_multiple_of(pss_every);
    let passed_us = due_ns.saturating_sub(LAUNCHED_NS) / 1_000;
    let mut rows = vec![harness(passed_us)];
    rows.extend(agents.iter().map(|agent| row(agent, number, passed_us, has_pss)));
    let ticks = due_ns / (SECOND_NS / TICKS) * u64::from(CPUS);
    Sample {
        sweep: number,
        due_ns,
        started_ns: due_ns + MS_NS,
        took_ns: 2 * MS_NS,
        cpu_ns: MS_NS,
        live: plan.processes,
        agents: rows,
        host: HostSample {
            load1: 0.5,
            load5: 0.4,
            load15: 0.3,
            mem_available_kib: 32 << 20,
            shm_used_bytes: 9 << 20,
            shm_used_inodes: 12,
            fleet_shm_bytes: 8 << 20,
            fleet_shm_files: 4,
            cpu_ticks: Some(1_000_000 + ticks),
            steal_ticks: Some(5_000),
            idle_ticks: Some(700_000 + ticks / 4 * 3),
        },
    }
}

fn row(agent: &AgentInfo, number: u64, passed_us: u64, has_pss: bool) -> AgentSample {
    let base_kib = match agent.role {
        Role::Worker => 2_000,
        Role::Harness | Role::Supervisor | Role::Coordinator => 4_000,
    };
    // Level, and yet not the same figure in every sweep.
    let pss_kib = base_kib + (number * 5 + u64::from(agent.id)) % 3 * 4;
    AgentSample {
        agent: agent.id,
        incarnation: agent.incarnation,
        rss_kib: pss_kib + 1_500,
        anon_kib: pss_kib / 2,
        vsz_kib: 2 << 20,
        fds: 12,
        threads: 1,
        cpu_us: passed_us / 10_000 + 1,
        voluntary_switches: passed_us / 100_000 + 1,
        involuntary_switches: passed_us / 10_000_000 + 1,
        pss_kib: has_pss.then_some(pss_kib),
        state: None,
        commands: None,
    }
}

fn harness(passed_us: u64) -> AgentSample {
    AgentSample {
        agent: 0,
        incarnation: 1,
        rss_kib: 16_000,
        anon_kib: 6_000,
        vsz_kib: 200_000,
        fds: 20,
        threads: 4,
        cpu_us: passed_us / 1_000 + 1,
        voluntary_switches: passed_us / 100_000 + 1,
        involuntary_switches: passed_us / 10_000_000 + 1,
        pss_kib: None,
        state: None,
        commands: None,
    }
}

/// Makes each figure of a process's memory, in KiB, another one: in whole pages, as the kernel counts.
pub fn memory(row: &mut AgentSample, other: impl Fn(f64) -> f64) {
    let of = |kib: u64| (other(kib as f64) / 4.0).round() as u64 * 4;
    (row.rss_kib, row.anon_kib) = (of(row.rss_kib), of(row.anon_kib));
    row.pss_kib = row.pss_kib.map(of);
}
