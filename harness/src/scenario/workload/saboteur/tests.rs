//! When workers have a defect, and which of them.

use super::*;

fn saboteur(many: Option<Many>) -> Saboteur {
    Saboteur {
        payload_bytes: 64,
        time: Duration::ZERO,
        defect: Defect::LeakMemory,
        per: Per::Hour,
        amount: 1 << 20,
        nth: 1,
        many,
        from: Some(At::After(Duration::from_secs(10))),
        until: Some(At::Share(0.5)),
    }
}

#[test]
fn a_defect_is_there_from_its_begin_to_its_end_and_never_before_the_load() {
    let shape = FleetShape::new(2, 3, 256, 1).unwrap();
    let plotted = saboteur(None).plot(&shape, Duration::from_secs(60), 1);
    let at = |after| Defect::from_raw(plotted.at(after).defect).unwrap();
    let seconds = [None, Some(9), Some(10), Some(29), Some(30)];
    assert_eq!(
        seconds.map(|after| at(after.map(Duration::from_secs)) == Defect::LeakMemory),
        [false, false, true, true, false]
    );
}

#[test]
fn as_many_workers_have_it_as_were_asked_for_and_the_seed_says_which() {
    let shape = FleetShape::new(10, 50, 256, 1).unwrap();
    let chosen = |many, seed| {
        let sabotage = saboteur(many).plot(&shape, Duration::from_secs(60), seed).sabotage;
        let places = (0..10).flat_map(|c| (0..50).map(move |w| (c, w)));
        places.filter(|(c, w)| sabotage.is_for(*c, *w)).collect::<Vec<_>>()
    };
    assert_eq!(chosen(Some(Many::Count(3)), 7).len(), 3);
    assert_eq!(chosen(Some(Many::Share(0.1)), 7).len(), 50);
    assert_eq!(chosen(None, 7).len(), 500);
    assert_eq!(chosen(Some(Many::Count(3)), 7), chosen(Some(Many::Count(3)), 7));
    assert_ne!(chosen(Some(Many::Count(3)), 7), chosen(Some(Many::Count(3)), 8));
}
