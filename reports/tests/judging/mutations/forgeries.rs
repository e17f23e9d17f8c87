//! Figures that are forged everywhere alike.

use reports::runlog::event::{Event, Record};

/// Figures that a forger sets everywhere alike, so that no record differs from those beside it.
pub(super) type Forgery = (&'static str, fn(&mut Record));
pub(super) const FORGERIES: &[Forgery] = &[
    ("as many late answers as tasks, and none failed", |record| {
        if let Event::Round(round) = &mut record.event {
            round.late = round.tasks;
        }
    }),
    ("the same in the ledger", |record| match &mut record.event {
        Event::Round(round) => round.late = round.tasks,
        Event::Ledger(ledger) => {
            ledger.client.late = 840;
            ledger.coordinators.iter_mut().for_each(|row| row.client.late = 420);
        }
        _ => {}
    }),
    ("second answers in the warm-up, and none in the ledger", |record| {
        if let Event::Round(round) = &mut record.event {
            round.duplicates = u32::from(round.round < 20);
        }
    }),
    ("second answers in the ledger, and none in the rounds", |record| {
        if let Event::Ledger(ledger) = &mut record.event {
            ledger.client.duplicates = 2;
            ledger.coordinators.iter_mut().for_each(|row| row.client.duplicates = 1);
        }
    }),
    ("exits that were seen long before the last sweep", |record| {
        if let Event::AgentExit(exit) = &mut record.event {
            exit.seen_ns = 60_000_000;
        }
    }),
    ("an end a year later", |record| {
        if let Event::End(end) = &mut record.event {
            (record.t_ns, end.ended_utc) = (record.t_ns + 31_536_000_000_000_000, None);
        }
    }),
    ("an end in 2001", |record| {
        if let Event::End(end) = &mut record.event {
            end.ended_utc = Some("2001-01-01T00:00:00Z".to_owned());
        }
    }),
    ("a start in 2001", |record| {
        if let Event::Header(header) = &mut record.event {
            "2001-01-01T00:00:00Z".clone_into(&mut header.started_utc);
        }
    }),
    ("a median of 1 ns in each round", |record| {
        if let Event::Round(round) = &mut record.event {
            round.task_p50_ns = Some(1);
        }
    }),
    ("tasks that took less than the processor time they use", |record| {
        if let Event::Header(header) = &mut record.event {
            header.plan.cpu_per_task_ns = Some(500_000_000);
        }
    }),
    ("tasks that took less than they have to", |record| {
        if let Event::Header(header) = &mut record.event {
            header.plan.task_least_ns = Some(500_000_000);
        }
    }),
    ("intervals without length", |record| {
        if let Event::Latency(interval) = &mut record.event {
            interval.length_ns = 0;
        }
    }),
    ("intervals that overlap", |record| {
        if let Event::Latency(interval) = &mut record.event {
            interval.start_ns = 0;
        }
    }),
    ("11 days of CPU time of the harness", |record| {
        if let Event::End(end) = &mut record.event {
            end.harness_cpu_ns = 950_400_000_000_000;
        }
    }),
    ("11 days of CPU time of a worker", |record| {
        if let Event::Sample(sample) = &mut record.event {
            sample.agents[4].cpu_us = 950_400_000_000;
        }
    }),
    ("CPU time that grows faster than time passes", |record| {
        if let Event::Sample(sample) = &mut record.event {
            sample.agents[4].cpu_us += sample.sweep * 10_000_000;
        }
    }),
    ("a worker with more memory than the host", |record| {
        if let Event::Sample(sample) = &mut record.event {
            (sample.agents[4].rss_kib, sample.agents[4].vsz_kib) = (1 << 50, 1 << 50);
        }
    }),
    ("more memory available than there is", |record| {
        if let Event::Sample(sample) = &mut record.event {
            sample.host.mem_available_kib = 1 << 50;
        }
    }),
    ("no shared memory", |record| {
        if let Event::Sample(sample) = &mut record.event {
            (sample.host.fleet_shm_bytes, sample.host.fleet_shm_files) = (0, 0);
        }
    }),
    ("processes that start in 300,000 years", |record| {
        if let Event::Agents(event) = &mut record.event {
            event.agents.iter_mut().for_each(|agent| agent.start_ticks = 1_000_000_000_000_000);
        }
    }),
    ("processes that started with their host", |record| {
        if let Event::Agents(event) = &mut record.event {
            event.agents.iter_mut().for_each(|agent| agent.start_ticks = 1);
        }
    }),
    ("a worker that is older than its supervisor", |record| {
        if let Event::Agents(event) = &mut record.event {
            event.agents[4].start_ticks = 2_000;
        }
    }),
    ("a worker that began after the end", |record| {
        if let Event::Agents(event) = &mut record.event {
            event.agents[4].start_ticks += 1_000_000;
        }
    }),
    ("a rehearsal of a run at its own pace", |record| {
        if let Event::Header(header) = &mut record.event {
            header.rehearsal = Some(1.0);
        }
    }),
    ("a harness with less memory at most than in each sweep", |record| {
        if let Event::End(end) = &mut record.event {
            end.harness_rss_max_kib = 1_000;
        }
    }),
    ("sweeps without CPU time", |record| {
        if let Event::Sample(sample) = &mut record.event {
            sample.cpu_ns = 0;
        }
    }),
    ("more files of the fleet than its file system has", |record| {
        if let Event::Sample(sample) = &mut record.event {
            sample.host.fleet_shm_files = sample.host.shm_used_inodes + 1_000;
        }
    }),
    ("a host without room in /dev/shm", |record| {
        if let Event::Header(header) = &mut record.event {
            header.host.shm_bytes = 0;
        }
    }),
    ("a host that may start no process", |record| {
        if let Event::Header(header) = &mut record.event {
            header.host.pids_max = 0;
        }
    }),
    ("a host that may open no file", |record| {
        if let Event::Header(header) = &mut record.event {
            header.host.nofile_hard = 0;
        }
    }),
];
