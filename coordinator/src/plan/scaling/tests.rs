use super::*;
use proptest::prelude::*;

const MARKS: Marks =
    Marks { min: 2, max: 100, high_percent: 80, low_percent: 30, hold_ns: 20, cool_down_ns: 100 };

fn load(busy: u32, live: u32) -> Load {
    Load { busy, live }
}

/// The decisions of a scaler that is obeyed at once, looked at every 10 ns while `demand` places would
/// have work; each with its time.
fn run(demand: u32, mut live: u32, marks: &Marks, looks: u64) -> (u32, Vec<(u64, Decision)>) {
    let mut scaler = Scaler::default();
    let mut decisions = Vec::new();
    for now in (0..looks).map(|look| look * 10) {
        let decision = scaler.step(load(demand.min(live), live), now, marks);
        match decision {
            Decision::Stay => continue,
            Decision::Grow(more) => live += more,
            Decision::Shrink(fewer) => live -= fewer,
        }
        decisions.push((now, decision));
    }
    (live, decisions)
}

#[test]
fn a_busy_fleet_grows_by_a_quarter_until_there_is_room() {
    let (live, decisions) = run(20, 8, &MARKS, 200);
    assert_eq!(
        decisions,
        [
            (20, Decision::Grow(2)),
            (120, Decision::Grow(2)),
            (220, Decision::Grow(3)),
            (320, Decision::Grow(3)),
            (420, Decision::Grow(4)),
            (520, Decision::Grow(5)),
        ]
    );
    assert_eq!(live, 27);
}

#[test]
fn an_idle_fleet_shrinks_to_its_least() {
    let (live, decisions) = run(0, 8, &MARKS, 200);
    assert_eq!(live, 2);
    assert!(decisions.iter().all(|(_, decision)| matches!(decision, Decision::Shrink(_))));
}

#[test]
fn a_moment_of_load_is_no_reason() {
    let mut scaler = Scaler::default();
    let looks = [(8, 0), (8, 10), (4, 15), (8, 30), (8, 40)];
    for (busy, now) in looks {
        assert_eq!(scaler.step(load(busy, 8), now, &MARKS), Decision::Stay);
    }
    assert_eq!(scaler.step(load(8, 8), 50, &MARKS), Decision::Grow(2));
}

#[test]
fn between_the_marks_nothing_happens() {
    assert_eq!(run(5, 10, &MARKS, 100).1, []);
    assert_eq!(run(8, 10, &MARKS, 100).1, []);
    assert_eq!(run(3, 10, &MARKS, 100).1, []);
}

#[test]
fn moved_bounds_are_followed_whatever_the_load() {
    let mut scaler = Scaler::default();
    assert_eq!(scaler.step(load(90, 90), 0, &Marks { max: 50, ..MARKS }), Decision::Shrink(40));
    assert_eq!(scaler.step(load(0, 50), 100, &Marks { min: 60, ..MARKS }), Decision::Grow(10));
}

#[test]
fn work_that_waits_for_the_first_place_opens_one() {
    let mut scaler = Scaler::default();
    let marks = Marks { min: 0, hold_ns: 0, ..MARKS };
    assert_eq!(scaler.step(load(1, 0), 0, &marks), Decision::Grow(1));
    assert_eq!(Scaler::default().step(load(0, 0), 0, &marks), Decision::Stay);
}

#[test]
fn no_more_are_started_than_there_is_work_for_and_no_more_retired_than_have_none() {
    let decide = |load, marks| Scaler::default().step(load, 0, &Marks { hold_ns: 0, ..marks });
    let close = Marks { high_percent: 80, low_percent: 70, ..MARKS };
    // A quarter would be 10; with 48 places the low mark would be passed.
    assert_eq!(decide(load(33, 40), close), Decision::Grow(7));
    assert_eq!(decide(load(33, 40), Marks { max: 42, ..close }), Decision::Grow(2));
    assert_eq!(decide(load(40, 40), MARKS), Decision::Grow(10));
    let close = Marks { high_percent: 31, low_percent: 30, ..MARKS };
    // A quarter would be 5; with 16 places the high mark would be.
    assert_eq!(decide(load(5, 20), close), Decision::Shrink(3));
    assert_eq!(decide(load(5, 20), Marks { min: 18, ..close }), Decision::Shrink(2));
    assert_eq!(decide(load(0, 20), MARKS), Decision::Shrink(5));
}

#[test]
fn a_load_that_falls_from_one_mark_to_the_other_has_to_hold_anew() {
    let mut scaler = Scaler::default();
    assert_eq!(scaler.step(load(8, 8), 0, &MARKS), Decision::Stay);
    assert_eq!(scaler.step(load(0, 8), 20, &MARKS), Decision::Stay);
    assert_eq!(scaler.step(load(0, 8), 39, &MARKS), Decision::Stay);
    assert_eq!(scaler.step(load(0, 8), 40, &MARKS), Decision::Shrink(2));
}

fn marks() -> impl Strategy<Value = Marks> {
    (0_u32..50, 0_u32..100, 0_u32..120, 0_u32..120, 0_u64..60, 0_u64..200).prop_map(
        |(min, more, high_percent, low_percent, hold_ns, cool_down_ns)| Marks {
            min,
            max: min + more,
            high_percent,
            low_percent,
            hold_ns,
            cool_down_ns,
        },
    )
}

proptest! {
    /// Under a load that does not change a fleet comes to rest, and never turns on the way.
    #[test]
    fn a_constant_load_is_no_reason_to_turn(demand in 0_u32..300, start in 0_u32..100, mut marks in marks()) {
        marks.cool_down_ns = marks.cool_down_ns.min(50);
        let start = start.clamp(marks.min, marks.max);
        let (live, decisions) = run(demand, start, &marks, 4000);
        let grows = decisions.iter().filter(|(_, decision)| matches!(decision, Decision::Grow(_))).count();
        prop_assert!(grows == 0 || grows == decisions.len(), "{:?}", decisions);
        prop_assert!(decisions.last().is_none_or(|(at, _)| *at < 30_000), "never at rest: {:?}", decisions);
        prop_assert!((marks.min..=marks.max).contains(&live));
    }

    /// However load, deaths and bounds go up and down: what is decided stays within the bounds, and no two
    /// decisions lie within a cool-down.
    #[test]
    fn bounds_and_cool_down_hold(looks in prop::collection::vec((0_u32..200, 0_u32..150, 0_u64..80), 1..300),
                                 marks in marks()) {
        let mut scaler = Scaler::default();
        let (mut now, mut last) = (0, None::<u64>);
        for (busy, live, gap) in looks {
            now += gap;
            let after = match scaler.step(load(busy, live), now, &marks) {
                Decision::Stay => continue,
                Decision::Grow(more) => {
                    prop_assert!(more > 0);
                    live + more
                }
                Decision::Shrink(fewer) => {
                    prop_assert!(fewer > 0 && fewer <= live);
                    live - fewer
                }
            };
            prop_assert!((marks.min..=marks.max).contains(&after), "{after} of {:?}", marks);
            prop_assert!(last.is_none_or(|last| now >= last + marks.cool_down_ns));
            last = Some(now);
        }
    }

    /// By the default marks, a group that is too busy grows, and one that has nothing to do shrinks.
    #[test]
    fn load_is_answered(live in 1_u32..100, busy in 0_u32..100) {
        let marks = Marks { hold_ns: 0, ..Marks::between(1, 100, &Thresholds::default()) };
        let decision = Scaler::default().step(load(busy.min(live), live), 0, &marks);
        let percent = busy.min(live) * 100;
        prop_assert_eq!(matches!(decision, Decision::Grow(_)), percent > live * 80 && live < 100);
        prop_assert_eq!(matches!(decision, Decision::Shrink(_)), percent < live * 30 && live > 1);
    }
}
