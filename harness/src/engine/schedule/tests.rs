use super::*;
use crate::scenario::{SizeStep, Starts, Stretch};

const MS: u64 = 1_000_000;
const FIRST: u64 = 20;

/// A calendar on a table of milliseconds: `times` are warm-up, load and the distance of rounds (0: closed loop).
fn calendar([warm_up, load, every]: [u64; 3], sweep_every: u64, in_flight_max: usize) -> Calendar {
    let load_ns = FIRST + warm_up;
    let times = [FIRST, load_ns, load_ns + load, load_ns + load + 1_000].map(|ms| ms * MS);
    let starts = |length: u64| {
        let length = Duration::from_millis(length);
        Starts::constant(vec![Stretch::whole(length, Duration::from_millis(every))])
    };
    Calendar {
        rounds: Rounds::new(
            times,
            load_ns * MS,
            (every > 0).then(|| [starts(warm_up), starts(load)]),
            in_flight_max,
        ),
        firings: Firings::new(Vec::new(), (0, 0)),
        sizes: Sizes::new((load_ns * MS, load_ns * MS), Vec::new()),
        sweeps: Every::new(0, sweep_every * MS),
        clock: Every::new(0, 60_000 * MS),
        behind_ns: 0,
    }
}

fn words(due: Due) -> String {
    match due {
        Due::Phase(phase) => format!("{phase:?}"),
        Due::Round { due_ns, .. } => format!("round@{}", due_ns / MS),
        Due::Fault { firing } => format!("fault{firing}"),
        Due::Scale { stage, workers } => format!("scale{stage}to{workers}"),
        Due::Sweep { sweep, due_ns } => format!("sweep{sweep}@{}", due_ns / MS),
        Due::SweepsSkipped { count } => format!("skip {count}"),
        Due::Clock => "clock".to_owned(),
        Due::LoadOver => "over".to_owned(),
    }
}

/// Everything due at `now_ms`, and the next wake in milliseconds.
fn due(calendar: &mut Calendar, now_ms: u64, in_flight: usize) -> (String, u64) {
    let mut all = Vec::new();
    loop {
        match calendar.step(now_ms * MS, in_flight) {
            Step::Due(due) => all.push(words(due)),
            Step::SleepUntil(at_ns) => return (all.join(" "), at_ns / MS),
        }
    }
}

/// One line a moment: when, rounds in flight, what is due, when to wake.
fn check(mut calendar: Calendar, table: &[(u64, usize, &str, u64)]) {
    for (now, in_flight, expected, wake) in table {
        assert_eq!(due(&mut calendar, *now, *in_flight), ((*expected).to_owned(), *wake), "at {now} ms");
    }
}

#[test]
fn an_open_loop_starts_rounds_on_time_whether_or_not_the_last_one_is_back() {
    check(
        calendar([100, 100, 50], 1_000, 8),
        &[
            (0, 0, "clock sweep0@0 WarmUp", 20),
            (19, 0, "", 20),
            (20, 0, "round@20", 70),
            (70, 1, "round@70", 120),
            (121, 2, "Load round@120", 170),
            (170, 3, "round@170", 220),
            (219, 1, "", 220),
            (220, 1, "over", 1_000),
            (221, 0, "", 1_000),
        ],
    );
}

/// The log's record of the begin comes 30 ms late; the load is as long as planned in the log, too.
#[test]
fn a_load_that_is_recorded_late_lasts_its_whole_length_from_there() {
    let late = |every| {
        let mut calendar = calendar([0, 100, every], 1_000, 8);
        due(&mut calendar, 0, 0);
        assert_eq!(calendar.step(20 * MS, 0), Step::Due(Due::Phase(Phase::Load)));
        calendar.load_began(50 * MS);
        calendar
    };
    check(
        late(50),
        &[(50, 0, "round@20", 70), (70, 1, "round@70", 150), (149, 0, "", 150), (150, 0, "over", 1_000)],
    );
    check(late(0), &[(50, 1, "", 150), (149, 1, "", 150), (150, 1, "over", 1_000)]);
}

#[test]
fn without_a_warm_up_the_load_comes_first() {
    check(
        calendar([0, 100, 50], 1_000, 8),
        &[(0, 0, "clock sweep0@0", 20), (20, 0, "Load round@20", 70), (130, 0, "round@70 over", 1_000)],
    );
}

#[test]
fn a_closed_loop_starts_the_next_round_when_the_last_one_is_back() {
    check(
        calendar([0, 100, 0], 1_000, 8),
        &[(0, 0, "clock sweep0@0", 20), (25, 1, "Load", 120), (33, 1, "", 120)],
    );
    let mut closed = calendar([0, 100, 0], 1_000, 8);
    due(&mut closed, 0, 0);
    assert_eq!(closed.step(20 * MS, 0), Step::Due(Due::Phase(Phase::Load)));
    assert_eq!(closed.step(20 * MS, 0), Step::Due(Due::Round { phase: Phase::Load, due_ns: 20 * MS }));
    assert_eq!(closed.step(21 * MS, 1), Step::SleepUntil(120 * MS));
    assert_eq!(closed.step(37 * MS, 0), Step::Due(Due::Round { phase: Phase::Load, due_ns: 37 * MS }));
    assert_eq!(closed.step(120 * MS, 1), Step::Due(Due::LoadOver));
}

#[test]
fn a_full_pipe_delays_rounds_and_they_are_made_up_for() {
    check(
        calendar([0, 100, 50], 10_000, 1),
        &[
            (0, 0, "clock sweep0@0", 20),
            (20, 1, "Load", 1_120),
            (500, 1, "", 1_120),
            (501, 0, "round@20 round@70 over", 10_000),
        ],
    );
}

#[test]
fn rounds_that_are_too_late_are_left_out() {
    check(
        calendar([0, 100, 50], 10_000, 1),
        &[(0, 0, "clock sweep0@0", 20), (20, 1, "Load", 1_120), (1_120, 0, "over", 10_000)],
    );
}

#[test]
fn rounds_of_the_warm_up_that_could_not_start_are_not_made_up() {
    check(
        calendar([100, 100, 50], 10_000, 1),
        &[(0, 0, "clock sweep0@0 WarmUp", 20), (20, 1, "", 120), (125, 0, "Load round@120", 170)],
    );
}

#[test]
fn sweeps_come_on_time_and_each_late_one_is_named() {
    check(
        calendar([0, 100, 50], 100, 8),
        &[
            (0, 0, "clock sweep0@0", 20),
            (350, 0, "sweep1@100 sweep2@200 sweep3@300 Load round@20 round@70 over", 400),
        ],
    );
}

#[test]
fn after_a_suspension_the_sweeps_that_are_overdue_are_one_item() {
    let mut calendar = calendar([0, 100, 50], 100, 8);
    let (first, _) = due(&mut calendar, 0, 0);
    assert_eq!(first, "clock sweep0@0");
    calendar.end_load();
    let day = 24 * 3_600_000;
    let (all, wake) = due(&mut calendar, day, 0);
    assert!(all.starts_with("skip 863999 "), "{}", &all[..40]);
    assert!(all.ends_with(" sweep864000@86400000"), "{all}");
    assert_eq!(wake, day + 100);
}

#[test]
fn when_the_load_is_ended_early_sweeps_go_on() {
    let mut calendar = calendar([0, 1_000, 50], 100, 8);
    due(&mut calendar, 30, 0);
    calendar.end_load();
    assert_eq!(due(&mut calendar, 250, 3), ("sweep1@100 sweep2@200".to_owned(), 300));
}

#[test]
fn faults_are_due_from_the_recorded_begin_of_the_load_on_and_none_after_its_end() {
    let mut faulty = calendar([0, 1_000, 500], 100_000, 4);
    faulty.firings = Firings::new([100, 100, 900].map(|ms| ms * MS).to_vec(), (0, 0));
    assert_eq!(due(&mut faulty, 0, 0).0, "clock sweep0@0");
    assert_eq!(due(&mut faulty, 20, 0).0, "Load round@20");
    // Not before the log says that the load is on.
    assert_eq!(due(&mut faulty, 200, 0), (String::new(), 520));
    faulty.load_began(150 * MS);
    assert_eq!(due(&mut faulty, 240, 0), (String::new(), 250));
    assert_eq!(due(&mut faulty, 250, 0), ("fault0 fault1".to_owned(), 520));
    faulty.end_load();
    assert_eq!(due(&mut faulty, 1_100, 0).0, "");
}

#[test]
fn the_fleet_is_scaled_in_the_load_and_steps_that_are_overtaken_are_left_out() {
    let step = |at: u64, stage, workers| SizeStep { at_ns: at * MS, stage, workers };
    let steps = vec![step(0, 0, 5), step(100, 1, 6), step(200, 1, 7), step(300, 1, 8), step(350, 2, 2)];
    let mut calendar = calendar([100, 1_000, 500], 10_000, 8);
    calendar.sizes = Sizes::new((120 * MS, 120 * MS), steps);
    check(
        calendar,
        &[
            (0, 0, "clock sweep0@0 WarmUp", 20),
            (20, 0, "round@20", 120),
            (120, 0, "Load round@120 scale0to5", 220),
            (221, 0, "scale1to6", 320),
            (430, 0, "scale1to8", 470),
            (480, 0, "scale2to2", 620),
        ],
    );
}

/// The rest of a load of 1 s, with a round each 100 ms and a warm-up of 200 ms; it goes on at 1 s.
fn rest(from: Position, open: bool) -> Calendar {
    let text = format!(
        r#"
schema = 1
name = "rest"
asks = "?"
[fleet]
topology = "flat"
coordinators = 1
workers = 4
[workload]
kind = "echo"
payload = "64B"
[load]
model = "{}"
{}
duration = "1s"
warm_up = "200ms"
[sampling]
every = "1s"
[[criterion]]
name = "delivery"
pass = "delivery.rate >= 100%"
"#,
        if open { "open" } else { "closed" },
        if open { "every = \"100ms\"" } else { "" },
    );
    let source = crate::scenario::Source::new("rest.toml", text);
    let scenario = crate::scenario::Scenario::parse(&source, &crate::scenario::Selection::default()).unwrap();
    let options = crate::scenario::PlanOptions { seed: None, fallback_seed: 1, rehearsal: None };
    Calendar::new(&Plan::new(scenario, &options), 1_000 * MS, from)
}

#[test]
fn a_load_that_goes_on_warms_up_and_then_starts_the_rounds_that_are_left() {
    // Of the load, 680 ms were recorded: the time before the next round is waited for once more.
    let mut early = rest(Position { rounds: 7, load_ns: 680 * MS, firings: 0 }, true);
    due(&mut early, 1_200, 0);
    assert_eq!(due(&mut early, 1_220, 0).0, "Load");
    assert_eq!(due(&mut early, 1_240, 0).0, "round@1240");
    let mut calendar = rest(Position { rounds: 7, load_ns: 750 * MS, firings: 0 }, true);
    assert_eq!(due(&mut calendar, 1_020, 0).0, "clock sweep0@1000 WarmUp round@1020");
    due(&mut calendar, 1_200, 0);
    // Round 7 of 10 is due with the load, as if 700 ms of it had passed.
    assert_eq!(due(&mut calendar, 1_220, 0).0, "Load round@1220");
    assert_eq!(calendar.load_began(1_220 * MS), 520 * MS);
    assert_eq!(due(&mut calendar, 1_420, 0).0, "round@1320 round@1420");
    assert_eq!(due(&mut calendar, 1_519, 0).0, "");
    assert_eq!(due(&mut calendar, 1_520, 0).0, "over");
}

#[test]
fn a_load_of_which_nothing_is_left_is_over_at_once_and_a_closed_one_counts_its_time() {
    let mut calendar = rest(Position { rounds: 10, load_ns: 1_000 * MS, firings: 0 }, true);
    due(&mut calendar, 1_200, 0);
    assert_eq!(due(&mut calendar, 1_220, 0).0, "Load over");
    let mut calendar = rest(Position { rounds: 900, load_ns: 600 * MS, firings: 0 }, false);
    due(&mut calendar, 1_219, 1);
    assert_eq!(due(&mut calendar, 1_220, 1).0, "Load");
    assert_eq!(due(&mut calendar, 1_619, 1).0, "");
    assert_eq!(due(&mut calendar, 1_620, 1).0, "over");
}

#[test]
fn faults_and_sizes_that_lie_behind_are_left_out_but_for_the_newest_size() {
    let at = [100, 300, 300, 900].map(|ms| ms * MS).to_vec();
    let next = |behind, begun| {
        let mut firings = Firings::new(at.clone(), (behind * MS, begun));
        firings.load_began(0);
        firings.take(1_000 * MS)
    };
    let [first, second, last] = [0, 1, 3].map(Some);
    assert_eq!([next(0, 0), next(100, 0), next(101, 0)], [first, first, second]);
    assert_eq!([next(300, 3), next(950, 1)], [last, None]);
    let step = |at: u64, stage, workers| SizeStep { at_ns: at * MS, stage, workers };
    let steps = vec![step(0, 0, 5), step(100, 1, 6), step(300, 2, 7), step(900, 3, 2)];
    // 400 ms lie behind a load that goes on at 1 s.
    let mut sizes = Sizes::new((600 * MS, 1_000 * MS), steps);
    assert_eq!(sizes.take(999 * MS), None);
    assert_eq!(sizes.take(1_000 * MS), Some(Due::Scale { stage: 2, workers: 7 }));
    assert_eq!((sizes.take(1_400 * MS), sizes.due_ns()), (None, 1_500 * MS));
}

#[test]
fn the_clock_is_read_once_after_a_suspension_however_long_and_then_every_minute_again() {
    let mut calendar = calendar([0, 1_000_000, 1_000_000], 1_000_000, 8);
    let clocks = |calendar: &mut Calendar, now_ms| due(calendar, now_ms, 1).0.matches("clock").count();
    let found = [0, 59_999, 60_000, 390_000, 391_000, 419_999, 420_000].map(|ms| clocks(&mut calendar, ms));
    assert_eq!(found, [1, 0, 1, 1, 0, 0, 1]);
}
