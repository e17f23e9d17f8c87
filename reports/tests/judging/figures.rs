//! Each kind of figure against its limit.

use reports::Verdict;

use crate::gates::{asked, judged};
use crate::synthetic::Run;

const MS: u64 = 1_000_000;

#[test]
fn a_percentile_needs_a_sample_that_supports_it() {
    // With fewer, one in a hundred may be over it and none have shown itself, once in twenty runs.
    for (quantile, least) in [("p99", 299), ("p95", 59), ("p90", 29)] {
        let run = |rounds| Run { rounds, ..Run::asking(&format!("coordination.time {quantile} < 1s")) };
        let judgement = asked(run(least - 1), Verdict::Inconclusive);
        let note = judgement.criteria[0].note.clone().unwrap();
        assert!(note.contains(&format!("it takes {least} to say")), "{note}");
        asked(run(least), Verdict::Pass);
    }
    asked(Run::asking("coordination.time p99.9 < 1s"), Verdict::Inconclusive);
    asked(Run { rounds: 20, ..Run::asking("coordination.time max < 1s") }, Verdict::Pass);
}

#[test]
fn slow_rounds_fail_each_aggregation() {
    let slow: fn(u64) -> u64 = |n| if n % 20 == 0 { 2_000 * MS } else { 400 * MS };
    for (text, verdict) in [
        ("coordination.time p50 < 300ms", Verdict::Fail),
        ("coordination.time p99 < 1s", Verdict::Fail),
        ("coordination.time max < 1s", Verdict::Fail),
        ("coordination.time mean < 450ms", Verdict::Fail),
        ("coordination.time p90 < 1s", Verdict::Pass),
        ("task.time max < 1s", Verdict::Fail),
        ("load.lateness p99 < 10us", Verdict::Fail),
        ("launch.time < 10ms", Verdict::Fail),
    ] {
        asked(Run { round_ns: slow, ..Run::asking(text) }, verdict);
    }
}

#[test]
fn rounds_that_slow_down_drift() {
    let run = Run { round_ns: |n| (100 + n) * MS, ..Run::asking("coordination.time drift < 20%") };
    asked(run, Verdict::Fail);
    let steady: fn(u64) -> u64 = |n| (100 + n * 7 % 11) * MS;
    asked(Run { round_ns: steady, ..Run::asking("coordination.time drift < 20%") }, Verdict::Pass);
    // From 5 to 15 ms by chance: such medians may move by a fifth and mean nothing.
    asked(Run::asking("coordination.time drift < 20%"), Verdict::Inconclusive);
}

#[test]
fn lost_tasks_fail_and_a_little_loss_is_conditional() {
    let lossy = |failed| Run { failed, ..Run::default() };
    let judgement = judged(&lossy(|n| u32::from(n % 40 == 7)));
    assert_eq!(judgement.criteria[0].verdict, Verdict::Conditional);
    assert_eq!(
        (judgement.verdict, judgement.exit.code),
        (Verdict::Conditional, 11),
        "{:#?}",
        judgement.reasons
    );
    let facts = crate::synthetic::facts(&lossy(|n| u32::from(n % 40 == 7)).log());
    let junit = reports::render::junit::render(&judgement, &facts);
    assert!(junit.contains("it still meets `delivery.rate &gt;= 99%`"), "{junit}");
    let judgement = judged(&lossy(|n| u32::from(n % 2 == 0)));
    assert_eq!((judgement.verdict, judgement.exit.code), (Verdict::Fail, 10));
}

#[test]
fn the_worst_window_decides_where_windows_are_asked() {
    let bad_minute: fn(u64) -> u32 = |n| if (40..50).contains(&n) { 6 } else { 0 };
    asked(Run { failed: bad_minute, ..Run::asking("delivery.rate >= 85%") }, Verdict::Pass);
    // 91.7 % of 720: it may be less than 90 % of many more.
    asked(Run { failed: bad_minute, ..Run::asking("delivery.rate >= 90%") }, Verdict::Inconclusive);
    asked(Run { failed: bad_minute, ..Run::asking("delivery.rate >= 90% every 10s") }, Verdict::Fail);
    let judgement = asked(Run::asking("delivery.rate >= 90% every 1h"), Verdict::Inconclusive);
    assert!(judgement.criteria[0].note.as_ref().unwrap().contains("no window of 1 h is complete"));
}

#[test]
fn counts_and_rates_fail() {
    for text in [
        "delivery.failed == 0",
        "throughput.tasks >= 13/s",
        "throughput.messages >= 48/s",
        "delivery.failed < 20",
    ] {
        asked(Run { failed: |n| u32::from(n < 20), ..Run::asking(text) }, Verdict::Fail);
    }
    asked(Run::asking("throughput.messages >= 47/s"), Verdict::Pass);
}

#[test]
fn figures_of_the_sampler_fail() {
    for text in [
        "memory.pss max < 10MiB",
        "memory.rss.workers mean < 1MiB",
        "memory.anon.supervisor max < 1MiB",
        "memory.rss.harness max < 5MiB",
        "harness.rss max < 5MiB",
        "harness.cpu mean < 1%",
        "fds max < 12",
        "fds.use max < 1%",
        "threads max < 9",
        "cpu mean < 0.01 cores",
        "shm.used max < 1MiB",
        "agents.live min >= 10",
        "sampler.lateness max < 10us",
        "sampler.cost mean < 0.01%",
    ] {
        asked(Run::asking(text), Verdict::Fail);
    }
}

#[test]
fn a_leak_fails_a_level_passes_and_noise_is_open() {
    let hour = |worker_pss_kib| Run {
        rounds: 720,
        round_every_ns: 5_000 * MS,
        sample_every_ns: 5_000 * MS,
        pss_every_ns: 10_000 * MS,
        worker_pss_kib,
        ..Run::asking("memory.pss.workers slope < 10%/h")
    };
    asked(hour(|n| 2_000 + n * 2), Verdict::Fail);
    asked(hour(|n| 2_000 + n % 3), Verdict::Pass);
    let noise: fn(u64) -> u64 = |n| 2_000 + n * n * 2_654_435_761 % 4_001;
    let judgement = judged(&Run { rounds: 120, ..hour(noise) });
    assert_eq!(judgement.criteria[0].verdict, Verdict::Inconclusive, "{:#?}", judgement.criteria[0]);
    assert!(judgement.criteria[0].interval.is_some());
}

#[test]
fn a_rehearsal_is_held_to_the_slope_of_the_scenarios_time() {
    // One minute stands for an hour: 1 % in a real minute is 1 % an hour.
    let run = |pass| Run { rehearsal: Some(60.0), worker_pss_kib: |n| 100_000 + n * 17, ..Run::asking(pass) };
    asked(run("memory.pss.workers slope < 3%/h"), Verdict::Pass);
    let judgement = asked(run("memory.pss.workers slope < 0.5%/h"), Verdict::Fail);
    assert!(!judgement.satisfies_gate && judgement.headline().contains("rehearsal 60x"));
}
