//! Long runs that grow, leak, jump, level off and rise and fall: what a judge must see, and what it must not claim.

use reports::Verdict;
use reports::runlog::event::{AgentReplaced, Event, FaultKind, Sample};
use reports::verdict::CriterionResult;

use crate::contention::with_fault;
use crate::synthetic::{Run, SECOND, criterion, judge, log_of};

const MINUTE: u64 = 60 * SECOND;
/// Sweeps before the load.
const BEFORE: u64 = 10;
const MS: u64 = 1_000_000;
const SLOPE: &str = "memory.pss.workers slope < 1%/h";
const GROWTH: &str = "memory.pss.workers growth < 10%";

/// A sweep and a round every minute, for so many hours.
fn hours(hours: u64, criteria: &[&str]) -> Run {
    Run {
        rounds: hours * 60,
        warm_up_rounds: BEFORE,
        round_every_ns: MINUTE,
        sample_every_ns: MINUTE,
        pss_every_ns: MINUTE,
        criteria: criteria.iter().map(|pass| criterion(pass, pass, None)).collect(),
        ..Run::default()
    }
}

/// Between -1 and 1, the same each time.
fn noise(n: u64) -> f64 {
    let mixed = (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (mixed >> 11) as f64 / (1u64 << 52) as f64 - 1.0
}

/// Hours of load at a sweep.
fn at(sweep: u64) -> f64 {
    sweep.saturating_sub(BEFORE) as f64 / 60.0
}

/// The events of the run, with the rows of each sweep of the load changed: time in hours, sweep, place of the row.
fn bent(run: &Run, bend: impl Fn(&mut Sample, f64, u64)) -> Vec<CriterionResult> {
    let mut events = run.events();
    for (_, event) in &mut events {
        if let Event::Sample(sample) = event {
            let sweep = sample.sweep;
            bend(sample, at(sweep), sweep);
        }
    }
    judge(&log_of(events)).criteria
}

/// PSS of each worker as a share of 100 MiB, with a little noise; the verdicts of slope and growth.
fn memory(of_hours: u64, level: fn(f64) -> f64) -> [CriterionResult; 2] {
    with_noise(of_hours, 0.002, level)
}

fn with_noise(of_hours: u64, share: f64, level: fn(f64) -> f64) -> [CriterionResult; 2] {
    let results = bent(&hours(of_hours, &[SLOPE, GROWTH]), |sample, t, sweep| {
        for row in sample.agents.iter_mut().filter(|row| row.agent > 2) {
            let place = u64::from(row.agent);
            let kib = 102_400.0 * (level(t) + share * noise(sweep * 31 + place));
            row.pss_kib = Some(kib as u64);
            row.rss_kib = kib as u64 + 1_500;
        }
    });
    results.try_into().unwrap()
}

fn says(result: &CriterionResult, verdict: Verdict, note: &str) {
    assert_eq!(result.verdict, verdict, "{result:#?}");
    assert!(result.note.as_deref().unwrap_or_default().contains(note), "{note}: {:?}", result.note);
}

#[test]
fn a_leak_in_the_last_part_of_a_run_fails() {
    for (length, level) in [
        (24, (|t| if t < 18.0 { 1.0 } else { 1.0 + 2.8 * (t - 18.0) / 6.0 }) as fn(f64) -> f64),
        (24, |t| 1.0 + 0.05 * (t - 16.8).max(0.0)),
        (8, |t| 1.0 + 0.20 * (t - 5.6).max(0.0)),
        (24, |t| 1.0 + 0.08 * (t - 20.0).max(0.0)),
    ] {
        let [slope, growth] = memory(length, level);
        says(&slope, Verdict::Fail, "");
        says(&growth, Verdict::Fail, "");
    }
}

#[test]
fn a_jump_fails_and_is_reported_at_its_time() {
    for (level, when) in [
        ((|t| if t < 18.0 { 1.0 } else { 2.0 }) as fn(f64) -> f64, "+100 % at 18 h"),
        (|t| if t < 12.0 { 1.0 } else { 2.0 }, "+100 % at 12 h"),
        (|t| if t < 22.3 { 1.0 } else { 1.49 }, "+49 % at 22 h"),
        (|t| if t < 23.4 { 1.0 } else { 1.49 }, "+49 % at 23 h"),
    ] {
        let [slope, growth] = memory(24, level);
        says(&growth, Verdict::Fail, when);
        says(&slope, Verdict::Fail, when);
    }
    // Whether what begins with the last medians lasts is not known.
    let [_, growth] = memory(24, |t| if t < 23.9 { 1.0 } else { 1.49 });
    assert_ne!(growth.verdict, Verdict::Pass, "{growth:#?}");
}

#[test]
fn growth_is_that_of_the_whole_run() {
    let [slope, growth] = memory(24, |t| 1.0 + 0.148 * t / 24.0);
    says(&growth, Verdict::Fail, "");
    says(&slope, Verdict::Pass, "");
    assert!((growth.value.unwrap() - 0.148).abs() < 0.01, "{growth:#?}");
}

#[test]
fn a_level_a_warm_up_and_a_spike_pass() {
    for level in [
        (|_| 1.0) as fn(f64) -> f64,
        |t| if t < 2.0 { 0.5 + t / 4.0 } else { 1.0 },
        |t| 1.0 - 0.6 * (-t / 0.5).exp(),
        |t| if (10.0..10.2).contains(&t) { 3.0 } else { 1.0 },
        // It gives memory back.
        |t| if t < 14.0 { 1.0 } else { 0.7 },
        |t| 1.0 - 0.002 * t,
    ] {
        for result in memory(24, level) {
            says(&result, Verdict::Pass, "");
        }
    }
}

#[test]
fn what_still_levels_off_is_open_and_says_how_long_it_needs() {
    let [slope, growth] = memory(8, |t| 2.0 - (-t / 2.0).exp());
    says(&slope, Verdict::Inconclusive, "levels off");
    says(&growth, Verdict::Inconclusive, "more would show the steady level");
    // A leak under a warm-up is one.
    let [slope, _] = memory(8, |t| 1.3 - 0.3 * (-t / 0.5).exp() + 0.05 * t);
    says(&slope, Verdict::Fail, "");
}

#[test]
fn a_sawtooth_is_no_leak_and_a_leak_that_restarts_hide_is_one() {
    // A collector, of which the run holds one and a half periods.
    let [slope, growth] = memory(8, |t| 1.0 + 0.4 * (t % 5.0) / 5.0);
    says(&slope, Verdict::Inconclusive, "it rises and falls");
    says(&growth, Verdict::Inconclusive, "it rises and falls");
    // Twelve of them: level, and steeper between the falls than the limit. It is not known what lets it fall.
    let [slope, _] = memory(24, |t| 1.0 + 0.05 * (t % 2.0));
    says(&slope, Verdict::Inconclusive, "something resets");
    // Rising minima are a leak, whatever falls between.
    let [slope, _] = memory(24, |t| 1.0 + 0.05 * t + 0.2 * (t % 2.0));
    says(&slope, Verdict::Fail, "");

    // The same leak, where the falls are the workers' replacements.
    let run = hours(24, &[SLOPE]);
    let mut events = run.events();
    let mut replaced = Vec::new();
    for (t_ns, event) in &mut events {
        let Event::Sample(sample) = event else { continue };
        let (t, life) = (at(sample.sweep), (at(sample.sweep) / 2.0) as u32 + 1);
        for row in sample.agents.iter_mut().filter(|row| row.agent > 2) {
            row.pss_kib = Some((102_400.0 * (1.0 + 0.05 * (t % 2.0))) as u64);
            if row.incarnation != life {
                replaced.push((*t_ns - 1, row.agent, life));
            }
            row.incarnation = life;
        }
    }
    replaced.sort_unstable();
    replaced.dedup_by_key(|r| (r.1, r.2));
    for (t_ns, agent, incarnation) in replaced {
        let name = format!("worker/{agent}");
        let pid = 5_000 + agent * 100 + incarnation;
        let event = AgentReplaced { agent, incarnation, name, pid, start_ticks: 99, seen_ns: t_ns };
        events.push((t_ns, Event::AgentReplaced(event)));
    }
    events.sort_by_key(|e| e.0);
    let judged = judge(&log_of(events));
    says(&judged.criteria[0], Verdict::Fail, "which come with restarts");
}

#[test]
fn one_process_that_leaks_among_many_fails() {
    let leaks = |criteria: &[&str], bend: fn(&mut Sample, f64)| {
        bent(&Run { workers: 20, ..hours(24, criteria) }, |sample, t, _| bend(sample, t))
    };
    let anon = "memory.anon slope < 1MiB/h each";
    let [result] = leaks(&[anon], |sample, t| {
        sample.agents[7].anon_kib += (t * 5.0 * 1024.0) as u64;
        sample.agents[7].rss_kib += (t * 5.0 * 1024.0) as u64;
    })
    .try_into()
    .unwrap();
    says(&result, Verdict::Fail, "the worst of 43 processes");
    assert!((result.value.unwrap() / 1024.0 / 1024.0 - 5.0).abs() < 0.1, "{result:#?}");
    let [result] = leaks(&[anon], |_, _| {}).try_into().unwrap();
    says(&result, Verdict::Pass, "");

    // 30 an hour for the last seven; and one rises as another one falls.
    let late: fn(&mut Sample, f64) = |sample, t| sample.agents[9].fds += ((t - 17.0).max(0.0) * 30.0) as u32;
    let hidden: fn(&mut Sample, f64) = |sample, t| {
        sample.agents[9].fds += 2 * t as u32;
        sample.agents[10].fds += 48 - 2 * t as u32;
    };
    for bend in [late, hidden] {
        for fds in ["fds slope < 1/h each", "fds slope < 1/h"] {
            let [result] = leaks(&[fds], bend).try_into().unwrap();
            says(&result, Verdict::Fail, "");
        }
    }
    let [result] = leaks(&["fds.workers max < 20 each"], late).try_into().unwrap();
    says(&result, Verdict::Fail, "worker/");
}

/// What another process's replacement has to do with it, a process's own fall does not say.
#[test]
fn a_process_that_collects_as_another_one_is_replaced_is_no_leak() {
    let run = hours(24, &["memory.anon slope < 1MiB/h each"]);
    let mut events = run.events();
    let mut replaced = Vec::new();
    for (t_ns, event) in &mut events {
        let Event::Sample(sample) = event else { continue };
        let (t, life) = (at(sample.sweep), (at(sample.sweep) / 2.0) as u32 + 1);
        for row in &mut sample.agents {
            if row.agent == 4 {
                row.anon_kib = 102_400 + (10_240.0 * (t % 2.0)) as u64;
                row.rss_kib = row.anon_kib + 1_500;
            } else if row.agent == 5 {
                if row.incarnation != life && replaced.last().is_none_or(|(_, last)| *last != life) {
                    replaced.push((*t_ns - 1, life));
                }
                row.incarnation = life;
            }
        }
    }
    for (t_ns, incarnation) in replaced {
        let (pid, name) = (5_000 + incarnation, "worker/0.2".into());
        let event = AgentReplaced { agent: 5, incarnation, name, pid, start_ticks: 99, seen_ns: t_ns };
        events.push((t_ns, Event::AgentReplaced(event)));
    }
    events.sort_by_key(|e| e.0);
    says(&judge(&log_of(events)).criteria[0], Verdict::Inconclusive, "something resets");
}

#[test]
fn a_rate_an_hour_is_not_known_after_a_minute() {
    let run = Run { criteria: vec![criterion("a", "fds slope < 1000/h", None)], ..Run::default() };
    says(&judge(&run.log()).criteria[0], Verdict::Inconclusive, "needs an hour of load");
    // No interval has no width.
    let [slope, growth] = with_noise(24, 0.0, |_| 1.0);
    for result in [slope, growth] {
        let interval = result.interval.unwrap();
        assert!(result.verdict == Verdict::Pass && interval.low < interval.high, "{result:#?}");
    }
}

#[test]
fn rounds_that_slow_down_are_found_and_a_noisy_beginning_hides_none() {
    let ask = |round_ns| {
        let run = Run { round_ns, ..hours(8, &["coordination.time drift < 20%"]) };
        let judged = judge(&run.log()).criteria[0].clone();
        judged.verdict
    };
    assert_eq!(ask(|n| 20 * MS + n % 7 * MS / 4), Verdict::Pass);
    assert_eq!(ask(|n| 20 * MS + n * MS / 48), Verdict::Fail);
    // A first hour that is twice as slow as it should be.
    assert_ne!(ask(|n| if n < 48 { 40 * MS } else { 20 * MS + n * MS / 48 }), Verdict::Pass);
}

#[test]
fn shares_and_percentiles_of_few_are_open() {
    let few = |pass: &str, failed: fn(u64) -> u32| {
        let run = Run { coordinators: 1, workers: 1, rounds: 20, failed, ..Run::asking(pass) };
        judge(&run.log()).criteria[0].clone()
    };
    let one: fn(u64) -> u32 = |n| u32::from(n == 7);
    assert_eq!(few("delivery.rate >= 95%", one).verdict, Verdict::Inconclusive);
    assert_eq!(few("delivery.rate >= 100%", one).verdict, Verdict::Fail);
    assert_eq!(few("delivery.rate >= 100%", |_| 0).verdict, Verdict::Pass);
    assert_eq!(few("delivery.rate >= 95%", |n| u32::from(n < 15)).verdict, Verdict::Fail);
    assert_eq!(few("coordination.time p95 < 1s", |_| 0).verdict, Verdict::Inconclusive);

    // Two in a hundred are over the limit: it may look as if they were none.
    let slow: fn(u64) -> u64 = |n| if n % 50 == 49 { 1_200_000_000 } else { 10_000_000 };
    for rounds in [49, 120, 200] {
        let run = Run {
            round_ns: slow,
            rounds,
            round_every_ns: 2 * SECOND,
            ..Run::asking("coordination.time p99 < 1s")
        };
        assert_eq!(judge(&run.log()).criteria[0].verdict, Verdict::Inconclusive, "{rounds}");
    }
    let run = Run {
        round_ns: slow,
        rounds: 1_500,
        round_every_ns: 2 * SECOND,
        ..Run::asking("coordination.time p99 < 1s")
    };
    assert_eq!(judge(&run.log()).criteria[0].verdict, Verdict::Fail);
}

#[test]
fn an_outage_across_two_windows_counts_whole() {
    // 80 s of two hours, on both sides of a quarter of an hour.
    let failed: fn(u64) -> u32 = |n| if (172..188).contains(&n) { 6 } else { 0 };
    let run = Run {
        rounds: 1_440,
        round_every_ns: 5 * SECOND,
        failed,
        ..Run::asking("delivery.rate >= 95% every 15m")
    };
    let result = judge(&run.log()).criteria[0].clone();
    assert_eq!(result.verdict, Verdict::Fail, "{result:#?}");
    assert!((result.value.unwrap() - 164.0 / 180.0).abs() < 1e-9, "{result:#?}");
}

/// Rounds of 10 ms, of which the harness itself starts those of three seconds late.
fn late(pass: &str, harness_is_late: bool) -> CriterionResult {
    let run = Run { rounds: 400, round_every_ns: 100 * MS, round_ns: |_| 10 * MS, ..Run::asking(pass) };
    let mut events = run.events();
    for (t_ns, event) in &mut events {
        let Event::Round(round) = event else { continue };
        let Some(n) = round.round.checked_sub(110).filter(|n| *n < 30) else { continue };
        let wait = (30 - n) * 100 * MS;
        if harness_is_late {
            round.started_ns += wait;
        }
        round.finished_ns += wait;
        *t_ns = round.finished_ns;
    }
    events.sort_by_key(|e| e.0);
    judge(&log_of(events)).criteria[0].clone()
}

#[test]
fn a_load_that_was_late_by_itself_is_not_the_fleets_failure() {
    for pass in
        ["coordination.time max < 1s", "coordination.time p95 < 200ms", "coordination.time mean < 50ms"]
    {
        says(
            &late(pass, true),
            Verdict::Inconclusive,
            "the load itself was late, by up to 3 s: without that",
        );
        says(&late(pass, false), Verdict::Fail, "");
    }
    says(&late("silence < 1s", true), Verdict::Pass, "");
    says(&late("silence < 1s", false), Verdict::Fail, "");
}

#[test]
fn a_drift_while_a_fault_of_the_run_took_the_host_is_the_fleets() {
    let drifting: fn(u64) -> u64 = |n| 20 * MS + n * MS / 24;
    let run = Run { round_ns: drifting, ..hours(8, &["coordination.time drift < 20%"]) };
    let mut events = run.events();
    for (_, event) in &mut events {
        let Event::Sample(sample) = event else { continue };
        let idle = 150 * sample.sweep.min(250) + 60 * sample.sweep.saturating_sub(250);
        sample.host.idle_ticks = Some(700_000 + idle);
    }
    let end_ns = events[events.len() - 1].0;
    for (kind, from_ns, wanted) in [
        (FaultKind::CpuHogs, end_ns / 2, Verdict::Fail),
        (FaultKind::Limit, end_ns / 2, Verdict::Inconclusive),
        // It was over long before the end.
        (FaultKind::CpuHogs, 1, Verdict::Inconclusive),
    ] {
        let events = with_fault(events.clone(), kind, from_ns, end_ns / 2 - 60 * MS);
        let found = judge(&log_of(events)).criteria.remove(0);
        assert_eq!(found.verdict, wanted, "{kind:?} from {from_ns}: {found:#?}");
    }
}

#[test]
fn a_drift_on_a_host_that_others_took_is_open() {
    let drifting: fn(u64) -> u64 = |n| 20 * MS + n * MS / 24;
    let level: fn(u64) -> u64 = |n| 20 * MS + n % 7 * MS / 4;
    // Idle ticks of each sweep of a minute with 200 ticks: early, and late.
    let ask = |round_ns, early: u64, later: u64| {
        let run = Run { round_ns, ..hours(8, &["coordination.time drift < 20%"]) };
        bent(&run, |sample, t, sweep| {
            let idle = if t < 4.0 { sweep * early } else { 250 * early + (sweep - 250) * later };
            sample.host.idle_ticks = Some(700_000 + idle);
        })[0]
            .clone()
    };
    assert_eq!(ask(drifting, 150, 150).verdict, Verdict::Fail);
    says(&ask(drifting, 150, 60), Verdict::Inconclusive, "other processes' share of the host changed by +45");
    assert_eq!(ask(level, 150, 60).verdict, Verdict::Pass, "what is level is level");
    says(&ask(level, 60, 150), Verdict::Inconclusive, "changed by −45");
}
