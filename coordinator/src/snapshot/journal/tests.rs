use super::super::record::tests::{sample, task};
use super::*;
use proptest::prelude::*;

fn header() -> Header {
    Header { file: Kind::Journal, ..sample().header }
}

fn place() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal");
    (dir, path)
}

/// After it was closed here. A child that another test forks at this moment has a copy of the descriptor, and with it
/// the lock, until it becomes another program.
fn open_again(path: &Path) -> (Journal, Replay) {
    let begun = std::time::Instant::now();
    loop {
        match Journal::open(path) {
            Err(SnapshotError::Locked { .. }) if begun.elapsed().as_secs() < 60 => std::thread::yield_now(),
            opened => return opened.unwrap(),
        }
    }
}

fn parse(bytes: &[u8]) -> Result<Found, SnapshotError> {
    read(Path::new("journal"), bytes)
}

/// Three groups: 1 and 2 accepted; 1 ended, 3 accepted; 2 and 3 ended, 4 accepted. And where they end.
fn three_groups() -> (Vec<u8>, Vec<usize>) {
    let (_dir, path) = place();
    let mut journal = Journal::create(&path, &header()).unwrap();
    let mut ends = vec![journal.bytes() as usize];
    let one = journal.accepted(&task(1, b"one")).unwrap();
    let two = journal.accepted(&task(2, &[0xff, 0])).unwrap();
    journal.commit().unwrap();
    ends.push(journal.bytes() as usize);
    journal.ended(one, Ended::Answered);
    let three = journal.accepted(&task(3, b"")).unwrap();
    journal.commit().unwrap();
    ends.push(journal.bytes() as usize);
    journal.ended(two, Ended::Failed);
    journal.ended(three, Ended::Cancelled);
    journal.accepted(&task(4, b"four")).unwrap();
    journal.commit().unwrap();
    ends.push(journal.bytes() as usize);
    (std::fs::read(&path).unwrap(), ends)
}

fn open_sequences(replay: &Replay) -> Vec<u64> {
    replay.open.values().map(|task| task.id.sequence).collect()
}

#[test]
fn what_is_accepted_and_not_ended_is_open() {
    let (bytes, _) = three_groups();
    let found = parse(&bytes).unwrap();
    assert_eq!(found.replay.open.values().collect::<Vec<_>>(), [&task(4, b"four")]);
    assert_eq!((found.replay.accepted, found.replay.ended, found.replay.torn), (4, 3, None));
}

#[test]
fn every_truncation_keeps_the_whole_groups_and_says_what_is_torn() {
    let (bytes, ends) = three_groups();
    let open: [&[u64]; 4] = [&[], &[1, 2], &[2, 3], &[4]];
    for len in ends[0]..=bytes.len() {
        let found = parse(&bytes[..len]).unwrap();
        let groups = ends.iter().filter(|end| **end <= len).count() - 1;
        assert_eq!(open_sequences(&found.replay), open[groups], "{len} bytes");
        assert_eq!(found.committed, ends[groups] as u64, "{len} bytes");
        let torn = found.replay.torn.map_or(0, |torn| torn.bytes);
        assert_eq!(torn, (len - ends[groups]) as u64, "{len} bytes");
    }
    for len in 0..ends[0] {
        assert!(parse(&bytes[..len]).is_err(), "{len} bytes of the header");
    }
}

#[test]
fn every_changed_byte_is_refused() {
    let (whole, _) = three_groups();
    for at in 0..whole.len() {
        for change in [0x01, 0x20, 0x80, whole[at], whole[at] ^ b'\n'] {
            if change != 0 {
                let mut changed = whole.clone();
                changed[at] ^= change;
                assert!(parse(&changed).is_err(), "byte {at} ^ {change:#x}");
            }
        }
    }
}

#[test]
fn every_line_that_is_missing_moved_or_repeated_is_refused() {
    let (whole, _) = three_groups();
    let lines: Vec<&[u8]> = whole.split_inclusive(|byte| *byte == b'\n').collect();
    for at in 0..lines.len() {
        let mut twice = lines.clone();
        twice.insert(at, lines[at]);
        assert!(parse(&twice.concat()).is_err(), "line {at} twice");
        if at + 1 < lines.len() {
            let mut missing = lines.clone();
            missing.remove(at);
            assert!(parse(&missing.concat()).is_err(), "without line {at}");
            let mut moved = lines.clone();
            moved.swap(at, at + 1);
            assert!(parse(&moved.concat()).is_err(), "line {at} moved");
        }
    }
}

#[test]
fn an_entry_without_a_next_one_is_refused() {
    let (mut chain, mut text) = (Chain::default(), Vec::new());
    append(&mut chain, &mut text, &Record::Header(header())).unwrap();
    append(&mut chain, &mut text, &Record::Accepted { number: u64::MAX, task: task(1, b"") }).unwrap();
    append(&mut chain, &mut text, &Record::Commit { records: 1 }).unwrap();
    assert!(matches!(parse(&text), Err(SnapshotError::Damaged { .. })));
}

#[test]
fn a_torn_journal_goes_on_where_it_was_whole() {
    let (bytes, ends) = three_groups();
    for len in (ends[0]..bytes.len()).step_by(7) {
        let (_dir, path) = place();
        std::fs::write(&path, &bytes[..len]).unwrap();
        let (mut journal, before) = open_again(&path);
        let entry = journal.accepted(&task(9, b"nine")).unwrap();
        journal.commit().unwrap();
        drop(journal);
        let after = replay(&path).unwrap();
        assert_eq!((after.torn, after.open.len()), (None, before.open.len() + 1), "{len} bytes");
        assert_eq!(after.open[&entry], task(9, b"nine"));
    }
}

#[test]
fn what_is_not_committed_does_not_count() {
    let (_dir, path) = place();
    let mut journal = Journal::create(&path, &header()).unwrap();
    journal.accepted(&task(1, b"")).unwrap();
    assert_eq!(replay(&path).unwrap().accepted, 0);
    journal.commit().unwrap();
    assert_eq!(replay(&path).unwrap().accepted, 1);
}

#[test]
fn a_journal_has_one_writer() {
    let (_dir, path) = place();
    let mut journal = Journal::create(&path, &header()).unwrap();
    let locked = |error: &SnapshotError| matches!(error, SnapshotError::Locked { .. });
    assert!(Journal::open(&path).is_err_and(|error| locked(&error)));
    journal.compact().unwrap();
    assert!(Journal::open(&path).is_err_and(|error| locked(&error)), "after its compaction too");
    drop(journal);
    open_again(&path);
}

#[test]
fn what_has_its_name_is_not_overwritten() {
    let (_dir, path) = place();
    std::fs::write(&path, "something").unwrap();
    let error = Journal::create(&path, &header()).unwrap_err().to_string();
    assert!(error.contains("journal: cannot rename it into place"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), b"something");
    assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
}

#[test]
fn a_journal_of_ended_tasks_does_not_grow_for_ever() {
    let (_dir, path) = place();
    let mut journal = Journal::create(&path, &header()).unwrap();
    let kept = journal.accepted(&task(0, b"kept")).unwrap();
    let body = vec![b'x'; 10_000];
    for round in 1..100 {
        let group: Vec<Entry> = (0..10).map(|_| journal.accepted(&task(round, &body)).unwrap()).collect();
        journal.commit().unwrap();
        for entry in group {
            journal.ended(entry, Ended::Answered);
        }
        journal.commit().unwrap();
        assert!(journal.bytes() < 2 * COMPACT_MIN, "{} bytes", journal.bytes());
    }
    assert_eq!(journal.open_tasks(), 1);
    drop(journal);
    let (mut journal, found) = open_again(&path);
    assert_eq!(found.open[&kept], task(0, b"kept"));
    assert!(journal.accepted(&task(1, b"")).unwrap() > kept);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Any order of steps against a model: what is committed is replayed, and nothing else.
    #[test]
    fn a_journal_is_its_model(steps in proptest::collection::vec((0_u8..6, any::<u16>()), 1..60)) {
        let (_dir, path) = place();
        let mut journal = Some(Journal::create(&path, &header()).unwrap());
        let mut pending: BTreeMap<Entry, OpenTask> = BTreeMap::new();
        let mut committed = pending.clone();
        for (sequence, (step, pick)) in steps.into_iter().enumerate() {
            let open = journal.as_mut().unwrap();
            match step {
                0 | 1 => {
                    let task = task(sequence as u64, &pick.to_le_bytes());
                    pending.insert(open.accepted(&task).unwrap(), task);
                }
                2 if !pending.is_empty() => {
                    let entry = *pending.keys().nth(usize::from(pick) % pending.len()).unwrap();
                    pending.remove(&entry);
                    open.ended(entry, Ended::Answered);
                }
                3 => {
                    open.commit().unwrap();
                    committed = pending.clone();
                }
                4 => {
                    open.commit().unwrap();
                    committed = pending.clone();
                    open.compact().unwrap();
                }
                5 => {
                    drop(journal.take());
                    let (again, found) = open_again(&path);
                    prop_assert_eq!(&found.open, &committed);
                    pending = committed.clone();
                    journal = Some(again);
                }
                _ => {}
            }
            prop_assert_eq!(&replay(&path).unwrap().open, &committed);
        }
    }
}

#[test]
fn outcomes_and_the_files_of_results_stay_with_their_open_tasks() {
    let (_dir, path) = place();
    let mut journal = Journal::create(&path, &header()).unwrap();
    let answer = sample().untold.remove(0).answer;
    let outcome = Outcome { coordinator: 1, answer };
    journal.results(Path::new("/results")).unwrap();
    let entries = [1, 2, 3].map(|number| journal.accepted(&task(number, b"x")).unwrap());
    journal.outcome(entries[0], &outcome).unwrap();
    journal.outcome(entries[1], &outcome).unwrap();
    journal.ended(entries[1], Ended::Answered);
    journal.commit().unwrap();
    let holds = |path: &Path| {
        let found = replay(path).unwrap();
        assert_eq!(found.outcomes, BTreeMap::from([(entries[0], outcome.clone())]));
        assert_eq!(found.open.into_keys().collect::<Vec<_>>(), [entries[0], entries[2]]);
        assert_eq!(found.results, [Path::new("/results")]);
    };
    holds(&path);
    journal.compact().unwrap();
    holds(&path);
    journal.ended(entries[0], Ended::Answered);
    journal.commit().unwrap();
    assert_eq!(replay(&path).unwrap().outcomes, BTreeMap::new());
}
