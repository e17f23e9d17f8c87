//! A run that never happened, in full: deterministic, and bendable in one place at a time.

mod losses;

use std::path::{Path, PathBuf};

use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Serializer, V2DeflateSerializer};
use reports::runlog::Writer;
use reports::runlog::event::*;
use reports::{Facts, Judged, Judgement};
use sha2::{Digest as _, Sha256};

/// What the scenario's file says, as far as a log knows.
pub(crate) const SCENARIO: &str = "name = \"synthetic\"\n";

/// As a header has it.
pub(crate) fn sha256_of(text: &str) -> String {
    use std::fmt::Write as _;
    Sha256::digest(text).iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    })
}

pub(crate) const SECOND: u64 = 1_000_000_000;
pub(crate) const MS: u64 = 1_000_000;

/// What a synthetic run is like. [`Run::default`] passes.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    pub(crate) coordinators: u32,
    pub(crate) workers: u32,
    pub(crate) rounds: u64,
    pub(crate) warm_up_rounds: u64,
    pub(crate) round_every_ns: u64,
    pub(crate) sample_every_ns: u64,
    pub(crate) pss_every_ns: u64,
    pub(crate) rehearsal: Option<f64>,
    pub(crate) profile: Option<&'static str>,
    pub(crate) overrides: Vec<String>,
    pub(crate) criteria: Vec<CriterionSpec>,
    /// Time of the n-th round of the load, in ns.
    pub(crate) round_ns: fn(u64) -> u64,
    /// Failed tasks of the n-th round of the load.
    pub(crate) failed: fn(u64) -> u32,
    /// PSS of one worker at the n-th sweep.
    pub(crate) worker_pss_kib: fn(u64) -> u64,
    /// What each worker's commands use at the n-th sweep.
    pub(crate) commands: fn(u64) -> Option<CommandsSample>,
    /// Why so many tasks of a round failed.
    pub(crate) causes: fn(u32) -> Causes,
    pub(crate) pool: Option<Pool>,
    pub(crate) batches: Option<Batches>,
    /// Of the first round of the load.
    pub(crate) strays: Vec<StrayAnswers>,
    pub(crate) duplicates: u32,
    pub(crate) late: u32,
    /// Tasks of the n-th round of the load that were answered by a later attempt.
    pub(crate) retried: fn(u64) -> u32,
    pub(crate) end: Option<EndReason>,
}

impl Default for Run {
    fn default() -> Self {
        Self {
            coordinators: 2,
            workers: 3,
            rounds: 120,
            warm_up_rounds: 10,
            round_every_ns: SECOND / 2,
            sample_every_ns: SECOND,
            pss_every_ns: SECOND,
            rehearsal: None,
            profile: None,
            overrides: Vec::new(),
            criteria: vec![
                criterion("all delivered", "delivery.rate >= 100%", Some("delivery.rate >= 99%")),
                criterion("fast", "coordination.time p95 < 1s", None),
            ],
            round_ns: |n| (5 + n * 7 % 11) * MS,
            failed: |_| 0,
            worker_pss_kib: |n| 2_000 + n % 3,
            commands: |_| None,
            pool: None,
            batches: None,
            strays: Vec::new(),
            duplicates: 0,
            causes: |timed_out| Causes { timed_out, ..Causes::default() },
            late: 0,
            retried: |_| 0,
            end: Some(EndReason::Completed),
        }
    }
}

pub(crate) fn criterion(name: &str, pass: &str, conditional: Option<&str>) -> CriterionSpec {
    CriterionSpec {
        name: name.into(),
        requirement: Some("C1".into()),
        pass: pass.into(),
        conditional: conditional.map(Into::into),
        informational: false,
        abort: false,
        grace_ns: 0,
        source: "scenarios/synthetic.toml:12".into(),
    }
}

impl Run {
    pub(crate) fn asking(pass: &str) -> Self {
        Self { criteria: vec![criterion("asked", pass, None)], ..Self::default() }
    }

    /// When its load begins.
    pub(crate) fn load_ns(&self) -> u64 {
        SECOND + self.warm_up_rounds * self.round_every_ns
    }

    pub(crate) fn processes(&self) -> u32 {
        1 + self.coordinators + self.coordinators * self.workers
    }

    fn tasks(&self) -> u32 {
        self.coordinators * self.workers
    }

    pub(crate) fn header(&self) -> Header {
        Header {
            format: FORMAT,
            segment: 0,
            resumes: None,
            run_id: "20260102T030405Z-abc123".into(),
            started_utc: "2026-01-02T03:04:05Z".into(),
            scenario: ScenarioFacts {
                name: "synthetic".into(),
                asks: "Do six workers under two coordinators answer every task within a second?".into(),
                file: "scenarios/synthetic.toml".into(),
                sha256: sha256_of(SCENARIO),
                profile: self.profile.map(Into::into),
                overrides: self.overrides.clone(),
                requirements: vec!["C1".into(), "C2".into()],
                matrix: Vec::new(),
                extends: Vec::new(),
                judged_by: None,
            },
            sources: vec![SourceText { name: "scenarios/synthetic.toml".into(), text: SCENARIO.into() }],
            command: "harness run scenarios/synthetic.toml --seed 7".into(),
            seed: 7,
            rehearsal: self.rehearsal,
            plan: PlanFacts {
                topology: Topology::Hybrid,
                coordinators: self.coordinators,
                workers_per_coordinator: self.workers,
                processes: self.processes(),
                shm_bytes: 8 << 20,
                fds_max: 64,
                workload: "echo 256 B".into(),
                load: LoadModel::Open,
                round_every_ns: self.round_every_ns,
                warm_up_ns: self.warm_up_rounds * self.round_every_ns,
                duration_ns: self.rounds * self.round_every_ns,
                rounds_planned: self.rounds,
                task_timeout_ns: 30 * SECOND,
                rounds_in_flight_max: 4,
                sample_every_ns: self.sample_every_ns,
                pss_every_ns: self.pss_every_ns,
                messages_per_task: 4,
                workloads: Vec::new(),
                setup: Vec::new(),
                teardown: Vec::new(),
                cpu_per_task_ns: None,
                task_least_ns: None,
                faults: Vec::new(),
                arrivals: Arrivals::Constant,
                tasks_per_round: None,
                workers_at_start: None,
                workers_least: None,
                coordinators_at_start: None,
                coordinators_least: None,
                workers_asked: None,
                stages: Vec::new(),
                private_shm: None,
            },
            criteria: self.criteria.clone(),
            host: HostFacts {
                machine: "m1-cafe".into(),
                fingerprint: "f1-f00d".into(),
                hostname: "testbed".into(),
                kernel: "6.18.0".into(),
                boot_id: "b007".into(),
                cpu_model: "Synthetic 3000".into(),
                cpus: 2,
                memory_bytes: 8 << 30,
                swap_bytes: 0,
                shm_bytes: 4 << 30,
                shm_inodes: 1_000_000,
                nofile_soft: 1_024,
                nofile_hard: 4_096,
                pids_max: 32_768,
                clock_source: "tsc".into(),
                virtualization: "kvm".into(),
                cgroup_memory_bytes: None,
                cgroup_pids: None,
                cgroup_cpus: None,
                load1_at_start: 0.25,
            },
            build: BuildFacts {
                version: "0.1.0".into(),
                git: "1234567".into(),
                dirty: false,
                profile: "release".into(),
                rustc: "1.95.0".into(),
            },
        }
    }

    pub(crate) fn agents(&self) -> Vec<AgentInfo> {
        let mut out = vec![(Role::Supervisor, "supervisor".to_owned())];
        for c in 0..self.coordinators {
            out.push((Role::Coordinator, format!("coord/{c}")));
            out.extend((0..self.workers).map(|w| (Role::Worker, format!("worker/{c}.{w}"))));
        }
        (1..)
            .zip(out)
            .map(|(id, (role, name))| AgentInfo {
                id,
                role,
                name,
                pid: 1_000 + id,
                start_ticks: 42,
                incarnation: 1,
            })
            .collect()
    }

    /// All events with their times, in order.
    pub(crate) fn events(&self) -> Vec<(u64, Event)> {
        let mut out = vec![(0, Event::Header(Box::new(self.header())))];
        out.push((0, Event::Phase(PhaseBegan { phase: Phase::Launch })));
        let launched = SECOND;
        out.push((
            launched,
            Event::Agents(Agents { agents: self.agents(), launch_ns: 40 * MS, bare_forks_ns: None }),
        ));
        out.push((launched, Event::Phase(PhaseBegan { phase: Phase::WarmUp })));
        let load = launched + self.warm_up_rounds * self.round_every_ns;
        let end = load + self.rounds * self.round_every_ns;
        let mut listed = 0;
        let mut timed = vec![(load, Event::Phase(PhaseBegan { phase: Phase::Load }))];
        let mut tasks = Histogram::<u64>::new(3).unwrap();
        for n in 0..self.warm_up_rounds + self.rounds {
            let round = self.round(n, launched);
            for _ in 0..if round.phase == Phase::Load { round.answered } else { 0 } {
                tasks.record(round.finished_ns - round.scheduled_ns).unwrap();
            }
            timed.extend(Self::failures(&round, &mut listed));
            timed.push((round.finished_ns, Event::Round(round)));
        }
        let unwritten = listed.saturating_sub(TASK_FAILURES_MAX);
        let mut sweep = 0;
        while launched + sweep * self.sample_every_ns < end {
            let due = launched + sweep * self.sample_every_ns;
            timed.push((due + 3 * MS, Event::Sample(self.sample(sweep, due))));
            sweep += 1;
        }
        timed.sort_by_key(|e| e.0);
        // A last answer may come after the end of the schedule.
        let drain = timed.last().map_or(end, |e| e.0.max(end));
        out.extend(timed);
        out.push((drain, Event::Latency(latency(&tasks, load, end - load))));
        out.push((drain, Event::Phase(PhaseBegan { phase: Phase::Drain })));
        out.push((drain + MS, Event::Ledger(self.ledger())));
        for agent in self.agents() {
            out.push((drain + 2 * MS, Event::AgentExit(Self::exit(&agent, drain))));
        }
        out.push((drain + 3 * MS, Event::Phase(PhaseBegan { phase: Phase::Verify })));
        let verify = Verify { processes_left: vec![], files_left: vec![], cleaned: vec![], altered: vec![] };
        out.push((drain + 4 * MS, Event::Verify(verify)));
        if let Some(reason) = self.end {
            let end = End {
                reason,
                detail: None,
                rounds: self.warm_up_rounds + self.rounds,
                harness_cpu_ns: 300 * MS,
                harness_rss_max_kib: 9_000,
                task_failures_unwritten: unwritten,
                ended_utc: None,
            };
            out.push((drain + 5 * MS, Event::End(end)));
        }
        out
    }

    fn exit(agent: &AgentInfo, seen_ns: u64) -> AgentExit {
        AgentExit {
            agent: agent.id,
            incarnation: agent.incarnation,
            name: agent.name.clone(),
            pid: agent.pid,
            how: "stopped on request".into(),
            expected: true,
            seen_ns,
        }
    }

    fn round(&self, n: u64, start_ns: u64) -> Round {
        let scheduled_ns = start_ns + n * self.round_every_ns;
        let in_load = n.checked_sub(self.warm_up_rounds);
        let took = in_load.map_or(9 * MS, self.round_ns);
        let failed = in_load.map_or(0, self.failed);
        Round {
            round: n,
            phase: if in_load.is_some() { Phase::Load } else { Phase::WarmUp },
            scheduled_ns,
            started_ns: scheduled_ns + took.min(40_000 + n % 5 * 1_000),
            finished_ns: scheduled_ns + took,
            tasks: self.tasks(),
            answered: self.tasks() - failed,
            failed,
            late: if in_load == Some(0) { self.late } else { 0 },
            duplicates: if in_load == Some(0) { self.duplicates } else { 0 },
            corrupt: 0,
            contradicted: 0,
            retried: in_load.map_or(0, self.retried),
            causes: (self.causes)(failed),
            task_p50_ns: Some(took),
            task_p99_ns: Some(took),
            task_max_ns: Some(took),
            // All answers come together.
            first_ns: (failed < self.tasks()).then_some(scheduled_ns + took),
            made_ns: (failed == 0).then_some(scheduled_ns + took),
            coordinators: self.shares(failed),
            strays: if in_load == Some(0) { self.strays.clone() } else { Vec::new() },
            workloads: Vec::new(),
        }
    }

    fn sample(&self, sweep: u64, due_ns: u64) -> Sample {
        let has_pss = (sweep * self.sample_every_ns).is_multiple_of(self.pss_every_ns);
        let mut agents: Vec<AgentSample> = self
            .agents()
            .iter()
            .map(|a| {
                let base = match a.role {
                    Role::Worker => (self.worker_pss_kib)(sweep),
                    _ => 4_000,
                };
                AgentSample {
                    agent: a.id,
                    incarnation: a.incarnation,
                    rss_kib: base + 1_500,
                    anon_kib: base / 2,
                    vsz_kib: 20_000,
                    fds: 12,
                    threads: 1,
                    cpu_us: sweep * 10_000 * u64::from(a.id % 3 + 1),
                    voluntary_switches: sweep * 100,
                    involuntary_switches: sweep,
                    pss_kib: has_pss.then_some(base),
                    state: None,
                    commands: if a.role == Role::Worker { (self.commands)(sweep) } else { None },
                }
            })
            .collect();
        agents.push(AgentSample {
            agent: 0,
            rss_kib: 9_000,
            fds: 20,
            threads: 3,
            commands: None,
            ..agents[0]
        });
        Sample {
            sweep,
            due_ns,
            started_ns: due_ns + MS,
            took_ns: 2 * MS,
            cpu_ns: MS,
            live: self.processes(),
            agents,
            host: HostSample {
                load1: 0.5,
                load5: 0.4,
                load15: 0.3,
                mem_available_kib: 4_000_000,
                shm_used_bytes: 9 << 20,
                shm_used_inodes: 12,
                fleet_shm_bytes: 8 << 20,
                fleet_shm_files: 4,
                cpu_ticks: Some(1_000_000 + sweep * 200),
                steal_ticks: Some(5_000 + sweep * 3),
                idle_ticks: Some(700_000 + sweep * 150),
            },
        }
    }

    pub(crate) fn log(&self) -> Vec<u8> {
        log_of(self.events())
    }
}

pub(crate) fn latency(histogram: &Histogram<u64>, start_ns: u64, length_ns: u64) -> LatencyInterval {
    use base64::Engine;
    let mut bytes = Vec::new();
    V2DeflateSerializer::new().serialize(histogram, &mut bytes).unwrap();
    LatencyInterval {
        tag: LatencyTag::Task,
        phase: Phase::Load,
        start_ns,
        length_ns,
        max_ns: histogram.max(),
        count: histogram.len(),
        histogram: base64::engine::general_purpose::STANDARD.encode(bytes),
    }
}

pub(crate) fn log_of(events: Vec<(u64, Event)>) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    for (t, event) in events {
        writer.append(t, event).unwrap();
    }
    writer.into_inner()
}

/// A run directory that holds this log.
pub(crate) fn run_dir(log: &[u8]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("run.log"), log).unwrap();
    dir
}

pub(crate) fn judge(log: &[u8]) -> Judgement {
    let dir = run_dir(log);
    written(reports::judge(dir.path(), |_| None).unwrap()).0
}

/// Makes all documents, and every one can be written.
#[track_caller]
pub(crate) fn report(dir: &Path) -> (Judgement, Vec<PathBuf>) {
    written(reports::report(dir, |_| None).unwrap())
}

#[track_caller]
fn written(judged: Judged) -> (Judgement, Vec<PathBuf>) {
    assert!(judged.unwritten.is_none(), "{:?}", judged.unwritten);
    (judged.judgement, judged.files)
}

pub(crate) fn facts(log: &[u8]) -> Facts {
    reports::judge_log(log).unwrap().1
}

pub(crate) fn read(dir: &Path, name: &str) -> String {
    std::fs::read_to_string(dir.join(name)).unwrap()
}

/// Replaces text and puts the checksums right: what a forger or another version would do.
pub(crate) fn rewritten(log: &[u8], from: &str, to: &str) -> Vec<u8> {
    let mut crc = 0;
    let mut out = Vec::new();
    for line in std::str::from_utf8(log).unwrap().lines() {
        let body = line[..line.len() - 18].replace(from, to);
        crc = crc32c::crc32c_append(crc, body.as_bytes());
        out.extend(format!("{body},\"crc\":\"{crc:08x}\"}}\n").into_bytes());
    }
    out
}
