//! A writer of a journal, killed in the middle, again and again.

use super::{child, header, task};
use crate::support::random::Random;
use coordinator::snapshot::journal::{Ended, Entry, Journal, replay};
use coordinator::snapshot::record::Kind;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::Stdio;

const ROUNDS: u64 = 24;
/// Of a task's body, so that the journal is rewritten several times; in bytes.
const BODY: usize = 4096;

/// Says what it is about to commit, commits it, says so; for ever.
pub fn append(dir: &Path, seed: u64) {
    let path = dir.join("journal");
    let mut random = Random(seed);
    let (mut journal, found) = Journal::open(&path).unwrap();
    let mut open: Vec<(Entry, u64)> =
        found.open.iter().map(|(entry, task)| (*entry, task.id.sequence)).collect();
    let mut next = seed << 32;
    let mut said = std::io::stderr().lock();
    loop {
        let mut words = String::from("about");
        for _ in 0..=random.below(6) {
            if open.is_empty() || random.below(2) == 0 {
                next += 1;
                open.push((journal.accepted(&task(next, &[next as u8; BODY])).unwrap(), next));
                let _ = write!(words, " +{next}");
            } else {
                let (entry, sequence) = open.swap_remove(random.below(open.len() as u64) as usize);
                journal.ended(entry, Ended::Answered);
                let _ = write!(words, " -{sequence}");
            }
        }
        writeln!(said, "{words}").unwrap();
        journal.commit().unwrap();
        writeln!(said, "done").unwrap();
    }
}

fn apply(open: &BTreeSet<u64>, words: &str) -> BTreeSet<u64> {
    let mut open = open.clone();
    for word in words.split_whitespace().skip(1) {
        let (sign, sequence) = word.split_at(1);
        let sequence = sequence.parse().unwrap();
        assert!(if sign == "+" { open.insert(sequence) } else { open.remove(&sequence) });
    }
    open
}

#[test]
fn what_was_committed_survives_every_kill() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal");
    drop(Journal::create(&path, &header(Kind::Journal)).unwrap());
    let mut random = Random(7);
    let (mut open, mut torn, mut commits) = (BTreeSet::new(), 0, 0);
    for round in 1..=ROUNDS {
        let mut writer = child(&format!("append {round}"), dir.path())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(writer.stderr.take().unwrap());
        let mut announced = None;
        let mut take = |line: &str, announced: &mut Option<BTreeSet<u64>>| {
            if line.starts_with("about") {
                *announced = Some(apply(&open, line));
            } else if line == "done" {
                open = announced.take().unwrap();
                commits += 1;
            }
        };
        for _ in 0..10 + random.below(90) {
            let mut line = String::new();
            assert!(said.read_line(&mut line).unwrap() > 0, "round {round}: the writer ended by itself");
            take(line.trim_end(), &mut announced);
        }
        for _ in 0..random.below(200_000) {
            std::hint::spin_loop();
        }
        writer.kill().unwrap();
        writer.wait().unwrap();
        // What it had said before it was killed; a line that it was in the middle of is none.
        for line in said.split(b'\n') {
            let line = String::from_utf8(line.unwrap()).unwrap();
            take(&line, &mut announced);
        }
        let found = replay(&path).unwrap();
        torn += u32::from(found.torn.is_some());
        let sequences: BTreeSet<u64> = found.open.values().map(|task| task.id.sequence).collect();
        let in_between = announced.is_some_and(|announced| announced == sequences);
        assert!(sequences == open || in_between, "round {round}: {sequences:?}, and {open:?} was committed");
        for task in found.open.values() {
            assert_eq!(task.body.0, [task.id.sequence as u8; BODY], "round {round}");
        }
        open = sequences;
    }
    println!("{commits} commits, {ROUNDS} kills, {torn} of them in the middle of a write");
}
