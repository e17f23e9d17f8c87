//! Tables: what is fed, and what is said.

use super::*;
use ThresholdState::{Raised, Recovered};
use reports::runlog::event::{AgentSample, HostSample, PhaseBegan};

const S: u64 = 1_000_000_000;

fn gate(side: Side, needs: u32, limit: f64, values: &[f64]) -> Vec<(usize, ThresholdState, u64)> {
    let mut gate = Gate::new(side, needs);
    let steps = values.iter().enumerate();
    let step = |(at, value): (usize, &f64)| {
        gate.step(at as u64, *value, limit).map(|(state, since)| (at, state, since))
    };
    steps.filter_map(step).collect()
}

#[test]
fn a_threshold_is_raised_once_held_and_raised_again_only_after_it_has_recovered() {
    /// Looks that it needs, values against a limit of 10, and what changes: at which look, and since which.
    type Row<'a> = (u32, &'a [f64], &'a [(usize, ThresholdState, u64)]);
    let table: [Row<'_>; 7] = [
        (1, &[9.0, 10.0, 11.0, 12.0, 11.0], &[(2, Raised, 2)]),
        // One look is a moment; and what begins anew counts anew.
        (3, &[11.0, 9.0, 11.0, 11.0, 9.0], &[]),
        (3, &[9.0, 11.0, 12.0, 13.0, 14.0], &[(3, Raised, 1)]),
        // Just below the limit is not clear of it.
        (1, &[11.0, 9.9, 11.0, 9.9], &[(0, Raised, 0)]),
        (1, &[11.0, 8.0, 11.0], &[(0, Raised, 0), (1, Recovered, 1), (2, Raised, 2)]),
        (2, &[11.0, 11.0, 8.0, 11.0, 8.0, 7.0], &[(1, Raised, 0), (5, Recovered, 4)]),
        (1, &[f64::NAN, 5.0], &[]),
    ];
    for (needs, values, wanted) in table {
        assert_eq!(gate(Side::Above, needs, 10.0, values), wanted, "{needs}: {values:?}");
    }
    let free = [12.0, 9.0, 11.0, 12.0, 13.0];
    assert_eq!(gate(Side::Below, 1, 10.0, &free), [(1, Raised, 1), (3, Recovered, 3)]);
}

#[test]
fn a_limit_of_nothing_recovers_when_there_is_nothing() {
    assert_eq!(gate(Side::Above, 1, 0.0, &[0.0, 0.1, 0.0]), [(1, Raised, 1), (2, Recovered, 2)]);
}

fn alerts() -> Alerts {
    Alerts {
        memory_growth: Some(0.2),
        descriptors: Some(10),
        error_rate: Some(0.01),
        error_window: Duration::from_secs(30),
        silence: Some(Duration::from_secs(20)),
        disk_free: Some(1 << 30),
        command: Vec::new(),
        timeout: Duration::from_secs(1),
    }
}

/// Under load since second 0; the load takes 100 s, so that its first steady part is from 5 to 10 s.
fn watched() -> Thresholds {
    let mut thresholds = Thresholds::new(alerts(), Duration::from_secs(100));
    thresholds.event(0, &Event::Phase(PhaseBegan { phase: Phase::Load }));
    thresholds
}

fn row(agent: u32, incarnation: u32, anon_kib: u64, fds: u32) -> AgentSample {
    AgentSample {
        agent,
        incarnation,
        rss_kib: anon_kib,
        anon_kib,
        vsz_kib: anon_kib,
        fds,
        threads: 1,
        cpu_us: 0,
        voluntary_switches: 0,
        involuntary_switches: 0,
        pss_kib: None,
        state: None,
        commands: None,
    }
}

fn sweep(agents: Vec<AgentSample>) -> Event {
    Event::Sample(Sample {
        sweep: 0,
        due_ns: 0,
        started_ns: 0,
        took_ns: 0,
        cpu_ns: 0,
        live: agents.len() as u32,
        agents,
        host: HostSample {
            load1: 0.0,
            load5: 0.0,
            load15: 0.0,
            mem_available_kib: 0,
            shm_used_bytes: 0,
            shm_used_inodes: 0,
            fleet_shm_bytes: 0,
            fleet_shm_files: 0,
            cpu_ticks: None,
            steal_ticks: None,
            idle_ticks: None,
        },
    })
}

fn round(second: u64, tasks: u32, failed: u32) -> Event {
    let round = serde_json::json!({
        "round": 0, "phase": "load", "scheduled_ns": 0, "started_ns": 0, "finished_ns": second * S,
        "tasks": tasks, "answered": tasks - failed, "failed": failed, "late": 0, "duplicates": 0, "corrupt": 0,
        "task_p50_ns": null, "task_p99_ns": null, "task_max_ns": null
    });
    Event::Round(serde_json::from_value(round).unwrap())
}

/// What is said of one kind, and at which second.
fn said(
    thresholds: &mut Thresholds,
    kind: ThresholdKind,
    events: impl Iterator<Item = (u64, Event)>,
) -> Vec<(u64, ThresholdState)> {
    let mut all = Vec::new();
    for (second, event) in events {
        let steps = thresholds.event(second * S, &event);
        all.extend(steps.into_iter().filter(|it| it.kind == kind).map(|it| (second, it.state)));
    }
    all
}

#[test]
fn memory_that_grows_beyond_its_first_steady_part_raises_and_recovers_with_a_new_process() {
    let mb = |second: u64| match second {
        // It fills up first: that is not what it is measured by.
        0..5 => 10 * second,
        20..60 => 100 + second,
        _ => 100,
    };
    let sweeps = (0..90).map(|second| (second, sweep(vec![row(0, 1, 1, 1), row(1, 1, mb(second) << 10, 5)])));
    let found = said(&mut watched(), ThresholdKind::MemoryGrowth, sweeps);
    // More than 20 % from second 21 on, in the third sweep; back at 60.
    assert_eq!(found, [(23, Raised), (62, Recovered)]);
}

#[test]
fn neither_more_processes_nor_less_than_a_mebibyte_is_growth() {
    let scaled =
        |second: u64| (0..if second > 50 { 9 } else { 3 }).map(|id| row(id + 1, 1, 50 << 10, 5)).collect();
    let sweeps = (0..90).map(|second| (second, sweep(scaled(second))));
    assert_eq!(said(&mut watched(), ThresholdKind::MemoryGrowth, sweeps), []);
    let small = (0..90).map(|second| (second, sweep(vec![row(1, 1, 300 + 10 * second, 5)])));
    assert_eq!(said(&mut watched(), ThresholdKind::MemoryGrowth, small), []);
}

#[test]
fn one_process_that_leaks_descriptors_is_named_and_its_successor_begins_anew() {
    let fds = |second: u64| if second < 40 { 20 + second as u32 / 2 } else { 20 };
    let incarnation = |second: u64| if second < 40 { 1 } else { 2 };
    let mut thresholds = watched();
    let named = serde_json::json!({ "launch_ns": 1, "agents": [{
        "id": 2, "role": "worker", "name": "worker/0.1", "pid": 7, "start_ticks": 1
    }] });
    thresholds.event(0, &Event::Agents(serde_json::from_value(named).unwrap()));
    let mut texts = Vec::new();
    for second in 0..60 {
        let rows = vec![row(1, 1, 1, 500), row(2, incarnation(second), 1, fds(second))];
        let steps = thresholds.event(second * S, &sweep(rows)).into_iter();
        let of_descriptors = steps.filter(|it| it.kind == ThresholdKind::Descriptors);
        texts.extend(of_descriptors.map(|it| (second, it.text)));
    }
    // 22 in the first five sweeps; more than 32 from second 26 on.
    let wanted = [
        (28, "worker/0.1 has 12 descriptors more than at first (limit 10)".to_owned()),
        (42, "a process has 0 descriptors more than at first (limit 10): recovered".to_owned()),
    ];
    assert_eq!(texts, wanted);
}

#[test]
fn failures_count_in_a_window_that_slides() {
    let rounds = (0..90).map(|second| (second, round(second, 10, u32::from(second == 10))));
    let found = said(&mut watched(), ThresholdKind::ErrorRate, rounds);
    // One of 110 is less than 1 %; and with it one of 300 in the window.
    assert_eq!(found, []);
    let rounds = (0..90).map(|second| (second, round(second, 10, u32::from((10..20).contains(&second)))));
    let found = said(&mut watched(), ThresholdKind::ErrorRate, rounds);
    assert_eq!(found.iter().map(|(_, state)| *state).collect::<Vec<_>>(), [Raised, Recovered]);
    assert!(found[1].0 > 45 && found[1].0 <= 50, "{found:?}");
}

#[test]
fn silence_is_raised_by_the_sweep_that_finds_it_and_ends_with_an_answer() {
    let mut thresholds = watched();
    let answered = (0..10).map(|second| (second, round(second, 1, 0)));
    let silent = (10..40).map(|second| (second, sweep(vec![row(1, 1, 1, 1)])));
    let failed = [(40, round(40, 1, 1)), (41, round(41, 1, 0))];
    let events = answered.chain(silent).chain(failed);
    let found = said(&mut thresholds, ThresholdKind::Silence, events);
    assert_eq!(found, [(30, Raised), (41, Recovered)], "a failure is no answer");
}

#[test]
fn nothing_is_watched_outside_of_the_load_nor_what_is_off() {
    let mut thresholds = watched();
    thresholds.event(S, &Event::Phase(PhaseBegan { phase: Phase::Drain }));
    let silent = (1..90).map(|second| (second, sweep(vec![row(1, 1, 1, 1)])));
    assert_eq!(said(&mut thresholds, ThresholdKind::Silence, silent), []);
    let off = Alerts { silence: None, disk_free: None, ..alerts() };
    let mut thresholds = Thresholds::new(off, Duration::from_secs(100));
    thresholds.event(0, &Event::Phase(PhaseBegan { phase: Phase::Load }));
    assert_eq!(thresholds.event(90 * S, &sweep(vec![row(1, 1, 1, 1)])), []);
    assert_eq!(thresholds.disk(90 * S, 0), []);
}

#[test]
fn a_disk_that_fills_up_and_is_cleared_is_told_with_both_figures() {
    let mut thresholds = watched();
    let texts: Vec<String> = [3 << 30, 1 << 29, 1 << 29, 1 << 30, 2 << 30]
        .into_iter()
        .flat_map(|free| thresholds.disk(S, free))
        .map(|step| step.text)
        .collect();
    let wanted =
        ["512 MiB of disk are free (limit 1 GiB)", "2 GiB of disk are free (limit 1 GiB): recovered"];
    assert_eq!(texts, wanted);
}

#[test]
fn deaths_are_one_alert_until_all_have_successors_or_a_minute_has_passed() {
    let exit = |agent, seen_ns| AgentExit {
        agent,
        incarnation: 1,
        name: "worker/0.0".to_owned(),
        pid: 7,
        how: "killed by SIGKILL".to_owned(),
        expected: false,
        seen_ns,
    };
    let mut crashes = Crashes::default();
    assert!(crashes.died(&exit(1, 1)) && !crashes.died(&exit(2, 2)) && !crashes.died(&exit(1, 3)));
    assert!(!crashes.replaced(1) && !crashes.replaced(3) && crashes.replaced(2));
    assert!(crashes.died(&exit(1, 4)));
    // It never has a successor, and hides no other for ever.
    let minute_ns = 60_000_000_000;
    assert!(!crashes.died(&exit(2, 5)) && crashes.died(&exit(3, 4 + minute_ns)));
    assert!(!crashes.died(&exit(4, 5 + minute_ns)) && !crashes.died(&exit(1, 9 * minute_ns)));
}
