//! What follows from the rounds of a run: their own latencies, the histograms, the ledger of both ends.

use super::{MS_NS, Synthetic};
use crate::engine::written;
use hdrhistogram::Histogram;
use reports::runlog::event::{
    Batch, Batches, CoordinatorLedger, Event, LatencyInterval, LatencyTag, Ledger, LedgerEvidence, LedgerRow,
    Phase, PlanFacts, Pool, Round, StrayAnswers, TASK_FAILURES_MAX, TaskFailed, WorkloadLatency,
};

/// The length of an interval of the histograms.
const INTERVAL_NS: u64 = 60 * 1_000 * MS_NS;

/// The round takes so long.
pub fn took(round: &mut Round, took_ns: u64) {
    round.started_ns = round.started_ns.max(round.scheduled_ns + 40_000.min(took_ns));
    round.finished_ns = (round.scheduled_ns + took_ns).max(round.started_ns);
    let answer_ns = round.finished_ns - round.started_ns;
    // Of one or two answers, the first is the median.
    let first_ns = if round.answered > 2 { round.started_ns + answer_ns / 4 } else { round.finished_ns };
    round.first_ns = (round.answered > 0).then_some(first_ns);
    round.made_ns = (round.failed == 0).then_some(round.finished_ns - answer_ns / 50);
    latencies(round);
}

/// So many tasks of the round fail, those of the first coordinators.
pub fn lost(round: &mut Round, failed: u32, plan: &PlanFacts) {
    round.failed = failed.min(round.tasks);
    round.answered = round.tasks - round.failed;
    let each = round.tasks / plan.coordinators.max(1);
    let mut left = round.failed;
    round.coordinators = (0..plan.coordinators)
        .map(|_| {
            let theirs = left.min(each);
            left -= theirs;
            each - theirs
        })
        .collect();
    if plan.coordinators < 2 || round.answered == 0 {
        round.coordinators.clear();
    }
    let took_ns = round.finished_ns - round.scheduled_ns;
    took(round, took_ns);
}

fn latencies(round: &mut Round) {
    let took_ns = round.finished_ns - round.scheduled_ns;
    let latency = (round.answered > 0).then_some(took_ns);
    (round.task_p50_ns, round.task_p99_ns, round.task_max_ns) = (latency, latency, latency);
    for part in &mut round.workloads {
        let latency = (part.answered > 0).then_some(took_ns);
        (part.task_p50_ns, part.task_p99_ns, part.task_max_ns) = (latency, latency, latency);
    }
}

/// Late and second answers of which nothing else is said are the first coordinator's.
fn strays(round: &mut Round) {
    let (late, duplicates) = (round.late, round.duplicates);
    if round.strays.is_empty() && late.max(duplicates) > 0 {
        round.strays = vec![StrayAnswers { workload: None, coordinator: Some(0), late, duplicates }];
    }
}

impl Synthetic {
    /// Makes histograms, ledger and the order of the log those of the rounds, after rounds or sweeps were bent.
    pub fn settle(&mut self) {
        let is_made = |event: &Event| {
            matches!(event, Event::Latency(_) | Event::WorkloadLatency(_) | Event::TaskFailed(_))
        };
        self.retain(|event| !is_made(event));
        for (at_ns, event) in &mut self.events {
            match event {
                Event::Round(round) => {
                    *at_ns = round.finished_ns;
                    strays(round);
                }
                Event::Sample(sample) => *at_ns = sample.started_ns + sample.took_ns,
                _ => {}
            }
        }
        self.drain_after_the_last();
        self.events.sort_by_key(|(at_ns, _)| *at_ns);
        let plan = self.header().plan.clone();
        let rounds: Vec<Round> = self.rounds().cloned().collect();
        let mut made = Vec::new();
        for_intervals(&rounds, &plan, &mut made);
        let drain =
            self.events.iter().position(|(_, e)| matches!(e, Event::Phase(p) if p.phase == Phase::Drain));
        let (drain, drain_ns) = drain.map_or((self.events.len(), u64::MAX), |at| (at, self.events[at].0));
        let rest = self.events.split_off(drain);
        self.events.extend(made.into_iter().map(|(at_ns, event)| (at_ns.min(drain_ns), event)));
        self.events.sort_by_key(|(at_ns, _)| *at_ns);
        self.events.extend(rest);
        self.list_failures(&plan);
        let booked = ledger(&rounds, &plan);
        self.each(|event| {
            if let Event::Ledger(ledger) = event {
                *ledger = booked.clone();
            }
        });
    }

    /// Each failed task, before its round is over.
    fn list_failures(&mut self, plan: &PlanFacts) {
        let mut listed = 0;
        let mut events = Vec::with_capacity(self.events.len());
        for (at_ns, event) in std::mem::take(&mut self.events) {
            if let Event::Round(round) = &event {
                for failed in failures(round, plan) {
                    listed += 1;
                    if listed <= TASK_FAILURES_MAX {
                        events.push((at_ns, Event::TaskFailed(failed)));
                    }
                }
            }
            events.push((at_ns, event));
        }
        self.events = events;
        self.each(|event| {
            if let Event::End(end) = event {
                end.task_failures_unwritten = listed.saturating_sub(TASK_FAILURES_MAX);
            }
        });
    }

    /// The last answer may come after the end of the schedule: everything after the load moves with it.
    fn drain_after_the_last(&mut self) {
        let last_ns = self.rounds().map(|round| round.finished_ns).max().unwrap_or(0);
        let drain =
            self.events.iter().position(|(_, e)| matches!(e, Event::Phase(p) if p.phase == Phase::Drain));
        let Some(drain) = drain else { return };
        let by_ns = last_ns.saturating_sub(self.events[drain].0);
        if by_ns == 0 {
            return;
        }
        for (at_ns, event) in &mut self.events[drain..] {
            if !matches!(event, Event::Round(_) | Event::Sample(_)) {
                *at_ns += by_ns;
            }
        }
    }
}

/// The failed tasks of a round, those of each workload.
fn failures(round: &Round, plan: &PlanFacts) -> Vec<TaskFailed> {
    let failed = |workload: Option<&str>| TaskFailed {
        round: round.round,
        task: "none".to_owned(),
        worker: 0,
        workload: workload.map(str::to_owned),
        reason: "no answer in time".to_owned(),
    };
    if plan.workloads.is_empty() {
        return (0..round.failed).map(|_| failed(None)).collect();
    }
    let parts = plan.workloads.iter().zip(&round.workloads);
    parts.flat_map(|(planned, part)| (0..part.failed).map(|_| failed(Some(&planned.name)))).collect()
}

/// One histogram an interval, of the tasks of the load; and of each workload.
fn for_intervals(rounds: &[Round], plan: &PlanFacts, made: &mut Vec<(u64, Event)>) {
    let load: Vec<&Round> = rounds.iter().filter(|round| round.phase == Phase::Load).collect();
    let Some(mut from_ns) = load.first().map(|round| round.scheduled_ns) else { return };
    let last_ns = load.iter().map(|round| round.finished_ns).max().unwrap_or(from_ns);
    while from_ns < last_ns {
        let to_ns = (from_ns + INTERVAL_NS).min(last_ns).max(from_ns + 1);
        let is_last = to_ns == last_ns;
        let own: Vec<&&Round> = load
            .iter()
            .filter(|r| {
                r.finished_ns >= from_ns && (r.finished_ns < to_ns || is_last && r.finished_ns == to_ns)
            })
            .collect();
        let of = |count: &dyn Fn(&Round) -> u32| {
            histogram(own.iter().map(|r| (r.finished_ns - r.scheduled_ns, count(r))))
        };
        let all = of(&|round| round.answered);
        if !all.is_empty() {
            made.push((to_ns, Event::Latency(interval(&all, from_ns, to_ns))));
        }
        for (number, facts) in plan.workloads.iter().enumerate() {
            let part = of(&|round| round.workloads.get(number).map_or(0, |part| part.answered));
            if part.is_empty() {
                continue;
            }
            let LatencyInterval { phase, start_ns, length_ns, max_ns, count, histogram, .. } =
                interval(&part, from_ns, to_ns);
            made.push((
                to_ns,
                Event::WorkloadLatency(WorkloadLatency {
                    workload: facts.name.clone(),
                    phase,
                    start_ns,
                    length_ns,
                    max_ns,
                    count,
                    histogram,
                }),
            ));
        }
        from_ns = to_ns;
    }
}

fn histogram(values: impl Iterator<Item = (u64, u32)>) -> Histogram<u64> {
    let mut out = Histogram::new(3).expect("three digits are allowed");
    for (ns, count) in values {
        if count > 0 {
            out.record_n(ns.max(1), u64::from(count)).expect("a histogram without bounds takes every value");
        }
    }
    out
}

fn interval(of: &Histogram<u64>, from_ns: u64, to_ns: u64) -> LatencyInterval {
    LatencyInterval {
        tag: LatencyTag::Task,
        phase: Phase::Load,
        start_ns: from_ns,
        length_ns: to_ns - from_ns,
        max_ns: of.max(),
        count: of.len(),
        histogram: written(of),
    }
}

/// What both ends have counted.
pub(super) fn ledger(rounds: &[Round], plan: &PlanFacts) -> Ledger {
    let count = plan.coordinators.max(1);
    let mut rows = vec![LedgerRow::default(); count as usize];
    let mut refused = 0;
    for round in rounds {
        refused += u64::from(round.causes.refused);
        let mut failed = round.failed.saturating_sub(round.causes.refused);
        for (number, row) in rows.iter_mut().enumerate() {
            let answered = round.coordinators.get(number).copied().unwrap_or(round.answered);
            let lost = failed.min(round.tasks / count);
            failed -= lost;
            row.answered += u64::from(answered);
            row.failed += u64::from(lost);
            row.accepted += u64::from(answered + lost);
        }
        rows[0].late += u64::from(round.late);
        rows[0].duplicates += u64::from(round.duplicates);
    }
    let retried: u64 = rounds.iter().map(|round| u64::from(round.retried)).sum();
    let client = rows.iter().fold(LedgerRow::default(), |sum, row| sum.plus(*row));
    let coordinators = (0..count)
        .zip(&rows)
        .map(|(number, row)| CoordinatorLedger {
            name: format!("coord/{number}"),
            client: *row,
            coordinator: Some(*row),
            executed_by_workers: Some(row.answered),
        })
        .collect();
    let batch = |messages: u64| Batch { messages, batches: messages.div_ceil(10) };
    Ledger {
        client,
        coordinators,
        refused,
        rejected: 0,
        evidence: LedgerEvidence::Workers,
        pool: Some(Pool { hits: client.accepted + retried, retried, ..Pool::default() }),
        batches: Some(Batches {
            tasks: batch(client.accepted),
            answers: batch(client.answered + client.failed),
        }),
    }
}
