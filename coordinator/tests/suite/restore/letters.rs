//! Dead letters of a fleet that was backed up: kept beside the results of its restore, or tried again.

use super::fleet::{LONG, Place, once, shell, text};
use crate::support::up::{Up, wait_until};
use coordinator::client::{Address, Client, Task, Terms};
use std::process::Output;

/// A place with a backup that has one dead letter, and nothing else. Its task would succeed now.
fn with_a_dead_letter() -> Place {
    let place = Place::new();
    let up = Up::start(place.shm.path(), 1, 2, &[]);
    let mut client = Client::attach(&up.dir).unwrap();
    let dir = place.dir().display();
    let body = shell(&format!("test -e {dir}/gate && echo 7 >> {dir}/log"));
    let terms = Terms { attempts_max: Some(1), retry_failures: true, ..Terms::within(LONG) };
    client.submit(Address::Any, Task::Exec(&body), &terms, 0).unwrap();
    client.flush();
    wait_until("it has failed", || {
        client.poll(|_| ());
        client.ledger().failed_tasks == 1
    });
    let snapshot = place.backup();
    assert_eq!((snapshot.tasks.len(), snapshot.dead.len()), (0, 1));
    assert!(snapshot.dead[0].reason.contains('1'), "{}", snapshot.dead[0].reason);
    assert_eq!(snapshot.dead[0].task.body.0, body);
    drop(client);
    place.disaster(up);
    place.open_gate();
    place
}

#[track_caller]
fn says(output: &Output, code: i32, words: &str) {
    let said = text(&output.stderr);
    assert!(output.status.code() == Some(code) && said.contains(words), "{output:?}");
}

#[test]
fn dead_letters_are_kept_beside_the_results_or_tried_again() {
    let place = with_a_dead_letter();
    let kept = place.coordinator(&["restore", "backup", "--results", "out"]);
    says(&kept, 0, "1 dead letters are not done again; they are in out.dead-letters");
    assert_eq!((place.done().len(), place.results("out.dead-letters").len()), (0, 1));
    let taken = place.coordinator(&["restore", "backup", "--results", "out"]);
    says(&taken, 64, "existing files are not overwritten");
    place.succeeds(&["restore", "backup", "--results", "again", "--retry-dead-letters"]);
    assert_eq!(place.done(), once([7]));
}

#[test]
fn a_restore_that_is_resumed_keeps_each_dead_letter_once() {
    let place = with_a_dead_letter();
    place.succeeds(&["restore", "backup", "--results", "out"]);
    let whole = std::fs::read(place.file("out.dead-letters")).unwrap();
    let resume = || place.succeeds(&["restore", "backup", "--results", "out", "--resume"]);
    resume();
    assert_eq!(std::fs::read(place.file("out.dead-letters")).unwrap(), whole);
    // It was killed while it wrote them, or before.
    for left in [whole.len() - 1, 1, 0] {
        std::fs::write(place.file("out.dead-letters"), &whole[..left]).unwrap();
        resume();
        assert_eq!(std::fs::read(place.file("out.dead-letters")).unwrap(), whole, "{left} bytes were there");
    }
    std::fs::remove_file(place.file("out.dead-letters")).unwrap();
    resume();
    // To standard output, each restore is the first.
    for _ in 0..2 {
        place.succeeds(&["restore", "backup"]);
        assert_eq!(std::fs::read(place.file("backup.dead-letters")).unwrap(), whole);
    }
}

#[test]
fn a_file_of_another_kind_gets_no_dead_letters() {
    let place = with_a_dead_letter();
    std::fs::write(place.file("out.dead-letters"), "mine\n").unwrap();
    let restore = ["restore", "backup", "--results", "out"];
    for more in [&[][..], &["--resume"]] {
        says(&place.coordinator(&[&restore[..], more].concat()), 64, "out.dead-letters");
        assert_eq!(std::fs::read(place.file("out.dead-letters")).unwrap(), b"mine\n");
        // It would be in the way of the next attempt.
        assert!(!place.file("out").exists());
    }
}

#[test]
fn a_restore_whose_fleet_does_not_start_leaves_no_file_in_the_way() {
    let place = with_a_dead_letter();
    let restore = ["restore", "backup", "--results", "out"];
    for more in [&["--shm-dir", "no/such/directory"][..], &["--resume", "--shm-dir", "no/such/directory"]] {
        says(&place.coordinator(&[&restore[..], more].concat()), 20, "no/such/directory");
        assert!(!place.file("out").exists() && !place.file("out.dead-letters").exists(), "{more:?}");
    }
    place.succeeds(&restore);
    assert_eq!(place.results("out.dead-letters").len(), 1);
}
