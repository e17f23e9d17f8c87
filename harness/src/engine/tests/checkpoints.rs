//! A run that is cut off anywhere counts as much as its last checkpoint.

use super::fake::{Fake, Reply};
use super::{Done, SCENARIO, run_into};
use crate::engine::sink::MemorySink;
use crate::system::PlaceId;
use reports::runlog::Reader;
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
fn disturbed() -> (MemorySink, Done) {
    let sink = MemorySink::default();
    let done = run_into(&sink, SCENARIO, |clock, _| {
        Fake::new(clock, 3).replies(|round, place| match (round, place) {
            (3, PlaceId::Worker(worker)) if worker.worker == 1 => Reply::After(Duration::from_millis(700)),
            (7, PlaceId::Worker(worker)) if worker.worker == 2 => Reply::Failed,
            _ => Reply::Right,
        })
    });
    (sink, done)
}

#[test]
fn checkpoints_come_while_the_load_goes_on_and_hold_what_is_on_its_way() {
    let (_, done) = disturbed();
    let all = checkpoints(&done.records);
    assert!((5..40).contains(&all.len()), "{} checkpoints", all.len());
    for Checkpoint { ledger, open } in &all {
        let LedgerRow { accepted, answered, failed, in_flight, .. } = ledger.client;
        assert_eq!(accepted, answered + failed + in_flight, "{ledger:?}");
        assert_eq!(open.in_hand(), in_flight, "{open:?}");
    }
    assert!(all.iter().any(|checkpoint| checkpoint.open.in_hand() > 0), "one round is open for 700 ms");
    assert!(all.iter().any(|checkpoint| checkpoint.open.rounds == 0), "a quiet moment is preferred");
}

#[test]
fn a_log_that_is_cut_off_anywhere_counts_up_to_its_last_checkpoint() {
    let (sink, _) = disturbed();
    let bytes = sink.bytes();
    let ends: Vec<usize> =
        bytes.iter().enumerate().filter(|(_, b)| **b == b'\n').map(|(at, _)| at + 1).collect();
    let mut cut_off = 0;
    for end in ends {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("run.log"), &bytes[..end]).unwrap();
        let records: Vec<Record> = Reader::new(&bytes[..end]).map(Result::unwrap).collect();
        if matches!(records.last().unwrap().event, Event::End(_)) {
            break;
        }
        let unfinished = reports::unfinished(dir.path()).unwrap();
        let drained = records.iter().any(|record| matches!(record.event, Event::Ledger(_)));
        let last = checkpoints(&records).pop().filter(|_| !drained);
        assert_eq!(unfinished.resumes.counted_to.is_some(), last.is_some());
        assert_eq!(unfinished.in_hand, last.map(|last| last.open.in_hand()));
        let Some(Checkpoint { ledger, open }) = last else { continue };
        let counts = unfinished.case.facts().load.counts;
        assert_eq!(counts.tasks + open.tasks, ledger.client.accepted + ledger.refused);
        assert_eq!(counts.answered + open.answered, ledger.client.answered - ledger.rejected);
        cut_off += 1;
    }
    assert!(cut_off > 20, "{cut_off}");
}
