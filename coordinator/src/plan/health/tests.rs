use super::*;
use proptest::prelude::*;

const LIMITS: Limits = Limits { suspect_ns: 100, confirm_ns: 50 };

#[expect(clippy::unnecessary_wraps, reason = "as looks are")]
fn beat(counter: u64) -> Option<Progress> {
    Some(Progress { incarnation: 1, counter })
}

/// The events of a watch for looks, each at its time.
fn events(looks: &[(u64, Option<Progress>)]) -> Vec<(u64, HealthEvent)> {
    let mut watch = Watch::default();
    looks.iter().filter_map(|(now, look)| Some((*now, watch.observe(*look, *now, &LIMITS)?))).collect()
}

#[test]
fn a_hang_is_suspected_then_confirmed_once() {
    let looks: Vec<_> = (0..40).map(|look| (look * 10, beat(7))).collect();
    assert_eq!(
        events(&looks),
        [(100, HealthEvent::Suspected { since_ns: 0 }), (150, HealthEvent::Confirmed { since_ns: 0 })]
    );
}

#[test]
fn a_false_suspicion_heals_and_may_come_again() {
    let looks = [(0, beat(1)), (100, beat(1)), (140, beat(2)), (150, beat(2)), (240, beat(2))];
    assert_eq!(
        events(&looks),
        [
            (100, HealthEvent::Suspected { since_ns: 0 }),
            (140, HealthEvent::Healed { suspected_for_ns: 40 }),
            (240, HealthEvent::Suspected { since_ns: 140 }),
        ]
    );
}

#[test]
fn another_incarnation_starts_anew() {
    let fresh = |incarnation| Some(Progress { incarnation, counter: 1 });
    let looks = [(0, fresh(1)), (100, fresh(1)), (110, fresh(2)), (200, fresh(2)), (210, fresh(2))];
    assert_eq!(
        events(&looks),
        [(100, HealthEvent::Suspected { since_ns: 0 }), (210, HealthEvent::Suspected { since_ns: 110 })]
    );
}

#[test]
fn a_watcher_that_was_stopped_itself_confirms_nothing_at_its_first_looks() {
    let looks = [(0, beat(1)), (10_000, beat(1)), (90_000, beat(1)), (90_010, beat(2))];
    assert_eq!(
        events(&looks),
        [
            (10_000, HealthEvent::Suspected { since_ns: 0 }),
            (90_010, HealthEvent::Healed { suspected_for_ns: 80_010 })
        ]
    );
}

#[test]
fn a_process_that_shows_nothing_any_more_is_not_suspected() {
    let looks = [(0, beat(1)), (100, beat(1)), (120, None), (900, None), (910, beat(1)), (1000, beat(1))];
    assert_eq!(
        events(&looks),
        [(100, HealthEvent::Suspected { since_ns: 0 }), (120, HealthEvent::Healed { suspected_for_ns: 20 })]
    );
}

#[test]
fn the_second_look_after_a_suspicion_confirms_it() {
    let looks = [(0, beat(1)), (100, beat(1)), (200, beat(1)), (201, beat(1))];
    assert_eq!(
        events(&looks),
        [(100, HealthEvent::Suspected { since_ns: 0 }), (201, HealthEvent::Confirmed { since_ns: 0 })]
    );
}

#[test]
fn what_is_confirmed_stays_so_whatever_it_shows_until_it_has_a_successor() {
    let mut watch = Watch::default();
    let mut look = |progress, now| (watch.observe(progress, now, &LIMITS), watch.stuck_since_ns());
    assert_eq!(look(beat(1), 5), (None, None));
    assert_eq!(look(beat(1), 105), (Some(HealthEvent::Suspected { since_ns: 5 }), Some(5)));
    assert_eq!(look(beat(1), 130), (None, Some(5)));
    assert_eq!(look(beat(1), 155), (Some(HealthEvent::Confirmed { since_ns: 5 }), Some(5)));
    assert_eq!(look(beat(2), 160), (None, Some(5)));
    assert_eq!(look(Some(Progress { incarnation: 2, counter: 2 }), 170), (None, None));
}

fn looks() -> impl Strategy<Value = Vec<(u64, Option<Progress>)>> {
    let look = (0_u64..60, prop::option::weighted(0.95, (1_u32..3, 0_u64..3)));
    prop::collection::vec(look, 1..200).prop_map(|looks| {
        let mut now = 0;
        let progress = |(incarnation, counter)| Progress { incarnation, counter };
        looks
            .into_iter()
            .map(|(gap, look)| {
                now += gap;
                (now, look.map(progress))
            })
            .collect()
    })
}

proptest! {
    /// However a process shows itself: only a suspected one is confirmed or healed, only one that stood
    /// still for its time is suspected, and a healed one has moved.
    #[test]
    fn verdicts_come_in_their_order(looks in looks()) {
        let mut watch = Watch::default();
        let (mut suspected, mut last, mut still_since) = (None, None, 0);
        for (now, look) in looks {
            if last != Some(look) {
                still_since = now;
            }
            let moved = last != Some(look);
            let other = matches!((last, look), (Some(Some(a)), Some(b))
                if Progress::clone(&a).incarnation != b.incarnation);
            if other {
                suspected = None;
            }
            match watch.observe(look, now, &LIMITS) {
                Some(HealthEvent::Suspected { since_ns }) => {
                    prop_assert!(suspected.is_none() && !moved);
                    prop_assert_eq!(since_ns, still_since);
                    prop_assert!(now - since_ns >= LIMITS.suspect_ns);
                    suspected = Some(now);
                }
                Some(HealthEvent::Confirmed { since_ns }) => {
                    prop_assert_eq!(since_ns, still_since);
                    prop_assert!(suspected.is_some_and(|at| now - at >= LIMITS.confirm_ns) && !moved);
                    prop_assert!(watch.stuck_since_ns() == Some(since_ns));
                    suspected = None;
                }
                Some(HealthEvent::Healed { suspected_for_ns }) => {
                    prop_assert_eq!(Some(now - suspected_for_ns), suspected);
                    prop_assert!(moved);
                    suspected = None;
                }
                None => {}
            }
            last = Some(look);
        }
    }
}
