//! What a long log takes on disk: `cargo run --release -p benches --bin log_size -- [PROCESSES] [SWEEPS]`.
//!
//! Writes the samples of a made-up fleet in memory and prints bytes a row, and what 30 days of a sweep every
//! five seconds would take. `long_run` makes, judges and shows a whole log.
#![expect(clippy::print_stdout, reason = "a program for people")]

use benches::steady::SteadyFleet;
use reports::runlog::Writer;
use reports::runlog::event::{Event, HostSample, Sample};

const SWEEPS_A_MONTH: u64 = 30 * 24 * 720;
const NS: u64 = 1_000_000_000;

/// Five seconds after the one before.
fn sweep(fleet: &mut SteadyFleet, number: u64) -> Sample {
    let agents = fleet.sweep(number).to_vec();
    let host = HostSample {
        load1: 1.52,
        load5: 1.31,
        load15: 0.77,
        mem_available_kib: 28_000_000 - number % 4_096,
        shm_used_bytes: 48 << 20,
        shm_used_inodes: 12,
        fleet_shm_bytes: 46 << 20,
        fleet_shm_files: 10,
        cpu_ticks: None,
        steal_ticks: None,
        idle_ticks: None,
    };
    Sample {
        sweep: number,
        due_ns: number * 5 * NS,
        started_ns: number * 5 * NS + 31_127,
        took_ns: 21_123_456,
        cpu_ns: 20_512_345,
        live: agents.len() as u32 - 1,
        agents,
        host,
    }
}

fn main() {
    let numbers: Vec<u64> = std::env::args().skip(1).map_while(|text| text.parse().ok()).collect();
    let processes = numbers.first().copied().unwrap_or(708);
    let sweeps = numbers.get(1).copied().unwrap_or(2_000);
    let mut fleet = SteadyFleet::new(u32::try_from(processes).unwrap_or(u32::MAX));
    let mut writer = Writer::new(Vec::new());
    for number in 0..sweeps {
        let sample = Event::Sample(sweep(&mut fleet, number));
        writer.append(number * 5 * NS, sample).expect("memory takes all bytes");
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
