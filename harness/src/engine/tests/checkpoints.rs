//! What the log says of both ends while the load goes on.

use super::fake::{Fake, Reply};
use super::{Done, run};
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
    assert!(all.iter().any(|checkpoint| checkpoint.open.rounds == 0), "a quiet moment is preferred");
}
