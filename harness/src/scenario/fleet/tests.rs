//! Keys of `[fleet]`, and what becomes of them.

use super::*;
use crate::scenario::{Plan, PlanOptions, Scenario, Selection, Source};
use coordinator::config::Thresholds;
use std::num::NonZeroU32;
use std::time::Duration;

fn hang_after(set: &[&str]) -> Result<Option<Duration>, String> {
    let text = include_str!("../../../../scenarios/smoke.toml").to_owned();
    let sets = set.iter().map(|&set| set.to_owned()).collect();
    let source = Source::new("smoke.toml", text);
    let scenario = Scenario::parse(&source, &Selection { profile: None, sets });
    let options = PlanOptions { seed: None, fallback_seed: 1, rehearsal: None };
    scenario
        .map(|scenario| Plan::new(scenario, &options).fleet_policy().hang_after)
        .map_err(|found| found.to_string())
}

fn parsed(sets: &[&str]) -> Result<Scenario, String> {
    let text = include_str!("../../../../scenarios/smoke.toml").to_owned();
    let sets = sets.iter().map(|&set| set.to_owned()).collect();
    let scenario = Scenario::parse(&Source::new("smoke.toml", text), &Selection { profile: None, sets });
    scenario.map_err(|found| found.to_string())
}

fn fleet(sets: &[&str]) -> Result<Fleet, String> {
    parsed(sets).map(|scenario| scenario.fleet)
}

fn policy(sets: &[&str]) -> Result<Policy, String> {
    fleet(sets).map(|fleet| fleet.policy)
}

fn plan_of(sets: &[&str]) -> Plan {
    let options = PlanOptions { seed: None, fallback_seed: 1, rehearsal: None };
    Plan::new(parsed(sets).unwrap(), &options)
}

#[test]
fn each_key_of_the_policy_reaches_the_fleet() {
    use coordinator::config::{Failover, Signal, Stop, SupervisorDeath};
    assert_eq!(policy(&[]), Ok(Policy::default()));
    let sets = [
        "fleet.attempts_max=5",
        "fleet.backoff=20ms",
        "fleet.backoff_max=1s",
        "fleet.restarts_max=3",
        "fleet.restart_window=1m",
        "fleet.hang_after=3s",
        "fleet.failover=spare",
        "fleet.recycle_after=100",
        "fleet.recycle_growth=8MiB",
        "fleet.batch_max=10",
        "fleet.spawn_max=1",
        "fleet.stop_signal=INT",
        "fleet.grace=2s",
        "fleet.on_supervisor_death=adopt",
    ];
    let wanted = Policy {
        attempts_max: 5,
        backoff_first: Duration::from_millis(20),
        backoff_max: Duration::from_secs(1),
        restarts_max: 3,
        restart_window: Duration::from_secs(60),
        hang_after: Some(Duration::from_secs(3)),
        failover: Failover::Spare,
        recycle_after: Some(100),
        recycle_growth: Some(8 << 20),
        batch_max: NonZeroU32::new(10),
        spawn_max: NonZeroU32::new(1),
        stop: Stop { signal: Signal::SIGINT, grace: Duration::from_secs(2) },
        supervisor_death: SupervisorDeath::Adopt,
        ..Policy::default()
    };
    assert_eq!(policy(&sets), Ok(wanted));
    let single = policy(&["fleet.coordinators=1", "fleet.failover=survivors"]).unwrap_err();
    assert!(single.contains("a single coordinator has none"), "{single}");
    let short = policy(&["fleet.backoff=1m"]).map(|policy| policy.backoff_max);
    assert_eq!(short, Ok(Duration::from_secs(60)), "the longest pause is never shorter than the first");
    let wrong = policy(&["fleet.backoff=1m", "fleet.backoff_max=1s"]).unwrap_err();
    assert!(wrong.contains("is shorter than `fleet.backoff`"), "{wrong}");
}

/// Fewer workers than the scenario's own criterion asks for.
const POOL: [&str; 5] =
    ["!criterion.all-there", "fleet.workers=3", "fleet.workers_min=2", "fleet.workers_max=9", "load.to=any"];

#[test]
fn bounds_of_the_workers_let_their_number_follow_the_load() {
    let marks =
        ["fleet.scale_up_at=95%", "fleet.scale_down_at=5%", "fleet.scale_hold=1s", "fleet.scale_pause=2s"];
    let policy = policy(&[&POOL[..], &marks].concat()).unwrap();
    assert_eq!(policy.workers, SizeSpan { min: 2, start: 3, by_load: true });
    let second = Duration::from_secs(1);
    assert_eq!(policy.scaling, Thresholds { up_at: 95, down_at: 5, hold: second, pause: second * 2 });
    let upper = &[&POOL[..2], &POOL[3..], &["fleet.scale_up_at=20%"]].concat();
    let policy = self::policy(upper).unwrap();
    assert_eq!((policy.workers.min, policy.scaling.down_at), (1, 19));
}

/// Fewer coordinators than the scenario's own criterion asks for.
const COORDINATORS: [&str; 6] = [
    "!criterion.all-there",
    "fleet.topology=hybrid",
    "fleet.coordinators=2",
    "fleet.coordinators_min=1",
    "fleet.coordinators_max=4",
    "load.to=any",
];

#[test]
fn bounds_of_the_coordinators_let_their_number_follow_the_load() {
    let of = |sets: &[&str]| fleet(&[&COORDINATORS[..], sets].concat()).unwrap();
    let fixed = of(&["fleet.workers=3"]);
    assert_eq!(fixed.policy.coordinators, SizeSpan { min: 1, start: 2, by_load: true });
    assert_eq!(fixed.policy.workers, Policy::default().workers, "each keeps its workers");
    assert_eq!((fixed.coordinators_least(), fixed.coordinators_at_start()), (Some(1), 2));
    assert_eq!((fixed.workers_least(), fixed.workers_at_start()), (Some(3), 6));
    assert_eq!((fixed.processes_least(), fixed.shape.processes()), (5, 17));
    let both = of(&["fleet.workers=3", "fleet.workers_min=2", "fleet.workers_max=5"]);
    assert_eq!(both.policy.workers, SizeSpan { min: 2, start: 3, by_load: true });
    assert_eq!((both.workers_least(), both.processes_least(), both.shape.processes()), (Some(2), 4, 25));
    let survivors = of(&["fleet.coordinators=1", "fleet.failover=survivors"]);
    assert_eq!(survivors.coordinators_at_start(), 1, "others may be there");
    let only_workers = fleet(&POOL).unwrap();
    assert_eq!((only_workers.coordinators_least(), only_workers.policy.coordinators), (None, SizeSpan::ALL));
}

#[test]
fn the_fewest_coordinators_have_room_for_all_tasks() {
    let load =
        ["fleet.workers=3", "load.tasks_per_round=8", "load.rounds_in_flight_max=16"].map(str::to_owned);
    let sets = load.iter().map(String::as_str);
    let sets: Vec<&str> = COORDINATORS.into_iter().chain(sets).collect();
    let depth = fleet(&sets).unwrap().shape.depth();
    assert!(depth * 3 >= 8 * 16, "{depth} tasks for each of the three workers of one coordinator");
    let each = fleet(&[&COORDINATORS[..], &["fleet.workers=3"]].concat()).unwrap().shape;
    let rounds = plan_of(&COORDINATORS).load().rounds_in_flight_max();
    assert!(each.depth() >= 4 * rounds, "as many tasks as workers of four coordinators");
}

#[test]
fn bounds_of_coordinators_that_no_fleet_can_keep_are_refused() {
    for (sets, words) in [
        (&["fleet.coordinators_max=1"][..], "`fleet.coordinators_max` (1) is below `fleet.coordinators`"),
        (&["fleet.coordinators_min=3"], "`fleet.coordinators_min` (3) is above `fleet.coordinators`"),
        (&["fleet.coordinators_min=2", "fleet.coordinators_max=2"], "no other number of coordinators than 2"),
        (&["fleet.coordinators_max=0"], "fleet.coordinators_max"),
        (&["fleet.coordinators_max=257"], "fleet.coordinators_max"),
        (&["load.to=each"], "write `to = \"any\"` under [load]"),
        (
            &["fleet.topology=flat", "fleet.coordinators=1"],
            "a flat fleet has one coordinator, but `fleet.coordinators_max` is 4",
        ),
    ] {
        let found = fleet(&[&COORDINATORS[..], sets].concat()).unwrap_err();
        assert!(found.contains(words), "{sets:?}: {found}");
    }
}

#[test]
fn bounds_that_no_fleet_can_keep_are_refused() {
    for (sets, words) in [
        (&["fleet.workers_max=2"][..], "`fleet.workers_max` (2) is below `fleet.workers`"),
        (&["fleet.workers_min=4"], "`fleet.workers_min` (4) is above `fleet.workers`"),
        (&["fleet.workers_min=3", "fleet.workers_max=3"], "no other number of workers than 3"),
        (&["load.to=each"], "write `to = \"any\"` under [load]"),
        (&["fleet.scale_down_at=90%"], "`fleet.scale_down_at` (90%) is not below `fleet.scale_up_at` (80%)"),
        (&["fleet.scale_up_at=0%"], "write a whole share from \"1%\" to \"299%\""),
        (&["fleet.scale_up_at=080%"], "cannot be \"080%\""),
        (&["fleet.grace=61s"], "write at most \"1m\""),
        (&["fleet.stop_signal=STOP"], "SIGSTOP does not end a process"),
        (&["fleet.stop_signal=int"], "write \"INT\""),
        (
            &["!fleet.workers_min", "!fleet.workers_max", "fleet.scale_hold=1s"],
            "on a fleet that keeps its size",
        ),
    ] {
        let found = policy(&[&POOL[..], sets].concat()).unwrap_err();
        assert!(found.contains(words), "{sets:?}: {found}");
    }
}

#[test]
fn how_long_a_process_may_hang_reaches_the_policy_of_the_fleet() {
    assert_eq!(hang_after(&[]), Ok(Policy::default().hang_after));
    assert_eq!(hang_after(&["fleet.hang_after=3s"]), Ok(Some(Duration::from_secs(3))));
    assert_eq!(hang_after(&["fleet.hang_after=never"]), Ok(None));
    for (set, words) in [
        ("99ms", "`fleet.hang_after` is 99ms, which is too short"),
        ("25h", "write at most \"1d\", or \"never\""),
        ("5", "write \"5s\" for seconds, \"5ms\", \"5m\" or \"5h\", or \"never\""),
        ("off", "or \"never\""),
    ] {
        let found = hang_after(&[&format!("fleet.hang_after={set}")]).unwrap_err();
        assert!(found.contains(words), "{set}: {found}");
    }
}
