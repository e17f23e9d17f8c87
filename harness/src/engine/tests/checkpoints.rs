//! What the log says of both ends while the load goes on.

use super::fake::{Fake, Reply};
use super::{Done, SCENARIO, run, run_scenario};
use crate::system::PlaceId;
use reports::runlog::event::{Checkpoint, Event, LedgerRow, Record};
use std::time::Duration;

fn checkpoints(records: &[Record]) -> Vec<&Checkpoint> {
    let mut all = Vec::new();
    for record in records {
        if let Event::Checkpoint(checkpoint) = &record.event {
            all.push(&**checkpoint);
        }
    }
    all
}

/// One answer comes after 700 ms, another one says that its task has failed.
fn disturbed() -> Done {
    run(|clock, _| {
        Fake::new(clock, 3).replies(|round, place| match (round, place) {
            (3, PlaceId::Worker(worker)) if worker.worker == 1 => Reply::After(Duration::from_millis(700)),
            (7, PlaceId::Worker(worker)) if worker.worker == 2 => Reply::Failed,
            _ => Reply::Right,
        })
    })
}

#[test]
fn checkpoints_come_while_the_load_goes_on_and_hold_what_is_on_its_way() {
    let done = disturbed();
    let all = checkpoints(&done.records);
    assert!((3..40).contains(&all.len()), "{} checkpoints", all.len());
    let (mut tasks, mut answered) = (0, 0);
    for record in &done.records {
        if let Event::Round(round) = &record.event {
            (tasks, answered) = (tasks + u64::from(round.tasks), answered + u64::from(round.answered));
        }
        // What is in the log before it, and what it says of the rest, is all that the client has counted.
        let Event::Checkpoint(checkpoint) = &record.event else { continue };
        let Checkpoint { ledger, open } = &**checkpoint;
        assert_eq!(tasks + open.tasks, ledger.client.accepted + ledger.refused);
        assert_eq!(answered + open.answered, ledger.client.answered - ledger.rejected);
        let LedgerRow { accepted, answered, failed, in_flight, .. } = ledger.client;
        assert_eq!(accepted, answered + failed + in_flight, "{ledger:?}");
        assert_eq!(open.in_hand(), in_flight, "{open:?}");
    }
    assert!(all.iter().any(|checkpoint| checkpoint.open.in_hand() > 0), "one round is open for 700 ms");
}

#[test]
fn a_checkpoint_waits_for_a_moment_at_which_nothing_is_on_its_way() {
    // Of 100 ms, rounds are on their way for 60; the load begins within these.
    let text = SCENARIO.replace("duration = \"1s\"", "warm_up = \"150ms\"\nduration = \"1s\"");
    let done = run_scenario(&text, |clock, _| {
        Fake::new(clock, 3).replies(|round, _| match round % 2 {
            0 => Reply::After(Duration::from_millis(60)),
            _ => Reply::After(Duration::from_millis(9)),
        })
    });
    let all = checkpoints(&done.records);
    assert!(all.len() >= 4, "{} checkpoints", all.len());
    let open: Vec<u32> = all.iter().map(|checkpoint| checkpoint.open.rounds).collect();
    assert!(open.iter().all(|rounds| *rounds == 0), "{open:?}");
}
