//! A made-up fleet under a steady load, for what long logs cost.
//!
//! Memory and descriptors stand still and sometimes change, CPU time and switches grow by nearly the same each time, and PSS
//! is read in each twelfth sweep.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use reports::runlog::event::AgentSample;

/// The processes of a fleet, and the harness as the first of them.
#[derive(Debug)]
pub struct SteadyFleet {
    rng: ChaCha8Rng,
    agents: Vec<AgentSample>,
}

/// In KiB.
const PAGE: u64 = 4;

impl SteadyFleet {
    /// Beside the harness, of so many processes.
    pub fn new(processes: u32) -> Self {
        let agents = (0..=processes)
            .map(|agent| AgentSample {
                agent,
                incarnation: 1,
                rss_kib: rss_kib(agent),
                anon_kib: anon_kib(agent),
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

    /// What a sweep shows of them, five seconds after the one before.
    pub fn sweep(&mut self, number: u64) -> &[AgentSample] {
        let rng = &mut self.rng;
        for agent in &mut self.agents {
            // 10 tasks a second, each some 60 µs of CPU and two waits.
            agent.cpu_us += rng.random_range(2_700..3_300);
            agent.voluntary_switches += rng.random_range(98..104);
            agent.involuntary_switches += u64::from(rng.random_bool(0.4)) * rng.random_range(1..4);
            if rng.random_bool(0.02) {
                agent.rss_kib = rss_kib(agent.agent) + PAGE * rng.random_range(0..8);
                agent.anon_kib = anon_kib(agent.agent) + PAGE * rng.random_range(0..4);
            }
            if rng.random_bool(0.001) {
                agent.fds = if agent.fds == 6 { 7 } else { 6 };
            }
            agent.pss_kib = number.is_multiple_of(12).then(|| agent.anon_kib + 400 + rng.random_range(0..20));
        }
        &self.agents
    }
}

fn rss_kib(agent: u32) -> u64 {
    2_300 + u64::from(agent % 97) * PAGE
}

fn anon_kib(agent: u32) -> u64 {
    308 + u64::from(agent % 13) * PAGE
}
