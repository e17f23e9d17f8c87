//! Runs that never happened, in full: what the log of a fleet would hold that does well.
//!
//! The first line is the one that the harness writes for the same plan; the rest is made up, deterministic, and free of
//! contradictions. `selftest` and `calibrate` bend it in one place and look whether the judge sees that. Only plans of echo
//! rounds at one pace are made up; what else a run can hold is laid over it (`overlay`).

mod host;
pub mod overlay;
pub mod settle;
pub mod sweep;

use crate::disk::Covers;
use crate::engine::{Request, header};
use crate::scenario::Plan;
use reports::runlog::codec::LogError;
use reports::runlog::event::{
    AgentExit, AgentId, AgentInfo, Agents, Causes, End, EndReason, Event, Header, Phase, PhaseBegan,
    PlanFacts, Record, Resumes, Role, Round, Sample, Verify,
};
use reports::runlog::{Reader, Writer};
use reports::verdict::LogState;
use reports::{Case, Judgement};
use std::io::Write;

pub const SECOND_NS: u64 = 1_000_000_000;
pub const MS_NS: u64 = 1_000_000;
/// When the fleet is there.
pub const LAUNCHED_NS: u64 = SECOND_NS;
/// How long a launch takes.
const LAUNCH_NS: u64 = 40 * MS_NS;
/// What a round takes.
const ROUND_NS: u64 = 5 * MS_NS;

/// The events of a run, each with its time.
#[derive(Debug, Clone)]
pub struct Synthetic {
    events: Vec<(u64, Event)>,
    /// The segment after this one, of a run that was resumed.
    next: Option<Box<Self>>,
}

impl Synthetic {
    /// Of a fleet that does all that its plan asks.
    pub fn of(plan: &Plan) -> Self {
        Self::of_header(header_of(plan))
    }

    /// As [`Self::of`], of a header that may have been changed.
    pub fn of_header(header: Header) -> Self {
        Self::of_some(header, usize::MAX)
    }

    /// As [`Self::of_header`]. Sweeps show no more processes than so many, and say that all were there: such a log
    /// contradicts itself, and is for [`Self::judge_as_it_is`] alone.
    pub fn of_some(header: Header, processes: usize) -> Self {
        let mut agents = agents(&header.plan);
        agents.truncate(processes.max(3));
        Self::made(header, &agents, &agents)
    }

    /// As [`Self::of_header`], with sweeps that show no process but the harness: those of a month do not fit into memory.
    /// Its log is for [`Self::write`], which asks for the rows of each.
    pub fn without_rows(header: Header) -> Self {
        let agents = agents(&header.plan);
        Self::made(header, &agents, &[])
    }

    fn made(header: Header, agents: &[AgentInfo], shown: &[AgentInfo]) -> Self {
        let plan = header.plan.clone();
        let mut events = vec![
            (0, Event::Header(Box::new(header))),
            (0, begins(Phase::Launch)),
            (
                LAUNCHED_NS,
                Event::Agents(Agents {
                    agents: agents.to_vec(),
                    launch_ns: LAUNCH_NS,
                    bare_forks_ns: Some(30 * MS_NS),
                }),
            ),
        ];
        if plan.warm_up_ns > 0 {
            events.push((LAUNCHED_NS, begins(Phase::WarmUp)));
        }
        let load_ns = load_ns(&plan);
        events.push((load_ns, begins(Phase::Load)));
        let every_ns = plan.round_every_ns.max(1);
        let warm_up = plan.warm_up_ns / every_ns;
        for number in 0..warm_up + plan.rounds_planned {
            let round = round(number, warm_up, &plan);
            events.push((round.finished_ns, Event::Round(round)));
        }
        let end_ns = load_ns + plan.duration_ns;
        let mut due_ns = LAUNCHED_NS;
        for number in 0.. {
            if due_ns >= end_ns {
                break;
            }
            let sample = sweep::of(number, due_ns, &plan, shown);
            events.push((sample.started_ns + sample.took_ns, Event::Sample(sample)));
            due_ns += plan.sample_every_ns.max(1);
        }
        let mut run = Self { events, next: None };
        run.events.sort_by_key(|(at_ns, _)| *at_ns);
        run.conclude(agents, end_ns, EndReason::Completed);
        run.settle();
        run
    }

    /// What comes after the load.
    fn conclude(&mut self, agents: &[AgentInfo], end_ns: u64, reason: EndReason) {
        let plan = self.header().plan.clone();
        let drain_ns = self.events.last().map_or(end_ns, |(at_ns, _)| end_ns.max(*at_ns));
        self.events.push((drain_ns, begins(Phase::Drain)));
        self.events.push((drain_ns + MS_NS, Event::Ledger(settle::ledger(&[], &plan))));
        for agent in agents {
            self.events.push((drain_ns + 2 * MS_NS, Event::AgentExit(exit(agent, drain_ns, true))));
        }
        self.events.push((drain_ns + 3 * MS_NS, begins(Phase::Verify)));
        let nothing = Verify { processes_left: vec![], files_left: vec![], cleaned: vec![], altered: vec![] };
        self.events.push((drain_ns + 4 * MS_NS, Event::Verify(nothing)));
        let rounds = self.rounds().count() as u64;
        self.events.push((
            drain_ns + 5 * MS_NS,
            Event::End(End {
                reason,
                detail: None,
                rounds,
                harness_cpu_ns: drain_ns / 1_000,
                harness_rss_max_kib: 16_000,
                task_failures_unwritten: 0,
                ended_utc: None,
            }),
        ));
    }

    /// What the log's first line says.
    pub fn header(&mut self) -> &mut Header {
        let found = self.events.iter_mut().find_map(|(_, event)| match event {
            Event::Header(header) => Some(&mut **header),
            _ => None,
        });
        found.expect("every run begins with a header")
    }

    pub fn agents(&self) -> &[AgentInfo] {
        let found = self.events.iter().find_map(|(_, event)| match event {
            Event::Agents(agents) => Some(&agents.agents[..]),
            _ => None,
        });
        found.unwrap_or_default()
    }

    /// Those of the load, from 0.
    pub fn load_rounds(&mut self) -> impl Iterator<Item = (u64, &mut Round)> {
        let rounds = self.events.iter_mut().filter_map(|(_, event)| match event {
            Event::Round(round) if round.phase == Phase::Load => Some(round),
            _ => None,
        });
        (0..).zip(rounds)
    }

    /// Those of the whole run, in order.
    pub fn sweeps(&mut self) -> impl Iterator<Item = &mut Sample> {
        self.events.iter_mut().filter_map(|(_, event)| match event {
            Event::Sample(sample) => Some(sample),
            _ => None,
        })
    }

    fn rounds(&self) -> impl Iterator<Item = &Round> {
        self.events.iter().filter_map(|(_, event)| match event {
            Event::Round(round) => Some(round),
            _ => None,
        })
    }

    /// Every event that this takes for what it is looking for.
    pub fn each(&mut self, mut bend: impl FnMut(&mut Event)) {
        for (_, event) in &mut self.events {
            bend(event);
        }
    }

    /// Leaves out what does not stay.
    pub fn retain(&mut self, stays: impl Fn(&Event) -> bool) {
        self.events.retain(|(_, event)| stays(event));
    }

    /// One event more, at its time.
    pub fn add(&mut self, at_ns: u64, event: Event) {
        let after = self.events.partition_point(|(known_ns, _)| *known_ns <= at_ns);
        self.events.insert(after, (at_ns, event));
    }

    /// One event more, just before the first that is looked for.
    pub fn insert_beside(&mut self, event: Event, before: impl Fn(&Event) -> bool) {
        if let Some(at) = self.events.iter().position(|(_, event)| before(event)) {
            let at_ns = self.events[at].0;
            self.events.insert(at, (at_ns, event));
        }
    }

    /// The middle of the load.
    pub fn middle_ns(&mut self) -> u64 {
        let plan = &self.header().plan;
        load_ns(plan) + plan.duration_ns / 2
    }

    /// The bytes of its run log; of its first segment, if it has several.
    pub fn log(&self) -> Result<Vec<u8>, LogError> {
        self.write(Vec::new(), |_| {})
    }

    /// Writes its run log, that of its first segment if it has several. Each sweep is changed by `finish` before it is written.
    pub fn write<W: Write>(&self, out: W, mut finish: impl FnMut(&mut Sample)) -> Result<W, LogError> {
        let mut log = Writer::new(out);
        for (at_ns, event) in &self.events {
            let mut event = event.clone();
            if let Event::Sample(sample) = &mut event {
                finish(sample);
            }
            log.append(*at_ns, event)?;
        }
        log.flush()?;
        Ok(log.into_inner())
    }

    /// What the judge makes of its log.
    pub fn judge(&self) -> Result<Judgement, LogError> {
        let mut logs = vec![self.log()?];
        let mut next = self.next.clone();
        while let Some(mut segment) = next {
            let before = Reader::new(&logs[logs.len() - 1][..]);
            resume(segment.header(), before);
            logs.push(segment.log()?);
            next = segment.next;
        }
        reports::judge_logs(logs.iter().map(Vec::as_slice), |_| None).map(|(judgement, _)| judgement)
    }

    /// As [`Self::judge`], of the first segment, without writing, reading and validating a log.
    pub fn judge_as_it_is(mut self) -> Judgement {
        let mut case = Case::new(self.header());
        let lines = self.events.len() as u64;
        for (seq, (t_ns, event)) in (0..).zip(self.events) {
            case.push(&Record { seq, t_ns, event });
        }
        case.judgement(&LogState { lines, ..LogState::default() })
    }

    pub fn events(&self) -> &[(u64, Event)] {
        &self.events
    }
}

/// The first line of its log, which the harness writes for the same plan.
pub fn header_of(plan: &Plan) -> Header {
    header(&Request {
        plan: plan.clone(),
        host: host::facts(),
        build: host::build(),
        command: format!("harness run {} --seed {}", plan.scenario_facts().file, plan.seed()),
        started_utc: "2026-01-02T03:04:05Z".to_owned(),
        run_id: "20260102T030405Z-000000".to_owned(),
        shm_dir: "/dev/shm".into(),
        undo_dir: "/dev/null".into(),
        commands_output: "/dev/null".into(),
        covers: Covers::default(),
        follows: None,
    })
}

/// Lets the segment of a header follow the last line of the one before.
fn resume(header: &mut Header, mut before: Reader<&[u8]>) {
    before.by_ref().for_each(drop);
    let (seq, crc) = (before.lines().saturating_sub(1), before.crc());
    let (run, left) = (header.run_id.clone(), Some(Vec::new()));
    header.resumes = Some(Resumes { run, seq, crc, counted_to: None, left });
}

fn begins(phase: Phase) -> Event {
    Event::Phase(PhaseBegan { phase })
}

/// When the load begins.
fn load_ns(plan: &PlanFacts) -> u64 {
    LAUNCHED_NS + plan.warm_up_ns
}

fn agents(plan: &PlanFacts) -> Vec<AgentInfo> {
    let mut names = vec![(Role::Supervisor, "supervisor".to_owned())];
    for coordinator in 0..plan.coordinators {
        names.push((Role::Coordinator, format!("coord/{coordinator}")));
        let workers = 0..plan.workers_per_coordinator;
        names.extend(workers.map(|worker| (Role::Worker, format!("worker/{coordinator}.{worker}"))));
    }
    (1..)
        .zip(names)
        .map(|(id, (role, name))| AgentInfo {
            id,
            role,
            name,
            pid: pid(id, 1),
            start_ticks: 5_000,
            incarnation: 1,
        })
        .collect()
}

/// Of the process that an agent is for the n-th time.
pub fn pid(agent: AgentId, incarnation: u32) -> u32 {
    1_000 + agent + 100_000 * (incarnation - 1)
}

/// Of the process that the agent is now.
pub fn exit(agent: &AgentInfo, seen_ns: u64, expected: bool) -> AgentExit {
    AgentExit {
        agent: agent.id,
        incarnation: agent.incarnation,
        name: agent.name.clone(),
        pid: agent.pid,
        how: if expected { "stopped on request" } else { "killed by SIGKILL" }.to_owned(),
        expected,
        seen_ns,
    }
}

fn round(number: u64, warm_up: u64, plan: &PlanFacts) -> Round {
    let scheduled_ns = LAUNCHED_NS + number * plan.round_every_ns;
    let tasks = plan.tasks_per_round.unwrap_or(plan.places());
    // No two rounds take the same time, and none is far from the others.
    let took_ns = ROUND_NS + number * 7 % 11 * (MS_NS / 10);
    let mut round = Round {
        round: number,
        phase: if number < warm_up { Phase::WarmUp } else { Phase::Load },
        scheduled_ns,
        started_ns: scheduled_ns,
        finished_ns: scheduled_ns,
        tasks,
        answered: tasks,
        failed: 0,
        late: 0,
        duplicates: 0,
        corrupt: 0,
        contradicted: 0,
        retried: 0,
        causes: Causes::default(),
        task_p50_ns: None,
        task_p99_ns: None,
        task_max_ns: None,
        first_ns: None,
        made_ns: None,
        coordinators: Vec::new(),
        strays: Vec::new(),
        workloads: Vec::new(),
    };
    settle::took(&mut round, took_ns);
    settle::lost(&mut round, 0, plan);
    round
}
