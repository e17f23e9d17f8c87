//! What a long log takes on disk: `cargo run --release -p benches --bin log_size -- [PROCESSES] [SWEEPS]`.
//!
//! Writes the samples of a made-up fleet in memory and prints bytes a row, and what 30 days of a sweep every
//! five seconds would take. The figures behave as those of a fleet under a steady load: memory and
//! descriptors stand still and sometimes change, CPU time and switches grow by nearly the same each time, and
//! PSS is read in each twelfth sweep.
#![expect(clippy::print_stdout, reason = "a program for people")]

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use reports::runlog::Writer;
use reports::runlog::event::{AgentSample, Event, HostSample, Sample};

const SWEEPS_A_MONTH: u64 = 30 * 24 * 720;
const NS: u64 = 1_000_000_000;

struct Fleet {
    rng: ChaCha8Rng,
    agents: Vec<AgentSample>,
}

impl Fleet {
    fn new(processes: u32) -> Self {
        let agents = (0..=processes)
            .map(|agent| AgentSample {
                agent,
                incarnation: 1,
                rss_kib: 2_300 + u64::from(agent % 97),
                anon_kib: 310 + u64::from(agent % 13),
                vsz_kib: 18_200,
                fds: 6,
                threads: 1,
                cpu_us: u64::from(agent) * 17,
                voluntary_switches: u64::from(agent) * 3,
                involuntary_switches: 0,
                pss_kib: None,
                state: None,
                commands: None,
            })
            .collect();
        Self { rng: ChaCha8Rng::seed_from_u64(1), agents }
    }

    /// Five seconds later.
    fn sweep(&mut self, sweep: u64) -> Sample {
        for agent in &mut self.agents {
            let rng = &mut self.rng;
            // 10 tasks a second, each some 60 µs of CPU and two waits.
            agent.cpu_us += rng.random_range(2_700..3_300);
            agent.voluntary_switches += rng.random_range(98..104);
            agent.involuntary_switches += u64::from(rng.random_bool(0.4)) * rng.random_range(1..4);
            if rng.random_bool(0.02) {
                agent.rss_kib = agent.rss_kib.saturating_add_signed(4 * rng.random_range(-3..5));
                agent.anon_kib = agent.anon_kib.saturating_add_signed(4 * rng.random_range(-1..2));
            }
            if rng.random_bool(0.001) {
                agent.fds = if agent.fds == 6 { 7 } else { 6 };
            }
            agent.pss_kib = sweep.is_multiple_of(12).then(|| agent.anon_kib + 400 + rng.random_range(0..20));
        }
        let host = HostSample {
            load1: 1.52,
            load5: 1.31,
            load15: 0.77,
            mem_available_kib: 28_000_000 - sweep % 4_096,
            shm_used_bytes: 48 << 20,
            shm_used_inodes: 12,
            fleet_shm_bytes: 46 << 20,
            fleet_shm_files: 10,
            cpu_ticks: None,
            steal_ticks: None,
            idle_ticks: None,
        };
        Sample {
            sweep,
            due_ns: sweep * 5 * NS,
            started_ns: sweep * 5 * NS + 31_127,
            took_ns: 21_123_456,
            cpu_ns: 20_512_345,
            live: self.agents.len() as u32 - 1,
            agents: self.agents.clone(),
            host,
        }
    }
}

fn main() {
    let numbers: Vec<u64> = std::env::args().skip(1).map_while(|text| text.parse().ok()).collect();
    let processes = numbers.first().copied().unwrap_or(708);
    let sweeps = numbers.get(1).copied().unwrap_or(2_000);
    let mut fleet = Fleet::new(u32::try_from(processes).unwrap_or(u32::MAX));
    let mut writer = Writer::new(Vec::new());
    for sweep in 0..sweeps {
        let sample = Event::Sample(fleet.sweep(sweep));
        writer.append(sweep * 5 * NS, sample).expect("memory takes all bytes");
    }
    let bytes = writer.into_inner().len() as f64;
    let rows = (sweeps * (processes + 1)) as f64;
    let a_month = bytes / sweeps as f64 * SWEEPS_A_MONTH as f64;
    println!("{processes} processes and the harness, {sweeps} sweeps: {bytes} bytes");
    println!("{:.2} bytes a row", bytes / rows);
    println!(
        "30 days at a sweep every 5 s: {:.2} GB, {:.0} million rows",
        a_month / 1e9,
        rows / sweeps as f64 * SWEEPS_A_MONTH as f64 / 1e6
    );
}
