//! Which ends of processes the log has.

use super::fake::Fake;
use super::run;
use crate::system::{Life, PlaceId};
use reports::runlog::event::KEPT_OUT;

/// The kernel keeps two successors of a coordinator from its memory: they end in order, and the third one serves.
#[test]
fn each_process_that_was_seen_to_start_has_an_end() {
    const PLACE: PlaceId = PlaceId::Coordinator(0);
    let worker = PlaceId::worker(0, 0);
    let start = |fake: &mut Fake| {
        fake.replace(PLACE);
        fake.process(PLACE).life = Life::Starting;
    };
    let done = run(|clock, _| {
        let fake = Fake::new(clock, 1).at(200, move |fake| {
            fake.hide(worker);
            fake.kill(PLACE);
            start(fake);
        });
        let again = move |fake: &mut Fake| {
            fake.hide(PLACE);
            start(fake);
        };
        let serves = move |fake: &mut Fake| {
            fake.process(PLACE).life = Life::Live;
            fake.replace(worker);
        };
        fake.at(400, again).at(600, again).at(800, serves)
    });
    let exits = done.exits();
    let ends = exits.iter().filter(|exit| exit.name == "coord/0");
    let ends: Vec<_> = ends.map(|exit| (exit.incarnation, exit.how.as_str(), exit.expected)).collect();
    let wanted = [
        (1, "killed by SIGKILL", false),
        (2, KEPT_OUT, true),
        (3, KEPT_OUT, true),
        (4, "stopped on request", true),
    ];
    assert_eq!(ends, wanted);
    let seen = done.replaced().into_iter().filter(|new| new.name == "coord/0");
    assert_eq!(seen.map(|new| new.incarnation).collect::<Vec<_>>(), [2, 3, 4]);
    assert_eq!(done.crashes().len(), 2, "the coordinator and its worker have died, and no other");
}
