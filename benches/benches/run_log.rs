//! What a line of the run log costs, against its bare JSON: the difference is frame and checksum, and of a sweep
//! the packing of its rows.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use reports::runlog::event::{AgentSample, Causes, HostSample, Phase, Round, Sample};
use reports::runlog::{Event, Writer};
use std::hint::black_box;

/// `load-708`, its harness not counted.
const PROCESSES: u32 = 708;

fn round() -> Event {
    Event::Round(Round {
        round: 12_345,
        phase: Phase::Load,
        scheduled_ns: 617_250_000_000,
        started_ns: 617_250_041_000,
        finished_ns: 617_254_133_000,
        tasks: 700,
        answered: 700,
        failed: 0,
        late: 0,
        duplicates: 0,
        corrupt: 0,
        contradicted: 0,
        retried: 0,
        causes: Causes::default(),
        task_p50_ns: Some(2_100_000),
        task_p99_ns: Some(3_900_000),
        task_max_ns: Some(4_092_000),
        first_ns: None,
        made_ns: None,
        coordinators: Vec::new(),
        strays: Vec::new(),
        workloads: Vec::new(),
    })
}

fn sweep() -> Event {
    let agents = (0..PROCESSES)
        .map(|agent| AgentSample {
            agent,
            incarnation: 1,
            rss_kib: 2_300 + u64::from(agent),
            anon_kib: 310,
            vsz_kib: 18_200,
            fds: 6,
            threads: 1,
            cpu_us: 1_250_000 + u64::from(agent),
            voluntary_switches: 61_000,
            involuntary_switches: 210,
            pss_kib: None,
            state: None,
            commands: None,
        })
        .collect();
    let host = HostSample {
        load1: 1.5,
        load5: 1.25,
        load15: 0.75,
        mem_available_kib: 28_000_000,
        shm_used_bytes: 48 << 20,
        shm_used_inodes: 12,
        fleet_shm_bytes: 46 << 20,
        fleet_shm_files: 10,
        cpu_ticks: None,
        steal_ticks: None,
        idle_ticks: None,
    };
    Event::Sample(Sample {
        sweep: 61,
        due_ns: 617_000_000_000,
        started_ns: 617_000_031_000,
        took_ns: 21_000_000,
        cpu_ns: 20_500_000,
        live: PROCESSES,
        agents,
        host,
    })
}

/// As JSON without frame or packing: the rows of a sweep as tuples.
fn bare(event: &Event) -> Vec<u8> {
    let mut bytes = serde_json::to_vec(event).expect("events are JSON");
    if let Event::Sample(sample) = event {
        let rows: Vec<_> = sample
            .agents
            .iter()
            .map(|a| {
                let memory = (a.rss_kib, a.anon_kib, a.vsz_kib, a.pss_kib);
                let rest = (a.fds, a.threads, a.cpu_us, a.voluntary_switches, a.involuntary_switches);
                (a.agent, a.incarnation, memory, rest)
            })
            .collect();
        serde_json::to_writer(&mut bytes, &rows).expect("memory takes everything");
    }
    bytes
}

fn append(criterion: &mut Criterion) {
    for (name, event) in [("a round".to_owned(), round()), (format!("a sweep of {PROCESSES}"), sweep())] {
        let mut group = criterion.benchmark_group(name);
        let mut bytes = bare(&event);
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function("bare JSON", |bencher| {
            bencher.iter(|| bytes = bare(black_box(&event)));
        });
        group.bench_function("append", |bencher| {
            let mut writer = Writer::new(std::io::sink());
            bencher.iter_batched(
                || event.clone(),
                |event| writer.append(617_254_140_000, event).expect("the sink takes everything"),
                BatchSize::SmallInput,
            );
        });
        group.finish();
    }
}

criterion_group!(benches, append);
criterion_main!(benches);
