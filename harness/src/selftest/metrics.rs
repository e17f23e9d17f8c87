//! A canary for every metric.

use super::bend::{first_round, ledger, own, rounds, rows, stopped, sweeps};
use super::{Canary, Kind};
use crate::synthetic::overlay::{self, killed_and_back};
use crate::synthetic::settle::{lost, took};
use crate::synthetic::{MS_NS, SECOND_NS, Synthetic};
use reports::criterion::{Metric, MetricId as Id};
use reports::runlog::event::{Batch, Batches, Causes, End, Event, IncidentKind, PlanFacts, Pool, Round};
use reports::verdict::Check;

const DEATH: &[Check] = &[Check::NoDeath];
const TWICE: &[Check] = &[Check::CountedOnce];
const UNSEEN: &[Check] = &[Check::AgentsSeen, Check::PssRead];

/// One for each, or it does not compile.
pub(super) fn canary(metric: Id) -> Canary {
    let of = |asks, bend| Canary::new(Kind::Metric, Metric::of(metric).name, asks, bend);
    match metric {
        Id::CoordinationTime => of("coordination.time p95 < 1s", slow),
        Id::TaskTime => of("task.time p95 < 1s", slow),
        Id::Silence => of("silence < 10s", |run| overlay::sleep(run, 100, 30 * SECOND_NS)),
        Id::GapTime => of("gap.time < 5m", interrupted_for_long).sound(interrupted),
        Id::DeliveryRate => of("delivery.rate >= 99%", |run| rounds(run, |_, r, p| lost(r, 1, p))),
        Id::DeliveryLate => of("delivery.late == 0", |run| one_lost(run, |r| r.late = 1)),
        Id::DeliveryDuplicates => of("delivery.duplicates == 0", twice).also(TWICE),
        Id::DeliveryCorrupt => of("delivery.corrupt == 0", |run| one_lost(run, |r| r.corrupt = 1)),
        Id::DeliveryFailed => of("delivery.failed == 0", |run| one_lost(run, |_| {})),
        Id::ThroughputTasks => of("throughput.tasks >= 2.5/s", half_lost),
        Id::ThroughputMessages => of("throughput.messages >= 10/s", half_lost),
        Id::MemoryPss => of("memory.pss max < 64MiB", fat),
        Id::MemoryRss => of("memory.rss max < 64MiB", fat),
        Id::MemoryAnon => of("memory.anon max < 64MiB", fat),
        Id::MemoryVsz => of("memory.vsz max < 32GiB", fat),
        Id::Fds => of("fds max < 200", |run| rows(run, |_, r| r.fds = 30)),
        Id::FdsUse => of("fds.use max < 80%", |run| rows(run, |_, r| r.fds = 1_000)),
        Id::Threads => of("threads max < 20", |run| rows(run, |_, r| r.threads = 9)),
        Id::Cpu => of("cpu max < 0.5 cores", |run| rows(run, |_, r| r.cpu_us *= 2_000)),
        Id::SwitchesVoluntary => of("switches.voluntary max < 1000/s", switching),
        Id::SwitchesInvoluntary => of("switches.involuntary max < 1000/s", switching),
        Id::ShmUsed => of("shm.used max < 64MiB", much_shm),
        Id::HostLoad => of("host.load max < 8", |run| sweeps(run, |s| s.host.load1 = 12.0)),
        Id::HostSteal => of("host.steal mean < 5%", stolen),
        Id::Balance => of("balance < 5%", uneven),
        Id::PoolReuse => of("pool.reuse >= 90%", half_missed),
        Id::PoolPoisoned => of("pool.poisoned == 0", |run| pool(run, |p| p.poisoned = 1)),
        Id::Retries => of("retries == 0", one_retry),
        Id::BatchTasks => of("batch.tasks >= 2", single),
        Id::BatchAnswers => of("batch.answers >= 2", single),
        Id::BatchEfficiency => of("batch.efficiency >= 80%", single),
        Id::Timeouts => of("timeouts == 0", |run| because(run, |causes| causes.timed_out = 1)),
        Id::ExitsNonzero => of("exits.nonzero == 0", |run| because(run, |causes| causes.exited = 1)),
        Id::FailuresDeaths => of("failures.deaths == 0", |run| because(run, |causes| causes.died = 1)),
        Id::FailuresRefused => of("failures.refused == 0", |run| because(run, |causes| causes.refused = 1)),
        Id::FailuresOther => of("failures.other == 0", |run| because(run, |_| {})),
        Id::Incidents => of("incidents == 0", overlay::die_in_the_middle).also(DEATH),
        Id::IncidentsMinor => of("incidents.minor == 0", |run| stopped(run, IncidentKind::Stopped)),
        Id::RecoveryTime => of("recovery.time max < 1s", back_late).sound(killed_and_back),
        Id::DetectionTime => of("detection.time max < 100ms", seen_late).sound(killed_and_back),
        Id::DeathDetection => of("death.detection max < 100ms", noticed_late).sound(noticed),
        Id::ScalingTime => of("scaling.time max < 5s", resized_late).sound(resized),
        Id::FaultLoss => of("fault.loss == 0", fault_loses).lay(killed_and_back),
        Id::FaultDuplicates => of("fault.duplicates == 0", fault_doubles).lay(killed_and_back).also(TWICE),
        Id::FaultTasksHit => of("fault.tasks_hit == 0", fault_hits).lay(killed_and_back),
        Id::AgentsLive => of("agents.live min >= 9", overlay::one_unseen).also(UNSEEN),
        Id::FirstAnswer => of("first.answer p95 < 200ms", slow),
        Id::CompletionTime => of("completion.time p95 < 10ms", slow),
        Id::LoadLateness => of("load.lateness p95 < 10ms", load_late),
        Id::SamplerLateness => of("sampler.lateness p95 < 100ms", sweeps_late),
        Id::SamplerCost => of("sampler.cost mean < 5%", sweeps_expensive),
        Id::HarnessCpu => of("harness.cpu mean < 50%", own_cpu),
        Id::HarnessRss => of("harness.rss max < 128MiB", own_memory),
        Id::LaunchTime => of("launch.time < 500ms", launched_late),
        Id::LaunchRatio => of("launch.ratio < 200%", launched_late),
    }
}

fn slow(run: &mut Synthetic) {
    rounds(run, |_, round, _| took(round, 3 * SECOND_NS / 2));
}

fn interrupted(run: &mut Synthetic) {
    overlay::resumed(run, 60 * SECOND_NS);
}

fn interrupted_for_long(run: &mut Synthetic) {
    overlay::resumed(run, 600 * SECOND_NS);
}

fn half_lost(run: &mut Synthetic) {
    rounds(run, |_, round, plan| lost(round, round.tasks / 2, plan));
}

/// One task of the first round is lost, and something else is said of the round.
fn one_lost(run: &mut Synthetic, bend: impl Fn(&mut Round)) {
    first_round(run, |round, plan| {
        lost(round, 1, plan);
        bend(round);
    });
}

fn because(run: &mut Synthetic, bend: impl Fn(&mut Causes)) {
    one_lost(run, |round| bend(&mut round.causes));
}

fn twice(run: &mut Synthetic) {
    first_round(run, |round, _| round.duplicates = 1);
}

fn fat(run: &mut Synthetic) {
    rows(run, |_, row| {
        row.pss_kib = row.pss_kib.map(|_| 60_000);
        (row.rss_kib, row.anon_kib, row.vsz_kib) = (70_000, 60_000, 8 << 20);
    });
}

fn switching(run: &mut Synthetic) {
    rows(run, |sweep, row| {
        (row.voluntary_switches, row.involuntary_switches) = (sweep * 10_000 + 1, sweep * 10_000 + 1);
    });
}

fn much_shm(run: &mut Synthetic) {
    sweeps(run, |s| (s.host.fleet_shm_bytes, s.host.shm_used_bytes) = (80 << 20, 90 << 20));
}

fn stolen(run: &mut Synthetic) {
    sweeps(run, |s| s.host.steal_ticks = Some(5_000 + s.sweep * 200));
}

/// The first coordinator has more to do than the other.
fn uneven(run: &mut Synthetic) {
    rounds(run, |_, round, _| {
        let each = round.tasks / 2;
        round.coordinators = vec![each + 1, each - 1];
    });
}

fn pool(run: &mut Synthetic, bend: impl Fn(&mut Pool)) {
    ledger(run, |ledger| ledger.pool.iter_mut().for_each(&bend));
}

fn half_missed(run: &mut Synthetic) {
    pool(run, |p| (p.hits, p.misses) = (p.hits - p.hits / 2, p.hits / 2));
}

fn one_retry(run: &mut Synthetic) {
    first_round(run, |round, _| round.retried = 1);
}

/// Every message was published alone.
fn single(run: &mut Synthetic) {
    let alone = |batch: Batch| Batch { batches: batch.messages, ..batch };
    ledger(run, |ledger| {
        ledger.batches = ledger.batches.map(|b| Batches { tasks: alone(b.tasks), answers: alone(b.answers) });
    });
}

fn back_late(run: &mut Synthetic) {
    overlay::killed(run, (2 * MS_NS, 15 * SECOND_NS));
}

fn seen_late(run: &mut Synthetic) {
    overlay::killed(run, (SECOND_NS, 2 * SECOND_NS));
}

fn noticed(run: &mut Synthetic) {
    overlay::noticed(run, MS_NS);
}

fn noticed_late(run: &mut Synthetic) {
    overlay::noticed(run, SECOND_NS);
}

fn resized(run: &mut Synthetic) {
    overlay::resized(run, SECOND_NS);
}

fn resized_late(run: &mut Synthetic) {
    overlay::resized(run, 10 * SECOND_NS);
}

fn fault_loses(run: &mut Synthetic) {
    around_fault(run, |round, plan| lost(round, 1, plan));
}

fn fault_doubles(run: &mut Synthetic) {
    around_fault(run, |round, _| round.duplicates = 1);
}

fn fault_hits(run: &mut Synthetic) {
    around_fault(run, |round, _| round.retried = 1);
}

/// Rounds that end within three seconds of the injection.
fn around_fault(run: &mut Synthetic, bend: impl Fn(&mut Round, &PlanFacts)) {
    let at_ns = run.middle_ns();
    rounds(run, |_, round, plan| {
        if (at_ns..at_ns + 3 * SECOND_NS).contains(&round.finished_ns) {
            bend(round, plan);
        }
    });
}

fn load_late(run: &mut Synthetic) {
    rounds(run, |_, round, _| {
        round.started_ns = round.scheduled_ns + 20 * MS_NS;
        took(round, 25 * MS_NS);
    });
}

fn sweeps_late(run: &mut Synthetic) {
    sweeps(run, |sample| sample.started_ns = sample.due_ns + SECOND_NS);
    run.settle();
}

fn sweeps_expensive(run: &mut Synthetic) {
    sweeps(run, |sample| (sample.took_ns, sample.cpu_ns) = (SECOND_NS, SECOND_NS));
    run.settle();
}

fn own_cpu(run: &mut Synthetic) {
    own(run, |sweep, row| row.cpu_us = sweep * 9_000_000 + 1);
    end(run, |end| end.harness_cpu_ns *= 900);
}

fn own_memory(run: &mut Synthetic) {
    own(run, |_, row| row.rss_kib = 150_000);
    end(run, |end| end.harness_rss_max_kib = 150_000);
}

fn end(run: &mut Synthetic, bend: impl Fn(&mut End)) {
    run.each(|event| {
        if let Event::End(end) = event {
            bend(end);
        }
    });
}

fn launched_late(run: &mut Synthetic) {
    run.each(|event| {
        if let Event::Agents(agents) = event {
            agents.launch_ns = 900 * MS_NS;
        }
    });
}
