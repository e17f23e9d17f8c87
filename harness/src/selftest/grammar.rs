//! A canary for every aggregation and comparator, and for what may follow a threshold.

use super::bend::{first_round, rounds, rows};
use super::{Canary, Kind};
use crate::synthetic::overlay::{self, WORKER};
use crate::synthetic::settle::{lost, took};
use crate::synthetic::{SECOND_NS, Synthetic};
use reports::Verdict;
use reports::criterion::{Aggregation, Comparator};
use reports::runlog::event::StrayAnswers;
use reports::verdict::Check;

pub(super) fn canaries() -> impl Iterator<Item = Canary> {
    use Aggregation::{Drift, Growth, Max, Mean, Min, P50, P90, P95, P99, P999, Slope, Whole};
    use Comparator::{AtLeast, AtMost, Equal, Greater, Less};
    let aggregations = [Whole, P50, P90, P95, P99, P999, Max, Min, Mean, Slope, Growth, Drift];
    let comparators = [Less, AtMost, Greater, AtLeast, Equal];
    aggregations
        .into_iter()
        .map(aggregation)
        .chain(comparators.into_iter().map(comparator))
        .chain(of_processes())
        .chain(of_parts())
        .chain(open())
}

fn of(name: &str, asks: &'static str, bend: fn(&mut Synthetic)) -> Canary {
    Canary::new(Kind::Grammar, name, asks, bend)
}

/// One for each, or it does not compile. Of percentiles, just as many are slow as it takes.
fn aggregation(aggregation: Aggregation) -> Canary {
    use Aggregation as Of;
    match aggregation {
        Of::Whole => of("whole run", "delivery.rate >= 99%", |run| rounds(run, |_, r, p| lost(r, 1, p))),
        Of::P50 => of("p50", "task.time p50 < 100ms", |run| slow_from(run, 1_700)),
        Of::P90 => of("p90", "task.time p90 < 100ms", |run| one_slow_in(run, 8)),
        Of::P95 => of("p95", "task.time p95 < 100ms", |run| one_slow_in(run, 16)),
        Of::P99 => of("p99", "task.time p99 < 100ms", |run| one_slow_in(run, 70)),
        Of::P999 => of("p99.9", "task.time p99.9 < 100ms", |run| one_slow_in(run, 400)),
        Of::Max => of("max", "task.time max < 100ms", |run| first_round(run, |r, _| took(r, SECOND_NS))),
        Of::Min => of("min", "fds min >= 108", |run| {
            rows(run, |sweep, r| r.fds = if sweep == 200 { 11 } else { r.fds });
        }),
        Of::Mean => of("mean", "task.time mean < 100ms", |run| one_slow_in(run, 4)),
        Of::Slope => of("slope", "memory.pss slope < 10%/h", |run| grow(run, 0, 200)),
        Of::Growth => of("growth", "memory.pss growth < 10%", |run| grow(run, 0, 100)),
        Of::Drift => of("drift", "coordination.time drift < 20%", |run| {
            rounds(run, |number, r, p| {
                let took_ns = r.finished_ns - r.scheduled_ns;
                took(r, took_ns + took_ns * number / p.rounds_planned / 2);
            });
        }),
    }
}

/// One for each, or it does not compile.
fn comparator(comparator: Comparator) -> Canary {
    match comparator {
        Comparator::Less => of("<", "fds max < 109", |run| rows(run, |_, r| r.fds = 13)),
        Comparator::AtMost => of("<=", "fds max <= 108", |run| rows(run, |_, r| r.fds = 13)),
        Comparator::Greater => of(">", "fds min > 107", |run| rows(run, |_, r| r.fds = 11)),
        Comparator::AtLeast => of(">=", "fds min >= 108", |run| rows(run, |_, r| r.fds = 11)),
        Comparator::Equal => of("==", "delivery.failed == 0", |run| first_round(run, |r, p| lost(r, 1, p))),
    }
}

/// Of single processes, and of trends that begin late.
fn of_processes() -> [Canary; 6] {
    [
        of("each, max", "memory.anon max < 8MiB each", |run| {
            one(run, |_, row| row.anon_kib = 10_000);
        })
        .lay(|run| rows(run, |_, row| row.rss_kib = 20_000)),
        of("each, slope", "memory.anon slope < 1MiB/h each", |run| {
            one(run, |sweep, row| row.anon_kib += sweep * 10);
        })
        .lay(|run| rows(run, |_, row| row.rss_kib = 20_000)),
        of("each, growth", "fds growth < 10% each", |run| {
            one(run, |sweep, row| row.fds += sweep as u32 / 60);
        }),
        of("beside a sum", "fds slope < 2/h", |run| one(run, |sweep, row| row.fds += sweep as u32 / 60)),
        of("late leak", "memory.pss slope < 10%/h", |run| grow(run, 540, 1_100)),
        of("step", "memory.pss growth < 10%", |run| {
            rows(run, |sweep, row| add(row, if sweep > 500 { 1_000 } else { 0 }));
        }),
    ]
}

/// Of a part of the run or of its tasks.
fn of_parts() -> [Canary; 6] {
    let of_a = "task.time{workload=\"a\"} p95 < 100ms";
    [
        of("every, of a rate", "delivery.rate >= 95% every 15m", outage),
        of("every, of times", "task.time p95 < 100ms every 15m", |run| {
            rounds(run, |number, r, _| {
                if (1_800..2_250).contains(&number) {
                    took(r, SECOND_NS);
                }
            });
        }),
        of("of one workload", of_a, |run| rounds(run, |_, r, _| took(r, SECOND_NS))).lay(overlay::mixed),
        of("of one coordinator", "delivery.late{coordinator=\"1\"} == 0", |run| {
            first_round(run, |round, plan| {
                lost(round, 1, plan);
                round.late = 1;
                let stray = StrayAnswers { coordinator: Some(1), workload: None, late: 1, duplicates: 0 };
                round.strays = vec![stray];
            });
        }),
        of("after a fault", "delivery.rate >= 100% after fault", |run| {
            rounds(run, |number, r, p| lost(r, u32::from(number == p.rounds_planned - 1), p));
        })
        .lay(overlay::killed_and_back),
        of("before a fault", "delivery.rate >= 100% before fault", |run| {
            first_round(run, |r, p| lost(r, 1, p));
        })
        .lay(overlay::killed_and_back),
    ]
}

/// Neither PASS nor FAIL.
fn open() -> [Canary; 3] {
    [
        of("conditional", "fds max < 109", |run| rows(run, |_, r| r.fds = 13))
            .lay(|run| {
                for spec in &mut run.header().criteria {
                    spec.conditional = Some("fds max < 200".to_owned());
                }
            })
            .wants(Verdict::Conditional),
        of("too few for a percentile", "task.time p99 < 100ms every 1m", |_| {})
            .sound(|run| {
                for spec in &mut run.header().criteria {
                    "task.time p99 < 100ms".clone_into(&mut spec.pass);
                }
            })
            .wants(Verdict::Inconclusive),
        of("memory that was not read", "memory.pss max < 64MiB", |run| rows(run, |_, r| r.pss_kib = None))
            .wants(Verdict::Inconclusive)
            .also(&[Check::PssRead]),
    ]
}

/// One round in so many is slow.
fn one_slow_in(run: &mut Synthetic, count: u64) {
    rounds(run, |number, round, _| {
        if number % count == 1 {
            took(round, SECOND_NS);
        }
    });
}

/// All rounds from this one on are slow.
fn slow_from(run: &mut Synthetic, first: u64) {
    rounds(run, |number, round, _| {
        if number >= first {
            took(round, SECOND_NS);
        }
    });
}

/// A quarter of an hour in which a tenth of the tasks is lost.
fn outage(run: &mut Synthetic) {
    rounds(run, |number, round, plan| {
        if (900..1_350).contains(&number) {
            lost(round, u32::from(number % 2 == 0), plan);
        }
    });
}

/// Each process grows from this sweep on, by so many hundredths of a KiB a sweep.
fn grow(run: &mut Synthetic, from: u64, by: u64) {
    rows(run, |sweep, row| add(row, sweep.saturating_sub(from) * by / 100));
}

fn add(row: &mut reports::runlog::event::AgentSample, kib: u64) {
    row.rss_kib += kib;
    row.pss_kib = row.pss_kib.map(|pss_kib| pss_kib + kib);
}

/// One worker of all.
fn one(run: &mut Synthetic, bend: impl Fn(u64, &mut reports::runlog::event::AgentSample)) {
    let worker = overlay::agent(run, WORKER);
    rows(run, |sweep, row| {
        if row.agent == worker {
            bend(sweep, row);
        }
    });
}
